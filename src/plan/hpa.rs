//! HorizontalPodAutoscaler.

use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;

use super::{Child, Stage};
use crate::intent::Intent;

pub(super) struct Table;

impl Child for Table {
    type Object = HorizontalPodAutoscaler;
    const STAGE: Stage = Stage::Scaling;

    fn build(_intent: &Intent) -> Vec<HorizontalPodAutoscaler> {
        Vec::new()
    }
}
