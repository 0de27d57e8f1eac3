//! Names of children, derived and length-safe, and what an image reference and a label value are.

use core::net::IpAddr;

use sha2::{Digest, Sha256};

/// Longest name of most objects (DNS-1123 subdomain).
pub const MAX_NAME: usize = 253;
/// Longest DNS label, and longest label value.
pub const MAX_LABEL: usize = 63;

/// Length of the hash that replaces what a name is too long for.
const HASH: usize = 8;

/// Name of the ConfigMap with `spec.config`.
pub fn config_map_name(service: &str) -> String {
    derived(service, "-config", MAX_NAME)
}

/// Name of the ConfigMap with the inline files of `spec.files[].config`.
pub fn files_map_name(service: &str) -> String {
    derived(service, "-files", MAX_NAME)
}

/// Name of the ConfigMap that says where those are that the service calls.
pub fn peers_map_name(service: &str) -> String {
    derived(service, "-peers", MAX_NAME)
}

/// `base` followed by `suffix`, at most `max` bytes: a base that is too long is cut and given a hash of
/// the whole base, so that two long bases never share a name. `suffix` must be ASCII and leave room
/// for the hash; if it does not, the hash alone is the name.
pub fn derived(base: &str, suffix: &str, max: usize) -> String {
    if base.len() + suffix.len() <= max {
        return format!("{base}{suffix}");
    }
    let hash: String = digest(base).chars().take(HASH).collect();
    let room = max.saturating_sub(suffix.len() + HASH + 1);
    let head = cut(base, room).trim_end_matches(['-', '.']);
    if head.is_empty() { cut(&hash, max).to_owned() } else { format!("{head}-{hash}{suffix}") }
}

/// First 16 bytes of the SHA-256 of a text, in hexadecimal.
pub fn digest(text: &str) -> String {
    let half_bytes = Sha256::digest(text).into_iter().take(16).flat_map(|byte| [byte >> 4, byte & 15]);
    half_bytes.filter_map(|half| char::from_digit(half.into(), 16)).collect()
}

/// The longest start of `text` of at most `max` bytes that does not split a character.
fn cut(text: &str, max: usize) -> &str {
    let end = text.char_indices().map(|(at, c)| at + c.len_utf8()).take_while(|end| *end <= max).last();
    text.get(..end.unwrap_or(0)).unwrap_or_default()
}

/// An image reference in its parts. Parsing never fails: what does not look like a tag or a digest is
/// part of the repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Image<'a> {
    /// Registry and path, for example `registry.example.com:5000/shop/user-service`.
    pub repository: &'a str,
    /// Tag, for example `v1.2.0`.
    pub tag: Option<&'a str>,
    /// Digest with its algorithm, for example `sha256:…`.
    pub digest: Option<&'a str>,
}

impl<'a> Image<'a> {
    /// Splits a reference; a colon before the last slash is a registry's port, not a tag.
    pub fn parse(reference: &'a str) -> Self {
        let (name, digest) = match reference.split_once('@') {
            Some((name, digest)) => (name, Some(digest)),
            None => (reference, None),
        };
        match name.rsplit_once(':') {
            Some((repository, tag)) if !tag.contains('/') => Self { repository, tag: Some(tag), digest },
            _ => Self { repository: name, tag: None, digest },
        }
    }

    /// Whether the digest names the content: `sha256:` or `sha512:` with all its hexadecimal digits.
    pub fn is_pinned(&self) -> bool {
        let length = |algorithm| match algorithm {
            "sha256" => 64,
            "sha512" => 128,
            _ => 0,
        };
        let hex = |text: &str| text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        self.digest.and_then(|digest| digest.split_once(':')).is_some_and(|(algorithm, value)| {
            !value.is_empty() && value.len() == length(algorithm) && hex(value)
        })
    }
}

/// Value of `app.kubernetes.io/version`: the image's tag cut to a valid label value; `None` when there
/// is no tag or it cannot be one.
pub fn version_label(image: &str) -> Option<String> {
    label_value(Image::parse(image).tag?)
}

/// Cuts a text to a valid label value (63 characters that end with a letter or digit); `None` when the
/// text has a character that no label value has, starts with none of letter and digit, or is empty.
pub fn label_value(text: &str) -> Option<String> {
    let alphanumeric = |c: char| c.is_ascii_alphanumeric();
    let value = cut(text, MAX_LABEL).trim_end_matches(|c| !alphanumeric(c));
    let valid = value.starts_with(alphanumeric)
        && text.chars().all(|c| alphanumeric(c) || matches!(c, '-' | '_' | '.'));
    valid.then(|| value.to_owned())
}

/// The address and the length of a range of addresses such as `192.0.2.0/24`, as the API server reads them.
pub fn range(cidr: &str) -> Option<(IpAddr, u8)> {
    let (address, length) = cidr.split_once('/')?;
    let (address, digits) = (address.parse::<IpAddr>().ok()?, length.parse::<u8>().ok()?);
    let mapped = matches!(address, IpAddr::V6(address) if address.to_ipv4_mapped().is_some());
    let longest = if address.is_ipv4() { 32 } else { 128 };
    (!mapped && digits <= longest && digits.to_string() == length).then_some((address, digits))
}

/// Whether a text is the key of a label: a name of at most 63 characters, with an optional DNS prefix and `/`.
pub fn is_label_key(text: &str) -> bool {
    let (prefix, name) = match text.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, text),
    };
    prefix.is_none_or(is_subdomain) && label_value(name).as_deref() == Some(name)
}

/// Whether a text is a DNS-1123 subdomain, the name of a Secret, ConfigMap or ServiceAccount.
pub fn is_subdomain(text: &str) -> bool {
    text.len() <= MAX_NAME && text.split('.').all(|label| !label.is_empty() && is_label_of(label, MAX_NAME))
}

/// Whether a text is a DNS-1123 label, the name of a container or a namespace.
pub fn is_label(text: &str) -> bool {
    is_label_of(text, MAX_LABEL)
}

/// Whether a text is a DNS-1035 label, the name of a Service: a DNS-1123 label that starts with a letter.
pub fn is_service_name(text: &str) -> bool {
    is_label(text) && text.starts_with(|c: char| c.is_ascii_lowercase())
}

/// Whether a text is the key of a Secret or ConfigMap.
pub fn is_data_key(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= MAX_NAME
        && text != "."
        && !text.starts_with("..")
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
}

/// Whether a text is the name of a port: at most 15 lower-case letters, digits and single `-` inside,
/// at least one letter.
pub fn is_port_name(text: &str) -> bool {
    is_label_of(text, 15) && !text.contains("--") && text.bytes().any(|b| b.is_ascii_lowercase())
}

fn is_label_of(text: &str, max: usize) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = text.as_bytes();
    bytes.len() <= max
        && bytes.first().copied().is_some_and(inner)
        && bytes.last().copied().is_some_and(inner)
        && bytes.iter().all(|b| inner(*b) || *b == b'-')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn short_names_are_only_joined() {
        assert_eq!(config_map_name("user-service"), "user-service-config");
        assert_eq!(files_map_name("user-service"), "user-service-files");
        assert_eq!(derived("ab", "-c", 4), "ab-c");
    }

    #[test]
    fn long_names_are_cut_and_keep_their_suffix() {
        let name = derived(&"a".repeat(80), "-x", 63);
        assert_eq!(name.len(), 63);
        assert!(name.ends_with("-x"));
        assert_eq!(derived("abcdefghijklmnop-q", "-suffix", 10).len(), 8);
    }

    #[test]
    fn images_are_split() {
        let parts = |text| {
            let image = Image::parse(text);
            (image.repository, image.tag, image.digest)
        };
        assert_eq!(parts("a"), ("a", None, None));
        assert_eq!(parts("a:1"), ("a", Some("1"), None));
        assert_eq!(parts("r:5000/a"), ("r:5000/a", None, None));
        assert_eq!(parts("r:5000/a:1@sha256:00"), ("r:5000/a", Some("1"), Some("sha256:00")));
        assert_eq!(parts("a@sha256:00"), ("a", None, Some("sha256:00")));
    }

    #[test]
    fn only_a_full_digest_pins() {
        let pinned = |text: &str| Image::parse(text).is_pinned();
        assert!(pinned(&format!("a@sha256:{}", "0".repeat(64))));
        assert!(pinned(&format!("a:1@sha512:{}", "f".repeat(128))));
        for text in ["a", "a:1", "a@sha256:", "a@sha256:00", "a@:", "a@md5:"] {
            assert!(!pinned(text), "{text}");
        }
        assert!(!pinned(&format!("a@sha256:{}", "F".repeat(64))));
    }

    #[test]
    fn versions_are_valid_labels_or_absent() {
        assert_eq!(version_label("user-service:v1.2.0").as_deref(), Some("v1.2.0"));
        assert_eq!(version_label("r:5000/user-service"), None);
        assert_eq!(version_label("a:_x"), None);
        assert_eq!(version_label("a:x-"), Some("x".to_owned()));
        assert_eq!(version_label("a:"), None);
        assert_eq!(version_label("a:x y"), None);
        assert_eq!(version_label(&format!("a:{}-{}", "b".repeat(62), "c")), Some("b".repeat(62)));
    }

    #[test]
    fn names_are_judged() {
        assert!(
            is_subdomain("a.b-c.9")
                && is_service_name("a9")
                && is_data_key("tls.crt")
                && is_port_name("http-2")
        );
        for text in ["", "a..b", "../x", "ns/name", "A", "a\n", "a\0", "%2f", "-a", "a-"] {
            assert!(!is_subdomain(text), "{text:?}");
        }
        assert!(!is_service_name("9a") && !is_label("a.b") && !is_label(&"a".repeat(64)));
        assert!(!is_data_key("..") && !is_data_key(".") && !is_data_key("a/b") && !is_data_key(""));
        assert!(!is_port_name("8080") && !is_port_name("a--b") && !is_port_name("abcdefghijklmnop"));
    }

    proptest! {
        #[test]
        fn a_derived_name_fits_and_stays_valid(base in "[a-z]([a-z0-9-]{0,100}[a-z0-9])?", max in 24_usize..253) {
            let name = derived(&base, "-config", max);
            prop_assert!(name.len() <= max);
            prop_assert!(name.ends_with("-config") && is_label_of(&name, MAX_NAME));
        }

        #[test]
        fn two_bases_never_share_a_name(a in "[a-z]{40,90}", b in "[a-z]{40,90}", same in "[a-z]{50}") {
            prop_assume!(a != b);
            prop_assert_ne!(derived(&a, "-x", 63), derived(&b, "-x", 63));
            prop_assert_ne!(derived(&(same.clone() + &a), "-x", 63), derived(&(same + &b), "-x", 63));
        }

        #[test]
        fn any_text_is_derived_and_split_without_a_panic(text in any::<String>(), max in 0_usize..300) {
            prop_assert!(derived(&text, "", max).len() <= max);
            let image = Image::parse(&text);
            prop_assert!(image.repository.len() <= text.len());
            if let Some(value) = version_label(&text) {
                prop_assert!(value.len() <= MAX_LABEL);
                prop_assert_eq!(label_value(&value), Some(value.clone()));
            }
        }
    }
}
