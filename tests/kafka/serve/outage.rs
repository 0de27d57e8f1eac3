//! A broker that is away, or refuses the operator: the workload goes on, and everything heals by itself.

use std::time::Duration;

use kube::api::{Api, DeleteParams};
use microservice_operator::engine::kafka::Settings;
use serde_json::json;

use super::shop::{Shop, is_true, message};
use crate::fixtures::goes;
use crate::support::{Kafka, eventually};

#[tokio::test]
async fn without_a_broker_the_workload_runs_and_the_topics_follow() {
    let mut kafka = Kafka::start().await;
    let shop = Shop::open_with("away", &kafka, &["--kafka-sweep=1s"]).await;
    shop.order("early", json!([{"name": "early"}])).await;
    shop.namespace.wait_ready("early").await;
    kafka.kill(0);

    shop.order("late", json!([{"name": "late"}])).await;
    let late = shop.namespace.wait_condition("late", "Available", "True", None).await;
    assert!(!is_true(&late, "Ready"), "its topic was never there");
    shop.namespace.wait_condition("late", "TopicsReady", "False", Some("WaitingForOwnTopic")).await;
    let early = shop.namespace.get::<microservice_operator::api::Microservice>("early").await;
    assert!(is_true(&early, "TopicsReady") && is_true(&early, "Ready"), "what was known stands");

    kafka.revive(0).await;
    shop.namespace.wait_ready("late").await;
    assert!(shop.topic("late").await.is_some());
}

#[tokio::test]
async fn a_refused_login_is_told_and_another_password_helps_without_a_restart() {
    let kafka = Kafka::start().await;
    let shop = Shop::open_with("login", &kafka, &[]).await;
    let mut wrong: Settings = kafka.settings();
    wrong.login.as_mut().expect("it logs in").password = "canary-password".to_owned();
    shop.login(&wrong).await;
    shop.order("order", json!([{"name": "a"}])).await;
    let refused = shop.namespace.wait_condition("order", "TopicsReady", "False", Some("LoginRefused")).await;
    assert!(message(&refused, "TopicsReady").contains("Secret"), "{}", message(&refused, "TopicsReady"));
    shop.namespace.wait_condition("order", "Available", "True", None).await;
    shop.login(&kafka.settings()).await;
    shop.namespace.wait_ready("order").await;
    assert!(kafka.refused_logins() <= 3, "{} logins were tried", kafka.refused_logins());
    assert!(!shop.operator.log().contains("canary-password"));
}

#[tokio::test]
async fn a_missing_secret_is_told_and_waited_for() {
    let shop = Shop::open("secret").await;
    shop.log_out().await;
    shop.order("order", json!([{"name": "a"}])).await;
    let reason = Some("ClusterSecretMissing");
    let told = shop.namespace.wait_condition("order", "TopicsReady", "False", reason).await;
    assert!(message(&told, "TopicsReady").contains("kafka-admin"), "{}", message(&told, "TopicsReady"));
    shop.login(&Kafka::shared().await.settings()).await;
    shop.namespace.wait_ready("order").await;
}

#[tokio::test]
async fn a_namespace_goes_while_the_broker_is_away_and_its_topic_is_deleted_later() {
    let mut kafka = Kafka::start().await;
    let shop = Shop::open_with("gone", &kafka, &[]).await;
    let annotations = json!({"microservice.dev/confirm-delete": shop.name("a")});
    let topics = json!([{"name": "a", "deletionPolicy": "Delete"}, {"name": "b"}]);
    shop.order_with("order", topics, annotations).await;
    shop.namespace.wait_ready("order").await;
    kafka.kill(0);

    let namespaces: Api<k8s_openapi::api::core::v1::Namespace> = Api::all(shop.namespace.client());
    namespaces.delete(shop.namespace.name(), &DeleteParams::default()).await.expect("it can be deleted");
    eventually(Duration::from_secs(60), "the namespace is gone", || async {
        match namespaces.get_opt(shop.namespace.name()).await {
            Ok(None) => Ok(()),
            Ok(Some(left)) => Err(format!("{:?}", left.status)),
            Err(error) => Err(error.to_string()),
        }
    })
    .await;
    eventually(Duration::from_secs(10), "its deletion is not forgotten", || async {
        match (shop.record("a").await, shop.record("b").await) {
            (Some(a), Some(b)) if a.doomed && b.released => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;

    kafka.revive(0).await;
    goes(&shop.broker, &shop.name("a")).await;
    assert!(shop.topic("b").await.is_some());
    eventually(Duration::from_secs(10), "the record is gone", || async {
        shop.record("a").await.map_or(Ok(()), |record| Err(format!("{record:?}")))
    })
    .await;
}
