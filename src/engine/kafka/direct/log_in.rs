//! A login as a service does it, on each broker by itself: brokers hear of a new user one after the
//! other, and a pod may ask any of them first.

use std::time::Duration;

use futures::future::join_all;
use krafka::admin::{AdminClient, DescribeClusterOptions};
use tokio::time::{Instant, sleep};

use super::errors::{Effect, Scrub, meaning, of_connecting};
use super::link::connect;
use crate::engine::kafka::{BrokerError, Credential, Login, Mechanism, Settings, Tls};

/// Pauses before a broker that refuses a new user is asked again.
const PAUSES: [u64; 6] = [50, 100, 200, 400, 800, 1600];

/// Logs in with this credential, beside the connection of the administrator.
pub async fn log_in(
    admin: &AdminClient,
    settings: &Settings,
    credential: &Credential,
    scrub: &Scrub,
    deadline: Instant,
) -> Result<(), BrokerError> {
    let options = DescribeClusterOptions::default().timeout(left(deadline));
    let cluster = admin.describe_cluster(options).await;
    let cluster = cluster.map_err(|error| meaning(&error, Effect::Read, scrub))?;
    let attempts = cluster.brokers.iter().filter(|broker| !broker.is_fenced).map(|broker| {
        let host = if broker.host.contains(':') { format!("[{}]", broker.host) } else { broker.host.clone() };
        let settings = of_service(settings, format!("{host}:{}", broker.port), credential);
        async move { on_broker(&settings, scrub, deadline).await }
    });
    judge(join_all(attempts).await)
}

/// A broker that is away is no reason to wait: one that refuses is.
fn judge(results: Vec<Result<(), BrokerError>>) -> Result<(), BrokerError> {
    let away = |error: &BrokerError| matches!(error, BrokerError::Unreachable(_));
    if let Some(Err(refused)) = results.iter().find(|result| result.as_ref().is_err_and(|e| !away(e))) {
        return Err(refused.clone());
    }
    if results.iter().any(Result::is_ok) {
        return Ok(());
    }
    let none = || BrokerError::Unreachable("the cluster names no broker".into());
    Err(results.into_iter().find_map(Result::err).unwrap_or_else(none))
}

async fn on_broker(settings: &Settings, scrub: &Scrub, deadline: Instant) -> Result<(), BrokerError> {
    let mut pauses = PAUSES.iter();
    loop {
        let result = match tokio::time::timeout_at(deadline, connect(settings)).await {
            Ok(Ok(_)) => return Ok(()),
            Ok(Err(error)) => of_connecting(&error, scrub),
            Err(_) => return Err(BrokerError::Unreachable("no login was made in time".into())),
        };
        match (&result, pauses.next()) {
            (BrokerError::LoginRefused(_), Some(pause)) => sleep(Duration::from_millis(*pause)).await,
            _ => return Err(result),
        }
    }
}

/// What a service connects with: its own login, and no certificate of ours.
fn of_service(settings: &Settings, address: String, credential: &Credential) -> Settings {
    Settings {
        bootstrap: vec![address],
        tls: settings.tls.as_ref().map(|tls| Tls { ca: tls.ca.clone(), client: None }),
        login: Some(Login {
            mechanism: Mechanism::ScramSha512,
            user: credential.user.clone(),
            password: credential.password.clone(),
        }),
    }
}

fn left(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broker_that_is_away_is_forgiven_and_one_that_refuses_is_not() {
        let away = || Err(BrokerError::Unreachable("x".into()));
        let refused = || Err(BrokerError::LoginRefused("x".into()));
        assert_eq!(judge(vec![Ok(()), away()]), Ok(()));
        assert_eq!(judge(vec![Ok(()), away(), refused()]), refused());
        assert_eq!(judge(vec![away(), away()]), away());
        assert!(judge(vec![]).is_err());
    }
}
