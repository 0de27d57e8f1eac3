//! All clusters that are used: made when a topic or login is first declared there. Objects declare what
//! they need and learn what is known of it; nobody waits for a broker here.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::task::JoinSet;

use super::accounts::ledger_name;
use super::cluster::{Cluster, Declaration, Hub, Offer};
use super::ledger::{self, Edit, Entry};
use super::letting::Leaving;
use super::strimzi::Site;
use crate::api::kafka::class::{Acls, Cluster as ClassCluster};
use crate::engine::live::Key;
use crate::engine::request::Failure;
use crate::kafka::account::{self, Standing};
use crate::kafka::release::Kept;
use crate::kafka::topic::{Owner, Place, Recorded};
use crate::kafka::view::{AccessView, Happened, News, TopicView};
use crate::telemetry::Telemetry;

/// All clusters.
pub struct Clusters {
    hub: Arc<Hub>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    clusters: HashMap<Place, Arc<Cluster>>,
    /// Where each object declares its topics and login.
    homes: HashMap<Key, Home>,
    tasks: JoinSet<()>,
}

#[derive(Clone)]
struct Home {
    place: Place,
    /// What it kept when it last let everything else go.
    settled: Option<Keeps>,
}

/// What an object goes on declaring.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keeps {
    /// Topics that are its own.
    pub topics: BTreeSet<String>,
    /// Topics that it only observes: they are let go and never deleted.
    pub observed: BTreeSet<String>,
    /// Where it has a login.
    pub login: Option<Place>,
}

/// On what terms an object lets topics and logins go.
#[derive(Clone, Debug, Default)]
pub struct Terms {
    /// What it goes on declaring.
    pub keeps: Keeps,
    /// Topics that may be deleted, as the object confirms; `None` = the object is gone, and what it last
    /// confirmed is in the ledger.
    pub confirmed: Option<BTreeSet<String>>,
    /// Whether its pods may still use them.
    pub in_use: bool,
    /// Its own consumer groups, if they end with it.
    pub own_groups: BTreeSet<String>,
    /// Users that its pods carry; `None` = any.
    pub carried: Option<BTreeSet<String>>,
    /// The object is gone: what is to be deleted is noted in the ledger, so that it is not forgotten.
    pub gone: bool,
}

/// How far letting go has come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LetGo {
    /// Topics that wait for the cluster or for the pods to go.
    pub waits: BTreeSet<String>,
    /// Whether a login waits for the cluster or for the pods to go.
    pub login_waits: bool,
    /// What happened.
    pub news: Vec<News>,
}

impl Clusters {
    /// No cluster yet.
    pub fn new(hub: Hub) -> Self {
        Self { hub: Arc::new(hub), state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Replaces what an object declares.
    pub fn declare(&self, key: &Key, place: &Place, spec: &ClassCluster, declaration: Declaration) {
        let (cluster, moved) = {
            let mut state = self.state();
            let home = Home { place: place.clone(), settled: None };
            let before = state.homes.get(key).filter(|home| home.place != *place).cloned();
            if before.is_some() || !state.homes.contains_key(key) {
                state.homes.insert(key.clone(), home);
            }
            let moved = before.and_then(|home| state.clusters.get(&home.place).cloned());
            (state.cluster(&self.hub, place, spec), moved)
        };
        if let Some(left) = moved {
            left.withdraw(key);
        }
        cluster.stays(&ledger_name(key));
        cluster.declare(key, spec, declaration);
    }

    /// Nothing of this object is looked after any more; its topics stay as they are.
    pub fn withdraw(&self, key: &Key) {
        let Some(cluster) = self.home(key) else { return };
        self.state().homes.remove(key);
        cluster.withdraw(key);
    }

    fn home(&self, key: &Key) -> Option<Arc<Cluster>> {
        let state = self.state();
        state.clusters.get(&state.homes.get(key)?.place).cloned()
    }

    /// What is known of the topics of an object.
    pub fn views(&self, key: &Key) -> Vec<TopicView> {
        self.home(key).map(|cluster| cluster.views(key)).unwrap_or_default()
    }

    /// What is known of the login of an object; `None` = it declares none.
    pub fn access(&self, key: &Key) -> Option<AccessView> {
        let view = self.home(key)?.access(key)?;
        // Who asks may be on another cluster of a class.
        let clusters: Vec<Arc<Cluster>> = self.state().clusters.values().cloned().collect();
        let asks = clusters.iter().flat_map(|cluster| cluster.asks(key)).collect();
        Some(AccessView { asks, ..view })
    }

    /// What is to be put into the Secret of an object.
    pub fn offer(&self, key: &Key) -> Offer {
        self.home(key).map(|cluster| cluster.offer(key)).unwrap_or_default()
    }

    /// The Secret of an object holds the login of this user now.
    pub fn stored(&self, key: &Key, user: &str) {
        if let Some(cluster) = self.home(key) {
            cluster.stored(key, user);
        }
    }

    /// Whether users of an object are still to be removed.
    pub fn is_leaving(&self, key: &Key) -> bool {
        let name = ledger_name(key);
        let clusters: Vec<Arc<Cluster>> = self.state().clusters.values().cloned().collect();
        clusters.iter().any(|cluster| cluster.is_leaving(&name))
    }

    /// How long a user is kept at least after its successor is in the Secret.
    pub fn grace(&self) -> Duration {
        self.hub.grace
    }

    /// What has happened to the topics and users of an object since the last call.
    pub fn take_news(&self, key: &Key) -> Vec<News> {
        let clusters: Vec<Arc<Cluster>> = self.state().clusters.values().cloned().collect();
        clusters.iter().flat_map(|cluster| cluster.take_news(key)).collect()
    }

    /// Whether the object has let everything go but this.
    pub fn is_settled(&self, key: &Key, keeps: &Keeps) -> bool {
        self.state().homes.get(key).is_some_and(|home| home.settled.as_ref() == Some(keeps))
    }

    /// Lets go of every topic that the ledger has of this object, but those that it keeps. What stays on
    /// the broker is let go at once; what is to be deleted waits for its cluster.
    ///
    /// # Errors
    /// When the ledger cannot be read or written: to be tried again.
    pub async fn let_go(&self, key: &Key, terms: &Terms) -> Result<LetGo, Failure> {
        let mut result = LetGo::default();
        for entry in self.hub.ledger.owned(key).await? {
            // One whose deletion has begun is asked for again: the ledger does not say that no pod uses it.
            let over = entry.record.released || terms.keeps.topics.contains(&entry.name);
            if !over {
                self.let_one_go(key, terms, entry, &mut result).await?;
            }
        }
        for entry in self.logins(key).await? {
            if terms.gone || terms.keeps.login.as_ref() != Some(&entry.record.place) {
                self.let_login_go(terms, entry, &mut result).await?;
            }
        }
        if result.waits.is_empty()
            && !result.login_waits
            && let Some(home) = self.state().homes.get_mut(key)
        {
            home.settled = Some(terms.keeps.clone());
        }
        Ok(result)
    }

    /// The records of the logins of an object, on all clusters.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn logins(&self, key: &Key) -> Result<Vec<Entry<account::Recorded>>, Failure> {
        self.hub.principals.on_others("", &ledger_name(key)).await
    }

    /// Its users and ACLs go when no pod needs them any more, and when their cluster answers.
    async fn let_login_go(
        &self,
        terms: &Terms,
        entry: Entry<account::Recorded>,
        result: &mut LetGo,
    ) -> Result<(), Failure> {
        let Entry { cluster_id, name, record } = entry;
        let cluster = self.at(&record.place);
        if self.leaves_rights(&record) {
            if let Some(cluster) = cluster {
                cluster.stays(&name);
            }
            let edits = [(name, Edit { from: Some(record), to: None })].into();
            let failed = self.hub.principals.write(&cluster_id, edits).await?;
            return failed.into_values().next().map_or(Ok(()), Err);
        }
        let in_use = self.is_login_used(&record, terms);
        if record.doomed.is_none() {
            let doomed = Some(jiff::Timestamp::now().as_second());
            let to = Some(account::Recorded { doomed, ..record.clone() });
            let edits = [(name.clone(), Edit { from: Some(record), to })].into();
            let failed = self.hub.principals.write(&cluster_id, edits).await?;
            failed.into_values().next().map_or(Ok(()), Err)?;
        }
        if let Some(cluster) = cluster {
            cluster.leave_login(&name, in_use);
        }
        result.login_waits = true;
        Ok(())
    }

    /// Whether its ACLs are for somebody else to keep or remove: the class says so now, and its users are
    /// made elsewhere too.
    fn leaves_rights(&self, record: &account::Recorded) -> bool {
        let theirs = self.hub.described(&record.place).is_some_and(|spec| spec.acls == Some(Acls::None));
        theirs && !record.users.values().any(|standing| standing.is_ours())
    }

    /// Whether a pod may log in as one of these users. None says so of one that is made elsewhere: it counts
    /// as used while there are pods, and, unless the Deployment of an object that is gone is still there, for
    /// as long as new pods may take to come, or old ones to end.
    fn is_login_used(&self, record: &account::Recorded, terms: &Terms) -> bool {
        let Some(carried) = &terms.carried else { return true };
        let grace = i64::try_from(self.hub.grace.as_secs()).unwrap_or(i64::MAX);
        let now = jiff::Timestamp::now().as_second();
        let rested = record.doomed.is_some_and(|since| now.saturating_sub(since) >= grace);
        record.users.iter().any(|(user, standing)| {
            let made_here = standing.is_ours();
            if made_here { carried.contains(user) } else { !carried.is_empty() && (terms.in_use || !rested) }
        })
    }

    async fn let_one_go(
        &self,
        key: &Key,
        terms: &Terms,
        entry: Entry<Recorded>,
        result: &mut LetGo,
    ) -> Result<(), Failure> {
        let Entry { cluster_id, name: topic, record } = entry;
        let cluster = self.at(&record.place);
        if cluster.as_ref().is_some_and(|cluster| cluster.is_under_way(&topic)) {
            // Else the batch could record it anew for the owner that has just let it go.
            result.waits.insert(topic);
            return Ok(());
        }
        let Some(kept) = kept(&topic, &record, terms) else {
            let leaving = Leaving {
                owner: record.owner.clone(),
                in_use: terms.in_use,
                own_groups: terms.own_groups.clone(),
                successor: None,
            };
            if terms.gone && !record.doomed {
                let doomed = Recorded { doomed: true, ..record.clone() };
                self.write(&cluster_id, &topic, record, Some(doomed)).await?;
            }
            if let Some(cluster) = cluster {
                cluster.leave(&topic, leaving);
            }
            result.waits.insert(topic);
            return Ok(());
        };
        // Without an id its creation was never confirmed: there is nothing to hold on to.
        let there = !record.id.is_empty();
        let released = there.then(|| Recorded { released: true, doomed: false, ..record.clone() });
        self.write(&cluster_id, &topic, record, released).await?;
        if let Some(cluster) = cluster {
            // Somebody else may have waited for it.
            cluster.touch(&topic);
        }
        tracing::info!(
            namespace = key.namespace.as_str(),
            microservice = key.name.as_str(),
            topic,
            "a topic was let go and stays"
        );
        result.news.push(News { topic, what: Happened::Retained(kept) });
        Ok(())
    }

    async fn write(
        &self,
        cluster_id: &str,
        topic: &str,
        from: Recorded,
        to: Option<Recorded>,
    ) -> Result<(), Failure> {
        let edits = [(topic.to_owned(), Edit { from: Some(from), to })].into();
        let failed = self.hub.ledger.write(cluster_id, edits).await?;
        failed.into_values().next().map_or(Ok(()), Err)
    }

    /// Who owns topics that are neither let go nor doomed, or has users.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn owners(&self) -> Result<BTreeSet<Key>, Failure> {
        let key = |owner: &Owner| Key::new(&owner.namespace, &owner.name);
        let topics = self.hub.ledger.select(|record| !record.released && !record.doomed).await?;
        let logins = self.hub.principals.select(|_| true).await?;
        let owners = topics.iter().map(|entry| key(&entry.record.owner));
        Ok(owners.chain(logins.iter().map(|entry| key(&entry.record.owner))).collect())
    }

    /// Counts for metrics what the ledger holds, as far as it is in memory.
    pub fn count(&self, telemetry: &Telemetry) {
        let (mut users, mut topics, mut logins) = (BTreeMap::new(), 0, 0);
        let seen = self.hub.principals.glance(|record| {
            logins += usize::from(record.doomed.is_some());
            for standing in record.users.values() {
                *users.entry(standing.word()).or_insert(0) += 1;
            }
        });
        if seen {
            let count = |word| users.get(word).copied().unwrap_or_default();
            Standing::WORDS.into_iter().for_each(|word| telemetry.kafka_users(word, count(word)));
            telemetry.kafka_tombstones("login", logins);
        }
        if self.hub.ledger.glance(|record| topics += usize::from(record.doomed)) {
            telemetry.kafka_tombstones("topic", topics);
        }
    }

    /// Whether the object declares topics or a login.
    pub fn declares(&self, key: &Key) -> bool {
        self.state().homes.contains_key(key)
    }

    /// Another replica may have been at work: everything is looked at again, and what was not finished
    /// for owners that are gone is taken up.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn take_up(&self) -> Result<(), Failure> {
        ledger::renew(&self.hub.ledger, &self.hub.principals).await?;
        let entries = self.hub.ledger.select(|record| record.doomed).await?;
        let places: BTreeSet<Place> = entries.into_iter().map(|entry| entry.record.place).collect();
        // Where Strimzi is at work, objects may be left of topics that nobody declares any more.
        let places: BTreeSet<Place> = places.into_iter().chain(self.strimzi().await?).collect();
        for cluster in places.iter().filter_map(|place| self.at(place)) {
            cluster.finish_doomed();
        }
        let clusters: Vec<Arc<Cluster>> = self.state().clusters.values().cloned().collect();
        for cluster in clusters {
            cluster.renew();
        }
        Ok(())
    }

    /// Clusters of mode Strimzi on which this installation has ever had topics.
    async fn strimzi(&self) -> Result<BTreeSet<Place>, Failure> {
        let all = self.hub.ledger.select(|_| true).await?;
        let places: BTreeSet<Place> = all.into_iter().map(|entry| entry.record.place).collect();
        let is_strimzi =
            |place: &Place| self.hub.described(place).is_some_and(|spec| Site::of(&spec).is_some());
        Ok(places.into_iter().filter(is_strimzi).collect())
    }

    /// The cluster of a record, even if nobody declares a topic there now.
    fn at(&self, place: &Place) -> Option<Arc<Cluster>> {
        let spec = self.hub.described(place);
        let mut state = self.state();
        match spec {
            Some(spec) => Some(state.cluster(&self.hub, place, &spec)),
            None => state.clusters.get(place).cloned(),
        }
    }
}

impl State {
    fn cluster(&mut self, hub: &Arc<Hub>, place: &Place, spec: &ClassCluster) -> Arc<Cluster> {
        if let Some(cluster) = self.clusters.get(place) {
            return Arc::clone(cluster);
        }
        let cluster = Arc::new(Cluster::new(place.clone(), spec.clone(), Arc::clone(hub)));
        self.clusters.insert(place.clone(), Arc::clone(&cluster));
        self.tasks.spawn(Arc::clone(&cluster).run());
        cluster
    }
}

/// Why a topic stays that its owner lets go; `None` = it is to be deleted.
fn kept(topic: &str, record: &Recorded, terms: &Terms) -> Option<Kept> {
    let confirmed = terms.confirmed.as_ref().map_or(record.confirmed, |all| all.contains(topic));
    if terms.keeps.observed.contains(topic) {
        Some(Kept::Observed)
    } else if record.doomed || (record.delete && confirmed) {
        None
    } else if record.delete {
        Some(Kept::Unconfirmed)
    } else {
        Some(Kept::Policy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_is_to_be_deleted_only_if_that_is_confirmed_and_its_owner_does_not_observe_it() {
        let record = Recorded { delete: true, ..Recorded::default() };
        let doomed = Recorded { doomed: true, ..record.clone() };
        let retained = Recorded { delete: false, ..record.clone() };
        let recorded = Recorded { confirmed: true, ..record.clone() };
        let names = |name: &str| BTreeSet::from([name.to_owned()]);
        let terms = |name: &str| Terms { confirmed: Some(names(name)), ..Terms::default() };
        let observes = Terms { keeps: Keeps { observed: names("a"), ..Keeps::default() }, ..terms("a") };
        let table = [
            (&record, terms("a"), None),
            (&record, terms("b"), Some(Kept::Unconfirmed)),
            (&recorded, terms("b"), Some(Kept::Unconfirmed)),
            (&recorded, Terms::default(), None),
            (&retained, terms("a"), Some(Kept::Policy)),
            (&doomed, terms("b"), None),
            (&record, observes.clone(), Some(Kept::Observed)),
            (&doomed, observes.clone(), Some(Kept::Observed)),
            (&retained, observes, Some(Kept::Observed)),
        ];
        for (record, terms, expected) in table {
            assert_eq!(kept("a", record, &terms), expected, "{record:?} {terms:?}");
        }
    }
}
