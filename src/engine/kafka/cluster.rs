//! One cluster and the task that looks after its topics: what objects declare, what is known, and when
//! to look again. Objects are told only when what they are told changes.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep, sleep_until};

use super::access::Access;
use super::ledger::Ledger;
use super::letting::{Leaving, Let, let_go};
use super::round::{Item, Made, Outcome, Round, of_ledger};
use super::trouble::{OUTAGE, jittered, pace, trouble};
use super::{Broker, Direct, Settings};
use crate::api::Reason;
use crate::api::kafka::class::Cluster as ClassCluster;
use crate::engine::lease::Fence;
use crate::engine::live::Key;
use crate::kafka::topic::{Declared, Management, Owner, Place, Recorded};
use crate::kafka::view::{News, TopicView, Trouble};

/// How long a first change waits for others to go with it.
const LINGER: Duration = Duration::from_millis(50);
/// Most topics of one batch.
const BATCH: usize = 500;
/// How often the Secrets are looked at while the login is refused.
const POLL: Duration = Duration::from_secs(10);
/// Between two attempts to let the same topic go.
const AGAIN: Duration = Duration::from_secs(30);
/// How often a replica that may not write asks whether it may.
const FENCED: Duration = Duration::from_secs(1);
/// Far away.
const NEVER: Duration = Duration::from_secs(86_400);
/// Most Events that wait for an object to be looked at.
const NEWS: usize = 256;

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

#[derive(Default)]
struct State {
    spec: ClassCluster,
    /// What the connection was made with; `None` = the Secrets are to be read.
    settings: Option<Settings>,
    /// The cluster's own id; `None` = it is to be asked.
    cluster_id: Option<String>,
    topics: BTreeMap<String, Topic>,
    views: HashMap<Key, BTreeMap<String, TopicView>>,
    news: HashMap<Key, Vec<News>>,
    leaving: BTreeMap<String, Leaving>,
    /// When those who leave are due.
    leave: Option<Instant>,
    /// Whether the ledger may hold topics whose owner is gone and that are to be deleted.
    doomed: bool,
    outage: Option<Outage>,
    sweep: Option<Instant>,
}

/// A topic that somebody declares.
#[derive(Default)]
struct Topic {
    claims: BTreeMap<Key, Want>,
    due: Option<Instant>,
    failures: u32,
    made: Option<Made>,
}

/// The cluster as a whole does not work.
struct Outage {
    trouble: Trouble,
    since: Instant,
    failures: u32,
    retry: Instant,
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

    /// Whether this topic is being let go.
    pub fn is_leaving(&self, topic: &str) -> bool {
        self.state().leaving.contains_key(topic)
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
        let worked = self.work(&mut items, leaving.as_ref()).await;
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
        let round = Round { broker: &self.broker, ledger, cluster_id: &cluster_id };
        let outcomes = round.run(items).await?;
        let Some(leaving) = leaving else { return Ok(Worked { outcomes, left: BTreeMap::new() }) };
        let mut leaving = leaving.clone();
        if self.state().doomed {
            leaving.extend(self.doomed(&cluster_id).await?);
        }
        let left = let_go(&self.broker, ledger, &cluster_id, &leaving).await?;
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

/// What a batch has led to.
struct Worked {
    outcomes: BTreeMap<String, Outcome>,
    left: BTreeMap<String, Let>,
}

fn is_of_login(reason: Reason) -> bool {
    matches!(reason, Reason::LoginRefused | Reason::TlsRefused | Reason::ClusterSecretMissing)
}

impl State {
    /// Another description of the cluster: whatever is known of the way to it is not true any more.
    fn start_anew(&mut self) {
        (self.settings, self.cluster_id, self.outage, self.sweep) = (None, None, None, None);
    }

    /// Whether that is news.
    fn declare(&mut self, key: &Key, wants: Vec<Want>) -> bool {
        let now = Instant::now();
        let names: BTreeSet<&String> = wants.iter().map(|want| &want.declared.name).collect();
        let mut news = false;
        for (name, topic) in &mut self.topics {
            if !names.contains(name) && topic.claims.remove(key).is_some() {
                // Somebody else may have waited for it.
                topic.due = Some(now);
                news = true;
            }
        }
        self.topics.retain(|_, topic| !topic.claims.is_empty());
        if let Some(views) = self.views.get_mut(key) {
            views.retain(|name, _| names.contains(name));
        }
        for want in wants {
            let name = want.declared.name.clone();
            let topic = self.topics.entry(name.clone()).or_default();
            if topic.claims.get(key) == Some(&want) {
                continue;
            }
            // Whoever declares it again does not let it go.
            if self.leaving.get(&name).is_some_and(|leaving| leaving.owner.continues(&want.declared.owner)) {
                self.leaving.remove(&name);
            }
            topic.claims.insert(key.clone(), want);
            (topic.due, topic.failures, news) = (Some(now), 0, true);
            let view = self.views.entry(key.clone()).or_default().entry(name.clone()).or_default();
            (view.name, view.compared, view.trouble) = (name, false, None);
        }
        if self.views.get(key).is_some_and(BTreeMap::is_empty) {
            self.views.remove(key);
        }
        news
    }

    /// When there is something to do next.
    fn next(&self) -> Instant {
        let now = Instant::now();
        let idle = self.topics.is_empty() && self.leaving.is_empty();
        let due = self.topics.values().filter_map(|topic| topic.due).chain(self.leave).min();
        let sweep = (!idle).then(|| self.sweep.unwrap_or(now));
        let next = due.into_iter().chain(sweep).min().unwrap_or(now + NEVER);
        match &self.outage {
            Some(outage) if is_of_login(outage.trouble.reason) => next.max(outage.retry.min(now + POLL)),
            Some(outage) => next.max(outage.retry),
            None => next,
        }
    }

    /// Now and then everything is looked at: what others have done to topics, Secrets and ledger.
    fn begin_sweep(&mut self, every: Duration) {
        let now = Instant::now();
        if self.sweep.is_some_and(|due| due > now) {
            return;
        }
        self.sweep = Some(now + jittered(every));
        self.doomed = true;
        self.leave = self.leave.or(Some(now));
        // The Secrets may hold another login, and the addresses may lead to another cluster.
        (self.settings, self.cluster_id) = (None, None);
        for topic in self.topics.values_mut() {
            topic.due = topic.due.or(Some(now));
        }
    }

    /// What is due, at most one batch, and those who leave if it is their turn.
    fn take(&mut self) -> (BTreeMap<String, Item>, Option<BTreeMap<String, Leaving>>) {
        let now = Instant::now();
        let due = self.topics.iter_mut().filter(|(_, topic)| topic.due.is_some_and(|due| due <= now));
        let views = &self.views;
        let items = due
            .take(BATCH)
            .map(|(name, topic)| {
                topic.due = None;
                let item = Item {
                    claims: sorted(&topic.claims),
                    made: topic.made,
                    careful: topic.failures > 0,
                    settled: topic.claims.keys().any(|key| is_settled(views, key, name)),
                    news: Vec::new(),
                };
                (name.clone(), item)
            })
            .collect();
        if self.leave.take_if(|due| *due <= now).is_none() {
            return (items, None);
        }
        let leaving = self.leaving.iter().map(|(name, leaving)| {
            let successor = self.topics.get(name).and_then(|topic| successor(topic, &leaving.owner));
            (name.clone(), Leaving { successor, ..leaving.clone() })
        });
        (items, Some(leaving.collect()))
    }

    /// Keeps what came out. Returns the objects that are to be told.
    fn finish(
        &mut self,
        items: BTreeMap<String, Item>,
        leaving: Option<&BTreeMap<String, Leaving>>,
        worked: Result<Worked, Trouble>,
    ) -> HashSet<Key> {
        let mut told = HashSet::new();
        let names: Vec<String> = items.keys().cloned().collect();
        for (name, item) in &items {
            if let Some(topic) = self.topics.get_mut(name) {
                topic.made = item.made;
            }
        }
        for (key, news) in items.into_values().flat_map(|item| item.news) {
            self.tell(&mut told, key, news);
        }
        match worked {
            Ok(worked) => {
                if self.outage.take().is_some() {
                    told.extend(self.views.keys().cloned());
                }
                for (name, outcome) in worked.outcomes {
                    self.learned(&name, outcome, &mut told);
                }
                if let Some(leaving) = leaving {
                    self.left(leaving, worked.left, &mut told);
                }
            }
            Err(trouble) => self.failed(trouble, &names, leaving.is_some(), &mut told),
        }
        told
    }

    fn learned(&mut self, name: &str, outcome: Outcome, told: &mut HashSet<Key>) {
        let Some(topic) = self.topics.get_mut(name) else { return };
        match outcome.failure {
            Some(reason) => {
                let again = Instant::now() + jittered(pace(reason, topic.failures));
                topic.failures += 1;
                topic.due = Some(topic.due.map_or(again, |due| due.min(again)));
            }
            None => topic.failures = 0,
        }
        for (key, view) in outcome.views {
            // Declared anew in the meantime: that is for the next batch, which is due.
            let stale = topic.due.is_some_and(|due| due <= Instant::now());
            let Some(known) = self.views.get_mut(&key).and_then(|views| views.get_mut(name)) else {
                continue;
            };
            let view = TopicView { compared: view.compared && !stale, ..view };
            if *known != view {
                *known = view;
                told.insert(key);
            }
        }
    }

    fn left(
        &mut self,
        leaving: &BTreeMap<String, Leaving>,
        left: BTreeMap<String, Let>,
        told: &mut HashSet<Key>,
    ) {
        let gone: Vec<&String> = leaving.keys().filter(|name| !left.contains_key(*name)).collect();
        for gone in gone.into_iter().filter_map(|name| self.leaving.remove(name)) {
            told.insert(gone.key());
        }
        for (name, outcome) in left {
            let Some(what) = outcome else {
                // Those in use are heard of; the others are asked about now and then.
                self.leave = self.leave.or(Some(Instant::now() + jittered(AGAIN)));
                continue;
            };
            if let Some(topic) = self.topics.get_mut(&name) {
                topic.due = Some(Instant::now());
            }
            if let Some(gone) = self.leaving.remove(&name) {
                self.tell(told, gone.key(), News { topic: name, what });
            }
        }
    }

    fn failed(&mut self, trouble: Trouble, names: &[String], leaving: bool, told: &mut HashSet<Key>) {
        let now = Instant::now();
        let before = self.outage.as_ref().map(|outage| (outage.trouble.reason, outage.trouble.lasting));
        let same = self.outage.take().filter(|outage| outage.trouble.reason == trouble.reason);
        let (failures, since) = same.as_ref().map_or((0, now), |outage| (outage.failures + 1, outage.since));
        let mut trouble = match same {
            // Other words for the same are no news.
            Some(outage) => outage.trouble,
            None => trouble,
        };
        trouble.lasting |= since.elapsed() >= OUTAGE;
        if before != Some((trouble.reason, trouble.lasting)) {
            tracing::warn!(
                reason = trouble.reason.as_str(),
                error = trouble.text,
                "a Kafka cluster cannot be used"
            );
            told.extend(self.views.keys().cloned());
        }
        let retry = now + jittered(pace(trouble.reason, failures));
        if is_of_login(trouble.reason) {
            self.cluster_id = None;
        }
        self.outage = Some(Outage { trouble, since, failures, retry });
        for name in names {
            if let Some(topic) = self.topics.get_mut(name) {
                topic.due = topic.due.or(Some(now));
            }
        }
        if leaving {
            self.leave = self.leave.or(Some(now));
        }
    }

    fn tell(&mut self, told: &mut HashSet<Key>, key: Key, news: News) {
        let waiting = self.news.entry(key.clone()).or_default();
        if waiting.len() < NEWS {
            waiting.push(news);
        }
        told.insert(key);
    }
}

/// The oldest first, then by UID.
fn sorted(claims: &BTreeMap<Key, Want>) -> Vec<(Key, Declared)> {
    let mut all: Vec<(&Key, &Want)> = claims.iter().collect();
    all.sort_by(|(_, a), (_, b)| (a.created, &a.declared.owner.uid).cmp(&(b.created, &b.declared.owner.uid)));
    all.into_iter().map(|(key, want)| (key.clone(), want.declared.clone())).collect()
}

fn is_settled(views: &HashMap<Key, BTreeMap<String, TopicView>>, key: &Key, name: &str) -> bool {
    views.get(key).and_then(|views| views.get(name)).is_some_and(|view| view.compared)
}

fn successor(topic: &Topic, owner: &Owner) -> Option<Owner> {
    let all = sorted(&topic.claims).into_iter().map(|(_, declared)| declared);
    all.filter(|declared| !declared.owner.continues(owner) && declared.management == Management::Adopt)
        .map(|declared| declared.owner)
        .next()
}

#[cfg(test)]
mod tests;
