//! Calls: what needs the namespace, which rules of the schema do not see, and again what would be left out
//! in silence.

use std::collections::BTreeSet;

use super::{Inputs, Violations, network, quoted};
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
    if let Some(cidr) = line.external.as_ref().and_then(|external| external.cidr.as_ref()) {
        network::range(&format!("{field}.external.cidr"), cidr, found);
    }
    if let Some(workload) = &line.workload {
        network::labels(&format!("{field}.workload.podSelector"), &workload.pod_selector, found);
    }
}
