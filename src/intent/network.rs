//! Whom the pods of a service may talk to, as its network policy opens it.

use std::collections::BTreeMap;

use super::calls::Key;
use crate::api::microservice::{Port, Protocol};
use crate::api::network::PolicyMode;

/// What the network policy of a service opens, and what it cannot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NetworkIntent {
    /// Off, Plan or Enforce.
    pub mode: PolicyMode,
    /// What carries policies out, as the class says.
    pub enforced_by: Option<String>,
    /// Who may come in.
    pub ingress: Vec<Opening>,
    /// Where it may go.
    pub egress: Vec<Opening>,
    /// Calls of the spec that are not opened, each with the reason.
    pub cuts: Vec<String>,
    /// Calls that are opened wider than the spec says, each with the reason.
    pub wider: Vec<String>,
}

/// Peers and the ports on which they are talked to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opening {
    /// Whom, by name; never empty.
    pub peers: Vec<PolicyPeer>,
    /// On which ports of pods; never empty.
    pub ports: Vec<PolicyPort>,
}

/// One peer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PolicyPeer {
    /// The pods of a Microservice.
    Service(Key),
    /// Pods of a namespace; without labels all of them.
    Pods {
        /// The namespace.
        namespace: String,
        /// Their labels.
        labels: BTreeMap<String, String>,
    },
    /// Pods that are no Microservice, in namespaces by their labels.
    Others {
        /// Labels of the namespaces; `None` = this one.
        namespaces: Option<BTreeMap<String, String>>,
        /// Labels of the pods.
        labels: BTreeMap<String, String>,
    },
    /// A range of addresses.
    Range(String),
}

/// One port of pods.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PolicyPort {
    /// By the name that the container gives it: old and new pods of a rollout may listen on different
    /// numbers.
    Name(String, Protocol),
    /// By number.
    Number(i32, Protocol),
}

impl PolicyPort {
    /// The port of the pods behind a port of their Service. Of several with one number, the container has
    /// the first only.
    pub fn behind(port: &Port, all: &[Port]) -> Self {
        let key = |port: &Port| (port.container_port.unwrap_or(port.port), port.protocol.unwrap_or_default());
        let first = all.iter().find(|other| key(other) == key(port)).unwrap_or(port);
        Self::Name(first.name.clone(), key(port).1)
    }

    /// Its protocol.
    pub fn protocol(&self) -> Protocol {
        match self {
            Self::Name(_, protocol) | Self::Number(_, protocol) => *protocol,
        }
    }
}

/// The granted calls of a service, as neighbours show them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Granted {
    /// Who calls it, by port of its pods.
    pub callers: BTreeMap<PolicyPort, Vec<Key>>,
    /// Whom it calls, on which port of their pods.
    pub callees: BTreeMap<Key, PolicyPort>,
}
