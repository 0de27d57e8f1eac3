//! Metrics of autoscaling: an autoscaler that the API server refuses would leave the service at its lower
//! bound, and KEDA would not hear of a target that it cannot express.

use k8s_openapi::api::autoscaling::v2::{MetricSpec, MetricTarget};

use super::{Inputs, Violations, quoted};
use crate::intent::quantity::Amount;

/// Types of targets of a source, as `autoscaling/v2` takes them.
const OF_CONTAINERS: &[&str] = &["Utilization", "AverageValue"];
const OF_PODS: &[&str] = &["AverageValue"];
const OF_OTHERS: &[&str] = &["Value", "AverageValue"];

pub(super) fn check(inputs: &Inputs<'_>, found: &mut Violations) {
    let own = inputs.spec.autoscaling.as_deref().and_then(|auto| auto.metrics.as_deref());
    let class = inputs.class.autoscaling.as_ref().and_then(|auto| auto.metrics.as_deref());
    for (i, metric) in own.or(class).unwrap_or_default().iter().enumerate() {
        if let Some((source, given, types)) = source(metric) {
            target(&format!("spec.autoscaling.metrics[{i}].{source}.target"), given, types, found);
        }
    }
}

/// The target of a metric, with the name of its source.
fn source(metric: &MetricSpec) -> Option<(&'static str, &MetricTarget, &'static [&'static str])> {
    let resource = metric.resource.as_ref().map(|of| ("resource", &of.target, OF_CONTAINERS));
    let container = metric.container_resource.as_ref();
    let container = container.map(|of| ("containerResource", &of.target, OF_CONTAINERS));
    let pods = metric.pods.as_ref().map(|of| ("pods", &of.target, OF_PODS));
    let object = metric.object.as_ref().map(|of| ("object", &of.target, OF_OTHERS));
    let external = metric.external.as_ref().map(|of| ("external", &of.target, OF_OTHERS));
    resource.or(container).or(pods).or(object).or(external)
}

fn target(field: &str, target: &MetricTarget, types: &[&str], found: &mut Violations) {
    if !types.contains(&target.type_.as_str()) {
        let message =
            format!("{} is no type of this target: use {}", quoted(&target.type_), types.join(" or "));
        return found.invalid(format!("{field}.type"), message);
    }
    let value = target.value.as_ref().map(|amount| amount.0.as_str());
    let average = target.average_value.as_ref().map(|amount| amount.0.as_str());
    let percent = target.average_utilization;
    let given = [
        ("Utilization", "averageUtilization", percent.is_some()),
        ("Value", "value", value.is_some()),
        ("AverageValue", "averageValue", average.is_some()),
    ];
    for (kind, leaf, is_given) in given {
        match (kind == target.type_, is_given) {
            (true, false) => found.invalid(field, format!("type {kind} needs {leaf}")),
            (false, true) => {
                let message = format!("type {} has no {leaf}: remove it, or change the type", target.type_);
                found.invalid(format!("{field}.{leaf}"), message);
            }
            (true, true) | (false, false) => {}
        }
    }
    if percent.is_some_and(|percent| percent < 1) {
        found.invalid(format!("{field}.averageUtilization"), "must be at least 1 percent");
    }
    for (leaf, amount) in [("value", value), ("averageValue", average)] {
        let positive = |text: &str| Amount::parse(text).is_some_and(|n| !n.is_negative() && !n.is_zero());
        if let Some(text) = amount.filter(|text| !positive(text)) {
            let message =
                format!("{} is no amount to scale by: write one above 0, such as 100m or 50", quoted(text));
            found.invalid(format!("{field}.{leaf}"), message);
        }
    }
}
