//! How a cluster is reached and who we are there. Nothing here prints a secret.

use std::fmt::{Debug, Formatter, Result};

/// How to connect to a cluster as its administrator.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Brokers to begin with, `host:port`.
    pub bootstrap: Vec<String>,
    /// Encrypts the connection; `None` = no TLS.
    pub tls: Option<Tls>,
    /// Logs in with SASL; `None` = no login, or the client certificate is the login.
    pub login: Option<Login>,
}

/// TLS: whom to trust, and our own certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tls {
    /// The only CAs to trust, PEM; `None` = the public ones.
    pub ca: Option<String>,
    /// Our certificate, where the cluster asks for one.
    pub client: Option<ClientCertificate>,
}

/// A client certificate.
#[derive(Clone, PartialEq, Eq)]
pub struct ClientCertificate {
    /// The certificate and its intermediates, PEM.
    pub chain: String,
    /// Its private key, PEM, not encrypted.
    pub key: String,
}

/// A SASL login.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    /// How the password is proved.
    pub mechanism: Mechanism,
    /// Name of the user.
    pub user: String,
    /// Its password.
    pub password: String,
}

/// How a password is proved to the broker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mechanism {
    /// SCRAM-SHA-512.
    #[default]
    ScramSha512,
    /// SCRAM-SHA-256.
    ScramSha256,
    /// PLAIN: the password itself is sent.
    Plain,
}

impl Settings {
    /// What no text may hold.
    pub fn secrets(&self) -> Vec<String> {
        let password = self.login.iter().map(|login| &login.password);
        let client = self.tls.iter().filter_map(|tls| tls.client.as_ref());
        password.chain(client.map(|client| &client.key)).cloned().collect()
    }
}

impl Debug for ClientCertificate {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.debug_struct("ClientCertificate").finish_non_exhaustive()
    }
}

impl Debug for Login {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.debug_struct("Login")
            .field("mechanism", &self.mechanism)
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_print_no_secret() {
        let settings = Settings {
            bootstrap: vec!["kafka:9093".into()],
            tls: Some(Tls {
                ca: None,
                client: Some(ClientCertificate { chain: "chain".into(), key: "canary-key".into() }),
            }),
            login: Some(Login {
                mechanism: Mechanism::Plain,
                user: "operator".into(),
                password: "canary-password".into(),
            }),
        };
        let text = format!("{settings:?}");
        assert!(!text.contains("canary"), "{text}");
        assert_eq!(settings.secrets(), ["canary-password", "canary-key"]);
        assert!(text.contains("operator") && text.contains("kafka:9093"), "{text}");
    }
}
