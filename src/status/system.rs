//! What is found in the system, as the status of a class tells it: how much of what, and the worst.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::text::{QUOTE_BYTES, cut};
use crate::api::class::{FindingCount, FindingStatus, MicroserviceClassStatus};
use crate::graph::{Finding, Kind, Severity};

/// Most findings that are told one by one.
const NAMED: usize = 10;
/// Most services that one of them names.
const SERVICES: usize = 8;

/// What is found under one class.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// How much of what, the worst first.
    pub counts: Vec<FindingCount>,
    /// The worst, at most ten.
    pub worst: Vec<FindingStatus>,
}

impl Report {
    /// What a class has told so far.
    pub fn told(status: &MicroserviceClassStatus) -> Self {
        Self { counts: status.findings.clone(), worst: status.worst_findings.clone() }
    }

    /// Of findings in their order, the worst first.
    pub fn of(found: &[&Finding]) -> Self {
        let mut counts: BTreeMap<(Reverse<Severity>, Kind), i32> = BTreeMap::new();
        for finding in found {
            *counts.entry((Reverse(finding.severity), finding.kind)).or_default() += 1;
        }
        let counts = counts.into_iter().map(|((Reverse(severity), kind), count)| FindingCount {
            kind: kind.as_str().to_owned(),
            severity: severity.as_str().to_owned(),
            count,
        });
        let worst = found.iter().take(NAMED).map(|finding| FindingStatus {
            kind: finding.kind.as_str().to_owned(),
            severity: finding.severity.as_str().to_owned(),
            services: finding.services.iter().take(SERVICES).map(ToString::to_string).collect(),
            message: cut(&finding.message, QUOTE_BYTES),
        });
        Self { counts: counts.collect(), worst: worst.collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Key;

    fn finding(kind: Kind, severity: Severity, message: &str) -> Finding {
        let services: Vec<Key> = (0..9).map(|n| Key::new("shop", format!("s{n}"))).collect();
        Finding {
            kind,
            severity,
            path: services.clone(),
            services,
            numbers: Vec::new(),
            message: message.into(),
        }
    }

    #[test]
    fn everything_is_counted_and_only_the_worst_is_named() {
        let cycle = finding(Kind::Cycle, Severity::Error, &"long ".repeat(100));
        let silent = finding(Kind::NoTimeout, Severity::Info, "no timeout");
        let all: Vec<&Finding> = std::iter::once(&cycle).chain(std::iter::repeat_n(&silent, 40)).collect();
        let report = Report::of(&all);
        let counts: Vec<(&str, &str, i32)> =
            report.counts.iter().map(|c| (c.kind.as_str(), c.severity.as_str(), c.count)).collect();
        assert_eq!(counts, [("Cycle", "error", 1), ("NoTimeout", "info", 40)]);
        assert_eq!(report.worst.len(), NAMED);
        let first = report.worst.first().unwrap();
        assert_eq!((first.kind.as_str(), first.services.len()), ("Cycle", SERVICES));
        assert!(first.message.len() <= QUOTE_BYTES && first.message.ends_with('…'));
        assert_eq!(Report::of(&[]), Report::default());
    }
}
