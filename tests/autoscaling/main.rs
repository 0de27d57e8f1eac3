//! The part of the end-to-end tests that needs the use of CPU: `make e2e` builds metrics-server, which
//! takes minutes, so this is no part of `make e2e-fast`.
#![allow(missing_docs, clippy::expect_used, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

#[path = "../e2e/fixtures.rs"]
#[allow(dead_code)] // the end-to-end tests use more of it
mod fixtures;
mod metrics;
#[path = "../support/mod.rs"]
mod support;
#[path = "../e2e/traffic.rs"]
#[allow(dead_code)]
mod traffic;

use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use microservice_operator::api::microservice::Microservice;
use serde_json::{Value, json};

use fixtures::{PATIENCE, address, namespace, nobody_is_leaving, pods, wait_ready};
use support::{Cluster, Namespace, eventually};
use traffic::Load;

/// Half of 50 millicores in each pod, and quick to shrink.
fn autoscaling(min: i32) -> Value {
    let policies = json!([{"type": "Pods", "value": 4, "periodSeconds": 15}]);
    json!({
        "minReplicas": min, "maxReplicas": 4, "targetCPUUtilizationPercentage": 50,
        "behavior": {"scaleDown": {"stabilizationWindowSeconds": 15, "policies": policies}},
    })
}

fn spec() -> Value {
    json!({"image": "web:v1", "resources": {"requests": {"cpu": "50m"}}})
}

#[tokio::test]
async fn pods_follow_the_use_of_cpu_up_and_down_and_no_request_fails() {
    let (namespace, address) = open("cpu", json!({"autoscaling": autoscaling(2)})).await;
    counts(&namespace, 2).await;
    let visitors = Load::on(std::slice::from_ref(&address), 1, 50);
    // Five milliseconds of CPU each: far more than two pods are to use.
    let work = Load::at("/work?cpu=5", std::slice::from_ref(&address), 2, 50);
    counts(&namespace, 4).await;
    work.report().assert_perfect();
    counts(&namespace, 2).await;
    nobody_is_leaving(&namespace).await;
    visitors.report().assert_perfect();
}

#[tokio::test]
async fn an_autoscaler_takes_over_and_hands_back_the_very_pods() {
    // So much that visitors alone are no reason to add a pod, also on a machine with other work.
    let requests = json!({"replicas": 3, "resources": {"requests": {"cpu": "300m"}}});
    let (namespace, address) = open("handover", requests).await;
    let before = pods(&namespace, "web").await;
    assert_eq!(before.len(), 3);
    let visitors = Load::on(std::slice::from_ref(&address), 2, 10);
    let handed = json!({"spec": {"replicas": null, "autoscaling": autoscaling(3)}});
    namespace.patch::<Microservice>("web", handed).await;
    wait_ready(&namespace, "web").await;
    eventually(PATIENCE, "the autoscaler judges by the use of CPU", || async {
        let autoscalers = namespace.api::<HorizontalPodAutoscaler>();
        let status = autoscalers.get("web").await.map_err(|error| error.to_string())?.status;
        let conditions = status.and_then(|status| status.conditions).unwrap_or_default();
        let active = conditions.iter().any(|c| c.type_ == "ScalingActive" && c.status == "True");
        if active { Ok(()) } else { Err(format!("{conditions:?}")) }
    })
    .await;
    assert_eq!(pods(&namespace, "web").await, before, "it keeps them");
    let back = json!({"spec": {"replicas": 3, "autoscaling": null}});
    namespace.patch::<Microservice>("web", back).await;
    wait_ready(&namespace, "web").await;
    assert_eq!(pods(&namespace, "web").await, before, "and gives them back");
    visitors.report().assert_perfect();
}

/// A service that is ready, and its address.
async fn open(name: &str, more: Value) -> (Namespace, String) {
    Cluster::real().load("shop", "/app/migrate", &["docker.io/library/web:v1"]);
    metrics::serve(Cluster::real()).await;
    let (namespace, _) = namespace(name).await;
    let mut spec = spec();
    spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    namespace.microservice("web", spec).await;
    wait_ready(&namespace, "web").await;
    let address = address(&namespace, "web").await;
    (namespace, address)
}

/// Waits until the service has so many pods, all ready.
async fn counts(namespace: &Namespace, wanted: usize) {
    eventually(2 * PATIENCE, &format!("{wanted} pods are ready"), || async {
        let object = namespace.api::<Microservice>().get("web").await.map_err(|error| error.to_string())?;
        let autoscaler = namespace.api::<HorizontalPodAutoscaler>().get("web").await;
        let seen = object.status.and_then(|status| status.ready).unwrap_or_default();
        let judged = autoscaler.ok().and_then(|autoscaler| autoscaler.status);
        if seen == format!("{wanted}/{wanted}") { Ok(()) } else { Err(format!("{seen}, {judged:?}")) }
    })
    .await;
}
