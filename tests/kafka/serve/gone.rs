//! Users and rights end with their service, whatever is away at that moment.

use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use kube::api::Api;
use microservice_operator::api::Microservice;
use serde_json::json;

use super::shop::Shop;
use crate::support::{Kafka, eventually};

#[tokio::test]
async fn users_and_acls_go_with_their_service_after_its_pods() {
    let shop = Shop::open("leaves").await;
    shop.give_users().await;
    shop.service("order", json!({"topics": [{"name": "a"}]})).await;
    let ready = shop.namespace.wait_ready("order").await;
    assert_eq!(ready.metadata.finalizers, None);
    let user = shop.user("order", 'a');
    assert!(shop.has_user(&user).await);
    shop.namespace.delete::<Microservice>("order").await;
    let deployments: Api<Deployment> = shop.namespace.api();
    eventually(Duration::from_secs(90), "the Deployment is gone", || async {
        let there = shop.has_user(&user).await;
        match deployments.get_opt("order").await {
            Ok(None) => Ok(()),
            Ok(Some(_)) if !there => panic!("the user was removed before the pods"),
            Ok(Some(_)) => Err("it is there".to_owned()),
            Err(error) => Err(error.to_string()),
        }
    })
    .await;
    shop.user_goes(&user).await;
    eventually(Duration::from_secs(10), "its record is gone", || async {
        shop.login_record("order").await.map_or(Ok(()), |record| Err(format!("{record:?}")))
    })
    .await;
}

#[tokio::test]
async fn who_needs_kafka_no_more_has_no_user_there() {
    let shop = Shop::open("without").await;
    shop.give_users().await;
    shop.service("order", json!({"consumes": [{"topic": "a"}]})).await;
    shop.namespace.wait_ready("order").await;
    let user = shop.user("order", 'a');
    assert!(shop.has_user(&user).await);
    shop.namespace.microservice("order", json!({"image": "order:v2", "className": shop.class})).await;
    shop.user_goes(&user).await;
    shop.namespace.wait_ready("order").await;
}

#[tokio::test]
async fn what_goes_while_the_operator_and_the_broker_are_away_is_removed_afterwards() {
    let mut kafka = Kafka::start().await;
    let mut shop = Shop::open_with("absence", &kafka, &[]).await;
    shop.give_users_of(&kafka).await;
    shop.service("order", json!({"topics": [{"name": "a"}]})).await;
    shop.namespace.wait_ready("order").await;
    let user = shop.user("order", 'a');
    shop.operator.kill().await;
    kafka.kill(0);
    shop.namespace.delete::<Microservice>("order").await;
    shop.operator.restart().await;
    eventually(Duration::from_secs(30), "it is noted", || async {
        let record = shop.login_record("order").await;
        record.clone().filter(|record| record.doomed.is_some()).ok_or(format!("{record:?}"))
    })
    .await;
    kafka.revive(0).await;
    shop.user_goes(&user).await;
}
