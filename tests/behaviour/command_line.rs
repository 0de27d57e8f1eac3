//! The commands that ask a cluster, and the program as a plugin of kubectl.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use k8s_openapi::api::core::v1::Secret;
use microservice_operator::api::Microservice;
use serde_json::{Value, json};

use crate::steps::{PATIENCE, condition};
use crate::support::{
    Cluster, Namespace, Operator, OperatorOptions, eventually, install_crds, scratch, tool,
};

const BINARY: &str = env!("CARGO_BIN_EXE_microservice-operator");

/// Runs the program against the cluster, in this namespace.
pub fn program(cluster: &Cluster, namespace: &Namespace, arguments: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(BINARY);
    command.env("KUBECONFIG", cluster.kubeconfig_path()).args(arguments);
    command.args(["-n", namespace.name()]);
    printed(&command.output().unwrap())
}

pub fn printed(output: &Output) -> (i32, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

/// A file with a Microservice.
pub fn file(namespace: &Namespace, name: &str, spec: &Value) -> PathBuf {
    let object = json!({
        "apiVersion": "microservice.dev/v1alpha1", "kind": "Microservice", "metadata": {"name": name}, "spec": spec,
    });
    let path = directory(namespace).join(format!("{name}.json"));
    fs::write(&path, object.to_string()).unwrap();
    path
}

fn directory(namespace: &Namespace) -> PathBuf {
    let directory = scratch().join(namespace.name());
    fs::create_dir_all(&directory).unwrap();
    directory
}

#[tokio::test]
async fn explain_leads_from_the_object_to_the_container() {
    let cluster = Cluster::shared();
    let namespace = Namespace::new(cluster, "explain").await;
    let _operator = Operator::start(cluster, OperatorOptions::namespace(namespace.name())).await;
    namespace.microservice("good", json!({"image": "web:v1", "replicas": 1})).await;
    namespace.microservice("broken", json!({"image": "web:v1-missing", "replicas": 2})).await;
    namespace.wait_ready("good").await;
    // How many pods fail is progress: it is told a second after the first.
    let told = eventually(PATIENCE, "both pods are told of", || async {
        let object = namespace.get::<Microservice>("broken").await;
        let (_, reason, message) = condition(&object, "Ready").ok_or_else(String::new)?;
        let both = reason == "ImagePullFailed" && message.starts_with("2 of 2 pods");
        if both { Ok(message) } else { Err(message) }
    })
    .await;

    let (code, out, err) = program(cluster, &namespace, &["explain", "broken"]);
    assert_eq!((code, err.as_str()), (1, ""), "{out}");
    let head = format!("Microservice {}/broken is not Ready: ImagePullFailed\n  ", namespace.name());
    assert!(out.starts_with(&format!("{head}{told}\n")), "{out}");
    for line in [
        "├─ ✗ Available=False ImagePullFailed, for ",
        "├─ ✓ Accepted=True Accepted, for ",
        "✗ Deployment broken: 0 of 2 ready, 2 updated\n",
        "✗ Pod broken-",
        "✗ container broken: waits: ",
        "✓ Service broken\n",
    ] {
        assert!(out.contains(line), "no {line:?} in\n{out}");
    }
    assert!(!out.contains('\u{1b}'), "colour is for terminals: {out:?}");

    let (code, out, _) = program(cluster, &namespace, &["explain", "good"]);
    assert_eq!(code, 0, "{out}");
    assert!(
        out.contains("/good is Ready: Ready") && out.contains("1 pod is ready") && !out.contains('✗'),
        "{out}"
    );

    let (code, out, err) = program(cluster, &namespace, &["explain", "nobody"]);
    let expected = format!(
        "there is no Microservice {}/nobody; `kubectl get msvc -A` lists all of them\n",
        namespace.name()
    );
    assert_eq!((code, out.as_str(), err), (2, "", expected));
}

#[tokio::test]
async fn explain_says_that_nobody_looks() {
    let cluster = Cluster::shared();
    let namespace = Namespace::new(cluster, "unseen").await;
    install_crds(&namespace.client(), cluster).await;
    namespace.microservice("orders", json!({"image": "web:v1"})).await;
    let (code, out, _) = program(cluster, &namespace, &["explain", "orders"]);
    assert_eq!(code, 1);
    assert!(out.contains("No operator has looked at it"), "{out}");
}

#[tokio::test]
async fn diff_shows_what_the_operator_would_change_and_nothing_else() {
    let cluster = Cluster::shared();
    let namespace = Namespace::new(cluster, "diff").await;
    let _operator = Operator::start(cluster, OperatorOptions::namespace(namespace.name())).await;
    let secret: Secret =
        serde_json::from_value(json!({"metadata": {"name": "db"}, "stringData": {"url": "canary-value"}}))
            .unwrap();
    namespace.api().create(&Default::default(), &secret).await.unwrap();
    // All that a plan takes from the live world: hashes of references, generated values, the owner's UID.
    let mut spec = json!({
        "image": "web:v1",
        "replicas": 1,
        "config": {"MODE": "yes"},
        "secrets": [{"name": "db", "env": [{"name": "URL", "key": "url"}]},
            {"name": "made", "generate": [{"key": "token"}]}],
    });
    namespace.microservice("orders", spec.clone()).await;
    namespace.wait_ready("orders").await;
    let path = file(&namespace, "orders", &spec);
    let path = path.to_str().unwrap();
    assert_eq!(program(cluster, &namespace, &["diff", "-f", path]), (0, String::new(), String::new()));

    // Of the same tag, which is a label of every child.
    spec["image"] = json!("shop/web:v1");
    spec["config"] = Value::Null;
    spec["autoscaling"] = json!({"maxReplicas": 4});
    spec["replicas"] = Value::Null;
    file(&namespace, "orders", &spec);
    let (code, out, err) = program(cluster, &namespace, &["diff", "-f", path]);
    assert_eq!((code, err.as_str()), (1, ""), "{out}");
    let at = namespace.name();
    for line in [
        "-        image: web:v1\n+        image: shop/web:v1\n".to_owned(),
        format!("--- a/{at}/ConfigMap/orders-config\n+++ /dev/null\n"),
        format!("--- /dev/null\n+++ b/{at}/HorizontalPodAutoscaler.autoscaling/orders\n"),
    ] {
        assert!(out.contains(&line), "no {line:?} in\n{out}");
    }
    for word in ["canary-value", "managedFields", "resourceVersion", "plan-hash", "/Service/", "/Secret/made"]
    {
        assert!(!out.contains(word), "{word} in\n{out}");
    }
    // Nothing was written.
    let (code, _, _) = program(cluster, &namespace, &["diff", "-f", path]);
    assert_eq!(code, 1);

    let (code, out, err) = program(cluster, &namespace, &["diff", "-f", path, "--context", "nowhere"]);
    assert_eq!((code, out.as_str()), (2, ""));
    assert!(err.contains("--context"), "{err}");
}

#[tokio::test]
async fn diff_of_what_is_not_there_yet_adds_everything() {
    let cluster = Cluster::shared();
    let namespace = Namespace::new(cluster, "new").await;
    install_crds(&namespace.client(), cluster).await;
    let path = file(&namespace, "orders", &json!({"image": "web:v1"}));
    let (code, out, err) = program(cluster, &namespace, &["diff", "-f", path.to_str().unwrap()]);
    assert_eq!((code, err.as_str(), out.matches("--- /dev/null\n").count()), (1, "", 4), "{out}");
}

#[test]
fn kubectl_finds_it_as_a_plugin() {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("plugin");
    fs::create_dir_all(&directory).unwrap();
    let link = directory.join("kubectl-msvc");
    // The one of an earlier run may point elsewhere.
    let _ = fs::remove_file(&link);
    symlink(BINARY, &link).unwrap();
    let kubectl = |arguments: &[&str]| {
        let output = Command::new(tool("kubectl")).env("PATH", &directory).args(arguments).output().unwrap();
        printed(&output)
    };
    let (code, out, err) = kubectl(&["plugin", "list"]);
    assert!(code == 0 && out.contains(link.to_str().unwrap()), "{out}{err}");

    let example =
        |name: &str| Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(name).display().to_string();
    assert_eq!(kubectl(&["msvc", "check", "-f", &example("minimal.yaml")]).0, 0);
    let (code, out, _) = kubectl(&["msvc", "check", "-f", &example("invalid/image-scheme.yaml")]);
    assert!(code == 1 && out.contains("spec.image"), "{out}");
    let (_, help, _) = kubectl(&["msvc", "check", "--help"]);
    assert!(help.contains("Usage: kubectl msvc check") && !help.contains("microservice-operator"), "{help}");
}
