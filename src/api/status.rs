//! Status of a `Microservice`: the contract with kubectl, Helm, Flux and Argo CD.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use super::id::Id;
use super::network::PolicyMode;

/// What the operator observed of a Microservice.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(transform = super::schema::keep_texts)]
pub struct MicroserviceStatus {
    /// Generation of the spec that this status describes; -1 before the operator has seen the object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Number of pods that exist.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replicas: Option<i32>,
    /// Number of pods that are ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready_replicas: Option<i32>,
    /// Number of pods of the current template.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updated_replicas: Option<i32>,
    /// Ready and wanted pods as text, for example `2/3`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready: Option<String>,
    /// Reason and message of what is worst now, as in the condition Ready; for the columns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Selector of the pods as text; the scale subresource reads it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<String>,
    /// Address of the service inside the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Image of the current template.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// Name of the class that applies; absent when the built-in defaults apply.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,
    /// Digest of the class and of the release's defaults that the children were last planned with;
    /// a difference means that a change of the fleet, not of this object, is due.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class_revision: Option<String>,
    /// Digest of the last pod template that was rolled out completely.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completed_template: Option<String>,
    /// Generation of the spec that was seen through: all of it applied, and as many pods as asked for.
    /// What is missing afterwards was lost. Absent while work is under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settled_generation: Option<i64>,
    /// Ready, Reconciling, Stalled, Accepted, Applied, Available, SecretsReady, TopicsReady,
    /// KafkaAccessReady, DependenciesReady, ScalingReady.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// The objects the operator keeps for this one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub children: Vec<ChildStatus>,
    /// Objects that outlive this one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub retained: Vec<RetainedStatus>,
    /// Generated Secrets and the login for Kafka; never a value.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<SecretStatus>,
    /// Secrets and ConfigMaps that the pods read, as last seen.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub references: Vec<ReferenceStatus>,
    /// Own topics as last seen on the cluster.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub topics: Vec<TopicStatus>,
    /// Whom the service calls and how that stands, in the order of `spec.calls`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dependencies: Vec<DependencyStatus>,
    /// Services that call this one without its consent; absent when none does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asking: Option<AskingStatus>,
    /// Services that call this one with its consent; absent when none does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub called_by: Option<CalledByStatus>,
    /// What network policies do, or would; absent without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<NetworkStatus>,
}

impl MicroserviceStatus {
    /// Whether a condition is true.
    pub fn is_true(&self, condition: &str) -> bool {
        self.conditions.iter().any(|one| one.type_ == condition && one.status == "True")
    }
}

/// What network policies do with the calls of a service.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NetworkStatus {
    /// Plan or Enforce.
    pub mode: PolicyMode,
    /// What carries policies out, as the class says; absent: nobody says that anything is cut.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enforced_by: Option<String>,
    /// Calls of the spec that are not open, or would not be, at most 64.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cuts: Vec<String>,
    /// Calls that are open wider than `spec.calls` says, because no NetworkPolicy knows methods and paths, at
    /// most 64.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub wider: Vec<String>,
    /// Services that environment, configuration or arguments seem to mean and that `spec.calls` does not
    /// name, as `namespace/name`, at most 64.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub suspected: Vec<String>,
}

/// One call as it stands.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DependencyStatus {
    /// Whom: `namespace/name` of a Microservice, else what `spec.calls` says, shortened.
    pub target: String,
    /// Whether the service can serve without it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub optional: bool,
    /// Ready, NotServing, PendingConsent, UnknownPort, Missing or Unknown.
    pub state: DependencyState,
    /// What is wrong and what to do; absent when nothing is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Port of a Microservice as the pods were told; it is kept while that does not exist.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<i32>,
    /// Protocol of that port as the pods were told: http, https or grpc.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheme: Option<String>,
}

/// How a call stands.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
pub enum DependencyState {
    /// It is allowed, and the service that is called serves.
    Ready,
    /// It is allowed, and the service that is called does not serve.
    NotServing,
    /// The service that is called does not name this one.
    PendingConsent,
    /// The service that is called has no such port.
    UnknownPort,
    /// The service that is called does not exist.
    Missing,
    /// It goes to what is no Microservice, or to a namespace that the operator does not watch.
    #[default]
    Unknown,
}

/// Services that call without consent.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AskingStatus {
    /// How many.
    pub count: i32,
    /// The first ten by name, as `namespace/name`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
}

/// Services that call with consent.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CalledByStatus {
    /// How many.
    pub count: i32,
    /// The first ten by name, as `namespace/name`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
    /// Whether the class wants its deletion confirmed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub protected: bool,
}

/// One object the operator keeps.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChildStatus {
    /// apiVersion of the child.
    pub api_version: SmolStr,
    /// Kind of the child.
    pub kind: SmolStr,
    /// Name of the child, in the namespace of the Microservice.
    pub name: SmolStr,
    /// UID of the child as last applied; absent when it was never stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<Id>,
    /// Digest of the field names that the operator owns on the child.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Id>,
    /// Whether the child is stored as planned.
    #[serde(default)]
    pub ready: bool,
    /// Why it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// An object that outlives its Microservice.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RetainedStatus {
    /// apiVersion of the object.
    pub api_version: String,
    /// Kind of the object.
    pub kind: String,
    /// Name of the object.
    pub name: String,
    /// Why it is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// A generated Secret, or the login for Kafka.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretStatus {
    /// Name of the Secret.
    pub name: String,
    /// When its values were generated or last rotated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotated_at: Option<Time>,
    /// When they will be rotated next; absent when never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_rotation: Option<Time>,
    /// Value of the annotation `microservice.dev/rotate` that was last carried out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotate_token: Option<String>,
    /// Of the login for Kafka: name of the user on the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Of the login for Kafka: digest of what else the Secret says of the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
}

/// A Secret or ConfigMap that the pods read, as last seen.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReferenceStatus {
    /// Secret or ConfigMap.
    pub kind: String,
    /// Name of the object.
    pub name: String,
    /// UID of the object.
    pub uid: String,
    /// resourceVersion at which it was read.
    pub resource_version: String,
    /// Keyed hash of the keys that the pods read.
    pub hash: String,
    /// Keys that the pods cannot do without and that were there: when one of them goes, running pods
    /// keep what they have, while a key that is not among them is waited for. Of a generated Secret those
    /// that are generated.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<String>,
    /// Id of the key of that hash.
    pub key_id: String,
}

/// An own topic as last seen on the cluster.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TopicStatus {
    /// Name of the topic in the spec.
    pub name: String,
    /// Its name on the cluster, fixed when it is first created or taken over.
    pub physical_name: String,
    /// Name of the cluster in the class.
    pub cluster: String,
    /// Id that the cluster gave it; another id means another topic of the same name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Number of partitions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partitions: Option<i32>,
    /// Replicas of each partition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replication_factor: Option<i32>,
    /// Ready, Pending, Refused or Unknown.
    pub state: TopicState,
    /// Why it is not ready, in one word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Why it is not ready, and what to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// State of an own topic.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
pub enum TopicState {
    /// It is on the cluster as described.
    Ready,
    /// It is being made or changed.
    #[default]
    Pending,
    /// Some of what is described cannot be done.
    Refused,
    /// The cluster was not asked or did not answer.
    Unknown,
}
