//! The operator as a program: its commands, what it tells about itself, how it ends, and that `render`
//! prints what `run` applies.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use kube::ResourceExt;
use kube::api::{Api, ApiResource, DynamicObject, Patch, PatchParams};
use kube::core::GroupVersionKind;
use microservice_operator::api::Microservice;
use microservice_operator::intent::references::references;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::support::{Cluster, Namespace, Operator, OperatorOptions, eventually, manifests};

/// The examples that need nothing but themselves: no class, no Secret or ConfigMap, and nothing
/// random. Those that are suspended apply nothing.
fn self_contained() -> Vec<(PathBuf, Microservice)> {
    let entries = fs::read_dir(root().join("examples")).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> =
        entries.filter(|path| path.extension().is_some_and(|kind| kind == "yaml")).collect();
    files.sort();
    let found = files.into_iter().filter_map(|file| {
        let text = fs::read_to_string(&file).unwrap();
        let [object] = documents(&text).try_into().ok()?;
        let object: Microservice = serde_json::from_value(object).ok()?;
        let spec = &object.spec;
        let alone = references(spec).is_empty() && spec.secrets.is_none() && spec.class_name.is_none();
        let offline = command(&["check", "-f", file.to_str().unwrap()]).status.success();
        (alone && offline && !spec.suspend).then_some((file, object))
    });
    let found: Vec<_> = found.collect();
    assert!(found.len() > 25, "only {} examples", found.len());
    found
}

#[tokio::test]
async fn render_prints_exactly_what_run_applies() {
    let cluster = Cluster::shared();
    let namespace = Namespace::new(cluster, "render").await;
    let _operator = Operator::start(cluster, OperatorOptions::namespace(namespace.name())).await;
    let examples = self_contained();
    for (file, _) in &examples {
        let [object] = documents(&fs::read_to_string(file).unwrap()).try_into().unwrap();
        namespace.apply(object).await;
    }
    let mut compared = 0;
    for (file, object) in &examples {
        let name = object.name_any();
        namespace.wait_condition(&name, "Applied", "True", None).await;
        let printed = command(&["render", "-f", file.to_str().unwrap(), "--namespace", namespace.name()]);
        let rendered = documents(&stdout(&printed));
        let stored = namespace.get::<Microservice>(&name).await;
        let children = &stored.status.as_ref().unwrap().children;
        let kinds: BTreeSet<_> =
            children.iter().map(|child| (child.kind.as_str(), child.name.as_str())).collect();
        let ours: BTreeSet<_> =
            rendered.iter().map(|c| (text(&c["kind"]), text(&c["metadata"]["name"]))).collect();
        assert_eq!(kinds, ours, "{}", file.display());
        for child in rendered {
            same_as_live(&namespace, &stored, child).await;
            compared += 1;
        }
    }
    println!("{compared} children of {} examples are as rendered", examples.len());
    assert!(compared > 90);
}

/// Applying the rendered child as the operator would change nothing at all.
async fn same_as_live(namespace: &Namespace, owner: &Microservice, mut child: Value) {
    let (kind, name) = (text(&child["kind"]).to_owned(), text(&child["metadata"]["name"]).to_owned());
    let (group, version) =
        text(&child["apiVersion"]).split_once('/').unwrap_or(("", text(&child["apiVersion"])));
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, &kind));
    let api: Api<DynamicObject> = Api::namespaced_with(namespace.client(), namespace.name(), &resource);
    // The owner's UID is all that the cluster adds.
    child["metadata"]["ownerReferences"] = json!([{
        "apiVersion": "microservice.dev/v1alpha1", "kind": "Microservice", "name": owner.name_any(),
        "uid": owner.uid(), "controller": true, "blockOwnerDeletion": true,
    }]);
    let params = PatchParams { dry_run: true, ..PatchParams::apply("microservice-operator").force() };
    // Its status may move between the two reads.
    eventually(Duration::from_secs(10), &format!("{kind} {name} is as rendered"), || async {
        let live = api.get(&name).await.map_err(|error| error.to_string())?;
        let applied = api.patch(&name, &params, &Patch::Apply(&child)).await.map_err(|e| e.to_string())?;
        let (live, applied) = (serde_json::to_value(live), serde_json::to_value(applied));
        let (live, applied) = (live.unwrap(), applied.unwrap());
        let hash = |object: &Value| object["metadata"]["annotations"]["microservice.dev/plan-hash"].clone();
        if (hash(&live), live == applied) == (hash(&child), true) {
            Ok(())
        } else {
            Err(format!("{live:#}\n{applied:#}"))
        }
    })
    .await;
}

#[tokio::test]
async fn metrics_have_help_and_no_name_of_an_object() {
    let cluster = Cluster::shared();
    let namespace = Namespace::new(cluster, "metrics").await;
    let operator = Operator::start(cluster, OperatorOptions::namespace(namespace.name())).await;
    namespace.microservice("canary-service", json!({"image": "web:v1", "replicas": 1})).await;
    namespace.microservice("canary-broken", json!({"image": "web:v1-missing", "replicas": 1})).await;
    namespace.wait_ready("canary-service").await;
    namespace.wait_condition("canary-broken", "Ready", "False", Some("ImagePullFailed")).await;

    let counted = "microservice_operator_objects{readiness=\"Ready\"} 1";
    let text = eventually(Duration::from_secs(30), "the objects are counted", || async {
        let (code, text) = operator.http("/metrics").await.map_err(|error| error.to_string())?;
        if code == 200 && text.contains(counted) { Ok(text) } else { Err(text) }
    })
    .await;
    assert!(!text.contains("canary") && !text.contains(namespace.name()), "{text}");
    let words = |prefix: &'static str| -> BTreeSet<&str> {
        text.lines()
            .filter_map(|line| line.strip_prefix(prefix)?.split_once(' ').map(|(name, _)| name))
            .collect()
    };
    let helped = words("# HELP ");
    assert_eq!(helped, words("# TYPE "));
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let name = line.split(['{', ' ']).next().unwrap();
        let ends = ["_total", "_bucket", "_sum", "_count", "_info", ""];
        let known = ends.iter().filter_map(|end| name.strip_suffix(end)).any(|base| helped.contains(base));
        assert!(known && name.starts_with("microservice_operator_"), "no help for {line}");
    }
    for sample in [
        "microservice_operator_reconciles_total{",
        "microservice_operator_child_writes_total{kind=\"Deployment\",verb=\"apply\"} 2",
        counted,
        "microservice_operator_leader 1",
    ] {
        assert!(text.contains(sample), "no {sample} in\n{text}");
    }
    for path in ["/livez", "/readyz"] {
        assert_eq!(operator.http(path).await.unwrap(), (200, "ok\n".to_owned()), "{path}");
    }
    assert_eq!(operator.http("/nothing").await.unwrap().0, 404);
}

#[tokio::test]
async fn the_log_level_changes_while_it_runs() {
    let cluster = Cluster::shared();
    let namespace = Namespace::new(cluster, "level").await;
    let mut options = OperatorOptions::namespace(namespace.name());
    options.log = "info".to_owned();
    let mut operator = Operator::start(cluster, options).await;
    let debugs = |operator: &Operator| operator.log().matches("\"level\":\"DEBUG\"").count();

    namespace.microservice("first", json!({"image": "web:v1", "replicas": 1})).await;
    namespace.wait_ready("first").await;
    assert_eq!(debugs(&operator), 0, "{}", operator.log());

    assert_eq!(operator.request("PUT", "/log-level?level=microservice_operator=debug").await.unwrap().0, 204);
    namespace.microservice("second", json!({"image": "web:v1", "replicas": 1})).await;
    namespace.wait_ready("second").await;
    assert!(debugs(&operator) > 0, "{}", operator.log());
    let (_, level) = operator.http("/log-level").await.unwrap();
    assert_eq!(level, "microservice_operator=debug\n");

    let (code, hint) = operator.request("PUT", "/log-level?level=loud=very").await.unwrap();
    assert!(code == 400 && hint.contains("debug"), "{code} {hint}");

    // One line is one JSON object, with the span of its reconcile.
    for line in operator.log().lines() {
        let line: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"));
        assert!(line["timestamp"].is_string() && line["message"].is_string(), "{line}");
    }
    let spans: Vec<Value> = operator
        .log()
        .lines()
        .filter_map(|line| Some(serde_json::from_str::<Value>(line).ok()?["span"].take()))
        .filter(|span| span["name"] == "reconcile")
        .collect();
    let of_second = |span: &&Value| span["microservice"] == "second" && span["namespace"] == namespace.name();
    assert!(spans.iter().any(|span| of_second(&span)), "{}", operator.log());
    operator.stop().await;
}

#[tokio::test]
async fn sigterm_ends_it_in_time_in_the_middle_of_work() {
    let cluster = Cluster::shared();
    let namespace = Namespace::new(cluster, "sigterm").await;
    let mut options = OperatorOptions::namespace(namespace.name());
    options.leader_elect = true;
    let mut operator = Operator::start(cluster, options).await;
    for number in 0..12 {
        namespace.microservice(&format!("web-{number}"), json!({"image": "web:v1", "replicas": 0})).await;
    }
    let (code, took) = operator.stop().await;
    println!("SIGTERM under work took {took:?}");
    assert_eq!(code, Some(0), "{}", operator.log());
    assert!(took < Duration::from_secs(5), "{took:?}");
    operator.restart().await;
    for number in 0..12 {
        namespace.wait_ready(&format!("web-{number}")).await;
    }
}

#[test]
fn crd_prints_what_is_in_the_repository() {
    let printed = manifests(&["crd"]);
    let stored = ["microservices", "microserviceclasses"].map(|name| {
        let text = fs::read_to_string(root().join(format!("crds/{name}.yaml"))).unwrap();
        documents(&text).remove(0)
    });
    assert_eq!(printed, stored);

    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("crd-write");
    assert!(command(&["crd", "--write", directory.to_str().unwrap()]).status.success());
    for name in ["microservices.yaml", "microserviceclasses.yaml"] {
        let written = fs::read_to_string(directory.join(name)).unwrap();
        assert_eq!(written, fs::read_to_string(root().join("crds").join(name)).unwrap());
    }
}

#[test]
fn check_ends_with_0_1_or_2() {
    let file = |name: &str| root().join("examples").join(name).display().to_string();
    let (good, bad) = (file("minimal.yaml"), file("invalid/image-scheme.yaml"));
    let good = command(&["check", "-f", &good]);
    assert_eq!((good.status.code(), stdout(&good).as_str()), (Some(0), ""));

    let found = command(&["check", "-f", &bad]);
    assert_eq!(found.status.code(), Some(1));
    let first = fs::read_to_string(&bad).unwrap();
    let expected = first.lines().next().unwrap().strip_prefix("# expect: ").unwrap();
    let line = 1 + first.lines().position(|line| line.starts_with("  image:")).unwrap();
    assert_eq!(stdout(&found), format!("{bad}:{line}:3: spec.image: {expected} [InvalidSpec]\n"));

    for wrong in
        [&["check", "-f", "/does/not/exist.yaml"][..], &["check"], &["chekc"], &["render", "-f", "/nowhere"]]
    {
        let output = command(wrong);
        assert_eq!(output.status.code(), Some(2), "{wrong:?}");
        assert!(!output.stderr.is_empty(), "{wrong:?} says nothing");
    }
}

#[test]
fn render_refuses_what_check_finds() {
    let bad = root().join("examples/invalid/image-scheme.yaml").display().to_string();
    let output = command(&["render", "-f", &bad]);
    assert_eq!((output.status.code(), stdout(&output).as_str()), (Some(1), ""));
    assert!(String::from_utf8_lossy(&output.stderr).contains("spec.image"));
}

fn command(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_microservice-operator")).args(arguments).output().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn documents(text: &str) -> Vec<Value> {
    serde_yaml::Deserializer::from_str(text).map(|document| Value::deserialize(document).unwrap()).collect()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
