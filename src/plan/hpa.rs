//! HorizontalPodAutoscaler, always with both bounds and a complete behavior. The server may reorder
//! the metrics: compare hashes of the plan, never live metrics.

use k8s_openapi::api::autoscaling::v2::{
    CrossVersionObjectReference, HorizontalPodAutoscaler, HorizontalPodAutoscalerSpec,
};

use super::{Child, Stage, meta};
use crate::intent::{Intent, Scaling};

pub(super) struct Table;

impl Child for Table {
    type Object = HorizontalPodAutoscaler;
    const STAGE: Stage = Stage::Scaling;

    fn build(intent: &Intent) -> Vec<HorizontalPodAutoscaler> {
        let Scaling::Auto(auto) = &intent.scaling else { return Vec::new() };
        if auto.served_lag().is_some() {
            return Vec::new(); // KEDA makes one
        }
        vec![HorizontalPodAutoscaler {
            metadata: meta::object_meta(intent, &intent.name),
            spec: Some(HorizontalPodAutoscalerSpec {
                scale_target_ref: CrossVersionObjectReference {
                    api_version: Some("apps/v1".to_owned()),
                    kind: "Deployment".to_owned(),
                    name: intent.name.clone(),
                },
                min_replicas: Some(auto.min),
                max_replicas: auto.max,
                metrics: Some(auto.metrics.clone()),
                behavior: Some(auto.behavior.clone()),
            }),
            ..HorizontalPodAutoscaler::default()
        }]
    }
}
