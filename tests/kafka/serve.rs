//! Topics served end to end: a Microservice on a real control plane, its topics on a real broker.

mod access;
mod consent;
mod counter;
mod cuts;
mod drift;
mod faults;
mod fleet;
mod gone;
mod letting_go;
mod lines;
mod minute;
mod moves;
mod outage;
mod owners;
mod partial;
mod refused;
mod rotation;
mod shop;
mod strimzi;
mod stuck;
mod weak;

use std::time::Duration;

use microservice_operator::engine::kafka::Broker;
use microservice_operator::kafka::model::ConfigChange;
use serde_json::json;

use crate::fixtures::{all_ok, config};
use crate::support::{Kafka, always};
use shop::{Shop, is_true, message, told};

#[tokio::test]
async fn a_topic_is_created_as_described_and_the_service_is_ready() {
    let shop = Shop::open("created").await;
    let topic = json!({
        "name": "order-events", "partitions": 6, "retention": "7d", "cleanupPolicy": "CompactDelete",
        "config": {"compression.type": "zstd"},
    });
    shop.order("order", json!([topic, {"name": "defaults"}])).await;
    let ready = shop.namespace.wait_ready("order").await;
    assert!(is_true(&ready, "TopicsReady"));

    let live = shop.topic("order-events").await.expect("it is there");
    assert_eq!(live.partitions, 6);
    let expected = config(&[
        ("cleanup.policy", "compact,delete".to_owned()),
        ("compression.type", "zstd".to_owned()),
        ("retention.ms", "604800000".to_owned()),
    ]);
    assert_eq!(live.config, expected);
    let defaults = shop.topic("defaults").await.expect("it is there");
    assert_eq!((defaults.partitions, defaults.config.len()), (3, 0), "the class's default");

    let entries = &ready.status.as_ref().expect("it has a status").topics;
    assert_eq!(entries.len(), 2, "{entries:?}");
    assert_eq!(entries[0].id.as_deref(), Some(live.id.as_str()));
    assert_eq!(
        (entries[0].physical_name.as_str(), entries[0].partitions),
        (shop.name("order-events").as_str(), Some(6))
    );
    assert_eq!(entries[0].message, None);
    let note = shop.event("order", "TopicCreated").await;
    assert!(note.contains(&shop.name("order-events")) && note.contains(&shop.name("defaults")), "{note}");
}

#[tokio::test]
async fn at_rest_nothing_is_written() {
    let shop = Shop::open_with("rest", Kafka::shared().await, &["--kafka-sweep=1s"]).await;
    shop.order("order", json!([{"name": "a", "partitions": 2}, {"name": "b", "retention": "1d"}])).await;
    shop.namespace.wait_ready("order").await;
    // Its last status write, if one is still on the way.
    shop.operator_settles().await;

    let audit = shop.cluster.audit().await;
    let mark = audit.mark().await;
    let before = shop.topic("a").await;
    let writes = || async {
        let writes = audit.since(mark).await.of(&shop.operator.user()).writes();
        if writes.count() == 0 { Ok(()) } else { Err(writes.to_string()) }
    };
    always(Duration::from_secs(4), "nothing is written while several sweeps go by", writes).await;
    assert_eq!(shop.topic("a").await, before);
}

#[tokio::test]
async fn a_restart_writes_nothing() {
    let mut shop = Shop::open("restart").await;
    shop.order("order", json!([{"name": "a", "partitions": 2}, {"name": "b", "retention": "1d"}])).await;
    shop.namespace.wait_ready("order").await;
    shop.operator_settles().await;
    shop.operator.stop().await;
    let edit =
        ConfigChange { topic: shop.name("b"), keys: config(&[("retention.ms", Some("7".to_owned()))]) };
    all_ok(shop.broker.alter(&[edit]).await.expect("the broker answers"));
    let audit = shop.cluster.audit().await;
    let mark = audit.mark().await;
    shop.operator.restart().await;
    shop.settles("b", "it has looked: what was changed is set back", |topic| {
        topic.config.get("retention.ms").is_some_and(|value| value == "86400000")
    })
    .await;
    shop.operator_settles().await;
    let writes = audit.since(mark).await.of(&shop.operator.user()).writes();
    assert_eq!(writes.count(), 0, "{writes}");
}

#[tokio::test]
async fn partitions_grow_and_never_shrink_while_the_rest_applies() {
    let shop = Shop::open("partitions").await;
    shop.order("order", json!([{"name": "a", "partitions": 2}])).await;
    shop.namespace.wait_ready("order").await;
    shop.order("order", json!([{"name": "a", "partitions": 4}])).await;
    shop.settles("a", "it has 4 partitions", |topic| topic.partitions == 4).await;
    let note = shop.event("order", "PartitionsRaised").await;
    assert!(note.contains("4 partitions instead of 2"), "{note}");

    shop.order("order", json!([{"name": "a", "partitions": 1, "retention": "1h"}])).await;
    let reason = Some("PartitionDecreaseRefused");
    let refused = shop.namespace.wait_condition("order", "TopicsReady", "False", reason).await;
    let message = message(&refused, "TopicsReady");
    assert!(message.contains(&shop.name("a")) && message.contains("set partitions to 4"), "{message}");
    assert!(is_true(&refused, "Ready"), "it exists");
    shop.settles("a", "the retention applies", |topic| {
        topic.config.get("retention.ms").is_some_and(|value| value == "3600000")
    })
    .await;
}

#[tokio::test]
async fn one_bad_topic_says_what_to_do_and_its_neighbours_are_made() {
    let shop = Shop::open("bad").await;
    shop.order("order", json!([{"name": "good"}, {"name": "far", "replicationFactor": 3}])).await;
    let reason = Some("ReplicationImpossible");
    let refused = shop.namespace.wait_condition("order", "TopicsReady", "False", reason).await;
    let message = message(&refused, "TopicsReady");
    assert!(message.contains(&shop.name("far")) && message.contains("lower replicationFactor"), "{message}");
    assert!(!is_true(&refused, "Ready"), "it never existed");
    shop.settles("good", "it is made", |_| true).await;
    assert!(shop.record("far").await.is_none(), "what was refused leaves no record");
    shop.namespace.wait_condition("order", "Available", "True", None).await;

    shop.order("order", json!([{"name": "good"}, {"name": "far", "replicationFactor": 1}])).await;
    shop.namespace.wait_ready("order").await;
}

#[tokio::test]
async fn a_service_without_kafka_has_nothing_of_it() {
    let shop = Shop::open("plain").await;
    shop.namespace.microservice("web", json!({"image": "web:v1", "className": shop.class})).await;
    let ready = shop.namespace.wait_ready("web").await;
    assert_eq!(told(&ready, "TopicsReady"), None);
    assert!(ready.status.expect("it has a status").topics.is_empty());
}

#[tokio::test]
async fn many_topics_of_one_object_and_of_many_objects_are_made() {
    let shop = Shop::open("many").await;
    let topics = |prefix: &str, count: usize| {
        let topic = |n| json!({"name": format!("{prefix}{n}"), "partitions": 1});
        json!((0..count).map(topic).collect::<Vec<_>>())
    };
    shop.order("large", topics("t", 200)).await;
    let small: Vec<String> = (0..10).map(|n| format!("small{n}")).collect();
    for name in &small {
        shop.order(name, topics(name, 10)).await;
    }
    for name in small.iter().chain([&"large".to_owned()]) {
        let ready = shop.namespace.wait_condition(name, "TopicsReady", "True", None).await;
        assert!(ready.status.expect("it has a status").topics.iter().all(|topic| topic.id.is_some()));
    }
    assert!(shop.record("t199").await.is_some_and(|record| record.created));
}
