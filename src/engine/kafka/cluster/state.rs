//! What is known of a cluster, its topics and its logins between two batches: who declares what, what came out, and
//! when to look again. No IO; only the clock of the task.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::Want;
use super::logins::Logins;
use crate::api::Reason;
use crate::api::kafka::class::Cluster as ClassCluster;
use crate::engine::kafka::Settings;
use crate::engine::kafka::accounts::{self, Duties};
use crate::engine::kafka::letting::{Leaving, Let};
use crate::engine::kafka::round::{Doubt, Item, Made, Outcome};
use crate::engine::kafka::strimzi::{Heard, Strimzi};
use crate::engine::kafka::trouble::{OUTAGE, jittered, pace};
use crate::engine::live::Key;
use crate::kafka::topic::{Declared, Management, Owner};
use crate::kafka::view::{News, TopicView, Trouble};

/// Most topics of one batch.
pub(super) const BATCH: usize = 500;
/// How often the Secrets are looked at while the login is refused.
pub(super) const POLL: Duration = Duration::from_secs(10);
/// Between two attempts to let the same topic go.
pub(super) const AGAIN: Duration = Duration::from_secs(30);
/// Between two looks at whether every service has said what it declares.
pub(super) const UNHEARD: Duration = Duration::from_secs(1);
/// Far away.
pub(super) const NEVER: Duration = Duration::from_secs(86_400);
/// Most Events that wait for an object to be looked at.
pub(super) const NEWS: usize = 256;

#[derive(Default)]
pub(super) struct State {
    pub(super) spec: ClassCluster,
    /// What the connection was made with; `None` = the Secrets are to be read.
    pub(super) settings: Option<Settings>,
    /// What the Secrets held when they were last read.
    pub(super) known: Option<Settings>,
    /// The cluster's own id when it was last asked.
    pub(super) cluster_id: Option<String>,
    pub(super) topics: BTreeMap<String, Topic>,
    /// Topics of which something else is known than before: those who use them are to hear of it, on
    /// whatever cluster of a class.
    pub(super) changed: BTreeSet<String>,
    pub(super) views: HashMap<Key, BTreeMap<String, TopicView>>,
    pub(super) logins: Logins,
    pub(super) news: HashMap<Key, Vec<News>>,
    pub(super) leaving: BTreeMap<String, Leaving>,
    /// Topics of the batch that is under way.
    pub(super) under_way: HashSet<String>,
    /// When those who leave are due.
    pub(super) leave: Option<Instant>,
    /// Whether the ledger may hold topics whose owner is gone and that are to be deleted.
    pub(super) doomed: bool,
    pub(super) outage: Option<Outage>,
    pub(super) sweep: Option<Instant>,
    /// What changes the cluster, where that is Strimzi.
    pub(super) strimzi: Option<Arc<Strimzi>>,
    /// When objects of topics that are nobody's are due.
    pub(super) tidy: Option<Instant>,
}

/// A topic that somebody declares.
#[derive(Default)]
pub(super) struct Topic {
    pub(super) claims: BTreeMap<Key, Want>,
    pub(super) due: Option<Instant>,
    pub(super) failures: u32,
    pub(super) made: Option<Made>,
    /// See [`Item::lost`].
    pub(super) lost: bool,
    pub(super) doubt: Option<Doubt>,
}

/// The cluster as a whole does not work.
pub(super) struct Outage {
    pub(super) trouble: Trouble,
    pub(super) since: Instant,
    pub(super) failures: u32,
    pub(super) retry: Instant,
}

/// What is due at one time.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) items: BTreeMap<String, Item>,
    /// Topics that are let go, if it is their turn.
    pub(super) leaving: Option<BTreeMap<String, Leaving>>,
    pub(super) duties: Duties,
    /// Logins of Microservices that are gone, if it is their turn.
    pub(super) departing: Option<BTreeMap<String, bool>>,
    /// Whether objects of topics that are nobody's are to be looked for.
    pub(super) tidies: bool,
}

impl Batch {
    pub(super) fn is_empty(&self) -> bool {
        self.items.is_empty()
            && self.leaving.is_none()
            && self.duties.is_empty()
            && self.departing.is_none()
            && !self.tidies
    }
}

/// What a batch has led to. Of what was its turn, `None` = it has failed as a whole.
#[derive(Default)]
pub(super) struct Worked {
    pub(super) outcomes: BTreeMap<String, Outcome>,
    pub(super) left: Option<BTreeMap<String, Let>>,
    pub(super) logins: BTreeMap<Key, accounts::Outcome>,
    /// What concerns all logins: none of them has an outcome.
    pub(super) trouble: Option<Trouble>,
    /// Logins that still have to go.
    pub(super) departs: Option<BTreeSet<String>>,
    /// What happened to objects of topics that are nobody's.
    pub(super) news: Option<Vec<(Key, News)>>,
}

pub(super) fn is_of_login(reason: Reason) -> bool {
    matches!(reason, Reason::LoginRefused | Reason::TlsRefused | Reason::ClusterSecretMissing)
}

impl State {
    /// The class describes the cluster so. Whether that is news: then whatever is known of the way to it is not
    /// true any more.
    pub(super) fn describe(&mut self, spec: &ClassCluster) -> bool {
        if self.spec == *spec {
            return false;
        }
        self.spec = spec.clone();
        (self.settings, self.known, self.cluster_id) = (None, None, None);
        (self.outage, self.sweep) = (None, None);
        true
    }

    /// Whether that is news.
    pub(super) fn declare(&mut self, key: &Key, wants: Vec<Want>) -> bool {
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
    pub(super) fn next(&self) -> Instant {
        let now = Instant::now();
        let idle = self.topics.is_empty() && self.leaving.is_empty() && self.logins.is_empty();
        let due = self.topics.values().filter_map(|topic| topic.due).chain(self.leave).chain(self.tidy);
        let due = due.chain(self.logins.next()).min();
        let sweep = (!idle).then(|| self.sweep.unwrap_or(now));
        let next = due.into_iter().chain(sweep).min().unwrap_or(now + NEVER);
        match &self.outage {
            Some(outage) if is_of_login(outage.trouble.reason) => next.max(outage.retry.min(now + POLL)),
            Some(outage) => next.max(outage.retry),
            None => next,
        }
    }

    /// Now and then everything is looked at: what others have done to topics, Secrets and ledger.
    pub(super) fn begin_sweep(&mut self, every: Duration) {
        let now = Instant::now();
        if self.sweep.is_some_and(|due| due > now) {
            return;
        }
        self.sweep = Some(now + jittered(every));
        self.doomed = true;
        self.leave = self.leave.or(Some(now));
        self.tidy = self.tidy.or(self.strimzi.is_some().then_some(now));
        // The Secrets may hold another login.
        self.settings = None;
        for topic in self.topics.values_mut() {
            topic.due = topic.due.or(Some(now));
        }
        self.logins.sweep();
    }

    /// Strimzi has said something: what it concerns is looked at.
    pub(super) fn hear(&mut self, heard: BTreeSet<Heard>) {
        let now = Some(Instant::now());
        for heard in heard {
            match heard {
                Heard::Api => {
                    self.outage.iter_mut().for_each(|outage| outage.retry = Instant::now());
                    self.topics.values_mut().for_each(|topic| topic.due = now);
                    self.logins.sweep();
                    (self.leave, self.tidy) = (self.leave.or(now), self.tidy.or(now));
                }
                Heard::Topic(name) => match self.topics.get_mut(&name) {
                    Some(topic) => topic.due = now,
                    None => self.tidy = self.tidy.or(now),
                },
                Heard::User(name) => self.logins.heard(&name),
            }
        }
    }

    /// What is due, at most one batch of each kind, and those who leave if it is their turn.
    pub(super) fn take(&mut self) -> Batch {
        let (items, leaving) = self.take_topics();
        self.under_way = items.keys().cloned().collect();
        let duties = self.logins.take();
        let tidies = self.tidy.take_if(|due| *due <= Instant::now()).is_some();
        Batch { items, leaving, duties, departing: self.logins.take_leaving(), tidies }
    }

    /// The cluster has said who it is. What was sent to another one does not show on this one, and all is looked
    /// at.
    pub(super) fn arrive(&mut self, id: &str, batch: &mut Batch) {
        let before = self.cluster_id.replace(id.to_owned());
        let Some(before) = before.filter(|before| before != id) else { return };
        tracing::warn!(before, now = id, "another Kafka cluster is at the same addresses");
        for topic in self.topics.values_mut() {
            (topic.made, topic.lost, topic.doubt) = (None, false, None);
        }
        for item in batch.items.values_mut() {
            (item.made, item.lost, item.doubt) = (None, false, None);
        }
        self.sweep = None;
    }

    /// Nobody's topic is let go before every service has said what it declares: one of them may adopt it.
    pub(super) fn wait_for_all(&mut self) {
        let later = Instant::now() + UNHEARD;
        self.leave = self.leave.map(|due| due.max(later));
    }

    /// Adds to the topics that are let go what the ledger holds of owners that are gone. What was decided of a
    /// topic stands, but for pods that have gone since; whoever declares its own topic again keeps it.
    pub(super) fn join(
        &self,
        leaving: &BTreeMap<String, Leaving>,
        doomed: Vec<(String, Owner)>,
        deployed: impl Fn(&Owner) -> bool,
    ) -> BTreeMap<String, Leaving> {
        let mut all = leaving.clone();
        all.values_mut().for_each(|leaving| leaving.in_use &= deployed(&leaving.owner));
        for (name, owner) in doomed {
            let topic = self.topics.get(&name);
            if topic.is_some_and(|topic| is_claimed_by(topic, &owner)) {
                continue;
            }
            let successor = topic.and_then(|topic| successor(topic, &owner));
            let in_use = deployed(&owner);
            all.entry(name).or_insert(Leaving { owner, in_use, successor, ..Leaving::default() });
        }
        all
    }

    fn take_topics(&mut self) -> (BTreeMap<String, Item>, Option<BTreeMap<String, Leaving>>) {
        let now = Instant::now();
        let views = &self.views;
        let is_due = |topic: &Topic| topic.due.is_some_and(|due| due <= now);
        let mut due: Vec<(&String, &mut Topic)> =
            self.topics.iter_mut().filter(|(_, topic)| is_due(topic)).collect();
        // What is new does not wait behind a sweep of all the others.
        due.sort_by_key(|(name, topic)| topic.claims.keys().any(|key| is_settled(views, key, name)));
        let items = due
            .into_iter()
            .take(BATCH)
            .map(|(name, topic)| {
                topic.due = None;
                let item = Item {
                    claims: sorted(&topic.claims),
                    made: topic.made,
                    lost: topic.lost,
                    doubt: topic.doubt.take(),
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
    pub(super) fn finish(&mut self, batch: Batch, worked: Result<Worked, Trouble>) -> HashSet<Key> {
        let Batch { items, leaving, duties, departing, tidies, .. } = batch;
        let mut told = HashSet::new();
        let names: Vec<String> = items.keys().cloned().collect();
        self.under_way.clear();
        for (name, item) in items {
            // Whoever has withdrawn it meanwhile can let it go now.
            let declares =
                |key: &Key| self.topics.get(&name).is_some_and(|topic| topic.claims.contains_key(key));
            told.extend(item.claims.into_iter().map(|(key, _)| key).filter(|key| !declares(key)));
            if let Some(topic) = self.topics.get_mut(&name) {
                (topic.made, topic.lost, topic.doubt) = (item.made, item.lost, item.doubt);
            }
            for (key, news) in item.news {
                self.tell(&mut told, key, news);
            }
        }
        match worked {
            Ok(mut worked) => {
                for (name, outcome) in std::mem::take(&mut worked.outcomes) {
                    self.learned(&name, outcome, &mut told);
                }
                self.followed(&mut worked, leaving.as_ref(), departing.as_ref(), tidies, &mut told);
                match worked.trouble {
                    Some(trouble) => self.failed(trouble, &[], false, &mut told),
                    None if self.outage.take().is_some() => told.extend(self.everybody()),
                    None => {}
                }
                self.learned_logins(duties, worked.logins, &mut told);
            }
            Err(trouble) => {
                self.failed(trouble, &names, leaving.is_some(), &mut told);
                if departing.is_some() {
                    self.logins.leave_again(Instant::now());
                }
                if tidies {
                    self.tidy = self.tidy.or(Some(Instant::now()));
                }
                self.learned_logins(duties, BTreeMap::new(), &mut told);
            }
        }
        told
    }

    /// Keeps what came of what follows the topics and logins that are declared. What has failed is tried again
    /// later, and nobody else is told of it.
    fn followed(
        &mut self,
        worked: &mut Worked,
        leaving: Option<&BTreeMap<String, Leaving>>,
        departing: Option<&BTreeMap<String, bool>>,
        tidies: bool,
        told: &mut HashSet<Key>,
    ) {
        let later = Instant::now() + jittered(AGAIN);
        match (leaving, worked.left.take()) {
            (Some(leaving), Some(left)) => self.left(leaving, left, told),
            (Some(_), None) => self.leave = self.leave.or(Some(later)),
            (None, _) => {}
        }
        match (departing, worked.departs.take()) {
            (Some(departing), Some(departs)) => self.logins.left(departing, &departs),
            (Some(_), None) => self.logins.leave_again(later),
            (None, _) => {}
        }
        match worked.news.take() {
            Some(news) => news.into_iter().for_each(|(key, news)| self.tell(told, key, news)),
            None if tidies => self.tidy = self.tidy.or(Some(later)),
            None => {}
        }
    }

    fn learned_logins(
        &mut self,
        duties: Duties,
        outcomes: BTreeMap<Key, accounts::Outcome>,
        told: &mut HashSet<Key>,
    ) {
        let (concerned, news) = self.logins.finish(duties, outcomes);
        told.extend(concerned);
        for (key, news) in news {
            self.tell(told, key, news);
        }
    }

    /// All objects that declare something.
    fn everybody(&self) -> HashSet<Key> {
        self.views.keys().chain(self.logins.keys()).cloned().collect()
    }

    pub(super) fn learned(&mut self, name: &str, outcome: Outcome, told: &mut HashSet<Key>) {
        let Some(topic) = self.topics.get_mut(name) else { return };
        match outcome.failure {
            Some(reason) => {
                // Not spread: those that failed together go into one batch again.
                let again = Instant::now() + pace(reason, topic.failures);
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
                self.changed.insert(name.to_owned());
            }
        }
    }

    pub(super) fn left(
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
            // Its object, if it has one, is let lie.
            self.tidy = self.tidy.or(self.strimzi.is_some().then(Instant::now));
            if let Some(gone) = self.leaving.remove(&name) {
                self.tell(told, gone.key(), News { topic: name, what });
            }
        }
    }

    pub(super) fn failed(
        &mut self,
        trouble: Trouble,
        names: &[String],
        leaving: bool,
        told: &mut HashSet<Key>,
    ) {
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
            told.extend(self.everybody());
        }
        let retry = now + jittered(pace(trouble.reason, failures));
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

    pub(super) fn tell(&mut self, told: &mut HashSet<Key>, key: Key, news: News) {
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

fn is_claimed_by(topic: &Topic, owner: &Owner) -> bool {
    topic.claims.values().any(|want| want.declared.owner.continues(owner))
}

fn successor(topic: &Topic, owner: &Owner) -> Option<Owner> {
    let all = sorted(&topic.claims).into_iter().map(|(_, declared)| declared);
    all.filter(|declared| !declared.owner.continues(owner) && declared.management == Management::Adopt)
        .map(|declared| declared.owner)
        .next()
}

#[cfg(test)]
mod tests;
