//! A rollout that is stuck, and one that is undone: as long as a pod may start with the old login, it works.

use std::time::Duration;

use microservice_operator::api::Microservice;
use serde_json::json;

use super::counter::{Tried, produces};
use super::rotation::{open, rotate};
use crate::support::{Kafka, Kubectl, always, eventually};

#[tokio::test]
async fn a_stuck_or_undone_rollout_keeps_the_old_user_and_the_next_rotation_waits() {
    let kafka = Kafka::shared().await;
    let shop = open("stuck", kafka).await;
    let (a, b) = (shop.user("order", 'a'), shop.user("order", 'b'));
    let (first, topic) = (shop.login_of("order").await, shop.name("a"));
    // Its new pods never become ready, so that the old one stays.
    let image = |image: &str| json!({"spec": {"image": image}});
    shop.namespace.patch::<Microservice>("order", image("order:unhealthy")).await;
    rotate(&shop, "one").await;
    eventually(Duration::from_secs(20), "the Secret has changed", || async {
        if shop.login_of("order").await["username"] == b { Ok(()) } else { Err("not yet") }
    })
    .await;
    rotate(&shop, "two").await;
    let second = shop.login_of("order").await;
    // Several times as long as the grace and the sweep.
    let keeps = || async {
        if !shop.has_user(&a).await {
            return Err("the user of the old pod is gone".to_owned());
        }
        if shop.login_of("order").await != second {
            return Err("the next rotation has begun".to_owned());
        }
        match produces(kafka, &first, &topic).await {
            Tried::Done => Ok(()),
            refused => Err(format!("the old pod may not write: {refused:?}")),
        }
    };
    always(Duration::from_secs(10), "the old pod has its login", keeps).await;

    let kubectl = Kubectl::new(shop.cluster, shop.namespace.name());
    kubectl.ok("rollout undo deployment/order").await;
    always(Duration::from_secs(6), "the pods that come back have their login", keeps).await;

    shop.namespace.patch::<Microservice>("order", image("order:v2")).await;
    // Once the rollout is through, the rotation that waited is made, with the user that became free.
    eventually(Duration::from_secs(90), "the next rotation is made", || async {
        let login = shop.login_of("order").await;
        let again = login["username"] == a && login["password"] != first["password"];
        if again { Ok(()) } else { Err(login["username"].clone()) }
    })
    .await;
    shop.user_goes(&b).await;
    shop.namespace.wait_ready("order").await;
}
