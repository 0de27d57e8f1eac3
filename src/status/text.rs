//! Sentences for people: bounded, with the right number.

/// Most bytes of a condition's message and of an Event's note.
pub(super) const MESSAGE_BYTES: usize = 1024;
/// Most bytes of a text that others wrote and that we quote.
pub(super) const QUOTE_BYTES: usize = 240;

/// The text, cut to at most `bytes` bytes at a character boundary; a cut text ends with `…`.
pub(super) fn cut(text: &str, bytes: usize) -> String {
    if text.len() <= bytes {
        return text.to_owned();
    }
    let mut end = bytes.saturating_sub('…'.len_utf8());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}…", text.get(..end).unwrap_or_default().trim_end())
}

/// A foreign text as one line, shortened, without the full stop at its end. It may come to a terminal, so
/// that nothing in it may be a command to one.
pub(super) fn quote(text: &str) -> String {
    let words = text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
    let line = words.collect::<Vec<_>>().join(" ");
    cut(line.trim_end_matches('.'), QUOTE_BYTES)
}

/// `1 pod`, `3 pods`.
pub(super) fn pods(count: impl Into<i64>) -> String {
    match count.into() {
        1 => "1 pod".to_owned(),
        n => format!("{n} pods"),
    }
}

/// `1 pod is`, `3 pods are`.
pub(super) fn are(count: i32) -> String {
    format!("{} {}", pods(count), if count == 1 { "is" } else { "are" })
}

/// The word for one or for several.
pub(super) fn verb(count: usize, one: &'static str, several: &'static str) -> &'static str {
    if count == 1 { one } else { several }
}

/// The first `most` items, joined, and how many more there are.
pub(super) fn list(items: &[String], most: usize, separator: &str) -> String {
    let shown = items.iter().take(most).map(String::as_str).collect::<Vec<_>>().join(separator);
    match items.len().saturating_sub(most) {
        0 => shown,
        more => format!("{shown} (and {more} more)"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_keeps_whole_characters_and_the_bound() {
        assert_eq!(cut("short", 5), "short");
        assert_eq!(cut("äöüäöü", 8), "äö…");
        for bytes in 3..30 {
            assert!(cut("a€ä𝄞a€ä𝄞a€ä𝄞", bytes).len() <= bytes);
        }
    }

    #[test]
    fn a_quote_is_one_line() {
        assert_eq!(quote(" one\n  two. "), "one two");
        assert_eq!(quote("a\u{1b}[2J\0b"), "a [2J b");
    }

    #[test]
    fn a_list_names_some_and_counts_the_rest() {
        let items: Vec<String> = ["a", "b", "c"].map(String::from).to_vec();
        assert_eq!(list(&items, 3, ", "), "a, b, c");
        assert_eq!(list(&items, 1, ", "), "a (and 2 more)");
    }
}
