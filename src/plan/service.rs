//! Service.

use k8s_openapi::api::core::v1::Service;

use super::{Child, Stage};
use crate::intent::Intent;

pub(super) struct Table;

impl Child for Table {
    type Object = Service;
    const STAGE: Stage = Stage::Service;

    fn build(_intent: &Intent) -> Vec<Service> {
        Vec::new()
    }
}
