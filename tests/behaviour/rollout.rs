//! Changes of a service reach its pods without taking away what the old ones still need.

use futures::StreamExt;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::runtime::{WatchStreamExt, watcher};
use serde_json::json;

use crate::steps::{
    PATIENCE, condition, config_hash, config_maps, deployment, exists, generation, hash_other_than, template,
};
use crate::support::{Cluster, Namespace, Operator, OperatorOptions, eventually};

async fn ground(name: &str) -> (Namespace, Operator) {
    let cluster = Cluster::shared();
    let namespace = Namespace::new(cluster, name).await;
    let operator = Operator::start(cluster, OperatorOptions::namespace(namespace.name())).await;
    (namespace, operator)
}

#[tokio::test]
async fn a_change_of_configuration_or_of_a_file_rolls_the_pods_once() {
    let (namespace, _operator) = ground("rollout").await;
    let spec = |level: &str, text: &str| {
        json!({
            "image": "web:v1", "config": {"LOG_LEVEL": level},
            "files": [{"mountPath": "/etc/app", "config": {"app.conf": text}}],
        })
    };
    namespace.microservice("web", spec("info", "a")).await;
    namespace.wait_ready("web").await;
    assert_eq!(config_maps(&namespace).await, ["web-config", "web-files"]);
    let mut hash = config_hash(&namespace, "web").await;
    for (count, (level, text)) in [("debug", "a"), ("debug", "b")].into_iter().enumerate() {
        let before = generation(&namespace, "web").await;
        namespace.microservice("web", spec(level, text)).await;
        namespace.wait_ready("web").await;
        assert_eq!(generation(&namespace, "web").await, before + 1, "change {count}");
        let now = config_hash(&namespace, "web").await;
        assert_ne!(now, hash, "change {count}");
        hash = now;
    }
    let config = namespace.get::<ConfigMap>("web-config").await.data.unwrap_or_default();
    assert_eq!(config.get("LOG_LEVEL").map(String::as_str), Some("debug"));
    let files = namespace.get::<ConfigMap>("web-files").await;
    assert!(serde_json::to_string(&files.data).unwrap().contains("\"b\""), "{:?}", files.data);

    // Edited by hand it is put back, and the pods stay.
    let before = generation(&namespace, "web").await;
    namespace.patch::<ConfigMap>("web-config", json!({"data": {"LOG_LEVEL": "trace"}})).await;
    eventually(PATIENCE, "the configuration is put back", || async {
        let data = namespace.get::<ConfigMap>("web-config").await.data.unwrap_or_default();
        if data.get("LOG_LEVEL").is_some_and(|level| level == "debug") {
            Ok(())
        } else {
            Err(format!("{data:?}"))
        }
    })
    .await;
    assert_eq!(generation(&namespace, "web").await, before);
}

#[tokio::test]
async fn old_pods_keep_their_configuration_until_they_are_gone() {
    let (namespace, _operator) = ground("rollout").await;
    namespace.microservice("web", json!({"image": "web:v1", "config": {"A": "1"}})).await;
    namespace.wait_ready("web").await;
    let config = watcher::Config::default();
    let mut deployments =
        Box::pin(watcher(namespace.api::<Deployment>(), config).default_backoff().applied_objects());

    // The new pods never become ready: the old ones may restart at any time and need what they read.
    namespace.microservice("web", json!({"image": "web:v2-missing"})).await;
    namespace.wait_condition("web", "Available", "False", Some("ImagePullFailed")).await;
    assert!(exists::<ConfigMap>(&namespace, "web-config").await, "old pods still read it");
    let object = namespace.get::<Deployment>("web").await;
    assert_eq!(object.status.and_then(|status| status.available_replicas), Some(3), "old pods serve");

    namespace.microservice("web", json!({"image": "web:v3"})).await;
    namespace.wait_ready("web").await;
    eventually(PATIENCE, "the ConfigMap is pruned", || async {
        if exists::<ConfigMap>(&namespace, "web-config").await { Err("it is still there") } else { Ok(()) }
    })
    .await;
    let settled = async {
        loop {
            let object = deployments.next().await.expect("the watch goes on").expect("it is served");
            let status = object.status.unwrap_or_default();
            if status.replicas == status.updated_replicas
                && status.observed_generation >= object.metadata.generation
            {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, settled).await.expect("the rollout ended");
}

#[tokio::test]
async fn the_deployment_rolls_as_the_spec_says() {
    let (namespace, _operator) = ground("rollout").await;
    namespace.microservice("web", json!({"image": "web:v1"})).await;
    namespace.wait_ready("web").await;
    let spec = deployment(&namespace, "web").await["spec"].clone();
    assert_eq!(spec["strategy"]["rollingUpdate"], json!({"maxUnavailable": 0, "maxSurge": "25%"}));
    assert_eq!(spec["progressDeadlineSeconds"], 600);
    assert_eq!(spec["revisionHistoryLimit"], 5);
    let pod = template(&namespace, "web").await["spec"].clone();
    assert_eq!(pod["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"], 5);
    assert_eq!(pod["terminationGracePeriodSeconds"], 30);

    // Every change of variant is one that the server takes, there and back.
    for (strategy, shutdown) in [
        (json!({"type": "Recreate"}), json!({"drainSeconds": 0})),
        (json!({"rollingUpdate": {"maxUnavailable": 1}}), json!({"drainSeconds": 20})),
    ] {
        let spec = json!({
            "image": "web:v1", "strategy": strategy, "shutdown": shutdown, "minReadySeconds": 1,
            "health": {"liveness": {}},
        });
        namespace.microservice("web", spec).await;
        let object = namespace.wait_ready("web").await;
        assert_eq!(condition(&object, "Applied").map(|c| c.0).as_deref(), Some("True"));
    }
    namespace.microservice("web", json!({"image": "web:v1"})).await;
    namespace.wait_ready("web").await;
    assert_eq!(deployment(&namespace, "web").await["spec"], spec, "there and back again");
}

#[tokio::test]
async fn the_latest_of_several_quick_changes_wins() {
    let (namespace, _operator) = ground("rollout").await;
    namespace.microservice("web", json!({"image": "web:v0", "config": {"N": "0"}})).await;
    namespace.wait_ready("web").await;
    let hash = config_hash(&namespace, "web").await;
    for number in 1..=10 {
        let spec = json!({"image": format!("web:v{number}"), "config": {"N": number.to_string()}});
        namespace.microservice("web", spec).await;
    }
    namespace.wait_ready("web").await;
    hash_other_than(&namespace, "web", &hash).await;
    assert_eq!(template(&namespace, "web").await["spec"]["containers"][0]["image"], "web:v10");
    let data = namespace.get::<ConfigMap>("web-config").await.data.unwrap_or_default();
    assert_eq!(data.get("N").map(String::as_str), Some("10"));
}
