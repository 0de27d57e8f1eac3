//! The status as tools read it: `kubectl wait`, kstatus and Events through the whole life of a service,
//! then suspended, stopped and refused services.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Service};
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::{Api, ApiResource, DeleteParams, ListParams, PostParams};
use kube::{Resource, ResourceExt};
use microservice_operator::api::{Microservice, MicroserviceClass};
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use crate::support::{
    Cluster, History, Kubectl, Namespace, Operator, OperatorOptions, Requests, Verdict, Version, condition,
    eventually, kstatus,
};

/// Everything that was seen of one service: created, updated, broken, repaired, deleted.
struct Life {
    /// Versions of the Microservice.
    services: Vec<Version>,
    /// Versions of its Deployment.
    deployments: Vec<Version>,
    /// Image that was asked for, and version of the Deployment, whenever `kubectl wait` said Ready.
    waits: Vec<(&'static str, Value)>,
    /// Reasons and numbers of Events: until the first Ready, and in all.
    events: [BTreeMap<String, i32>; 2],
    /// What the operator wrote while only a foreign annotation changed.
    rest: Requests,
}

/// Lived once, looked at by several tests.
async fn life() -> &'static Life {
    static LIFE: OnceCell<Life> = OnceCell::const_new();
    LIFE.get_or_init(live).await
}

async fn live() -> Life {
    let cluster = Cluster::shared();
    let namespace = Namespace::new(cluster, "life").await;
    let operator = Operator::start(cluster, OperatorOptions::namespace(namespace.name())).await;
    let kubectl = Kubectl::new(cluster, namespace.name());
    let services = History::of(&namespace, &ApiResource::erase::<Microservice>(&())).await;
    let deployments = History::of(&namespace, &ApiResource::erase::<Deployment>(&())).await;
    let mut waits = Vec::new();

    waits.push(applied_and_waited(&kubectl, "web:v1").await);
    let first_events = events(&namespace, 3).await;
    let mark = cluster.audit().await.mark().await;
    kubectl.ok("annotate msvc/web example.com/note=harmless").await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let rest = cluster.audit().await.since(mark).await.of(&operator.user()).writes();

    waits.push(applied_and_waited(&kubectl, "web:v2-slow").await);

    apply(&kubectl, "web:v3-missing").await;
    kubectl.ok("wait --for=condition=Ready=false msvc/web --timeout=30s").await;
    namespace.wait_condition("web", "Ready", "False", Some("ImagePullFailed")).await;
    let waited = kubectl.run("wait --for=condition=Ready msvc/web --timeout=1s").await;
    assert_ne!(waited.code, 0, "a broken service was called Ready: {waited:?}");

    waits.push(applied_and_waited(&kubectl, "web:v4").await);
    let all_events = events(&namespace, 9).await;

    kubectl.ok("delete msvc/web --wait=false").await;
    kubectl.ok("wait --for=delete msvc/web --timeout=30s").await;
    kubectl.ok("wait --for=delete deployment/web --timeout=30s").await;
    eventually(Duration::from_secs(10), "the end is in the record", || async {
        let ended = services.versions("web").last().is_some_and(|version| version.deleted);
        if ended { Ok(()) } else { Err("not yet") }
    })
    .await;
    Life {
        services: services.versions("web"),
        deployments: deployments.versions("web"),
        waits,
        events: [first_events, all_events],
        rest,
    }
}

async fn apply(kubectl: &Kubectl, image: &str) {
    let manifest = json!({
        "apiVersion": "microservice.dev/v1alpha1",
        "kind": "Microservice",
        "metadata": {"name": "web"},
        "spec": {"image": image, "replicas": 2},
    });
    let applied = kubectl.with("apply -f -", manifest.to_string()).await;
    assert_eq!(applied.code, 0, "{applied:?}");
}

/// The Deployment at the moment at which `kubectl wait` returned.
async fn applied_and_waited(kubectl: &Kubectl, image: &'static str) -> (&'static str, Value) {
    apply(kubectl, image).await;
    kubectl.ok("wait --for=condition=Ready msvc/web --timeout=60s").await;
    let deployment = kubectl.ok("get deployment web -o json").await;
    (image, serde_json::from_str(&deployment).unwrap())
}

/// Events of the service by reason, once there are at least so many: they are written after the status.
async fn events(namespace: &Namespace, least: i32) -> BTreeMap<String, i32> {
    eventually(Duration::from_secs(10), &format!("{least} Events"), || async {
        let list = namespace.api::<Event>().list(&ListParams::default()).await.map_err(|e| e.to_string())?;
        let mut reasons = BTreeMap::new();
        for event in list {
            let about = event.regarding.unwrap_or_default();
            if about.kind.as_deref() == Some("Microservice") && about.name.as_deref() == Some("web") {
                let times = event.series.map_or(1, |series| series.count);
                *reasons.entry(event.reason.unwrap_or_default()).or_default() += times;
            }
        }
        if reasons.values().sum::<i32>() >= least { Ok(reasons) } else { Err(format!("{reasons:?}")) }
    })
    .await
}

/// Whether all pods of the Deployment run this image and are available.
fn is_complete(deployment: &Value, image: &str) -> bool {
    let (spec, status) = (&deployment["spec"], &deployment["status"]);
    let counts = ["replicas", "updatedReplicas", "readyReplicas", "availableReplicas"];
    spec["template"]["spec"]["containers"][0]["image"] == image
        && status["observedGeneration"] == deployment["metadata"]["generation"]
        && counts.iter().all(|count| status[count] == spec["replicas"])
}

#[tokio::test]
async fn kubectl_wait_returns_only_when_the_new_version_serves() {
    for (image, deployment) in &life().await.waits {
        assert!(is_complete(deployment, image), "{image}: {deployment:#}");
    }
}

#[tokio::test]
async fn kstatus_calls_a_service_current_only_when_its_pods_are() {
    let life = life().await;
    let mut verdicts = Vec::new();
    for version in life.services.iter().filter(|version| !version.deleted) {
        let object = &version.object;
        let verdict = kstatus(object);
        if verdicts.last() != Some(&verdict) {
            verdicts.push(verdict);
        }
        if verdict == Verdict::Current {
            let ready = condition(object, "Ready");
            assert_eq!(
                object["status"]["observedGeneration"], object["metadata"]["generation"],
                "{object:#}"
            );
            assert_eq!(ready["observedGeneration"], object["metadata"]["generation"], "{object:#}");
            assert_eq!(ready["status"], "True", "{object:#}");
            let mut before = life.deployments.iter().rev().filter(|other| other.revision < version.revision);
            let image = object["spec"]["image"].as_str().unwrap();
            let deployment = &before.next().expect("there is a Deployment by then").object;
            assert!(is_complete(deployment, image), "{object:#}\n{deployment:#}");
        }
    }
    use Verdict::{Current, InProgress};
    // Created, updated, broken and repaired: never Failed, since a rollout has time until its deadline.
    let expected = [InProgress, Current, InProgress, Current, InProgress, Current];
    assert!(verdicts.starts_with(&expected), "{verdicts:?}");
    assert!(
        verdicts[expected.len()..].iter().all(|verdict| *verdict == Verdict::Terminating),
        "{verdicts:?}"
    );
}

/// The announcement goes out with the first children, of which one may be stored some milliseconds earlier; but
/// it is there long before the new version is.
#[tokio::test]
async fn a_new_generation_is_called_work_with_its_first_child() {
    let life = life().await;
    let generations =
        life.services.iter().filter_map(|version| version.object["metadata"]["generation"].as_i64());
    let last = generations.max().unwrap();
    for generation in 1..=last {
        let seen = |version: &&Version| version.object["status"]["observedGeneration"] == generation;
        // A deletion raises the generation too.
        let Some(first) = life.services.iter().find(seen) else { continue };
        assert_eq!(condition(&first.object, "Reconciling")["status"], "True", "{:#}", first.object);
        assert_ne!(condition(&first.object, "Ready")["status"], "True", "{:#}", first.object);
        let image = &first.object["spec"]["image"];
        let rolled_out = life.deployments.iter().find(|version| {
            let (object, status) = (&version.object, &version.object["status"]);
            object["spec"]["template"]["spec"]["containers"][0]["image"] == *image
                && status["observedGeneration"] == object["metadata"]["generation"]
                && status["updatedReplicas"] == object["spec"]["replicas"]
                && status["availableReplicas"] == object["spec"]["replicas"]
        });
        // A new object has no old Ready that anybody could take for the new one.
        let announced = generation == 1 || rolled_out.is_none_or(|version| version.revision > first.revision);
        assert!(announced, "generation {generation}");
    }
    assert!(last >= 4);
}

#[tokio::test]
async fn a_transition_time_moves_only_with_its_status() {
    let mut moves = 0;
    for pair in life().await.services.windows(2) {
        let [before, after] = pair else { continue };
        for now in after.object["status"]["conditions"].as_array().into_iter().flatten() {
            let kind = now["type"].as_str().unwrap();
            let then = condition(&before.object, kind);
            if then["status"] == now["status"] {
                assert_eq!(then["lastTransitionTime"], now["lastTransitionTime"], "{kind}: {then} {now}");
            } else {
                let time =
                    |condition: &Value| condition["lastTransitionTime"].as_str().unwrap_or("").to_owned();
                assert!(time(now) >= time(then), "{kind}: {then} {now}");
                moves += 1;
            }
        }
    }
    assert!(moves > 8, "only {moves} transitions");
}

#[tokio::test]
async fn the_operator_writes_the_status_and_nothing_else() {
    let mut seen = 0;
    for version in &life().await.services {
        let fields = version.object["metadata"]["managedFields"].as_array().unwrap();
        for entry in
            fields.iter().filter(|entry| entry["manager"].to_string().contains("microservice-operator"))
        {
            assert_eq!(entry["manager"], "microservice-operator/status");
            assert_eq!((&entry["operation"], &entry["subresource"]), (&json!("Apply"), &json!("status")));
            let owned: Vec<&String> = entry["fieldsV1"].as_object().unwrap().keys().collect();
            assert_eq!(owned, ["f:status"], "{entry:#}");
            seen += 1;
        }
        assert!(version.object["metadata"]["finalizers"].is_null(), "{:#}", version.object);
    }
    assert!(seen > 0);
}

#[tokio::test]
async fn events_tell_each_transition_once() {
    let life = life().await;
    let counts = |pairs: &[(&str, i32)]| -> BTreeMap<String, i32> {
        pairs.iter().map(|(reason, times)| ((*reason).to_owned(), *times)).collect()
    };
    assert_eq!(life.events[0], counts(&[("Accepted", 1), ("Applied", 1), ("Ready", 1)]));
    assert_eq!(
        life.events[1],
        counts(&[("Accepted", 1), ("Applied", 4), ("ImagePullFailed", 1), ("Ready", 3)])
    );
    assert_eq!(life.rest.count(), 0, "nothing changed, and still {}", life.rest);
}

#[tokio::test]
async fn a_suspended_service_is_left_exactly_as_it_is() {
    let cluster = Cluster::shared();
    let namespace = Namespace::new(cluster, "suspend").await;
    let operator = Operator::start(cluster, OperatorOptions::namespace(namespace.name())).await;
    namespace.microservice("web", json!({"image": "web:v1", "replicas": 2})).await;
    namespace.wait_ready("web").await;
    let deployment = namespace.get::<Deployment>("web").await.resource_version();

    let mark = cluster.audit().await.mark().await;
    namespace.patch::<Microservice>("web", json!({"spec": {"suspend": true, "image": "web:v2"}})).await;
    let object = namespace.wait_condition("web", "Ready", "True", Some("Suspended")).await;
    assert_eq!(object.status.and_then(|status| status.ready).as_deref(), Some("2/2"), "observation goes on");
    namespace.delete::<Service>("web").await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let writes = cluster.audit().await.since(mark).await.of(&operator.user()).writes();
    let children = writes.without("microservices/status").without("events");
    assert_eq!(children.count(), 0, "{children}");
    assert_eq!(namespace.get::<Deployment>("web").await.resource_version(), deployment);

    namespace.patch::<Microservice>("web", json!({"spec": {"suspend": false}})).await;
    namespace.wait_condition("web", "Ready", "True", Some("Ready")).await;
    namespace.get::<Service>("web").await;
    let deployment = serde_json::to_value(namespace.get::<Deployment>("web").await).unwrap();
    assert!(is_complete(&deployment, "web:v2"), "{deployment:#}");
}

#[tokio::test]
async fn a_stopped_service_is_ready_and_says_so() {
    let cluster = Cluster::shared();
    let namespace = Namespace::new(cluster, "zero").await;
    let _operator = Operator::start(cluster, OperatorOptions::namespace(namespace.name())).await;
    let kubectl = Kubectl::new(cluster, namespace.name());
    namespace.microservice("web", json!({"image": "web:v1", "replicas": 2})).await;
    namespace.wait_ready("web").await;

    kubectl.ok("scale msvc/web --replicas=0").await;
    kubectl.ok("wait --for=condition=Ready msvc/web --timeout=30s").await;
    let object = namespace.wait_condition("web", "Ready", "True", Some("ScaledToZero")).await;
    let object = serde_json::to_value(object).unwrap();
    assert_eq!((kstatus(&object), &object["status"]["ready"]), (Verdict::Current, &json!("0/0")));
    assert_eq!(pods(&namespace).await, [""; 0]);
    let budget = namespace.api::<PodDisruptionBudget>().get_opt("web").await.unwrap();
    assert!(budget.is_none(), "a budget of no pods would block every drain");

    kubectl.ok("scale msvc/web --replicas=2").await;
    kubectl.ok("wait --for=condition=Ready msvc/web --timeout=30s").await;
    assert_eq!(pods(&namespace).await.len(), 2);
    namespace.get::<PodDisruptionBudget>("web").await;
}

/// Each look finds that the spec has changed meanwhile. What it did is told all the same, or the next one would
/// take it for somebody else's work.
#[tokio::test]
async fn a_spec_that_changes_all_the_time_is_followed_and_nobody_is_blamed() {
    let cluster = Cluster::shared();
    let namespace = Namespace::new(cluster, "storm").await;
    let operator = Operator::start(cluster, OperatorOptions::namespace(namespace.name())).await;
    let spec = json!({"image": "web:v1", "replicas": 0, "config": {"A": "0"}});
    namespace.microservice("web", spec).await;
    namespace.wait_condition("web", "Applied", "True", None).await;
    let change = |number: usize| {
        let spec = json!({"spec": {"config": {format!("KEY_{}", number % 7): number.to_string()}}});
        namespace.patch::<Microservice>("web", spec)
    };
    let mark = cluster.audit().await.mark().await;
    let start = Instant::now();
    let mut number = 0;
    while start.elapsed() < Duration::from_secs(6) {
        number += 1;
        change(number).await;
    }
    let last = namespace.get::<Microservice>("web").await.spec.config;
    eventually(Duration::from_secs(5), "the last change is there", || async {
        let data = namespace.get::<ConfigMap>("web-config").await.data;
        if data == last { Ok(()) } else { Err(format!("{data:?}")) }
    })
    .await;
    let most = 4 + 2 * usize::try_from(start.elapsed().as_secs() + 1).unwrap_or_default();
    namespace.wait_condition("web", "Applied", "True", None).await;
    let writes = cluster.audit().await.since(mark).await.of(&operator.user()).writes().resource("configmaps");
    let writes = writes.only(|request| request.code < 300);
    println!("{number} changes");
    // Four at once, then two a second.
    assert!((number.min(4)..=most).contains(&writes.count()), "{number} changes, {writes}");
    let log = operator.log();
    assert!(!log.contains("drift repaired"), "{log}");
}

/// The class refuses what the schema accepts: the only way to an invalid spec past admission.
#[tokio::test]
async fn an_invalid_spec_on_a_running_service_leaves_its_pods_alone() {
    let cluster = Cluster::shared();
    let namespace = Namespace::new(cluster, "invalid").await;
    let operator = Operator::start(cluster, OperatorOptions::namespace(namespace.name())).await;
    let classes: Api<MicroserviceClass> = Api::all(namespace.client());
    let name = format!("guarded-{}", namespace.name());
    let class: MicroserviceClass = serde_json::from_value(json!({
        "metadata": {"name": name},
        "spec": {"guardrails": {"maxReplicas": 3, "allowedImagePrefixes": ["web:"]}},
    }))
    .unwrap();
    classes.create(&PostParams::default(), &class).await.unwrap();
    namespace.microservice("web", json!({"image": "web:v1", "replicas": 2, "className": name})).await;
    namespace.wait_ready("web").await;
    let (before, running) = (namespace.get::<Deployment>("web").await, pods(&namespace).await);

    let mark = cluster.audit().await.mark().await;
    namespace.patch::<Microservice>("web", json!({"spec": {"image": "other:v2", "replicas": 9}})).await;
    let object = namespace.wait_condition("web", "Ready", "False", Some("GuardrailViolated")).await;
    let object = serde_json::to_value(object).unwrap();
    assert_eq!(kstatus(&object), Verdict::Failed, "a person has to act");
    for (kind, status) in [("Accepted", "False"), ("Stalled", "True"), ("Available", "True")] {
        assert_eq!(condition(&object, kind)["status"], status, "{kind}: {object:#}");
    }
    let message = condition(&object, "Ready")["message"].as_str().unwrap();
    assert!(message.contains("spec.image") && message.contains("spec.replicas"), "{message}");
    let writes = cluster.audit().await.since(mark).await.of(&operator.user()).writes();
    let children = writes.without("microservices/status").without("events");
    assert_eq!(children.count(), 0, "{children}");
    assert_eq!(namespace.get::<Deployment>("web").await.resource_version(), before.resource_version());
    assert_eq!(pods(&namespace).await, running);

    namespace.patch::<Microservice>("web", json!({"spec": {"image": "web:v1", "replicas": 2}})).await;
    namespace.wait_ready("web").await;
    assert_eq!(pods(&namespace).await, running, "the way back needs no new pods");
    classes.delete(&name, &DeleteParams::default()).await.unwrap();
}

/// UIDs of the pods that are not being deleted, sorted.
async fn pods(namespace: &Namespace) -> Vec<String> {
    let pods = namespace.api::<Pod>().list(&ListParams::default()).await.unwrap();
    let staying = pods.into_iter().filter(|pod| pod.meta().deletion_timestamp.is_none());
    let mut uids: Vec<String> = staying.filter_map(|pod| pod.uid()).collect();
    uids.sort();
    uids
}
