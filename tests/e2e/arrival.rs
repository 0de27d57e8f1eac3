//! What a service needs comes after it: it waits, says for what, and starts when that is there.

use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Secret;
use microservice_operator::api::microservice::Microservice;
use serde_json::json;

use crate::fixtures::{PATIENCE, namespace, wait_ready};
use crate::support::{Cluster, Namespace, eventually};

#[tokio::test]
async fn a_service_waits_for_its_secret_and_starts_when_it_comes() {
    Cluster::real().load("shop", "/app/migrate", &["docker.io/library/web:v1"]);
    let (namespace, kubectl) = namespace("arrival").await;
    let secrets = json!([{"name": "web-db", "env": [{"name": "DATABASE_URL", "key": "url"}]}]);
    namespace.microservice("web", json!({"image": "web:v1", "replicas": 2, "secrets": secrets})).await;
    says(&namespace, "web-db").await;
    let table = kubectl.ok("get msvc web -o wide").await;
    assert!(table.contains("web-db"), "{table}");

    let manifest = |data| json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "web-db"}, "stringData": data});
    namespace.apply(manifest(json!({"password": "another key"}))).await;
    says(&namespace, "\"url\"").await;
    namespace
        .patch::<Secret>("web-db", json!({"stringData": {"url": "postgres://web:example@db/web"}}))
        .await;
    let arrived = Instant::now();
    wait_ready(&namespace, "web").await;
    let took = arrived.elapsed();
    assert!(took < Duration::from_secs(60), "ready {took:?} after the key has come");
    println!("ready {took:?} after the key has come");
}

async fn says(namespace: &Namespace, what: &str) {
    eventually(PATIENCE, &format!("web says that it waits for {what}"), || async {
        let object = namespace.api::<Microservice>().get("web").await.map_err(|error| error.to_string())?;
        let status = object.status.unwrap_or_default();
        let ready = status.conditions.iter().find(|condition| condition.type_ == "Ready");
        let message = ready.map(|ready| format!("{}: {}", ready.reason, ready.message)).unwrap_or_default();
        if message.contains(what) { Ok(()) } else { Err(message) }
    })
    .await;
}
