//! A service as the graph sees it: what it serves, whom it calls, whom it lets in, which topics and
//! database secrets it uses.

use std::fmt;
use std::sync::Arc;

use smol_str::SmolStr;

use crate::api::kafka::ManagementPolicy;
use crate::intent::Intent;
pub use crate::intent::calls::{Call, Key, PortName, Target};
use crate::intent::neighbours::Callee;
use crate::kafka::consent::Consent;

/// Availability that a service promises when nothing else is said, in millionths: 99.9 %, as the guide
/// has it.
pub const OBJECTIVE: u32 = 999_000;

/// One service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// What it is called.
    pub key: Key,
    /// Names and numbers of its ports, the main one first.
    pub ports: Box<[(SmolStr, i32)]>,
    /// Whom it calls.
    pub calls: Arc<[Call]>,
    /// Who may call it.
    pub callers: Consent,
    /// Topics that it declares itself and does not only observe.
    pub owns: Box<[Topic]>,
    /// Topics that it writes to, its own among them.
    pub produces: Box<[Topic]>,
    /// Topics that it reads.
    pub consumes: Box<[Topic]>,
    /// What tells its databases apart: keys of Secrets, with the namespace.
    pub databases: Box<[SmolStr]>,
    /// Availability that it promises, millionths.
    pub objective: u32,
}

impl From<&Intent> for Service {
    fn from(intent: &Intent) -> Self {
        let key = Key::new(intent.namespace.as_str(), intent.name.as_str());
        let kafka = intent.kafka.as_deref();
        let topic = |name: &str| Topic {
            cluster: kafka.map(|kafka| kafka.cluster.name.as_str().into()).unwrap_or_default(),
            name: name.into(),
        };
        let own = || kafka.into_iter().flat_map(|kafka| &kafka.topics);
        let owns = own().filter(|own| own.management_policy != ManagementPolicy::Observe);
        let produces = kafka.into_iter().flat_map(|kafka| &kafka.produces);
        let consumes = kafka.into_iter().flat_map(|kafka| &kafka.consumes);
        Self {
            ports: intent.ports.iter().map(|port| (port.name.as_str().into(), port.port)).collect(),
            calls: Arc::clone(&intent.calls),
            callers: intent.callers.clone(),
            owns: owns.map(|owned| topic(&owned.physical_name)).collect(),
            produces: own()
                .map(|owned| topic(&owned.physical_name))
                .chain(produces.map(|used| topic(&used.physical_name)))
                .collect(),
            consumes: consumes.map(|used| topic(&used.topic.physical_name)).collect(),
            databases: databases(intent),
            ..Self::new(key)
        }
    }
}

impl<'a> From<&'a Service> for Callee<'a> {
    fn from(service: &'a Service) -> Self {
        let ports = service.ports.iter().map(|(name, number)| (name.as_str(), *number)).collect();
        Self { key: &service.key, ports, callers: &service.callers }
    }
}

/// Words of a variable's name that speak of a database.
const DATABASE: [&str; 12] = [
    "CLICKHOUSE",
    "DATABASE",
    "DB",
    "DSN",
    "JDBC",
    "MARIADB",
    "MONGO",
    "MONGODB",
    "MYSQL",
    "PG",
    "POSTGRES",
    "POSTGRESQL",
];

/// Keys of Secrets that are read into a variable such as `DATABASE_URL`. What the operator generates is the
/// service's own.
fn databases(intent: &Intent) -> Box<[SmolStr]> {
    let read = intent.secrets.iter().filter(|used| used.generate.is_none());
    let keys = read.flat_map(|used| used.env.iter().flatten().map(move |env| (&used.name, env)));
    let speaks =
        |variable: &str| variable.to_ascii_uppercase().split('_').any(|word| DATABASE.contains(&word));
    keys.filter(|(_, env)| speaks(&env.name))
        .map(|(secret, env)| format!("key {} of Secret {}/{secret}", env.key, intent.namespace).into())
        .collect()
}

impl Service {
    /// A service that calls nobody, with one port `http` on 3000.
    pub fn new(key: Key) -> Self {
        Self {
            key,
            ports: [("http".into(), 3000)].into(),
            calls: Arc::default(),
            callers: Consent::default(),
            owns: Box::default(),
            produces: Box::default(),
            consumes: Box::default(),
            databases: Box::default(),
            objective: OBJECTIVE,
        }
    }
}

/// A topic as it is called on its cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Topic {
    /// The cluster, as the class calls it.
    pub cluster: SmolStr,
    /// Name on the cluster.
    pub name: SmolStr,
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} on {}", self.name, self.cluster)
    }
}
