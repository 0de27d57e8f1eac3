//! The configuration of Kustomize knows every place where our kinds name an image or another object: a new
//! field of the schema has to be in it. What Kustomize makes of it is in the behaviour tests.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use microservice_operator::cli::crd::documents;
use serde_json::Value;

const CONFIGURATION: &str = "gitops/kustomize/microservice.yaml";

/// How the path of a field ends, and what kind of object it names.
const REFERENCES: [(&str, &str); 15] = [
    ("configMapRef/name", "ConfigMap"),
    ("configMapKeyRef/name", "ConfigMap"),
    ("configMap/name", "ConfigMap"),
    ("secretRef/name", "Secret"),
    ("secretKeyRef/name", "Secret"),
    ("nodePublishSecretRef/name", "Secret"),
    ("secret/name", "Secret"),
    ("secretName", "Secret"),
    ("SecretName", "Secret"),
    ("imagePullSecrets/name", "Secret"),
    ("spec/secrets/name", "Secret"),
    ("claimName", "PersistentVolumeClaim"),
    ("serviceAccount/name", "ServiceAccount"),
    ("priorityClassName", "PriorityClass"),
    ("runtimeClassName", "RuntimeClass"),
];
/// Those that only one kind of place has.
const OWN: [(&str, &str); 4] = [
    ("spec/className", "MicroserviceClass"),
    ("producers/name", "Microservice"),
    ("consumers/name", "Microservice"),
    ("image", "image"),
];

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// Paths of all fields with text, as Kustomize writes them: a list is not marked.
fn paths(schema: &Value, path: &str, all: &mut BTreeSet<String>) {
    if schema["type"] == "string" {
        all.insert(path.to_owned());
    }
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        paths(field, &format!("{path}/{name}"), all);
    }
    if schema["items"].is_object() {
        paths(&schema["items"], path, all);
    }
}

/// (what is named, kind, path) of every reference in the schemas.
fn wanted() -> BTreeSet<(String, String, String)> {
    let mut wanted = BTreeSet::new();
    for (_, text) in documents().unwrap() {
        let crd: Value = serde_yaml::from_str(&text).unwrap();
        let kind = crd["spec"]["names"]["kind"].as_str().unwrap();
        let schema = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"];
        let mut all = BTreeSet::new();
        paths(schema, "spec", &mut all);
        for path in all {
            let ends = |end: &str| {
                path == end
                    || path.ends_with(&format!("/{end}"))
                    || (end == "SecretName" && path.ends_with(end))
            };
            if let Some((_, named)) = REFERENCES.iter().chain(&OWN).find(|(end, _)| ends(end)) {
                wanted.insert(((*named).to_owned(), kind.to_owned(), path.clone()));
            }
        }
    }
    wanted
}

/// The same, of our kinds, in the configuration.
fn configured() -> BTreeSet<(String, String, String)> {
    let configuration: Value = serde_yaml::from_str(&read(CONFIGURATION)).unwrap();
    let mut configured = BTreeSet::new();
    let mut add = |named: &str, fields: &Value| {
        for field in fields.as_array().into_iter().flatten() {
            let (kind, path) = (field["kind"].as_str().unwrap(), field["path"].as_str().unwrap());
            if kind.starts_with("Microservice") {
                configured.insert((named.to_owned(), kind.to_owned(), path.to_owned()));
            }
        }
    };
    add("image", &configuration["images"]);
    for reference in configuration["nameReference"].as_array().unwrap() {
        add(reference["kind"].as_str().unwrap(), &reference["fieldSpecs"]);
    }
    configured
}

#[test]
fn every_reference_of_the_schema_is_configured_and_no_other() {
    let (wanted, configured) = (wanted(), configured());
    assert!(wanted.len() > 20, "{wanted:?}");
    let missing: Vec<_> = wanted.difference(&configured).collect();
    assert!(missing.is_empty(), "{CONFIGURATION} lacks {missing:#?}");
    let unknown: Vec<_> = configured.difference(&wanted).collect();
    assert!(unknown.is_empty(), "{CONFIGURATION} names what is no field: {unknown:#?}");
}

#[test]
fn the_copy_in_the_example_is_the_configuration() {
    assert_eq!(read("gitops/services/production/microservice.yaml"), read(CONFIGURATION));
}
