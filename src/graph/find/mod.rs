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

use super::finding::Finding;
use super::policy::{Policies, Policy};
use super::system::{Node, System};

/// What several definitions look at.
struct Shape<'s> {
    system: &'s System,
    policies: &'s Policies,
    /// One step along any call.
    steps: Steps,
    /// Circles of calls, and what is none.
    circles: Components,
    /// The same over the calls that nobody can do without.
    required: Components,
}

impl<'s> Shape<'s> {
    fn of(system: &'s System, policies: &'s Policies) -> Self {
        Self {
            system,
            policies,
            steps: cycles::steps(system.graph()),
            circles: Components::new(system.graph()),
            required: Components::new(&system.required()),
        }
    }

    /// What a service is judged by.
    fn policy(&self, node: Node) -> Option<&Policy> {
        self.system.service(node).map(|service| self.policies.of(&service.key))
    }
}

/// Everything that is found, the worst first, then by kind and by name.
pub fn findings(system: &System, policies: &Policies) -> Vec<Finding> {
    let shape = Shape::of(system, policies);
    let mut found = calls::findings(system);
    found.extend(cycles::findings(&shape));
    found.extend(timeouts::findings(system));
    found.extend(retries::findings(&shape));
    found.extend(chains::findings(&shape));
    found.extend(availability::findings(&shape));
    found.extend(hubs::findings(&shape));
    found.extend(shared::findings(system));
    let mut told: Vec<Finding> = found
        .into_iter()
        .filter_map(|finding| {
            let policy = policies.of(finding.judged()?);
            let severity = policy.severity(finding.kind, finding.severity)?;
            Some(Finding { severity, ..finding })
        })
        .collect();
    let rank = |finding: &Finding| (std::cmp::Reverse(finding.severity), finding.kind);
    told.sort_by(|a, b| (rank(a), &a.path, &a.message).cmp(&(rank(b), &b.path, &b.message)));
    told
}
