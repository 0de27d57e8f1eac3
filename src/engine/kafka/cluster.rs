//! One cluster and the task that looks after its topics: what objects declare, what is known, and when
//! to look again. Objects are told only when what they are told changes.

mod state;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep, sleep_until};

use self::state::{State, Worked, is_of_login};
use super::access::Access;
use super::ledger::Ledger;
use super::letting::{Leaving, let_go};
use super::round::{Item, Round, of_ledger};
use super::trouble::trouble;
use super::{Broker, Direct, Settings};
use crate::api::kafka::class::Cluster as ClassCluster;
use crate::engine::lease::Fence;
use crate::engine::live::Key;
use crate::kafka::topic::{Declared, Place, Recorded};
use crate::kafka::view::{News, TopicView, Trouble};

/// How long a first change waits for others to go with it.
const LINGER: Duration = Duration::from_millis(50);
/// How often a replica that may not write asks whether it may.
const FENCED: Duration = Duration::from_secs(1);

/// What all clusters share.
pub struct Hub {
    /// Reads admin credentials.
    pub access: Access,
    /// Who owns what.
    pub ledger: Ledger,
    /// Whether this replica may write.
    pub fence: Fence,
    /// Between two looks at what nothing was heard of.
    pub sweep: Duration,
    /// Asks for a look at this Microservice.
    pub enqueue: Box<dyn Fn(&Key) + Send + Sync>,
}

/// A declaration with the age of the object that makes it, seconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Want {
    /// The topic.
    pub declared: Declared,
    /// When the object was created.
    pub created: i64,
}

/// A cluster of a class.
pub struct Cluster {
    place: Place,
    hub: Arc<Hub>,
    broker: Direct,
    state: Mutex<State>,
    wake: Notify,
}

impl Cluster {
    /// Nothing is connected until something is declared.
    pub fn new(place: Place, spec: ClassCluster, hub: Arc<Hub>) -> Self {
        let state = State { spec, ..State::default() };
        Self {
            place,
            hub,
            broker: Direct::new(Settings::default()),
            state: Mutex::new(state),
            wake: Notify::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Replaces what an object declares here. The class may describe the cluster anew.
    pub fn declare(&self, key: &Key, spec: &ClassCluster, wants: Vec<Want>) {
        let mut state = self.state();
        if state.spec != *spec {
            state.spec = spec.clone();
            state.start_anew();
        }
        if state.declare(key, wants) {
            self.wake.notify_one();
        }
    }

    /// Forgets what an object declares.
    pub fn withdraw(&self, key: &Key) {
        if self.state().declare(key, Vec::new()) {
            self.wake.notify_one();
        }
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
        self.wake.notify_one();
    }

    /// Looks at a topic soon: its record has changed.
    pub fn touch(&self, topic: &str) {
        if let Some(topic) = self.state().topics.get_mut(topic) {
            topic.due = Some(Instant::now());
            self.wake.notify_one();
        }
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
        if !self.begin().await {
            return;
        }
        let (mut items, leaving) = self.state().take();
        if items.is_empty() && leaving.is_none() {
            return;
        }
        let (begin, topics) = (Instant::now(), items.len());
        let worked = self.work(&mut items, leaving.as_ref()).await;
        let (seconds, ok) = (begin.elapsed().as_secs_f64(), worked.is_ok());
        tracing::debug!(
            class = self.place.class,
            cluster = self.place.cluster,
            topics,
            seconds,
            ok,
            "a batch of topics"
        );
        let told = self.state().finish(items, leaving.as_ref(), worked);
        for key in told {
            (self.hub.enqueue)(&key);
        }
    }

    /// Whether there is something to do and nothing that forbids it.
    async fn begin(&self) -> bool {
        let (held, login) = {
            let mut state = self.state();
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
        let mut state = self.state();
        let changed = state.settings.as_ref() != Some(&settings);
        if changed {
            self.broker.set(settings.clone());
            state.settings = Some(settings);
        }
        Ok(changed)
    }

    async fn work(
        &self,
        items: &mut BTreeMap<String, Item>,
        leaving: Option<&BTreeMap<String, Leaving>>,
    ) -> Result<Worked, Trouble> {
        if self.state().settings.is_none() {
            self.connect().await?;
        }
        let known = self.state().cluster_id.clone();
        let cluster_id = match known {
            Some(id) => id,
            None => self.broker.cluster_id().await.map_err(|error| trouble(&error))?,
        };
        self.state().cluster_id = Some(cluster_id.clone());
        let ledger = &self.hub.ledger;
        let round = Round { broker: &self.broker, ledger, cluster_id: &cluster_id, fence: &self.hub.fence };
        let outcomes = round.run(items).await?;
        let Some(leaving) = leaving else { return Ok(Worked { outcomes, left: BTreeMap::new() }) };
        let mut leaving = leaving.clone();
        if self.state().doomed {
            leaving.extend(self.doomed(&cluster_id).await?);
        }
        let left = let_go(&self.broker, ledger, &cluster_id, &leaving, &self.hub.fence).await?;
        self.state().doomed = false;
        Ok(Worked { outcomes, left })
    }

    async fn doomed(&self, cluster_id: &str) -> Result<BTreeMap<String, Leaving>, Trouble> {
        let here = |record: &Recorded| record.doomed && record.place == self.place;
        let entries = self.hub.ledger.select(here).await.map_err(|failure| of_ledger(&failure))?;
        let of_cluster = entries.into_iter().filter(|entry| entry.cluster_id == cluster_id);
        let leaving = |owner| Leaving { owner, ..Leaving::default() };
        Ok(of_cluster.map(|entry| (entry.topic, leaving(entry.record.owner))).collect())
    }
}
