//! Logins and rights served end to end: real clients with the login from the Secret are let in and denied.

use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Secret;
use kube::api::Api;
use microservice_operator::engine::kafka::{Broker, scram};
use serde_json::json;

use super::counter::{Tried, becomes, consumes, login_in, produces};
use super::shop::{SECRET, Shop, is_true, message};
use crate::fixtures::all_ok;
use crate::support::{Kafka, always, apply_as_given, eventually};

#[tokio::test]
async fn a_service_gets_its_login_and_writes_to_its_own_topic_only() {
    let kafka = Kafka::shared().await;
    let shop = Shop::open("login").await;
    shop.give_users().await;
    shop.service("order", json!({"topics": [{"name": "a"}]})).await;
    shop.service("other", json!({"topics": [{"name": "b"}]})).await;
    shop.namespace.wait_ready("order").await;
    // The Secret makes it ready; that the broker has the login too may be told a moment later.
    shop.namespace.wait_condition("order", "KafkaAccessReady", "True", None).await;

    let login = shop.login_of("order").await;
    assert_eq!(login["username"], shop.user("order", 'a'));
    assert_eq!(login["bootstrap.servers"], kafka.sasl().join(","));
    assert_eq!(
        (login["security.protocol"].as_str(), login["sasl.mechanism"].as_str()),
        ("SASL_PLAINTEXT", "SCRAM-SHA-512")
    );
    let jaas = format!(
        "org.apache.kafka.common.security.scram.ScramLoginModule required username=\"{}\" password=\"{}\";",
        login["username"], login["password"]
    );
    assert_eq!(login["sasl.jaas.config"], jaas);
    assert!(!login.contains_key("ca.crt"));
    let deployment: Deployment = shop.namespace.get("order").await;
    let template = deployment.spec.and_then(|spec| spec.template.metadata).and_then(|meta| meta.annotations);
    let annotations = template.unwrap_or_default();
    assert_eq!(annotations.get("microservice.dev/kafka-user"), Some(&login["username"]));
    assert!(annotations.contains_key("microservice.dev/config-hash"));

    let (own, foreign) = (shop.name("a"), shop.name("b"));
    becomes("it writes to its own topic", Tried::Done, || produces(kafka, &login, &own)).await;
    shop.settles("b", "the neighbour's topic is there", |_| true).await;
    assert_eq!(produces(kafka, &login, &foreign).await, Tried::Denied);
    let note = shop.event("order", "LoginMade").await;
    assert!(note.contains(&login["username"]), "{note}");
    assert!(!shop.operator.log().contains(&login["password"]));
}

#[tokio::test]
async fn each_line_gives_its_right_and_no_other() {
    let kafka = Kafka::shared().await;
    let shop = Shop::open("rights").await;
    shop.give_users().await;
    shop.service("order", json!({"topics": [{"name": "a"}]})).await;
    shop.service("reader", json!({"consumes": [{"topic": "a"}]})).await;
    shop.service("writer", json!({"produces": [{"topic": "a"}]})).await;
    for service in ["order", "reader", "writer"] {
        shop.namespace.wait_condition(service, "KafkaAccessReady", "True", None).await;
    }
    let topic = shop.name("a");
    let (owner, reader) = (shop.login_of("order").await, shop.login_of("reader").await);
    let writer = shop.login_of("writer").await;
    let [of_order, of_reader, of_writer] =
        ["order", "reader", "writer"].map(|name| format!("{}.{name}", shop.namespace.name()));

    becomes("the owner writes", Tried::Done, || produces(kafka, &owner, &topic)).await;
    becomes("the producer writes", Tried::Done, || produces(kafka, &writer, &topic)).await;
    becomes("the consumer reads", Tried::Done, || consumes(kafka, &reader, &topic, &of_reader)).await;
    assert_eq!(produces(kafka, &reader, &topic).await, Tried::Denied, "a consumer does not write");
    assert_eq!(consumes(kafka, &reader, &topic, &of_order).await, Tried::Denied, "in a foreign group");
    assert_eq!(consumes(kafka, &owner, &topic, &of_order).await, Tried::Denied, "an owner does not read");
    assert_eq!(consumes(kafka, &writer, &topic, &of_writer).await, Tried::Denied);

    shop.service("writer", json!({"consumes": [{"topic": "a"}]})).await;
    becomes("the line is gone", Tried::Denied, || produces(kafka, &writer, &topic)).await;
    becomes("the new line counts", Tried::Done, || consumes(kafka, &writer, &topic, &of_writer)).await;
}

#[tokio::test]
async fn a_user_of_somebody_else_is_never_touched() {
    let kafka = Kafka::shared().await;
    let shop = Shop::open_with("foreign", kafka, &["--kafka-sweep=1s"]).await;
    shop.give_users().await;
    let user = shop.user("order", 'a');
    all_ok(shop.broker.set_users(&[scram(&user, "theirs", &[9; 16])]).await.expect("the broker answers"));
    shop.service("order", json!({"topics": [{"name": "a"}]})).await;
    let reason = Some("UserConflict");
    let told = shop.namespace.wait_condition("order", "KafkaAccessReady", "False", reason).await;
    assert!(message(&told, "KafkaAccessReady").contains(&user), "{}", message(&told, "KafkaAccessReady"));
    shop.namespace.wait_condition("order", "TopicsReady", "True", None).await;
    kafka.client_of(&user, "theirs").await.expect("its password is what it was");
    assert!(shop.acls(&user).await.is_empty());
    let secrets: Api<Secret> = shop.namespace.api();
    assert!(secrets.get_opt("order-kafka").await.expect("it can be asked").is_none());
    assert_eq!(shop.login_record("order").await, None);

    all_ok(shop.broker.remove_users(&[user]).await.expect("the broker answers"));
    shop.namespace.wait_ready("order").await;
}

#[tokio::test]
async fn a_secret_of_somebody_else_is_never_touched() {
    let shop = Shop::open("taken").await;
    shop.give_users().await;
    let theirs = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "order-kafka"},
        "stringData": {"username": "x", "password": "y"},
    });
    shop.namespace.apply(theirs).await;
    shop.service("order", json!({"topics": [{"name": "a"}]})).await;
    let reason = Some("UserConflict");
    let told = shop.namespace.wait_condition("order", "KafkaAccessReady", "False", reason).await;
    assert!(message(&told, "KafkaAccessReady").contains("order-kafka"));
    assert_eq!(login_in(&shop.namespace, "order").await["username"], "x");
    assert!(!shop.has_user(&shop.user("order", 'a')).await);
    shop.namespace.delete::<Secret>("order-kafka").await;
    shop.namespace.wait_ready("order").await;
}

#[tokio::test]
async fn a_line_for_a_topic_of_another_team_gives_no_right_on_it() {
    let shop = Shop::open("thief").await;
    let kafka = Kafka::shared().await;
    let cluster = json!({
        "name": "main", "bootstrapServers": kafka.sasl(),
        "sasl": {"mechanism": "SCRAM-SHA-512", "secretName": SECRET},
    });
    // One space of names for all.
    shop.describe_cluster("{name}", cluster).await;
    let topic = shop.name("loot").replace('.', "-");
    shop.service("owner", json!({"topics": [{"name": topic}]})).await;
    shop.namespace.wait_ready("owner").await;
    for policy in ["Observe", "Manage", "Adopt"] {
        let service = format!("thief-{}", policy.to_lowercase());
        shop.service(&service, json!({"topics": [{"name": topic, "managementPolicy": policy}]})).await;
        let reason = Some("WaitingForOwnTopic");
        shop.namespace.wait_condition(&service, "KafkaAccessReady", "False", reason).await;
        assert!(shop.acls(&shop.user(&service, 'a')).await.is_empty(), "{policy}");
    }
}

#[tokio::test]
async fn acls_that_somebody_removes_are_given_again_and_then_left_to_whoever_fights() {
    let kafka = Kafka::shared().await;
    let shop = Shop::open_with("contest", kafka, &["--kafka-sweep=3s"]).await;
    shop.give_users().await;
    shop.service("order", json!({"topics": [{"name": "a"}]})).await;
    shop.namespace.wait_condition("order", "KafkaAccessReady", "True", None).await;
    let user = shop.user("order", 'a');
    let remove = || async {
        let acls: Vec<_> = shop.acls(&user).await.into_iter().collect();
        all_ok(shop.broker.revoke(&acls).await.expect("the broker answers"));
        acls.len()
    };
    let given = || async {
        eventually(Duration::from_secs(20), "both are there", || async {
            if shop.acls(&user).await.len() == 2 { Ok(()) } else { Err("not yet") }
        })
        .await;
    };
    given().await;
    assert_eq!(remove().await, 2);
    given().await;
    shop.event("order", "AclsRepaired").await;

    let api = shop.namespace.api::<microservice_operator::api::Microservice>();
    eventually(Duration::from_secs(60), "it is told that somebody fights", || async {
        remove().await;
        let object = api.get("order").await.map_err(|error| error.to_string())?;
        let conditions = object.status.map(|status| status.conditions).unwrap_or_default();
        let found = conditions.iter().any(|condition| condition.reason == "AclContested");
        if found { Ok(()) } else { Err("not yet".to_owned()) }
    })
    .await;
    let object = shop.namespace.get::<microservice_operator::api::Microservice>("order").await;
    assert!(is_true(&object, "Ready"), "a running workload is not unready for it");
}

#[tokio::test]
async fn with_tls_the_secret_holds_the_certificate_authority() {
    let kafka = Kafka::shared().await;
    let shop = Shop::open("tls").await;
    let ca = kafka.settings().tls.and_then(|tls| tls.ca).expect("there is a CA");
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret",
        "metadata": {"name": "kafka-ca", "namespace": shop.operator.installation().namespace()},
        "stringData": {"ca.crt": ca},
    });
    apply_as_given(&shop.namespace.client(), &secret).await;
    let cluster = json!({
        "name": "main", "bootstrapServers": kafka.tls(), "tls": {"caSecretName": "kafka-ca"},
        "sasl": {"mechanism": "SCRAM-SHA-512", "secretName": SECRET},
    });
    shop.describe_cluster("{namespace}.{name}", cluster).await;
    shop.service("order", json!({"topics": [{"name": "a"}]})).await;
    shop.namespace.wait_ready("order").await;
    let login = shop.login_of("order").await;
    assert_eq!((login["security.protocol"].as_str(), login["ca.crt"].trim()), ("SASL_SSL", ca.trim()));
}

#[tokio::test]
async fn rights_of_users_that_are_made_elsewhere_are_kept_and_their_logins_are_not() {
    let kafka = Kafka::shared().await;
    let shop = Shop::open("existing").await;
    let user = format!("{}.order", shop.namespace.name());
    all_ok(shop.broker.set_users(&[scram(&user, "theirs", &[9; 16])]).await.expect("the broker answers"));
    let cluster = json!({
        "name": "main", "bootstrapServers": kafka.sasl(),
        "sasl": {"mechanism": "SCRAM-SHA-512", "secretName": SECRET},
        "users": {
            "mode": "Existing", "secretNameTemplate": "{name}-login", "principalTemplate": "User:{namespace}.{name}",
        },
    });
    shop.describe_cluster("{namespace}.{name}", cluster).await;
    shop.service("order", json!({"topics": [{"name": "a"}]})).await;
    let held =
        shop.namespace.wait_condition("order", "SecretsReady", "False", Some("WaitingForSecret")).await;
    assert!(message(&held, "SecretsReady").contains("order-login"));
    let theirs = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "order-login"},
        "stringData": {"username": user, "password": "theirs"},
    });
    shop.namespace.apply(theirs).await;
    shop.namespace.wait_ready("order").await;
    shop.namespace.wait_condition("order", "KafkaAccessReady", "True", None).await;
    let login = [("username".to_owned(), user.clone()), ("password".to_owned(), "theirs".to_owned())].into();
    let topic = shop.name("a");
    becomes("it writes", Tried::Done, || produces(kafka, &login, &topic)).await;
    shop.namespace.delete::<microservice_operator::api::Microservice>("order").await;
    eventually(Duration::from_secs(120), "its ACLs are gone", || async {
        if shop.acls(&user).await.is_empty() { Ok(()) } else { Err("not yet") }
    })
    .await;
    assert!(shop.has_user(&user).await);
}

#[tokio::test]
async fn at_rest_and_after_a_restart_nothing_is_written() {
    let kafka = Kafka::shared().await;
    let mut shop = Shop::open_with("idle", kafka, &["--kafka-sweep=1s"]).await;
    shop.give_users().await;
    shop.service("order", json!({"topics": [{"name": "a"}]})).await;
    shop.service("reader", json!({"consumes": [{"topic": "a"}]})).await;
    shop.service("denied", json!({"topics": [{"name": "b", "consumers": []}]})).await;
    shop.service("beggar", json!({"consumes": [{"topic": "b"}]})).await;
    shop.namespace.wait_condition("beggar", "KafkaAccessReady", "False", Some("PendingConsent")).await;
    for service in ["order", "reader", "denied", "beggar"] {
        shop.namespace.wait_ready(service).await;
    }
    shop.operator_settles().await;
    let audit = shop.cluster.audit().await;
    let mark = audit.mark().await;
    let (user, acls) = (shop.user("reader", 'a'), shop.acls(&shop.user("reader", 'a')).await);
    let writes = || async {
        let writes = audit.since(mark).await.of(&shop.operator.user()).writes();
        if writes.count() == 0 { Ok(()) } else { Err(writes.to_string()) }
    };
    always(Duration::from_secs(4), "nothing is written while several sweeps go by", writes).await;

    shop.operator.stop().await;
    all_ok(shop.broker.revoke(&acls.iter().cloned().collect::<Vec<_>>()).await.expect("the broker answers"));
    let mark = audit.mark().await;
    shop.operator.restart().await;
    eventually(Duration::from_secs(20), "it has looked: what was removed is given again", || async {
        if shop.acls(&user).await == acls { Ok(()) } else { Err("not yet") }
    })
    .await;
    shop.operator_settles().await;
    let writes = audit.since(mark).await.of(&shop.operator.user()).writes();
    assert_eq!(writes.count(), 0, "{writes}");
}
