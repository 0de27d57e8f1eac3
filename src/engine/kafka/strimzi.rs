//! A cluster whose topics and users are made by Strimzi's operators: what is wanted is written into their
//! objects, and their conditions say what came of it. What is on the brokers is asked of the brokers,
//! where the class gives a login; without one the objects are all that is known.

mod follow;
mod objects;
mod tidy;
mod topics;
mod users;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{Debug, Formatter};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::future::BoxFuture;
use kube::Client;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::{
    Answer, Broker, BrokerError, Credential, Direct, Held, Holding, Results, ScramCredential, Settings,
};
use crate::api::kafka::class::{Cluster as ClassCluster, Mode};
use crate::kafka::model::{Acl, ConfigChange, Group, NewTopic, Topic};
use crate::kafka::strimzi::{self, Progress};

pub use follow::Heard;
use objects::Objects;

/// How long an answer waits for Strimzi to delete a topic.
const DELETION: Duration = Duration::from_secs(3);

/// What every cluster of mode Strimzi needs.
#[derive(Clone)]
pub struct Installation {
    /// Reads and writes Strimzi's objects.
    pub client: Client,
    /// Namespace of this installation, which marks its objects.
    pub operator: String,
    /// Between two questions whether the API is served.
    pub api_pace: Duration,
    /// How long Strimzi may leave an object alone until that is told.
    pub patience: Duration,
}

/// A cluster that is changed through Strimzi.
pub struct Strimzi {
    direct: Arc<Direct>,
    /// Whether the class gives a login to ask the brokers with.
    guarded: bool,
    objects: Arc<Objects>,
    /// Versions of Strimzi's Secrets at which their passwords were those that the services have, by user.
    agreed: Mutex<BTreeMap<String, String>>,
    _tasks: JoinSet<()>,
}

/// Where Strimzi's objects are, and whether the brokers can be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// Their namespace.
    pub namespace: String,
    /// Name of the Kafka object.
    pub cluster: String,
    /// Whether the class gives a login.
    pub guarded: bool,
}

impl Site {
    /// Of a cluster of a class; `None` = its mode is another.
    pub fn of(cluster: &ClassCluster) -> Option<Self> {
        let strimzi = cluster.strimzi.as_ref().filter(|_| cluster.mode == Some(Mode::Strimzi))?;
        Some(Self {
            namespace: strimzi.namespace.clone(),
            cluster: strimzi.cluster.clone(),
            guarded: cluster.is_login_given(),
        })
    }
}

impl Strimzi {
    /// Begins to follow the objects. `wake` is told when there is something in [`Strimzi::heard`].
    pub fn start(installation: &Installation, site: Site, direct: Arc<Direct>, wake: Arc<Notify>) -> Self {
        let guarded = site.guarded;
        let objects = Arc::new(Objects::new(installation, site, wake));
        let mut tasks = JoinSet::new();
        tasks.spawn(follow::follow(Arc::clone(&objects), installation.api_pace));
        Self { direct, guarded, objects, agreed: Mutex::default(), _tasks: tasks }
    }

    /// Where its objects are.
    pub fn site(&self) -> &Site {
        self.objects.site()
    }

    /// What has changed since the last call.
    pub fn heard(&self) -> BTreeSet<Heard> {
        self.objects.take_heard()
    }

    fn blind(what: &str) -> BrokerError {
        BrokerError::Unsupported(format!("without a login of the operator in the class, {what}"))
    }
}

/// What Strimzi's refusal means in the words of a broker, which it repeats.
fn refused(kind: &str, name: &str, reason: &str, message: &str) -> BrokerError {
    let text = format!("Strimzi says of {kind} {name}: {reason}: {message}");
    let of = |names: &[&str]| names.iter().any(|name| message.contains(name));
    if of(&["InvalidReplicationFactorException"]) {
        BrokerError::InvalidReplication(text)
    } else if of(&["InvalidConfigurationException", "InvalidPartitionsException"]) {
        BrokerError::InvalidConfig(text)
    } else if of(&["PolicyViolationException"]) {
        BrokerError::PolicyViolation(text)
    } else if of(&["InvalidTopicException"]) {
        BrokerError::InvalidName(text)
    } else {
        BrokerError::Refused(text)
    }
}

fn boxed<'a, T>(
    answer: impl Future<Output = Result<T, BrokerError>> + Send + 'a,
) -> BoxFuture<'a, Result<T, BrokerError>> {
    Box::pin(answer)
}

impl Broker for Strimzi {
    fn cluster_id(&self) -> Answer<'_, String> {
        if self.guarded {
            return self.direct.cluster_id();
        }
        let Site { namespace, cluster, .. } = self.site();
        let id = strimzi::cluster_id(namespace, cluster);
        boxed(async move { Ok(id) })
    }

    fn describe<'a>(&'a self, topics: &'a [String]) -> Answer<'a, Results<Topic>> {
        boxed(async move {
            self.objects.version()?;
            if self.guarded { self.direct.describe(topics).await } else { Ok(self.described(topics)) }
        })
    }

    fn create<'a>(&'a self, topics: &'a [NewTopic], validate_only: bool) -> Answer<'a, Results<()>> {
        boxed(async move {
            if validate_only { self.may_create(topics).await } else { self.create_topics(topics).await }
        })
    }

    fn grow<'a>(&'a self, topics: &'a [(String, i32)]) -> Answer<'a, Results<()>> {
        boxed(self.edit_topics(topics.iter().map(|(name, _)| name.clone()).collect(), move |at, spec| {
            topics.get(at).map(|(_, total)| strimzi::grown(spec, *total))
        }))
    }

    fn alter<'a>(&'a self, changes: &'a [ConfigChange]) -> Answer<'a, Results<()>> {
        boxed(
            self.edit_topics(changes.iter().map(|change| change.topic.clone()).collect(), move |at, spec| {
                changes.get(at).map(|change| strimzi::altered(spec, change))
            }),
        )
    }

    fn delete<'a>(&'a self, topics: &'a [String]) -> Answer<'a, Results<()>> {
        boxed(self.delete_topics(topics))
    }

    fn groups<'a>(&'a self, topic: &'a str) -> Answer<'a, Vec<Group>> {
        if self.guarded {
            return self.direct.groups(topic);
        }
        boxed(async { Err(Self::blind("nobody can see who reads it")) })
    }

    fn keeps_descriptions(&self) -> bool {
        true
    }

    fn hold<'a>(&'a self, topics: &'a [Holding]) -> Answer<'a, Results<()>> {
        boxed(self.hold_topics(topics))
    }

    fn verdicts<'a>(&'a self, topics: &'a [String]) -> Answer<'a, Results<()>> {
        boxed(async move { Ok(topics.iter().map(|topic| self.verdict_of_topic(topic)).collect()) })
    }

    fn acls<'a>(&'a self, principal: &'a str) -> Answer<'a, BTreeSet<Acl>> {
        boxed(async move {
            self.objects.version()?;
            Ok(self.acls_of(principal))
        })
    }

    fn all_acls(&self) -> Answer<'_, BTreeSet<Acl>> {
        boxed(async move {
            self.objects.version()?;
            Ok(self.objects.users().flat_map(|user| user.spec.acls.unwrap_or_default()).collect())
        })
    }

    fn allow<'a>(&'a self, acls: &'a [Acl]) -> Answer<'a, Results<()>> {
        boxed(self.edit_acls(acls, |mine, acl| {
            mine.insert(acl.clone());
        }))
    }

    fn revoke<'a>(&'a self, acls: &'a [Acl]) -> Answer<'a, Results<()>> {
        boxed(self.edit_acls(acls, |mine, acl| {
            mine.remove(acl);
        }))
    }

    fn users<'a>(&'a self, names: &'a [String]) -> Answer<'a, BTreeSet<String>> {
        boxed(self.existing(names))
    }

    fn set_users<'a>(&'a self, _: &'a [ScramCredential]) -> Answer<'a, Results<()>> {
        boxed(async { Err(BrokerError::Unsupported("Strimzi makes the passwords itself".to_owned())) })
    }

    fn make_users<'a>(&'a self, names: &'a [String]) -> Answer<'a, Results<Credential>> {
        boxed(self.made(names))
    }

    fn verdicts_of_users<'a>(&'a self, names: &'a [String]) -> Answer<'a, Results<()>> {
        boxed(async move { Ok(names.iter().map(|name| self.verdict_of_user(name)).collect()) })
    }

    fn outdated<'a>(&'a self, held: &'a [Held]) -> Answer<'a, BTreeSet<String>> {
        boxed(self.renewed(held))
    }

    fn remove_users<'a>(&'a self, names: &'a [String]) -> Answer<'a, Results<()>> {
        boxed(self.delete_users(names))
    }

    fn log_in<'a>(&'a self, credential: &'a Credential) -> Answer<'a, ()> {
        if self.guarded {
            return self.direct.log_in(credential);
        }
        boxed(self.log_in_alone(credential))
    }
}

impl Strimzi {
    /// What Strimzi says of an object of ours.
    fn verdict(
        &self,
        kind: &str,
        name: &str,
        progress: Progress,
        waited: Duration,
    ) -> Result<(), BrokerError> {
        match progress {
            Progress::Ready => Ok(()),
            Progress::Refused(reason, message) => Err(refused(kind, name, &reason, &message)),
            Progress::Pending | Progress::Unmanaged if waited >= self.objects.patience() => {
                let Site { namespace, cluster, .. } = self.site();
                Err(BrokerError::NotHeard(format!(
                    "Strimzi has not looked at {kind} {namespace}/{name} of Kafka {cluster} for {} s",
                    waited.as_secs()
                )))
            }
            Progress::Pending | Progress::Unmanaged => {
                Err(BrokerError::Unknown(format!("Strimzi is at work on {kind} {name}")))
            }
        }
    }

    fn settings(&self) -> Settings {
        self.direct.settings()
    }
}

impl Debug for Strimzi {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Strimzi").field("site", self.site()).finish_non_exhaustive()
    }
}
