//! Scaling by lag on a cluster with KEDA's real definitions, and what is left of it without them. KEDA
//! itself does not run: what it does to the objects, `support::keda` does.

use std::sync::OnceLock;

use futures::{StreamExt, stream};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use kube::Resource;
use kube::api::{Api, Patch, PatchParams};
use microservice_operator::api::MicroserviceClass;
use microservice_operator::plan::keda::{ScaledObject, TriggerAuthentication};
use serde_json::{Value, json};

use crate::scaling::{Case, Recorder, scale_deployment, wait_owners};
use crate::steps::{PATIENCE, condition, deployment, exists, secret, wait_replicas};
use crate::support::keda::{self, Keda};
use crate::support::{Cluster, Namespace, Operator, OperatorOptions, eventually};

/// A cluster that serves KEDA's kinds from the first test on.
async fn with_keda() -> &'static Cluster {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    static INSTALLED: tokio::sync::OnceCell<()> = tokio::sync::OnceCell::const_new();
    let cluster = CLUSTER.get_or_init(Cluster::own);
    INSTALLED.get_or_init(|| async { keda::install(&cluster.client().await).await }).await;
    cluster
}

async fn ground(cluster: &'static Cluster) -> (Namespace, Operator) {
    let namespace = Namespace::new(cluster, "lag").await;
    let mut options = OperatorOptions::namespace(namespace.name());
    options.arguments.push("--api-pace=1s".to_owned());
    (namespace, Operator::start(cluster, options).await)
}

/// A class whose broker nobody needs: its services own no topic.
async fn class(namespace: &Namespace, users: Value) {
    let cluster = json!({
        "name": "main", "bootstrapServers": ["127.0.0.1:9"], "users": users,
        "sasl": {"mechanism": "SCRAM-SHA-256", "secretName": "kafka-admin"},
    });
    let manifest = json!({
        "apiVersion": "microservice.dev/v1alpha1", "kind": "MicroserviceClass",
        "metadata": {"name": namespace.name()},
        "spec": {"kafka": {"topicNameTemplate": "{namespace}.{name}", "clusters": [cluster]}},
    });
    let api = Api::<MicroserviceClass>::all(namespace.client());
    let params = PatchParams::apply("test").force();
    api.patch(namespace.name(), &params, &Patch::Apply(manifest)).await.expect("a class is stored");
}

/// A service that reads a topic, with these further fields.
fn reader(namespace: &Namespace, more: &Value) -> Value {
    let mut spec = json!({
        "image": "web:v1", "className": namespace.name(),
        "kafka": {"consumes": [{"topic": "orders", "group": "readers"}]},
    });
    spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    spec
}

fn lagging(min: i32, max: i32) -> Value {
    let kafka = json!([{"topic": "orders", "lagThreshold": 100}]);
    json!({"autoscaling": {"minReplicas": min, "maxReplicas": max, "kafka": kafka}})
}

fn scaled(min: i32, max: i32) -> Value {
    json!({"autoscaling": {"minReplicas": min, "maxReplicas": max}})
}

async fn wait_exists<K>(namespace: &Namespace, name: &str, wanted: bool)
where
    K: Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>
        + Clone
        + serde::de::DeserializeOwned
        + std::fmt::Debug,
{
    let what = format!("{} {name} {}", K::kind(&()), if wanted { "is there" } else { "is gone" });
    eventually(PATIENCE, &what, || async {
        match namespace.api::<K>().get_opt(name).await {
            Ok(found) if found.is_some() == wanted => Ok(()),
            Ok(found) => Err(format!("{:?}", found.map(|object| object.meta().clone()))),
            Err(error) => Err(error.to_string()),
        }
    })
    .await;
}

/// Waits for ScalingReady with this status and reason, and returns its message.
async fn told(namespace: &Namespace, name: &str, status: &str, reason: &str) -> String {
    let object = namespace.wait_condition(name, "ScalingReady", status, Some(reason)).await;
    condition(&object, "ScalingReady").expect("it was waited for").2
}

async fn spec<K>(namespace: &Namespace, name: &str) -> Value
where
    K: Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>
        + Clone
        + serde::de::DeserializeOwned
        + serde::Serialize
        + std::fmt::Debug,
{
    serde_json::to_value(namespace.get::<K>(name).await).expect("an object is JSON")["spec"].take()
}

#[tokio::test]
async fn keda_gets_one_object_with_everything_and_keeps_it() {
    let cluster = with_keda().await;
    let (namespace, operator) = ground(cluster).await;
    let mark = cluster.audit().await.mark().await;
    class(
        &namespace,
        json!({
            "mode": "Existing", "secretNameTemplate": "{name}-login",
            "principalTemplate": "User:{namespace}.{name}",
        }),
    )
    .await;
    secret(&namespace, "web-login", &[("username", "u"), ("password", "p")]).await;
    let mut autoscaling = lagging(2, 7);
    autoscaling["autoscaling"]["targetCPUUtilizationPercentage"] = json!(60);
    namespace.microservice("web", reader(&namespace, &autoscaling)).await;
    namespace.wait_ready("web").await;
    told(&namespace, "web", "True", "ScalingReady").await;

    let stored = spec::<ScaledObject>(&namespace, "web").await;
    assert_eq!(stored["scaleTargetRef"]["name"], "web");
    assert_eq!((&stored["minReplicaCount"], &stored["maxReplicaCount"]), (&json!(2), &json!(7)));
    let physical = format!("{}.orders", namespace.name());
    let group = format!("{}.readers", namespace.name());
    let expected = json!([
        {"type": "cpu", "metricType": "Utilization", "metadata": {"containerName": "web", "value": "60"}},
        {
            "type": "kafka",
            "metadata": {
                "bootstrapServers": "127.0.0.1:9", "topic": physical, "consumerGroup": group,
                "lagThreshold": "100", "activationLagThreshold": "0", "version": "2.1.0",
                "sasl": "scram_sha256", "tls": "disable",
            },
            "authenticationRef": {"name": "web"},
        },
    ]);
    assert_eq!(stored["triggers"], expected);
    let target = |name: &str| json!({"parameter": name, "name": "web-login", "key": name});
    let login = spec::<TriggerAuthentication>(&namespace, "web").await;
    assert_eq!(login, json!({"secretTargetRef": [target("username"), target("password")]}));
    assert!(!exists::<HorizontalPodAutoscaler>(&namespace, "web").await, "one autoscaler is enough");

    // Drift of either is repaired.
    namespace.patch::<ScaledObject>("web", json!({"spec": {"maxReplicaCount": 99}})).await;
    namespace.delete::<TriggerAuthentication>("web").await;
    wait_exists::<TriggerAuthentication>(&namespace, "web", true).await;
    eventually(PATIENCE, "the bounds are repaired", || async {
        let now = spec::<ScaledObject>(&namespace, "web").await;
        if now == stored { Ok(()) } else { Err(now.to_string()) }
    })
    .await;

    // And both go with the entry.
    namespace.microservice("web", reader(&namespace, &json!({"replicas": 2}))).await;
    wait_exists::<ScaledObject>(&namespace, "web", false).await;
    wait_exists::<TriggerAuthentication>(&namespace, "web", false).await;
    let object = namespace.wait_ready("web").await;
    assert_eq!(condition(&object, "ScalingReady"), None);

    let requests = cluster.audit().await.since(mark).await.of(&operator.user());
    let refused = requests.only(|request| matches!(request.code, 401 | 403));
    assert_eq!(refused.count(), 0, "the rights do not suffice: {refused}");
}

async fn transition(namespace: &Namespace, case: &Case) {
    let Case { name, from, live, to, counts } = case;
    let by_lag = |more: &Value| more.pointer("/autoscaling/kafka").is_some();
    let of_keda = format!("{name}.keda");
    namespace.microservice(name, reader(namespace, from)).await;
    namespace.wait_ready(name).await;
    wait_exists::<HorizontalPodAutoscaler>(namespace, &of_keda, by_lag(from)).await;
    if let Some(live) = live {
        scale_deployment(namespace, name, *live).await;
    }
    wait_replicas(namespace, name, counts[0]).await;

    let recorder = Recorder::start(namespace, name);
    recorder.catch_up(namespace, name).await;
    namespace.microservice(name, reader(namespace, to)).await;
    wait_replicas(namespace, name, counts[counts.len() - 1]).await;
    namespace.wait_ready(name).await;
    let auto = to.get("autoscaling").is_some() && to.get("replicas").is_none();
    wait_exists::<ScaledObject>(namespace, name, auto && by_lag(to)).await;
    wait_exists::<HorizontalPodAutoscaler>(namespace, &of_keda, auto && by_lag(to)).await;
    wait_exists::<HorizontalPodAutoscaler>(namespace, name, auto && !by_lag(to)).await;
    wait_owners(namespace, name, !auto).await;
    assert_eq!(recorder.catch_up(namespace, name).await, *counts, "{name}");
}

#[tokio::test]
async fn no_transition_to_or_from_keda_makes_the_count_dip() {
    let (namespace, _operator) = ground(with_keda().await).await;
    let _keda = Keda::start(&namespace, false);
    class(&namespace, json!({"mode": "None"})).await;
    let fixed = |count: i32| json!({"replicas": count});
    let mut stopped = lagging(2, 6);
    stopped["replicas"] = json!(0);
    let case = |name, from, live, to, counts| Case { name, from, live, to, counts };
    let cases = vec![
        case("fixed-inside", fixed(4), None, lagging(2, 6), &[4][..]),
        case("fixed-above", fixed(7), None, lagging(2, 5), &[7, 5]),
        case("scaled-to-lag", scaled(2, 6), Some(5), lagging(2, 6), &[5]),
        case("lag-to-scaled", lagging(2, 6), Some(5), scaled(2, 6), &[5]),
        case("lag-to-fewer", lagging(2, 6), Some(5), fixed(3), &[5, 3]),
        case("lag-to-same", lagging(2, 6), Some(5), fixed(5), &[5]),
        case("lag-to-zero", lagging(2, 6), Some(4), stopped, &[4, 0]),
        case("other-bounds", lagging(2, 6), Some(3), lagging(4, 8), &[3, 4]),
    ];
    let namespace = &namespace;
    let transitions = cases.into_iter().map(|case| async move { transition(namespace, &case).await });
    stream::iter(transitions).buffer_unordered(4).collect::<()>().await;
}

#[tokio::test]
async fn the_count_is_taken_back_only_when_the_autoscaler_of_keda_is_gone() {
    let (namespace, _operator) = ground(with_keda().await).await;
    let keda = Keda::start(&namespace, true);
    class(&namespace, json!({"mode": "None"})).await;
    namespace.microservice("web", reader(&namespace, &lagging(2, 6))).await;
    namespace.wait_ready("web").await;
    wait_exists::<HorizontalPodAutoscaler>(&namespace, "web.keda", true).await;
    scale_deployment(&namespace, "web", 5).await;
    wait_replicas(&namespace, "web", 5).await;
    let recorder = Recorder::start(&namespace, "web");
    recorder.catch_up(&namespace, "web").await;

    namespace.microservice("web", reader(&namespace, &json!({"replicas": 3}))).await;
    let waits = namespace.wait_condition("web", "Applied", "False", Some("WaitingForDeletion")).await;
    let (_, _, message) = condition(&waits, "Applied").unwrap();
    assert!(message.contains("web.keda"), "{message}");
    wait_owners(&namespace, "web", false).await;
    assert_eq!(deployment(&namespace, "web").await["spec"]["replicas"], 5);

    keda.release("web.keda").await;
    wait_replicas(&namespace, "web", 3).await;
    namespace.wait_ready("web").await;
    wait_owners(&namespace, "web", true).await;
    assert_eq!(recorder.catch_up(&namespace, "web").await, [5, 3]);
}

#[tokio::test]
async fn the_autoscaler_changes_over_when_keda_comes_and_goes() {
    let cluster: &'static Cluster = Box::leak(Box::new(Cluster::own()));
    let (namespace, operator) = ground(cluster).await;
    class(&namespace, json!({"mode": "None"})).await;
    namespace.microservice("web", reader(&namespace, &lagging(2, 6))).await;
    namespace.wait_ready("web").await;
    let message = told(&namespace, "web", "False", "ApiNotServed").await;
    assert!(message.contains("install KEDA"), "{message}");
    let plain = spec::<HorizontalPodAutoscaler>(&namespace, "web").await;
    assert_eq!(plain["metrics"][0]["containerResource"]["name"], "cpu");
    scale_deployment(&namespace, "web", 5).await;
    wait_replicas(&namespace, "web", 5).await;
    let recorder = Recorder::start(&namespace, "web");
    recorder.catch_up(&namespace, "web").await;
    let failures = || operator.log().lines().filter(|line| line.contains("a watch failed")).count();
    assert_eq!(failures(), 0, "a kind that is not served is not watched");

    let client = namespace.client();
    keda::install(&client).await;
    told(&namespace, "web", "True", "ScalingReady").await;
    wait_exists::<ScaledObject>(&namespace, "web", true).await;
    wait_exists::<HorizontalPodAutoscaler>(&namespace, "web", false).await;

    keda::remove(&client).await;
    told(&namespace, "web", "False", "ApiNotServed").await;
    wait_exists::<HorizontalPodAutoscaler>(&namespace, "web", true).await;
    let object = namespace.wait_ready("web").await;
    let children = object.status.unwrap_or_default().children;
    assert!(children.iter().all(|child| child.kind != "ScaledObject"), "{children:?}");
    assert_eq!(failures(), 0, "{}", operator.log());

    // It is followed from then on too.
    keda::install(&client).await;
    told(&namespace, "web", "True", "ScalingReady").await;
    wait_exists::<HorizontalPodAutoscaler>(&namespace, "web", false).await;
    assert_eq!(recorder.catch_up(&namespace, "web").await, [5], "nobody touched the count");
    namespace.wait_ready("web").await;
}
