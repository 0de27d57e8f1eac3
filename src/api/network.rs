//! `spec.network` of a `MicroserviceClass`: whether NetworkPolicies open exactly the calls that are granted,
//! and what else of the cluster every service may talk to.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::calls::Labelled;

/// Network policies of the services of the class.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClassNetwork {
    /// Off (no policies), Plan (none either, but `status.network` says what they would cut) or Enforce (one
    /// NetworkPolicy per service, in both directions). Default Off. The label
    /// `microservice.dev/network-policy` of a namespace goes before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<PolicyMode>,
    /// What carries policies out in this cluster, such as `cilium 1.18`; it is told in `status.network`. Some
    /// network plugins ignore policies: absent, nothing is said to be cut.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enforced_by: Option<String>,
    /// Who may reach all ports of every service beside its callers, such as gateways, at most 16.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateways: Option<Vec<NetworkPeer>>,
    /// Who may reach the metrics port of every service, at most 16.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub monitoring: Option<Vec<NetworkPeer>>,
    /// Who resolves names, at most 16. Default: pods with `k8s-app: kube-dns` in kube-system, on port 53.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dns: Option<Vec<NameServer>>,
    /// What every service may reach, such as collectors of traces, or brokers whose addresses the class
    /// gives by name, at most 32.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub infrastructure: Option<Vec<Infrastructure>>,
    /// Namespaces other than its own in which a service may call pods that are no Microservice, at most 64.
    /// Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workload_namespaces: Option<Vec<String>>,
    /// Fewest leading bits of an `external.cidr` with IPv4 addresses, 0 to 32. Default 16.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shortest_prefix_ipv4: Option<i32>,
    /// The same for IPv6, 0 to 128. Default 48.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shortest_prefix_ipv6: Option<i32>,
}

/// What becomes of the calls that are not granted.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
pub enum PolicyMode {
    /// Nothing.
    #[default]
    Off,
    /// It is told that they would be cut.
    Plan,
    /// They are cut.
    Enforce,
}

impl PolicyMode {
    /// The mode of this name, as in the label of a namespace.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "Off" => Some(Self::Off),
            "Plan" => Some(Self::Plan),
            "Enforce" => Some(Self::Enforce),
            _ => None,
        }
    }
}

/// Pods of a namespace, or addresses.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NetworkPeer {
    /// Namespace of the pods. Either this or `cidr`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// The pods. Default: all of the namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_selector: Option<Labelled>,
    /// Range of addresses, such as 169.254.20.10/32.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cidr: Option<String>,
}

/// Pods of a namespace, or addresses, that resolve names.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NameServer {
    /// Who they are.
    #[serde(flatten)]
    pub peer: NetworkPeer,
    /// Ports on which the pods themselves listen, behind whatever Service, 1 to 16 of them; TCP and UDP.
    /// Default 53; those of OpenShift listen on 5353.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ports: Option<Vec<i32>>,
}

/// What every service may reach.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Infrastructure {
    /// Whom.
    pub to: NetworkPeer,
    /// On which ports of the pods, 1 to 16 of them; TCP.
    pub ports: Vec<i32>,
}
