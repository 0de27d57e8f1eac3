//! Which Secrets and ConfigMaps the pods of a Microservice read, and which keys of them.

use std::collections::{BTreeMap, BTreeSet};

use crate::api::MicroserviceSpec;

/// Kind of a referenced object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ReferenceKind {
    /// A ConfigMap.
    ConfigMap,
    /// A Secret.
    Secret,
}

impl ReferenceKind {
    /// The kind as Kubernetes spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ConfigMap => "ConfigMap",
            Self::Secret => "Secret",
        }
    }
}

/// A referenced object of the service's namespace.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReferenceKey {
    /// Its kind.
    pub kind: ReferenceKind,
    /// Its name.
    pub name: String,
}

/// What the pods read of one referenced object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Keys that must exist.
    pub required: BTreeSet<String>,
    /// Keys that may be absent.
    pub optional: BTreeSet<String>,
    /// The pods read every key.
    pub whole: bool,
    /// The object itself must exist.
    pub must_exist: bool,
}

/// All references of one Microservice.
pub type References = BTreeMap<ReferenceKey, Wanted>;

/// Live state of one reference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReferenceState {
    /// It exists with all required keys, or it was recorded before and is missing now (running pods
    /// keep what they have): the hash goes into the pod template.
    Known {
        /// Keyed hash of the keys that the pods read.
        hash: String,
    },
    /// It does not exist and nothing was recorded. Holds the Deployment unless optional.
    Missing,
    /// It exists without these required keys and nothing was recorded.
    MissingKeys(BTreeSet<String>),
}

/// Every Secret and ConfigMap that the pods of this spec read; generated Secrets and the service's own
/// ConfigMaps are not among them.
pub fn references(_spec: &MicroserviceSpec) -> References {
    References::new()
}
