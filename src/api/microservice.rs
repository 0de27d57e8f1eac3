//! `Microservice`: what a team writes. The field docs are what `kubectl explain` prints.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::DeploymentStrategy;
use k8s_openapi::api::autoscaling::v2::{HorizontalPodAutoscalerBehavior, MetricSpec};
use k8s_openapi::api::core::v1::{
    Affinity, CSIVolumeSource, ConfigMapVolumeSource, ContainerPort, EmptyDirVolumeSource, EnvFromSource,
    EnvVar, LocalObjectReference, PersistentVolumeClaimVolumeSource, Probe, ProjectedVolumeSource,
    ResourceRequirements, SecretVolumeSource, Toleration, TopologySpreadConstraint, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::calls::{Call, Caller, Discovery};
use super::kafka::{Kafka, TopicLag};
use super::status::MicroserviceStatus;

/// One service of a system: the operator keeps its Deployment, Service, ServiceAccount, autoscaler,
/// disruption budget, configuration and secrets as this object describes them.
#[derive(CustomResource, Serialize, Deserialize, Clone, Debug, Default, PartialEq, JsonSchema)]
#[kube(
    group = "microservice.dev",
    version = "v1alpha1",
    kind = "Microservice",
    plural = "microservices",
    shortname = "msvc",
    category = "all",
    namespaced,
    status = "MicroserviceStatus",
    derive = "Default",
    derive = "PartialEq",
    doc = "A Microservice is one service of a system. The operator keeps its Deployment, Service, ServiceAccount, autoscaler, disruption budget, configuration and secrets as described here. Only spec.image is required; every default is documented at its field.",
    printcolumn = r#"{"name":"Ready","type":"string","description":"Whether the service is as described and serves.","jsonPath":".status.conditions[?(@.type==\"Ready\")].status"}"#,
    printcolumn = r#"{"name":"Replicas","type":"string","description":"Ready and wanted pods.","jsonPath":".status.ready"}"#,
    printcolumn = r#"{"name":"Reason","type":"string","description":"Why it is ready or not.","jsonPath":".status.conditions[?(@.type==\"Ready\")].reason"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#,
    printcolumn = r#"{"name":"Image","type":"string","description":"Image of the current template.","jsonPath":".status.image","priority":1}"#,
    printcolumn = r#"{"name":"URL","type":"string","description":"Address inside the cluster.","jsonPath":".status.url","priority":1}"#,
    printcolumn = r#"{"name":"Class","type":"string","description":"Class that applies.","jsonPath":".status.class","priority":1}"#,
    printcolumn = r#"{"name":"Topics","type":"string","description":"Whether its Kafka topics are as described.","jsonPath":".status.conditions[?(@.type==\"TopicsReady\")].status","priority":1}"#,
    printcolumn = r#"{"name":"Message","type":"string","description":"What is wrong and what to do.","jsonPath":".status.conditions[?(@.type==\"Ready\")].message","priority":1}"#,
    scale(
        spec_replicas_path = ".spec.replicas",
        status_replicas_path = ".status.replicas",
        label_selector_path = ".status.selector"
    )
)]
#[serde(rename_all = "camelCase")]
#[schemars(transform = super::schema::keep_texts)]
pub struct MicroserviceSpec {
    /// Name of the MicroserviceClass that applies. Default: the class named by the namespace's
    /// label `microservice.dev/class`, else the class marked as default, else built-in defaults.
    /// An unknown class changes nothing and is reported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class_name: Option<String>,

    /// Container image, for example `user-service:v1.2.0`. No spaces, no scheme, no user name or
    /// password. The class may require a registry prefix or a digest, or forbid `latest`.
    pub image: String,

    /// When to pull the image: Always, IfNotPresent or Never. Default: by the image (Always
    /// for `latest` or no tag, else IfNotPresent).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_pull_policy: Option<PullPolicy>,

    /// Secrets of this namespace with registry credentials.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_pull_secrets: Option<Vec<LocalObjectReference>>,

    /// Replaces the image's entry point.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<Vec<String>>,

    /// Replaces the image's arguments.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub args: Option<Vec<String>>,

    /// Replaces the image's working directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub working_dir: Option<String>,

    /// The single port of the service, named `http`. Default 3000. Not together with `ports`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<i32>,

    /// All ports of the service; the first one is the main port. Not together with `port`. An empty
    /// list means no Service at all: a worker that only consumes. Health must then be given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ports: Option<Vec<Port>>,

    /// Number of pods, 0 to 1000. Default 3. 0 stops the service. Together with `autoscaling` only 0
    /// is allowed (stopped, bounds kept). `kubectl scale` works when this field is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replicas: Option<i32>,

    /// Lets an autoscaler choose the number of pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub autoscaling: Option<Box<Autoscaling>>,

    /// CPU and memory of the service's container. Default: requests cpu 250m, memory 256Mi; limits
    /// cpu 500m, memory 512Mi. `requests` and `limits` each replace the default whole when present
    /// (`limits: {}` means none). A defaulted limit below a given request rises to it; a defaulted
    /// request above a given limit falls to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Box<ResourceRequirements>>,

    /// How to see that a pod can serve. Default: `GET /health` on the main port every 10 s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<Box<Health>>,

    /// Replaces the liveness probe that `health.liveness` describes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub liveness_probe: Option<Box<Probe>>,

    /// Replaces the readiness probe that `health` describes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub readiness_probe: Option<Box<Probe>>,

    /// Replaces the startup probe that `health` describes (every 2 s, 150 times: 5 minutes).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub startup_probe: Option<Box<Probe>>,

    /// Where the service exposes Prometheus metrics; adds a port named `metrics`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metrics: Option<Metrics>,

    /// How a pod goes away: time for the endpoints to drain, then for the process to end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shutdown: Option<Shutdown>,

    /// Environment variables, at most 256. An entry here wins over one that the operator would add.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub env: Option<Vec<EnvVar>>,

    /// Whole ConfigMaps or Secrets of this namespace as environment variables.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub env_from: Option<Vec<EnvFromSource>>,

    /// Plain configuration as environment variables, kept in the ConfigMap `<name>-config`. At most
    /// 256 keys and 256 KiB in all. A change rolls the pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<BTreeMap<String, String>>,

    /// Files and directories mounted into the service's container, at most 32.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub files: Option<Vec<FileMount>>,

    /// Secrets the service reads, existing or generated, at most 24.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secrets: Option<Vec<SecretUse>>,

    /// How a new version replaces the old one. Default: RollingUpdate with maxUnavailable 0 and
    /// maxSurge 25 %; missing numbers are filled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strategy: Option<Box<DeploymentStrategy>>,

    /// Seconds a new pod must stay ready before it counts. Default 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_ready_seconds: Option<i32>,

    /// Options of the Service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<Box<ServiceOptions>>,

    /// Containers that run to completion, in order, before the service starts; at most 8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub init_containers: Option<Vec<ExtraContainer>>,

    /// Containers that run beside the service for the pod's whole life (native sidecars); at most 8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sidecars: Option<Vec<ExtraContainer>>,

    /// Options of the pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod: Option<Box<PodOptions>>,

    /// The account the pods run as. Default: one of their own, without a mounted token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_account: Option<ServiceAccountOptions>,

    /// How many pods a drain may take at a time. Default 1. Applies with two or more replicas.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disruption_budget: Option<DisruptionBudget>,

    /// Kafka topics of the service, and those of others that it uses. The class says on which clusters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kafka: Option<Box<Kafka>>,

    /// Whom the service calls and waits for, at most 64. A call counts as granted when both sides name it;
    /// the condition DependenciesReady says how each stands, and `microservice-operator graph` draws and
    /// judges the whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calls: Option<Vec<Call>>,

    /// Who may call the service, at most 64. Absent: every service of this namespace; empty: nobody; else
    /// exactly these. A call counts as granted when both sides name it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub callers: Option<Vec<Caller>>,

    /// How the pods learn where the Microservices of `calls` are: Environment, in the ConfigMap
    /// `<name>-peers`, or None. Default Environment. A Microservice that comes or goes rolls no pods of its
    /// callers; one that changes its port or protocol does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub discovery: Option<Discovery>,

    /// While true the operator applies and deletes nothing for this object and says so; it goes on
    /// reporting. Default false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub suspend: bool,
}

/// When the kubelet pulls an image.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
pub enum PullPolicy {
    /// At every start of a container.
    Always,
    /// When the node does not have it.
    IfNotPresent,
    /// Never; it must be on the node.
    Never,
}

impl PullPolicy {
    /// The value as Kubernetes spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Always => "Always",
            Self::IfNotPresent => "IfNotPresent",
            Self::Never => "Never",
        }
    }
}

/// One port of the service.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Port {
    /// Name of the port, an IANA service name of at most 15 characters.
    pub name: String,
    /// Port number of the Service, 1 to 65535.
    pub port: i32,
    /// Port number of the container, 1 to 65535. Default: the same as `port`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container_port: Option<i32>,
    /// TCP, UDP or SCTP. Default TCP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<Protocol>,
    /// Application protocol, for example `http`, `grpc`, `kubernetes.io/h2c`. Default: `http` for a
    /// port named `http` or `http-*`, `grpc` for `grpc` or `grpc-*`, else none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app_protocol: Option<String>,
}

/// Transport protocol of a port.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, JsonSchema)]
pub enum Protocol {
    /// Transmission Control Protocol.
    #[default]
    TCP,
    /// User Datagram Protocol.
    UDP,
    /// Stream Control Transmission Protocol.
    SCTP,
}

impl Protocol {
    /// The value as Kubernetes spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TCP => "TCP",
            Self::UDP => "UDP",
            Self::SCTP => "SCTP",
        }
    }
}

/// Bounds and targets of the autoscaler.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Autoscaling {
    /// Fewest pods, 1 to 1000. Default 3, or `maxReplicas` if that is lower.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_replicas: Option<i32>,
    /// Most pods, 1 to 1000.
    pub max_replicas: i32,
    /// Wanted CPU use of the service's container in percent of its request. Default 70 when no other
    /// target, metric or topic is given.
    #[serde(default, rename = "targetCPUUtilizationPercentage", skip_serializing_if = "Option::is_none")]
    pub target_cpu_utilization_percentage: Option<i32>,
    /// Wanted memory use of the service's container in percent of its request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_memory_utilization_percentage: Option<i32>,
    /// Further metrics, as in autoscaling/v2; beside `kafka` only CPU and memory, of types Resource and
    /// ContainerResource.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metrics: Option<Vec<MetricSpec>>,
    /// Consumed topics whose lag asks for pods too, at most 16. With one, KEDA's ScaledObject takes the
    /// place of the HorizontalPodAutoscaler, with all metrics. On a cluster without KEDA the latter stays
    /// on its other metrics, or on CPU, and the condition ScalingReady says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kafka: Option<Vec<TopicLag>>,
    /// Scaling speed, as in autoscaling/v2. Default: up at once, down after 300 s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub behavior: Option<HorizontalPodAutoscalerBehavior>,
}

/// How a pod shows that it can serve.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Health {
    /// Path of the check; starts with `/`. Default `/health`. For HTTP only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Port name or number. Default: the main port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<IntOrString>,
    /// Seconds between checks. Default 10.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub period_seconds: Option<i32>,
    /// Seconds until a check without an answer has failed. Default 2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_seconds: Option<i32>,
    /// Failed checks in a row after which the pod is taken out of discovery. Default 3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure_threshold: Option<i32>,
    /// HTTP, TCP, GRPC or None (no probes at all). Default HTTP.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<HealthType>,
    /// Also restart a pod that fails this check. Default: absent, because a restart of all replicas
    /// on a database blip is an outage; a sick pod is taken out of discovery instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub liveness: Option<Liveness>,
}

/// Kind of health check.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
pub enum HealthType {
    /// An HTTP GET that answers 200 to 399.
    #[default]
    HTTP,
    /// A TCP connection that opens.
    TCP,
    /// The gRPC health protocol.
    GRPC,
    /// No check: a pod counts as ready when it runs.
    None,
}

/// The liveness check: a pod that fails it is restarted.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Liveness {
    /// Path of the check. Default: `health.path`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Port name or number. Default: `health.port`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<IntOrString>,
    /// Seconds between checks. Default 10.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub period_seconds: Option<i32>,
    /// Seconds until a check without an answer has failed. Default 2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_seconds: Option<i32>,
    /// Failed checks in a row after which the container is restarted. Default 6.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure_threshold: Option<i32>,
}

/// Where metrics are exposed.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Metrics {
    /// Path of the metrics. Default `/metrics`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Container port that serves them, 1 to 65535. Default: the main port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<i32>,
}

/// How a pod goes away.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Shutdown {
    /// Seconds between leaving discovery and SIGTERM, 0 to 3575. Default 5.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drain_seconds: Option<i32>,
    /// Seconds until SIGKILL, the drain included; more than `drainSeconds`, at most 3600. Default:
    /// 30, or `drainSeconds` + 25 if that is more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grace_period_seconds: Option<i32>,
}

/// Something mounted into the service's container: `mountPath` and exactly one source.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FileMount {
    /// Absolute path in the container without `..`. Not `/`, `/etc`, `/var`, `/run` or `/var/run`
    /// themselves, and nothing in `/proc`, `/sys`, `/dev` or `/var/run/secrets`.
    pub mount_path: String,
    /// Mount read-only. Default: true for all sources but emptyDir and persistentVolumeClaim.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_only: Option<bool>,
    /// Files given here: file name to content. Kept in the ConfigMap `<name>-files`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<BTreeMap<String, String>>,
    /// A ConfigMap of this namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_map: Option<ConfigMapVolumeSource>,
    /// A Secret of this namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<SecretVolumeSource>,
    /// Several sources in one directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub projected: Option<ProjectedVolumeSource>,
    /// A volume of a CSI driver that lives as long as the pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub csi: Option<CSIVolumeSource>,
    /// An empty directory that lives as long as the pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub empty_dir: Option<EmptyDirVolumeSource>,
    /// A claim of this namespace. Unless `readOnly` is true, one pod mounts it at a time: at most one replica
    /// and strategy Recreate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub persistent_volume_claim: Option<PersistentVolumeClaimVolumeSource>,
}

/// A Secret the service reads.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretUse {
    /// Name of a Secret of this namespace. Without `generate` it must exist and is only read.
    pub name: String,
    /// Keys as environment variables, at most 16; `envFrom` takes a whole Secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub env: Option<Vec<SecretEnv>>,
    /// Mounts the Secret as a directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mount_path: Option<String>,
    /// The service may start without it. Default false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub optional: Option<bool>,
    /// Keys the operator generates. It creates the Secret once, never takes over an existing one,
    /// and never regenerates a value because a read failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generate: Option<Vec<GenerateKey>>,
}

/// One key of a Secret as an environment variable.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretEnv {
    /// Name of the environment variable.
    pub name: String,
    /// Key of the Secret.
    pub key: String,
}

/// A value the operator generates.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GenerateKey {
    /// Key of the Secret.
    pub key: String,
    /// Number of characters (for Base64 and Hex: of random bytes), 16 to 256. Default 32.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub length: Option<i32>,
    /// Alphanumeric, Base64 or Hex. Default Alphanumeric.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoding: Option<Encoding>,
    /// Age at which the value is replaced and the pods roll, a duration of at least `1h`, for example
    /// `30d`, `720h` or `1h30m`. Default: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotate_after: Option<String>,
}

/// How generated random bytes are written.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
pub enum Encoding {
    /// Letters and digits.
    #[default]
    Alphanumeric,
    /// Standard Base64 of random bytes.
    Base64,
    /// Lower-case hexadecimal of random bytes.
    Hex,
}

/// Options of the Service.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServiceOptions {
    /// ClusterIP is the only type: traffic from outside enters through a gateway.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<ServiceType>,
    /// Annotations of the Service; the prefixes `kubernetes.io`, `k8s.io` and `microservice.dev` are
    /// reserved, `service.kubernetes.io/` excepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub annotations: Option<BTreeMap<String, String>>,
    /// None or ClientIP. Default None.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_affinity: Option<SessionAffinity>,
    /// PreferClose, PreferSameZone or PreferSameNode. Default: the cluster's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traffic_distribution: Option<String>,
}

/// Type of the Service.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
pub enum ServiceType {
    /// Reachable inside the cluster.
    #[default]
    ClusterIP,
}

/// Whether a client stays with one pod.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
pub enum SessionAffinity {
    /// Each connection may go to another pod.
    #[default]
    None,
    /// Connections of one client address go to one pod.
    ClientIP,
}

/// A container beside or before the service's own; hardened in the same way.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExtraContainer {
    /// Name of the container; unique in the pod, not the service's own name.
    pub name: String,
    /// Container image.
    pub image: String,
    /// Replaces the image's entry point.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<Vec<String>>,
    /// Replaces the image's arguments.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub args: Option<Vec<String>>,
    /// Environment variables.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub env: Option<Vec<EnvVar>>,
    /// CPU and memory. Default: requests cpu 50m, memory 64Mi; limits cpu 250m, memory 128Mi.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<ResourceRequirements>,
    /// Container ports. `hostPort` and `hostIP` do not exist here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ports: Option<Vec<ContainerPort>>,
    /// Mounts of the pod's volumes: `tmp`, or `files-<index>` and `secret-<index>` counted from 0 in
    /// the order of `files` and of the mounted `secrets`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volume_mounts: Option<Vec<VolumeMount>>,
}

/// Options of the pod.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PodOptions {
    /// Further labels of the pods; `app`, `app.kubernetes.io/*`, `microservice.dev/*` and other
    /// reserved prefixes are refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<BTreeMap<String, String>>,
    /// Annotations of the pods, from the class's allow-list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub annotations: Option<BTreeMap<String, String>>,
    /// Labels a node must have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_selector: Option<BTreeMap<String, String>>,
    /// Taints the pods tolerate; those of the control plane are refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tolerations: Option<Vec<Toleration>>,
    /// Node and pod affinity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub affinity: Option<Affinity>,
    /// How pods spread. Default: over zones and hosts, ScheduleAnyway.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topology_spread_constraints: Option<Vec<TopologySpreadConstraint>>,
    /// Priority class; the `system-` classes are refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority_class_name: Option<String>,
    /// Runtime class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runtime_class_name: Option<String>,
    /// User id of the processes, 1 or more. Default: the image's, which must not be root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_as_user: Option<i64>,
    /// Group id of the processes, 1 or more. Default: the image's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_as_group: Option<i64>,
    /// Group that owns mounted volumes, 1 or more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fs_group: Option<i64>,
    /// Read-only root file system; `/tmp` is always writable. Default true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_only_root_filesystem: Option<bool>,
    /// Restricted or Baseline, as in the Pod Security Standards. Default Restricted. Never weaker
    /// than the class allows. Baseline lets the image run as root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub security_profile: Option<SecurityProfile>,
}

/// A Pod Security Standard; the later one is stricter.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, JsonSchema)]
pub enum SecurityProfile {
    /// Prevents known privilege escalations; the image may run as root.
    Baseline,
    /// Current best practice; runs as non-root with no capabilities.
    #[default]
    Restricted,
}

/// The account the pods run as.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServiceAccountOptions {
    /// Name of an existing account that the class allows. Default: an own account of the service's
    /// name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Annotations of the own account, for example for cloud identities.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub annotations: Option<BTreeMap<String, String>>,
    /// Mount an API token into the pods. Default false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub automount_service_account_token: Option<bool>,
}

/// How many pods a drain may take at a time.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DisruptionBudget {
    /// Number or percentage of pods, not 0 (that blocks drains). Default 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_unavailable: Option<IntOrString>,
}
