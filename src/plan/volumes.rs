//! Volumes and mounts: `files-<index>`, `secret-<index>` and `tmp`, and the ConfigMap keys in which
//! inline files are kept.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    ConfigMapVolumeSource, EmptyDirVolumeSource, KeyToPath, ProjectedVolumeSource, SecretVolumeSource,
    Volume, VolumeMount,
};

use super::meta;
use crate::api::microservice::{FileMount, SecretUse};
use crate::api::names;
use crate::intent::Intent;

const TMP_VOLUME: &str = "tmp";
const TMP_PATH: &str = "/tmp";
/// 0644, the server's default; sent so that we own it and a foreign change is repaired.
const MODE: i32 = 0o644;
/// Longest key of a ConfigMap.
const KEY_LENGTH: usize = 253;

/// All volumes of the pod.
pub(super) fn volumes(intent: &Intent) -> Vec<Volume> {
    let files = intent.files.iter().enumerate().map(|(index, file)| file_volume(intent, index, file));
    let secrets = mounted(intent).enumerate().map(|(index, (secret, _))| secret_volume(index, secret));
    let tmp = Volume {
        name: TMP_VOLUME.to_owned(),
        empty_dir: Some(EmptyDirVolumeSource::default()),
        ..Volume::default()
    };
    files.chain(secrets).chain([tmp]).collect()
}

/// What the service's container mounts, apart from `/tmp`.
pub(super) fn mounts(intent: &Intent) -> Vec<VolumeMount> {
    let files = intent.files.iter().enumerate().map(|(index, file)| {
        let writable = file.empty_dir.is_some() || file.persistent_volume_claim.is_some();
        mount(files_name(index), &file.mount_path, file.read_only.unwrap_or(!writable))
    });
    let secrets = mounted(intent).enumerate().map(|(index, (_, path))| mount(secret_name(index), path, true));
    files.chain(secrets).collect()
}

/// Adds a writable `/tmp`, unless something is mounted there already; each path once.
pub(super) fn with_tmp(mut mounts: Vec<VolumeMount>) -> Vec<VolumeMount> {
    mounts.push(mount(TMP_VOLUME.to_owned(), TMP_PATH, false));
    meta::unique_by(&mounts, |mount| mount.mount_path.trim_end_matches('/').to_owned())
}

/// Data of the ConfigMap of inline files.
pub(super) fn inline_files(intent: &Intent) -> BTreeMap<String, String> {
    let files = intent.files.iter().enumerate().flat_map(|(index, mount)| {
        let config = mount.config.iter().flatten();
        config.map(move |(file, content)| (inline_key(index, file), content.clone()))
    });
    files.collect()
}

/// Key of one inline file: `<index>_<name>`, or `<index>.<digest>` when the name (a path, a space)
/// makes no legal key. The two forms never meet, so no two files share a key.
fn inline_key(index: usize, file: &str) -> String {
    let key = format!("{index}_{file}");
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if key.len() <= KEY_LENGTH && key.chars().all(legal) {
        key
    } else {
        format!("{index}.{}", names::digest(file))
    }
}

fn files_name(index: usize) -> String {
    format!("files-{index}")
}

fn secret_name(index: usize) -> String {
    format!("secret-{index}")
}

/// The Secrets that are mounted, with their paths.
fn mounted(intent: &Intent) -> impl Iterator<Item = (&SecretUse, &str)> {
    intent.secrets.iter().filter_map(|secret| Some((secret, secret.mount_path.as_deref()?)))
}

fn mount(name: String, path: &str, read_only: bool) -> VolumeMount {
    VolumeMount {
        name,
        mount_path: path.to_owned(),
        read_only: read_only.then_some(true),
        ..VolumeMount::default()
    }
}

fn secret_volume(index: usize, secret: &SecretUse) -> Volume {
    Volume {
        name: secret_name(index),
        secret: Some(SecretVolumeSource {
            secret_name: Some(secret.name.clone()),
            default_mode: Some(MODE),
            optional: secret.optional.filter(|optional| *optional),
            ..SecretVolumeSource::default()
        }),
        ..Volume::default()
    }
}

fn file_volume(intent: &Intent, index: usize, file: &FileMount) -> Volume {
    let inline = file.config.as_ref().filter(|files| !files.is_empty());
    let config_map = inline.map(|files| inline_source(intent, index, files)).or_else(|| {
        file.config_map.clone().map(|source| ConfigMapVolumeSource {
            default_mode: source.default_mode.or(Some(MODE)),
            ..source
        })
    });
    let volume = Volume {
        name: files_name(index),
        config_map,
        secret: file
            .secret
            .clone()
            .map(|source| SecretVolumeSource { default_mode: source.default_mode.or(Some(MODE)), ..source }),
        projected: file.projected.clone().map(|source| ProjectedVolumeSource {
            default_mode: source.default_mode.or(Some(MODE)),
            ..source
        }),
        csi: file.csi.clone(),
        persistent_volume_claim: file.persistent_volume_claim.clone(),
        ..Volume::default()
    };
    // An inline map without files is an empty directory: a ConfigMap volume without items would show
    // the files of every other mount.
    let sourceless = volume == Volume { name: volume.name.clone(), ..Volume::default() };
    let empty_dir = file.empty_dir.clone().or_else(|| sourceless.then(EmptyDirVolumeSource::default));
    Volume { empty_dir, ..volume }
}

fn inline_source(intent: &Intent, index: usize, files: &BTreeMap<String, String>) -> ConfigMapVolumeSource {
    let items = files.keys().map(|file| KeyToPath {
        key: inline_key(index, file),
        path: file.clone(),
        ..KeyToPath::default()
    });
    ConfigMapVolumeSource {
        name: names::files_map_name(&intent.name),
        items: Some(items.collect()),
        default_mode: Some(MODE),
        ..ConfigMapVolumeSource::default()
    }
}
