//! What happens in a run beside the faults: the files of `scenarios/`, one list of steps each.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use kube::api::{DeleteParams, Patch, PatchParams};
use serde::Deserialize;
use serde_json::{Value, json};

use super::chains;
use super::state::{CLASS, HERE, KINDS, api};
use crate::support::{MANAGER, Namespace};

/// A list of steps with a name.
#[derive(Clone)]
pub struct Scenario {
    pub name: String,
    pub steps: Vec<Step>,
    /// Other steps that lead to the same state from nothing; none = its own are the shortest way.
    pub scratch: Option<Vec<Step>>,
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
    /// Does another step, and waits for so many milliseconds only until the next one.
    #[serde(skip)]
    Soon(Box<Step>, u64),
}

/// One of the files, or a generated chain.
pub fn named(name: &str) -> Option<Scenario> {
    all().remove(name).or_else(|| Some(chains::chain(chains::number(name)?)))
}

/// All scenarios of the files, by name.
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
        (name.clone(), Scenario { name, steps, scratch: None })
    });
    scenarios.collect()
}

impl Scenario {
    /// What it is compared with.
    pub fn reference(&self) -> Self {
        let steps = self.scratch.as_ref().unwrap_or(&self.steps).clone();
        Self { steps, scratch: None, ..self.clone() }
    }

    /// Whether it is about a class.
    pub fn has_class(&self) -> bool {
        self.steps.iter().any(|step| matches!(step, Step::Apply(object) if object["kind"] == CLASS))
    }
}

impl Step {
    /// How long to wait before the next step, if not until all has settled.
    pub fn pause(&self) -> Option<Duration> {
        match self {
            Self::Soon(_, millis) => Some(Duration::from_millis(*millis)),
            _ => None,
        }
    }

    /// Does it in this namespace.
    ///
    /// # Errors
    /// What the API server says to it.
    pub async fn take(&self, namespace: &Namespace) -> kube::Result<()> {
        match self {
            Self::Apply(object) => apply(namespace, &here(object, namespace.name())).await?,
            Self::Patch { kind, name, with } => {
                let (name, with) = (name.replace(HERE, namespace.name()), here(with, namespace.name()));
                let params =
                    PatchParams { field_manager: Some("kubectl-patch".to_owned()), ..Default::default() };
                api(namespace, kind).patch(&name, &params, &Patch::Merge(&with)).await?;
            }
            Self::Delete { kind, name } => {
                let name = name.replace(HERE, namespace.name());
                api(namespace, kind).delete(&name, &DeleteParams::default()).await?;
            }
            Self::Replace(object) => replace(namespace, &here(object, namespace.name())).await?,
            Self::Soon(step, _) => Box::pin(step.take(namespace)).await?,
        }
        Ok(())
    }
}

async fn apply(namespace: &Namespace, object: &Value) -> kube::Result<()> {
    let params = PatchParams::apply(MANAGER).force();
    api(namespace, kind_of(object)).patch(&name_of(object), &params, &Patch::Apply(object)).await.map(drop)
}

async fn replace(namespace: &Namespace, object: &Value) -> kube::Result<()> {
    let (api, name) = (api(namespace, kind_of(object)), name_of(object));
    match api.delete(&name, &DeleteParams::default()).await {
        Err(kube::Error::Api(status)) if status.is_not_found() => {}
        other => drop(other?),
    }
    while api.get_opt(&name).await?.is_some() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    apply(namespace, object).await
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
