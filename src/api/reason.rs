//! One list of reasons for conditions, Events and metric labels.

use std::fmt;

macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $name:ident),+ $(,)?) => {
        /// Why a condition has its status. The same word is used in Events and as a metric label.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Reason { $($(#[doc = $doc])+ $name),+ }

        impl Reason {
            /// Every reason with its meaning, for the generated reference.
            pub const ALL: &'static [(Reason, &'static str)] = &[$((Reason::$name, concat!($($doc),+))),+];

            /// The reason as it stands in a condition.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => stringify!($name)),+ }
            }

            /// The reason of this name, if there is one.
            pub fn parse(name: &str) -> Option<Self> {
                Self::ALL.iter().map(|(reason, _)| *reason).find(|reason| reason.as_str() == name)
            }
        }
    };
}

reasons! {
    /// All is as it should be.
    Ready,
    /// The spec is valid and its class is found.
    Accepted,
    /// Every child is stored as planned.
    Applied,
    /// The pods of the current template serve.
    Available,
    /// Every referenced or generated secret is there.
    SecretsReady,
    /// The service is stopped on purpose (`spec.replicas: 0`).
    ScaledToZero,
    /// `spec.suspend` is true: nothing is applied or deleted.
    Suspended,
    /// Work for this generation is under way.
    Progressing,
    /// A referenced Secret, ConfigMap or key does not exist yet.
    WaitingForSecret,
    /// An older object of this name is still being deleted with its children.
    WaitingForDeletion,
    /// A change of the class or of the release waits for its turn.
    WaitingForTurn,
    /// The spec breaks a rule.
    InvalidSpec,
    /// The class that the object or its namespace names does not exist.
    ClassNotFound,
    /// The spec breaks a guard rail of its class.
    GuardrailViolated,
    /// A foreign object has the name of a child.
    Conflict,
    /// The API server refused a child.
    Rejected,
    /// Another manager keeps undoing what the operator applies.
    DriftContested,
    /// The API of a child is not served by this cluster.
    ApiNotServed,
    /// The operator lacks a right.
    Forbidden,
    /// The API server did not answer or failed; it is tried again.
    ApiUnavailable,
    /// A rollout is under way.
    RolloutInProgress,
    /// The rollout made no progress within its deadline.
    RolloutFailed,
    /// An image cannot be pulled.
    ImagePullFailed,
    /// A container starts and ends again and again.
    CrashLooping,
    /// A container ran out of memory.
    OutOfMemory,
    /// A container cannot be created, for example because a key is missing.
    ContainerConfigError,
    /// A health check fails.
    ProbeFailing,
    /// No node can take the pod.
    Unschedulable,
    /// A resource quota leaves no room for the pods.
    QuotaExceeded,
    /// An admission check, for example Pod Security, refuses the pods.
    PodsRefused,
    /// The image runs as root and the pod may not.
    NonRootRefused,
    /// Fewer pods serve than the disruption budget allows.
    PodsUnavailable,
    /// A live replica count of 0 keeps the autoscaler switched off.
    AutoscalerIdle,
    /// The number of pods follows the lag of topics too.
    ScalingReady,
    /// Every own topic is on the cluster as described, and the service has its rights.
    TopicsReady,
    /// An own topic is not on the cluster yet.
    WaitingForOwnTopic,
    /// A topic of another service that is produced to or consumed does not exist yet.
    WaitingForTopic,
    /// The owner of a topic does not name this service among its producers or consumers.
    PendingConsent,
    /// No broker of the cluster answers.
    BrokerUnreachable,
    /// The cluster refuses the operator's login.
    LoginRefused,
    /// A certificate of the cluster or of the operator is not trusted.
    TlsRefused,
    /// A Secret with which the operator reaches a cluster is missing or incomplete.
    ClusterSecretMissing,
    /// The operator's user lacks a right on the cluster.
    NotAuthorized,
    /// The cluster limits the operator's requests; they are sent again later.
    Throttled,
    /// The cluster failed in a way that has no word of its own.
    ClusterFailed,
    /// The cluster does not support what is needed, or has it switched off.
    Unsupported,
    /// Strimzi says that it cannot carry out what it is asked for.
    StrimziRefused,
    /// Strimzi has not looked at what it is asked for.
    StrimziNotRunning,
    /// Without a login of the operator some guards of topics cannot be kept, and what needs them is refused.
    GuardsLimited,
    /// The cluster refuses the name of a topic.
    TopicNameRefused,
    /// The cluster has too few brokers for the replication factor.
    ReplicationImpossible,
    /// The cluster refuses a topic's configuration.
    TopicConfigRefused,
    /// A policy of the cluster refuses a topic.
    TopicPolicyViolation,
    /// A topic or user of this name belongs to another Microservice.
    TopicConflict,
    /// A topic of this name exists, and nobody has said that it may be taken over.
    TopicExists,
    /// A topic has more partitions than it should have; they cannot be taken away.
    PartitionDecreaseRefused,
    /// More partitions of a compacted topic need a confirmation.
    PartitionIncreaseUnconfirmed,
    /// A topic has another replication factor; it is not changed in place.
    ReplicationChangeRefused,
    /// A change of the class would move a topic to another name or cluster.
    TopicMoveRefused,
    /// A topic was created.
    TopicCreated,
    /// An existing topic was taken over.
    TopicAdopted,
    /// A topic has more partitions now.
    PartitionsRaised,
    /// A topic that somebody had deleted was created again: it is empty.
    TopicRecreated,
    /// Another topic took the place of one.
    TopicReplaced,
    /// The configuration of a topic was set back to what is described.
    TopicRepaired,
    /// A topic that is not described any more stays on the cluster.
    TopicRetained,
    /// A topic that is not described any more was deleted.
    TopicDeleted,
    /// A topic belongs to another Microservice now.
    TopicHandedOver,
    /// The deletion of a topic, which was confirmed, is tried until the cluster answers.
    TopicDeletionPending,
    /// The service has its login on the cluster and all its rights.
    KafkaAccessReady,
    /// The login of the service is being made.
    WaitingForLogin,
    /// A user of the service's name exists that the operator has not made, or its Secret is not the
    /// operator's.
    UserConflict,
    /// The cluster does not let a user in that the operator has just made.
    CredentialRefused,
    /// The cluster keeps no ACLs.
    AclsUnsupported,
    /// Another program keeps removing the ACLs that the operator makes.
    AclContested,
    /// The login of the service was made.
    LoginMade,
    /// The service has another user with another password.
    LoginRotated,
    /// A user that no pod needs any more was removed.
    LoginRetired,
    /// ACLs that somebody had removed were given again.
    AclsRepaired,
    /// This class is the default.
    Default,
    /// This class is not marked as default.
    NotDefault,
    /// Another, older class is the default.
    OlderDefaultExists,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
