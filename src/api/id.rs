//! UIDs and digests in a quarter of the memory that their text takes: there are dozens per Microservice.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::{Deserializer, Visitor};
use serde::{Deserialize, Serialize, Serializer};

/// A UID or digest. Any text can be one; 16 bytes in lower-case hexadecimal digits, plain or grouped as
/// a UUID, are kept as bytes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id(Form);

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Form {
    Uuid([u8; 16]),
    Hex([u8; 16]),
    Text(Box<str>),
}

/// Places of the hyphens in a UUID.
const HYPHENS: [usize; 4] = [8, 13, 18, 23];

impl From<&str> for Id {
    fn from(text: &str) -> Self {
        let form = match text.len() {
            32 => bytes(text.bytes()).map(Form::Hex),
            36 if HYPHENS.iter().all(|at| text.as_bytes().get(*at) == Some(&b'-')) => {
                let digits = text.bytes().enumerate().filter(|(at, _)| !HYPHENS.contains(at));
                bytes(digits.map(|(_, digit)| digit)).map(Form::Uuid)
            }
            _ => None,
        };
        Self(form.unwrap_or_else(|| Form::Text(text.into())))
    }
}

/// 32 lower-case hexadecimal digits as bytes.
fn bytes(mut digits: impl Iterator<Item = u8>) -> Option<[u8; 16]> {
    let mut half = || match digits.next()? {
        digit @ b'0'..=b'9' => Some(digit - b'0'),
        digit @ b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    let mut bytes = [0; 16];
    for byte in &mut bytes {
        *byte = half()? << 4 | half()?;
    }
    Some(bytes)
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Form::Text(text) => f.write_str(text),
            Form::Hex(bytes) => bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}")),
            Form::Uuid(bytes) => bytes.iter().enumerate().try_for_each(|(at, byte)| {
                let hyphen = if [4, 6, 8, 10].contains(&at) { "-" } else { "" };
                write!(f, "{hyphen}{byte:02x}")
            }),
        }
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

impl Default for Id {
    fn default() -> Self {
        Self(Form::Text(Box::default()))
    }
}

impl PartialEq<str> for Id {
    fn eq(&self, text: &str) -> bool {
        let other = Self::from(text);
        self.0 == other.0
    }
}

impl Serialize for Id {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Id;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_str<E>(self, text: &str) -> Result<Id, E> {
                Ok(Id::from(text))
            }
        }
        deserializer.deserialize_str(Text)
    }
}

impl JsonSchema for Id {
    fn schema_name() -> Cow<'static, str> {
        String::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        String::json_schema(generator)
    }

    fn inline_schema() -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_text_is_changed(
            text in prop_oneof![
                "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}",
                "[0-9a-f]{32}",
                "[0-9a-fA-F-]{30,38}",
                ".{0,40}",
            ],
            other in ".{0,3}",
        ) {
            let id = Id::from(text.as_str());
            prop_assert_eq!(id.to_string(), text.clone());
            prop_assert!(id == *text);
            prop_assert_eq!(id == *other, text == other);
            let json = serde_json::to_string(&id).unwrap();
            prop_assert_eq!(&json, &serde_json::to_string(&text).unwrap());
            prop_assert_eq!(serde_json::from_str::<Id>(&json).unwrap(), id);
        }
    }

    #[test]
    fn what_the_api_server_and_we_make_takes_no_memory_of_its_own() {
        let is_text = |text: &str| matches!(Id::from(text).0, Form::Text(_));
        assert!(!is_text("6f1b3c1e-1d7c-4a4e-9d55-0123456789ab"));
        assert!(!is_text(&crate::api::names::digest("x")));
        assert!(is_text("6F1B3C1E-1D7C-4A4E-9D55-0123456789AB"), "another text");
        assert_eq!(size_of::<Option<Id>>(), 24);
    }
}
