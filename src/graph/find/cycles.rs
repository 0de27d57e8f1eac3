//! Circles: of calls, and of calls and events together.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use petgraph::visit::EdgeRef;

use super::components::Components;
use crate::graph::finding::{Finding, Kind, way};
use crate::graph::system::{Calls, Node, System};

/// Out of each service, whom it reaches in one step.
pub(super) type Steps = BTreeMap<Node, BTreeSet<Node>>;

pub(super) fn findings(system: &System) -> Vec<Finding> {
    let graph = system.graph();
    let calls = steps(graph);
    let components = Components::new(graph);
    let mut found = Vec::new();
    for members in components.list.iter().filter(|members| members.len() > 1) {
        let Some(circle) = shortest(members, &calls) else { continue };
        let path = system.keys(circle);
        let message = format!(
            "{} services wait for each other in a circle, the shortest way round being {}",
            members.len(),
            way(&path)
        );
        let finding = Finding::new(Kind::Cycle, path, message).with([("services", members.len() as u64)]);
        found.push(Finding { services: system.keys(members.iter().copied()), ..finding });
    }
    found.extend(loops(system, calls, &components));
    found
}

pub(super) fn steps(graph: &Calls) -> Steps {
    let mut steps = Steps::new();
    for edge in graph.edge_references() {
        steps.entry(edge.source()).or_default().insert(edge.target());
    }
    steps
}

/// Circles that only events close.
fn loops(system: &System, mut steps: Steps, calls: &Components) -> Vec<Finding> {
    let mut all = system.graph().map(|_, ()| (), |_, _| ());
    for event in system.events() {
        if let (Some(from), Some(to)) = (system.node(&event.from), system.node(&event.to)) {
            all.update_edge(from, to, ());
            steps.entry(from).or_default().insert(to);
        }
    }
    let mut found = Vec::new();
    for members in Components::new(&all).list.iter().filter(|members| members.len() > 1) {
        if members.iter().all(|member| members.first().is_some_and(|first| calls.same(*first, *member))) {
            continue;
        }
        let Some(circle) = shortest(members, &steps) else { continue };
        let path = system.keys(circle);
        let message = format!("calls and events go round in a circle: {}", way(&path));
        let finding = Finding::new(Kind::EventLoop, path, message).with([("services", members.len() as u64)]);
        found.push(Finding { services: system.keys(members.iter().copied()), ..finding });
    }
    found
}

/// The shortest way from one of the members back to it, the first by name among several.
pub(super) fn shortest(members: &[Node], steps: &Steps) -> Option<Vec<Node>> {
    let inside: BTreeSet<Node> = members.iter().copied().collect();
    let mut best: Option<Vec<Node>> = None;
    for start in members {
        let limit = best.as_ref().map_or(usize::MAX, |best| best.len() - 1);
        if let Some(circle) = back_to(*start, &inside, steps, limit) {
            best = Some(circle);
        }
    }
    best
}

/// The shortest circle through a service, if it has fewer steps than the limit.
fn back_to(start: Node, inside: &BTreeSet<Node>, steps: &Steps, limit: usize) -> Option<Vec<Node>> {
    let mut came: BTreeMap<Node, Node> = BTreeMap::new();
    let mut queue = VecDeque::from([(start, 0_usize)]);
    while let Some((node, far)) = queue.pop_front() {
        if far + 1 >= limit {
            return None;
        }
        for next in steps.get(&node).into_iter().flatten().filter(|next| inside.contains(next)) {
            if *next == start {
                return Some(walked(start, node, &came));
            }
            if let std::collections::btree_map::Entry::Vacant(free) = came.entry(*next) {
                free.insert(node);
                queue.push_back((*next, far + 1));
            }
        }
    }
    None
}

fn walked(start: Node, last: Node, came: &BTreeMap<Node, Node>) -> Vec<Node> {
    let mut way = vec![start, last];
    let mut node = last;
    while let Some(before) = came.get(&node).filter(|_| node != start) {
        way.push(*before);
        node = *before;
    }
    way.dedup();
    way.reverse();
    way
}
