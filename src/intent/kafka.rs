//! The Kafka part of an intent: names as they are on the cluster, configuration in Kafka's own words.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{Debug, Formatter};

use k8s_openapi::ByteString;

use crate::api::kafka::{DeletionPolicy, ManagementPolicy};

pub use crate::kafka::consent::Consent;

/// All that a service wants of a Kafka cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KafkaIntent {
    /// The cluster.
    pub cluster: ClusterIntent,
    /// Own topics.
    pub topics: Vec<TopicIntent>,
    /// Topics that it writes to beside its own.
    pub produces: Vec<TopicReference>,
    /// Topics that it reads.
    pub consumes: Vec<ConsumeIntent>,
    /// The application.id of Kafka Streams: also the group, and with a `-` the prefix of internal
    /// topics and transactional ids.
    pub application_id: Option<String>,
}

impl KafkaIntent {
    /// The consumer groups that it joins; that of Kafka Streams is not among them.
    pub fn groups(&self) -> BTreeSet<&str> {
        self.consumes.iter().map(|consumed| consumed.group.as_str()).collect()
    }
}

/// A cluster of the class. How the operator logs in stays in the class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterIntent {
    /// Its name in the class.
    pub name: String,
    /// Addresses as `host:port`.
    pub bootstrap_servers: Vec<String>,
    /// `security.protocol` of the clients.
    pub security_protocol: &'static str,
    /// How topics and users are made.
    pub mode: ModeIntent,
    /// How the service logs in.
    pub users: UsersIntent,
    /// Whether the operator keeps the ACLs of the service's principals.
    pub acls: bool,
}

impl ClusterIntent {
    /// Whether nobody can see what is on the brokers.
    pub fn is_blind(&self) -> bool {
        matches!(self.mode, ModeIntent::Strimzi { guarded: false, .. })
    }

    /// Whether the operator can give rights to the users of this cluster: through Strimzi only to those
    /// that it has made there.
    pub fn may_have_rights(&self) -> bool {
        self.mode == ModeIntent::Direct || !matches!(self.users, UsersIntent::Existing { .. })
    }
}

/// How topics and users are made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ModeIntent {
    /// By Kafka's admin protocol.
    Direct,
    /// By objects of Strimzi's operators.
    Strimzi {
        /// Whether the class gives the operator a login, to see what is on the brokers.
        guarded: bool,
        /// Where they are kept.
        namespace: String,
        /// Value of the label `strimzi.io/cluster`.
        cluster: String,
    },
}

/// How a service logs in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UsersIntent {
    /// As one of two users that the operator makes.
    Managed {
        /// Their names, without `User:`.
        users: [String; 2],
        /// Secret with the credentials of the one in use.
        secret: String,
        /// Age at which the password is changed, seconds; `None` = only on demand.
        rotate_after: Option<i64>,
    },
    /// As a user that is made elsewhere.
    Existing {
        /// Its principal, with `User:`.
        principal: String,
        /// Secret with its credentials, in the service's namespace.
        secret: String,
        /// `sasl.mechanism` of the clients.
        mechanism: &'static str,
    },
    /// Not at all.
    None,
}

/// The login of a service as its Secret holds it. It prints no value.
#[derive(Clone, Default, PartialEq)]
pub struct KafkaLogin {
    /// The user; `None` = it is made elsewhere.
    pub user: Option<String>,
    /// Keyed hash of what the pods read of the Secret.
    pub hash: String,
    /// What is to be stored; `None` = the live Secret is known to be unchanged and was not read.
    pub data: Option<BTreeMap<String, ByteString>>,
    /// Whether the operator keeps the Secret; while it is gone, the pods keep what they have.
    pub kept: bool,
}

impl Debug for KafkaLogin {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KafkaLogin")
            .field("user", &self.user)
            .field("kept", &self.kept)
            .finish_non_exhaustive()
    }
}

/// A topic that the service owns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicIntent {
    /// Name in the spec.
    pub name: String,
    /// Name on the cluster.
    pub physical_name: String,
    /// Partitions that the spec asks for; `None` = an existing topic keeps what it has.
    pub partitions: Option<i32>,
    /// Partitions of a new topic: those of the spec, else the class's default; `None` = the cluster's.
    pub initial_partitions: Option<i32>,
    /// Replication factor that the spec asks for; `None` = an existing topic keeps what it has.
    pub replication_factor: Option<i32>,
    /// Replication factor of a new topic, as with partitions.
    pub initial_replication_factor: Option<i32>,
    /// Declared configuration, typed fields too, in Kafka's keys and values. Other keys are not ours.
    pub config: BTreeMap<String, String>,
    /// What happens to it when nobody declares it any more.
    pub deletion_policy: DeletionPolicy,
    /// How far it is taken charge of.
    pub management_policy: ManagementPolicy,
    /// Who may write beside the owner.
    pub producers: Consent,
    /// Who may read beside the owner.
    pub consumers: Consent,
}

/// A topic that the service uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicReference {
    /// Name as declared by its owner, or of an external topic on the cluster.
    pub name: String,
    /// Namespace of its owner; `None` = an external topic, that the class allows.
    pub owner: Option<String>,
    /// Name on the cluster, if its owner's class is this service's.
    pub physical_name: String,
}

/// A topic that the service reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumeIntent {
    /// The topic.
    pub topic: TopicReference,
    /// Consumer group on the cluster.
    pub group: String,
}
