//! The child kinds as the tests see them: where they are, what they are called, when two are equal.

use std::collections::BTreeMap;
use std::time::Duration;

use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams};
use serde_json::{Map, Value, json};

use crate::support::{Audit, Namespace, eventually};

/// One child kind.
#[derive(Clone, Copy, Debug)]
pub struct ChildKind {
    /// As in manifests.
    pub api_version: &'static str,
    /// As in manifests.
    pub kind: &'static str,
    /// As in URLs and in the audit log.
    pub plural: &'static str,
}

const fn child(api_version: &'static str, kind: &'static str, plural: &'static str) -> ChildKind {
    ChildKind { api_version, kind, plural }
}

pub const SERVICE_ACCOUNT: ChildKind = child("v1", "ServiceAccount", "serviceaccounts");
pub const CONFIG_MAP: ChildKind = child("v1", "ConfigMap", "configmaps");
pub const SECRET: ChildKind = child("v1", "Secret", "secrets");
pub const SERVICE: ChildKind = child("v1", "Service", "services");
pub const DEPLOYMENT: ChildKind = child("apps/v1", "Deployment", "deployments");
pub const HPA: ChildKind = child("autoscaling/v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers");
pub const PDB: ChildKind = child("policy/v1", "PodDisruptionBudget", "poddisruptionbudgets");

/// Every kind, in order of application.
pub const KINDS: [ChildKind; 7] = [SERVICE_ACCOUNT, CONFIG_MAP, SECRET, SERVICE, DEPLOYMENT, HPA, PDB];

impl ChildKind {
    /// Name of the child of this kind of a service.
    pub fn name(&self, service: &str) -> String {
        match self.kind {
            "ConfigMap" => format!("{service}-config"),
            "Secret" => format!("{service}-keys"),
            _ => service.to_owned(),
        }
    }

    /// Access to all of this kind.
    pub fn api(&self, namespace: &Namespace) -> Api<DynamicObject> {
        let (group, version) = self.api_version.split_once('/').unwrap_or(("", self.api_version));
        let mut resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, self.kind));
        resource.plural = self.plural.to_owned();
        Api::namespaced_with(namespace.client(), namespace.name(), &resource)
    }

    /// The child of this kind of a service, `None` when there is none.
    pub async fn find(&self, namespace: &Namespace, service: &str) -> Option<Value> {
        let found = self.api(namespace).get_opt(&self.name(service)).await;
        let found = found.unwrap_or_else(|error| panic!("{} of {service}: {error}", self.kind));
        found.map(|object| serde_json::to_value(object).expect("an object is JSON"))
    }

    /// The child of this kind of a service; panics when there is none.
    pub async fn get(&self, namespace: &Namespace, service: &str) -> Value {
        self.find(namespace, service).await.unwrap_or_else(|| panic!("{service} has no {}", self.kind))
    }

    /// Patches the child as `who`. Returns what is stored then.
    pub async fn patch(&self, namespace: &Namespace, service: &str, who: &str, patch: Value) -> Value {
        let params = PatchParams { field_manager: Some(who.to_owned()), ..PatchParams::default() };
        let (api, name) = (self.api(namespace), self.name(service));
        let stored = if patch.is_array() {
            let patch = serde_json::from_value(patch.clone()).expect("a JSON patch");
            api.patch(&name, &params, &Patch::<()>::Json(patch)).await
        } else {
            api.patch(&name, &params, &Patch::Merge(&patch)).await
        };
        let stored =
            stored.unwrap_or_else(|error| panic!("patching {} {name}: {error}\n{patch:#}", self.kind));
        serde_json::to_value(stored).expect("an object is JSON")
    }

    /// An object of this kind that somebody else made, minimal and valid, named as the service's child.
    pub fn foreign(&self, service: &str) -> Value {
        let selector = json!({"matchLabels": {"app": "foreign"}});
        let own = match self.kind {
            "ConfigMap" => json!({"data": {"WHOSE": "foreign"}}),
            "Secret" => json!({"stringData": {"password": "foreign"}}),
            "Service" => {
                json!({"spec": {"selector": {"app": "foreign"}, "ports": [{"name": "x", "port": 1}]}})
            }
            "Deployment" => json!({"spec": {
                "replicas": 0,
                "selector": selector,
                "template": {
                    "metadata": {"labels": {"app": "foreign"}},
                    "spec": {"containers": [{"name": "x", "image": "foreign:v1"}]},
                },
            }}),
            "HorizontalPodAutoscaler" => json!({"spec": {
                "maxReplicas": 2,
                "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "foreign"},
            }}),
            "PodDisruptionBudget" => json!({"spec": {"minAvailable": 0, "selector": selector}}),
            _ => json!({}),
        };
        let mut object = json!({"apiVersion": self.api_version, "kind": self.kind, "metadata": {"name": self.name(service)}});
        merge(&mut object, own);
        object
    }
}

/// A merge patch: null removes a key.
#[allow(clippy::needless_pass_by_value)] // callers write the patch where they pass it
pub fn merge(target: &mut Value, patch: Value) {
    json_patch::merge(target, &patch);
}

/// Spec of a service with a child of every kind; its pods are scaled between 2 and 4.
pub fn scaled(service: &str) -> Value {
    let mut spec = fixed(service, 2);
    merge(&mut spec, json!({"replicas": null, "autoscaling": {"minReplicas": 2, "maxReplicas": 4}}));
    spec
}

/// Spec of a service with this many pods, with configuration and a generated secret.
pub fn fixed(service: &str, replicas: i32) -> Value {
    json!({
        "image": "web:v1",
        "replicas": replicas,
        "ports": [
            {"name": "http", "port": 80, "containerPort": 8080},
            {"name": "admin", "port": 81, "containerPort": 8081},
        ],
        "env": [{"name": "MODE", "value": "on"}],
        "config": {"LEVEL": "info", "REGION": "north"},
        "secrets": [{
            "name": format!("{service}-keys"),
            "env": [{"name": "PASSWORD", "key": "password"}],
            "generate": [{"key": "password"}],
        }],
    })
}

/// Spec of a service with as few other children and pods as one of this kind allows.
pub fn lean(service: &str, kind: &ChildKind) -> Value {
    let mut spec = fixed(service, 0);
    let (no_config, no_secrets) = (json!({"config": null}), json!({"secrets": null}));
    let no_ports = json!({"ports": [], "health": {"type": "None"}});
    let without = match kind.kind {
        "ConfigMap" => vec![no_secrets, no_ports],
        "Secret" => vec![no_config, no_ports],
        "Service" | "Deployment" => vec![no_config, no_secrets],
        _ => vec![no_config, no_secrets, no_ports],
    };
    for section in without {
        merge(&mut spec, section);
    }
    let scale = match kind.kind {
        "HorizontalPodAutoscaler" => {
            json!({"replicas": null, "autoscaling": {"minReplicas": 1, "maxReplicas": 3}})
        }
        "PodDisruptionBudget" => json!({"replicas": 2}),
        _ => json!({}),
    };
    merge(&mut spec, scale);
    spec
}

/// What counts when a child is compared with its planned state: all but what the server keeps.
/// `again` = it may be another object of the same content, so what the server gives an object at its
/// creation does not count either.
pub fn content(child: &Value, again: bool) -> Value {
    let mut child = child.clone();
    child.as_object_mut().map(|object| object.remove("status"));
    let mut metadata = child["metadata"].as_object().cloned().unwrap_or_default();
    for field in ["resourceVersion", "managedFields", "generation", "creationTimestamp"] {
        metadata.remove(field);
    }
    if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
        annotations.remove("deployment.kubernetes.io/revision");
        if annotations.is_empty() {
            metadata.remove("annotations");
        }
    }
    if again {
        metadata.remove("uid");
        for field in ["clusterIP", "clusterIPs"] {
            child.get_mut("spec").and_then(Value::as_object_mut).map(|spec| spec.remove(field));
        }
        if child["kind"] == "Secret" {
            let keys: Map<_, _> = child["data"]
                .as_object()
                .into_iter()
                .flatten()
                .map(|(key, _)| (key.clone(), Value::Null))
                .collect();
            child["data"] = Value::Object(keys);
        }
    }
    child["metadata"] = Value::Object(metadata);
    child
}

/// Where two values differ, for the message of a failed comparison.
pub fn difference(path: &str, wanted: &Value, found: &Value, out: &mut Vec<String>) {
    match (wanted, found) {
        (Value::Object(wanted), Value::Object(found)) => {
            let keys: BTreeMap<&String, ()> =
                wanted.keys().chain(found.keys()).map(|key| (key, ())).collect();
            for key in keys.into_keys() {
                let side = |map: &Map<String, Value>| map.get(key).cloned().unwrap_or(Value::Null);
                difference(&format!("{path}.{key}"), &side(wanted), &side(found), out);
            }
        }
        (wanted, found) if wanted != found => out.push(format!("{path}: wanted {wanted}, found {found}")),
        _ => {}
    }
}

/// Waits until the child has this content, for at most 30 s.
pub async fn wait_content(
    namespace: &Namespace,
    kind: &ChildKind,
    service: &str,
    wanted: &Value,
    again: bool,
) {
    let wanted = content(wanted, again);
    let what = format!("{} of {service} is as planned", kind.kind);
    eventually(Duration::from_secs(30), &what, || async {
        let Some(found) = kind.find(namespace, service).await else { return Err("it is gone".to_owned()) };
        if found["metadata"]["deletionTimestamp"].is_string() {
            return Err("it is being deleted".to_owned());
        }
        let mut differences = Vec::new();
        difference("", &wanted, &content(&found, again), &mut differences);
        if differences.is_empty() { Ok(()) } else { Err(differences.join("\n    ")) }
    })
    .await;
}

/// Waits until the operator has written nothing for three seconds, Events included, for at most 30 s.
pub async fn wait_quiet(audit: &Audit, user: &str) {
    let mut last = String::new();
    for _ in 0..10 {
        let mark = audit.mark().await;
        tokio::time::sleep(Duration::from_secs(3)).await;
        let writes = audit.since(mark).await.of(user).writes();
        if writes.count() == 0 {
            return;
        }
        last = writes.to_string();
    }
    panic!("the operator goes on writing: {last}");
}
