//! Named checks of spec and merged result: what needs more than one field, what a class forbids, and
//! again whatever would be dangerous if the object was stored under an older, looser schema.

mod calls;
mod data;
mod guardrails;
mod health;
mod kafka;
mod lag;
mod metrics;
mod mounts;
mod network;
mod pod;
mod workload;

use super::resolve::Inputs;
use super::{Intent, Violation};
use crate::api::microservice::{ExtraContainer, MicroserviceSpec};
use crate::api::{Reason, names};

/// All violations, in the order of the fields.
pub(super) fn check(inputs: &Inputs<'_>, intent: &Intent) -> Vec<Violation> {
    let mut found = Violations::default();
    workload::check(inputs, intent, &mut found);
    metrics::check(inputs, &mut found);
    lag::check(inputs, intent, &mut found);
    health::check(inputs, intent, &mut found);
    data::check(inputs, &mut found);
    mounts::check(inputs, &mut found);
    pod::check(inputs, intent, &mut found);
    guardrails::check(inputs, intent, &mut found);
    kafka::check(inputs, intent, &mut found);
    calls::check(inputs, &mut found);
    network::check(inputs, &mut found);
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

/// The fields of the spec in the order of the API; `network` is the class'.
const FIELDS: [&str; 35] = [
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
    "disruptionBudget",
    "kafka",
    "calls",
    "callers",
    "network",
];

/// Characters of a user's text that a message shows.
const SHOWN: usize = 80;

/// Path of one entry of a map.
pub(super) fn entry(map: &str, key: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
    let simple = (1..=SHOWN).contains(&key.len()) && key.bytes().all(plain);
    if simple { format!("{map}.{key}") } else { format!("{map}[{}]", quoted(key)) }
}

/// The name of something in quotes, cut to a length that a message can bear.
fn quoted(text: &str) -> String {
    let short: String = text.chars().take(SHOWN).collect();
    if short.len() < text.len() { format!("{short:?}…") } else { format!("{short:?}") }
}

/// The value of a label, which may be empty.
fn label_value(field: String, value: &str, found: &mut Violations) {
    if !value.is_empty() && names::label_value(value).as_deref() != Some(value) {
        let message =
            format!("{} is no label value: use at most 63 letters, digits, '-', '_', '.'", quoted(value));
        found.invalid(field, message);
    }
}

/// Where a merged value may come from, for messages about a spec that does not show it.
fn merged_with(inputs: &Inputs<'_>) -> String {
    match inputs.class_name {
        Some(class) => format!("after merging with MicroserviceClass {class:?}"),
        None => "after filling the defaults".to_owned(),
    }
}

/// The init containers and sidecars with their field paths.
fn extra_containers<'a>(spec: &'a MicroserviceSpec) -> impl Iterator<Item = (String, &'a ExtraContainer)> {
    let list = |field: &'static str, containers: &'a Option<Vec<ExtraContainer>>| {
        containers
            .iter()
            .flatten()
            .enumerate()
            .map(move |(i, container)| (format!("spec.{field}[{i}]"), container))
    };
    list("initContainers", &spec.init_containers).chain(list("sidecars", &spec.sidecars))
}
