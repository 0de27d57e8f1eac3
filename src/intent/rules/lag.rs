//! Scaling by lag: each entry means one group on one topic that the service consumes, and what stands
//! beside it can be said to KEDA.

use std::collections::BTreeSet;

use k8s_openapi::api::autoscaling::v2::MetricSpec;

use super::{Inputs, Intent, Violations, quoted};
use crate::api::kafka::TopicLag;
use crate::intent::kafka::{KafkaIntent, TopicReference};
use crate::intent::resolve::lag::{candidates, entries};

/// Most of anything that counts messages.
const MOST: i32 = 1_000_000_000;

pub(super) fn check(inputs: &Inputs<'_>, intent: &Intent, found: &mut Violations) {
    let entries = entries(inputs);
    if entries.is_empty() {
        return;
    }
    for (i, entry) in entries.iter().enumerate() {
        thresholds(&format!("spec.autoscaling.kafka[{i}]"), entry, found);
    }
    metrics(inputs, found);
    match (&inputs.spec.kafka, intent.kafka.as_deref()) {
        (None, _) => found.invalid(
            "spec.autoscaling.kafka",
            "the service consumes no topic: name those that it reads in spec.kafka.consumes",
        ),
        (Some(_), Some(kafka)) => topics(inputs, kafka, entries, found),
        // The class has no such cluster, which is told at spec.kafka.
        (Some(_), None) => {}
    }
}

fn thresholds(field: &str, entry: &TopicLag, found: &mut Violations) {
    let numbers = [
        ("lagThreshold", Some(entry.lag_threshold), 1),
        ("activationLagThreshold", entry.activation_lag_threshold, 0),
    ];
    for (leaf, number, least) in numbers {
        if let Some(n) = number.filter(|n| !(least..=MOST).contains(n)) {
            found.invalid(format!("{field}.{leaf}"), format!("{n} is out of range: use {least} to {MOST}"));
        }
    }
}

/// KEDA takes no metric of another API as it is; to leave one out in silence would scale by less than what
/// is described.
fn metrics(inputs: &Inputs<'_>, found: &mut Violations) {
    let own = inputs.spec.autoscaling.as_deref().and_then(|auto| auto.metrics.as_deref());
    let class = inputs.class.autoscaling.as_ref().and_then(|auto| auto.metrics.as_deref());
    for (i, metric) in
        own.or(class).unwrap_or_default().iter().enumerate().filter(|(_, m)| !is_expressible(m))
    {
        if own.is_some() {
            let message = "beside autoscaling.kafka, which KEDA serves, metrics may only be of type Resource or \
                           ContainerResource for cpu or memory: remove it, or kafka";
            found.invalid(format!("spec.autoscaling.metrics[{i}]"), message);
        } else {
            let message = format!(
                "the metric of type {} that the class adds cannot stand beside kafka: set spec.autoscaling.metrics \
                 to [], or remove kafka",
                quoted(&metric.type_)
            );
            found.invalid("spec.autoscaling.metrics", message);
        }
    }
}

fn is_expressible(metric: &MetricSpec) -> bool {
    let own = metric.resource.as_ref().map(|resource| &resource.name);
    let name = own.or(metric.container_resource.as_ref().map(|resource| &resource.name));
    name.is_some_and(|name| name == "cpu" || name == "memory")
}

fn topics(inputs: &Inputs<'_>, kafka: &KafkaIntent, entries: &[TopicLag], found: &mut Violations) {
    let mut seen = BTreeSet::new();
    for (i, entry) in entries.iter().enumerate() {
        let field = format!("spec.autoscaling.kafka[{i}]");
        match candidates(inputs, kafka, entry).as_slice() {
            [] => found.invalid(format!("{field}.topic"), unknown(kafka, entry)),
            [(topic, group)] => {
                if !seen.insert((topic.physical_name.as_str(), *group)) {
                    let message = format!("{} is listed twice: keep one entry", quoted(&entry.topic));
                    found.invalid(format!("{field}.topic"), message);
                }
            }
            several => found.invalid(field, ambiguous(entry, several)),
        }
    }
}

fn unknown(kafka: &KafkaIntent, entry: &TopicLag) -> String {
    let topic = quoted(&entry.topic);
    if kafka.consumes.iter().any(|read| read.topic.name == entry.topic) {
        return format!(
            "no entry of spec.kafka.consumes has topic {topic} with this namespace and group: correct them, or \
             leave out what is given"
        );
    }
    format!("the service does not consume {topic}: add it to spec.kafka.consumes, or correct the name")
}

/// What tells them apart: the owner first, then the group.
fn ambiguous(entry: &TopicLag, several: &[(&TopicReference, &str)]) -> String {
    let topic = quoted(&entry.topic);
    let owners: BTreeSet<_> = several.iter().filter_map(|(topic, _)| topic.owner.as_deref()).collect();
    if entry.namespace.is_none() && owners.len() > 1 {
        let owners: Vec<&str> = owners.into_iter().collect();
        return format!(
            "topics {topic} of several owners are consumed: set namespace to {}",
            owners.join(" or ")
        );
    }
    // In the spec a group stands without the namespace, which has no dot.
    let short = |group: &str| group.split_once('.').map_or(group, |(_, group)| group).to_owned();
    let groups: BTreeSet<String> = several.iter().map(|(_, group)| short(group)).collect();
    let groups: Vec<String> = groups.into_iter().collect();
    format!("several groups of the service may read {topic}: set group to {}", groups.join(" or "))
}
