//! PodDisruptionBudget. With fewer than two pods there is none: it would block node drains for ever.

use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

use super::{Child, Stage, meta};
use crate::intent::Intent;

pub(super) struct Table;

impl Child for Table {
    type Object = PodDisruptionBudget;
    const STAGE: Stage = Stage::Scaling;

    fn build(intent: &Intent) -> Vec<PodDisruptionBudget> {
        if intent.scaling.lower_bound() < 2 {
            return Vec::new();
        }
        vec![PodDisruptionBudget {
            metadata: meta::object_meta(intent, &intent.name),
            spec: Some(PodDisruptionBudgetSpec {
                max_unavailable: Some(intent.max_unavailable.clone()),
                selector: Some(LabelSelector {
                    match_labels: Some(meta::selector(intent)),
                    ..LabelSelector::default()
                }),
                // Pods that are not ready anyway may go: a broken service must not block a drain.
                unhealthy_pod_eviction_policy: Some("AlwaysAllow".to_owned()),
                ..PodDisruptionBudgetSpec::default()
            }),
            ..PodDisruptionBudget::default()
        }]
    }
}
