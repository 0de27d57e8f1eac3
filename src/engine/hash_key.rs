//! The key of all hashes over secret data. It lives in a Secret in the operator's namespace, is created
//! once and survives restarts; without it nobody can test guesses against a hash.

use std::collections::BTreeMap;

use hmac::{Hmac, KeyInit, Mac};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::PostParams;
use kube::{Api, Client};
use rand::Rng;
use sha2::Sha256;
use tokio::sync::OnceCell;

use super::request::{Failure, bounded};
use crate::api::MANAGED_BY;

/// Name of the Secret, in the operator's namespace.
pub const SECRET_NAME: &str = "microservice-operator-hash-key";
/// Its only key.
const FIELD: &str = "key";

/// A key and its id.
#[derive(Clone)]
pub struct HashKey {
    /// UID of the Secret; recorded with every hash.
    pub id: String,
    key: Vec<u8>,
}

// The key must never reach a log.
impl std::fmt::Debug for HashKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HashKey").field("id", &self.id).finish_non_exhaustive()
    }
}

impl HashKey {
    /// First 16 bytes of HMAC-SHA-256 over names and values, in hexadecimal. Lengths are part of the
    /// input, so that moving a byte from one value to the next changes the hash.
    pub fn hash<'a>(&self, data: impl IntoIterator<Item = (&'a String, &'a ByteString)>) -> String {
        // HMAC takes keys of every length.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.key) else { return String::new() };
        for (name, value) in data {
            for part in [name.as_bytes(), value.0.as_slice()] {
                mac.update(&(part.len() as u64).to_be_bytes());
                mac.update(part);
            }
        }
        mac.finalize().into_bytes().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
    }
}

/// Reads the key when it is first needed, and creates it when there is none.
pub struct HashKeys {
    client: Client,
    namespace: String,
    cell: OnceCell<HashKey>,
}

impl HashKeys {
    /// The key in this namespace.
    pub fn new(client: Client, namespace: &str) -> Self {
        Self { client, namespace: namespace.to_owned(), cell: OnceCell::new() }
    }

    /// The key.
    ///
    /// # Errors
    /// When it can be neither read nor created.
    pub async fn get(&self) -> Result<&HashKey, Failure> {
        self.cell.get_or_try_init(|| self.read_or_create()).await
    }

    async fn read_or_create(&self) -> Result<HashKey, Failure> {
        let api: Api<Secret> = Api::namespaced(self.client.clone(), &self.namespace);
        if let Some(found) = bounded(api.get_opt(SECRET_NAME)).await? {
            return decode(found);
        }
        let secret = new_secret();
        match bounded(api.create(&PostParams::default(), &secret)).await {
            Ok(created) => decode(created),
            Err(Failure::Conflict(_)) => decode(bounded(api.get(SECRET_NAME)).await?),
            Err(failure) => Err(failure),
        }
    }
}

fn new_secret() -> Secret {
    let mut key = vec![0; 32];
    rand::rng().fill_bytes(&mut key);
    Secret {
        metadata: ObjectMeta {
            name: Some(SECRET_NAME.to_owned()),
            labels: Some(BTreeMap::from([(
                "app.kubernetes.io/managed-by".to_owned(),
                MANAGED_BY.to_owned(),
            )])),
            ..ObjectMeta::default()
        },
        immutable: Some(true),
        data: Some(BTreeMap::from([(FIELD.to_owned(), ByteString(key))])),
        type_: Some("Opaque".to_owned()),
        ..Secret::default()
    }
}

fn decode(mut secret: Secret) -> Result<HashKey, Failure> {
    let key =
        secret.data.as_mut().and_then(|data| data.remove(FIELD)).map(|value| value.0).unwrap_or_default();
    if key.len() < 16 {
        return Err(Failure::Invalid(format!(
            "Secret {SECRET_NAME} of the operator has no usable value under {FIELD:?}; delete it and it will be made anew"
        )));
    }
    Ok(HashKey { id: secret.metadata.uid.unwrap_or_default(), key })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> HashKey {
        HashKey { id: "id".to_owned(), key: vec![byte; 32] }
    }

    fn data(pairs: &[(&str, &str)]) -> BTreeMap<String, ByteString> {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), ByteString(v.as_bytes().to_vec()))).collect()
    }

    #[test]
    fn the_hash_depends_on_key_names_values_and_borders() {
        let base = key(1).hash(&data(&[("a", "bc"), ("d", "e")]));
        assert_eq!(base.len(), 32);
        assert_eq!(base, key(1).hash(&data(&[("d", "e"), ("a", "bc")])));
        for other in
            [data(&[("a", "b"), ("d", "ce")]), data(&[("ab", "c"), ("d", "e")]), data(&[("a", "bc")])]
        {
            assert_ne!(base, key(1).hash(&other));
        }
        assert_ne!(base, key(2).hash(&data(&[("a", "bc"), ("d", "e")])));
    }

    #[test]
    fn the_key_is_not_printed() {
        assert!(!format!("{:?}", key(77)).contains("77"));
    }

    #[test]
    fn a_short_key_is_refused() {
        assert!(decode(Secret::default()).is_err());
        assert!(decode(new_secret()).is_ok());
    }
}
