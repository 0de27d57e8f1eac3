//! Promises that cannot be kept, because what is needed promises less.

use std::collections::BTreeMap;

use super::{Found, Shape};
use crate::graph::finding::{Finding, Kind};
use crate::graph::system::{Node, System};

const MILLION: f64 = 1_000_000.0;

/// Which services a component needs, by position among the services; a bit each.
type Needs = fixedbitset::FixedBitSet;

pub(super) fn find(shape: &Shape<'_>, found: Found<'_>) {
    let (system, components) = (shape.system, &shape.required);
    let promises: Vec<f64> =
        system.services().iter().map(|service| f64::from(service.objective) / MILLION).collect();
    let count = promises.len();
    let mut below: BTreeMap<usize, Needs> = BTreeMap::new();
    for (at, members) in components.list.iter().enumerate().rev() {
        let mut needs = Needs::with_capacity(count);
        for member in members {
            needs.insert(member.index());
            for (callee, _) in shape.needs(*member) {
                // Its own component is not below it, and adds nothing.
                below.get(&components.of(callee)).into_iter().for_each(|next| needs.union_with(next));
            }
        }
        let below_promise = |member: &Node| ceiling(system, *member, &needs, &promises);
        members.iter().filter_map(below_promise).for_each(&mut *found);
        below.insert(at, needs);
    }
}

/// The service itself is not counted: its own failures are what its promise leaves room for.
fn ceiling(system: &System, node: Node, needs: &Needs, promises: &[f64]) -> Option<Finding> {
    let service = system.service(node)?;
    let others = needs.ones().filter(|other| *other != node.index());
    let product: f64 = others.filter_map(|other| promises.get(other)).product();
    let own = f64::from(service.objective) / MILLION;
    if product >= own {
        return None;
    }
    // It is among those that its component needs.
    let count = needs.count_ones(..).saturating_sub(1) as u64;
    let message = format!(
        "{} is held to {:.3} % availability, and the {count} services that it needs allow {:.3} % at most",
        system.name(node),
        own * 100.0,
        product * 100.0
    );
    // Whom it needs is not listed: in a large system that would be nearly everybody, for nearly everybody.
    let finding = Finding::new(Kind::AvailabilityCeiling, vec![service.key.clone()], message);
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and a million")]
    let ceiling = (product * MILLION).round() as u64;
    Some(finding.with([
        ("objectiveMillionths", u64::from(service.objective)),
        ("ceilingMillionths", ceiling),
        ("needed", count),
    ]))
}
