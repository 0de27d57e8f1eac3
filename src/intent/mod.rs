//! Intent = spec + class + built-in defaults, resolved and valid. Pure: what time, live replicas and
//! generated values are comes in through [`Observed`].

pub mod calls;
pub mod duration;
pub mod kafka;
pub mod lag;
pub mod neighbours;
pub mod network;
pub mod quantity;
pub mod references;
mod resolve;
mod rules;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::ByteString;
use k8s_openapi::api::apps::v1::DeploymentStrategy;
use k8s_openapi::api::autoscaling::v2::{HorizontalPodAutoscalerBehavior, MetricSpec};
use k8s_openapi::api::core::v1::{
    Affinity, EnvFromSource, EnvVar, LocalObjectReference, Probe, ResourceRequirements, Toleration,
    TopologySpreadConstraint,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::api::class::Guardrails;
use crate::api::microservice::{
    ExtraContainer, FileMount, GenerateKey, Port, PullPolicy, SecretUse, SecurityProfile, ServiceOptions,
};
use crate::api::network::PolicyMode;
use crate::api::{Microservice, MicroserviceClass, Reason};
use crate::kafka::consent::Consent;

use calls::Key;
pub use calls::{Address, Call};
pub use kafka::{KafkaIntent, KafkaLogin};
pub use lag::LagScaling;
use neighbours::Outline;
use network::Granted;
pub use network::NetworkIntent;
pub use references::{ReferenceKey, ReferenceKind, ReferenceState, References};

/// A rule that the spec breaks. Bad input is data, not an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// `InvalidSpec`, `ClassNotFound` or `GuardrailViolated`.
    pub reason: Reason,
    /// Field path, for example `spec.ports[1].name`.
    pub field: String,
    /// What is wrong and what to write instead, one sentence.
    pub message: String,
}

/// What the plan needs to know of the live world. `Observed::default()` is what `render` uses.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Observed {
    /// State of each referenced Secret and ConfigMap.
    pub references: BTreeMap<ReferenceKey, ReferenceState>,
    /// Generated Secrets by name: their values, when the engine has read or made them, and the keyed
    /// hash that the pods carry.
    pub generated: BTreeMap<String, GeneratedValues>,
    /// The login for Kafka; `None` = there is none yet, or none is needed.
    pub kafka_login: Option<KafkaLogin>,
    /// Whether the Deployment exists; a new missing reference then holds HPA and PDB back too.
    pub deployment_exists: bool,
    /// Name of the class that the namespace's label `microservice.dev/class` asks for.
    pub class_wanted: Option<String>,
    /// Whether the cluster does not serve KEDA's API: lag scales nothing then.
    pub keda_missing: bool,
    /// Where the Microservices are that it calls; of one that is not among them the defaults are assumed.
    pub addresses: BTreeMap<Key, Address>,
    /// What its neighbours see of it, if that was made from this object under this class; else its spec is
    /// read once more.
    pub outline: Option<Arc<Outline>>,
    /// Calls of which both sides are granted.
    pub granted: Granted,
    /// Mode of network policies that the namespace's label asks for.
    pub network_mode: Option<PolicyMode>,
    /// The operator's own namespace; services in it are refused unless a class allows them.
    pub operator_namespace: Option<String>,
}

/// Values of one generated Secret.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GeneratedValues {
    /// Key to value; `None` while the live Secret is known to be unchanged and was not read.
    pub data: Option<BTreeMap<String, ByteString>>,
    /// Keyed hash of the values.
    pub hash: String,
}

/// Number of pods, and who decides it.
#[derive(Clone, Debug, PartialEq)]
pub enum Scaling {
    /// The operator sets this number.
    Static(i32),
    /// `replicas: 0`: stopped on purpose.
    Stopped,
    /// An autoscaler chooses between the bounds.
    Auto(Box<AutoScaling>),
}

/// A complete autoscaler.
#[derive(Clone, Debug, PartialEq)]
pub struct AutoScaling {
    /// Fewest pods, at least 1.
    pub min: i32,
    /// Most pods, more than `min`.
    pub max: i32,
    /// At least one metric.
    pub metrics: Vec<MetricSpec>,
    /// Complete in both directions.
    pub behavior: HorizontalPodAutoscalerBehavior,
    /// Scaling by lag too.
    pub lag: Option<Box<LagScaling>>,
}

impl AutoScaling {
    /// The part that KEDA serves, if the cluster has KEDA: its autoscaler then stands in the place of a
    /// plain one.
    pub fn served_lag(&self) -> Option<&LagScaling> {
        self.lag.as_deref().filter(|lag| lag.served)
    }
}

impl Scaling {
    /// Fewest pods that should run.
    pub fn lower_bound(&self) -> i32 {
        match self {
            Self::Static(n) => *n,
            Self::Stopped => 0,
            Self::Auto(auto) => auto.min,
        }
    }

    /// The number of pods that this makes of a given one.
    pub fn within(&self, count: i32) -> i32 {
        match self {
            Self::Static(n) => *n,
            Self::Stopped => 0,
            Self::Auto(auto) => count.max(auto.min).min(auto.max),
        }
    }

    /// Scaling by lag, whether or not the cluster serves it.
    pub fn lag(&self) -> Option<&LagScaling> {
        match self {
            Self::Auto(auto) => auto.lag.as_deref(),
            Self::Static(_) | Self::Stopped => None,
        }
    }

    /// The number the main field manager sends, absent while an autoscaler owns it.
    pub fn static_replicas(&self) -> Option<i32> {
        match self {
            Self::Static(n) => Some(*n),
            Self::Stopped => Some(0),
            Self::Auto(_) => None,
        }
    }
}

/// The three probes of the service's container.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Probes {
    /// Holds the other two back until the service has started.
    pub startup: Option<Probe>,
    /// Decides whether the pod gets traffic.
    pub readiness: Option<Probe>,
    /// Restarts the container.
    pub liveness: Option<Probe>,
}

/// Everything of a Microservice, resolved: every default filled, every rule kept.
#[derive(Clone, Debug, PartialEq)]
pub struct Intent {
    /// Name of the service, a DNS-1035 label.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// Controller reference of every child; absent in `render` of an object without UID.
    pub owner: Option<OwnerReference>,
    /// `app.kubernetes.io/part-of`, from the object's own label.
    pub part_of: Option<String>,
    /// `app.kubernetes.io/version`, from the image tag when it is a valid label value.
    pub version: Option<String>,
    /// Name of the class that applies.
    pub class: Option<String>,
    /// Digest of class and built-in defaults, see `status.classRevision`.
    pub class_revision: String,
    /// Image of the service's container.
    pub image: String,
    /// When to pull it.
    pub image_pull_policy: Option<PullPolicy>,
    /// Registry credentials.
    pub image_pull_secrets: Vec<LocalObjectReference>,
    /// Entry point.
    pub command: Vec<String>,
    /// Arguments.
    pub args: Vec<String>,
    /// Working directory.
    pub working_dir: Option<String>,
    /// Ports, `container_port` and `protocol` filled; the first one is the main port.
    pub ports: Vec<Port>,
    /// Container port named `metrics`, when it is not one of `ports`.
    pub metrics_port: Option<i32>,
    /// Number of pods.
    pub scaling: Scaling,
    /// CPU and memory of the service's container.
    pub resources: ResourceRequirements,
    /// Probes of the service's container.
    pub probes: Probes,
    /// Seconds of the preStop sleep; 0 = none.
    pub drain_seconds: i32,
    /// terminationGracePeriodSeconds.
    pub grace_period_seconds: i32,
    /// progressDeadlineSeconds.
    pub progress_deadline_seconds: i32,
    /// Environment, merged and without repeated names.
    pub env: Vec<EnvVar>,
    /// Whole ConfigMaps or Secrets as environment, the own ConfigMaps first.
    pub env_from: Vec<EnvFromSource>,
    /// Data of the ConfigMap `<name>-config`.
    pub config: Option<BTreeMap<String, String>>,
    /// Volumes and mounts.
    pub files: Vec<FileMount>,
    /// Referenced and generated Secrets.
    pub secrets: Vec<SecretUse>,
    /// Update strategy, complete.
    pub strategy: DeploymentStrategy,
    /// minReadySeconds.
    pub min_ready_seconds: i32,
    /// Options of the Service.
    pub service: ServiceOptions,
    /// Containers before the service's own, `resources` filled.
    pub init_containers: Vec<ExtraContainer>,
    /// Containers beside it, `resources` filled.
    pub sidecars: Vec<ExtraContainer>,
    /// Pod options, merged.
    pub pod: PodIntent,
    /// Account of the pods.
    pub service_account: AccountIntent,
    /// maxUnavailable of the PodDisruptionBudget.
    pub max_unavailable: IntOrString,
    /// Digest of all configuration and secrets that the pods read; absent when they read none.
    pub config_hash: Option<String>,
    /// Value of the annotation `microservice.dev/restart`.
    pub restart: Option<String>,
    /// Generated Secrets.
    pub generated: Vec<GeneratedSecret>,
    /// Topics, groups and users on a Kafka cluster.
    pub kafka: Option<Box<KafkaIntent>>,
    /// Whom the service calls.
    pub calls: Arc<[Call]>,
    /// Which services may call it.
    pub callers: Consent,
    /// Whether its deletion is to be confirmed while others call it.
    pub protect_called: bool,
    /// Where the Microservices are that it calls.
    pub addresses: BTreeMap<Key, Address>,
    /// The same as the environment of the pods; `None` = they are not told.
    pub peers: Option<BTreeMap<String, String>>,
    /// Whom the pods may talk to; `None` = anybody, and nothing is told.
    pub network: Option<Box<NetworkIntent>>,
    /// The login for it, as the pods read it.
    pub kafka_login: Option<KafkaLogin>,
    /// New references that do not exist yet: the Deployment waits for them.
    pub missing: Vec<MissingReference>,
    /// Whether the Deployment exists.
    pub deployment_exists: bool,
}

/// A Secret the operator generates.
#[derive(Clone, Debug, PartialEq)]
pub struct GeneratedSecret {
    /// Name of the Secret.
    pub name: String,
    /// Keys and how to make them.
    pub keys: Vec<GenerateKey>,
    /// Values; `None` = unchanged, not read.
    pub data: Option<BTreeMap<String, ByteString>>,
}

/// Pod options, merged and complete.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PodIntent {
    /// Further labels.
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    pub annotations: BTreeMap<String, String>,
    /// Labels a node must have.
    pub node_selector: BTreeMap<String, String>,
    /// Tolerations.
    pub tolerations: Vec<Toleration>,
    /// Affinity.
    pub affinity: Option<Affinity>,
    /// Spread constraints; `None` = the default over zones and hosts.
    pub topology_spread_constraints: Option<Vec<TopologySpreadConstraint>>,
    /// Priority class.
    pub priority_class_name: Option<String>,
    /// Runtime class.
    pub runtime_class_name: Option<String>,
    /// User id.
    pub run_as_user: Option<i64>,
    /// Group id.
    pub run_as_group: Option<i64>,
    /// Group of volumes.
    pub fs_group: Option<i64>,
    /// Read-only root file system.
    pub read_only_root_filesystem: bool,
    /// Security profile.
    pub security_profile: SecurityProfile,
}

/// Account of the pods.
#[derive(Clone, Debug, PartialEq)]
pub struct AccountIntent {
    /// Name of the account.
    pub name: String,
    /// Whether the operator creates it.
    pub own: bool,
    /// Annotations of the own account.
    pub annotations: BTreeMap<String, String>,
    /// Whether pods mount a token.
    pub automount_token: bool,
}

/// A referenced object, or a key of it, that does not exist yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissingReference {
    /// Which object.
    pub reference: ReferenceKey,
    /// Which key of it; `None` = the object itself.
    pub key: Option<String>,
}

impl Intent {
    /// Resolves spec, class and built-in defaults, and checks every rule that the schema cannot.
    ///
    /// # Errors
    /// All violations at once, in the order of the fields.
    pub fn resolve(
        object: &Microservice,
        class: Option<&MicroserviceClass>,
        observed: &Observed,
    ) -> Result<Self, Vec<Violation>> {
        resolve::resolve(object, class, observed)
    }
}

/// The Kafka cluster that an object uses through its class, as in its intent.
pub fn kafka_cluster(
    object: &Microservice,
    class: Option<&MicroserviceClass>,
) -> Option<kafka::ClusterIntent> {
    resolve::kafka::cluster_of(object, class?)
}

/// Rules that the defaults of a class break: those that a service of nothing but an image would break
/// with them.
pub fn class_violations(class: &MicroserviceClass) -> Vec<Violation> {
    let mut lenient = class.clone();
    // What they refuse is a matter of each service; what they allow, a class may make its default.
    let profile = class.spec.guardrails.as_ref().and_then(|guardrails| guardrails.security_profile);
    lenient.spec.guardrails = Some(Guardrails { security_profile: profile, ..Guardrails::default() });
    // Namespaces may ask for policies of their own accord.
    if let Some(network) = &mut lenient.spec.network {
        network.mode = Some(PolicyMode::Enforce);
    }
    let mut service = Microservice::default();
    service.metadata.name = Some("service".to_owned());
    service.metadata.namespace = Some("default".to_owned());
    service.metadata.uid = Some("uid".to_owned());
    service.spec.image = "service:v1".to_owned();
    let found = Intent::resolve(&service, Some(&lenient), &Observed::default()).err().unwrap_or_default();
    let of_class = |violation: Violation| Violation {
        field: match violation.field.strip_prefix("spec.") {
            // Not a default, but given to all.
            Some(field) if !field.starts_with("network.") => format!("spec.defaults.{field}"),
            _ => violation.field,
        },
        reason: Reason::InvalidSpec,
        ..violation
    };
    found.into_iter().map(of_class).collect()
}
