//! Network policies: what both sides grant is open and nothing else; what a line opens its removal closes.

use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Namespace as NamespaceObject;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams};
use microservice_operator::api::{Microservice, MicroserviceClass};
use serde_json::{Value, json};

use crate::support::{Cluster, Namespace, Operator, OperatorOptions, eventually};

/// Applies a class of the test's own.
async fn class(namespace: &Namespace, network: Value) -> String {
    let name = namespace.name().to_owned();
    let manifest = json!({
        "apiVersion": "microservice.dev/v1alpha1", "kind": "MicroserviceClass",
        "metadata": {"name": name}, "spec": {"network": network},
    });
    let classes: Api<MicroserviceClass> = Api::all(namespace.client());
    classes
        .patch(&name, &PatchParams::apply("test").force(), &Patch::Apply(manifest))
        .await
        .expect("a class is applied");
    name
}

async fn label(namespace: &Namespace, mode: Value) {
    let namespaces: Api<NamespaceObject> = Api::all(namespace.client());
    let patch = json!({"metadata": {"labels": {"microservice.dev/network-policy": mode}}});
    let patched = namespaces.patch(namespace.name(), &PatchParams::default(), &Patch::Merge(patch)).await;
    patched.expect("a namespace is labelled");
}

/// Names of the services in the rules of one direction; `None` = there is no policy.
async fn open(namespace: &Namespace, name: &str, direction: &str) -> Option<Vec<String>> {
    let policy = namespace.api::<NetworkPolicy>().get_opt(name).await.expect("policies can be read")?;
    let policy = serde_json::to_value(policy).expect("an object is JSON");
    let peers = if direction == "ingress" { "from" } else { "to" };
    let rules = policy["spec"][direction].as_array().cloned().unwrap_or_default();
    let peers = rules.iter().flat_map(|rule| rule[peers].as_array().cloned().unwrap_or_default());
    let named = peers.filter_map(|peer| {
        peer["podSelector"]["matchLabels"]["microservice.dev/name"].as_str().map(str::to_owned)
    });
    Some(named.collect())
}

async fn wait_open(namespace: &Namespace, name: &str, direction: &str, expected: Option<&[&str]>) {
    let expected = expected.map(|names| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
    eventually(Duration::from_secs(20), &format!("{direction} of {name} is {expected:?}"), || async {
        let found = open(namespace, name, direction).await;
        if found == expected { Ok(()) } else { Err(format!("{found:?}")) }
    })
    .await;
}

#[tokio::test]
async fn a_line_opens_the_path_and_its_removal_closes_it() {
    let cluster = Cluster::shared();
    let namespace = Namespace::new(cluster, "policies").await;
    let class = class(&namespace, json!({"mode": "Enforce", "enforcedBy": "a plugin"})).await;
    let _operator = Operator::start(cluster, OperatorOptions::namespace(namespace.name())).await;
    let callee = |callers: Value| json!({"image": "shop/stock:v1", "replicas": 0, "className": class, "callers": callers});
    let calling = json!({
        "image": "shop/orders:v1", "replicas": 0, "className": class, "calls": [
            {"name": "stock"},
            {"external": {"host": "api.payments.example", "ports": [443]}},
            {"external": {"cidr": "10.0.0.0/8", "ports": [443]}},
            {"external": {"cidr": "192.0.2.0/24", "ports": [5432]}},
            {"workload": {"namespace": "data", "podSelector": {"matchLabels": {"app": "redis"}}, "ports": [6379]}},
        ],
    });
    namespace.microservice("stock", callee(json!([]))).await;
    namespace.microservice("orders", calling).await;
    wait_open(&namespace, "stock", "ingress", Some(&[])).await;
    wait_open(&namespace, "orders", "egress", Some(&[])).await;

    let mut times = Vec::new();
    for _ in 0..5 {
        let begun = Instant::now();
        namespace.microservice("stock", callee(json!([{"name": "orders"}]))).await;
        wait_open(&namespace, "stock", "ingress", Some(&["orders"])).await;
        wait_open(&namespace, "orders", "egress", Some(&["stock"])).await;
        times.push(begun.elapsed());
        namespace.microservice("stock", callee(json!([]))).await;
        wait_open(&namespace, "stock", "ingress", Some(&[])).await;
        wait_open(&namespace, "orders", "egress", Some(&[])).await;
    }
    times.sort();
    println!("from the line of consent to both policies: {times:?}");
    assert!(times[0] < Duration::from_secs(1), "{times:?}");

    // The status comes after the policy.
    let told = eventually(Duration::from_secs(20), "what is cut is told", || async {
        let status = namespace.get::<Microservice>("orders").await.status.unwrap_or_default();
        let told = status.network.unwrap_or_default();
        let cut = told.cuts.iter().any(|cut| cut.contains("stock does not allow it"));
        if cut { Ok(told) } else { Err(format!("{told:?}")) }
    })
    .await;
    assert_eq!(
        (format!("{:?}", told.mode), told.enforced_by.as_deref()),
        ("Enforce".to_owned(), Some("a plugin"))
    );
    let cuts = told.cuts.join("\n");
    for cut in ["stock does not allow it", "api.payments.example", "10.0.0.0/8", "pods in data"] {
        assert!(cuts.contains(cut), "{cut} in {cuts}");
    }
    assert!(!cuts.contains("192.0.2.0/24"), "{cuts}");
    let policy = serde_json::to_string(&namespace.get::<NetworkPolicy>("orders").await.spec).unwrap();
    assert!(policy.contains("192.0.2.0/24") && !policy.contains("10.0.0.0/8"), "{policy}");
    namespace.delete::<Microservice>("orders").await;
    let classes: Api<MicroserviceClass> = Api::all(namespace.client());
    classes.delete(&class, &DeleteParams::default()).await.expect("a class is deleted");
}

#[tokio::test]
async fn a_plan_stores_nothing_and_tells_what_it_would_cut() {
    let cluster = Cluster::shared();
    let namespace = Namespace::new(cluster, "plan").await;
    let class = class(&namespace, json!({"mode": "Enforce"})).await;
    let _operator = Operator::start(cluster, OperatorOptions::namespace(namespace.name())).await;
    let spec = json!({
        "image": "shop/web:v1", "replicas": 0, "className": class,
        "env": [{"name": "STOCK", "value": "http://stock:3000/items"}], "calls": [{"name": "nobody"}],
    });
    namespace
        .microservice("stock", json!({"image": "shop/stock:v1", "replicas": 0, "className": class}))
        .await;
    namespace.microservice("web", spec).await;
    wait_open(&namespace, "web", "ingress", Some(&[])).await;

    label(&namespace, json!("Plan")).await;
    wait_open(&namespace, "web", "ingress", None).await;
    eventually(Duration::from_secs(20), "the plan is told", || async {
        let status = namespace.get::<Microservice>("web").await.status.unwrap_or_default();
        let told = status.network.unwrap_or_default();
        let expected = [format!("{}/stock", namespace.name())];
        let cut = told.cuts.iter().any(|cut| cut.contains("nobody is called and does not exist"));
        let planned = format!("{:?}", told.mode) == "Plan" && told.suspected == expected && cut;
        if planned { Ok(()) } else { Err(format!("{told:?}")) }
    })
    .await;

    label(&namespace, json!("Off")).await;
    eventually(Duration::from_secs(20), "nothing is told any more", || async {
        let status = namespace.get::<Microservice>("web").await.status.unwrap_or_default();
        if status.network.is_none() { Ok(()) } else { Err(format!("{:?}", status.network)) }
    })
    .await;
    label(&namespace, Value::Null).await;
    wait_open(&namespace, "web", "ingress", Some(&[])).await;
    let classes: Api<MicroserviceClass> = Api::all(namespace.client());
    classes.delete(&class, &DeleteParams::default()).await.expect("a class is deleted");
}
