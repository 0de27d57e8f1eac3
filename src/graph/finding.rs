//! What is found, and how bad it is.

use std::cmp::Reverse;
use std::fmt;

use super::model::Key;

/// How bad a finding is; the later one is worse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Good to know.
    Info,
    /// It will hurt under load or when something breaks.
    Warning,
    /// It is broken, or will break more than itself.
    Error,
}

impl Severity {
    /// As it is printed and given on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What can be found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A call to a service that does not exist.
    MissingPeer,
    /// A call to a port that the callee does not have.
    UnknownPort,
    /// A call that the callee does not allow.
    PendingConsent,
    /// Services that call each other in a circle.
    Cycle,
    /// A circle that is closed by events.
    EventLoop,
    /// A caller gives up before its callee has.
    TimeoutInversion,
    /// The same, if the callee calls one after another.
    TimeoutInversionPossible,
    /// The time of all attempts is longer than the timeout.
    RetryBudgetUnusable,
    /// Retries upon retries.
    RetryAmplification,
    /// Many services that wait for one another.
    LongChain,
    /// What is needed promises less than what needs it.
    AvailabilityCeiling,
    /// One service that very many call.
    FanInHub,
    /// Two services that own one topic.
    SharedTopicOwner,
    /// Two services with one database.
    SharedDatabase,
    /// A call without a timeout.
    NoTimeout,
}

impl Kind {
    /// All, in the order in which they are told.
    pub const ALL: [Self; 15] = [
        Self::MissingPeer,
        Self::UnknownPort,
        Self::PendingConsent,
        Self::Cycle,
        Self::EventLoop,
        Self::TimeoutInversion,
        Self::TimeoutInversionPossible,
        Self::RetryBudgetUnusable,
        Self::RetryAmplification,
        Self::LongChain,
        Self::AvailabilityCeiling,
        Self::FanInHub,
        Self::SharedTopicOwner,
        Self::SharedDatabase,
        Self::NoTimeout,
    ];

    /// The name of the variant, as it is printed.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::MissingPeer => "MissingPeer",
            Self::UnknownPort => "UnknownPort",
            Self::PendingConsent => "PendingConsent",
            Self::Cycle => "Cycle",
            Self::EventLoop => "EventLoop",
            Self::TimeoutInversion => "TimeoutInversion",
            Self::TimeoutInversionPossible => "TimeoutInversionPossible",
            Self::RetryBudgetUnusable => "RetryBudgetUnusable",
            Self::RetryAmplification => "RetryAmplification",
            Self::LongChain => "LongChain",
            Self::AvailabilityCeiling => "AvailabilityCeiling",
            Self::FanInHub => "FanInHub",
            Self::SharedTopicOwner => "SharedTopicOwner",
            Self::SharedDatabase => "SharedDatabase",
            Self::NoTimeout => "NoTimeout",
        }
    }

    /// The kind of this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }

    /// How bad it is when nobody says otherwise.
    pub fn severity(self) -> Severity {
        match self {
            Self::MissingPeer
            | Self::UnknownPort
            | Self::PendingConsent
            | Self::Cycle
            | Self::TimeoutInversion
            | Self::SharedTopicOwner
            | Self::SharedDatabase => Severity::Error,
            Self::RetryBudgetUnusable
            | Self::RetryAmplification
            | Self::LongChain
            | Self::AvailabilityCeiling => Severity::Warning,
            Self::EventLoop | Self::TimeoutInversionPossible | Self::FanInHub | Self::NoTimeout => {
                Severity::Info
            }
        }
    }

    /// Why it hurts, one sentence.
    pub fn why(self) -> &'static str {
        match self {
            Self::MissingPeer => "Every such call fails.",
            Self::UnknownPort => "Nothing listens there: every such call fails.",
            Self::PendingConsent => "Where network policies are enforced, every such call is cut.",
            Self::Cycle => {
                "None of them can be started, changed or brought back without the others, and a slow one slows itself."
            }
            Self::EventLoop => "An event that causes itself again fills the topics of the circle.",
            Self::TimeoutInversion => {
                "The callee goes on working for a caller that has given up, and with every retry there is more of it."
            }
            Self::TimeoutInversionPossible => {
                "If the callee calls one after another, it still works when its caller has given up."
            }
            Self::RetryBudgetUnusable => {
                "The last attempts are cut off by the timeout: they load the callee and cannot help."
            }
            Self::RetryAmplification => {
                "When the last one in the chain fails, each request from outside becomes that many requests there."
            }
            Self::LongChain => "The slowest of them sets the time of all, and each is a chance to fail.",
            Self::AvailabilityCeiling => "It cannot keep its promise, however well it runs itself.",
            Self::FanInHub => {
                "When it fails, so do all of them: it is the part of the system that is hardest to change."
            }
            Self::SharedTopicOwner => {
                "Two owners set the topic back and forth, and its deletion by one loses the data of the other."
            }
            Self::SharedDatabase => {
                "Neither can change its tables without the other: they are one service in two deployments."
            }
            Self::NoTimeout => "A callee that hangs holds up the caller for ever.",
        }
    }

    /// What to change, one sentence.
    pub fn cure(self) -> &'static str {
        match self {
            Self::MissingPeer => {
                "Correct name and namespace in spec.calls, or bring the service in; remove the line if nobody is called."
            }
            Self::UnknownPort => {
                "Name a port of the callee in the line of spec.calls, or leave port out for the main one."
            }
            Self::PendingConsent => "Have the callee's team add the caller to spec.callers.",
            Self::Cycle => {
                "Turn one of the calls into an event, or move what both need into a service of its own."
            }
            Self::EventLoop => {
                "See that an event that comes back is recognised, or let one of them not answer with an event."
            }
            Self::TimeoutInversion | Self::TimeoutInversionPossible => {
                "Give the caller's attempt more time than the callee's own calls take, or the callee's calls less."
            }
            Self::RetryBudgetUnusable => "Raise timeout, or lower perTryTimeout or retries.attempts.",
            Self::RetryAmplification => "Retry at one place of the chain only, best at its start.",
            Self::LongChain => {
                "Let services in the middle answer from data of their own that events keep fresh."
            }
            Self::AvailabilityCeiling => {
                "Make calls optional, with an answer for when they fail, or turn them into events."
            }
            Self::FanInHub => {
                "Look whether it does several jobs that could be services of their own, or give callers a copy of its data by events."
            }
            Self::SharedTopicOwner => {
                "Leave the topic in spec.kafka.topics of one service; the others produce to it or consume it."
            }
            Self::SharedDatabase => {
                "Give each service a database of its own, and let the others ask its owner or follow its events."
            }
            Self::NoTimeout => "Write into timeout how long the caller's client really waits.",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Something that will hurt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What.
    pub kind: Kind,
    /// How bad.
    pub severity: Severity,
    /// Whom it concerns, by name.
    pub services: Vec<Key>,
    /// The way through the services that shows it; a circle ends where it began.
    pub path: Vec<Key>,
    /// The numbers that decide it, with their units in their names.
    pub numbers: Vec<(&'static str, u64)>,
    /// What is the case, one sentence without its full stop.
    pub message: String,
}

impl Finding {
    pub(super) fn new(kind: Kind, path: Vec<Key>, message: String) -> Self {
        let mut services = path.clone();
        services.sort();
        services.dedup();
        Self { kind, severity: kind.severity(), services, path, numbers: Vec::new(), message }
    }

    /// Under whose class it is judged: that of the first service of its path, of a circle of the first by
    /// name.
    pub fn judged(&self) -> Option<&Key> {
        let circle = self.path.len() > 1 && self.path.first() == self.path.last();
        if circle { self.services.iter().min() } else { self.path.first() }
    }

    /// Its place among others: the worst first, then by kind and by name.
    pub fn rank(&self) -> (Reverse<Severity>, Kind, &[Key], &str) {
        (Reverse(self.severity), self.kind, &self.path, &self.message)
    }

    pub(super) fn with(mut self, numbers: impl IntoIterator<Item = (&'static str, u64)>) -> Self {
        self.numbers.extend(numbers);
        self
    }

    pub(super) fn severe(mut self, severity: Severity) -> Self {
        self.severity = severity;
        self
    }
}

/// A way through services as people read it.
pub(super) fn way(path: &[Key]) -> String {
    let names: Vec<String> = path.iter().map(ToString::to_string).collect();
    names.join(" → ")
}

/// A time in milliseconds as people read it.
pub fn time(milliseconds: u64) -> String {
    if milliseconds.is_multiple_of(1000) {
        format!("{}s", milliseconds / 1000)
    } else {
        format!("{milliseconds}ms")
    }
}
