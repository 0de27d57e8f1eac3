//! From the schema that kube derives to the one that is installed.

use k8s_openapi::DeepMerge;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSON, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
    ValidationRule,
};
use serde_json::json;

use super::bounds::{self, Constraint};
use super::ends_with;
use crate::api::rules::rules;

/// Completes the schema of each version.
pub(super) fn crd(mut crd: CustomResourceDefinition) -> CustomResourceDefinition {
    let constraints = bounds::constraints();
    let kind = crd.spec.names.kind.clone();
    for version in &mut crd.spec.versions {
        let root = version.schema.as_mut().and_then(|schema| schema.open_api_v3_schema.as_mut());
        if let Some(root) = root {
            node(&kind, root, &constraints);
            if kind == "Microservice" {
                default_status(root);
            }
        }
    }
    crd
}

/// A new object must never count as current: tools compare observedGeneration with generation. This is
/// the one default in the schema; all others live in the operator, so that a class can change them. A
/// class has none: an operator that is limited to namespaces writes no status of classes, and whoever
/// waits for one would wait for ever.
fn default_status(root: &mut JSONSchemaProps) {
    if let Some(status) = root.properties.as_mut().and_then(|fields| fields.get_mut("status")) {
        status.default = Some(JSON(json!({ "observedGeneration": -1 })));
    }
}

fn node(path: &str, schema: &mut JSONSchemaProps, constraints: &[Constraint]) {
    schema.title = None;
    schema.nullable = None;
    schema.default = None;
    schema.description = schema.description.take().map(|text| unwrap_lines(&text));
    if schema.format.as_deref().is_some_and(|format| format.starts_with("uint")) {
        schema.format = None;
    }
    if schema.x_kubernetes_int_or_string == Some(true) {
        int_or_string(path, schema);
    }
    for (_, constraint) in constraints.iter().filter(|(place, _)| ends_with(path, place)) {
        schema.merge_from(constraint.clone());
    }
    default_bounds(schema);
    let validations: Vec<ValidationRule> = rules()
        .filter(|rule| rule.at.iter().any(|place| ends_with(path, place)))
        .map(|rule| ValidationRule {
            rule: rule.rule.into(),
            message: Some(rule.message.into()),
            ..Default::default()
        })
        .collect();
    schema.x_kubernetes_validations = (!validations.is_empty()).then_some(validations);
    children(path, schema, constraints);
}

fn children(path: &str, schema: &mut JSONSchemaProps, constraints: &[Constraint]) {
    if let Some(fields) = &mut schema.properties {
        fields.retain(|name, _| {
            let path = format!("{path}.{name}");
            !bounds::REMOVED.iter().any(|place| ends_with(&path, place))
        });
        for (name, field) in fields {
            node(&format!("{path}.{name}"), field, constraints);
        }
    }
    if let Some(JSONSchemaPropsOrArray::Schema(item)) = &mut schema.items {
        node(&format!("{path}[]"), item, constraints);
    }
    if let Some(JSONSchemaPropsOrBool::Schema(value)) = &mut schema.additional_properties {
        node(&format!("{path}{{}}"), value, constraints);
    }
}

/// A port, an amount or a quantity, by its place.
fn int_or_string(path: &str, schema: &mut JSONSchemaProps) {
    let at = |places: &[&str]| places.iter().any(|place| ends_with(path, place));
    let (maximum, length, pattern) = if at(bounds::PORTS) {
        (65_535.0, 15, bounds::PORT_PATTERN)
    } else if at(bounds::AMOUNTS) {
        (1000.0, 4, bounds::PERCENT_PATTERN)
    } else {
        schema.description = Some(bounds::QUANTITY_DESCRIPTION.into());
        (bounds::MOST_OF_A_QUANTITY, 32, bounds::QUANTITY_PATTERN)
    };
    let minimum = if at(bounds::PORTS) { 1.0 } else { 0.0 };
    schema.merge_from(JSONSchemaProps {
        max_length: Some(length),
        pattern: Some(pattern.into()),
        any_of: Some(["integer", "string"].map(of_type).into()),
        minimum: Some(minimum),
        maximum: Some(maximum),
        ..JSONSchemaProps::default()
    });
}

fn of_type(name: &str) -> JSONSchemaProps {
    JSONSchemaProps { type_: Some(name.into()), ..Default::default() }
}

/// Bounds for what the tables leave open: without one, the API server counts with 3 MB.
fn default_bounds(schema: &mut JSONSchemaProps) {
    match schema.type_.as_deref() {
        Some("string") if schema.enum_.is_none() && schema.format.is_none() => {
            schema.max_length.get_or_insert(253);
        }
        Some("array") => {
            schema.max_items.get_or_insert(32);
        }
        Some("object") if schema.additional_properties.is_some() => {
            schema.max_properties.get_or_insert(64);
        }
        _ => {}
    }
    for zero in [&mut schema.min_length, &mut schema.min_items, &mut schema.min_properties] {
        *zero = zero.filter(|minimum| *minimum > 0);
    }
}

/// Doc comments are wrapped at the margin of the source; paragraphs and lists stay.
fn unwrap_lines(text: &str) -> String {
    let mut out = String::new();
    for line in text.lines() {
        let breaks = line.trim().is_empty() || line.trim_start().starts_with("- ");
        if breaks || out.is_empty() || out.ends_with('\n') {
            if breaks {
                out.push('\n');
            }
        } else {
            out.push(' ');
        }
        out.push_str(line.trim_end());
        if line.trim().is_empty() {
            out.push('\n');
        }
    }
    out.trim().to_string()
}
