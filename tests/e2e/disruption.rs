//! Pods are drained and killed, the kubelet and the operator die: the service goes on.

use k8s_openapi::api::core::v1::Node;
use kube::ResourceExt;
use kube::api::Api;
use microservice_operator::api::microservice::Microservice;
use serde_json::json;

use crate::fixtures::{PATIENCE, Shop, nobody_is_leaving, operator, pods, wait_ready};
use crate::support::{Cluster, eventually};
use crate::traffic::{Load, request};

fn names(pods: &std::collections::BTreeMap<String, String>) -> Vec<String> {
    pods.keys().filter_map(|pod| pod.split(' ').next()).map(str::to_owned).collect()
}

#[tokio::test]
async fn a_drain_takes_one_pod_after_the_other_and_finishes() {
    let shop = Shop::open().await;
    let address = shop.address("user-service").await;
    let old = names(&pods(&shop.namespace, "user-service").await);
    assert_eq!(old.len(), 3);
    let load = Load::on(&[address], 2, 10);
    let drain = "drain node-1 --pod-selector=microservice.dev/name=user-service --delete-emptydir-data \
                 --ignore-daemonsets --timeout=120s";
    // There is no other node: this one is opened again as soon as the drain has closed it.
    let (drained, ()) = tokio::join!(shop.kubectl.run(drain), reopened());
    assert_eq!(drained.code, 0, "{drained:?}");
    let refused = "would violate the pod's disruption budget";
    assert!(drained.err.contains(refused), "the second pod waits for a successor of the first: {drained:?}");
    wait_ready(&shop.namespace, "user-service").await;
    nobody_is_leaving(&shop.namespace).await;
    load.report().assert_perfect();
    let new = names(&pods(&shop.namespace, "user-service").await);
    assert!(new.iter().all(|pod| !old.contains(pod)), "{new:?}");
}

/// Waits until the node is closed, and opens it.
async fn reopened() {
    let nodes = Api::<Node>::all(Cluster::real().client().await);
    eventually(PATIENCE, "the drain closes the node", || async {
        let node = nodes.get("node-1").await.map_err(|error| error.to_string())?;
        let closed = node.spec.and_then(|spec| spec.unschedulable) == Some(true);
        if closed { Ok(()) } else { Err("it is open".to_owned()) }
    })
    .await;
    nodes.uncordon("node-1").await.expect("the node can be opened");
}

#[tokio::test]
async fn a_container_that_dies_is_missed_for_seconds_only() {
    let shop = Shop::open().await;
    let address = shop.address("user-service").await;
    let before = pods(&shop.namespace, "user-service").await;
    let load = Load::on(std::slice::from_ref(&address), 2, 10);
    // The process ends in the middle of everything, and does not answer this request either.
    request("POST", &address, "/misbehave?how=crash:1").await.expect_err("it is gone");
    eventually(PATIENCE, "the container runs again", || async {
        let after = pods(&shop.namespace, "user-service").await;
        let again = after.values().any(|state| state.contains(": 1 Some"));
        if again && after != before { Ok(()) } else { Err(format!("{after:#?}")) }
    })
    .await;
    wait_ready(&shop.namespace, "user-service").await;
    let report = load.report();
    let last = report.causes.keys().next_back().cloned().unwrap_or_default();
    let first = report.causes.keys().next().cloned().unwrap_or_default();
    println!("{} of {} requests failed, from {first} to {last}", report.failed, report.total());
    // What was under way there is lost, and what comes until the rules of the node are without it.
    let took = (seconds(&last) - seconds(&first)).rem_euclid(86_400.0);
    assert!(took < 15.0, "{took} s: {report:#?}");
    assert!(report.slowest < 15_000, "{report:#?}");
}

/// Of the day, at the start of a cause: `09:12:33.250: connection refused`.
fn seconds(cause: &str) -> f64 {
    let parts = cause.get(..12).unwrap_or("00:00:00").split(':').filter_map(|part| part.parse::<f64>().ok());
    parts.fold(0.0, |sum, part| sum * 60.0 + part)
}

#[tokio::test]
async fn services_run_on_without_their_kubelet() {
    let shop = Shop::open().await;
    let cluster = Cluster::real();
    let (before, address) = (shop.pods().await, shop.address("order-service").await);
    let load = Load::on(std::slice::from_ref(&address), 2, 10);
    cluster.signal("kubelet", "KILL");
    let (status, body) = request("GET", &address, "/call").await.unwrap();
    assert_eq!(status, 200, "{body}");
    let renewed = |node: &Node| {
        let conditions = node.status.as_ref().and_then(|status| status.conditions.as_ref());
        conditions
            .into_iter()
            .flatten()
            .find(|c| c.type_ == "Ready")
            .and_then(|c| c.last_heartbeat_time.clone())
    };
    let nodes = Api::<Node>::all(cluster.client().await);
    let last = renewed(&nodes.get("node-1").await.unwrap());
    cluster.revive();
    eventually(PATIENCE, "the new kubelet reports", || async {
        let node = nodes.get("node-1").await.map_err(|error| error.to_string())?;
        if renewed(&node) == last { Err(node.name_any()) } else { Ok(()) }
    })
    .await;
    shop.wait_ready().await;
    load.report().assert_perfect();
    assert_eq!(shop.pods().await, before, "every container runs on");
}

#[tokio::test]
async fn services_run_on_without_the_operator_and_it_catches_up() {
    let shop = Shop::open().await;
    let (before, address) = (shop.pods().await, shop.address("search-service").await);
    let load = Load::on(std::slice::from_ref(&address), 2, 10);
    let mut operator = operator().await;
    operator.kill().await;
    let change = json!({"spec": {"config": {"PAGE_SIZE": "50"}}});
    shop.namespace.patch::<Microservice>("search-service", change).await;
    let (status, body) = request("GET", &address, "/call").await.unwrap();
    assert_eq!(status, 200, "{body}");
    assert_eq!(shop.pods().await, before, "nothing happens without it");
    operator.restart().await;
    drop(operator);
    wait_ready(&shop.namespace, "search-service").await;
    nobody_is_leaving(&shop.namespace).await;
    let (_, info) = request("GET", &address, "/info").await.unwrap();
    load.report().assert_perfect();
    assert!(info.contains(r#""PAGE_SIZE":"50""#), "{info}");
}
