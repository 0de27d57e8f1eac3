//! The topics of one Microservice in a look: declare them, let others go. No look waits for a broker.

use std::time::Duration;

use super::Look;
use crate::api::Microservice;
use crate::engine::kafka::clusters::{LetGo, Terms};
use crate::engine::kafka::wants::{confirmed, owned, wants};
use crate::engine::live::Key;
use crate::engine::request::Failure;
use crate::intent::kafka::UsersIntent;
use crate::intent::{Intent, MissingReference, ReferenceKey, ReferenceKind};
use crate::status::topic_events;

/// Between two looks at an object whose login does not exist.
const LOGIN: Duration = Duration::from_secs(10);
/// Between two looks at an object whose topics are being let go; what happens is told before.
const WAIT: Duration = Duration::from_secs(5);

impl Look<'_> {
    /// Declares the topics of an object, and lets those go that it no longer declares. Returns when to
    /// look again, if that is known.
    pub(super) async fn look_after_topics(&self, object: &Microservice, intent: &Intent) -> Option<Duration> {
        let told = object.status.as_ref().is_some_and(|status| !status.topics.is_empty());
        if intent.kafka.is_none() && !told && !self.context.clusters.declares(&self.key) {
            return None;
        }
        // Nobody tells of a Secret that is not there; the cache knows.
        let login = self.missing_login(intent).map(|_| LOGIN);
        match self.declare_and_let_go(object, intent).await {
            Ok(next) => next.into_iter().chain(login).min(),
            Err(failure) => {
                tracing::warn!(%failure, "the ledger of topics cannot be read or written now");
                Some(self.context.memory.pass_failed(&self.key))
            }
        }
    }

    /// The Secret with the login for Kafka, while it does not exist: pods could not start without it.
    pub(super) fn missing_login(&self, intent: &Intent) -> Option<MissingReference> {
        let (UsersIntent::Managed { secret, .. } | UsersIntent::Existing { secret, .. }) =
            &intent.kafka.as_ref()?.cluster.users
        else {
            return None;
        };
        let key = Key::new(&self.key.namespace, secret);
        let (live, trusted) = self.context.world.reference(ReferenceKind::Secret, &key);
        let reference = ReferenceKey { kind: ReferenceKind::Secret, name: secret.clone() };
        (live.is_none() && trusted).then_some(MissingReference { reference, key: None })
    }

    async fn declare_and_let_go(
        &self,
        object: &Microservice,
        intent: &Intent,
    ) -> Result<Option<Duration>, Failure> {
        let clusters = &self.context.clusters;
        let kafka = intent.kafka.as_deref();
        let wanted = kafka.and_then(|kafka| wants(object, intent.class.as_deref(), kafka));
        let keeps = wanted.as_ref().map(|(_, wants)| owned(wants)).unwrap_or_default();
        let class = self.context.world.class_for(object);
        let described = class.as_ref().and_then(|class| class.spec.kafka.as_ref());
        match (wanted, described) {
            (Some((place, wants)), Some(described)) => {
                let spec = described.clusters.iter().find(|cluster| cluster.name == place.cluster);
                // Without it the intent would be refused: the class has changed this very moment.
                let Some(spec) = spec else { return Ok(None) };
                clusters.declare(&self.key, &place, spec, wants);
            }
            _ => clusters.withdraw(&self.key),
        }
        if clusters.is_settled(&self.key, &keeps) {
            return Ok(None);
        }
        let terms = Terms { keeps, confirmed: Some(confirmed(object)), ..Terms::default() };
        let result = clusters.let_go(&self.key, &terms).await?;
        self.tell_of_topics(object, &result).await;
        Ok((!result.waits.is_empty()).then_some(WAIT))
    }

    /// Writes what has happened to topics as Events.
    pub(super) async fn tell_of_topics(&self, object: &Microservice, let_go: &LetGo) {
        let mut news = self.context.clusters.take_news(&self.key);
        news.extend(let_go.news.iter().cloned());
        self.context.publisher.events(object, topic_events(&news)).await;
    }
}
