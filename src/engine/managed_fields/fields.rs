//! The names in `fieldsV1`: as a tree, and as one text in which the same set is always the same.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, Visitor};

/// Names of fields with those below them, sorted: the same set is always the same tree.
#[derive(Debug, Default)]
pub struct Fields<'a>(BTreeMap<Cow<'a, str>, Fields<'a>>);

impl<'a> Fields<'a> {
    /// Those in this text; none when it is not what the API promises.
    pub fn of(text: &'a str) -> Self {
        serde_json::from_str(text).unwrap_or_default()
    }

    /// Those below this path.
    pub fn at(&self, path: &[&str]) -> Option<&Self> {
        path.iter().try_fold(self, |fields, name| fields.0.get(*name))
    }

    /// Whether it names a field that `mine` does not.
    pub fn adds(&self, mine: &Self) -> bool {
        self.0.iter().any(|(name, below)| mine.0.get(name).is_none_or(|own| below.adds(own)))
    }

    fn write(&self, text: &mut String) {
        for (name, below) in &self.0 {
            begin(text, name);
            below.write(text);
            end(text);
        }
    }
}

/// The names between characters that no name holds, each with those below it.
pub fn canonical(text: &str) -> String {
    let mut names = String::with_capacity(text.len());
    // The server writes them in this order but for numbers in the keys of lists.
    if Sorted(&mut names).deserialize(&mut serde_json::Deserializer::from_str(text)).is_err() {
        names.clear();
        Fields::of(text).write(&mut names);
    }
    names
}

/// Whether a [`canonical`] text holds this path.
pub fn holds(names: &str, path: &[&str]) -> bool {
    if path.last().is_some_and(|name| !names.contains(name)) {
        return false;
    }
    let (mut depth, mut found, mut rest) = (0, 0, names);
    while let Some(at) = rest.bytes().position(|byte| byte <= 2) {
        let (name, after) = rest.split_at(at);
        if after.starts_with('\u{2}') {
            depth -= 1;
            found = found.min(depth);
        } else {
            found += usize::from(found == depth && path.get(depth) == Some(&name));
            if found == path.len() {
                return true;
            }
            depth += 1;
        }
        rest = after.get(1..).unwrap_or_default();
    }
    false
}

fn begin(text: &mut String, name: &str) {
    text.push_str(name);
    text.push('\u{1}');
}

fn end(text: &mut String) {
    text.push('\u{2}');
}

/// A name, borrowed from the text where it holds no escapes.
struct Name<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Name<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl<'de> Visitor<'de> for Text {
            type Value = Name<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of a field")
            }

            fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Name<'de>, E> {
                Ok(Name(Cow::Borrowed(name)))
            }

            fn visit_str<E>(self, name: &str) -> Result<Name<'de>, E> {
                Ok(Name(Cow::Owned(name.to_owned())))
            }
        }
        deserializer.deserialize_str(Text)
    }
}

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Names;
        impl<'de> Visitor<'de> for Names {
            type Value = Fields<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the fields below one")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut names: A) -> Result<Fields<'de>, A::Error> {
                let mut fields = BTreeMap::new();
                while let Some((Name(name), below)) = names.next_entry()? {
                    fields.insert(name, below);
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(Names)
    }
}

/// Copies names that are sorted already, without a tree; an error when they are not.
struct Sorted<'t>(&'t mut String);

impl<'de> DeserializeSeed<'de> for Sorted<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Sorted<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the fields below one")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut names: A) -> Result<(), A::Error> {
        let mut last: Option<Cow<'de, str>> = None;
        while let Some(Name(name)) = names.next_key()? {
            if last.is_some_and(|last| last >= name) {
                return Err(A::Error::custom("not sorted"));
            }
            begin(self.0, &name);
            names.next_value_seed(Sorted(self.0))?;
            end(self.0);
            last = Some(name);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Map, Value};

    use super::*;

    fn tree() -> impl Strategy<Value = Value> {
        let leaf = Just(Value::Object(Map::new()));
        leaf.prop_recursive(4, 24, 4, |below| {
            prop::collection::btree_map("[.fkv]:[a-c]{1,2}|k:\\{\"p\":[0-9]{1,3}\\}", below, 0..4)
                .prop_map(|fields| Value::Object(fields.into_iter().collect()))
        })
    }

    #[test]
    fn a_path_is_found_where_it_is() {
        let names = canonical(
            r#"{"f:metadata":{"f:spec":{}},"f:spec":{"f:a":{"f:x":{}},"f:b":{}},"f:z":{"f:c":{}}}"#,
        );
        for (path, expected) in [
            (vec!["f:spec"], true),
            (vec!["f:spec", "f:b"], true),
            (vec!["f:spec", "f:a", "f:x"], true),
            (vec!["f:spec", "f:x"], false),
            (vec!["f:spec", "f:c"], false),
            (vec!["f:metadata", "f:b"], false),
            (vec!["f:x"], false),
        ] {
            assert_eq!(holds(&names, &path), expected, "{path:?}");
        }
    }

    /// The same text with the fields of each object the other way round.
    fn reversed(value: &Value) -> String {
        let fields = value.as_object().into_iter().flatten().rev();
        let fields: Vec<String> = fields
            .map(|(name, below)| format!("{}:{}", Value::String(name.clone()), reversed(below)))
            .collect();
        format!("{{{}}}", fields.join(", "))
    }

    proptest! {
        #[test]
        fn the_order_of_the_text_does_not_matter_and_every_name_does(one in tree(), other in tree()) {
            let text = one.to_string();
            prop_assert_eq!(canonical(&text), canonical(&reversed(&one)));
            prop_assert_eq!(one == other, canonical(&text) == canonical(&other.to_string()));
        }
    }
}
