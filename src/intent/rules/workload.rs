//! Ports, replicas, resources, shutdown, strategy: the numbers must fit each other.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::ResourceRequirements;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::{Inputs, Intent, Violations, entry, extra_containers, merged_with, quoted};
use crate::api::microservice::{Autoscaling, Port};
use crate::api::names;
use crate::intent::Scaling;
use crate::intent::quantity::Amount;

const MAX_REPLICAS: i32 = 1000;
const MAX_PORTS: usize = 32;
const MAX_GRACE: i32 = 3600;

pub(super) fn check(inputs: &Inputs<'_>, intent: &Intent, found: &mut Violations) {
    service_name(inputs, found);
    ports(inputs, intent, found);
    metrics_port(inputs, intent, found);
    replicas(inputs, intent, found);
    autoscaling(inputs, found);
    utilization_needs_a_request(intent, found);
    resources(inputs, intent, found);
    shutdown(inputs, intent, found);
    strategy(inputs, intent, found);
    claims_need_one_pod(inputs, intent, found);
    disruption_budget(intent, found);
}

/// The object's name becomes the Service's name.
fn service_name(inputs: &Inputs<'_>, found: &mut Violations) {
    let name = inputs.name();
    if !names::is_service_name(name) {
        found.invalid(
            "metadata.name",
            format!(
                "{} cannot be the name of a Service: use at most 63 lower-case letters, digits and '-', a letter \
                 first and no '-' last",
                quoted(name)
            ),
        );
    }
}

fn ports(inputs: &Inputs<'_>, intent: &Intent, found: &mut Violations) {
    let spec = inputs.spec;
    if spec.port.is_some() && spec.ports.is_some() {
        found.invalid("spec.ports", "spec.port and spec.ports exclude each other: keep only one of them");
    }
    if intent.ports.len() > MAX_PORTS {
        found.invalid(
            "spec.ports",
            format!("has {} entries: at most {MAX_PORTS} are allowed", intent.ports.len()),
        );
    }
    let (mut named, mut numbered) = (BTreeSet::new(), BTreeSet::new());
    for (i, port) in intent.ports.iter().enumerate() {
        let listed = |leaf: &str| format!("spec.ports[{i}].{leaf}");
        let number = if spec.ports.is_some() { listed("port") } else { "spec.port".to_owned() };
        port_range(&number, port.port, found);
        if port.container_port != Some(port.port) {
            port_range(&listed("containerPort"), port.container_port.unwrap_or_default(), found);
        }
        if !names::is_port_name(&port.name) {
            found.invalid(listed("name"), format!("{} is no port name: {PORT_NAME}", quoted(&port.name)));
        }
        if !named.insert(&port.name) {
            found.invalid(
                listed("name"),
                format!("{} is used twice: give each port its own name", quoted(&port.name)),
            );
        }
        if !numbered.insert((port.port, port.protocol)) {
            let protocol = port.protocol.unwrap_or_default().as_str();
            found.invalid(
                number,
                format!("{}/{protocol} is used twice: give each port its own number", port.port),
            );
        }
    }
}

const PORT_NAME: &str =
    "use at most 15 lower-case letters, digits and single '-' inside, with at least one letter";

/// Also for other rules that name a port.
pub(super) fn port_range(field: &str, port: i32, found: &mut Violations) {
    if !(1..=65535).contains(&port) {
        found.invalid(field, format!("{port} is no port number: use 1 to 65535"));
    }
}

fn metrics_port(inputs: &Inputs<'_>, intent: &Intent, found: &mut Violations) {
    let Some(metrics) = &inputs.spec.metrics else { return };
    match metrics.port {
        Some(port) => port_range("spec.metrics.port", port, found),
        None if intent.ports.is_empty() => {
            found.invalid("spec.metrics.port", "the service has no port of its own: set spec.metrics.port");
        }
        None => {}
    }
    let taken = |port: &Port| port.name == "metrics";
    if intent.metrics_port.is_some() && intent.ports.iter().any(taken) {
        found.invalid(
            "spec.metrics.port",
            "spec.ports has an entry named \"metrics\" with another number: rename it, or use its number here",
        );
    }
    if let Some(path) = &metrics.path {
        super::health::path("spec.metrics.path", path, found);
    }
}

fn replicas(inputs: &Inputs<'_>, intent: &Intent, found: &mut Violations) {
    if inputs.spec.autoscaling.is_some() && inputs.spec.replicas.is_some_and(|n| n != 0) {
        found.invalid(
            "spec.replicas",
            "spec.autoscaling chooses the number of pods: remove spec.replicas, or set it to 0 to stop the service",
        );
    }
    let given_min = inputs.spec.autoscaling.as_deref().is_some_and(|auto| auto.min_replicas.is_some());
    match &intent.scaling {
        Scaling::Static(n) if !(0..=MAX_REPLICAS).contains(n) => {
            let merged = merged_with(inputs);
            found.invalid("spec.replicas", format!("{n} {merged} is out of range: use 0 to {MAX_REPLICAS}"));
        }
        // Only the class can have given it; the bounds that the spec gives are judged by themselves.
        Scaling::Auto(auto) if auto.min < 1 && !given_min => {
            let merged = merged_with(inputs);
            let message = format!("{} {merged} is out of range: use 1 or more", auto.min);
            found.invalid("spec.autoscaling.minReplicas", message);
        }
        _ => {}
    }
}

/// The bounds that the spec gives, also while the service is stopped; else those of the class that apply.
fn autoscaling(inputs: &Inputs<'_>, found: &mut Violations) {
    let class = inputs.class.autoscaling.as_ref().filter(|_| inputs.spec.replicas.is_none());
    let Some(auto) = inputs.spec.autoscaling.as_deref().or(class) else { return };
    autoscaling_bounds(auto, found);
    let targets = [
        ("targetCPUUtilizationPercentage", auto.target_cpu_utilization_percentage),
        ("targetMemoryUtilizationPercentage", auto.target_memory_utilization_percentage),
    ];
    for (field, target) in targets {
        if target.is_some_and(|percent| percent < 1) {
            found.invalid(format!("spec.autoscaling.{field}"), "must be at least 1 percent");
        }
    }
}

fn autoscaling_bounds(auto: &Autoscaling, found: &mut Violations) {
    let max = auto.max_replicas;
    if !(1..=MAX_REPLICAS).contains(&max) {
        let message = format!("{max} is out of range: use 1 to {MAX_REPLICAS}");
        found.invalid("spec.autoscaling.maxReplicas", message);
    }
    match auto.min_replicas {
        Some(min) if min < 1 => found.invalid(
            "spec.autoscaling.minReplicas",
            format!("{min} is out of range: use 1 or more; spec.replicas: 0 stops the service"),
        ),
        Some(min) if min > max => found.invalid(
            "spec.autoscaling.minReplicas",
            format!("{min} is more than maxReplicas {max}: lower it or raise maxReplicas"),
        ),
        _ => {}
    }
}

/// A target in percent of the request says nothing without a request (a limit stands in for it).
fn utilization_needs_a_request(intent: &Intent, found: &mut Violations) {
    let Scaling::Auto(auto) = &intent.scaling else { return };
    // Beside lag, CPU is only what is left on a cluster without KEDA.
    let metrics = auto.lag.as_ref().map_or(&auto.metrics, |lag| &lag.metrics);
    let own = metrics.iter().filter_map(|metric| metric.container_resource.as_ref());
    for metric in own.filter(|m| m.container == intent.name && m.target.average_utilization.is_some()) {
        let ResourceRequirements { requests, limits, .. } = &intent.resources;
        if ![requests, limits].into_iter().flatten().any(|amounts| amounts.contains_key(&metric.name)) {
            found.invalid(
                entry("spec.resources.requests", &metric.name),
                format!(
                    "spec.autoscaling has a target in percent of the requested {0}: request {0}",
                    metric.name
                ),
            );
        }
    }
}

fn resources(inputs: &Inputs<'_>, intent: &Intent, found: &mut Violations) {
    let given = [inputs.spec.resources.as_deref(), inputs.class.resources.as_ref()];
    if given.into_iter().flatten().any(has_claims) {
        found.invalid("spec.resources.claims", NO_CLAIMS);
    }
    container_resources("spec.resources", &intent.resources, &merged_with(inputs), found);
    let merged = intent.init_containers.iter().chain(&intent.sidecars);
    for ((field, given), merged) in extra_containers(inputs.spec).zip(merged) {
        if given.resources.as_ref().is_some_and(has_claims) {
            found.invalid(format!("{field}.resources.claims"), NO_CLAIMS);
        }
        if let Some(resources) = &merged.resources {
            container_resources(
                &format!("{field}.resources"),
                resources,
                "after filling the defaults",
                found,
            );
        }
    }
}

const NO_CLAIMS: &str = "the pod has no resource claims that a container could use: remove claims";

fn has_claims(resources: &ResourceRequirements) -> bool {
    resources.claims.as_ref().is_some_and(|claims| !claims.is_empty())
}

fn container_resources(field: &str, resources: &ResourceRequirements, merged: &str, found: &mut Violations) {
    for (part, amounts) in [("requests", &resources.requests), ("limits", &resources.limits)] {
        for (name, quantity) in amounts.iter().flatten() {
            let at = entry(&format!("{field}.{part}"), name);
            match Amount::parse(&quantity.0) {
                None => found.invalid(
                    at,
                    format!("{} is no quantity: write for example 250m, 2 or 256Mi", quoted(&quantity.0)),
                ),
                Some(amount) if amount.is_negative() => {
                    found.invalid(at, format!("{} is negative: use 0 or more", quantity.0));
                }
                Some(_) => {}
            }
        }
    }
    for (name, request) in resources.requests.iter().flatten() {
        let Some(limit) = resources.limits.as_ref().and_then(|limits| limits.get(name)) else { continue };
        if let (Some(wanted), Some(most)) = (Amount::parse(&request.0), Amount::parse(&limit.0))
            && wanted > most
        {
            found.invalid(
                entry(&format!("{field}.requests"), name),
                format!(
                    "{} {merged} is more than the limit {}: lower the request or raise the limit",
                    request.0, limit.0
                ),
            );
        }
    }
}

fn shutdown(inputs: &Inputs<'_>, intent: &Intent, found: &mut Violations) {
    let (drain, grace) = (intent.drain_seconds, intent.grace_period_seconds);
    if drain < 0 {
        found.invalid("spec.shutdown.drainSeconds", format!("{drain} is negative: use 0 or more"));
    }
    if drain >= grace {
        found.invalid(
            "spec.shutdown.drainSeconds",
            format!(
                "{drain} s {} leave the process no time within the grace period of {grace} s: lower \
                 drainSeconds or raise gracePeriodSeconds",
                merged_with(inputs)
            ),
        );
    }
    if grace > MAX_GRACE {
        found.invalid(
            "spec.shutdown.gracePeriodSeconds",
            format!("{grace} s {} is too long: use at most {MAX_GRACE}", merged_with(inputs)),
        );
    }
}

fn strategy(inputs: &Inputs<'_>, intent: &Intent, found: &mut Violations) {
    if intent.min_ready_seconds < 0 {
        found.invalid(
            "spec.minReadySeconds",
            format!("{} is negative: use 0 or more", intent.min_ready_seconds),
        );
    }
    let kind = intent.strategy.type_.as_deref().unwrap_or_default();
    if !matches!(kind, "RollingUpdate" | "Recreate") {
        found.invalid(
            "spec.strategy.type",
            format!("{} is unknown: use RollingUpdate or Recreate", quoted(kind)),
        );
    }
    let given = inputs.spec.strategy.as_deref().and_then(|strategy| strategy.rolling_update.as_ref());
    if kind == "Recreate" && given.is_some() {
        found.invalid("spec.strategy.rollingUpdate", "goes with type RollingUpdate only: remove it");
    }
    let Some(rolling) = &intent.strategy.rolling_update else { return };
    let unavailable = at_strategy("maxUnavailable", rolling.max_unavailable.as_ref(), found);
    let surge = at_strategy("maxSurge", rolling.max_surge.as_ref(), found);
    if unavailable == Some(0) && surge == Some(0) {
        found.invalid(
            "spec.strategy.rollingUpdate",
            "maxUnavailable and maxSurge are both 0, so no pod could ever be replaced: raise one of them",
        );
    }
}

fn at_strategy(leaf: &str, value: Option<&IntOrString>, found: &mut Violations) -> Option<i32> {
    let field = format!("spec.strategy.rollingUpdate.{leaf}");
    let number = value.and_then(count);
    if number.is_none() || (leaf == "maxUnavailable" && value.is_some_and(above_all)) {
        found.invalid(field, COUNT);
        return None;
    }
    number
}

const COUNT: &str = "must be a number of pods, 0 or more, or a percentage from 0% to 100%";

/// The number in a count or percentage; `None` for anything that is neither.
fn count(value: &IntOrString) -> Option<i32> {
    match value {
        IntOrString::Int(n) => (*n >= 0).then_some(*n),
        IntOrString::String(text) => {
            let digits = text.strip_suffix('%')?;
            // `parse` alone would accept a sign.
            digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok())?
        }
    }
}

fn above_all(value: &IntOrString) -> bool {
    matches!(value, IntOrString::String(_)) && count(value).is_some_and(|percent| percent > 100)
}

/// Two pods cannot both write to a claim that one node may mount; what access a claim gives is not in the spec.
fn claims_need_one_pod(inputs: &Inputs<'_>, intent: &Intent, found: &mut Violations) {
    let claim = inputs.spec.files.iter().flatten().position(|file| {
        file.persistent_volume_claim.as_ref().is_some_and(|claim| claim.read_only != Some(true))
    });
    let Some(i) = claim else { return };
    let most = match &intent.scaling {
        Scaling::Static(n) => *n,
        Scaling::Stopped => 0,
        Scaling::Auto(auto) => auto.max,
    };
    let recreate = intent.strategy.type_.as_deref() == Some("Recreate");
    let needed = match (most > 1, recreate) {
        (true, true) => "set spec.replicas to 1",
        (true, false) => "set spec.replicas to 1 and spec.strategy.type to Recreate",
        (false, false) => "set spec.strategy.type to Recreate",
        (false, true) => return,
    };
    found.invalid(
        format!("spec.files[{i}].persistentVolumeClaim"),
        format!("a claim that is written may be mounted by one pod at a time: {needed}, or readOnly here"),
    );
}

fn disruption_budget(intent: &Intent, found: &mut Violations) {
    let field = "spec.disruptionBudget.maxUnavailable";
    match count(&intent.max_unavailable) {
        None => found.invalid(field, COUNT),
        Some(0) => found.invalid(field, "0 blocks every drain of a node: use at least 1 pod or 1%"),
        Some(_) if above_all(&intent.max_unavailable) => found.invalid(field, COUNT),
        Some(_) => {}
    }
}
