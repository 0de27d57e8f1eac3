//! How long a watch waits after an error. A server that is away, or that has lost its history, is asked again
//! soon: what was missed meanwhile is served as soon as it is back. One that answers and refuses is asked ever
//! more seldom.

use std::time::Duration;

use futures::{Stream, StreamExt, stream};
use kube::runtime::watcher::{Error, Event, Result};

/// First and longest wait for a server that is away, or has lost where the watch was.
const AWAY: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(1));
/// First and longest wait after a refusal. A server that has just started refuses everybody for a moment, until
/// it knows its roles; client-go's reflectors begin with 800 ms, and end with the same.
const REFUSED: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(30));

/// What an error says about the server.
#[derive(Debug, PartialEq, Eq)]
enum Trouble {
    /// It gave no answer.
    Away,
    /// It is there, and cannot go on from where the watch was.
    Expired,
    /// It answers and refuses.
    Refused,
}

/// Errors since the last success.
#[derive(Debug, Default)]
struct Pace {
    /// In a row.
    away: u32,
    expired: u32,
    refused: u32,
    /// The last error.
    told: String,
}

impl Pace {
    /// How long to wait now, but for the jitter.
    fn after(&mut self, error: &Error) -> Duration {
        let trouble = trouble(error);
        if trouble != Trouble::Away {
            self.away = 0;
        }
        let (count, (first, longest)) = match trouble {
            Trouble::Away => (&mut self.away, AWAY),
            Trouble::Expired => (&mut self.expired, AWAY),
            Trouble::Refused => (&mut self.refused, REFUSED),
        };
        let wait = first.saturating_mul(1 << (*count).min(16)).min(longest);
        *count += 1;
        wait
    }

    /// Whether this is another error than the last one.
    fn is_news(&mut self, error: &Error) -> bool {
        let text = error.to_string();
        let news = text != self.told;
        self.told = text;
        news
    }
}

/// The same events, with a wait after each error. Of one error that repeats itself while the server is away
/// only the first is passed on.
pub fn paced<K>(events: impl Stream<Item = Result<Event<K>>>) -> impl Stream<Item = Result<Event<K>>> {
    let begin = (Box::pin(events), Pace::default(), Duration::ZERO);
    stream::unfold(begin, |(mut events, mut pace, mut wait)| async move {
        loop {
            if !wait.is_zero() {
                tokio::time::sleep(wait.mul_f64(rand::random_range(0.5..1.0))).await;
            }
            match events.next().await? {
                Ok(event) => {
                    // That a list begins is no success yet.
                    if !matches!(event, Event::Init) {
                        pace = Pace::default();
                    }
                    return Some((Ok(event), (events, pace, Duration::ZERO)));
                }
                Err(error) => {
                    wait = pace.after(&error);
                    if pace.is_news(&error) || trouble(&error) == Trouble::Refused {
                        return Some((Err(error), (events, pace, wait)));
                    }
                }
            }
        }
    })
}

fn trouble(error: &Error) -> Trouble {
    const GONE: u16 = 410;
    let of_code = |code| if code == GONE { Trouble::Expired } else { Trouble::Refused };
    match error {
        Error::InitialListFailed(error) | Error::WatchStartFailed(error) | Error::WatchFailed(error) => {
            match error {
                kube::Error::Api(status) => of_code(status.code),
                kube::Error::SerdeError(_) => Trouble::Refused,
                _ => Trouble::Away,
            }
        }
        Error::WatchError(status) => of_code(status.code),
        Error::NoResourceVersion => Trouble::Refused,
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use kube::core::Status;
    use tokio::time::Instant;

    use super::*;

    fn away() -> Error {
        let refused = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
        Error::WatchStartFailed(kube::Error::Service(refused.into()))
    }

    fn answer(code: u16) -> Error {
        Error::WatchError(Box::new(Status { code, ..Status::default() }))
    }

    #[test]
    fn after_a_long_outage_the_next_attempt_comes_within_a_second_and_the_list_soon_after_it() {
        let mut pace = Pace::default();
        let waits: Vec<Duration> = (0..60).map(|_| pace.after(&away())).collect();
        assert_eq!(waits[..3], [250, 500, 1000].map(Duration::from_millis));
        assert_eq!(waits[59], Duration::from_secs(1));
        assert_eq!(pace.after(&answer(410)), Duration::from_millis(250), "the server is there");
        assert_eq!(pace.after(&away()), Duration::from_millis(250), "it is away anew");
    }

    #[test]
    fn a_server_that_refuses_is_asked_ever_more_seldom() {
        let mut pace = Pace::default();
        let waits: Vec<Duration> = (0..10).map(|_| pace.after(&answer(403))).collect();
        assert_eq!(waits[..3], [250, 500, 1000].map(Duration::from_millis));
        assert_eq!(waits[9], Duration::from_secs(30));
        assert_eq!(pace.after(&away()), AWAY.0, "of being away nothing was seen yet");
    }

    #[tokio::test(start_paused = true)]
    async fn an_outage_is_told_once_and_forgotten_after_a_success() {
        let events =
            [Err(away()), Err(away()), Err(away()), Ok(Event::Apply(1)), Err(away()), Ok(Event::Apply(2))];
        let start = Instant::now();
        let mut events = pin!(paced(stream::iter(events)));
        assert!(events.next().await.unwrap().is_err());
        assert!(matches!(events.next().await, Some(Ok(Event::Apply(1)))));
        let outage = start.elapsed();
        assert!((875..=1750).contains(&outage.as_millis()), "{outage:?}");
        assert!(events.next().await.unwrap().is_err(), "another outage");
        assert!(matches!(events.next().await, Some(Ok(Event::Apply(2)))));
        assert!(start.elapsed() - outage <= AWAY.0);
        assert!(events.next().await.is_none());
    }
}
