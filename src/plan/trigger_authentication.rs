//! TriggerAuthentication: how KEDA logs in to Kafka, as the service's own user. It only names the keys of
//! the Secret that the pods read too, so a rotation reaches KEDA with them.

use super::keda::{SecretTarget, TriggerAuthentication, TriggerAuthenticationSpec};
use super::{Child, Stage, meta};
use crate::intent::{Intent, Scaling};

pub(super) struct Table;

impl Child for Table {
    type Object = TriggerAuthentication;
    const STAGE: Stage = Stage::Identity;
    const OPTIONAL: bool = true;

    fn build(intent: &Intent) -> Vec<TriggerAuthentication> {
        let Scaling::Auto(auto) = &intent.scaling else { return Vec::new() };
        let Some(login) = auto.served_lag().and_then(|lag| lag.login.as_ref()) else { return Vec::new() };
        let target = |parameter: &str, key: &str| SecretTarget {
            parameter: parameter.to_owned(),
            name: login.secret.clone(),
            key: key.to_owned(),
        };
        let mut targets = vec![target("username", "username"), target("password", "password")];
        if login.ca {
            targets.push(target("ca", "ca.crt"));
        }
        vec![TriggerAuthentication {
            metadata: meta::object_meta(intent, &intent.name),
            spec: TriggerAuthenticationSpec { secret_target_ref: targets },
        }]
    }
}
