//! Secrets and ConfigMaps that others make: pods follow their data, wait for what is missing, and keep
//! what they have when it is taken away.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::{ConfigMap, Secret, Service, ServiceAccount};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::Api;
use kube::api::DeleteParams;
use microservice_operator::api::Microservice;
use microservice_operator::engine::hash_key;
use serde_json::{Value, json};

use crate::steps::{
    PATIENCE, annotate, condition, config_hash, config_map, deployment, exists, generation, hash_other_than,
    secret, template, wait_replicas,
};
use crate::support::{Cluster, Namespace, Operator, OperatorOptions, eventually};

async fn ground(name: &str) -> (Namespace, Operator) {
    let cluster = Cluster::shared();
    let namespace = Namespace::new(cluster, name).await;
    let operator = Operator::start(cluster, OperatorOptions::namespace(namespace.name())).await;
    (namespace, operator)
}

/// Reads one key of everything, in every way that a pod can.
fn reader() -> Value {
    json!({
        "image": "web:v1",
        "env": [
            {"name": "A", "valueFrom": {"secretKeyRef": {"name": "env-secret", "key": "a"}}},
            {"name": "B", "valueFrom": {"configMapKeyRef": {"name": "env-config", "key": "a"}}},
        ],
        "envFrom": [{"secretRef": {"name": "from-secret"}}, {"configMapRef": {"name": "from-config"}}],
        "files": [
            {"mountPath": "/etc/one", "secret": {"secretName": "file-secret", "items": [{"key": "a", "path": "a"}]}},
            {"mountPath": "/etc/two", "configMap": {"name": "file-config"}},
            {"mountPath": "/etc/three", "projected": {"sources": [
                {"secret": {"name": "projected-secret", "items": [{"key": "a", "path": "a"}]}},
                {"configMap": {"name": "projected-config"}},
            ]}},
        ],
        "secrets": [{"name": "listed-secret", "env": [{"name": "C", "key": "a"}]}],
    })
}

const SECRETS: [&str; 5] = ["env-secret", "from-secret", "file-secret", "projected-secret", "listed-secret"];
const CONFIGS: [&str; 4] = ["env-config", "from-config", "file-config", "projected-config"];
/// Of these the pods read every key.
const WHOLE: [&str; 4] = ["from-secret", "from-config", "file-config", "projected-config"];

async fn write(namespace: &Namespace, name: &str, data: &[(&str, &str)]) {
    if SECRETS.contains(&name) {
        secret(namespace, name, data).await;
    } else {
        config_map(namespace, name, data).await;
    }
}

/// Waits until the newest version of an object has been read.
async fn wait_read(namespace: &Namespace, name: &str) {
    let version = if SECRETS.contains(&name) {
        namespace.get::<Secret>(name).await.metadata.resource_version
    } else {
        namespace.get::<ConfigMap>(name).await.metadata.resource_version
    };
    eventually(PATIENCE, &format!("{name} has been read as it is"), || async {
        let status = namespace.get::<Microservice>("web").await.status.unwrap_or_default();
        let read = status.references.into_iter().find(|reference| reference.name == name);
        let read = read.map(|reference| reference.resource_version);
        if read == version { Ok(()) } else { Err(format!("{read:?} of {version:?}")) }
    })
    .await;
}

#[tokio::test]
async fn pods_roll_exactly_when_the_data_that_they_read_changes() {
    let (namespace, _operator) = ground("references").await;
    for name in SECRETS.iter().chain(&CONFIGS) {
        write(&namespace, name, &[("a", "1"), ("b", "1")]).await;
    }
    namespace.microservice("web", reader()).await;
    namespace.wait_ready("web").await;
    let mut hash = config_hash(&namespace, "web").await;
    let mut rollouts = generation(&namespace, "web").await;

    for name in SECRETS.iter().chain(&CONFIGS) {
        // Labels, annotations, and a key that nobody reads: the change after them is the next rollout.
        let marks = json!({"metadata": {"labels": {"team": "a"}, "annotations": {"note": "b"}}});
        if SECRETS.contains(name) {
            namespace.patch::<Secret>(name, marks).await;
        } else {
            namespace.patch::<ConfigMap>(name, marks).await;
        }
        if !WHOLE.contains(name) {
            write(&namespace, name, &[("a", "1"), ("b", "2")]).await;
        }
        write(&namespace, name, &[("a", "2"), ("b", "2")]).await;
        hash = hash_other_than(&namespace, "web", &hash).await;
        wait_read(&namespace, name).await;
        let now = generation(&namespace, "web").await;
        assert_eq!(now, rollouts + 1, "rollouts by changes of {name}");
        rollouts = now;
    }
    namespace.wait_ready("web").await;
}

#[tokio::test]
async fn pods_wait_for_a_missing_secret_and_key_while_all_else_is_made() {
    let (namespace, _operator) = ground("references").await;
    let spec = json!({
        "image": "web:v1",
        "autoscaling": {"minReplicas": 2, "maxReplicas": 4},
        "secrets": [
            {"name": "db", "env": [{"name": "DATABASE_URL", "key": "url"}]},
            {"name": "extra", "optional": true, "env": [{"name": "EXTRA", "key": "token"}]},
        ],
    });
    namespace.microservice("web", spec).await;
    let waiting = namespace.wait_condition("web", "Reconciling", "True", Some("WaitingForSecret")).await;
    let (status, _, message) = condition(&waiting, "SecretsReady").unwrap();
    assert_eq!(status, "False");
    assert!(message.contains("Secret \"db\"") && !message.contains("extra"), "{message}");
    assert_eq!(condition(&waiting, "Stalled"), None, "it heals by itself");
    let held = waiting.status.unwrap_or_default().children;
    let held = held.iter().filter(|child| !child.ready).map(|child| child.kind.as_str()).collect::<Vec<_>>();
    assert_eq!(held, ["Deployment", "HorizontalPodAutoscaler", "PodDisruptionBudget"]);
    assert!(!exists::<Deployment>(&namespace, "web").await);
    assert!(!exists::<HorizontalPodAutoscaler>(&namespace, "web").await);
    assert!(!exists::<PodDisruptionBudget>(&namespace, "web").await);
    assert!(exists::<Service>(&namespace, "web").await);
    assert!(exists::<ServiceAccount>(&namespace, "web").await);

    secret(&namespace, "db", &[("password", "x")]).await;
    eventually(PATIENCE, "the status names the missing key", || async {
        let object = namespace.get::<Microservice>("web").await;
        let message = condition(&object, "SecretsReady").map(|c| c.2).unwrap_or_default();
        if message.contains("key \"url\" of Secret \"db\"") { Ok(()) } else { Err(message) }
    })
    .await;
    assert!(!exists::<Deployment>(&namespace, "web").await);

    let start = std::time::Instant::now();
    secret(&namespace, "db", &[("password", "x"), ("url", "y")]).await;
    eventually(PATIENCE, "the Deployment is made", || async {
        if exists::<Deployment>(&namespace, "web").await { Ok(()) } else { Err("not yet") }
    })
    .await;
    println!("made {:?} after the key appeared", start.elapsed());
    assert!(start.elapsed() < std::time::Duration::from_secs(20), "{:?}", start.elapsed());
    let ready = namespace.wait_ready("web").await;
    assert_eq!(condition(&ready, "SecretsReady").map(|c| c.0).as_deref(), Some("True"));
    assert!(exists::<HorizontalPodAutoscaler>(&namespace, "web").await);

    // What was optional is read when it comes.
    let hash = config_hash(&namespace, "web").await;
    secret(&namespace, "extra", &[("token", "t")]).await;
    hash_other_than(&namespace, "web", &hash).await;
}

#[tokio::test]
async fn a_new_missing_reference_leaves_running_pods_untouched() {
    let (namespace, _operator) = ground("references").await;
    namespace.microservice("web", json!({"image": "web:v1", "replicas": 2})).await;
    namespace.wait_ready("web").await;
    let before = deployment(&namespace, "web").await["spec"].clone();

    let env = json!([{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "late", "key": "a"}}}]);
    let spec = json!({"image": "web:v2", "replicas": 2, "port": 8080, "env": env});
    namespace.microservice("web", spec).await;
    let waiting = namespace.wait_condition("web", "Reconciling", "True", Some("WaitingForSecret")).await;
    let (_, _, message) = condition(&waiting, "SecretsReady").unwrap();
    assert!(message.contains("ConfigMap \"late\""), "{message}");
    assert_eq!(condition(&waiting, "Available").map(|c| c.0).as_deref(), Some("True"), "the old pods serve");
    assert_eq!(deployment(&namespace, "web").await["spec"], before);
    let port = namespace.get::<Service>("web").await.spec.and_then(|spec| spec.ports).unwrap_or_default();
    assert_eq!(port.first().map(|port| port.port), Some(8080), "all else is applied");

    config_map(&namespace, "late", &[("a", "1")]).await;
    namespace.wait_ready("web").await;
    assert_eq!(template(&namespace, "web").await["spec"]["containers"][0]["image"], "web:v2");
}

#[tokio::test]
async fn a_secret_that_was_read_and_is_taken_away_changes_no_pod() {
    let (namespace, mut operator) = ground("references").await;
    secret(&namespace, "db", &[("url", "1"), ("user", "u")]).await;
    let spec = |replicas: i32| {
        json!({"image": "web:v1", "replicas": replicas, "secrets": [{"name": "db", "env": [
            {"name": "URL", "key": "url"}, {"name": "USER_NAME", "key": "user"},
        ]}]})
    };
    namespace.microservice("web", spec(2)).await;
    namespace.wait_ready("web").await;
    let before = template(&namespace, "web").await;

    // A key goes, then the whole; scaling, repair and a restart of the operator go on.
    secret(&namespace, "db", &[("url", "1")]).await;
    namespace.microservice("web", spec(3)).await;
    wait_replicas(&namespace, "web", 3).await;
    assert_eq!(template(&namespace, "web").await, before, "a key is gone");
    namespace.delete::<Secret>("db").await;
    namespace.microservice("web", spec(4)).await;
    wait_replicas(&namespace, "web", 4).await;
    operator.kill().await;
    operator.restart().await;
    namespace.patch::<Deployment>("web", json!({"spec": {"replicas": 1}})).await;
    wait_replicas(&namespace, "web", 4).await;
    assert_eq!(template(&namespace, "web").await, before, "the Secret is gone");

    secret(&namespace, "db", &[("url", "1"), ("user", "u")]).await;
    namespace.microservice("web", spec(2)).await;
    wait_replicas(&namespace, "web", 2).await;
    namespace.wait_ready("web").await;
    assert_eq!(template(&namespace, "web").await, before, "it is back with the same data");

    // A key of it that was never there is another matter.
    let mut more = spec(2);
    more["secrets"][0]["env"].as_array_mut().unwrap().push(json!({"name": "MORE", "key": "more"}));
    namespace.microservice("web", more).await;
    let waiting = namespace.wait_condition("web", "Reconciling", "True", Some("WaitingForSecret")).await;
    let (_, _, message) = condition(&waiting, "SecretsReady").unwrap();
    assert!(message.contains("key \"more\" of Secret \"db\""), "{message}");
    assert_eq!(template(&namespace, "web").await, before, "running pods are untouched");
    namespace.microservice("web", spec(2)).await;
    namespace.wait_ready("web").await;
    assert_eq!(template(&namespace, "web").await, before, "taken back");

    let hash = config_hash(&namespace, "web").await;
    secret(&namespace, "db", &[("url", "2"), ("user", "u")]).await;
    hash_other_than(&namespace, "web", &hash).await;
}

#[tokio::test]
async fn neither_a_restart_nor_a_lost_hash_key_replaces_a_pod() {
    let (namespace, mut operator) = ground("references").await;
    let audit = Cluster::shared().audit().await;
    secret(&namespace, "db", &[("url", "1")]).await;
    let spec = |replicas: i32| {
        json!({"image": "web:v1", "replicas": replicas, "secrets": [
            {"name": "db", "env": [{"name": "URL", "key": "url"}]},
            {"name": "made", "generate": [{"key": "token"}], "env": [{"name": "TOKEN", "key": "token"}]},
        ]})
    };
    namespace.microservice("web", spec(2)).await;
    namespace.wait_ready("web").await;
    let before = template(&namespace, "web").await;
    let own = Api::<Secret>::namespaced(namespace.client(), operator.installation().namespace());
    let key = own.get(hash_key::SECRET_NAME).await.expect("the hash key is stored");

    operator.stop().await;
    let mark = audit.mark().await;
    operator.restart().await;
    secret(&namespace, "db", &[("url", "2")]).await;
    let rolled = hash_other_than(&namespace, "web", &config_hash_of(&before)).await;
    let same = own.get(hash_key::SECRET_NAME).await.expect("the hash key is stored");
    assert_eq!((same.metadata.uid, same.data), (key.metadata.uid, key.data), "the key is made once");
    let applies = audit.since(mark).await.of(&operator.user()).writes().resource("deployments");
    assert_eq!(applies.count(), 1, "the one change of data, nothing for the restart: {applies}");
    secret(&namespace, "db", &[("url", "1")]).await;
    hash_other_than(&namespace, "web", &rolled).await;
    assert_eq!(template(&namespace, "web").await, before, "the same data have the same hash");
    namespace.wait_ready("web").await;

    operator.stop().await;
    own.delete(hash_key::SECRET_NAME, &DeleteParams::default()).await.expect("the key can be deleted");
    operator.restart().await;
    namespace.microservice("web", spec(3)).await;
    wait_replicas(&namespace, "web", 3).await;
    namespace.wait_ready("web").await;
    assert_eq!(template(&namespace, "web").await, before, "scaling under a new key");
    secret(&namespace, "db", &[("url", "3")]).await;
    hash_other_than(&namespace, "web", &config_hash_of(&before)).await;
}

fn config_hash_of(template: &Value) -> String {
    let hash = template.pointer("/metadata/annotations/microservice.dev~1config-hash");
    hash.and_then(Value::as_str).expect("the template has a hash").to_owned()
}

#[tokio::test]
async fn large_binary_and_immutable_data_are_hashed_like_any_other() {
    let (namespace, _operator) = ground("references").await;
    // 1 MiB is what the API server takes, names included.
    let large = "A".repeat(1_390_000);
    let manifest = |immutable: bool| {
        json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "large"},
            "immutable": immutable, "data": {"blob": large, "binary": "AP/+gMD/"},
        })
    };
    namespace.apply(manifest(true)).await;
    let binary = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "binary"},
        "binaryData": {"blob": "AP/+gMD/"}, "data": {"text": "\u{0}\u{1F600}"},
    });
    namespace.apply(binary).await;
    let spec = json!({
        "image": "web:v1",
        "files": [
            {"mountPath": "/etc/large", "secret": {"secretName": "large"}},
            {"mountPath": "/etc/binary", "configMap": {"name": "binary"}},
        ],
    });
    namespace.microservice("web", spec).await;
    namespace.wait_ready("web").await;
    let hash = config_hash(&namespace, "web").await;
    // An immutable Secret changes by being made anew.
    namespace.delete::<Secret>("large").await;
    namespace.apply(manifest(false)).await;
    let change = json!({"data": {"binary": "AP/+gMD+"}});
    namespace.patch::<Secret>("large", change).await;
    let hash = hash_other_than(&namespace, "web", &hash).await;
    namespace.patch::<ConfigMap>("binary", json!({"binaryData": {"blob": "AP/+gMD+"}})).await;
    hash_other_than(&namespace, "web", &hash).await;
}

#[tokio::test]
async fn the_restart_annotation_rolls_the_pods_once() {
    let (namespace, _operator) = ground("references").await;
    namespace.microservice("web", json!({"image": "web:v1"})).await;
    namespace.wait_ready("web").await;
    let before = generation(&namespace, "web").await;
    for (count, word) in [(1, "now"), (2, "again")] {
        annotate(&namespace, "web", "microservice.dev/restart", word).await;
        eventually(PATIENCE, "the template carries the word", || async {
            let template = template(&namespace, "web").await;
            let found = template.pointer("/metadata/annotations/microservice.dev~1restart").cloned();
            if found == Some(json!(word)) { Ok(()) } else { Err(format!("{found:?}")) }
        })
        .await;
        assert_eq!(generation(&namespace, "web").await, before + count);
    }
    namespace.wait_ready("web").await;
}
