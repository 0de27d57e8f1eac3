//! Deployment.

use k8s_openapi::api::apps::v1::Deployment;

use super::{Child, Stage};
use crate::intent::Intent;

pub(super) struct Table;

impl Child for Table {
    type Object = Deployment;
    const STAGE: Stage = Stage::Workload;

    fn build(_intent: &Intent) -> Vec<Deployment> {
        Vec::new()
    }
}
