//! Who owns a topic: whoever the ledger says, whatever happens to names, classes and statuses.

use std::time::Duration;

use kube::api::{Api, PostParams};
use microservice_operator::api::Microservice;
use serde_json::json;

use super::shop::{Shop, message};
use crate::fixtures::{create, plain};
use crate::support::Kafka;
use crate::support::eventually;

#[tokio::test]
async fn a_topic_that_exists_is_refused_adopted_or_observed() {
    let shop = Shop::open("exists").await;
    let made = create(&shop.broker, &[plain(&shop.name("a"))]).await.remove(0);
    shop.order("order", json!([{"name": "a", "retention": "1h"}])).await;
    let refused = shop.namespace.wait_condition("order", "TopicsReady", "False", Some("TopicExists")).await;
    assert!(message(&refused, "TopicsReady").contains("managementPolicy: Adopt"));
    assert_eq!(shop.topic("a").await.as_ref(), Some(&made), "it is not touched");
    assert_eq!(shop.record("a").await, None);

    shop.order("order", json!([{"name": "a", "managementPolicy": "Observe"}])).await;
    shop.namespace.wait_ready("order").await;
    assert_eq!(shop.record("a").await, None);

    shop.order("order", json!([{"name": "a", "retention": "1h", "managementPolicy": "Adopt"}])).await;
    shop.settles("a", "it is taken over", |topic| topic.config.contains_key("retention.ms")).await;
    shop.namespace.wait_condition("order", "TopicsReady", "True", None).await;
    assert!(shop.record("a").await.is_some_and(|record| !record.created && record.id == made.id));
    shop.event("order", "TopicAdopted").await;
}

#[tokio::test]
async fn an_observed_topic_is_waited_for_and_never_made() {
    let shop = Shop::open_with("observed", Kafka::shared().await, &["--kafka-sweep=1s"]).await;
    shop.order("order", json!([{"name": "a", "managementPolicy": "Observe"}])).await;
    shop.namespace.wait_condition("order", "TopicsReady", "False", Some("WaitingForTopic")).await;
    assert_eq!(shop.topic("a").await, None);
    create(&shop.broker, &[plain(&shop.name("a"))]).await;
    shop.namespace.wait_ready("order").await;
}

#[tokio::test]
async fn who_has_lost_its_status_is_still_the_owner() {
    let shop = Shop::open("lost").await;
    shop.order("order", json!([{"name": "a"}])).await;
    let ready = shop.namespace.wait_ready("order").await;
    let before = shop.topic("a").await;
    let api: Api<Microservice> = shop.namespace.api();
    let lose = || async {
        let mut bare = api.get("order").await?;
        bare.status = Some(Default::default());
        api.replace_status("order", &PostParams::default(), &bare).await
    };
    eventually(Duration::from_secs(10), "it is replaced, unless the operator writes in between", lose).await;
    // A look that begins with nothing but the object and the ledger.
    shop.order("order", json!([{"name": "a", "retention": "1h"}])).await;
    shop.settles("a", "the change applies", |topic| topic.config.contains_key("retention.ms")).await;
    let again = shop.namespace.wait_condition("order", "TopicsReady", "True", None).await;
    assert_eq!(again.metadata.uid, ready.metadata.uid);
    assert_eq!(shop.topic("a").await.map(|topic| topic.id), before.map(|topic| topic.id));
}

#[tokio::test]
async fn another_name_for_a_topic_that_exists_is_held() {
    let shop = Shop::open("moved").await;
    shop.order("order", json!([{"name": "a"}])).await;
    shop.namespace.wait_ready("order").await;
    shop.rename_topics("{namespace}_{name}").await;
    let held = shop.namespace.wait_condition("order", "Accepted", "False", Some("TopicMoveRefused")).await;
    assert!(message(&held, "Accepted").contains(&shop.name("a")), "{}", message(&held, "Accepted"));
    let elsewhere = format!("{}_a", shop.namespace.name());
    use microservice_operator::engine::kafka::{Broker, BrokerError};
    let seen = shop.broker.describe(&[elsewhere]).await.expect("the broker answers");
    assert_eq!(seen, [Err(BrokerError::Missing)]);
    shop.rename_topics("{namespace}.{name}").await;
    shop.namespace.wait_ready("order").await;
}
