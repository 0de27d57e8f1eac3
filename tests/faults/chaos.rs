//! Many faults at once, by chance. A seed and a name decide each, not the time: a run of the same seed suffers
//! the same at each request and event that it has in common with the first.

use std::fmt::Display;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use crate::support::{Call, Disturbance, Fault};

/// In how many of a thousand requests and events something goes wrong. At much more a new operator hardly comes
/// to its first write.
const OF_A_THOUSAND: u64 = 40;

/// What a write suffers, each with its weight.
const OF_WRITES: [(u64, Fault); 12] = [
    (3, Fault::CrashBefore),
    (3, Fault::CrashAfter),
    (3, Fault::LoseReply),
    (2, Fault::Timeout),
    (2, Fault::Lose),
    (2, Fault::Late(Duration::from_millis(800))),
    (1, Fault::Late(Duration::from_secs(3))),
    (1, Fault::Refuse(401)),
    (1, Fault::Refuse(403)),
    (2, Fault::Refuse(409)),
    (1, Fault::Refuse(429)),
    (2, Fault::Refuse(500)),
];

/// What any other request suffers.
const OF_READS: [(u64, Fault); 7] = [
    (1, Fault::CrashBefore),
    (4, Fault::Lose),
    (2, Fault::Late(Duration::from_millis(800))),
    (1, Fault::Refuse(401)),
    (1, Fault::Refuse(403)),
    (1, Fault::Refuse(429)),
    (2, Fault::Refuse(503)),
];

/// What an event suffers. A dead watch costs five minutes until it is noticed: few of them.
const OF_EVENTS: [(u64, Disturbance); 7] = [
    (8, Disturbance::Delay(Duration::from_millis(300))),
    (6, Disturbance::Delay(Duration::from_secs(2))),
    (8, Disturbance::Coalesce(Duration::from_secs(1))),
    (8, Disturbance::Double),
    (8, Disturbance::Break),
    (8, Disturbance::Expire),
    (1, Disturbance::Silence),
];

/// How late the events after an old list come.
const LAGS: [(u64, Duration); 3] =
    [(1, Duration::ZERO), (1, Duration::from_secs(1)), (1, Duration::from_secs(4))];

/// What happens to a request.
pub fn at_call(seed: u64, call: &Call) -> Option<Fault> {
    let drawn = struck(seed, call)?;
    if call.writes() {
        return Some(chosen(&OF_WRITES, drawn));
    }
    // Only what tells of many objects goes by versions.
    let versions = matches!(call.verb.as_str(), "list" | "watch");
    Some(if versions && drawn.is_multiple_of(8) { Fault::Refuse(410) } else { chosen(&OF_READS, drawn / 8) })
}

/// What happens to an event.
pub fn at_event(seed: u64, resource: &str, number: usize) -> Option<Disturbance> {
    struck(seed, format!("event {resource} {number}")).map(|drawn| chosen(&OF_EVENTS, drawn))
}

/// When the operator is killed whatever it does, the last first: up to twice in this time.
pub fn kills(seed: u64, within: Duration) -> Vec<Duration> {
    let drawn = (0..draw(seed, "kills") % 3).map(|number| draw(seed, format!("kill {number}")));
    let mut moments: Vec<Duration> =
        drawn.map(|drawn| within.mul_f64((drawn % 1000) as f64 / 1000.0)).collect();
    moments.sort_by(|one, other| other.cmp(one));
    moments
}

/// Whether the operator starts again after this step and is shown the past, and of which resource how late.
pub fn past<'r>(seed: u64, step: usize, resources: &[&'r String]) -> Option<(&'r String, Duration)> {
    let drawn = draw(seed, format!("past {step}"));
    let number = (drawn / 4) % resources.len().max(1) as u64;
    let resource = resources.get(usize::try_from(number).ok()?)?;
    drawn.is_multiple_of(4).then(|| (*resource, chosen(&LAGS, draw(seed, format!("lag {step}")))))
}

/// A number for what is struck.
fn struck(seed: u64, what: impl Display) -> Option<u64> {
    let drawn = draw(seed, what);
    (drawn % 1000 < OF_A_THOUSAND).then_some(drawn / 1000)
}

/// The same number for the same seed and text.
fn draw(seed: u64, what: impl Display) -> u64 {
    let mut hasher = DefaultHasher::new();
    (seed, what.to_string()).hash(&mut hasher);
    hasher.finish()
}

fn chosen<T: Copy>(of: &[(u64, T)], drawn: u64) -> T {
    let all: u64 = of.iter().map(|(weight, _)| weight).sum();
    let mut left = drawn % all;
    let found = of.iter().find(|(weight, _)| {
        let here = left < *weight;
        left = left.saturating_sub(*weight);
        here
    });
    found.expect("the weights add up").1
}
