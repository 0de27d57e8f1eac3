//! Named checks of spec and merged result: what needs more than one field, what a class forbids, and
//! again whatever would be dangerous if the object was stored under an older, looser schema.

mod fields;
mod guardrails;
mod safety;

use super::resolve::Inputs;
use super::{Intent, Violation};
use crate::api::Reason;

/// All violations, in the order of the fields.
pub(super) fn check(inputs: &Inputs<'_>, intent: &Intent) -> Vec<Violation> {
    let mut found = Violations::default();
    fields::check(inputs, intent, &mut found);
    safety::check(inputs, intent, &mut found);
    guardrails::check(inputs, intent, &mut found);
    found.sorted()
}

/// Collects violations.
#[derive(Default)]
struct Violations(Vec<Violation>);

impl Violations {
    /// The spec breaks a rule of the API.
    fn invalid(&mut self, field: impl Into<String>, message: impl Into<String>) {
        self.0.push(Violation { reason: Reason::InvalidSpec, field: field.into(), message: message.into() });
    }

    /// The spec breaks a guard rail of its class.
    fn guardrail(&mut self, field: impl Into<String>, message: impl Into<String>) {
        self.0.push(Violation {
            reason: Reason::GuardrailViolated,
            field: field.into(),
            message: message.into(),
        });
    }
}

impl Violations {
    /// Sorted by the place of the field in the API, and within one field in the order of the checks.
    fn sorted(mut self) -> Vec<Violation> {
        let place = |violation: &Violation| {
            let mut parts = violation.field.split(['.', '[']);
            let (root, section) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
            (root != "metadata", FIELDS.iter().position(|field| *field == section).unwrap_or(FIELDS.len()))
        };
        self.0.sort_by_key(place);
        self.0.dedup();
        self.0
    }
}

/// The fields of the spec in the order of the API.
const FIELDS: [&str; 30] = [
    "className",
    "image",
    "imagePullPolicy",
    "imagePullSecrets",
    "command",
    "args",
    "workingDir",
    "port",
    "ports",
    "replicas",
    "autoscaling",
    "resources",
    "health",
    "livenessProbe",
    "readinessProbe",
    "startupProbe",
    "metrics",
    "shutdown",
    "env",
    "envFrom",
    "config",
    "files",
    "secrets",
    "strategy",
    "minReadySeconds",
    "service",
    "initContainers",
    "sidecars",
    "pod",
    "serviceAccount",
];
