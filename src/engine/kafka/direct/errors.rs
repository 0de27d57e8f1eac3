//! What an answer of a broker, or the lack of one, means to the operator. Pure.

use std::error::Error;

use krafka::error::{ErrorCode as Code, KrafkaError};
use krafka::{ProtocolErrorKind, Result};

use crate::engine::kafka::BrokerError;

/// Bytes of a broker's text that are kept.
const TEXT: usize = 600;

/// The first two bytes of an alert of TLS.
const TLS_ALERT: u32 = 0x1503;
const PORT_WITH_TLS: &str = "the port speaks TLS, and the class describes the cluster without it";

/// What a request does. One that only asks can be sent again; one that changes something and got no
/// answer may have happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Asks.
    Read,
    /// Changes something.
    Write,
}

/// Takes secrets out of texts, control characters too, and bounds them.
#[derive(Clone, Debug, Default)]
pub struct Scrub {
    secrets: Vec<String>,
}

impl Scrub {
    /// Of these secrets.
    pub fn new(secrets: impl IntoIterator<Item = String>) -> Self {
        Self { secrets: secrets.into_iter().filter(|secret| !secret.is_empty()).collect() }
    }

    /// The text as it may be shown.
    fn clean(&self, text: &str) -> String {
        // First the secrets: a cut through one of them would leave its beginning.
        let mut clean = self.secrets.iter().fold(text.to_owned(), |text, secret| text.replace(secret, "***"));
        clean = clean.replace(char::is_control, " ");
        if clean.len() > TEXT {
            clean.truncate(clean.floor_char_boundary(TEXT - '…'.len_utf8()));
            clean.push('…');
        }
        clean
    }
}

/// The error of a request, or of one item in it.
pub fn meaning(error: &KrafkaError, effect: Effect, scrub: &Scrub) -> BrokerError {
    let text = || scrub.clean(&error.to_string());
    match error {
        KrafkaError::Broker { code, message } => of_code(*code, scrub.clean(message), effect),
        KrafkaError::Auth { .. } if of_tls(error) => BrokerError::TlsRefused(text()),
        KrafkaError::Auth { message, .. } => BrokerError::LoginRefused(scrub.clean(message)),
        // The client says this of what it could not send before its time was up.
        KrafkaError::Timeout { operation } if operation.contains("did not complete within") => {
            BrokerError::Unreachable(text())
        }
        KrafkaError::Network(_) if refused_by_tls(error) => BrokerError::TlsRefused(text()),
        _ if answered_by_tls(error) => BrokerError::TlsRefused(PORT_WITH_TLS.to_owned()),
        KrafkaError::Protocol { kind: ProtocolErrorKind::UnknownApiVersion, message } => {
            BrokerError::Unsupported(scrub.clean(message))
        }
        KrafkaError::Network(_) | KrafkaError::Timeout { .. } | KrafkaError::Protocol { .. } => {
            match effect {
                Effect::Read => BrokerError::Unreachable(text()),
                Effect::Write => BrokerError::Unknown(text()),
            }
        }
        _ => BrokerError::Other(text()),
    }
}

/// The error of connecting: nothing was asked of the cluster yet.
pub fn of_connecting(error: &KrafkaError, scrub: &Scrub) -> BrokerError {
    meaning(error, Effect::Read, scrub)
}

/// Whether the connection is to be made anew before anything else is sent.
pub fn is_lost(error: &BrokerError) -> bool {
    matches!(error, BrokerError::Unknown(_)) || is_of_connection(error)
}

/// Whether it is about the way to the cluster, so the same for everything that is asked of it.
pub fn is_of_connection(error: &BrokerError) -> bool {
    matches!(error, BrokerError::Unreachable(_) | BrokerError::LoginRefused(_) | BrokerError::TlsRefused(_))
}

/// The results by key, in the order of the keys.
pub fn in_order<K: std::hash::Hash + Eq, T>(
    mut results: std::collections::HashMap<K, Result<T>>,
    keys: impl IntoIterator<Item = K>,
) -> Vec<Result<T>> {
    let missing =
        || Err(KrafkaError::protocol_kind(ProtocolErrorKind::Malformed, "an item was not answered"));
    keys.into_iter().map(|key| results.remove(&key).unwrap_or_else(missing)).collect()
}

/// The client gives an authentication error a source when it comes from TLS.
fn of_tls(error: &KrafkaError) -> bool {
    error.source().is_some()
}

/// A broker that does not want our certificate says so after the handshake, when it is first read from.
fn refused_by_tls(error: &KrafkaError) -> bool {
    let mut next: Option<&dyn Error> = Some(error);
    while let Some(error) = next {
        if error.to_string().contains("received fatal alert") {
            return true;
        }
        next = error.source();
    }
    false
}

/// What a port with TLS says to somebody who speaks without: an alert, whose first bytes the client takes
/// for the length of an answer.
fn answered_by_tls(error: &KrafkaError) -> bool {
    let text = error.to_string();
    let length = text.split_once("pre-authentication response length: ").map(|(_, rest)| rest);
    let digits = length.and_then(|rest| rest.split(|c: char| !c.is_ascii_digit()).next());
    digits.and_then(|digits| digits.parse::<u32>().ok()).is_some_and(|length| length >> 16 == TLS_ALERT)
}

fn of_code(code: Code, text: String, effect: Effect) -> BrokerError {
    match code {
        Code::UnknownTopicOrPartition
        | Code::UnknownTopicId
        | Code::GroupIdNotFound
        | Code::ResourceNotFound
        | Code::TransactionalIdNotFound => BrokerError::Missing,
        Code::TopicAlreadyExists => BrokerError::Exists,
        Code::InvalidTopic | Code::InvalidGroupId => BrokerError::InvalidName(text),
        Code::InvalidReplicationFactor | Code::InvalidReplicaAssignment => {
            BrokerError::InvalidReplication(text)
        }
        Code::InvalidPartitions => BrokerError::InvalidPartitions(text),
        Code::InvalidConfig => BrokerError::InvalidConfig(text),
        Code::PolicyViolation => BrokerError::PolicyViolation(text),
        Code::TopicAuthorizationFailed
        | Code::GroupAuthorizationFailed
        | Code::ClusterAuthorizationFailed
        | Code::TransactionalIdAuthorizationFailed
        | Code::DelegationTokenAuthorizationFailed => BrokerError::NotAuthorized(text),
        Code::UnsupportedSaslMechanism | Code::IllegalSaslState | Code::SaslAuthenticationFailed => {
            BrokerError::LoginRefused(text)
        }
        Code::UnsupportedVersion
        | Code::SecurityDisabled
        | Code::TopicDeletionDisabled
        | Code::UnsupportedEndpointType
        | Code::MismatchedEndpointType => BrokerError::Unsupported(text),
        Code::ThrottlingQuotaExceeded => BrokerError::Throttled(text),
        Code::BrokerNotAvailable
        | Code::LeaderNotAvailable
        | Code::NotLeaderForPartition
        | Code::CoordinatorNotAvailable
        | Code::CoordinatorLoadInProgress
        | Code::NotCoordinator
        | Code::RebootstrapRequired => BrokerError::Unreachable(text),
        // The broker gave up waiting for the controller, or lost it: what it passed on may be done. So may be
        // what a controller had begun when it stopped to be one: its successor carries it on.
        Code::RequestTimedOut | Code::NetworkException | Code::NotController => match effect {
            Effect::Read => BrokerError::Unreachable(text),
            Effect::Write => BrokerError::Unknown(text),
        },
        _ => BrokerError::Other(format!("{code:?}: {text}")),
    }
}

#[cfg(test)]
mod tests;
