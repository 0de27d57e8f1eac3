//! Volumes and mounts: one source each, no path twice, nothing over what the system needs.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{KeyToPath, VolumeMount};

use super::{Inputs, Violations, data, extra_containers, quoted};
use crate::api::microservice::{FileMount, MicroserviceSpec};
use crate::intent::quantity::Amount;

/// Paths that nothing may be mounted on or below.
const CLOSED: [&str; 5] = ["/proc", "/sys", "/dev", "/var/run/secrets", "/run/secrets"];
/// Paths that nothing may be mounted on.
const RESERVED: [&str; 2] = ["/", "/etc"];

pub(super) fn check(inputs: &Inputs<'_>, found: &mut Violations) {
    let spec = inputs.spec;
    let mut taken = BTreeSet::from(["/tmp".to_owned()]);
    for (i, file) in spec.files.iter().flatten().enumerate() {
        let at = format!("spec.files[{i}]");
        mount_path(&format!("{at}.mountPath"), &file.mount_path, &mut taken, found);
        one_source(&at, file, found);
        source_names(&at, file, found);
    }
    for (i, secret) in spec.secrets.iter().flatten().enumerate() {
        if let Some(path) = &secret.mount_path {
            mount_path(&format!("spec.secrets[{i}].mountPath"), path, &mut taken, found);
        }
    }
    let volumes = volumes(spec);
    for (field, container) in extra_containers(spec) {
        let mut taken = BTreeSet::new();
        for (i, mount) in container.volume_mounts.iter().flatten().enumerate() {
            let at = format!("{field}.volumeMounts[{i}]");
            mount_path(&format!("{at}.mountPath"), &mount.mount_path, &mut taken, found);
            extra_mount(&at, mount, &volumes, found);
        }
    }
}

/// Names of the pod's volumes.
fn volumes(spec: &MicroserviceSpec) -> BTreeSet<String> {
    let files = spec.files.iter().flatten().enumerate().map(|(i, _)| format!("files-{i}"));
    let mounted = spec.secrets.iter().flatten().filter(|secret| secret.mount_path.is_some());
    let secrets = mounted.enumerate().map(|(i, _)| format!("secret-{i}"));
    files.chain(secrets).chain(["tmp".to_owned()]).collect()
}

fn mount_path(field: &str, path: &str, taken: &mut BTreeSet<String>, found: &mut Violations) {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    let plain = format!("/{}", parts.join("/"));
    let strange = path.chars().any(|c| c.is_control() || c == ':');
    if !path.starts_with('/') || strange || parts.contains(&"..") {
        let message =
            format!("{} is no mount path: write an absolute path without '..' and ':'", quoted(path));
        found.invalid(field, message);
    } else if RESERVED.contains(&plain.as_str()) || CLOSED.iter().any(|closed| is_within(&plain, closed)) {
        let message = format!("{} belongs to the system: mount to another directory", quoted(path));
        found.invalid(field, message);
    } else if !taken.insert(plain) {
        let message = format!("{} is mounted already (/tmp always is): choose another path", quoted(path));
        found.invalid(field, message);
    }
}

fn is_within(path: &str, directory: &str) -> bool {
    path.strip_prefix(directory).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn one_source(field: &str, file: &FileMount, found: &mut Violations) {
    let given = [
        file.config.is_some(),
        file.config_map.is_some(),
        file.secret.is_some(),
        file.projected.is_some(),
        file.csi.is_some(),
        file.empty_dir.is_some(),
        file.persistent_volume_claim.is_some(),
    ];
    if given.into_iter().filter(|given| *given).count() != 1 {
        found.invalid(
            field,
            "must have exactly one of config, configMap, secret, projected, csi, emptyDir and persistentVolumeClaim",
        );
    }
}

fn source_names(field: &str, file: &FileMount, found: &mut Violations) {
    if let Some(from) = &file.config_map {
        data::object_name(&format!("{field}.configMap.name"), &from.name, found);
        items(&format!("{field}.configMap"), from.items.as_ref(), found);
    }
    if let Some(from) = &file.secret {
        let name = from.secret_name.as_deref().unwrap_or_default();
        data::object_name(&format!("{field}.secret.secretName"), name, found);
        items(&format!("{field}.secret"), from.items.as_ref(), found);
    }
    if let Some(size) = file.empty_dir.as_ref().and_then(|scratch| scratch.size_limit.as_ref())
        && Amount::parse(&size.0).is_none_or(|size| size.is_negative())
    {
        let message = format!("{} is no size: write for example 64Mi", quoted(&size.0));
        found.invalid(format!("{field}.emptyDir.sizeLimit"), message);
    }
    if let Some(claim) = &file.persistent_volume_claim {
        data::object_name(&format!("{field}.persistentVolumeClaim.claimName"), &claim.claim_name, found);
    }
    if let Some(secret) = file.csi.as_ref().and_then(|csi| csi.node_publish_secret_ref.as_ref()) {
        data::object_name(&format!("{field}.csi.nodePublishSecretRef.name"), &secret.name, found);
    }
    let sources = file.projected.iter().flat_map(|projected| projected.sources.iter().flatten());
    for (i, source) in sources.enumerate() {
        let at = format!("{field}.projected.sources[{i}]");
        let config_map =
            source.config_map.as_ref().map(|from| ("configMap", &from.name, from.items.as_ref()));
        let secret = source.secret.as_ref().map(|from| ("secret", &from.name, from.items.as_ref()));
        for (kind, name, listed) in config_map.into_iter().chain(secret) {
            data::object_name(&format!("{at}.{kind}.name"), name, found);
            items(&format!("{at}.{kind}"), listed, found);
        }
    }
}

fn items(field: &str, items: Option<&Vec<KeyToPath>>, found: &mut Violations) {
    for (i, item) in items.into_iter().flatten().enumerate() {
        data::data_key(&format!("{field}.items[{i}].key"), &item.key, found);
        relative(&format!("{field}.items[{i}].path"), &item.path, found);
    }
}

/// A path inside a volume.
fn relative(field: &str, path: &str, found: &mut Violations) {
    if path.is_empty() || path.starts_with('/') || path.split('/').any(|part| part == "..") {
        let message = format!("{} leaves the volume: write a relative path without '..'", quoted(path));
        found.invalid(field, message);
    }
}

fn extra_mount(field: &str, mount: &VolumeMount, volumes: &BTreeSet<String>, found: &mut Violations) {
    if !volumes.contains(&mount.name) {
        let names: Vec<&str> = volumes.iter().map(String::as_str).collect();
        let message =
            format!("the pod has no volume {}: use one of {}", quoted(&mount.name), names.join(", "));
        found.invalid(format!("{field}.name"), message);
    }
    if mount.mount_propagation.as_deref().is_some_and(|propagation| propagation != "None") {
        found.invalid(format!("{field}.mountPropagation"), "mounts stay within the container: remove it");
    }
    for (leaf, path) in [("subPath", &mount.sub_path), ("subPathExpr", &mount.sub_path_expr)] {
        if let Some(path) = path.as_deref().filter(|path| !path.is_empty()) {
            relative(&format!("{field}.{leaf}"), path, found);
        }
    }
}
