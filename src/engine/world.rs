//! Everything the engine knows of the cluster without asking: the caches that the watches fill.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use smol_str::SmolStr;
use tokio::time::Instant;

use super::index::Index;
use super::live::{Key, Live, Unjudged};
use super::request::Failure;
use super::under_way::UnderWay;
use crate::api::network::PolicyMode;
use crate::api::status::ChildStatus;
use crate::api::{LABEL_CLASS, LABEL_NETWORK_POLICY, Microservice, MicroserviceClass};
use crate::intent::ReferenceKind;
use crate::intent::calls::{self, Address};
use crate::intent::neighbours::{self, Concerned, Neighbours, Outline, Standing};
use crate::intent::network::Granted;
use crate::plan::{self, Kind};
use crate::status::views::{DeploymentView, PodView};

/// A pod that is not ready, with the service it belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServicePod {
    /// Value of the label `microservice.dev/name`.
    pub service: SmolStr,
    /// The pod.
    pub view: PodView,
}

/// What the labels of a namespace say to us.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NamespaceLabels {
    /// Name of the class.
    pub class: Option<String>,
    /// Mode of network policies; a value that is none counts for nothing.
    pub network: Option<PolicyMode>,
}

impl NamespaceLabels {
    /// Of these labels.
    pub fn of(labels: Option<&BTreeMap<String, String>>) -> Self {
        let get = |name: &str| labels.and_then(|labels| labels.get(name));
        let network = get(LABEL_NETWORK_POLICY).and_then(|mode| PolicyMode::parse(mode));
        Self { class: get(LABEL_CLASS).cloned(), network }
    }
}

/// What decides on the class of a service, and has to be listed before anything is planned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Basis {
    /// The classes.
    Classes,
    /// The labels of the namespaces.
    Namespaces,
}

/// Until a namespace is asked for again of which nothing was heard yet.
const SOON: Duration = Duration::from_millis(250);
/// How long a refused list is not told: a server that has just started refuses everybody for a moment.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why it is not known which class applies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClassUnknown {
    /// What is missing may be on its way: ask again after this time.
    Yet(Duration),
    /// Classes or namespaces may not be listed.
    Refused(Basis, Failure),
}

/// The caches.
#[derive(Debug)]
pub struct World {
    children: Vec<(Kind, Index<Live>)>,
    /// Counts and conditions of the Deployments.
    pub deployments: Index<DeploymentView>,
    /// Pods that are not ready.
    pub pods: Index<ServicePod>,
    /// Our labels of each namespace.
    pub namespaces: Index<NamespaceLabels>,
    /// The classes.
    pub classes: Index<MicroserviceClass>,
    /// Writes of children that wait for an answer.
    pub under_way: UnderWay,
    relations: Mutex<Relations>,
    /// Since when the first list of them is refused, and how.
    refused: Mutex<BTreeMap<Basis, (Instant, Failure)>>,
    /// Optional APIs that the cluster serves, as `group/version`.
    served: Mutex<BTreeSet<String>>,
    /// Who calls whom.
    neighbours: Mutex<Neighbours>,
}

/// Who belongs to whom.
#[derive(Debug, Default)]
struct Relations {
    /// Children that name a Microservice as owner or by label: that one, place of the kind, and name.
    claims: BTreeSet<(Key, usize, SmolStr)>,
    /// Secrets and ConfigMaps, and a Microservice that reads them.
    readers: BTreeSet<(ReferenceKind, Key, Key)>,
    /// What each Microservice reads, to take it back.
    reads: BTreeMap<Key, Box<[(ReferenceKind, Key)]>>,
}

impl Relations {
    /// The children that name a Microservice: place of the kind, and name.
    fn claimed(&self, owner: &Key) -> BTreeSet<(usize, SmolStr)> {
        let first = (owner.clone(), 0, SmolStr::default());
        let claims = self.claims.range(first..).take_while(|(claimed, ..)| claimed == owner);
        claims.map(|(_, place, name)| (*place, name.clone())).collect()
    }
}

/// The kind of children that is also what references point to.
pub fn reference_kind(kind: &Kind) -> Option<ReferenceKind> {
    match (kind.group, kind.kind) {
        ("", "Secret") => Some(ReferenceKind::Secret),
        ("", "ConfigMap") => Some(ReferenceKind::ConfigMap),
        _ => None,
    }
}

/// Keeps what an object says to its neighbours under its class; the outline is made anew only for another spec or
/// another word of the class.
fn put(neighbours: &mut Neighbours, object: &Microservice, class: Option<&MicroserviceClass>) -> Concerned {
    let version = object.metadata.resource_version.as_deref().unwrap_or_default();
    let version = version.parse().unwrap_or_default();
    let known = neighbours.outline_of(object, class);
    let outline = known.unwrap_or_else(|| Arc::new(Outline::of(object, class)));
    neighbours.put(outline, Standing::of(object.status.as_ref()), version)
}

impl World {
    /// Empty caches for every kind of the plan, of these namespaces; none given = of all.
    pub fn within(namespaces: &[String]) -> Self {
        Self { neighbours: Mutex::new(Neighbours::within(namespaces)), ..Self::new() }
    }

    /// Empty caches for every kind of the plan.
    pub fn new() -> Self {
        Self {
            children: plan::kinds().into_iter().map(|kind| (kind, Index::default())).collect(),
            deployments: Index::default(),
            pods: Index::default(),
            namespaces: Index::default(),
            classes: Index::default(),
            under_way: UnderWay::default(),
            relations: Mutex::default(),
            refused: Mutex::default(),
            served: Mutex::default(),
            neighbours: Mutex::default(),
        }
    }

    fn relations(&self) -> MutexGuard<'_, Relations> {
        self.relations.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn neighbours(&self) -> MutexGuard<'_, Neighbours> {
        self.neighbours.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A watch saw a Microservice. Returns whose calls that concerns.
    pub fn observe_service(&self, object: &Microservice) -> Concerned {
        if object.metadata.deletion_timestamp.is_some() {
            return self.forget_service(&Key::of(&object.metadata));
        }
        let class = self.class_for(object);
        put(&mut self.neighbours(), object, class.as_deref())
    }

    /// The class of a Microservice, this one, may say something else of it now. Returns whose calls that concerns.
    pub fn renew_service(&self, object: &Microservice, class: Option<&MicroserviceClass>) -> Concerned {
        let mut neighbours = self.neighbours();
        let known = neighbours.outline(&(&Key::of(&object.metadata)).into()).is_some();
        if known { put(&mut neighbours, object, class) } else { Concerned::default() }
    }

    /// A Microservice is gone. Returns whose calls that concerns.
    pub fn forget_service(&self, key: &Key) -> Concerned {
        self.neighbours().remove(&key.into())
    }

    /// Whether there is a Microservice of this key that is not being deleted.
    pub fn is_service(&self, key: &Key) -> bool {
        self.neighbours().outline(&key.into()).is_some()
    }

    /// All Microservices that are known and not being deleted.
    pub fn services(&self) -> Vec<calls::Key> {
        self.neighbours().keys().cloned().collect()
    }

    /// Where those are that a Microservice calls.
    pub fn addresses(&self, object: &Microservice) -> BTreeMap<calls::Key, Address> {
        let last = object.status.as_ref().map(Address::recorded).unwrap_or_default();
        self.neighbours().addresses(&(&Key::of(&object.metadata)).into(), &last)
    }

    /// What the neighbours of a Microservice see of it, if that was made from this version under this class.
    pub fn outline(&self, object: &Microservice, class: Option<&MicroserviceClass>) -> Option<Arc<Outline>> {
        self.neighbours().outline_of(object, class)
    }

    /// The granted calls to and from a Microservice.
    pub fn granted(&self, key: &Key) -> Granted {
        self.neighbours().granted(&key.into())
    }

    /// How the calls of a Microservice stand.
    pub fn view(&self, key: &Key) -> neighbours::View {
        self.neighbours().view(&key.into())
    }

    /// The cache of one kind; `None` only for a kind outside the plan's table.
    pub fn children(&self, kind: &Kind) -> Option<&Index<Live>> {
        self.children.iter().find(|(known, _)| known == kind).map(|(_, index)| index)
    }

    /// Whether the cluster serves this optional API.
    pub fn serves(&self, api_version: &str) -> bool {
        self.served.lock().unwrap_or_else(PoisonError::into_inner).contains(api_version)
    }

    /// Keeps whether the cluster serves this optional API. Returns whether that is news.
    pub fn set_served(&self, api_version: &str, served: bool) -> bool {
        let mut known = self.served.lock().unwrap_or_else(PoisonError::into_inner);
        if served { known.insert(api_version.to_owned()) } else { known.remove(api_version) }
    }

    /// Whether there can be children of this kind.
    pub fn has_kind(&self, kind: &Kind) -> bool {
        !kind.optional || self.serves(&kind.api_version())
    }

    /// The kind is not served any more: nothing is known of it.
    pub fn forget_kind(&self, kind: &Kind) {
        for (key, gone) in self.children(kind).map(Index::clear).unwrap_or_default() {
            self.unclaim(kind, &key, &gone);
        }
    }

    /// The live child of this kind and key.
    pub fn child(&self, kind: &Kind, key: &Key) -> Option<Arc<Live>> {
        self.children(kind)?.get(key)
    }

    /// The live Secret or ConfigMap, and whether the cache can be trusted to know.
    pub fn reference(&self, wanted: ReferenceKind, key: &Key) -> (Option<Arc<Live>>, bool) {
        self.children
            .iter()
            .find(|(kind, _)| reference_kind(kind) == Some(wanted))
            .map_or((None, false), |(_, index)| (index.get(key), index.synced(&key.namespace)))
    }

    /// A watch saw a child. Returns whether that is news.
    pub fn observe_child(&self, kind: &Kind, scope: &str, key: Key, seen: Unjudged) -> bool {
        let Some(index) = self.children(kind) else { return false };
        if index.confirm(scope, &key, &seen.head().resource_version) {
            return false;
        }
        let live = seen.judge();
        self.claim(kind, &key, &live);
        let resource_version = live.resource_version.clone();
        index.observe(scope, key, &resource_version, live)
    }

    /// The child in an answer, as a watch has told of it if it was first.
    pub fn judged(&self, kind: &Kind, key: &Key, seen: Unjudged) -> Live {
        match self.child(kind, key) {
            Some(known) if known.resource_version == seen.head().resource_version => (*known).clone(),
            _ => seen.judge(),
        }
    }

    /// Our own write returned this child.
    pub fn wrote_child(&self, kind: &Kind, key: Key, live: Live) {
        self.claim(kind, &key, &live);
        if let Some(index) = self.children(kind) {
            let resource_version = live.resource_version.clone();
            index.wrote(key, &resource_version, live);
        }
    }

    /// A child is gone. Returns what it was.
    pub fn forget_child(&self, kind: &Kind, key: &Key) -> Option<Arc<Live>> {
        if kind.kind == "Deployment" {
            self.deployments.remove(key);
        }
        let gone = self.children(kind)?.remove(key)?;
        self.unclaim(kind, key, &gone);
        Some(gone)
    }

    fn claim(&self, kind: &Kind, key: &Key, live: &Live) {
        let place = self.children.iter().position(|(known, _)| known == kind);
        if let (Some(name), Some(place)) = (live.claimed_by(), place) {
            let owner = Key::new(&key.namespace, name);
            self.relations().claims.insert((owner, place, key.name.clone()));
        }
    }

    /// Forgets that the child names its Microservice.
    pub fn unclaim(&self, kind: &Kind, key: &Key, gone: &Live) {
        let place = self.children.iter().position(|(known, _)| known == kind);
        let (Some(name), Some(place)) = (gone.claimed_by(), place) else { return };
        let owner = Key::new(&key.namespace, name);
        self.relations().claims.remove(&(owner, place, key.name.clone()));
    }

    /// The kind of a recorded child; `None` when this release does not know it.
    pub fn kind_of(&self, child: &ChildStatus) -> Option<Kind> {
        let same = |kind: &&Kind| kind.kind == child.kind && kind.api_version() == child.api_version;
        self.children.iter().map(|(kind, _)| kind).find(same).copied()
    }

    /// Every live child that this Microservice may own: those that name it, and those it recorded.
    pub fn candidates(&self, owner: &Key, recorded: &[ChildStatus]) -> Vec<(Kind, Key, Arc<Live>)> {
        let mut wanted = self.relations().claimed(owner);
        for child in recorded {
            let same = |kind: &Kind| kind.kind == child.kind && kind.api_version() == child.api_version;
            let place = self.children.iter().position(|(kind, _)| same(kind));
            wanted.extend(place.map(|place| (place, child.name.clone())));
        }
        let found = wanted.into_iter().filter_map(|(place, name)| {
            let (kind, index) = self.children.get(place)?;
            let key = Key::new(&owner.namespace, &name);
            index.get(&key).map(|live| (*kind, key, live))
        });
        found.collect()
    }

    /// Records which Secrets and ConfigMaps a Microservice reads.
    pub fn set_reads(&self, owner: &Key, reads: BTreeSet<(ReferenceKind, Key)>) {
        let mut relations = self.relations();
        if relations.reads.get(owner).map_or(&[][..], |before| before).iter().eq(&reads) {
            return;
        }
        for (kind, read) in relations.reads.remove(owner).unwrap_or_default() {
            relations.readers.remove(&(kind, read, owner.clone()));
        }
        let readers = reads.iter().map(|(kind, read)| (*kind, read.clone(), owner.clone()));
        relations.readers.extend(readers);
        if !reads.is_empty() {
            relations.reads.insert(owner.clone(), reads.into_iter().collect());
        }
    }

    /// The Microservices that read this Secret or ConfigMap.
    pub fn readers(&self, kind: ReferenceKind, key: &Key) -> Vec<Key> {
        let relations = self.relations();
        let first = (kind, key.clone(), Key::new("", ""));
        let readers = relations.readers.range(first..).take_while(|(of, read, _)| (*of, read) == (kind, key));
        readers.map(|(_, _, reader)| reader.clone()).collect()
    }

    /// The pods of a service that are not ready, oldest first, at most 64.
    pub fn pods_of(&self, owner: &Key) -> Vec<PodView> {
        let mut pods: Vec<PodView> = self
            .pods
            .select(|key, pod| key.namespace == owner.namespace && pod.service == owner.name)
            .into_iter()
            .map(|(_, pod)| pod.view.clone())
            .collect();
        pods.sort_by(|a, b| (a.created, &a.name).cmp(&(b.created, &b.name)));
        pods.truncate(64);
        pods
    }

    fn refused(&self) -> MutexGuard<'_, BTreeMap<Basis, (Instant, Failure)>> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The first list of them is refused.
    pub fn refuse(&self, basis: Basis, failure: Failure) {
        let mut refused = self.refused();
        let since = refused.get(&basis).map_or_else(Instant::now, |(since, _)| *since);
        refused.insert(basis, (since, failure));
    }

    /// They are listed. Returns whether that was refused before.
    pub fn admit(&self, basis: Basis) -> bool {
        self.refused().remove(&basis).is_some()
    }

    /// Whether it is known which class applies in this namespace, or that none does. Who goes on without that
    /// takes what was not read for what is not there, and plans with the built-in defaults.
    ///
    /// # Errors
    /// It is not known.
    pub fn knows_class(&self, namespace: &str) -> Result<(), ClassUnknown> {
        let listed =
            [(Basis::Classes, self.classes.synced("")), (Basis::Namespaces, self.namespaces.synced(""))];
        if let Some((basis, _)) = listed.into_iter().find(|(_, synced)| !synced) {
            return Err(self.unlisted(basis));
        }
        self.namespaces.get(&Key::new("", namespace)).map(drop).ok_or(ClassUnknown::Yet(SOON))
    }

    fn unlisted(&self, basis: Basis) -> ClassUnknown {
        let refused = self.refused();
        let Some((since, failure)) = refused.get(&basis) else { return ClassUnknown::Yet(SOON) };
        match PATIENCE.saturating_sub(since.elapsed()) {
            Duration::ZERO => ClassUnknown::Refused(basis, failure.clone()),
            left => ClassUnknown::Yet(left),
        }
    }

    /// Whether a namespace of this name is not there, as far as that is known.
    pub fn lacks_namespace(&self, name: &str) -> bool {
        self.namespaces.synced("") && self.namespaces.get(&Key::new("", name)).is_none()
    }

    /// The class that the namespace's label names.
    pub fn class_of_namespace(&self, namespace: &str) -> Option<String> {
        self.namespaces.get(&Key::new("", namespace)).and_then(|labels| labels.class.clone())
    }

    /// The mode of network policies that the namespace's label asks for.
    pub fn network_mode(&self, namespace: &str) -> Option<PolicyMode> {
        self.namespaces.get(&Key::new("", namespace)).and_then(|labels| labels.network)
    }

    /// The class that applies: named by the object, else by its namespace, else the default one.
    pub fn class_for(&self, object: &Microservice) -> Option<Arc<MicroserviceClass>> {
        let namespace = object.metadata.namespace.as_deref().unwrap_or_default();
        self.class_named(namespace, object.spec.class_name.as_deref())
    }

    /// The same for an object of this namespace that names this class.
    pub fn class_named(&self, namespace: &str, name: Option<&str>) -> Option<Arc<MicroserviceClass>> {
        match name.map(str::to_owned).or_else(|| self.class_of_namespace(namespace)) {
            Some(name) => self.classes.get(&Key::new("", &name)),
            None => self.default_class(),
        }
    }

    /// The default class: of all that are marked, the oldest, then the first by name.
    pub fn default_class(&self) -> Option<Arc<MicroserviceClass>> {
        let marked = self.classes.select(|_, class| class.is_marked_default());
        marked.into_iter().map(|(_, class)| class).min_by_key(|class| {
            (class.metadata.creation_timestamp.clone().map(|t| t.0), class.metadata.name.clone())
        })
    }
}

impl Default for World {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use serde_json::value::RawValue;

    use super::*;
    use crate::engine::managed_fields::Verdict;
    use crate::engine::metadata::{Labels, Metadata};
    use crate::kafka::consent::Consent;

    fn secret_kind() -> Kind {
        plan::kinds().into_iter().find(|kind| kind.kind == "Secret").unwrap()
    }

    fn seen(service: Option<&str>, version: &str) -> Unjudged {
        let fields = RawValue::from_string(FIELDS.to_owned()).unwrap();
        let labels = Labels { service: service.map(SmolStr::from), ..Labels::default() };
        let resource_version = version.into();
        let managed_fields = Some(&*fields);
        Unjudged::of(Metadata { labels, resource_version, managed_fields, ..Metadata::default() })
    }

    const FIELDS: &str =
        r#"[{"manager":"microservice-operator","operation":"Apply","fieldsV1":{"f:data":{}}}]"#;

    #[test]
    fn what_a_version_says_is_found_out_once() {
        let world = World::new();
        let (kind, key) = (secret_kind(), Key::new("ns", "claimed"));
        // As if it had been judged: a second look at the fields would say something else.
        let first =
            Live { verdict: Verdict { tampered: true, ..Verdict::default() }, ..seen(None, "7").judge() };
        world.wrote_child(&kind, key.clone(), first.clone());
        assert!(!world.observe_child(&kind, "", key.clone(), seen(None, "7")), "its echo is no news");
        assert_eq!(world.judged(&kind, &key, seen(None, "7")), first);
        let next = world.judged(&kind, &key, seen(None, "8"));
        assert!(next.verdict.digest.is_some() && !next.verdict.tampered, "another version");
        assert!(world.observe_child(&kind, "", key.clone(), seen(None, "8")));
        assert_eq!(*world.child(&kind, &key).unwrap(), next);
    }

    #[test]
    fn candidates_are_found_by_claim_and_by_record() {
        let world = World::new();
        let (kind, owner) = (secret_kind(), Key::new("ns", "svc"));
        world.observe_child(&kind, "", Key::new("ns", "claimed"), seen(Some("svc"), "1"));
        world.observe_child(&kind, "", Key::new("ns", "recorded"), seen(None, "1"));
        world.observe_child(&kind, "", Key::new("other", "claimed"), seen(Some("svc"), "1"));
        let recorded = [ChildStatus {
            api_version: "v1".into(),
            kind: "Secret".into(),
            name: "recorded".into(),
            ..ChildStatus::default()
        }];
        let names: Vec<SmolStr> =
            world.candidates(&owner, &recorded).into_iter().map(|(_, key, _)| key.name).collect();
        assert_eq!(names, ["claimed", "recorded"]);
        world.forget_child(&kind, &Key::new("ns", "claimed"));
        assert!(world.candidates(&owner, &[]).is_empty());
    }

    #[test]
    fn of_a_kind_that_is_not_served_any_more_nothing_is_known() {
        let (world, owner) = (World::new(), Key::new("ns", "svc"));
        let kind = plan::kinds().into_iter().find(|kind| kind.kind == "ScaledObject").unwrap();
        assert!(!world.has_kind(&kind) && world.has_kind(&secret_kind()));
        assert!(world.set_served("keda.sh/v1alpha1", true) && world.has_kind(&kind));
        assert!(!world.set_served("keda.sh/v1alpha1", true), "no news");
        let index = world.children(&kind).unwrap();
        index.begin("");
        world.observe_child(&kind, "", Key::new("ns", "svc"), seen(Some("svc"), "1"));
        index.finish("");
        assert!(index.synced("ns") && !world.candidates(&owner, &[]).is_empty());
        world.forget_kind(&kind);
        assert!(!index.synced("ns"), "what is not listed may not be pruned");
        assert!(world.candidates(&owner, &[]).is_empty() && world.relations().claims.is_empty());
        assert!(world.set_served("keda.sh/v1alpha1", false) && !world.has_kind(&kind));
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_not_read_is_not_taken_for_what_is_not_there() {
        let world = World::new();
        let refuse = |basis| {
            let failure = Failure::Forbidden("no right".to_owned());
            world.refuse(basis, failure.clone());
            ClassUnknown::Refused(basis, failure)
        };
        assert_eq!(world.knows_class("shop"), Err(ClassUnknown::Yet(SOON)), "nothing is listed");
        let refused = refuse(Basis::Classes);
        assert_eq!(world.knows_class("shop"), Err(ClassUnknown::Yet(PATIENCE)), "it may pass");
        tokio::time::advance(PATIENCE).await;
        assert_eq!(world.knows_class("shop"), Err(refused.clone()));
        refuse(Basis::Classes);
        assert_eq!(world.knows_class("shop"), Err(refused), "since the first refusal");
        world.classes.finish("");
        assert!(world.admit(Basis::Classes) && !world.admit(Basis::Classes));
        let refused = refuse(Basis::Namespaces);
        tokio::time::advance(PATIENCE).await;
        assert_eq!(world.knows_class("shop"), Err(refused));
        assert!(!world.lacks_namespace("shop"), "nobody knows");
        world.namespaces.finish("");
        assert_eq!(world.knows_class("shop"), Err(ClassUnknown::Yet(SOON)), "its event comes later");
        assert!(world.lacks_namespace("shop"));
        world.namespaces.observe("", Key::new("", "shop"), "1", NamespaceLabels::default());
        assert_eq!(world.knows_class("shop"), Ok(()));
        assert!(!world.lacks_namespace("shop"));
    }

    #[test]
    fn readers_follow_what_is_read() {
        let world = World::new();
        let (owner, read) = (Key::new("ns", "svc"), (ReferenceKind::Secret, Key::new("ns", "db")));
        world.set_reads(&owner, BTreeSet::from([read.clone()]));
        assert_eq!(world.readers(read.0, &read.1), vec![owner.clone()]);
        world.set_reads(&owner, BTreeSet::new());
        assert!(world.readers(read.0, &read.1).is_empty());
    }

    #[test]
    fn an_outline_is_made_once_for_each_spec_and_each_word_of_the_class() {
        let world = World::new();
        let object = |generation: i64, version: &str, image: &str| -> Microservice {
            serde_json::from_value(json!({
                "metadata": {
                    "name": "svc", "namespace": "ns", "uid": "u", "generation": generation, "resourceVersion": version,
                },
                "spec": {"image": image, "className": "bank"},
            }))
            .unwrap()
        };
        let outline = || Arc::clone(world.neighbours().outline(&calls::Key::new("ns", "svc")).unwrap());
        world.observe_service(&object(1, "7", "a:1"));
        let first = outline();
        world.renew_service(&object(1, "7", "a:1"), None);
        world.observe_service(&object(1, "8", "a:1"));
        assert!(Arc::ptr_eq(&first, &outline()), "a look, and a status that was written");
        world.observe_service(&object(2, "9", "a:2"));
        let second = outline();
        assert!(!Arc::ptr_eq(&first, &second), "another spec");
        assert_eq!(world.outline(&object(1, "7", "a:1"), None), None, "that of a newer spec");
        assert_eq!(world.outline(&object(2, "9", "a:2"), None), Some(second.clone()));
        let class = json!({
            "metadata": {"name": "bank", "resourceVersion": "1"}, "spec": {"sameNamespaceConsent": "Explicit"},
        });
        world.classes.observe("", Key::new("", "bank"), "1", serde_json::from_value(class).unwrap());
        let changed = object(2, "9", "a:2");
        world.renew_service(&changed, world.class_for(&changed).as_deref());
        assert_eq!((&second.callers, &outline().callers), (&Consent::OwnNamespace, &Consent::Nobody));
    }
}
