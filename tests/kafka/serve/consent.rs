//! The owner of a topic decides who uses it, and both sides are told what is missing.

use microservice_operator::api::Microservice;
use serde_json::json;

use super::counter::{Tried, becomes, consumes, login_in, produces};
use super::shop::{Shop, message};
use crate::support::{Cluster, Kafka, Namespace};

#[tokio::test]
async fn another_team_reads_only_while_the_owner_names_it() {
    let kafka = Kafka::shared().await;
    let neighbour = Namespace::new(Cluster::shared(), "analytics").await;
    let shop = Shop::open_beside("consent", kafka, &[], Some(&neighbour)).await;
    shop.give_users().await;
    let owner = shop.namespace.name();
    shop.service("order", json!({"topics": [{"name": "a"}]})).await;
    shop.namespace.wait_ready("order").await;
    let lines = json!({"consumes": [{"topic": "a", "namespace": owner}]});
    shop.service_in(&neighbour, "reporter", lines, json!({})).await;

    let reason = Some("PendingConsent");
    let told = neighbour.wait_condition("reporter", "KafkaAccessReady", "False", reason).await;
    let line = format!("{{name: reporter, namespace: {}}}", neighbour.name());
    let text = message(&told, "KafkaAccessReady");
    assert!(text.contains(&line) && text.contains(&format!("{owner}/order")), "{text}");
    let asked = shop.namespace.wait_condition("order", "KafkaAccessReady", "True", reason).await;
    let text = message(&asked, "KafkaAccessReady");
    assert!(text.contains(&line) && text.contains("consumers of topic \"a\""), "{text}");
    neighbour.wait_ready("reporter").await;

    let topic = shop.name("a");
    let group = format!("{}.reporter", neighbour.name());
    let (login, own) = (login_in(&neighbour, "reporter").await, shop.login_of("order").await);
    becomes("the owner writes", Tried::Done, || produces(kafka, &own, &topic)).await;
    assert_eq!(consumes(kafka, &login, &topic, &group).await, Tried::Denied);

    let named = json!([{"name": "reporter", "namespace": neighbour.name()}]);
    shop.service("order", json!({"topics": [{"name": "a", "consumers": named}]})).await;
    neighbour.wait_condition("reporter", "KafkaAccessReady", "True", None).await;
    shop.namespace.wait_condition("order", "KafkaAccessReady", "True", Some("KafkaAccessReady")).await;
    becomes("it reads", Tried::Done, || consumes(kafka, &login, &topic, &group)).await;
    assert_eq!(produces(kafka, &login, &topic).await, Tried::Denied, "named to read only");

    shop.service("order", json!({"topics": [{"name": "a"}]})).await;
    neighbour.wait_condition("reporter", "KafkaAccessReady", "False", reason).await;
    becomes("it reads no more", Tried::Denied, || consumes(kafka, &login, &topic, &group)).await;
}

#[tokio::test]
async fn a_topic_that_nobody_owns_is_waited_for() {
    let shop = Shop::open("absent").await;
    shop.give_users().await;
    shop.service("reader", json!({"consumes": [{"topic": "late"}]})).await;
    let reason = Some("WaitingForTopic");
    let told = shop.namespace.wait_condition("reader", "KafkaAccessReady", "False", reason).await;
    assert!(message(&told, "KafkaAccessReady").contains("late"));
    shop.namespace.wait_ready("reader").await;
    shop.service("order", json!({"topics": [{"name": "late"}]})).await;
    shop.namespace.wait_condition("reader", "KafkaAccessReady", "True", None).await;
}

/// Teams have classes of their own, and the house has one Kafka.
#[tokio::test]
async fn owner_and_user_of_a_topic_may_have_different_classes() {
    let kafka = Kafka::shared().await;
    let neighbour = Namespace::new(Cluster::shared(), "gold").await;
    let mut shop = Shop::open_beside("silver", kafka, &["--kafka-sweep=10m"], Some(&neighbour)).await;
    shop.give_users().await;
    let silver = std::mem::replace(&mut shop.class, neighbour.name().to_owned());
    shop.give_users().await;
    let lines = json!({"consumes": [{"topic": "a", "namespace": silver}]});
    shop.service_in(&neighbour, "reporter", lines, json!({})).await;
    let reason = Some("WaitingForTopic");
    neighbour.wait_condition("reporter", "KafkaAccessReady", "False", reason).await;

    shop.class = silver;
    shop.service("order", json!({"topics": [{"name": "a"}]})).await;
    let reason = Some("PendingConsent");
    neighbour.wait_condition("reporter", "KafkaAccessReady", "False", reason).await;
    shop.namespace.wait_condition("order", "KafkaAccessReady", "True", reason).await;
    let named = json!([{"name": "reporter", "namespace": neighbour.name()}]);
    shop.service("order", json!({"topics": [{"name": "a", "consumers": named}]})).await;
    neighbour.wait_condition("reporter", "KafkaAccessReady", "True", None).await;
    let (login, topic) = (login_in(&neighbour, "reporter").await, shop.name("a"));
    let group = format!("{}.reporter", neighbour.name());
    let own = shop.login_of("order").await;
    becomes("the owner writes", Tried::Done, || produces(kafka, &own, &topic)).await;
    becomes("it reads", Tried::Done, || consumes(kafka, &login, &topic, &group)).await;

    shop.service("order", json!({"topics": [{"name": "a", "consumers": []}]})).await;
    neighbour.wait_condition("reporter", "KafkaAccessReady", "False", reason).await;
    becomes("it reads no more", Tried::Denied, || consumes(kafka, &login, &topic, &group)).await;
}

#[tokio::test]
async fn an_owner_is_not_asked_any_more_by_who_is_gone() {
    let shop = Shop::open("unasked").await;
    shop.give_users().await;
    shop.service("order", json!({"topics": [{"name": "a", "consumers": []}]})).await;
    shop.service("reader", json!({"consumes": [{"topic": "a"}]})).await;
    shop.namespace.wait_condition("order", "KafkaAccessReady", "True", Some("PendingConsent")).await;
    shop.namespace.wait_ready("order").await;
    shop.namespace.wait_ready("reader").await;
    // Nothing else makes the operator look at the owner.
    shop.operator_settles().await;
    shop.namespace.delete::<Microservice>("reader").await;
    shop.namespace.wait_condition("order", "KafkaAccessReady", "True", Some("KafkaAccessReady")).await;
}
