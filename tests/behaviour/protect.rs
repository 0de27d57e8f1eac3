//! A service that others call is deleted: both sides are told, and where the class wants it, the API server
//! refuses until it is confirmed. Classes and policies are cluster-wide, so this has a cluster of its own.

use std::sync::OnceLock;
use std::time::Duration;

use k8s_openapi::api::core::v1::Namespace as CoreNamespace;
use k8s_openapi::api::events::v1::Event;
use kube::Api;
use kube::api::DeleteParams;
use microservice_operator::api::{ANNOTATION_CONFIRM_DELETE_CALLED as CONFIRM, Microservice};
use serde_json::{Value, json};

use crate::steps::annotate;
use crate::support::{
    Cluster, Helm, Namespace, Operator, OperatorOptions, apply_as_given, documents, eventually,
};

const CHART: &str = "charts/microservice-operator";

fn cluster() -> &'static Cluster {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    CLUSTER.get_or_init(Cluster::own)
}

/// Installs the policy of the chart, and a class with the name of the namespace.
async fn protect(namespace: &Namespace) {
    let helm = Helm::new(cluster());
    let values = "--set protectCalled.enabled=true";
    let printed = helm.ok(&format!("template fleet {CHART} --namespace {} {values}", namespace.name())).await;
    let is_policy =
        |object: &&Value| object["kind"].as_str().is_some_and(|kind| kind.starts_with("Validating"));
    let objects = documents(&printed);
    let policies: Vec<&Value> = objects.iter().filter(is_policy).collect();
    assert_eq!(policies.len(), 2, "a policy and its binding");
    let class = json!({
        "apiVersion": "microservice.dev/v1alpha1", "kind": "MicroserviceClass",
        "metadata": {"name": namespace.name()}, "spec": {"protectCalled": true},
    });
    for object in policies.into_iter().chain([&class]) {
        apply_as_given(&namespace.client(), object).await;
    }
}

async fn callee(namespace: &Namespace) {
    let spec = json!({"className": namespace.name(), "image": "shop/inventory:v1", "replicas": 1});
    namespace.microservice("inventory", spec).await;
}

async fn caller(namespace: &Namespace, calls: Value) {
    let spec = json!({"image": "shop/orders:v1", "replicas": 1, "calls": calls});
    namespace.microservice("orders", spec).await;
}

/// Waits until so many are known to call.
async fn called(namespace: &Namespace, count: i32) {
    eventually(Duration::from_secs(20), &format!("{count} call it"), || async {
        let status = namespace.get::<Microservice>("inventory").await.status.unwrap_or_default();
        let known = status.called_by.as_ref().map_or(0, |called| called.count);
        if known == count { Ok(()) } else { Err(format!("{:?}", status.called_by)) }
    })
    .await;
}

/// What the API server says to a deletion that changes nothing; `None` = it would delete it.
async fn refusal(namespace: &Namespace) -> Option<(u16, String)> {
    let result =
        namespace.api::<Microservice>().delete("inventory", &DeleteParams::default().dry_run()).await;
    match result {
        Ok(_) => None,
        Err(kube::Error::Api(status)) => Some((status.code, status.message.clone())),
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test]
async fn a_service_that_others_call_is_deleted_once_that_is_confirmed() {
    let namespace = Namespace::new(cluster(), "protect").await;
    let name = namespace.name();
    let _operator = Operator::start(cluster(), OperatorOptions::namespace(name)).await;
    protect(&namespace).await;
    callee(&namespace).await;
    caller(&namespace, json!([{"name": "inventory"}])).await;
    called(&namespace, 1).await;

    // A policy needs a moment until it is in force.
    let (code, message) = eventually(Duration::from_secs(60), "the deletion is refused", || async {
        refusal(&namespace).await.ok_or("it would be deleted")
    })
    .await;
    assert_eq!(code, 403, "{message}");
    let told = format!("Microservice {name}/inventory is called by {name}/orders, and its class protects it");
    assert!(message.contains(&told), "{message}");
    let cure = format!("kubectl annotate microservice inventory -n {name} {CONFIRM}=true");
    assert!(message.contains(&cure), "{message}");
    let error = namespace.api::<Microservice>().delete("inventory", &DeleteParams::default()).await;
    error.expect_err("it is refused in earnest too");
    // Who calls is not protected by that.
    let orders = namespace.api::<Microservice>().delete("orders", &DeleteParams::default().dry_run()).await;
    orders.expect("nobody calls it");

    caller(&namespace, json!([])).await;
    called(&namespace, 0).await;
    assert_eq!(refusal(&namespace).await, None, "nobody calls it any more");

    caller(&namespace, json!([{"name": "inventory"}])).await;
    called(&namespace, 1).await;
    assert!(refusal(&namespace).await.is_some());
    annotate(&namespace, "inventory", CONFIRM, "yes").await;
    assert!(refusal(&namespace).await.is_some(), "only true confirms");
    annotate(&namespace, "inventory", CONFIRM, "true").await;
    namespace.delete::<Microservice>("inventory").await;
    let note = eventually(Duration::from_secs(20), "the Event of the deletion", || async {
        let events =
            namespace.api::<Event>().list(&Default::default()).await.map_err(|error| error.to_string())?;
        let told =
            events.items.into_iter().find(|event| event.reason.as_deref() == Some("DeletedWhileCalled"));
        let told = told.filter(|event| event.type_.as_deref() == Some("Warning"));
        told.and_then(|event| event.note).ok_or_else(|| "none yet".to_owned())
    })
    .await;
    assert!(note.contains(&format!("called by {name}/orders: ")), "{note}");
    namespace.wait_condition("orders", "DependenciesReady", "False", Some("MissingPeer")).await;
}

#[tokio::test]
async fn a_namespace_is_deleted_with_all_that_call_each_other() {
    let namespace = Namespace::new(cluster(), "protect-all").await;
    let _operator = Operator::start(cluster(), OperatorOptions::namespace(namespace.name())).await;
    protect(&namespace).await;
    callee(&namespace).await;
    caller(&namespace, json!([{"name": "inventory"}])).await;
    called(&namespace, 1).await;
    eventually(Duration::from_secs(60), "the deletion is refused", || async {
        refusal(&namespace).await.ok_or("it would be deleted")
    })
    .await;
    let namespaces = Api::<CoreNamespace>::all(namespace.client());
    namespaces
        .delete(namespace.name(), &DeleteParams::default())
        .await
        .expect("the namespace can be deleted");
    eventually(Duration::from_secs(60), "the namespace is gone", || async {
        match namespaces.get_opt(namespace.name()).await {
            Ok(None) => Ok(()),
            Ok(Some(left)) => Err(format!("{:?}", left.status)),
            Err(error) => Err(error.to_string()),
        }
    })
    .await;
}
