//! Who stands in network policies: a policy that the API server refuses would leave the pods open, so each
//! range and each label is judged before anything is written.

use core::net::IpAddr;

use super::{Inputs, Violations, entry, label_value, quoted};
use crate::api::calls::Labelled;
use crate::api::names;
use crate::api::network::{ClassNetwork, NetworkPeer, PolicyMode};
use crate::intent::resolve::network::mode;

/// The peers that the class gives to every service, and the pods that may call this one.
pub(super) fn check(inputs: &Inputs<'_>, found: &mut Violations) {
    if mode(inputs) == PolicyMode::Enforce {
        of_class(inputs, found);
    }
    for (i, caller) in inputs.spec.callers.iter().flatten().enumerate() {
        let selectors =
            [("namespaceSelector", &caller.namespace_selector), ("podSelector", &caller.pod_selector)];
        for (leaf, selector) in selectors {
            if let Some(selector) = selector {
                labels(&format!("spec.callers[{i}].{leaf}"), selector, found);
            }
        }
    }
}

fn of_class(inputs: &Inputs<'_>, found: &mut Violations) {
    let mut wrong = Violations::default();
    for (field, peer) in inputs.network.into_iter().flat_map(peers) {
        if let Some(cidr) = &peer.cidr {
            range(&format!("{field}.cidr"), cidr, &mut wrong);
        }
        if let Some(pods) = &peer.pod_selector {
            labels(&format!("{field}.podSelector"), pods, &mut wrong);
        }
    }
    for violation in wrong.0 {
        let message = match inputs.class_name {
            Some(class) => format!("{}; the field is of MicroserviceClass {class:?}", violation.message),
            None => violation.message,
        };
        found.invalid(violation.field, message);
    }
}

fn peers(network: &ClassNetwork) -> impl Iterator<Item = (String, &NetworkPeer)> {
    let gateways = listed("gateways", network.gateways.iter().flatten());
    let monitoring = listed("monitoring", network.monitoring.iter().flatten());
    let dns = listed("dns", network.dns.iter().flatten().map(|server| &server.peer));
    let others = listed("infrastructure", network.infrastructure.iter().flatten().map(|one| &one.to));
    let others = others.map(|(field, peer)| (format!("{field}.to"), peer));
    gateways.chain(monitoring).chain(dns).chain(others)
}

fn listed<'a>(
    list: &'static str,
    peers: impl Iterator<Item = &'a NetworkPeer>,
) -> impl Iterator<Item = (String, &'a NetworkPeer)> {
    peers.enumerate().map(move |(i, peer)| (format!("spec.network.{list}[{i}]"), peer))
}

/// What the API server takes for a range: some versions refuse one with bits behind its length, all later
/// ones will.
pub(super) fn range(field: &str, cidr: &str, found: &mut Violations) {
    match names::range(cidr) {
        None => found.invalid(
            field,
            format!("{} is no range of addresses: write one such as 192.0.2.0/24", quoted(cidr)),
        ),
        Some((address, length)) if first(address, length) != address => found.invalid(
            field,
            format!(
                "{} does not begin with the first address of the range: write {}/{length}, or a longer prefix",
                quoted(cidr),
                first(address, length)
            ),
        ),
        Some(_) => {}
    }
}

/// The labels of a selector.
pub(super) fn labels(field: &str, selector: &Labelled, found: &mut Violations) {
    for (key, value) in &selector.match_labels {
        let at = entry(&format!("{field}.matchLabels"), key);
        if !names::is_label_key(key) {
            let message =
                format!("{} is no label: use a name with an optional DNS prefix and '/'", quoted(key));
            found.invalid(at, message);
        } else {
            label_value(at, value, found);
        }
    }
}

/// The first address of a range that holds this one.
fn first(address: IpAddr, length: u8) -> IpAddr {
    let length = u32::from(length);
    match address {
        IpAddr::V4(v4) => {
            let mask = u32::MAX.checked_shl(32_u32.saturating_sub(length)).unwrap_or(0);
            IpAddr::V4((v4.to_bits() & mask).into())
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX.checked_shl(128_u32.saturating_sub(length)).unwrap_or(0);
            IpAddr::V6((v6.to_bits() & mask).into())
        }
    }
}
