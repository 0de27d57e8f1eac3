//! Status of a class.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::conditions::violation;
use super::facts::{Truth, Verdict};
use super::system::Report;
use crate::api::Reason;
use crate::api::class::MicroserviceClassStatus;
use crate::intent::Violation;

/// All that the status of a class is computed from.
#[derive(Clone, Debug)]
pub struct ClassInputs<'a> {
    /// Its name.
    pub name: &'a str,
    /// metadata.generation
    pub generation: Option<i64>,
    /// Its previous status.
    pub previous: Option<&'a MicroserviceClassStatus>,
    /// Rules that its spec breaks.
    pub violations: &'a [Violation],
    /// Names of all classes that are marked as default, the oldest first; that one is the default.
    pub marked: &'a [String],
    /// Number of Microservices that use it.
    pub services: i32,
    /// What is found in the system under it; `None` = it is not known yet, what was told stands.
    pub report: Option<Report>,
    /// Now.
    pub now: Time,
}

/// The status that describes the class: Accepted, Default with the reason why it is not, and Stalled,
/// by which kstatus sees a class that is not valid.
pub fn class_status(inputs: &ClassInputs<'_>) -> MicroserviceClassStatus {
    let accepted = if inputs.violations.is_empty() {
        Verdict::new(Truth::True, Reason::Accepted, "The class is valid.")
    } else {
        violation(inputs.violations)
    };
    let previous = inputs.previous.map_or(&[][..], |status| &status.conditions);
    let condition =
        |type_, verdict: Verdict| verdict.into_condition(type_, inputs.generation, previous, &inputs.now);
    let stalled = (!inputs.violations.is_empty()).then(|| Verdict { truth: Truth::True, ..accepted.clone() });
    let conditions = [
        Some(condition("Accepted", accepted)),
        Some(condition("Default", default(inputs))),
        stalled.map(|verdict| condition("Stalled", verdict)),
    ];
    let report = inputs.report.clone().or_else(|| inputs.previous.map(Report::told)).unwrap_or_default();
    MicroserviceClassStatus {
        observed_generation: inputs.generation,
        services: Some(inputs.services),
        findings: report.counts,
        worst_findings: report.worst,
        conditions: conditions.into_iter().flatten().collect(),
    }
}

fn default(inputs: &ClassInputs<'_>) -> Verdict {
    let is_marked = inputs.marked.iter().any(|name| name == inputs.name);
    match inputs.marked {
        [only] if only == inputs.name => {
            Verdict::new(Truth::True, Reason::Default, "Services that name no class use this one.")
        }
        [oldest, next, ..] if oldest == inputs.name => {
            let message = format!(
                "Services that name no class use this one, the oldest of {} classes marked as default; remove \
                 the mark of class \"{next}\".",
                inputs.marked.len()
            );
            Verdict::new(Truth::True, Reason::Default, message)
        }
        [oldest, ..] if is_marked => {
            let message = format!(
                "Class \"{oldest}\" is marked as default too and is older; remove the mark of one of them."
            );
            Verdict::new(Truth::False, Reason::OlderDefaultExists, message)
        }
        _ => {
            let message = "This class is not marked as default; services use it by name.";
            Verdict::new(Truth::False, Reason::NotDefault, message)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::samples;

    fn status(marked: &[&str], violations: &[Violation]) -> MicroserviceClassStatus {
        let marked: Vec<String> = marked.iter().map(|name| (*name).to_owned()).collect();
        class_status(&ClassInputs {
            name: "web",
            generation: Some(4),
            previous: None,
            violations,
            marked: &marked,
            services: 7,
            report: None,
            now: samples::time(1),
        })
    }

    #[test]
    fn the_oldest_marked_class_is_the_default_and_both_say_so() {
        let cases = [
            (vec![], "False", "NotDefault", "not marked"),
            (vec!["other"], "False", "NotDefault", "not marked"),
            (vec!["web"], "True", "Default", "use this one"),
            (vec!["web", "other"], "True", "Default", "\"other\""),
            (vec!["other", "web"], "False", "OlderDefaultExists", "\"other\""),
        ];
        for (marked, truth, reason, part) in cases {
            let status = status(&marked, &[]);
            let condition = &status.conditions[1];
            assert_eq!((condition.status.as_str(), condition.reason.as_str()), (truth, reason), "{marked:?}");
            assert!(condition.message.contains(part), "{}", condition.message);
            assert_eq!(condition.observed_generation, Some(4));
            assert_eq!((status.observed_generation, status.services), (Some(4), Some(7)));
        }
    }

    #[test]
    fn an_invalid_class_is_not_accepted() {
        let violations = [samples::violation(Reason::InvalidSpec)];
        let status = status(&[], &violations);
        assert_eq!(status.conditions[0].status, "False");
        assert_eq!(status.conditions[0].reason, "InvalidSpec");
        let stalled = status.conditions.iter().find(|condition| condition.type_ == "Stalled").unwrap();
        assert_eq!((stalled.status.as_str(), &stalled.message), ("True", &status.conditions[0].message));
        let documented = |type_: &str| crate::api::conditions::CLASS.iter().any(|(known, _)| *known == type_);
        assert!(status.conditions.iter().all(|condition| documented(&condition.type_)));
    }
}
