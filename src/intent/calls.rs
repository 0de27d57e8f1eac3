//! The calls of an intent: whom, where, and how long the caller waits.

use std::fmt;

use smol_str::SmolStr;

/// Namespace and name of a service.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Namespace.
    pub namespace: SmolStr,
    /// Name.
    pub name: SmolStr,
}

impl Key {
    /// From texts.
    pub fn new(namespace: impl Into<SmolStr>, name: impl Into<SmolStr>) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// One line of `calls`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Whom.
    pub target: Target,
    /// On which port; `None` = the main one.
    pub port: Option<PortName>,
    /// How long the caller waits, retries included, milliseconds.
    pub timeout: Option<u64>,
    /// How often it tries, the first time included; at least 1.
    pub attempts: u64,
    /// How long it waits each time, milliseconds.
    pub per_try: Option<u64>,
    /// Whether it can serve without.
    pub optional: bool,
}

impl Call {
    /// A call without a timeout and without retries, to a service.
    pub fn to(key: Key) -> Self {
        Self {
            target: Target::Service(key),
            port: None,
            timeout: None,
            attempts: 1,
            per_try: None,
            optional: false,
        }
    }

    /// p: how long one attempt may take, milliseconds.
    pub fn one_attempt(&self) -> Option<u64> {
        self.per_try.or(self.timeout)
    }

    /// T: how long all of it may take, milliseconds.
    pub fn whole(&self) -> Option<u64> {
        self.timeout.or_else(|| self.per_try.map(|each| each.saturating_mul(self.attempts)))
    }
}

/// What is called.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    /// A Microservice.
    Service(Key),
    /// Pods that are no Microservice, as a text for people: `app=redis in data`.
    Workload(SmolStr),
    /// A host or a range of addresses outside of the cluster.
    External(SmolStr),
}

/// A port by name or by number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PortName {
    /// By name.
    Name(SmolStr),
    /// By the number at the Service.
    Number(i32),
}

impl fmt::Display for PortName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Number(number) => write!(f, "{number}"),
        }
    }
}
