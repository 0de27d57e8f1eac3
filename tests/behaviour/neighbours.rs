//! Who calls whom: consent of both sides, what neighbours tell of each other, and that a change costs
//! nobody else anything.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::ConfigMap;
use microservice_operator::api::Microservice;
use serde_json::json;

use super::quiet::settle;
use crate::support::{Cluster, Namespace, Operator, OperatorOptions, eventually, see_a_repair};

/// Looks that the operator has had at a service so far, by its log.
fn looks(operator: &Operator, name: &str) -> usize {
    let named = format!("\"microservice\":\"{name}\"");
    operator.log().lines().filter(|line| line.contains("\"reconciled\"") && line.contains(&named)).count()
}

fn message(object: &Microservice) -> String {
    let status = object.status.clone().unwrap_or_default();
    let found = status.conditions.into_iter().find(|condition| condition.type_ == "DependenciesReady");
    found.map(|condition| condition.message).unwrap_or_default()
}

#[tokio::test]
async fn a_call_is_granted_by_both_sides_and_revoked_by_either() {
    let cluster = Cluster::shared();
    let namespace = Namespace::new(cluster, "consent").await;
    let _operator = Operator::start(cluster, OperatorOptions::namespace(namespace.name())).await;
    let calling = json!({"image": "shop/orders:v1", "replicas": 1, "calls": [{"name": "inventory"}]});
    let callee =
        |callers: serde_json::Value| json!({"image": "shop/inventory:v1", "replicas": 1, "callers": callers});
    let is = |status: &'static str, reason: &'static str| {
        namespace.wait_condition("orders", "DependenciesReady", status, Some(reason))
    };

    namespace.microservice("orders", calling.clone()).await;
    is("False", "MissingPeer").await;
    namespace.wait_ready("orders").await;

    namespace.microservice("inventory", callee(json!([]))).await;
    let pending = is("False", "PendingConsent").await;
    assert!(
        message(&pending).contains("have `- {name: orders}` added to its spec.callers"),
        "{}",
        message(&pending)
    );
    let asked =
        namespace.wait_condition("inventory", "DependenciesReady", "True", Some("PendingConsent")).await;
    assert!(message(&asked).contains("waits for `callers: - {name: orders}`"), "{}", message(&asked));
    let asking = asked.status.and_then(|status| status.asking).expect("the callee counts who asks");
    assert_eq!((asking.count, asking.names), (1, vec![format!("{}/orders", namespace.name())]));
    namespace.wait_ready("inventory").await;

    namespace.microservice("inventory", callee(json!([{"name": "orders"}]))).await;
    let granted = is("True", "DependenciesReady").await;
    let stands = granted.status.unwrap_or_default().dependencies;
    assert_eq!(format!("{:?}", stands[0].state), "Ready");

    namespace.microservice("inventory", callee(json!([{"name": "payments"}]))).await;
    is("False", "PendingConsent").await;
    namespace.microservice("inventory", json!({"image": "shop/inventory:v1", "replicas": 0})).await;
    is("False", "PeerNotServing").await;
    eventually(Duration::from_secs(30), "the cause is told", || async {
        let told = message(&namespace.get::<Microservice>("orders").await);
        if told.contains("does not serve: ScaledToZero") { Ok(()) } else { Err(told) }
    })
    .await;
    namespace.wait_ready("orders").await;

    namespace.microservice("orders", json!({"image": "shop/orders:v1", "replicas": 1})).await;
    eventually(Duration::from_secs(30), "without calls there is nothing to tell", || async {
        let status = namespace.get::<Microservice>("orders").await.status.unwrap_or_default();
        let told = status.conditions.iter().any(|condition| condition.type_ == "DependenciesReady");
        if told || !status.dependencies.is_empty() { Err("still there") } else { Ok(()) }
    })
    .await;
}

#[tokio::test]
async fn a_change_is_looked_at_by_neighbours_alone_and_costs_nothing_at_rest() {
    let cluster = Cluster::shared();
    let namespace = Namespace::new(cluster, "neighbours").await;
    let audit = cluster.audit().await;
    let mut operator = Operator::start(cluster, OperatorOptions::namespace(namespace.name())).await;
    let service = |calls: &[&str], port: u16| {
        let calls: Vec<_> = calls.iter().map(|name| json!({"name": name})).collect();
        json!({"image": "shop/service:v1", "replicas": 1, "port": port, "calls": calls})
    };
    for (name, calls) in [
        ("front", &["middle"][..]),
        ("middle", &["back"]),
        ("back", &[]),
        ("other", &["front"]),
        ("alone", &[]),
    ] {
        namespace.microservice(name, service(calls, 3000)).await;
    }
    for name in ["front", "middle", "other"] {
        namespace.wait_condition(name, "DependenciesReady", "True", None).await;
    }
    for name in ["front", "middle", "back", "other", "alone"] {
        namespace.wait_ready(name).await;
    }
    settle(&audit, &operator.user()).await;

    let strangers = ["front", "other", "alone"];
    let before = strangers.map(|name| looks(&operator, name));
    let callee = looks(&operator, "middle");
    namespace.microservice("back", service(&[], 8080)).await;
    eventually(Duration::from_secs(30), "the caller is looked at", || async {
        if looks(&operator, "middle") > callee { Ok(()) } else { Err("not yet") }
    })
    .await;
    namespace.wait_ready("back").await;
    settle(&audit, &operator.user()).await;
    // A class that another test writes has all of them looked at, and that one too which has no part in this.
    let now = strangers.map(|name| looks(&operator, name));
    let of_all = now[2] - before[2];
    assert!(
        now[0] <= before[0] + of_all && now[1] <= before[1] + of_all,
        "nobody but the neighbour: {before:?}, {now:?}"
    );

    operator.stop().await;
    let mark = audit.mark().await;
    operator.restart().await;
    eventually(Duration::from_secs(30), "the new process has looked at all", || async {
        let (_, text) = operator.http("/metrics").await.map_err(|error| error.to_string())?;
        let counts = text.lines().filter(|line| line.contains("reconciles_total{"));
        let sum: usize = counts.filter_map(|line| line.rsplit(' ').next()?.parse::<usize>().ok()).sum();
        if sum >= 5 { Ok(()) } else { Err(format!("{sum} of 5")) }
    })
    .await;
    settle(&audit, &operator.user()).await;
    let seen = audit.since(mark).await.of(&operator.user()).writes().without("leases");
    assert_eq!(seen.count(), 0, "after a restart\n{seen}");
    see_a_repair(&namespace, "front").await;
}

async fn peers(namespace: &Namespace, name: &str) -> BTreeMap<String, String> {
    namespace.get::<ConfigMap>(&format!("{name}-peers")).await.data.unwrap_or_default()
}

async fn generation(namespace: &Namespace, name: &str) -> Option<i64> {
    namespace.get::<Deployment>(name).await.metadata.generation
}

#[tokio::test]
async fn pods_learn_where_their_peers_are_and_roll_for_a_changed_port_only() {
    let cluster = Cluster::shared();
    let namespace = Namespace::new(cluster, "discovery").await;
    let audit = cluster.audit().await;
    let mut options = OperatorOptions::namespace(namespace.name());
    options.arguments = vec!["--max-rolling=1".to_owned()];
    let operator = Operator::start(cluster, options).await;
    let calling = json!({"image": "shop/caller:v1", "replicas": 1, "calls": [{"name": "stock-service", "envPrefix": "STOCK"}]});
    let callers = ["one", "two"];
    let callee = |port: u16| json!({"image": "shop/stock:v1", "replicas": 1, "port": port});
    let generations = || async { [generation(&namespace, "one").await, generation(&namespace, "two").await] };
    let told = |port: u16| {
        let host = format!("stock-service.{}.svc", namespace.name());
        BTreeMap::from([
            ("STOCK_URL".to_owned(), format!("http://{host}:{port}")),
            ("STOCK_HOST".to_owned(), host),
            ("STOCK_PORT".to_owned(), port.to_string()),
        ])
    };
    for name in callers {
        namespace.microservice(name, calling.clone()).await;
        namespace.wait_ready(name).await;
        assert_eq!(
            peers(&namespace, name).await,
            told(3000),
            "what is assumed of a service that is not there"
        );
    }
    let first = namespace.get::<Deployment>("one").await.spec.unwrap().template.spec.unwrap();
    let sources = first.containers[0].env_from.clone().unwrap_or_default();
    assert_eq!(
        sources[0].config_map_ref.as_ref().unwrap().name,
        "one-peers",
        "the first, so that others win"
    );

    let before = generations().await;
    namespace.microservice("stock-service", callee(3000)).await;
    namespace.wait_ready("stock-service").await;
    namespace.wait_condition("one", "DependenciesReady", "True", None).await;
    namespace.delete::<Microservice>("stock-service").await;
    namespace.wait_condition("one", "DependenciesReady", "False", Some("MissingPeer")).await;
    settle(&audit, &operator.user()).await;
    assert_eq!(generations().await, before, "one that comes or goes rolls nobody");

    let mark = audit.mark().await;
    namespace.microservice("stock-service", callee(8080)).await;
    eventually(Duration::from_secs(60), "both callers are told of the other port", || async {
        for name in callers {
            let now = peers(&namespace, name).await;
            if now != told(8080) {
                return Err(format!("{name}: {now:?}"));
            }
        }
        Ok(())
    })
    .await;
    for name in callers {
        namespace.wait_ready(name).await;
    }
    settle(&audit, &operator.user()).await;
    let after = generations().await;
    assert!(after[0] > before[0] && after[1] > before[1], "{before:?} {after:?}");
    let waited = audit.since(mark).await.of(&operator.user()).writes().resource("configmaps");
    assert_eq!(waited.count(), 2, "{waited}");

    namespace.delete::<Microservice>("stock-service").await;
    namespace.wait_condition("one", "DependenciesReady", "False", Some("MissingPeer")).await;
    settle(&audit, &operator.user()).await;
    assert_eq!(generations().await, after, "its last port is remembered");
    assert_eq!(peers(&namespace, "one").await, told(8080));

    let mut silent = calling;
    silent["discovery"] = json!("None");
    namespace.microservice("one", silent).await;
    eventually(Duration::from_secs(30), "nothing is told any more", || async {
        let gone =
            namespace.api::<ConfigMap>().get_opt("one-peers").await.map_err(|error| error.to_string())?;
        if gone.is_none() { Ok(()) } else { Err("it is still there".to_owned()) }
    })
    .await;
}
