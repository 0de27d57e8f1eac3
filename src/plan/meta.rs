//! What all children have in common: labels, owner, plan hash.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Serialize;

use crate::api::{LABEL_NAME, MANAGED_BY};
use crate::intent::Intent;

/// The selector of Deployment, Service and PodDisruptionBudget: one label, frozen for life.
pub fn selector(intent: &Intent) -> BTreeMap<String, String> {
    BTreeMap::from([(LABEL_NAME.to_owned(), intent.name.clone())])
}

/// Labels of every child.
pub fn labels(intent: &Intent) -> BTreeMap<String, String> {
    let mut labels = selector(intent);
    let mut add = |key: &str, value: &str| labels.insert(key.to_owned(), value.to_owned());
    add("app", &intent.name);
    add("app.kubernetes.io/name", &intent.name);
    add("app.kubernetes.io/instance", &intent.name);
    add("app.kubernetes.io/managed-by", MANAGED_BY);
    if let Some(part_of) = &intent.part_of {
        add("app.kubernetes.io/part-of", part_of);
    }
    labels
}

/// The same with the version, of that alone which runs it: a new tag is then a write of the Deployment, not one
/// of each child.
pub(super) fn versioned(intent: &Intent) -> BTreeMap<String, String> {
    let version = intent.version.iter().map(|tag| ("app.kubernetes.io/version".to_owned(), tag.clone()));
    labels(intent).into_iter().chain(version).collect()
}

/// Metadata of a child: name, namespace, labels.
pub fn object_meta(intent: &Intent, name: &str) -> ObjectMeta {
    ObjectMeta {
        name: Some(name.to_owned()),
        namespace: Some(intent.namespace.clone()),
        labels: Some(labels(intent)),
        ..ObjectMeta::default()
    }
}

/// The same with annotations that the user gave.
pub(super) fn annotated(intent: &Intent, name: &str, annotations: &BTreeMap<String, String>) -> ObjectMeta {
    ObjectMeta { annotations: map(annotations.clone()), ..object_meta(intent, name) }
}

/// Compact JSON: fields in the order of the type, maps sorted by key. A release of the types that orders
/// them in another way changes the hashes, and then each child is applied once more.
pub(super) fn text(object: &impl Serialize) -> String {
    // k8s-openapi types always serialize.
    serde_json::to_string(object).unwrap_or_default()
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
