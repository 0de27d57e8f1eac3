//! The CRDs: the derived schema, bounded and completed by the tables in [`super::rules`] and
//! `bounds`, and the offline check of an object against them.

mod bounds;
mod cel;
mod check;
mod complete;
mod pattern;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;
use schemars::Schema;
use schemars::transform::transform_subschemas;
use serde_json::Value;

pub use check::{SchemaViolation, validate};

use super::{Microservice, MicroserviceClass};

/// An optional field keeps its own text: kube would lay that of the type over it, and the default would be lost.
pub(super) fn keep_texts(schema: &mut Schema) {
    transform_subschemas(&mut keep_texts, schema);
    if schema.get("description").is_none() {
        return;
    }
    if let Some(Value::Array(choices)) = schema.get_mut("anyOf") {
        for choice in choices.iter_mut().filter_map(Value::as_object_mut) {
            choice.remove("description");
        }
    }
}

/// Both CRDs as they are installed.
pub fn crds() -> Vec<CustomResourceDefinition> {
    [Microservice::crd(), MicroserviceClass::crd()].map(complete::crd).into()
}

/// Whether a schema path ends with `place`, at the start of a word. See [`super::rules::Rule::at`].
fn ends_with(path: &str, place: &str) -> bool {
    path.strip_suffix(place).is_some_and(|before| {
        before.is_empty() || before.ends_with('.') || place.starts_with(char::is_uppercase)
    })
}

/// The kind of a manifest, if it has one.
fn kind_of(object: &Value) -> &str {
    object.get("kind").and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests;
