//! Calls that cannot work: nobody there, no such port, no consent; and those without a timeout.

use super::{Found, Shape};
use crate::graph::finding::{Finding, Kind};
use crate::graph::model::{Call, Key, Service};
use crate::graph::system::{Grant, System};

pub(super) fn find(shape: &Shape<'_>, found: Found<'_>) {
    let system = shape.system;
    for (caller, callee, call, grant) in system.declared() {
        impossible(system, caller, callee, call, grant).into_iter().for_each(&mut *found);
        if !call.optional && call.whole().is_none() {
            let message = format!("{} waits for {callee} without a timeout", caller.key);
            found(Finding::new(Kind::NoTimeout, path(caller, callee), message));
        }
    }
}

fn path(caller: &Service, callee: &Key) -> Vec<Key> {
    vec![caller.key.clone(), callee.clone()]
}

fn impossible(system: &System, caller: &Service, callee: &Key, call: &Call, grant: Grant) -> Option<Finding> {
    let from = &caller.key;
    let kind = grant.kind()?;
    let message = match kind {
        Kind::UnknownPort => {
            let port = call.port.as_ref().map_or_else(|| "a port".to_owned(), |port| format!("port {port}"));
            format!("{from} calls {callee} on {port}, and that has {}", ports(system.get(callee)))
        }
        Kind::PendingConsent => format!("{from} calls {callee}, whose callers do not name it"),
        _ => format!("{from} calls {callee}, which does not exist"),
    };
    Some(Finding::new(kind, path(caller, callee), message))
}

fn ports(callee: Option<&Service>) -> String {
    let ports: Vec<String> = callee
        .iter()
        .flat_map(|callee| &callee.ports)
        .map(|(name, number)| format!("{name} ({number})"))
        .collect();
    if ports.is_empty() { "no port at all".to_owned() } else { ports.join(", ") }
}
