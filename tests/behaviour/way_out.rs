//! The way out: what the operator made goes on without it as plain objects of Kubernetes.

use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::ListParams;
use serde_json::{Value, json};

use crate::children::{
    CONFIG_MAP, DEPLOYMENT, KINDS, SERVICE, content, fixed, scaled, wait_content, wait_quiet,
};
use crate::support::{Cluster, Kubectl, Namespace, Operator, OperatorOptions, eventually};

const TIMEOUT: Duration = Duration::from_secs(30);

/// Names and UIDs of the pods of a service that are not on their way out.
async fn pods_of(namespace: &Namespace, service: &str) -> Vec<(String, String)> {
    let ours = ListParams::default().labels(&format!("microservice.dev/name={service}"));
    let pods = namespace.api::<Pod>().list(&ours).await.expect("pods can be listed");
    let staying = pods.items.iter().filter(|pod| pod.metadata.deletion_timestamp.is_none());
    let mut pods: Vec<_> =
        staying.map(|pod| (pod.name_any(), pod.uid().expect("a stored pod has a UID"))).collect();
    pods.sort();
    pods
}

/// Waits until this many pods of the Deployment are available and no others are left.
async fn wait_pods(namespace: &Namespace, service: &str, count: i32) {
    eventually(TIMEOUT, &format!("{count} pods of {service} serve"), || async {
        let deployment = namespace.get::<Deployment>(service).await;
        let status = deployment.status.clone().unwrap_or_default();
        let seen = status.observed_generation == deployment.metadata.generation;
        let counts = (status.replicas, status.updated_replicas, status.available_replicas);
        let there = pods_of(namespace, service).await.len();
        let all = seen && counts == (Some(count), Some(count), Some(count));
        if all && usize::try_from(count) == Ok(there) {
            Ok(())
        } else {
            Err(format!("{counts:?}, {there} pods"))
        }
    })
    .await;
}

/// A child without the marks of its owner, for comparison.
fn plain(child: &Value) -> Value {
    let mut child = content(child, false);
    child["metadata"].as_object_mut().map(|metadata| metadata.remove("ownerReferences"));
    child
}

#[tokio::test]
async fn an_orphaned_service_goes_on_as_plain_objects_with_the_same_pods() {
    let cluster = Cluster::shared();
    let namespace = Namespace::new(cluster, "way-out").await;
    let kubectl = Kubectl::new(cluster, namespace.name());
    let operator = Operator::start(cluster, OperatorOptions::namespace(namespace.name())).await;
    namespace.microservice("web", scaled("web")).await;
    namespace.wait_ready("web").await;
    wait_pods(&namespace, "web", 2).await;
    let audit = cluster.audit().await;
    wait_quiet(&audit, &operator.user()).await;
    let pods_before = pods_of(&namespace, "web").await;
    let mut before = Vec::new();
    for kind in KINDS {
        before.push(kind.get(&namespace, "web").await);
    }

    let mark = audit.mark().await;
    kubectl.ok("delete msvc web --cascade=orphan --timeout=30s").await;
    for (kind, before) in KINDS.iter().zip(&before) {
        let after = kind.get(&namespace, "web").await;
        assert_eq!(after["metadata"]["ownerReferences"], Value::Null, "{} has an owner", kind.kind);
        assert_eq!(plain(&after), plain(before), "{} was changed", kind.kind);
    }
    assert_eq!(pods_of(&namespace, "web").await, pods_before, "the pods are the same");

    // It is operated by hand like anything else.
    kubectl.ok("delete hpa web").await;
    kubectl.ok("scale deployment web --replicas=3").await;
    wait_pods(&namespace, "web", 3).await;
    let more = pods_of(&namespace, "web").await;
    assert!(pods_before.iter().all(|pod| more.contains(pod)), "a scaled service loses no pod: {more:?}");
    kubectl.ok("set image deployment/web web=web:v2").await;
    kubectl.ok("rollout status deployment/web --timeout=30s").await;
    wait_pods(&namespace, "web", 3).await;

    wait_quiet(&audit, &operator.user()).await;
    let writes = audit.since(mark).await.of(&operator.user()).writes().namespace(namespace.name());
    assert_eq!(writes.count(), 0, "what was let go is left alone: {writes}");

    // Nor does a new object of the name take it over unasked.
    namespace.microservice("web", fixed("web", 3)).await;
    namespace.wait_condition("web", "Applied", "False", Some("Conflict")).await;
    let stored = DEPLOYMENT.get(&namespace, "web").await;
    assert_eq!(stored["metadata"]["ownerReferences"], Value::Null);
    assert_eq!(stored["spec"]["template"]["spec"]["containers"][0]["image"], "web:v2");
}

#[tokio::test]
async fn a_service_outlives_the_operator_and_rolls_not_when_it_comes_back() {
    let cluster = Cluster::shared();
    let namespace = Namespace::new(cluster, "absent").await;
    let kubectl = Kubectl::new(cluster, namespace.name());
    let mut operator = Operator::start(cluster, OperatorOptions::namespace(namespace.name())).await;
    namespace.microservice("web", fixed("web", 3)).await;
    namespace.microservice("auto", scaled("auto")).await;
    for name in ["web", "auto"] {
        namespace.wait_ready(name).await;
    }
    wait_pods(&namespace, "web", 3).await;
    let audit = cluster.audit().await;
    wait_quiet(&audit, &operator.user()).await;
    let (service, config) = (SERVICE.get(&namespace, "web").await, CONFIG_MAP.get(&namespace, "web").await);
    assert_eq!(operator.stop().await.0, Some(0));

    // A pod dies, somebody scales, somebody edits, somebody deletes.
    let victim = pods_of(&namespace, "web").await.remove(0);
    kubectl.ok(&format!("delete pod {} --wait=true", victim.0)).await;
    wait_pods(&namespace, "web", 3).await;
    kubectl.ok("scale deployment web --replicas=5").await;
    kubectl.ok("scale deployment auto --replicas=4").await;
    wait_pods(&namespace, "web", 5).await;
    wait_pods(&namespace, "auto", 4).await;
    let other_port = json!([{"op": "replace", "path": "/spec/ports/0/targetPort", "value": 9999}]);
    SERVICE.patch(&namespace, "web", "kubectl-edit", other_port).await;
    kubectl.ok("delete configmap web-config").await;
    assert!(!pods_of(&namespace, "web").await.contains(&victim));
    let running = [pods_of(&namespace, "web").await, pods_of(&namespace, "auto").await];

    let mark = audit.mark().await;
    operator.restart().await;
    wait_content(&namespace, &SERVICE, "web", &service, false).await;
    wait_content(&namespace, &CONFIG_MAP, "web", &config, true).await;
    wait_pods(&namespace, "web", 3).await;
    wait_quiet(&audit, &operator.user()).await;
    for (name, before, count) in [("web", &running[0], 3), ("auto", &running[1], 4)] {
        namespace.wait_ready(name).await;
        let after = pods_of(&namespace, name).await;
        assert_eq!(after.len(), count, "{after:?}");
        assert!(after.iter().all(|pod| before.contains(pod)), "{name} rolled: {before:?}, then {after:?}");
    }
    let writes = audit.since(mark).await.of(&operator.user()).writes().without("events");
    let children = writes.without("microservices/status").namespace(namespace.name());
    assert_eq!(children.count(), 3, "Service, ConfigMap and the count of pods: {children}");
}
