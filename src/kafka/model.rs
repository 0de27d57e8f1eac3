//! Topics, users and ACLs as a broker tells of them, in Kafka's own words.

use std::collections::BTreeMap;

use super::config::same;

/// A topic as the broker has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Topic {
    /// Its name on the broker.
    pub name: String,
    /// Its topic id, a UUID as Kafka prints it; another one = another topic of the same name.
    pub id: String,
    /// Number of partitions.
    pub partitions: i32,
    /// Replicas of each partition; of the one that has fewest, when they differ.
    pub replication_factor: i32,
    /// Configuration that was set on this topic. Defaults of the broker are not in it.
    pub config: BTreeMap<String, String>,
}

/// A topic to create.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewTopic {
    /// Its name on the broker.
    pub name: String,
    /// Number of partitions; `None` = the broker's `num.partitions`.
    pub partitions: Option<i32>,
    /// Replicas of each partition; `None` = the broker's `default.replication.factor`.
    pub replication_factor: Option<i32>,
    /// Configuration to set.
    pub config: BTreeMap<String, String>,
    /// The Microservice that it is made for, as `namespace/name`: a cluster that keeps descriptions of
    /// its topics shows it there.
    pub made_for: String,
}

impl NewTopic {
    /// Whether this topic is exactly what the creation asks for.
    pub fn is(&self, topic: &Topic) -> bool {
        let number = |asked: Option<i32>, has: i32| asked.is_none_or(|asked| asked == has);
        number(self.partitions, topic.partitions)
            && number(self.replication_factor, topic.replication_factor)
            && self.config.len() == topic.config.len()
            && self
                .config
                .iter()
                .all(|(key, value)| topic.config.get(key).is_some_and(|has| same(key, value, has)))
    }
}

/// Changes of the configuration of one topic: `Some` sets a key, `None` goes back to the default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConfigChange {
    /// Name of the topic on the broker.
    pub topic: String,
    /// What happens to each key; the others stay as they are.
    pub keys: BTreeMap<String, Option<String>>,
}

/// What an ACL is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ResourceType {
    /// A topic.
    Topic,
    /// A consumer group.
    Group,
    /// A transactional id.
    TransactionalId,
    /// The cluster itself.
    Cluster,
    /// Any other: never made by us, only reported.
    Other,
}

/// How the name of an ACL's resource is matched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Pattern {
    /// Exactly this name.
    Literal,
    /// Every name that begins with it.
    Prefixed,
}

/// What an ACL allows or denies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Operation {
    /// Everything.
    All,
    /// Read.
    Read,
    /// Write.
    Write,
    /// Create.
    Create,
    /// Delete.
    Delete,
    /// Alter.
    Alter,
    /// Describe.
    Describe,
    /// What brokers do among themselves.
    ClusterAction,
    /// Read configurations.
    DescribeConfigs,
    /// Change configurations.
    AlterConfigs,
    /// Write idempotently, on the cluster.
    IdempotentWrite,
    /// Any other: never made by us, only reported.
    Other,
}

/// One ACL.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Acl {
    /// Who, with the type: `User:name`.
    pub principal: String,
    /// Type of the resource.
    pub resource: ResourceType,
    /// Its name, `*` for all.
    pub name: String,
    /// How the name is matched.
    pub pattern: Pattern,
    /// What is allowed or denied.
    pub operation: Operation,
    /// Whether it allows; otherwise it denies.
    pub allow: bool,
    /// From which host, `*` for all.
    pub host: String,
}

/// A consumer group that has offsets or members on a topic, or members that do not show what they read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Its id.
    pub id: String,
    /// Whether it has members now: every state but Empty and Dead, so that one which Kafka adds later
    /// is not taken for idle.
    pub active: bool,
}
