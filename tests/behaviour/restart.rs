//! A fleet at rest and through restarts: an operator that ends, is killed or comes back writes only what
//! somebody else has changed meanwhile.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::{StreamExt, stream};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Secret, Service};
use kube::api::ListParams;
use kube::{Api, ResourceExt};
use microservice_operator::api::{Microservice, MicroserviceClass};
use serde_json::{Value, json};

use super::quiet::{resource_versions, settle};
use crate::support::{
    Cluster, Namespace, Operator, OperatorOptions, Request, Requests, apply_as_given, eventually,
    see_a_repair,
};

const FLEET: usize = 200;
const REST: Duration = Duration::from_secs(60);

/// Applies that many stopped services, many at a time: no pods, so that the machine measures us.
async fn fleet(namespace: &Namespace, size: usize) {
    let spec = json!({"image": "shop/fleet:v1", "replicas": 0, "config": {"LOG_LEVEL": "info"}});
    stream::iter(0..size)
        .for_each_concurrent(16, |number| {
            let spec = spec.clone();
            async move {
                namespace.microservice(&format!("fleet-{number}"), spec).await;
            }
        })
        .await;
}

async fn wait_all_ready(namespace: &Namespace, size: usize) {
    let api = namespace.api::<Microservice>();
    let what = format!("all {size} Microservices are Ready");
    eventually(Duration::from_secs(120), &what, || async {
        let all = api.list(&ListParams::default()).await.map_err(|error| error.to_string())?;
        let ready = all.items.iter().filter(|object| {
            let status = object.status.clone().unwrap_or_default();
            status.observed_generation == object.metadata.generation
                && status.conditions.iter().any(|c| c.type_ == "Ready" && c.status == "True")
        });
        let ready = ready.count();
        if ready == size { Ok(()) } else { Err(format!("{ready} of {}", all.items.len())) }
    })
    .await;
}

/// Waits until the operator has looked at that many objects since its start.
async fn wait_looks(operator: &Operator, looks: usize) {
    eventually(Duration::from_secs(60), "the operator has looked at every object", || async {
        let sum = operator.metric("microservice_operator_reconciles_total{").await;
        let sum = sum.map_err(|error| error.to_string())?;
        if sum >= looks { Ok(()) } else { Err(format!("{sum} of {looks}")) }
    })
    .await;
}

fn child_writes(requests: &Requests) -> Requests {
    requests.writes().without("microservices/status").without("events")
}

/// How often it was asked which optional APIs there are, and all other requests.
fn discovery(seen: &Requests) -> (usize, Requests) {
    let of_no_resource = |request: &Request| request.resource.is_empty();
    (seen.only(of_no_resource).count(), seen.only(|request| !of_no_resource(request)))
}

#[tokio::test]
async fn two_hundred_objects_cost_nothing_at_rest_nor_at_a_restart() {
    // Of its own: what others do to a server, to the kinds for example, ends watches.
    let cluster: &'static Cluster = Box::leak(Box::new(Cluster::own()));
    let namespace = Namespace::new(cluster, "fleet").await;
    let audit = cluster.audit().await;
    let mut operator = Operator::start(cluster, OperatorOptions::namespace(namespace.name())).await;
    fleet(&namespace, FLEET).await;
    wait_all_ready(&namespace, FLEET).await;
    settle(&audit, &operator.user()).await;

    let (code, took) = operator.stop().await;
    assert_eq!(code, Some(0), "exit code after SIGTERM");
    assert!(took < Duration::from_secs(5), "SIGTERM took {took:?}");
    let mark = audit.mark().await;
    operator.restart().await;
    wait_looks(&operator, FLEET).await;
    let seen = audit.since(mark).await.of(&operator.user());
    assert_eq!(seen.writes().count(), 0, "after a restart\n{}", seen.writes());
    let (asked, seen) = discovery(&seen);
    assert_eq!(asked, 1, "one question for each optional API");
    assert_eq!(seen.only(|request| request.verb == "get").count(), 0, "{seen}");
    println!("restart with {FLEET} objects: {} requests", seen.count());
    assert!(seen.reads().count() <= 13, "one list per kind\n{seen}");

    let mark = audit.mark().await;
    tokio::time::sleep(REST).await;
    let (asked, seen) = discovery(&audit.since(mark).await.of(&operator.user()));
    assert!(asked <= 2, "one a minute, not {asked} in {REST:?}");
    assert_eq!(seen.writes().count(), 0, "in {REST:?} of rest\n{}", seen.writes());
    assert_eq!(seen.reads().count(), 0, "in {REST:?} of rest\n{}", seen.reads());

    let mark = audit.mark().await;
    let foreign = json!({"metadata": {"labels": {"cost-centre": "c7"}}});
    stream::iter(0..FLEET)
        .for_each_concurrent(16, |number| {
            let (name, foreign, namespace) = (format!("fleet-{number}"), foreign.clone(), &namespace);
            async move {
                namespace.patch::<Deployment>(&name, foreign.clone()).await;
                namespace.patch::<Service>(&name, foreign).await;
            }
        })
        .await;
    // The events of one kind come in order: once this edit is repaired, all labels have been seen.
    see_a_repair(&namespace, "fleet-0").await;
    settle(&audit, &operator.user()).await;
    let seen = audit.since(mark).await.of(&operator.user());
    assert_eq!(child_writes(&seen).count(), 1, "one repair and nothing else\n{seen}");
    assert_eq!(seen.writes().only(|request| !request.name.starts_with("fleet-0")).count(), 0, "{seen}");
}

#[tokio::test]
async fn a_restart_repairs_what_happened_meanwhile_and_nothing_else() {
    let cluster = Cluster::shared();
    let namespace = Namespace::new(cluster, "restart").await;
    let audit = cluster.audit().await;
    let mut operator = Operator::start(cluster, OperatorOptions::namespace(namespace.name())).await;
    namespace
        .apply(json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "db"},
            "stringData": {"url": "postgres://db"},
        }))
        .await;
    let spec = |grace: i32| {
        json!({
            "image": "shop/a:v1", "replicas": 1, "shutdown": {"gracePeriodSeconds": grace}, "config": {"LOG_LEVEL": "info"},
            "secrets": [
                {"name": "db", "env": [{"name": "DATABASE_URL", "key": "url"}]},
            ],
        })
    };
    let names = ["edited", "deleted", "changed", "same", "gone"];
    for name in names {
        namespace.microservice(name, spec(40)).await;
    }
    for name in names {
        namespace.wait_ready(name).await;
    }
    settle(&audit, &operator.user()).await;
    let templates = pod_templates(&namespace).await;
    assert_eq!(operator.stop().await.0, Some(0));

    let ports = json!({"spec": {"ports": [{"name": "http", "port": 3000, "targetPort": 4000}]}});
    namespace.patch::<Service>("edited", ports).await;
    namespace.delete::<ConfigMap>("deleted-config").await;
    namespace.microservice("changed", spec(50)).await;
    namespace.delete::<Microservice>("gone").await;
    let mark = audit.mark().await;
    operator.restart().await;
    wait_looks(&operator, 4).await;
    settle(&audit, &operator.user()).await;
    for name in ["edited", "deleted", "changed", "same"] {
        namespace.wait_ready(name).await;
    }

    let seen = audit.since(mark).await.of(&operator.user());
    let written: Vec<_> =
        child_writes(&seen).0.iter().map(|r| format!("{} {} {}", r.verb, r.resource, r.name)).collect();
    let expected = ["patch configmaps deleted-config", "patch deployments changed", "patch services edited"];
    let mut sorted = written.clone();
    sorted.sort();
    assert_eq!(sorted, expected, "{seen}");
    // The key of the hashes is the same after a restart: no pod rolls.
    let after = pod_templates(&namespace).await;
    for name in ["edited", "deleted", "same"] {
        assert_eq!(after.get(name), templates.get(name), "the pods of {name} must not roll");
    }
}

async fn pod_templates(namespace: &Namespace) -> BTreeMap<String, Value> {
    let all = namespace.api::<Deployment>().list(&ListParams::default()).await.expect("they can be listed");
    let template = |deployment: &Deployment| {
        serde_json::to_value(deployment.spec.as_ref().map(|spec| &spec.template)).expect("a template is JSON")
    };
    all.items.iter().map(|deployment| (deployment.name_any(), template(deployment))).collect()
}

#[tokio::test]
async fn an_operator_killed_in_the_middle_makes_every_child_exactly_once() {
    const SIZE: usize = 30;
    let cluster = Cluster::shared();
    let namespace = Namespace::new(cluster, "crash").await;
    let audit = cluster.audit().await;
    let mut operator = Operator::start(cluster, OperatorOptions::namespace(namespace.name())).await;
    let mark = audit.mark().await;
    let spec = json!({
        "image": "shop/fleet:v1", "replicas": 0, "config": {"LOG_LEVEL": "info"},
        "secrets": [{
            "name": "keys", "env": [{"name": "KEY", "key": "key"}], "generate": [{"key": "key"}],
        }],
    });
    for round in 0..3 {
        for number in round * SIZE / 3..(round + 1) * SIZE / 3 {
            let mut spec = spec.clone();
            spec["secrets"][0]["name"] = json!(format!("keys-{number}"));
            namespace.microservice(&format!("fleet-{number}"), spec).await;
        }
        let some = round * SIZE / 3 + 3;
        eventually(Duration::from_secs(30), "some work is done", || async {
            let made = namespace.api::<Secret>().list(&ListParams::default()).await;
            let made = made.map_err(|error| error.to_string())?.items.len();
            if made >= some { Ok(()) } else { Err(format!("{made} of {some} Secrets")) }
        })
        .await;
        operator.kill().await;
        operator.restart().await;
    }
    wait_all_ready(&namespace, SIZE).await;
    settle(&audit, &operator.user()).await;

    let seen = audit.since(mark).await.of(&operator.user()).namespace(namespace.name());
    let created = child_writes(&seen).only(|request| request.code == 201);
    let mut times: BTreeMap<(String, String), usize> = BTreeMap::new();
    for request in &created.0 {
        *times.entry((request.resource.clone(), request.name.clone())).or_default() += 1;
    }
    // The answer to a create may have been lost with the process, so what is there is counted too.
    assert_eq!(resource_versions(&namespace).await.len(), SIZE * 5, "a child is missing or too many");
    assert!(times.values().all(|times| *times == 1), "a child was made twice\n{created}");
    assert_eq!(seen.only(|request| request.verb == "delete").count(), 0, "{seen}");
    see_a_repair(&namespace, "fleet-0").await;
}

/// What a new release plans, and what was missed while none ran, looks the same to a process that starts.
#[tokio::test]
async fn an_operator_that_starts_and_wants_other_pods_lets_only_some_services_roll_at_a_time() {
    const SERVICES: usize = 5;
    const ROLLING: usize = 2;
    let namespace = Namespace::new(Cluster::shared(), "release").await;
    let options = OperatorOptions {
        arguments: vec![format!("--max-rolling={ROLLING}")],
        ..OperatorOptions::namespace(namespace.name())
    };
    let mut operator = Operator::start(Cluster::shared(), options).await;
    let shared = |value: &str| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "shared"}, "data": {"a": value}});
    namespace.apply(shared("one")).await;
    let names: Vec<String> = (0..SERVICES).map(|number| format!("web-{number}")).collect();
    let spec = json!({
        "image": "web:v1-slow", "replicas": 1, "ports": [], "health": {"type": "None"},
        "envFrom": [{"configMapRef": {"name": "shared"}}],
    });
    for name in &names {
        namespace.microservice(name, spec.clone()).await;
    }
    wait_all_ready(&namespace, SERVICES).await;
    operator.stop().await;
    namespace.apply(shared("two")).await;
    operator.restart().await;

    let most = AtomicUsize::new(0);
    let api = namespace.api::<Deployment>();
    let begun = |deployment: &&Deployment| deployment.metadata.generation > Some(1);
    eventually(Duration::from_secs(90), "every service rolls, one after the other", || async {
        let all = api.list(&ListParams::default()).await.map_err(|error| error.to_string())?.items;
        let done = |deployment: &&Deployment| {
            let status = deployment.status.clone().unwrap_or_default();
            let counts = [status.replicas, status.updated_replicas, status.available_replicas];
            status.observed_generation == deployment.metadata.generation && counts == [Some(1); 3]
        };
        let begun: Vec<&Deployment> = all.iter().filter(begun).collect();
        let done = begun.iter().copied().filter(done).count();
        most.fetch_max(begun.len() - done, Ordering::Relaxed);
        if done == SERVICES { Ok(()) } else { Err(format!("{} have begun, {done} are done", begun.len())) }
    })
    .await;
    assert_eq!(most.into_inner(), ROLLING);
    wait_all_ready(&namespace, SERVICES).await;
}

/// What is found in the system comes from all services: while they are looked at one after the other, what
/// was told before stands.
#[tokio::test]
async fn what_a_class_tells_of_its_services_stands_through_a_restart() {
    // The operator of all namespaces keeps the status of the classes, so it has a cluster to itself.
    let cluster: &'static Cluster = Box::leak(Box::new(Cluster::own()));
    let namespace = Namespace::new(cluster, "told").await;
    let audit = cluster.audit().await;
    let all = OperatorOptions { namespaces: Vec::new(), ..OperatorOptions::namespace("") };
    let mut operator = Operator::start(cluster, all).await;
    let class = json!({
        "apiVersion": "microservice.dev/v1alpha1", "kind": "MicroserviceClass",
        "metadata": {"name": "told"}, "spec": {},
    });
    apply_as_given(&namespace.client(), &class).await;
    for (name, callee) in [("one", "two"), ("two", "one")] {
        let calls = json!([{"name": callee, "timeout": "1s"}]);
        let spec = json!({"image": "shop/web:v1", "className": "told", "replicas": 0, "calls": calls});
        namespace.microservice(name, spec).await;
    }
    wait_counted_findings(&operator, 1).await;
    let classes: Api<MicroserviceClass> = Api::all(namespace.client());
    eventually(Duration::from_secs(30), "the class tells of the circle", || async {
        let status = classes.get("told").await.map_err(|error| error.to_string())?.status.unwrap_or_default();
        if status.findings.len() == 1 { Ok(()) } else { Err(format!("{status:?}")) }
    })
    .await;
    settle(&audit, &operator.user()).await;

    operator.stop().await;
    let mark = audit.mark().await;
    operator.restart().await;
    wait_counted_findings(&operator, 1).await;
    // The status of the classes is written two seconds after what it is about.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let seen = audit.since(mark).await.of(&operator.user()).writes();
    assert_eq!(seen.count(), 0, "{seen}");
}

/// Waits until the metrics tell of that many findings.
async fn wait_counted_findings(operator: &Operator, count: usize) {
    eventually(Duration::from_secs(30), "the system is judged", || async {
        let (_, text) = operator.http("/metrics").await.map_err(|error| error.to_string())?;
        let told = text.lines().filter(|line| line.starts_with("microservice_operator_graph_findings{"));
        let told: Vec<&str> = told.collect();
        if told.len() == count { Ok(()) } else { Err(format!("{told:?}")) }
    })
    .await;
}
