//! What others change on the broker is set back, and what they delete is made again, never in silence.

use serde_json::json;

use super::shop::Shop;
use crate::fixtures::{all_ok, config};
use crate::support::Kafka;
use microservice_operator::engine::kafka::Broker;
use microservice_operator::kafka::model::ConfigChange;

#[tokio::test]
async fn a_changed_key_of_ours_is_set_back_and_others_stay() {
    let shop = Shop::open_with("drift", Kafka::shared().await, &["--kafka-sweep=1s"]).await;
    shop.order("order", json!([{"name": "a", "retention": "1h"}])).await;
    shop.namespace.wait_ready("order").await;
    let keys =
        config(&[("retention.ms", Some("5000".to_owned())), ("segment.bytes", Some("2097152".to_owned()))]);
    let edit = ConfigChange { topic: shop.name("a"), keys };
    all_ok(shop.broker.alter(&[edit]).await.expect("the broker answers"));

    let note = shop.event("order", "TopicRepaired").await;
    assert!(note.contains("retention.ms") && !note.contains("segment.bytes"), "{note}");
    let expected = config(&[("retention.ms", "3600000".to_owned()), ("segment.bytes", "2097152".to_owned())]);
    shop.settles("a", "the retention is set back", |topic| topic.config == expected).await;
}

#[tokio::test]
async fn a_key_that_is_no_longer_described_is_reset_and_a_new_value_is_no_drift() {
    let shop = Shop::open("undescribed").await;
    shop.order("order", json!([{"name": "a", "retention": "1h", "maxMessageBytes": 2000}])).await;
    shop.namespace.wait_ready("order").await;
    shop.order("order", json!([{"name": "a", "maxMessageBytes": 3000}])).await;
    let expected = config(&[("max.message.bytes", "3000".to_owned())]);
    shop.settles("a", "the retention is reset", |topic| topic.config == expected).await;
    shop.namespace.wait_condition("order", "TopicsReady", "True", None).await;
    shop.operator_settles().await;
    assert_eq!(shop.events("order").await.get("TopicRepaired"), None);
}

#[tokio::test]
async fn a_topic_that_somebody_deletes_is_made_again_and_told_to_be_empty() {
    let shop = Shop::open_with("deleted", Kafka::shared().await, &["--kafka-sweep=1s"]).await;
    shop.order("order", json!([{"name": "a", "partitions": 2}])).await;
    shop.namespace.wait_ready("order").await;
    let before = shop.topic("a").await.expect("it is there");
    shop.delete_topic("a").await;

    let note = shop.event("order", "TopicRecreated").await;
    assert!(note.contains("is empty"), "{note}");
    let after = shop.settles("a", "it is made again", |topic| topic.partitions == 2).await;
    assert_ne!(after.id, before.id);
    let record = shop.record("a").await.expect("it is recorded");
    assert!(record.created && record.id == after.id, "{record:?}");
}
