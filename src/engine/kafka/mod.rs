//! The admin side of a Kafka cluster: one small trait, so that the rest of the engine knows no client;
//! and the tasks that keep the topics and logins of all objects as they are declared.

pub mod access;
pub mod accounts;
pub mod agreements;
pub mod carriers;
pub mod cluster;
pub mod clusters;
pub mod credential;
mod direct;
#[cfg(test)]
mod fake;
pub mod ledger;
pub mod letting;
pub mod round;
mod scram;
mod settings;
pub mod strimzi;
pub mod trouble;
pub mod wants;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::future::ready;

use futures::future::BoxFuture;

use crate::kafka::model::{Acl, ConfigChange, Group, NewTopic, Topic};

pub use credential::Credential;
pub use direct::Direct;
pub use scram::{SCRAM_ITERATIONS, scram};
pub use settings::{ClientCertificate, Login, Mechanism, Settings, Tls};

/// Why a broker, or the way to it, refused. Texts are bounded and hold no credentials.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BrokerError {
    /// No broker answered in time, or none could be reached.
    #[error("no broker of the cluster answers: {0}")]
    Unreachable(String),
    /// The login was refused: wrong user, password or mechanism.
    #[error("the cluster refuses the login: {0}")]
    LoginRefused(String),
    /// The certificate of a broker is not trusted, or ours is not.
    #[error("the TLS connection is refused: {0}")]
    TlsRefused(String),
    /// Our user lacks a right.
    #[error("not authorized: {0}")]
    NotAuthorized(String),
    /// The topic exists.
    #[error("the topic exists")]
    Exists,
    /// There is no such topic, user or group.
    #[error("there is no such thing on the cluster")]
    Missing,
    /// The name is not one that the broker takes.
    #[error("the broker refuses the name: {0}")]
    InvalidName(String),
    /// More replicas than brokers, or none.
    #[error("the broker refuses the replication factor: {0}")]
    InvalidReplication(String),
    /// Fewer partitions than there are, or none.
    #[error("the broker refuses the number of partitions: {0}")]
    InvalidPartitions(String),
    /// An unknown key, or a value that the key does not take.
    #[error("the broker refuses the configuration: {0}")]
    InvalidConfig(String),
    /// A policy of the cluster refuses it.
    #[error("a policy of the cluster refuses it: {0}")]
    PolicyViolation(String),
    /// The broker does not know the call, or has it switched off.
    #[error("the cluster does not support it: {0}")]
    Unsupported(String),
    /// The API of whoever makes topics and users here is not served.
    #[error("{0}")]
    NotServed(String),
    /// The API server does not let us read or write the objects of that API.
    #[error("{0}")]
    Forbidden(String),
    /// An object that is needed is somebody else's.
    #[error("{0}")]
    Taken(String),
    /// Whoever makes topics and users here says that it cannot.
    #[error("{0}")]
    Refused(String),
    /// Whoever makes topics and users here has not been heard of for long.
    #[error("{0}")]
    NotHeard(String),
    /// A quota; try again later.
    #[error("the cluster throttles us: {0}")]
    Throttled(String),
    /// It was sent and no answer came: it may have happened. Describe, never repeat blindly.
    #[error("the outcome is unknown: {0}")]
    Unknown(String),
    /// Anything else.
    #[error("{0}")]
    Other(String),
}

/// One result per item, in the order of the request.
pub type Results<T> = Vec<Result<T, BrokerError>>;

/// The answer to a call: an error of the whole call, or of the items in it.
pub type Answer<'a, T> = BoxFuture<'a, Result<T, BrokerError>>;

/// How a SCRAM-SHA-512 credential is derived; the broker never sees the password.
#[derive(Clone, PartialEq, Eq)]
pub struct ScramCredential {
    /// Name of the user.
    pub user: String,
    /// At least 16 random bytes.
    pub salt: Vec<u8>,
    /// PBKDF2 iterations, 4096 to 16384.
    pub iterations: i32,
    /// The salted password.
    pub salted_password: Vec<u8>,
}

impl Debug for ScramCredential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ScramCredential").field("user", &self.user).finish_non_exhaustive()
    }
}

/// A topic of ours as it is, with what its owner describes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Holding {
    /// The topic.
    pub topic: Topic,
    /// Its owner, as `namespace/name`.
    pub made_for: String,
    /// Configuration that is described.
    pub config: BTreeMap<String, String>,
    /// Replicas that are described.
    pub replicas: Option<i32>,
}

/// A login as a service has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// The user.
    pub user: String,
    /// Namespace of the service.
    pub namespace: String,
    /// Name of the Secret there.
    pub secret: String,
}

/// What the operator asks of a cluster. Every call connects when it needs to, ends in bounded time,
/// sends as few requests as its items fit in, and answers each item by itself. Equal items in one call
/// are sent once; of two for one name that differ, the second is refused.
pub trait Broker: Debug + Send + Sync {
    /// The cluster's own id.
    fn cluster_id(&self) -> Answer<'_, String>;
    /// The topics of these names, with partitions and own configuration; [`BrokerError::Missing`] for
    /// one that does not exist.
    fn describe<'a>(&'a self, topics: &'a [String]) -> Answer<'a, Results<Topic>>;
    /// Creates topics; `validate_only` only asks whether that would succeed.
    fn create<'a>(&'a self, topics: &'a [NewTopic], validate_only: bool) -> Answer<'a, Results<()>>;
    /// Raises the number of partitions of topics, to these totals.
    fn grow<'a>(&'a self, topics: &'a [(String, i32)]) -> Answer<'a, Results<()>>;
    /// Changes single configuration keys and leaves the others alone.
    fn alter<'a>(&'a self, changes: &'a [ConfigChange]) -> Answer<'a, Results<()>>;
    /// Deletes topics by name. The caller has compared the ids immediately before.
    fn delete<'a>(&'a self, topics: &'a [String]) -> Answer<'a, Results<()>>;
    /// Groups that have committed offsets for the topic or read it now.
    fn groups<'a>(&'a self, topic: &'a str) -> Answer<'a, Vec<Group>>;
    /// Whether the cluster is told what is to be there, and carries it out by itself and in its own time. A
    /// creation may be sent to it again.
    fn keeps_descriptions(&self) -> bool {
        false
    }
    /// Sees to it that what the cluster has been told of these topics is what they are to be: before any
    /// of them is changed.
    fn hold<'a>(&'a self, topics: &'a [Holding]) -> Answer<'a, Results<()>> {
        Box::pin(ready(Ok(topics.iter().map(|_| Ok(())).collect())))
    }
    /// What has come of what the cluster was told of these topics: [`BrokerError::Unknown`] while it is at
    /// work.
    fn verdicts<'a>(&'a self, topics: &'a [String]) -> Answer<'a, Results<()>> {
        Box::pin(ready(Ok(topics.iter().map(|_| Ok(())).collect())))
    }
    /// All ACLs of one principal (`User:name`).
    fn acls<'a>(&'a self, principal: &'a str) -> Answer<'a, BTreeSet<Acl>>;
    /// All ACLs of all principals.
    fn all_acls(&self) -> Answer<'_, BTreeSet<Acl>>;
    /// Adds ACLs.
    fn allow<'a>(&'a self, acls: &'a [Acl]) -> Answer<'a, Results<()>>;
    /// Removes exactly these ACLs; one that is not there counts as removed.
    fn revoke<'a>(&'a self, acls: &'a [Acl]) -> Answer<'a, Results<()>>;
    /// Which of these users have a SCRAM credential, of any mechanism.
    fn users<'a>(&'a self, names: &'a [String]) -> Answer<'a, BTreeSet<String>>;
    /// Sets the credentials of users.
    fn set_users<'a>(&'a self, credentials: &'a [ScramCredential]) -> Answer<'a, Results<()>>;
    /// Makes users, or gives new passwords to those that are there; [`BrokerError::Unknown`] for one that
    /// is still being made.
    fn make_users<'a>(&'a self, names: &'a [String]) -> Answer<'a, Results<Credential>> {
        Box::pin(async move {
            let new: Vec<Credential> = names.iter().map(|name| Credential::random(name)).collect();
            let salted: Vec<ScramCredential> = new.iter().map(Credential::salted).collect();
            let answers = self.set_users(&salted).await?;
            Ok(new.into_iter().zip(answers).map(|(credential, answer)| answer.map(|()| credential)).collect())
        })
    }
    /// What has come of what the cluster was told of these users, as with topics.
    fn verdicts_of_users<'a>(&'a self, names: &'a [String]) -> Answer<'a, Results<()>> {
        Box::pin(ready(Ok(names.iter().map(|_| Ok(())).collect())))
    }
    /// Users of which these Secrets hold a password that is not the one any more, because somebody else makes
    /// the passwords and has made another.
    fn outdated<'a>(&'a self, held: &'a [Held]) -> Answer<'a, BTreeSet<String>> {
        let _ = held;
        Box::pin(ready(Ok(BTreeSet::new())))
    }
    /// Removes the credentials of users; [`BrokerError::Missing`] for one that has none.
    fn remove_users<'a>(&'a self, names: &'a [String]) -> Answer<'a, Results<()>>;
    /// Logs in as a service does, on every broker that can be reached; one that refuses is an error.
    fn log_in<'a>(&'a self, credential: &'a Credential) -> Answer<'a, ()>;
}
