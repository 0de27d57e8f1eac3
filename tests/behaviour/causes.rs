//! Every cause that keeps pods from being ready becomes one sentence that names the fix; the fix heals
//! and touches nothing else; a failed update leaves the old pods alone.

use std::time::Duration;

use futures::future::join_all;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Pod, ResourceQuota, Service, ServiceAccount};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::ResourceExt;
use kube::api::ListParams;
use microservice_operator::api::Microservice;
use serde_json::{Value, json};

use crate::support::{Cluster, Kubectl, Namespace, Operator, OperatorOptions, condition, eventually};

/// A service of two pods that cannot become ready.
struct Case {
    name: &'static str,
    spec: Value,
    reason: &'static str,
    /// The whole message; `*` stands for any text.
    message: &'static str,
    /// What the message says, as a patch of the spec.
    fix: Value,
}

fn case(name: &'static str, spec: Value, reason: &'static str, message: &'static str, fix: Value) -> Case {
    Case { name, spec, reason, message, fix }
}

fn image_case(tag: &'static str, reason: &'static str, message: &'static str) -> Case {
    case(tag, json!({"image": format!("web:v1-{tag}")}), reason, message, json!({"image": "web:v1"}))
}

fn cases() -> Vec<Case> {
    let selector = json!({"nodeSelector": {"example.com/pool": "none"}});
    let no_selector = json!({"pod": null});
    vec![
        image_case(
            "missing",
            "ImagePullFailed",
            "2 of 2 pods cannot pull image \"web:v1-missing\": not found; fix spec.image or add spec.imagePullSecrets.",
        ),
        image_case(
            "crash",
            "CrashLooping",
            "2 of 2 pods crash with exit code 1; see `kubectl logs crash-* -c crash --previous`.",
        ),
        image_case(
            "oom",
            "OutOfMemory",
            "2 of 2 pods run out of memory (limit 512Mi); raise spec.resources.limits.memory.",
        ),
        image_case(
            "unhealthy",
            "ProbeFailing",
            "2 of 2 pods fail the health check: Readiness probe failed: Get \"http://*/health\": dial tcp *: connect: \
             connection refused; see `kubectl logs unhealthy-* -c unhealthy`, or fix spec.health.",
        ),
        image_case(
            "missingkey",
            "ContainerConfigError",
            "2 of 2 pods cannot start: key \"url\" is missing in Secret \"missingkey\"; add the key to Secret \
             \"missingkey\".",
        ),
        case(
            "nohealth",
            json!({"image": "web:v1-nohealth"}),
            "ProbeFailing",
            "2 of 2 pods fail the health check: GET /health answers 404; set spec.health.path or spec.health.type: \
             TCP.",
            json!({"health": {"path": "/status"}}),
        ),
        case(
            "rootuser",
            json!({"image": "web:v1-rootuser"}),
            "NonRootRefused",
            "2 of 2 pods may not run as root, but image \"web:v1-rootuser\" does; set spec.pod.runAsUser: 1000.",
            json!({"pod": {"runAsUser": 1000}}),
        ),
        case(
            "toolarge",
            json!({"image": "web:v1", "resources": {"requests": {"cpu": "500"}, "limits": {}}}),
            "Unschedulable",
            "2 of 2 pods cannot be scheduled: 0/3 nodes are available: 3 Insufficient cpu*; lower spec.resources, \
             loosen spec.pod, or add nodes.",
            json!({"resources": null}),
        ),
        case(
            "nowhere",
            json!({"image": "web:v1", "pod": selector}),
            "Unschedulable",
            "2 of 2 pods cannot be scheduled: 0/3 nodes are available: 3 node(s) didn't match Pod's node \
             affinity/selector*; lower spec.resources, loosen spec.pod, or add nodes.",
            no_selector,
        ),
    ]
}

#[tokio::test]
async fn every_cause_is_one_sentence_and_its_fix_heals() {
    let cluster = Cluster::shared();
    let namespace = Namespace::new(cluster, "causes").await;
    let operator = Operator::start(cluster, OperatorOptions::namespace(namespace.name())).await;
    let cases = cases();

    namespace.microservice("bystander", json!({"image": "web:v1", "replicas": 2})).await;
    for Case { name, spec, .. } in &cases {
        let mut spec = spec.clone();
        spec["replicas"] = json!(2);
        namespace.microservice(name, spec).await;
    }
    namespace.wait_ready("bystander").await;
    join_all(cases.iter().map(|case| explained(&namespace, case.name, case.reason, case.message))).await;
    table_answers(cluster, &namespace, &cases).await;

    let bystander = stored(&namespace, "bystander").await;
    let mark = cluster.audit().await.mark().await;
    join_all(cases.iter().map(|case| heals(&namespace, case))).await;
    assert_eq!(stored(&namespace, "bystander").await, bystander, "a repair touches its own service only");
    let writes = cluster.audit().await.since(mark).await.of(&operator.user()).writes();
    let strange = writes
        .only(|request| !cases.iter().any(|case| case.name == request.name) && request.resource != "events");
    assert_eq!(strange.count(), 0, "{strange}");
}

/// `kubectl get msvc` alone says which ones are broken and why.
async fn table_answers(cluster: &Cluster, namespace: &Namespace, cases: &[Case]) {
    let table = Kubectl::new(cluster, namespace.name()).ok("get msvc -o wide").await;
    for Case { name, reason, message, .. } in cases {
        let row = table.lines().find(|line| line.starts_with(&format!("{name} ")));
        let row = row.unwrap_or_else(|| panic!("no {name} in\n{table}"));
        let words: Vec<&str> = row.split_whitespace().collect();
        assert_eq!(words.get(1..4), Some(&["False", "0/2", *reason][..]), "{row}");
        assert!(matches(row, &format!("*{message}")), "{row}\nhas not the message\n{message}");
    }
    let bystander = table.lines().find(|line| line.starts_with("bystander "));
    let words: Vec<&str> = bystander.unwrap_or_default().split_whitespace().collect();
    assert_eq!(words.get(1..4), Some(&["True", "2/2", "Ready"][..]), "{table}");
}

async fn heals(namespace: &Namespace, case: &Case) {
    let before = others(namespace, case.name).await;
    namespace.patch::<Microservice>(case.name, json!({"spec": case.fix})).await;
    let healed = namespace.wait_ready(case.name).await;
    let healed = serde_json::to_value(healed).unwrap();
    assert!(
        condition(&healed, "Stalled").is_null() && condition(&healed, "Reconciling").is_null(),
        "{healed}"
    );
    let after = others(namespace, case.name).await;
    let uids = |objects: &[(String, String)]| objects.iter().map(|o| o.0.clone()).collect::<Vec<_>>();
    assert_eq!(uids(&after), uids(&before), "{}: the other children stay", case.name);
    assert_eq!(after, before, "{}: the other children are not written", case.name);
}

#[tokio::test]
async fn a_failed_update_leaves_the_old_pods_alone() {
    let cluster = Cluster::shared();
    let namespace = Namespace::new(cluster, "update").await;
    let _operator = Operator::start(cluster, OperatorOptions::namespace(namespace.name())).await;
    namespace.microservice("web", json!({"image": "web:v1", "replicas": 2})).await;
    namespace.wait_ready("web").await;
    let pods = ready_pods(&namespace, "web").await;
    assert_eq!(pods.len(), 2);

    for (tag, reason, message) in [
        (
            "missing",
            "ImagePullFailed",
            "1 new pod cannot pull image \"web:v2-missing\": not found; fix spec.image or add \
             spec.imagePullSecrets; 2 old pods keep serving.",
        ),
        (
            "crash",
            "CrashLooping",
            "1 new pod crashes with exit code 1; see `kubectl logs web-* -c web --previous`; 2 old pods keep serving.",
        ),
    ] {
        namespace.patch::<Microservice>("web", json!({"spec": {"image": format!("web:v2-{tag}")}})).await;
        let object = explained(&namespace, "web", reason, message).await;
        assert_eq!(object["status"]["ready"], "2/2", "the old pods serve on");
        assert_eq!(condition(&object, "Available")["status"], "False", "the new version does not");
        assert_eq!(condition(&object, "Reconciling")["status"], "True", "the rollout still has time");
        assert!(condition(&object, "Stalled").is_null(), "{object}");
        assert_eq!(ready_pods(&namespace, "web").await, pods);
    }

    namespace.patch::<Microservice>("web", json!({"spec": {"image": "web:v1"}})).await;
    namespace.wait_ready("web").await;
    assert_eq!(ready_pods(&namespace, "web").await, pods, "the way back needs no new pods");
}

#[tokio::test]
async fn a_quota_is_named_and_raising_it_heals() {
    let cluster = Cluster::shared();
    let namespace = Namespace::new(cluster, "quota").await;
    let quota = |pods: &str| {
        json!({
            "apiVersion": "v1", "kind": "ResourceQuota",
            "metadata": {"name": "small"}, "spec": {"hard": {"pods": pods}},
        })
    };
    namespace.apply(quota("1")).await;
    eventually(Duration::from_secs(20), "the quota is in force", || async {
        let quota = namespace.get::<ResourceQuota>("small").await;
        let hard = quota.status.and_then(|status| status.hard);
        if hard.is_some() { Ok(()) } else { Err("its status is empty") }
    })
    .await;
    let _operator = Operator::start(cluster, OperatorOptions::namespace(namespace.name())).await;

    namespace.microservice("web", json!({"image": "web:v1", "replicas": 2})).await;
    let message = "Pods of Deployment \"web\" are refused: exceeded quota: small, requested: pods=1, used: pods=1, \
                   limited: pods=1; raise the quota, or lower spec.resources or the number of pods.";
    explained(&namespace, "web", "QuotaExceeded", message).await;
    eventually(Duration::from_secs(30), "the pod that the quota admits is ready", || async {
        let status = namespace.get::<Microservice>("web").await.status.unwrap_or_default();
        let is = (status.ready.as_deref(), status.reason.as_deref());
        if is == (Some("1/2"), Some("QuotaExceeded")) { Ok(()) } else { Err(format!("{is:?}")) }
    })
    .await;

    namespace.apply(quota("5")).await;
    namespace.wait_ready("web").await;
}

/// Waits until the object is not Ready for this reason with this message, in its current generation.
async fn explained(namespace: &Namespace, name: &str, reason: &str, message: &str) -> Value {
    let api = namespace.api::<Microservice>();
    let what = format!("{name} says {reason}: {message}");
    eventually(Duration::from_secs(30), &what, || async {
        let object = api.get(name).await.map_err(|error| error.to_string())?;
        let object = serde_json::to_value(object).map_err(|error| error.to_string())?;
        let ready = condition(&object, "Ready");
        let says = ready["message"].as_str().unwrap_or_default();
        let current = ready["observedGeneration"] == object["metadata"]["generation"];
        let met = ready["status"] == "False" && ready["reason"] == reason && matches(says, message);
        if current && met { Ok(object) } else { Err(ready.to_string()) }
    })
    .await
}

/// Whether a text is the pattern, in which `*` stands for any text.
fn matches(text: &str, pattern: &str) -> bool {
    let pattern = pattern.split('*').map(regex::escape).collect::<Vec<_>>().join(".*");
    regex::Regex::new(&format!("^(?s:{pattern})$")).unwrap().is_match(text)
}

/// UID and version of the children that a fix of the pods does not concern.
async fn others(namespace: &Namespace, name: &str) -> Vec<(String, String)> {
    let identity = |metadata: &kube::api::ObjectMeta| {
        (metadata.uid.clone().unwrap_or_default(), metadata.resource_version.clone().unwrap_or_default())
    };
    vec![
        identity(&namespace.get::<ServiceAccount>(name).await.metadata),
        identity(&namespace.get::<Service>(name).await.metadata),
        // Its status counts pods: its version is no sign of a write of ours.
        (namespace.get::<PodDisruptionBudget>(name).await.uid().unwrap_or_default(), String::new()),
    ]
}

/// Version of a whole service: the object, its workload, its other children.
async fn stored(namespace: &Namespace, name: &str) -> (Vec<(String, String)>, Vec<Option<String>>) {
    let object = namespace.get::<Microservice>(name).await.resource_version();
    let deployment = namespace.get::<Deployment>(name).await.resource_version();
    (others(namespace, name).await, vec![object, deployment])
}

/// UIDs of the pods that are ready, sorted.
async fn ready_pods(namespace: &Namespace, name: &str) -> Vec<String> {
    let mine = ListParams::default().labels(&format!("microservice.dev/name={name}"));
    let pods = namespace.api::<Pod>().list(&mine).await.unwrap();
    let ready = pods.into_iter().filter(|pod| {
        let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
        conditions.into_iter().flatten().any(|c| c.type_ == "Ready" && c.status == "True")
    });
    let mut uids: Vec<String> = ready.filter_map(|pod| pod.uid()).collect();
    uids.sort();
    uids
}
