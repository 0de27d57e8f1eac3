//! Deployment: how many pods, how they are replaced. The pods themselves are in `pod`.

use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec};
use k8s_openapi::api::core::v1::PodTemplateSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};

use super::{Child, Stage, meta, pod};
use crate::intent::Intent;

/// Old ReplicaSets kept for `kubectl rollout undo`.
const REVISION_HISTORY: i32 = 5;

pub(super) struct Table;

impl Child for Table {
    type Object = Deployment;
    const STAGE: Stage = Stage::Workload;

    fn build(intent: &Intent) -> Vec<Deployment> {
        vec![Deployment {
            metadata: ObjectMeta {
                labels: Some(meta::versioned(intent)),
                ..meta::object_meta(intent, &intent.name)
            },
            spec: Some(DeploymentSpec {
                // Absent while an autoscaler owns it: sending it would undo every scaling.
                replicas: intent.scaling.static_replicas(),
                selector: LabelSelector {
                    match_labels: Some(meta::selector(intent)),
                    ..LabelSelector::default()
                },
                strategy: Some(intent.strategy.clone()),
                // The server stores no 0.
                min_ready_seconds: Some(intent.min_ready_seconds).filter(|seconds| *seconds > 0),
                progress_deadline_seconds: Some(intent.progress_deadline_seconds),
                revision_history_limit: Some(REVISION_HISTORY),
                template: pod::template(intent),
                ..DeploymentSpec::default()
            }),
            ..Deployment::default()
        }]
    }

    fn template(object: &Deployment) -> Option<&PodTemplateSpec> {
        object.spec.as_ref().map(|spec| &spec.template)
    }
}
