//! Secret.

use k8s_openapi::api::core::v1::Secret;

use super::{Child, Stage};
use crate::intent::Intent;

pub(super) struct Table;

impl Child for Table {
    type Object = Secret;
    const STAGE: Stage = Stage::Identity;

    fn build(_intent: &Intent) -> Vec<Secret> {
        Vec::new()
    }
}
