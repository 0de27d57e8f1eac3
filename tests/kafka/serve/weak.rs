//! An operator that may do little: what it lacks is told, the rights that the documentation lists are
//! enough, and a quota delays it.

use std::time::Duration;

use krafka::admin::{AlterClientQuotasOptions, ClientQuotaAlteration, ClientQuotaEntity};
use microservice_operator::api::Microservice;
use microservice_operator::engine::kafka::{Broker, scram};
use microservice_operator::kafka::model::{Acl, Operation, Pattern, ResourceType};
use serde_json::json;

use super::counter::{Tried, becomes, produces};
use super::shop::{SECRET, Shop, message};
use crate::fixtures::{all_ok, create, goes, plain};
use crate::support::{ADMIN, Kafka, always, api, eventually};

/// A user of the operator that has no rights, and is what the operator logs in as.
async fn weaken(shop: &Shop) -> String {
    let user = format!("operator-of-{}", shop.namespace.name());
    all_ok(shop.broker.set_users(&[scram(&user, "password", &[6; 16])]).await.expect("the broker answers"));
    shop.secret(SECRET, json!({"username": user, "password": "password"})).await;
    user
}

fn may(user: &str, resource: ResourceType, name: &str, operation: Operation) -> Acl {
    Acl {
        principal: format!("User:{user}"),
        resource,
        name: name.to_owned(),
        pattern: if name.ends_with('.') { Pattern::Prefixed } else { Pattern::Literal },
        operation,
        allow: true,
        host: "*".to_owned(),
    }
}

/// What docs/kafka.md says that the operator's user needs.
fn documented(user: &str, prefix: &str) -> Vec<Acl> {
    use Operation::{Alter, AlterConfigs, Create, Delete, Describe, DescribeConfigs};
    let topics = [Create, Describe, Alter, Delete, DescribeConfigs, AlterConfigs];
    let mut all: Vec<Acl> = topics.map(|op| may(user, ResourceType::Topic, prefix, op)).into();
    all.push(may(user, ResourceType::Group, "*", Describe));
    all.extend([Describe, Alter].map(|op| may(user, ResourceType::Cluster, "kafka-cluster", op)));
    all
}

#[tokio::test]
async fn an_operator_without_rights_says_so_and_takes_nothing_for_absent() {
    let shop = Shop::open("denied").await;
    let user = weaken(&shop).await;
    let there = create(&shop.broker, &[plain(&shop.name("a"))]).await.remove(0);
    shop.order("order", json!([{"name": "a", "retention": "1h"}, {"name": "b"}])).await;
    let reason = Some("NotAuthorized");
    let told = shop.namespace.wait_condition("order", "TopicsReady", "False", reason).await;
    let text = message(&told, "TopicsReady");
    assert!(text.contains(&shop.name("a")) && text.contains(&shop.name("b")), "{text}");
    shop.namespace.wait_condition("order", "Available", "True", None).await;

    // It may create and see nothing: what exists looks absent.
    let create = may(&user, ResourceType::Cluster, "kafka-cluster", Operation::Create);
    all_ok(shop.broker.allow(&[create]).await.expect("the broker answers"));
    shop.order("order", json!([{"name": "a", "retention": "2h"}])).await;
    let told = shop.namespace.wait_condition("order", "TopicsReady", "False", reason).await;
    assert!(message(&told, "TopicsReady").contains(&shop.name("a")));
    assert_eq!(shop.topic("a").await, Some(there), "it is not touched");
    assert!(shop.record("a").await.is_none(), "and nothing is recorded");
}

#[tokio::test]
async fn the_rights_that_the_documentation_lists_are_enough() {
    let kafka = Kafka::shared().await;
    let shop = Shop::open_with("enough", kafka, &["--kafka-sweep=2s"]).await;
    let user = weaken(&shop).await;
    let prefix = format!("{}.", shop.namespace.name());
    all_ok(shop.broker.allow(&documented(&user, &prefix)).await.expect("the broker answers"));
    shop.give_users().await;
    let confirm = json!({"microservice.dev/confirm-delete": shop.name("a")});
    let lines = |topic| json!({"topics": [topic]});
    let first = json!({"name": "a", "partitions": 2, "retention": "1h", "deletionPolicy": "Delete"});
    shop.service_in(&shop.namespace, "order", lines(first), confirm.clone()).await;
    shop.namespace.wait_ready("order").await;
    let (login, topic) = (shop.login_of("order").await, shop.name("a"));
    becomes("it writes", Tried::Done, || produces(kafka, &login, &topic)).await;
    let second = json!({"name": "a", "partitions": 4, "deletionPolicy": "Delete"});
    shop.service_in(&shop.namespace, "order", lines(second), confirm).await;
    shop.settles("a", "it is changed", |topic| topic.partitions == 4 && topic.config.is_empty()).await;
    shop.namespace.wait_condition("order", "KafkaAccessReady", "True", None).await;
    shop.namespace.delete::<Microservice>("order").await;
    shop.user_goes(&login["username"]).await;
    eventually(Duration::from_secs(90), "the topic is gone", || async {
        if shop.topic("a").await.is_none() { Ok(()) } else { Err("it is there") }
    })
    .await;
    goes(&shop.broker, &shop.name("a")).await;
}

#[tokio::test]
async fn a_quota_that_is_used_up_delays_topics_and_costs_no_request() {
    let (kafka, proxy) = Kafka::proxied().await;
    let shop = Shop::open_with("quota", &kafka, &["--kafka-sweep=2s"]).await;
    let admin = kafka.client().await.expect("the broker answers").admin();
    let entity = ClientQuotaEntity::from_iter([("user", Some(ADMIN.to_owned()))]);
    let rate = vec![("controller_mutation_rate".into(), Some(10.0))];
    let set = ClientQuotaAlteration::new(entity, rate);
    let set = admin.alter_client_quotas(vec![set], AlterClientQuotasOptions::default()).await;
    assert!(set.is_ok_and(|set| set.values().all(Result::is_ok)), "the quota is set");

    // More than the quota lends, so that it takes some ten seconds to pay back.
    shop.order("first", json!([{"name": "a", "partitions": 200}])).await;
    shop.namespace.wait_condition("first", "TopicsReady", "True", None).await;
    shop.order("second", json!([{"name": "b"}, {"name": "c", "retention": "1d"}])).await;
    let held_up = || async { shop.topic("b").await.map_or(Ok(()), |_| Err("it is there")) };
    always(Duration::from_secs(2), "its topics are held up", held_up).await;
    shop.namespace.wait_ready("second").await;
    let sent = proxy.requests().get(&api::CREATE_TOPICS).copied().unwrap_or_default();
    assert!(sent <= 5, "{sent} requests for two objects");
    for reason in ["TopicRecreated", "TopicReplaced"] {
        assert_eq!(shop.events("second").await.get(reason), None);
    }
}
