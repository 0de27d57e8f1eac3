//! `spec.calls` and `spec.callers` of a Microservice: whom it calls, and who may call it. The field docs
//! are what `kubectl explain` prints.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One call: exactly one of `name`, `workload` and `external` says whom.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Call {
    /// Name of the Microservice that is called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its namespace. Default: this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Pods of the cluster that are no Microservice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workload: Option<Box<Workload>>,
    /// Something outside of the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external: Option<Box<External>>,
    /// Name or number of the port of the Microservice that is called. Default: its main port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<IntOrString>,
    /// Begin of the variables that tell the pods where the Microservice is: STOCK gives STOCK_URL,
    /// STOCK_HOST and STOCK_PORT. Default: its name in capital letters, with `_` for `-`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub env_prefix: Option<String>,
    /// HTTP methods that are used, 1 to 9 of them. They are told to people and to whatever can hold callers to
    /// them, such as a service mesh: no NetworkPolicy can. Default: any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub methods: Option<Vec<Method>>,
    /// Begins of the paths that are used, such as /stock/, 1 to 16 of them; told as `methods` are. Default:
    /// any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paths: Option<Vec<String>>,
    /// How long the caller waits for the whole call, retries included, such as 5s or 1500ms, as its client
    /// is configured. Default: not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<String>,
    /// How often the caller tries again, as its client is configured. Default: it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retries: Option<Box<Retries>>,
    /// The caller can serve without it. Default false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub optional: bool,
}

/// A method of HTTP.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    /// Read.
    Get,
    /// Read without the content.
    Head,
    /// Act, or add.
    Post,
    /// Replace.
    Put,
    /// Change in part.
    Patch,
    /// Remove.
    Delete,
    /// Ask what can be done.
    Options,
    /// Open a tunnel.
    Connect,
    /// Send back what came.
    Trace,
}

impl Method {
    /// The method as it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
            Self::Options => "OPTIONS",
            Self::Connect => "CONNECT",
            Self::Trace => "TRACE",
        }
    }
}

/// How the pods learn where those are that the service calls.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
pub enum Discovery {
    /// By environment variables.
    #[default]
    Environment,
    /// Not from the operator.
    None,
}

/// How a call is tried again.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Retries {
    /// Attempts after the first one, 1 to 10.
    pub attempts: i32,
    /// How long the caller waits for each attempt, such as 1500ms. Default: not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_try_timeout: Option<String>,
}

/// Pods by their labels.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Workload {
    /// Namespace of the pods. Default: this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// The pods.
    pub pod_selector: Labelled,
    /// Container ports that are called, 1 to 16 of them.
    pub ports: Vec<i32>,
}

/// What has all of these labels.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Labelled {
    /// Labels and their values, 1 to 8 of them.
    pub match_labels: BTreeMap<String, String>,
}

/// A host name or a range of addresses.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct External {
    /// Host name, such as api.payments.example. Either this or `cidr`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Range of addresses, such as 192.0.2.0/24. Either this or `host`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cidr: Option<String>,
    /// Ports that are called, 1 to 16 of them.
    pub ports: Vec<i32>,
}

/// Who may call: Microservices by name, or pods by labels.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Caller {
    /// Name of a Microservice, or `*` for all of the namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its namespace. Default: this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Namespaces of pods that are no Microservice. Default: this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace_selector: Option<Labelled>,
    /// Pods that are no Microservice. Default: all of the namespaces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_selector: Option<Labelled>,
}
