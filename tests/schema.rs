//! The CRDs on disk, the examples and the counter-examples, against the schema and its rules.
//! `UPDATE=1 cargo test --test schema` rewrites `crds/`.

#![allow(clippy::unwrap_used, reason = "a test may panic, also in its helpers")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use microservice_operator::api::rules::rules;
use microservice_operator::api::schema::{SchemaViolation, crds, validate};
use microservice_operator::api::{Microservice, MicroserviceClass};
use microservice_operator::cli::crd::documents;
use serde::Deserialize;
use serde_json::Value;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn yaml_files(directory: &str) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(root().join(directory))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
        .collect();
    files.sort();
    assert!(!files.is_empty(), "no examples in {directory}");
    files
}

fn objects(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap();
    serde_yaml::Deserializer::from_str(&text).map(|document| Value::deserialize(document).unwrap()).collect()
}

fn stem(path: &Path) -> String {
    path.file_stem().unwrap().to_string_lossy().into_owned()
}

fn print(violations: &[SchemaViolation]) -> String {
    violations.iter().map(|v| format!("\n  {}: {}", v.path, v.message)).collect()
}

#[test]
fn crds_on_disk_are_current() {
    for (name, text) in documents().unwrap() {
        let path = root().join("crds").join(&name);
        if std::env::var_os("UPDATE").is_some() {
            fs::write(&path, &text).unwrap();
        }
        let stored = fs::read_to_string(&path).unwrap_or_default();
        assert!(stored == text, "crds/{name} is stale: run UPDATE=1 cargo test --test schema");
    }
}

/// Client-side `kubectl apply` stores the object in an annotation, and annotations may have 256 KiB in
/// all.
#[test]
fn crds_fit_into_the_annotation_of_kubectl_apply() {
    for crd in crds() {
        let size = serde_json::to_string(&crd).unwrap().len();
        assert!(size < 240 * 1024, "{}: {size} bytes", crd.spec.names.plural);
    }
}

#[test]
fn examples_are_valid() {
    for path in [yaml_files("examples"), yaml_files("examples/antipatterns")].concat() {
        for object in objects(&path) {
            let violations = validate(&object);
            assert!(violations.is_empty(), "{}:{}", path.display(), print(&violations));
            let decoded = match object["kind"].as_str() {
                Some("Microservice") => serde_json::from_value::<Microservice>(object).map(|_| ()),
                _ => serde_json::from_value::<MicroserviceClass>(object).map(|_| ()),
            };
            decoded.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        }
    }
}

/// Two examples may be applied side by side.
#[test]
fn examples_have_different_names() {
    let mut seen = BTreeSet::new();
    for object in yaml_files("examples").iter().flat_map(|path| objects(path)) {
        let key = (object["kind"].to_string(), object["metadata"]["name"].to_string());
        assert!(seen.insert(key.clone()), "{key:?} twice");
    }
}

#[test]
fn counter_examples_are_refused_with_their_message() {
    let messages: BTreeSet<&str> = rules().map(|rule| rule.message).collect();
    for path in yaml_files("examples/invalid") {
        let text = fs::read_to_string(&path).unwrap();
        let first = text.lines().next().unwrap_or_default();
        let [object] = objects(&path).try_into().unwrap();
        let violations = validate(&object);
        let context = format!("{}:{}", path.display(), print(&violations));
        if let Some(message) = first.strip_prefix("# expect: ") {
            let rule = rules().find(|rule| rule.id == stem(&path));
            assert_eq!(rule.map(|rule| rule.message), Some(message), "{context}");
            let broken: BTreeSet<&str> = violations
                .iter()
                .map(|v| v.message.as_str())
                .filter(|message| messages.contains(message))
                .collect();
            assert_eq!(broken, BTreeSet::from([message]), "{context}");
        } else if let Some(field) = first.strip_prefix("# expect-path: ") {
            let paths: Vec<&str> = violations.iter().map(|v| v.path.as_str()).collect();
            assert_eq!(paths, [field], "{context}");
        } else {
            panic!("{}: the first line says neither # expect: nor # expect-path:", path.display());
        }
    }
}

#[test]
fn every_rule_has_a_counter_example() {
    let examples: BTreeSet<String> = yaml_files("examples/invalid").iter().map(|path| stem(path)).collect();
    let missing: Vec<&str> = rules().map(|rule| rule.id).filter(|id| !examples.contains(*id)).collect();
    assert!(missing.is_empty(), "no examples/invalid/<rule>.yaml for {missing:?}");
}
