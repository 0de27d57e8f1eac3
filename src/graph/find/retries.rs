//! What one request from outside becomes when everybody on the way tries again.

use std::collections::BTreeMap;

use petgraph::Direction;
use petgraph::graph::EdgeReference;
use petgraph::visit::EdgeRef;

use super::Shape;
use super::components::Components;
use super::cycles::circle;
use crate::graph::finding::{Finding, Kind, Limits, Severity, way};
use crate::graph::model::Call;
use crate::graph::system::{Node, System};

/// How bad it is at a component.
#[derive(Clone, Copy, Default)]
struct Worst {
    /// A: attempts that one request at an entry may become; `None` = there is no bound.
    attempts: Option<u64>,
    /// How many calls on the way are tried again.
    retried: u64,
    /// The call over which they come.
    over: Option<(Node, Node, bool)>,
    /// L: attempts when all entries get one request each.
    load: u64,
}

pub(super) fn findings(shape: &Shape<'_>, limits: &Limits) -> Vec<Finding> {
    let (system, components) = (shape.system, &shape.circles);
    let mut worst: BTreeMap<usize, Worst> = BTreeMap::new();
    let mut found = Vec::new();
    for (at, members) in components.list.iter().enumerate() {
        let mut here = arriving(system, components, members, &worst);
        let circling = inner(system, components, members).any(|edge| edge.weight().attempts > 1);
        if circling {
            // What is behind it has no bound either, and that is told here.
            here.attempts = None;
            found.extend(unbounded(shape, members));
        }
        worst.insert(at, here);
        found.extend(amplified(system, components, &worst, at, limits));
    }
    found
}

fn inner<'s>(
    system: &'s System,
    components: &'s Components,
    members: &'s [Node],
) -> impl Iterator<Item = EdgeReference<'s, Call>> {
    let out = members.iter().flat_map(|node| system.graph().edges_directed(*node, Direction::Outgoing));
    out.filter(|edge| components.same(edge.source(), edge.target()))
}

/// The worst of what comes in from outside of the component.
fn arriving(
    system: &System,
    components: &Components,
    members: &[Node],
    worst: &BTreeMap<usize, Worst>,
) -> Worst {
    let edges = members.iter().flat_map(|node| system.graph().edges_directed(*node, Direction::Incoming));
    let mut here = Worst::default();
    let mut reached = false;
    for edge in edges.filter(|edge| !components.same(edge.source(), edge.target())) {
        let before = worst.get(&components.of(edge.source())).copied().unwrap_or_default();
        let tries = edge.weight().attempts;
        let attempts = before.attempts.map(|attempts| attempts.saturating_mul(tries));
        let retried = before.retried + u64::from(tries > 1);
        let load = here.load.saturating_add(before.load.saturating_mul(tries));
        // No bound is worse than any; then more attempts; then more places; then the first by name.
        let order = |attempts: Option<u64>, retried| (attempts.is_none(), attempts, retried);
        if !reached || order(attempts, retried) > order(here.attempts, here.retried) {
            let over = Some((edge.source(), edge.target(), tries > 1));
            here = Worst { attempts, retried, over, load };
        }
        here.load = load;
        reached = true;
    }
    if reached { here } else { Worst { attempts: Some(1), load: 1, ..Worst::default() } }
}

fn unbounded(shape: &Shape<'_>, members: &[Node]) -> Option<Finding> {
    let count = members.len();
    let tell = |way: String| format!("attempts without bound in a circle of {count} services: {way}");
    let found = circle(shape.system, Kind::RetryAmplification, members, &shape.steps, tell)?;
    Some(found.severe(Severity::Error))
}

/// Told where the number grows: who is called once by an amplified service has nothing to add to it.
fn amplified(
    system: &System,
    components: &Components,
    worst: &BTreeMap<usize, Worst>,
    at: usize,
    limits: &Limits,
) -> Option<Finding> {
    let here = worst.get(&at)?;
    let (attempts, (_, last, grows)) = (here.attempts?, here.over?);
    if !grows || attempts < limits.amplification || here.retried < 2 {
        return None;
    }
    let path = system.keys(trace(components, worst, at));
    let message =
        format!("one request may become {attempts} attempts at {}: {}", system.name(last), way(&path));
    let severe = attempts >= limits.amplification_error;
    let numbers = [("attempts", attempts), ("load", here.load)];
    let finding = Finding::new(Kind::RetryAmplification, path, message).with(numbers);
    Some(if severe { finding.severe(Severity::Error) } else { finding })
}

/// The way over which the worst comes, from its entry.
fn trace(components: &Components, worst: &BTreeMap<usize, Worst>, at: usize) -> Vec<Node> {
    let mut path = Vec::new();
    let mut at = at;
    while let Some((from, to, _)) = worst.get(&at).and_then(|here| here.over) {
        path.extend([to, from]);
        at = components.of(from);
    }
    path.dedup();
    path.reverse();
    path
}
