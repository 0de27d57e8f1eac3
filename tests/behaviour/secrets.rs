//! Secrets that the operator makes: once, never lost, replaced only when asked to, never told.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Secret, Service};
use k8s_openapi::api::events::v1::Event;
use kube::api::{Patch, PatchParams};
use microservice_operator::api::Microservice;
use serde_json::{Value, json};

use crate::steps::{
    PATIENCE, annotate, condition, config_hash, exists, generation, hash_other_than, secret, template, values,
};
use crate::support::{Cluster, Namespace, Operator, OperatorOptions, always, eventually};

async fn ground(name: &str) -> (Namespace, Operator) {
    let cluster = Cluster::shared();
    let namespace = Namespace::new(cluster, name).await;
    let operator = Operator::start(cluster, OperatorOptions::namespace(namespace.name())).await;
    (namespace, operator)
}

fn maker(generate: &Value) -> Value {
    json!({"image": "web:v1", "secrets": [
        {"name": "keys", "generate": generate, "env": [{"name": "TOKEN", "key": "token"}]},
    ]})
}

/// Waits until the values of the Secret are others, and returns them.
async fn other_values(namespace: &Namespace, before: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    eventually(PATIENCE, "the Secret has other values", || async {
        let found = namespace.api::<Secret>().get_opt("keys").await.map_err(|error| error.to_string())?;
        if found.is_none() {
            return Err("there is no Secret".to_owned());
        }
        let now = values(namespace, "keys").await;
        if now == *before { Err("they are the same".to_owned()) } else { Ok(now) }
    })
    .await
}

async fn version(namespace: &Namespace) -> Option<String> {
    namespace.get::<Secret>("keys").await.metadata.resource_version
}

#[tokio::test]
async fn values_have_the_form_asked_for_and_outlive_all_but_their_own_deletion() {
    let (namespace, mut operator) = ground("secrets").await;
    let spec = maker(&json!([
        {"key": "token"},
        {"key": "hex", "length": 20, "encoding": "Hex"},
        {"key": "base64", "length": 48, "encoding": "Base64"},
        {"key": "text", "length": 64, "encoding": "Alphanumeric"},
    ]));
    namespace.microservice("web", spec.clone()).await;
    let object = namespace.wait_ready("web").await;
    let made = values(&namespace, "keys").await;
    assert_eq!(made["token"].len(), 32);
    assert!(made["hex"].len() == 40 && made["hex"].chars().all(|c| c.is_ascii_hexdigit()), "20 bytes");
    assert_eq!(STANDARD.decode(&made["base64"]).map(|bytes| bytes.len()), Ok(48));
    assert!(made["text"].len() == 64 && made["text"].chars().all(|c| c.is_ascii_alphanumeric()));
    let status = object.status.unwrap_or_default().secrets;
    assert_eq!(status.iter().map(|secret| secret.name.as_str()).collect::<Vec<_>>(), ["keys"]);
    assert!(status[0].rotated_at.is_some() && status[0].next_rotation.is_none());

    let (before, rollouts) = (version(&namespace).await, generation(&namespace, "web").await);
    operator.kill().await;
    operator.restart().await;
    namespace.delete::<Deployment>("web").await;
    namespace.delete::<Service>("web").await;
    let mut scaled = spec.clone();
    scaled["replicas"] = json!(2);
    eventually(PATIENCE, "the Deployment is back", || async {
        if exists::<Deployment>(&namespace, "web").await { Ok(()) } else { Err("not yet") }
    })
    .await;
    namespace.microservice("web", scaled).await;
    namespace.wait_ready("web").await;
    assert_eq!(values(&namespace, "keys").await, made);
    assert_eq!(version(&namespace).await, before, "nothing was written to the Secret");
    assert!(rollouts >= 1);

    // Its own deletion is the one way to lose the values: the pods get new ones.
    let hash = config_hash(&namespace, "web").await;
    namespace.delete::<Secret>("keys").await;
    let anew = other_values(&namespace, &made).await;
    assert!(anew.keys().eq(made.keys()) && anew.iter().all(|(key, value)| made[key] != *value));
    hash_other_than(&namespace, "web", &hash).await;
}

#[tokio::test]
async fn a_value_edited_by_hand_stays_and_a_missing_key_alone_is_made() {
    let (namespace, _operator) = ground("secrets").await;
    namespace.microservice("web", maker(&json!([{"key": "token"}, {"key": "other"}]))).await;
    namespace.wait_ready("web").await;
    let made = values(&namespace, "keys").await;
    let hash = config_hash(&namespace, "web").await;

    let edit = json!({"stringData": {"token": "by hand", "note": "a key of somebody else"}});
    namespace.patch::<Secret>("keys", edit).await;
    let hash = hash_other_than(&namespace, "web", &hash).await;
    let edited = values(&namespace, "keys").await;
    assert_eq!((edited["token"].as_str(), &edited["other"]), ("by hand", &made["other"]));

    namespace.patch::<Secret>("keys", json!({"data": {"other": null}})).await;
    eventually(PATIENCE, "the missing key is made", || async {
        let now = values(&namespace, "keys").await;
        now.get("other").map(|_| ()).ok_or_else(|| format!("{:?}", now.keys()))
    })
    .await;
    let filled = values(&namespace, "keys").await;
    assert_eq!(filled["token"], "by hand");
    assert_eq!(filled["note"], "a key of somebody else");
    assert_ne!(filled["other"], made["other"]);
    let hash = hash_other_than(&namespace, "web", &hash).await;

    // A key that the spec adds later is made beside the others.
    namespace
        .microservice("web", maker(&json!([{"key": "token"}, {"key": "other"}, {"key": "third"}])))
        .await;
    hash_other_than(&namespace, "web", &hash).await;
    let grown = values(&namespace, "keys").await;
    assert_eq!((&grown["token"], &grown["other"]), (&filled["token"], &filled["other"]));
    assert_eq!(grown["third"].len(), 32);
}

#[tokio::test]
async fn a_foreign_secret_of_the_name_is_neither_read_nor_changed() {
    let (namespace, _operator) = ground("secrets").await;
    secret(&namespace, "keys", &[("token", "foreign")]).await;
    let before = namespace.get::<Secret>("keys").await;
    namespace.microservice("web", maker(&json!([{"key": "token"}]))).await;
    let object = namespace.wait_condition("web", "Applied", "False", Some("Conflict")).await;
    let (_, reason, message) = condition(&object, "Stalled").expect("a person has to decide");
    assert_eq!(reason, "Conflict");
    assert!(message.contains("Secret keys"), "{message}");
    assert!(!exists::<Deployment>(&namespace, "web").await, "the pods must not read it");
    assert!(exists::<Service>(&namespace, "web").await, "all else is made");
    assert_eq!(namespace.get::<Secret>("keys").await, before);

    namespace.delete::<Secret>("keys").await;
    namespace.wait_ready("web").await;
    assert_ne!(values(&namespace, "keys").await["token"], "foreign");
}

#[tokio::test]
async fn values_are_replaced_once_per_word_and_when_their_time_is_up() {
    let (namespace, mut operator) = ground("secrets").await;
    namespace.microservice("web", maker(&json!([{"key": "token", "rotateAfter": "720h"}]))).await;
    let object = namespace.wait_ready("web").await;
    let record = object.status.unwrap_or_default().secrets.remove(0);
    let (at, next) = (record.rotated_at.unwrap().0, record.next_rotation.unwrap().0);
    assert_eq!(next.duration_since(at).as_hours(), 720);

    let mut now = values(&namespace, "keys").await;
    let mut hash = config_hash(&namespace, "web").await;
    for word in ["please", "again"] {
        annotate(&namespace, "web", "microservice.dev/rotate", word).await;
        now = other_values(&namespace, &now).await;
        hash = hash_other_than(&namespace, "web", &hash).await;
        eventually(PATIENCE, "the word is recorded", || async {
            let status = namespace.get::<Microservice>("web").await.status.unwrap_or_default();
            let done = status.secrets.first().and_then(|secret| secret.rotate_token.clone());
            if done.as_deref() == Some(word) { Ok(()) } else { Err(format!("{done:?}")) }
        })
        .await;
    }
    let rotated = version(&namespace).await;
    operator.kill().await;
    operator.restart().await;
    annotate(&namespace, "web", "microservice.dev/restart", "seen after the restart").await;
    eventually(PATIENCE, "the operator is at work", || async {
        let found = template(&namespace, "web").await;
        let found = found.pointer("/metadata/annotations/microservice.dev~1restart").cloned();
        found.map(|_| ()).ok_or("not yet")
    })
    .await;
    assert_eq!(version(&namespace).await, rotated, "a word is carried out once");
    namespace.wait_ready("web").await;

    // The time is up: as if the month had passed while the operator was away.
    operator.stop().await;
    let mut status = namespace.get::<Microservice>("web").await.status.unwrap_or_default();
    status.secrets[0].next_rotation = Some(serde_json::from_value(json!("2020-01-01T00:00:00Z")).unwrap());
    let patch = Patch::Merge(json!({"status": {"secrets": status.secrets}}));
    let api = namespace.api::<Microservice>();
    api.patch_status("web", &PatchParams::default(), &patch).await.expect("an admin may");
    operator.restart().await;
    let last = other_values(&namespace, &now).await;
    hash_other_than(&namespace, "web", &hash).await;
    eventually(PATIENCE, "the next time lies ahead", || async {
        let status = namespace.get::<Microservice>("web").await.status.unwrap_or_default();
        let next = status.secrets.into_iter().find_map(|secret| secret.next_rotation);
        if next.as_ref().is_some_and(|next| next.0 > at) { Ok(()) } else { Err(format!("{next:?}")) }
    })
    .await;
    namespace.wait_ready("web").await;
    assert_eq!(values(&namespace, "keys").await, last, "and not again");
}

#[tokio::test]
async fn a_rotation_that_cannot_be_stored_rolls_no_pod_and_is_not_forgotten() {
    let (namespace, _operator) = ground("secrets").await;
    namespace.microservice("web", maker(&json!([{"key": "token"}]))).await;
    namespace.wait_ready("web").await;
    let (made, before) = (values(&namespace, "keys").await, template(&namespace, "web").await);
    namespace.patch::<Secret>("keys", json!({"immutable": true})).await;
    annotate(&namespace, "web", "microservice.dev/rotate", "please").await;
    namespace.wait_condition("web", "Applied", "False", None).await;
    assert_eq!(values(&namespace, "keys").await, made);
    assert_eq!(template(&namespace, "web").await, before, "the pods would read the old value anyway");
    let status = namespace.get::<Microservice>("web").await.status.unwrap_or_default();
    assert_eq!(status.secrets[0].rotate_token, None, "it has not been carried out");

    // The way out: delete it, and it is made anew.
    namespace.delete::<Secret>("keys").await;
    other_values(&namespace, &made).await;
    namespace.wait_ready("web").await;
}

/// What was announced and not made is made when it can be, whatever was looked at in between.
#[tokio::test]
async fn a_key_that_cannot_be_stored_rolls_no_pod_and_is_not_forgotten() {
    let (namespace, _operator) = ground("secrets").await;
    namespace.microservice("web", maker(&json!([{"key": "token"}]))).await;
    namespace.wait_ready("web").await;
    namespace.patch::<Secret>("keys", json!({"immutable": true})).await;
    let version = namespace.get::<Secret>("keys").await.metadata.resource_version;
    eventually(PATIENCE, "the Secret is known as it is", || async {
        let status = namespace.get::<Microservice>("web").await.status.unwrap_or_default();
        let known = status.references.iter().any(|record| Some(&record.resource_version) == version.as_ref());
        if known { Ok(()) } else { Err(format!("{:?}", status.references)) }
    })
    .await;
    let before = template(&namespace, "web").await;
    let mut spec = maker(&json!([{"key": "token"}, {"key": "second"}]));
    spec["secrets"][0]["env"] =
        json!([{"name": "TOKEN", "key": "token"}, {"name": "SECOND", "key": "second"}]);
    namespace.microservice("web", spec).await;
    namespace.wait_condition("web", "Applied", "False", None).await;
    // Another look at the spec that was told of.
    annotate(&namespace, "web", "example.com/look", "again").await;
    always(Duration::from_secs(3), "no pod rolls", || async {
        let now = template(&namespace, "web").await;
        if now == before { Ok(()) } else { Err(now.to_string()) }
    })
    .await;

    namespace.delete::<Secret>("keys").await;
    namespace.wait_ready("web").await;
    assert_eq!(values(&namespace, "keys").await.keys().collect::<Vec<_>>(), ["second", "token"]);
}

#[tokio::test]
async fn secret_values_are_told_to_nobody() {
    const CANARY: &str = "canary-6f1d0c52";
    let cluster = Cluster::shared();
    let namespace = Namespace::new(cluster, "secrets").await;
    let options = OperatorOptions { log: "trace".to_owned(), ..OperatorOptions::namespace(namespace.name()) };
    let operator = Operator::start(cluster, options).await;
    secret(&namespace, "db", &[("url", CANARY)]).await;
    let config =
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "conf"}, "data": {"a": CANARY}});
    namespace.apply(config).await;
    let mut spec = maker(&json!([{"key": "token"}]));
    let read = json!({"name": "db", "env": [{"name": "URL", "key": "url"}]});
    spec["secrets"].as_array_mut().expect("a list").push(read);
    spec["envFrom"] = json!([{"configMapRef": {"name": "conf"}}]);
    namespace.microservice("web", spec).await;
    namespace.wait_ready("web").await;
    let first = values(&namespace, "keys").await["token"].clone();
    let hash = config_hash(&namespace, "web").await;
    namespace.patch::<Secret>("keys", json!({"stringData": {"token": format!("{CANARY}-by-hand")}})).await;
    let hash = hash_other_than(&namespace, "web", &hash).await;
    namespace.patch::<Secret>("db", json!({"stringData": {"url": format!("{CANARY}-changed")}})).await;
    hash_other_than(&namespace, "web", &hash).await;
    namespace.wait_ready("web").await;

    let object = serde_json::to_string(&namespace.get::<Microservice>("web").await).unwrap();
    let events = namespace.api::<Event>().list(&Default::default()).await.expect("Events are listed");
    let events = serde_json::to_string(&events.items).unwrap();
    let deployment = serde_json::to_string(&namespace.get::<Deployment>("web").await).unwrap();
    let maps = namespace.api::<ConfigMap>().list(&Default::default()).await.expect("they are listed");
    let maps: Vec<_> =
        maps.items.into_iter().filter(|m| m.metadata.name.as_deref() != Some("conf")).collect();
    let (_, metrics) = operator.http("/metrics").await.expect("it has metrics");
    let log = operator.log();
    assert!(log.contains("TRACE"), "everything is logged that can be");
    let places = [
        ("log", log),
        ("object and status", object),
        ("Events", events),
        ("Deployment", deployment),
        ("ConfigMaps", serde_json::to_string(&maps).unwrap()),
        ("metrics", metrics),
    ];
    let plain = [CANARY.to_owned(), first];
    let bytes = |text: &str| format!("{:?}", text.as_bytes()).trim_matches(['[', ']']).to_owned();
    let needles = plain.iter().flat_map(|text| [text.clone(), STANDARD.encode(text), bytes(text)]);
    for needle in needles {
        // Encoded, the last characters depend on what follows.
        let needle = needle.trim_end_matches('=');
        let needle = &needle[..needle.len() - 2];
        for (place, text) in &places {
            assert!(!text.is_empty() && !text.contains(needle), "{needle} is in the {place}");
        }
    }
}
