//! ConfigMap.

use k8s_openapi::api::core::v1::ConfigMap;

use super::{Child, Stage};
use crate::intent::Intent;

pub(super) struct Table;

impl Child for Table {
    type Object = ConfigMap;
    const STAGE: Stage = Stage::Identity;

    fn build(_intent: &Intent) -> Vec<ConfigMap> {
        Vec::new()
    }
}
