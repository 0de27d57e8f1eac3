//! Durations as the API writes them: `1h30m`, `720h`.

/// Seconds of a duration in hours, minutes and seconds, in this order; `None` for anything else.
pub fn seconds(text: &str) -> Option<i64> {
    let mut rest = text;
    let mut total: i64 = 0;
    for (unit, factor) in [('h', 3600), ('m', 60), ('s', 1)] {
        if let Some((number, after)) = rest.split_once(unit) {
            // `parse` alone would accept a sign.
            if number.is_empty() || !number.bytes().all(|b| b.is_ascii_digit()) {
                return None;
            }
            total = total.checked_add(number.parse::<i64>().ok()?.checked_mul(factor)?)?;
            rest = after;
        }
    }
    (rest.is_empty() && !text.is_empty()).then_some(total)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn durations_are_read() {
        for (text, expected) in
            [("720h", 2_592_000), ("1h30m", 5400), ("90m", 5400), ("1h1s", 3601), ("0s", 0)]
        {
            assert_eq!(seconds(text), Some(expected), "{text}");
        }
        for text in
            ["", "h", "1", "1d", "-1h", "+1h", "1m1h", "1h 1m", "1.5h", "99999999999999999999h", "1hh"]
        {
            assert_eq!(seconds(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in any::<String>()) {
            prop_assert!(seconds(&text).is_none_or(|seconds| seconds >= 0));
        }

        #[test]
        fn all_parts_count(h in 0_i64..9999, m in 0_i64..9999, s in 0_i64..9999) {
            prop_assert_eq!(seconds(&format!("{h}h{m}m{s}s")), Some(h * 3600 + m * 60 + s));
        }
    }
}
