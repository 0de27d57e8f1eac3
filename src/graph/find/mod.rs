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
use petgraph::Direction;
use petgraph::visit::EdgeRef;

use super::finding::Finding;
use super::model::Call;
use super::policy::{Policies, Policy};
use super::system::{Calls, Node, System};

/// What several definitions look at.
struct Shape<'s> {
    system: &'s System,
    policies: &'s Policies,
    calls: Calls<'s>,
    /// One step along any call.
    steps: Steps,
    /// Circles of calls, and what is none.
    circles: Components,
    /// The same over the calls that nobody can do without.
    required: Components,
}

impl<'s> Shape<'s> {
    fn of(system: &'s System, policies: &'s Policies) -> Self {
        let calls = system.calls();
        let required = calls.filter_map(|_, ()| Some(()), |_, call| (!call.optional).then_some(()));
        Self {
            system,
            policies,
            steps: cycles::steps(&calls),
            circles: Components::new(&calls),
            required: Components::new(&required),
            calls,
        }
    }

    /// Calls out of a service that it needs, with who is called.
    fn needs(&self, node: Node) -> impl Iterator<Item = (Node, &'s Call)> {
        let edges = self.calls.edges_directed(node, Direction::Outgoing);
        edges.map(|edge| (edge.target(), *edge.weight())).filter(|(_, call)| !call.optional)
    }

    /// What a service is judged by.
    fn policy(&self, node: Node) -> Option<&Policy> {
        self.system.service(node).map(|service| self.policies.of(&service.key))
    }
}

/// Everything that is found, the worst first, then by kind and by name.
pub fn findings(system: &System, policies: &Policies) -> Vec<Finding> {
    let mut all = Vec::new();
    each_finding(system, policies, |finding| all.push(finding));
    all.sort_by(|a, b| a.rank().cmp(&b.rank()));
    all
}

/// Tells everything that is found, one by one and in any order: of a large system that is much, and need not be
/// held at one time.
pub fn each_finding(system: &System, policies: &Policies, mut told: impl FnMut(Finding)) {
    let shape = Shape::of(system, policies);
    let mut found = |finding: Finding| {
        let policy = finding.judged().map(|key| policies.of(key));
        if let Some(severity) = policy.and_then(|policy| policy.severity(finding.kind, finding.severity)) {
            told(Finding { severity, ..finding });
        }
    };
    calls::find(&shape, &mut found);
    cycles::find(&shape, &mut found);
    timeouts::find(&shape, &mut found);
    retries::find(&shape, &mut found);
    chains::find(&shape, &mut found);
    availability::find(&shape, &mut found);
    hubs::find(&shape, &mut found);
    shared::find(&shape, &mut found);
}

/// Takes what a definition finds.
type Found<'f> = &'f mut dyn FnMut(Finding);
