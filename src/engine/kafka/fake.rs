//! A broker and an API server of ConfigMaps in memory, for what no real one does on demand: answers that
//! are lost, others that write at the same moment.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};

use http::{Method, Request, Response, StatusCode};
use http_body_util::BodyExt;
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};

use super::{Answer, Broker, BrokerError, Credential, Results, ScramCredential};
use crate::kafka::ledger;
use crate::kafka::model::{Acl, ConfigChange, Group, NewTopic, Topic};

/// A broker in memory.
#[derive(Debug, Default)]
pub struct FakeBroker(Mutex<Cluster>);

/// What it holds.
#[derive(Debug, Default)]
pub struct Cluster {
    pub topics: BTreeMap<String, Topic>,
    pub groups: Vec<Group>,
    /// Every call with the names in it, in order.
    pub calls: Vec<String>,
    /// Answers to the next items of creations, instead of those that follow from what is there. `true` =
    /// it happens nevertheless.
    pub creations: VecDeque<(BrokerError, bool)>,
    /// What somebody else makes immediately before the next item of a creation.
    pub overtakes: Option<NewTopic>,
    /// Answers to the next who ask for groups, instead of those that there are.
    pub no_groups: VecDeque<Option<BrokerError>>,
    /// What takes the place of a topic while groups are asked for.
    pub replaced: Option<Topic>,
    /// So many descriptions do not show what was created since.
    pub blind: usize,
    /// Salted passwords by user.
    pub users: BTreeMap<String, Vec<u8>>,
    pub acls: BTreeSet<Acl>,
    /// The answer to whoever asks for ACLs.
    pub no_acls: Option<BrokerError>,
    pub refuse_logins: bool,
    hidden: BTreeSet<String>,
    made: usize,
}

impl FakeBroker {
    pub fn cluster(&self) -> MutexGuard<'_, Cluster> {
        self.0.lock().unwrap()
    }

    /// The calls since the last time.
    pub fn calls(&self) -> Vec<String> {
        std::mem::take(&mut self.cluster().calls)
    }
}

impl Cluster {
    fn called<'a>(&mut self, call: &str, names: impl Iterator<Item = &'a String>) {
        let names: Vec<&str> = names.map(String::as_str).collect();
        self.calls.push(format!("{call} {}", names.join(" ")));
    }

    fn make(&mut self, new: &NewTopic) {
        self.made += 1;
        let topic = Topic {
            name: new.name.clone(),
            id: format!("id{}", self.made),
            partitions: new.partitions.unwrap_or(2),
            replication_factor: 1,
            config: new.config.clone(),
        };
        self.hidden.insert(new.name.clone());
        self.topics.insert(new.name.clone(), topic);
    }

    fn create(&mut self, new: &NewTopic) -> Result<(), BrokerError> {
        if let Some(faster) = self.overtakes.take() {
            self.make(&faster);
        }
        if let Some((error, happens)) = self.creations.pop_front() {
            if happens {
                self.make(new);
            }
            return Err(error);
        }
        if self.topics.contains_key(&new.name) {
            return Err(BrokerError::Exists);
        }
        if new.replication_factor.is_some_and(|factor| factor > 1) {
            return Err(BrokerError::InvalidReplication("one broker".into()));
        }
        self.make(new);
        Ok(())
    }
}

fn ready<T: Send + 'static>(answer: T) -> Answer<'static, T> {
    Box::pin(std::future::ready(Ok(answer)))
}

impl Broker for FakeBroker {
    fn cluster_id(&self) -> Answer<'_, String> {
        ready("cluster".to_owned())
    }

    fn describe<'a>(&'a self, topics: &'a [String]) -> Answer<'a, Results<Topic>> {
        let mut cluster = self.cluster();
        cluster.called("describe", topics.iter());
        let blind = cluster.blind > 0;
        cluster.blind = cluster.blind.saturating_sub(1);
        if !blind {
            cluster.hidden.clear();
        }
        let find = |name: &String| {
            let visible = !cluster.hidden.contains(name);
            cluster.topics.get(name).filter(|_| visible).cloned().ok_or(BrokerError::Missing)
        };
        ready(topics.iter().map(find).collect())
    }

    fn create<'a>(&'a self, topics: &'a [NewTopic], validate_only: bool) -> Answer<'a, Results<()>> {
        let mut cluster = self.cluster();
        cluster.called(if validate_only { "validate" } else { "create" }, topics.iter().map(|t| &t.name));
        if validate_only {
            let judge = |new: &NewTopic| match new.replication_factor {
                Some(2..) => Err(BrokerError::InvalidReplication("one broker".into())),
                _ => Ok(()),
            };
            return ready(topics.iter().map(judge).collect());
        }
        ready(topics.iter().map(|new| cluster.create(new)).collect())
    }

    fn grow<'a>(&'a self, topics: &'a [(String, i32)]) -> Answer<'a, Results<()>> {
        let mut cluster = self.cluster();
        cluster.called("grow", topics.iter().map(|(name, _)| name));
        for (name, total) in topics {
            cluster.topics.get_mut(name).unwrap().partitions = *total;
        }
        ready(topics.iter().map(|_| Ok(())).collect())
    }

    fn alter<'a>(&'a self, changes: &'a [ConfigChange]) -> Answer<'a, Results<()>> {
        let mut cluster = self.cluster();
        cluster.called("alter", changes.iter().map(|change| &change.topic));
        let mut alter = |change: &ConfigChange| {
            if change.keys.values().flatten().any(|value| value == "bad") {
                return Err(BrokerError::InvalidConfig("bad is no value".into()));
            }
            let config = &mut cluster.topics.get_mut(&change.topic).unwrap().config;
            for (key, value) in &change.keys {
                match value {
                    Some(value) => drop(config.insert(key.clone(), value.clone())),
                    None => drop(config.remove(key)),
                }
            }
            Ok(())
        };
        ready(changes.iter().map(&mut alter).collect())
    }

    fn delete<'a>(&'a self, topics: &'a [String]) -> Answer<'a, Results<()>> {
        let mut cluster = self.cluster();
        cluster.called("delete", topics.iter());
        let gone =
            topics.iter().map(|name| cluster.topics.remove(name).map(drop).ok_or(BrokerError::Missing));
        ready(gone.collect())
    }

    fn groups<'a>(&'a self, _: &'a str) -> Answer<'a, Vec<Group>> {
        let mut cluster = self.cluster();
        if let Some(topic) = cluster.replaced.take() {
            cluster.topics.insert(topic.name.clone(), topic);
        }
        let refused = cluster.no_groups.pop_front().flatten();
        let answer = refused.map_or_else(|| Ok(cluster.groups.clone()), Err);
        Box::pin(std::future::ready(answer))
    }

    fn acls<'a>(&'a self, principal: &'a str) -> Answer<'a, BTreeSet<Acl>> {
        let cluster = self.cluster();
        let answer = match &cluster.no_acls {
            Some(error) => Err(error.clone()),
            None => Ok(cluster.acls.iter().filter(|acl| acl.principal == principal).cloned().collect()),
        };
        Box::pin(std::future::ready(answer))
    }

    fn all_acls(&self) -> Answer<'_, BTreeSet<Acl>> {
        ready(self.cluster().acls.clone())
    }

    fn allow<'a>(&'a self, acls: &'a [Acl]) -> Answer<'a, Results<()>> {
        let mut cluster = self.cluster();
        cluster.called("allow", acls.iter().map(|acl| &acl.principal));
        cluster.acls.extend(acls.iter().cloned());
        ready(acls.iter().map(|_| Ok(())).collect())
    }

    fn revoke<'a>(&'a self, acls: &'a [Acl]) -> Answer<'a, Results<()>> {
        let mut cluster = self.cluster();
        cluster.called("revoke", acls.iter().map(|acl| &acl.principal));
        cluster.acls.retain(|acl| !acls.contains(acl));
        ready(acls.iter().map(|_| Ok(())).collect())
    }

    fn users<'a>(&'a self, names: &'a [String]) -> Answer<'a, BTreeSet<String>> {
        let cluster = self.cluster();
        ready(names.iter().filter(|name| cluster.users.contains_key(*name)).cloned().collect())
    }

    fn set_users<'a>(&'a self, credentials: &'a [ScramCredential]) -> Answer<'a, Results<()>> {
        let mut cluster = self.cluster();
        cluster.called("set", credentials.iter().map(|credential| &credential.user));
        for credential in credentials {
            cluster.users.insert(credential.user.clone(), credential.salted_password.clone());
        }
        ready(credentials.iter().map(|_| Ok(())).collect())
    }

    fn remove_users<'a>(&'a self, names: &'a [String]) -> Answer<'a, Results<()>> {
        let mut cluster = self.cluster();
        cluster.called("remove", names.iter());
        let gone = names.iter().map(|name| cluster.users.remove(name).map(drop).ok_or(BrokerError::Missing));
        ready(gone.collect())
    }

    fn log_in<'a>(&'a self, credential: &'a Credential) -> Answer<'a, ()> {
        let mut cluster = self.cluster();
        cluster.called("log_in", std::iter::once(&credential.user));
        let refused = cluster.refuse_logins || !cluster.users.contains_key(&credential.user);
        let answer = if refused { Err(BrokerError::LoginRefused("no".into())) } else { Ok(()) };
        Box::pin(std::future::ready(answer))
    }
}

/// The ConfigMaps of one namespace, by name.
#[derive(Clone, Debug, Default)]
pub struct FakeMaps(Arc<Mutex<Maps>>);

/// What it holds.
#[derive(Debug, Default)]
pub struct Maps {
    pub objects: BTreeMap<String, Value>,
    /// Number of writes that were accepted.
    pub writes: usize,
    /// Answers to the next writes, instead of storing them.
    pub refuse: VecDeque<u16>,
    version: u64,
}

impl FakeMaps {
    pub fn maps(&self) -> MutexGuard<'_, Maps> {
        self.0.lock().unwrap()
    }

    /// A client whose server this is.
    pub fn client(&self) -> Client {
        let maps = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let maps = maps.clone();
            async move {
                let (parts, body) = request.into_parts();
                let body = body.collect().await?.to_bytes();
                let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
                let name = parts.uri.path().rsplit('/').next().unwrap_or_default().to_owned();
                let query = parts.uri.query().unwrap_or_default();
                let (code, answer) = maps.maps().answer(&parts.method, &name, query, body);
                let status = StatusCode::from_u16(code).unwrap();
                let body = Body::from(answer.to_string().into_bytes());
                Ok::<_, tower::BoxError>(Response::builder().status(status).body(body)?)
            }
        });
        Client::new(service, "operator")
    }
}

impl Maps {
    fn answer(&mut self, method: &Method, name: &str, query: &str, body: Value) -> (u16, Value) {
        if *method == Method::GET {
            // The selector is one label, and its value is a word.
            let kind = |map: &Value| map["metadata"]["labels"][ledger::LABEL].as_str().map(str::to_owned);
            let selected = |map: &&Value| kind(map).is_none_or(|kind| query.contains(&format!("%3D{kind}")));
            let items: Vec<&Value> = self.objects.values().filter(selected).collect();
            return (
                200,
                json!({"apiVersion": "v1", "kind": "ConfigMapList", "metadata": {}, "items": items}),
            );
        }
        if let Some(code) = self.refuse.pop_front() {
            return failure(code);
        }
        let stored = if *method == Method::POST {
            let name = body["metadata"]["name"].as_str().unwrap_or_default().to_owned();
            if self.objects.contains_key(&name) {
                return failure(409);
            }
            self.objects.entry(name).or_insert(body)
        } else {
            let Some(object) = self.objects.get_mut(name) else { return failure(404) };
            if object["metadata"]["resourceVersion"] != body["metadata"]["resourceVersion"] {
                return failure(409);
            }
            json_patch::merge(object, &body);
            object
        };
        self.version += 1;
        self.writes += 1;
        stored["metadata"]["resourceVersion"] = json!(self.version.to_string());
        (200, stored.clone())
    }
}

fn failure(code: u16) -> (u16, Value) {
    (code, json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": "no", "code": code}))
}
