//! `spec.kafka` of a `MicroserviceClass`: which clusters there are, how the operator logs in, and how
//! topics are named. A team never names servers or credentials.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The Kafka clusters for services of the class, and what their topics may be.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClassKafka {
    /// The clusters, at most 16. A service that names none uses the only one.
    pub clusters: Vec<Cluster>,
    /// Name of a topic on the cluster, with `{name}` for the declared name and, before it,
    /// `{namespace}.` or `{namespace}_` for the owner's namespace, such as `{namespace}.{name}`.
    /// Without `{namespace}`, the services of all namespaces share one space of names.
    pub topic_name_template: String,
    /// First part of the names of users that the operator makes, at most 20 lower-case letters, digits
    /// and `-`. Two operators on one cluster need different ones. Default `msvc`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub principal_prefix: Option<String>,
    /// Topics that are made elsewhere and have no owner in this API, by their names on the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_topics: Option<Vec<ExternalTopic>>,
    /// Keys that services may set in `topics[].config`, such as `compression.type`. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowed_config: Option<Vec<String>>,
    /// Most partitions of one topic, 1 to 10000. Default 10000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_partitions: Option<i32>,
    /// What a new topic gets when its owner leaves it out. Existing topics are not changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub defaults: Option<TopicDefaults>,
}

/// A Kafka cluster.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Cluster {
    /// Name that services use for it.
    pub name: String,
    /// Direct (the operator talks to the brokers) or Strimzi (through its KafkaTopic and KafkaUser).
    /// Default Direct.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
    /// Addresses as `host:port` of some of its brokers, for the operator and for the pods.
    pub bootstrap_servers: Vec<String>,
    /// Encrypt the connection. `{}` = with the public certificate authorities. Absent: no encryption.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
    /// How the operator logs in. Absent: with its client certificate, or not at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sasl: Option<Sasl>,
    /// Who makes the users of the services. Default: the operator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub users: Option<Users>,
    /// Managed (the operator keeps the ACLs of the services' users) or None. Default Managed; None when
    /// there are no users.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acls: Option<Acls>,
    /// Where Strimzi's objects are kept; for mode Strimzi only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strimzi: Option<Strimzi>,
}

impl Cluster {
    /// Whether the operator has a login of its own, by password or certificate.
    pub fn is_login_given(&self) -> bool {
        self.sasl.is_some() || self.tls.as_ref().is_some_and(|tls| tls.client_secret_name.is_some())
    }
}

/// How topics and users are made.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
pub enum Mode {
    /// By Kafka's admin protocol.
    #[default]
    Direct,
    /// By objects of Strimzi's operators.
    Strimzi,
}

/// Encryption of the connection. The Secrets are in the operator's own namespace.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Tls {
    /// Secret with the certificate authorities to trust, key `ca.crt`. Default: the public ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_secret_name: Option<String>,
    /// Secret with the operator's client certificate, keys `tls.crt` and `tls.key`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_secret_name: Option<String>,
}

/// Login of the operator.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Sasl {
    /// SCRAM-SHA-512, SCRAM-SHA-256 or PLAIN.
    pub mechanism: Mechanism,
    /// Secret in the operator's own namespace, keys `username` and `password`.
    pub secret_name: String,
}

/// How a login is proved.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
pub enum Mechanism {
    /// Salted challenge and response with SHA-512.
    #[serde(rename = "SCRAM-SHA-512")]
    ScramSha512,
    /// Salted challenge and response with SHA-256.
    #[serde(rename = "SCRAM-SHA-256")]
    ScramSha256,
    /// The password itself; only with TLS on a network that is not trusted.
    #[serde(rename = "PLAIN")]
    Plain,
}

impl Mechanism {
    /// The mechanism as Kafka spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ScramSha512 => "SCRAM-SHA-512",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::Plain => "PLAIN",
        }
    }
}

/// Who makes the users of the services.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Users {
    /// Managed, Existing or None. Default Managed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<UsersMode>,
    /// For Existing: name of the Secret in the service's namespace, keys `username` and `password`, with
    /// `{name}` and `{namespace}` of the service, such as `{name}-msk`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_name_template: Option<String>,
    /// For Existing: the principal that ACLs name, with `{name}` and `{namespace}` of the service, such
    /// as `User:{namespace}.{name}`. Between the two a character that no name has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub principal_template: Option<String>,
    /// For Managed: age at which a service's password is changed, such as 90d or 720h, at least 1h. Each
    /// service has a time of its own in the last tenth of it, so that not all pods roll at once. Default:
    /// never, only on demand with the annotation `microservice.dev/rotate`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotate_after: Option<String>,
}

/// Who makes the users.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
pub enum UsersMode {
    /// The operator makes SCRAM-SHA-512 users and rotates their passwords.
    #[default]
    Managed,
    /// They are made elsewhere, with one Secret per service.
    Existing,
    /// Clients do not log in.
    None,
}

/// Who keeps the ACLs.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
pub enum Acls {
    /// The operator, for the principals of the services and no other.
    #[default]
    Managed,
    /// Nobody, or somebody else.
    None,
}

/// Where Strimzi's objects are kept.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Strimzi {
    /// Namespace that Strimzi's topic and user operators watch.
    pub namespace: String,
    /// Name of the Kafka object: the value of the label `strimzi.io/cluster`.
    pub cluster: String,
}

/// A topic that is made elsewhere.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExternalTopic {
    /// Its name on the cluster.
    pub name: String,
    /// Namespaces whose services may use it. Absent: all that may use the class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespaces: Option<Vec<String>>,
    /// Read, Write or ReadWrite.
    pub access: Access,
}

/// What services may do with a topic.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
pub enum Access {
    /// Consume.
    Read,
    /// Produce.
    Write,
    /// Both.
    ReadWrite,
}

impl Access {
    /// Whether services may consume.
    pub fn reads(self) -> bool {
        self != Self::Write
    }

    /// Whether services may produce.
    pub fn writes(self) -> bool {
        self != Self::Read
    }
}

/// What a new topic gets when its owner leaves it out.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TopicDefaults {
    /// Number of partitions. Default: the cluster's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partitions: Option<i32>,
    /// Replicas of each partition. Default: the cluster's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replication_factor: Option<i32>,
}
