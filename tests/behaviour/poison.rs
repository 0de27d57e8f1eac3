//! One object that fails, floods or disappears does not slow the others down, and fills no log.

use std::time::{Duration, Instant};

use futures::{StreamExt, stream};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace as CoreNamespace, Service};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::rbac::v1::ClusterRole;
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams};
use kube::core::DynamicObject;
use microservice_operator::api::Microservice;
use serde_json::{Value, json};

use super::faults::{assert_sound, errors, namespace, spec};
use super::quiet::settle;
use crate::support::{
    Cluster, Namespace, Operator, OperatorOptions, always, eventually, see_a_repair, wait_allowed,
};

/// Applies one good object after the other and returns the longest time until one was Ready.
async fn serve(namespace: &Namespace, count: usize) -> Duration {
    let mut longest = Duration::ZERO;
    for number in 0..count {
        let name = format!("good-{number}");
        let start = Instant::now();
        namespace.microservice(&name, spec()).await;
        namespace.wait_ready(&name).await;
        longest = longest.max(start.elapsed());
    }
    longest
}

async fn apply_cluster_wide(namespace: &Namespace, manifest: Value) -> DynamicObject {
    crate::support::apply_as_given(&namespace.client(), &manifest).await
}

#[tokio::test]
async fn an_object_whose_child_is_always_rejected_backs_off_alone_and_heals() {
    let cluster = Cluster::shared();
    let namespace = namespace(cluster, "rejected").await;
    let audit = cluster.audit().await;
    let mut operator = Operator::start(cluster, OperatorOptions::namespace(namespace.name())).await;
    let policy = format!("deny.{}", namespace.name());
    apply_cluster_wide(&namespace, json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": policy},
        "spec": {
            "failurePolicy": "Fail",
            "matchConstraints": {
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace.name()}},
                "resourceRules": [{
                    "apiGroups": [""], "apiVersions": ["v1"], "resources": ["services"],
                    "operations": ["CREATE"],
                }],
            },
            "validations": [{"expression": "object.metadata.name != 'poison'", "message": "no poison here"}],
        },
    }))
    .await;
    apply_cluster_wide(
        &namespace,
        json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding",
            "metadata": {"name": policy},
            "spec": {"policyName": policy, "validationActions": ["Deny"]},
        }),
    )
    .await;
    let probe = Service {
        metadata: kube::api::ObjectMeta { name: Some("poison".to_owned()), ..Default::default() },
        spec: serde_json::from_value(json!({"ports": [{"port": 80}]})).ok(),
        ..Service::default()
    };
    let dry = PostParams { dry_run: true, ..PostParams::default() };
    eventually(Duration::from_secs(30), "the policy is in force", || async {
        match namespace.api::<Service>().create(&dry, &probe).await {
            Err(error) if error.to_string().contains("no poison here") => Ok(()),
            other => Err(format!("{:?}", other.map(drop))),
        }
    })
    .await;

    let mark = audit.mark().await;
    namespace.microservice("poison", spec()).await;
    let object = namespace.wait_condition("poison", "Applied", "False", Some("Rejected")).await;
    let condition = object.status.unwrap_or_default().conditions.into_iter().find(|c| c.type_ == "Applied");
    let message = condition.map(|condition| condition.message).unwrap_or_default();
    assert!(message.contains("Service") && message.contains("no poison here"), "{message}");
    let longest = serve(&namespace, 5).await;
    println!("beside a rejected object, the slowest of 5 was Ready in {longest:?}");
    assert!(longest < Duration::from_secs(20), "{longest:?}");
    // The rest of the plan went out.
    namespace.get::<Deployment>("poison").await;
    let attempts = audit.since(mark).await.of(&operator.user()).writes().resource("services");
    let attempts = attempts.only(|request| request.name == "poison");
    assert!((1..=3).contains(&attempts.count()), "{attempts}");
    assert_eq!(errors(&operator), [""; 0], "what a condition tells is no ERROR");

    let delete = DeleteParams::default();
    for kind in ["ValidatingAdmissionPolicyBinding", "ValidatingAdmissionPolicy"] {
        let kind = kube::core::GroupVersionKind::gvk("admissionregistration.k8s.io", "v1", kind);
        let resource = kube::api::ApiResource::from_gvk(&kind);
        let api = Api::<DynamicObject>::all_with(namespace.client(), &resource);
        api.delete(&policy, &delete).await.expect("the policy can be deleted");
    }
    // Nobody touches it again: the second or third attempt, after 15 to 60 s, succeeds.
    eventually(Duration::from_secs(75), "the rejected object heals by itself", || async {
        namespace.api::<Service>().get("poison").await.map(drop)
    })
    .await;
    namespace.wait_ready("poison").await;
    assert_sound(&mut operator);
}

#[tokio::test]
async fn a_missing_right_is_told_and_heals_when_it_is_back() {
    let cluster = Cluster::shared();
    let namespace = namespace(cluster, "right").await;
    let mut operator = Operator::start(cluster, OperatorOptions::namespace(namespace.name())).await;
    let roles = Rights::find(&namespace, &operator).await;
    roles.without("services").await;
    let patch = json!({"namespace": namespace.name(), "resource": "services", "verb": "patch"});
    wait_allowed(&namespace.client(), &operator.user(), patch, false).await;

    namespace.microservice("barred", spec()).await;
    let object = namespace.wait_condition("barred", "Applied", "False", Some("Forbidden")).await;
    let text = format!("{:?}", object.status.unwrap_or_default().conditions);
    assert!(text.contains("services"), "the condition names what may not be written: {text}");
    namespace.get::<Deployment>("barred").await;
    let mut worker = spec();
    worker["ports"] = json!([]);
    worker["health"] = json!({"type": "None"});
    namespace.microservice("worker", worker).await;
    namespace.wait_ready("worker").await;
    assert_eq!(errors(&operator), [""; 0], "what a condition tells is no ERROR");

    roles.restore().await;
    eventually(Duration::from_secs(75), "the barred object heals by itself", || async {
        namespace.api::<Service>().get("barred").await.map(drop)
    })
    .await;
    namespace.wait_ready("barred").await;
    see_a_repair(&namespace, "barred").await;
    assert_sound(&mut operator);
}

#[tokio::test]
async fn no_pod_starts_without_the_policy_that_shuts_it_off() {
    let cluster = Cluster::shared();
    let namespace = namespace(cluster, "open").await;
    let label = json!({"metadata": {"labels": {"microservice.dev/network-policy": "Enforce"}}});
    let namespaces = Api::<CoreNamespace>::all(namespace.client());
    let labelled = namespaces.patch(namespace.name(), &PatchParams::default(), &Patch::Merge(label)).await;
    labelled.expect("a namespace is labelled");
    let mut operator = Operator::start(cluster, OperatorOptions::namespace(namespace.name())).await;
    let roles = Rights::find(&namespace, &operator).await;
    roles.without("networkpolicies").await;
    let patch = json!({
        "namespace": namespace.name(), "group": "networking.k8s.io", "resource": "networkpolicies", "verb": "patch",
    });
    wait_allowed(&namespace.client(), &operator.user(), patch, false).await;

    namespace.microservice("exposed", spec()).await;
    namespace.wait_condition("exposed", "Applied", "False", Some("Forbidden")).await;
    namespace.get::<Service>("exposed").await;
    let pods = namespace.api::<Deployment>().get_opt("exposed").await.expect("Deployments can be read");
    assert!(pods.is_none(), "the pods would have started without their policy: {pods:?}");

    roles.restore().await;
    eventually(Duration::from_secs(75), "the pods start when the policy stands", || async {
        namespace.api::<Deployment>().get("exposed").await.map(drop)
    })
    .await;
    namespace.get::<NetworkPolicy>("exposed").await;
    namespace.wait_ready("exposed").await;
    assert_sound(&mut operator);
}

/// All roles of an operator in the test's namespace and in the cluster, as they are to be restored.
struct Rights {
    namespace: kube::Client,
    objects: Vec<Value>,
}

impl Rights {
    async fn find(namespace: &Namespace, operator: &Operator) -> Self {
        let own = operator.installation().namespace().to_owned();
        let mut objects = Vec::new();
        let cluster = Api::<ClusterRole>::all(namespace.client());
        for role in cluster.list(&Default::default()).await.expect("roles can be listed") {
            if role.metadata.name.as_deref().is_some_and(|name| name.contains(&own)) {
                objects.push(bare("ClusterRole", &json!(role)));
            }
        }
        let local = namespace.api::<k8s_openapi::api::rbac::v1::Role>();
        for role in local.list(&Default::default()).await.expect("roles can be listed") {
            objects.push(bare("Role", &json!(role)));
        }
        Self { namespace: namespace.client(), objects }
    }

    async fn without(&self, resource: &str) {
        let mut taken = 0;
        for mut role in self.objects.clone() {
            for rule in role["rules"].as_array_mut().into_iter().flatten() {
                if let Some(resources) = rule.get_mut("resources").and_then(Value::as_array_mut) {
                    let before = resources.len();
                    resources.retain(|name| name != resource);
                    taken += before - resources.len();
                    if resources.is_empty() {
                        *resources = vec![json!("none")];
                    }
                }
            }
            crate::support::apply_as_given(&self.namespace, &role).await;
        }
        assert!(taken > 0, "nobody had the right to {resource}: {:?}", self.objects);
    }

    async fn restore(&self) {
        for role in &self.objects {
            crate::support::apply_as_given(&self.namespace, role).await;
        }
    }
}

fn bare(kind: &str, role: &Value) -> Value {
    let metadata = json!({"name": role["metadata"]["name"], "namespace": role["metadata"]["namespace"]});
    let mut bare = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind, "metadata": metadata, "rules": role["rules"],
    });
    if kind == "ClusterRole" {
        bare["metadata"].as_object_mut().expect("metadata").remove("namespace");
    }
    bare
}

#[tokio::test]
async fn an_object_that_changes_fifty_times_a_second_starves_nobody() {
    let cluster = Cluster::shared();
    let namespace = namespace(cluster, "flood").await;
    let audit = cluster.audit().await;
    let mut operator = Operator::start(cluster, OperatorOptions::namespace(namespace.name())).await;
    let flooded = |number: usize| {
        let mut spec = spec();
        spec["config"]["NUMBER"] = json!(number.to_string());
        spec
    };
    namespace.microservice("flood", flooded(9999)).await;
    namespace.wait_ready("flood").await;
    let mark = audit.mark().await;
    let flood = async {
        let start = Instant::now();
        let ticks = tokio::time::interval(Duration::from_millis(20));
        let changes = stream::unfold((ticks, 0), |(mut ticks, number)| async move {
            ticks.tick().await;
            Some((number + 1, (ticks, number + 1)))
        });
        let changes = changes.take_while(|_| std::future::ready(start.elapsed() < Duration::from_secs(10)));
        let sent = changes.map(|number| namespace.microservice("flood", flooded(number)));
        let count = sent.buffer_unordered(16).count().await;
        namespace.microservice("flood", flooded(0)).await;
        count
    };
    let (changes, longest) = tokio::join!(flood, serve(&namespace, 4));
    let writes = audit.since(mark).await.of(&operator.user()).writes();
    let of_flood = writes.only(|request| request.name.starts_with("flood"));
    println!("{changes} changes, {} writes for them; the slowest of 4 others {longest:?}", of_flood.count());
    assert!(longest < Duration::from_secs(20), "{longest:?}");
    namespace.wait_ready("flood").await;
    let config = namespace.get::<ConfigMap>("flood-config").await;
    assert_eq!(config.data.unwrap_or_default()["NUMBER"], "0", "the last change is stored");
    assert_eq!(errors(&operator), [""; 0]);
    assert_sound(&mut operator);
}

/// Text of this length that hardly compresses.
fn noise(length: usize, seed: usize) -> String {
    let numbers = std::iter::successors(Some(seed as u64 + 1), |last| {
        Some(last.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407))
    });
    let letters = numbers.flat_map(|number| format!("{number:016x}").into_bytes()).map(char::from);
    letters.take(length).collect()
}

/// A megabyte: the most that the schema lets in, and a large annotation of somebody else's.
fn huge(number: usize) -> Value {
    let mut spec = spec();
    spec["config"]["NOISE"] = json!(noise(260_000, number));
    let texts = (0..2).map(|part| (format!("{part}.txt"), json!(noise(260_000, number + part))));
    spec["files"] = json!([{"mountPath": "/etc/huge", "config": texts.collect::<serde_json::Map<_, _>>()}]);
    json!({
        "apiVersion": "microservice.dev/v1alpha1", "kind": "Microservice",
        "metadata": {"name": "huge", "annotations": {"example.com/notes": noise(240_000, number)}},
        "spec": spec,
    })
}

#[tokio::test]
async fn an_object_of_a_megabyte_is_served_and_starves_nobody() {
    let cluster = Cluster::shared();
    let namespace = namespace(cluster, "huge").await;
    let mut operator = Operator::start(cluster, OperatorOptions::namespace(namespace.name())).await;
    assert!(huge(0).to_string().len() > 1_000_000);
    let changes = async {
        for number in 0..20 {
            namespace.apply(huge(number)).await;
        }
    };
    let ((), longest) = tokio::join!(changes, serve(&namespace, 4));
    assert!(longest < Duration::from_secs(20), "{longest:?}");
    let object = namespace.wait_ready("huge").await;
    let length = json!(object.status).to_string().len();
    assert!(length < 8_000, "a status does not grow with its spec: {length} bytes");
    let config = namespace.get::<ConfigMap>("huge-config").await;
    assert_eq!(config.data.unwrap_or_default()["NOISE"], noise(260_000, 19), "the last change is stored");
    assert_eq!(errors(&operator), [""; 0]);
    assert_sound(&mut operator);
}

#[tokio::test]
async fn a_namespace_that_ends_leaves_nothing_and_storms_nobody() {
    let cluster = Cluster::shared();
    let namespace = namespace(cluster, "ending").await;
    let audit = cluster.audit().await;
    let mut operator = Operator::start(cluster, OperatorOptions::namespace(namespace.name())).await;
    for number in 0..5 {
        namespace.microservice(&format!("service-{number}"), spec()).await;
    }
    for number in 0..5 {
        namespace.wait_ready(&format!("service-{number}")).await;
    }
    let mark = audit.mark().await;
    let namespaces = Api::<CoreNamespace>::all(namespace.client());
    namespaces.delete(namespace.name(), &DeleteParams::default()).await.expect("it can be deleted");
    eventually(Duration::from_secs(60), "the namespace is gone with all that was in it", || async {
        match namespaces.get_opt(namespace.name()).await {
            Ok(None) => Ok(()),
            Ok(Some(left)) => Err(format!("{:?}", left.status)),
            Err(error) => Err(error.to_string()),
        }
    })
    .await;
    // A look that was under way when the last object went ends with a refused status.
    settle(&audit, &operator.user()).await;
    let gone = audit.mark().await;
    let seen = audit.since(mark).await.of(&operator.user());
    let refused = seen.writes().only(|request| request.code >= 300);
    println!("{} writes into the ending namespace, {} refused", seen.writes().count(), refused.count());
    // At most one attempt for each of 25 children, one status and one Event of each object.
    assert!(seen.writes().count() <= 45, "{}", seen.writes());
    always(Duration::from_secs(3), "the operator stays up", || async {
        operator
            .http("/livez")
            .await
            .map_err(|error| error.to_string())
            .and_then(|(code, body)| if code == 200 { Ok(()) } else { Err(body) })
    })
    .await;
    let after = audit.since(gone).await.of(&operator.user());
    assert_eq!(after.writes().count(), 0, "{after}");
    let left = Api::<Microservice>::namespaced(namespace.client(), namespace.name());
    assert_eq!(left.list(&Default::default()).await.expect("the kind is served").items.len(), 0);
    assert_eq!(errors(&operator), [""; 0]);
    assert_sound(&mut operator);
    assert_eq!(operator.stop().await.0, Some(0), "exit code after SIGTERM");
}
