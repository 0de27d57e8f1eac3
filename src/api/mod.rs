//! The two kinds of the API group `microservice.dev`, their status, names and constants.
//! Nothing here does IO; every other module depends on this one.

pub mod calls;
pub mod class;
pub mod conditions;
pub mod defaults;
pub mod graph;
pub mod id;
pub mod kafka;
pub mod microservice;
pub mod names;
pub mod network;
pub mod reason;
pub mod rules;
pub mod schema;
pub mod status;

pub use class::{MicroserviceClass, MicroserviceClassSpec};
pub use microservice::{Microservice, MicroserviceSpec};
pub use reason::Reason;
pub use status::MicroserviceStatus;

/// API group of both kinds.
pub const GROUP: &str = "microservice.dev";
/// The only served and stored version.
pub const VERSION: &str = "v1alpha1";
/// `apiVersion` of both kinds.
pub const API_VERSION: &str = "microservice.dev/v1alpha1";

/// Field manager of every child apply.
pub const FIELD_MANAGER: &str = "microservice-operator";
/// Field manager that holds `spec.replicas` of a Deployment while a hand-over is under way.
pub const REPLICAS_MANAGER: &str = "microservice-operator/replicas";
/// Field manager of status writes; it owns nothing but `status`.
pub const STATUS_MANAGER: &str = "microservice-operator/status";

/// The one selector label: Deployment, Service and PodDisruptionBudget select by it alone.
pub const LABEL_NAME: &str = "microservice.dev/name";
/// Label of a namespace that names the class of the services in it.
pub const LABEL_CLASS: &str = "microservice.dev/class";
/// Label of a namespace that says in which mode network policies are there.
pub const LABEL_NETWORK_POLICY: &str = "microservice.dev/network-policy";
/// Value of `app.kubernetes.io/managed-by` on every child.
pub const MANAGED_BY: &str = "microservice-operator";

/// On every child: digest of the planned object, see [`crate::plan::meta`].
pub const ANNOTATION_PLAN_HASH: &str = "microservice.dev/plan-hash";
/// On the pod template: digest of all configuration and secrets that the pod reads.
pub const ANNOTATION_CONFIG_HASH: &str = "microservice.dev/config-hash";
/// On the pod template: the user on the Kafka cluster whose login the pod gets.
pub const ANNOTATION_KAFKA_USER: &str = "microservice.dev/kafka-user";
/// On a Microservice: a new value replaces its generated secrets and its login for Kafka at once.
pub const ANNOTATION_ROTATE: &str = "microservice.dev/rotate";
/// On a Microservice: a new value rolls its pods.
pub const ANNOTATION_RESTART: &str = "microservice.dev/restart";
/// On a Microservice: names on the cluster, separated by commas, of topics with `deletionPolicy: Delete`
/// that may really be deleted.
pub const ANNOTATION_CONFIRM_DELETE: &str = "microservice.dev/confirm-delete";
/// On a Microservice: names on the cluster, separated by commas, of compacted topics that may get more
/// partitions.
pub const ANNOTATION_CONFIRM_PARTITIONS: &str = "microservice.dev/confirm-partitions";
/// On a Microservice: `"true"` lets it be deleted although others call it and its class protects it. The
/// chart's ValidatingAdmissionPolicy reads it.
pub const ANNOTATION_CONFIRM_DELETE_CALLED: &str = "microservice.dev/confirm-delete-called";
/// On a MicroserviceClass: `"true"` makes it the default.
pub const ANNOTATION_DEFAULT_CLASS: &str = "microservice.dev/is-default-class";
