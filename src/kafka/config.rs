//! When two values of a topic's configuration mean the same. Brokers answer in their own spelling.

use std::collections::BTreeSet;

/// Keys whose value is a list without order.
const LISTS: [&str; 3] =
    ["cleanup.policy", "leader.replication.throttled.replicas", "follower.replication.throttled.replicas"];

/// Whether both values mean the same for this key: numbers and truth values by value, lists as sets.
pub fn same(key: &str, left: &str, right: &str) -> bool {
    let (left, right) = (left.trim(), right.trim());
    if left == right {
        return true;
    }
    if LISTS.contains(&key) {
        return items(left) == items(right);
    }
    if let (Ok(left), Ok(right)) = (left.parse::<i128>(), right.parse::<i128>()) {
        return left == right;
    }
    if let (Some(left), Some(right)) = (decimal(left), decimal(right)) {
        return left == right;
    }
    let truth = |text: &str| text.eq_ignore_ascii_case("true") || text.eq_ignore_ascii_case("false");
    truth(left) && truth(right) && left.eq_ignore_ascii_case(right)
}

fn items(text: &str) -> BTreeSet<&str> {
    text.split(',').map(str::trim).filter(|item| !item.is_empty()).collect()
}

/// Ratios such as `min.cleanable.dirty.ratio`: never infinite, never `NaN`.
fn decimal(text: &str) -> Option<f64> {
    let plain = text.chars().all(|c| c.is_ascii_digit() || matches!(c, '.' | '-' | '+' | 'e' | 'E'));
    text.parse().ok().filter(|number: &f64| plain && number.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_means_the_same_is_the_same() {
        let table = [
            ("cleanup.policy", "delete,compact", "compact, delete", true),
            ("cleanup.policy", "delete", "compact", false),
            ("cleanup.policy", "", "delete", false),
            ("retention.ms", "604800000", "0604800000", true),
            ("retention.ms", "-1", "-1", true),
            ("retention.ms", "604800000", "604800001", false),
            ("min.cleanable.dirty.ratio", "0.5", "0.50", true),
            ("min.cleanable.dirty.ratio", "0.5", "nan", false),
            ("preallocate", "true", "TRUE", true),
            ("preallocate", "true", "false", false),
            ("compression.type", "zstd", "ZSTD", false),
            // Beyond what a float can tell apart.
            ("retention.bytes", "9007199254740993", "9007199254740992", false),
        ];
        for (key, left, right, expected) in table {
            assert_eq!(same(key, left, right), expected, "{key}: {left} and {right}");
            assert_eq!(same(key, right, left), expected, "{key}: {right} and {left}");
        }
    }
}
