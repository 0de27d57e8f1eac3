//! Many services with topics and logins whose specs change, and what cluster and broker have to have then.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::events::v1::Event;
use krafka::admin::ListTopicsOptions;
use kube::api::{Api, ListParams};
use kube::{Resource, ResourceExt};
use microservice_operator::api::Microservice;
use microservice_operator::engine::kafka::Broker;
use microservice_operator::kafka::model::{Acl, Operation, Pattern, ResourceType};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::shop::{Shop, is_true};
use crate::support::{Kafka, Namespace, Proxy};

/// How many services there are at first.
const SIZE: usize = 30;
/// So many of them never change.
const STILL: usize = 10;

/// What a service declares.
#[derive(Clone, Default)]
struct Lines {
    /// Its own topics, with their partitions.
    topics: BTreeMap<String, i32>,
    consumes: BTreeSet<String>,
}

impl Lines {
    fn spec(&self) -> Value {
        let topic = |(name, partitions): (&String, &i32)| json!({"name": name, "partitions": partitions});
        let topics: Vec<Value> = self.topics.iter().map(topic).collect();
        let consumes: Vec<Value> = self.consumes.iter().map(|topic| json!({"topic": topic})).collect();
        json!({"topics": topics, "consumes": consumes})
    }
}

/// The services, and what has become of their topics.
pub struct Fleet<'a> {
    shop: &'a Shop,
    /// The namespace's name, which all names on the broker begin with.
    namespace: String,
    services: BTreeMap<String, Lines>,
    /// Topics whose line was removed: they stay.
    retained: BTreeMap<String, i32>,
    /// Services that got or lost a line, so that their pods read something else.
    touched: BTreeSet<String>,
    /// The topic that is declared for a moment now, and who declares it.
    fleeting: Option<(String, String)>,
    /// All that were.
    withdrawn: BTreeSet<String>,
}

fn service(number: usize) -> String {
    format!("s{number:02}")
}

impl<'a> Fleet<'a> {
    /// Applies the services.
    pub async fn open(shop: &'a Shop) -> Self {
        let mut fleet = Self {
            shop,
            namespace: shop.namespace.name().to_owned(),
            services: BTreeMap::new(),
            retained: BTreeMap::new(),
            touched: BTreeSet::new(),
            fleeting: None,
            withdrawn: BTreeSet::new(),
        };
        for number in 0..SIZE {
            let name = service(number);
            let partitions = i32::try_from(number % 3).expect("it is small") + 1;
            let topics = [(format!("{name}-a"), partitions), (format!("{name}-b"), 1)];
            fleet.edit(&name, |lines| lines.topics.extend(topics)).await;
        }
        fleet
    }

    async fn edit(&mut self, service: &str, change: impl FnOnce(&mut Lines)) {
        let lines = self.services.entry(service.to_owned()).or_default();
        change(lines);
        self.shop.service(service, lines.spec()).await;
    }

    /// Makes one change: a topic more, more partitions, a line less, a service more, a consumer more, or
    /// a topic that is declared for a moment only.
    pub async fn change(&mut self, number: usize) {
        let changing = |number: usize| service(STILL + number % (SIZE - STILL));
        let name = changing(number);
        match number % 6 {
            0 => {
                let topic = format!("{name}-added");
                self.edit(&name, |lines| _ = lines.topics.insert(topic, 3)).await;
            }
            1 => {
                for name in [name, changing(number.saturating_sub(6))] {
                    let topic = format!("{name}-a");
                    self.edit(&name, |lines| {
                        *lines.topics.get_mut(&topic).expect("it is declared") += 1;
                    })
                    .await;
                }
                return;
            }
            2 => {
                let topic = format!("{name}-b");
                self.edit(&name, |lines| _ = lines.topics.remove(&topic)).await;
                self.retained.insert(topic, 1);
            }
            3 => {
                let name = format!("n{number:02}");
                let (topic, consumes) = (format!("{name}-a"), format!("{}-a", service(0)));
                let own = |lines: &mut Lines| {
                    lines.topics.insert(topic, 2);
                    lines.consumes.insert(consumes);
                };
                self.edit(&name, own).await;
            }
            4 => {
                let topic = format!("{}-a", service(number % STILL));
                self.edit(&name, |lines| _ = lines.consumes.insert(topic)).await;
            }
            _ => {
                self.withdraw().await;
                let topic = format!("{name}-fleeting");
                self.edit(&name, |lines| _ = lines.topics.insert(topic.clone(), 1)).await;
                self.fleeting = Some((name.clone(), topic));
            }
        }
        self.touched.insert(name);
    }

    /// Takes the line for the topic of a moment away.
    pub async fn withdraw(&mut self) {
        if let Some((name, topic)) = self.fleeting.take() {
            self.edit(&name, |lines| _ = lines.topics.remove(&topic)).await;
            self.withdrawn.insert(topic);
        }
    }

    /// Those whose pods have nothing to do with what was changed.
    pub fn untouched(&self) -> Vec<String> {
        (0..SIZE).map(service).filter(|name| !self.touched.contains(name)).collect()
    }

    /// Services that came later, each with a topic of its own.
    pub fn newcomers(&self) -> Vec<(String, String)> {
        let new = self.services.iter().filter(|(name, _)| name.starts_with('n'));
        new.filter_map(|(name, lines)| Some((name.clone(), lines.topics.keys().next()?.clone()))).collect()
    }

    fn user(&self, service: &str) -> String {
        self.shop.user(service, 'a')
    }

    /// The topics that have to be on the broker, no more and no less, each with its partitions.
    fn topics(&self) -> BTreeMap<String, i32> {
        let declared = self.services.values().flat_map(|lines| &lines.topics);
        declared.chain(&self.retained).map(|(topic, count)| (self.shop.name(topic), *count)).collect()
    }

    /// The ACLs that have to be there, likewise.
    fn acls(&self) -> BTreeSet<Acl> {
        let mut acls = BTreeSet::new();
        for (service, lines) in &self.services {
            let acl = |resource, name: &str, operation| Acl {
                principal: format!("User:{}", self.user(service)),
                resource,
                name: format!("{}.{name}", self.namespace),
                pattern: Pattern::Literal,
                operation,
                allow: true,
                host: "*".to_owned(),
            };
            for topic in lines.topics.keys() {
                acls.extend(
                    [Operation::Write, Operation::Describe].map(|o| acl(ResourceType::Topic, topic, o)),
                );
            }
            for topic in &lines.consumes {
                acls.extend(
                    [Operation::Read, Operation::Describe].map(|o| acl(ResourceType::Topic, topic, o)),
                );
                acls.insert(acl(ResourceType::Group, service, Operation::Read));
            }
        }
        acls
    }

    /// Whether broker and status are as declared, and nothing else is there.
    pub async fn arrived(&self, kafka: &Kafka) -> Result<(), String> {
        let ids = self.is_on(kafka).await?;
        self.is_told(&ids).await
    }

    /// Whether topics, ACLs and users of the broker are as declared. Returns the ids of the topics.
    pub async fn is_on(&self, kafka: &Kafka) -> Result<BTreeMap<String, String>, String> {
        let ids = self.topics_are_there(kafka).await?;
        let acls = self.shop.broker.all_acls().await.map_err(|error| error.to_string())?;
        same("ACLs", &self.acls(), &acls)?;
        let either = |slot| self.services.keys().map(move |name| self.shop.user(name, slot));
        let users: Vec<String> = either('a').chain(either('b')).collect();
        let users = self.shop.broker.users(&users).await.map_err(|error| error.to_string())?;
        same("users", &self.services.keys().map(|name| self.user(name)).collect(), &users)?;
        Ok(ids)
    }

    async fn topics_are_there(&self, kafka: &Kafka) -> Result<BTreeMap<String, String>, String> {
        let text = |error: krafka::KrafkaError| error.to_string();
        let admin = kafka.client().await.map_err(text)?.admin();
        let names = admin.list_topics(ListTopicsOptions::default()).await.map_err(text)?;
        let topics = self.shop.broker.describe(&names).await.map_err(|error| error.to_string())?;
        let topics: Result<Vec<_>, _> = topics.into_iter().collect();
        let topics = topics.map_err(|error| error.to_string())?;
        let wanted: BTreeSet<_> = self.topics().into_iter().collect();
        same(
            "topics",
            &wanted,
            &topics.iter().map(|topic| (topic.name.clone(), topic.partitions)).collect(),
        )?;
        Ok(topics.into_iter().map(|topic| (topic.name, topic.id)).collect())
    }

    /// Whether every service is ready and its status tells of exactly its topics.
    async fn is_told(&self, ids: &BTreeMap<String, String>) -> Result<(), String> {
        let all = self.shop.namespace.api::<Microservice>().list(&ListParams::default()).await;
        for object in all.map_err(|error| error.to_string())?.items {
            let name = object.name_any();
            let status = object.status.as_ref().ok_or(format!("{name} has no status"))?;
            if status.observed_generation != object.metadata.generation {
                return Err(format!("{name} was not looked at yet"));
            }
            for kind in ["Ready", "TopicsReady", "KafkaAccessReady"] {
                if !is_true(&object, kind) {
                    return Err(format!("{name} is not {kind}: {:?}", status.conditions));
                }
            }
            let entry = |(topic, count): (&String, &i32)| {
                (topic.clone(), Some(*count), ids.get(&self.shop.name(topic)).cloned())
            };
            let wanted = self.services[&name].topics.iter().map(entry).collect();
            let told =
                status.topics.iter().map(|topic| (topic.name.clone(), topic.partitions, topic.id.clone()));
            same(&format!("topics in the status of {name}"), &wanted, &told.collect())?;
        }
        Ok(())
    }

    /// Each topic was asked for once in its life, and no other; what lost its line is let go and stays.
    pub async fn each_was_made_once(&self, proxy: &Proxy) {
        for topic in self.topics().keys() {
            assert_eq!(proxy.creations(topic), 1, "{topic}");
        }
        assert!(self.withdrawn.len() > 3, "{:?}", self.withdrawn);
        for topic in &self.withdrawn {
            assert_eq!(proxy.creations(&self.shop.name(topic)), 0, "{topic}");
        }
        for topic in self.retained.keys() {
            let record = self.shop.record(topic).await.expect("it is recorded");
            assert!(record.released && record.created, "{topic}: {record:?}");
        }
        let events = self.shop.namespace.api::<Event>().list(&ListParams::default()).await;
        for event in events.expect("Events can be listed").items {
            let reason = event.reason.clone().unwrap_or_default();
            assert!(
                !["TopicRecreated", "TopicReplaced", "AclsRepaired"].contains(&reason.as_str()),
                "{event:?}"
            );
        }
    }
}

/// What is missing and what is too much.
fn same<T: Ord + Debug>(what: &str, wanted: &BTreeSet<T>, seen: &BTreeSet<T>) -> Result<(), String> {
    let missing: Vec<&T> = wanted.difference(seen).collect();
    let extra: Vec<&T> = seen.difference(wanted).collect();
    if missing.is_empty() && extra.is_empty() {
        Ok(())
    } else {
        Err(format!("{what}: {missing:?} are missing, {extra:?} are too much"))
    }
}

/// Of each service what runs it: Deployment, ReplicaSets and pods, each with its generation.
pub async fn workloads(namespace: &Namespace) -> BTreeMap<String, BTreeSet<String>> {
    let mut all = BTreeMap::<String, BTreeSet<String>>::new();
    let seen = [
        seen::<Deployment>(namespace).await,
        seen::<ReplicaSet>(namespace).await,
        seen::<Pod>(namespace).await,
    ];
    for (service, what) in seen.into_iter().flatten() {
        all.entry(service).or_default().insert(what);
    }
    assert!(all.values().all(|parts| parts.len() >= 3), "{all:?}");
    all
}

async fn seen<K>(namespace: &Namespace) -> Vec<(String, String)>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + DeserializeOwned + Debug,
{
    let api: Api<K> = namespace.api();
    let objects = api.list(&ListParams::default()).await.expect("it can be listed").items;
    let one = |object: K| {
        let service = object.labels().get("microservice.dev/name")?.clone();
        let (name, uid, generation) = (object.name_any(), object.uid(), object.meta().generation);
        Some((service, format!("{} {name} {uid:?} {generation:?}", K::kind(&()))))
    };
    objects.into_iter().filter_map(one).collect()
}
