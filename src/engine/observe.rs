//! Gathers what the plan needs to know of the live world: state of the referenced Secrets and
//! ConfigMaps, values of generated Secrets. At rest it answers from caches and records alone.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::{Api, Client, ResourceExt};

use super::generate;
use super::hash_key::{HashKey, HashKeys};
use super::kafka::clusters::Clusters;
use super::live::{Belongs, Key, Live};
use super::login;
use super::request::{Failure, bounded};
use super::world::World;
use crate::api::microservice::SecretUse;
use crate::api::status::{ReferenceStatus, SecretStatus};
use crate::api::{Microservice, MicroserviceClass};
use crate::intent::references::{References, Wanted, references};
use crate::intent::{
    GeneratedValues, MissingReference, Observed, ReferenceKey, ReferenceKind, ReferenceState, kafka_cluster,
};
use crate::kafka::account::Stored;
use crate::status::views::ChildOutcome;

/// What was gathered, and the records to keep of it.
#[derive(Debug, Default)]
pub struct Observation {
    /// For the plan.
    pub observed: Observed,
    /// For `status.references`.
    pub references: Vec<ReferenceStatus>,
    /// For `status.secrets`.
    pub secrets: Vec<SecretStatus>,
    /// What the pods wait for beside references: a generated Secret whose name a foreign object has,
    /// because they must not read that one, and the login for Kafka.
    pub missing: Vec<MissingReference>,
    /// What the Secret with the login for Kafka holds.
    pub stored: Stored,
    /// The user whose login is to be stored by this pass.
    pub login_saves: Option<String>,
    /// Generated Secrets by name, as they were seen.
    pub made: BTreeMap<String, Seen>,
}

/// A generated Secret as it was seen: what is stored may be replaced at exactly this version only, or
/// values that somebody has set in the meantime would be lost.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Its resourceVersion; empty when there was none.
    pub resource_version: String,
    /// Whether new values were made that have to be stored.
    pub unsaved: bool,
}

/// Reads what caches and records do not tell.
pub struct Observer<'a> {
    /// Caches.
    pub world: &'a World,
    /// For reads by name.
    pub client: &'a Client,
    /// Key of the hashes.
    pub keys: &'a HashKeys,
    /// For new logins.
    pub clusters: &'a Clusters,
    /// Now.
    pub now: Timestamp,
}

/// Data of a Secret or ConfigMap with the identity it was read at.
#[derive(Default)]
pub(super) struct Data {
    pub(super) uid: String,
    pub(super) resource_version: String,
    pub(super) data: BTreeMap<String, ByteString>,
}

/// Whether the live object is the recorded one at the recorded version: what is in it is known then.
pub(super) fn is_at(live: Option<&Live>, record: &ReferenceStatus) -> bool {
    live.is_some_and(|live| live.uid == *record.uid && live.resource_version == record.resource_version)
}

impl Observer<'_> {
    /// Gathers everything for one Microservice.
    ///
    /// # Errors
    /// When a read fails: nothing may be planned on half of the truth.
    pub async fn observe(
        &self,
        object: &Microservice,
        class: Option<&MicroserviceClass>,
    ) -> Result<Observation, Failure> {
        let mut result = Observation::default();
        let namespace = object.namespace().unwrap_or_default();
        let cluster = kafka_cluster(object, class);
        let (login, foreign) = (login::made_by_us(cluster.as_ref()), login::made_elsewhere(cluster.as_ref()));
        let mut wanted = references(&object.spec);
        if let Some((key, keys)) = &foreign {
            let merged = wanted.entry(key.clone()).or_default();
            merged.required.extend(keys.required.iter().cloned());
            merged.must_exist = true;
        }
        let generated: Vec<&SecretUse> =
            object.spec.secrets.iter().flatten().filter(|secret| secret.generate.is_some()).collect();
        self.remember_reads(object, &namespace, &wanted, &generated, login);
        for (key, wanted) in &wanted {
            self.reference(object, &namespace, key, wanted, &mut result).await?;
        }
        for secret in generated {
            self.generated(object, &namespace, secret, &mut result).await?;
        }
        if let Some((key, _)) = &foreign {
            login::found_elsewhere(key, &mut result);
        }
        if let Some((secret, cluster)) = login.zip(cluster.as_ref()) {
            self.login(object, secret, cluster, &mut result).await?;
        }
        Ok(result)
    }

    /// Changes of these objects must bring the Microservice back.
    fn remember_reads(
        &self,
        object: &Microservice,
        namespace: &str,
        wanted: &References,
        generated: &[&SecretUse],
        login: Option<&str>,
    ) {
        let mut reads: BTreeSet<_> =
            wanted.keys().map(|key| (key.kind, Key::new(namespace, &key.name))).collect();
        let secrets = generated.iter().map(|secret| secret.name.as_str()).chain(login);
        reads.extend(secrets.map(|name| (ReferenceKind::Secret, Key::new(namespace, name))));
        self.world.set_reads(&Key::new(namespace, &object.name_any()), reads);
    }

    async fn reference(
        &self,
        object: &Microservice,
        namespace: &str,
        key: &ReferenceKey,
        wanted: &Wanted,
        result: &mut Observation,
    ) -> Result<(), Failure> {
        let recorded = recorded(object, key.kind, &key.name);
        let (live, trusted) = self.world.reference(key.kind, &Key::new(namespace, &key.name));
        let unchanged = recorded
            .filter(|_| !spec_changed(object))
            .filter(|record| had(record, &wanted.required) && is_at(live.as_deref(), record));
        if let Some(record) = unchanged {
            result.keep(key, record);
            return Ok(());
        }
        let data =
            if trusted && live.is_none() { None } else { self.read(key.kind, namespace, &key.name).await? };
        let absent: BTreeSet<String> = match &data {
            Some(data) => {
                wanted.required.iter().filter(|name| !data.data.contains_key(*name)).cloned().collect()
            }
            None => wanted.required.clone(),
        };
        match (data, recorded) {
            (Some(data), _) if absent.is_empty() => {
                let read = data.data.iter().filter(|(name, _)| {
                    wanted.whole || wanted.required.contains(*name) || wanted.optional.contains(*name)
                });
                let hash_key = self.keys.get().await?;
                let hash = match recorded.filter(|old| is_of_lost_key(old, &data, hash_key)) {
                    Some(old) => old.hash.clone(),
                    None => hash_key.hash(read),
                };
                let keys = wanted.required.iter().cloned().collect();
                result.keep(key, &ReferenceStatus { keys, ..record(key, &data, hash_key, hash) });
            }
            // What the running pods have read before was taken away: they keep what they have.
            (_, Some(record)) if had(record, &absent) => result.keep(key, record),
            (_, Some(record)) => {
                result.note(key, ReferenceState::MissingKeys(absent));
                result.references.push(record.clone());
            }
            (Some(_), None) => result.note(key, ReferenceState::MissingKeys(absent)),
            (None, None) => result.note(key, ReferenceState::Missing),
        }
        Ok(())
    }

    async fn generated(
        &self,
        object: &Microservice,
        namespace: &str,
        secret: &SecretUse,
        result: &mut Observation,
    ) -> Result<(), Failure> {
        let key = ReferenceKey { kind: ReferenceKind::Secret, name: secret.name.clone() };
        let (live, trusted) = self.world.reference(key.kind, &Key::new(namespace, &key.name));
        if live.as_ref().is_some_and(|live| is_foreign(object, live)) {
            result.missing.push(MissingReference { reference: key, key: None });
            return Ok(());
        }
        let before = secret_status(object, &secret.name);
        let rotate = generate::due(object, before, self.now);
        let recorded = recorded(object, key.kind, &key.name);
        let generate = secret.generate.as_deref().unwrap_or_default();
        let generated: BTreeSet<String> = generate.iter().map(|one| one.key.clone()).collect();
        let unchanged = recorded
            .filter(|record| !rotate && had(record, &generated))
            .filter(|record| is_at(live.as_deref(), record));
        let (record, new) = if let Some(record) = unchanged {
            (record.clone(), None)
        } else {
            let absent = trusted && live.is_none();
            let data = if absent { None } else { self.read(key.kind, namespace, &key.name).await? };
            let mut data = data.unwrap_or_default();
            let made = generate::fill(&mut data.data, generate, rotate);
            let hash_key = self.keys.get().await?;
            let record = match recorded.filter(|old| !made && is_of_lost_key(old, &data, hash_key)) {
                Some(old) => old.clone(),
                None => record(&key, &data, hash_key, hash_key.hash(&data.data)),
            };
            let record = ReferenceStatus { keys: generated.into_iter().collect(), ..record };
            (record, made.then_some(data.data))
        };
        let seen = Seen { resource_version: record.resource_version.clone(), unsaved: new.is_some() };
        result.made.insert(secret.name.clone(), seen);
        result.secrets.push(generate::status(object, secret, before, rotate, self.now));
        let values = GeneratedValues { data: new, hash: record.hash.clone() };
        result.observed.generated.insert(secret.name.clone(), values);
        result.references.push(record);
        Ok(())
    }

    pub(super) async fn read(
        &self,
        kind: ReferenceKind,
        namespace: &str,
        name: &str,
    ) -> Result<Option<Data>, Failure> {
        match kind {
            ReferenceKind::Secret => {
                let api: Api<Secret> = Api::namespaced(self.client.clone(), namespace);
                Ok(bounded(api.get_opt(name)).await?.map(|secret| Data {
                    uid: secret.uid().unwrap_or_default(),
                    resource_version: secret.resource_version().unwrap_or_default(),
                    data: secret.data.unwrap_or_default(),
                }))
            }
            ReferenceKind::ConfigMap => {
                let api: Api<ConfigMap> = Api::namespaced(self.client.clone(), namespace);
                Ok(bounded(api.get_opt(name)).await?.map(|map| {
                    let text = map.data.clone().unwrap_or_default().into_iter();
                    let mut data: BTreeMap<_, _> =
                        text.map(|(name, value)| (name, ByteString(value.into_bytes()))).collect();
                    data.extend(map.binary_data.clone().unwrap_or_default());
                    Data {
                        uid: map.uid().unwrap_or_default(),
                        resource_version: map.resource_version().unwrap_or_default(),
                        data,
                    }
                }))
            }
        }
    }
}

impl Observation {
    /// Brings the records of generated Secrets up to what became of them: as stored by this pass, or as
    /// before when their new values could not be stored.
    pub fn settle(&mut self, object: &Microservice, outcomes: &[ChildOutcome]) {
        for outcome in outcomes.iter().filter(|outcome| outcome.kind == ReferenceKind::Secret.as_str()) {
            let Some(seen) = self.made.get(outcome.name.as_str()) else { continue };
            let name = &outcome.name;
            if outcome.problem.is_some() && seen.unsaved {
                self.references.retain(|record| record.kind != outcome.kind || record.name != *name);
                self.references.extend(recorded(object, ReferenceKind::Secret, name).cloned());
                self.secrets.retain(|secret| secret.name != *name);
                self.secrets.extend(secret_status(object, name).cloned());
            } else if let (Some(uid), Some(version)) = (&outcome.uid, &outcome.stored_version) {
                let mine = self.references.iter_mut().find(|r| r.kind == outcome.kind && r.name == *name);
                // What was found spoilt is written back as it was found: the record is not of that.
                if let Some(record) = mine.filter(|record| record.resource_version == seen.resource_version) {
                    record.uid = uid.to_string();
                    record.resource_version = version.to_string();
                }
            }
        }
    }

    fn keep(&mut self, key: &ReferenceKey, record: &ReferenceStatus) {
        self.note(key, ReferenceState::Known { hash: record.hash.clone() });
        self.references.push(record.clone());
    }

    fn note(&mut self, key: &ReferenceKey, state: ReferenceState) {
        self.observed.references.insert(key.clone(), state);
    }
}

/// Whether all these keys were there when the pods were last told, or when they were generated.
fn had(record: &ReferenceStatus, keys: &BTreeSet<String>) -> bool {
    keys.iter().all(|key| record.keys.contains(key))
}

/// A changed spec may read other keys than those that the recorded hash covers.
fn spec_changed(object: &Microservice) -> bool {
    object.status.as_ref().and_then(|status| status.observed_generation) != object.metadata.generation
}

/// Whether the very same data were hashed before, with a key that is lost: the hash then stays until
/// they change. Which of them the pods read is in their template anyway.
fn is_of_lost_key(record: &ReferenceStatus, data: &Data, hash_key: &HashKey) -> bool {
    record.key_id != hash_key.id && record.uid == data.uid && record.resource_version == data.resource_version
}

pub(super) fn is_foreign(object: &Microservice, live: &Live) -> bool {
    let recorded = object
        .status
        .iter()
        .flat_map(|status| &status.children)
        .find(|child| child.kind == "Secret" && child.uid.as_ref() == Some(&live.uid));
    let uid = object.metadata.uid.as_deref().unwrap_or_default();
    live.belongs(uid, &object.name_any(), recorded) != Belongs::Ours
}

pub(super) fn recorded<'a>(
    object: &'a Microservice,
    kind: ReferenceKind,
    name: &str,
) -> Option<&'a ReferenceStatus> {
    let status = object.status.as_ref()?;
    status.references.iter().find(|record| record.kind == kind.as_str() && record.name == name)
}

pub(super) fn secret_status<'a>(object: &'a Microservice, name: &str) -> Option<&'a SecretStatus> {
    object.status.as_ref()?.secrets.iter().find(|secret| secret.name == name)
}

pub(super) fn record(key: &ReferenceKey, data: &Data, hash_key: &HashKey, hash: String) -> ReferenceStatus {
    ReferenceStatus {
        kind: key.kind.as_str().to_owned(),
        name: key.name.clone(),
        uid: data.uid.clone(),
        resource_version: data.resource_version.clone(),
        hash,
        keys: Vec::new(),
        key_id: hash_key.id.clone(),
    }
}
