//! Writes YAML that means the same to every reader: a text that `kubectl` would take for a truth value,
//! a number or nothing (`yes`, `0644`, `1_000`) is quoted, which the serializer does by YAML 1.2 only.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::scalar::is_ambiguous;

/// Characters for private use: one that the object does not hold stands for a quote.
const MARKS: [char; 3] = ['\u{E000}', '\u{E001}', '\u{E002}'];

/// The object as a YAML document, without a `---`.
///
/// # Errors
/// It cannot be written as YAML.
pub fn write(object: &Value) -> Result<String, serde_yaml::Error> {
    let Some(mark) = MARKS.into_iter().find(|mark| !holds(object, *mark)) else {
        return serde_yaml::to_string(object);
    };
    let text = serde_yaml::to_string(&marked(object, mark))?;
    Ok(if text.contains(mark) { text.replace(mark, "'") } else { text })
}

fn holds(value: &Value, mark: char) -> bool {
    match value {
        Value::String(text) => text.contains(mark),
        Value::Array(items) => items.iter().any(|item| holds(item, mark)),
        Value::Object(fields) => fields.iter().any(|(key, value)| key.contains(mark) || holds(value, mark)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

fn marked<'v>(value: &'v Value, mark: char) -> Cow<'v, Value> {
    match value {
        Value::String(text) if is_ambiguous(text) => Cow::Owned(Value::String(quoted(text, mark))),
        Value::Array(items) => {
            Cow::Owned(items.iter().map(|item| marked(item, mark).into_owned()).collect::<Vec<_>>().into())
        }
        Value::Object(fields) => {
            let field = |(key, value): (&String, &Value)| {
                let key = if is_ambiguous(key) { quoted(key, mark) } else { key.clone() };
                (key, marked(value, mark).into_owned())
            };
            Cow::Owned(Value::Object(fields.iter().map(field).collect::<Map<_, _>>()))
        }
        other => Cow::Borrowed(other),
    }
}

/// What is ambiguous holds no quote of its own.
fn quoted(text: &str, mark: char) -> String {
    format!("{mark}{text}{mark}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cli::yaml::read;

    #[test]
    fn what_is_written_is_read_as_the_same_by_kubectl() {
        let words =
            ["yes", "n", "0644", "1_000", "true", "", "~", "null", "<<", "a: b", "it's", "x\ny", "1.0", "ü"];
        let object = json!({"words": words, "yes": {"off": "on", "a": [1, true, null, {"b": 0.5}]}});
        let text = write(&object).unwrap();
        assert_eq!(read(&text).unwrap().remove(0).0, object, "{text}");
        assert!(text.contains("- 'yes'\n") && text.contains("'off': 'on'\n"), "{text}");
    }

    #[test]
    fn characters_for_private_use_stay() {
        let object = json!({"a": "yes", "b": "\u{E000}"});
        let text = write(&object).unwrap();
        assert_eq!(read(&text).unwrap().remove(0).0, object, "{text}");
        let all: String = MARKS.into_iter().collect();
        assert!(write(&json!({"a": all})).is_ok());
    }
}
