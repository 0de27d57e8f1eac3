//! Classes: which one applies, what it gives and forbids, and how its changes reach the fleet. Classes
//! are cluster-wide, so these tests have a cluster of their own.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::future::join_all;
use futures::{StreamExt, stream};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Namespace as CoreNamespace;
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams};
use microservice_operator::api::{Microservice, MicroserviceClass};
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use crate::steps::{PATIENCE, annotate, condition, deployment, generation, wait_counted};
use crate::support::{Cluster, Namespace, Operator, OperatorOptions, eventually};

fn cluster() -> &'static Cluster {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    CLUSTER.get_or_init(Cluster::own)
}

const RATE: usize = 5;
const ROLLING: usize = 2;

/// A namespace, and the operator of all namespaces: only such a one keeps the status of the classes.
async fn ground() -> (Namespace, &'static Operator) {
    static OPERATOR: OnceCell<Operator> = OnceCell::const_new();
    let operator = OPERATOR
        .get_or_init(|| async {
            let limits = [format!("--class-rate={RATE}"), format!("--max-rolling={ROLLING}")];
            let all = OperatorOptions { namespaces: Vec::new(), ..OperatorOptions::namespace("all") };
            Operator::start(cluster(), OperatorOptions { arguments: limits.to_vec(), ..all }).await
        })
        .await;
    (Namespace::new(cluster(), "classes").await, operator)
}

fn classes(namespace: &Namespace) -> Api<MicroserviceClass> {
    Api::all(namespace.client())
}

/// Applies a class; its name begins with the namespace's, since tests share the cluster.
async fn class(namespace: &Namespace, suffix: &str, annotations: Value, spec: Value) -> String {
    let name = format!("{}-{suffix}", namespace.name());
    let manifest = json!({
        "apiVersion": "microservice.dev/v1alpha1", "kind": "MicroserviceClass",
        "metadata": {"name": name, "annotations": annotations}, "spec": spec,
    });
    let params = PatchParams::apply("test").force();
    classes(namespace).patch(&name, &params, &Patch::Apply(manifest)).await.expect("a class is applied");
    name
}

async fn delete_class(namespace: &Namespace, name: &str) {
    classes(namespace).delete(name, &DeleteParams::default()).await.expect("a class is deleted");
}

/// Waits until the status of a class says this of one condition, and returns the message.
async fn wait_class(namespace: &Namespace, name: &str, kind: &str, reason: &str) -> String {
    eventually(PATIENCE, &format!("class {name} has {kind} with reason {reason}"), || async {
        let class = classes(namespace).get(name).await.map_err(|error| error.to_string())?;
        let conditions = class.status.map(|status| status.conditions).unwrap_or_default();
        let found = conditions.iter().find(|c| c.type_ == kind && c.reason == reason);
        found.map(|c| c.message.clone()).ok_or_else(|| format!("{conditions:?}"))
    })
    .await
}

/// Waits until a class counts so many services.
async fn wait_class_services(namespace: &Namespace, name: &str, count: usize) {
    eventually(PATIENCE, &format!("class {name} counts {count} services"), || async {
        let status = classes(namespace).get(name).await.map_err(|error| error.to_string())?.status;
        let services = status.and_then(|status| status.services).and_then(|count| count.try_into().ok());
        if services == Some(count) { Ok(()) } else { Err(format!("{services:?}")) }
    })
    .await;
}

fn container(deployment: &Value) -> &Value {
    &deployment["spec"]["template"]["spec"]["containers"][0]
}

/// Waits until a part of the Deployment has this value.
async fn wait_part(namespace: &Namespace, name: &str, pointer: &str, value: Value) {
    eventually(PATIENCE, &format!("{name} has {value} at {pointer}"), || async {
        let now = deployment(namespace, name).await.pointer(pointer).cloned().unwrap_or_default();
        if now == value { Ok(()) } else { Err(now.to_string()) }
    })
    .await;
}

#[tokio::test]
async fn the_spec_wins_over_the_class_and_the_class_over_the_built_in_defaults() {
    let (namespace, _operator) = ground().await;
    let defaults = json!({"defaults": {
        "replicas": 2,
        "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"memory": "300Mi"}},
        "health": {"path": "/healthz"},
        "shutdown": {"drainSeconds": 7},
        "pod": {"nodeSelector": {"kubernetes.io/os": "linux"}, "labels": {"tier": "class", "team": "class"}},
    }});
    let name = class(&namespace, "web", json!({}), defaults).await;
    namespace.microservice("plain", json!({"image": "web:v1", "className": name})).await;
    let own = json!({
        "image": "web:v1", "className": name, "replicas": 1,
        "resources": {"limits": {}}, "health": {"port": 3000}, "pod": {"labels": {"tier": "own"}},
    });
    namespace.microservice("own", own).await;
    let plain = namespace.wait_ready("plain").await;
    namespace.wait_ready("own").await;
    assert_eq!(plain.status.and_then(|status| status.class), Some(name));

    let plain = deployment(&namespace, "plain").await;
    assert_eq!(plain["spec"]["replicas"], 2);
    assert_eq!(container(&plain)["resources"]["requests"], json!({"cpu": "100m", "memory": "128Mi"}));
    assert_eq!(container(&plain)["resources"]["limits"], json!({"memory": "300Mi"}), "replaced whole");
    assert_eq!(container(&plain)["readinessProbe"]["httpGet"]["path"], "/healthz");
    assert_eq!(container(&plain)["readinessProbe"]["periodSeconds"], 10, "built in");
    assert_eq!(container(&plain)["lifecycle"]["preStop"]["sleep"]["seconds"], 7);
    assert_eq!(plain["spec"]["template"]["spec"]["nodeSelector"], json!({"kubernetes.io/os": "linux"}));

    let own = deployment(&namespace, "own").await;
    assert_eq!(own["spec"]["replicas"], 1);
    assert_eq!(container(&own)["resources"]["limits"], Value::Null);
    assert_eq!(container(&own)["resources"]["requests"]["cpu"], "100m", "of the class");
    assert_eq!(container(&own)["readinessProbe"]["httpGet"]["path"], "/healthz", "merged per leaf");
    let labels = &own["spec"]["template"]["metadata"]["labels"];
    assert_eq!((&labels["tier"], &labels["team"]), (&json!("own"), &json!("class")), "merged by key");
}

#[tokio::test]
async fn the_class_is_that_of_the_object_then_of_the_namespace_then_the_default_one() {
    let (namespace, _operator) = ground().await;
    let replicas = |count: i32| json!({"defaults": {"replicas": count}});
    let mark = json!({"microservice.dev/is-default-class": "true"});
    let named = class(&namespace, "named", json!({}), replicas(1)).await;
    let labelled = class(&namespace, "labelled", json!({}), replicas(2)).await;
    namespace.microservice("own", json!({"image": "web:v1", "className": named})).await;
    namespace.microservice("web", json!({"image": "web:v1"})).await;
    namespace.wait_ready("web").await;
    wait_part(&namespace, "own", "/spec/replicas", json!(1)).await;
    wait_part(&namespace, "web", "/spec/replicas", json!(3)).await;

    let older = class(&namespace, "a", mark.clone(), replicas(4)).await;
    wait_part(&namespace, "web", "/spec/replicas", json!(4)).await;
    wait_class(&namespace, &older, "Default", "Default").await;
    tokio::time::sleep(Duration::from_millis(1100)).await; // ages count in seconds
    let newer = class(&namespace, "0", mark, replicas(5)).await;
    let message = wait_class(&namespace, &newer, "Default", "OlderDefaultExists").await;
    assert!(message.contains(&older), "{message}");
    eventually(PATIENCE, "the older one names the newer", || async {
        let message = wait_class(&namespace, &older, "Default", "Default").await;
        if message.contains(&newer) { Ok(()) } else { Err(message) }
    })
    .await;
    namespace.wait_ready("web").await;
    wait_part(&namespace, "web", "/spec/replicas", json!(4)).await;

    let namespaces = Api::<CoreNamespace>::all(namespace.client());
    let label =
        |value: Value| Patch::Merge(json!({"metadata": {"labels": {"microservice.dev/class": value}}}));
    let params = PatchParams::default();
    namespaces.patch(namespace.name(), &params, &label(json!(labelled))).await.expect("it is labelled");
    wait_part(&namespace, "web", "/spec/replicas", json!(2)).await;
    namespaces.patch(namespace.name(), &params, &label(json!("no-such-class"))).await.expect("labelled");
    let lost = namespace.wait_condition("web", "Stalled", "True", Some("ClassNotFound")).await;
    let (_, _, message) = condition(&lost, "Stalled").unwrap();
    assert!(message.contains("no-such-class") && message.contains("label"), "{message}");
    wait_part(&namespace, "web", "/spec/replicas", json!(2)).await;
    namespaces.patch(namespace.name(), &params, &label(Value::Null)).await.expect("the label is removed");

    wait_part(&namespace, "web", "/spec/replicas", json!(4)).await;
    delete_class(&namespace, &older).await;
    wait_part(&namespace, "web", "/spec/replicas", json!(5)).await;
    wait_class(&namespace, &newer, "Default", "Default").await;
    delete_class(&namespace, &newer).await;
    wait_part(&namespace, "web", "/spec/replicas", json!(3)).await;
    wait_part(&namespace, "own", "/spec/replicas", json!(1)).await;
}

#[tokio::test]
async fn an_unknown_class_and_a_broken_guard_rail_change_nothing_that_runs() {
    let (namespace, _operator) = ground().await;
    let rails = json!({"guardrails": {"maxReplicas": 3, "forbidLatest": true}});
    let strict = class(&namespace, "strict", json!({}), rails.clone()).await;
    let spec = |class: &str, image: &str, replicas: i32| json!({"image": image, "className": class, "replicas": replicas});
    namespace.microservice("web", spec(&strict, "web:v1", 2)).await;
    namespace.wait_ready("web").await;
    let before = deployment(&namespace, "web").await["spec"].clone();

    for (class, image, replicas, reason, says) in [
        ("no-such-class", "web:v2", 3, "ClassNotFound", "no-such-class"),
        (strict.as_str(), "web:v2", 4, "GuardrailViolated", "3"),
        (strict.as_str(), "web:latest", 2, "GuardrailViolated", "latest"),
    ] {
        namespace.microservice("web", spec(class, image, replicas)).await;
        let object = namespace.wait_condition("web", "Stalled", "True", Some(reason)).await;
        let (status, _, message) = condition(&object, "Accepted").unwrap();
        assert!(status == "False" && message.contains(says), "{message}");
        assert_eq!(deployment(&namespace, "web").await["spec"], before, "{reason} {image}");
    }
    // A new object that breaks a rule makes nothing at all.
    namespace.microservice("new", spec(&strict, "web:latest", 1)).await;
    namespace.wait_condition("new", "Stalled", "True", Some("GuardrailViolated")).await;
    let found = namespace.api::<Deployment>().get_opt("new").await.unwrap();
    assert!(found.is_none());

    // The class may come later, or be made milder: then it goes on by itself.
    namespace.microservice("web", spec(&format!("{}-late", namespace.name()), "web:v2", 3)).await;
    namespace.wait_condition("web", "Stalled", "True", Some("ClassNotFound")).await;
    let late = class(&namespace, "late", json!({}), json!({})).await;
    namespace.wait_ready("web").await;
    assert_eq!(container(&deployment(&namespace, "web").await)["image"], "web:v2");
    class(&namespace, "strict", json!({}), json!({"guardrails": {"maxReplicas": 3}})).await;
    namespace.wait_ready("new").await;

    let after = generation(&namespace, "web").await;
    delete_class(&namespace, &late).await;
    namespace.wait_condition("web", "Stalled", "True", Some("ClassNotFound")).await;
    assert_eq!(generation(&namespace, "web").await, after, "a deleted class changes nothing that runs");
    let object = namespace.get::<Microservice>("web").await;
    assert_eq!(condition(&object, "Available").map(|c| c.0).as_deref(), Some("True"));
}

/// Whether all pods of a Deployment are of its newest template and serve.
fn is_settled(deployment: &Value) -> bool {
    let (wanted, status) = (&deployment["spec"]["replicas"], &deployment["status"]);
    status["observedGeneration"] == deployment["metadata"]["generation"]
        && ["updatedReplicas", "availableReplicas", "replicas"].iter().all(|count| status[count] == *wanted)
}

/// A service without ports: it needs no Service, which is slow to make.
fn worker(class: &str, image: &str) -> Value {
    json!({"image": image, "className": class, "ports": [], "health": {"type": "None"}})
}

/// Makes services of one class.
async fn fleet(namespace: &Namespace, count: usize, class: &str, image: &str) -> Vec<String> {
    let names: Vec<String> = (0..count).map(|number| format!("web-{number}")).collect();
    let spec = worker(class, image);
    let made = names.iter().map(|name| async {
        namespace.microservice(name, spec.clone()).await;
        namespace.wait_ready(name).await;
    });
    stream::iter(made).buffer_unordered(4).collect::<()>().await;
    names
}

/// Waits until all Deployments have this value; returns at most how many were seen rolling at a time.
async fn wait_fleet(namespace: &Namespace, count: usize, pointer: &str, value: Value) -> usize {
    let most = AtomicUsize::new(0);
    eventually(Duration::from_secs(60), "every service follows its class", || async {
        let list = namespace.api::<Deployment>().list(&Default::default()).await;
        let items = list.map_err(|error| error.to_string())?.items;
        let items: Vec<Value> = items.iter().map(|item| serde_json::to_value(item).unwrap()).collect();
        most.fetch_max(items.iter().filter(|item| !is_settled(item)).count(), Ordering::Relaxed);
        let changed = items.iter().filter(|item| item.pointer(pointer) == Some(&value)).count();
        if changed == count { Ok(()) } else { Err(format!("{changed} have changed")) }
    })
    .await;
    most.into_inner()
}

#[tokio::test]
async fn a_change_of_a_class_goes_out_at_a_bounded_rate_and_is_then_at_rest() {
    const SERVICES: usize = 16;
    let (namespace, operator) = ground().await;
    let audit = cluster().audit().await;
    let replicas = |count: i32| json!({"defaults": {"replicas": count}});
    let name = class(&namespace, "fleet", json!({}), replicas(1)).await;
    let names = fleet(&namespace, SERVICES, &name, "web:v1").await;
    wait_class_services(&namespace, &name, SERVICES).await;

    let mark = audit.mark().await;
    class(&namespace, "fleet", json!({}), replicas(2)).await;
    // A change of a service itself does not wait in that queue.
    namespace.microservice("own", worker(&name, "web:v1")).await;
    namespace.wait_ready("own").await;
    wait_fleet(&namespace, SERVICES + 1, "/spec/replicas", json!(2)).await;
    join_all(names.iter().map(|name| namespace.wait_ready(name))).await;

    let applies = audit.since(mark).await.of(&operator.user()).writes().resource("deployments");
    let applies = applies.namespace(namespace.name()).only(|request| request.name != "own");
    assert_eq!(applies.count(), SERVICES, "{applies}");
    let times: Vec<f64> = applies.0.iter().map(|request| seconds(&request.at)).collect();
    for start in &times {
        let burst = times.iter().filter(|time| (*start..start + 1.0).contains(time)).count();
        // What has been saved up, what the second itself gives, and what has come late from the one before.
        assert!(burst < 3 * RATE, "{burst} within a second: {applies}");
    }
    let took = times.iter().fold(f64::MIN, |a, b| a.max(*b)) - times.iter().fold(f64::MAX, |a, b| a.min(*b));
    println!("{SERVICES} services at {RATE} a second took {took:.1} s");
    let least = (SERVICES - RATE) as f64 / RATE as f64;
    assert!(took >= least * 0.6, "{SERVICES} services took only {took} s: {applies}");

    join_all(names.iter().map(|name| wait_counted(&namespace, name, 2))).await;
    wait_counted(&namespace, "own", 2).await;
    wait_class_services(&namespace, &name, SERVICES + 1).await;
    let rest = audit.mark().await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let seen = audit.since(rest).await.of(&operator.user()).only(|request| {
        let ours = request.namespace == namespace.name() || request.name == name;
        ours && request.verb != "watch"
    });
    assert_eq!(seen.count(), 0, "{seen}");
    annotate(&namespace, "web-1", "microservice.dev/restart", "now").await;
    eventually(PATIENCE, "it is still awake", || async {
        let seen = audit.since(rest).await.namespace(namespace.name()).of(&operator.user());
        let seen = seen.writes().resource("deployments");
        if seen.count() == 1 { Ok(()) } else { Err(seen.to_string()) }
    })
    .await;
}

/// The moment of an audit line within its hour, in seconds.
fn seconds(at: &str) -> f64 {
    let part = |range| at.get(range).and_then(|text: &str| text.parse::<f64>().ok()).expect("RFC 3339");
    part(11..13) * 3600.0 + part(14..16) * 60.0 + part(17..26)
}

#[tokio::test]
async fn a_change_of_a_class_lets_only_some_services_roll_at_a_time() {
    const SERVICES: usize = 5;
    let (namespace, _operator) = ground().await;
    let drain = |seconds: i32| json!({"defaults": {"replicas": 1, "shutdown": {"drainSeconds": seconds}}});
    let name = class(&namespace, "fleet", json!({}), drain(3)).await;
    let names = fleet(&namespace, SERVICES, &name, "web:v1-slow").await;
    class(&namespace, "fleet", json!({}), drain(4)).await;
    let pointer = "/spec/template/spec/containers/0/lifecycle/preStop/sleep/seconds";
    let most = wait_fleet(&namespace, SERVICES, pointer, json!(4)).await;
    println!("at most {most} services rolled at once");
    assert_eq!(most, ROLLING);
    join_all(names.iter().map(|name| namespace.wait_ready(name))).await;
}

/// How often the class says that something is found, by kind.
async fn found_under(namespace: &Namespace, name: &str) -> Vec<(String, String, i32)> {
    let status = classes(namespace).get(name).await.expect("the class is there").status;
    let counts = status.unwrap_or_default().findings.into_iter();
    counts.map(|found| (found.kind, found.severity, found.count)).collect()
}

#[tokio::test]
async fn what_is_found_in_the_system_is_told_by_the_class_and_counted() {
    let (namespace, operator) = ground().await;
    let name = class(&namespace, "system", json!({}), json!({})).await;
    let calling = |callee: &str| {
        let calls = json!([{"name": callee, "timeout": "1s"}]);
        json!({"image": "web:v1", "className": name, "replicas": 1, "calls": calls})
    };
    namespace.microservice("one", calling("two")).await;
    namespace.microservice("two", calling("one")).await;
    let is = |what: &'static str, wanted: Vec<(String, String, i32)>| {
        let (namespace, name) = (&namespace, &name);
        eventually(PATIENCE, what, move || {
            let wanted = wanted.clone();
            async move {
                let found = found_under(namespace, name).await;
                if found == wanted { Ok(()) } else { Err(format!("{found:?}")) }
            }
        })
    };
    is("a circle is found", vec![("Cycle".to_owned(), "error".to_owned(), 1)]).await;
    let status = classes(&namespace).get(&name).await.expect("the class is there").status.unwrap_or_default();
    let worst = status.worst_findings.first().expect("it is named").clone();
    let both = ["one", "two"].map(|service| format!("{}/{service}", namespace.name()));
    assert_eq!(worst.services, both, "{worst:?}");
    let (_, metrics) = operator.http("/metrics").await.expect("the operator answers");
    let counted = r#"microservice_operator_graph_findings{kind="Cycle",severity="error"}"#;
    assert!(metrics.contains(counted), "{metrics}");

    namespace.delete::<Microservice>("one").await;
    is("its callee is gone", vec![("MissingPeer".to_owned(), "error".to_owned(), 1)]).await;
    namespace.microservice("two", json!({"image": "web:v1", "className": name, "replicas": 1})).await;
    is("nothing is left", Vec::new()).await;
}

#[tokio::test]
async fn a_class_that_wants_consent_in_writing_ends_calls_that_nobody_allowed() {
    let (namespace, _operator) = ground().await;
    let name = class(&namespace, "consent", json!({}), json!({})).await;
    let spec = |calls: Value| json!({"className": name, "image": "shop/a:v1", "replicas": 1, "calls": calls});
    namespace.microservice("callee", spec(json!([]))).await;
    namespace.microservice("caller", spec(json!([{"name": "callee"}]))).await;
    namespace.wait_condition("caller", "DependenciesReady", "True", Some("DependenciesReady")).await;
    class(&namespace, "consent", json!({}), json!({"sameNamespaceConsent": "Explicit"})).await;
    let told = namespace.wait_condition("caller", "DependenciesReady", "False", Some("PendingConsent")).await;
    let (.., message) = condition(&told, "DependenciesReady").expect("the condition is there");
    assert!(message.contains("have `callers: [{name: caller}]` added to its spec"), "{message}");
    let mut allowing = spec(json!([]));
    allowing["callers"] = json!([{"name": "caller"}]);
    namespace.microservice("callee", allowing).await;
    namespace.wait_condition("caller", "DependenciesReady", "True", Some("DependenciesReady")).await;
}
