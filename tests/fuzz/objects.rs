//! Objects and other JSON of the API server, decoded as the watches do it, and what is made of them.

use std::collections::BTreeMap;

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Secret};
use kube::api::{ObjectList, PartialObjectMeta, WatchEvent};
use kube::core::DeserializeGuard;
use microservice_operator::api::{Microservice, MicroserviceClass};
use microservice_operator::cli::Inputs;
use microservice_operator::engine::managed_fields::{Verdict, entries, taken_over};
use microservice_operator::engine::seen::{Root, Seen};
use microservice_operator::engine::world::ServicePod;
use microservice_operator::graph::{Policies, Service, System, findings};
use microservice_operator::intent::{Intent, Observed, class_violations};
use microservice_operator::kafka::ledger::{Record, key, records, value};
use microservice_operator::kafka::strimzi::{TopicObject, UserObject};
use microservice_operator::kafka::{account, topic};
use microservice_operator::plan::plan;
use microservice_operator::status::causes;
use microservice_operator::status::views::{DeploymentView, PodView};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use serde_json::{Value, from_slice, from_str, to_string};

/// Some time.
const NOW: i64 = 1_800_000_000;

/// What is written is read as the same.
fn round_trip<T: Serialize + DeserializeOwned>(object: &T) {
    let text = to_string(object).expect("an object can be written");
    let again: T = from_str(&text).expect("what was written can be read");
    assert_eq!(text, to_string(&again).unwrap());
}

/// A Microservice that the schema would refuse, for example an old one, is judged or planned.
pub fn microservice(input: &[u8]) -> bool {
    let Ok(root) = from_slice::<Root>(input) else { return false };
    let Ok(object) = root.into_result() else { return false };
    round_trip(&object);
    let mut inputs = Inputs::default();
    inputs.add_live(serde_json::to_value(&object).unwrap());
    inputs.meet(&object, false);
    for observed in [Observed::default(), inputs.observed(&object)] {
        planned(&object, None, &observed);
    }
    true
}

fn planned(object: &Microservice, class: Option<&MicroserviceClass>, observed: &Observed) {
    let Ok(intent) = Intent::resolve(object, class, observed) else { return };
    for child in plan(&intent).children {
        assert_eq!(child.body.value()["metadata"]["name"], child.name.as_str(), "{}", child.body.text());
    }
    findings(&System::new([Service::from(&intent)]), &Policies::default());
}

/// A class is judged, and services are planned with it.
pub fn class(input: &[u8]) -> bool {
    let Ok(DeserializeGuard(Ok(class))) = from_slice::<DeserializeGuard<MicroserviceClass>>(input) else {
        return false;
    };
    round_trip(&class);
    class_violations(&class);
    let mut object = Microservice::new("orders", Default::default());
    object.metadata.namespace = Some("shop".to_owned());
    object.spec.image = "orders:v1".to_owned();
    object.spec.kafka = Some(Default::default());
    planned(&object, Some(&class), &Observed::default());
    true
}

pub fn child(input: &[u8]) -> bool {
    let Ok(seen) = from_slice::<Seen<()>>(input) else { return false };
    let version = seen.object.head().resource_version.clone();
    let live = seen.object.judge();
    assert_eq!(live.resource_version, version);
    assert!(!live.in_sync("", None));
    let _ = (live.claimed_by(), live.belongs("uid", "orders", None));
    true
}

pub fn deployment(input: &[u8]) -> bool {
    let Ok(seen) = from_slice::<Seen<DeploymentView>>(input) else { return false };
    told(&seen.view, &[]);
    true
}

pub fn pod(input: &[u8]) -> bool {
    let Ok(seen) = from_slice::<Seen<Option<ServicePod>>>(input) else { return false };
    if let Some(pod) = seen.view {
        causes::is_silent(&pod.view, NOW);
        told(&DeploymentView::default(), &[pod.view]);
    }
    true
}

fn told(deployment: &DeploymentView, pods: &[PodView]) {
    let object = Microservice::new("orders", Default::default());
    let template = causes::Template { object: &object, intent: None };
    causes::root_cause(deployment, pods, &template, NOW);
    causes::unexplained(pods);
}

/// The entries are written as they were read, and what was taken over once is all that there is.
pub fn managed_fields(input: &[u8]) -> bool {
    let Ok(text) = from_slice::<Box<RawValue>>(input) else { return false };
    let read = entries(Some(&text));
    let again = RawValue::from_string(to_string(&read).expect("entries can be written")).unwrap();
    assert_eq!(Verdict::of(&entries(Some(&again))), Verdict::of(&read));
    let taken = taken_over(&read);
    assert!(taken.is_some() || !Verdict::of(&read).tampered, "what is tampered with cannot be taken over");
    if let Some(taken) = taken {
        assert!(taken_over(&taken).is_none());
        assert!(!Verdict::of(&taken).tampered);
    }
    !read.is_empty()
}

pub fn whole(input: &[u8]) -> bool {
    let secret = from_slice::<Secret>(input).inspect(round_trip).is_ok();
    let map = from_slice::<ConfigMap>(input).inspect(round_trip).is_ok();
    let lease = from_slice::<Lease>(input).inspect(round_trip).is_ok();
    secret || map || lease
}

pub fn page(input: &[u8]) -> bool {
    let roots = from_slice::<ObjectList<Root>>(input).map(|page| page.items);
    let children = from_slice::<ObjectList<Seen<()>>>(input);
    let deployments = from_slice::<ObjectList<Seen<DeploymentView>>>(input);
    let pods = from_slice::<ObjectList<Seen<Option<ServicePod>>>>(input);
    let read = roots.is_ok() || children.is_ok() || deployments.is_ok() || pods.is_ok();
    roots.into_iter().flatten().for_each(|root| drop(root.into_result()));
    children.into_iter().flatten().for_each(|seen| drop(seen.object.judge()));
    read
}

/// The object as a watch tells of it: the server writes the type first.
pub fn event(input: &[u8]) -> bool {
    let object = String::from_utf8_lossy(input);
    let read = ["ADDED", "DELETED", "BOOKMARK", "ERROR"].map(|kind| {
        let line = format!("{{\"type\":\"{kind}\",\"object\":{object}}}");
        let root = from_str::<WatchEvent<Root>>(&line).is_ok();
        let child = from_str::<WatchEvent<Seen<()>>>(&line).is_ok();
        let namespace = from_str::<WatchEvent<PartialObjectMeta<Namespace>>>(&line).is_ok();
        root || child || namespace
    });
    read.contains(&true)
}

/// A record that can be read is written as it was; one that cannot be read is told.
pub fn ledger(input: &[u8]) -> bool {
    let Ok(data) = from_slice::<BTreeMap<String, Value>>(input) else { return false };
    let data = data.into_iter().map(|(key, value)| (key, value.to_string())).collect();
    let (topics, logins) = (kept::<topic::Recorded>(&data), kept::<account::Recorded>(&data));
    topics + logins > 0
}

fn kept<R: Record>(data: &BTreeMap<String, String>) -> usize {
    let (read, unreadable) = records::<R>(data);
    let ours = data.keys().filter(|key| key.starts_with(R::PREFIX)).count();
    assert_eq!(read.len() + unreadable.len(), ours);
    let written = read.iter().map(|(name, record)| (key::<R>(name), value(record))).collect();
    assert_eq!(records::<R>(&written), (read.clone(), Vec::new()));
    read.len()
}

pub fn strimzi(input: &[u8]) -> bool {
    let Ok(object) = from_slice::<Value>(input) else { return false };
    let topic = TopicObject::read(&object, "microservice-system");
    topic.said.progress(&topic.head);
    topic.as_topic();
    let user = UserObject::read(&object, "microservice-system");
    assert_eq!(user.head, topic.head);
    true
}
