//! How the operator reaches a cluster: the class names Secrets, which are read in the operator's own
//! namespace and nowhere else.

use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client};

use super::{ClientCertificate, Login, Mechanism, Settings, Tls};
use crate::api::Reason;
use crate::api::kafka::class::{Cluster, Mechanism as ClassMechanism};
use crate::engine::request::{Failure, bounded};
use crate::kafka::view::Trouble;

/// Reads the Secrets of clusters.
#[derive(Clone)]
pub struct Access {
    api: Api<Secret>,
    namespace: String,
}

impl Access {
    /// Secrets in the operator's namespace.
    pub fn new(client: Client, namespace: &str) -> Self {
        Self { api: Api::namespaced(client, namespace), namespace: namespace.to_owned() }
    }

    /// What is needed to connect.
    ///
    /// # Errors
    /// A Secret that is missing, incomplete or not readable.
    pub async fn settings(&self, cluster: &Cluster) -> Result<Settings, Trouble> {
        Ok(Settings {
            bootstrap: cluster.bootstrap_servers.clone(),
            tls: match &cluster.tls {
                Some(tls) => Some(Tls {
                    ca: match &tls.ca_secret_name {
                        Some(name) => Some(self.value(name, "ca.crt").await?),
                        None => None,
                    },
                    client: match &tls.client_secret_name {
                        Some(name) => Some(ClientCertificate {
                            chain: self.value(name, "tls.crt").await?,
                            key: self.value(name, "tls.key").await?,
                        }),
                        None => None,
                    },
                }),
                None => None,
            },
            login: match &cluster.sasl {
                Some(sasl) => Some(Login {
                    mechanism: match sasl.mechanism {
                        ClassMechanism::ScramSha512 => Mechanism::ScramSha512,
                        ClassMechanism::ScramSha256 => Mechanism::ScramSha256,
                        ClassMechanism::Plain => Mechanism::Plain,
                    },
                    user: self.value(&sasl.secret_name, "username").await?,
                    password: self.value(&sasl.secret_name, "password").await?,
                }),
                None => None,
            },
        })
    }

    async fn value(&self, name: &str, key: &str) -> Result<String, Trouble> {
        let missing = |text: String| Trouble { reason: Reason::ClusterSecretMissing, text, lasting: true };
        let secret = match bounded(self.api.get_opt(name)).await {
            Ok(Some(secret)) => secret,
            Ok(None) => {
                return Err(missing(format!(
                    "the operator's namespace {} has no Secret {name:?}",
                    self.namespace
                )));
            }
            Err(failure) => return Err(unread(name, &failure)),
        };
        let value = secret.data.unwrap_or_default().remove(key).map(|value| String::from_utf8(value.0));
        match value {
            // An editor leaves a line end behind; no name and no password has one.
            Some(Ok(text)) if !text.trim().is_empty() => Ok(text.trim_end_matches(['\r', '\n']).to_owned()),
            _ => Err(missing(format!("Secret {}/{name} has no text under {key:?}", self.namespace))),
        }
    }
}

fn unread(name: &str, failure: &Failure) -> Trouble {
    let text = format!("Secret {name:?} of the operator could not be read: {failure}");
    Trouble { reason: failure.reason(), text, lasting: failure.is_lasting() }
}
