//! What a plain word means. The parser of `kubectl`, Flux and Argo CD still reads YAML 1.1 there: `yes`
//! is a truth value, `0644` is octal and `1_000` is a number, and the API server then refuses them as texts.

use granit_parser::{ScalarStyle, Tag};
use serde_json::{Number, Value};

/// Whole numbers up to here are exact as floating-point numbers.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// The value of a scalar, or why it has none.
pub(super) fn value(text: &str, style: ScalarStyle, tag: Option<&Tag>) -> Result<Value, String> {
    match tag.map(|tag| (tag.core_suffix(), tag)) {
        None if style == ScalarStyle::Plain => plain(text),
        None | Some((Some("str"), _)) => Ok(Value::String(text.to_owned())),
        Some((Some("null" | "bool" | "int" | "float"), _)) => plain(text),
        Some((_, tag)) if tag.handle() == "!" && tag.suffix().is_empty() => {
            Ok(Value::String(text.to_owned()))
        }
        Some((_, tag)) => Err(unknown(tag)),
    }
}

/// Of a tag that says nothing to Kubernetes.
pub(super) fn unknown(tag: &Tag) -> String {
    format!("tag {}{} has no meaning here: remove it", tag.original_handle(), tag.suffix())
}

/// A key as JSON has it; `None` for what cannot be one.
pub(super) fn key(value: Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text),
        Value::Bool(truth) => Some(truth.to_string()),
        Value::Number(number) => Some(number.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

fn plain(text: &str) -> Result<Value, String> {
    let value = match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => true.into(),
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => false.into(),
        ".nan" | ".NaN" | ".NAN" | ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" | "-.inf"
        | "-.Inf" | "-.INF" => return Err(format!("{text} is no number that JSON has")),
        _ => number(text).map_or_else(|| Value::String(text.to_owned()), Value::Number),
    };
    Ok(value)
}

/// Whether a plain word would be read as something else than this text.
pub(super) fn is_ambiguous(text: &str) -> bool {
    text == "<<" || plain(text).map_or(true, |value| !value.is_string())
}

fn number(text: &str) -> Option<Number> {
    if !text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.')) {
        return None;
    }
    let digits = text.replace('_', "");
    if let Some(whole) = whole(&digits).filter(|_| !text.starts_with('.')) {
        return Some(whole);
    }
    let float = digits.parse::<f64>().ok().filter(|_| is_decimal(&digits))?;
    if float.fract() == 0.0 && float.abs() < EXACT {
        // Kubernetes writes `2.0` as 2 before it looks at the type.
        return format!("{float:.0}").parse::<i64>().ok().map(Number::from);
    }
    // What is larger than any number stays a text.
    Number::from_f64(float)
}

/// A whole number with a sign and in base 2, 8, 10 or 16.
fn whole(digits: &str) -> Option<Number> {
    let (negative, rest) = match digits.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, digits.strip_prefix('+').unwrap_or(digits)),
    };
    let lower = rest.to_ascii_lowercase();
    let prefixed = [("0x", 16), ("0o", 8), ("0b", 2)];
    let of_base = prefixed.iter().find_map(|(prefix, base)| Some((lower.strip_prefix(prefix)?, *base)));
    let (rest, base) = match (of_base, lower.strip_prefix('0')) {
        (Some(of_base), _) => of_base,
        (None, Some(octal)) if !octal.is_empty() => (octal, 8),
        _ => (lower.as_str(), 10),
    };
    if !rest.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        return None;
    }
    let value = u64::from_str_radix(rest, base).ok()?;
    if negative {
        return i64::try_from(-i128::from(value)).ok().map(Number::from);
    }
    Some(Number::from(value))
}

/// Digits with at most one point and an exponent.
fn is_decimal(text: &str) -> bool {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent.strip_prefix(['+', '-']).unwrap_or(exponent))),
        None => (unsigned, None),
    };
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    let (before, after) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    digits(before)
        && digits(after)
        && !(before.is_empty() && after.is_empty())
        && exponent.is_none_or(|exponent| !exponent.is_empty() && digits(exponent))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn plain_words_mean_what_they_mean_to_kubectl() {
        for (text, expected) in [
            ("", json!(null)),
            ("~", json!(null)),
            ("yes", json!(true)),
            ("Off", json!(false)),
            ("y", json!(true)),
            ("yES", json!("yES")),
            ("12", json!(12)),
            ("-7", json!(-7)),
            ("+7", json!(7)),
            ("0644", json!(420)),
            ("0899", json!(899)),
            ("0x1F", json!(31)),
            ("0b101", json!(5)),
            ("0o17", json!(15)),
            ("1_000", json!(1000)),
            ("1.5", json!(1.5)),
            (".5", json!(0.5)),
            ("2.0", json!(2)),
            ("1e3", json!(1000)),
            ("1.", json!(1)),
            ("18446744073709551615", json!(u64::MAX)),
            ("-9223372036854775808", json!(i64::MIN)),
            ("500m", json!("500m")),
            ("v1.2.0", json!("v1.2.0")),
            ("1.2.3", json!("1.2.3")),
            ("10:30", json!("10:30")),
            ("2024-01-01", json!("2024-01-01")),
            ("-", json!("-")),
            (".", json!(".")),
            ("e3", json!("e3")),
            ("1e", json!("1e")),
            ("+-1", json!("+-1")),
            ("1e999", json!("1e999")),
            ("infinity", json!("infinity")),
        ] {
            assert_eq!(plain(text), Ok(expected), "{text:?}");
        }
        assert!(plain(".nan").is_err());
    }

    #[test]
    fn what_would_be_read_as_something_else_is_known() {
        for text in ["yes", "NO", "1_000", "0644", "~", "", ".inf", "<<", "1e3"] {
            assert!(is_ambiguous(text), "{text:?}");
        }
        for text in ["a", "yess", "500m", "1.2.3"] {
            assert!(!is_ambiguous(text), "{text:?}");
        }
    }
}
