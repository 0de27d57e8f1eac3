//! Services that very many call.

use std::collections::BTreeSet;

use petgraph::Direction;

use super::{Found, Shape};
use crate::graph::finding::{Finding, Kind};
use crate::graph::policy::Policy;

pub(super) fn find(shape: &Shape<'_>, found: Found<'_>) {
    let system = shape.system;
    let all = system.services().len() as u64;
    for node in shape.calls.node_indices() {
        let Some(Policy { limits, .. }) = shape.policy(node) else { continue };
        // Rounded up: a quarter of 41 is more than 10.
        let share = all.saturating_mul(limits.hub_share).div_ceil(100);
        let callers: BTreeSet<_> = shape.calls.neighbors_directed(node, Direction::Incoming).collect();
        let count = callers.len() as u64;
        if count < limits.hub.max(share) {
            continue;
        }
        let message = format!("{count} of {all} services call {}", system.name(node));
        let finding = Finding::new(Kind::FanInHub, system.keys([node]), message);
        let mut services = system.keys(callers.into_iter().chain([node]));
        services.sort();
        found(Finding { services, ..finding.with([("callers", count), ("services", all)]) });
    }
}
