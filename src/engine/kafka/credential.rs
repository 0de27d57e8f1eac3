//! A login on its way from the broker to the Secret: in memory only, and never printed.

use std::fmt::{Debug, Formatter, Result};

use rand::Rng;
use rand::distr::{Alphanumeric, SampleString};

use super::{ScramCredential, scram};

/// Letters and digits of a password: more than 256 bits, and nothing that a configuration file quotes.
const LENGTH: usize = 48;
/// Bytes of a salt.
const SALT: usize = 32;

/// A user and its password.
#[derive(Clone, PartialEq, Eq)]
pub struct Credential {
    /// Name of the user.
    pub user: String,
    /// Its password.
    pub password: String,
}

impl Credential {
    /// A new password for this user.
    pub fn random(user: &str) -> Self {
        let password = Alphanumeric.sample_string(&mut rand::rng(), LENGTH);
        Self { user: user.to_owned(), password }
    }

    /// What the broker stores of it, with a new salt.
    pub fn salted(&self) -> ScramCredential {
        let mut salt = [0; SALT];
        rand::rng().fill_bytes(&mut salt);
        scram(&self.user, &self.password, &salt)
    }
}

impl Debug for Credential {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.debug_struct("Credential").field("user", &self.user).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_new_each_time_and_never_printed() {
        let (a, b) = (Credential::random("u"), Credential::random("u"));
        assert!(a.password.len() == LENGTH && a.password != b.password);
        assert!(a.password.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        assert_ne!(a.salted().salt, a.salted().salt);
        assert_eq!(format!("{a:?}"), "Credential { user: \"u\", .. }");
    }
}
