//! The connection to a cluster: made when it is first needed, kept, made anew after a failure or with
//! other settings.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use krafka::__private::kafka_metadata;
use krafka::admin::AdminClient;
use krafka::auth::{AuthConfig, TlsConfig};
use krafka::{Kafka, KafkaBuilder};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout, timeout_at};

use super::errors::{Scrub, of_connecting};
use crate::engine::kafka::{BrokerError, Mechanism, Settings, Tls};

/// How the operator calls itself in the logs of brokers.
const CLIENT_ID: &str = "microservice-operator";
/// How long one broker may take to accept a connection.
const CONNECT: Duration = Duration::from_secs(5);
/// How long to look for a connection that is there.
const LOOK: Duration = Duration::from_millis(100);
/// A refused login is not tried again for so long with the same settings: brokers log each one, and some
/// lock the account.
const LOGIN_PAUSE: Duration = Duration::from_secs(30);
/// How long what is known of a topic is kept. What is known of the brokers has no age: it is refreshed when
/// it proves wrong, and by who needs all of them.
const METADATA_AGE: Duration = Duration::from_secs(1800);
/// The longest answer that is read.
const LONGEST_ANSWER: usize = 64 << 20;

/// The connection, shared by all calls.
#[derive(Default)]
pub struct Link(Mutex<State>);

/// A connection, as what it is asked for.
pub struct Connection {
    /// What the client crate offers to administrators.
    pub admin: AdminClient,
    /// The connection below it.
    pub kafka: Kafka,
}

impl Connection {
    /// How long nothing is written to the controller, because the broker has asked for a pause.
    pub async fn pause(&self) -> Option<Duration> {
        let metadata = kafka_metadata(&self.kafka);
        let controller = metadata.controller()?.id();
        let connection = timeout(LOOK, metadata.get_broker_connection(controller)).await.ok()?.ok()?;
        connection.throttle_remaining()
    }
}

impl Deref for Connection {
    type Target = AdminClient;

    fn deref(&self) -> &AdminClient {
        &self.admin
    }
}

#[derive(Default)]
struct State {
    /// What the rest belongs to.
    settings: Option<Arc<Settings>>,
    admin: Option<Arc<Connection>>,
    failure: Option<Failure>,
}

struct Failure {
    at: Instant,
    error: BrokerError,
}

impl Link {
    /// The connection, made now if there is none. Of callers who wait together one connects, and all
    /// get its failure.
    pub async fn open(
        &self,
        settings: Arc<Settings>,
        scrub: &Scrub,
        deadline: Instant,
    ) -> Result<Arc<Connection>, BrokerError> {
        let asked = Instant::now();
        let late = |_| BrokerError::Unreachable("no connection was made in time".into());
        let mut state = timeout_at(deadline, self.0.lock()).await.map_err(late)?;
        if state.settings.as_ref() != Some(&settings) {
            *state = State { settings: Some(Arc::clone(&settings)), ..State::default() };
        }
        if let Some(admin) = &state.admin {
            return Ok(Arc::clone(admin));
        }
        if let Some(failure) = state.failure.as_ref().filter(|failure| failure.holds(asked)) {
            return Err(failure.error.clone());
        }
        let connected = match timeout_at(deadline, connect(&settings)).await {
            Ok(connected) => connected.map_err(|error| of_connecting(&error, scrub)),
            Err(elapsed) => Err(late(elapsed)),
        };
        match connected {
            Ok(kafka) => {
                let admin = Arc::new(Connection { admin: kafka.admin(), kafka });
                state.admin = Some(Arc::clone(&admin));
                state.failure = None;
                Ok(admin)
            }
            Err(error) => {
                state.failure = Some(Failure { at: Instant::now(), error: error.clone() });
                Err(error)
            }
        }
    }

    /// Drops this connection if it is still the one in use; the next call makes another.
    pub async fn forget(&self, admin: &Arc<Connection>, error: &BrokerError) {
        // Who holds the lock is connecting, so this connection is gone already.
        let Ok(mut state) = timeout_at(Instant::now() + CONNECT, self.0.lock()).await else { return };
        if state.admin.as_ref().is_some_and(|used| Arc::ptr_eq(used, admin)) {
            state.admin = None;
            state.failure = Some(Failure { at: Instant::now(), error: error.clone() });
        }
    }
}

impl Failure {
    /// Whether it answers a call that was made at this time.
    fn holds(&self, asked: Instant) -> bool {
        let pause = match self.error {
            BrokerError::LoginRefused(_) => LOGIN_PAUSE,
            _ => Duration::ZERO,
        };
        self.at + pause > asked
    }
}

/// A new connection.
pub async fn connect(settings: &Settings) -> krafka::Result<Kafka> {
    builder(settings).connect().await
}

fn builder(settings: &Settings) -> KafkaBuilder {
    let builder = Kafka::builder(settings.bootstrap.join(","))
        .client_id(CLIENT_ID)
        .connect_timeout(CONNECT)
        .request_timeout(super::DEADLINE)
        .metadata_max_age(METADATA_AGE)
        .max_response_size(LONGEST_ANSWER);
    match security(settings) {
        Some(security) => builder.security(security),
        None => builder,
    }
}

fn security(settings: &Settings) -> Option<AuthConfig> {
    let login = settings.login.as_ref().map(|login| {
        let (user, password) = (login.user.as_str(), login.password.as_str());
        match login.mechanism {
            Mechanism::ScramSha512 => AuthConfig::sasl_scram_sha512(user, password),
            Mechanism::ScramSha256 => AuthConfig::sasl_scram_sha256(user, password),
            Mechanism::Plain => AuthConfig::sasl_plain(user, password),
        }
    });
    match (login, settings.tls.as_ref().map(tls)) {
        (Some(login), Some(tls)) => Some(login.with_tls(tls)),
        (None, Some(tls)) => Some(AuthConfig::ssl(tls)),
        (login, None) => login,
    }
}

fn tls(tls: &Tls) -> TlsConfig {
    let mut config = TlsConfig::new();
    if let Some(ca) = &tls.ca {
        config = config.with_ca_cert_pem(ca.as_bytes());
    }
    if let Some(client) = &tls.client {
        config = config.with_client_cert_pem(client.chain.as_bytes(), client.key.clone().into_bytes());
    }
    config
}
