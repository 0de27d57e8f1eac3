//! Topics through Strimzi that their owners let go: they stay, unless everything speaks for a deletion.

use std::time::Duration;

use microservice_operator::api::Microservice;
use serde_json::json;

use super::desk::Desk;
use crate::fixtures::produce;
use crate::support::{always, eventually};

#[tokio::test]
async fn a_topic_outlives_its_line_and_its_object() {
    let desk = Desk::open("retained").await;
    desk.shop.order("order", json!([{"name": "a"}, {"name": "b"}])).await;
    desk.shop.namespace.wait_ready("order").await;
    let [a, b] = [desk.shop.topic("a").await, desk.shop.topic("b").await];
    produce(desk.kafka, &desk.shop.name("a")).await;

    desk.shop.order("order", json!([{"name": "b"}])).await;
    let note = desk.shop.event("order", "TopicRetained").await;
    assert!(note.contains(&desk.shop.name("a")) && note.contains("deletionPolicy is Retain"), "{note}");
    desk.object_goes("a").await;
    assert_eq!(desk.shop.topic("a").await, a);
    assert!(desk.object("b").await.is_some());

    desk.shop.namespace.delete::<Microservice>("order").await;
    desk.object_goes("b").await;
    assert_eq!(desk.shop.topic("b").await, b);

    // The next of its name goes on with them.
    desk.shop.order("order", json!([{"name": "a"}, {"name": "b"}])).await;
    desk.shop.namespace.wait_ready("order").await;
    assert_eq!([desk.shop.topic("a").await, desk.shop.topic("b").await], [a, b]);
    assert!(desk.object("a").await.is_some());
}

#[tokio::test]
async fn strimzi_says_that_it_lets_go_before_the_object_goes() {
    let desk = Desk::open("patient").await;
    desk.shop.order("order", json!([{"name": "a"}])).await;
    desk.shop.namespace.wait_ready("order").await;
    desk.strimzi.stop(true);
    desk.shop.namespace.delete::<Microservice>("order").await;
    eventually(Duration::from_secs(20), "it is unmanaged", || async {
        let object = desk.object("a").await.ok_or("it is gone")?;
        let unmanaged = object.metadata.annotations.unwrap_or_default()["strimzi.io/managed"] == "false";
        if unmanaged { Ok(()) } else { Err("not yet") }
    })
    .await;
    let waits =
        || async { desk.object("a").await.map(drop).ok_or("it was deleted while Strimzi still had it") };
    always(Duration::from_secs(2), "it waits for Strimzi", waits).await;
    desk.strimzi.stop(false);
    desk.object_goes("a").await;
    assert!(desk.shop.topic("a").await.is_some());
}

#[tokio::test]
async fn a_confirmed_deletion_is_carried_out_by_strimzi() {
    let desk = Desk::open("confirmed").await;
    let confirm = json!({"microservice.dev/confirm-delete": desk.shop.name("a")});
    desk.shop.order_with("order", json!([{"name": "a", "deletionPolicy": "Delete"}]), confirm).await;
    desk.shop.namespace.wait_ready("order").await;
    desk.shop.namespace.delete::<Microservice>("order").await;
    // Its Deployment goes first.
    eventually(Duration::from_secs(60), "the topic is gone", || async {
        desk.shop.topic("a").await.map_or(Ok(()), |_| Err("it is still there"))
    })
    .await;
    desk.shop.event("order", "TopicDeleted").await;
    desk.object_goes("a").await;
    assert_eq!(desk.shop.record("a").await, None);
}

#[tokio::test]
async fn without_a_confirmation_it_stays_and_one_that_was_adopted_too() {
    let desk = Desk::open("unconfirmed").await;
    crate::fixtures::create(&desk.shop.broker, &[crate::fixtures::plain(&desk.shop.name("b"))]).await;
    let topics = json!([
        {"name": "a", "deletionPolicy": "Delete"},
        {"name": "b", "deletionPolicy": "Delete", "managementPolicy": "Adopt"},
    ]);
    let confirm = json!({"microservice.dev/confirm-delete": desk.shop.name("b")});
    desk.shop.order_with("order", topics, confirm).await;
    desk.shop.namespace.wait_ready("order").await;
    desk.shop.namespace.delete::<Microservice>("order").await;
    for topic in ["a", "b"] {
        desk.object_goes(topic).await;
        assert!(desk.shop.topic(topic).await.is_some(), "{topic}");
    }
}

#[tokio::test]
async fn of_two_that_describe_a_topic_the_recorded_owner_is_heard() {
    let desk = Desk::open("owners").await;
    desk.shop.order("first", json!([{"name": "a", "retention": "1h"}])).await;
    desk.shop.namespace.wait_ready("first").await;
    desk.shop.order("second", json!([{"name": "a", "retention": "2h", "managementPolicy": "Adopt"}])).await;
    desk.shop.namespace.wait_condition("second", "TopicsReady", "False", Some("TopicConflict")).await;
    let topic = desk.shop.topic("a").await.expect("it is there");
    assert_eq!(topic.config["retention.ms"], "3600000");
    desk.shop.namespace.delete::<Microservice>("first").await;
    desk.shop
        .settles("a", "the next one has it", |topic| {
            topic.config.get("retention.ms").is_some_and(|set| set == "7200000")
        })
        .await;
    let same = desk.shop.topic("a").await.expect("it is there");
    assert_eq!(same.id, topic.id);
    desk.shop.namespace.wait_condition("second", "TopicsReady", "True", None).await;
}
