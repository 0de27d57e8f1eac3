//! Lines for what has no owner in this API: the internal topics of Kafka Streams, and external topics that
//! the class lists. What they give, and what they do not.

use std::collections::BTreeMap;

use microservice_operator::engine::kafka::{Broker, Direct, Login, Mechanism, Settings};
use serde_json::json;

use super::counter::{Tried, becomes, consumes, produces};
use super::shop::{Shop, message, reached};
use crate::fixtures::{create, kinds, plain};
use crate::support::{Cluster, Kafka, Namespace};

/// The login of a service, used to make and delete topics.
fn as_service(kafka: &Kafka, login: &BTreeMap<String, String>) -> Direct {
    let (user, password) = (login["username"].clone(), login["password"].clone());
    let login = Some(Login { mechanism: Mechanism::ScramSha512, user, password });
    Direct::new(Settings { bootstrap: kafka.sasl(), tls: None, login })
}

async fn makes(service: &Direct, topic: &str) -> Tried {
    let kinds = kinds(&service.create(&[plain(topic)], false).await.expect("an answer"));
    match kinds[0].as_str() {
        "Ok" | "Exists" => Tried::Done,
        "NotAuthorized" => Tried::Denied,
        other => panic!("neither done nor denied: {other}"),
    }
}

#[tokio::test]
async fn a_streams_application_has_its_own_internal_topics_and_no_others() {
    let kafka = Kafka::shared().await;
    let shop = Shop::open("streams").await;
    shop.give_users().await;
    shop.service("totals", json!({"streams": {"applicationId": "totals"}})).await;
    shop.service("other", json!({"streams": {"applicationId": "tot"}})).await;
    for service in ["totals", "other"] {
        shop.namespace.wait_condition(service, "KafkaAccessReady", "True", None).await;
    }
    let namespace = shop.namespace.name();
    let (inside, beside) = (format!("{namespace}.totals-sum-changelog"), format!("{namespace}.totalsum"));
    let login = shop.login_of("totals").await;
    let totals = as_service(kafka, &login);
    becomes("it makes its topic", Tried::Done, || makes(&totals, &inside)).await;
    becomes("it writes", Tried::Done, || produces(kafka, &login, &inside)).await;
    let group = format!("{namespace}.totals");
    becomes("it reads", Tried::Done, || consumes(kafka, &login, &inside, &group)).await;
    assert_eq!(makes(&totals, &beside).await, Tried::Denied, "not beside its prefix");
    assert_eq!(consumes(kafka, &login, &inside, &format!("{namespace}.tot")).await, Tried::Denied);

    let other = shop.login_of("other").await;
    assert_eq!(makes(&as_service(kafka, &other), &format!("{inside}-2")).await, Tried::Denied);
    assert_eq!(produces(kafka, &other, &inside).await, Tried::Denied);

    shop.service("totals", json!({"topics": [{"name": "own"}]})).await;
    becomes("without the line it may not", Tried::Denied, || produces(kafka, &login, &inside)).await;
    let mine = totals.delete(std::slice::from_ref(&inside)).await.expect("an answer");
    assert_eq!(kinds(&mine), ["NotAuthorized"]);
}

#[tokio::test]
async fn an_external_topic_is_used_as_the_class_says_and_in_no_other_way() {
    let kafka = Kafka::shared().await;
    let neighbour = Namespace::new(Cluster::shared(), "outside").await;
    let shop = Shop::open_beside("external", kafka, &[], Some(&neighbour)).await;
    let (readable, writable) = (shop.name("legacy-in"), shop.name("legacy-out"));
    create(&shop.broker, &[plain(&readable), plain(&writable)]).await;
    let listed = json!([
        {"name": readable, "namespaces": [shop.namespace.name()], "access": "Read"},
        {"name": writable, "namespaces": [shop.namespace.name()], "access": "Write"},
    ]);
    shop.describe_kafka(json!({
        "topicNameTemplate": "{namespace}.{name}", "clusters": [reached(kafka)], "externalTopics": listed,
    }))
    .await;
    let external = |topic: &str| json!([{"topic": topic, "external": true}]);
    let lines = json!({"consumes": external(&readable), "produces": external(&writable)});
    shop.service("order", lines.clone()).await;
    shop.namespace.wait_condition("order", "KafkaAccessReady", "True", None).await;
    let (login, group) = (shop.login_of("order").await, format!("{}.order", shop.namespace.name()));
    becomes("it writes", Tried::Done, || produces(kafka, &login, &writable)).await;
    crate::fixtures::produce(kafka, &readable).await;
    becomes("it reads", Tried::Done, || consumes(kafka, &login, &readable, &group)).await;
    assert_eq!(produces(kafka, &login, &readable).await, Tried::Denied);
    // In its own group, so that only the topic can refuse it.
    assert_ne!(consumes(kafka, &login, &writable, &group).await, Tried::Done);

    shop.service("greedy", json!({"produces": external(&readable)})).await;
    shop.service_in(&neighbour, "stranger", lines, json!({})).await;
    for (namespace, service) in [(&shop.namespace, "greedy"), (&neighbour, "stranger")] {
        let reason = Some("GuardrailViolated");
        let told = namespace.wait_condition(service, "Accepted", "False", reason).await;
        let text = message(&told, "Accepted");
        assert!(text.contains("legacy-") && text.contains("externalTopics"), "{text}");
        let user = format!("msvc.{}.{service}.a", namespace.name());
        assert!(!shop.has_user(&user).await && shop.acls(&user).await.is_empty());
    }
}
