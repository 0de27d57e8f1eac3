//! Inputs: random bytes and texts, and examples after a few edits. Texts are edited as bytes, documents as
//! trees first. An edit is three numbers, so that a failing input shrinks to the fewest edits.

use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use crate::harness::Input;

/// What happens, where, and with what.
type Edit = (u8, u32, u32);

/// What may stand anywhere in a text and mean something.
const TOKENS: [&str; 59] = [
    "'yes'",
    "\"no\"",
    "'0x1F'",
    "",
    " ",
    "\n",
    "\r\n",
    "\t",
    "\u{0}",
    "\u{feff}",
    "\u{202e}",
    "é",
    "𝕏",
    "'",
    "\"",
    "\\",
    "\\u0000",
    "\\ud800",
    "{",
    "}",
    "[",
    "]",
    ":",
    ": ",
    ",",
    "- ",
    "? ",
    "&a ",
    "*a",
    "<<: *a\n",
    "!!binary ",
    "!!float ",
    "!x ",
    "|\n",
    ">-\n",
    "%YAML 1.1\n",
    "---\n",
    "...\n",
    "#",
    "null",
    "~",
    "true",
    "yes",
    ".inf",
    "NaN",
    "0x1F",
    "0o7",
    "1_000",
    "{name}",
    "{namespace}",
    "@",
    "/",
    "%",
    "=",
    ".",
    "-",
    "+",
    "Ki",
    "e9",
];

const NUMBERS: [&str; 14] = [
    "0",
    "-1",
    "00",
    "1",
    "65536",
    "2147483647",
    "2147483648",
    "-2147483649",
    "9223372036854775807",
    "9223372036854775808",
    "18446744073709551616",
    "1e308",
    "1e-400",
    "170141183460469231731687303715884105728",
];

/// Texts that are another thing than they look like, too long or not there.
const WORDS: [&str; 18] = [
    "",
    "-",
    ".",
    "..",
    "a b",
    "\u{0}",
    "é",
    "A",
    "1Gi",
    "500m",
    "10%",
    "x/y",
    "x/y/z",
    "Infinite",
    "{name}",
    "2026-02-30T00:00:00Z",
    "9999-12-31T23:59:59.999999999Z",
    "0.0.0.0/0",
];

/// The inputs of a target.
pub struct Inputs {
    examples: Vec<Input>,
    /// The examples as trees; none when the target takes texts.
    trees: Vec<Value>,
}

/// Random texts, and these after edits.
pub fn texts(examples: Vec<Input>) -> Inputs {
    Inputs { examples, trees: Vec::new() }
}

/// Random texts, and these documents as JSON after edits.
pub fn documents(trees: Vec<Value>) -> Inputs {
    Inputs { examples: trees.iter().map(|tree| tree.to_string().into_bytes()).collect(), trees }
}

impl Inputs {
    /// What must be read as it is.
    pub fn examples(&self) -> &[Input] {
        assert!(!self.examples.is_empty(), "a target has no examples");
        &self.examples
    }

    /// Random inputs of all sorts.
    pub fn strategy(&self) -> BoxedStrategy<Input> {
        let bytes = vec(any::<u8>(), 0..48);
        let text =
            vec(any::<char>(), 0..24).prop_map(|text| text.into_iter().collect::<String>().into_bytes());
        let (examples, place) = (self.examples.clone(), 0..self.examples.len());
        let edited = (place, vec(any::<Edit>(), 1..4)).prop_map(move |(place, edits)| {
            let mut input = examples[place].clone();
            edits.into_iter().for_each(|one| edit(&mut input, one, &examples));
            input
        });
        if self.trees.is_empty() {
            return prop_oneof![1 => bytes, 1 => text, 14 => edited].boxed();
        }
        let (trees, place) = (self.trees.clone(), 0..self.trees.len());
        let reshaped = (place, vec(any::<Edit>(), 1..4)).prop_map(move |(place, edits)| {
            let mut tree = trees[place].clone();
            edits.into_iter().for_each(|one| reshape(&mut tree, one));
            tree.to_string().into_bytes()
        });
        prop_oneof![1 => bytes, 1 => text, 4 => edited, 14 => reshaped].boxed()
    }
}

/// The entry that a number chooses.
fn chosen<T>(from: &[T], number: u32) -> &T {
    &from[number as usize % from.len()]
}

/// Changes some bytes.
fn edit(text: &mut Input, (what, at, by): Edit, examples: &[Input]) {
    let from = at as usize % (text.len() + 1);
    let to = (from + by as usize % 12).min(text.len());
    match what % 9 {
        0 if from < text.len() => text[from] = by.to_le_bytes()[0],
        1 => text.truncate(from),
        2 => drop(text.drain(from..to)),
        3 => {
            let again = text[from..to].repeat(by as usize / 16 % 40);
            drop(text.splice(from..from, again));
        }
        4 => {
            let other = chosen(examples, by);
            text.truncate(from);
            text.extend_from_slice(&other[by as usize / 64 % (other.len() + 1)..]);
        }
        5 => {
            let digits = text[from..].iter().position(u8::is_ascii_digit).map_or(from, |place| from + place);
            let rest = text[digits..].iter().take_while(|byte| byte.is_ascii_digit()).count();
            drop(text.splice(digits..digits + rest, chosen(&NUMBERS, by).bytes()));
        }
        6 => move_line(text, at as usize, by as usize),
        _ => drop(text.splice(from..from, chosen(&TOKENS, by).bytes())),
    }
}

/// Moves a line to another place, deeper or less deep than it was.
fn move_line(text: &mut Input, at: usize, by: usize) {
    let mut lines: Vec<Input> = text.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
    if lines.is_empty() {
        return;
    }
    let mut line = lines.remove(at % lines.len());
    match by % 3 {
        0 => drop(line.splice(0..0, *b"  ")),
        1 if line.starts_with(b"  ") => drop(line.drain(..2)),
        _ => {}
    }
    lines.insert(by / 3 % (lines.len() + 1), line);
    *text = lines.concat();
}

/// Most values of a tree that is still made larger.
const LARGE: usize = 4_000;

/// Changes a node of a tree.
fn reshape(root: &mut Value, (what, at, by): Edit) {
    let count = count(root);
    if count > LARGE {
        return;
    }
    let other = node(root, by as usize % count).cloned().unwrap_or_default();
    let Some(node) = node(root, at as usize % count) else { return };
    match (what % 8, node) {
        (0, node) => *node = odd(by),
        (1, Value::Array(items)) if !items.is_empty() => drop(items.remove(by as usize % items.len())),
        (1, Value::Object(fields)) => drop(take(fields, by)),
        (2, Value::Array(items)) => items.push(other),
        (2, Value::Object(fields)) => drop(fields.insert((*chosen(&WORDS, by)).to_owned(), other)),
        (1 | 2, node) if node.is_number() => *node = number(by),
        (1 | 2, Value::String(text)) => text.push_str(TOKENS[by as usize % TOKENS.len()]),
        (3, Value::Object(fields)) => {
            if let (Some((_, value)), Some((key, _))) = (take(fields, by), take(fields, by / 8)) {
                fields.insert(key, value);
            }
        }
        (4, node) => *node = Value::Array(vec![node.take(); by as usize % 4]),
        (5, node) => *node = (0..by % 60).fold(node.take(), |inner, _| json!({"a": [inner]})),
        (6, Value::String(text)) if text.len() < LARGE => *text = text.repeat(by as usize % 200),
        (6, Value::Array(items)) if items.len() < 8 => {
            *items = vec![items.clone(); by as usize % 40].concat();
        }
        (_, node) => *node = other,
    }
}

/// Takes a field out.
fn take(fields: &mut Map<String, Value>, number: u32) -> Option<(String, Value)> {
    let key = fields.keys().nth(number as usize % fields.len().max(1))?.clone();
    fields.remove_entry(&key)
}

fn number(by: u32) -> Value {
    serde_json::from_str(NUMBERS[by as usize % NUMBERS.len()]).unwrap_or_default()
}

fn odd(by: u32) -> Value {
    let place = by as usize / 4;
    match by % 4 {
        0 => json!(WORDS[place % WORDS.len()]),
        1 => number(by),
        2 => json!("x".repeat(place % 5_000)),
        _ => [
            json!(null),
            json!(true),
            json!([]),
            json!({}),
            json!([null]),
            json!({"": ""}),
            json!([[]]),
            json!(0.5),
        ][place % 8]
            .clone(),
    }
}

/// Number of values in a tree.
fn count(value: &Value) -> usize {
    1 + match value {
        Value::Array(items) => items.iter().map(count).sum(),
        Value::Object(fields) => fields.values().map(count).sum(),
        _ => 0,
    }
}

/// The value at this place, parents before their children.
fn node(root: &mut Value, place: usize) -> Option<&mut Value> {
    fn find<'v>(value: &'v mut Value, left: &mut usize) -> Option<&'v mut Value> {
        if *left == 0 {
            return Some(value);
        }
        *left -= 1;
        match value {
            Value::Array(items) => items.iter_mut().find_map(|item| find(item, left)),
            Value::Object(fields) => fields.values_mut().find_map(|item| find(item, left)),
            _ => None,
        }
    }
    find(root, &mut { place })
}
