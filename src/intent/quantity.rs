//! Kubernetes quantities, exact: parsed to billionths, compared, and written as the API server stores
//! them, so that `1000m` and `1` are one.

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

/// The API server cuts greater values to this one; here they are no quantity.
const MAX: i128 = i64::MAX as i128;
const NANO: i128 = 1_000_000_000;
/// More digits than any quantity needs; bounds the work for a hostile text.
const MAX_LENGTH: usize = 64;

/// How a quantity writes its scale.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    /// `m`, `k`, `M` …
    Decimal,
    /// `Ki`, `Mi` …
    Binary,
    /// `e3`, `E6` …
    Exponent,
}

/// The exact value of a quantity.
#[derive(Clone, Copy, Debug)]
pub struct Amount {
    nano: i128,
    format: Format,
}

impl PartialEq for Amount {
    fn eq(&self, other: &Self) -> bool {
        self.nano == other.nano
    }
}

impl Eq for Amount {}

impl PartialOrd for Amount {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Amount {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.nano.cmp(&other.nano)
    }
}

impl Amount {
    /// Reads a quantity; fractions of a billionth are rounded away from zero, as the API server does.
    /// `None` for anything that is no quantity, or beyond the 64-bit range.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() > MAX_LENGTH {
            return None;
        }
        let (negative, text) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let (number, suffix) = text.split_at_checked(end)?;
        let (digits, fraction) = mantissa(number)?;
        let (format, factor, exponent) = scale(suffix)?;
        // value in nano = digits * factor * 10^(exponent + 9 - fraction), rounded away from zero.
        let whole = digits.checked_mul(factor)?;
        let power = exponent.checked_add(9)?.checked_sub(fraction)?;
        let nano = match (whole, u32::try_from(power)) {
            (0, _) => 0,
            (_, Ok(power)) => whole.checked_mul(10_i128.checked_pow(power)?)?,
            (_, Err(_)) => match 10_i128.checked_pow(power.unsigned_abs()) {
                Some(divisor) => div_up(whole, divisor),
                None => 1,
            },
        };
        if nano > MAX * NANO {
            return None;
        }
        Some(Self { nano: if negative { -nano } else { nano }, format })
    }

    /// Whether the value is below zero.
    pub fn is_negative(&self) -> bool {
        self.nano < 0
    }

    /// Whether the value is zero.
    pub fn is_zero(&self) -> bool {
        self.nano == 0
    }

    /// The text that the API server stores for this value.
    pub fn canonical(&self) -> String {
        // The server writes small binary values in decimal, to keep their fractions.
        if self.format == Format::Binary && self.nano.abs() >= 1024 * NANO {
            self.binary()
        } else {
            self.decimal()
        }
    }

    fn binary(&self) -> String {
        let mut value = div_up(self.nano.abs(), NANO) * self.nano.signum();
        let mut suffixes = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"].into_iter();
        let mut suffix = suffixes.next().unwrap_or_default();
        while value % 1024 == 0 {
            let Some(next) = suffixes.next() else { break };
            value /= 1024;
            suffix = next;
        }
        if suffix.is_empty() {
            // Without a suffix it is read as decimal the next time, and then written as such.
            return Self { nano: value * NANO, format: Format::Decimal }.decimal();
        }
        format!("{value}{suffix}")
    }

    fn decimal(&self) -> String {
        if self.nano == 0 {
            return "0".to_owned();
        }
        let (mut value, mut exponent) = (self.nano, -9);
        while value % 1000 == 0 && exponent < 18 {
            value /= 1000;
            exponent += 3;
        }
        match (self.format, exponent) {
            (_, 0) => value.to_string(),
            (Format::Exponent, exponent) => format!("{value}e{exponent}"),
            (_, exponent) => {
                let suffix = DECIMAL.iter().find(|(_, e)| *e == exponent).map_or("", |(suffix, _)| suffix);
                format!("{value}{suffix}")
            }
        }
    }
}

/// The quantity as the API server stores it; a text that is no quantity stays as it is.
pub fn canonical(quantity: &Quantity) -> Quantity {
    Quantity(Amount::parse(&quantity.0).map_or_else(|| quantity.0.clone(), |amount| amount.canonical()))
}

const DECIMAL: [(&str, i32); 10] =
    [("n", -9), ("u", -6), ("m", -3), ("", 0), ("k", 3), ("M", 6), ("G", 9), ("T", 12), ("P", 15), ("E", 18)];

/// All digits of a decimal number as one integer, and how many of them stand after the point.
fn mantissa(number: &str) -> Option<(i128, i32)> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = format!("{whole}{fraction}");
    // `parse` alone would accept a sign.
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    // Trailing zeros of the fraction carry no value but could overflow.
    let kept = fraction.trim_end_matches('0');
    let value = format!("{whole}{kept}");
    let value = if value.is_empty() { 0 } else { value.parse().ok()? };
    Some((value, i32::try_from(kept.len()).ok()?))
}

/// Format, factor and decimal exponent of a suffix.
fn scale(suffix: &str) -> Option<(Format, i128, i32)> {
    if let Some((_, exponent)) = DECIMAL.iter().find(|(text, _)| *text == suffix) {
        return Some((Format::Decimal, 1, *exponent));
    }
    let binary = ["Ki", "Mi", "Gi", "Ti", "Pi", "Ei"].iter().zip(1_u32..).find(|(text, _)| **text == suffix);
    if let Some((_, power)) = binary {
        return Some((Format::Binary, 1024_i128.checked_pow(power)?, 0));
    }
    let exponent = suffix.strip_prefix(['e', 'E'])?;
    Some((Format::Exponent, 1, exponent.parse().ok()?))
}

/// Division of non-negative numbers, rounded up.
fn div_up(value: i128, divisor: i128) -> i128 {
    value / divisor + i128::from(value % divisor != 0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(from: &str) -> Option<String> {
        Amount::parse(from).map(|amount| amount.canonical())
    }

    #[test]
    fn canonical_is_what_the_server_stores() {
        for (from, to) in [
            ("1000m", "1"),
            ("0.25", "250m"),
            (".5", "500m"),
            ("5.", "5"),
            ("+1", "1"),
            ("-1", "-1"),
            ("00", "0"),
            ("0Ki", "0"),
            ("1024Mi", "1Gi"),
            ("1.5Gi", "1536Mi"),
            ("0.5Ki", "512"),
            ("1.001Ki", "1026"),
            // Stored as 452125000, which every reader is shown as decimal.
            ("431.18Mi", "452125k"),
            ("1e3", "1e3"),
            ("12e2", "1200"),
            ("15e-1", "1500e-3"),
            ("100E1", "1e3"),
            ("1E", "1E"),
            ("1000k", "1M"),
            ("0.0000000001", "1n"),
            ("-0.0000000001", "-1n"),
            ("1e-40", "1e-9"),
            ("1.10000000000000000000000000000000000000000000000000", "1100m"),
            ("9223372036854775807", "9223372036854775807"),
        ] {
            assert_eq!(text(from).as_deref(), Some(to), "{from}");
        }
    }

    #[test]
    fn what_is_no_quantity_is_refused() {
        for from in [
            "",
            "-",
            ".",
            "m",
            "1K",
            "1mi",
            "1 ",
            " 1",
            "1e",
            "1e1000",
            "1e99999999999",
            "--1",
            "-+1",
            "1.2.3",
            "9223372036854775808",
            "1000000E",
            "１",
            "1e1.5",
            "NaN",
            "1µ",
        ] {
            assert_eq!(text(from), None, "{from}");
        }
    }

    #[test]
    fn canonical_keeps_what_it_cannot_read() {
        assert_eq!(canonical(&Quantity("x".into())).0, "x");
        assert_eq!(canonical(&Quantity("2000m".into())).0, "2");
    }

    fn quantities() -> impl Strategy<Value = String> {
        let suffix = prop::sample::select(vec![
            "", "n", "u", "m", "k", "M", "G", "T", "Ki", "Mi", "Gi", "Ti", "e3", "E-3", "e0",
        ]);
        ("-?[0-9]{1,6}(\\.[0-9]{0,12})?", suffix).prop_map(|(number, suffix)| format!("{number}{suffix}"))
    }

    proptest! {
        #[test]
        fn canonical_is_stable_and_loses_nothing_a_server_keeps(from in quantities()) {
            let amount = Amount::parse(&from).unwrap();
            let again = Amount::parse(&amount.canonical()).unwrap();
            prop_assert_eq!(again.canonical(), amount.canonical());
            // Only a binary value loses its fraction, which is rounded up.
            let kept = again == amount
                || amount.format == Format::Binary && (again.nano.abs() - amount.nano.abs()) < NANO;
            prop_assert!(kept, "{} became {}", from, amount.canonical());
        }

        #[test]
        fn order_is_the_order_of_numbers(a in -1_000_000_i64..1_000_000, b in -1_000_000_i64..1_000_000) {
            let milli = |n: i64| Amount::parse(&format!("{n}m")).unwrap();
            let micro = |n: i64| Amount::parse(&format!("{n}000u")).unwrap();
            prop_assert_eq!(milli(a).cmp(&micro(b)), a.cmp(&b));
            prop_assert_eq!(milli(a).is_negative(), a < 0);
        }

        #[test]
        fn no_text_panics(from in any::<String>(), close in "[-+]?[0-9.]{0,40}[a-zA-Z]{0,3}[-0-9]{0,6}") {
            for from in [from, close] {
                if let Some(canonical) = text(&from) {
                    prop_assert_eq!(text(&canonical), Some(canonical.clone()), "{}", from);
                }
            }
        }
    }
}
