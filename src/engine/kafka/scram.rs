//! The credential that a broker stores for a SCRAM-SHA-512 user, derived from the password.

use pbkdf2::pbkdf2_hmac;
use sha2::Sha512;

use super::ScramCredential;

/// How often the password is hashed: within what brokers take (4096 to 16384), and a few milliseconds.
pub const SCRAM_ITERATIONS: u16 = 8192;
/// Bytes of a SHA-512 hash.
const HASH: usize = 64;

/// Derives the credential of a user. The salt is random, 16 bytes or more, and new for each credential.
pub fn scram(user: &str, password: &str, salt: &[u8]) -> ScramCredential {
    let mut salted = vec![0; HASH];
    pbkdf2_hmac::<Sha512>(password.as_bytes(), salt, u32::from(SCRAM_ITERATIONS), &mut salted);
    ScramCredential {
        user: user.to_owned(),
        salt: salt.to_vec(),
        iterations: i32::from(SCRAM_ITERATIONS),
        salted_password: salted,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Computed with Python: hashlib.pbkdf2_hmac('sha512', b'pencil', bytes(range(16)), 8192).
    #[test]
    fn a_credential_is_what_others_derive_too() {
        let salt: Vec<u8> = (0..16).collect();
        let credential = scram("alice", "pencil", &salt);
        let hex: String = credential.salted_password.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(
            hex,
            "d6138c61e82e649cbb51f4c156c6503fed5efd793c1106547e27be0e3a7873f1f4d271c2a1361d24e82b9098b8aeb500cea1d6d0deb79825f415c7df36e00380"
        );
        assert_eq!((credential.iterations, credential.salt.len()), (8192, 16));
        assert_ne!(scram("alice", "pencil", &[1; 16]).salted_password, credential.salted_password);
    }

    #[test]
    fn a_credential_prints_neither_salt_nor_hash() {
        let text = format!("{:?}", scram("alice", "pencil", &[7; 16]));
        assert_eq!(text, "ScramCredential { user: \"alice\", .. }");
    }
}
