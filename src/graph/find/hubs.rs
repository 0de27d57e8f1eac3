//! Services that very many call.

use std::collections::BTreeSet;

use petgraph::Direction;

use crate::graph::finding::{Finding, Kind, Limits};
use crate::graph::system::System;

pub(super) fn findings(system: &System, limits: &Limits) -> Vec<Finding> {
    let all = system.services().len() as u64;
    // Rounded up: a quarter of 41 is more than 10.
    let share = all.saturating_mul(limits.hub_share).div_ceil(100);
    let least = limits.hub.max(share);
    let graph = system.graph();
    let mut found = Vec::new();
    for node in graph.node_indices() {
        let callers: BTreeSet<_> = graph.neighbors_directed(node, Direction::Incoming).collect();
        let count = callers.len() as u64;
        if count < least {
            continue;
        }
        let message = format!("{count} of {all} services call {}", system.name(node));
        let finding = Finding::new(Kind::FanInHub, system.keys([node]), message);
        let mut services = system.keys(callers.into_iter().chain([node]));
        services.sort();
        found.push(Finding { services, ..finding.with([("callers", count), ("services", all)]) });
    }
    found
}
