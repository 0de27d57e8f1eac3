//! Three brokers of which one is away, and which one changes.

use std::time::Duration;

use serde_json::{Value, json};

use super::counter::{Tried, becomes, produces};
use super::shop::{Shop, message};
use crate::support::{Kafka, eventually};

#[tokio::test]
async fn more_replicas_than_brokers_are_told_and_made_when_a_broker_joins() {
    let mut kafka = Kafka::incomplete(3).await;
    let shop = Shop::open_with("joins", &kafka, &["--kafka-sweep=2s"]).await;
    shop.order("order", json!([{"name": "a", "replicationFactor": 3}])).await;
    let reason = Some("ReplicationImpossible");
    let told = shop.namespace.wait_condition("order", "TopicsReady", "False", reason).await;
    let text = message(&told, "TopicsReady");
    assert!(text.contains(&shop.name("a")) && text.contains("lower replicationFactor"), "{text}");

    kafka.revive(2).await;
    eventually(Duration::from_secs(90), "the replicas are made", || async {
        shop.topic("a").await.map(|topic| assert_eq!(topic.replication_factor, 3)).ok_or("not yet")
    })
    .await;
    shop.namespace.wait_ready("order").await;
}

#[tokio::test]
async fn with_one_broker_of_three_away_a_login_is_made_and_the_broker_learns_of_it() {
    let mut kafka = Kafka::cluster(3).await;
    let shop = Shop::open_with("partial", &kafka, &["--kafka-sweep=2s"]).await;
    shop.give_users_of(&kafka).await;
    // The cluster still counts it among its brokers for some seconds.
    kafka.kill(2);
    shop.service("order", json!({"topics": [{"name": "a", "replicationFactor": 2}]})).await;
    shop.namespace.wait_ready("order").await;
    let (login, topic) = (shop.login_of("order").await, shop.name("a"));
    becomes("it writes to those that are there", Tried::Done, || produces(&kafka, &login, &topic)).await;

    kafka.revive(2).await;
    eventually(Duration::from_secs(20), "the broker that was away knows the user", || async {
        kafka.client_at(2, &login["username"], &login["password"]).await.map(drop)
    })
    .await;
}

/// One of the three is the controller, whichever: it goes while topics are being made.
#[tokio::test]
async fn a_controller_that_moves_in_the_middle_of_a_batch_loses_and_doubles_nothing() {
    let mut kafka = Kafka::cluster(3).await;
    let shop = Shop::open_with("moving", &kafka, &["--kafka-sweep=2s"]).await;
    for node in 0..3 {
        let topic = |n: i32| json!({"name": format!("n{node}-{n}"), "partitions": 2, "replicationFactor": 2});
        let topics: Vec<Value> = (0..40).map(topic).collect();
        let service = format!("s{node}");
        shop.order(&service, json!(topics)).await;
        let last = format!("n{node}-39");
        eventually(Duration::from_secs(20), "it is recorded and about to be sent", || async {
            shop.record(&last).await.map(drop).ok_or("not yet")
        })
        .await;
        kafka.kill(node);
        kafka.revive(node).await;
        shop.namespace.wait_condition(&service, "TopicsReady", "True", None).await;
        let events = shop.events(&service).await;
        for reason in ["TopicRecreated", "TopicReplaced"] {
            assert_eq!(events.get(reason), None, "{events:?}");
        }
        for n in 0..40 {
            let record = shop.record(&format!("n{node}-{n}")).await;
            assert!(record.as_ref().is_some_and(|record| !record.id.is_empty()), "{record:?}");
        }
    }
}
