//! One batch of topics: look, decide, record, send, look again. The ledger is written before the broker,
//! so that what was sent is known even when no answer comes. One bad topic never fails its neighbours.

use std::collections::BTreeMap;
use std::time::Duration;

use super::ledger::{Edit, Ledger};
use super::trouble::trouble;
use super::{Broker, BrokerError, Holding, Results};
use crate::api::Reason;
use crate::engine::lease::Fence;
use crate::engine::live::Key;
use crate::engine::request::Failure;
use crate::kafka::model::{ConfigChange, NewTopic, Topic};
use crate::kafka::topic::{
    Change, Decision, Declared, Management, Obstacle, Recorded, Surprise, decide, heard,
};
use crate::kafka::view::{Happened, News, TopicView, Trouble};

/// A broker hears of a change a moment after it is made: pauses before it is asked again.
const SETTLE: [u64; 5] = [20, 50, 100, 200, 400];

/// One topic of a batch.
#[derive(Clone, Debug, Default)]
pub struct Item {
    /// Who declares it, the oldest first.
    pub claims: Vec<(Key, Declared)>,
    /// The broker has said that it created it, and has not shown it since.
    pub made: Option<Made>,
    /// The broker has said that it exists, and has not shown it since.
    pub doubt: Option<Doubt>,
    /// It was there and is not, and has not been made again: once it is, that is told as the loss that it is.
    pub lost: bool,
    /// It was refused before: ask whether it can be created before anything is recorded.
    pub careful: bool,
    /// It was as declared when it was last looked at: what differs now was changed by somebody.
    pub settled: bool,
    /// What happened, for the Events of the object that is heard.
    pub news: Vec<(Key, News)>,
}

/// A creation that is not seen yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Made {
    /// Whether it was there before.
    pub again: bool,
}

/// A creation that was answered with "it exists", though the topic was absent a moment before: either
/// somebody else was faster, or the request was carried out and sent again. Brokers pass it on to the
/// controller and repeat it when that changes, and a controller that steps down may say "not done" of what
/// its successor then carries out. What shows then and is exactly as it was asked for counts as ours, though
/// not as certainly created by us: it is never deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Doubt {
    asked: NewTopic,
    /// What the ledger goes back to when it is somebody else's.
    before: Option<Recorded>,
}

/// What became of one topic.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// What each of those who declare it is told.
    pub views: Vec<(Key, TopicView)>,
    /// Why to look again before the next sweep.
    pub failure: Option<Reason>,
}

/// A cluster and its ledger.
pub struct Round<'a> {
    /// The cluster.
    pub broker: &'a dyn Broker,
    /// The ledger of all clusters.
    pub ledger: &'a Ledger<Recorded>,
    /// The cluster's own id.
    pub cluster_id: &'a str,
    /// Whether this replica may write, asked before each request that changes something.
    pub fence: &'a Fence,
}

/// A topic while its batch is under way.
#[derive(Debug)]
struct Work {
    key: Key,
    declared: Declared,
    /// As the ledger had it when the batch began, or before a creation that proved to be somebody else's.
    before: Option<Recorded>,
    /// As the ledger has it now.
    stored: Option<Recorded>,
    /// What is decided from: the ledger, and what the broker has confirmed since.
    record: Option<Recorded>,
    have: Option<Topic>,
    decision: Decision,
    trouble: Option<Trouble>,
    /// Something was sent that has to show.
    sent: bool,
    /// The outcome is not known yet.
    open: bool,
    /// What was asked for was made by somebody else: the record of it has to go.
    foreign: bool,
}

type Items = BTreeMap<String, Item>;
type Works = BTreeMap<String, Work>;

impl Round<'_> {
    /// Brings the topics in line with what is declared.
    ///
    /// # Errors
    /// What concerns the whole batch: no broker, no login, no ledger. What was recorded and sent until
    /// then is found by the next batch.
    pub async fn run(&self, items: &mut Items) -> Result<BTreeMap<String, Outcome>, Trouble> {
        let mut works = self.look(items).await?;
        self.ask_first(items, &mut works).await?;
        self.record(&mut works).await?;
        self.create(items, &mut works).await?;
        self.hold(&mut works).await?;
        self.grow(items, &mut works).await?;
        self.alter(items, &mut works).await?;
        self.settle(items, &mut works).await?;
        self.disown(&mut works).await?;
        self.record(&mut works).await?;
        self.hear(&mut works).await?;
        Ok(works.into_iter().map(|(name, work)| (name.clone(), outcome(&name, work, items))).collect())
    }

    async fn look(&self, items: &mut Items) -> Result<Works, Trouble> {
        let names: Vec<String> = items.keys().cloned().collect();
        let described = self.broker.describe(&names).await.map_err(|error| trouble(&error))?;
        let records = self
            .ledger
            .records(self.cluster_id, names.iter())
            .await
            .map_err(|failure| of_ledger(&failure))?;
        let mut works = Works::new();
        for (name, seen) in names.into_iter().zip(described) {
            let Some(item) = items.get_mut(&name) else { continue };
            let (record, unreadable) = match records.get(&name).cloned() {
                Some(Ok(record)) => (record, None),
                Some(Err(failure)) => (None, Some(of_ledger(&failure))),
                None => (None, None),
            };
            let claims: Vec<Declared> = item.claims.iter().map(|(_, declared)| declared.clone()).collect();
            let Some(declared) = heard(&claims, record.as_ref()).cloned() else { continue };
            let (have, refused) = match seen {
                Ok(topic) => (Some(topic), None),
                Err(BrokerError::Missing) => (None, None),
                Err(error) => (None, Some(trouble(&error))),
            };
            let mut work = Work::new(declared, record, have, unreadable.or(refused));
            if work.trouble.is_none() {
                self.judge(&mut work, item).await?;
                surprises(&work, item);
            }
            works.insert(name, work);
        }
        Ok(works)
    }

    /// Decides anew from what is known now.
    async fn judge(&self, work: &mut Work, item: &mut Item) -> Result<(), Trouble> {
        if let Some(made) = item.made
            && (work.have.is_some() || !self.broker.keeps_descriptions())
        {
            let Some(topic) = &work.have else {
                // It was created and does not show yet: to create it again would be refused.
                work.open = true;
                work.decision = Decision { record: work.record.clone(), ..Decision::default() };
                return Ok(());
            };
            work.record = work.record.take().map(|record| record.confirmed(&topic.id));
            (item.made, item.lost) = (None, false);
            let what = if made.again { Happened::Recreated } else { Happened::Created };
            item.news.push((work.key.clone(), News { topic: topic.name.clone(), what }));
        }
        if let Some(topic) = &work.have
            && let Some(doubt) = item.doubt.take().filter(|doubt| !doubt.asked.is(topic))
        {
            work.foreign = true;
            work.record.clone_from(&doubt.before);
            work.before = doubt.before;
        }
        if work.record.is_none()
            && work.declared.management != Management::Observe
            && let Some(id) = self.elsewhere(&work.declared).await?
        {
            work.decision = Decision { obstacles: vec![Obstacle::OnOtherCluster(id)], ..Decision::default() };
            return Ok(());
        }
        work.open = false;
        work.decision = decide(&work.declared, work.have.as_ref(), work.record.as_ref());
        Ok(())
    }

    /// Another cluster on which the ledger has this topic of this owner.
    async fn elsewhere(&self, declared: &Declared) -> Result<Option<String>, Trouble> {
        let others = self
            .ledger
            .on_others(self.cluster_id, &declared.name)
            .await
            .map_err(|failure| of_ledger(&failure))?;
        let same = |record: &Recorded| {
            record.owner.continues(&declared.owner) && !record.released && !record.id.is_empty()
        };
        Ok(others.into_iter().find(|entry| same(&entry.record)).map(|entry| entry.cluster_id))
    }

    /// Topics that were refused before are asked about first: each attempt would else be two writes of
    /// the ledger. A creation that has begun is recorded already.
    async fn ask_first(&self, items: &Items, works: &mut Works) -> Result<(), Trouble> {
        let begun = |name: &String| works.get(name).is_some_and(Work::has_begun);
        let careful = |name: &String| items.get(name).is_some_and(|item| item.careful) && !begun(name);
        let asked: Vec<NewTopic> =
            creations(works).into_iter().filter(|(name, _)| careful(name)).map(|(_, new)| new).collect();
        if asked.is_empty() {
            return Ok(());
        }
        let answers = self.broker.create(&asked, true).await.map_err(|error| trouble(&error))?;
        for (new, answer) in asked.iter().zip(answers) {
            let Some(work) = works.get_mut(&new.name) else { continue };
            if let Err(error) = answer {
                work.refuse(&error);
                work.decision.record.clone_from(&work.record);
            }
        }
        Ok(())
    }

    /// Writes what the decisions want to have recorded. Nothing is sent for a topic that is not.
    async fn record(&self, works: &mut Works) -> Result<(), Trouble> {
        let edit = |work: &Work| Edit { from: work.stored.clone(), to: work.decision.record.clone() };
        let edits: BTreeMap<String, Edit<Recorded>> = works
            .iter()
            .filter(|(_, work)| work.decision.record.is_some() && work.decision.record != work.stored)
            .map(|(name, work)| (name.clone(), edit(work)))
            .collect();
        let names: Vec<String> = edits.keys().cloned().collect();
        let failed =
            self.ledger.write(self.cluster_id, edits).await.map_err(|failure| of_ledger(&failure))?;
        for name in names {
            let Some(work) = works.get_mut(&name) else { continue };
            if let Some(failure) = failed.get(&name) {
                work.trouble = Some(of_ledger(failure));
                work.decision.changes.clear();
                // Whoever wrote in between is heard by the next batch.
                work.decision.record.clone_from(&work.stored);
            } else {
                work.record.clone_from(&work.decision.record);
                work.stored.clone_from(&work.decision.record);
            }
        }
        Ok(())
    }

    async fn create(&self, items: &mut Items, works: &mut Works) -> Result<(), Trouble> {
        let (names, new): (Vec<String>, Vec<NewTopic>) = creations(works).into_iter().unzip();
        if new.is_empty() {
            return Ok(());
        }
        may_write(self.fence)?;
        let answers = self.broker.create(&new, false).await.map_err(|error| trouble(&error))?;
        let mut undo = BTreeMap::new();
        for ((name, asked), answer) in names.into_iter().zip(new).zip(answers) {
            let (Some(work), Some(item)) = (works.get_mut(&name), items.get_mut(&name)) else { continue };
            work.sent = true;
            match answer {
                Ok(()) => {
                    item.made.get_or_insert(Made { again: item.lost });
                    item.doubt = None;
                }
                Err(BrokerError::Unknown(_)) => work.open = true,
                // A creation whose outcome was unknown may have come true in the meantime.
                Err(BrokerError::Exists) if work.has_begun() => work.open = true,
                Err(BrokerError::Exists) => {
                    work.open = true;
                    item.doubt = Some(Doubt { asked, before: work.before.clone() });
                }
                // It was not done for now, as far as this broker knows.
                Err(error @ BrokerError::Unreachable(_)) => {
                    work.refuse(&error);
                    work.sent = false;
                }
                Err(error) => {
                    work.refuse(&error);
                    (work.sent, item.made) = (false, None);
                    undo.insert(name, Edit { from: work.stored.clone(), to: work.before.clone() });
                }
            }
        }
        self.undo(undo, works).await
    }

    /// What turned out to be somebody else's leaves the ledger.
    async fn disown(&self, works: &mut Works) -> Result<(), Trouble> {
        let back = |work: &Work| Edit { from: work.stored.clone(), to: work.before.clone() };
        let undo = works.iter().filter(|(_, work)| work.foreign && work.decision.record.is_none());
        let undo = undo.map(|(name, work)| (name.clone(), back(work))).collect();
        self.undo(undo, works).await
    }

    /// A creation that was refused leaves the ledger as it was: else a topic that somebody makes later
    /// would count as ours.
    async fn undo(&self, undo: BTreeMap<String, Edit<Recorded>>, works: &mut Works) -> Result<(), Trouble> {
        let failed =
            self.ledger.write(self.cluster_id, undo.clone()).await.map_err(|failure| of_ledger(&failure))?;
        for (name, Edit { to: before, .. }) in undo {
            let Some(work) = works.get_mut(&name) else { continue };
            if let Some(failure) = failed.get(&name) {
                tracing::warn!(topic = name, %failure, "the record of a refused topic could not be taken back");
                continue;
            }
            work.decision.record.clone_from(&before);
            work.record.clone_from(&before);
            work.stored = before;
        }
        Ok(())
    }

    /// Where the cluster keeps descriptions, that of a topic which is ours and there comes before any
    /// change of it.
    async fn hold(&self, works: &mut Works) -> Result<(), Trouble> {
        if !self.broker.keeps_descriptions() {
            return Ok(());
        }
        let holding = |work: &Work| {
            let topic =
                work.have.clone().filter(|_| work.trouble.is_none() && work.decision.record.is_some())?;
            let (declared, made_for) = (&work.declared, work.declared.owner.to_string());
            Some(Holding {
                topic,
                made_for,
                config: declared.config.clone(),
                replicas: declared.replication_factor,
            })
        };
        let held: Vec<Holding> = works.values().filter_map(holding).collect();
        if held.is_empty() {
            return Ok(());
        }
        may_write(self.fence)?;
        let answers = self.broker.hold(&held).await.map_err(|error| trouble(&error))?;
        let mut undo = BTreeMap::new();
        for (held, answer) in held.into_iter().zip(answers) {
            let (Some(work), Err(error)) = (works.get_mut(&held.topic.name), answer) else { continue };
            work.refuse(&error);
            // One that cannot be taken over stays nobody's.
            if work.before.is_none() {
                undo.insert(held.topic.name, Edit { from: work.stored.clone(), to: None });
            }
        }
        self.undo(undo, works).await
    }

    /// What has come of what the cluster was told, now or before.
    async fn hear(&self, works: &mut Works) -> Result<(), Trouble> {
        let told = |work: &Work| work.trouble.is_none() && work.decision.record.is_some();
        let names: Vec<String> =
            works.iter().filter(|(_, work)| told(work)).map(|(name, _)| name.clone()).collect();
        let answers = self.broker.verdicts(&names).await.map_err(|error| trouble(&error))?;
        for (name, answer) in names.into_iter().zip(answers) {
            if let (Some(work), Err(error)) = (works.get_mut(&name), answer) {
                work.trouble = Some(trouble(&error));
            }
        }
        Ok(())
    }

    async fn grow(&self, items: &mut Items, works: &mut Works) -> Result<(), Trouble> {
        let wanted = |change: &Change| match change {
            Change::Grow(name, total) => Some((name.clone(), *total)),
            _ => None,
        };
        let grown: Vec<(String, i32)> = changes(works, wanted);
        if grown.is_empty() {
            return Ok(());
        }
        may_write(self.fence)?;
        let answers = self.broker.grow(&grown).await.map_err(|error| trouble(&error))?;
        for ((name, to), answer) in grown.into_iter().zip(answers) {
            let (Some(work), Some(item)) = (works.get_mut(&name), items.get_mut(&name)) else { continue };
            let from = work.have.as_ref().map_or(0, |topic| topic.partitions);
            work.answered(answer, item, || Happened::Raised { from, to });
        }
        Ok(())
    }

    async fn alter(&self, items: &mut Items, works: &mut Works) -> Result<(), Trouble> {
        let wanted = |change: &Change| match change {
            Change::Alter(change) => Some(change.clone()),
            _ => None,
        };
        let altered: Vec<ConfigChange> = changes(works, wanted);
        if altered.is_empty() {
            return Ok(());
        }
        may_write(self.fence)?;
        let answers: Results<()> = self.broker.alter(&altered).await.map_err(|error| trouble(&error))?;
        for (change, answer) in altered.into_iter().zip(answers) {
            let (Some(work), Some(item)) = (works.get_mut(&change.topic), items.get_mut(&change.topic))
            else {
                continue;
            };
            let drifted = item.settled && work.decision.surprises.contains(&Surprise::Drifted);
            let keys: Vec<String> = change.keys.into_keys().collect();
            if drifted {
                work.answered(answer, item, || Happened::Repaired(keys));
            } else {
                work.sent |= answer.is_ok();
                work.refused_by(answer);
            }
        }
        Ok(())
    }

    /// Looks until what was sent shows, but not for long: the rest is for the next batch.
    async fn settle(&self, items: &mut Items, works: &mut Works) -> Result<(), Trouble> {
        for pause in SETTLE {
            let names: Vec<String> =
                works.iter().filter(|(_, work)| work.sent).map(|(name, _)| name.clone()).collect();
            if names.is_empty() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(pause)).await;
            let described = self.broker.describe(&names).await.map_err(|error| trouble(&error))?;
            for (name, seen) in names.into_iter().zip(described) {
                let (Some(work), Some(item)) = (works.get_mut(&name), items.get_mut(&name)) else { continue };
                work.have = match seen {
                    Ok(topic) => Some(topic),
                    Err(BrokerError::Missing) => None,
                    Err(error) => {
                        work.refuse(&error);
                        continue;
                    }
                };
                self.judge(work, item).await?;
                work.sent = work.have.is_none() || !work.decision.changes.is_empty();
                // A part that was refused is not going to show.
                work.sent &= work.trouble.is_none();
            }
        }
        for work in works.values_mut().filter(|work| work.sent) {
            work.open = true;
        }
        Ok(())
    }
}

impl Work {
    fn new(
        declared: Declared,
        record: Option<Recorded>,
        have: Option<Topic>,
        trouble: Option<Trouble>,
    ) -> Self {
        Self {
            key: Key::new(&declared.owner.namespace, &declared.owner.name),
            declared,
            before: record.clone(),
            stored: record.clone(),
            record,
            have,
            decision: Decision::default(),
            trouble,
            sent: false,
            open: false,
            foreign: false,
        }
    }

    /// An earlier batch has recorded the creation, and nobody has seen the topic since.
    fn has_begun(&self) -> bool {
        self.before.as_ref().is_some_and(|record| record.id.is_empty())
    }

    fn refuse(&mut self, error: &BrokerError) {
        self.trouble = Some(trouble(error));
        self.decision.changes.clear();
    }

    fn refused_by(&mut self, answer: Result<(), BrokerError>) {
        match answer {
            Ok(()) => {}
            // Whether it has happened is seen by looking.
            Err(BrokerError::Unknown(_)) => self.sent = true,
            Err(error) => self.trouble = Some(trouble(&error)),
        }
    }

    fn answered(
        &mut self,
        answer: Result<(), BrokerError>,
        item: &mut Item,
        what: impl FnOnce() -> Happened,
    ) {
        if answer.is_ok() {
            self.sent = true;
            let news = News { topic: self.declared.name.clone(), what: what() };
            item.news.push((self.key.clone(), news));
        }
        self.refused_by(answer);
    }
}

/// What somebody else has done to a topic, as far as nothing has to be sent to know it.
fn surprises(work: &Work, item: &mut Item) {
    // What the ledger tells of it, no more than once: an attempt to make it again may fail.
    item.lost = work.have.is_none() && (item.lost || work.decision.surprises.contains(&Surprise::Deleted));
    let mut tell =
        |what| item.news.push((work.key.clone(), News { topic: work.declared.name.clone(), what }));
    if work.decision.surprises.contains(&Surprise::Replaced) {
        tell(Happened::Replaced);
    }
    let owner = work.before.as_ref().filter(|record| !record.released).map(|record| &record.owner);
    let taken = owner.is_none() && work.have.is_some() && work.decision.record.is_some();
    if taken {
        tell(Happened::Adopted);
    }
}

fn creations(works: &Works) -> Vec<(String, NewTopic)> {
    let wanted = |change: &Change| match change {
        Change::Create(new) => Some((new.name.clone(), new.clone())),
        _ => None,
    };
    changes(works, wanted)
}

fn changes<T>(works: &Works, wanted: impl Fn(&Change) -> Option<T>) -> Vec<T> {
    works.values().flat_map(|work| work.decision.changes.iter().filter_map(&wanted)).collect()
}

fn outcome(name: &str, work: Work, items: &Items) -> Outcome {
    let ours = work.decision.record.is_some()
        || (work.declared.management == Management::Observe && work.decision.obstacles.is_empty());
    let exists = work.trouble.as_ref().is_some_and(|trouble| trouble.reason == Reason::TopicExists);
    let failure = work.trouble.as_ref().map(|trouble| trouble.reason);
    let mut obstacles = work.decision.obstacles;
    if exists {
        obstacles.push(Obstacle::ExistsUnmanaged);
    }
    let main = TopicView {
        name: name.to_owned(),
        compared: !work.open && work.trouble.is_none() || exists,
        topic: work.have.filter(|_| ours),
        obstacles,
        trouble: work.trouble.filter(|_| !exists),
    };
    let recorded = work.before.as_ref().filter(|record| !record.released).map(|record| &record.owner);
    let owner = recorded.unwrap_or(&work.declared.owner);
    let others = items.get(name).into_iter().flat_map(|item| &item.claims);
    let views = others.map(|(key, _)| {
        let view = if *key == work.key {
            main.clone()
        } else {
            TopicView {
                name: name.to_owned(),
                compared: true,
                obstacles: vec![Obstacle::OwnedBy(owner.clone())],
                ..TopicView::default()
            }
        };
        (key.clone(), view)
    });
    Outcome { views: views.collect(), failure: failure.or(work.open.then_some(Reason::Progressing)) }
}

/// # Errors
/// Another replica is the leader, or may be soon.
pub fn may_write(fence: &Fence) -> Result<(), Trouble> {
    if fence.permit() { Ok(()) } else { Err(of_ledger(&Failure::Fenced)) }
}

/// What a failure of the API server means for the topics.
pub fn of_ledger(failure: &Failure) -> Trouble {
    Trouble {
        reason: failure.reason(),
        text: format!("the ledger of Kafka could not be read or written: {failure}"),
        lasting: failure.is_lasting(),
    }
}

#[cfg(test)]
mod tests;
