//! Kafka: what needs the class, the namespace or another part of the spec, and again whatever would
//! otherwise be left out in silence.

use std::collections::{BTreeMap, BTreeSet};

use super::guardrails::class;
use super::{Inputs, Intent, Violation, Violations, entry, quoted};
use crate::api::Reason;
use crate::api::kafka::class::{Access, ClassKafka};
use crate::api::kafka::{Kafka, Topic};
use crate::intent::kafka::{KafkaIntent, TopicIntent, TopicReference, UsersIntent};
use crate::intent::resolve::kafka::{
    bytes, cluster, group_variables, milliseconds, own_variables, topic_variables,
};
use crate::kafka::names::{self, Template};

/// Most partitions of a topic, whatever the class says.
const MAX_PARTITIONS: i32 = 10_000;
const MAX_REPLICATION: i32 = 100;

pub(super) fn check(inputs: &Inputs<'_>, intent: &Intent, found: &mut Violations) {
    let Some(spec) = inputs.spec.kafka.as_deref() else { return };
    for (i, topic) in spec.topics.iter().flatten().enumerate() {
        declared(&format!("spec.kafka.topics[{i}]"), topic, found);
    }
    names_of_references(spec, found);
    let Some(rails) = usable_class(inputs, spec, found) else { return };
    let Some(kafka) = intent.kafka.as_deref() else { return };
    for (i, (given, topic)) in spec.topics.iter().flatten().zip(&kafka.topics).enumerate() {
        owned(&format!("spec.kafka.topics[{i}]"), given, topic, rails, inputs, found);
    }
    moves(inputs, kafka, found);
    references(inputs, rails, kafka, found);
    variables(inputs, kafka, found);
    streams(inputs, rails, kafka, found);
    secret(inputs, kafka, found);
}

/// The class's part, once it is certain that it has the cluster and names for topics.
fn usable_class<'a>(inputs: &Inputs<'a>, spec: &Kafka, found: &mut Violations) -> Option<&'a ClassKafka> {
    let Some(rails) = inputs.kafka.filter(|kafka| !kafka.clusters.is_empty()) else {
        let message = match inputs.class_name {
            Some(_) => format!(
                "{} has no Kafka cluster: have one added to its spec.kafka.clusters, use another class, or remove \
                 spec.kafka",
                class(inputs)
            ),
            None => {
                "only a MicroserviceClass has Kafka clusters and none applies: name one in spec.className, \
                     or remove spec.kafka"
                    .to_owned()
            }
        };
        found.guardrail("spec.kafka", message);
        return None;
    };
    if cluster(spec, rails).is_none() {
        let known: Vec<&str> = rails.clusters.iter().map(|cluster| cluster.name.as_str()).collect();
        let message = match &spec.cluster {
            Some(name) => {
                format!("{} has no Kafka cluster {}: use {}", class(inputs), quoted(name), known.join(" or "))
            }
            None => format!("{} has several Kafka clusters: set it to {}", class(inputs), known.join(" or ")),
        };
        found.guardrail("spec.kafka.cluster", message);
        return None;
    }
    if Template::parse(&rails.topic_name_template).is_none() {
        let message = format!(
            "the topicNameTemplate of {} cannot name topics: it must contain {{name}}, such as {{namespace}}.{{name}}",
            class(inputs)
        );
        found.guardrail("spec.kafka", message);
        return None;
    }
    Some(rails)
}

/// What a declared topic says by itself.
fn declared(field: &str, topic: &Topic, found: &mut Violations) {
    name(&format!("{field}.name"), &topic.name, found);
    let numbers = [
        ("partitions", topic.partitions, MAX_PARTITIONS),
        ("replicationFactor", topic.replication_factor, MAX_REPLICATION),
        ("minInsyncReplicas", topic.min_insync_replicas, MAX_REPLICATION),
        ("maxMessageBytes", topic.max_message_bytes, i32::MAX),
    ];
    for (leaf, number, most) in numbers {
        if let Some(n) = number.filter(|n| !(1..=most).contains(n)) {
            found.invalid(format!("{field}.{leaf}"), format!("{n} is out of range: use 1 to {most}"));
        }
    }
    if let Some(text) = topic.retention.as_deref().filter(|text| milliseconds(text).is_none()) {
        let message =
            format!("{} is no duration of more than 0: write for example 7d, or Infinite", quoted(text));
        found.invalid(format!("{field}.retention"), message);
    }
    if let Some(text) = topic.retention_bytes.as_deref().filter(|text| bytes(text).is_none()) {
        let message =
            format!("{} is no size of more than 0: write for example 10Gi, or Infinite", quoted(text));
        found.invalid(format!("{field}.retentionBytes"), message);
    }
}

fn name(field: &str, topic: &str, found: &mut Violations) {
    if !names::is_topic(topic) {
        let message = format!(
            "{} cannot be the name of a topic: use at most 249 letters, digits, '.', '_' and '-', not '.' or '..', \
             and no __ at the start",
            quoted(topic)
        );
        found.invalid(field, message);
    }
}

fn names_of_references(spec: &Kafka, found: &mut Violations) {
    for (i, produced) in spec.produces.iter().flatten().enumerate() {
        name(&format!("spec.kafka.produces[{i}].topic"), &produced.topic, found);
    }
    for (i, consumed) in spec.consumes.iter().flatten().enumerate() {
        name(&format!("spec.kafka.consumes[{i}].topic"), &consumed.topic, found);
        if let Some(group) = consumed.group.as_deref() {
            self::group(&format!("spec.kafka.consumes[{i}].group"), group, found);
        }
    }
    if let Some(streams) = &spec.streams {
        group("spec.kafka.streams.applicationId", &streams.application_id, found);
    }
}

fn group(field: &str, text: &str, found: &mut Violations) {
    if !names::is_group(text) {
        let message =
            format!("{} cannot name a consumer group: use letters, digits, '.', '_' and '-'", quoted(text));
        found.invalid(field, message);
    }
}

/// What the class lets a topic be, and what it makes of it.
fn owned(
    field: &str,
    given: &Topic,
    topic: &TopicIntent,
    rails: &ClassKafka,
    inputs: &Inputs<'_>,
    found: &mut Violations,
) {
    if names::is_topic(&given.name) && !names::is_topic(&topic.physical_name) {
        let message = format!(
            "it would be {} on the cluster, which is no name that a broker takes, at most {} characters and no __ \
             at the start: use a shorter or another one",
            quoted(&topic.physical_name),
            names::MAX_TOPIC
        );
        found.invalid(format!("{field}.name"), message);
    }
    let most = rails.max_partitions.unwrap_or(MAX_PARTITIONS);
    if let Some(n) = given.partitions.filter(|n| *n > most && *n <= MAX_PARTITIONS) {
        let message = format!("{n} is more than {} allows: use at most {most}", class(inputs));
        found.guardrail(format!("{field}.partitions"), message);
    }
    if let (Some(least), Some(copies)) = (given.min_insync_replicas, topic.initial_replication_factor)
        && least > copies
    {
        let message =
            format!("{least} is more than the {copies} replicas of the topic: no message could be written");
        found.invalid(format!("{field}.minInsyncReplicas"), message);
    }
    let allowed = rails.allowed_config.as_deref().unwrap_or_default();
    for key in given.config.iter().flat_map(BTreeMap::keys).filter(|key| !allowed.contains(key)) {
        let allowed =
            if allowed.is_empty() { "no key".to_owned() } else { format!("only {}", allowed.join(", ")) };
        let message =
            format!("{} allows {allowed}: remove it, or have it added to kafka.allowedConfig", class(inputs));
        found.guardrail(entry(&format!("{field}.config"), key), message);
    }
}

/// A topic that exists stays where it is: under another name or on another cluster it would be a new and
/// empty one, and the pods would be sent there.
fn moves(inputs: &Inputs<'_>, kafka: &KafkaIntent, found: &mut Violations) {
    let known = inputs.object.status.as_ref().map(|status| status.topics.as_slice()).unwrap_or_default();
    for (i, topic) in kafka.topics.iter().enumerate() {
        let old = known.iter().find(|old| old.name == topic.name && old.id.is_some());
        let moved =
            old.filter(|old| old.physical_name != topic.physical_name || old.cluster != kafka.cluster.name);
        if let Some(old) = moved {
            let message = format!(
                "it is {} on cluster {}, and would be a new and empty topic {} on cluster {}: undo the change of class, \
                 cluster or topicNameTemplate, or remove this line and add it again (the old topic stays)",
                quoted(&old.physical_name),
                quoted(&old.cluster),
                quoted(&topic.physical_name),
                quoted(&kafka.cluster.name)
            );
            let field = format!("spec.kafka.topics[{i}].name");
            found.0.push(Violation { reason: Reason::TopicMoveRefused, field, message });
        }
    }
}

fn references(inputs: &Inputs<'_>, rails: &ClassKafka, kafka: &KafkaIntent, found: &mut Violations) {
    uses("produces", kafka.produces.iter(), Access::writes, inputs, rails, found);
    uses("consumes", kafka.consumes.iter().map(|read| &read.topic), Access::reads, inputs, rails, found);
}

/// Each topic once in the list; the topics without an owner only as the class says.
fn uses<'a>(
    list: &str,
    topics: impl Iterator<Item = &'a TopicReference>,
    allows: fn(Access) -> bool,
    inputs: &Inputs<'_>,
    rails: &ClassKafka,
    found: &mut Violations,
) {
    let mut seen = BTreeSet::new();
    for (i, topic) in topics.enumerate() {
        let field = format!("spec.kafka.{list}[{i}].topic");
        if !seen.insert((&topic.owner, &topic.name)) {
            found.invalid(&field, format!("{} is listed twice: keep one entry", quoted(&topic.name)));
        }
        if topic.owner.is_none() && !is_external(inputs.namespace(), rails, &topic.name, allows) {
            let message = format!(
                "{} does not let services of this namespace use the external topic {} like this: have it added to \
                 kafka.externalTopics, or name the owner's namespace instead of external",
                class(inputs),
                quoted(&topic.name)
            );
            found.guardrail(field, message);
        }
    }
}

fn is_external(namespace: &str, rails: &ClassKafka, topic: &str, allows: fn(Access) -> bool) -> bool {
    let mut listed = rails.external_topics.iter().flatten().filter(|listed| listed.name == topic);
    listed.any(|listed| {
        let namespaces = listed.namespaces.as_ref();
        allows(listed.access) && namespaces.is_none_or(|all| all.iter().any(|allowed| allowed == namespace))
    })
}

/// One variable cannot have two values. What the service sets itself is no concern of ours.
fn variables(inputs: &Inputs<'_>, kafka: &KafkaIntent, found: &mut Violations) {
    let own = own_variables(inputs);
    let mut topics = BTreeMap::new();
    for ((list, i), variable, physical) in topic_variables(kafka) {
        if own.contains(variable.as_str()) || *topics.entry(variable.clone()).or_insert(physical) == physical
        {
            continue;
        }
        let leaf = if list == "topics" { "name" } else { "topic" };
        let message = format!(
            "two topics would have the variable {variable}: set it yourself in spec.env, and read another one"
        );
        found.invalid(format!("spec.kafka.{list}[{i}].{leaf}"), message);
    }
    let mut groups = BTreeMap::new();
    for (variable, group) in group_variables(kafka) {
        if !own.contains(variable.as_str()) && *groups.entry(variable.clone()).or_insert(group) != group {
            let message = format!(
                "two groups would have the variable {variable}: use one group, or set it in spec.env"
            );
            found.invalid("spec.kafka.consumes", message);
        }
    }
}

/// Rights by prefix must not reach into another namespace.
fn streams(inputs: &Inputs<'_>, rails: &ClassKafka, kafka: &KafkaIntent, found: &mut Violations) {
    let safe =
        Template::parse(&rails.topic_name_template).is_some_and(|template| template.begins_with_namespace());
    if kafka.application_id.is_some() && !safe {
        let message = format!(
            "the rights of Kafka Streams go by prefix and could reach topics of other namespaces: the \
             topicNameTemplate of {} must begin with {{namespace}}",
            class(inputs)
        );
        found.guardrail("spec.kafka.streams", message);
    }
}

/// The operator's Secret must not be one of the service's.
fn secret(inputs: &Inputs<'_>, kafka: &KafkaIntent, found: &mut Violations) {
    let UsersIntent::Managed { secret, .. } = &kafka.cluster.users else { return };
    for (i, given) in inputs.spec.secrets.iter().flatten().enumerate() {
        if given.name == *secret {
            let message =
                format!("{} holds the Kafka credentials of the service: use another name", quoted(secret));
            found.invalid(format!("spec.secrets[{i}].name"), message);
        }
    }
}
