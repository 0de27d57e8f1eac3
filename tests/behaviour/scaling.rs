//! Who decides the number of pods, and that handing the decision over never makes the number dip.

use std::sync::{Arc, Mutex};

use futures::future::join_all;
use futures::{StreamExt, stream};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::{Patch, PatchParams};
use kube::runtime::{WatchStreamExt, watcher};
use microservice_operator::api::Microservice;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::steps::{PATIENCE, condition, deployment, exists, template, wait_counted, wait_replicas};
use crate::support::{Cluster, Namespace, Operator, OperatorOptions, eventually};

const MAIN: &str = "microservice-operator";
const HANDOVER: &str = "microservice-operator/replicas";

async fn ground(name: &str) -> (Namespace, Operator) {
    let cluster = Cluster::shared();
    let namespace = Namespace::new(cluster, name).await;
    let operator = Operator::start(cluster, OperatorOptions::namespace(namespace.name())).await;
    (namespace, operator)
}

fn fixed(count: i32) -> Value {
    json!({"image": "web:v1", "replicas": count})
}

fn scaled(min: i32, max: i32) -> Value {
    json!({"image": "web:v1", "autoscaling": {"minReplicas": min, "maxReplicas": max}})
}

/// Every value that `spec.replicas` of a Deployment takes, in order, without repetitions.
pub(crate) struct Recorder {
    seen: Arc<Mutex<Vec<i64>>>,
    last: Arc<Mutex<String>>,
    task: JoinHandle<()>,
}

impl Recorder {
    pub(crate) fn start(namespace: &Namespace, name: &str) -> Self {
        let (seen, last) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(String::new())));
        let config = watcher::Config::default().fields(&format!("metadata.name={name}"));
        let stream = watcher(namespace.api::<Deployment>(), config).default_backoff().applied_objects();
        let (counts, versions) = (Arc::clone(&seen), Arc::clone(&last));
        let task = tokio::spawn(async move {
            let mut stream = std::pin::pin!(stream);
            while let Some(Ok(object)) = stream.next().await {
                let count = object.spec.and_then(|spec| spec.replicas).map_or(-1, i64::from);
                let mut counts = counts.lock().unwrap();
                if counts.last() != Some(&count) {
                    counts.push(count);
                }
                *versions.lock().unwrap() = object.metadata.resource_version.unwrap_or_default();
            }
        });
        Self { seen, last, task }
    }

    /// Waits until everything up to now is recorded.
    pub(crate) async fn catch_up(&self, namespace: &Namespace, name: &str) -> Vec<i64> {
        eventually(PATIENCE, &format!("the recorder of {name} has caught up"), || async {
            let object = namespace.get::<Deployment>(name).await;
            let version = object.metadata.resource_version.unwrap_or_default();
            let last = self.last.lock().unwrap().clone();
            if last == version { Ok(()) } else { Err(format!("at {last}, the Deployment is at {version}")) }
        })
        .await;
        self.seen.lock().unwrap().clone()
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// `kubectl scale deployment`, or what an autoscaler does.
pub(crate) async fn scale_deployment(namespace: &Namespace, name: &str, count: i32) {
    let params = PatchParams { field_manager: Some("kubectl".to_owned()), ..Default::default() };
    let patch = Patch::Merge(json!({"spec": {"replicas": count}}));
    namespace.api::<Deployment>().patch_scale(name, &params, &patch).await.expect("a Deployment scales");
}

/// Waits until only those hold the count who should.
pub(crate) async fn wait_owners(namespace: &Namespace, name: &str, main: bool) {
    eventually(PATIENCE, &format!("the count of {name} is in the right hands"), || async {
        let object = namespace.get::<Deployment>(name).await;
        let entries = object.metadata.managed_fields.unwrap_or_default();
        let holds = |manager: &str| {
            entries.iter().any(|entry| {
                let fields = entry.fields_v1.as_ref().map(|fields| &fields.0);
                entry.manager.as_deref() == Some(manager)
                    && fields.is_some_and(|fields| fields.pointer("/f:spec/f:replicas").is_some())
            })
        };
        let held = (holds(MAIN), holds(HANDOVER));
        let right = if main { held == (true, false) } else { !held.0 };
        if right { Ok(()) } else { Err(format!("main and hand-over manager hold it: {held:?}")) }
    })
    .await;
}

/// One transition and what it must look like.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) from: Value,
    /// Somebody scales the Deployment before the change.
    pub(crate) live: Option<i32>,
    pub(crate) to: Value,
    /// The values of the count, from the moment before the change.
    pub(crate) counts: &'static [i64],
}

fn cases() -> Vec<Case> {
    let case = |name, from, live, to, counts| Case { name, from, live, to, counts };
    let stopped =
        json!({"image": "web:v1", "replicas": 0, "autoscaling": {"minReplicas": 2, "maxReplicas": 6}});
    let plain = json!({"image": "web:v1"});
    vec![
        case("static-inside", fixed(4), None, scaled(2, 6), &[4]),
        case("static-below", fixed(1), None, scaled(3, 6), &[1, 3]),
        case("static-above", fixed(7), None, scaled(2, 5), &[7, 5]),
        case("auto-to-fewer", scaled(2, 6), Some(5), fixed(3), &[5, 3]),
        case("auto-to-same", scaled(2, 6), Some(5), fixed(5), &[5]),
        case("auto-to-more", scaled(2, 6), None, fixed(4), &[2, 4]),
        case("auto-to-default", scaled(2, 6), Some(5), plain, &[5, 3]),
        case("static-to-zero", fixed(3), None, fixed(0), &[3, 0]),
        case("zero-to-static", fixed(0), None, fixed(3), &[0, 3]),
        case("auto-to-zero", scaled(2, 6), Some(4), stopped.clone(), &[4, 0]),
        case("zero-to-auto", stopped, None, scaled(2, 6), &[0, 2]),
        case("other-bounds", scaled(2, 6), Some(3), scaled(4, 8), &[3, 4]),
    ]
}

async fn transition(namespace: &Namespace, case: &Case) {
    let Case { name, from, live, to, counts } = case;
    let first = *counts.first().expect("a case has counts");
    let last = *counts.last().expect("a case has counts");
    namespace.microservice(name, from.clone()).await;
    namespace.wait_ready(name).await;
    if let Some(live) = live {
        scale_deployment(namespace, name, *live).await;
    }
    wait_replicas(namespace, name, first).await;

    let recorder = Recorder::start(namespace, name);
    recorder.catch_up(namespace, name).await;
    namespace.microservice(name, to.clone()).await;
    wait_replicas(namespace, name, last).await;
    namespace.wait_ready(name).await;
    let is_auto = to.get("autoscaling").is_some() && to.get("replicas").is_none();
    wait_owners(namespace, name, !is_auto).await;
    assert_eq!(recorder.catch_up(namespace, name).await, *counts, "{name}");
    assert_eq!(exists::<HorizontalPodAutoscaler>(namespace, name).await, is_auto, "{name}: autoscaler");
    assert_eq!(exists::<PodDisruptionBudget>(namespace, name).await, last >= 2, "{name}: budget");
}

#[tokio::test]
async fn no_transition_makes_the_count_dip() {
    let (namespace, _operator) = ground("scaling").await;
    let namespace = &namespace;
    let transitions = cases().into_iter().map(|case| async move { transition(namespace, &case).await });
    stream::iter(transitions).buffer_unordered(4).collect::<()>().await;
}

#[tokio::test]
async fn a_new_autoscaled_service_is_lifted_to_its_lower_bound_at_once() {
    let (namespace, _operator) = ground("scaling").await;
    let recorder = Recorder::start(&namespace, "web");
    namespace.microservice("web", scaled(4, 9)).await;
    namespace.wait_ready("web").await;
    let counts = recorder.catch_up(&namespace, "web").await;
    assert!(counts == [4] || counts == [1, 4], "{counts:?}");

    let object = namespace.get::<Deployment>("web").await;
    let entries = object.metadata.managed_fields.unwrap_or_default();
    let lifted = entries.iter().any(|entry| entry.manager.as_deref() == Some(HANDOVER));
    assert!(lifted, "the operator did not wait for the autoscaler: {entries:#?}");
}

#[tokio::test]
async fn the_autoscaler_is_complete_and_comes_and_goes_with_the_budget() {
    let (namespace, _operator) = ground("scaling").await;
    let both = || async {
        let scaler = exists::<HorizontalPodAutoscaler>(&namespace, "web").await;
        (scaler, exists::<PodDisruptionBudget>(&namespace, "web").await)
    };
    for (spec, expected) in [
        (scaled(2, 5), (true, true)),
        (scaled(3, 3), (false, true)),
        (scaled(1, 5), (true, false)),
        (fixed(1), (false, false)),
        (fixed(2), (false, true)),
        (scaled(2, 5), (true, true)),
    ] {
        namespace.microservice("web", spec.clone()).await;
        namespace.wait_ready("web").await;
        assert_eq!(both().await, expected, "autoscaler and budget of {spec}");
    }
    let scaler = namespace.get::<HorizontalPodAutoscaler>("web").await;
    let spec = serde_json::to_value(scaler.spec).expect("a spec is JSON");
    assert_eq!(spec["scaleTargetRef"], json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}));
    assert_eq!((&spec["minReplicas"], &spec["maxReplicas"]), (&json!(2), &json!(5)));
    let metric = &spec["metrics"][0]["containerResource"];
    assert_eq!(metric["container"], "web", "sidecars must not dilute it: {spec:#}");
    for direction in ["scaleUp", "scaleDown"] {
        let rules = &spec["behavior"][direction];
        let policies = rules["policies"].as_array().expect("there are policies");
        assert!(!policies.is_empty() && rules["stabilizationWindowSeconds"].is_i64(), "{direction}: {rules}");
    }
    assert_eq!(spec["behavior"]["scaleDown"]["stabilizationWindowSeconds"], 300);
}

#[tokio::test]
async fn under_an_autoscaler_the_count_is_left_alone_even_at_zero() {
    let (namespace, operator) = ground("scaling").await;
    let audit = Cluster::shared().audit().await;
    namespace.microservice("web", scaled(2, 6)).await;
    namespace.wait_ready("web").await;

    let mark = audit.mark().await;
    scale_deployment(&namespace, "web", 5).await;
    wait_counted(&namespace, "web", 5).await;
    scale_deployment(&namespace, "web", 0).await;
    let idle = namespace.wait_condition("web", "Ready", "False", Some("AutoscalerIdle")).await;
    let (_, _, message) = condition(&idle, "Ready").unwrap();
    assert!(message.contains("kubectl scale deployment web --replicas=2"), "{message}");
    scale_deployment(&namespace, "web", 3).await;
    namespace.wait_ready("web").await;
    assert_eq!(deployment(&namespace, "web").await["spec"]["replicas"], 3);

    let writes = audit.since(mark).await.of(&operator.user()).writes().without("events");
    assert_eq!(writes.without("microservices/status").count(), 0, "{writes}");
}

#[tokio::test]
async fn scaling_the_microservice_scales_its_pods() {
    let (namespace, _operator) = ground("scaling").await;
    namespace.microservice("web", fixed(2)).await;
    namespace.wait_ready("web").await;
    let before = template(&namespace, "web").await;
    for count in [5, 1, 0, 2] {
        let patch = Patch::Merge(json!({"spec": {"replicas": count}}));
        let api = namespace.api::<Microservice>();
        let scale = api.patch_scale("web", &PatchParams::default(), &patch).await.expect("it scales");
        let selector = scale.status.and_then(|status| status.selector);
        assert_eq!(selector.as_deref(), Some("microservice.dev/name=web"));
        wait_replicas(&namespace, "web", count).await;
        wait_counted(&namespace, "web", count).await;
        let status = namespace.wait_ready("web").await.status.unwrap_or_default();
        assert_eq!(status.reason.as_deref(), Some(if count == 0 { "ScaledToZero" } else { "Ready" }));
    }
    assert_eq!(template(&namespace, "web").await, before, "scaling replaces no pod");

    // Scaling the Deployment instead is drift.
    scale_deployment(&namespace, "web", 6).await;
    wait_replicas(&namespace, "web", 2).await;
}

/// What the operator keeps, without what the server counts.
async fn state(namespace: &Namespace, name: &str) -> Value {
    let strip = |object: Value| {
        let meta = &object["metadata"];
        json!({"labels": meta["labels"], "annotations": meta["annotations"]["microservice.dev/plan-hash"],
               "owners": meta["ownerReferences"], "spec": object["spec"]})
    };
    let json = |object: Option<Value>| object.map_or(Value::Null, strip);
    let scaler = namespace.api::<HorizontalPodAutoscaler>().get_opt(name).await.expect("it answers");
    let budget = namespace.api::<PodDisruptionBudget>().get_opt(name).await.expect("it answers");
    let managers: std::collections::BTreeSet<_> = namespace
        .get::<Deployment>(name)
        .await
        .metadata
        .managed_fields
        .unwrap_or_default()
        .into_iter()
        .filter(|entry| entry.subresource.is_none())
        .filter_map(|entry| Some((entry.manager?, entry.fields_v1?.0.to_string())))
        .filter(|(manager, _)| manager == MAIN)
        .collect();
    json!({
        "deployment": json(Some(deployment(namespace, name).await)),
        "scaler": json(scaler.map(|object| serde_json::to_value(object).unwrap())),
        "budget": json(budget.map(|object| serde_json::to_value(object).unwrap())),
        "managers": managers,
    })
}

#[tokio::test]
async fn going_there_and_back_leaves_everything_as_it_was() {
    let (namespace, _operator) = ground("scaling").await;
    for (name, a, b) in [
        ("fixed", fixed(3), scaled(2, 6)),
        ("scaled", scaled(3, 6), fixed(4)),
        ("stopped", fixed(2), fixed(0)),
    ] {
        namespace.microservice(name, a.clone()).await;
        namespace.wait_ready(name).await;
        let before = state(&namespace, name).await;
        namespace.microservice(name, b).await;
        namespace.wait_ready(name).await;
        assert_ne!(state(&namespace, name).await, before, "{name} changes");
        if name == "scaled" {
            scale_deployment(&namespace, name, 3).await; // what an autoscaler decided is not part of it
            wait_replicas(&namespace, name, 4).await;
        }
        namespace.microservice(name, a).await;
        namespace.wait_ready(name).await;
        if name == "scaled" {
            scale_deployment(&namespace, name, 3).await;
        }
        assert_eq!(state(&namespace, name).await, before, "{name}");
    }
}

/// Waits for the first Deployment in which the condition on the managers holds.
async fn first_sight(namespace: &Namespace, what: &str, condition: impl Fn(&Deployment) -> bool) {
    let stream = watcher(namespace.api::<Deployment>(), watcher::Config::default());
    let mut stream = std::pin::pin!(stream.default_backoff().applied_objects());
    let seen = async {
        while let Some(Ok(object)) = stream.next().await {
            if condition(&object) {
                return;
            }
        }
        panic!("the watch ended");
    };
    tokio::time::timeout(PATIENCE, seen).await.unwrap_or_else(|_| panic!("never seen: {what}"));
}

#[tokio::test]
async fn a_hand_over_survives_the_death_of_the_operator() {
    let (namespace, mut operator) = ground("scaling").await;
    let names: Vec<String> = (0..6).map(|number| format!("web-{number}")).collect();
    let apply_all = |spec: Value| {
        let applied: Vec<_> = names.iter().map(|name| namespace.microservice(name, spec.clone())).collect();
        join_all(applied)
    };
    let ready_all = || join_all(names.iter().map(|name| namespace.wait_ready(name)));
    let holds = |object: &Deployment, manager: &str| {
        let entries = object.metadata.managed_fields.as_deref().unwrap_or_default();
        entries.iter().any(|entry| entry.manager.as_deref() == Some(manager))
    };
    apply_all(fixed(4)).await;
    ready_all().await;
    let recorders: Vec<_> = names.iter().map(|name| Recorder::start(&namespace, name)).collect();
    let recorded = || {
        let all = names.iter().zip(&recorders);
        join_all(all.map(|(name, recorder)| recorder.catch_up(&namespace, name)))
    };

    let (_, ()) = tokio::join!(
        apply_all(scaled(2, 8)),
        first_sight(&namespace, "the hand-over begins", |object| holds(object, HANDOVER)),
    );
    operator.kill().await;
    operator.restart().await;
    ready_all().await;
    for name in &names {
        wait_owners(&namespace, name, false).await;
        assert!(exists::<HorizontalPodAutoscaler>(&namespace, name).await, "{name} is autoscaled");
    }
    assert!(recorded().await.iter().all(|counts| counts == &[4]), "{:?}", recorded().await);

    let (_, ()) = tokio::join!(
        apply_all(fixed(5)),
        first_sight(&namespace, "a count is taken back", |object| {
            object.spec.as_ref().and_then(|spec| spec.replicas) == Some(5)
        }),
    );
    operator.kill().await;
    operator.restart().await;
    ready_all().await;
    for name in &names {
        wait_owners(&namespace, name, true).await;
        assert!(!exists::<HorizontalPodAutoscaler>(&namespace, name).await, "{name} is static");
    }
    assert!(recorded().await.iter().all(|counts| counts == &[4, 5]), "{:?}", recorded().await);
}
