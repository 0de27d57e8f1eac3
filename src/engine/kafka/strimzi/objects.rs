//! Strimzi's objects of one cluster, as they were last heard of, and the requests that change them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use k8s_openapi::api::core::v1::Secret;
use kube::api::{ApiResource, DeleteParams, DynamicObject, Patch, PatchParams, Preconditions};
use kube::{Api, Client};
use serde_json::Value;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::{Heard, Installation, Site};
use crate::api::FIELD_MANAGER;
use crate::engine::kafka::BrokerError;
use crate::engine::request::{Failure, bounded};
use crate::kafka::strimzi::{GROUP, Head, Mark, Said, TOPICS, TopicObject, USERS, UserObject};

/// A kind of Strimzi's.
pub(super) trait Object: Clone + PartialEq + Send + 'static {
    /// Kind and resource.
    const KIND: (&'static str, &'static str);
    /// Reads an object; the text is the namespace of this installation.
    fn read(whole: &Value, operator: &str) -> Self;
    /// Its metadata.
    fn head(&self) -> &Head;
    /// What Strimzi says of it.
    fn said(&self) -> &Said;
    /// What a change of it concerns.
    fn heard(&self) -> Heard;
    /// The same object at another version.
    fn at(self, version: &str) -> Self;
    /// Where those of this kind are.
    fn of(cache: &mut Cache) -> &mut Kind<Self>;
}

impl Object for TopicObject {
    const KIND: (&'static str, &'static str) = TOPICS;

    fn read(whole: &Value, operator: &str) -> Self {
        Self::read(whole, operator)
    }

    fn head(&self) -> &Head {
        &self.head
    }

    fn said(&self) -> &Said {
        &self.said
    }

    fn heard(&self) -> Heard {
        Heard::Topic(self.topic.clone())
    }

    fn at(mut self, version: &str) -> Self {
        version.clone_into(&mut self.head.resource_version);
        self
    }

    fn of(cache: &mut Cache) -> &mut Kind<Self> {
        &mut cache.topics
    }
}

impl Object for UserObject {
    const KIND: (&'static str, &'static str) = USERS;

    fn read(whole: &Value, operator: &str) -> Self {
        Self::read(whole, operator)
    }

    fn head(&self) -> &Head {
        &self.head
    }

    fn said(&self) -> &Said {
        &self.said
    }

    fn heard(&self) -> Heard {
        Heard::User(self.head.name.clone())
    }

    fn at(mut self, version: &str) -> Self {
        version.clone_into(&mut self.head.resource_version);
        self
    }

    fn of(cache: &mut Cache) -> &mut Kind<Self> {
        &mut cache.users
    }
}

/// What is known.
#[derive(Default)]
pub(super) struct Cache {
    /// The version that is served; `None` = none, or nobody has asked yet.
    served: Option<&'static str>,
    /// Whether the API server has said which.
    asked: bool,
    topics: Kind<TopicObject>,
    users: Kind<UserObject>,
    heard: BTreeSet<Heard>,
}

/// The objects of one kind.
pub(super) struct Kind<O> {
    all: BTreeMap<String, Known<O>>,
    /// Names in a list that is under way.
    listing: Option<BTreeSet<String>>,
    listed: bool,
    /// Why it cannot be listed.
    failure: Option<Failure>,
}

#[derive(Clone)]
struct Known<O> {
    object: O,
    /// Since when Strimzi has had this generation to look at.
    since: Instant,
}

impl<O> Default for Kind<O> {
    fn default() -> Self {
        Self { all: BTreeMap::new(), listing: None, listed: false, failure: None }
    }
}

/// The objects of one cluster.
pub(super) struct Objects {
    client: Client,
    operator: String,
    patience: Duration,
    site: Site,
    cache: Mutex<Cache>,
    wake: Arc<Notify>,
}

impl Objects {
    pub(super) fn new(installation: &Installation, site: Site, wake: Arc<Notify>) -> Self {
        Self {
            client: installation.client.clone(),
            operator: installation.operator.clone(),
            patience: installation.patience,
            site,
            cache: Mutex::default(),
            wake,
        }
    }

    pub(super) fn site(&self) -> &Site {
        &self.site
    }

    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    pub(super) fn patience(&self) -> Duration {
        self.patience
    }

    fn cache(&self) -> MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn take_heard(&self) -> BTreeSet<Heard> {
        std::mem::take(&mut self.cache().heard)
    }

    fn hear(&self, cache: &mut Cache, heard: Heard) {
        cache.heard.insert(heard);
        self.wake.notify_one();
    }

    /// The version to write, once all objects are known.
    ///
    /// # Errors
    /// It is not served, may not be listed, or is not known yet.
    pub(super) fn version(&self) -> Result<&'static str, BrokerError> {
        let cache = self.cache();
        let failures = [(TOPICS.1, &cache.topics.failure), (USERS.1, &cache.users.failure)];
        if let Some((plural, failure)) =
            failures.into_iter().find_map(|(kind, failure)| Some((kind, failure.as_ref()?)))
        {
            return Err(self.refusal(&format!("{plural} cannot be listed"), failure));
        }
        match cache.served {
            None if cache.asked => {
                Err(BrokerError::NotServed(format!("the cluster does not serve {GROUP}, the API of Strimzi")))
            }
            Some(version) if cache.topics.listed && cache.users.listed => Ok(version),
            _ => Err(BrokerError::Unknown("the objects of Strimzi are being listed".to_owned())),
        }
    }

    /// What a failure of the API server means.
    fn refusal(&self, what: &str, failure: &Failure) -> BrokerError {
        let namespace = &self.site.namespace;
        let text = format!("{what} in namespace {namespace}: {failure}");
        match failure {
            Failure::Forbidden(_) => BrokerError::Forbidden(text),
            Failure::NotServed(_) => BrokerError::NotServed(text),
            Failure::Invalid(_) => BrokerError::Refused(text),
            Failure::Missing(_) => BrokerError::Other(text),
            Failure::Conflict(_) | Failure::Fenced | Failure::Transient(_) => BrokerError::Unknown(text),
        }
    }

    /// The server has said which version it serves. Whether that is news.
    pub(super) fn set_served(&self, served: Option<&'static str>) {
        let mut cache = self.cache();
        if cache.asked && cache.served == served {
            return;
        }
        let heard = std::mem::take(&mut cache.heard);
        *cache = Cache { served, asked: true, heard, ..Cache::default() };
        // With an API, the lists are waited for.
        if served.is_none() {
            self.hear(&mut cache, Heard::Api);
        }
        tracing::info!(
            namespace = self.site.namespace,
            served,
            "which version of Strimzi's API the cluster serves"
        );
    }

    /// Why a kind cannot be followed now; `None` = it can.
    pub(super) fn set_failure<O: Object>(&self, failure: Option<Failure>) {
        let mut cache = self.cache();
        let kind = O::of(&mut cache);
        if kind.failure.as_ref().map(Failure::reason) != failure.as_ref().map(Failure::reason) {
            kind.failure = failure;
            self.hear(&mut cache, Heard::Api);
        }
    }

    pub(super) fn begin<O: Object>(&self) {
        O::of(&mut self.cache()).listing = Some(BTreeSet::new());
    }

    /// A list is complete: what was not in it is gone.
    pub(super) fn finish<O: Object>(&self) {
        let mut cache = self.cache();
        let kind = O::of(&mut cache);
        let names = kind.listing.take().unwrap_or_default();
        let barred = kind.failure.take().is_some();
        let first = !std::mem::replace(&mut kind.listed, true) || barred;
        let gone: Vec<O> = kind
            .all
            .values()
            .map(|known| &known.object)
            .filter(|o| !names.contains(&o.head().name))
            .cloned()
            .collect();
        kind.all.retain(|name, _| names.contains(name));
        for heard in gone.iter().map(Object::heard) {
            self.hear(&mut cache, heard);
        }
        if first && cache.topics.listed && cache.users.listed {
            self.hear(&mut cache, Heard::Api);
        }
    }

    /// An object was seen, by the watch or as the answer to a request.
    pub(super) fn saw<O: Object>(&self, whole: &DynamicObject, listed: bool) {
        let Ok(value) = serde_json::to_value(whole) else { return };
        let object = O::read(&value, &self.operator);
        let mut cache = self.cache();
        let kind = O::of(&mut cache);
        let name = object.head().name.clone();
        if let Some(names) = kind.listing.as_mut().filter(|_| listed) {
            names.insert(name.clone());
        }
        let before = kind.all.get(&name);
        let version = |object: &O| object.head().resource_version.parse::<u64>().ok();
        if before.is_some_and(|before| {
            before.object.head().uid == object.head().uid && version(&before.object) > version(&object)
        }) {
            return;
        }
        let same_work = |before: &&Known<O>| {
            let (old, new) = (before.object.head(), object.head());
            old.uid == new.uid
                && old.generation == new.generation
                && before.object.said().observed != old.generation
        };
        let since = before.filter(same_work).map_or_else(Instant::now, |before| before.since);
        let news = before.is_none_or(|before| !is_same(&before.object, &object));
        let heard = news.then(|| object.heard());
        kind.all.insert(name, Known { object, since });
        if let Some(heard) = heard {
            self.hear(&mut cache, heard);
        }
    }

    /// An object is gone.
    pub(super) fn lost<O: Object>(&self, name: &str) {
        let mut cache = self.cache();
        if let Some(heard) = O::of(&mut cache).all.remove(name).map(|known| known.object.heard()) {
            self.hear(&mut cache, heard);
        }
    }

    /// The object of this name, and how long Strimzi has had it.
    pub(super) fn find<O: Object>(&self, name: &str) -> Option<(O, Duration)> {
        let mut cache = self.cache();
        O::of(&mut cache).all.get(name).map(|known| (known.object.clone(), known.since.elapsed()))
    }

    /// All topics.
    pub(super) fn topics(&self) -> impl Iterator<Item = TopicObject> + use<> {
        let all: Vec<TopicObject> =
            self.cache().topics.all.values().map(|known| known.object.clone()).collect();
        all.into_iter()
    }

    /// All users.
    pub(super) fn users(&self) -> impl Iterator<Item = UserObject> + use<> {
        let all: Vec<UserObject> =
            self.cache().users.all.values().map(|known| known.object.clone()).collect();
        all.into_iter()
    }

    pub(super) fn api<O: Object>(&self, version: &str) -> Api<DynamicObject> {
        let (kind, plural) = O::KIND;
        let resource = ApiResource {
            group: GROUP.to_owned(),
            version: version.to_owned(),
            api_version: format!("{GROUP}/{version}"),
            kind: kind.to_owned(),
            plural: plural.to_owned(),
        };
        Api::namespaced_with(self.client.clone(), &self.site.namespace, &resource)
    }

    /// Applies an object, which the closure makes of the marks of this installation. One that is there and
    /// not ours stays as it is.
    ///
    /// # Errors
    /// What the server refused.
    pub(super) async fn apply<O: Object>(
        &self,
        name: &str,
        body: impl FnOnce(&Mark<'_>) -> Value,
    ) -> Result<(), BrokerError> {
        let version = self.version()?;
        let api_version = format!("{GROUP}/{version}");
        let Site { namespace, cluster, .. } = &self.site;
        let mark = Mark { namespace, cluster, operator: &self.operator, api_version: &api_version };
        let params = PatchParams::apply(FIELD_MANAGER).force().validation_strict();
        let (api, patch) = (self.api::<O>(version), Patch::Apply(body(&mark)));
        match bounded(api.patch(name, &params, &patch)).await {
            Ok(stored) => {
                self.saw::<O>(&stored, false);
                Ok(())
            }
            // Another one is there, or it has just gone: what is there now counts.
            Err(Failure::Conflict(text)) => self.look_again::<O>(&api, name, text).await,
            Err(failure) => Err(self.refusal(&format!("{} {name} cannot be written", O::KIND.0), &failure)),
        }
    }

    /// Whether an object of this name may be made.
    ///
    /// # Errors
    /// Somebody else has one, which may not be among those that are watched.
    pub(super) async fn is_free<O: Object>(&self, name: &str) -> Result<(), BrokerError> {
        match self.look_again::<O>(&self.api::<O>(self.version()?), name, String::new()).await {
            Err(BrokerError::Unknown(_)) => Ok(()),
            result => result,
        }
    }

    async fn look_again<O: Object>(
        &self,
        api: &Api<DynamicObject>,
        name: &str,
        text: String,
    ) -> Result<(), BrokerError> {
        let kind = O::KIND.0;
        match bounded(api.get_opt(name)).await {
            Ok(Some(there)) => {
                let value = serde_json::to_value(&there).unwrap_or_default();
                let object = O::read(&value, &self.operator);
                if !object.head().ours || object.head().cluster.as_ref() != Some(&self.site.cluster) {
                    return Err(self.taken(kind, name));
                }
                self.saw::<O>(&there, false);
                Err(BrokerError::Unknown(text))
            }
            Ok(None) => {
                self.lost::<O>(name);
                Err(BrokerError::Unknown(text))
            }
            Err(failure) => Err(self.refusal(&format!("{kind} {name} cannot be read"), &failure)),
        }
    }

    /// Somebody else has an object that is needed.
    pub(super) fn taken(&self, kind: &str, name: &str) -> BrokerError {
        BrokerError::Taken(format!("{kind} {}/{name} exists and is not the operator's", self.site.namespace))
    }

    /// Deletes exactly this object; with `unchanged` only at the version that is known.
    ///
    /// # Errors
    /// What the server refused; that it is gone is no error.
    pub(super) async fn delete<O: Object>(&self, head: &Head, unchanged: bool) -> Result<(), BrokerError> {
        let resource_version = unchanged.then(|| head.resource_version.clone());
        let preconditions = Preconditions { uid: Some(head.uid.clone()), resource_version };
        let params = DeleteParams::background().preconditions(preconditions);
        match bounded(self.api::<O>(self.version()?).delete(&head.name, &params)).await {
            Ok(_) | Err(Failure::Missing(_)) => Ok(()),
            Err(failure) => {
                Err(self.refusal(&format!("{} {} cannot be deleted", O::KIND.0, head.name), &failure))
            }
        }
    }

    /// The value of a key in a Secret of Strimzi's namespace.
    ///
    /// # Errors
    /// It cannot be read.
    pub(super) async fn secret(&self, name: &str, key: &str) -> Result<Option<String>, BrokerError> {
        self.secret_in(&self.site.namespace, name, key).await
    }

    /// The same in this namespace.
    ///
    /// # Errors
    /// It cannot be read.
    pub(super) async fn secret_in(
        &self,
        namespace: &str,
        name: &str,
        key: &str,
    ) -> Result<Option<String>, BrokerError> {
        let api: Api<Secret> = Api::namespaced(self.client.clone(), namespace);
        let secret = bounded(api.get_opt(name)).await;
        let secret =
            secret.map_err(|failure| self.refusal(&format!("Secret {name} cannot be read"), &failure))?;
        let value = secret.and_then(|secret| secret.data?.remove(key));
        Ok(value.and_then(|value| String::from_utf8(value.0).ok()).filter(|text| !text.is_empty()))
    }

    /// Which version of a Secret of Strimzi's namespace is there.
    ///
    /// # Errors
    /// It cannot be read.
    pub(super) async fn secret_version(&self, name: &str) -> Result<Option<String>, BrokerError> {
        let api: Api<Secret> = Api::namespaced(self.client.clone(), &self.site.namespace);
        match bounded(api.get_metadata_opt(name)).await {
            Ok(secret) => Ok(secret.and_then(|secret| secret.metadata.resource_version)),
            Err(failure) => Err(self.refusal(&format!("Secret {name} cannot be read"), &failure)),
        }
    }
}

/// Whether nothing has changed but the version.
fn is_same<O: Object>(a: &O, b: &O) -> bool {
    *a == b.clone().at(&a.head().resource_version)
}
