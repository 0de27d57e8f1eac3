//! All services with the edges between them. Everything is in the order of names, so that the same
//! services give the same answers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use petgraph::graph::{DiGraph, NodeIndex};

use super::finding::Kind;
use super::model::{Call, Key, Service, Topic};
pub use crate::intent::neighbours::Grant;
use crate::intent::neighbours::{Callee, grant};

/// The graph of calls from one given service to another: nodes are positions among the services.
pub(super) type Calls<'s> = DiGraph<(), &'s Call>;
/// A service in the graph.
pub(super) type Node = NodeIndex<u32>;

impl Grant {
    /// What is found where it may not be made.
    pub fn kind(self) -> Option<Kind> {
        match self {
            Self::Granted => None,
            Self::PendingConsent => Some(Kind::PendingConsent),
            Self::UnknownPort => Some(Kind::UnknownPort),
            Self::MissingPeer => Some(Kind::MissingPeer),
        }
    }
}

/// One service writes what another reads: nobody waits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Event {
    /// Who writes.
    pub from: Key,
    /// Who reads.
    pub to: Key,
    /// Where.
    pub topic: Topic,
}

/// All services.
#[derive(Clone, Debug, Default)]
pub struct System {
    services: Vec<Arc<Service>>,
    /// For each line of `calls` of each service whom it calls, if that one is given.
    callees: Vec<Vec<Option<Node>>>,
    events: Vec<Event>,
}

impl System {
    /// Of two services with one name the later one counts.
    pub fn new(services: impl IntoIterator<Item = impl Into<Arc<Service>>>) -> Self {
        let services = services.into_iter().map(Into::into);
        let by_key: BTreeMap<Key, Arc<Service>> =
            services.map(|service| (service.key.clone(), service)).collect();
        let services: Vec<Arc<Service>> = by_key.into_values().collect();
        let events = events(&services);
        Self::with(services, events)
    }

    /// These services with the edges that begin or end at them, and with the services at their other ends.
    pub fn around(&self, is_meant: impl Fn(&Key) -> bool) -> Self {
        let events: Vec<Event> = self
            .events
            .iter()
            .filter(|event| is_meant(&event.from) || is_meant(&event.to))
            .cloned()
            .collect();
        let mut neighbours: BTreeSet<&Key> =
            events.iter().flat_map(|event| [&event.from, &event.to]).collect();
        let meant = self.services.iter().filter(|service| is_meant(&service.key));
        neighbours.extend(meant.flat_map(|service| service.calls.iter().filter_map(Call::callee)));
        let part = |service: &Arc<Service>| {
            if is_meant(&service.key) {
                return Some(Arc::clone(service));
            }
            let calls = service.calls.iter().filter(|call| call.callee().is_some_and(&is_meant));
            let calls: Arc<[Call]> = calls.cloned().collect();
            let is_near = !calls.is_empty() || neighbours.contains(&service.key);
            is_near.then(|| Arc::new(Service { calls, ..Service::clone(service) }))
        };
        Self::with(self.services.iter().filter_map(part).collect(), events)
    }

    /// Services by name, and their event edges.
    fn with(services: Vec<Arc<Service>>, events: Vec<Event>) -> Self {
        let callees = callees(&services);
        Self { services, callees, events }
    }

    /// All services, by name.
    pub fn services(&self) -> &[Arc<Service>] {
        &self.services
    }

    /// All event edges, by name. A service that reads what it writes itself is no edge.
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// The service of this name.
    pub fn get(&self, key: &Key) -> Option<&Service> {
        find(&self.services, key).and_then(|node| self.service(node))
    }

    /// Whether a service may make one of its calls; `None` = not to a Microservice.
    pub fn grant(&self, caller: &Service, call: &Call) -> Option<Grant> {
        let callee = self.get(call.callee()?).map(Callee::from);
        Some(grant(&caller.key, call, callee.as_ref()))
    }

    /// The event edges that begin at a service.
    pub fn events_from<'s>(&'s self, key: &'s Key) -> impl Iterator<Item = &'s Event> {
        let begin = self.events.partition_point(|event| event.from < *key);
        self.events.iter().skip(begin).take_while(move |event| event.from == *key)
    }

    /// Every declared call between services, with whether it may be made; also those to services that
    /// are not given.
    pub fn declared(&self) -> impl Iterator<Item = (&Service, &Key, &Call, Grant)> {
        self.services.iter().zip(&self.callees).flat_map(move |(service, callees)| {
            let service = service.as_ref();
            service.calls.iter().zip(callees).filter_map(move |(call, callee)| {
                let named = call.callee()?;
                let callee = callee.and_then(|node| self.service(node)).map(Callee::from);
                Some((service, named, call, grant(&service.key, call, callee.as_ref())))
            })
        })
    }

    /// The calls between the services.
    pub(super) fn calls(&self) -> Calls<'_> {
        let edges = self.services.iter().map(|service| service.calls.len()).sum();
        let mut graph = Calls::with_capacity(self.services.len(), edges);
        for _ in &self.services {
            graph.add_node(());
        }
        for (from, (service, callees)) in self.services.iter().zip(&self.callees).enumerate() {
            let lines = service.calls.iter().zip(callees);
            let mut lines: Vec<(Node, &Call)> = lines
                .filter_map(|(call, callee)| Some(((*callee)?, call)))
                .filter(|(to, _)| to.index() != from)
                .collect();
            // The library walks the edges from the newest to the oldest.
            lines.sort_by_key(|(to, _)| std::cmp::Reverse(*to));
            for (to, call) in lines {
                graph.add_edge(Node::new(from), to, call);
            }
        }
        graph
    }

    pub(super) fn service(&self, node: Node) -> Option<&Service> {
        self.services.get(node.index()).map(Arc::as_ref)
    }

    pub(super) fn node(&self, key: &Key) -> Option<Node> {
        find(&self.services, key)
    }

    pub(super) fn name(&self, node: Node) -> String {
        self.service(node).map(|service| service.key.to_string()).unwrap_or_default()
    }

    pub(super) fn keys(&self, nodes: impl IntoIterator<Item = Node>) -> Vec<Key> {
        nodes.into_iter().filter_map(|node| self.service(node)).map(|service| service.key.clone()).collect()
    }
}

fn find(services: &[Arc<Service>], key: &Key) -> Option<Node> {
    services.binary_search_by(|service| service.key.cmp(key)).ok().map(Node::new)
}

fn callees(services: &[Arc<Service>]) -> Vec<Vec<Option<Node>>> {
    let callee = |call: &Call| call.callee().and_then(|key| find(services, key));
    services.iter().map(|service| service.calls.iter().map(callee).collect()).collect()
}

fn events(services: &[Arc<Service>]) -> Vec<Event> {
    let mut writers: BTreeMap<&Topic, Vec<&Key>> = BTreeMap::new();
    for service in services {
        for topic in &service.produces {
            writers.entry(topic).or_default().push(&service.key);
        }
    }
    let mut found = BTreeSet::new();
    for service in services {
        for topic in &service.consumes {
            let from = writers.get(topic).into_iter().flatten().filter(|writer| ***writer != service.key);
            found.extend(from.map(|writer| Event {
                from: (*writer).clone(),
                to: service.key.clone(),
                topic: topic.clone(),
            }));
        }
    }
    found.into_iter().collect()
}
