//! Who calls whom among all services that are known, as far as the operator acts on it: which calls are
//! granted, who waits for a consent, who serves. Kept up one service at a time, so that a change costs what
//! its neighbours cost.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use smol_str::SmolStr;

use super::calls::{Address, Call, Key, PortName, Target};
use super::network::{Granted, PolicyPort};
use crate::api::microservice::Port;
use crate::api::{Microservice, MicroserviceClass, MicroserviceStatus, Reason};
use crate::kafka::consent::Consent;

/// Longest chain of services that is followed to the one that is broken first.
const CHAIN: usize = 16;

/// What its neighbours see of a service. It comes from the spec as it is, so that it is known also of one
/// that is refused or suspended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outline {
    /// What it is called.
    pub key: Key,
    /// What it was made from; `None` for an object that is in no cluster.
    pub origin: Option<Origin>,
    /// Its ports, complete; the first one is the main port.
    pub ports: Vec<Port>,
    /// Whom it calls.
    pub calls: Arc<[Call]>,
    /// Which services may call it.
    pub callers: Consent,
    /// Services that its environment, configuration or arguments may mean, by name.
    pub mentions: Box<[Key]>,
}

/// What an outline was made from. As long as this is the same, so is the outline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// UID of the object.
    pub uid: SmolStr,
    /// Generation of its spec.
    pub generation: i64,
    /// What its class says of all that an outline depends on: the revision of the defaults,
    pub defaults: i32,
    /// and whom a service lets in that says nothing of it.
    pub unsaid: Consent,
}

impl Outline {
    /// The outline of an object under its class.
    pub fn of(object: &Microservice, class: Option<&MicroserviceClass>) -> Self {
        super::resolve::calls::outline(object, class)
    }

    /// Whether [`Self::of`] would give this one again.
    pub fn is_of(&self, object: &Microservice, class: Option<&MicroserviceClass>) -> bool {
        self.origin.is_some() && self.origin == super::resolve::calls::origin(object, class)
    }

    /// What those see of it who call it.
    fn shown(&self) -> (&[Port], &Consent) {
        (&self.ports, &self.callers)
    }
}

/// Whether a service serves, by its own status.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// A pod of it is ready. While a rollout is under way, or has failed, old pods may well serve.
    pub serves: bool,
    /// Why none is; empty when one is, or when nothing is known.
    pub reason: SmolStr,
}

impl Standing {
    /// What a status says.
    pub fn of(status: Option<&MicroserviceStatus>) -> Self {
        if status.and_then(|status| status.ready_replicas).is_some_and(|ready| ready > 0) {
            return Self { serves: true, reason: SmolStr::default() };
        }
        let conditions = status.map_or(&[][..], |status| &status.conditions);
        let available = conditions.iter().find(|one| one.type_ == "Available");
        let reason = available.map(|one| one.reason.as_str().into()).unwrap_or_default();
        Self { serves: false, reason }
    }
}

/// Whether a declared call may be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Grant {
    /// Both sides want it.
    Granted,
    /// The callee does not name the caller.
    PendingConsent,
    /// The callee has no such port.
    UnknownPort,
    /// There is no such service.
    MissingPeer,
}

/// A service as one that is called.
#[derive(Clone, Debug)]
pub struct Callee<'a> {
    /// What it is called.
    pub key: &'a Key,
    /// Names and numbers of its ports.
    pub ports: Vec<(&'a str, i32)>,
    /// Whom it lets call.
    pub callers: &'a Consent,
}

impl<'a> From<&'a Outline> for Callee<'a> {
    fn from(outline: &'a Outline) -> Self {
        let ports = outline.ports.iter().map(|port| (port.name.as_str(), port.port)).collect();
        Self { key: &outline.key, ports, callers: &outline.callers }
    }
}

/// The one rule of what a call needs: a callee that exists, names the caller, and has the port. Ports come
/// last: a stranger is not told those of others.
pub fn grant(caller: &Key, call: &Call, callee: Option<&Callee<'_>>) -> Grant {
    let Some(callee) = callee else { return Grant::MissingPeer };
    let own = callee.key == caller;
    if !own && !callee.callers.allows(&callee.key.namespace, &caller.namespace, &caller.name) {
        return Grant::PendingConsent;
    }
    if callee.ports.iter().any(|(name, number)| call.takes(name, *number)) {
        Grant::Granted
    } else {
        Grant::UnknownPort
    }
}

/// The calls of a service and those who ask for its consent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct View {
    /// One per line of `calls`, in its order.
    pub edges: Vec<Edge>,
    /// Services that call this one without its consent, by name.
    pub asking: Vec<Key>,
    /// Services that call it with its consent, by name.
    pub callers: Vec<Key>,
    /// Whether the service has a list of callers.
    pub list: List,
    /// Services that it seems to call without saying so, by name.
    pub suspected: Vec<Key>,
}

/// One call as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edge {
    /// Whom.
    pub target: Target,
    /// Whether the caller can serve without.
    pub optional: bool,
    /// How it stands.
    pub state: State,
}

/// How a call stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Nothing is known of whom it goes to: that is no Microservice, or in a namespace of others.
    Unknown,
    /// It is granted, and the callee serves.
    Granted,
    /// It is granted, and the callee does not serve.
    NotServing {
        /// From the callee to the first that is broken, over services that do not serve.
        path: Vec<Key>,
        /// Why the last of them does not serve; empty when it says nothing.
        reason: SmolStr,
    },
    /// The callee does not name the caller.
    PendingConsent {
        /// What it would have to write into its `spec.callers`.
        line: String,
    },
    /// The callee has no such port.
    UnknownPort {
        /// The port that is asked for.
        port: Option<PortName>,
        /// Those that it has, by name and number.
        ports: Vec<(String, i32)>,
    },
    /// There is no such service.
    MissingPeer,
}

/// Whether a service has a list of callers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum List {
    /// It has none, and its whole namespace may call.
    #[default]
    Implicit,
    /// It has none, and its class wants one.
    Wanted,
    /// It has one.
    Given,
}

impl From<&Consent> for List {
    fn from(consent: &Consent) -> Self {
        match consent {
            Consent::OwnNamespace => Self::Implicit,
            Consent::Nobody => Self::Wanted,
            Consent::Services(_) => Self::Given,
        }
    }
}

/// What a service has to write so that another one may call it. If its whole namespace may call, a list
/// would end that: then the list says so too.
pub fn consent_line(callee: &Key, list: List, caller: &Key) -> String {
    let entry = if caller.namespace == callee.namespace {
        format!("{{name: {}}}", caller.name)
    } else {
        format!("{{name: {}, namespace: {}}}", caller.name, caller.namespace)
    };
    match list {
        List::Given => format!("- {entry}"),
        List::Wanted => format!("callers: [{entry}]"),
        List::Implicit => format!("callers: [{{name: \"*\"}}, {entry}]"),
    }
}

#[derive(Clone, Debug)]
struct Known {
    outline: Arc<Outline>,
    standing: Standing,
    version: u64,
}

/// Whom a change concerns beside the service itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Concerned {
    /// Its neighbours: what they are given may be another now.
    pub near: BTreeSet<Key>,
    /// Those who reach it over others that do not serve either: they tell of it.
    pub far: BTreeSet<Key>,
}

/// All services that are known.
#[derive(Clone, Debug, Default)]
pub struct Neighbours {
    services: BTreeMap<Key, Known>,
    /// Namespaces that are known; empty = all.
    namespaces: BTreeSet<SmolStr>,
    /// Who declares a call to a service, whether or not that exists.
    callers: Links,
    /// Who mentions a service, whether or not that exists.
    mentioned: Links,
}

/// For a service others, in their order. Most have few and no room to spare; of many an eighth may be spare, so
/// that one more does not move all of them.
type Links = BTreeMap<Key, Vec<Key>>;

impl Neighbours {
    /// None yet, of these namespaces; none given = of all.
    pub fn within(namespaces: &[String]) -> Self {
        Self { namespaces: namespaces.iter().map(SmolStr::from).collect(), ..Self::default() }
    }

    /// Keeps what a version of an object says, unless a newer one is known. Returns whom that concerns
    /// beside the service itself.
    pub fn put(&mut self, outline: impl Into<Arc<Outline>>, standing: Standing, version: u64) -> Concerned {
        let outline = outline.into();
        let before = self.services.get(&outline.key).cloned();
        let same = |known: &Known| known.outline == outline && known.standing == standing;
        if before.as_ref().is_some_and(|known| known.version > version || same(known)) {
            return Concerned::default();
        }
        let key = outline.key.clone();
        let now = Known { outline, standing, version };
        self.link(&key, before.as_ref(), Some(&now));
        self.services.insert(key.clone(), now.clone());
        self.concerned(&key, before.as_ref(), Some(&now))
    }

    /// The service is gone. Returns whom that concerns.
    pub fn remove(&mut self, key: &Key) -> Concerned {
        let before = self.services.remove(key);
        if before.is_none() {
            return Concerned::default();
        }
        self.link(key, before.as_ref(), None);
        self.concerned(key, before.as_ref(), None)
    }

    fn link(&mut self, key: &Key, before: Option<&Known>, now: Option<&Known>) {
        let (old, new) = (before.map(|known| &*known.outline), now.map(|known| &*known.outline));
        relink(&mut self.callers, key, old.into_iter().flat_map(callees), new.into_iter().flat_map(callees));
        relink(
            &mut self.mentioned,
            key,
            old.into_iter().flat_map(|outline| &outline.mentions),
            new.into_iter().flat_map(|outline| &outline.mentions),
        );
    }

    /// Those who call it, if it looks different to them, and those whom it calls differently. What is
    /// broken is told up the chain, as far as that does not serve either.
    fn concerned(&self, key: &Key, before: Option<&Known>, now: Option<&Known>) -> Concerned {
        let (mut found, mut far) = (BTreeSet::new(), BTreeSet::new());
        let outlines = (before.map(|known| &known.outline), now.map(|known| &known.outline));
        let standings = (before.map(|known| &known.standing), now.map(|known| &known.standing));
        let old = outlines.0.map_or(&[][..], |outline| &outline.calls);
        let new = outlines.1.map_or(&[][..], |outline| &outline.calls);
        let serves = |standing: Option<&Standing>| standing.is_some_and(|standing| standing.serves);
        let broken = !serves(standings.0) || !serves(standings.1);
        let moved = standings.0 != standings.1 || old != new;
        if outlines.0.map(|one| one.shown()) != outlines.1.map(|one| one.shown()) || (moved && broken) {
            found.extend(self.callers_of(key).cloned());
        }
        if moved && broken {
            self.climb(key, &mut far);
        }
        if before.is_none() != now.is_none() {
            found.extend(self.mentioned.get(key).into_iter().flatten().cloned());
        }
        let differs = |call: &&Call, others: &[Call]| !others.contains(*call);
        let changed = old.iter().filter(|call| differs(call, new));
        let changed = changed.chain(new.iter().filter(|call| differs(call, old)));
        found.extend(changed.filter_map(Call::callee).cloned());
        found.remove(key);
        far.retain(|other| other != key && !found.contains(other));
        Concerned { near: found, far }
    }

    fn climb(&self, key: &Key, found: &mut BTreeSet<Key>) {
        let mut seen = BTreeSet::from([key.clone()]);
        let mut level: Vec<Key> = self.callers_of(key).cloned().collect();
        for _ in 0..CHAIN {
            let broken = |key: &Key| self.services.get(key).is_some_and(|known| !known.standing.serves);
            let next: Vec<Key> =
                level.into_iter().filter(|caller| seen.insert(caller.clone()) && broken(caller)).collect();
            level = next.iter().flat_map(|caller| self.callers_of(caller)).cloned().collect();
            found.extend(level.iter().cloned());
        }
    }

    /// All services that are known, by name.
    pub fn keys(&self) -> impl Iterator<Item = &Key> {
        self.services.keys()
    }

    /// What is known of a service.
    pub fn outline(&self, key: &Key) -> Option<&Arc<Outline>> {
        self.services.get(key).map(|known| &known.outline)
    }

    /// What is known of an object, if it was made from this version of its spec under this class.
    pub fn outline_of(
        &self,
        object: &Microservice,
        class: Option<&MicroserviceClass>,
    ) -> Option<Arc<Outline>> {
        self.outline(&Key::of(object)).filter(|outline| outline.is_of(object, class)).cloned()
    }

    /// Who declares a call to the service, by name.
    fn callers_of(&self, key: &Key) -> impl Iterator<Item = &Key> {
        self.callers.get(key).into_iter().flatten()
    }

    /// How the calls of a service stand, and who asks for its consent.
    pub fn view(&self, key: &Key) -> View {
        let Some(known) = self.services.get(key) else { return View::default() };
        let outline = &known.outline;
        let edges = outline.calls.iter().map(|call| Edge {
            target: call.target.clone(),
            optional: call.optional,
            state: call.callee().map_or(State::Unknown, |callee| self.state(key, call, callee)),
        });
        let of = |grant: Grant| {
            self.callers_of(key).filter(move |caller| self.declared(caller, outline) == Some(grant)).cloned()
        };
        View {
            edges: edges.collect(),
            asking: of(Grant::PendingConsent).collect(),
            callers: of(Grant::Granted).collect(),
            list: (&outline.callers).into(),
            suspected: self.suspected(outline),
        }
    }

    fn suspected(&self, outline: &Outline) -> Vec<Key> {
        let declared = |key: &Key| *key == outline.key || callees(outline).any(|callee| callee == key);
        let suspected =
            outline.mentions.iter().filter(|key| self.services.contains_key(key) && !declared(key));
        suspected.cloned().collect()
    }

    /// The granted calls to and from a service, by the ports of the pods.
    pub fn granted(&self, key: &Key) -> Granted {
        let Some(known) = self.services.get(key) else { return Granted::default() };
        let mut granted = Granted::default();
        for call in known.outline.calls.iter() {
            let peer = call.callee().and_then(|callee| self.services.get(callee));
            if let Some((peer, port)) = peer.and_then(|peer| Some((peer, open(key, call, &peer.outline)?))) {
                granted.callees.insert(peer.outline.key.clone(), port);
            }
        }
        for caller in self.callers_of(key) {
            if let Some(port) = self.call(caller, key).and_then(|call| open(caller, call, &known.outline)) {
                granted.callers.entry(port).or_default().push(caller.clone());
            }
        }
        granted
    }

    /// Where those are that a service calls; `last` is what was known of them before.
    pub fn addresses(&self, key: &Key, last: &BTreeMap<Key, Address>) -> BTreeMap<Key, Address> {
        let calls = self.services.get(key).map_or(&[][..], |known| &known.outline.calls);
        let address = |call: &Call| {
            let callee = call.callee()?;
            let ports = self.services.get(callee).map(|peer| peer.outline.ports.as_slice());
            Some((callee.clone(), Address::to(call, ports, last.get(callee))))
        };
        calls.iter().filter_map(address).collect()
    }

    fn declared(&self, caller: &Key, to: &Outline) -> Option<Grant> {
        Some(grant(caller, self.call(caller, &to.key)?, Some(&to.into())))
    }

    /// The call of one service to another.
    fn call(&self, caller: &Key, callee: &Key) -> Option<&Call> {
        let calls = &self.services.get(caller)?.outline.calls;
        calls.iter().find(|call| call.callee() == Some(callee))
    }

    fn state(&self, caller: &Key, call: &Call, callee: &Key) -> State {
        let Some(peer) = self.services.get(callee) else {
            let known = self.namespaces.is_empty() || self.namespaces.contains(&callee.namespace);
            return if known { State::MissingPeer } else { State::Unknown };
        };
        match grant(caller, call, Some(&Callee::from(&*peer.outline))) {
            Grant::MissingPeer => State::MissingPeer,
            Grant::UnknownPort => State::UnknownPort {
                port: call.port.clone(),
                ports: peer.outline.ports.iter().map(|port| (port.name.clone(), port.port)).collect(),
            },
            Grant::PendingConsent => {
                State::PendingConsent { line: consent_line(callee, (&peer.outline.callers).into(), caller) }
            }
            Grant::Granted if peer.standing.serves => State::Granted,
            Grant::Granted => self.broken(callee),
        }
    }

    /// From a service that does not serve to the first cause: along what it cannot do without and what
    /// does not serve either, of several the first by name.
    fn broken(&self, first: &Key) -> State {
        let mut path = vec![first.clone()];
        while let Some(next) =
            path.last().and_then(|last| self.lacks(last, &path)).filter(|_| path.len() < CHAIN)
        {
            path.push(next);
        }
        let last = path.last().and_then(|last| self.services.get(last));
        let missing = || Reason::MissingPeer.as_str().into();
        let reason = last.map_or_else(missing, |known| known.standing.reason.clone());
        State::NotServing { path, reason }
    }

    fn lacks(&self, key: &Key, seen: &[Key]) -> Option<Key> {
        let calls = &self.services.get(key)?.outline.calls;
        let needed = calls.iter().filter(|call| !call.optional).filter_map(Call::callee);
        let down = |key: &&Key| self.services.get(*key).is_none_or(|known| !known.standing.serves);
        needed.filter(down).filter(|key| !seen.contains(key)).min().cloned()
    }
}

/// The port of the callee's pods that a granted call opens.
fn open(caller: &Key, call: &Call, callee: &Outline) -> Option<PolicyPort> {
    if grant(caller, call, Some(&callee.into())) != Grant::Granted {
        return None;
    }
    let port = callee.ports.iter().find(|port| call.takes(&port.name, port.port))?;
    Some(PolicyPort::behind(port, &callee.ports))
}

fn relink<'a>(
    links: &mut Links,
    from: &Key,
    before: impl Iterator<Item = &'a Key>,
    now: impl Iterator<Item = &'a Key>,
) {
    for to in before {
        if let Some(linked) = links.get_mut(to) {
            if let Ok(place) = linked.binary_search(from) {
                linked.remove(place);
            }
            if linked.is_empty() {
                links.remove(to);
            }
        }
    }
    for to in now {
        let linked = links.entry(to.clone()).or_default();
        if let Err(place) = linked.binary_search(from) {
            if linked.len() == linked.capacity() {
                linked.reserve_exact(1 + linked.len() / 8);
            }
            linked.insert(place, from.clone());
        }
    }
}

fn callees(outline: &Outline) -> impl Iterator<Item = &Key> {
    outline.calls.iter().filter_map(Call::callee)
}

#[cfg(test)]
mod tests;
