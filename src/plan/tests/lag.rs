//! Rules of ScaledObject and TriggerAuthentication.

use k8s_openapi::api::autoscaling::v2::{MetricSpec, MetricTarget, ResourceMetricSource};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use serde_json::{Value, json};

use super::{at, body, has};
use crate::intent::lag::LagScaling;
use crate::intent::{Intent, Scaling};
use crate::plan::sample::{auto, intent, lagging};

fn with(change: impl FnOnce(&mut LagScaling)) -> Intent {
    let mut scaling = lagging(2, 10);
    if let Scaling::Auto(auto) = &mut scaling
        && let Some(lag) = auto.lag.as_deref_mut()
    {
        change(lag);
    }
    Intent { scaling, ..intent() }
}

fn triggers(intent: &Intent) -> Value {
    at(&body(intent, "ScaledObject"), "/spec/triggers").clone()
}

#[test]
fn a_scaled_object_carries_all_metrics_with_explicit_bounds() {
    let intent = with(|_| {});
    let object = body(&intent, "ScaledObject");
    let target = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "user-service"});
    assert_eq!(at(&object, "/spec/scaleTargetRef"), &target);
    assert_eq!(at(&object, "/spec/minReplicaCount"), &json!(2));
    assert_eq!(at(&object, "/spec/maxReplicaCount"), &json!(10));
    let kafka = |topic: &str, threshold: &str| {
        json!({
            "type": "kafka",
            "metadata": {
                "bootstrapServers": "kafka-0:9093,kafka-1:9093",
                "topic": topic,
                "consumerGroup": "shop.user-service",
                "lagThreshold": threshold,
                "activationLagThreshold": "5",
                "version": "2.1.0",
                "sasl": "scram_sha512",
                "tls": "enable",
            },
            "authenticationRef": {"name": "user-service"},
        })
    };
    let expected = json!([
        {
            "type": "cpu",
            "metricType": "Utilization",
            "metadata": {"containerName": "user-service", "value": "70"},
        },
        kafka("shop.orders", "100"),
        kafka("shop.payments", "20"),
    ]);
    assert_eq!(triggers(&intent), expected);
}

/// The behavior is the one that a plain autoscaler would have; its own name and labels keep KEDA's from
/// being taken for one of ours.
#[test]
fn the_autoscaler_that_keda_makes_is_none_of_ours() {
    let config = "/spec/advanced/horizontalPodAutoscalerConfig";
    let object = body(&with(|_| {}), "ScaledObject");
    let plain = body(&Intent { scaling: auto(2, 10), ..intent() }, "HorizontalPodAutoscaler");
    assert_eq!(at(&object, &format!("{config}/behavior")), at(&plain, "/spec/behavior"));
    assert_eq!(at(&object, &format!("{config}/name")), "user-service.keda");
    let excluded = at(&object, "/metadata/annotations/scaledobject.keda.sh~1hpa-excluded-labels");
    let excluded: Vec<&str> = excluded.as_str().unwrap().split(',').collect();
    assert!(excluded.contains(&"microservice.dev/name"), "{excluded:?}");
}

#[test]
fn one_autoscaler_and_no_other() {
    let pair = |intent: &Intent| (has(intent, "HorizontalPodAutoscaler"), has(intent, "ScaledObject"));
    assert_eq!(pair(&with(|_| {})), (false, true));
    assert_eq!(pair(&Intent { scaling: auto(2, 10), ..intent() }), (true, false));
    let without_keda = with(|lag| lag.served = false);
    assert_eq!(pair(&without_keda), (true, false));
    assert!(!has(&without_keda, "TriggerAuthentication"));
    assert_eq!(body(&without_keda, "Deployment").pointer("/spec/replicas"), None);
}

#[test]
fn lag_alone_scales_by_nothing_else() {
    let alone = with(|lag| lag.metrics.clear());
    let kinds: Vec<Value> = triggers(&alone).as_array().unwrap().iter().map(|t| t["type"].clone()).collect();
    assert_eq!(kinds, ["kafka", "kafka"]);
}

#[test]
fn metrics_of_whole_pods_and_amounts_are_said_in_kedas_words() {
    let resource = ResourceMetricSource {
        name: "memory".to_owned(),
        target: MetricTarget {
            type_: "AverageValue".to_owned(),
            average_value: Some(Quantity("512Mi".to_owned())),
            ..MetricTarget::default()
        },
    };
    let metric =
        MetricSpec { type_: "Resource".to_owned(), resource: Some(resource), ..MetricSpec::default() };
    let expected = json!({"type": "memory", "metricType": "AverageValue", "metadata": {"value": "512Mi"}});
    assert_eq!(at(&triggers(&with(|lag| lag.metrics = vec![metric])), "/0"), &expected);
}

#[test]
fn keda_logs_in_with_what_the_pods_log_in_with() {
    let targets =
        |intent: &Intent| at(&body(intent, "TriggerAuthentication"), "/spec/secretTargetRef").clone();
    let target = |parameter: &str, key: &str| json!({"parameter": parameter, "name": "user-service-kafka", "key": key});
    let (user, password) = (target("username", "username"), target("password", "password"));
    assert_eq!(targets(&with(|_| {})), json!([user, password, target("ca", "ca.crt")]));
    let public = with(|lag| lag.login.iter_mut().for_each(|login| login.ca = false));
    assert_eq!(targets(&public), json!([user, password]));
}

#[test]
fn login_and_encryption_have_kedas_literals() {
    let words = |intent: &Intent| {
        let metadata = at(&triggers(intent), "/1/metadata").clone();
        (metadata["sasl"].as_str().unwrap().to_owned(), metadata["tls"].as_str().unwrap().to_owned())
    };
    let mechanism = |name| with(|lag| lag.login.iter_mut().for_each(|login| login.mechanism = name));
    for (name, expected) in
        [("PLAIN", "plaintext"), ("SCRAM-SHA-256", "scram_sha256"), ("SCRAM-SHA-512", "scram_sha512")]
    {
        assert_eq!(words(&mechanism(name)), (expected.to_owned(), "enable".to_owned()));
    }
    let open = with(|lag| (lag.login, lag.tls) = (None, false));
    assert_eq!(words(&open), ("none".to_owned(), "disable".to_owned()));
    assert!(!has(&open, "TriggerAuthentication"));
    assert_eq!(triggers(&open)[1].get("authenticationRef"), None);
}
