//! The Secret with the login for Kafka: what is to be in it, and what is. Like a generated Secret it is
//! read only when it has changed.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::ByteString;
use kube::ResourceExt;

use super::generate;
use super::kafka::cluster::Offer;
use super::live::Key;
use super::observe::{Data, Observation, Observer, Seen, is_at, is_foreign, record, recorded, secret_status};
use super::request::Failure;
use crate::api::status::{ReferenceStatus, SecretStatus};
use crate::api::{Microservice, names};
use crate::intent::kafka::{ClusterIntent, KafkaLogin, UsersIntent};
use crate::intent::references::Wanted;
use crate::intent::{MissingReference, ReferenceKey, ReferenceKind, ReferenceState};
use crate::kafka::account::Stored;

/// Keys of the Secret that make the login.
const LOGIN: [&str; 2] = ["username", "password"];
/// The only mechanism of users that the operator makes.
const MECHANISM: &str = "SCRAM-SHA-512";

/// A login that somebody else puts into a Secret, with the keys that the pods read.
pub fn made_elsewhere(cluster: Option<&ClusterIntent>) -> Option<(ReferenceKey, Wanted)> {
    let UsersIntent::Existing { secret, .. } = &cluster?.users else { return None };
    let key = ReferenceKey { kind: ReferenceKind::Secret, name: secret.clone() };
    let required = LOGIN.iter().map(|&name| name.to_owned()).collect();
    Some((key, Wanted { required, must_exist: true, ..Wanted::default() }))
}

/// Name of the Secret with the login that the operator makes.
pub fn made_by_us(cluster: Option<&ClusterIntent>) -> Option<&str> {
    match &cluster?.users {
        UsersIntent::Managed { secret, .. } => Some(secret),
        UsersIntent::Existing { .. } | UsersIntent::None => None,
    }
}

/// Takes over what was found of a Secret that is made elsewhere.
pub fn found_elsewhere(key: &ReferenceKey, result: &mut Observation) {
    let missing = |key_name| MissingReference { reference: key.clone(), key: key_name };
    match result.observed.references.get(key) {
        Some(ReferenceState::Known { hash }) => {
            let login = KafkaLogin { hash: hash.clone(), ..KafkaLogin::default() };
            result.observed.kafka_login = Some(login);
        }
        Some(ReferenceState::MissingKeys(keys)) => {
            let keys: Vec<MissingReference> = keys.iter().map(|name| missing(Some(name.clone()))).collect();
            result.missing.extend(keys);
        }
        Some(ReferenceState::Missing) | None => result.missing.push(missing(None)),
    }
}

impl Observer<'_> {
    /// The login that the operator makes.
    pub(super) async fn login(
        &self,
        object: &Microservice,
        secret: &str,
        cluster: &ClusterIntent,
        result: &mut Observation,
    ) -> Result<(), Failure> {
        let namespace = object.namespace().unwrap_or_default();
        let key = ReferenceKey { kind: ReferenceKind::Secret, name: secret.to_owned() };
        let (live, trusted) = self.world.reference(key.kind, &Key::new(&namespace, secret));
        if live.as_ref().is_some_and(|live| is_foreign(object, live)) {
            result.missing.push(MissingReference { reference: key, key: None });
            // Planned all the same, so that it is told whose it is.
            result.observed.kafka_login = Some(KafkaLogin { kept: true, ..KafkaLogin::default() });
            result.stored = Stored::Foreign;
            return Ok(());
        }
        let offer = self.clusters.offer(&Key::new(&namespace, &object.name_any()));
        let old = Old {
            record: recorded(object, key.kind, secret),
            status: secret_status(object, secret).filter(|status| status.user.is_some()),
        };
        let wanted = Wanting::of(cluster, &offer, old.status);
        let unchanged = old.record.filter(|record| is_at(live.as_deref(), record));
        if let (Some(record), Some(status)) = (unchanged, old.status)
            && !wanted.differs(status)
        {
            result.keep_login(record.clone(), status.clone(), true);
            return Ok(());
        }
        let absent = trusted && live.is_none();
        let data = if absent { None } else { self.read(key.kind, &namespace, secret).await? };
        self.found(&key, data, &old, wanted, result).await
    }

    /// Decides what of a Secret that was read stays.
    async fn found(
        &self,
        key: &ReferenceKey,
        data: Option<Data>,
        old: &Old<'_>,
        wanted: Wanting,
        result: &mut Observation,
    ) -> Result<(), Failure> {
        let hash_key = self.keys.get().await?;
        let there = data.is_some();
        let mut data = data.unwrap_or_default();
        let found = mine(&data.data);
        let held = user_of(&found);
        // A hash of another key says nothing.
        let known = old.record.filter(|record| record.key_id == hash_key.id);
        let spoilt = known.zip(old.status).is_some_and(|(record, status)| {
            status.user == held && record.hash != hash_key.hash(&found) && !wanted.is_new_revision(status)
        });
        if wanted.login.is_none() && (held.is_none() || spoilt) {
            result.wait_for_login(key, old, there.then_some(data.resource_version));
            return Ok(());
        }
        // What the Secret holds now counts until the new one is stored.
        result.stored = held.clone().filter(|_| !spoilt).map_or(Stored::Nothing, Stored::User);
        let made = wanted.fill(&mut data.data);
        let now = mine(&data.data);
        let user = user_of(&now);
        let fresh = record(key, &data, hash_key, hash_key.hash(&now));
        let status = SecretStatus {
            name: key.name.clone(),
            rotated_at: old
                .status
                .filter(|old| old.user == user)
                .and_then(|old| old.rotated_at.clone())
                .or_else(|| Some(generate::whole_seconds(self.now))),
            user,
            revision: Some(wanted.revision),
            ..SecretStatus::default()
        };
        let seen = Seen { resource_version: data.resource_version.clone(), unsaved: made };
        result.made.insert(key.name.clone(), seen);
        result.login_saves = made.then(|| status.user.clone()).flatten();
        result.note_login(fresh, status, made.then_some(data.data), true);
        Ok(())
    }
}

/// What was recorded of the Secret.
struct Old<'a> {
    record: Option<&'a ReferenceStatus>,
    status: Option<&'a SecretStatus>,
}

/// What the Secret is to hold.
struct Wanting {
    /// A new login.
    login: Option<(String, String)>,
    /// Everything that is no secret; `None` = not known now.
    rest: Option<BTreeMap<String, String>>,
    /// Digest of that.
    revision: String,
    protocol: String,
}

impl Wanting {
    fn of(cluster: &ClusterIntent, offer: &Offer, old: Option<&SecretStatus>) -> Self {
        let needs_ca = cluster.security_protocol.ends_with("SSL");
        // A login that is not known there is of another cluster: both change together, or pods would be
        // sent where they cannot log in.
        let held = old.and_then(|old| old.user.as_ref());
        let fits = offer.credential.is_some() || held.is_none() || held == offer.user.as_ref();
        let known = fits && (offer.ca.is_some() || !needs_ca);
        let rest = known.then(|| rest(cluster, offer.ca.clone().flatten().as_deref()));
        let revision = match (&rest, old.and_then(|old| old.revision.clone())) {
            (None, Some(revision)) => revision,
            (rest, _) => digest(rest.as_ref()),
        };
        let login = offer.credential.clone().map(|new| (new.user, new.password));
        Self { login, rest, revision, protocol: cluster.security_protocol.to_owned() }
    }

    fn is_new_revision(&self, old: &SecretStatus) -> bool {
        old.revision.as_ref() != Some(&self.revision)
    }

    fn differs(&self, old: &SecretStatus) -> bool {
        self.login.as_ref().is_some_and(|(user, _)| old.user.as_ref() != Some(user))
            || self.is_new_revision(old)
    }

    /// Puts everything in its place. Returns whether anything was changed.
    fn fill(&self, data: &mut BTreeMap<String, ByteString>) -> bool {
        let mut all: BTreeMap<String, String> = self.rest.clone().unwrap_or_default();
        if let Some((user, password)) = &self.login {
            all.insert("username".to_owned(), user.clone());
            all.insert("password".to_owned(), password.clone());
        }
        let text = |key: &str| {
            let live = data.get(key).map(|value| String::from_utf8_lossy(&value.0).into_owned());
            all.get(key).cloned().or(live).unwrap_or_default()
        };
        let jaas = jaas(&text("username"), &text("password"));
        all.insert("sasl.jaas.config".to_owned(), jaas);
        let before = data.clone();
        if self.rest.as_ref().is_some_and(|rest| !rest.contains_key("ca.crt"))
            || !self.protocol.ends_with("SSL")
        {
            data.remove("ca.crt");
        }
        data.extend(all.into_iter().map(|(key, value)| (key, ByteString(value.into_bytes()))));
        *data != before
    }
}

fn rest(cluster: &ClusterIntent, ca: Option<&str>) -> BTreeMap<String, String> {
    let mut rest = BTreeMap::from([
        ("bootstrap.servers".to_owned(), cluster.bootstrap_servers.join(",")),
        ("security.protocol".to_owned(), cluster.security_protocol.to_owned()),
        ("sasl.mechanism".to_owned(), MECHANISM.to_owned()),
    ]);
    rest.extend(ca.map(|ca| ("ca.crt".to_owned(), ca.to_owned())));
    rest
}

fn digest(rest: Option<&BTreeMap<String, String>>) -> String {
    // The map is sorted by key: its compact form is canonical.
    names::digest(&serde_json::to_string(&rest).unwrap_or_default())
}

/// A line of Java's login configuration; user and password have nothing that would have to be quoted.
fn jaas(user: &str, password: &str) -> String {
    format!(
        "org.apache.kafka.common.security.scram.ScramLoginModule required username=\"{user}\" password=\"{password}\";"
    )
}

/// What the pods read: keys that somebody adds are no concern of theirs.
fn mine(data: &BTreeMap<String, ByteString>) -> BTreeMap<String, ByteString> {
    let keys: BTreeSet<&str> = [
        "bootstrap.servers",
        "security.protocol",
        "sasl.mechanism",
        "username",
        "password",
        "sasl.jaas.config",
        "ca.crt",
    ]
    .into();
    data.iter().filter(|(key, _)| keys.contains(key.as_str())).map(|(k, v)| (k.clone(), v.clone())).collect()
}

/// The user, if the login is complete.
fn user_of(data: &BTreeMap<String, ByteString>) -> Option<String> {
    let complete = LOGIN.iter().all(|key| data.get(*key).is_some_and(|value| !value.0.is_empty()));
    let user = data.get("username").filter(|_| complete)?;
    String::from_utf8(user.0.clone()).ok()
}

impl Observation {
    /// There is no login, and none to put there: the pods keep what they have until there is one. The
    /// version is that of a Secret that is there and holds none.
    fn wait_for_login(&mut self, key: &ReferenceKey, old: &Old<'_>, version: Option<String>) {
        let there = version.is_some();
        if let (Some(record), Some(status)) = (old.record, old.status) {
            self.keep_login(record.clone(), status.clone(), there);
        } else {
            self.missing.push(MissingReference { reference: key.clone(), key: None });
            let kept = KafkaLogin { kept: true, ..KafkaLogin::default() };
            self.observed.kafka_login = there.then_some(kept);
        }
        if let Some(resource_version) = version {
            self.made.insert(key.name.clone(), Seen { resource_version, unsaved: false });
        }
        self.stored = Stored::Nothing;
    }

    /// The Secret is as it was recorded, or nothing better is known.
    fn keep_login(&mut self, record: ReferenceStatus, status: SecretStatus, kept: bool) {
        self.stored = status.user.clone().map_or(Stored::Nothing, Stored::User);
        let seen = Seen { resource_version: record.resource_version.clone(), unsaved: false };
        self.made.insert(record.name.clone(), seen);
        self.note_login(record, status, None, kept);
    }

    fn note_login(
        &mut self,
        record: ReferenceStatus,
        status: SecretStatus,
        data: Option<BTreeMap<String, ByteString>>,
        kept: bool,
    ) {
        let (user, hash) = (status.user.clone(), record.hash.clone());
        self.observed.kafka_login = Some(KafkaLogin { user, hash, data, kept });
        self.references.push(record);
        self.secrets.push(status);
    }
}

#[cfg(test)]
mod tests;
