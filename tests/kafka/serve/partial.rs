//! Three brokers of which one is away, or has not joined yet.

use std::time::Duration;

use serde_json::json;

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
