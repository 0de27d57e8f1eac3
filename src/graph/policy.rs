//! From where on something counts, and how bad it is: of each service as its class has it.

use std::collections::BTreeMap;

use super::finding::{Kind, Severity};
use super::model::Key;
use crate::api::MicroserviceClass;
use crate::api::graph::{ClassGraph, FindingSeverity, GraphLimits};

/// From where on a number counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Longest chain that is nothing to tell, calls.
    pub chain: u64,
    /// Attempts that one request may become.
    pub amplification: u64,
    /// The same, as an error.
    pub amplification_error: u64,
    /// Fewest callers of a hub.
    pub hub: u64,
    /// Fewest callers of a hub, percent of all services.
    pub hub_share: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { chain: 3, amplification: 10, amplification_error: 27, hub: 10, hub_share: 25 }
    }
}

impl From<&GraphLimits> for Limits {
    fn from(given: &GraphLimits) -> Self {
        let usual = Self::default();
        let or = |given: Option<u32>, usual| given.map_or(usual, u64::from);
        Self {
            chain: or(given.chain, usual.chain),
            amplification: or(given.amplification, usual.amplification),
            amplification_error: or(given.amplification_error, usual.amplification_error),
            hub: or(given.hub, usual.hub),
            hub_share: or(given.hub_share, usual.hub_share),
        }
    }
}

/// What is told, and as how bad.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// From where on numbers count.
    pub limits: Limits,
    /// Other severities than the usual; `None` = it is not told.
    pub severities: BTreeMap<Kind, Option<Severity>>,
}

impl Policy {
    /// The policy of a class.
    pub fn of(class: Option<&MicroserviceClass>) -> Self {
        class.and_then(|class| class.spec.graph.as_ref()).map(Self::from).unwrap_or_default()
    }

    /// As how bad a finding is told that is so bad by itself; `None` = not at all.
    pub fn severity(&self, kind: Kind, own: Severity) -> Option<Severity> {
        self.severities.get(&kind).copied().unwrap_or(Some(own))
    }
}

/// Kinds that do not exist are left out; the schema refuses them.
impl From<&ClassGraph> for Policy {
    fn from(given: &ClassGraph) -> Self {
        let severities = given.severities.iter().flatten();
        let severity = |given: FindingSeverity| match given {
            FindingSeverity::Error => Some(Severity::Error),
            FindingSeverity::Warning => Some(Severity::Warning),
            FindingSeverity::Info => Some(Severity::Info),
            FindingSeverity::Off => None,
        };
        Self {
            limits: given.limits.as_ref().map(Limits::from).unwrap_or_default(),
            severities: severities
                .filter_map(|(kind, given)| Some((Kind::parse(kind)?, severity(*given))))
                .collect(),
        }
    }
}

/// The policy of each service. Those that nothing is said of have the usual one.
#[derive(Clone, Debug, Default)]
pub struct Policies {
    usual: Policy,
    /// All others, each once.
    others: Vec<Policy>,
    /// Which of them a service has.
    of: BTreeMap<Key, usize>,
}

/// One for all services.
impl From<Policy> for Policies {
    fn from(usual: Policy) -> Self {
        Self { usual, ..Self::default() }
    }
}

impl Policies {
    /// Gives a service the policy of its class.
    pub fn put(&mut self, service: Key, class: Option<&MicroserviceClass>) {
        self.set(service, Policy::of(class));
    }

    /// Gives a service a policy.
    pub fn set(&mut self, service: Key, policy: Policy) {
        if policy == self.usual {
            self.of.remove(&service);
            return;
        }
        let known = self.others.iter().position(|known| *known == policy);
        let at = known.unwrap_or_else(|| {
            self.others.push(policy);
            self.others.len() - 1
        });
        self.of.insert(service, at);
    }

    /// All policies, each once.
    pub(super) fn all(&self) -> impl Iterator<Item = &Policy> {
        std::iter::once(&self.usual).chain(&self.others)
    }

    /// The policy of a service.
    pub fn of(&self, service: &Key) -> &Policy {
        self.of.get(service).and_then(|at| self.others.get(*at)).unwrap_or(&self.usual)
    }
}
