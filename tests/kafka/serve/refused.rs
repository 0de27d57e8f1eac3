//! What a cluster, or the way to it, refuses: each by its own reason, with what to do, and nothing done twice.

use std::time::Duration;

use microservice_operator::api::Microservice;
use microservice_operator::engine::kafka::Settings;
use serde_json::{Value, json};

use super::shop::{Shop, message, reached};
use crate::support::{ADMIN, Kafka, Odd, eventually};

#[tokio::test]
async fn a_name_that_the_broker_takes_for_another_is_refused() {
    let shop = Shop::open("dots").await;
    shop.order("first", json!([{"name": "a.b"}])).await;
    shop.namespace.wait_ready("first").await;
    shop.order("second", json!([{"name": "a_b"}, {"name": "c"}])).await;
    let reason = Some("TopicNameRefused");
    let told = shop.namespace.wait_condition("second", "TopicsReady", "False", reason).await;
    let text = message(&told, "TopicsReady");
    assert!(text.contains(&shop.name("a_b")) && text.contains(&shop.name("a.b")), "{text}");
    shop.settles("c", "its neighbour is made", |_| true).await;
    assert!(shop.record("a_b").await.is_none());
}

#[tokio::test]
async fn what_a_policy_of_the_cluster_forbids_is_told_in_its_words_and_its_neighbours_are_made() {
    let kafka = Kafka::odd(Odd { policy: Some("FewPartitions"), ..Odd::default() }).await;
    let shop = Shop::open_with("policy", &kafka, &["--kafka-sweep=2s"]).await;
    let topics = |partitions: i32| json!([{"name": "a", "partitions": partitions}, {"name": "b"}]);
    shop.order("order", topics(4)).await;
    let reason = Some("TopicPolicyViolation");
    let told = shop.namespace.wait_condition("order", "TopicsReady", "False", reason).await;
    let text = message(&told, "TopicsReady");
    assert!(text.contains(&shop.name("a")) && text.contains("the house allows three partitions"), "{text}");
    shop.settles("b", "its neighbour is made", |_| true).await;
    assert!(shop.topic("a").await.is_none() && shop.record("a").await.is_none());

    shop.order("order", topics(3)).await;
    shop.namespace.wait_ready("order").await;
}

#[tokio::test]
async fn a_service_that_is_called_admin_is_not_the_brokers_admin() {
    let kafka = Kafka::shared().await;
    let shop = Shop::open("named").await;
    shop.give_users().await;
    let password = kafka.settings().login.expect("it logs in").password;
    shop.service(ADMIN, json!({"topics": [{"name": "a"}]})).await;
    shop.namespace.wait_ready(ADMIN).await;
    let login = shop.login_of(ADMIN).await;
    assert_eq!(login["username"], shop.user(ADMIN, 'a'));
    assert_ne!(login["username"], ADMIN);
    shop.namespace.delete::<Microservice>(ADMIN).await;
    shop.user_goes(&login["username"]).await;
    kafka.client_of(ADMIN, &password).await.expect("the broker's admin has the password that it had");
}

#[tokio::test]
async fn where_deletion_is_switched_off_a_topic_stays_and_its_owner_goes() {
    let kafka = Kafka::odd(Odd { properties: &[("delete.topic.enable", "false")], ..Odd::default() }).await;
    let shop = Shop::open_with("kept", &kafka, &[]).await;
    let annotations = json!({"microservice.dev/confirm-delete": shop.name("a")});
    shop.order_with("order", json!([{"name": "a", "deletionPolicy": "Delete"}]), annotations).await;
    shop.namespace.wait_ready("order").await;
    shop.namespace.delete::<Microservice>("order").await;
    eventually(Duration::from_secs(120), "it is let go", || async {
        let record = shop.record("a").await;
        record.clone().filter(|record| record.released && !record.doomed).ok_or(format!("{record:?}"))
    })
    .await;
    let note = shop.event("order", "TopicRetained").await;
    assert!(note.contains("refused to delete"), "{note}");
    assert!(shop.topic("a").await.is_some());
}

#[tokio::test]
async fn a_cluster_without_an_authorizer_gives_logins_and_says_that_it_keeps_no_rights() {
    let properties =
        &[("authorizer.class.name", ""), ("super.users", ""), ("allow.everyone.if.no.acl.found", "")];
    let kafka = Kafka::odd(Odd { properties, ..Odd::default() }).await;
    let shop = Shop::open_with("lawless", &kafka, &[]).await;
    shop.give_users_of(&kafka).await;
    shop.service("order", json!({"topics": [{"name": "a"}]})).await;
    let told = shop.namespace.wait_condition("order", "KafkaAccessReady", "False", Some("AclsUnsupported"));
    assert!(message(&told.await, "KafkaAccessReady").contains("acls"));
    shop.namespace.wait_ready("order").await;
    let login = shop.login_of("order").await;
    kafka.client_of(&login["username"], &login["password"]).await.expect("it is let in");
}

/// A class that reaches the broker with TLS.
fn over_tls(kafka: &Kafka) -> Value {
    let mut cluster = reached(kafka);
    cluster["bootstrapServers"] = json!(kafka.tls());
    cluster["tls"] = json!({"caSecretName": "kafka-ca"});
    cluster["users"] = json!({"mode": "None"});
    cluster
}

fn ca(settings: &Settings) -> Value {
    json!({"ca.crt": settings.tls.as_ref().and_then(|tls| tls.ca.clone()).expect("there is a CA")})
}

#[tokio::test]
async fn each_kind_of_wrong_encryption_is_told_by_its_name_and_heals() {
    let (kafka, expired) = tokio::join!(Kafka::start(), Kafka::odd(Odd { expired: true, ..Odd::default() }));
    let shop = Shop::open_with("tls", &kafka, &["--kafka-sweep=2s"]).await;
    let template = "{namespace}.{name}";
    let told = |reason: &'static str| {
        let told = shop.namespace.wait_condition("order", "TopicsReady", "False", Some(reason));
        async { message(&told.await, "TopicsReady").to_owned() }
    };
    shop.secret("kafka-ca", json!({"ca.crt": Kafka::foreign_ca()})).await;
    shop.describe_cluster(template, over_tls(&kafka)).await;
    shop.order("order", json!([{"name": "a"}])).await;
    let text = told("TlsRefused").await;
    assert!(text.contains("UnknownIssuer") || text.contains("unknown issuer"), "{text}");

    shop.login(&expired.settings()).await;
    shop.secret("kafka-ca", ca(&expired.settings())).await;
    shop.describe_cluster(template, over_tls(&expired)).await;
    eventually(Duration::from_secs(30), "it is told that the certificate has expired", || async {
        let text = told("TlsRefused").await;
        if text.to_lowercase().contains("expired") { Ok(()) } else { Err(text) }
    })
    .await;

    // Without TLS to a port with TLS, and the other way round.
    shop.login(&kafka.settings()).await;
    shop.secret("kafka-ca", ca(&kafka.settings())).await;
    let mut plaintext = over_tls(&kafka);
    plaintext.as_object_mut().expect("it is an object").remove("tls");
    shop.describe_cluster(template, plaintext).await;
    eventually(Duration::from_secs(40), "it is told what the port is", || async {
        let text = told("TlsRefused").await;
        if text.contains("the port speaks TLS") { Ok(()) } else { Err(text) }
    })
    .await;

    shop.describe_cluster(template, over_tls(&kafka)).await;
    shop.namespace.wait_ready("order").await;
}
