//! Generated Secrets, and the one with the login for Kafka. Without values (the live Secret was not read)
//! the body has no data: whoever applies it must overlay the live values, because applying it as it is
//! deletes them.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::Secret;

use super::{Child, Stage, meta};
use crate::intent::Intent;
use crate::intent::kafka::UsersIntent;

pub(super) struct Table;

impl Child for Table {
    type Object = Secret;
    const STAGE: Stage = Stage::Identity;

    fn build(intent: &Intent) -> Vec<Secret> {
        let secrets = intent.generated.iter().map(|generated| Secret {
            metadata: meta::object_meta(intent, &generated.name),
            type_: Some("Opaque".to_owned()),
            data: generated.data.clone(),
            ..Secret::default()
        });
        secrets.chain(kafka(intent)).collect()
    }

    /// The wanted keys, or the user whose login it holds, and never the values: no annotation holds a plain
    /// hash of a secret, and the hash is the same whether the values were read or not.
    fn hashed(object: &Secret, intent: &Intent) -> Option<String> {
        let name = object.metadata.name.as_deref();
        let generated = intent.generated.iter().find(|generated| name == Some(generated.name.as_str()));
        let wanted: BTreeSet<&str> = match generated {
            Some(generated) => generated.keys.iter().map(|key| key.key.as_str()).collect(),
            None => intent.kafka_login.iter().filter_map(|login| login.user.as_deref()).collect(),
        };
        Some(meta::text(&(wanted, Secret { data: None, ..object.clone() })))
    }

    fn lacks_values(object: &Secret) -> bool {
        object.data.is_none()
    }
}

/// The login for Kafka, once there is one.
fn kafka(intent: &Intent) -> Option<Secret> {
    let UsersIntent::Managed { secret, .. } = &intent.kafka.as_ref()?.cluster.users else { return None };
    let login = intent.kafka_login.as_ref().filter(|login| login.kept)?;
    Some(Secret {
        metadata: meta::object_meta(intent, secret),
        type_: Some("Opaque".to_owned()),
        data: login.data.clone(),
        ..Secret::default()
    })
}
