//! The calls of an intent: whom, where, and how long the caller waits.

use std::collections::BTreeMap;
use std::fmt;

use smol_str::SmolStr;

use super::resolve::NAMESPACE;
use crate::api::calls::Method;
use crate::api::microservice::{Port, Protocol};
use crate::api::status::DependencyStatus;
use crate::api::{Microservice, MicroserviceStatus};

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

    /// Of an object; `default` where a file names no namespace.
    pub fn of(object: &Microservice) -> Self {
        let namespace = object.metadata.namespace.as_deref().unwrap_or(NAMESPACE);
        Self::new(namespace, object.metadata.name.as_deref().unwrap_or_default())
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
    /// What it uses of the callee; `None` = it may use all. Few lines say it, and all are kept.
    pub only: Option<Box<Only>>,
}

/// The part of a callee that a call uses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Only {
    /// HTTP methods; empty = any.
    pub methods: Vec<Method>,
    /// Begins of the paths; empty = any.
    pub paths: Vec<SmolStr>,
}

/// `GET,HEAD /stock/ /shelves/`
impl fmt::Display for Only {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let methods: Vec<&str> = self.methods.iter().map(|method| method.as_str()).collect();
        let methods = (!methods.is_empty()).then(|| methods.join(","));
        let paths = self.paths.iter().map(SmolStr::as_str);
        let words: Vec<&str> = methods.as_deref().into_iter().chain(paths).collect();
        f.write_str(&words.join(" "))
    }
}

impl Call {
    /// The Microservice that it goes to, if it goes to one.
    pub fn callee(&self) -> Option<&Key> {
        match &self.target {
            Target::Service(key) => Some(key),
            Target::Workload(_) | Target::External(_) => None,
        }
    }

    /// Whether a port of this name and number is the one that is called. One that names none takes any, so
    /// the first.
    pub fn takes(&self, name: &str, number: i32) -> bool {
        match &self.port {
            None => true,
            Some(PortName::Name(wanted)) => wanted == name,
            Some(PortName::Number(wanted)) => *wanted == number,
        }
    }

    /// A call without a timeout and without retries, to a service.
    pub fn to(key: Key) -> Self {
        Self {
            target: Target::Service(key),
            port: None,
            timeout: None,
            attempts: 1,
            per_try: None,
            optional: false,
            only: None,
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

/// Where a Microservice is reached, beside its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// Port of its Service.
    pub port: i32,
    /// http, https or grpc; `None` = none of them.
    pub scheme: Option<SmolStr>,
}

impl Default for Address {
    fn default() -> Self {
        Self { port: 3000, scheme: Some("http".into()) }
    }
}

impl Address {
    /// What a status has recorded, by callee.
    pub fn recorded(status: &MicroserviceStatus) -> BTreeMap<Key, Self> {
        let recorded = |entry: &DependencyStatus| {
            let (namespace, name) = entry.target.split_once('/')?;
            let scheme = entry.scheme.as_ref().map(SmolStr::from);
            Some((Key::new(namespace, name), Self { port: entry.port?, scheme }))
        };
        status.dependencies.iter().filter_map(recorded).collect()
    }

    /// Of this port of a Service, complete.
    pub fn of(port: &Port) -> Self {
        let known = |protocol: &&str| matches!(*protocol, "http" | "https" | "grpc");
        let scheme = port.app_protocol.as_deref().filter(known).map(SmolStr::from);
        let tcp = port.protocol.unwrap_or_default() == Protocol::TCP;
        Self { port: port.port, scheme: scheme.filter(|_| tcp) }
    }

    /// Where a call goes. Of a service that does not exist what was known of it last counts, so that one
    /// that goes and comes back changes nothing.
    pub fn to(call: &Call, ports: Option<&[Port]>, last: Option<&Self>) -> Self {
        let named = |port: &&Port| call.takes(&port.name, port.port);
        if let Some(port) = ports.and_then(|ports| ports.iter().find(named)) {
            return Self::of(port);
        }
        let last = last.cloned().unwrap_or_default();
        match call.port {
            Some(PortName::Number(port)) if port != last.port => Self { port, ..Self::default() },
            _ => last,
        }
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
