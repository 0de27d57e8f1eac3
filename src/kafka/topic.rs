//! One topic: what its owner declares, what the broker has and what the ledger recorded make one
//! decision. Nothing here changes, reads or deletes a topic that belongs to somebody else.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{Display, Formatter, Result};

use serde::{Deserialize, Serialize};

use super::config::same;
use super::model::{ConfigChange, NewTopic, Topic};

/// The Microservice that a topic belongs to.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Owner {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its UID: a new one under the same name continues as owner.
    pub uid: String,
}

impl Owner {
    /// Whether both are the same Microservice or one that took its place.
    pub fn continues(&self, other: &Self) -> bool {
        self.namespace == other.namespace && self.name == other.name
    }
}

impl Display for Owner {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// What may be done with a topic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Management {
    /// Create it; refuse one that exists.
    #[default]
    Manage,
    /// Take over one that exists, else create it.
    Adopt,
    /// Never change it.
    Observe,
}

/// A topic as its owner declares it, resolved with the class.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Declared {
    /// Its name on the broker.
    pub name: String,
    /// Who declares it.
    pub owner: Owner,
    /// Through which class and cluster.
    pub place: Place,
    /// Whether to delete it with its owner, once that is confirmed.
    pub delete: bool,
    /// Whether its deletion is confirmed.
    pub confirmed: bool,
    /// Partitions asked for; `None` = the broker's default, and any number is fine.
    pub partitions: Option<i32>,
    /// Replicas asked for; `None` = the broker's default, and any number is fine.
    pub replication_factor: Option<i32>,
    /// Partitions of a new topic when none are asked for: the class's default.
    pub initial_partitions: Option<i32>,
    /// Replicas of a new topic when none are asked for: the class's default.
    pub initial_replication_factor: Option<i32>,
    /// Configuration asked for, in the broker's words.
    pub config: BTreeMap<String, String>,
    /// What may be done with it.
    pub management: Management,
    /// Whether nobody can see what is on the cluster: what may be there already is not known.
    pub blind: bool,
    /// Whether the owner has confirmed that a compacted topic may get more partitions: keys move to
    /// other partitions, so the latest value of one may be in two.
    pub repartition: bool,
}

/// What the ledger knows of a topic. It survives a lost status and decides who owns it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Recorded {
    /// Its id on the broker when it was last seen; empty while its creation is under way.
    pub id: String,
    /// Who owns it.
    pub owner: Owner,
    /// Whether the broker has confirmed that we created the topic of this id. One that was adopted, or
    /// that may be another's, is never deleted by us.
    pub created: bool,
    /// Configuration keys that we set: one that is not declared any more is reset.
    pub keys: BTreeSet<String>,
    /// Whether the last declaration asked to delete it with its owner.
    pub delete: bool,
    /// Whether the last declaration confirmed its deletion.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub confirmed: bool,
    /// The class and its cluster through which it was declared, to reach it when its owner is gone.
    #[serde(default)]
    pub place: Place,
    /// Its owner has let it go and it stayed: a Microservice of the owner's name goes on with it, and
    /// another one may adopt it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub released: bool,
    /// Its owner is gone, and its deletion, which was confirmed, is still to be carried out.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub doomed: bool,
}

/// Where a cluster is described: an entry of a class.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Place {
    /// Name of the MicroserviceClass.
    pub class: String,
    /// Name of the cluster in it.
    pub cluster: String,
}

impl Recorded {
    /// After the broker has said that it created the topic, and which id it got.
    pub fn confirmed(self, id: &str) -> Self {
        Self { id: id.to_owned(), created: true, ..self }
    }
}

/// What to change on the broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Create it.
    Create(NewTopic),
    /// Raise its partitions to this total.
    Grow(String, i32),
    /// Set and reset configuration.
    Alter(ConfigChange),
}

/// What stands in the way of a topic, or of a part of it. The rest still applies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// It belongs to another Microservice.
    OwnedBy(Owner),
    /// It exists and the operator has not created it.
    ExistsUnmanaged,
    /// It is recorded as this Microservice's on a cluster of this id: to create it here would leave its
    /// messages there.
    OnOtherCluster(String),
    /// Nobody can see whether it exists and what it holds, which this needs.
    Blind,
    /// It does not exist and is to be observed only.
    Absent,
    /// It has more partitions than asked for; Kafka cannot take partitions away.
    PartitionDecrease {
        /// Asked for.
        wanted: i32,
        /// What it has.
        has: i32,
    },
    /// More partitions on a compacted topic need a confirmation.
    CompactedGrowth {
        /// Asked for.
        wanted: i32,
        /// What it has.
        has: i32,
    },
    /// Its replication cannot be changed in place.
    ReplicationChange {
        /// Asked for.
        wanted: i32,
        /// What it has.
        has: i32,
    },
}

/// What happened to the topic without our doing; worth an Event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Surprise {
    /// It was deleted: it is created again, and empty.
    Deleted,
    /// Another topic of the name took its place.
    Replaced,
    /// A key of ours was changed.
    Drifted,
}

/// The decision about one topic.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decision {
    /// What to send, in this order.
    pub changes: Vec<Change>,
    /// What stands in the way.
    pub obstacles: Vec<Obstacle>,
    /// What was noticed.
    pub surprises: Vec<Surprise>,
    /// What the ledger has to hold before anything is sent; `None` = nothing of it is ours.
    pub record: Option<Recorded>,
}

/// Who is heard of several that declare one topic, in the order of their age: its recorded owner, else
/// the first that would look after it.
pub fn heard<'a>(claims: &'a [Declared], recorded: Option<&Recorded>) -> Option<&'a Declared> {
    let owner = recorded.map(|record| &record.owner);
    let recorded = claims.iter().find(|claim| owner.is_some_and(|owner| owner.continues(&claim.owner)));
    let adopting = claims
        .iter()
        .find(|claim| recorded.is_none() && owner.is_some() && claim.management == Management::Adopt);
    let first = claims.iter().find(|claim| claim.management != Management::Observe);
    recorded.or(adopting).or(first).or_else(|| claims.first())
}

/// Decides about one topic.
pub fn decide(declared: &Declared, have: Option<&Topic>, recorded: Option<&Recorded>) -> Decision {
    // What its owner has let go is nobody's: who takes it over begins without a record.
    let foreign = |record: &&Recorded| !record.owner.continues(&declared.owner);
    let recorded = recorded.filter(|record| !(record.released && foreign(record)));
    if let Some(other) = recorded.filter(foreign) {
        return refused(Obstacle::OwnedBy(other.owner.clone()));
    }
    match (declared.management, have, recorded) {
        (Management::Observe, Some(_), _) => Decision::default(),
        // Nobody sees it, or what it has of its own could not be kept.
        (Management::Observe, None, _) | (Management::Adopt, _, None) if declared.blind => {
            refused(Obstacle::Blind)
        }
        (Management::Observe, None, _) => refused(Obstacle::Absent),
        (Management::Manage, Some(_), None) => refused(Obstacle::ExistsUnmanaged),
        (_, Some(topic), recorded) => bring_in_line(declared, topic, recorded),
        (_, None, recorded) => create(declared, recorded),
    }
}

fn refused(obstacle: Obstacle) -> Decision {
    Decision { obstacles: vec![obstacle], ..Decision::default() }
}

fn create(declared: &Declared, recorded: Option<&Recorded>) -> Decision {
    let topic = NewTopic {
        name: declared.name.clone(),
        partitions: declared.partitions.or(declared.initial_partitions),
        replication_factor: declared.replication_factor.or(declared.initial_replication_factor),
        config: declared.config.clone(),
        made_for: declared.owner.to_string(),
    };
    // Without an id it was never there: its creation was interrupted.
    let lost = recorded.is_some_and(|record| !record.id.is_empty());
    Decision {
        changes: vec![Change::Create(topic)],
        surprises: if lost { vec![Surprise::Deleted] } else { Vec::new() },
        record: Some(record(declared, "", false)),
        ..Decision::default()
    }
}

fn record(declared: &Declared, id: &str, created: bool) -> Recorded {
    Recorded {
        id: id.to_owned(),
        owner: declared.owner.clone(),
        created,
        keys: declared.config.keys().cloned().collect(),
        delete: declared.delete,
        confirmed: declared.confirmed,
        place: declared.place.clone(),
        ..Recorded::default()
    }
}

fn bring_in_line(declared: &Declared, topic: &Topic, recorded: Option<&Recorded>) -> Decision {
    let mut decision = Decision::default();
    let replaced = recorded.is_some_and(|record| !record.id.is_empty() && record.id != topic.id);
    if replaced {
        decision.surprises.push(Surprise::Replaced);
    }
    let ours = recorded.map(|record| record.keys.clone()).unwrap_or_default();
    let keys = changed_keys(declared, topic, &ours);
    if recorded.is_some()
        && !replaced
        && keys.iter().any(|(key, value)| value.is_some() && ours.contains(key))
    {
        decision.surprises.push(Surprise::Drifted);
    }
    if !keys.is_empty() {
        decision.changes.push(Change::Alter(ConfigChange { topic: declared.name.clone(), keys }));
    }
    partitions(declared, topic, &mut decision);
    if let Some(wanted) = declared.replication_factor.filter(|wanted| *wanted != topic.replication_factor) {
        decision.obstacles.push(Obstacle::ReplicationChange { wanted, has: topic.replication_factor });
    }
    // After an interrupted creation nobody knows who made it: to keep it is the safe answer.
    let created = recorded.is_some_and(|record| record.created && record.id == topic.id);
    decision.record = Some(record(declared, &topic.id, created));
    decision
}

/// Declared keys that differ, and keys of ours that are declared no more.
fn changed_keys(
    declared: &Declared,
    topic: &Topic,
    ours: &BTreeSet<String>,
) -> BTreeMap<String, Option<String>> {
    let differs =
        |(key, value): &(&String, &String)| topic.config.get(*key).is_none_or(|live| !same(key, live, value));
    let set = declared.config.iter().filter(differs).map(|(key, value)| (key.clone(), Some(value.clone())));
    let reset = ours.iter().filter(|key| !declared.config.contains_key(*key));
    let reset = reset.filter(|key| topic.config.contains_key(*key)).map(|key| (key.clone(), None));
    set.chain(reset).collect()
}

fn partitions(declared: &Declared, topic: &Topic, decision: &mut Decision) {
    let Some(wanted) = declared.partitions else { return };
    let has = topic.partitions;
    let policy = declared.config.get("cleanup.policy").or_else(|| topic.config.get("cleanup.policy"));
    let compacted = policy.is_some_and(|policy| policy.contains("compact"));
    if wanted < has {
        decision.obstacles.push(Obstacle::PartitionDecrease { wanted, has });
    } else if wanted > has && compacted && !declared.repartition {
        decision.obstacles.push(Obstacle::CompactedGrowth { wanted, has });
    } else if wanted > has {
        decision.changes.push(Change::Grow(declared.name.clone(), wanted));
    }
}

#[cfg(test)]
mod tests;
