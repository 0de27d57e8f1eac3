//! What a refusal of a cluster means for a topic's status, and when to try again.

use std::time::Duration;

use super::BrokerError;
use crate::api::Reason;
use crate::kafka::view::Trouble;

/// An outage is told only when it has lasted this long: until then what was known stands.
pub const OUTAGE: Duration = Duration::from_secs(300);

/// The refusal as a status tells it.
pub fn trouble(error: &BrokerError) -> Trouble {
    let reason = reason(error);
    let passing = matches!(reason, Reason::BrokerUnreachable | Reason::Progressing | Reason::Throttled);
    Trouble { reason, text: error.to_string(), lasting: !passing }
}

fn reason(error: &BrokerError) -> Reason {
    match error {
        BrokerError::Unreachable(_) => Reason::BrokerUnreachable,
        BrokerError::LoginRefused(_) => Reason::LoginRefused,
        BrokerError::TlsRefused(_) => Reason::TlsRefused,
        BrokerError::NotAuthorized(_) => Reason::NotAuthorized,
        BrokerError::Exists => Reason::TopicExists,
        BrokerError::InvalidName(_) => Reason::TopicNameRefused,
        BrokerError::InvalidReplication(_) => Reason::ReplicationImpossible,
        BrokerError::InvalidPartitions(_) | BrokerError::InvalidConfig(_) => Reason::TopicConfigRefused,
        BrokerError::PolicyViolation(_) => Reason::TopicPolicyViolation,
        BrokerError::Unsupported(_) => Reason::Unsupported,
        BrokerError::NotServed(_) => Reason::ApiNotServed,
        BrokerError::Forbidden(_) => Reason::Forbidden,
        BrokerError::Taken(_) => Reason::Conflict,
        BrokerError::Refused(_) => Reason::StrimziRefused,
        BrokerError::NotHeard(_) => Reason::StrimziNotRunning,
        BrokerError::Throttled(_) => Reason::Throttled,
        BrokerError::Missing | BrokerError::Unknown(_) => Reason::Progressing,
        BrokerError::Other(_) => Reason::ClusterFailed,
    }
}

/// Whether whatever is asked of the cluster next would meet the same.
pub fn is_of_all(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::BrokerUnreachable
            | Reason::LoginRefused
            | Reason::TlsRefused
            | Reason::Throttled
            | Reason::ApiNotServed
    )
}

/// How long to wait after so many failures in a row for this reason, without jitter.
pub fn pace(reason: Reason, failures: u32) -> Duration {
    let seconds = Duration::from_secs;
    let (first, longest) = match reason {
        // A broker that has made many topics takes a moment to show them.
        Reason::Progressing => (Duration::from_millis(300), seconds(30)),
        // One attempt costs next to nothing, and whoever waits for a topic waits for this.
        Reason::BrokerUnreachable => (seconds(1), seconds(2)),
        Reason::ApiUnavailable => (seconds(1), seconds(60)),
        // A broker that has much to do hears late of a new user.
        Reason::CredentialRefused => (seconds(1), seconds(600)),
        Reason::Throttled => (seconds(5), seconds(60)),
        // Brokers join.
        Reason::ReplicationImpossible => (seconds(15), seconds(300)),
        // Brokers log each one, and some lock the account.
        Reason::LoginRefused | Reason::TlsRefused | Reason::ClusterSecretMissing | Reason::NotAuthorized => {
            (seconds(30), seconds(300))
        }
        _ => (seconds(60), seconds(600)),
    };
    first.saturating_mul(1 << failures.min(16)).min(longest)
}

/// Spreads what would come back together.
pub fn jittered(wait: Duration) -> Duration {
    wait.mul_f64(rand::random_range(0.9..1.25))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_is_retried_soon_and_a_refused_login_slowly() {
        assert_eq!(pace(Reason::BrokerUnreachable, 0), Duration::from_secs(1));
        assert_eq!(pace(Reason::BrokerUnreachable, 60), Duration::from_secs(2));
        assert_eq!(pace(Reason::LoginRefused, 0), Duration::from_secs(30));
        assert_eq!(pace(Reason::CredentialRefused, 0), Duration::from_secs(1));
        assert_eq!(pace(Reason::CredentialRefused, 60), Duration::from_secs(600));
        assert_eq!(pace(Reason::TopicConfigRefused, 60), Duration::from_secs(600));
    }

    #[test]
    fn what_passes_by_itself_says_nothing_of_a_topic() {
        assert!(!trouble(&BrokerError::Unreachable("x".into())).lasting);
        assert!(trouble(&BrokerError::LoginRefused("x".into())).lasting);
    }
}
