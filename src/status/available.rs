//! Whether the service serves, judged by counts of the Deployment and by our own rule, and how far
//! the rollout is.

use super::causes::{self, Template};
use super::facts::{Facts, Pass, Truth, Verdict};
use super::text;
use super::views::{DeploymentView, Problem};
use crate::api::Reason;
use crate::intent::{Intent, Scaling};

/// Where the rollout of the planned template stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rollout {
    /// Nothing is left to do.
    Settled,
    /// Work is under way.
    InProgress,
    /// It made no progress within its deadline.
    Failed,
}

/// The condition Available and what goes with it.
#[derive(Clone, Debug)]
pub(super) struct Judgement {
    pub verdict: Verdict,
    pub rollout: Rollout,
    /// The planned template is rolled out completely.
    pub complete: bool,
}

impl Judgement {
    fn new(truth: Truth, reason: Reason, message: impl Into<String>, rollout: Rollout) -> Self {
        Self { verdict: Verdict::new(truth, reason, message), rollout, complete: false }
    }
}

/// Judges the live Deployment.
pub(super) fn judge(facts: &Facts<'_>) -> Judgement {
    let Some(deployment) = facts.inputs.deployment else {
        return absent(facts);
    };
    let scaling = facts.intent().map(|intent| &intent.scaling);
    if deployment.desired == 0 && matches!(scaling, Some(Scaling::Auto(_))) {
        return idle(facts, scaling);
    }
    match facts.pass {
        Pass::Done(intent, _) if facts.live() => current(facts, intent, deployment),
        _ => old(facts, deployment),
    }
}

fn absent(facts: &Facts<'_>) -> Judgement {
    let name = facts.name;
    let starting =
        |message: &str| Judgement::new(Truth::False, Reason::RolloutInProgress, message, Rollout::InProgress);
    let none = |reason: Reason, why: &str| {
        let message = format!("No pods run: Deployment \"{name}\" {why}.");
        Judgement::new(Truth::False, reason, message, Rollout::Settled)
    };
    match facts.pass {
        Pass::Blocked(_, problem) => {
            Judgement::new(Truth::Unknown, problem.reason, &problem.message, Rollout::InProgress)
        }
        Pass::Pending(_) => starting("No pods exist yet."),
        Pass::Done(..) if facts.held() => none(Reason::WaitingForSecret, "waits for a missing reference"),
        Pass::Done(..) if facts.live() => starting("No pods exist yet."),
        Pass::Done(..) => none(Reason::PodsUnavailable, "could not be stored"),
        Pass::Invalid(_) | Pass::Suspended(_) => none(Reason::PodsUnavailable, "does not exist"),
    }
}

fn idle(facts: &Facts<'_>, scaling: Option<&Scaling>) -> Judgement {
    let message = format!(
        "Deployment \"{name}\" was scaled to 0, which switches its autoscaler off; run \
         `kubectl scale deployment {name} --replicas={pods}`, or set spec.replicas: 0 to stop it on purpose.",
        name = facts.name,
        pods = scaling.map_or(1, Scaling::lower_bound),
    );
    Judgement::new(Truth::False, Reason::AutoscalerIdle, message, Rollout::Settled)
}

/// The planned template is the live one.
fn current(facts: &Facts<'_>, intent: &Intent, deployment: &DeploymentView) -> Judgement {
    if intent.scaling == Scaling::Stopped {
        return stopped(deployment);
    }
    let complete = complete(facts, deployment);
    let cause = root_cause(facts, deployment);
    if !complete {
        let failed = causes::deadline_exceeded(deployment);
        let rollout = if failed { Rollout::Failed } else { Rollout::InProgress };
        return unavailable(cause, Reason::RolloutInProgress, rolling(deployment), rollout);
    }
    let settled = facts.settled();
    let needed = facts.needed(deployment);
    let rollout = if settled || deployment.available >= facts.baseline(deployment).max(needed) {
        Rollout::Settled
    } else {
        Rollout::InProgress
    };
    let judgement = if deployment.available >= needed {
        let message = with_cause(available(deployment), cause);
        Judgement::new(Truth::True, Reason::Available, message, rollout)
    } else {
        let reason = if settled { Reason::PodsUnavailable } else { Reason::RolloutInProgress };
        unavailable(cause, reason, available(deployment), rollout)
    };
    Judgement { complete: true, ..judgement }
}

/// Nothing new was applied: what runs is judged by its own counts.
fn old(facts: &Facts<'_>, deployment: &DeploymentView) -> Judgement {
    if deployment.desired == 0 {
        return stopped(deployment);
    }
    let cause = root_cause(facts, deployment);
    if deployment.replicas > deployment.updated {
        unavailable(cause, Reason::RolloutInProgress, rolling(deployment), Rollout::Settled)
    } else if deployment.available >= facts.needed(deployment) {
        let message = with_cause(available(deployment), cause);
        Judgement::new(Truth::True, Reason::Available, message, Rollout::Settled)
    } else {
        unavailable(cause, Reason::PodsUnavailable, available(deployment), Rollout::Settled)
    }
}

fn stopped(deployment: &DeploymentView) -> Judgement {
    if deployment.desired == 0 && deployment.replicas == 0 && observed(deployment) {
        let message = "Stopped on purpose: spec.replicas is 0.";
        Judgement::new(Truth::True, Reason::ScaledToZero, message, Rollout::Settled)
    } else {
        let message = format!("Stopping: {} to go.", text::pods(deployment.replicas));
        Judgement::new(Truth::False, Reason::RolloutInProgress, message, Rollout::InProgress)
    }
}

/// Complete once per template: every pod is new and available. Afterwards only pods of another
/// template count against it, so that neither an autoscaler nor a drained node does.
fn complete(facts: &Facts<'_>, deployment: &DeploymentView) -> bool {
    let latched = facts.latched();
    let all = deployment.updated >= deployment.desired && deployment.available >= deployment.desired;
    // An autoscaler raises the generation too: what was settled stays so until it is observed.
    (observed(deployment) || (latched && facts.settled()))
        && deployment.replicas <= deployment.updated
        && (latched || (all && deployment.desired > 0))
}

fn observed(deployment: &DeploymentView) -> bool {
    deployment.observed_generation >= deployment.generation
}

fn unavailable(cause: Option<Problem>, reason: Reason, message: String, rollout: Rollout) -> Judgement {
    match cause {
        Some(problem) => Judgement::new(Truth::False, problem.reason, problem.message, rollout),
        None => Judgement::new(Truth::False, reason, message, rollout),
    }
}

fn with_cause(message: String, cause: Option<Problem>) -> String {
    match cause {
        Some(problem) => format!("{message} {}", problem.message),
        None => message,
    }
}

fn available(deployment: &DeploymentView) -> String {
    let DeploymentView { available, desired, .. } = deployment;
    format!("{available} of {} available.", text::are(*desired))
}

fn rolling(deployment: &DeploymentView) -> String {
    let DeploymentView { updated, available, desired, .. } = deployment;
    format!("Rollout under way: {updated} of {} updated, {available} available.", text::are(*desired))
}

fn root_cause(facts: &Facts<'_>, deployment: &DeploymentView) -> Option<Problem> {
    let template = Template { object: facts.inputs.object, intent: facts.intent() };
    causes::root_cause(deployment, facts.inputs.pods, &template, facts.inputs.now.0.as_second())
}
