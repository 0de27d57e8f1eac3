//! What goes wrong, in words that can be read again, and who decides when.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::Call;

/// What happens to one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The operator is killed, and the request never arrives.
    CrashBefore,
    /// The request is carried out, and the operator is killed before it hears of it.
    CrashAfter,
    /// The request is carried out, and its connection is closed instead of an answer.
    LoseReply,
    /// The request is carried out, and 504 is answered.
    Timeout,
    /// The connection is closed before the request arrives.
    Lose,
    /// The request arrives this much later.
    Late(Duration),
    /// The request is refused with this code; 429 with a `Retry-After` of one second.
    Refuse(u16),
}

/// What happens to one event of a watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disturbance {
    /// It and all after it come this much later.
    Delay(Duration),
    /// It is held back, and what follows it within this time about the same object comes in its place.
    Coalesce(Duration),
    /// It comes twice.
    Double,
    /// The connection ends in the middle of it.
    Break,
    /// It is lost: in its place the watch ends with 410 Gone.
    Expire,
    /// From here on nothing comes, not even the end: the connection is dead and stays open.
    Silence,
}

/// A list that shows the cluster as it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stale {
    /// The resource, for example `deployments`.
    pub resource: String,
    /// Revision of the cluster's data that is shown.
    pub revision: String,
    /// How much later the events after it come.
    pub lag: Duration,
}

/// Decides what goes wrong. It is asked once for each request and each event, in their order.
pub trait Policy: Send + Sync {
    /// What happens to a request.
    fn at_call(&self, call: &Call) -> Option<Fault>;

    /// What happens to an event: which resource, and which of its events since the start.
    fn at_event(&self, resource: &str, number: usize) -> Option<Disturbance>;
}

/// Something that went wrong.
#[derive(Clone, Debug)]
pub enum Strike {
    /// A request failed.
    Call(Call, Fault),
    /// An event of this resource and number was disturbed.
    Event(String, usize, Disturbance),
    /// A list and its watch showed the past.
    Past(Stale),
    /// The operator was killed at no request of its own.
    Kill,
}

impl Strike {
    /// What went wrong, without where.
    pub fn kind(&self) -> String {
        match self {
            Self::Call(_, fault) => fault.to_string(),
            Self::Event(.., disturbance) => disturbance.to_string(),
            Self::Past(_) => "past".to_owned(),
            Self::Kill => "kill".to_owned(),
        }
    }
}

impl fmt::Display for Strike {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Call(call, fault) => write!(f, "{fault} at {call}"),
            Self::Event(resource, number, disturbance) => {
                write!(f, "{disturbance} at event {resource} {number}")
            }
            Self::Past(stale) => write!(f, "past {} {}ms", stale.resource, stale.lag.as_millis()),
            Self::Kill => write!(f, "kill"),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CrashBefore => write!(f, "crash-before"),
            Self::CrashAfter => write!(f, "crash-after"),
            Self::LoseReply => write!(f, "lose-reply"),
            Self::Timeout => write!(f, "time-out"),
            Self::Lose => write!(f, "lose"),
            Self::Late(time) => write!(f, "late-{}ms", time.as_millis()),
            Self::Refuse(code) => write!(f, "refuse-{code}"),
        }
    }
}

impl FromStr for Fault {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        Ok(match word {
            "crash-before" => Self::CrashBefore,
            "crash-after" => Self::CrashAfter,
            "lose-reply" => Self::LoseReply,
            "time-out" => Self::Timeout,
            "lose" => Self::Lose,
            _ => match word.split_once('-') {
                Some(("late", rest)) => Self::Late(millis(rest)?),
                Some(("refuse", code)) => {
                    Self::Refuse(code.parse().map_err(|_| format!("{code} is not a code of HTTP"))?)
                }
                _ => return Err(format!("{word} is no fault of a request")),
            },
        })
    }
}

impl fmt::Display for Disturbance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Delay(time) => write!(f, "delay-{}ms", time.as_millis()),
            Self::Coalesce(time) => write!(f, "coalesce-{}ms", time.as_millis()),
            Self::Double => write!(f, "double"),
            Self::Break => write!(f, "break"),
            Self::Expire => write!(f, "expire"),
            Self::Silence => write!(f, "silence"),
        }
    }
}

impl FromStr for Disturbance {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        Ok(match word {
            "double" => Self::Double,
            "break" => Self::Break,
            "expire" => Self::Expire,
            "silence" => Self::Silence,
            _ => match word.split_once('-') {
                Some(("delay", rest)) => Self::Delay(millis(rest)?),
                Some(("coalesce", rest)) => Self::Coalesce(millis(rest)?),
                _ => return Err(format!("{word} is no disturbance of an event")),
            },
        })
    }
}

/// A time as in `250ms`.
pub fn millis(text: &str) -> Result<Duration, String> {
    let count = text.strip_suffix("ms").and_then(|count| count.parse().ok());
    count.map(Duration::from_millis).ok_or_else(|| format!("{text} is not a time in ms"))
}
