//! Random values of generated Secrets, and when they are replaced.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;
use rand::Rng;
use rand::distr::{Alphanumeric, SampleString};

use crate::api::microservice::{Encoding, GenerateKey, SecretUse};
use crate::api::status::SecretStatus;
use crate::api::{ANNOTATION_ROTATE, Microservice};
use crate::intent::duration;

/// Number of characters or random bytes when the spec names none.
const DEFAULT_LENGTH: i32 = 32;

/// Whether the values of a Secret are to be replaced now: the annotation asks for it with a word that
/// was not carried out yet, or their time is up. A Secret without a record is new.
pub fn due(object: &Microservice, before: Option<&SecretStatus>, now: Timestamp) -> bool {
    let Some(before) = before else { return false };
    let asked = rotate_token(object);
    (asked.is_some() && asked != before.rotate_token)
        || before.next_rotation.as_ref().is_some_and(|next| next.0 <= now)
}

fn rotate_token(object: &Microservice) -> Option<String> {
    object.annotations().get(ANNOTATION_ROTATE).cloned()
}

/// Makes the values that are absent, or all of them. Keys that are not generated stay as they are.
/// Returns whether anything was made.
pub fn fill(values: &mut BTreeMap<String, ByteString>, keys: &[GenerateKey], replace: bool) -> bool {
    let mut made = false;
    for key in keys {
        if replace || !values.contains_key(&key.key) {
            values.insert(key.key.clone(), ByteString(value(key).into_bytes()));
            made = true;
        }
    }
    made
}

fn value(key: &GenerateKey) -> String {
    let length = usize::try_from(key.length.unwrap_or(DEFAULT_LENGTH)).unwrap_or_default().clamp(16, 256);
    let mut random = rand::rng();
    let mut bytes = || {
        let mut bytes = vec![0; length];
        random.fill_bytes(&mut bytes);
        bytes
    };
    match key.encoding.unwrap_or_default() {
        Encoding::Alphanumeric => Alphanumeric.sample_string(&mut rand::rng(), length),
        Encoding::Base64 => STANDARD.encode(bytes()),
        Encoding::Hex => bytes().iter().map(|byte| format!("{byte:02x}")).collect(),
    }
}

/// The record of a generated Secret after this pass.
pub fn status(
    object: &Microservice,
    secret: &SecretUse,
    before: Option<&SecretStatus>,
    rotated: bool,
    now: Timestamp,
) -> SecretStatus {
    let rotated_at = match before.and_then(|before| before.rotated_at.clone()) {
        Some(at) if !rotated => at,
        _ => whole_seconds(now),
    };
    let period = secret
        .generate
        .iter()
        .flatten()
        .filter_map(|key| key.rotate_after.as_deref().and_then(duration::parse))
        .min();
    SecretStatus {
        name: secret.name.clone(),
        next_rotation: period.and_then(|period| after(&rotated_at, period)),
        rotated_at: Some(rotated_at),
        rotate_token: rotate_token(object),
        ..SecretStatus::default()
    }
}

/// The time as the API server stores it.
pub fn whole_seconds(now: Timestamp) -> Time {
    Time(Timestamp::from_second(now.as_second()).unwrap_or(now))
}

fn after(time: &Time, period: Duration) -> Option<Time> {
    time.0.checked_add(period).ok().map(Time)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(encoding: Encoding) -> GenerateKey {
        GenerateKey { key: "k".to_owned(), length: Some(20), encoding: Some(encoding), rotate_after: None }
    }

    #[test]
    fn values_have_the_length_and_alphabet_asked_for() {
        assert_eq!(value(&key(Encoding::Hex)).len(), 40);
        assert_eq!(STANDARD.decode(value(&key(Encoding::Base64))).unwrap().len(), 20);
        let text = value(&key(Encoding::Alphanumeric));
        assert!(text.len() == 20 && text.chars().all(|c| c.is_ascii_alphanumeric()));
        assert_ne!(value(&key(Encoding::Hex)), value(&key(Encoding::Hex)));
    }

    #[test]
    fn existing_values_stay_unless_replaced() {
        let kept = ByteString(b"by hand".to_vec());
        let mut values = BTreeMap::from([("k".to_owned(), kept.clone()), ("other".to_owned(), kept.clone())]);
        assert!(!fill(&mut values, &[key(Encoding::Hex)], false));
        assert_eq!(values["k"], kept);
        assert!(fill(&mut values, &[key(Encoding::Hex)], true));
        assert_ne!(values["k"], kept);
        assert_eq!(values["other"], kept);
    }

    #[test]
    fn rotation_follows_annotation_and_age() {
        let now = Timestamp::from_second(10_000).unwrap();
        let mut object = Microservice::default();
        let secret = SecretUse {
            name: "s".to_owned(),
            generate: Some(vec![GenerateKey { rotate_after: Some("1h".to_owned()), ..key(Encoding::Hex) }]),
            ..SecretUse::default()
        };
        let first = status(&object, &secret, None, false, now);
        assert!(!due(&object, None, now));
        assert!(!due(&object, Some(&first), now));
        assert!(due(&object, Some(&first), Timestamp::from_second(13_600).unwrap()));
        object.annotations_mut().insert(ANNOTATION_ROTATE.to_owned(), "please".to_owned());
        assert!(due(&object, Some(&first), now));
        let second = status(&object, &secret, Some(&first), true, now);
        assert!(!due(&object, Some(&second), now), "asked once, done once");
    }
}
