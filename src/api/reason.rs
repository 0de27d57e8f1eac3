//! One list of reasons for conditions, Events and metric labels, each with its meaning and its cure.

use std::fmt;

/// A reason, explained.
#[derive(Clone, Copy, Debug)]
pub struct Explained {
    /// The reason.
    pub reason: Reason,
    /// What it means: a sentence.
    pub meaning: &'static str,
    /// What to do about it: a sentence or two, with Markdown.
    pub cure: &'static str,
}

macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $name:ident = $cure:literal),+ $(,)?) => {
        /// Why a condition has its status. The same word is used in Events and as a metric label.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Reason { $($(#[doc = $doc])+ $name),+ }

        impl Reason {
            /// Every reason, explained.
            pub const ALL: &'static [Explained] =
                &[$(Explained { reason: Reason::$name, meaning: concat!($($doc),+), cure: $cure }),+];

            /// The reason as it stands in a condition.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => stringify!($name)),+ }
            }

            /// The reason of this name, if there is one.
            pub fn parse(name: &str) -> Option<Self> {
                Self::ALL.iter().map(|entry| entry.reason).find(|reason| reason.as_str() == name)
            }
        }
    };
}

reasons! {
    /// All is as it should be.
    Ready = "Nothing to do.",
    /// The spec is valid and its class is found.
    Accepted = "Nothing to do.",
    /// Every child is stored as planned.
    Applied = "Nothing to do.",
    /// The pods of the current template serve.
    Available = "Nothing to do.",
    /// Every referenced or generated secret is there.
    SecretsReady = "Nothing to do.",
    /// The service is stopped on purpose (`spec.replicas: 0`).
    ScaledToZero = "Raise `spec.replicas`, or remove it, to start the service again.",
    /// `spec.suspend` is true: nothing is applied or deleted.
    Suspended = "Set `spec.suspend` to false, or remove it, when the operator should go on.",
    /// Work for this generation is under way.
    Progressing = "Wait. If it stays for minutes, read the message and the log of the operator.",
    /// A referenced Secret, ConfigMap or key does not exist yet.
    WaitingForSecret =
        "Create the object or key that the message names, or set `optional: true` where the service can do without. Pods that run stay as they are.",
    /// An older object of this name is still being deleted with its children.
    WaitingForDeletion =
        "Wait until the old object is gone. A finalizer that nobody removes is named by `kubectl get msvc -o yaml`.",
    /// A change of the class or of the release waits for its turn.
    WaitingForTurn =
        "Wait: services that only follow a class or a release take their turn, at most so many at a time.",
    /// The spec breaks a rule.
    InvalidSpec =
        "Correct the field that the message names; `microservice-operator check -f FILE` says the same before it is applied.",
    /// The class that the object or its namespace names does not exist.
    ClassNotFound =
        "Create the class, or correct `spec.className` or the label of the namespace. What runs stays as it is.",
    /// The spec breaks a guard rail of its class.
    GuardrailViolated =
        "Stay within the limit that the message names, or ask those who keep the class to move it.",
    /// A foreign object has the name of a child.
    Conflict =
        "Delete or rename the foreign object, or name the service otherwise. It is never taken over.",
    /// The API server refused a child.
    Rejected =
        "Do what the answer of the API server in the message asks for: often a quota or an admission webhook.",
    /// Another manager keeps undoing what the operator applies.
    DriftContested = "Find the manager that the message names and take the field from one of the two.",
    /// The API of a child is not served by this cluster.
    ApiNotServed =
        "Install the API that the message names, or remove the section that needs it. It heals without a restart.",
    /// The operator lacks a right.
    Forbidden =
        "Apply the rights again: `helm upgrade`, or `microservice-operator rbac | kubectl apply -f -`.",
    /// The API server did not answer or failed; it is tried again.
    ApiUnavailable =
        "Wait. If it stays, look at the API server and at the network between it and the operator.",
    /// A rollout is under way.
    RolloutInProgress = "Wait for the new pods; the message counts them.",
    /// The rollout made no progress within its deadline.
    RolloutFailed =
        "Read why the new pods do not come up and repair it, or put the last good version back. The old pods serve on.",
    /// An image cannot be pulled.
    ImagePullFailed =
        "Correct name and tag of the image, or `spec.imagePullSecrets` where the registry wants a login.",
    /// A container starts and ends again and again.
    CrashLooping =
        "Read the log of the container: `kubectl logs --previous`. The message has the exit code.",
    /// A container ran out of memory.
    OutOfMemory = "Raise `spec.resources.limits.memory`, or find the leak.",
    /// A container cannot be created, for example because a key is missing.
    ContainerConfigError = "Create the key that the message names, or correct its name.",
    /// A health check fails.
    ProbeFailing =
        "Look at what the health path answers; correct `spec.health` (path, port, time) or the service.",
    /// No node can take the pod.
    Unschedulable =
        "Ask for less, add nodes, or correct node selector and tolerations; the message has the words of the scheduler.",
    /// A resource quota leaves no room for the pods.
    QuotaExceeded = "Ask for less, or have the quota of the namespace raised.",
    /// An admission check, for example Pod Security, refuses the pods.
    PodsRefused =
        "Loosen what the admission check of the namespace refuses, or ask for an exception; the message has its words.",
    /// The image runs as root and the pod may not.
    NonRootRefused =
        "Build the image with a numeric `USER` other than 0, or set `spec.pod.runAsUser`.",
    /// Fewer pods serve than the disruption budget allows.
    PodsUnavailable = "Read the other conditions and the pods for why so few serve.",
    /// A live replica count of 0 keeps the autoscaler switched off.
    AutoscalerIdle = "Scale the Deployment to 1 or more, once: the autoscaler then goes on.",
    /// The number of pods follows the lag of topics too.
    ScalingReady = "Nothing to do.",
    /// Every own topic is on the cluster as described, and the service has its rights.
    TopicsReady = "Nothing to do.",
    /// An own topic is not on the cluster yet.
    WaitingForOwnTopic = "Wait. If it stays, read the state of the topic in `status.topics`.",
    /// A topic of another service that is produced to or consumed does not exist yet.
    WaitingForTopic = "Have the owner declare the topic, or correct the reference.",
    /// The owner of a topic does not name this service among its producers or consumers, or a service that
    /// is called does not name it among its callers; on those, that somebody asks.
    PendingConsent =
        "Add the line that the message shows to the owner of the topic, or to the service that is called.",
    /// Every service that is called is there, allows it, and serves.
    DependenciesReady = "Nothing to do.",
    /// A service that is called does not exist.
    MissingPeer = "Correct name and namespace in `spec.calls`, or bring the service in.",
    /// A service that is called has no such port.
    UnknownPort = "Name a port that the message lists, or leave `port` out for the main one.",
    /// A service was deleted while others call it.
    DeletedWhileCalled = "Bring it back, or remove the lines of its callers in `spec.calls`. A class can have such deletions confirmed: `protectCalled`.",
    /// A call of the spec is one that the network policy cannot open, or may not.
    CallCut = "Write the call in a form that can be opened, or have the class allow it, as the message says.",
    /// A service that is called does not serve.
    PeerNotServing =
        "Look at the service that the message names last: it is the first that is broken. This one is not touched.",
    /// No broker of the cluster answers.
    BrokerUnreachable =
        "Look at the brokers, at the addresses in the class and at the network. What runs is not touched.",
    /// The cluster refuses the operator's login.
    LoginRefused = "Correct user and password in the Secret that the class names; no restart is needed.",
    /// A certificate of the cluster or of the operator is not trusted.
    TlsRefused =
        "Correct the CA or the certificate in the Secret that the class names, or the protocol in the class.",
    /// A Secret with which the operator reaches a cluster is missing or incomplete.
    ClusterSecretMissing =
        "Create the Secret, or the key of it, that the message names, in the namespace of the operator.",
    /// The operator's user lacks a right on the cluster.
    NotAuthorized = "Give the user of the operator the rights that `docs/kafka.md` lists.",
    /// The cluster limits the operator's requests; they are sent again later.
    Throttled = "Wait, or raise the quota of the operator's user on the cluster.",
    /// The cluster failed in a way that has no word of its own.
    ClusterFailed = "Read the words of the broker in the message, and its log.",
    /// The cluster does not support what is needed, or has it switched off.
    Unsupported = "Switch the feature on, on the cluster, or off in the class.",
    /// Strimzi says that it cannot carry out what it is asked for.
    StrimziRefused = "Read the condition of the object that the message names.",
    /// Strimzi has not looked at what it is asked for.
    StrimziNotRunning = "Look whether the Topic and User Operator run and watch that namespace.",
    /// Without a login of the operator some guards of topics cannot be kept, and what needs them is refused.
    GuardsLimited = "Give the class a login for the operator, if adoption and deletion are wanted.",
    /// The cluster refuses the name of a topic.
    TopicNameRefused = "Change the name, or the template of names in the class.",
    /// The cluster has too few brokers for the replication factor.
    ReplicationImpossible = "Lower `replicationFactor`, or add brokers: it is then made by itself.",
    /// The cluster refuses a topic's configuration.
    TopicConfigRefused = "Correct the key that the message names.",
    /// A policy of the cluster refuses a topic.
    TopicPolicyViolation = "Stay within the policy of the cluster; the message has its words.",
    /// A topic or user of this name belongs to another Microservice.
    TopicConflict = "Choose another name, or have the owner that the message names let it go.",
    /// A topic of this name exists, and nobody has said that it may be taken over.
    TopicExists =
        "Set `managementPolicy: Adopt` on the topic when it should belong to this service, or choose another name.",
    /// A topic has more partitions than it should have; they cannot be taken away.
    PartitionDecreaseRefused = "Set `partitions` to what the topic has; fewer need a new topic.",
    /// More partitions of a compacted topic need a confirmation.
    PartitionIncreaseUnconfirmed =
        "Confirm as the message says, when no consumer relies on keys staying in their partition.",
    /// A topic has another replication factor; it is not changed in place.
    ReplicationChangeRefused =
        "Set `replicationFactor` to what the topic has, and change it with the tools of the cluster.",
    /// A change of the class would move a topic to another name or cluster.
    TopicMoveRefused =
        "Put the class back, or move the data and then declare the topic anew; the message names both places.",
    /// A topic was created.
    TopicCreated = "Nothing to do.",
    /// An existing topic was taken over.
    TopicAdopted = "Nothing to do.",
    /// A topic has more partitions now.
    PartitionsRaised = "Nothing to do.",
    /// A topic that somebody had deleted was created again: it is empty.
    TopicRecreated =
        "Find out who deleted it; its messages are gone. Restore them where they are kept elsewhere.",
    /// Another topic took the place of one.
    TopicReplaced = "Find out who replaced it. It is never deleted by the operator.",
    /// The configuration of a topic was set back to what is described.
    TopicRepaired = "Find out who changed it, or describe the value in the object.",
    /// A topic that is not described any more stays on the cluster.
    TopicRetained = "Delete it by hand when its messages are not needed.",
    /// A topic that is not described any more was deleted.
    TopicDeleted = "Nothing to do.",
    /// A topic belongs to another Microservice now.
    TopicHandedOver = "Nothing to do.",
    /// The deletion of a topic, which was confirmed, is tried until the cluster answers.
    TopicDeletionPending = "Look at the cluster; the message says why it does not answer.",
    /// The service has its login on the cluster and all its rights.
    KafkaAccessReady = "Nothing to do.",
    /// The login of the service is being made.
    WaitingForLogin = "Wait. If it stays, read the message: the pods start once the login is there.",
    /// A user of the service's name exists that the operator has not made, its Secret is not the
    /// operator's, or its principal is another service's too.
    UserConflict = "Remove the user or Secret that the message names, rename the service, or have principalTemplate \
                    corrected. It is never taken over.",
    /// The cluster does not let a user in that the operator has just made.
    CredentialRefused =
        "Look at the authentication of the cluster: do all brokers take SCRAM-SHA-512 from the metadata?",
    /// The cluster keeps no ACLs.
    AclsUnsupported = "Switch an authorizer on, or set the class not to keep ACLs.",
    /// Another program keeps removing the ACLs that the operator makes.
    AclContested = "Find the program that removes the ACLs, and leave them to one of the two.",
    /// The login of the service was made.
    LoginMade = "Nothing to do.",
    /// The service has another user with another password.
    LoginRotated = "Nothing to do.",
    /// A user that no pod needs any more was removed.
    LoginRetired = "Nothing to do.",
    /// ACLs that somebody had removed were given again.
    AclsRepaired = "Find out who removed them.",
    /// This class is the default.
    Default = "Nothing to do.",
    /// This class is not marked as default.
    NotDefault = "Nothing to do.",
    /// Another, older class is the default.
    OlderDefaultExists = "Take the mark from one of the two classes.",
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
