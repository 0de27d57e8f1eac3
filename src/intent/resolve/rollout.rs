//! How pods come and go: strategy, drain, grace period, progress deadline.

use k8s_openapi::api::apps::v1::{DeploymentStrategy, RollingUpdateDeployment};
use k8s_openapi::api::core::v1::Probe;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::api::microservice::Shutdown;

use super::Inputs;

/// The update strategy; RollingUpdate always with both numbers, or a later change of the type would be
/// refused by the API server.
pub(super) fn strategy(inputs: &Inputs<'_>) -> DeploymentStrategy {
    let layers = [inputs.spec.strategy.as_deref(), inputs.class.strategy.as_ref()];
    let kind = layers.iter().flatten().find_map(|layer| layer.type_.clone());
    let kind = kind.unwrap_or_else(|| "RollingUpdate".to_owned());
    let rolling = || layers.iter().flatten().filter_map(|layer| layer.rolling_update.as_ref());
    let unavailable = rolling().find_map(|layer| layer.max_unavailable.clone());
    let surge = rolling().find_map(|layer| layer.max_surge.clone());
    let rolling_update = (kind == "RollingUpdate").then(|| RollingUpdateDeployment {
        max_unavailable: Some(unavailable.unwrap_or(IntOrString::Int(inputs.defaults.max_unavailable))),
        max_surge: Some(surge.unwrap_or_else(|| IntOrString::String(inputs.defaults.max_surge.to_owned()))),
    });
    DeploymentStrategy { type_: Some(kind), rolling_update }
}

/// Drain and grace period.
pub(super) fn shutdown(inputs: &Inputs<'_>) -> (i32, i32) {
    let Inputs { spec, class, defaults, .. } = *inputs;
    let layers = [spec.shutdown.as_ref(), class.shutdown.as_ref()];
    let first = |leaf: fn(&Shutdown) -> Option<i32>| layers.iter().flatten().find_map(|layer| leaf(layer));
    let drain = first(|shutdown| shutdown.drain_seconds).unwrap_or(defaults.drain);
    let grace = first(|shutdown| shutdown.grace_period_seconds);
    let grace = grace.unwrap_or(defaults.grace.max(drain.saturating_add(defaults.grace_after_drain)));
    (drain, grace)
}

/// Seconds until a rollout without progress has failed: never before a pod could be ready.
pub(super) fn progress_deadline(
    inputs: &Inputs<'_>,
    (startup, readiness): (Option<&Probe>, Option<&Probe>),
    min_ready: i32,
    drain: i32,
) -> i32 {
    let budget = startup.map_or(0, |probe| {
        let checks = probe.period_seconds.unwrap_or(0).saturating_mul(probe.failure_threshold.unwrap_or(0));
        checks.saturating_add(probe.initial_delay_seconds.unwrap_or(0))
    });
    let first = readiness.map_or(0, |probe| {
        let again = probe.success_threshold.unwrap_or(1).saturating_sub(1);
        let checks = probe.period_seconds.unwrap_or(0).saturating_mul(again);
        checks.saturating_add(probe.initial_delay_seconds.unwrap_or(0))
    });
    let needed = [budget, first, min_ready, drain, inputs.defaults.progress_margin];
    inputs.defaults.progress_deadline.max(needed.into_iter().fold(0, i32::saturating_add))
}
