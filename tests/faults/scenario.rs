//! What happens in a run beside the faults: the files of `scenarios/`, one list of steps each.

use std::collections::BTreeMap;
use std::path::Path;

use kube::api::{Api, ApiResource, DeleteParams, DynamicObject, Patch, PatchParams, PostParams};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::support::{MANAGER, Namespace};

/// In the files, stands for the namespace of the run.
pub const HERE: &str = "NAMESPACE";

/// A list of steps with a name.
#[derive(Clone)]
pub struct Scenario {
    pub name: String,
    pub steps: Vec<Step>,
}

/// Something that a person, or another controller, does.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum Step {
    /// Applies an object, the whole of it.
    Apply(Value),
    /// Merges a patch into an object.
    Patch { kind: String, name: String, with: Value },
    /// Deletes an object.
    Delete { kind: String, name: String },
    /// Deletes an object, and creates another one of its name as soon as the name is free.
    Replace(Value),
}

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

/// All scenarios, by name.
pub fn all() -> BTreeMap<String, Scenario> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/faults/scenarios");
    let files = std::fs::read_dir(&dir).expect("the scenarios are there").flatten();
    let scenarios = files.map(|file| {
        let path = file.path();
        let name = path.file_stem().expect("a file has a name").to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&path).expect("the scenario can be read");
        let read =
            serde_yaml::with::singleton_map_recursive::deserialize(serde_yaml::Deserializer::from_str(&text));
        let steps = read.unwrap_or_else(|error| panic!("{} is no list of steps: {error}", path.display()));
        (name.clone(), Scenario { name, steps })
    });
    scenarios.collect()
}

impl Scenario {
    /// Whether it is about a class.
    pub fn has_class(&self) -> bool {
        self.steps.iter().any(|step| matches!(step, Step::Apply(object) if object["kind"] == CLASS))
    }
}

impl Step {
    /// Does it in this namespace.
    pub async fn take(&self, namespace: &Namespace) {
        match self {
            Self::Apply(object) => {
                let object = here(object, namespace.name());
                let params = PatchParams::apply(MANAGER).force();
                let api = api(namespace, kind_of(&object));
                let done = api.patch(&name_of(&object), &params, &Patch::Apply(&object)).await;
                done.unwrap_or_else(|error| panic!("applying {object:#}: {error}"));
            }
            Self::Patch { kind, name, with } => {
                let (name, with) = (name.replace(HERE, namespace.name()), here(with, namespace.name()));
                let params =
                    PatchParams { field_manager: Some("kubectl-patch".to_owned()), ..Default::default() };
                let done = api(namespace, kind).patch(&name, &params, &Patch::Merge(&with)).await;
                done.unwrap_or_else(|error| panic!("patching {kind} {name} with {with}: {error}"));
            }
            Self::Delete { kind, name } => {
                let name = name.replace(HERE, namespace.name());
                let done = api(namespace, kind).delete(&name, &DeleteParams::default()).await;
                done.unwrap_or_else(|error| panic!("deleting {kind} {name}: {error}"));
            }
            Self::Replace(object) => {
                let object = here(object, namespace.name());
                let (api, name) = (api(namespace, kind_of(&object)), name_of(&object));
                api.delete(&name, &DeleteParams::default()).await.expect("there is one to be deleted");
                let object: DynamicObject = serde_json::from_value(object).expect("an object has metadata");
                while let Err(error) = api.create(&PostParams::default(), &object).await {
                    assert!(error.to_string().contains("AlreadyExists"), "creating {name}: {error}");
                }
            }
        }
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

/// The object with its apiVersion, and with the namespace in the place of its sign.
fn here(object: &Value, namespace: &str) -> Value {
    let text = object.to_string().replace(HERE, namespace);
    let mut object: Value = serde_json::from_str(&text).expect("a namespace changes no JSON");
    let known = KINDS.iter().find(|(_, kind, _)| object["kind"] == *kind);
    if let Some((api_version, ..)) = known {
        object["apiVersion"] = json!(api_version);
        if let Some(name) = object.as_object_mut().and_then(|object| object.remove("name")) {
            object["metadata"]["name"] = name;
        }
    }
    object
}

fn kind_of(object: &Value) -> &str {
    object["kind"].as_str().unwrap_or_else(|| panic!("{object} has no kind"))
}

fn name_of(object: &Value) -> String {
    object["metadata"]["name"].as_str().unwrap_or_else(|| panic!("{object} has no name")).to_owned()
}
