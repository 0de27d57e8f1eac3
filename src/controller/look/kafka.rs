//! The topics and the login of one Microservice in a look: declare them, let others go. No look waits for
//! a broker.

use std::collections::BTreeSet;
use std::time::Duration;

use super::Look;
use crate::api::Microservice;
use crate::engine::kafka::carriers::carriers;
use crate::engine::kafka::clusters::{Keeps, LetGo, Terms};
use crate::engine::kafka::wants::{Login, confirmed, observed, owned, wants};
use crate::engine::observe::Observation;
use crate::engine::request::Failure;
use crate::intent::Intent;
use crate::kafka::account::Stored;
use crate::status::views::ChildOutcome;
use crate::status::{counted, topic_events};

/// Between two looks at an object whose topics or users are being let go; what happens is told before.
const WAIT: Duration = Duration::from_secs(5);
/// Between two looks at the pods of an object, while one of its users is to go.
const PODS: Duration = Duration::from_secs(15);

impl Look<'_> {
    /// Declares the topics and the login of an object, and lets go what it no longer declares. Returns
    /// when to look again, if that is known.
    pub(super) async fn look_after_kafka(
        &self,
        object: &Microservice,
        intent: &Intent,
        stored: &Stored,
    ) -> Option<Duration> {
        let clusters = &self.context.clusters;
        let told = object.status.as_ref().is_some_and(|status| !status.topics.is_empty());
        if intent.kafka.is_none() && !told && !clusters.declares(&self.key) && !clusters.is_leaving(&self.key)
        {
            return None;
        }
        match self.declare_and_let_go(object, intent, stored).await {
            Ok(next) => next,
            Err(failure) => {
                tracing::warn!(%failure, "the ledger of Kafka, or the pods, cannot be read or written now");
                Some(self.context.memory.pass_failed(&self.key))
            }
        }
    }

    async fn declare_and_let_go(
        &self,
        object: &Microservice,
        intent: &Intent,
        stored: &Stored,
    ) -> Result<Option<Duration>, Failure> {
        let clusters = &self.context.clusters;
        let looks = clusters.access(&self.key).is_some_and(|view| view.looks_at_pods);
        let carried = if looks { Some(self.carried().await?) } else { None };
        let login = Login { stored: stored.clone(), carried: carried.clone() };
        let kafka = intent.kafka.as_deref();
        let wanted = kafka.and_then(|kafka| wants(object, intent.class.as_deref(), kafka, login));
        let keeps = wanted.as_ref().map(|(place, declaration)| Keeps {
            topics: owned(&declaration.topics),
            observed: observed(&declaration.topics),
            login: declaration.account.as_ref().map(|_| place.clone()),
        });
        let keeps = keeps.unwrap_or_default();
        let class = self.context.world.class_for(object);
        let described = class.as_ref().and_then(|class| class.spec.kafka.as_ref());
        match (wanted, described) {
            (Some((place, declaration)), Some(described)) => {
                let spec = described.clusters.iter().find(|cluster| cluster.name == place.cluster);
                // Without it the intent would be refused: the class has changed this very moment.
                let Some(spec) = spec else { return Ok(None) };
                clusters.declare(&self.key, &place, spec, declaration);
            }
            _ => clusters.withdraw(&self.key),
        }
        // Nobody tells when the last pod with an old user goes.
        let pods = looks.then(|| PODS.min(clusters.grace().max(Duration::from_secs(1))));
        if clusters.is_settled(&self.key, &keeps) {
            return Ok(pods);
        }
        let carried = match carried {
            None if self.lets_login_go(&keeps).await? => Some(self.carried().await?),
            carried => carried,
        };
        let terms = Terms { keeps, confirmed: Some(confirmed(object)), carried, ..Terms::default() };
        let result = clusters.let_go(&self.key, &terms).await?;
        self.tell_of_topics(object, &result).await;
        let waits = !result.waits.is_empty() || result.login_waits;
        Ok(pods.into_iter().chain(waits.then_some(WAIT)).min())
    }

    /// Whether there are users elsewhere than where the object has its login now.
    async fn lets_login_go(&self, keeps: &Keeps) -> Result<bool, Failure> {
        let logins = self.context.clusters.logins(&self.key).await?;
        Ok(logins.iter().any(|entry| keeps.login.as_ref() != Some(&entry.record.place)))
    }

    async fn carried(&self) -> Result<BTreeSet<String>, Failure> {
        carriers(&self.context.client, &self.key).await
    }

    /// A login that was stored is in use from now on.
    pub(super) fn tell_of_login(&self, observation: &Observation, outcomes: &[ChildOutcome]) {
        let Some(user) = &observation.login_saves else { return };
        let secret = observation.secrets.iter().find(|secret| secret.user.as_ref() == Some(user));
        let stored = |outcome: &&ChildOutcome| {
            outcome.kind == "Secret" && secret.is_some_and(|secret| secret.name == outcome.name)
        };
        let stored = outcomes.iter().find(stored);
        if stored.is_some_and(|outcome| outcome.problem.is_none() && outcome.stored_version.is_some()) {
            self.context.clusters.stored(&self.key, user);
        }
    }

    /// Writes what has happened to topics and users as Events.
    pub(super) async fn tell_of_topics(&self, object: &Microservice, let_go: &LetGo) {
        let mut news = self.context.clusters.take_news(&self.key);
        news.extend(let_go.news.iter().cloned());
        news.iter().for_each(|news| self.context.telemetry.kafka_changed(counted(&news.what)));
        self.context.publisher.events(object, topic_events(&news)).await;
    }
}
