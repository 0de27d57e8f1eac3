//! A new version that cannot work: the old pods serve on without a failed request, `kubectl get msvc` says
//! in a sentence what is wrong, and the repair heals.

use futures::future::join_all;
use k8s_openapi::api::core::v1::Secret;
use microservice_operator::api::microservice::Microservice;
use serde_json::{Value, json};

use crate::fixtures::{PATIENCE, address, namespace, nobody_is_leaving, wait_ready};
use crate::support::{Cluster, Kubectl, Namespace, eventually};
use crate::traffic::Load;

/// One way to break a service: what is changed, and what is then said.
struct Case {
    name: &'static str,
    change: Value,
    repair: Value,
    reason: &'static str,
    /// In the message, in this order.
    says: &'static [&'static str],
}

fn cases() -> Vec<Case> {
    let misbehaves = |how: &str| json!({"env": [{"name": "MISBEHAVE", "value": how}]});
    let behaves = json!({"env": null});
    let secrets = |key: &str| json!({"secrets": [{"name": "key-db", "env": [{"name": "URL", "key": key}]}]});
    vec![
        Case {
            name: "image",
            change: json!({"image": "web:v2-missing"}),
            repair: json!({"image": "web:v1"}),
            reason: "ImagePullFailed",
            says: &["1 new pod cannot pull image \"web:v2-missing\"", "2 old pods keep serving."],
        },
        Case {
            name: "crash",
            change: misbehaves("crash:3"),
            repair: behaves.clone(),
            reason: "CrashLooping",
            says: &["1 new pod crashes with exit code 3", "kubectl logs crash-", "2 old pods keep serving."],
        },
        Case {
            name: "probe",
            change: json!({"health": {"path": "/status"}}),
            repair: json!({"health": null}),
            reason: "ProbeFailing",
            says: &[
                "1 new pod fails the health check",
                "GET /status answers 404",
                "2 old pods keep serving.",
            ],
        },
        Case {
            name: "answer",
            change: misbehaves("unhealthy"),
            repair: behaves.clone(),
            reason: "ProbeFailing",
            says: &[
                "1 new pod fails the health check: GET /health answers 503",
                "kubectl logs answer-",
                "2 old pods keep serving.",
            ],
        },
        Case {
            name: "key",
            change: secrets("uri"),
            repair: secrets("url"),
            reason: "WaitingForSecret",
            says: &["Waiting for key \"uri\" of Secret \"key-db\""],
        },
        Case {
            name: "memory",
            change: misbehaves("leak"),
            repair: behaves,
            reason: "OutOfMemory",
            says: &["memory", "2 old pods keep serving."],
        },
    ]
}

#[tokio::test]
async fn a_broken_version_is_explained_while_the_old_one_serves() {
    Cluster::real().load("shop", "/app/migrate", &["docker.io/library/web:v1"]);
    let (namespace, kubectl) = namespace("causes").await;
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "key-db"}, "stringData": {"url": "postgres://db"},
    });
    namespace.apply(secret).await;
    let cases = cases();
    for case in &cases {
        let mut spec = json!({
            "image": "web:v1", "replicas": 2,
            "resources": {"requests": {"memory": "32Mi"}, "limits": {"memory": "64Mi"}},
        });
        if let Some(secrets) = case.repair.get("secrets") {
            spec["secrets"] = secrets.clone();
        }
        namespace.microservice(case.name, spec).await;
    }
    join_all(cases.iter().map(|case| wait_ready(&namespace, case.name))).await;
    let addresses = join_all(cases.iter().map(|case| address(&namespace, case.name))).await;

    let load = Load::on(&addresses, 1, 20);
    for case in &cases {
        namespace.patch::<Microservice>(case.name, json!({"spec": case.change})).await;
    }
    let sentences = join_all(cases.iter().map(|case| explained(&namespace, &kubectl, case))).await;
    for case in &cases {
        namespace.patch::<Microservice>(case.name, json!({"spec": case.repair})).await;
    }
    join_all(cases.iter().map(|case| wait_ready(&namespace, case.name))).await;
    nobody_is_leaving(&namespace).await;
    let report = load.report();
    report.assert_perfect();
    println!("{} requests, none failed; said was:\n{}", report.total(), sentences.join("\n"));
    // A secret is no leftover of the test only: the service goes on reading the right key.
    namespace.get::<Secret>("key-db").await;
}

/// Waits until the table says what is wrong, and that two old pods are ready; returns the row.
async fn explained(namespace: &Namespace, kubectl: &Kubectl, case: &Case) -> String {
    let what = format!("{} is explained with {}: {:?}", case.name, case.reason, case.says);
    eventually(PATIENCE, &what, || async {
        let row = kubectl.run(&format!("get msvc {} -o wide --no-headers", case.name)).await.out;
        let mut rest = row.as_str();
        for part in [&["False", "2/2", case.reason][..], case.says].concat() {
            rest = rest.find(part).map(|at| &rest[at + part.len()..]).ok_or_else(|| row.clone())?;
        }
        let object = namespace.get::<Microservice>(case.name).await;
        let current = object.status.as_ref().and_then(|status| status.observed_generation);
        if current == object.metadata.generation { Ok(row.trim().to_owned()) } else { Err(row.clone()) }
    })
    .await
}
