//! What goes wrong in one run: one line of text, printed for each failure and read again to repeat it.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::chaos;
use crate::support::{Call, Disturbance, Fault, Policy, millis};

/// One scenario, and what goes wrong in it.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Name of the scenario.
    pub scenario: String,
    /// What goes wrong.
    pub trouble: Trouble,
}

/// What goes wrong.
#[derive(Clone, Debug, PartialEq)]
pub enum Trouble {
    /// A request fails.
    Request(Call, Fault),
    /// An event of a watch is disturbed: the resource, and which of its events since the start.
    Event(String, usize, Disturbance),
    /// The operator starts again after so many steps and is shown a resource as it was before the last of
    /// them; what happened since comes this much later.
    Past(usize, String, Duration),
    /// Much at once, as this seed has it.
    Chaos(u64),
    /// Nothing.
    Calm,
}

impl Trouble {
    /// How long it may take in the worst case until the operator has come to the state of the calm run. That
    /// a watch is dead shows by its silence: the server ends each after 290 s. Who has failed often waits for
    /// up to 5 min and a quarter.
    pub fn patience(&self) -> Duration {
        Duration::from_mins(match self {
            Self::Event(.., Disturbance::Silence) => 6,
            Self::Chaos(_) => 8,
            _ => 2,
        })
    }
}

impl Policy for Trouble {
    fn at_call(&self, call: &Call) -> Option<Fault> {
        match self {
            Self::Request(meant, fault) => (meant == call).then_some(*fault),
            Self::Chaos(seed) => chaos::at_call(*seed, call),
            _ => None,
        }
    }

    fn at_event(&self, resource: &str, number: usize) -> Option<Disturbance> {
        match self {
            Self::Event(meant, at, disturbance) => {
                (meant == resource && *at == number).then_some(*disturbance)
            }
            Self::Chaos(seed) => chaos::at_event(*seed, resource, number),
            _ => None,
        }
    }
}

impl Plan {
    /// The class of bugs that it is meant for, see docs/reliability.md.
    pub fn class(&self) -> &'static str {
        match &self.trouble {
            Trouble::Request(_, Fault::CrashBefore | Fault::CrashAfter) => "R1",
            Trouble::Past(..) => "R2",
            Trouble::Chaos(_) => "chaos",
            Trouble::Calm => "calm",
            Trouble::Event(.., Disturbance::Expire) | Trouble::Request(_, Fault::Refuse(410)) => "R6",
            Trouble::Event(.., Disturbance::Break | Disturbance::Silence) => "R8",
            Trouble::Event(..) => "R3",
            Trouble::Request(_, Fault::LoseReply | Fault::Timeout | Fault::Lose) => "R4",
            Trouble::Request(_, Fault::Refuse(409)) => "R5",
            Trouble::Request(_, Fault::Refuse(_) | Fault::Late(_)) => "R7",
        }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.scenario)?;
        match &self.trouble {
            Trouble::Request(call, fault) => write!(f, "{fault} at {call}"),
            Trouble::Event(resource, number, disturbance) => {
                write!(f, "{disturbance} at event {resource} {number}")
            }
            Trouble::Past(steps, resource, lag) => {
                write!(f, "past {resource} {}ms after step {steps}", lag.as_millis())
            }
            Trouble::Chaos(seed) => write!(f, "chaos {seed}"),
            Trouble::Calm => write!(f, "calm"),
        }
    }
}

impl FromStr for Plan {
    type Err = String;

    fn from_str(line: &str) -> Result<Self, String> {
        let (scenario, rest) = line.split_once(": ").ok_or_else(|| format!("{line:?} names no scenario"))?;
        let trouble = match rest.split_whitespace().collect::<Vec<_>>().as_slice() {
            ["past", resource, lag, "after", "step", steps] => {
                Trouble::Past(number(steps)?, (*resource).to_owned(), millis(lag)?)
            }
            ["chaos", seed] => Trouble::Chaos(number(seed)?),
            ["calm"] => Trouble::Calm,
            [word, "at", "event", resource, event] => {
                Trouble::Event((*resource).to_owned(), number(event)?, word.parse()?)
            }
            [word, "at", call @ ..] => Trouble::Request(call.join(" ").parse()?, word.parse()?),
            _ => return Err(format!("{rest:?} is no plan; `--list` prints those that there are")),
        };
        Ok(Self { scenario: scenario.trim().to_owned(), trouble })
    }
}

fn number<T: FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("{text} is not a number"))
}
