//! What goes wrong in one run: one line of text, printed for each failure and read again to repeat it.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::support::{Call, Disturbance, Fault};

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
}

impl Plan {
    /// How long it may take in the worst case until the operator has come to the state of the calm run. That
    /// a watch is dead shows by its silence: the server ends each after 290 s.
    pub fn patience(&self) -> Duration {
        let dead = matches!(self.trouble, Trouble::Event(.., Disturbance::Silence));
        Duration::from_mins(if dead { 6 } else { 2 })
    }

    /// The class of bugs that it is meant for, see docs/reliability.md.
    pub fn class(&self) -> &'static str {
        match &self.trouble {
            Trouble::Request(_, Fault::CrashBefore | Fault::CrashAfter) => "R1",
            Trouble::Past(..) => "R2",
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
            Trouble::Request(call, fault) => write!(f, "{} at {call}", Word(fault)),
            Trouble::Event(resource, number, disturbance) => {
                write!(f, "{} at event {resource} {number}", Word(disturbance))
            }
            Trouble::Past(steps, resource, lag) => {
                write!(f, "past {resource} {}ms after step {steps}", lag.as_millis())
            }
        }
    }
}

struct Word<'a, T>(&'a T);

impl fmt::Display for Word<'_, Fault> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Fault::CrashBefore => write!(f, "crash-before"),
            Fault::CrashAfter => write!(f, "crash-after"),
            Fault::LoseReply => write!(f, "lose-reply"),
            Fault::Timeout => write!(f, "time-out"),
            Fault::Lose => write!(f, "lose"),
            Fault::Late(time) => write!(f, "late-{}ms", time.as_millis()),
            Fault::Refuse(code) => write!(f, "refuse-{code}"),
        }
    }
}

impl fmt::Display for Word<'_, Disturbance> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Disturbance::Delay(time) => write!(f, "delay-{}ms", time.as_millis()),
            Disturbance::Coalesce(time) => write!(f, "coalesce-{}ms", time.as_millis()),
            Disturbance::Double => write!(f, "double"),
            Disturbance::Break => write!(f, "break"),
            Disturbance::Expire => write!(f, "expire"),
            Disturbance::Silence => write!(f, "silence"),
        }
    }
}

impl FromStr for Plan {
    type Err = String;

    fn from_str(line: &str) -> Result<Self, String> {
        let (scenario, rest) = line.split_once(": ").ok_or_else(|| format!("{line:?} names no scenario"))?;
        let trouble = match rest.split_whitespace().collect::<Vec<_>>().as_slice() {
            ["past", resource, lag, "after", "step", steps] => {
                Trouble::Past(number(steps)?, (*resource).to_owned(), time(lag)?)
            }
            [word, "at", "event", resource, event] => {
                Trouble::Event((*resource).to_owned(), number(event)?, disturbance(word)?)
            }
            [word, "at", call @ ..] => Trouble::Request(call.join(" ").parse()?, fault(word)?),
            _ => return Err(format!("{rest:?} is no plan; `--list` prints those that there are")),
        };
        Ok(Self { scenario: scenario.trim().to_owned(), trouble })
    }
}

fn fault(word: &str) -> Result<Fault, String> {
    Ok(match word {
        "crash-before" => Fault::CrashBefore,
        "crash-after" => Fault::CrashAfter,
        "lose-reply" => Fault::LoseReply,
        "time-out" => Fault::Timeout,
        "lose" => Fault::Lose,
        _ => match word.split_once('-') {
            Some(("late", rest)) => Fault::Late(time(rest)?),
            Some(("refuse", code)) => Fault::Refuse(number(code)?),
            _ => return Err(format!("{word} is no fault of a request")),
        },
    })
}

fn disturbance(word: &str) -> Result<Disturbance, String> {
    Ok(match word {
        "double" => Disturbance::Double,
        "break" => Disturbance::Break,
        "expire" => Disturbance::Expire,
        "silence" => Disturbance::Silence,
        _ => match word.split_once('-') {
            Some(("delay", rest)) => Disturbance::Delay(time(rest)?),
            Some(("coalesce", rest)) => Disturbance::Coalesce(time(rest)?),
            _ => return Err(format!("{word} is no disturbance of an event")),
        },
    })
}

fn number<T: FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("{text} is not a number"))
}

fn time(text: &str) -> Result<Duration, String> {
    let millis = text.strip_suffix("ms").ok_or_else(|| format!("{text} is not a time in ms"))?;
    number(millis).map(Duration::from_millis)
}
