//! A cluster that is asked directly, through the client crate, which is known here and nowhere else.

mod acls;
mod batch;
mod calls;
mod errors;
mod groups;
mod link;
mod log_in;
mod topics;

use std::fmt::{Debug, Formatter};
use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::{BrokerError, Results, Settings};
use batch::Batch;
use errors::{Effect, Scrub, is_lost, is_of_connection, meaning};
use link::{Connection, Link};

/// How long a request may take, the connection and repetitions of what was not done included.
const DEADLINE: Duration = Duration::from_secs(12);
/// How many items go into one request.
const ITEMS: usize = 100;

/// A cluster, reached with its own admin protocol. Making one neither connects nor blocks.
pub struct Direct {
    settings: Mutex<Arc<Settings>>,
    link: Link,
    requests: AtomicU64,
}

/// One call: its connection, and when its present request has to be answered.
struct Call {
    settings: Arc<Settings>,
    admin: Arc<Connection>,
    scrub: Scrub,
    deadline: Instant,
}

impl Direct {
    /// A cluster with these settings.
    pub fn new(settings: Settings) -> Self {
        Self { settings: Mutex::new(Arc::new(settings)), link: Link::default(), requests: AtomicU64::new(0) }
    }

    /// Uses other settings from the next call on; calls that are under way end with the old ones.
    pub fn set(&self, settings: Settings) {
        let mut current = self.settings.lock().unwrap_or_else(PoisonError::into_inner);
        if **current != settings {
            *current = Arc::new(settings);
        }
    }

    /// How it connects now.
    pub fn settings(&self) -> Settings {
        Settings::clone(&self.settings.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// How many requests were sent; one that the client repeats because it was not done counts once.
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    async fn begin(&self) -> Result<Call, BrokerError> {
        let settings = Arc::clone(&self.settings.lock().unwrap_or_else(PoisonError::into_inner));
        let scrub = Scrub::new(settings.secrets());
        let deadline = Instant::now() + DEADLINE;
        let admin = self.link.open(Arc::clone(&settings), &scrub, deadline).await?;
        Ok(Call { settings, admin, scrub, deadline })
    }

    /// One request that has one answer.
    async fn ask<T, F, A>(&self, send: F) -> Result<T, BrokerError>
    where
        F: FnOnce(Arc<Connection>, Duration) -> A,
        A: Future<Output = krafka::Result<T>>,
    {
        let call = self.begin().await?;
        self.requests.fetch_add(1, Ordering::Relaxed);
        let answer = send(Arc::clone(&call.admin), call.left()).await;
        match answer.map_err(|error| meaning(&error, Effect::Read, &call.scrub)) {
            Err(error) if is_lost(&error) => Err(self.lost(&call, error).await),
            answer => answer,
        }
    }

    /// A request for each portion of a batch. `send` answers the items at these positions, in their
    /// order. When the connection is lost, the rest is not sent.
    async fn run<T, F, A>(
        &self,
        mut batch: Batch<T>,
        effect: Effect,
        send: F,
    ) -> Result<Results<T>, BrokerError>
    where
        T: Clone,
        F: Fn(Arc<Connection>, Duration, Vec<usize>) -> A,
        A: Future<Output = krafka::Result<Vec<krafka::Result<T>>>>,
    {
        let portions = batch.portions(ITEMS);
        if portions.is_empty() {
            return Ok(batch.finish());
        }
        let mut call = self.begin().await?;
        let mut lost: Option<BrokerError> = None;
        for portion in portions {
            if lost.is_none() && effect == Effect::Write {
                lost = call.throttled().await;
            }
            if let Some(lost) = &lost {
                let unsent = match lost {
                    BrokerError::Throttled(_) => lost.clone(),
                    _ => BrokerError::Unreachable(format!("it was not sent, because before it: {lost}")),
                };
                portion.into_iter().for_each(|index| batch.answer(index, Err(unsent.clone())));
                continue;
            }
            self.requests.fetch_add(1, Ordering::Relaxed);
            let answers = send(Arc::clone(&call.admin), call.left(), portion.clone()).await;
            let answers =
                answers.unwrap_or_else(|error| portion.iter().map(|_| Err(error.clone())).collect());
            for (index, answer) in portion.into_iter().zip(answers) {
                let answer = answer.map_err(|error| meaning(&error, effect, &call.scrub));
                lost = lost.or_else(|| answer.as_ref().err().filter(|error| is_lost(error)).cloned());
                batch.answer(index, answer);
            }
            if lost.is_none() {
                call.renew();
            }
        }
        let reason = match lost {
            Some(lost) => Some(self.lost(&call, lost).await),
            None => None,
        };
        let results = batch.finish();
        match (reason, results.first()) {
            (Some(reason), Some(Err(first))) if results.iter().all(of_connection) => Err(match effect {
                Effect::Read => reason,
                Effect::Write => first.clone(),
            }),
            _ => Ok(results),
        }
    }

    /// Drops the connection after this error, unless the broker has only asked for a pause: a new
    /// connection would not know of it. Gives what the error is of a request that only asks.
    async fn lost(&self, call: &Call, error: BrokerError) -> BrokerError {
        if let Some(throttled) = call.throttled().await {
            return throttled;
        }
        self.link.forget(&call.admin, &error).await;
        error
    }
}

impl Call {
    /// Whether the broker has asked for a pause that this call does not survive.
    async fn throttled(&self) -> Option<BrokerError> {
        let pause = self.admin.pause().await.filter(|pause| *pause > self.left())?;
        Some(BrokerError::Throttled(format!("the broker asks for a pause of {} s", pause.as_secs())))
    }

    fn left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// The next request has all the time again.
    fn renew(&mut self) {
        self.deadline = Instant::now() + DEADLINE;
    }
}

fn of_connection<T>(result: &Result<T, BrokerError>) -> bool {
    result.as_ref().is_err_and(is_of_connection)
}

impl Debug for Direct {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        let settings = self.settings.lock().unwrap_or_else(PoisonError::into_inner);
        f.debug_struct("Direct").field("settings", &*settings).finish_non_exhaustive()
    }
}
