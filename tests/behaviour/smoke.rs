//! The ground itself: the control plane, the simulated nodes, the audit log; then the smallest object.

use std::collections::BTreeSet;
use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Event, Pod, Service};
use kube::api::{DeleteParams, ListParams, PostParams};
use serde_json::json;

use crate::support::{Cluster, Namespace, Operator, OperatorOptions, eventually, free_port};

#[test]
fn no_port_is_given_out_twice() {
    let ports: BTreeSet<_> = (0..2_000).map(|_| free_port()).collect();
    assert_eq!(ports.len(), 2_000);
}

fn pod(name: &str, image: &str) -> serde_json::Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {
            "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [{
                "name": "app",
                "image": image,
                "readinessProbe": {"httpGet": {"path": "/health", "port": 3000}},
                "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}},
            }],
        },
    })
}

async fn wait_pod(namespace: &Namespace, name: &str, what: &str, check: impl Fn(&serde_json::Value) -> bool) {
    let pods = namespace.api::<Pod>();
    eventually(Duration::from_secs(20), what, || async {
        let pod = pods.get(name).await.map_err(|error| error.to_string())?;
        let status = serde_json::to_value(pod.status).map_err(|error| error.to_string())?;
        if check(&status) { Ok(()) } else { Err(status.to_string()) }
    })
    .await;
}

fn is_ready(status: &serde_json::Value) -> bool {
    let conditions = status["conditions"].as_array().cloned().unwrap_or_default();
    conditions.iter().any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
}

#[tokio::test]
async fn simulated_pod_becomes_ready() {
    let namespace = Namespace::new(Cluster::shared(), "smoke").await;
    namespace.apply(pod("web", "web:v1")).await;
    wait_pod(&namespace, "web", "the pod is Ready", is_ready).await;
}

#[tokio::test]
async fn pods_are_held_to_the_restricted_profile() {
    let namespace = Namespace::new(Cluster::shared(), "smoke").await;
    let mut privileged = pod("web", "web:v1");
    privileged["spec"]["containers"][0]["securityContext"] = json!({"privileged": true});
    let refusal = namespace.try_apply(privileged).await.expect_err("a privileged pod is refused");
    assert!(refusal.to_string().contains("PodSecurity \"restricted"), "{refusal}");
}

#[tokio::test]
async fn simulated_pods_fail_as_their_image_tag_says() {
    let namespace = Namespace::new(Cluster::shared(), "smoke").await;
    let waiting = |reason: &'static str| {
        move |status: &serde_json::Value| {
            status["containerStatuses"][0]["state"]["waiting"]["reason"] == reason
        }
    };
    for tag in ["missing", "missingkey", "rootuser", "crash-137", "unhealthy", "nohealth"] {
        namespace.apply(pod(tag, &format!("registry.example.com:5000/shop/web:v1-{tag}"))).await;
    }
    wait_pod(&namespace, "missing", "no image", waiting("ImagePullBackOff")).await;
    wait_pod(&namespace, "missingkey", "no key", waiting("CreateContainerConfigError")).await;
    wait_pod(&namespace, "rootuser", "root", waiting("CreateContainerConfigError")).await;
    wait_pod(&namespace, "crash-137", "crash loop", waiting("CrashLoopBackOff")).await;
    wait_pod(&namespace, "crash-137", "exit code", |status| {
        status["containerStatuses"][0]["lastState"]["terminated"]["exitCode"] == 137
    })
    .await;
    for tag in ["unhealthy", "nohealth"] {
        wait_pod(&namespace, tag, "runs unready", |status| status["phase"] == "Running" && !is_ready(status))
            .await;
        let about = ListParams::default().fields(&format!("involvedObject.name={tag},reason=Unhealthy"));
        eventually(Duration::from_secs(20), "the probe's Event", || async {
            let events = namespace.api::<Event>().list(&about).await.map_err(|error| error.to_string())?;
            if events.items.is_empty() { Err("no Event yet".to_owned()) } else { Ok(()) }
        })
        .await;
    }
}

#[tokio::test]
async fn audit_log_counts_exactly() {
    let cluster = Cluster::shared();
    let namespace = Namespace::new(cluster, "smoke").await;
    let audit = cluster.audit().await;
    let configs = namespace.api::<ConfigMap>();
    let mut config = ConfigMap::default();

    config.metadata.name = Some("before".to_owned());
    configs.create(&PostParams::default(), &config).await.unwrap();
    let mark = audit.mark().await;
    assert_eq!(audit.since(mark).await.namespace(namespace.name()).resource("configmaps").count(), 0);
    for number in 0..50 {
        config.metadata.name = Some(format!("config-{number}"));
        configs.create(&PostParams::default(), &config).await.unwrap();
    }
    configs.create(&PostParams::default(), &config).await.expect_err("the name is taken");
    configs.get("config-0").await.unwrap();
    configs.delete("config-0", &DeleteParams::default()).await.unwrap();

    let seen = audit.since(mark).await.of("admin").namespace(namespace.name()).resource("configmaps");
    assert_eq!(seen.count(), 53, "{seen}");
    assert_eq!(seen.writes().count(), 52, "{seen}");
    assert_eq!(seen.only(|request| request.verb == "create" && request.code == 409).count(), 1, "{seen}");
    assert_eq!(seen.reads().count(), 1, "{seen}");
}

#[tokio::test]
async fn a_cluster_of_its_own_can_be_disturbed() {
    let cluster = Cluster::own();
    let client = cluster.client().await;
    cluster.signal("kube-apiserver", "KILL");
    client.apiserver_version().await.expect_err("the API server is gone");
    cluster.revive();
    client.apiserver_version().await.expect("the API server is back with the same certificate and tokens");
}

#[tokio::test]
async fn minimal_object_becomes_ready() {
    let cluster = Cluster::shared();
    let namespace = Namespace::new(cluster, "smoke").await;
    let mut operator = Operator::start(cluster, OperatorOptions::namespace(namespace.name())).await;

    namespace.microservice("user-service", json!({"image": "user-service:v1.2.0"})).await;
    let object = namespace.wait_ready("user-service").await;
    assert_eq!(object.status.and_then(|status| status.ready).as_deref(), Some("3/3"));
    let deployment = namespace.get::<Deployment>("user-service").await;
    assert_eq!(deployment.status.and_then(|status| status.ready_replicas), Some(3));
    namespace.get::<Service>("user-service").await;

    let (code, took) = operator.stop().await;
    assert_eq!(code, Some(0), "exit code after SIGTERM");
    assert!(took < Duration::from_secs(5), "SIGTERM took {took:?}");
}
