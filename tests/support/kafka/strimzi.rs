//! Strimzi's real definitions of its kinds, and a stand-in for its topic and user operators: it does to a
//! real broker what they do, by their rules. Strimzi's own operators are not to be had as a library.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams};
use kube::{Client, ResourceExt};
use microservice_operator::engine::kafka::{Broker, BrokerError, Direct, scram};
use microservice_operator::kafka::account::principal;
use microservice_operator::kafka::model::{ConfigChange, NewTopic, Topic};
use microservice_operator::kafka::strimzi::{TopicObject, UserObject};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::Kafka;
use crate::support::{Namespace, apply_as_given, eventually, suffix};

/// Name of the Kafka object.
pub const CLUSTER: &str = "main";
const PLURALS: [&str; 2] = ["kafkatopics", "kafkausers"];
const FINALIZER: &str = "strimzi.io/topic-operator";
const MANAGER: &str = "strimzi";
/// How often everything is looked at.
const PACE: Duration = Duration::from_millis(100);

/// Installs both kinds in this version and waits until they are served.
pub async fn install(client: &Client, version: &str) {
    let crds = Api::<CustomResourceDefinition>::all(client.clone());
    for plural in PLURALS {
        let path = super::tool("strimzi").join(version).join(format!("{plural}.yaml"));
        let text = std::fs::read_to_string(&path);
        let text = text.unwrap_or_else(|error| panic!("{}: {error}: run `make kafka-tools`", path.display()));
        let manifest: Value = serde_yaml::from_str(&text).expect("it is YAML");
        apply_as_given(client, &manifest).await;
        let name = format!("{plural}.kafka.strimzi.io");
        eventually(Duration::from_secs(20), &format!("{name} is served"), || async {
            let crd = crds.get(&name).await.map_err(|error| error.to_string())?;
            let conditions = crd.status.and_then(|status| status.conditions).unwrap_or_default();
            let established = conditions.iter().any(|c| c.type_ == "Established" && c.status == "True");
            if established { Ok(()) } else { Err(format!("{conditions:?}")) }
        })
        .await;
    }
}

/// Takes both kinds away with all their objects.
pub async fn remove(client: &Client) {
    let crds = Api::<CustomResourceDefinition>::all(client.clone());
    for plural in PLURALS {
        let name = format!("{plural}.kafka.strimzi.io");
        crds.delete(&name, &DeleteParams::default()).await.expect("a definition can be deleted");
        eventually(Duration::from_secs(20), &format!("{name} is gone"), || async {
            match crds.get_opt(&name).await {
                Ok(None) => Ok(()),
                Ok(Some(_)) => Err("it is still there".to_owned()),
                Err(error) => Err(error.to_string()),
            }
        })
        .await;
    }
}

/// Objects of one kind in this namespace.
pub fn objects(namespace: &Namespace, version: &str, kind: &str) -> Api<DynamicObject> {
    let resource = ApiResource {
        group: "kafka.strimzi.io".to_owned(),
        version: version.to_owned(),
        api_version: format!("kafka.strimzi.io/{version}"),
        kind: kind.to_owned(),
        plural: format!("{}s", kind.to_lowercase()),
    };
    Api::namespaced_with(namespace.client(), namespace.name(), &resource)
}

/// Both operators, in one namespace.
pub struct Strimzi {
    work: Arc<Work>,
    task: JoinHandle<()>,
}

struct Work {
    topics: Api<DynamicObject>,
    users: Api<DynamicObject>,
    secrets: Api<Secret>,
    broker: Direct,
    stopped: AtomicBool,
    silent: AtomicBool,
}

impl Strimzi {
    /// Begins.
    pub fn start(namespace: &Namespace, kafka: &Kafka, version: &str) -> Self {
        let work = Arc::new(Work {
            topics: objects(namespace, version, "KafkaTopic"),
            users: objects(namespace, version, "KafkaUser"),
            secrets: namespace.api(),
            broker: Direct::new(kafka.settings()),
            stopped: AtomicBool::new(false),
            silent: AtomicBool::new(false),
        });
        let task = tokio::spawn(Arc::clone(&work).run());
        Self { work, task }
    }

    /// Whether it does nothing at all.
    pub fn stop(&self, stopped: bool) {
        self.work.stopped.store(stopped, Ordering::SeqCst);
    }

    /// Whether it works and says nothing: statuses stay as they were.
    pub fn silence(&self, silent: bool) {
        self.work.silent.store(silent, Ordering::SeqCst);
    }
}

impl Drop for Strimzi {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Work {
    async fn run(self: Arc<Self>) {
        let mut known = BTreeSet::new();
        loop {
            tokio::time::sleep(PACE).await;
            if self.stopped.load(Ordering::SeqCst) {
                continue;
            }
            let mine = ListParams::default().labels(&format!("strimzi.io/cluster={CLUSTER}"));
            // Without its definitions it waits, as the real one does not even start.
            if let Ok(list) = self.topics.list(&mine).await {
                for object in list.items {
                    self.topic(object).await;
                }
            }
            if let Ok(list) = self.users.list(&mine).await {
                let names: BTreeSet<String> = list.items.iter().map(ResourceExt::name_any).collect();
                for gone in known.difference(&names) {
                    self.remove_user(gone).await;
                }
                known = names;
                for object in list.items {
                    self.user(object).await;
                }
            }
        }
    }

    async fn topic(&self, object: DynamicObject) {
        let value = serde_json::to_value(&object).expect("an object is JSON");
        let read = TopicObject::read(&value, "");
        let (name, finalizers) = (object.name_any(), object.finalizers().to_vec());
        let managed = object.annotations().get("strimzi.io/managed").is_none_or(|text| text != "false");
        if object.metadata.deletion_timestamp.is_some() {
            if managed {
                let _ = self.broker.delete(std::slice::from_ref(&read.topic)).await;
            }
            return self.finalizer(&self.topics, &name, &finalizers, false).await;
        }
        self.finalizer(&self.topics, &name, &finalizers, managed).await;
        if !managed {
            return self
                .say(&self.topics, &object, json!({"topicName": read.topic}), ("Unmanaged", "True", "", ""))
                .await;
        }
        match self.bring_in_line(&read).await {
            Ok(Some(topic)) => {
                let more = json!({"topicName": read.topic, "topicId": topic.id});
                self.say(&self.topics, &object, more, ("Ready", "True", "", "")).await;
            }
            Ok(None) => {}
            Err((reason, message)) => {
                self.say(&self.topics, &object, json!({}), ("Ready", "False", reason, &message)).await;
            }
        }
    }

    /// Whatever the object says, and nothing that it does not say.
    async fn bring_in_line(&self, object: &TopicObject) -> Result<Option<Topic>, (&'static str, String)> {
        let names = [object.topic.clone()];
        let Ok(mut found) = self.broker.describe(&names).await else { return Ok(None) };
        let spec = &object.spec;
        let topic = match found.remove(0) {
            Ok(topic) => topic,
            Err(BrokerError::Missing) => {
                let new = NewTopic {
                    name: object.topic.clone(),
                    partitions: spec.partitions,
                    replication_factor: spec.replicas,
                    config: spec.config.clone(),
                    ..NewTopic::default()
                };
                return done(self.broker.create(&[new], false).await);
            }
            Err(_) => return Ok(None),
        };
        if let Some(wanted) = spec.partitions.filter(|wanted| *wanted != topic.partitions) {
            if wanted < topic.partitions {
                return Err(("NotSupported", "Decreasing partitions not supported".to_owned()));
            }
            return done(self.broker.grow(&[(object.topic.clone(), wanted)]).await);
        }
        if spec.replicas.is_some_and(|wanted| wanted != topic.replication_factor) {
            return Err(("NotSupported", "Replication factor change not supported".to_owned()));
        }
        let set = spec.config.iter().filter(|(key, value)| topic.config.get(*key) != Some(value));
        let wiped = topic.config.keys().filter(|key| !spec.config.contains_key(*key));
        let keys: BTreeMap<String, Option<String>> = set
            .map(|(key, value)| (key.clone(), Some(value.clone())))
            .chain(wiped.map(|key| (key.clone(), None)))
            .collect();
        if keys.is_empty() {
            return Ok(Some(topic));
        }
        done(self.broker.alter(&[ConfigChange { topic: object.topic.clone(), keys }]).await)
    }

    async fn user(&self, object: DynamicObject) {
        let value = serde_json::to_value(&object).expect("an object is JSON");
        let (name, read) = (object.name_any(), UserObject::read(&value, ""));
        if read.spec.scram {
            let known = match self.secrets.get_opt(&name).await {
                Ok(secret) => secret.and_then(|secret| secret.data?.remove("password")),
                Err(_) => return,
            };
            let known = known.and_then(|password| String::from_utf8(password.0).ok());
            let names = [name.clone()];
            let Ok(there) = self.broker.users(&names).await else { return };
            if known.is_none() || there.is_empty() {
                // A password that is in the Secret is used again.
                let password = known.unwrap_or_else(|| format!("strimzi-{}-{}", suffix(), suffix()));
                let credential = scram(&name, &password, &[5; 16]);
                if !matches!(self.broker.set_users(&[credential]).await.as_deref(), Ok([Ok(())])) {
                    return;
                }
                self.write_secret(&object, &name, &password).await;
            }
        }
        if let Some(wanted) = &read.spec.acls {
            let Ok(have) = self.broker.acls(&principal(&name)).await else { return };
            let lost: Vec<_> = have.difference(wanted).cloned().collect();
            let new: Vec<_> = wanted.difference(&have).cloned().collect();
            if self.broker.revoke(&lost).await.is_err() || self.broker.allow(&new).await.is_err() {
                return;
            }
        }
        self.say(&self.users, &object, json!({"username": name, "secret": name}), ("Ready", "True", "", ""))
            .await;
    }

    async fn write_secret(&self, user: &DynamicObject, name: &str, password: &str) {
        let jaas = format!(
            "org.apache.kafka.common.security.scram.ScramLoginModule required username=\"{name}\" password=\"{password}\";"
        );
        let types = user.types.clone().expect("it says its type");
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret",
            "metadata": {
                "name": name,
                "labels": user.labels(),
                "ownerReferences": [{
                    "apiVersion": types.api_version, "kind": types.kind, "name": name, "uid": user.uid(),
                }],
            },
            "stringData": {"password": password, "sasl.jaas.config": jaas},
        });
        let _ = self.secrets.patch(name, &PatchParams::apply(MANAGER).force(), &Patch::Apply(&secret)).await;
    }

    async fn remove_user(&self, name: &str) {
        let have = self.broker.acls(&principal(name)).await.unwrap_or_default();
        let _ = self.broker.revoke(&Vec::from_iter(have)).await;
        let _ = self.broker.remove_users(&[name.to_owned()]).await;
    }

    async fn finalizer(&self, api: &Api<DynamicObject>, name: &str, present: &[String], wanted: bool) {
        if present.iter().any(|finalizer| finalizer == FINALIZER) != wanted {
            let finalizers: Vec<&str> = if wanted { vec![FINALIZER] } else { vec![] };
            let params = PatchParams { field_manager: Some(MANAGER.to_owned()), ..Default::default() };
            let patch = Patch::Merge(json!({"metadata": {"finalizers": finalizers}}));
            // One that has gone needs none.
            let _ = api.patch(name, &params, &patch).await;
        }
    }

    /// Writes a status, if it is another one.
    async fn say(
        &self,
        api: &Api<DynamicObject>,
        object: &DynamicObject,
        more: Value,
        condition: (&str, &str, &str, &str),
    ) {
        if self.silent.load(Ordering::SeqCst) {
            return;
        }
        let (kind, status, reason, message) = condition;
        let mut wanted = more;
        wanted["observedGeneration"] = json!(object.metadata.generation);
        wanted["conditions"] = json!([{
            "type": kind, "status": status, "reason": reason, "message": message,
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        }]);
        let same = wanted
            .as_object()
            .expect("it is one")
            .iter()
            .all(|(key, value)| object.data["status"][key] == *value);
        if !same {
            let params = PatchParams { field_manager: Some(MANAGER.to_owned()), ..Default::default() };
            let patch = Patch::Merge(json!({"status": wanted}));
            let _ = api.patch_status(&object.name_any(), &params, &patch).await;
        }
    }
}

/// What Kafka's answer is in the words of the operator; the result is seen the next time.
fn done(
    answer: Result<Vec<Result<(), BrokerError>>, BrokerError>,
) -> Result<Option<Topic>, (&'static str, String)> {
    let exception = |error: &BrokerError| match error {
        BrokerError::InvalidReplication(_) => "InvalidReplicationFactorException",
        BrokerError::InvalidConfig(_) => "InvalidConfigurationException",
        BrokerError::PolicyViolation(_) => "PolicyViolationException",
        BrokerError::InvalidName(_) => "InvalidTopicException",
        _ => "KafkaException",
    };
    match answer.map(|mut results| results.remove(0)) {
        Ok(Err(error)) => {
            Err(("KafkaError", format!("org.apache.kafka.common.errors.{}: {error}", exception(&error))))
        }
        Ok(Ok(())) | Err(_) => Ok(None),
    }
}
