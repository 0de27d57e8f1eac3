//! ServiceAccount: the pods' own identity, unless the class lends them another one.

use k8s_openapi::api::core::v1::ServiceAccount;

use super::{Child, Stage, meta};
use crate::intent::Intent;

pub(super) struct Table;

impl Child for Table {
    type Object = ServiceAccount;
    const STAGE: Stage = Stage::Identity;

    fn build(intent: &Intent) -> Vec<ServiceAccount> {
        let account = &intent.service_account;
        if !account.own {
            return Vec::new();
        }
        vec![ServiceAccount {
            metadata: meta::annotated(intent, &account.name, &account.annotations),
            // Always off here, so that no foreign pod under this account gets a token; pods that
            // asked for one say so in their own field, which wins.
            automount_service_account_token: Some(false),
            ..ServiceAccount::default()
        }]
    }
}
