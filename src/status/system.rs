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
}

/// Findings on the way to a report. They come in any order, and only those are kept that it will name.
#[derive(Debug, Default)]
pub struct Tally {
    counts: BTreeMap<(Reverse<Severity>, Kind), i32>,
    worst: Vec<Finding>,
}

impl Tally {
    /// One more.
    pub fn add(&mut self, finding: Finding) {
        *self.counts.entry((Reverse(finding.severity), finding.kind)).or_default() += 1;
        let place = self.worst.partition_point(|known| known.rank() <= finding.rank());
        if place < NAMED {
            self.worst.truncate(NAMED - 1);
            self.worst.insert(place, finding);
        }
    }
}

impl From<Tally> for Report {
    fn from(Tally { counts, worst }: Tally) -> Self {
        let counts = counts.into_iter().map(|((Reverse(severity), kind), count)| FindingCount {
            kind: kind.as_str().to_owned(),
            severity: severity.as_str().to_owned(),
            count,
        });
        let worst = worst.iter().map(|finding| FindingStatus {
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
        let mut tally = Tally::default();
        std::iter::repeat_n(silent, 40).chain([cycle]).for_each(|finding| tally.add(finding));
        let report = Report::from(tally);
        let counts: Vec<(&str, &str, i32)> =
            report.counts.iter().map(|c| (c.kind.as_str(), c.severity.as_str(), c.count)).collect();
        assert_eq!(counts, [("Cycle", "error", 1), ("NoTimeout", "info", 40)]);
        assert_eq!(report.worst.len(), NAMED);
        let first = report.worst.first().unwrap();
        assert_eq!((first.kind.as_str(), first.services.len()), ("Cycle", SERVICES));
        assert!(first.message.len() <= QUOTE_BYTES && first.message.ends_with('…'));
        assert_eq!(Report::from(Tally::default()), Report::default());
    }
}
