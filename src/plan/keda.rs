//! The part of KEDA's API (`keda.sh/v1alpha1`) that a plan can hold, and KEDA's own words.

use std::collections::BTreeMap;

use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscalerBehavior;
use kube::CustomResource;
use serde::{Deserialize, Serialize};

use crate::api::names;

/// The group and version that a cluster with KEDA serves.
pub const API_VERSION: &str = "keda.sh/v1alpha1";

/// On a ScaledObject: labels that KEDA does not copy to the HorizontalPodAutoscaler that it makes. With
/// ours, that one would look like a child.
pub(super) const EXCLUDED_LABELS: &str = "scaledobject.keda.sh/hpa-excluded-labels";

/// Name of the HorizontalPodAutoscaler that KEDA makes. The dot keeps it apart from that of every other
/// service; KEDA puts the name into a label, and refuses one that is too long for it.
pub fn autoscaler_name(service: &str) -> String {
    names::derived(service, ".keda", names::MAX_LABEL)
}

/// What a ScaledObject scales, and by what.
#[derive(CustomResource, Serialize, Deserialize, Clone, Debug)]
#[kube(
    group = "keda.sh",
    version = "v1alpha1",
    kind = "ScaledObject",
    plural = "scaledobjects",
    namespaced,
    schema = "disabled",
    doc = "KEDA's autoscaler: KEDA makes a HorizontalPodAutoscaler of it and feeds that with metrics."
)]
#[serde(rename_all = "camelCase")]
pub struct ScaledObjectSpec {
    /// The workload.
    pub scale_target_ref: ScaleTarget,
    /// Fewest pods; KEDA's own default is 0.
    pub min_replica_count: i32,
    /// Most pods.
    pub max_replica_count: i32,
    /// How the HorizontalPodAutoscaler is made.
    pub advanced: Advanced,
    /// The metrics, at least one.
    pub triggers: Vec<Trigger>,
}

/// The workload that is scaled.
#[derive(Serialize, Deserialize, Clone, Debug)]
#[serde(rename_all = "camelCase")]
pub struct ScaleTarget {
    /// Its apiVersion.
    pub api_version: String,
    /// Its kind.
    pub kind: String,
    /// Its name.
    pub name: String,
}

/// Advanced options.
#[derive(Serialize, Deserialize, Clone, Debug)]
#[serde(rename_all = "camelCase")]
pub struct Advanced {
    /// Of the HorizontalPodAutoscaler.
    pub horizontal_pod_autoscaler_config: AutoscalerConfig,
}

/// Options of the HorizontalPodAutoscaler that KEDA makes.
#[derive(Serialize, Deserialize, Clone, Debug)]
pub struct AutoscalerConfig {
    /// Its name.
    pub name: String,
    /// Its scaling speed.
    pub behavior: HorizontalPodAutoscalerBehavior,
}

/// One metric.
#[derive(Serialize, Deserialize, Clone, Debug)]
#[serde(rename_all = "camelCase")]
pub struct Trigger {
    /// The scaler: cpu, memory or kafka.
    #[serde(rename = "type")]
    pub kind: String,
    /// How the target is meant; absent = the average over the pods.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metric_type: Option<String>,
    /// Options of the scaler. KEDA takes nothing but text.
    pub metadata: BTreeMap<String, String>,
    /// Where its credentials are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authentication_ref: Option<AuthenticationRef>,
}

/// A TriggerAuthentication of the same namespace.
#[derive(Serialize, Deserialize, Clone, Debug)]
pub struct AuthenticationRef {
    /// Its name.
    pub name: String,
}

/// Where the credentials of triggers are.
#[derive(CustomResource, Serialize, Deserialize, Clone, Debug)]
#[kube(
    group = "keda.sh",
    version = "v1alpha1",
    kind = "TriggerAuthentication",
    plural = "triggerauthentications",
    namespaced,
    schema = "disabled",
    doc = "Names the keys of Secrets with which KEDA logs in; it holds no credential itself."
)]
#[serde(rename_all = "camelCase")]
pub struct TriggerAuthenticationSpec {
    /// One entry per parameter.
    pub secret_target_ref: Vec<SecretTarget>,
}

/// A parameter of a scaler and the key of a Secret that it is read from.
#[derive(Serialize, Deserialize, Clone, Debug)]
pub struct SecretTarget {
    /// The parameter: username, password or ca.
    pub parameter: String,
    /// The Secret.
    pub name: String,
    /// Its key.
    pub key: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_autoscaler_of_keda_has_a_name_that_no_service_has() {
        assert_eq!(autoscaler_name("web"), "web.keda");
        let long = "x".repeat(63);
        let name = autoscaler_name(&long);
        assert!(name.len() <= 63 && names::is_subdomain(&name) && !names::is_label(&name), "{name}");
        assert_ne!(name, autoscaler_name(&format!("{}y", &long[1..])));
    }
}
