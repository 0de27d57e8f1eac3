//! What all children have in common: labels, owner, plan hash.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

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

/// Adds the annotation `microservice.dev/plan-hash` to the body and returns its value.
///
/// The hash leaves out the owner (so that `render`, which knows no UID, prints the same hash) and the
/// values of a Secret (so that no annotation holds a plain hash of a secret).
pub(super) fn complete(body: &mut Value) -> String {
    let mut hashed = body.clone();
    if let Some(metadata) = hashed.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("ownerReferences");
    }
    if hashed.get("kind").and_then(Value::as_str) == Some("Secret") {
        if let Some(data) = hashed.get_mut("data").and_then(Value::as_object_mut) {
            data.values_mut().for_each(|value| *value = Value::Null);
        }
    }
    let hash = digest(&hashed);
    if let Some(metadata) = body.get_mut("metadata").and_then(Value::as_object_mut) {
        let annotations = metadata.entry("annotations").or_insert_with(|| Value::Object(Map::new()));
        if let Some(annotations) = annotations.as_object_mut() {
            annotations.insert(ANNOTATION_PLAN_HASH.to_owned(), json!(hash));
        }
    }
    hash
}

/// First 16 bytes of the SHA-256 of canonical JSON (keys sorted, no white space), in hexadecimal.
pub fn digest(value: &Value) -> String {
    // serde_json's map is sorted by key: its compact form is canonical.
    let hash = Sha256::digest(value.to_string());
    hash.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}
