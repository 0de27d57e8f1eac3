//! Circles: of calls, and of calls and events together.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use petgraph::visit::EdgeRef;

use super::components::Components;
use super::{Found, Shape};
use crate::graph::finding::{Finding, Kind, way};
use crate::graph::system::{Calls, Node, System};

/// Out of each service, whom it reaches in one step.
pub(super) type Steps = BTreeMap<Node, BTreeSet<Node>>;

pub(super) fn find(shape: &Shape<'_>, found: Found<'_>) {
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
    circles.filter_map(told).for_each(&mut *found);
    loops(shape, found);
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

pub(super) fn steps(graph: &Calls<'_>) -> Steps {
    let mut steps = Steps::new();
    for edge in graph.edge_references() {
        steps.entry(edge.source()).or_default().insert(edge.target());
    }
    steps
}

/// Circles that only events close.
fn loops(shape: &Shape<'_>, found: Found<'_>) {
    let system = shape.system;
    if system.events().is_empty() {
        return;
    }
    let mut all = shape.calls.map(|_, ()| (), |_, _| ());
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
    circles.filter(|members| !of_calls(members)).filter_map(|members| told(&members)).for_each(found);
}

/// The shortest way from one of the members back to it, the first by name among several.
fn shortest(members: &[Node], steps: &Steps) -> Option<Vec<Node>> {
    let mut search = Search::among(members, steps);
    let mut best: Option<Vec<usize>> = None;
    for start in 0..members.len() {
        let limit = best.as_ref().map_or(usize::MAX, |best| best.len() - 1);
        if limit == SHORTEST {
            break;
        }
        best = search.back_to(start, limit).or(best);
    }
    best.map(|way| way.into_iter().filter_map(|at| members.get(at).copied()).collect())
}

/// Fewest steps of a circle: who calls itself is no edge.
const SHORTEST: usize = 2;

/// Looks for circles among services, which are called by their positions.
struct Search {
    /// Whom each of them reaches in one step.
    next: Vec<Vec<usize>>,
    /// From where each of them was reached first.
    came: Vec<Option<usize>>,
    reached: Vec<usize>,
}

impl Search {
    /// The members are in their order.
    fn among(members: &[Node], steps: &Steps) -> Self {
        let at = |node: &Node| members.binary_search(node).ok();
        let next = |node| steps.get(node).into_iter().flatten().filter_map(at).collect();
        let next: Vec<Vec<usize>> = members.iter().map(next).collect();
        Self { came: vec![None; next.len()], next, reached: Vec::new() }
    }

    /// The shortest circle through a service, if it has fewer steps than the limit.
    fn back_to(&mut self, start: usize, limit: usize) -> Option<Vec<usize>> {
        let found = self.last_before(start, limit).map(|last| self.walked(start, last));
        for node in self.reached.drain(..) {
            self.came.get_mut(node).into_iter().for_each(|came| *came = None);
        }
        found
    }

    /// From where the start is reached again.
    fn last_before(&mut self, start: usize, limit: usize) -> Option<usize> {
        let mut queue = VecDeque::from([(start, 0_usize)]);
        while let Some((node, far)) = queue.pop_front() {
            if far + 1 >= limit {
                return None;
            }
            for next in self.next.get(node).into_iter().flatten() {
                if *next == start {
                    return Some(node);
                }
                if let Some(came @ None) = self.came.get_mut(*next) {
                    *came = Some(node);
                    self.reached.push(*next);
                    queue.push_back((*next, far + 1));
                }
            }
        }
        None
    }

    fn walked(&self, start: usize, last: usize) -> Vec<usize> {
        let mut way = vec![start, last];
        let mut node = last;
        while let Some(before) = self.came.get(node).copied().flatten().filter(|_| node != start) {
            way.push(before);
            node = before;
        }
        way.dedup();
        way.reverse();
        way
    }
}
