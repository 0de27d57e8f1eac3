//! Topics through Strimzi: made as described, kept so, and let go.

use serde_json::json;

use super::desk::Desk;
use crate::serve::shop::is_true;

#[tokio::test]
async fn a_topic_is_made_as_described_and_the_service_is_ready() {
    let desk = Desk::open("through").await;
    let topic = json!({"name": "order-events", "partitions": 6, "retention": "7d"});
    desk.shop.order("order", json!([topic, {"name": "Order_Lines"}])).await;
    let ready = desk.shop.namespace.wait_ready("order").await;
    assert!(is_true(&ready, "TopicsReady"));

    let live = desk.shop.topic("order-events").await.expect("it is on the broker");
    assert_eq!((live.partitions, live.config["retention.ms"].as_str()), (6, "604800000"));
    assert_eq!(
        desk.shop.topic("Order_Lines").await.expect("it is there").partitions,
        3,
        "the class's default"
    );
    let entries = &ready.status.as_ref().expect("it has a status").topics;
    assert_eq!((entries[0].id.as_deref(), entries[0].partitions), (Some(live.id.as_str()), Some(6)));
    let object = desk.object("order-events").await.expect("its name is one of an object");
    assert_eq!(object.data["spec"]["partitions"], 6);
    assert_eq!(object.metadata.owner_references, None, "it is in another namespace");
    assert!(desk.shop.record("order-events").await.is_some_and(|record| record.created));
    desk.shop.event("order", "TopicCreated").await;
}
