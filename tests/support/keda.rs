//! KEDA's real definitions of its kinds, from the module that `tests/keda` pins, and a stand-in for what
//! its operator does to the objects. No metric is read: a test scales the Deployment itself.

use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, DeleteParams, Patch, PatchParams};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Client, ResourceExt};
use microservice_operator::plan::keda::ScaledObject;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::{Namespace, apply_as_given, eventually, module};

const MODULE: &str = "github.com/kedacore/keda/v2";
const NAMES: [&str; 2] = ["scaledobjects.keda.sh", "triggerauthentications.keda.sh"];
const OTHERS: [&str; 4] = [
    "scaledjobs.keda.sh",
    "clustertriggerauthentications.keda.sh",
    "cloudeventsources.eventing.keda.sh",
    "clustercloudeventsources.eventing.keda.sh",
];
const FINALIZER: &str = "finalizer.keda.sh";
const MANAGER: &str = "keda-operator";
/// Keeps an autoscaler of KEDA's from going until a test lets it.
const HOLD: &str = "test.microservice.dev/hold";

/// Installs both kinds and waits until they are served.
pub async fn install(client: &Client) {
    install_these(client, &NAMES).await;
}

/// Installs every kind of KEDA's, without which KEDA itself does not start.
pub async fn install_all(client: &Client) {
    install_these(client, &NAMES).await;
    install_these(client, &OTHERS).await;
}

async fn install_these(client: &Client, names: &[&str]) {
    let directory = module("keda", MODULE).join("config/crd/bases");
    for name in names {
        let (plural, group) = name.split_once('.').expect("it has a group");
        let text = std::fs::read_to_string(directory.join(format!("{group}_{plural}.yaml")));
        let text = text.expect("the module holds the definition");
        let documents = serde_yaml::Deserializer::from_str(&text).map(Value::deserialize);
        for manifest in documents.map(|document| document.expect("it is YAML")).filter(Value::is_object) {
            apply_as_given(client, &manifest).await;
        }
        let api = Api::<CustomResourceDefinition>::all(client.clone());
        eventually(Duration::from_secs(20), &format!("{name} is served"), || async {
            let crd = api.get(name).await.map_err(|error| error.to_string())?;
            let conditions = crd.status.and_then(|status| status.conditions).unwrap_or_default();
            let established = conditions.iter().any(|c| c.type_ == "Established" && c.status == "True");
            if established { Ok(()) } else { Err(format!("{conditions:?}")) }
        })
        .await;
    }
}

/// Takes both kinds away with all their objects.
pub async fn remove(client: &Client) {
    let api = Api::<CustomResourceDefinition>::all(client.clone());
    for name in NAMES {
        api.delete(name, &DeleteParams::default()).await.expect("a definition can be deleted");
    }
    for name in NAMES {
        eventually(Duration::from_secs(20), &format!("{name} is gone"), || async {
            match api.get_opt(name).await {
                Ok(None) => Ok(()),
                Ok(Some(_)) => Err("it is still there".to_owned()),
                Err(error) => Err(error.to_string()),
            }
        })
        .await;
    }
}

/// What KEDA does in one namespace: a finalizer and a HorizontalPodAutoscaler for each ScaledObject.
pub struct Keda {
    task: JoinHandle<()>,
    autoscalers: Api<HorizontalPodAutoscaler>,
}

impl Keda {
    /// Begins. With `hold`, no autoscaler goes before [`Keda::release`].
    pub fn start(namespace: &Namespace, hold: bool) -> Self {
        let objects = namespace.api::<ScaledObject>();
        let autoscalers = namespace.api::<HorizontalPodAutoscaler>();
        let (objects_too, autoscalers_too) = (objects.clone(), autoscalers.clone());
        let task = tokio::spawn(async move {
            let seen = watcher(objects_too, watcher::Config::default()).default_backoff().applied_objects();
            let mut seen = std::pin::pin!(seen);
            while let Some(object) = seen.next().await {
                let Ok(object) = object else { continue };
                if object.metadata.deletion_timestamp.is_some() {
                    finalizers(&objects, &object.name_any(), object.finalizers(), false).await;
                } else {
                    finalizers(&objects, &object.name_any(), object.finalizers(), true).await;
                    make_autoscaler(&autoscalers_too, &object, hold).await;
                }
            }
        });
        Self { task, autoscalers }
    }

    /// Lets an autoscaler go that is held.
    pub async fn release(&self, name: &str) {
        let patch = Patch::Merge(json!({"metadata": {"finalizers": null}}));
        self.autoscalers.patch(name, &PatchParams::default(), &patch).await.expect("it can be let go");
    }
}

impl Drop for Keda {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn finalizers(objects: &Api<ScaledObject>, name: &str, present: &[String], wanted: bool) {
    let has = present.iter().any(|finalizer| finalizer == FINALIZER);
    if has == wanted {
        return;
    }
    let others = present.iter().filter(|finalizer| *finalizer != FINALIZER).cloned();
    let all: Vec<String> = others.chain(wanted.then(|| FINALIZER.to_owned())).collect();
    let params = PatchParams { field_manager: Some(MANAGER.to_owned()), ..Default::default() };
    // One that has gone needs none.
    let _ = objects.patch(name, &params, &Patch::Merge(json!({"metadata": {"finalizers": all}}))).await;
}

/// The autoscaler as KEDA makes it: named as asked, with the labels of the object but those that it
/// excludes, owned by the object.
async fn make_autoscaler(autoscalers: &Api<HorizontalPodAutoscaler>, object: &ScaledObject, hold: bool) {
    let spec = &object.spec;
    let config = &spec.advanced.horizontal_pod_autoscaler_config;
    let excluded = object.annotations().get("scaledobject.keda.sh/hpa-excluded-labels");
    let excluded: Vec<&str> = excluded.iter().flat_map(|list| list.split(',')).collect();
    let labels: std::collections::BTreeMap<_, _> =
        object.labels().iter().filter(|(key, _)| !excluded.contains(&key.as_str())).collect();
    let manifest = json!({
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {
            "name": config.name,
            "labels": labels,
            "annotations": object.annotations(),
            "finalizers": if hold { vec![HOLD] } else { vec![] },
            "ownerReferences": [{
                "apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "name": object.name_any(),
                "uid": object.uid(), "controller": true, "blockOwnerDeletion": true,
            }],
        },
        "spec": {
            "scaleTargetRef": spec.scale_target_ref,
            "minReplicas": spec.min_replica_count,
            "maxReplicas": spec.max_replica_count,
            "behavior": config.behavior,
            "metrics": [{
                "type": "External",
                "external": {
                    "metric": {"name": "s0-kafka"}, "target": {"type": "AverageValue", "averageValue": "100"},
                },
            }],
        },
    });
    let params = PatchParams::apply(MANAGER).force();
    // The object may be on its way out by now, and its autoscaler with it.
    let _ = autoscalers.patch(&config.name, &params, &Patch::Apply(&manifest)).await;
}
