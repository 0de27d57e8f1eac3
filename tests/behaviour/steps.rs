//! Short ways to look at a service and its children that several modules share.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::Resource;
use microservice_operator::api::Microservice;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::support::{Namespace, eventually};

/// How long a change may take on a loaded machine.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// The condition of a Microservice as `(status, reason, message)`.
pub fn condition(object: &Microservice, kind: &str) -> Option<(String, String, String)> {
    let conditions = &object.status.as_ref()?.conditions;
    let found = conditions.iter().find(|condition| condition.type_ == kind)?;
    Some((found.status.clone(), found.reason.clone(), found.message.clone()))
}

/// The Deployment as JSON.
pub async fn deployment(namespace: &Namespace, name: &str) -> Value {
    serde_json::to_value(namespace.get::<Deployment>(name).await).expect("a Deployment is JSON")
}

/// `metadata.generation` of the Deployment: it grows with every change of its spec.
pub async fn generation(namespace: &Namespace, name: &str) -> i64 {
    namespace.get::<Deployment>(name).await.metadata.generation.unwrap_or_default()
}

/// Name of the newest ReplicaSet's template: changes exactly when the pods roll.
pub async fn template(namespace: &Namespace, name: &str) -> Value {
    deployment(namespace, name).await.pointer("/spec/template").cloned().unwrap_or_default()
}

/// The hash of everything that the pods read.
pub async fn config_hash(namespace: &Namespace, name: &str) -> String {
    let template = template(namespace, name).await;
    let hash = template.pointer("/metadata/annotations/microservice.dev~1config-hash");
    hash.and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// Waits until the pods read something else than before, and returns the new hash.
pub async fn hash_other_than(namespace: &Namespace, name: &str, before: &str) -> String {
    eventually(PATIENCE, &format!("the pods of {name} get a new config hash"), || async {
        let now = config_hash(namespace, name).await;
        if now == before { Err(format!("it is still {now}")) } else { Ok(now) }
    })
    .await
}

/// Waits until the Deployment's count is `count`.
pub async fn wait_replicas(namespace: &Namespace, name: &str, count: i64) {
    eventually(PATIENCE, &format!("Deployment {name} wants {count} pods"), || async {
        let now = deployment(namespace, name).await.pointer("/spec/replicas").and_then(Value::as_i64);
        if now == Some(count) { Ok(()) } else { Err(format!("{now:?}")) }
    })
    .await;
}

/// Whether an object exists.
pub async fn exists<K>(namespace: &Namespace, name: &str) -> bool
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
        + Clone
        + DeserializeOwned
        + std::fmt::Debug,
{
    namespace.api::<K>().get_opt(name).await.expect("the API server answers").is_some()
}

/// Makes or replaces a Secret with these texts.
pub async fn secret(namespace: &Namespace, name: &str, data: &[(&str, &str)]) {
    // Not `stringData`: what an apply leaves out of that stays.
    let data: BTreeMap<_, _> = data.iter().map(|(key, value)| (*key, STANDARD.encode(value))).collect();
    let manifest = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": data});
    namespace.apply(manifest).await;
}

/// Makes or replaces a ConfigMap with these texts.
pub async fn config_map(namespace: &Namespace, name: &str, data: &[(&str, &str)]) {
    let data: BTreeMap<_, _> = data.iter().copied().collect();
    let manifest = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data});
    namespace.apply(manifest).await;
}

/// The values of a Secret as text.
pub async fn values(namespace: &Namespace, name: &str) -> BTreeMap<String, String> {
    let data = namespace.get::<Secret>(name).await.data.unwrap_or_default();
    data.into_iter().map(|(key, value)| (key, String::from_utf8_lossy(&value.0).into_owned())).collect()
}

/// Names of the ConfigMaps that a test's service made.
pub async fn config_maps(namespace: &Namespace) -> Vec<String> {
    let list = namespace.api::<ConfigMap>().list(&Default::default()).await.expect("ConfigMaps are listed");
    let names = list.items.into_iter().filter_map(|map| map.metadata.name);
    names.filter(|name| name != "kube-root-ca.crt").collect()
}

/// Sets an annotation of a Microservice, as `kubectl annotate` does.
pub async fn annotate(namespace: &Namespace, name: &str, key: &str, value: &str) {
    namespace.patch::<Microservice>(name, json!({"metadata": {"annotations": {key: value}}})).await;
}
