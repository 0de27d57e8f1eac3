//! Strimzi's definitions come and go while the operator runs, in either version.

use serde_json::json;

use super::desk::{Desk, bare, served};
use crate::serve::shop::{SECRET, is_true, message};
use crate::support::strimzi::{self, Strimzi};
use crate::support::{Namespace, apply_as_given, manifests};

#[tokio::test]
async fn the_api_comes_in_the_older_version_goes_and_comes_back_in_the_newer_one() {
    let cluster = bare();
    let desk = Desk::open_on(cluster, "v1beta2", "comes", &["--api-pace=1s", "--kafka-sweep=2s"], true).await;
    let client = cluster.client().await;
    desk.shop.order("order", json!([{"name": "a", "partitions": 2}])).await;
    let reason = Some("ApiNotServed");
    let told = desk.shop.namespace.wait_condition("order", "TopicsReady", "False", reason).await;
    let text = message(&told, "TopicsReady");
    assert!(text.contains(&desk.shop.name("a")) && text.contains("installs Strimzi's definitions"), "{text}");
    assert!(desk.shop.topic("a").await.is_none());

    strimzi::install(&client, "v1beta2").await;
    let ready = desk.shop.namespace.wait_ready("order").await;
    assert!(is_true(&ready, "TopicsReady"));
    let object = desk.object("a").await.expect("it is there");
    assert_eq!(object.types.map(|types| types.api_version).as_deref(), Some("kafka.strimzi.io/v1beta2"));

    // With its definition goes the object, and with the object, by Strimzi's rules, the topic.
    strimzi::remove(&client).await;
    let told = desk.shop.namespace.wait_condition("order", "TopicsReady", "Unknown", reason).await;
    assert!(is_true(&told, "Ready"), "a service that had its topics goes on");

    strimzi::install(&client, "v1").await;
    let _newer = Strimzi::start(&desk.place, desk.kafka, "v1");
    desk.shop.settles("a", "it is made again", |topic| topic.partitions == 2).await;
    desk.shop.namespace.wait_condition("order", "TopicsReady", "True", None).await;
    let note = desk.shop.event("order", "TopicRecreated").await;
    assert!(note.contains("is empty"), "{note}");
}

#[tokio::test]
async fn a_namespace_in_which_the_operator_has_no_rights_is_told_and_healed_by_them() {
    let desk = Desk::open_with("barred", &["--api-pace=1s"], true).await;
    let other = Namespace::new(served().await, "kafka").await;
    let cluster = json!({
        "name": "main", "mode": "Strimzi", "bootstrapServers": desk.kafka.sasl(), "users": {"mode": "None"},
        "strimzi": {"namespace": other.name(), "cluster": strimzi::CLUSTER},
        "sasl": {"mechanism": "SCRAM-SHA-512", "secretName": SECRET},
    });
    desk.shop.describe_cluster("{namespace}.{name}", cluster).await;
    desk.shop.order("order", json!([{"name": "a"}])).await;
    let told = desk.shop.namespace.wait_condition("order", "TopicsReady", "False", Some("Forbidden")).await;
    assert!(message(&told, "TopicsReady").contains("rbac --strimzi-namespace"));

    let own = desk.shop.operator.installation().namespace();
    for manifest in
        manifests(&["rbac", "--namespace", own, "--namespaced", own, "--strimzi-namespace", other.name()])
    {
        if manifest["metadata"]["namespace"] == other.name() {
            apply_as_given(&other.client(), &manifest).await;
        }
    }
    let _strimzi = Strimzi::start(&other, desk.kafka, "v1");
    desk.shop.namespace.wait_condition("order", "TopicsReady", "True", None).await;
}
