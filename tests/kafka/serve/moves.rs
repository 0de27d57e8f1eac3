//! What goes on when clusters, objects, statuses and Secrets come and go under a login.

use std::time::Duration;

use kube::api::{Api, DeleteParams, PostParams};
use microservice_operator::api::Microservice;
use microservice_operator::engine::kafka::{Broker, Direct};
use serde_json::json;

use super::counter::{Tried, becomes, produces};
use super::shop::{Shop, message, reached};
use crate::support::{Kafka, eventually};
use k8s_openapi::api::core::v1::{Namespace as CoreNamespace, Secret};

/// Users and ACLs of this name on a broker.
async fn remains(broker: &Direct, user: &str) -> (usize, usize) {
    let users = broker.users(&[user.to_owned()]).await.expect("the broker answers").len();
    (users, broker.acls(&format!("User:{user}")).await.expect("the broker answers").len())
}

#[tokio::test]
async fn a_move_to_another_cluster_makes_a_login_there_and_takes_the_old_one_away_after_the_pods() {
    let (here, there) = (Kafka::shared().await, Kafka::start().await);
    let shop = Shop::open_with("moved", here, &["--kafka-sweep=2s", "--kafka-grace=2s"]).await;
    let login = there.settings().login.expect("it logs in");
    shop.secret("admin-there", json!({"username": login.user, "password": login.password})).await;
    let other = json!({
        "name": "there", "bootstrapServers": there.sasl(),
        "sasl": {"mechanism": "SCRAM-SHA-512", "secretName": "admin-there"},
    });
    shop.describe_kafka(json!({
        "topicNameTemplate": "{namespace}.{name}", "clusters": [reached(here), other],
    }))
    .await;
    let on = |cluster: &str| json!({"cluster": cluster, "streams": {"applicationId": "totals"}});
    shop.service("order", on("main")).await;
    shop.service("owner", json!({"cluster": "main", "topics": [{"name": "a"}]})).await;
    for service in ["order", "owner"] {
        shop.namespace.wait_condition(service, "KafkaAccessReady", "True", None).await;
    }
    let user = shop.user("order", 'a');
    assert_eq!(remains(&shop.broker, &user).await, (1, 3));

    shop.service("order", on("there")).await;
    let arrived = Direct::new(there.settings());
    eventually(Duration::from_secs(30), "the Secret leads to the other cluster", || async {
        let login = shop.login_of("order").await;
        let leads = login["bootstrap.servers"] == there.sasl().join(",");
        if !leads {
            return Err(login["bootstrap.servers"].clone());
        }
        there.client_of(&login["username"], &login["password"]).await.map(drop).map_err(|e| e.to_string())
    })
    .await;
    shop.user_goes(&user).await;
    let user = shop.login_of("order").await["username"].clone();
    assert_eq!(remains(&arrived, &user).await, (1, 3));
    shop.namespace.wait_ready("order").await;

    // Who owns a topic stays where that is, with its login.
    shop.service("owner", json!({"cluster": "there", "topics": [{"name": "a"}]})).await;
    let held = shop.namespace.wait_condition("owner", "Accepted", "False", Some("TopicMoveRefused")).await;
    assert!(message(&held, "Accepted").contains(&shop.name("a")), "{}", message(&held, "Accepted"));
    let (login, topic) = (shop.login_of("owner").await, shop.name("a"));
    assert_eq!(produces(here, &login, &topic).await, Tried::Done);
    assert_eq!(remains(&arrived, &shop.user("owner", 'a')).await, (0, 0));
}

#[tokio::test]
async fn a_lost_status_and_a_new_object_of_the_name_keep_login_and_topic() {
    let kafka = Kafka::shared().await;
    let mut shop = Shop::open_with("again", kafka, &["--kafka-sweep=2s"]).await;
    shop.give_users().await;
    shop.service("order", json!({"topics": [{"name": "a"}]})).await;
    let ready = shop.namespace.wait_ready("order").await;
    let (first, before) = (shop.login_of("order").await, shop.topic("a").await);

    shop.operator.kill().await;
    let api: Api<Microservice> = shop.namespace.api();
    let mut bare = api.get("order").await.expect("it is there");
    bare.status = Some(Default::default());
    api.replace_status("order", &PostParams::default(), &bare).await.expect("it can be replaced");
    shop.operator.restart().await;
    let again = shop.namespace.wait_ready("order").await;
    assert_eq!(again.metadata.uid, ready.metadata.uid);
    shop.operator_settles().await;
    assert_eq!(shop.login_of("order").await, first, "without a status the login is what it was");

    // As Git, or a restored backup, puts it back.
    shop.namespace.delete::<Microservice>("order").await;
    shop.service("order", json!({"topics": [{"name": "a"}]})).await;
    let third = shop.namespace.get::<Microservice>("order").await;
    assert_ne!(third.metadata.uid, ready.metadata.uid);
    let topic = shop.name("a");
    // The garbage collector takes the Secret of the old object, at a time of its own.
    eventually(Duration::from_secs(120), "the login of the new object stands and works", || async {
        let login = shop.login_of("order").await;
        let secret = shop.namespace.api::<Secret>().get_opt("order-kafka").await;
        let secret = secret.map_err(|error| error.to_string())?.ok_or("it is gone")?;
        if secret
            .metadata
            .owner_references
            .unwrap_or_default()
            .iter()
            .all(|owner| Some(&owner.uid) != third.metadata.uid.as_ref())
        {
            return Err("the Secret is of the old object".to_owned());
        }
        match produces(kafka, &login, &topic).await {
            Tried::Done => Ok(()),
            refused => Err(format!("{refused:?}")),
        }
    })
    .await;
    shop.namespace.wait_ready("order").await;
    assert_eq!(shop.topic("a").await, before);
    let record = shop.login_record("order").await.expect("it is recorded");
    assert_eq!((Some(record.owner.uid), record.doomed), (third.metadata.uid, None));
}

#[tokio::test]
async fn whichever_secret_goes_first_a_namespace_goes_and_its_users_follow() {
    let kafka = Kafka::shared().await;
    let shop = Shop::open_with("secrets", kafka, &["--kafka-sweep=2s"]).await;
    shop.give_users().await;
    shop.service("order", json!({"topics": [{"name": "a"}]})).await;
    shop.namespace.wait_ready("order").await;
    let (login, topic) = (shop.login_of("order").await, shop.name("a"));
    becomes("it writes", Tried::Done, || produces(kafka, &login, &topic)).await;

    shop.namespace.delete::<Secret>("order-kafka").await;
    shop.log_out().await;
    let namespaces: Api<CoreNamespace> = Api::all(shop.namespace.client());
    namespaces.delete(shop.namespace.name(), &DeleteParams::default()).await.expect("it can be deleted");
    eventually(Duration::from_secs(60), "the namespace is gone", || async {
        match namespaces.get_opt(shop.namespace.name()).await {
            Ok(None) => Ok(()),
            Ok(Some(left)) => Err(format!("{:?}", left.status)),
            Err(error) => Err(error.to_string()),
        }
    })
    .await;
    shop.login(&kafka.settings()).await;
    for slot in ['a', 'b'] {
        shop.user_goes(&shop.user("order", slot)).await;
    }
    assert!(shop.topic("a").await.is_some());
}
