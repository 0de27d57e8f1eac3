//! Scaling by lag: each entry of `autoscaling.kafka` with the topic and group that it means.

use k8s_openapi::api::autoscaling::v2::MetricSpec;

use super::Inputs;
use super::kafka::cluster;
use crate::api::kafka::TopicLag;
use crate::intent::kafka::{KafkaIntent, TopicReference, UsersIntent};
use crate::intent::lag::{LagLogin, LagScaling, LagTopic};
use crate::kafka::names;

/// The mechanism of the users that the operator makes.
const MANAGED: &str = "SCRAM-SHA-512";

/// The entries of the spec.
pub(in crate::intent) fn entries<'a>(inputs: &Inputs<'a>) -> &'a [TopicLag] {
    let given = inputs.spec.autoscaling.as_deref().and_then(|auto| auto.kafka.as_deref());
    given.unwrap_or_default()
}

/// `None` when no entry names a topic that the service consumes; an entry that names none or several is
/// left out here and reported by [`crate::intent::rules`].
pub(super) fn lag(
    inputs: &Inputs<'_>,
    kafka: Option<&KafkaIntent>,
    metrics: Vec<MetricSpec>,
) -> Option<Box<LagScaling>> {
    let (kafka, class, spec) = (kafka?, inputs.kafka?, inputs.spec.kafka.as_deref()?);
    let topics: Vec<LagTopic> =
        entries(inputs).iter().filter_map(|entry| topic(inputs, kafka, entry)).collect();
    if topics.is_empty() {
        return None;
    }
    let tls = cluster(spec, class)?.tls.as_ref();
    let ca = tls.is_some_and(|tls| tls.ca_secret_name.is_some());
    let login = match &kafka.cluster.users {
        UsersIntent::Managed { secret, .. } => {
            Some(LagLogin { secret: secret.clone(), mechanism: MANAGED, ca })
        }
        UsersIntent::Existing { secret, mechanism, .. } => {
            Some(LagLogin { secret: secret.clone(), mechanism, ca })
        }
        UsersIntent::None => None,
    };
    Some(Box::new(LagScaling {
        topics,
        metrics,
        bootstrap_servers: kafka.cluster.bootstrap_servers.clone(),
        tls: tls.is_some(),
        login,
        served: !inputs.observed.keda_missing,
    }))
}

fn topic(inputs: &Inputs<'_>, kafka: &KafkaIntent, entry: &TopicLag) -> Option<LagTopic> {
    let candidates = candidates(inputs, kafka, entry);
    let [(topic, group)] = candidates.as_slice() else { return None };
    Some(LagTopic {
        name: topic.name.clone(),
        physical_name: topic.physical_name.clone(),
        group: (*group).to_owned(),
        threshold: entry.lag_threshold,
        activation: entry.activation_lag_threshold.unwrap_or_default(),
    })
}

/// Every consumed topic, with each group of the service that may read it, that the entry can mean.
pub(in crate::intent) fn candidates<'k>(
    inputs: &Inputs<'_>,
    kafka: &'k KafkaIntent,
    entry: &TopicLag,
) -> Vec<(&'k TopicReference, &'k str)> {
    let group = entry.group.as_deref().map(|group| names::group(inputs.namespace(), group));
    let of_streams = kafka.application_id.as_deref();
    let named = kafka.consumes.iter().filter(|read| {
        read.topic.name == entry.topic && (entry.namespace.is_none() || entry.namespace == read.topic.owner)
    });
    let mut pairs: Vec<_> = named
        .flat_map(|read| {
            std::iter::once(read.group.as_str()).chain(of_streams).map(move |group| (&read.topic, group))
        })
        .filter(|(_, of)| group.as_deref().is_none_or(|group| group == *of))
        .collect();
    // The application id may be the group's name too.
    pairs.dedup();
    pairs
}
