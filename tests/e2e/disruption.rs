//! Pods are drained and killed, the kubelet and the operator die: the service goes on.

use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::{Node, Pod};
use kube::api::{Api, DeleteParams, EvictParams};
use kube::{Error, ResourceExt};
use microservice_operator::api::microservice::Microservice;
use serde_json::json;

use crate::fixtures::{PATIENCE, Shop, operator, pods, wait_ready};
use crate::support::{Cluster, eventually};
use crate::traffic::{Load, request};

fn names(pods: &std::collections::BTreeMap<String, String>) -> Vec<String> {
    pods.keys().filter_map(|pod| pod.split(' ').next()).map(str::to_owned).collect()
}

#[tokio::test]
async fn a_drain_takes_one_pod_after_the_other_and_finishes() {
    let shop = Shop::open().await;
    let address = shop.address("user-service").await;
    let api = shop.namespace.api::<Pod>();
    let old = names(&pods(&shop.namespace, "user-service").await);
    assert_eq!(old.len(), 3);
    let load = Load::on(&[address], 2, 10);
    let (start, mut refused) = (Instant::now(), 0);
    // As `kubectl drain` does it; without closing the only node there is.
    let mut left = old.clone();
    while let Some(pod) = left.pop() {
        match api.evict(&pod, &EvictParams::default()).await {
            Ok(_) => {}
            Err(Error::Api(status)) if status.code == 429 => {
                refused += 1;
                left.insert(0, pod);
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
            Err(error) => panic!("{pod}: {error}"),
        }
        assert!(start.elapsed() < PATIENCE, "the drain does not finish: {left:?} are left");
    }
    assert!(refused > 0, "the budget holds back the second pod until the first has a successor");
    wait_ready(&shop.namespace, "user-service").await;
    load.report().assert_perfect();
    let new = names(&pods(&shop.namespace, "user-service").await);
    assert!(new.iter().all(|pod| !old.contains(pod)), "{new:?}");
}

#[tokio::test]
async fn a_pod_that_is_killed_is_missed_by_few() {
    let shop = Shop::open().await;
    let address = shop.address("user-service").await;
    let load = Load::on(std::slice::from_ref(&address), 2, 10);
    let victim = names(&pods(&shop.namespace, "user-service").await).remove(0);
    let at_once = DeleteParams { grace_period_seconds: Some(0), ..DeleteParams::default() };
    shop.namespace.api::<Pod>().delete(&victim, &at_once).await.unwrap();
    eventually(PATIENCE, "there is another pod", || async {
        let now = names(&pods(&shop.namespace, "user-service").await);
        if now.len() == 3 && !now.contains(&victim) { Ok(()) } else { Err(format!("{now:?}")) }
    })
    .await;
    wait_ready(&shop.namespace, "user-service").await;
    let report = load.report();
    println!(
        "{} of {} requests failed, the slowest took {} ms: {:?}",
        report.failed,
        report.total(),
        report.slowest,
        report.causes
    );
    // What was under way at the pod is lost, and what comes until the node's rules are without it.
    assert!(report.failed * 50 < report.total(), "at most 2 %: {report:#?}");
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
    let (_, info) = request("GET", &address, "/info").await.unwrap();
    load.report().assert_perfect();
    assert!(info.contains(r#""PAGE_SIZE":"50""#), "{info}");
}
