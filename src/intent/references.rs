//! Which Secrets and ConfigMaps the pods of a Microservice read, and which keys of them.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{EnvFromSource, EnvVar, KeyToPath, ProjectedVolumeSource};

use crate::api::microservice::{FileMount, SecretUse};
use crate::api::{MicroserviceSpec, names};

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
/// ConfigMaps are not among them. `imagePullSecrets` are read by the kubelet, not by the pods.
///
/// Names that no object can have are left out, so that the caller may build URLs from the rest;
/// [`crate::intent::Intent::resolve`] reports them.
pub fn references(spec: &MicroserviceSpec) -> References {
    let mut found = Collector::default();
    found.env(spec.env.iter().flatten());
    found.env_from(spec.env_from.iter().flatten());
    spec.files.iter().flatten().for_each(|file| found.file(file));
    spec.secrets
        .iter()
        .flatten()
        .filter(|secret| !is_generated(secret))
        .for_each(|secret| found.secret(secret));
    for container in spec.init_containers.iter().chain(&spec.sidecars).flatten() {
        found.env(container.env.iter().flatten());
    }
    for generated in spec.secrets.iter().flatten().filter(|secret| is_generated(secret)) {
        found.0.remove(&ReferenceKey { kind: ReferenceKind::Secret, name: generated.name.clone() });
    }
    found.0
}

/// Whether the operator makes this Secret.
pub fn is_generated(secret: &SecretUse) -> bool {
    secret.generate.as_ref().is_some_and(|keys| !keys.is_empty())
}

#[derive(Default)]
struct Collector(References);

impl Collector {
    /// The entry of one object; `None` for a name that no object can have.
    fn entry(&mut self, kind: ReferenceKind, name: &str) -> Option<&mut Wanted> {
        if !names::is_subdomain(name) {
            return None;
        }
        Some(self.0.entry(ReferenceKey { kind, name: name.to_owned() }).or_default())
    }

    fn key(&mut self, kind: ReferenceKind, name: &str, key: &str, optional: Option<bool>) {
        if let Some(wanted) = self.entry(kind, name) {
            let optional = optional.unwrap_or_default();
            wanted.must_exist |= !optional;
            let keys = if optional { &mut wanted.optional } else { &mut wanted.required };
            keys.insert(key.to_owned());
        }
    }

    fn whole(&mut self, kind: ReferenceKind, name: &str, optional: Option<bool>) {
        if let Some(wanted) = self.entry(kind, name) {
            wanted.whole = true;
            wanted.must_exist |= !optional.unwrap_or_default();
        }
    }

    /// A volume: the keys it lists, or all of them.
    fn volume(
        &mut self,
        kind: ReferenceKind,
        name: &str,
        items: Option<&Vec<KeyToPath>>,
        optional: Option<bool>,
    ) {
        match items.filter(|items| !items.is_empty()) {
            Some(items) => items.iter().for_each(|item| self.key(kind, name, &item.key, optional)),
            None => self.whole(kind, name, optional),
        }
    }

    fn env<'a>(&mut self, env: impl Iterator<Item = &'a EnvVar>) {
        for source in env.filter_map(|entry| entry.value_from.as_ref()) {
            if let Some(from) = &source.secret_key_ref {
                self.key(ReferenceKind::Secret, &from.name, &from.key, from.optional);
            }
            if let Some(from) = &source.config_map_key_ref {
                self.key(ReferenceKind::ConfigMap, &from.name, &from.key, from.optional);
            }
        }
    }

    fn env_from<'a>(&mut self, sources: impl Iterator<Item = &'a EnvFromSource>) {
        for source in sources {
            if let Some(from) = &source.secret_ref {
                self.whole(ReferenceKind::Secret, &from.name, from.optional);
            }
            if let Some(from) = &source.config_map_ref {
                self.whole(ReferenceKind::ConfigMap, &from.name, from.optional);
            }
        }
    }

    fn file(&mut self, file: &FileMount) {
        if let Some(from) = &file.config_map {
            self.volume(ReferenceKind::ConfigMap, &from.name, from.items.as_ref(), from.optional);
        }
        if let Some(from) = &file.secret {
            let name = from.secret_name.as_deref().unwrap_or_default();
            self.volume(ReferenceKind::Secret, name, from.items.as_ref(), from.optional);
        }
        if let Some(projected) = &file.projected {
            self.projected(projected);
        }
    }

    fn projected(&mut self, projected: &ProjectedVolumeSource) {
        for source in projected.sources.iter().flatten() {
            if let Some(from) = &source.config_map {
                self.volume(ReferenceKind::ConfigMap, &from.name, from.items.as_ref(), from.optional);
            }
            if let Some(from) = &source.secret {
                self.volume(ReferenceKind::Secret, &from.name, from.items.as_ref(), from.optional);
            }
        }
    }

    fn secret(&mut self, secret: &SecretUse) {
        for entry in secret.env.iter().flatten() {
            self.key(ReferenceKind::Secret, &secret.name, &entry.key, secret.optional);
        }
        // Without any use it is still named, and then it must exist.
        if secret.mount_path.is_some() || secret.env.as_ref().is_none_or(Vec::is_empty) {
            self.whole(ReferenceKind::Secret, &secret.name, secret.optional);
        }
    }
}
