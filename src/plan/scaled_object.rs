//! ScaledObject, in place of the HorizontalPodAutoscaler when lag scales too: it carries all metrics, since
//! two autoscalers on one Deployment fight.

use std::collections::BTreeMap;

use k8s_openapi::api::autoscaling::v2::{MetricSpec, MetricTarget};

use super::keda::{
    Advanced, AuthenticationRef, AutoscalerConfig, EXCLUDED_LABELS, ScaleTarget, ScaledObject,
    ScaledObjectSpec, Trigger, autoscaler_name,
};
use super::{Child, Stage, meta};
use crate::api::LABEL_NAME;
use crate::intent::lag::{LagScaling, LagTopic};
use crate::intent::{Intent, Scaling};

/// The oldest protocol that every supported broker takes; KEDA's own default is older than what Kafka 4
/// takes.
const PROTOCOL: &str = "2.1.0";

pub(super) struct Table;

impl Child for Table {
    type Object = ScaledObject;
    const STAGE: Stage = Stage::Scaling;
    const OPTIONAL: bool = true;

    fn build(intent: &Intent) -> Vec<ScaledObject> {
        let Scaling::Auto(auto) = &intent.scaling else { return Vec::new() };
        let Some(lag) = auto.served_lag() else { return Vec::new() };
        let excluded = format!("{LABEL_NAME},app.kubernetes.io/managed-by");
        let annotations = BTreeMap::from([(EXCLUDED_LABELS.to_owned(), excluded)]);
        let resources = lag.metrics.iter().filter_map(resource);
        vec![ScaledObject {
            metadata: meta::annotated(intent, &intent.name, &annotations),
            spec: ScaledObjectSpec {
                scale_target_ref: ScaleTarget {
                    api_version: "apps/v1".to_owned(),
                    kind: "Deployment".to_owned(),
                    name: intent.name.clone(),
                },
                min_replica_count: auto.min,
                max_replica_count: auto.max,
                advanced: Advanced {
                    horizontal_pod_autoscaler_config: AutoscalerConfig {
                        name: autoscaler_name(&intent.name),
                        behavior: auto.behavior.clone(),
                    },
                },
                triggers: resources.chain(lag.topics.iter().map(|topic| kafka(intent, lag, topic))).collect(),
            },
        }]
    }
}

/// A trigger for CPU or memory; validation lets no other metric stand beside lag.
fn resource(metric: &MetricSpec) -> Option<Trigger> {
    let (name, container, target) = match (&metric.resource, &metric.container_resource) {
        (Some(resource), _) => (&resource.name, None, &resource.target),
        (None, Some(resource)) => (&resource.name, Some(&resource.container), &resource.target),
        (None, None) => return None,
    };
    let container = container.map(|container| ("containerName".to_owned(), container.clone()));
    let value = ("value".to_owned(), value(target)?);
    Some(Trigger {
        kind: name.clone(),
        metric_type: Some(target.type_.clone()),
        metadata: container.into_iter().chain([value]).collect(),
        authentication_ref: None,
    })
}

fn value(target: &MetricTarget) -> Option<String> {
    let percent = target.average_utilization.map(|percent| percent.to_string());
    percent.or_else(|| target.average_value.as_ref().map(|quantity| quantity.0.clone()))
}

fn kafka(intent: &Intent, lag: &LagScaling, topic: &LagTopic) -> Trigger {
    let login = lag.login.as_ref();
    let metadata = [
        ("bootstrapServers", lag.bootstrap_servers.join(",")),
        ("topic", topic.physical_name.clone()),
        ("consumerGroup", topic.group.clone()),
        ("lagThreshold", topic.threshold.to_string()),
        ("activationLagThreshold", topic.activation.to_string()),
        ("version", PROTOCOL.to_owned()),
        ("sasl", login.map_or("none", |login| sasl(login.mechanism)).to_owned()),
        ("tls", if lag.tls { "enable" } else { "disable" }.to_owned()),
    ];
    Trigger {
        kind: "kafka".to_owned(),
        metric_type: None,
        metadata: metadata.into_iter().map(|(key, value)| (key.to_owned(), value)).collect(),
        authentication_ref: login.map(|_| AuthenticationRef { name: intent.name.clone() }),
    }
}

/// A mechanism of Kafka in KEDA's spelling.
fn sasl(mechanism: &str) -> &'static str {
    match mechanism {
        "PLAIN" => "plaintext",
        "SCRAM-SHA-256" => "scram_sha256",
        _ => "scram_sha512",
    }
}
