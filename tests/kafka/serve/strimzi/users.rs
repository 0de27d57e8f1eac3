//! Users and rights through Strimzi: it makes the passwords and keeps the ACLs, and the services get both.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::ResourceExt;
use kube::api::{Api, ListParams, Patch, PatchParams};
use microservice_operator::api::Microservice;
use microservice_operator::kafka::strimzi::UserObject;
use serde_json::{Value, json};

use super::desk::Desk;
use crate::serve::counter::{Tried, becomes, consumes, login_in, produces};
use crate::serve::shop::{is_true, message};
use crate::support::{always, eventually};

async fn open(name: &str, arguments: &[&str], guarded: bool) -> Desk {
    let desk = Desk::open_with(name, arguments, guarded).await;
    desk.describe(guarded, json!({"users": {"mode": "Managed"}})).await;
    desk
}

/// The KafkaUser of a service, if there is one.
async fn user(desk: &Desk, service: &str, slot: char) -> Option<Value> {
    let user = desk.shop.user(service, slot);
    let found = desk.objects("KafkaUser").get_opt(&user).await.expect("objects can be read");
    found.map(|object| serde_json::to_value(object).expect("an object is JSON"))
}

#[tokio::test]
async fn a_service_gets_the_login_that_strimzi_made_and_the_rights_of_its_lines() {
    let desk = open("login", &[], true).await;
    let shop = &desk.shop;
    shop.service("order", json!({"topics": [{"name": "a"}]})).await;
    shop.service("other", json!({"topics": [{"name": "b"}]})).await;
    shop.service("reader", json!({"consumes": [{"topic": "a"}]})).await;
    let ready = shop.namespace.wait_ready("order").await;
    shop.namespace.wait_condition("order", "KafkaAccessReady", "True", None).await;
    assert!(is_true(&ready, "TopicsReady"), "{}", message(&ready, "TopicsReady"));
    shop.namespace.wait_condition("reader", "KafkaAccessReady", "True", None).await;

    let login = shop.login_of("order").await;
    assert_eq!(login["username"], shop.user("order", 'a'));
    assert_eq!(login["bootstrap.servers"], desk.kafka.sasl().join(","));
    let secrets: Api<Secret> = desk.place.api();
    let theirs = secrets.get(&login["username"]).await.expect("Strimzi has made it");
    assert_eq!(theirs.data.expect("it has data")["password"].0, login["password"].as_bytes());

    let (topic, group) = (shop.name("a"), shop.name("reader"));
    let reader = shop.login_of("reader").await;
    becomes("the owner writes", Tried::Done, || produces(desk.kafka, &login, &topic)).await;
    becomes("the reader reads", Tried::Done, || consumes(desk.kafka, &reader, &topic, &group)).await;
    shop.settles("b", "the neighbour's topic is there", |_| true).await;
    assert_eq!(produces(desk.kafka, &login, &shop.name("b")).await, Tried::Denied);
    assert_eq!(produces(desk.kafka, &reader, &topic).await, Tried::Denied);
    assert!(!shop.operator.log().contains(&login["password"]));

    shop.service("reader", json!({"produces": [{"topic": "a"}]})).await;
    becomes("the new line counts", Tried::Done, || produces(desk.kafka, &reader, &topic)).await;
    becomes("the old one is gone", Tried::Denied, || consumes(desk.kafka, &reader, &topic, &group)).await;

    shop.namespace.delete::<Microservice>("reader").await;
    eventually(Duration::from_secs(60), "its KafkaUser is gone, and the user", || async {
        let gone = user(&desk, "reader", 'a').await.is_none() && !shop.has_user(&reader["username"]).await;
        if gone { Ok(()) } else { Err("not yet") }
    })
    .await;
}

#[tokio::test]
async fn without_a_login_of_the_operator_services_get_theirs_too() {
    let desk = open("alone", &[], false).await;
    desk.shop.service("order", json!({"topics": [{"name": "a"}]})).await;
    desk.shop.namespace.wait_ready("order").await;
    desk.shop.namespace.wait_condition("order", "KafkaAccessReady", "True", None).await;
    let (login, topic) = (desk.shop.login_of("order").await, desk.shop.name("a"));
    becomes("it writes", Tried::Done, || produces(desk.kafka, &login, &topic)).await;
}

#[tokio::test]
async fn a_user_of_somebody_else_is_never_touched() {
    let desk = open("theirs", &[], true).await;
    let name = desk.shop.user("order", 'a');
    let theirs = json!({
        "apiVersion": "kafka.strimzi.io/v1", "kind": "KafkaUser",
        "metadata": {
            "name": name, "namespace": desk.place.name(), "labels": {"strimzi.io/cluster": "main"},
        },
        "spec": {"authentication": {"type": "scram-sha-512"}},
    });
    desk.place.apply(theirs).await;
    let api = desk.objects("KafkaUser");
    eventually(Duration::from_secs(20), "Strimzi has made it", || async {
        let object = api.get(&name).await.map_err(|error| error.to_string())?;
        if object.data["status"].is_null() { Err("not yet".to_owned()) } else { Ok(()) }
    })
    .await;
    desk.shop.service("order", json!({"topics": [{"name": "a"}]})).await;
    let told =
        desk.shop.namespace.wait_condition("order", "KafkaAccessReady", "False", Some("UserConflict")).await;
    assert!(message(&told, "KafkaAccessReady").contains(&name));
    let object = api.get(&name).await.expect("it is there");
    assert!(object.data["spec"]["authorization"].is_null() && object.labels().len() == 1, "{object:?}");
}

#[tokio::test]
async fn rights_of_users_that_are_made_elsewhere_are_nobodys_here() {
    let desk = Desk::open("elsewhere").await;
    let users = json!({
        "mode": "Existing", "secretNameTemplate": "{name}-login", "principalTemplate": "User:{namespace}.{name}",
    });
    desk.describe(true, json!({"users": users})).await;
    desk.shop.service("order", json!({"topics": [{"name": "a"}]})).await;
    let told =
        desk.shop.namespace.wait_condition("order", "KafkaAccessReady", "False", Some("Unsupported")).await;
    assert!(message(&told, "KafkaAccessReady").contains("acls: None"));
    desk.shop.namespace.wait_condition("order", "TopicsReady", "True", None).await;
}

#[tokio::test]
async fn without_acls_a_user_has_none() {
    let desk = Desk::open("free").await;
    desk.describe(true, json!({"users": {"mode": "Managed"}, "acls": "None"})).await;
    desk.shop.service("order", json!({"topics": [{"name": "a"}]})).await;
    desk.shop.namespace.wait_ready("order").await;
    let object = user(&desk, "order", 'a').await.expect("it is there");
    assert!(object["spec"]["authorization"].is_null(), "{object}");
}

#[tokio::test]
async fn another_password_is_another_user_and_pods_go_on_through_every_step() {
    let desk = open("rotated", &["--kafka-sweep=2s", "--kafka-grace=2s"], true).await;
    let shop = &desk.shop;
    shop.service("order", json!({"topics": [{"name": "a"}]})).await;
    shop.namespace.wait_ready("order").await;
    let topic = shop.name("a");
    let first = shop.login_of("order").await;
    becomes("it writes", Tried::Done, || produces(desk.kafka, &first, &topic)).await;

    let rotate = json!({"metadata": {"annotations": {"microservice.dev/rotate": "one"}}});
    shop.namespace.patch::<Microservice>("order", rotate).await;
    let mut logins: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    let start = Instant::now();
    while user(&desk, "order", 'a').await.is_some() {
        assert!(start.elapsed() < Duration::from_secs(90), "the old user stays");
        // In this order: what a pod carries was in the Secret before.
        let users = carried(&desk).await;
        let now = login_in(&shop.namespace, "order").await;
        logins.insert(now["username"].clone(), now);
        for user in users {
            let outcome = produces(desk.kafka, &logins[&user], &topic).await;
            let carried = outcome == Tried::Done || !carried(&desk).await.contains(&user);
            assert!(carried, "a pod with {user} cannot write");
        }
    }
    let second = shop.login_of("order").await;
    assert_eq!(second["username"], shop.user("order", 'b'));
    assert_ne!(first["password"], second["password"]);
    assert_eq!(produces(desk.kafka, &second, &topic).await, Tried::Done);
    let whole = user(&desk, "order", 'b').await.expect("it is there");
    assert_eq!(UserObject::read(&whole, "").spec.acls.map(|acls| acls.len()), Some(2));
    eventually(Duration::from_secs(20), "the old user cannot log in", || async {
        if shop.has_user(&first["username"]).await { Err("it still can") } else { Ok(()) }
    })
    .await;
    assert!(shop.event("order", "LoginRotated").await.contains(&second["username"]));
    assert!(shop.event("order", "LoginRetired").await.contains(&first["username"]));
}

/// Users that pods carry now.
async fn carried(desk: &Desk) -> Vec<String> {
    let pods: Api<Pod> = desk.shop.namespace.api();
    let mine = ListParams::default().labels("microservice.dev/name=order");
    let pods = pods.list(&mine).await.expect("pods can be listed").items;
    pods.into_iter()
        .filter_map(|pod| pod.metadata.annotations?.remove("microservice.dev/kafka-user"))
        .collect()
}

#[tokio::test]
async fn at_rest_and_after_a_restart_nothing_is_written() {
    let mut desk = open("idle", &["--kafka-sweep=1s"], true).await;
    desk.shop.service("order", json!({"topics": [{"name": "a"}]})).await;
    desk.shop.service("reader", json!({"consumes": [{"topic": "a"}]})).await;
    for service in ["order", "reader"] {
        desk.shop.namespace.wait_ready(service).await;
        desk.shop.namespace.wait_condition(service, "KafkaAccessReady", "True", None).await;
    }
    desk.shop.operator_settles().await;
    let audit = desk.shop.cluster.audit().await;
    let mark = audit.mark().await;
    let who = desk.shop.operator.user();
    let writes = || async {
        let writes = audit.since(mark).await.of(&who).writes();
        if writes.count() == 0 { Ok(()) } else { Err(writes.to_string()) }
    };
    always(Duration::from_secs(4), "nothing is written while several sweeps go by", writes).await;
    desk.shop.operator.stop().await;
    desk.shop.operator.restart().await;
    always(Duration::from_secs(6), "nothing is written after a restart", writes).await;
    assert_eq!(desk.objects("KafkaUser").list(&ListParams::default()).await.expect("a list").items.len(), 2);
}

#[tokio::test]
async fn rights_that_somebody_takes_from_the_object_are_given_again() {
    let desk = open("edited", &["--kafka-sweep=1s"], true).await;
    desk.shop.service("order", json!({"topics": [{"name": "a"}]})).await;
    desk.shop.namespace.wait_condition("order", "KafkaAccessReady", "True", None).await;
    let name = desk.shop.user("order", 'a');
    let api = desk.objects("KafkaUser");
    let nothing = Patch::Merge(json!({"spec": {"authorization": {"acls": []}}}));
    api.patch(&name, &PatchParams::default(), &nothing).await.expect("it can be changed");
    eventually(Duration::from_secs(30), "they are given again", || async {
        if desk.shop.acls(&name).await.len() == 2 { Ok(()) } else { Err("not yet") }
    })
    .await;
    desk.shop.event("order", "AclsRepaired").await;
}

#[tokio::test]
async fn a_password_that_strimzi_makes_anew_reaches_the_pods() {
    let desk = open("renewed", &["--kafka-sweep=1s", "--kafka-grace=2s"], true).await;
    let shop = &desk.shop;
    shop.service("order", json!({"topics": [{"name": "a"}]})).await;
    shop.namespace.wait_ready("order").await;
    let (first, topic) = (shop.login_of("order").await, shop.name("a"));
    becomes("it writes", Tried::Done, || produces(desk.kafka, &first, &topic)).await;

    // Strimzi makes a Secret that somebody deletes again, with another password.
    desk.place.delete::<Secret>(&first["username"]).await;
    let second = eventually(Duration::from_secs(60), "the service gets another login", || async {
        let login = shop.login_of("order").await;
        if login["password"] == first["password"] { Err("it has the old one") } else { Ok(login) }
    })
    .await;
    becomes("it writes again", Tried::Done, || produces(desk.kafka, &second, &topic)).await;
    eventually(Duration::from_secs(60), "the pods have it, and the old user is gone", || async {
        let carried = carried(&desk).await;
        let old = user(&desk, "order", 'a').await.is_some() || shop.has_user(&first["username"]).await;
        let done = !old && !carried.is_empty() && carried.iter().all(|user| *user == second["username"]);
        if done { Ok(()) } else { Err(format!("{carried:?}")) }
    })
    .await;
    shop.namespace.wait_ready("order").await;
    shop.operator_settles().await;
    let stays = || async {
        let now = shop.login_of("order").await;
        if now == second { Ok(()) } else { Err(now["username"].clone()) }
    };
    always(Duration::from_secs(3), "one that is in order is left alone", stays).await;
}
