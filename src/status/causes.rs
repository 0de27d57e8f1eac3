//! Root causes: from the Deployment and its pods that are not ready to one sentence.

mod container;
mod pod;
mod quotes;

use super::text;
use super::views::{ContainerView, DeploymentView, PodView, Problem};
use crate::api::{LABEL_NAME, Microservice, Reason};
use crate::intent::Intent;

/// Seconds that a container may answer its startup probe with an error until that is its trouble. A fast
/// service is up long before, a slow one does not answer yet.
pub const UP_WITHIN: i64 = 60;

/// The template that the pods were made from, for the names of fields in fixes.
#[derive(Clone, Copy, Debug)]
pub struct Template<'a> {
    /// The object.
    pub object: &'a Microservice,
    /// Its intent, when its spec is valid.
    pub intent: Option<&'a Intent>,
}

impl<'a> Template<'a> {
    fn name(&self) -> &'a str {
        self.object.metadata.name.as_deref().unwrap_or_default()
    }
}

/// Why pods are missing or not ready, if that can be told: what stops a pod earliest in its life wins,
/// and only pods of the newest template count. `now` is in seconds since 1970.
pub fn root_cause(
    deployment: &DeploymentView,
    pods: &[PodView],
    template: &Template<'_>,
    now: i64,
) -> Option<Problem> {
    let newest = newest(pods);
    let pods = || pod::cause(deployment, &newest, template, now);
    refused(deployment, template).or_else(pods).or_else(|| failed(deployment, template))
}

/// Names of the pods of which an `Unhealthy` Event could tell more: a container runs and is not ready,
/// or was killed from outside. The caller fills `probe_message` of these and asks again.
pub fn unexplained(pods: &[PodView]) -> Vec<&str> {
    let asks =
        |container: &ContainerView| !container.ready && (container.running || container::killed(container));
    let newest = newest(pods);
    newest.iter().filter(|pod| pod.containers.iter().any(asks)).map(|pod| pod.name.as_str()).collect()
}

/// Whether nothing is wrong with a pod that is not ready, as far as it tells: it may be on its way.
pub fn is_silent(pod: &PodView, now: i64) -> bool {
    pod::first(pod, now).is_none()
}

/// Whether the rollout made no progress within its deadline.
pub(super) fn deadline_exceeded(deployment: &DeploymentView) -> bool {
    condition(deployment, "Progressing", false, "ProgressDeadlineExceeded").is_some()
}

/// Pods of the template of the youngest pod, in the order of their names; pods that go do not count.
fn newest(pods: &[PodView]) -> Vec<&PodView> {
    let staying = || pods.iter().filter(|pod| !pod.deleting);
    let Some(youngest) = staying().max_by_key(|pod| (pod.created, &pod.name)) else { return Vec::new() };
    let mut newest: Vec<_> = staying().filter(|pod| pod.template == youngest.template).collect();
    newest.sort_by_key(|pod| &pod.name);
    newest
}

/// The text of a condition, when the Deployment's status describes its present spec.
fn condition<'d>(deployment: &'d DeploymentView, kind: &str, status: bool, reason: &str) -> Option<&'d str> {
    let current = deployment.observed_generation >= deployment.generation;
    let is_it = |c: &&super::views::DeploymentCondition| {
        c.kind == kind && c.status == status && (reason.is_empty() || c.reason == reason)
    };
    deployment.conditions.iter().filter(|_| current).find(is_it).map(|c| c.message.as_str())
}

/// Pods that the API server refuses to create.
fn refused(deployment: &DeploymentView, template: &Template<'_>) -> Option<Problem> {
    let message = condition(deployment, "ReplicaFailure", true, "")?;
    let (reason, why, fix) = quotes::refusal(message);
    let name = template.name();
    let old = old_pods(deployment);
    let message = format!("Pods of Deployment \"{name}\" are refused: {why}; {fix}{old}.");
    Some(Problem { reason, message })
}

/// The deadline has passed and nothing says why.
fn failed(deployment: &DeploymentView, template: &Template<'_>) -> Option<Problem> {
    if !deadline_exceeded(deployment) {
        return None;
    }
    let within =
        template.intent.map_or(String::new(), |i| format!(" within {} s", i.progress_deadline_seconds));
    let DeploymentView { updated, desired, .. } = deployment;
    let message = format!(
        "The rollout made no progress{within}: {updated} of {} updated; see `kubectl describe pods -l \
         {LABEL_NAME}={}`{}.",
        text::are(*desired),
        template.name(),
        old_pods(deployment)
    );
    Some(Problem { reason: Reason::RolloutFailed, message })
}

/// Number of pods of older templates that serve.
fn old_serving(deployment: &DeploymentView) -> i32 {
    deployment.replicas.saturating_sub(deployment.updated).min(deployment.available).max(0)
}

/// `; 3 old pods keep serving`, or nothing.
fn old_pods(deployment: &DeploymentView) -> String {
    match old_serving(deployment) {
        0 => String::new(),
        1 => "; 1 old pod keeps serving".to_owned(),
        n => format!("; {n} old pods keep serving"),
    }
}

#[cfg(test)]
mod tests;
