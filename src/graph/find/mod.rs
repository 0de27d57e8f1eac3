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

use super::finding::{Finding, Policy};
use super::system::System;

/// Everything that is found, the worst first, then by kind and by name.
pub fn findings(system: &System, policy: &Policy) -> Vec<Finding> {
    let limits = &policy.limits;
    let mut found = calls::findings(system);
    found.extend(cycles::findings(system));
    found.extend(timeouts::findings(system));
    found.extend(retries::findings(system, limits));
    found.extend(chains::findings(system, limits));
    found.extend(availability::findings(system));
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
