//! What all children have in common: labels, owner, plan hash.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::{Map, Value};

use crate::api::names;
use crate::api::{ANNOTATION_PLAN_HASH, LABEL_NAME, MANAGED_BY};
use crate::intent::Intent;

/// The selector of Deployment, Service and PodDisruptionBudget: one label, frozen for life.
pub fn selector(intent: &Intent) -> BTreeMap<String, String> {
    BTreeMap::from([(LABEL_NAME.to_owned(), intent.name.clone())])
}

/// Labels of every child and of the pods.
pub fn labels(intent: &Intent) -> BTreeMap<String, String> {
    let mut labels = selector(intent);
    let mut add = |key: &str, value: &str| labels.insert(key.to_owned(), value.to_owned());
    add("app", &intent.name);
    add("app.kubernetes.io/name", &intent.name);
    add("app.kubernetes.io/instance", &intent.name);
    add("app.kubernetes.io/managed-by", MANAGED_BY);
    if let Some(version) = &intent.version {
        add("app.kubernetes.io/version", version);
    }
    if let Some(part_of) = &intent.part_of {
        add("app.kubernetes.io/part-of", part_of);
    }
    labels
}

/// Metadata of a child: name, namespace, labels, owner.
pub fn object_meta(intent: &Intent, name: &str) -> ObjectMeta {
    ObjectMeta {
        name: Some(name.to_owned()),
        namespace: Some(intent.namespace.clone()),
        labels: Some(labels(intent)),
        owner_references: intent.owner.clone().map(|owner| vec![owner]),
        ..ObjectMeta::default()
    }
}

/// The same with annotations that the user gave.
pub(super) fn annotated(intent: &Intent, name: &str, annotations: &BTreeMap<String, String>) -> ObjectMeta {
    ObjectMeta { annotations: map(annotations.clone()), ..object_meta(intent, name) }
}

/// Adds the annotation `microservice.dev/plan-hash` to the body and returns its value.
///
/// The hash leaves out the owner, so that `render`, which knows no UID, prints the same hash. Of a
/// Secret it takes the wanted keys and never the values: no annotation holds a plain hash of a
/// secret, and the hash is the same whether the values were read or not.
pub(super) fn complete(intent: &Intent, body: &mut Value) -> String {
    let owners = metadata(body).and_then(|metadata| metadata.remove("ownerReferences"));
    let hash = match generated_keys(intent, body) {
        Some(keys) => {
            let mut hashed = body.clone();
            hashed.as_object_mut().map(|object| object.insert("data".to_owned(), keys));
            digest(&hashed)
        }
        None => digest(body),
    };
    if let Some(metadata) = metadata(body) {
        metadata.extend(owners.map(|owners| ("ownerReferences".to_owned(), owners)));
        let annotations = metadata.entry("annotations").or_insert_with(|| Value::Object(Map::new()));
        if let Some(annotations) = annotations.as_object_mut() {
            annotations.insert(ANNOTATION_PLAN_HASH.to_owned(), Value::from(hash.clone()));
        }
    }
    hash
}

fn metadata(body: &mut Value) -> Option<&mut Map<String, Value>> {
    body.get_mut("metadata").and_then(Value::as_object_mut)
}

/// Sorted keys that the operator generates for this Secret, or the user whose login it holds; `None` for
/// every other kind.
fn generated_keys(intent: &Intent, body: &Value) -> Option<Value> {
    body.get("kind").filter(|kind| *kind == "Secret")?;
    let name = body.pointer("/metadata/name")?;
    let Some(secret) = intent.generated.iter().find(|secret| *name == secret.name.as_str()) else {
        return Some(intent.kafka_login.as_ref().and_then(|login| login.user.as_deref()).into());
    };
    let keys: BTreeSet<&str> = secret.keys.iter().map(|key| key.key.as_str()).collect();
    Some(keys.into_iter().collect())
}

/// First 16 bytes of the SHA-256 of canonical JSON (keys sorted, no white space), in hexadecimal.
pub fn digest(value: &Value) -> String {
    // serde_json's map is sorted by key as long as nobody turns its feature `preserve_order` on (a
    // test would notice), so its compact form is canonical.
    names::digest(&serde_json::to_string(value).unwrap_or_else(|_| value.to_string()))
}

/// The items without those that repeat an earlier key: the server refuses a keyed list that does.
pub(super) fn unique_by<T: Clone, K: Ord>(items: &[T], key: impl Fn(&T) -> K) -> Vec<T> {
    let mut seen = BTreeSet::new();
    items.iter().filter(|item| seen.insert(key(item))).cloned().collect()
}

/// `None` for an empty list: an absent field is not sent.
pub(super) fn list<T>(items: Vec<T>) -> Option<Vec<T>> {
    (!items.is_empty()).then_some(items)
}

/// `None` for an empty map: an absent field is not sent.
pub(super) fn map<V>(map: BTreeMap<String, V>) -> Option<BTreeMap<String, V>> {
    (!map.is_empty()).then_some(map)
}
