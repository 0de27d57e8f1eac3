//! Environment and files of the service's container.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{
    ConfigMapEnvSource, EnvFromSource, EnvVar, EnvVarSource, SecretKeySelector,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::Inputs;
use crate::api::microservice::{FileMount, SecretUse};
use crate::api::names;
use crate::intent::KafkaIntent;

/// Entries from `secrets[]` and of Kafka first, so that the user's entries can refer to them with
/// `$(NAME)`; a user's entry replaces one of ours. The first of two entries with one name stands.
pub(super) fn env(inputs: &Inputs<'_>, kafka: Option<&KafkaIntent>) -> Vec<EnvVar> {
    let spec = inputs.spec;
    let given: BTreeSet<&str> = spec.env.iter().flatten().map(|entry| entry.name.as_str()).collect();
    let ours = spec
        .secrets
        .iter()
        .flatten()
        .flat_map(secret_env)
        .filter(|entry| !given.contains(entry.name.as_str()));
    let kafka = kafka.map(|kafka| super::kafka::env(inputs, kafka)).unwrap_or_default();
    complete(ours.chain(kafka).chain(spec.env.iter().flatten().cloned()))
}

fn secret_env(secret: &SecretUse) -> impl Iterator<Item = EnvVar> + '_ {
    secret.env.iter().flatten().map(|entry| EnvVar {
        name: entry.name.clone(),
        value: None,
        value_from: Some(EnvVarSource {
            secret_key_ref: Some(SecretKeySelector {
                name: secret.name.clone(),
                key: entry.key.clone(),
                optional: secret.optional.filter(|optional| *optional),
            }),
            ..EnvVarSource::default()
        }),
    })
}

/// Entries without repeated names, with what the API server would default inside `valueFrom`: left out,
/// it would stay behind when the kind of source changes, and the change would be refused.
pub(super) fn complete(entries: impl Iterator<Item = EnvVar>) -> Vec<EnvVar> {
    let mut seen = BTreeSet::new();
    let mut unique: Vec<EnvVar> = entries.filter(|entry| seen.insert(entry.name.clone())).collect();
    for source in unique.iter_mut().filter_map(|entry| entry.value_from.as_mut()) {
        if let Some(field) = &mut source.field_ref {
            field.api_version.get_or_insert_with(|| "v1".to_owned());
        }
        if let Some(field) = &mut source.resource_field_ref {
            field.divisor.get_or_insert_with(|| Quantity("0".to_owned()));
        }
    }
    unique
}

/// The own ConfigMaps first: among sources, the last one wins, and that is the user's.
pub(super) fn env_from(inputs: &Inputs<'_>, has_peers: bool, has_config: bool) -> Vec<EnvFromSource> {
    let own = |name: String| EnvFromSource {
        config_map_ref: Some(ConfigMapEnvSource { name, optional: None }),
        ..EnvFromSource::default()
    };
    let peers = has_peers.then(|| own(names::peers_map_name(inputs.name())));
    let config = has_config.then(|| own(names::config_map_name(inputs.name())));
    peers.into_iter().chain(config).chain(inputs.spec.env_from.iter().flatten().cloned()).collect()
}

/// Files with `readOnly` and permission bits filled.
pub(super) fn files(inputs: &Inputs<'_>) -> Vec<FileMount> {
    inputs.spec.files.iter().flatten().map(|file| file_mount(file, inputs.defaults.file_mode)).collect()
}

fn file_mount(file: &FileMount, mode: i32) -> FileMount {
    let mut file = file.clone();
    let writable = file.empty_dir.is_some() || file.persistent_volume_claim.is_some();
    file.read_only.get_or_insert(!writable);
    if let Some(source) = &mut file.config_map {
        source.default_mode.get_or_insert(mode);
    }
    if let Some(source) = &mut file.secret {
        source.default_mode.get_or_insert(mode);
    }
    if let Some(source) = &mut file.projected {
        source.default_mode.get_or_insert(mode);
    }
    file
}
