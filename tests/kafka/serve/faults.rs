//! The network between operator and cluster fails: nothing is lost, nothing is done twice, and no workload
//! notices.

use std::time::Duration;

use microservice_operator::api::Microservice;
use serde_json::json;

use super::counter::{Tried, produces};
use super::shop::{Shop, is_true};
use crate::support::{Kafka, Proxy, Weather, api, eventually};

async fn open(name: &str) -> (Kafka, Proxy, Shop) {
    let (kafka, proxy) = Kafka::proxied().await;
    let shop = Shop::open_with(name, &kafka, &["--kafka-sweep=2s"]).await;
    (kafka, proxy, shop)
}

/// Every topic of the service was created once, and is recorded as ours.
async fn once(shop: &Shop, service: &str, topics: &[&str]) {
    let events = shop.events(service).await;
    for reason in ["TopicRecreated", "TopicReplaced"] {
        assert_eq!(events.get(reason), None, "{events:?}");
    }
    for topic in topics {
        assert!(shop.topic(topic).await.is_some(), "{topic} is on the broker");
        assert!(shop.record(topic).await.is_some(), "{topic} is in the ledger");
    }
}

#[tokio::test]
async fn a_creation_whose_answer_is_lost_is_found_and_not_sent_again() {
    let (_kafka, proxy, shop) = open("lost").await;
    proxy.set(Weather::LoseAnswer(api::CREATE_TOPICS));
    shop.order("order", json!([{"name": "a", "partitions": 2}])).await;
    shop.namespace.wait_ready("order").await;
    assert_eq!(proxy.weather(), Weather::Fair, "an answer was lost");
    assert_eq!(proxy.requests().get(&api::CREATE_TOPICS), Some(&1), "it was looked for, not repeated");
    once(&shop, "order", &["a"]).await;
}

#[tokio::test]
async fn a_change_whose_answer_is_lost_is_found_and_not_sent_again() {
    let (_kafka, proxy, shop) = open("change").await;
    shop.order("order", json!([{"name": "a", "partitions": 2}])).await;
    shop.namespace.wait_ready("order").await;
    proxy.set(Weather::LoseAnswer(api::CREATE_PARTITIONS));
    shop.order("order", json!([{"name": "a", "partitions": 4}])).await;
    shop.settles("a", "it has grown", |topic| topic.partitions == 4).await;
    shop.namespace.wait_condition("order", "TopicsReady", "True", None).await;
    assert_eq!(proxy.weather(), Weather::Fair, "an answer was lost");
    assert_eq!(proxy.requests().get(&api::CREATE_PARTITIONS), Some(&1));
    once(&shop, "order", &["a"]).await;
}

#[tokio::test]
async fn a_password_whose_answer_is_lost_is_made_anew_before_any_pod_has_it() {
    let (kafka, proxy, shop) = open("password").await;
    shop.give_users_of(&kafka).await;
    proxy.set(Weather::LoseAnswer(api::ALTER_USERS));
    shop.service("order", json!({"topics": [{"name": "a"}]})).await;
    shop.namespace.wait_ready("order").await;
    assert_eq!(proxy.weather(), Weather::Fair, "an answer was lost");
    let login = shop.login_of("order").await;
    assert_eq!(produces(&kafka, &login, &shop.name("a")).await, Tried::Done);
}

#[tokio::test]
async fn a_slow_cluster_is_waited_for() {
    let (_kafka, proxy, shop) = open("slow").await;
    proxy.set(Weather::Slow(Duration::from_millis(300)));
    shop.order("order", json!([{"name": "a"}, {"name": "b", "retention": "1d"}])).await;
    shop.namespace.wait_ready("order").await;
    assert_eq!(proxy.requests().get(&api::CREATE_TOPICS), Some(&1));
    once(&shop, "order", &["a", "b"]).await;
}

#[tokio::test]
async fn a_cluster_that_says_nothing_is_caught_up_with_when_it_speaks_again() {
    let (_kafka, proxy, shop) = open("silent").await;
    shop.order("early", json!([{"name": "early", "retention": "1d"}])).await;
    shop.namespace.wait_ready("early").await;
    proxy.set(Weather::BlackHole);

    shop.order("early", json!([{"name": "early", "retention": "2d"}])).await;
    for service in ["late", "later"] {
        shop.order(service, json!([{"name": service}])).await;
        let object = shop.namespace.wait_condition(service, "Available", "True", None).await;
        assert!(!is_true(&object, "Ready"), "its topic was never there");
    }
    // Longer than one request is waited for: it is given up and its outcome is not known.
    tokio::time::sleep(Duration::from_secs(15)).await;
    let early = shop.namespace.get::<Microservice>("early").await;
    assert!(is_true(&early, "Ready") && is_true(&early, "Available"), "what was known stands");

    proxy.set(Weather::Fair);
    for service in ["late", "later"] {
        shop.namespace.wait_ready(service).await;
        once(&shop, service, &[service]).await;
    }
    shop.settles("early", "its retention follows", |topic| {
        topic.config.get("retention.ms").is_some_and(|value| value == "172800000")
    })
    .await;
    once(&shop, "early", &["early"]).await;
}

#[tokio::test]
async fn connections_that_break_all_the_time_delay_and_break_nothing() {
    let (_kafka, proxy, shop) = open("brittle").await;
    // A login takes five requests, a batch of topics at least four more.
    proxy.set(Weather::Brittle(11));
    let services: Vec<String> = (0..4).map(|number| format!("s{number}")).collect();
    for service in &services {
        let second = format!("{service}-b");
        shop.order(service, json!([{"name": service}, {"name": second, "retention": "1d"}])).await;
    }
    eventually(Duration::from_secs(60), "a topic is made between two breaks", || async {
        let made = proxy.requests().get(&api::CREATE_TOPICS).copied().unwrap_or_default();
        if made > 0 { Ok(()) } else { Err(format!("{:?}", proxy.requests())) }
    })
    .await;
    proxy.set(Weather::Fair);
    for service in &services {
        shop.namespace.wait_ready(service).await;
        once(&shop, service, &[service, &format!("{service}-b")]).await;
    }
}
