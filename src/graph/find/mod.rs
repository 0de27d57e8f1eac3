//! All findings of a system.

mod availability;
mod calls;
mod chains;
mod components;
mod cycles;
mod hubs;
mod retries;
mod shared;
mod timeouts;

use components::Components;
use cycles::Steps;

use super::finding::{Finding, Policy};
use super::system::System;

/// What several definitions look at.
struct Shape<'s> {
    system: &'s System,
    /// One step along any call.
    steps: Steps,
    /// Circles of calls, and what is none.
    circles: Components,
    /// The same over the calls that nobody can do without.
    required: Components,
}

impl<'s> Shape<'s> {
    fn of(system: &'s System) -> Self {
        Self {
            system,
            steps: cycles::steps(system.graph()),
            circles: Components::new(system.graph()),
            required: Components::new(&system.required()),
        }
    }
}

/// Everything that is found, the worst first, then by kind and by name.
pub fn findings(system: &System, policy: &Policy) -> Vec<Finding> {
    let limits = &policy.limits;
    let shape = Shape::of(system);
    let mut found = calls::findings(system);
    found.extend(cycles::findings(&shape));
    found.extend(timeouts::findings(system));
    found.extend(retries::findings(&shape, limits));
    found.extend(chains::findings(&shape, limits));
    found.extend(availability::findings(&shape));
    found.extend(hubs::findings(system, limits));
    found.extend(shared::findings(system));
    let mut told: Vec<Finding> = found
        .into_iter()
        .filter_map(|finding| {
            let severity = policy.severity(finding.kind, finding.severity)?;
            Some(Finding { severity, ..finding })
        })
        .collect();
    let rank = |finding: &Finding| (std::cmp::Reverse(finding.severity), finding.kind);
    told.sort_by(|a, b| (rank(a), &a.path, &a.message).cmp(&(rank(b), &b.path, &b.message)));
    told
}
