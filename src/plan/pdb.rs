//! PodDisruptionBudget.

use k8s_openapi::api::policy::v1::PodDisruptionBudget;

use super::{Child, Stage};
use crate::intent::Intent;

pub(super) struct Table;

impl Child for Table {
    type Object = PodDisruptionBudget;
    const STAGE: Stage = Stage::Scaling;

    fn build(_intent: &Intent) -> Vec<PodDisruptionBudget> {
        Vec::new()
    }
}
