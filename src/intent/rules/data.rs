//! Environment, configuration and Secrets: names that exist in Kubernetes, no name twice.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{EnvFromSource, EnvVar, EnvVarSource};

use super::{Inputs, Violations, entry, extra_containers, quoted};
use crate::api::microservice::{GenerateKey, SecretUse};
use crate::api::names;
use crate::intent::duration;
use crate::intent::references::is_generated;

const MAX_CONFIG_KEYS: usize = 256;
const MAX_CONFIG_BYTES: usize = 256 * 1024;
/// A ConfigMap holds 1 MiB, the object that brings the files not much more.
const MAX_FILES_BYTES: usize = 512 * 1024;

pub(super) fn check(inputs: &Inputs<'_>, found: &mut Violations) {
    let spec = inputs.spec;
    for (i, secret) in spec.image_pull_secrets.iter().flatten().enumerate() {
        object_name(&format!("spec.imagePullSecrets[{i}].name"), &secret.name, found);
    }
    env("spec.env", spec.env.as_ref(), found);
    env_from(spec.env_from.as_ref(), found);
    config(spec.config.as_ref(), found);
    inline_files(inputs, found);
    secrets(spec.secrets.as_ref(), found);
    secret_env_unique(spec.secrets.as_ref(), found);
    for (field, container) in extra_containers(spec) {
        env(&format!("{field}.env"), container.env.as_ref(), found);
    }
}

/// The name becomes part of a URL that the operator reads: nothing but a plain name is let through.
pub(super) fn object_name(field: &str, name: &str, found: &mut Violations) {
    if !names::is_subdomain(name) {
        let message = format!(
            "{} cannot be the name of an object: use lower-case letters, digits, '-' and '.', without a namespace",
            quoted(name)
        );
        found.invalid(field, message);
    }
}

pub(super) fn data_key(field: &str, key: &str, found: &mut Violations) {
    if !names::is_data_key(key) {
        let message = format!("{} cannot be a key: use letters, digits, '-', '_' and '.'", quoted(key));
        found.invalid(field, message);
    }
}

fn env_name(field: &str, name: &str, found: &mut Violations) {
    let printable = |b: u8| (b' '..=b'~').contains(&b) && b != b'=';
    if name.is_empty() || !name.bytes().all(printable) {
        let message =
            format!("{} cannot be an environment variable: use letters, digits and '_'", quoted(name));
        found.invalid(field, message);
    }
}

fn env(field: &str, entries: Option<&Vec<EnvVar>>, found: &mut Violations) {
    let mut seen = BTreeSet::new();
    for (i, entry) in entries.into_iter().flatten().enumerate() {
        let at = format!("{field}[{i}]");
        env_name(&format!("{at}.name"), &entry.name, found);
        if !seen.insert(&entry.name) {
            found.invalid(
                format!("{at}.name"),
                format!("{} is set twice: keep one entry", quoted(&entry.name)),
            );
        }
        if let Some(source) = &entry.value_from {
            if entry.value.as_ref().is_some_and(|value| !value.is_empty()) {
                found.invalid(&at, "value and valueFrom exclude each other: keep one of them");
            }
            env_source(&format!("{at}.valueFrom"), source, found);
        }
    }
}

fn env_source(field: &str, source: &EnvVarSource, found: &mut Violations) {
    let given = [
        source.secret_key_ref.is_some(),
        source.config_map_key_ref.is_some(),
        source.field_ref.is_some(),
        source.resource_field_ref.is_some(),
    ];
    if given.into_iter().filter(|given| *given).count() != 1 {
        found.invalid(
            field,
            "must have exactly one of secretKeyRef, configMapKeyRef, fieldRef and resourceFieldRef",
        );
    }
    let secret = source.secret_key_ref.as_ref().map(|from| ("secretKeyRef", &from.name, &from.key));
    let config_map =
        source.config_map_key_ref.as_ref().map(|from| ("configMapKeyRef", &from.name, &from.key));
    for (kind, name, key) in secret.into_iter().chain(config_map) {
        object_name(&format!("{field}.{kind}.name"), name, found);
        data_key(&format!("{field}.{kind}.key"), key, found);
    }
}

fn env_from(sources: Option<&Vec<EnvFromSource>>, found: &mut Violations) {
    let mut seen = BTreeSet::new();
    for (i, source) in sources.into_iter().flatten().enumerate() {
        let at = format!("spec.envFrom[{i}]");
        let prefix = source.prefix.as_deref().unwrap_or_default();
        if !prefix.is_empty() {
            env_name(&format!("{at}.prefix"), prefix, found);
        }
        let (kind, name) = match (&source.secret_ref, &source.config_map_ref) {
            (Some(from), None) => ("secretRef", from.name.as_str()),
            (None, Some(from)) => ("configMapRef", from.name.as_str()),
            _ => {
                found.invalid(&at, "must have exactly one of secretRef and configMapRef");
                continue;
            }
        };
        object_name(&format!("{at}.{kind}.name"), name, found);
        if !seen.insert((kind, name, prefix)) {
            let message = format!("{} is read twice with the same prefix: remove one entry", quoted(name));
            found.invalid(&at, message);
        }
    }
}

fn config(config: Option<&BTreeMap<String, String>>, found: &mut Violations) {
    let Some(config) = config else { return };
    if config.len() > MAX_CONFIG_KEYS {
        found.invalid(
            "spec.config",
            format!("has {} keys: at most {MAX_CONFIG_KEYS} are allowed", config.len()),
        );
    }
    let size = bytes(config);
    if size > MAX_CONFIG_BYTES {
        found.invalid(
            "spec.config",
            format!("has {size} bytes: at most {MAX_CONFIG_BYTES} are allowed, use spec.files"),
        );
    }
    for key in config.keys() {
        let field = entry("spec.config", key);
        let identifier = key.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'));
        if !identifier || key.starts_with(|c: char| c.is_ascii_digit()) || !names::is_data_key(key) {
            let message =
                format!("{} cannot be an environment variable: use letters, digits and '_'", quoted(key));
            found.invalid(field, message);
        }
    }
}

fn bytes(data: &BTreeMap<String, String>) -> usize {
    data.iter().map(|(key, value)| key.len() + value.len()).sum()
}

fn inline_files(inputs: &Inputs<'_>, found: &mut Violations) {
    let mut size = 0;
    for (i, file) in inputs.spec.files.iter().flatten().enumerate() {
        let Some(config) = &file.config else { continue };
        size += bytes(config);
        for key in config.keys() {
            data_key(&entry(&format!("spec.files[{i}].config"), key), key, found);
        }
    }
    if size > MAX_FILES_BYTES {
        let message = format!("inline files have {size} bytes in all: at most {MAX_FILES_BYTES} are allowed");
        found.invalid("spec.files", message);
    }
}

fn secrets(secrets: Option<&Vec<SecretUse>>, found: &mut Violations) {
    let mut seen = BTreeSet::new();
    for (i, secret) in secrets.into_iter().flatten().enumerate() {
        let at = format!("spec.secrets[{i}]");
        object_name(&format!("{at}.name"), &secret.name, found);
        if !seen.insert(&secret.name) {
            let message = format!("{} is listed twice: put all of it into one entry", quoted(&secret.name));
            found.invalid(format!("{at}.name"), message);
        }
        generate(&at, secret, found);
        for (j, entry) in secret.env.iter().flatten().enumerate() {
            let at = format!("{at}.env[{j}]");
            env_name(&format!("{at}.name"), &entry.name, found);
            data_key(&format!("{at}.key"), &entry.key, found);
            let known = |key: &GenerateKey| key.key == entry.key;
            if is_generated(secret) && !secret.generate.iter().flatten().any(known) {
                let message =
                    format!("{} is not among the generated keys: add it to generate", quoted(&entry.key));
                found.invalid(format!("{at}.key"), message);
            }
        }
    }
}

fn generate(field: &str, secret: &SecretUse, found: &mut Violations) {
    let mut seen = BTreeSet::new();
    for (i, key) in secret.generate.iter().flatten().enumerate() {
        let at = format!("{field}.generate[{i}]");
        data_key(&format!("{at}.key"), &key.key, found);
        if !seen.insert(&key.key) {
            found.invalid(
                format!("{at}.key"),
                format!("{} is generated twice: keep one entry", quoted(&key.key)),
            );
        }
        if let Some(length) = key.length.filter(|length| !(16..=256).contains(length)) {
            found.invalid(format!("{at}.length"), format!("{length} is out of range: use 16 to 256"));
        }
        let age = key.rotate_after.as_deref().map(|text| (text, duration::parse(text)));
        if let Some((text, _)) = age.filter(|(_, age)| age.is_none_or(|age| age.as_secs() < 3600)) {
            let message = format!("{} is no duration of at least 1h: write for example 30d", quoted(text));
            found.invalid(format!("{at}.rotateAfter"), message);
        }
    }
}

/// Two Secrets for one variable: neither entry can be said to win.
fn secret_env_unique(secrets: Option<&Vec<SecretUse>>, found: &mut Violations) {
    let mut seen = BTreeSet::new();
    for (i, secret) in secrets.into_iter().flatten().enumerate() {
        for (j, entry) in secret.env.iter().flatten().enumerate() {
            if !seen.insert(&entry.name) {
                let message =
                    format!("{} is set by another entry of spec.secrets: keep one", quoted(&entry.name));
                found.invalid(format!("spec.secrets[{i}].env[{j}].name"), message);
            }
        }
    }
}
