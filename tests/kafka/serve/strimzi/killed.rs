//! The operator is killed between what it records, or tells Strimzi, and what is to follow from it.

use std::time::Duration;

use k8s_openapi::api::admissionregistration::v1::ValidatingWebhookConfiguration;
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, DynamicObject, PostParams};
use microservice_operator::api::Microservice;
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};

use super::desk::Desk;
use crate::support::{apply_as_given, eventually};

/// Name of an object that nobody makes, to see whether writes are held.
const PROBE: &str = "probe";

/// Holds every write of a KafkaTopic in one namespace: the API server asks somebody who never answers.
struct Hold {
    listener: TcpListener,
    name: String,
}

impl Hold {
    async fn on(desk: &Desk) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let port = listener.local_addr().expect("it has an address").port();
        let name = format!("hold-{}", desk.place.name());
        let rule = json!({
            "apiGroups": ["kafka.strimzi.io"], "apiVersions": ["*"], "resources": ["kafkatopics"],
            "operations": ["CREATE", "UPDATE", "DELETE"],
        });
        let hook = json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration",
            "metadata": {"name": name},
            "webhooks": [{
                "name": "hold.test.microservice.dev", "admissionReviewVersions": ["v1"], "sideEffects": "None",
                "timeoutSeconds": 30, "failurePolicy": "Fail", "rules": [rule],
                "clientConfig": {"url": format!("https://127.0.0.1:{port}/")},
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": desk.place.name()}},
                "matchConditions": [{"name": "ours", "expression": format!(
                    "request.userInfo.username == '{}' || request.name == '{PROBE}'", desk.shop.operator.user()
                )}],
            }],
        });
        apply_as_given(&desk.place.client(), &hook).await;
        let hold = Self { listener, name };
        hold.wait_effective(desk).await;
        hold
    }

    /// The API server hears of it a moment after it is stored.
    async fn wait_effective(&self, desk: &Desk) {
        let api = desk.objects("KafkaTopic");
        let probe: DynamicObject = serde_json::from_value(json!({
            "apiVersion": "kafka.strimzi.io/v1", "kind": "KafkaTopic", "metadata": {"name": PROBE}, "spec": {},
        }))
        .expect("it is an object");
        let dry = PostParams { dry_run: true, ..PostParams::default() };
        eventually(Duration::from_secs(20), "writes are held", || async {
            tokio::select! {
                caught = self.listener.accept() => caught.map(drop).map_err(|error| error.to_string()),
                passed = api.create(&dry, &probe) => Err(format!("{:?}", passed.err())),
            }
        })
        .await;
    }

    /// Waits until a write is held, and for as long as the result lives it stays so.
    async fn held(&self) -> TcpStream {
        let caught = tokio::time::timeout(Duration::from_secs(60), self.listener.accept()).await;
        caught.expect("a write is held").expect("it is a connection").0
    }

    async fn lift(self, desk: &Desk) {
        let hooks: Api<ValidatingWebhookConfiguration> = Api::all(desk.place.client());
        hooks.delete(&self.name, &DeleteParams::default()).await.expect("it can be lifted");
    }
}

/// Kills the operator while a write of its is under way, which then never happens.
async fn kill_at_a_write(desk: &mut Desk, hold: Hold) {
    let write = hold.held().await;
    desk.shop.operator.kill().await;
    drop(write);
    hold.lift(desk).await;
}

#[tokio::test]
async fn between_the_record_and_the_object_and_the_topic_is_made_once() {
    let mut desk = Desk::open_with("cut", &["--kafka-sweep=2s"], true).await;
    let hold = Hold::on(&desk).await;
    desk.shop.order("order", json!([{"name": "a", "partitions": 2}])).await;
    kill_at_a_write(&mut desk, hold).await;
    assert!(desk.shop.record("a").await.is_some(), "it is recorded before it is asked for");
    assert!(desk.object("a").await.is_none() && desk.shop.topic("a").await.is_none());

    desk.shop.operator.restart().await;
    desk.shop.namespace.wait_ready("order").await;
    assert_eq!(desk.shop.topic("a").await.map(|topic| topic.partitions), Some(2));
    assert!(desk.shop.record("a").await.is_some_and(|record| record.created), "it is ours");
    let events = desk.shop.events("order").await;
    for reason in ["TopicRecreated", "TopicReplaced", "TopicAdopted"] {
        assert_eq!(events.get(reason), None, "{events:?}");
    }
}

#[tokio::test]
async fn before_strimzi_is_told_to_let_go_and_the_topic_stays() {
    let mut desk = Desk::open_with("told", &["--kafka-sweep=2s"], true).await;
    desk.shop.order("order", json!([{"name": "a"}])).await;
    desk.shop.namespace.wait_ready("order").await;
    desk.shop.operator_settles().await;
    let before = desk.shop.topic("a").await;
    let hold = Hold::on(&desk).await;
    let objects = desk.shop.namespace.api::<Microservice>();
    objects.delete("order", &DeleteParams::default()).await.expect("it can be deleted");
    kill_at_a_write(&mut desk, hold).await;
    let object = desk.object("a").await.expect("nothing has happened to it yet");
    assert_eq!(
        (object.annotations()["strimzi.io/managed"].as_str(), object.metadata.deletion_timestamp.as_ref()),
        ("true", None)
    );

    desk.shop.operator.restart().await;
    desk.object_goes("a").await;
    assert_eq!(desk.shop.topic("a").await, before, "it is the same and not empty");
    eventually(Duration::from_secs(30), "the object is gone", || async {
        match objects.get_opt("order").await {
            Ok(None) => Ok(()),
            Ok(Some(_)) => Err("it is still there".to_owned()),
            Err(error) => Err(error.to_string()),
        }
    })
    .await;
}

#[tokio::test]
async fn between_letting_go_and_deleting_the_object_and_the_topic_stays() {
    let mut desk = Desk::open_with("between", &["--kafka-sweep=2s"], true).await;
    desk.shop.order("order", json!([{"name": "a"}])).await;
    desk.shop.namespace.wait_ready("order").await;
    let before = desk.shop.topic("a").await;
    desk.strimzi.stop(true);
    let objects = desk.shop.namespace.api::<Microservice>();
    objects.delete("order", &DeleteParams::default()).await.expect("it can be deleted");
    eventually(Duration::from_secs(20), "it is unmanaged", || async {
        let object = desk.object("a").await.ok_or("it is gone")?;
        if object.annotations()["strimzi.io/managed"] == "false" { Ok(()) } else { Err("not yet") }
    })
    .await;
    desk.shop.operator.kill().await;
    desk.strimzi.stop(false);
    desk.shop.operator.restart().await;
    desk.object_goes("a").await;
    assert_eq!(desk.shop.topic("a").await, before);
}
