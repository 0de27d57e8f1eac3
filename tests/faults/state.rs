//! What is stored in a namespace, without what differs between two runs of the same.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use kube::api::{Api, ApiResource, DynamicObject, ListParams};
use serde_json::{Value, json};

use crate::support::Namespace;

/// In scenarios and states, stands for the namespace of the run.
pub const HERE: &str = "NAMESPACE";

/// The kinds that steps and comparisons know.
pub const KINDS: [(&str, &str, &str); 10] = [
    ("microservice.dev/v1alpha1", "Microservice", "microservices"),
    ("apps/v1", "Deployment", "deployments"),
    ("v1", "Service", "services"),
    ("v1", "ConfigMap", "configmaps"),
    ("v1", "Secret", "secrets"),
    ("v1", "ServiceAccount", "serviceaccounts"),
    ("autoscaling/v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers"),
    ("policy/v1", "PodDisruptionBudget", "poddisruptionbudgets"),
    ("networking.k8s.io/v1", "NetworkPolicy", "networkpolicies"),
    ("microservice.dev/v1alpha1", CLASS, "microserviceclasses"),
];

/// The one of them that is in no namespace.
pub const CLASS: &str = "MicroserviceClass";

/// Each value by its path: kind, name, fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State(BTreeMap<String, Value>);

/// Paths whose values differ between calm runs.
pub type Mask = BTreeSet<String>;

/// In place of the UID of an object of the state.
const IDENTITY: &str = "identity of ";

impl State {
    /// What is stored now.
    pub async fn of(namespace: &Namespace) -> Self {
        let mut objects = Vec::new();
        for (_, kind, _) in KINDS {
            let found = api(namespace, kind).list(&ListParams::default()).await;
            let found = found.unwrap_or_else(|error| panic!("listing every {kind}: {error}")).items;
            let ours = found.into_iter().filter(|object| is_of_the_run(kind, object, namespace.name()));
            objects
                .extend(ours.map(|object| (kind, serde_json::to_value(object).expect("an object is JSON"))));
        }
        let names: BTreeMap<String, String> = objects
            .iter()
            .map(|(kind, object)| {
                let metadata = &object["metadata"];
                (text(&metadata["uid"]), format!("{kind}/{}", text(&metadata["name"])))
            })
            .collect();
        let mut values = BTreeMap::new();
        for (kind, mut object) in objects {
            let path =
                format!("{kind}/{}", text(&object["metadata"]["name"])).replace(namespace.name(), HERE);
            strip(kind, &mut object);
            flatten(&path, &object, &mut |path, value| {
                values.insert(path.to_owned(), plain(value, namespace.name(), &names));
            });
        }
        Self(values)
    }

    /// How many values are compared.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// A child whose owner is gone, and that will go too.
    pub fn orphan(&self) -> Option<&str> {
        let owners =
            self.0.iter().filter(|(path, _)| path.contains(".ownerReferences[") && path.ends_with(".uid"));
        let lost = |(_, owner): &(&String, &Value)| !text(owner).starts_with(IDENTITY);
        owners.filter(lost).find_map(|(path, _)| path.split('.').next())
    }

    /// Paths that count how often something was changed: another way to the same state has other counts.
    pub fn counts(&self) -> Mask {
        self.0.keys().filter(|path| path.ends_with("eneration")).cloned().collect()
    }

    /// Paths that a chain of specs may leave otherwise than its last spec alone: counts, and what an autoscaler
    /// has the say of.
    pub fn left_by_others(&self) -> Mask {
        let scaled = self.0.keys().any(|path| path.starts_with("HorizontalPodAutoscaler/"));
        let counted = |path: &&String| scaled && path.to_ascii_lowercase().contains("replicas");
        self.counts().into_iter().chain(self.0.keys().filter(counted).cloned()).collect()
    }

    /// Paths at which two states differ.
    pub fn differences(&self, other: &Self) -> Mask {
        let paths: BTreeSet<&String> = self.0.keys().chain(other.0.keys()).collect();
        let differs = |path: &&&String| self.0.get(**path) != other.0.get(**path);
        paths.iter().filter(differs).map(|path| (**path).clone()).collect()
    }

    /// The differences that are not masked, one to a line. An object may have been changed less often: a step that
    /// was held up until the next one needs no write of its own.
    pub fn compare(&self, calm: &Self, mask: &Mask) -> Result<(), String> {
        let differing = self.differences(calm);
        let less_often = |path: &&String| {
            let count = |state: &Self| state.0.get(*path).and_then(Value::as_i64);
            path.ends_with(".metadata.generation") && count(self).is_some() && count(self) < count(calm)
        };
        let lines: Vec<String> = differing
            .difference(mask)
            .filter(|path| !less_often(path))
            .map(|path| {
                let value = |state: &Self| state.0.get(path).map_or("nothing".to_owned(), Value::to_string);
                format!("{path}: {} instead of {}", value(self), value(calm))
            })
            .collect();
        if lines.is_empty() { Ok(()) } else { Err(lines.join("\n    ")) }
    }
}

/// The objects of one kind, of this namespace or of none.
pub fn api(namespace: &Namespace, kind: &str) -> Api<DynamicObject> {
    let known = KINDS.iter().find(|(_, known, _)| *known == kind);
    let (api_version, kind, plural) = known.unwrap_or_else(|| panic!("{kind} is not in the list of kinds"));
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    let resource = ApiResource {
        group: group.to_owned(),
        version: version.to_owned(),
        api_version: (*api_version).to_owned(),
        kind: (*kind).to_owned(),
        plural: (*plural).to_owned(),
    };
    if *kind == CLASS {
        return Api::all_with(namespace.client(), &resource);
    }
    Api::namespaced_with(namespace.client(), namespace.name(), &resource)
}

/// What the cluster itself puts into each namespace is left out.
fn is_of_the_run(kind: &str, object: &DynamicObject, namespace: &str) -> bool {
    let name = object.metadata.name.as_deref().unwrap_or_default();
    match kind {
        CLASS => name.contains(namespace),
        "ServiceAccount" => name != "default",
        "ConfigMap" => name != "kube-root-ca.crt",
        _ => true,
    }
}

/// Removes what each run has anew, and what controllers of the cluster report.
fn strip(kind: &str, object: &mut Value) {
    let managers = object["metadata"]["managedFields"].take();
    let mut ours: Vec<Value> = managers
        .as_array()
        .into_iter()
        .flatten()
        .filter(|entry| text(&entry["manager"]).starts_with("microservice-operator"))
        .map(|entry| json!({"manager": entry["manager"], "fields": entry["fieldsV1"].to_string()}))
        .collect();
    // Their order is that of their times.
    ours.sort_by_key(Value::to_string);
    object["metadata"]["managedFields"] = json!(ours);
    if let Some(metadata) = object["metadata"].as_object_mut() {
        for field in ["uid", "resourceVersion", "creationTimestamp"] {
            metadata.remove(field);
        }
    }
    if matches!(kind, "Deployment" | "HorizontalPodAutoscaler" | "PodDisruptionBudget")
        && let Some(fields) = object.as_object_mut()
    {
        fields.remove("status");
    }
    if kind == "Service" {
        for field in ["clusterIP", "clusterIPs"] {
            object["spec"][field] = Value::Null;
        }
    }
    if kind == "Deployment"
        && let Some(annotations) = object["metadata"]["annotations"].as_object_mut()
    {
        annotations.remove("deployment.kubernetes.io/revision");
    }
}

fn flatten(path: &str, value: &Value, tell: &mut impl FnMut(&str, &Value)) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (name, value) in fields {
                flatten(&format!("{path}.{name}"), value, tell);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for (place, value) in items.iter().enumerate() {
                flatten(&format!("{path}[{place}]"), value, tell);
            }
        }
        _ => tell(path, value),
    }
}

/// Identities by the names of their objects, times and the namespace by signs.
fn plain(value: &Value, namespace: &str, names: &BTreeMap<String, String>) -> Value {
    let Value::String(text) = value else { return value.clone() };
    if let Some(name) = names.get(text) {
        return json!(format!("{IDENTITY}{name}").replace(namespace, HERE));
    }
    if text.parse::<Timestamp>().is_ok() {
        return json!("TIME");
    }
    let text = text.replace(namespace, HERE);
    // The owner is a key among the fields that a manager owns.
    if text.contains("uid") {
        return json!(names.iter().fold(text, |text, (uid, name)| text.replace(uid, name)));
    }
    json!(text)
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
