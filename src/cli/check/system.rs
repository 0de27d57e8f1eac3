//! What the given services are together: the findings of the graph, at the lines that make its edges.

use std::collections::BTreeMap;

use super::{Checked, Finding};
use crate::graph::{self, Key, Kind, Policies, Service, System};

/// All findings, but those of a service that is not given, which may be in the cluster, and of topics with two
/// owners, which are told at each of them.
pub(super) fn findings(services: &[Checked<'_>], policies: &Policies) -> Vec<Finding> {
    let system = System::new(services.iter().map(|service| Service::from(&service.intent)));
    let by_key: BTreeMap<Key, &Checked<'_>> =
        services.iter().map(|service| (Key::of(&service.object), service)).collect();
    let told = |found: &graph::Finding| !matches!(found.kind, Kind::MissingPeer | Kind::SharedTopicOwner);
    let found = graph::findings(&system, policies).into_iter().filter(told);
    found.filter_map(|found| finding(&by_key, &found)).collect()
}

fn finding(services: &BTreeMap<Key, &Checked<'_>>, found: &graph::Finding) -> Option<Finding> {
    let message = format!("{}. {} {}", found.message, found.kind.why(), found.kind.cure());
    let (service, field) = place(services, found)?;
    Some(service.document.told(found.kind.into(), found.severity, field, message))
}

/// The service and the field at which it is told: the first call of the path where there is one.
fn place<'c>(
    services: &BTreeMap<Key, &'c Checked<'c>>,
    found: &graph::Finding,
) -> Option<(&'c Checked<'c>, String)> {
    let first = *services.get(found.path.first()?)?;
    match found.kind {
        Kind::SharedDatabase => return Some((first, "spec.secrets".to_owned())),
        Kind::AvailabilityCeiling => return Some((first, "spec.calls".to_owned())),
        _ => {}
    }
    let line = |from: &Key, to: &Key| {
        let service = *services.get(from)?;
        let line = service.intent.calls.iter().position(|call| call.callee() == Some(to))?;
        Some((service, format!("spec.calls[{line}]")))
    };
    let pairs = found.path.iter().zip(found.path.iter().skip(1));
    let mut lines = pairs.filter_map(|(from, to)| line(from, to));
    Some(lines.next().unwrap_or_else(|| (first, String::new())))
}
