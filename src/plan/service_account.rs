//! ServiceAccount.

use k8s_openapi::api::core::v1::ServiceAccount;

use super::{Child, Stage};
use crate::intent::Intent;

pub(super) struct Table;

impl Child for Table {
    type Object = ServiceAccount;
    const STAGE: Stage = Stage::Identity;

    fn build(_intent: &Intent) -> Vec<ServiceAccount> {
        Vec::new()
    }
}
