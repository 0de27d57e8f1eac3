use std::collections::BTreeSet;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use serde_json::json;

use super::{bounds, crds, ends_with, validate};
use crate::api::rules::rules;

/// Every node of both schemas with its path.
fn nodes() -> Vec<(String, JSONSchemaProps)> {
    fn walk(path: &str, schema: JSONSchemaProps, out: &mut Vec<(String, JSONSchemaProps)>) {
        out.push((path.to_string(), schema.clone()));
        for (name, field) in schema.properties.unwrap_or_default() {
            walk(&format!("{path}.{name}"), field, out);
        }
        if let Some(JSONSchemaPropsOrArray::Schema(item)) = schema.items {
            walk(&format!("{path}[]"), *item, out);
        }
        if let Some(JSONSchemaPropsOrBool::Schema(value)) = schema.additional_properties {
            walk(&format!("{path}{{}}"), *value, out);
        }
    }
    let mut out = Vec::new();
    for crd in crds() {
        for version in crd.spec.versions {
            let schema = version.schema.unwrap().open_api_v3_schema.unwrap();
            walk(&crd.spec.names.kind, schema, &mut out);
        }
    }
    out
}

#[test]
fn every_place_in_the_tables_exists() {
    let nodes = nodes();
    let exists = |place: &str| nodes.iter().any(|(path, _)| ends_with(path, place));
    let of_rules = rules().flat_map(|rule| rule.at.iter().copied());
    let of_bounds = bounds::constraints().into_iter().map(|(place, _)| place);
    let others = [bounds::PORTS, bounds::AMOUNTS].into_iter().flatten().copied();
    let unused: Vec<&str> = of_rules.chain(of_bounds).chain(others).filter(|place| !exists(place)).collect();
    assert!(unused.is_empty(), "{unused:?}");
    let kept: Vec<&&str> = bounds::REMOVED.iter().filter(|place| exists(place)).collect();
    assert!(kept.is_empty(), "{kept:?}");
}

#[test]
fn every_rule_has_an_own_id_and_message() {
    let ids: BTreeSet<&str> = rules().map(|rule| rule.id).collect();
    let messages: BTreeSet<&str> = rules().map(|rule| rule.message).collect();
    assert_eq!(ids.len(), rules().count());
    assert_eq!(messages.len(), rules().count());
}

#[test]
fn everything_is_bounded() {
    let open: Vec<String> = nodes()
        .into_iter()
        .filter(|(path, node)| match node.type_.as_deref() {
            Some("string") => node.max_length.is_none() && node.enum_.is_none() && node.format.is_none(),
            Some("array") => node.max_items.is_none(),
            Some("object") if node.additional_properties.is_some() => node.max_properties.is_none(),
            Some("integer" | "number") => {
                !path.contains(".status.") && (node.minimum.is_none() || node.maximum.is_none())
            }
            None => node.max_length.is_none() || node.minimum.is_none() || node.pattern.is_none(),
            _ => false,
        })
        .map(|(path, _)| path)
        .collect();
    assert!(open.is_empty(), "{open:#?}");
}

#[test]
fn every_field_is_documented() {
    let silent: Vec<String> = nodes()
        .into_iter()
        .filter(|(path, node)| !path.ends_with(']') && !path.ends_with('}') && node.description.is_none())
        .map(|(path, _)| path)
        .collect();
    assert!(silent.is_empty(), "{silent:#?}");
}

#[test]
fn the_status_default_is_the_only_one_and_nothing_is_unsigned_or_nullable() {
    for (path, node) in nodes() {
        let expected = (path == "Microservice.status").then(|| json!({ "observedGeneration": -1 }));
        assert_eq!(node.default.map(|default| default.0), expected, "{path}");
        assert!(!node.format.is_some_and(|format| format.starts_with("uint")), "{path}");
        assert_eq!(node.nullable, None, "{path}");
        assert_eq!(node.x_kubernetes_preserve_unknown_fields, None, "{path}");
    }
}

#[test]
fn what_is_no_object_of_ours_is_refused_and_nothing_panics() {
    for object in [
        json!(null),
        json!([]),
        json!("text"),
        json!({}),
        json!({ "apiVersion": "microservice.dev/v1alpha1" }),
        json!({ "apiVersion": "v1", "kind": "Microservice" }),
        json!({ "apiVersion": "microservice.dev/v1alpha1", "kind": "Microservice" }),
        json!({ "apiVersion": "microservice.dev/v1alpha1", "kind": "Microservice", "metadata": 7, "spec": [] }),
    ] {
        assert!(!validate(&object).is_empty(), "{object}");
    }
}

#[test]
fn a_generated_name_is_accepted_and_a_missing_one_is_not() {
    let mut object = json!({
        "apiVersion": "microservice.dev/v1alpha1", "kind": "Microservice",
        "metadata": { "generateName": "user-" }, "spec": { "image": "user:v1" },
        "status": { "anything": "the server drops it" }
    });
    assert_eq!(validate(&object), []);
    object["metadata"] = json!({});
    assert_eq!(validate(&object).first().map(|v| v.path.clone()), Some("metadata.name".into()));
}

#[test]
fn a_null_field_counts_as_absent() {
    let mut object = json!({
        "apiVersion": "microservice.dev/v1alpha1", "kind": "Microservice",
        "metadata": { "name": "user" }, "spec": { "image": "user:v1", "env": null }
    });
    assert_eq!(validate(&object), []);
    object["spec"]["pod"] = json!({ "nodeName": null });
    assert_eq!(validate(&object).first().map(|v| v.path.clone()), Some("spec.pod.nodeName".into()));
    object["spec"]["image"] = json!(null);
    assert_eq!(validate(&object).first().map(|v| v.path.clone()), Some("spec.image".into()));
}

#[test]
fn quantities_compare_across_their_spellings() {
    let check = |request: serde_json::Value, limit: serde_json::Value| {
        validate(&json!({
            "apiVersion": "microservice.dev/v1alpha1", "kind": "Microservice",
            "metadata": { "name": "user" },
            "spec": { "image": "user:v1", "resources": { "requests": { "cpu": request }, "limits": { "cpu": limit } } }
        }))
        .len()
    };
    assert_eq!(check(json!(1), json!("1000m")), 0);
    assert_eq!(check(json!("1"), json!(1)), 0);
    assert_eq!(check(json!("1e3m"), json!(1)), 2, "not a quantity: neither by pattern nor by rule");
    assert_eq!(check(json!("1001m"), json!(1)), 1);
    assert_eq!(check(json!(2), json!("1.5")), 1);
    assert_eq!(check(json!("0.1"), json!("100m")), 0);
}

#[test]
fn a_field_that_may_have_been_meant_is_named() {
    let said = |field: &str| {
        let mut object = json!({
            "apiVersion": "microservice.dev/v1alpha1", "kind": "Microservice",
            "metadata": {"name": "a"}, "spec": {"image": "a:1"},
        });
        object["spec"][field] = json!(1);
        let [found] = validate(&object).try_into().unwrap();
        found.message
    };
    assert_eq!(said("replica"), "unknown field: write replicas, or remove it");
    assert_eq!(said("classname"), "unknown field: write className, or remove it");
    assert_eq!(said("sidecar"), "unknown field: write sidecars, or remove it");
    assert_eq!(said("nothingOfTheKind"), "unknown field: remove it");
}

#[test]
fn a_wrong_type_is_told_with_its_form_and_what_is_there() {
    let said = |spec: serde_json::Value| {
        let object = json!({
            "apiVersion": "microservice.dev/v1alpha1", "kind": "Microservice",
            "metadata": {"name": "a"}, "spec": spec,
        });
        let [found] = validate(&object).try_into().unwrap();
        (found.path, found.message)
    };
    let (path, message) = said(json!({"image": "a:1", "env": {"A": "b"}}));
    assert_eq!(path, "spec.env");
    assert!(message.contains("type array (a list:") && message.ends_with("and it is object"), "{message}");
    let (path, message) = said(json!({"image": "a:1", "replicas": 1.5}));
    assert_eq!(
        (path.as_str(), message.as_str()),
        ("spec.replicas", "Invalid value: must be of type integer, and it is number",)
    );
}
