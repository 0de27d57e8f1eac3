//! What happens to the cluster around the operator: it stays up, and converges by itself. These tests
//! disturb a cluster of their own, one at a time.

use std::sync::OnceLock;
use std::time::Duration;

use k8s_openapi::api::core::v1::{ConfigMap, Service, ServiceAccount};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, DeleteParams, ListParams, PostParams};
use microservice_operator::api::Microservice;
use serde_json::{Value, json};
use tokio::sync::{Mutex, MutexGuard};

use super::quiet::settle;
use crate::support::{Cluster, Namespace, Operator, OperatorOptions, eventually, see_a_repair};

/// A secret value that no log may show.
pub const CANARY: &str = "canary-3f9a61";
const CRD: &str = "microservices.microservice.dev";

/// The cluster that the tests of this module disturb. It ends with the process.
async fn disturbed() -> (&'static Cluster, MutexGuard<'static, ()>) {
    static TURN: Mutex<()> = Mutex::const_new(());
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    let turn = TURN.lock().await;
    let cluster = CLUSTER.get_or_init(Cluster::own);
    cluster.revive(); // a test that failed may have left it broken
    (cluster, turn)
}

/// A spec that reads the Secret with the canary.
pub fn spec() -> Value {
    json!({
        "image": "shop/fault:v1", "replicas": 0, "config": {"LOG_LEVEL": "info"},
        "secrets": [{"name": "canary", "env": [{"name": "DATABASE_URL", "key": "url"}]}],
    })
}

/// A namespace with the Secret that [`spec`] reads.
pub async fn namespace(cluster: &'static Cluster, name: &str) -> Namespace {
    let namespace = Namespace::new(cluster, name).await;
    namespace
        .apply(json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "canary"},
            "stringData": {"url": CANARY, "more": CANARY},
        }))
        .await;
    namespace
}

/// It runs, has not panicked, and has told no secret.
pub fn assert_sound(operator: &mut Operator) {
    assert!(operator.is_running(), "the operator has ended");
    let log = operator.log();
    assert!(!log.contains("panicked"), "a panic");
    assert!(!log.contains(CANARY), "a secret value in the log");
}

/// Our own lines of the log at level ERROR.
pub fn errors(operator: &Operator) -> Vec<String> {
    let log = operator.log();
    let errors = log.lines().filter(|line| line.contains("\"level\":\"ERROR\""));
    errors.filter(|line| line.contains("\"target\":\"microservice_operator")).map(str::to_owned).collect()
}

async fn stop(mut operator: Operator) {
    assert_sound(&mut operator);
    let (code, took) = operator.stop().await;
    assert_eq!(code, Some(0), "exit code after SIGTERM");
    assert!(took < Duration::from_secs(5), "SIGTERM took {took:?}");
}

#[tokio::test]
async fn the_kind_is_deleted_and_comes_back() {
    let (cluster, _turn) = disturbed().await;
    let namespace = namespace(cluster, "kind").await;
    let operator = Operator::start(cluster, OperatorOptions::namespace(namespace.name())).await;
    namespace.microservice("before", spec()).await;
    namespace.wait_ready("before").await;

    let crds = Api::<CustomResourceDefinition>::all(namespace.client());
    let mut crd = crds.get(CRD).await.expect("the kind is installed");
    crds.delete(CRD, &DeleteParams::default()).await.expect("it can be deleted");
    eventually(Duration::from_secs(30), "the kind is gone", || async {
        match crds.get_opt(CRD).await {
            Ok(None) => Ok(()),
            other => Err(format!("{:?}", other.map(|crd| crd.map(|crd| crd.metadata.finalizers)))),
        }
    })
    .await;
    let labelled = ListParams::default().labels("microservice.dev/name");
    // The garbage collector looks for new kinds every 30 s.
    eventually(Duration::from_secs(75), "the children are collected", || async {
        let services = namespace.api::<Service>().list(&labelled).await.map_err(|e| e.to_string())?;
        if services.items.is_empty() { Ok(()) } else { Err(format!("{} Services", services.items.len())) }
    })
    .await;

    crd.metadata = kube::api::ObjectMeta { name: crd.metadata.name, ..Default::default() };
    crd.status = None;
    crds.create(&PostParams::default(), &crd).await.expect("the kind can be made again");
    eventually(Duration::from_secs(30), "the kind is served", || async {
        namespace.api::<Microservice>().list(&ListParams::default()).await.map(drop)
    })
    .await;
    for name in ["before", "after"] {
        eventually(Duration::from_secs(30), "the kind takes objects", || async {
            let manifest = json!({
                "apiVersion": "microservice.dev/v1alpha1", "kind": "Microservice",
                "metadata": {"name": name}, "spec": spec(),
            });
            namespace.try_apply(manifest).await.map(drop)
        })
        .await;
    }
    // The watch asks again after at most 30 s, and the wait itself ends after 30.
    eventually(Duration::from_secs(40), "the new objects are served", || async {
        let object = namespace.api::<Microservice>().get("after").await.map_err(|e| e.to_string())?;
        object
            .status
            .filter(|status| status.observed_generation == Some(1))
            .map(drop)
            .ok_or("no status".to_owned())
    })
    .await;
    for name in ["before", "after"] {
        namespace.wait_ready(name).await;
        see_a_repair(&namespace, name).await;
    }
    assert_eq!(errors(&operator), [""; 0]);
    stop(operator).await;
}

#[tokio::test]
async fn the_api_server_is_away_for_a_while() {
    let (cluster, _turn) = disturbed().await;
    let namespace = namespace(cluster, "away").await;
    let mut operator = Operator::start(cluster, OperatorOptions::namespace(namespace.name())).await;
    namespace.microservice("before", spec()).await;
    namespace.wait_ready("before").await;
    cluster.signal("kube-apiserver", "KILL");
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_sound(&mut operator);
    assert_eq!(
        operator.http("/livez").await.expect("it answers").0,
        200,
        "an outage is no reason to restart"
    );
    cluster.revive();
    namespace.microservice("after", spec()).await;
    namespace.delete::<Service>("before").await;
    for name in ["before", "after"] {
        namespace.wait_ready(name).await;
        see_a_repair(&namespace, name).await;
    }
    eventually(Duration::from_secs(30), "the deleted Service is back", || async {
        namespace.api::<Service>().get("before").await.map(drop)
    })
    .await;

    // A server that hangs is no different; the client's own time limits end the wait.
    cluster.signal("kube-apiserver", "STOP");
    tokio::time::sleep(Duration::from_secs(3)).await;
    cluster.signal("kube-apiserver", "CONT");
    see_a_repair(&namespace, "before").await;
    assert_eq!(errors(&operator), [""; 0]);
    stop(operator).await;
}

#[tokio::test]
async fn expired_watches_list_once_per_kind_and_see_deletions() {
    let (cluster, _turn) = disturbed().await;
    let namespace = namespace(cluster, "expired").await;
    let audit = cluster.audit().await;
    let operator = Operator::start(cluster, OperatorOptions::namespace(namespace.name())).await;
    for name in ["kept", "gone"] {
        namespace.microservice(name, spec()).await;
    }
    for name in ["kept", "gone"] {
        namespace.wait_ready(name).await;
    }
    settle(&audit, &operator.user()).await;

    // Stopped, it sees nothing of all this, and its watches are too old when it goes on.
    operator.signal("STOP");
    namespace.delete::<ConfigMap>("kept-config").await;
    namespace.delete::<Service>("kept").await;
    namespace.delete::<Microservice>("gone").await;
    namespace.apply(json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "other"}})).await;
    cluster.compact();
    cluster.restart("kube-apiserver");
    cluster.revive();
    let mark = audit.mark().await;
    operator.signal("CONT");
    eventually(Duration::from_secs(40), "deleted children are back", || async {
        namespace.api::<ConfigMap>().get("kept-config").await?;
        namespace.api::<Service>().get("kept").await.map(drop)
    })
    .await;
    see_a_repair(&namespace, "kept").await;
    eventually(Duration::from_secs(30), "the deleted Microservice is forgotten", || async {
        let known = operator.metric("microservice_operator_objects{").await;
        let known = known.map_err(|error| error.to_string())?;
        if known == 1 { Ok(()) } else { Err(format!("it knows {known}")) }
    })
    .await;

    let seen = audit.since(mark).await.of(&operator.user());
    let lists = seen.only(|request| request.verb == "list" && request.code == 200);
    let mut kinds: Vec<&str> = lists.0.iter().map(|request| request.resource.as_str()).collect();
    let count = kinds.len();
    kinds.sort_unstable();
    kinds.dedup();
    println!("{count} lists of {} kinds after expired watches", kinds.len());
    assert!(kinds.len() >= 8, "the watches had not expired\n{lists}");
    assert_eq!(kinds.len(), count, "a kind was listed twice\n{lists}");
    stop(operator).await;
}

#[tokio::test]
async fn an_object_that_cannot_be_decoded_is_named_and_slows_nobody() {
    let (cluster, _turn) = disturbed().await;
    let namespace = namespace(cluster, "poison").await;
    let operator = Operator::start(cluster, OperatorOptions::namespace(namespace.name())).await;
    namespace.microservice("turned", spec()).await;
    namespace.wait_ready("turned").await;

    // A server with an older, looser schema stored these.
    let crds = Api::<CustomResourceDefinition>::all(namespace.client());
    let strict = crds.get(CRD).await.expect("the kind is installed").spec;
    let mut loose = strict.clone();
    loose.versions[0].schema = serde_json::from_value(json!({
        "openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
    }))
    .expect("a schema");
    replace_spec(&crds, loose).await;
    let mut broken = spec();
    broken["port"] = json!("three thousand");
    eventually(Duration::from_secs(30), "the looser schema is in force", || async {
        for name in ["born", "turned"] {
            let manifest = json!({
                "apiVersion": "microservice.dev/v1alpha1", "kind": "Microservice",
                "metadata": {"name": name}, "spec": broken,
            });
            namespace.try_apply(manifest).await?;
        }
        Ok::<_, kube::Error>(())
    })
    .await;
    replace_spec(&crds, strict).await;
    eventually(Duration::from_secs(40), "it says which ones it cannot read", || async {
        let errors = errors(&operator).join("\n");
        let named = |name: &str| errors.contains(&format!("\"microservice\":\"{name}\""));
        if named("born") && named("turned") { Ok(()) } else { Err(errors) }
    })
    .await;

    for name in ["good-1", "good-2"] {
        eventually(Duration::from_secs(30), "the strict schema is in force", || async {
            let manifest = json!({
                "apiVersion": "microservice.dev/v1alpha1", "kind": "Microservice",
                "metadata": {"name": name}, "spec": spec(),
            });
            namespace.try_apply(manifest).await.map(drop)
        })
        .await;
        namespace.wait_ready(name).await;
        see_a_repair(&namespace, name).await;
    }
    // Left alone: its children stay, and nobody works from the spec it had before.
    namespace.api::<Service>().get("turned").await.expect("the Service stays");
    namespace.patch::<Service>("turned", json!({"metadata": {"labels": {"app": "other"}}})).await;
    see_a_repair(&namespace, "good-1").await;
    let service = namespace.get::<Service>("turned").await;
    assert_eq!(service.metadata.labels.unwrap_or_default()["app"], "other", "no work from an old spec");

    for name in ["born", "turned"] {
        // An apply cannot read the stored object either; a merge patch need not.
        namespace.patch::<Microservice>(name, json!({"spec": {"port": null}})).await;
        namespace.wait_ready(name).await;
    }
    see_a_repair(&namespace, "turned").await;
    stop(operator).await;
}

async fn replace_spec(
    crds: &Api<CustomResourceDefinition>,
    spec: k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinitionSpec,
) {
    eventually(Duration::from_secs(10), "the kind is changed", || async {
        let mut crd = crds.get(CRD).await?;
        crd.spec = spec.clone();
        crds.replace(CRD, &PostParams::default(), &crd).await.map(drop)
    })
    .await;
}

#[tokio::test]
async fn a_revoked_token_is_replaced_by_the_new_one() {
    let cluster = Cluster::shared();
    let namespace = namespace(cluster, "token").await;
    let operator = Operator::start(cluster, OperatorOptions::namespace(namespace.name())).await;
    namespace.microservice("before", spec()).await;
    namespace.wait_ready("before").await;
    let audit = cluster.audit().await;
    let old = operator.installation().credential().await;
    operator.installation().revoke_tokens().await;
    operator.installation().rotate_token(Duration::from_secs(600)).await;
    let new = operator.installation().credential().await;
    let mark = audit.mark().await;
    namespace.microservice("after", spec()).await;
    // The token file is read once a minute.
    eventually(Duration::from_secs(120), "the operator uses the new token", || async {
        let object = namespace.api::<Microservice>().get("after").await.map_err(|e| e.to_string())?;
        let status = object.status.unwrap_or_default();
        let applied = status.conditions.iter().any(|c| c.type_ == "Applied" && c.status == "True");
        if applied { Ok(()) } else { Err(format!("{:?}", status.conditions)) }
    })
    .await;
    namespace.wait_ready("after").await;
    see_a_repair(&namespace, "before").await;
    let seen = audit.since(mark).await;
    assert_eq!(seen.with(&old).writes().count(), 0, "the old token worked\n{}", seen.with(&old));
    assert!(seen.with(&new).writes().count() > 0, "the new token was not used");
    let accounts = namespace.api::<ServiceAccount>();
    accounts.get("after").await.expect("the children are there");
    assert_eq!(errors(&operator), [""; 0]);
    stop(operator).await;
}
