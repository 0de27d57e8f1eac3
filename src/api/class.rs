//! `MicroserviceClass`: what the platform team chooses for all services of the class.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::DeploymentStrategy;
use k8s_openapi::api::core::v1::ResourceRequirements;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ANNOTATION_DEFAULT_CLASS;
use super::graph::ClassGraph;
use super::kafka::class::ClassKafka;
use super::microservice::{Autoscaling, Health, PodOptions, SecurityProfile, Shutdown};
use super::network::ClassNetwork;

/// The platform's defaults and guard rails for the services that use the class.
#[derive(CustomResource, Serialize, Deserialize, Clone, Debug, Default, PartialEq, JsonSchema)]
#[kube(
    group = "microservice.dev",
    version = "v1alpha1",
    kind = "MicroserviceClass",
    plural = "microserviceclasses",
    shortname = "msvcclass",
    status = "MicroserviceClassStatus",
    derive = "Default",
    derive = "PartialEq",
    printcolumn = r#"{"name":"Default","type":"string","description":"Whether it is the default class.","jsonPath":".status.conditions[?(@.type==\"Default\")].status"}"#,
    printcolumn = r#"{"name":"Accepted","type":"string","description":"Whether the class is valid.","jsonPath":".status.conditions[?(@.type==\"Accepted\")].status"}"#,
    printcolumn = r#"{"name":"Services","type":"integer","description":"Number of Microservices that use it.","jsonPath":".status.services"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#,
    printcolumn = r#"{"name":"Message","type":"string","description":"Why it is not the default.","jsonPath":".status.conditions[?(@.type==\"Default\")].message","priority":1}"#,
    doc = "A MicroserviceClass holds the platform's defaults and guard rails for the services that use it. The annotation microservice.dev/is-default-class: \"true\" marks the default class."
)]
#[serde(rename_all = "camelCase")]
#[schemars(transform = super::schema::keep_texts)]
pub struct MicroserviceClassSpec {
    /// Revision of the built-in defaults, 1 to the newest this release knows. Default 1. A release
    /// that improves a default adds a revision; nobody's pods roll until this number is raised.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub defaults_revision: Option<i32>,

    /// Defaults for fields that a Microservice leaves out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub defaults: Option<ClassDefaults>,

    /// What a Microservice of this class may not do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guardrails: Option<Guardrails>,

    /// Kafka clusters for the services of this class. Absent: they may not use `spec.kafka`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kafka: Option<ClassKafka>,

    /// Network policies: whether exactly the calls that are granted are open. Absent: there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<ClassNetwork>,

    /// Whom a service lets call it that has no `callers`, and use a topic that has no `producers` or
    /// `consumers`: Implicit (every service of its namespace) or Explicit (nobody). Default Implicit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub same_namespace_consent: Option<SameNamespaceConsent>,

    /// Whether a service that others call may only be deleted once that is confirmed. It takes the
    /// ValidatingAdmissionPolicy that the operator's chart brings (`protectCalled.enabled`): without it, this
    /// is told in `status.calledBy` and nothing more. Default false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protect_called: Option<bool>,

    /// How the services of this class are judged in the graph of calls, by the operator, `check` and `graph`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub graph: Option<ClassGraph>,
}

impl MicroserviceClass {
    /// Whether the annotation `microservice.dev/is-default-class` makes it the default.
    pub fn is_marked_default(&self) -> bool {
        let annotations = self.metadata.annotations.as_ref();
        annotations.and_then(|all| all.get(ANNOTATION_DEFAULT_CLASS)).is_some_and(|value| value == "true")
    }
}

/// Whom a service lets in that says nothing of it.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
pub enum SameNamespaceConsent {
    /// Every service of its namespace.
    #[default]
    Implicit,
    /// Nobody.
    Explicit,
}

/// Defaults, in the same shapes as in a Microservice; merged per leaf below the Microservice and
/// above the built-in defaults.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClassDefaults {
    /// Number of pods, 0 to 1000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replicas: Option<i32>,
    /// CPU and memory; `requests` and `limits` each replace the built-in default whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<ResourceRequirements>,
    /// Health checks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<Health>,
    /// Autoscaling of services that set neither `replicas` nor `autoscaling`; for services that set
    /// `autoscaling`, the defaults of what they leave out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub autoscaling: Option<Autoscaling>,
    /// Drain and grace period.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shutdown: Option<Shutdown>,
    /// Options of the pod; maps merge by key, lists are replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod: Option<PodOptions>,
    /// Update strategy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strategy: Option<DeploymentStrategy>,
}

/// What a Microservice of this class may not do. A violation changes nothing in the cluster and is
/// reported on the object as `GuardrailViolated`.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Guardrails {
    /// Most replicas, also of an autoscaler. Default: 1000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_replicas: Option<i32>,
    /// Ceiling per resource name for requests and limits of each container. A limit must then be
    /// present for that resource.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_resources: Option<BTreeMap<String, Quantity>>,
    /// Prefixes, one of which every image must start with, for example `registry.example.com/team/`.
    /// A prefix without a trailing `/`, `:` or `@` matches only up to such a separator. Default: any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowed_image_prefixes: Option<Vec<String>>,
    /// Every image must be pinned by digest (`@sha256:…`). Default false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub require_digest: Option<bool>,
    /// No image may have the tag `latest` or none at all. Default false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forbid_latest: Option<bool>,
    /// Names of ServiceAccounts that services may use beside their own. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowed_service_accounts: Option<Vec<String>>,
    /// Weakest Pod Security profile that a service may choose. Default Restricted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub security_profile: Option<SecurityProfile>,
    /// Annotation keys, or prefixes that end with `*`, allowed in `spec.pod.annotations`. Default:
    /// `prometheus.io/*`, `sidecar.istio.io/*`, `linkerd.io/*`, `instrumentation.opentelemetry.io/*`,
    /// `ad.datadoghq.com/*`, `cluster-autoscaler.kubernetes.io/safe-to-evict`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowed_pod_annotations: Option<Vec<String>>,
    /// Namespaces whose services may use this class. Default: all but `kube-system`, `kube-public`,
    /// `kube-node-lease` and the operator's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowed_namespaces: Option<Vec<String>>,
}

/// What the operator observed of a MicroserviceClass.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MicroserviceClassStatus {
    /// Generation of the spec that this status describes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Number of Microservices that use this class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub services: Option<i32>,
    /// What is found in the system of services that call each other, where it is told of a service of this
    /// class: how much of what, the worst first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<FindingCount>,
    /// The worst of these findings, at most ten. All of them: `microservice-operator graph --cluster`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub worst_findings: Vec<FindingStatus>,
    /// Accepted: the class is valid. Default: whether it is the default class, and why not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
}

/// How often something is found.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FindingCount {
    /// What is found, such as `Cycle`.
    pub kind: String,
    /// error, warning or info.
    pub severity: String,
    /// How often.
    pub count: i32,
}

/// Something in the system that will hurt.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FindingStatus {
    /// What is found, such as `Cycle`.
    pub kind: String,
    /// error, warning or info.
    pub severity: String,
    /// Whom it concerns, as namespace/name, at most eight.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<String>,
    /// What is the case.
    pub message: String,
}
