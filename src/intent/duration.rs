//! Durations as the API spells them: `7d`, `1h30m`, `500ms`; one to four numbers of at most five digits,
//! each with a unit of d, h, m, s or ms. Pure.

use std::time::Duration;

/// The duration that the text spells; `None` when it does not follow the grammar.
pub fn parse(text: &str) -> Option<Duration> {
    let (mut rest, mut total, mut parts) = (text, Duration::ZERO, 0);
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, after) = rest.split_at_checked(digits)?;
        if digits == 0 || digits > 5 || parts == 4 {
            return None;
        }
        let number: u64 = number.parse().ok()?;
        let (millis, length) = unit(after)?;
        total += Duration::from_millis(number * millis);
        rest = after.get(length..)?;
        parts += 1;
    }
    (parts > 0).then_some(total)
}

/// Milliseconds of the unit at the start of the text, and its length.
fn unit(text: &str) -> Option<(u64, usize)> {
    let bytes = text.as_bytes();
    Some(match (bytes.first()?, bytes.get(1)) {
        (b'm', Some(b's')) => (1, 2),
        (b's', _) => (1_000, 1),
        (b'm', _) => (60_000, 1),
        (b'h', _) => (3_600_000, 1),
        (b'd', _) => (86_400_000, 1),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_grammar_is_kept() {
        for (text, seconds) in
            [("720h", 2_592_000), ("7d", 604_800), ("1h30m", 5_400), ("2000ms", 2), ("1m1s", 61)]
        {
            assert_eq!(parse(text), Some(Duration::from_secs(seconds)), "{text}");
        }
        for text in ["", "1", "h", "1w", "123456s", "1s1s1s1s1s", "-1s", "1.5h", "1 h", "Infinite", "１s"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
