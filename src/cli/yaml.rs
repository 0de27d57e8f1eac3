//! Reads YAML as `kubectl` does, and remembers where each field stands: values and positions come from
//! one pass over the parser's events.

mod marks;
mod scalar;
mod write;

use std::collections::BTreeMap;

use granit_parser::{Event, Parser, ScanError, Span, Tag};
use serde_json::{Map, Value};

pub use marks::{Marks, Position};
pub use write::write;

/// Most values that a text may hold once its aliases are written out: a few lines could name billions.
const MOST_VALUES: usize = 1_000_000;

/// A text is not YAML, or not what Kubernetes takes of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// Where.
    pub at: Position,
    /// Why.
    pub message: String,
}

/// The values of all documents of a text, with the positions of what is in them. Documents that hold
/// nothing are left out.
///
/// # Errors
/// The first place that cannot be read.
pub fn read(text: &str) -> Result<Vec<(Value, Marks)>, Trouble> {
    let options = granit_parser::options! {
        emit_comments: false,
        block_scalar_eof_without_line_feed: true,
        simple_key_max_lookahead: 16 * 1024,
    };
    let events = Parser::new_from_str_with_options(text, options);
    let mut reader = Reader { events, anchors: BTreeMap::new(), count: 0 };
    let mut documents = Vec::new();
    while let Some((event, span)) = reader.next()? {
        match event {
            Event::DocumentStart(..) => reader.anchors.clear(),
            Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
            content => {
                let read = reader.value(content, &span)?;
                documents.extend(Some(read).filter(|(value, _)| !value.is_null()));
            }
        }
    }
    Ok(documents)
}

struct Reader<'t, I: Iterator<Item = Result<(Event<'t>, Span), ScanError>>> {
    events: I,
    /// What aliases may name, with the number of values in it.
    anchors: BTreeMap<usize, (Value, Marks, usize)>,
    count: usize,
}

impl<'t, I: Iterator<Item = Result<(Event<'t>, Span), ScanError>>> Reader<'t, I> {
    fn next(&mut self) -> Result<Option<(Event<'t>, Span)>, Trouble> {
        self.events.next().transpose().map_err(|error| Trouble {
            at: Position::of(error.marker()),
            message: error.info().replace('\n', " "),
        })
    }

    /// Inside a collection: the stream cannot end there.
    fn more(&mut self, at: Position) -> Result<(Event<'t>, Span), Trouble> {
        self.next()?.ok_or_else(|| trouble(at, "it ends too early"))
    }

    fn value(&mut self, event: Event<'t>, span: &Span) -> Result<(Value, Marks), Trouble> {
        let at = Position::of(&span.start);
        let before = self.count;
        self.add(1, at)?;
        let (read, anchor) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                let value = scalar::value(&text, style, tag.as_deref()).map_err(|why| trouble(at, &why))?;
                ((value, Marks::leaf(at)), anchor)
            }
            Event::SequenceStart(_, anchor, tag) => {
                known(tag.as_deref(), "seq", at)?;
                (self.sequence(at)?, anchor)
            }
            Event::MappingStart(_, anchor, tag) => {
                known(tag.as_deref(), "map", at)?;
                (self.mapping(at)?, anchor)
            }
            Event::Alias(anchor) => {
                let Some((value, marks, size)) = self.anchors.get(&anchor).cloned() else {
                    return Err(trouble(at, "an alias names what it stands in"));
                };
                self.add(size, at)?;
                ((value, marks), 0)
            }
            _ => return Err(trouble(at, "a value is missing")),
        };
        if anchor != 0 {
            let (value, marks) = read.clone();
            self.anchors.insert(anchor, (value, marks, self.count - before));
        }
        Ok(read)
    }

    fn add(&mut self, values: usize, at: Position) -> Result<(), Trouble> {
        self.count = self.count.saturating_add(values);
        if self.count > MOST_VALUES {
            return Err(trouble(at, "it is too large: its aliases hold more than a million values"));
        }
        Ok(())
    }

    fn sequence(&mut self, at: Position) -> Result<(Value, Marks), Trouble> {
        let (mut values, mut marks) = (Vec::new(), Vec::new());
        loop {
            let (event, span) = self.more(at)?;
            if matches!(event, Event::SequenceEnd) {
                return Ok((Value::Array(values), Marks::items(at, marks)));
            }
            let (value, mark) = self.value(event, &span)?;
            values.push(value);
            marks.push(mark);
        }
    }

    fn mapping(&mut self, at: Position) -> Result<(Value, Marks), Trouble> {
        let (mut fields, mut marks) = (Map::new(), BTreeMap::new());
        let mut merged = Vec::new();
        loop {
            let (event, span) = self.more(at)?;
            if matches!(event, Event::MappingEnd) {
                break;
            }
            let key_at = Position::of(&span.start);
            let merges = matches!(&event, Event::Scalar(text, style, _, None)
                if text == "<<" && *style == granit_parser::ScalarStyle::Plain);
            let (key, _) = self.value(event, &span)?;
            let (event, span) = self.more(at)?;
            let (value, value_marks) = self.value(event, &span)?;
            if merges {
                merged.extend(sources(value, value_marks, key_at)?);
                continue;
            }
            let key = scalar::key(key).ok_or_else(|| trouble(key_at, "a key must be a text"))?;
            if fields.insert(key.clone(), value).is_some() {
                return Err(trouble(key_at, &format!("key {key:?} is given twice")));
            }
            marks.insert(key, value_marks.keyed(key_at));
        }
        for (source, mut source_marks) in merged {
            for (key, value) in source {
                if !fields.contains_key(&key) {
                    marks.extend(source_marks.take(&key).map(|mark| (key.clone(), mark)));
                    fields.insert(key, value);
                }
            }
        }
        Ok((Value::Object(fields), Marks::fields(at, marks)))
    }
}

/// The fields of a mapping, with their positions.
type Source = (Map<String, Value>, Marks);

/// What a merge key (`<<`) names: a mapping or a list of them, the first winning.
fn sources(value: Value, mut marks: Marks, at: Position) -> Result<Vec<Source>, Trouble> {
    let one = |value: Value, marks: Marks| match value {
        Value::Object(fields) => Ok((fields, marks)),
        _ => Err(trouble(at, "only mappings can be merged with <<")),
    };
    match value {
        Value::Array(items) => items.into_iter().zip(marks.take_items()).map(|(v, m)| one(v, m)).collect(),
        value => one(value, marks).map(|one| vec![one]),
    }
}

fn known(tag: Option<&Tag>, kind: &str, at: Position) -> Result<(), Trouble> {
    match tag {
        Some(tag) if !tag.is_yaml_core_schema_tag(kind) => Err(trouble(at, &scalar::unknown(tag))),
        _ => Ok(()),
    }
}

fn trouble(at: Position, message: &str) -> Trouble {
    Trouble { at, message: message.to_owned() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn one(text: &str) -> Value {
        let [(value, _)] = read(text).unwrap().try_into().unwrap();
        value
    }

    fn refused(text: &str) -> (usize, usize, String) {
        let trouble = read(text).unwrap_err();
        (trouble.at.line, trouble.at.column, trouble.message)
    }

    fn at(text: &str, path: &str) -> (usize, usize) {
        let (_, marks) = read(text).unwrap().remove(0);
        let position = marks.find(path);
        (position.line, position.column)
    }

    #[test]
    fn documents_that_hold_nothing_are_left_out() {
        let values: Vec<Value> = read("# a comment\n---\na: 1\n---\n---\n# none\n---\nb: 2\n...\n")
            .unwrap()
            .into_iter()
            .map(|d| d.0)
            .collect();
        assert_eq!(values, [json!({"a": 1}), json!({"b": 2})]);
        assert_eq!(read("").unwrap(), []);
    }

    #[test]
    fn json_with_tabs_is_read() {
        assert_eq!(one("{\n\t\"a\": [\n\t\t1,\n\t\t\"yes\"\n\t]\n}\n"), json!({"a": [1, "yes"]}));
    }

    #[test]
    fn a_block_keeps_its_last_line_as_kubectl_does() {
        assert_eq!(one("a: |\n  x\n"), json!({"a": "x\n"}));
        assert_eq!(one("a: |\n  x"), json!({"a": "x"}));
    }

    #[test]
    fn merge_keys_are_resolved_and_the_own_fields_win() {
        let text = "base: &b {a: 1, c: 3}\nother: &o {a: 7, d: 4}\nmore:\n  <<: [*b, *o]\n  c: 5\n";
        assert_eq!(one(text)["more"], json!({"a": 1, "c": 5, "d": 4}));
        assert_eq!((at(text, "more.a"), at(text, "more.c")), ((1, 11), (5, 3)));
        assert_eq!(refused("a: 1\nb: {<<: 7}\n"), (2, 5, "only mappings can be merged with <<".into()));
        assert_eq!(one("a: {'<<': 7}\n"), json!({"a": {"<<": 7}}));
    }

    #[test]
    fn repeated_keys_and_broken_texts_are_refused_where_they_stand() {
        assert_eq!(refused("ok: 1\n---\na: 1\nb: 2\na: 2\n"), (5, 1, "key \"a\" is given twice".into()));
        assert_eq!(refused("a: 1\nyes: 2\ntrue: 3\n").2, "key \"true\" is given twice");
        let (line, _, message) = refused("a: 1\nb: [1, 2\nc: 3\n");
        assert!(line >= 2 && !message.is_empty() && !message.contains('\n'), "{line}: {message}");
        assert_eq!(refused("a: *none\n").0, 1);
        assert_eq!(refused("a: &a [*a]\n"), (1, 8, "an alias names what it stands in".into()));
        assert_eq!(refused("a: !secret x\n").0, 1);
        assert_eq!(refused("[a]: x\n"), (1, 1, "a key must be a text".into()));
    }

    #[test]
    fn a_few_lines_cannot_name_billions_of_values() {
        let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..12 {
            let aliases = vec![format!("*a{}", level - 1); 10].join(", ");
            text += &format!("a{level}: &a{level} [{aliases}]\n");
        }
        assert!(refused(&text).2.contains("too large"));
    }

    #[test]
    fn deep_nesting_is_refused_and_not_followed() {
        assert!(read(&"[".repeat(100_000)).is_err());
        assert!(read(&"- ".repeat(100_000)).is_err());
    }

    #[test]
    fn fields_are_found_by_their_paths_or_by_what_is_around_them() {
        let text = "# hello\nmetadata: {name: x}\nspec:\n  ports:\n  - name: a\n    port: 1\n  - {name: b,\n     port: 2}\n  \
                    config:\n    LOG.LEVEL: debug\n    'a b': c\n";
        assert_eq!(at(text, ""), (2, 1));
        assert_eq!(at(text, "metadata.name"), (2, 12));
        assert_eq!(at(text, "spec.ports[0].port"), (6, 5));
        assert_eq!(at(text, "spec.ports[1]"), (7, 5));
        assert_eq!(at(text, "spec.ports[1].port"), (8, 6));
        assert_eq!(at(text, "spec.config.LOG.LEVEL"), (10, 5));
        assert_eq!(at(text, "spec.config[\"a b\"]"), (11, 5));
        // What is not there: the nearest field around it.
        assert_eq!(at(text, "spec.ports[1].protocol"), (7, 5));
        assert_eq!(at(text, "spec.ports[7].port"), (4, 3));
        assert_eq!(at(text, "spec.image"), (3, 1));
        assert_eq!(at(text, "spec.config.LOG"), (9, 3));
        assert_eq!(at(text, "status"), (2, 1));
    }

    #[test]
    fn columns_count_characters() {
        assert_eq!(at("{ü: ä, b: 1}\n", "b"), (1, 8));
    }
}
