//! From whole objects to the few fields that status needs. Pure.

use k8s_openapi::api::apps::v1::{DeploymentCondition as ObservedCondition, DeploymentStatus};
use k8s_openapi::api::core::v1::{ContainerStatus, PodStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::metadata::Metadata;
use super::world::ServicePod;
use crate::status::views::{ContainerView, DeploymentCondition, DeploymentView, PodView};

/// Longest foreign text that is kept, bytes.
const TEXT: usize = 1024;

/// Cuts a text at a character boundary.
fn cut(text: Option<&str>) -> String {
    let text = text.unwrap_or_default();
    let end = (0..=TEXT.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or_default();
    text.get(..end).unwrap_or_default().to_owned()
}

/// Counts and conditions of a Deployment.
pub fn deployment(
    metadata: &Metadata<'_>,
    replicas: Option<i32>,
    status: DeploymentStatus,
) -> DeploymentView {
    let condition = |condition: ObservedCondition| DeploymentCondition {
        kind: condition.type_,
        status: condition.status == "True",
        reason: cut(condition.reason.as_deref()),
        message: cut(condition.message.as_deref()),
    };
    let mut conditions: Vec<DeploymentCondition> =
        status.conditions.unwrap_or_default().into_iter().map(condition).collect();
    // They are made in the place of the larger ones that they come from, which would be kept.
    conditions.shrink_to_fit();
    DeploymentView {
        uid: metadata.uid.clone(),
        generation: metadata.generation,
        observed_generation: status.observed_generation.unwrap_or_default(),
        desired: replicas.unwrap_or(1),
        replicas: status.replicas.unwrap_or_default(),
        updated: status.updated_replicas.unwrap_or_default(),
        ready: status.ready_replicas.unwrap_or_default(),
        available: status.available_replicas.unwrap_or_default(),
        conditions,
    }
}

/// A pod that is not ready; `None` for one that is, or that has done its work.
pub fn troubled_pod(metadata: &Metadata<'_>, status: &PodStatus) -> Option<ServicePod> {
    let service = metadata.labels.service.clone()?;
    let conditions = status.conditions.as_deref().unwrap_or_default();
    let ready = conditions.iter().any(|condition| condition.type_ == "Ready" && condition.status == "True");
    if ready || status.phase.as_deref() == Some("Succeeded") {
        return None;
    }
    let unschedulable = conditions
        .iter()
        .find(|condition| {
            condition.type_ == "PodScheduled"
                && condition.status == "False"
                && condition.reason.as_deref() == Some("Unschedulable")
        })
        .map(|condition| cut(condition.message.as_deref()));
    let init = status.init_container_statuses.as_deref().unwrap_or_default();
    let main = status.container_statuses.as_deref().unwrap_or_default();
    let view = PodView {
        name: metadata.name.to_string(),
        template: metadata.labels.template.as_deref().unwrap_or_default().to_owned(),
        deleting: metadata.deletion_timestamp.is_some(),
        created: metadata.creation_timestamp.as_ref().map_or(0, seconds),
        unschedulable,
        containers: init.iter().chain(main).map(container).collect(),
        probe_message: None,
    };
    Some(ServicePod { service, view })
}

fn seconds(time: &Time) -> i64 {
    time.0.as_second()
}

fn container(status: &ContainerStatus) -> ContainerView {
    let state = status.state.clone().unwrap_or_default();
    let terminated = state.terminated.or_else(|| status.last_state.clone().unwrap_or_default().terminated);
    ContainerView {
        name: status.name.clone(),
        image: status.image.clone(),
        ready: status.ready,
        started: status.started.unwrap_or_default(),
        running: state.running.is_some(),
        since: state.running.and_then(|running| running.started_at).as_ref().map_or(0, seconds),
        restarts: status.restart_count,
        waiting: state
            .waiting
            .map(|waiting| (waiting.reason.unwrap_or_default(), cut(waiting.message.as_deref()))),
        terminated: terminated.map(|end| (end.exit_code, end.reason.unwrap_or_default())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_text_is_cut_at_a_character() {
        let text = "é".repeat(TEXT);
        assert_eq!(cut(Some(&text)).len(), TEXT);
        let text = format!("a{text}");
        assert_eq!(cut(Some(&text)).len(), TEXT - 1);
        assert_eq!(cut(None), "");
    }
}
