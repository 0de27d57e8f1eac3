//! Topics through Strimzi: made as described, kept so, and told of.

use std::time::Duration;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, ListParams, Patch, PatchParams};
use microservice_operator::api::Microservice;
use microservice_operator::engine::kafka::Broker;
use microservice_operator::kafka::model::NewTopic;
use serde_json::{Value, json};

use super::desk::Desk;
use crate::fixtures::{all_ok, config, create};
use crate::serve::shop::{is_true, message};
use crate::support::{always, eventually};

#[tokio::test]
async fn a_topic_is_made_as_described_and_the_service_is_ready() {
    let desk = Desk::open("through").await;
    let topic = json!({"name": "order-events", "partitions": 6, "retention": "7d"});
    desk.shop.order("order", json!([topic, {"name": "Order_Lines"}])).await;
    let ready = desk.shop.namespace.wait_ready("order").await;
    assert!(is_true(&ready, "TopicsReady"));

    let live = desk.shop.topic("order-events").await.expect("it is on the broker");
    assert_eq!((live.partitions, live.config["retention.ms"].as_str()), (6, "604800000"));
    assert_eq!(
        desk.shop.topic("Order_Lines").await.expect("it is there").partitions,
        3,
        "the class's default, under a name that no object can have"
    );
    let entries = &ready.status.as_ref().expect("it has a status").topics;
    assert_eq!((entries[0].id.as_deref(), entries[0].partitions), (Some(live.id.as_str()), Some(6)));
    let object = desk.object("order-events").await.expect("its name is one of an object");
    assert_eq!(object.data["spec"]["partitions"], 6);
    assert_eq!(object.metadata.owner_references, None, "it is in another namespace");
    assert!(desk.shop.record("order-events").await.is_some_and(|record| record.created));
    desk.shop.event("order", "TopicCreated").await;
}

#[tokio::test]
async fn what_is_described_anew_is_carried_out_and_partitions_never_shrink() {
    let desk = Desk::open("anew").await;
    desk.shop.order("order", json!([{"name": "a", "partitions": 2, "retention": "1h"}])).await;
    desk.shop.namespace.wait_ready("order").await;
    desk.shop
        .order("order", json!([{"name": "a", "partitions": 4, "config": {"compression.type": "zstd"}}]))
        .await;
    desk.shop
        .settles("a", "it is as described", |topic| {
            topic.partitions == 4 && topic.config == config(&[("compression.type", "zstd".to_owned())])
        })
        .await;
    desk.shop.event("order", "PartitionsRaised").await;

    desk.shop.order("order", json!([{"name": "a", "partitions": 1, "retention": "2h"}])).await;
    let reason = Some("PartitionDecreaseRefused");
    let refused = desk.shop.namespace.wait_condition("order", "TopicsReady", "False", reason).await;
    assert!(message(&refused, "TopicsReady").contains("set partitions to 4"));
    desk.shop
        .settles("a", "the rest applies", |topic| {
            topic.config.get("retention.ms").is_some_and(|set| set == "7200000")
        })
        .await;
    let object = desk.object("a").await.expect("it is there");
    assert_eq!(object.data["spec"]["partitions"], 4, "Strimzi is asked for nothing that Kafka cannot do");
}

#[tokio::test]
async fn what_others_change_in_the_object_is_set_back() {
    let desk = Desk::open_with("drifted", &["--kafka-sweep=1s"], true).await;
    desk.shop.order("order", json!([{"name": "a", "partitions": 2, "retention": "1h"}])).await;
    desk.shop.namespace.wait_ready("order").await;
    desk.shop.operator_settles().await;
    let edit = json!({
        "metadata": {"annotations": {"strimzi.io/managed": "false"}},
        "spec": {"partitions": 1, "config": {"retention.ms": "7"}},
    });
    let params = PatchParams { field_manager: Some("somebody".to_owned()), ..PatchParams::default() };
    let api = desk.objects("KafkaTopic");
    api.patch(&desk.shop.name("a"), &params, &Patch::Merge(&edit)).await.expect("it can be changed");
    eventually(Duration::from_secs(20), "the object is as described again", || async {
        let object = desk.object("a").await.ok_or("it is gone")?;
        let spec = &object.data["spec"];
        let managed = object.metadata.annotations.unwrap_or_default()["strimzi.io/managed"] == "true";
        let right = managed && spec["partitions"] == 2 && spec["config"]["retention.ms"] == "3600000";
        if right { Ok(()) } else { Err("not yet") }
    })
    .await;
    let edit = json!({"spec": {"config": {"retention.ms": "8"}}});
    api.patch(&desk.shop.name("a"), &params, &Patch::Merge(&edit)).await.expect("it can be changed");
    desk.shop
        .settles("a", "the topic too", |topic| {
            topic.config.get("retention.ms").is_some_and(|set| set == "3600000")
        })
        .await;
    let told = desk.shop.namespace.wait_condition("order", "TopicsReady", "True", None).await;
    assert!(is_true(&told, "Ready"));
}

#[tokio::test]
async fn at_rest_nothing_is_written() {
    let desk = Desk::open_with("quiet", &["--kafka-sweep=1s"], true).await;
    desk.shop.order("order", json!([{"name": "a", "partitions": 2}, {"name": "B", "retention": "1d"}])).await;
    desk.shop.namespace.wait_ready("order").await;
    desk.shop.operator_settles().await;
    let audit = desk.shop.cluster.audit().await;
    let mark = audit.mark().await;
    let writes = || async {
        let writes = audit.since(mark).await.of(&desk.shop.operator.user()).writes();
        if writes.count() == 0 { Ok(()) } else { Err(writes.to_string()) }
    };
    always(Duration::from_secs(4), "nothing is written while several sweeps go by", writes).await;
}

#[tokio::test]
async fn what_strimzi_refuses_is_told_with_the_topic_and_its_words_and_heals() {
    let desk = Desk::open("refused").await;
    desk.shop.order("order", json!([{"name": "good"}, {"name": "far", "replicationFactor": 3}])).await;
    let reason = Some("ReplicationImpossible");
    let refused = desk.shop.namespace.wait_condition("order", "TopicsReady", "False", reason).await;
    let text = message(&refused, "TopicsReady");
    assert!(text.contains(&desk.shop.name("far")) && text.contains("lower replicationFactor"), "{text}");
    desk.shop.settles("good", "its neighbour is made", |_| true).await;
    desk.shop.order("order", json!([{"name": "good"}, {"name": "far", "replicationFactor": 1}])).await;
    desk.shop.namespace.wait_ready("order").await;
    assert!(desk.shop.record("far").await.is_some_and(|record| record.created));
}

#[tokio::test]
async fn a_strimzi_that_does_not_run_is_told_after_a_while_and_nothing_is_lost() {
    let desk = Desk::open_with("away", &["--strimzi-patience=2s"], true).await;
    desk.shop.order("order", json!([{"name": "a", "retention": "1h"}])).await;
    desk.shop.namespace.wait_ready("order").await;
    desk.strimzi.stop(true);
    desk.shop.order("order", json!([{"name": "a", "retention": "2h"}, {"name": "b"}])).await;
    let reason = Some("StrimziNotRunning");
    let told = desk.shop.namespace.wait_condition("order", "TopicsReady", "False", reason).await;
    let text = message(&told, "TopicsReady");
    assert!(text.contains(&desk.shop.name("b")) && text.contains("starts Strimzi's operators"), "{text}");
    desk.strimzi.stop(false);
    desk.shop
        .settles("a", "it goes on", |topic| {
            topic.config.get("retention.ms").is_some_and(|set| set == "7200000")
        })
        .await;
    let ready = desk.shop.namespace.wait_ready("order").await;
    assert!(is_true(&ready, "TopicsReady"));
}

#[tokio::test]
async fn what_strimzi_has_not_looked_at_is_still_under_way() {
    let desk = Desk::open("stale").await;
    desk.shop.order("order", json!([{"name": "a", "partitions": 1}])).await;
    desk.shop.namespace.wait_ready("order").await;
    desk.strimzi.silence(true);
    desk.shop.order("order", json!([{"name": "a", "partitions": 2}])).await;
    desk.shop.settles("a", "the topic follows", |topic| topic.partitions == 2).await;
    let told = desk.shop.namespace.wait_condition("order", "TopicsReady", "False", Some("Progressing")).await;
    let generation = told.metadata.generation;
    let api = desk.shop.namespace.api::<Microservice>();
    let waits = || async {
        let object = api.get("order").await.map_err(|error| error.to_string())?;
        let ready = is_true(&object, "TopicsReady") && object.metadata.generation == generation;
        if ready { Err("it is told to be done".to_owned()) } else { Ok(()) }
    };
    always(Duration::from_secs(2), "an old Ready counts for nothing", waits).await;
    desk.strimzi.silence(false);
    desk.shop.namespace.wait_condition("order", "TopicsReady", "True", None).await;
}

#[tokio::test]
async fn a_topic_that_exists_is_refused_and_adopted_with_every_key_that_it_has() {
    let desk = Desk::open("existing").await;
    let live = config(&[("retention.ms", "7000000".to_owned()), ("segment.bytes", "1048576".to_owned())]);
    let new = NewTopic {
        name: desk.shop.name("a"),
        partitions: Some(5),
        config: live.clone(),
        ..NewTopic::default()
    };
    let before = create(&desk.shop.broker, &[new]).await.remove(0);
    desk.shop.order("order", json!([{"name": "a"}])).await;
    desk.shop.namespace.wait_condition("order", "TopicsReady", "False", Some("TopicExists")).await;
    assert!(desk.object("a").await.is_none(), "Strimzi would have wiped its keys");
    assert_eq!(desk.shop.topic("a").await, Some(before.clone()));

    desk.shop.order("order", json!([{"name": "a", "managementPolicy": "Observe"}])).await;
    desk.shop.namespace.wait_condition("order", "TopicsReady", "True", None).await;
    assert!(desk.object("a").await.is_none(), "what is only observed has no object");

    let adopt = json!([{"name": "a", "managementPolicy": "Adopt", "retention": "1h"}]);
    desk.shop.order("order", adopt).await;
    let wanted = config(&[("retention.ms", "3600000".to_owned()), ("segment.bytes", "1048576".to_owned())]);
    desk.shop.settles("a", "it is as described", |topic| topic.config == wanted).await;
    desk.shop.namespace.wait_ready("order").await;
    let after = desk.shop.topic("a").await.expect("it is there");
    assert_eq!((after.id, after.partitions), (before.id, 5));
    desk.shop.event("order", "TopicAdopted").await;
    assert!(desk.shop.record("a").await.is_some_and(|record| !record.created));
}

#[tokio::test]
async fn an_object_of_somebody_else_is_never_touched() {
    let desk = Desk::open("foreign").await;
    let theirs: Value = json!({
        "apiVersion": "kafka.strimzi.io/v1", "kind": "KafkaTopic",
        // Without the label, no operator of Strimzi's looks after it, and ours does not watch it.
        "metadata": {"name": desk.shop.name("a"), "namespace": desk.place.name()},
        "spec": {"partitions": 7},
    });
    desk.place.apply(theirs).await;
    desk.shop.order("order", json!([{"name": "a"}])).await;
    let told = desk.shop.namespace.wait_condition("order", "TopicsReady", "False", Some("Conflict")).await;
    let text = message(&told, "TopicsReady");
    assert!(text.contains("KafkaTopic") && text.contains("not the operator's"), "{text}");
    let object = desk.object("a").await.expect("it is there");
    assert_eq!((object.data["spec"]["partitions"].as_i64(), object.metadata.annotations), (Some(7), None));
    assert!(desk.shop.record("a").await.is_none(), "what was refused leaves no record");
    desk.objects("KafkaTopic")
        .delete(&desk.shop.name("a"), &Default::default())
        .await
        .expect("it can be deleted");
    // At the latest when it is tried again; here by a new description.
    desk.shop.order("order", json!([{"name": "a", "partitions": 2}])).await;
    desk.shop.namespace.wait_ready("order").await;
}

#[tokio::test]
async fn without_a_login_what_needs_one_is_refused_and_the_rest_is_served() {
    let desk = Desk::open_with("blind", &[], false).await;
    let confirm = json!({"microservice.dev/confirm-delete": desk.shop.name("a")});
    let delete = json!([{"name": "a", "deletionPolicy": "Delete", "partitions": 2}]);
    desk.shop.order_with("order", delete, confirm).await;
    let told =
        desk.shop.namespace.wait_condition("order", "TopicsReady", "True", Some("GuardsLimited")).await;
    assert!(message(&told, "TopicsReady").contains("none is deleted"), "{}", message(&told, "TopicsReady"));
    desk.shop.namespace.wait_ready("order").await;
    assert_eq!(desk.shop.topic("a").await.map(|topic| topic.partitions), Some(2));

    all_ok(
        desk.shop
            .broker
            .create(&[crate::fixtures::plain(&desk.shop.name("b"))], false)
            .await
            .expect("it answers"),
    );
    desk.shop.order("thief", json!([{"name": "b", "managementPolicy": "Adopt"}])).await;
    let refused =
        desk.shop.namespace.wait_condition("thief", "TopicsReady", "False", Some("GuardsLimited")).await;
    assert!(message(&refused, "TopicsReady").contains("add a login"), "{}", message(&refused, "TopicsReady"));
    assert!(desk.object("b").await.is_none());

    desk.shop.namespace.delete::<Microservice>("order").await;
    let note = desk.shop.event("order", "TopicRetained").await;
    assert!(note.contains("without a login"), "{note}");
    desk.object_goes("a").await;
    assert!(desk.shop.topic("a").await.is_some(), "it stays");
}

#[tokio::test]
async fn an_object_that_no_ledger_knows_is_left_to_lie_and_its_topic_stays() {
    let mut desk = Desk::open_with("stray", &["--kafka-sweep=1s"], true).await;
    desk.shop.order("order", json!([{"name": "a"}])).await;
    desk.shop.namespace.wait_ready("order").await;
    desk.shop.operator.stop().await;
    // The ledger is lost.
    let maps: Api<ConfigMap> =
        Api::namespaced(desk.shop.namespace.client(), desk.shop.operator.installation().namespace());
    let all = ListParams::default().labels("microservice.dev/kafka-ledger=topics");
    maps.delete_collection(&Default::default(), &all).await.expect("ConfigMaps can be deleted");
    desk.shop.operator.restart().await;
    let note = desk.shop.event("order", "TopicRetained").await;
    assert!(note.contains("in no ledger"), "{note}");
    desk.object_goes("a").await;
    assert!(desk.shop.topic("a").await.is_some());
    desk.shop.namespace.wait_condition("order", "TopicsReady", "False", Some("TopicExists")).await;
}
