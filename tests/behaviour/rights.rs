//! The rights that `rbac` prints: enough for everything the operator does, hardly more, and nothing
//! beyond the namespaces it was installed for.

use std::collections::BTreeSet;
use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::{ConfigMap, Secret, Service, ServiceAccount};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, PostParams};
use microservice_operator::api::{Microservice, MicroserviceClass};
use serde_json::{Value, json};

use crate::support::{Cluster, Namespace, Operator, OperatorOptions, Request, always, eventually, manifests};

/// Namespace-qualified or not: (group, resource, verb).
type Right = (String, String, String);

/// Granted, and not seen in the life below.
const UNUSED: [(&str, &str, &str); 26] = [
    // An apply that makes an object needs them; the audit log calls the request a patch. Secrets are
    // not among them, since the hash key is created in the plain way.
    ("", "configmaps", "create"),
    ("", "serviceaccounts", "create"),
    ("", "services", "create"),
    ("apps", "deployments", "create"),
    ("autoscaling", "horizontalpodautoscalers", "create"),
    ("policy", "poddisruptionbudgets", "create"),
    // Every service has a Deployment, which ends with it; the table grants all kinds alike.
    ("apps", "deployments", "delete"),
    // Asked for only while a Kafka user is to go, which has tests of its own.
    ("apps", "replicasets", "list"),
    // Read only when an apply or a deletion of it is refused.
    ("", "serviceaccounts", "get"),
    // Admission asks for it where OwnerReferencesPermissionEnforcement runs, as it does here.
    ("microservice.dev", "microservices/finalizers", "update"),
    // Used where a class enforces network policies, as in their tests.
    ("networking.k8s.io", "networkpolicies", "get"),
    ("networking.k8s.io", "networkpolicies", "create"),
    ("networking.k8s.io", "networkpolicies", "patch"),
    ("networking.k8s.io", "networkpolicies", "delete"),
    // Used where the cluster serves KEDA's API, as in the tests of scaling by lag.
    ("keda.sh", "scaledobjects", "get"),
    ("keda.sh", "scaledobjects", "list"),
    ("keda.sh", "scaledobjects", "watch"),
    ("keda.sh", "scaledobjects", "create"),
    ("keda.sh", "scaledobjects", "patch"),
    ("keda.sh", "scaledobjects", "delete"),
    ("keda.sh", "triggerauthentications", "get"),
    ("keda.sh", "triggerauthentications", "list"),
    ("keda.sh", "triggerauthentications", "watch"),
    ("keda.sh", "triggerauthentications", "create"),
    ("keda.sh", "triggerauthentications", "patch"),
    ("keda.sh", "triggerauthentications", "delete"),
];

#[tokio::test]
async fn the_rights_suffice_and_none_is_without_use() {
    let cluster = Cluster::shared();
    let namespace = Namespace::new(cluster, "rights").await;
    let mark = cluster.audit().await.mark().await;
    let mut options = OperatorOptions::namespace(namespace.name());
    options.leader_elect = true;
    let mut operator = Operator::start(cluster, options).await;
    whole_life(&namespace).await;
    operator.stop().await;

    let requests = cluster.audit().await.since(mark).await.of(&operator.user());
    let refused = requests.only(|request| matches!(request.code, 401 | 403));
    assert_eq!(refused.count(), 0, "the rights do not suffice: {refused}");

    let own = operator.installation().namespace();
    let granted = granted(own, namespace.name());
    let used: BTreeSet<Right> = requests.0.iter().filter_map(right).collect();
    let unused: Vec<&Right> = granted.difference(&used).collect();
    for (group, resource, verb) in &unused {
        println!("granted and not used in this life: {verb} {resource} of {group:?}");
    }
    let unexplained: Vec<_> =
        unused.iter().filter(|(g, r, v)| !UNUSED.contains(&(g.as_str(), r.as_str(), v.as_str()))).collect();
    assert!(unexplained.is_empty(), "granted for nothing: {unexplained:?}");
}

/// Every child kind made, repaired and removed; references that are missing; pods that fail.
async fn whole_life(namespace: &Namespace) {
    let full = json!({
        "image": "web:v1",
        "autoscaling": {"minReplicas": 2, "maxReplicas": 4},
        "config": {"LEVEL": "info"},
        "envFrom": [{"configMapRef": {"name": "settings"}}],
        "secrets": [
            {"name": "web-keys", "generate": [{"key": "signing"}], "env": [{"name": "KEY", "key": "signing"}]},
            {"name": "database", "env": [{"name": "URL", "key": "url"}]},
        ],
    });
    namespace.microservice("web", full).await;
    namespace.wait_condition("web", "Ready", "False", Some("WaitingForSecret")).await;
    for (kind, name, data) in [("Secret", "database", "stringData"), ("ConfigMap", "settings", "data")] {
        let object =
            json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": name}, data: {"url": "x"}});
        namespace.apply(object).await;
    }
    namespace.wait_ready("web").await;

    // Drift that a forced apply alone cannot undo, and drift that it can.
    let uid = namespace.get::<Service>("web").await.uid();
    namespace.delete::<Service>("web").await;
    let other = json!({"spec": {"maxUnavailable": null, "minAvailable": 1}});
    namespace.patch::<PodDisruptionBudget>("web", other).await;
    eventually(Duration::from_secs(20), "drift is repaired", || async {
        let service = namespace.api::<Service>().get_opt("web").await.map_err(|error| error.to_string())?;
        let budget = namespace.get::<PodDisruptionBudget>("web").await.spec.unwrap_or_default();
        let back = service.is_some_and(|service| service.uid() != uid) && budget.min_available.is_none();
        if back { Ok(()) } else { Err(format!("{budget:?}")) }
    })
    .await;

    // Every section left: what belongs to it goes.
    let small = json!({"spec": {
        "autoscaling": null, "config": null, "envFrom": null, "secrets": null, "replicas": 1,
        "ports": [], "health": {"type": "None"},
    }});
    namespace.patch::<Microservice>("web", small).await;
    namespace.wait_ready("web").await;
    eventually(Duration::from_secs(20), "what is not wanted is gone", || async {
        let mut left = Vec::new();
        left.extend(namespace.api::<Service>().get_opt("web").await.unwrap().map(|_| "Service"));
        left.extend(namespace.api::<ConfigMap>().get_opt("web-config").await.unwrap().map(|_| "ConfigMap"));
        left.extend(namespace.api::<HorizontalPodAutoscaler>().get_opt("web").await.unwrap().map(|_| "HPA"));
        left.extend(namespace.api::<PodDisruptionBudget>().get_opt("web").await.unwrap().map(|_| "PDB"));
        left.extend(namespace.api::<Secret>().get_opt("web-keys").await.unwrap().map(|_| "Secret"));
        if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) }
    })
    .await;

    // From a fixed number of pods to an autoscaler, and to an account that others share.
    let classes = Api::<MicroserviceClass>::all(namespace.client());
    let class = format!("accounts-{}", namespace.name());
    let guardrails = json!({"allowedServiceAccounts": ["default"]});
    let class = json!({"metadata": {"name": class}, "spec": {"guardrails": guardrails}});
    let class: MicroserviceClass = serde_json::from_value(class).unwrap();
    classes.create(&PostParams::default(), &class).await.unwrap();
    let change = json!({"spec": {
        "replicas": null, "autoscaling": {"maxReplicas": 4}, "className": class.name_any(),
        "serviceAccount": {"name": "default"},
    }});
    namespace.patch::<Microservice>("web", change).await;
    namespace.wait_ready("web").await;
    eventually(Duration::from_secs(20), "its own account is gone", || async {
        let account = namespace.api::<ServiceAccount>().get_opt("web").await.unwrap();
        if account.is_none() { Ok(()) } else { Err("it is there") }
    })
    .await;

    namespace.microservice("sick", json!({"image": "web:v1-nohealth", "replicas": 1})).await;
    namespace.wait_condition("sick", "Ready", "False", Some("ProbeFailing")).await;
    namespace.delete::<Microservice>("sick").await;
    classes.delete(&class.name_any(), &DeleteParams::default()).await.unwrap();
}

/// What the roles of one installation grant.
fn granted(own: &str, watched: &str) -> BTreeSet<Right> {
    let printed = manifests(&["rbac", "--namespace", own, "--namespaced", watched]);
    let rules = printed.iter().flat_map(|manifest| manifest["rules"].as_array().cloned().unwrap_or_default());
    let mut granted = BTreeSet::new();
    for rule in rules {
        for group in texts(&rule["apiGroups"]) {
            for resource in texts(&rule["resources"]) {
                for verb in texts(&rule["verbs"]) {
                    granted.insert((group.clone(), resource.clone(), verb));
                }
            }
        }
    }
    granted
}

/// The right that a request needed; none when it is for no resource.
fn right(request: &Request) -> Option<Right> {
    let mut parts = request.uri.split(['/', '?']).skip(1);
    let group = match parts.next()? {
        "apis" => parts.next()?,
        _ => "",
    };
    (!request.resource.is_empty()).then(|| (group.to_owned(), request.resource.clone(), request.verb.clone()))
}

fn texts(list: &Value) -> Vec<String> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

#[tokio::test]
async fn an_operator_of_one_namespace_does_not_see_another() {
    let cluster = Cluster::shared();
    let namespace = Namespace::new(cluster, "inside").await;
    let outside = Namespace::new(cluster, "outside").await;
    let mark = cluster.audit().await.mark().await;
    let operator = Operator::start(cluster, OperatorOptions::namespace(namespace.name())).await;
    outside.microservice("web", json!({"image": "web:v1", "replicas": 1})).await;
    namespace.microservice("web", json!({"image": "web:v1", "replicas": 1})).await;
    namespace.wait_ready("web").await;
    always(Duration::from_secs(1), "nobody looks after the other", || async {
        let status = outside.get::<Microservice>("web").await.status;
        let seen = status.and_then(|status| status.observed_generation);
        if seen == Some(-1) { Ok(()) } else { Err(format!("observed {seen:?}")) }
    })
    .await;
    assert!(outside.api::<Deployment>().get_opt("web").await.unwrap().is_none());
    let requests = cluster.audit().await.since(mark).await.of(&operator.user());
    let strange = requests.only(|request| {
        let places = ["", namespace.name(), operator.installation().namespace()];
        !places.contains(&request.namespace.as_str()) || request.code == 403
    });
    assert_eq!(strange.count(), 0, "{strange}");
    // Not by restraint but for want of rights: a whole kind cannot be read.
    let clusterwide = requests.only(|request| {
        request.namespace.is_empty()
            && !["microserviceclasses", "namespaces", ""].contains(&request.resource.as_str())
    });
    assert_eq!(clusterwide.count(), 0, "{clusterwide}");
}
