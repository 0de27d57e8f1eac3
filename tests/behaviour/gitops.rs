//! What pipelines rely on: `spec` belongs to whoever applies it, and the operator never writes it.

mod examples;

use microservice_operator::api::Microservice;
use serde_json::{Value, json};

use crate::children::{DEPLOYMENT, fixed, merge, scaled, wait_quiet};
use crate::support::{Cluster, MANAGER, Namespace, Operator, OperatorOptions, manifests};

/// The verbs that `rbac` grants on a resource of our own group.
fn granted(resource: &str) -> Vec<String> {
    let mut verbs = Vec::new();
    for manifest in manifests(&["rbac"]) {
        for rule in manifest["rules"].as_array().into_iter().flatten() {
            let lists = |field: &str, word: &str| {
                rule[field].as_array().into_iter().flatten().any(|item| item == word || item == "*")
            };
            if lists("apiGroups", "microservice.dev") && lists("resources", resource) {
                verbs.extend(rule["verbs"].as_array().into_iter().flatten().map(ToString::to_string));
            }
        }
    }
    verbs.sort();
    verbs
}

#[test]
fn there_is_no_right_to_write_more_of_our_kinds_than_their_status() {
    for kind in ["microservices", "microserviceclasses"] {
        assert_eq!(granted(kind), ["\"list\"", "\"watch\""], "{kind}");
        assert_eq!(granted(&format!("{kind}/status")), ["\"patch\""], "{kind}/status");
    }
}

/// Who owns fields of the object, and through which subresource.
fn managers(object: &Microservice) -> Vec<(String, String)> {
    let entries = object.metadata.managed_fields.clone().unwrap_or_default();
    let owner = |field: Option<String>| field.unwrap_or_default();
    entries.into_iter().map(|entry| (owner(entry.manager), owner(entry.subresource))).collect()
}

#[tokio::test]
async fn spec_and_metadata_are_never_written_by_the_operator() {
    let cluster = Cluster::shared();
    let namespace = Namespace::new(cluster, "spec").await;
    let audit = cluster.audit().await;
    let mark = audit.mark().await;
    let operator = Operator::start(cluster, OperatorOptions::namespace(namespace.name())).await;

    // A life with everything that could tempt: defaults, generated values, scaling, a crash,
    // suspension, drift.
    let mut edits = 0;
    let mut spec = fixed("web", 2);
    for change in [
        json!({}),
        json!({"image": "web:v2"}),
        json!({"replicas": null, "autoscaling": scaled("web")["autoscaling"]}),
        json!({"image": "web:v3-crash"}),
        json!({"image": "web:v3", "env": [{"name": "MODE", "value": "off"}]}),
        json!({"suspend": true}),
        json!({"suspend": null, "autoscaling": null, "replicas": 0}),
        json!({"replicas": 1}),
    ] {
        merge(&mut spec, change.clone());
        namespace.microservice("web", spec.clone()).await;
        edits += 1;
        let broken = change["image"] == "web:v3-crash";
        let (status, reason) = if broken { ("False", Some("CrashLooping")) } else { ("True", None) };
        let object = namespace.wait_condition("web", "Ready", status, reason).await;
        assert_eq!(object.metadata.generation, Some(edits), "a generation that nobody asked for");
    }
    DEPLOYMENT.patch(&namespace, "web", "kubectl-edit", json!({"spec": {"replicas": 3}})).await;
    wait_quiet(&audit, &operator.user()).await;

    let object = namespace.get::<Microservice>("web").await;
    assert_eq!(object.metadata.generation, Some(edits));
    for (manager, subresource) in managers(&object) {
        let allowed = if manager == MANAGER { "" } else { "status" };
        assert_eq!(subresource, allowed, "{manager} owns fields");
    }
    assert_eq!(object.metadata.finalizers, None, "deletion needs no operator");
    let stored: Value = serde_json::to_value(&object.spec).expect("a spec is JSON");
    assert_eq!(stored["replicas"], 1);
    let writes = audit.since(mark).await.of(&operator.user()).writes();
    let status = writes.resource("microservices/status");
    assert!(status.count() > 0, "the operator did nothing: {writes}");
    let others =
        writes.only(|r| r.resource.starts_with("microservices") && r.resource != "microservices/status");
    assert_eq!(others.count(), 0, "{others}");
}
