//! KEDA itself scales a service by the lag on a real broker. `make test-keda` builds KEDA, which takes long,
//! so this is no part of `make test`; what KEDA is told is tested there too, in `tests/behaviour/lag.rs`.
#![allow(missing_docs, clippy::expect_used, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::print_stderr)]

#[path = "../support/mod.rs"]
mod support;

#[allow(dead_code)]
#[path = "../kafka/serve/counter.rs"]
mod counter;
#[allow(dead_code)]
#[path = "../kafka/fixtures.rs"]
mod fixtures;
mod program;
#[allow(dead_code)]
#[path = "../kafka/serve/shop.rs"]
mod shop;

use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use krafka::consumer::AutoOffsetReset;
use krafka::producer::Record;
use kube::api::{ApiResource, DynamicObject};
use kube::{Api, ResourceExt};
use serde_json::json;

use program::Programs;
use shop::Shop;
use support::{Cluster, Kafka, Namespace, OperatorOptions, eventually};

/// Until KEDA and the controller of autoscalers have looked, decided and acted.
const PATIENCE: Duration = Duration::from_secs(120);
/// Messages that nobody has read; with a threshold of 10, enough for more pods than there may be.
const MESSAGES: usize = 100;

fn cluster() -> &'static Cluster {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    CLUSTER.get_or_init(Cluster::own)
}

/// What KEDA says of its object of this name.
async fn ready(namespace: &Namespace, name: &str) -> Result<DynamicObject, String> {
    let resource = ApiResource {
        group: "keda.sh".to_owned(),
        version: "v1alpha1".to_owned(),
        api_version: "keda.sh/v1alpha1".to_owned(),
        kind: "ScaledObject".to_owned(),
        plural: "scaledobjects".to_owned(),
    };
    let api = Api::<DynamicObject>::namespaced_with(namespace.client(), namespace.name(), &resource);
    let object = api.get(name).await.map_err(|error| error.to_string())?;
    let conditions = object.data["status"]["conditions"].as_array().cloned().unwrap_or_default();
    let ready = conditions.iter().any(|c| c["type"] == "Ready" && c["status"] == "True");
    if ready { Ok(object) } else { Err(object.data["status"].to_string()) }
}

async fn wait_count(namespace: &Namespace, what: &str, wanted: i32, programs: &Programs) {
    eventually(PATIENCE, what, || async {
        let deployment: Deployment = namespace.get("reader").await;
        let count = deployment.spec.and_then(|spec| spec.replicas);
        if count == Some(wanted) {
            return Ok(());
        }
        let autoscaler = namespace.api::<HorizontalPodAutoscaler>().get_opt("reader.keda").await;
        let status = autoscaler.ok().flatten().and_then(|autoscaler| autoscaler.status);
        Err(format!("{count:?} {} {}", json!(status), programs.tails()))
    })
    .await;
}

/// Reads with the login of the service, in its group, until so many were read, and says so to the broker.
async fn read(kafka: &Kafka, login: &BTreeMap<String, String>, topic: &str, group: &str, count: usize) {
    let client = kafka.client_of(&login["username"], &login["password"]).await.expect("it logs in");
    let consumer = client.consumer(group).auto_offset_reset(AutoOffsetReset::Earliest).build().await;
    let consumer = consumer.expect("a consumer");
    consumer.subscribe(&[topic]).await.expect("it may read");
    let mut seen = 0;
    let start = std::time::Instant::now();
    while seen < count {
        assert!(start.elapsed() < Duration::from_secs(60), "{seen} of {count} messages came");
        seen += consumer.poll(Duration::from_millis(500)).await.expect("it may read").len();
    }
    consumer.commit().await.expect("it may commit");
    consumer.close().await.expect("it leaves the group");
}

async fn write(kafka: &Kafka, topic: &str, count: usize) {
    let client = kafka.client().await.expect("the broker answers");
    let producer = client.producer().build().await.expect("a producer");
    for number in 0..count {
        let record = Record::new(topic, format!("message {number}"));
        drop(producer.send(record).await.expect("it is written"));
    }
    producer.close().await.expect("the producer closes");
}

#[tokio::test]
async fn keda_scales_a_service_up_by_the_lag_on_the_broker_and_down_again() {
    let (cluster, kafka) = (cluster(), Kafka::shared().await);
    let options =
        OperatorOptions { arguments: vec!["--api-pace=1s".to_owned()], ..OperatorOptions::namespace("") };
    let shop = Shop::open_on(cluster, "lag", kafka, options).await;
    let programs = Programs::start(cluster).await;
    shop.give_users_of(kafka).await;
    shop.service("owner", json!({"topics": [{"name": "orders", "partitions": 6}]})).await;
    shop.namespace.wait_ready("owner").await;
    let scale_down = json!({"stabilizationWindowSeconds": 0});
    shop.namespace
        .microservice(
            "reader",
            json!({
                "image": "reader:v1", "className": shop.class,
                "kafka": {"consumes": [{"topic": "orders"}]},
                "autoscaling": {
                    "minReplicas": 1, "maxReplicas": 4, "behavior": {"scaleDown": scale_down},
                    "kafka": [{"topic": "orders", "lagThreshold": 10}],
                },
            }),
        )
        .await;
    shop.namespace.wait_condition("reader", "ScalingReady", "True", None).await;
    shop.namespace.wait_condition("reader", "KafkaAccessReady", "True", None).await;
    let (topic, group) = (shop.name("orders"), shop.name("reader"));
    let login = shop.login_of("reader").await;

    // A group that has read something has a lag.
    write(kafka, &topic, 6).await;
    read(kafka, &login, &topic, &group, 6).await;
    let namespace = &shop.namespace;
    let object = eventually(PATIENCE, "KEDA takes the object", || async {
        ready(namespace, "reader").await.map_err(|error| format!("{error} {}", programs.tails()))
    })
    .await;
    assert_eq!(object.data["status"]["hpaName"], "reader.keda");
    assert_eq!(object.data["status"]["externalMetricNames"].as_array().map(Vec::len), Some(1));
    let autoscaler: HorizontalPodAutoscaler = namespace.get("reader.keda").await;
    assert!(!autoscaler.labels().contains_key("microservice.dev/name"), "{:?}", autoscaler.labels());
    wait_count(namespace, "without lag it has the fewest pods", 1, &programs).await;

    write(kafka, &topic, MESSAGES).await;
    wait_count(namespace, "the lag makes more pods", 4, &programs).await;
    namespace.wait_ready("reader").await;

    read(kafka, &login, &topic, &group, MESSAGES).await;
    wait_count(namespace, "without lag they go", 1, &programs).await;

    // And the count is the operator's again when the lag is no longer asked for.
    namespace
        .microservice(
            "reader",
            json!({
                "image": "reader:v1", "className": shop.class, "replicas": 2,
                "kafka": {"consumes": [{"topic": "orders"}]},
            }),
        )
        .await;
    wait_count(namespace, "the fixed count", 2, &programs).await;
    eventually(PATIENCE, "KEDA's autoscaler is gone", || async {
        match namespace.api::<HorizontalPodAutoscaler>().get_opt("reader.keda").await {
            Ok(None) => Ok(()),
            Ok(Some(_)) => Err("it is there".to_owned()),
            Err(error) => Err(error.to_string()),
        }
    })
    .await;
    namespace.wait_ready("reader").await;
}
