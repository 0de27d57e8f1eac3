//! `spec.kafka` of a Microservice: topics it owns, topics it produces to and consumes from. The field
//! docs are what `kubectl explain` prints.

pub mod class;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Topics of the service, and the topics of others that it uses. It gets exactly the rights that
/// follow from them.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Kafka {
    /// Name of a cluster of the class. Default: the class's only one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// Topics that this service owns, at most 256. It may write to them; to read them, it consumes
    /// them too. A line that is removed or renamed leaves the topic and its data on the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topics: Option<Vec<Topic>>,
    /// Topics of other services that it writes to, at most 128. Their owners must allow it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub produces: Option<Vec<Produces>>,
    /// Topics that it reads, its own among them, at most 128. Their owners must allow it. A topic
    /// that does not exist is waited for and never created.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consumes: Option<Vec<Consumes>>,
    /// The service is a Kafka Streams application with internal topics of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub streams: Option<Streams>,
}

/// A topic that the service owns.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Topic {
    /// Name of the topic in this API, at most 249 letters, digits, `.`, `_` and `-`. Its name on the
    /// cluster follows from the class's topicNameTemplate and is shown in status.topics. The pods read
    /// that name from the variable `KAFKA_TOPIC_<NAME>`.
    pub name: String,
    /// Number of partitions, 1 to 10000. It can only grow, on a compacted topic only with the annotation
    /// `microservice.dev/confirm-partitions` with the topic's name on the cluster. Default: the class's,
    /// else the cluster's, when the topic is created; an existing topic then keeps what it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partitions: Option<i32>,
    /// Replicas of each partition, 1 to 100. It cannot be changed in place. Default: the class's, else
    /// the cluster's, when the topic is created.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replication_factor: Option<i32>,
    /// How long messages are kept, such as 7d, 12h or 1h30m; Infinite = for ever. Default: the
    /// cluster's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention: Option<String>,
    /// How much of each partition is kept: bytes in quotes or with Ki, Mi, Gi or Ti, such as 10Gi;
    /// Infinite = all. Default: the cluster's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention_bytes: Option<String>,
    /// What happens to old messages. Default: the cluster's, usually Delete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cleanup_policy: Option<CleanupPolicy>,
    /// Replicas that must have a message before it counts as written (with acks=all), 1 to the
    /// replication factor. Default: the cluster's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_insync_replicas: Option<i32>,
    /// Largest batch of messages that is accepted, bytes. Default: the cluster's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_message_bytes: Option<i32>,
    /// Further topic configuration in Kafka's own words, such as compression.type: zstd; only keys that
    /// the class allows, and none that has a field here. Keys that are left out stay as they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<BTreeMap<String, String>>,
    /// Retain or Delete: what happens to the topic when this line or the service is deleted. Delete also
    /// needs the annotation `microservice.dev/confirm-delete` with the topic's name on the cluster, those
    /// of several topics separated by commas. Default Retain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deletion_policy: Option<DeletionPolicy>,
    /// Manage, Adopt or Observe: what happens when the topic already exists and is nobody's. Default
    /// Manage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub management_policy: Option<ManagementPolicy>,
    /// Services that may write to the topic beside its owner. Absent: every service of this namespace;
    /// empty: none; else exactly these.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub producers: Option<Vec<Peer>>,
    /// Services that may read the topic beside its owner. Absent: every service of this namespace;
    /// empty: none; else exactly these.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consumers: Option<Vec<Peer>>,
}

/// What happens to old messages.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
pub enum CleanupPolicy {
    /// They are deleted when retention is over.
    Delete,
    /// The newest message of each key is kept.
    Compact,
    /// The newest message of each key is kept until retention is over.
    CompactDelete,
}

impl CleanupPolicy {
    /// The value of `cleanup.policy`.
    pub fn as_kafka(self) -> &'static str {
        match self {
            Self::Delete => "delete",
            Self::Compact => "compact",
            Self::CompactDelete => "compact,delete",
        }
    }
}

/// What happens to a topic that nobody declares any more.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
pub enum DeletionPolicy {
    /// It stays on the cluster with its data.
    #[default]
    Retain,
    /// It is deleted with its data, once that is confirmed, if the operator created it and nobody else
    /// reads it.
    Delete,
}

/// How far a topic is taken charge of.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
pub enum ManagementPolicy {
    /// It is created and kept as described; a topic that exists already is refused.
    #[default]
    Manage,
    /// As Manage, and a topic that exists already and has no other owner is taken over.
    Adopt,
    /// It is made and kept elsewhere; only rights follow from it.
    Observe,
}

/// A service.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Peer {
    /// Name of the Microservice.
    pub name: String,
    /// Its namespace. Default: this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}

/// A topic that the service writes to.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Produces {
    /// Name of the topic as its owner declares it.
    pub topic: String,
    /// Namespace of its owner. Default: this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// The topic has no owner in this API: `topic` is its name on the cluster, and the class must list
    /// it under externalTopics. Default false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub external: bool,
}

/// A topic that the service reads.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Consumes {
    /// Name of the topic as its owner declares it.
    pub topic: String,
    /// Namespace of its owner. Default: this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// The topic has no owner in this API: `topic` is its name on the cluster, and the class must list
    /// it under externalTopics. Default false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub external: bool,
    /// Consumer group, at most 128 letters, digits, `.`, `_` and `-`. On the cluster it begins with the
    /// namespace, as the pods read it from `KAFKA_GROUP_ID`, or with several groups from
    /// `KAFKA_GROUP_<TOPIC>`. Default: the service's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
}

/// A consumed topic whose lag asks for pods.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TopicLag {
    /// Name of a topic in `spec.kafka.consumes`. The lag is that of the group named there.
    pub topic: String,
    /// Namespace of the topic's owner; needed when topics of one name of several owners are consumed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// The consumer group, or the applicationId of `spec.kafka.streams`; needed when the service has more
    /// than one that may read the topic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Messages that one pod may be behind: a lag of n times as many asks for n pods, at most as many as
    /// there are partitions. 1 to 1000000000.
    pub lag_threshold: i32,
    /// Lag above which KEDA shows the trigger as active, 0 to 1000000000. It does not change the number of
    /// pods, which is never below `minReplicas`. Default 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub activation_lag_threshold: Option<i32>,
}

/// A Kafka Streams application.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Streams {
    /// The application.id without the namespace, at most 128 letters, digits, `.`, `_` and `-`. On the
    /// cluster it begins with the namespace, as the pods read it from `KAFKA_STREAMS_APPLICATION_ID`.
    /// The service gets all rights on topics and transactional ids that begin with it and a `-`.
    pub application_id: String,
}
