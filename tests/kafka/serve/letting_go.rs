//! A topic whose owner goes stays, unless everything speaks for its deletion.

use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use kube::api::{Api, DeleteParams};
use microservice_operator::api::Microservice;
use microservice_operator::kafka::topic::Recorded;
use serde_json::json;

use super::shop::{Shop, message};
use crate::fixtures::{goes, produce};
use crate::support::{Kafka, always, eventually};
use krafka::consumer::AutoOffsetReset;

#[tokio::test]
async fn a_topic_outlives_its_owner_and_the_next_of_the_name_goes_on_with_it() {
    let shop = Shop::open("retained").await;
    shop.order("order", json!([{"name": "a"}])).await;
    let object = shop.namespace.wait_ready("order").await;
    assert_eq!(object.metadata.finalizers, None, "nothing of Kafka ever keeps an object");
    let before = shop.topic("a").await.expect("it is there");
    shop.namespace.delete::<Microservice>("order").await;

    assert!(released(&shop, "a").await.created);
    assert_eq!(shop.topic("a").await.as_ref(), Some(&before));
    let note = shop.event("order", "TopicRetained").await;
    assert!(note.contains("deletionPolicy is Retain"), "{note}");
    deployment_goes(&shop).await;

    shop.order("order", json!([{"name": "a", "deletionPolicy": "Delete"}])).await;
    shop.namespace.wait_ready("order").await;
    assert_eq!(shop.topic("a").await, Some(before));
    let record = shop.record("a").await.expect("it is recorded");
    assert!(!record.released && record.created && record.delete, "{record:?}");
}

#[tokio::test]
async fn a_confirmed_deletion_takes_the_deployment_first_and_then_the_topic() {
    let shop = Shop::open_with("confirmed", Kafka::shared().await, &["--kafka-sweep=1s"]).await;
    let annotations = json!({"microservice.dev/confirm-delete": shop.name("a")});
    shop.order_with("order", json!([{"name": "a", "deletionPolicy": "Delete"}]), annotations).await;
    shop.namespace.wait_ready("order").await;
    shop.namespace.delete::<Microservice>("order").await;
    deployment_goes(&shop).await;
    goes(&shop.broker, &shop.name("a")).await;
    shop.event("order", "TopicDeleted").await;
    assert_eq!(shop.record("a").await, None);
}

#[tokio::test]
async fn sweeps_leave_a_topic_to_the_deployment_that_its_owner_has_left_behind() {
    let shop = Shop::open_with("orphaned", Kafka::shared().await, &["--kafka-sweep=1s"]).await;
    let annotations = json!({"microservice.dev/confirm-delete": shop.name("a")});
    shop.order_with("order", json!([{"name": "a", "deletionPolicy": "Delete"}]), annotations).await;
    shop.namespace.wait_ready("order").await;
    let objects: Api<Microservice> = shop.namespace.api();
    objects.delete("order", &DeleteParams::orphan()).await.expect("it can be deleted");
    eventually(Duration::from_secs(90), "its deletion is noted", || async {
        let record = shop.record("a").await;
        record.clone().filter(|record| record.doomed).ok_or(format!("{record:?}"))
    })
    .await;
    let stays = || async { shop.topic("a").await.map(drop).ok_or("the topic is gone") };
    always(Duration::from_secs(5), "the topic is there while several sweeps go by", stays).await;
    shop.namespace.delete::<Deployment>("order").await;
    goes(&shop.broker, &shop.name("a")).await;
}

#[tokio::test]
async fn a_topic_that_its_owner_only_observes_from_now_on_stays() {
    let shop = Shop::open("observing").await;
    let annotations = json!({"microservice.dev/confirm-delete": shop.name("a")});
    let managed = json!([{"name": "a", "deletionPolicy": "Delete"}]);
    shop.order_with("order", managed, annotations.clone()).await;
    shop.namespace.wait_ready("order").await;
    let before = shop.topic("a").await;
    let observed = json!([{"name": "a", "managementPolicy": "Observe"}]);
    shop.order_with("order", observed, annotations).await;
    released(&shop, "a").await;
    assert_eq!(shop.topic("a").await, before);
    let note = shop.event("order", "TopicRetained").await;
    assert!(note.contains("managementPolicy is Observe"), "{note}");
}

#[tokio::test]
async fn without_a_confirmation_the_topic_stays_and_the_event_says_why() {
    let shop = Shop::open("unconfirmed").await;
    let annotations = json!({"microservice.dev/confirm-delete": "a"});
    shop.order_with("order", json!([{"name": "a", "deletionPolicy": "Delete"}]), annotations).await;
    shop.namespace.wait_ready("order").await;
    shop.namespace.delete::<Microservice>("order").await;
    let note = shop.event("order", "TopicRetained").await;
    assert!(note.contains(&format!("confirm-delete does not name {}", shop.name("a"))), "{note}");
    assert!(shop.topic("a").await.is_some());
}

#[tokio::test]
async fn a_topic_that_somebody_reads_stays() {
    let kafka = Kafka::shared().await;
    let shop = Shop::open("read").await;
    let annotations = json!({"microservice.dev/confirm-delete": shop.name("a")});
    shop.order_with("order", json!([{"name": "a", "deletionPolicy": "Delete"}]), annotations).await;
    shop.namespace.wait_ready("order").await;
    produce(kafka, &shop.name("a")).await;
    let client = kafka.client().await.expect("the broker answers");
    let group = shop.name("reporter");
    let consumer = client
        .consumer(&group)
        .auto_offset_reset(AutoOffsetReset::Earliest)
        .build()
        .await
        .expect("a consumer");
    consumer.subscribe(&[&shop.name("a")]).await.expect("it subscribes");
    eventually(Duration::from_secs(20), "it has read the message", || async {
        let read = consumer.poll(Duration::from_millis(200)).await.map_err(|error| error.to_string())?;
        if read.is_empty() { Err("nothing yet".to_owned()) } else { Ok(()) }
    })
    .await;
    shop.namespace.delete::<Microservice>("order").await;
    deployment_goes(&shop).await;
    let note = shop.event("order", "TopicRetained").await;
    assert!(note.contains(&group), "{note}");
    assert!(shop.topic("a").await.is_some());
    consumer.close().await.expect("it leaves");
}

#[tokio::test]
async fn a_removed_line_retains_its_topic() {
    let shop = Shop::open("removed").await;
    shop.order("order", json!([{"name": "a"}, {"name": "b"}])).await;
    shop.namespace.wait_ready("order").await;
    shop.order("order", json!([{"name": "b"}])).await;
    released(&shop, "a").await;
    assert!(shop.topic("a").await.is_some());
    assert!(shop.record("b").await.is_some_and(|record| !record.released));
    let note = shop.event("order", "TopicRetained").await;
    assert!(note.contains(&shop.name("a")) && !note.contains(&shop.name("b")), "{note}");

    shop.order("order", json!([])).await;
    released(&shop, "b").await;
    let object = shop.namespace.get::<Microservice>("order").await;
    assert_eq!(object.status.map(|status| status.topics), Some(vec![]));
}

#[tokio::test]
async fn what_was_let_go_can_be_adopted_and_is_never_taken_otherwise() {
    let shop = Shop::open("adopted").await;
    shop.order("first", json!([{"name": "a", "deletionPolicy": "Delete"}])).await;
    shop.namespace.wait_ready("first").await;
    let before = shop.topic("a").await.expect("it is there");
    shop.order("second", json!([{"name": "a"}])).await;
    let reason = Some("TopicConflict");
    let refused = shop.namespace.wait_condition("second", "TopicsReady", "False", reason).await;
    assert!(message(&refused, "TopicsReady").contains("/first"), "{}", message(&refused, "TopicsReady"));
    shop.namespace.delete::<Microservice>("first").await;
    shop.namespace.wait_condition("second", "TopicsReady", "False", Some("TopicExists")).await;

    shop.order("second", json!([{"name": "a", "managementPolicy": "Adopt"}])).await;
    shop.namespace.wait_condition("second", "TopicsReady", "True", None).await;
    assert_eq!(shop.topic("a").await, Some(before));
    let record = shop.record("a").await.expect("it is recorded");
    assert_eq!((record.owner.name.as_str(), record.created, record.released), ("second", false, false));
}

#[tokio::test]
async fn a_namespace_with_topics_goes() {
    let shop = Shop::open("namespace").await;
    shop.order("order", json!([{"name": "a"}])).await;
    shop.namespace.wait_ready("order").await;
    let namespaces: Api<k8s_openapi::api::core::v1::Namespace> = Api::all(shop.namespace.client());
    namespaces.delete(shop.namespace.name(), &DeleteParams::default()).await.expect("it can be deleted");
    eventually(Duration::from_secs(120), "the namespace is gone", || async {
        match namespaces.get_opt(shop.namespace.name()).await {
            Ok(None) => Ok(()),
            Ok(Some(left)) => Err(format!("{:?}", left.status)),
            Err(error) => Err(error.to_string()),
        }
    })
    .await;
    assert!(shop.topic("a").await.is_some());
}

/// A garbage collector needs half a minute to learn of a new kind, and it is asked to be quick for no
/// topic's sake: until then the topic has to be there.
async fn deployment_goes(shop: &Shop) {
    let deployments: Api<Deployment> = shop.namespace.api();
    eventually(Duration::from_secs(90), "the Deployment is gone", || async {
        let topic = shop.topic("a").await;
        match deployments.get_opt("order").await {
            Ok(None) => Ok(()),
            Ok(Some(_)) if topic.is_none() => panic!("the topic was deleted before the Deployment"),
            Ok(Some(_)) => Err("it is there".to_owned()),
            Err(error) => Err(error.to_string()),
        }
    })
    .await;
}

async fn released(shop: &Shop, topic: &str) -> Recorded {
    eventually(Duration::from_secs(15), "the topic is let go", || async {
        let record = shop.record(topic).await;
        record.clone().filter(|record| record.released).ok_or(format!("{record:?}"))
    })
    .await
}

#[tokio::test]
async fn a_new_object_of_the_name_that_has_no_topics_keeps_none() {
    let mut shop = Shop::open("renamed").await;
    shop.order("order", json!([{"name": "a"}])).await;
    shop.namespace.wait_ready("order").await;
    shop.operator.kill().await;
    shop.namespace.delete::<Microservice>("order").await;
    shop.namespace.microservice("order", json!({"image": "order:v1", "className": shop.class})).await;
    shop.operator.restart().await;
    released(&shop, "a").await;
    assert!(shop.topic("a").await.is_some());
}

#[tokio::test]
async fn what_goes_while_nobody_looks_is_let_go_afterwards() {
    let mut shop = Shop::open("unseen").await;
    let annotations = json!({"microservice.dev/confirm-delete": shop.name("a")});
    let topics = json!([{"name": "a", "deletionPolicy": "Delete"}, {"name": "b"}]);
    shop.order_with("order", topics, annotations).await;
    shop.namespace.wait_ready("order").await;
    shop.operator.kill().await;
    shop.namespace.delete::<Microservice>("order").await;
    deployment_goes(&shop).await;
    shop.operator.restart().await;
    goes(&shop.broker, &shop.name("a")).await;
    released(&shop, "b").await;
    assert!(shop.topic("b").await.is_some());
}
