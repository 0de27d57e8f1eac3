//! Scaling by lag: which groups fall behind on which topics, and how KEDA reaches the cluster that
//! knows. In Kafka's words; KEDA's are in the plan.

use k8s_openapi::api::autoscaling::v2::MetricSpec;

/// The part of an autoscaler that only KEDA serves.
#[derive(Clone, Debug, PartialEq)]
pub struct LagScaling {
    /// At least one.
    pub topics: Vec<LagTopic>,
    /// Metrics beside the lag, none filled in: only CPU and memory.
    pub metrics: Vec<MetricSpec>,
    /// Addresses of brokers as `host:port`.
    pub bootstrap_servers: Vec<String>,
    /// Whether the connection is encrypted.
    pub tls: bool,
    /// Login of the service's own user; `None` = clients do not log in.
    pub login: Option<LagLogin>,
    /// Whether the cluster serves KEDA's API. Without it a HorizontalPodAutoscaler scales by the other
    /// metrics.
    pub served: bool,
}

/// A topic on which a group falls behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LagTopic {
    /// Name as declared by its owner.
    pub name: String,
    /// Name on the cluster.
    pub physical_name: String,
    /// Consumer group on the cluster.
    pub group: String,
    /// Lag that one pod may have.
    pub threshold: i32,
    /// Lag above which the trigger counts as active.
    pub activation: i32,
}

/// How KEDA logs in: as the service itself, which may read just these topics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LagLogin {
    /// Secret in the service's namespace, keys `username` and `password`.
    pub secret: String,
    /// `sasl.mechanism`.
    pub mechanism: &'static str,
    /// Whether its key `ca.crt` holds the authorities to trust.
    pub ca: bool,
}
