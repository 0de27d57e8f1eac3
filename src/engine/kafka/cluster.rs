//! One cluster and the task that looks after its topics and logins: what objects declare, what is known, and when
//! to look again. Objects are told only when what they are told changes.

mod logins;
mod state;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep, sleep_until};

use self::state::{Batch, State, Worked, is_of_login};
use super::access::Access;
use super::accounts::Accounts;
use super::agreements::{Agreements, Inbox};
use super::ledger::Ledger;
use super::letting::{Leaving, Let, let_go};
use super::round::{Round, may_write, of_ledger};
use super::strimzi::{Installation, Site, Strimzi};
use super::trouble::trouble;
use super::{Broker, Credential, Direct, Settings};
use crate::api::kafka::class::Cluster as ClassCluster;
use crate::engine::lease::Fence;
use crate::engine::live::Key;
use crate::engine::survey::Survey;
use crate::engine::world::World;
use crate::kafka::account::{self, Account};
use crate::kafka::consent::{Ask, Consents};
use crate::kafka::strimzi::cluster_id as strimzi_cluster_id;
use crate::kafka::topic::{Declared, Owner, Place, Recorded};
use crate::kafka::view::{AccessView, Happened, News, TopicView, Trouble};

/// How long a first change waits for others to go with it.
const LINGER: Duration = Duration::from_millis(50);
/// How often a replica that may not write asks whether it may.
const FENCED: Duration = Duration::from_secs(1);
/// After this time, seconds, users of a Microservice that is gone are removed although nobody has seen
/// its pods go.
const ABANDONED: i64 = 900;

/// What all clusters share.
pub struct Hub {
    /// Reads admin credentials.
    pub access: Access,
    /// Who owns which topics.
    pub ledger: Ledger<Recorded>,
    /// Who has which users.
    pub principals: Ledger<account::Recorded>,
    /// What the owners of topics allow.
    pub agreements: Agreements,
    /// Which Microservices, Deployments and classes there are.
    pub world: Arc<World>,
    /// Which Microservices were looked at.
    pub survey: Arc<Survey>,
    /// Whether this replica may write.
    pub fence: Fence,
    /// Reaches Strimzi's objects.
    pub installation: Installation,
    /// Between two looks at what nothing was heard of.
    pub sweep: Duration,
    /// How long a user is kept at least after its successor is in the Secret.
    pub grace: Duration,
    /// Asks for a look at this Microservice.
    pub enqueue: Box<dyn Fn(&Key) + Send + Sync>,
}

impl Hub {
    /// What its class says of a cluster now.
    pub fn described(&self, place: &Place) -> Option<ClassCluster> {
        let class = self.world.classes.get(&Key::new("", &place.class))?;
        let clusters = &class.spec.kafka.as_ref()?.clusters;
        clusters.iter().find(|cluster| cluster.name == place.cluster).cloned()
    }
}

/// A declaration with the age of the object that makes it, seconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Want {
    /// The topic.
    pub declared: Declared,
    /// Whom the object lets use it.
    pub consents: Consents,
    /// When the object was created.
    pub created: i64,
}

/// What an object declares.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Declaration {
    /// Topics.
    pub topics: Vec<Want>,
    /// Its login, if it has one.
    pub account: Option<Account>,
}

/// What is to be put into the Secret of a service.
#[derive(Clone, Debug, Default)]
pub struct Offer {
    /// A new login.
    pub credential: Option<Credential>,
    /// The user that is known to log in there.
    pub user: Option<String>,
    /// The certificate authority to trust, if one is named; `None` = it is not known now.
    pub ca: Option<Option<String>>,
}

/// A cluster of a class.
pub struct Cluster {
    place: Place,
    hub: Arc<Hub>,
    direct: Arc<Direct>,
    state: Mutex<State>,
    /// Topics whose users are to be looked at.
    inbox: Arc<Inbox>,
    wake: Arc<Notify>,
}

impl Cluster {
    /// Nothing is connected until something is declared.
    pub fn new(place: Place, spec: ClassCluster, hub: Arc<Hub>) -> Self {
        let state = State { spec, ..State::default() };
        let wake: Arc<Notify> = Arc::default();
        Self {
            place,
            inbox: hub.agreements.join(Arc::clone(&wake)),
            hub,
            direct: Arc::new(Direct::new(Settings::default())),
            state: Mutex::new(state),
            wake,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Replaces what an object declares here. The class may describe the cluster anew.
    pub fn declare(&self, key: &Key, spec: &ClassCluster, declaration: Declaration) {
        let mut state = self.state();
        let other = state.describe(spec);
        self.hub.agreements.declare(key, &declaration.topics);
        let topics = state.declare(key, declaration.topics);
        let login = state.logins.declare(key, declaration.account);
        self.declared(state, other || topics || login);
    }

    fn declared(&self, mut state: MutexGuard<'_, State>, news: bool) {
        let unasked = state.logins.take_unasked();
        drop(state);
        if news {
            self.wake.notify_one();
        }
        unasked.iter().for_each(|owner| (self.hub.enqueue)(owner));
    }

    /// Forgets what an object declares.
    pub fn withdraw(&self, key: &Key) {
        let mut state = self.state();
        self.hub.agreements.declare(key, &[]);
        let topics = state.declare(key, Vec::new());
        let login = state.logins.declare(key, None);
        self.declared(state, topics || login);
    }

    /// What is known of the login that an object declares.
    pub fn access(&self, key: &Key) -> Option<AccessView> {
        let state = self.state();
        let view = state.logins.view(key)?;
        let outage = state.outage.as_ref().map(|outage| outage.trouble.clone());
        Some(AccessView { trouble: outage.or(view.trouble), ..view })
    }

    /// Who asks an object for consent.
    pub fn asks(&self, owner: &Key) -> BTreeSet<Ask> {
        self.state().logins.asks(owner)
    }

    /// What is to be put into the Secret of an object.
    pub fn offer(&self, key: &Key) -> Offer {
        let state = self.state();
        let ca = |settings: &Settings| settings.tls.as_ref().and_then(|tls| tls.ca.clone());
        Offer {
            credential: state.logins.offer(key, self.hub.fence.term()),
            user: state.logins.view(key).and_then(|view| view.user),
            ca: state.known.as_ref().map(ca),
        }
    }

    /// The Secret of an object holds the login of this user now.
    pub fn stored(&self, key: &Key, user: &str) {
        if self.state().logins.stored(key, user) {
            self.wake.notify_one();
        }
    }

    /// Removes the users and ACLs of a Microservice that is gone, once its pods are.
    pub fn leave_login(&self, name: &str, in_use: bool) {
        if self.state().logins.leave(name, in_use) {
            self.wake.notify_one();
        }
    }

    /// Whether the users of a Microservice that is gone are still to be removed.
    pub fn is_leaving(&self, name: &str) -> bool {
        self.state().logins.is_leaving(name)
    }

    /// Forgets that a Microservice was gone.
    pub fn stays(&self, name: &str) {
        self.state().logins.stays(name);
    }

    /// What is known of the topics that an object declares.
    pub fn views(&self, key: &Key) -> Vec<TopicView> {
        let state = self.state();
        let outage = state.outage.as_ref().map(|outage| &outage.trouble);
        let views = state.views.get(key).into_iter().flat_map(BTreeMap::values).cloned();
        match outage {
            Some(trouble) => views.map(|view| TopicView { trouble: Some(trouble.clone()), ..view }).collect(),
            None => views.collect(),
        }
    }

    /// What has happened to the topics of an object since the last call.
    pub fn take_news(&self, key: &Key) -> Vec<News> {
        self.state().news.remove(key).unwrap_or_default()
    }

    /// Whether a batch with this topic is under way: it may write what was declared when it began.
    pub fn is_under_way(&self, topic: &str) -> bool {
        self.state().under_way.contains(topic)
    }

    /// Lets a topic go that is to be deleted.
    pub fn leave(&self, topic: &str, leaving: Leaving) {
        let mut state = self.state();
        if state.leaving.get(topic) != Some(&leaving) {
            state.leaving.insert(topic.to_owned(), leaving);
            state.leave = Some(Instant::now());
            self.wake.notify_one();
        }
    }

    /// Carries out what the ledger still holds of owners that are gone.
    pub fn finish_doomed(&self) {
        let mut state = self.state();
        (state.doomed, state.leave) = (true, Some(Instant::now()));
        state.tidy = Site::of(&state.spec).map(|_| Instant::now());
        self.wake.notify_one();
    }

    /// Looks at a topic soon: its record has changed.
    pub fn touch(&self, topic: &str) {
        let mut state = self.state();
        // Somebody else's objects of it may have to go.
        let tidies = Site::of(&state.spec).is_some();
        state.tidy = state.tidy.or(tidies.then(Instant::now));
        if let Some(topic) = state.topics.get_mut(topic) {
            topic.due = Some(Instant::now());
        }
        self.wake.notify_one();
    }

    /// Looks at everything soon: another replica may have been at work.
    pub fn renew(&self) {
        self.state().sweep = None;
        self.wake.notify_one();
    }

    /// Looks after the cluster, for ever.
    pub async fn run(self: Arc<Self>) {
        loop {
            let next = self.state().next();
            tokio::select! {
                () = self.wake.notified() => sleep(LINGER).await,
                () = sleep_until(next) => {}
            }
            if self.hub.fence.permit() {
                self.turn().await;
            } else {
                sleep(FENCED).await;
            }
        }
    }

    async fn turn(&self) {
        let strimzi = self.state().strimzi.clone();
        if let Some(strimzi) = strimzi {
            self.state().hear(strimzi.heard());
        }
        if !self.begin().await {
            return;
        }
        let mut batch = {
            let mut state = self.state();
            self.inbox.take().iter().for_each(|topic| state.logins.touch(topic));
            if !self.hub.survey.is_complete() {
                state.wait_for_all();
            }
            state.take()
        };
        if batch.is_empty() {
            return;
        }
        let (begin, topics, logins) = (Instant::now(), batch.items.len(), batch.duties.len());
        let worked = self.work(&mut batch).await;
        let (seconds, ok) = (begin.elapsed().as_secs_f64(), worked.is_ok());
        tracing::debug!(
            class = self.place.class,
            cluster = self.place.cluster,
            topics,
            logins,
            seconds,
            ok,
            "a batch of topics and logins"
        );
        let told = self.state().finish(batch, worked);
        let changed = std::mem::take(&mut self.state().changed);
        self.hub.agreements.changed(&changed);
        for key in told {
            (self.hub.enqueue)(&key);
        }
    }

    /// Whether there is something to do and nothing that forbids it.
    async fn begin(&self) -> bool {
        // Nobody may be left to declare anything here, and topics of owners that are gone still have to go.
        let described = self.hub.described(&self.place);
        let (held, login) = {
            let mut state = self.state();
            if let Some(spec) = &described {
                state.describe(spec);
            }
            state.begin_sweep(self.hub.sweep);
            let held = state.outage.as_ref().filter(|outage| outage.retry > Instant::now());
            (held.is_some(), held.is_some_and(|outage| is_of_login(outage.trouble.reason)))
        };
        if !held {
            return true;
        }
        // Nothing but another Secret helps.
        if login && self.connect().await.is_ok_and(|changed| changed) {
            self.state().outage.iter_mut().for_each(|outage| outage.retry = Instant::now());
            return true;
        }
        false
    }

    /// Reads the Secrets. Whether they have changed.
    async fn connect(&self) -> Result<bool, Trouble> {
        let spec = self.state().spec.clone();
        let settings = self.hub.access.settings(&spec).await?;
        let (changed, concerned) = {
            let mut state = self.state();
            let changed = state.settings.as_ref() != Some(&settings);
            if changed {
                self.direct.set(settings.clone());
                state.settings = Some(settings.clone());
            }
            // The certificate authority is in the Secrets of the services too.
            let before = state.known.replace(settings);
            let other = before.map(|known| known.tls) != state.known.as_ref().map(|known| known.tls.clone());
            (changed, if other { state.logins.keys().cloned().collect() } else { Vec::new() })
        };
        concerned.iter().for_each(|key| (self.hub.enqueue)(key));
        Ok(changed)
    }

    async fn work(&self, batch: &mut Batch) -> Result<Worked, Trouble> {
        if self.state().settings.is_none() {
            self.connect().await?;
        }
        let strimzi = self.strimzi();
        let broker: &dyn Broker = match &strimzi {
            Some(strimzi) => strimzi.as_ref(),
            None => self.direct.as_ref(),
        };
        // Asked each time: a moment later another cluster may be at the same addresses.
        let cluster_id = broker.cluster_id().await.map_err(|error| trouble(&error))?;
        self.state().arrive(&cluster_id, batch);
        let (ledger, fence) = (&self.hub.ledger, &self.hub.fence);
        let round = Round { broker, ledger, cluster_id: &cluster_id, fence };
        let mut worked = Worked { outcomes: round.run(&mut batch.items).await?, ..Worked::default() };
        if let Some(leaving) = &batch.leaving {
            let left = self.let_topics_go(broker, &cluster_id, leaving).await;
            worked.left = late(left, "topics could not be let go");
        }
        // After the topics: whoever has just got one may write to it.
        if let Err(trouble) = self.work_on_logins(batch, broker, &cluster_id, &mut worked).await {
            worked.trouble = Some(trouble);
            return Ok(worked);
        }
        if let Some(strimzi) = strimzi.filter(|_| batch.tidies) {
            let tidied = self.tidy(&strimzi, &cluster_id).await;
            worked.news = late(tidied, "KafkaTopics of topics that are nobody's could not be let lie");
        }
        Ok(worked)
    }

    async fn let_topics_go(
        &self,
        broker: &dyn Broker,
        cluster_id: &str,
        leaving: &BTreeMap<String, Leaving>,
    ) -> Result<BTreeMap<String, Let>, Trouble> {
        let doomed = if self.state().doomed { self.doomed(cluster_id).await? } else { Vec::new() };
        let deployed = |owner: &Owner| {
            self.hub.world.deployments.get(&Key::new(&owner.namespace, &owner.name)).is_some()
        };
        let leaving = self.state().join(leaving, doomed, deployed);
        let left = let_go(broker, &self.hub.ledger, cluster_id, &leaving, &self.hub.fence).await?;
        self.state().doomed = left.values().any(Option::is_none);
        Ok(left)
    }

    /// What changes the cluster through Strimzi, if its mode is that.
    fn strimzi(&self) -> Option<Arc<Strimzi>> {
        let mut state = self.state();
        let site = Site::of(&state.spec);
        if state.strimzi.as_ref().map(|strimzi| strimzi.site()) != site.as_ref() {
            let start = |site| {
                let (direct, wake) = (Arc::clone(&self.direct), Arc::clone(&self.wake));
                Arc::new(Strimzi::start(&self.hub.installation, site, direct, wake))
            };
            state.strimzi = site.map(start);
        }
        state.strimzi.clone()
    }

    /// Lets the objects of topics lie that are nobody's any more. Who gives no login knows no cluster id but
    /// its own, under which others may have the same topics: there every record counts.
    async fn tidy(&self, strimzi: &Strimzi, cluster_id: &str) -> Result<Vec<(Key, News)>, Trouble> {
        let site = strimzi.site();
        let ids = [cluster_id, &strimzi_cluster_id(&site.namespace, &site.cluster)];
        let may_be_here = |id: &str, record: Option<&Recorded>| {
            !site.guarded || ids.contains(&id) || record.is_none_or(|record| record.place == self.place)
        };
        let (mut idle, mut strays) = (BTreeSet::new(), BTreeMap::new());
        for (topic, owner) in strimzi.kept() {
            let known = self.hub.ledger.is_known(&topic, may_be_here).await;
            let known = known.map_err(|failure| of_ledger(&failure))?;
            if known != Some(true) {
                if known.is_none() {
                    strays.insert(topic.clone(), owner);
                }
                idle.insert(topic);
            }
        }
        if idle.is_empty() {
            return Ok(Vec::new());
        }
        may_write(&self.hub.fence)?;
        let begun = strimzi.let_lie(&idle).await.map_err(|error| trouble(&error))?;
        // Of a topic that was let go it was told then.
        let told = |topic: String| {
            let (namespace, name) = strays.get(&topic)?.as_deref()?.split_once('/')?;
            tracing::warn!(topic, "a KafkaTopic without a record is left to lie; the topic stays");
            Some((Key::new(namespace, name), News { topic, what: Happened::Stray }))
        };
        Ok(begun.into_iter().filter_map(told).collect())
    }

    async fn work_on_logins(
        &self,
        batch: &mut Batch,
        broker: &dyn Broker,
        cluster_id: &str,
        worked: &mut Worked,
    ) -> Result<(), Trouble> {
        let accounts = Accounts {
            broker,
            ledger: &self.hub.principals,
            topics: &self.hub.ledger,
            cluster_id,
            fence: &self.hub.fence,
            grace: self.hub.grace,
            now: now(),
        };
        let used = batch.duties.values().flat_map(|duty| &duty.account.uses).map(|used| &used.topic);
        let allowed = self.hub.agreements.of(used);
        worked.logins = accounts.run(&mut batch.duties, &allowed).await?;
        if let Some(departing) = &batch.departing {
            let departs = self.let_logins_go(&accounts, departing).await;
            worked.departs = late(departs, "logins of Microservices that are gone could not be removed");
        }
        Ok(())
    }

    async fn let_logins_go(
        &self,
        accounts: &Accounts<'_>,
        departing: &BTreeMap<String, bool>,
    ) -> Result<BTreeSet<String>, Trouble> {
        let mut departing = departing.clone();
        for name in self.abandoned(accounts.cluster_id).await? {
            departing.entry(name).or_insert(false);
        }
        accounts.let_go(&departing).await
    }

    /// Microservices that have been gone for long and whose users are still there. One that is there has moved:
    /// it lets its old login go itself, as its pods do.
    async fn abandoned(&self, cluster_id: &str) -> Result<BTreeSet<String>, Trouble> {
        if !self.hub.survey.is_complete() {
            return Ok(BTreeSet::new());
        }
        let is_there = |owner: &Owner| self.hub.world.is_service(&Key::new(&owner.namespace, &owner.name));
        let here =
            |record: &account::Recorded| record.place == self.place && is_abandoned(record, now(), is_there);
        let entries = self.hub.principals.select(here).await.map_err(|failure| of_ledger(&failure))?;
        let of_cluster = entries.into_iter().filter(|entry| entry.cluster_id == cluster_id);
        Ok(of_cluster.map(|entry| entry.name).collect())
    }

    /// Topics that the ledger holds of owners that are gone, and that are to be deleted.
    async fn doomed(&self, cluster_id: &str) -> Result<Vec<(String, Owner)>, Trouble> {
        let here = |record: &Recorded| record.doomed && record.place == self.place;
        let entries = self.hub.ledger.select(here).await.map_err(|failure| of_ledger(&failure))?;
        let of_cluster = entries.into_iter().filter(|entry| entry.cluster_id == cluster_id);
        Ok(of_cluster.map(|entry| (entry.name, entry.record.owner)).collect())
    }
}

/// What comes after the topics and logins that are declared fails by itself, and is tried again later: they are
/// not told of it.
fn late<T>(done: Result<T, Trouble>, what: &str) -> Option<T> {
    let tell = |trouble: &Trouble| {
        tracing::warn!(
            reason = trouble.reason.as_str(),
            error = trouble.text,
            "{what}, which will be tried again"
        );
    };
    done.inspect_err(tell).ok()
}

fn now() -> i64 {
    jiff::Timestamp::now().as_second()
}

fn is_abandoned(record: &account::Recorded, now: i64, is_there: impl Fn(&Owner) -> bool) -> bool {
    let long = |since: i64| now.saturating_sub(since) >= ABANDONED;
    record.doomed.is_some_and(long) && !is_there(&record.owner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_is_abandoned_once_its_service_has_been_gone_for_long() {
        let left = |doomed| account::Recorded { doomed, ..account::Recorded::default() };
        let is_abandoned = |doomed, is_there| is_abandoned(&left(doomed), ABANDONED + 5, |_| is_there);
        assert!(is_abandoned(Some(5), false));
        assert!(!is_abandoned(Some(6), false), "not for long");
        assert!(!is_abandoned(None, false), "not let go");
        assert!(!is_abandoned(Some(5), true), "its service has moved and its pods may be as they were");
    }
}
