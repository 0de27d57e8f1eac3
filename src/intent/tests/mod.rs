//! Tables of defaults, precedence, references and violations, and properties over generated specs.

#![expect(clippy::needless_pass_by_value, reason = "literals of json! read better without a reference")]

mod defaults;
mod kafka;
mod lag;
mod network;
mod precedence;
mod properties;
mod references;
mod violations;

use serde_json::{Value, json};

use super::{Intent, Observed, Violation};
use crate::api::{Microservice, MicroserviceClass, Reason};

/// A Microservice `user-service` in the namespace `shop` with these fields beside the image.
fn service(fields: &Value) -> Microservice {
    let mut spec = json!({"image": "user-service:v1.2.0"});
    for (key, value) in fields.as_object().unwrap() {
        spec[key] = value.clone();
    }
    serde_json::from_value(json!({
        "apiVersion": "microservice.dev/v1alpha1",
        "kind": "Microservice",
        "metadata": {"name": "user-service", "namespace": "shop"},
        "spec": spec,
    }))
    .unwrap()
}

/// A MicroserviceClass `standard` with this spec.
fn class(spec: &Value) -> MicroserviceClass {
    serde_json::from_value(json!({
        "apiVersion": "microservice.dev/v1alpha1",
        "kind": "MicroserviceClass",
        "metadata": {"name": "standard"},
        "spec": spec,
    }))
    .unwrap()
}

fn resolved(fields: Value) -> Intent {
    Intent::resolve(&service(&fields), None, &Observed::default()).unwrap()
}

fn resolved_with(fields: Value, class_spec: Value) -> Intent {
    Intent::resolve(&service(&fields), Some(&class(&class_spec)), &Observed::default()).unwrap()
}

fn refused(fields: &Value, class_spec: Option<&Value>) -> Vec<Violation> {
    let class = class_spec.map(class);
    Intent::resolve(&service(fields), class.as_ref(), &Observed::default()).err().unwrap_or_default()
}

/// Any serializable part of an intent, for comparison with `json!`.
fn value(part: impl serde::Serialize) -> Value {
    serde_json::to_value(part).unwrap()
}

fn reasons(violations: &[Violation]) -> Vec<(Reason, &str)> {
    violations.iter().map(|violation| (violation.reason, violation.field.as_str())).collect()
}
