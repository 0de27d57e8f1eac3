//! Health checks: there is one or it is waived, it asks a port that exists, and it asks this pod only.

use k8s_openapi::api::core::v1::Probe;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::{Inputs, Intent, Violations, quoted, workload};
use crate::api::microservice::{Health, HealthType};
use crate::intent::resolve::probes;

pub(super) fn check(inputs: &Inputs<'_>, intent: &Intent, found: &mut Violations) {
    for health in [inputs.spec.health.as_deref(), inputs.class.health.as_ref()].into_iter().flatten() {
        numbers(health, found);
        paths(health, found);
        for (field, port) in ports(health) {
            let known = probes::port_number(port, inputs.spec, &intent.ports).is_some();
            port_exists(field, port, known, found);
        }
    }
    given_without_ports(inputs, intent, found);
    liveness_needs_a_check(inputs, found);
    for (field, probe) in [
        ("spec.livenessProbe", &inputs.spec.liveness_probe),
        ("spec.readinessProbe", &inputs.spec.readiness_probe),
        ("spec.startupProbe", &inputs.spec.startup_probe),
    ] {
        if let Some(probe) = probe {
            native(field, probe, intent, found);
        }
    }
}

fn ports(health: &Health) -> impl Iterator<Item = (&'static str, &IntOrString)> {
    let liveness = health.liveness.as_ref().and_then(|liveness| liveness.port.as_ref());
    [("spec.health.port", health.port.as_ref()), ("spec.health.liveness.port", liveness)]
        .into_iter()
        .filter_map(|(field, port)| Some((field, port?)))
}

fn numbers(health: &Health, found: &mut Violations) {
    let liveness = health.liveness.clone().unwrap_or_default();
    for (field, number) in [
        ("periodSeconds", health.period_seconds),
        ("timeoutSeconds", health.timeout_seconds),
        ("failureThreshold", health.failure_threshold),
        ("liveness.periodSeconds", liveness.period_seconds),
        ("liveness.timeoutSeconds", liveness.timeout_seconds),
        ("liveness.failureThreshold", liveness.failure_threshold),
    ] {
        at_least(&format!("spec.health.{field}"), number, 1, found);
    }
}

fn at_least(field: &str, number: Option<i32>, least: i32, found: &mut Violations) {
    if let Some(number) = number.filter(|number| *number < least) {
        found.invalid(field, format!("{number} is too low: use {least} or more"));
    }
}

fn paths(health: &Health, found: &mut Violations) {
    let liveness = health.liveness.as_ref().and_then(|liveness| liveness.path.as_ref());
    for (field, text) in [("spec.health.path", health.path.as_ref()), ("spec.health.liveness.path", liveness)]
    {
        if let Some(text) = text {
            path(field, text, found);
        }
    }
}

/// A path of an HTTP request; also for other rules.
pub(super) fn path(field: &str, path: &str, found: &mut Violations) {
    if !path.starts_with('/') || path.chars().any(|c| c.is_control() || c.is_whitespace()) {
        let message =
            format!("{} is no path: start with '/', without spaces and control characters", quoted(path));
        found.invalid(field, message);
    }
}

/// A number must be a port's, a name must be known.
fn port_exists(field: &str, port: &IntOrString, known: bool, found: &mut Violations) {
    match port {
        IntOrString::Int(number) => workload::port_range(field, *number, found),
        IntOrString::String(name) if !known => {
            let message =
                format!("the service has no port named {}: use a port's name or a number", quoted(name));
            found.invalid(field, message);
        }
        IntOrString::String(_) => {}
    }
}

/// The kubelet looks a name up among the ports of the container.
fn names_a_container_port(port: &IntOrString, intent: &Intent) -> bool {
    let IntOrString::String(name) = port else { return true };
    intent.ports.iter().any(|port| port.name == *name) || (intent.metrics_port.is_some() && name == "metrics")
}

/// Without ports there is no main port that the default check could ask.
fn given_without_ports(inputs: &Inputs<'_>, intent: &Intent, found: &mut Violations) {
    let named = [inputs.spec.health.as_deref(), inputs.class.health.as_ref()];
    let has_port = named.into_iter().flatten().any(|health| health.port.is_some());
    let waived = probes::kind(inputs) == HealthType::None;
    if intent.ports.is_empty() && intent.probes.readiness.is_none() && !has_port && !waived {
        found.invalid(
            "spec.health",
            "the service has no port to check: set spec.health.type to None, spec.health.port to a number, or \
             give a spec.readinessProbe",
        );
    }
}

fn liveness_needs_a_check(inputs: &Inputs<'_>, found: &mut Violations) {
    let asked = inputs.spec.health.as_deref().is_some_and(|health| health.liveness.is_some());
    if asked && probes::kind(inputs) == HealthType::None {
        found.invalid(
            "spec.health.liveness",
            "spec.health.type None switches all checks off: choose HTTP, TCP or GRPC, or remove liveness",
        );
    }
}

fn native(field: &str, probe: &Probe, intent: &Intent, found: &mut Violations) {
    one_handler(field, probe, found);
    own_host(field, probe, found);
    let http = probe.http_get.as_ref().map(|http| ("httpGet", &http.port));
    let tcp = probe.tcp_socket.as_ref().map(|tcp| ("tcpSocket", &tcp.port));
    for (handler, port) in http.into_iter().chain(tcp) {
        let known = names_a_container_port(port, intent);
        port_exists(&format!("{field}.{handler}.port"), port, known, found);
    }
    if let Some(grpc) = &probe.grpc {
        workload::port_range(&format!("{field}.grpc.port"), grpc.port, found);
    }
    if let Some(text) = probe.http_get.as_ref().and_then(|http| http.path.as_ref()) {
        path(&format!("{field}.httpGet.path"), text, found);
    }
    at_least(&format!("{field}.initialDelaySeconds"), probe.initial_delay_seconds, 0, found);
    for (leaf, number) in [
        ("periodSeconds", probe.period_seconds),
        ("timeoutSeconds", probe.timeout_seconds),
        ("successThreshold", probe.success_threshold),
        ("failureThreshold", probe.failure_threshold),
    ] {
        at_least(&format!("{field}.{leaf}"), number, 1, found);
    }
    if field != "spec.readinessProbe" && probe.success_threshold.is_some_and(|n| n > 1) {
        found.invalid(format!("{field}.successThreshold"), "only a readiness probe may ask for more than 1");
    }
}

fn one_handler(field: &str, probe: &Probe, found: &mut Violations) {
    let given =
        [probe.exec.is_some(), probe.http_get.is_some(), probe.tcp_socket.is_some(), probe.grpc.is_some()];
    if given.into_iter().filter(|given| *given).count() != 1 {
        found.invalid(field, "must have exactly one of exec, httpGet, tcpSocket and grpc");
    }
}

/// A probe runs on the node: with a host it could reach whatever the node reaches.
fn own_host(field: &str, probe: &Probe, found: &mut Violations) {
    let http = probe.http_get.as_ref().is_some_and(|http| http.host.is_some());
    let tcp = probe.tcp_socket.as_ref().is_some_and(|tcp| tcp.host.is_some());
    for (handler, given) in [("httpGet", http), ("tcpSocket", tcp)] {
        if given {
            found.invalid(format!("{field}.{handler}.host"), "a probe asks its own pod only: remove host");
        }
    }
}
