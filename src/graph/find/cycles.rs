//! Circles: of calls, and of calls and events together.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use petgraph::visit::EdgeRef;

use super::Shape;
use super::components::Components;
use crate::graph::finding::{Finding, Kind, way};
use crate::graph::system::{Calls, Node, System};

/// Out of each service, whom it reaches in one step.
pub(super) type Steps = BTreeMap<Node, BTreeSet<Node>>;

pub(super) fn findings(shape: &Shape<'_>) -> Vec<Finding> {
    let told = |members: &Vec<Node>| {
        let count = members.len();
        let tell = |way: String| {
            format!("{count} services wait for each other in a circle, the shortest way round being {way}")
        };
        Some(
            circle(shape.system, Kind::Cycle, members, &shape.steps, tell)?
                .with([("services", count as u64)]),
        )
    };
    let circles = shape.circles.list.iter().filter(|members| members.len() > 1);
    circles.filter_map(told).chain(loops(shape)).collect()
}

/// A circle, shown by its shortest way round, which `tell` puts into words.
pub(super) fn circle(
    system: &System,
    kind: Kind,
    members: &[Node],
    steps: &Steps,
    tell: impl FnOnce(String) -> String,
) -> Option<Finding> {
    let path = system.keys(shortest(members, steps)?);
    let message = tell(way(&path));
    Some(Finding { services: system.keys(members.iter().copied()), ..Finding::new(kind, path, message) })
}

pub(super) fn steps(graph: &Calls) -> Steps {
    let mut steps = Steps::new();
    for edge in graph.edge_references() {
        steps.entry(edge.source()).or_default().insert(edge.target());
    }
    steps
}

/// Circles that only events close.
fn loops(shape: &Shape<'_>) -> Vec<Finding> {
    let system = shape.system;
    let mut all = system.graph().map(|_, ()| (), |_, _| ());
    let mut steps = shape.steps.clone();
    for event in system.events() {
        if let (Some(from), Some(to)) = (system.node(&event.from), system.node(&event.to)) {
            all.update_edge(from, to, ());
            steps.entry(from).or_default().insert(to);
        }
    }
    let told = |members: &Vec<Node>| {
        let tell = |way: String| format!("calls and events go round in a circle: {way}");
        let found = circle(system, Kind::EventLoop, members, &steps, tell)?;
        Some(found.with([("services", members.len() as u64)]))
    };
    let of_calls = |members: &[Node]| {
        members.first().is_some_and(|first| members.iter().all(|member| shape.circles.same(*first, *member)))
    };
    let circles = Components::new(&all).list.into_iter().filter(|members| members.len() > 1);
    circles.filter(|members| !of_calls(members)).filter_map(|members| told(&members)).collect()
}

/// The shortest way from one of the members back to it, the first by name among several.
fn shortest(members: &[Node], steps: &Steps) -> Option<Vec<Node>> {
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
