//! Where the fields of a document stand.

use std::collections::BTreeMap;
use std::fmt;

use granit_parser::Marker;

/// A place in a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// Line, from 1.
    pub line: usize,
    /// Column, from 1, in characters.
    pub column: usize,
}

impl Default for Position {
    /// The start of a text.
    fn default() -> Self {
        Self { line: 1, column: 1 }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

impl Position {
    pub(super) fn of(marker: &Marker) -> Self {
        Self { line: marker.line().max(1), column: marker.col() + 1 }
    }
}

/// The position of a value and of all that is in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    /// Of its key, if it has one, else of itself.
    at: Position,
    inner: Inner,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Inner {
    #[default]
    Leaf,
    Items(Vec<Marks>),
    Fields(BTreeMap<String, Marks>),
}

impl Marks {
    pub(super) fn leaf(at: Position) -> Self {
        Self { at, inner: Inner::Leaf }
    }

    pub(super) fn items(at: Position, items: Vec<Self>) -> Self {
        Self { at, inner: Inner::Items(items) }
    }

    pub(super) fn fields(at: Position, fields: BTreeMap<String, Self>) -> Self {
        Self { at, inner: Inner::Fields(fields) }
    }

    /// The same as the value of a key that stands there.
    pub(super) fn keyed(self, at: Position) -> Self {
        Self { at, ..self }
    }

    /// Takes a field out.
    pub(super) fn take(&mut self, key: &str) -> Option<Self> {
        match &mut self.inner {
            Inner::Fields(fields) => fields.remove(key),
            Inner::Leaf | Inner::Items(_) => None,
        }
    }

    /// Takes the items out: those of the field, or its own for an empty name.
    pub(super) fn take_items(&mut self) -> Vec<Self> {
        match &mut self.inner {
            Inner::Items(items) => std::mem::take(items),
            Inner::Leaf | Inner::Fields(_) => Vec::new(),
        }
    }

    /// The marks of each item of a List.
    pub fn into_items(mut self) -> Vec<Self> {
        self.take("items").map(|mut items| items.take_items()).unwrap_or_default()
    }

    /// Where the field of this path stands, for example `spec.ports[1].name`, or the nearest field
    /// around it that is there.
    pub fn find(&self, path: &str) -> Position {
        let mut found = self;
        let mut rest = path;
        while let Some((inner, left)) = found.step(rest) {
            (found, rest) = (inner, left);
        }
        found.at
    }

    /// One step along a path, and what is left of it. Keys may hold dots: the longest one wins.
    fn step<'p>(&self, path: &'p str) -> Option<(&Self, &'p str)> {
        match &self.inner {
            Inner::Leaf => None,
            Inner::Items(items) => {
                let (index, rest) = path.strip_prefix('[')?.split_once(']')?;
                Some((items.get(index.parse::<usize>().ok()?)?, rest))
            }
            Inner::Fields(fields) => {
                let mut fits: Vec<_> =
                    fields.iter().filter_map(|(key, inner)| Some((inner, after(path, key)?))).collect();
                fits.sort_by_key(|(_, rest)| rest.len());
                fits.into_iter().next()
            }
        }
    }
}

/// What follows a key at the start of a path, which names it as `.key` or `["key"]`.
fn after<'p>(path: &'p str, key: &str) -> Option<&'p str> {
    if let Some(rest) = path.strip_prefix('[') {
        return rest.strip_prefix(&format!("{key:?}"))?.strip_prefix(']');
    }
    let rest = path.strip_prefix('.').unwrap_or(path).strip_prefix(key)?;
    (rest.is_empty() || rest.starts_with(['.', '['])).then_some(rest)
}
