//! The patterns of the schemas and of their rules. They are ours, so there are not many; each is compiled
//! when it is first asked for, and never again.

use std::collections::BTreeMap;
use std::sync::{PoisonError, RwLock};

use regex::Regex;

static COMPILED: RwLock<BTreeMap<String, Result<Regex, String>>> = RwLock::new(BTreeMap::new());

/// Whether the pattern is found in a text.
///
/// # Errors
/// The pattern is none.
pub(super) fn is_match(pattern: &str, text: &str) -> Result<bool, String> {
    if let Some(compiled) = COMPILED.read().unwrap_or_else(PoisonError::into_inner).get(pattern) {
        return compiled.as_ref().map(|regex| regex.is_match(text)).map_err(Clone::clone);
    }
    let compiled = Regex::new(pattern).map_err(|error| error.to_string());
    let found = compiled.as_ref().map(|regex| regex.is_match(text)).map_err(Clone::clone);
    COMPILED.write().unwrap_or_else(PoisonError::into_inner).insert(pattern.to_owned(), compiled);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_answer_is_the_first_one() {
        for _ in 0..2 {
            assert_eq!(is_match("^a+$", "aa"), Ok(true));
            assert_eq!(is_match("^a+$", "ab"), Ok(false));
            assert!(is_match("(", "a").is_err());
        }
    }
}
