//! What the operator writes and what it does not, counted from the audit log. Each test of silence ends
//! with a foreign edit whose repair must be seen, so that a dead operator cannot pass.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::{ConfigMap, Secret, Service, ServiceAccount};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::{ListParams, WatchEvent, WatchParams};
use kube::{Resource, ResourceExt};
use microservice_operator::api::Microservice;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::support::{
    Audit, Cluster, Namespace, Operator, OperatorOptions, Requests, eventually, see_a_repair,
};

/// Every version of one Microservice as the API server announces it.
struct Versions {
    seen: Arc<Mutex<Vec<Microservice>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Versions {
    async fn of(namespace: &Namespace, name: &str) -> Self {
        let api = namespace.api::<Microservice>();
        let list = api.list(&ListParams::default().limit(1)).await.expect("Microservices can be listed");
        let from = list.metadata.resource_version.unwrap_or_default();
        let params = WatchParams::default().fields(&format!("metadata.name={name}"));
        let events = api.watch(&params, &from).await.expect("Microservices can be watched");
        let seen = Arc::new(Mutex::new(Vec::new()));
        let record = Arc::clone(&seen);
        let task = tokio::spawn(async move {
            let mut events = events.boxed();
            while let Ok(Some(event)) = events.try_next().await {
                if let WatchEvent::Added(object) | WatchEvent::Modified(object) = event {
                    record.lock().unwrap().push(object);
                }
            }
        });
        Self { seen, task }
    }

    fn all(&self) -> Vec<Microservice> {
        self.seen.lock().unwrap().clone()
    }

    /// How many versions came after the first of this generation until it was Applied.
    fn until_applied(&self, generation: i64) -> usize {
        let all = self.all();
        let of_generation: Vec<_> =
            all.iter().filter(|object| object.metadata.generation == Some(generation)).collect();
        let applied = |object: &&Microservice| {
            let status = object.status.clone().unwrap_or_default();
            status.observed_generation == Some(generation)
                && status.conditions.iter().any(|c| {
                    c.type_ == "Applied" && c.status == "True" && c.observed_generation == Some(generation)
                })
        };
        of_generation.iter().position(applied).expect("a version with Applied=True was announced")
    }
}

impl Drop for Versions {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Requests of the operator in the namespace of the test.
async fn requests(
    audit: &Audit,
    mark: crate::support::Mark,
    operator: &Operator,
    namespace: &Namespace,
) -> Requests {
    audit.since(mark).await.of(&operator.user()).namespace(namespace.name())
}

fn child_writes(requests: &Requests) -> Requests {
    requests.writes().without("microservices/status").without("events")
}

/// Waits until the operator has written nothing for a moment longer than progress is held back.
pub async fn settle(audit: &Audit, user: &str) {
    eventually(Duration::from_secs(60), "the operator has come to rest", || async {
        let mark = audit.mark().await;
        tokio::time::sleep(Duration::from_millis(1300)).await;
        let writes = audit.since(mark).await.of(user).writes().without("leases");
        if writes.count() == 0 { Ok(()) } else { Err(writes.to_string()) }
    })
    .await;
}

/// Resource versions of all children in the namespace, by kind and name.
pub async fn resource_versions(namespace: &Namespace) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    versions_of::<ServiceAccount>(namespace, &mut all).await;
    versions_of::<ConfigMap>(namespace, &mut all).await;
    versions_of::<Secret>(namespace, &mut all).await;
    versions_of::<Service>(namespace, &mut all).await;
    versions_of::<Deployment>(namespace, &mut all).await;
    versions_of::<HorizontalPodAutoscaler>(namespace, &mut all).await;
    versions_of::<PodDisruptionBudget>(namespace, &mut all).await;
    all
}

async fn versions_of<K>(namespace: &Namespace, all: &mut BTreeMap<String, String>)
where
    K: Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>
        + Clone
        + DeserializeOwned
        + std::fmt::Debug,
{
    let labelled = ListParams::default().labels("microservice.dev/name");
    for object in namespace.api::<K>().list(&labelled).await.expect("children can be listed") {
        let name = format!("{} {}", K::kind(&()), object.name_any());
        // What has a generation has a status too, which Kubernetes writes when it likes.
        let generation = object.meta().generation.map(|generation| generation.to_string());
        all.insert(name, generation.or(object.resource_version()).unwrap_or_default());
    }
}

/// One of every child kind.
fn everything() -> Value {
    json!({
        "image": "shop/everything:v1",
        "config": {"LOG_LEVEL": "info", "REGION": "eu"},
        "files": [{"mountPath": "/etc/app", "config": {"app.yaml": "listen: 3000\n"}}],
        "secrets": [{
            "name": "everything-keys",
            "env": [{"name": "SIGNING_KEY", "key": "signing-key"}],
            "generate": [{"key": "signing-key"}],
        }],
        "autoscaling": {"minReplicas": 2, "maxReplicas": 5},
    })
}

#[tokio::test]
async fn a_new_object_costs_its_children_and_one_status_write() {
    let cluster = Cluster::shared();
    let namespace = Namespace::new(cluster, "quiet").await;
    let audit = cluster.audit().await;
    let operator = Operator::start(cluster, OperatorOptions::namespace(namespace.name())).await;
    namespace
        .apply(json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "db"},
            "stringData": {"url": "postgres://db"},
        }))
        .await;
    let reading = json!({
        "image": "shop/reading:v1",
        "secrets": [{"name": "db", "env": [{"name": "DATABASE_URL", "key": "url"}]}],
    });
    let cases = [
        ("minimal", json!({"image": "shop/minimal:v1"}), 4, 0),
        ("reading", reading, 4, 0),
        // A new and autoscaled Deployment is lifted to its lower bound by the second manager.
        ("everything", everything(), 8, 2),
    ];
    for (name, spec, children, handover) in cases {
        let versions = Versions::of(&namespace, name).await;
        let mark = audit.mark().await;
        namespace.microservice(name, spec).await;
        let object = namespace.wait_ready(name).await;
        settle(&audit, &operator.user()).await;

        let seen = requests(&audit, mark, &operator, &namespace).await;
        let (child_writes, events) = (child_writes(&seen), seen.writes().resource("events"));
        let status = seen.writes().resource("microservices/status");
        let until_applied = versions.until_applied(1);
        println!(
            "{name}: {} children, {} child writes, {until_applied} status writes until Applied, {} in all, {} Events, {} reads",
            object.status.map_or(0, |status| status.children.len()),
            child_writes.count(),
            status.count(),
            events.count(),
            seen.reads().count(),
        );
        assert!((children..=children + handover).contains(&child_writes.count()), "{child_writes}");
        assert!(until_applied <= 1, "{until_applied} status writes until Applied\n{status}");
        assert_eq!(status.count(), versions.all().len() - 1, "a status write that changed nothing\n{status}");
        assert!(events.count() <= 3, "{events}");
        assert_eq!(seen.writes().only(|request| request.code >= 300).count(), 0, "refused\n{seen}");
    }
    see_a_repair(&namespace, "minimal").await;
}

#[tokio::test]
async fn a_new_generation_costs_what_it_changes_and_two_status_writes() {
    let cluster = Cluster::shared();
    let namespace = Namespace::new(cluster, "quiet").await;
    let audit = cluster.audit().await;
    let operator = Operator::start(cluster, OperatorOptions::namespace(namespace.name())).await;
    namespace.microservice("everything", everything()).await;
    namespace.wait_ready("everything").await;
    settle(&audit, &operator.user()).await;

    let versions = Versions::of(&namespace, "everything").await;
    let mark = audit.mark().await;
    let mut spec = everything();
    spec["autoscaling"]["maxReplicas"] = json!(6);
    namespace.microservice("everything", spec).await;
    namespace.wait_ready("everything").await;
    settle(&audit, &operator.user()).await;

    let seen = requests(&audit, mark, &operator, &namespace).await;
    let written = child_writes(&seen);
    assert_eq!(written.count(), 1, "{written}");
    assert_eq!(written.resource("horizontalpodautoscalers").count(), 1, "{written}");
    assert!(versions.until_applied(2) <= 2, "{seen}");
    see_a_repair(&namespace, "everything").await;
}

#[tokio::test]
async fn progress_is_told_at_most_once_a_second() {
    let cluster = Cluster::shared();
    let namespace = Namespace::new(cluster, "quiet").await;
    let audit = cluster.audit().await;
    let operator = Operator::start(cluster, OperatorOptions::namespace(namespace.name())).await;
    let versions = Versions::of(&namespace, "busy").await;
    let mark = audit.mark().await;
    namespace.microservice("busy", json!({"image": "shop/busy:v1", "replicas": 16})).await;
    namespace.wait_ready("busy").await;
    namespace.microservice("busy", json!({"image": "shop/busy:v2", "replicas": 16})).await;
    namespace.wait_ready("busy").await;
    settle(&audit, &operator.user()).await;

    let all = audit.since(mark).await.namespace(namespace.name());
    let ticks = all.writes().resource("deployments/status").count();
    let writes = all.of(&operator.user()).resource("microservices/status");
    let stored: Vec<_> = versions.all().into_iter().filter_map(|object| object.status).collect();
    let stored: Vec<_> = stored.windows(2).filter(|pair| pair[0] != pair[1]).map(<[_]>::to_vec).collect();
    assert_eq!(writes.count(), stored.len(), "{writes}");
    println!("{ticks} writes of the Deployment's status, {} of ours", writes.count());

    let facts = |status: &microservice_operator::api::MicroserviceStatus| {
        let of = status.conditions.iter();
        let of = of.map(|c| (c.type_.clone(), c.status.clone(), c.reason.clone(), c.observed_generation));
        (of.collect::<Vec<_>>(), status.children.clone(), status.completed_template.clone())
    };
    for (pair, requests) in stored.iter().skip(1).zip(writes.0.windows(2)) {
        if facts(&pair[0]) == facts(&pair[1]) {
            let at: Vec<Timestamp> = requests.iter().map(|request| request.at.parse().unwrap()).collect();
            let gap = Duration::try_from(at[1].duration_since(at[0])).unwrap();
            assert!(gap >= Duration::from_millis(950), "progress after {gap:?}\n{writes}");
        }
    }
    see_a_repair(&namespace, "busy").await;
}

#[tokio::test]
async fn an_equal_apply_changes_no_child() {
    let cluster = Cluster::shared();
    let namespace = Namespace::new(cluster, "quiet").await;
    let audit = cluster.audit().await;
    let operator = Operator::start(cluster, OperatorOptions::namespace(namespace.name())).await;
    let service = |metadata: Value, spec: Value| {
        let mut metadata = metadata;
        metadata["name"] = json!("equal");
        json!({
            "apiVersion": "microservice.dev/v1alpha1", "kind": "Microservice",
            "metadata": metadata, "spec": spec,
        })
    };
    let labels = json!({"labels": {"team": "checkout", "app.kubernetes.io/part-of": "shop"}});
    let limits =
        json!({"requests": {"cpu": "250m", "memory": "256Mi"}, "limits": {"cpu": "1", "memory": "1Gi"}});
    let config = json!({"A": "1", "B": "2"});
    let base = json!({"image": "shop/equal:v1", "resources": limits, "config": config, "port": 3000});
    namespace.apply(service(labels.clone(), base.clone())).await;
    namespace.wait_ready("equal").await;
    settle(&audit, &operator.user()).await;
    let before = resource_versions(&namespace).await;
    assert_eq!(before.len(), 5, "{before:?}");

    let with = |key: &str, value: Value| {
        let mut spec = base.clone();
        spec[key] = value;
        spec
    };
    let reordered = json!({"labels": {"app.kubernetes.io/part-of": "shop", "team": "checkout"}});
    let quantities = json!({"requests": {"memory": "262144Ki", "cpu": "0.25"}, "limits": {"cpu": "1000m", "memory": "1024Mi"}});
    let mut without_port = base.clone();
    without_port.as_object_mut().unwrap().remove("port");
    let equal = [
        ("the same again", labels.clone(), base.clone()),
        ("another order of labels", reordered, base.clone()),
        ("other words for the same quantities", labels.clone(), with("resources", quantities)),
        ("the default number of replicas", labels.clone(), with("replicas", json!(3))),
        ("no port, as the default has it", labels.clone(), without_port),
        (
            "the default health check",
            labels.clone(),
            with("health", json!({"path": "/health", "type": "HTTP"})),
        ),
        (
            "another label of its own",
            json!({"labels": {"team": "billing", "app.kubernetes.io/part-of": "shop"}}),
            base.clone(),
        ),
    ];
    for (what, metadata, spec) in equal {
        let mark = audit.mark().await;
        let applied = namespace.apply(service(metadata, spec)).await;
        namespace.wait_ready("equal").await;
        settle(&audit, &operator.user()).await;
        let seen = requests(&audit, mark, &operator, &namespace).await;
        assert_eq!(child_writes(&seen).count(), 0, "{what}: {seen}");
        assert!(seen.writes().count() <= 2, "{what}, generation {:?}: {seen}", applied.metadata.generation);
        assert_eq!(resource_versions(&namespace).await, before, "{what}");
    }
    see_a_repair(&namespace, "equal").await;
}

#[tokio::test]
async fn harmless_foreign_fields_cost_nothing() {
    let cluster = Cluster::shared();
    let namespace = Namespace::new(cluster, "quiet").await;
    let audit = cluster.audit().await;
    let operator = Operator::start(cluster, OperatorOptions::namespace(namespace.name())).await;
    let names = ["everything", "other"];
    namespace.microservice("everything", everything()).await;
    namespace.microservice("other", json!({"image": "shop/other:v1", "config": {"A": "1"}})).await;
    for name in names {
        namespace.wait_ready(name).await;
    }
    settle(&audit, &operator.user()).await;

    let mark = audit.mark().await;
    for round in 0..5 {
        let foreign = json!({"metadata": {
            "labels": {"cost-centre": format!("c{round}")},
            "annotations": {"example.com/seen": format!("{round}")},
        }});
        for name in names {
            namespace.patch::<ServiceAccount>(name, foreign.clone()).await;
            namespace.patch::<Service>(name, foreign.clone()).await;
            namespace.patch::<PodDisruptionBudget>(name, foreign.clone()).await;
            namespace.patch::<ConfigMap>(&format!("{name}-config"), foreign.clone()).await;
            namespace.patch::<Deployment>(name, foreign.clone()).await;
        }
        namespace.patch::<HorizontalPodAutoscaler>("everything", foreign.clone()).await;
        // As `kubectl rollout restart` does: a foreign annotation of the template, which rolls the pods.
        let restart = json!({"example.com/restartedAt": format!("{round}")});
        let template = json!({"spec": {"template": {"metadata": {"annotations": restart}}}});
        if round == 0 {
            namespace.patch::<Deployment>("other", template).await;
        }
    }
    settle(&audit, &operator.user()).await;
    let seen = requests(&audit, mark, &operator, &namespace).await;
    assert_eq!(child_writes(&seen).count(), 0, "{seen}");
    let of_status = seen.writes().only(|request| !request.name.starts_with("other"));
    assert_eq!(of_status.count(), 0, "only the restarted one has progress to tell\n{seen}");

    let mark = audit.mark().await;
    for name in names {
        see_a_repair(&namespace, name).await;
    }
    settle(&audit, &operator.user()).await;
    let repairs = child_writes(&requests(&audit, mark, &operator, &namespace).await);
    assert_eq!(repairs.count(), 2, "one write for each repair\n{repairs}");
}
