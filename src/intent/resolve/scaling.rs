//! How many pods, and who decides it.

use k8s_openapi::api::autoscaling::v2::{
    ContainerResourceMetricSource, HPAScalingPolicy, HPAScalingRules, HorizontalPodAutoscalerBehavior,
    MetricSpec, MetricTarget,
};

use super::{Inputs, lag};
use crate::api::defaults::Defaults;
use crate::api::microservice::Autoscaling;
use crate::intent::{AutoScaling, KafkaIntent, Scaling};

/// Replicas that the spec gives stand; then its autoscaling, then the class's, then a fixed number.
pub(super) fn scaling(inputs: &Inputs<'_>, kafka: Option<&KafkaIntent>) -> Scaling {
    let Inputs { spec, class, defaults, .. } = *inputs;
    match (spec.replicas, spec.autoscaling.as_deref().or(class.autoscaling.as_ref())) {
        (Some(n), _) => fixed(n),
        (None, Some(_)) => autoscaled(inputs, kafka),
        (None, None) => fixed(at_most(class.replicas.unwrap_or(defaults.replicas), inputs)),
    }
}

fn fixed(n: i32) -> Scaling {
    if n == 0 { Scaling::Stopped } else { Scaling::Static(n) }
}

/// A default never breaks a guard rail by itself; but a guard rail of 0 stops no service, it refuses it.
fn at_most(n: i32, inputs: &Inputs<'_>) -> i32 {
    inputs.guardrails.max_replicas.map_or(n, |max| n.min(max.max(1)))
}

fn autoscaled(inputs: &Inputs<'_>, kafka: Option<&KafkaIntent>) -> Scaling {
    let Inputs { spec, class, defaults, .. } = *inputs;
    let layers = [spec.autoscaling.as_deref(), class.autoscaling.as_ref()];
    let max = match layers {
        [Some(spec), _] => spec.max_replicas,
        [None, class] => at_most(class.map_or(0, |class| class.max_replicas), inputs),
    };
    let given = spec.autoscaling.as_deref().and_then(|auto| auto.min_replicas);
    let min = given.unwrap_or_else(|| {
        let class = class.autoscaling.as_ref().and_then(|auto| auto.min_replicas);
        class.unwrap_or(defaults.autoscaling_min).min(max)
    });
    if min == max {
        return fixed(max);
    }
    let layers: Vec<&Autoscaling> = layers.into_iter().flatten().collect();
    let given = metrics(inputs.name(), &layers);
    let lag = lag::lag(inputs, kafka, given.clone());
    let metrics = or_cpu(given, inputs.name(), defaults);
    Scaling::Auto(Box::new(AutoScaling { min, max, metrics, behavior: behavior(&layers, defaults), lag }))
}

/// CPU when no other target or metric is given.
fn or_cpu(given: Vec<MetricSpec>, container: &str, defaults: &Defaults) -> Vec<MetricSpec> {
    if given.is_empty() { vec![container_resource(container, "cpu", defaults.target_cpu)] } else { given }
}

/// Targets first, then the metrics given.
fn metrics(container: &str, layers: &[&Autoscaling]) -> Vec<MetricSpec> {
    let cpu = layers.iter().find_map(|layer| layer.target_cpu_utilization_percentage);
    let memory = layers.iter().find_map(|layer| layer.target_memory_utilization_percentage);
    let further = layers.iter().find_map(|layer| layer.metrics.clone()).unwrap_or_default();
    let targets = [("cpu", cpu), ("memory", memory)];
    let mut metrics: Vec<MetricSpec> = targets
        .into_iter()
        .filter_map(|(resource, percent)| Some(container_resource(container, resource, percent?)))
        .collect();
    metrics.extend(further);
    metrics
}

/// Use of the service's own container: the average over a whole pod is diluted by idle sidecars.
fn container_resource(container: &str, resource: &str, percent: i32) -> MetricSpec {
    MetricSpec {
        type_: "ContainerResource".to_owned(),
        container_resource: Some(ContainerResourceMetricSource {
            container: container.to_owned(),
            name: resource.to_owned(),
            target: MetricTarget {
                type_: "Utilization".to_owned(),
                average_utilization: Some(percent),
                ..MetricTarget::default()
            },
        }),
        ..MetricSpec::default()
    }
}

/// Scaling speed, complete in both directions, merged per leaf; a list of policies is replaced.
fn behavior(layers: &[&Autoscaling], defaults: &Defaults) -> HorizontalPodAutoscalerBehavior {
    let policy = |type_: &str, value| HPAScalingPolicy {
        type_: type_.to_owned(),
        value,
        period_seconds: defaults.scale_period,
    };
    let up = layers.iter().filter_map(|layer| layer.behavior.as_ref()?.scale_up.as_ref());
    let down = layers.iter().filter_map(|layer| layer.behavior.as_ref()?.scale_down.as_ref());
    let percent = policy("Percent", defaults.scale_percent);
    HorizontalPodAutoscalerBehavior {
        scale_up: Some(direction(
            up,
            defaults.scale_up_window,
            vec![policy("Pods", defaults.scale_up_pods), percent.clone()],
        )),
        scale_down: Some(direction(down, defaults.scale_down_window, vec![percent])),
    }
}

fn direction<'a>(
    layers: impl Iterator<Item = &'a HPAScalingRules>,
    window: i32,
    policies: Vec<HPAScalingPolicy>,
) -> HPAScalingRules {
    let mut merged = HPAScalingRules::default();
    for layer in layers {
        merged.stabilization_window_seconds =
            merged.stabilization_window_seconds.or(layer.stabilization_window_seconds);
        merged.select_policy = merged.select_policy.or_else(|| layer.select_policy.clone());
        merged.policies = merged.policies.or_else(|| layer.policies.clone());
        merged.tolerance = merged.tolerance.or_else(|| layer.tolerance.clone());
    }
    HPAScalingRules {
        stabilization_window_seconds: Some(merged.stabilization_window_seconds.unwrap_or(window)),
        select_policy: Some(merged.select_policy.unwrap_or_else(|| "Max".to_owned())),
        policies: Some(merged.policies.filter(|given| !given.is_empty()).unwrap_or(policies)),
        tolerance: merged.tolerance,
    }
}
