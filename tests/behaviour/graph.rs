//! `graph --cluster` draws what runs as `graph -f` draws the files that it was applied from.

use std::fs;
use std::process::Command;

use futures::{StreamExt, stream};
use serde_json::{Value, json};

use crate::command_line::{file, printed, program};
use crate::support::{Cluster, Namespace, install_crds, scratch};

fn shop() -> [(&'static str, Value); 4] {
    [
        (
            "orders",
            json!({"image": "web:v1", "calls": [
                {"name": "stock", "timeout": "2s", "retries": {"attempts": 2, "perTryTimeout": "500ms"}},
                {"name": "tips", "timeout": "1s", "optional": true},
                {"name": "ledger", "timeout": "1s"},
                {"name": "nobody"},
                {"workload": {"podSelector": {"matchLabels": {"app": "redis"}}, "ports": [6379]}},
                {"external": {"host": "api.payments.example", "ports": [443]}},
            ]}),
        ),
        ("stock", json!({"image": "web:v1", "calls": [{"name": "orders", "timeout": "2s"}]})),
        ("ledger", json!({"image": "web:v1", "callers": []})),
        ("tips", json!({"image": "web:v1"})),
    ]
}

#[tokio::test]
async fn the_cluster_is_drawn_as_the_files_that_were_applied() {
    let cluster = Cluster::shared();
    let namespace = Namespace::new(cluster, "drawn").await;
    install_crds(&namespace.client(), cluster).await;
    let mut files = vec!["graph".to_owned(), "-o".to_owned(), "json".to_owned()];
    for (name, spec) in shop() {
        namespace.microservice(name, spec.clone()).await;
        files.extend(["-f".to_owned(), file(&namespace, name, &spec).display().to_string()]);
    }
    let files: Vec<&str> = files.iter().map(String::as_str).collect();
    let (code, expected, err) = program(cluster, &namespace, &files);
    assert_eq!((code, err.as_str()), (0, ""));
    let kinds = ["MissingPeer", "PendingConsent", "Cycle", "NoTimeout"];
    assert!(kinds.iter().all(|kind| expected.contains(&format!("\"{kind}\""))), "{expected}");

    // What is wrong elsewhere is not told here.
    let elsewhere = Namespace::new(cluster, "elsewhere").await;
    let wrong = json!({"image": "web:v1", "className": "nobody", "kafka": {}});
    elsewhere.microservice("wrong", wrong).await;
    let (code, drawn, err) = program(cluster, &namespace, &["graph", "--cluster", "-o", "json"]);
    assert_eq!((code, err.as_str()), (0, ""));
    assert_eq!(drawn, expected);
    let (code, _, err) = program(cluster, &elsewhere, &["graph", "--cluster"]);
    let told = format!("Microservice {}/wrong:1:1: spec.className: ", elsewhere.name());
    assert!(code == 1 && err.starts_with(&told), "{err}");
    let (code, ..) = program(cluster, &namespace, &["graph", "--cluster", "--fail-on", "error"]);
    assert_eq!(code, 1);
}

#[tokio::test]
async fn who_may_read_one_namespace_only_is_told_of_it() {
    let cluster = Cluster::shared();
    let namespace = Namespace::new(cluster, "reader").await;
    install_crds(&namespace.client(), cluster).await;
    for (name, spec) in shop() {
        namespace.microservice(name, spec).await;
    }
    let user = format!("reader-of-{}", namespace.name());
    let mut config = serde_json::to_value(cluster.kubeconfig()).unwrap();
    config["users"][0]["user"]["as"] = json!(user);
    let path = scratch().join(format!("{user}.json"));
    fs::write(&path, config.to_string()).unwrap();
    let path = path.to_str().unwrap();
    let asked = || program(cluster, &namespace, &["graph", "--cluster", "--kubeconfig", path, "-o", "json"]);

    let (code, out, err) = asked();
    assert_eq!((code, out.as_str()), (2, ""));
    assert!(
        err.contains("the Microservices cannot be listed: ")
            && err.contains("forbidden")
            && err.contains(&user),
        "{err}"
    );

    let group = "rbac.authorization.k8s.io";
    namespace
        .apply(json!({
            "apiVersion": format!("{group}/v1"), "kind": "Role", "metadata": {"name": "reader"},
            "rules": [{"apiGroups": ["microservice.dev"], "resources": ["microservices"], "verbs": ["list"]}],
        }))
        .await;
    namespace
        .apply(json!({
            "apiVersion": format!("{group}/v1"), "kind": "RoleBinding", "metadata": {"name": "reader"},
            "roleRef": {"apiGroup": group, "kind": "Role", "name": "reader"},
            "subjects": [{"apiGroup": group, "kind": "User", "name": user}],
        }))
        .await;
    let allowed = || async {
        match asked() {
            (0, out, err) => Ok((out, err)),
            (_, _, err) => Err(err),
        }
    };
    let (out, err) =
        crate::support::eventually(std::time::Duration::from_secs(10), "the right is known", allowed).await;
    let drawn: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(drawn["services"].as_array().unwrap().len(), 4);
    let told: Vec<&str> = err.lines().collect();
    assert_eq!(
        told,
        [
            format!(
                "the Microservices of other namespaces may not be read: for those of {} they count as missing",
                namespace.name()
            )
            .as_str(),
            "microserviceclasses may not be read: the class of a service counts for nothing",
            "namespaces may not be read: what the label of a namespace says of classes counts for nothing",
        ]
    );
}

#[tokio::test]
async fn more_services_than_one_answer_holds_are_all_drawn() {
    const COUNT: usize = 501;
    let cluster = Cluster::shared();
    let namespace = Namespace::new(cluster, "many").await;
    install_crds(&namespace.client(), cluster).await;
    let create = |number: usize| {
        let namespace = &namespace;
        async move { namespace.microservice(&format!("one-{number}"), json!({"image": "web:v1"})).await }
    };
    stream::iter(0..COUNT).map(create).buffer_unordered(16).collect::<Vec<_>>().await;
    let mut command = Command::new(env!("CARGO_BIN_EXE_microservice-operator"));
    command.env("KUBECONFIG", cluster.kubeconfig_path()).args(["graph", "--cluster", "-A", "-o", "json"]);
    let (code, out, err) = printed(&command.output().unwrap());
    assert!(code < 2, "{err}");
    let drawn: Value = serde_json::from_str(&out).unwrap();
    let own = drawn["services"].as_array().unwrap().iter();
    assert_eq!(own.filter(|service| service["namespace"] == namespace.name()).count(), COUNT);
}
