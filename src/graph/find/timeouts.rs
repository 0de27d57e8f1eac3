//! Callers that give up before their callees do, and attempts that the timeout cuts off.

use petgraph::visit::EdgeRef;

use super::{Found, Shape};
use crate::graph::finding::{Finding, Kind, time};
use crate::graph::model::Call;
use crate::graph::system::{Node, System};

pub(super) fn find(shape: &Shape<'_>, found: Found<'_>) {
    for edge in shape.calls.edge_references() {
        let (from, to, call) = (edge.source(), edge.target(), *edge.weight());
        unusable(shape.system, from, to, call).into_iter().for_each(&mut *found);
        if !call.optional {
            inverted(shape, from, to, call).into_iter().for_each(&mut *found);
        }
    }
}

/// T of the callee's own calls against p of the caller's attempt.
fn inverted(shape: &Shape<'_>, from: Node, to: Node, call: &Call) -> Option<Finding> {
    let system = shape.system;
    let attempt = call.one_attempt()?;
    let known = || shape.needs(to).filter_map(|(next, call)| Some((next, call.whole()?)));
    // The first by name among the slowest.
    let (slowest, longest) = known().max_by_key(|(next, whole)| (*whole, std::cmp::Reverse(*next)))?;
    let sum = known().fold(0_u64, |sum, (_, whole)| sum.saturating_add(whole));
    let [caller, callee] = [from, to].map(|node| system.name(node));
    if attempt < longest {
        let message = format!(
            "{caller} waits {} for {callee}, which itself may wait {} for {}",
            time(attempt),
            time(longest),
            system.name(slowest)
        );
        let path = system.keys([from, to, slowest]);
        let numbers = [("attemptMilliseconds", attempt), ("calleeMilliseconds", longest)];
        return Some(Finding::new(Kind::TimeoutInversion, path, message).with(numbers));
    }
    if attempt < sum {
        let message = format!(
            "{caller} waits {} for {callee}, whose calls may take {} one after another",
            time(attempt),
            time(sum)
        );
        let path = system.keys([from, to]);
        let numbers = [("attemptMilliseconds", attempt), ("calleeMilliseconds", sum)];
        return Some(Finding::new(Kind::TimeoutInversionPossible, path, message).with(numbers));
    }
    None
}

fn unusable(system: &System, from: Node, to: Node, call: &Call) -> Option<Finding> {
    let (timeout, each) = (call.timeout?, call.per_try?);
    let wanted = each.saturating_mul(call.attempts);
    if timeout >= wanted {
        return None;
    }
    let message = format!(
        "{} gives {} {} in all, and {} attempts of {} take {}",
        system.name(from),
        system.name(to),
        time(timeout),
        call.attempts,
        time(each),
        time(wanted)
    );
    let numbers = [("timeoutMilliseconds", timeout), ("attemptsMilliseconds", wanted)];
    Some(Finding::new(Kind::RetryBudgetUnusable, system.keys([from, to]), message).with(numbers))
}
