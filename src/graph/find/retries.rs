//! What one request from outside becomes when everybody on the way tries again.

use std::collections::BTreeMap;

use petgraph::Direction;
use petgraph::graph::EdgeReference;
use petgraph::visit::EdgeRef;

use super::components::Components;
use super::cycles::circle;
use super::{Found, Shape};
use crate::graph::finding::{Finding, Kind, Severity, way};
use crate::graph::model::Call;
use crate::graph::policy::Limits;
use crate::graph::system::Node;

/// How bad it is at a component.
#[derive(Clone, Copy, Default)]
struct Worst {
    /// A: attempts that one request at an entry may become; `None` = there is no bound.
    attempts: Option<u64>,
    /// How many calls on the way are tried again.
    retried: u64,
    /// The call over which they come; `None` = it is an entry.
    over: Option<(Node, Node, bool)>,
}

pub(super) fn find(shape: &Shape<'_>, found: Found<'_>) {
    let components = &shape.circles;
    let mut endless = vec![false; components.list.len()];
    for (members, endless) in components.list.iter().zip(&mut endless) {
        *endless = inner(shape, members).any(|edge| edge.weight().attempts > 1);
        if *endless {
            // What is behind it has no bound either, and that is told here.
            unbounded(shape, members).into_iter().for_each(&mut *found);
        }
    }
    let loads = loads(shape);
    // The worst of each policy: that of one class does not hide that of another.
    for policy in shape.policies.all() {
        let starts = |node: Node| shape.policy(node) == Some(policy);
        let worst = worst(shape, &endless, starts);
        let amplified = |at: &usize| amplified(shape, &worst, &loads, *at, &policy.limits);
        worst.keys().filter_map(amplified).for_each(&mut *found);
    }
}

/// What comes to each component over the ways that begin at some of the entries; what no such way reaches is
/// not among them.
fn worst(shape: &Shape<'_>, endless: &[bool], starts: impl Fn(Node) -> bool) -> BTreeMap<usize, Worst> {
    let components = &shape.circles;
    let mut worst: BTreeMap<usize, Worst> = BTreeMap::new();
    for ((at, members), endless) in components.list.iter().enumerate().zip(endless) {
        let mut edges = into(shape, members).peekable();
        let entry = || Worst { attempts: Some(1), ..Worst::default() };
        let come =
            if edges.peek().is_none() { Some(entry()) } else { arriving(components, edges, &worst, &starts) };
        if let Some(come) = come {
            worst.insert(at, Worst { attempts: come.attempts.filter(|_| !*endless), ..come });
        }
    }
    worst
}

/// L: attempts at each component when all entries get one request each.
fn loads(shape: &Shape<'_>) -> Vec<u64> {
    let components = &shape.circles;
    let mut loads: Vec<u64> = Vec::with_capacity(components.list.len());
    for members in &components.list {
        let before = |node| loads.get(components.of(node)).copied().unwrap_or_default();
        let come = into(shape, members)
            .map(|edge| before(edge.source()).saturating_mul(edge.weight().attempts))
            .reduce(u64::saturating_add);
        loads.push(come.unwrap_or(1));
    }
    loads
}

/// The calls into a component from outside of it.
fn into<'s>(shape: &'s Shape<'s>, members: &'s [Node]) -> impl Iterator<Item = EdgeReference<'s, &'s Call>> {
    let all = members.iter().flat_map(|node| shape.calls.edges_directed(*node, Direction::Incoming));
    all.filter(|edge| !shape.circles.same(edge.source(), edge.target()))
}

fn inner<'s>(shape: &'s Shape<'s>, members: &'s [Node]) -> impl Iterator<Item = EdgeReference<'s, &'s Call>> {
    let out = members.iter().flat_map(|node| shape.calls.edges_directed(*node, Direction::Outgoing));
    out.filter(|edge| shape.circles.same(edge.source(), edge.target()))
}

/// The worst of what comes in from outside of a component.
fn arriving<'s>(
    components: &Components,
    edges: impl Iterator<Item = EdgeReference<'s, &'s Call>>,
    worst: &BTreeMap<usize, Worst>,
    starts: impl Fn(Node) -> bool,
) -> Option<Worst> {
    // No bound is worse than any; then more attempts; then more places; then the first by name.
    let order = |one: &Worst| (one.attempts.is_none(), one.attempts, one.retried);
    let mut here: Option<Worst> = None;
    for edge in edges {
        let (from, tries) = (edge.source(), edge.weight().attempts);
        let before = worst.get(&components.of(from)).filter(|before| before.over.is_some() || starts(from));
        let Some(before) = before else { continue };
        let come = Worst {
            attempts: before.attempts.map(|attempts| attempts.saturating_mul(tries)),
            retried: before.retried + u64::from(tries > 1),
            over: Some((from, edge.target(), tries > 1)),
        };
        if here.is_none_or(|here| order(&come) > order(&here)) {
            here = Some(come);
        }
    }
    here
}

fn unbounded(shape: &Shape<'_>, members: &[Node]) -> Option<Finding> {
    let count = members.len();
    let tell = |way: String| format!("attempts without bound in a circle of {count} services: {way}");
    let found = circle(shape.system, Kind::RetryAmplification, members, &shape.steps, tell)?;
    Some(found.severe(Severity::Error))
}

/// Told where the number grows: who is called once by an amplified service has nothing to add to it.
fn amplified(
    shape: &Shape<'_>,
    worst: &BTreeMap<usize, Worst>,
    loads: &[u64],
    at: usize,
    limits: &Limits,
) -> Option<Finding> {
    let here = worst.get(&at)?;
    let (attempts, (_, last, grows)) = (here.attempts?, here.over?);
    if !grows || attempts < limits.amplification || here.retried < 2 {
        return None;
    }
    let path = shape.system.keys(trace(&shape.circles, worst, at));
    let message =
        format!("one request may become {attempts} attempts at {}: {}", shape.system.name(last), way(&path));
    let severe = attempts >= limits.amplification_error;
    let numbers = [("attempts", attempts), ("load", loads.get(at).copied().unwrap_or_default())];
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
