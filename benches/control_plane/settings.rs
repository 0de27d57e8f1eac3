//! How much is done: the variables that `make bench` takes.

use std::fmt::Display;
use std::str::FromStr;
use std::time::Duration;

/// All variables.
#[derive(Clone, Copy)]
pub struct Settings {
    /// `N`: objects; 1,000.
    pub objects: usize,
    /// `REST`: seconds at rest that are counted; 60.
    pub rest: Duration,
    /// `ROUNDS`: how often floor, ours, floor are measured where a ratio is told; 1. At least 5 for ratios that are
    /// quoted.
    pub rounds: usize,
    /// `SECONDS` of one run of an open loop; without it the part decides.
    seconds: Option<u64>,
    /// `OUTAGE`: seconds that a server is away; without it the part decides.
    outage: Option<u64>,
    /// `CALLS`: how many others each service calls where they call each other; 5.
    pub calls: usize,
    /// `MINUTES` of the soak; 60.
    pub soak: Duration,
}

impl Settings {
    /// From the environment.
    pub fn from_env() -> Self {
        Self {
            objects: number("N").unwrap_or(1000),
            rest: Duration::from_secs(number("REST").unwrap_or(60)),
            rounds: number("ROUNDS").unwrap_or(1_usize).max(1),
            calls: number("CALLS").unwrap_or(5),
            seconds: number("SECONDS"),
            outage: number("OUTAGE"),
            soak: Duration::from_mins(number("MINUTES").unwrap_or(60)),
        }
    }

    /// How long one run of an open loop lasts.
    pub fn seconds_or(&self, default: u64) -> Duration {
        Duration::from_secs(self.seconds.unwrap_or(default))
    }

    /// How long a server is away.
    pub fn outage_or(&self, default: u64) -> Duration {
        Duration::from_secs(self.outage.unwrap_or(default))
    }
}

/// A variable; empty is as good as absent.
pub fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|text| !text.is_empty())
}

fn number<T: FromStr<Err: Display>>(name: &str) -> Option<T> {
    let text = variable(name)?;
    Some(text.parse().unwrap_or_else(|error| panic!("{name}={text}: {error}")))
}
