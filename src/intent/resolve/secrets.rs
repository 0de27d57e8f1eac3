//! Generated Secrets, the digest of what the pods read, and what they wait for.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::Inputs;
use crate::api::microservice::{GenerateKey, SecretUse};
use crate::api::names;
use crate::intent::references::{is_generated, references};
use crate::intent::{GeneratedSecret, MissingReference, ReferenceState};

/// The Secrets that the operator makes, with their live values where they were read.
pub(super) fn generated(inputs: &Inputs<'_>) -> Vec<GeneratedSecret> {
    wanted(inputs).map(|secret| generated_secret(inputs, secret)).collect()
}

fn wanted<'a>(inputs: &Inputs<'a>) -> impl Iterator<Item = &'a SecretUse> {
    inputs.spec.secrets.iter().flatten().filter(|secret| is_generated(secret))
}

fn generated_secret(inputs: &Inputs<'_>, secret: &SecretUse) -> GeneratedSecret {
    let complete = |key: &GenerateKey| GenerateKey {
        length: Some(key.length.unwrap_or(inputs.defaults.generated_length)),
        encoding: Some(key.encoding.unwrap_or_default()),
        ..key.clone()
    };
    GeneratedSecret {
        name: secret.name.clone(),
        keys: secret.generate.iter().flatten().map(complete).collect(),
        data: inputs.observed.generated.get(&secret.name).and_then(|values| values.data.clone()),
    }
}

/// Digest of own configuration, inline files, the addresses of peers, and the keyed hashes of everything else the pods read;
/// `None` when there is none of these.
pub(super) fn config_hash(
    inputs: &Inputs<'_>,
    config: Option<&BTreeMap<String, String>>,
    peers: Option<&BTreeMap<String, String>>,
) -> Option<String> {
    let mut read = Map::new();
    if let Some(peers) = peers {
        read.insert("peers".to_owned(), json!(peers));
    }
    if let Some(config) = config {
        read.insert("config".to_owned(), json!(config));
    }
    let inline = inputs.spec.files.iter().flatten().filter_map(|file| file.config.as_ref());
    for (index, files) in inline.enumerate() {
        read.insert(format!("files/{index}"), json!(files));
    }
    for (key, _) in references(inputs.spec) {
        if let Some(ReferenceState::Known { hash }) = inputs.observed.references.get(&key) {
            read.insert(format!("{}/{}", key.kind.as_str(), key.name), json!(hash));
        }
    }
    for secret in wanted(inputs) {
        if let Some(values) = inputs.observed.generated.get(&secret.name) {
            read.insert(format!("generated/{}", secret.name), json!(values.hash));
        }
    }
    if let Some(login) = &inputs.observed.kafka_login {
        read.insert("kafka".to_owned(), json!(login.hash));
    }
    // serde_json's map is sorted by key: its compact form is canonical.
    (!read.is_empty()).then(|| names::digest(&Value::Object(read).to_string()))
}

/// References that were never seen and that the pods cannot start without.
pub(super) fn missing(inputs: &Inputs<'_>) -> Vec<MissingReference> {
    let mut missing = Vec::new();
    for (reference, wanted) in references(inputs.spec) {
        match inputs.observed.references.get(&reference) {
            Some(ReferenceState::Missing) if wanted.must_exist => {
                missing.push(MissingReference { reference, key: None });
            }
            Some(ReferenceState::MissingKeys(keys)) => {
                let needed = keys.intersection(&wanted.required);
                missing.extend(
                    needed
                        .map(|key| MissingReference { reference: reference.clone(), key: Some(key.clone()) }),
                );
            }
            _ => {}
        }
    }
    missing
}
