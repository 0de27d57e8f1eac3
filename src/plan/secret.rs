//! Generated Secrets. Without values (the live Secret was not read) the body has no data: whoever
//! applies it must overlay the live values, because applying it as it is deletes them.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::Secret;

use super::{Child, Stage, meta};
use crate::intent::Intent;

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
        secrets.collect()
    }

    /// The wanted keys and never the values: no annotation holds a plain hash of a secret, and the hash
    /// is the same whether the values were read or not.
    fn hashed(object: &Secret, intent: &Intent) -> Option<String> {
        let name = object.metadata.name.as_deref();
        let generated = intent.generated.iter().find(|generated| name == Some(generated.name.as_str()));
        let keys = generated.map(|generated| &generated.keys).into_iter().flatten();
        let keys: BTreeSet<&str> = keys.map(|key| key.key.as_str()).collect();
        Some(meta::text(&(keys, Secret { data: None, ..object.clone() })))
    }

    fn lacks_values(object: &Secret) -> bool {
        object.data.is_none()
    }
}
