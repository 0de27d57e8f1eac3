//! Calls: what needs the namespace, which rules of the schema do not see, and again what would be left out
//! in silence.

use core::net::IpAddr;
use std::collections::BTreeSet;

use super::{Inputs, Violations, quoted};
use crate::api::calls::Call as Line;
use crate::intent::calls::{Key, Target};
use crate::intent::resolve::calls::{milliseconds, prefix, target};

pub(super) fn check(inputs: &Inputs<'_>, found: &mut Violations) {
    let own = Key::new(inputs.namespace(), inputs.name());
    let (mut seen, mut prefixes) = (BTreeSet::new(), BTreeSet::new());
    for (i, line) in inputs.spec.calls.iter().flatten().enumerate() {
        let field = format!("spec.calls[{i}]");
        match target(line, inputs.namespace()) {
            None => found.invalid(&field, "a call needs exactly one of name, workload and external"),
            Some(Target::Service(key)) if key == own => {
                found.invalid(&field, "a service that calls itself waits for nobody else: remove the entry");
            }
            Some(Target::Service(key)) => {
                if !prefixes.insert(prefix(line, &key)) {
                    let message =
                        "two calls give the same names to the environment: set envPrefix in one of them";
                    found.invalid(format!("{field}.envPrefix"), message);
                }
                if !seen.insert(key.clone()) {
                    found.invalid(&field, format!("{key} is called twice: remove one of the entries"));
                }
            }
            Some(Target::Workload(_) | Target::External(_)) => {}
        }
        times(&field, line, found);
        addresses(&field, line, found);
    }
}

fn times(field: &str, line: &Line, found: &mut Violations) {
    let each = line.retries.as_ref().and_then(|retries| retries.per_try_timeout.as_ref());
    for (name, text) in [("timeout", line.timeout.as_ref()), ("retries.perTryTimeout", each)] {
        if let Some(text) = text.filter(|text| milliseconds(text).is_none()) {
            let message =
                format!("{} is no time to wait: write a duration such as 5s or 1500ms", quoted(text));
            found.invalid(format!("{field}.{name}"), message);
        }
    }
}

fn addresses(field: &str, line: &Line, found: &mut Violations) {
    let cidr = line.external.as_ref().and_then(|external| external.cidr.as_ref());
    if let Some(cidr) = cidr.filter(|cidr| !is_range(cidr)) {
        let message = format!("{} is no range of addresses: write one such as 192.0.2.0/24", quoted(cidr));
        found.invalid(format!("{field}.external.cidr"), message);
    }
}

fn is_range(cidr: &str) -> bool {
    let parsed = cidr
        .split_once('/')
        .and_then(|(address, length)| Some((address.parse::<IpAddr>().ok()?, length.parse::<u8>().ok()?)));
    match parsed {
        Some((IpAddr::V4(_), length)) => length <= 32,
        Some((IpAddr::V6(_), length)) => length <= 128,
        None => false,
    }
}
