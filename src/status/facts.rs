//! What a status is computed from, and what all sections of it ask of that.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::text;
use super::views::{ChildOutcome, DeploymentView, PodView, Problem};
use crate::api::status::{ReferenceStatus, SecretStatus};
use crate::api::{Microservice, MicroserviceStatus, Reason};
use crate::intent::neighbours::View;
use crate::intent::{Intent, Scaling, Violation};
use crate::kafka::view::{AccessView, TopicView};

/// All that a status is computed from.
#[derive(Clone, Debug)]
pub struct Inputs<'a> {
    /// The object with its previous status.
    pub object: &'a Microservice,
    /// The resolved intent, or why there is none.
    pub intent: Result<&'a Intent, &'a [Violation]>,
    /// Digest of the planned pod template.
    pub template_hash: Option<&'a str>,
    /// What became of the children; `None` while the children of this generation are being written.
    pub outcome: Option<&'a [ChildOutcome]>,
    /// Something that keeps the pass from applying anything: `WaitingForTurn`, `WaitingForDeletion`,
    /// `ApiUnavailable`, `Forbidden`.
    pub blocked: Option<&'a Problem>,
    /// The live Deployment, no older than this pass's own apply of it (the answer of the apply, when
    /// there was one): an older view could pass the pods of the old template off as those of the new.
    pub deployment: Option<&'a DeploymentView>,
    /// Pods that are not ready, at most 64.
    pub pods: &'a [PodView],
    /// Records of references for `status.references`.
    pub references: Vec<ReferenceStatus>,
    /// Records of generated Secrets for `status.secrets`.
    pub secrets: Vec<SecretStatus>,
    /// What is known of the declared topics; one that is not among them was not looked at yet.
    pub topics: &'a [TopicView],
    /// What is known of the login for Kafka; `None` = it was not looked at yet, or there is none.
    pub access: Option<&'a AccessView>,
    /// How the calls of the service stand, and who asks for its consent.
    pub neighbours: &'a View,
    /// Now.
    pub now: Time,
}

/// What kind of pass this was; the first that fits.
#[derive(Clone, Copy, Debug)]
pub(super) enum Pass<'a> {
    /// The spec is not valid: nothing was applied.
    Invalid(&'a [Violation]),
    /// Suspended: nothing was applied.
    Suspended(&'a Intent),
    /// Something else kept the pass from applying anything.
    Blocked(&'a Intent, &'a Problem),
    /// Nothing was applied yet.
    Pending(&'a Intent),
    /// Every child was looked after, with what result.
    Done(&'a Intent, &'a [ChildOutcome]),
}

/// Status of a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Truth {
    True,
    False,
    Unknown,
}

impl Truth {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}

/// A condition without its bookkeeping.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    pub truth: Truth,
    pub reason: Reason,
    pub message: String,
}

impl Verdict {
    pub(super) fn new(truth: Truth, reason: Reason, message: impl Into<String>) -> Self {
        Self { truth, reason, message: message.into() }
    }

    /// The condition: observed at this generation, in this state since the previous condition says so
    /// or since now.
    pub(super) fn into_condition(
        self,
        type_: &str,
        generation: Option<i64>,
        previous: &[Condition],
        now: &Time,
    ) -> Condition {
        let same = find(previous, type_).filter(|old| old.status == self.truth.as_str());
        Condition {
            type_: type_.to_owned(),
            status: self.truth.as_str().to_owned(),
            reason: self.reason.as_str().to_owned(),
            message: text::cut(&self.message, text::MESSAGE_BYTES),
            observed_generation: generation,
            last_transition_time: same.map_or_else(|| now.clone(), |old| old.last_transition_time.clone()),
        }
    }
}

/// The condition of this type.
pub(super) fn find<'c>(conditions: &'c [Condition], type_: &str) -> Option<&'c Condition> {
    conditions.iter().find(|condition| condition.type_ == type_)
}

/// The inputs, sorted out once.
pub(super) struct Facts<'a> {
    pub inputs: &'a Inputs<'a>,
    pub pass: Pass<'a>,
    pub name: &'a str,
    pub generation: Option<i64>,
    /// Absent in a new object.
    pub previous: Option<&'a MicroserviceStatus>,
    /// Problems of children, the worst first.
    pub problems: Vec<(&'a ChildOutcome, &'a Problem)>,
}

impl<'a> Facts<'a> {
    pub(super) fn new(inputs: &'a Inputs<'a>) -> Self {
        let object = inputs.object;
        let pass = match (inputs.intent, inputs.blocked, inputs.outcome) {
            (Err(violations), _, _) => Pass::Invalid(violations),
            (Ok(intent), _, _) if object.spec.suspend => Pass::Suspended(intent),
            (Ok(intent), Some(problem), _) => Pass::Blocked(intent, problem),
            (Ok(intent), None, None) => Pass::Pending(intent),
            (Ok(intent), None, Some(children)) => Pass::Done(intent, children),
        };
        let mut problems: Vec<_> = match pass {
            Pass::Done(_, children) => {
                children.iter().filter_map(|child| Some((child, child.problem.as_ref()?))).collect()
            }
            _ => Vec::new(),
        };
        problems.sort_by_key(|(_, problem)| severity(problem.reason));
        Self {
            inputs,
            pass,
            name: object.metadata.name.as_deref().unwrap_or_default(),
            generation: object.metadata.generation,
            previous: object.status.as_ref(),
            problems,
        }
    }

    pub(super) fn intent(&self) -> Option<&'a Intent> {
        self.inputs.intent.ok()
    }

    /// The previous conditions.
    pub(super) fn conditions(&self) -> &'a [Condition] {
        self.previous.map_or(&[], |status| &status.conditions)
    }

    /// Whether an earlier pass saw this generation through: what is missing now was lost since.
    pub(super) fn settled(&self) -> bool {
        let settled = self.previous.and_then(|status| status.settled_generation);
        settled.is_some() && settled == self.generation
    }

    /// Whether a missing reference holds the Deployment back.
    pub(super) fn held(&self) -> bool {
        match self.pass {
            Pass::Done(intent, children) => {
                !intent.missing.is_empty() || children.iter().any(|child| child.held)
            }
            _ => false,
        }
    }

    /// Whether the live Deployment carries the planned template.
    pub(super) fn live(&self) -> bool {
        match self.pass {
            Pass::Done(_, children) => {
                let deployment = children.iter().find(|child| child.kind == "Deployment");
                !self.held() && deployment.is_none_or(|child| child.problem.is_none())
            }
            _ => false,
        }
    }

    /// Whether the planned template was rolled out completely once.
    pub(super) fn latched(&self) -> bool {
        let completed = self.previous.and_then(|status| status.completed_template.as_deref());
        completed.is_some() && completed == self.inputs.template_hash
    }

    /// Number of pods that should serve at least: what was asked for, not what an autoscaler adds.
    pub(super) fn baseline(&self, deployment: &DeploymentView) -> i32 {
        let spec = &self.inputs.object.spec;
        let floor = match self.intent().map(|intent| &intent.scaling) {
            Some(Scaling::Auto(auto)) => Some(auto.min),
            Some(_) => None,
            None => spec.autoscaling.as_deref().map(|scaling| scaling.min_replicas.unwrap_or(1)),
        };
        floor.map_or(deployment.desired, |floor| floor.min(deployment.desired))
    }

    /// Fewest available pods that still count as serving.
    pub(super) fn needed(&self, deployment: &DeploymentView) -> i32 {
        let own = self.inputs.object.spec.disruption_budget.as_ref();
        let budget = match self.intent() {
            Some(intent) => Some(&intent.max_unavailable),
            None => own.and_then(|budget| budget.max_unavailable.as_ref()),
        };
        needed(self.baseline(deployment), budget.unwrap_or(&IntOrString::Int(1)))
    }
}

/// Whether only a person can end this state.
pub(super) fn needs_a_person(reason: Reason) -> bool {
    matches!(reason, Reason::Conflict | Reason::Rejected | Reason::Forbidden)
}

/// Order of children's problems: what needs a person first, what passes by itself last.
pub(super) fn severity(reason: Reason) -> u8 {
    match reason {
        Reason::Conflict => 0,
        Reason::Rejected => 1,
        Reason::Forbidden => 2,
        Reason::ApiNotServed => 3,
        Reason::DriftContested => 4,
        _ => 5,
    }
}

/// `max(1, pods - maxUnavailable)`; a percentage is rounded up, as the disruption controller does.
fn needed(pods: i32, max_unavailable: &IntOrString) -> i32 {
    let pods = i64::from(pods);
    let unavailable = match max_unavailable {
        IntOrString::Int(number) => i64::from(*number),
        IntOrString::String(text) => {
            let percent = text.strip_suffix('%').and_then(|number| number.parse::<i64>().ok());
            percent.map_or(1, |percent| (pods * percent.clamp(0, 100) + 99) / 100)
        }
    };
    i32::try_from((pods - unavailable.max(0)).max(1)).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn needed_rounds_like_the_disruption_controller() {
        let percent = |text: &str| IntOrString::String(text.to_owned());
        let cases = [
            (3, IntOrString::Int(1), 2),
            (1, IntOrString::Int(1), 1),
            (2, IntOrString::Int(5), 1),
            (10, percent("25%"), 7),
            (3, percent("1%"), 2),
            (4, percent("50%"), 2),
            (3, percent("100%"), 1),
            (3, percent("nonsense"), 2),
            (0, IntOrString::Int(1), 1),
        ];
        for (pods, budget, expected) in cases {
            assert_eq!(needed(pods, &budget), expected, "{pods} pods, {budget:?}");
        }
    }
}
