//! Leader election on a `Lease`, and the fence that stops the writes of a replica without it.
//!
//! Written here because the fence needs what the crates for it do not give: the start of the last
//! successful renewal by the monotonic clock, expiry judged by our own clock from the last change we saw
//! (a lease written by a skewed clock can neither be stolen nor block), and every write of the lease
//! guarded by its resourceVersion, so that two candidates cannot both win.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::client::bounded;

/// Longest time that releasing the lease may take at shutdown.
const RELEASE_LIMIT: Duration = Duration::from_millis(1500);
/// Longest time to the next attempt after one that failed: a server that is back must not be waited for, nor one
/// that does not know yet who may do what.
const AFTER_FAILURE: Duration = Duration::from_millis(500);
/// How long a failure that repeats itself is not told again.
const TELL_AGAIN: Duration = Duration::from_mins(1);
/// Bounds of a lease duration found in the cluster: whatever somebody writes there, it ends.
const STORED_DURATION: std::ops::RangeInclusive<i32> = 1..=600;

/// Whether this replica may write at this moment. Cheap to ask and to clone.
///
/// It compares the monotonic clock with the *start* of the last successful renewal, so it needs no timer:
/// a process that was stopped beyond its lease and continued gets `false` at its first question.
#[derive(Clone, Debug)]
pub struct Fence(Arc<Validity>);

#[derive(Debug)]
struct Validity {
    origin: Instant,
    /// Nanoseconds after `origin`; 0 = closed.
    until: AtomicU64,
    /// How often it was opened after it had been closed.
    term: AtomicU64,
}

impl Fence {
    /// A fence that always permits: leader election is off, or the writes are those of the lease.
    pub fn always() -> Self {
        Self::until(u64::MAX)
    }

    pub(super) fn closed() -> Self {
        Self::until(0)
    }

    fn until(nanoseconds: u64) -> Self {
        let (until, term) = (AtomicU64::new(nanoseconds), AtomicU64::new(0));
        Self(Arc::new(Validity { origin: Instant::now(), until, term }))
    }

    /// True while the lease is held for long enough to finish a write that starts now.
    pub fn permit(&self) -> bool {
        self.since_origin(Instant::now()) < self.0.until.load(Ordering::Acquire)
    }

    /// For how much longer a write may start; zero when none may. A write that starts now is over before
    /// the lease runs out if it takes no longer than this and the write timeout together.
    pub fn left(&self) -> Duration {
        let until = self.0.until.load(Ordering::Acquire);
        Duration::from_nanos(until.saturating_sub(self.since_origin(Instant::now())))
    }

    /// Another number each time that the lease is held anew: what was begun before may have been finished
    /// by another replica.
    pub fn term(&self) -> u64 {
        self.0.term.load(Ordering::Acquire)
    }

    pub(super) fn open_until(&self, instant: Instant) {
        if !self.permit() {
            self.0.term.fetch_add(1, Ordering::AcqRel);
        }
        self.0.until.store(self.since_origin(instant), Ordering::Release);
    }

    fn close(&self) {
        self.0.until.store(0, Ordering::Release);
    }

    fn since_origin(&self, instant: Instant) -> u64 {
        u64::try_from(instant.saturating_duration_since(self.0.origin).as_nanos()).unwrap_or(u64::MAX)
    }
}

/// How the election is held.
#[derive(Clone, Debug)]
pub struct Options {
    /// Name of the Lease.
    pub name: String,
    /// Its namespace, the operator's own.
    pub namespace: String,
    /// Who we are; must be unique among all processes, those before a restart included.
    pub identity: String,
    /// How long others wait after the last renewal before they take over. Default 15 s.
    pub lease_duration: Duration,
    /// How long the leader goes on without a successful renewal before it steps down. Default 10 s.
    pub renew_deadline: Duration,
    /// Time between attempts. Default 2 s.
    pub retry_period: Duration,
    /// Longest time one request, of the lease or fenced, may take. Default 4 s.
    pub request_timeout: Duration,
}

/// The options contradict each other.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A write could still be under way when the lease has run out.
    #[error(
        "lease duration {lease:?} must be more than renew deadline {renew:?} + request timeout {request:?}: \
         raise --lease-duration or lower the others"
    )]
    LeaseTooShort {
        /// Lease duration.
        lease: Duration,
        /// Renew deadline.
        renew: Duration,
        /// Request timeout.
        request: Duration,
    },
    /// The leader would step down between two attempts.
    #[error("retry period {retry:?} must be more than 0 and less than the renew deadline {renew:?}")]
    RetryTooLong {
        /// Retry period.
        retry: Duration,
        /// Renew deadline.
        renew: Duration,
    },
}

impl Options {
    fn validate(&self) -> Result<(), Error> {
        if self.renew_deadline + self.request_timeout >= self.lease_duration {
            return Err(Error::LeaseTooShort {
                lease: self.lease_duration,
                renew: self.renew_deadline,
                request: self.request_timeout,
            });
        }
        if self.retry_period.is_zero() || self.retry_period >= self.renew_deadline {
            return Err(Error::RetryTooLong { retry: self.retry_period, renew: self.renew_deadline });
        }
        Ok(())
    }
}

/// This process's part in the election.
#[derive(Debug)]
pub struct Leadership {
    fence: Fence,
    leading: watch::Sender<bool>,
    election: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
}

impl Leadership {
    /// Joins the election. The client must not be fenced itself.
    ///
    /// # Errors
    /// The options contradict each other.
    pub fn start(client: Client, options: Options) -> Result<Self, Error> {
        options.validate()?;
        let fence = Fence::closed();
        let leading = watch::Sender::new(false);
        let api = Api::namespaced(client, &options.namespace);
        let candidate =
            Candidate { api, options, fence: fence.clone(), leading: leading.clone(), seen: None, term: 0 };
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(candidate.run(stopped));
        Ok(Self { fence, leading, election: Some((stop, task)) })
    }

    /// Leader without an election.
    pub fn always() -> Self {
        Self { fence: Fence::always(), leading: watch::Sender::new(true), election: None }
    }

    /// The fence for the client that writes.
    pub fn fence(&self) -> Fence {
        self.fence.clone()
    }

    /// Whether this replica leads, and each change of it. For gauges and for waking up; what decides
    /// about a write is the fence.
    pub fn changes(&self) -> watch::Receiver<bool> {
        self.leading.subscribe()
    }

    /// Waits until this replica leads.
    pub async fn acquired(&self) {
        // Fails only without a sender, and `self` is one.
        let _ = self.leading.subscribe().wait_for(|leading| *leading).await;
    }

    /// Stops writing at once and gives the lease back, so that another replica need not wait for it to
    /// run out. Takes at most 1.5 s.
    pub async fn release(self) {
        if let Some((stop, task)) = self.election {
            self.fence.close();
            // Both fail only when the task has ended.
            let _ = stop.send(());
            let _ = task.await;
        }
    }
}

/// The lease as stored, and when we first saw this version of it.
struct Seen {
    lease: Lease,
    since: Instant,
}

struct Candidate {
    api: Api<Lease>,
    options: Options,
    fence: Fence,
    leading: watch::Sender<bool>,
    seen: Option<Seen>,
    /// That of the fence which was announced last.
    term: u64,
}

impl Candidate {
    async fn run(mut self, mut stopped: oneshot::Receiver<()>) {
        let (mut renewed, mut failure, mut told) = (None, String::new(), Instant::now());
        loop {
            let attempt = tokio::select! {
                biased;
                _ = &mut stopped => break,
                attempt = self.attempt(renewed) => attempt,
            };
            let mut pause = None;
            match attempt {
                Ok(held) => (renewed, failure) = (held, String::new()),
                Err(error) => {
                    pause = Some(AFTER_FAILURE.min(self.options.retry_period));
                    let (lease, text) = (&self.options.name, error.to_string());
                    if text != failure || told.elapsed() >= TELL_AGAIN {
                        tracing::warn!(%error, %lease, "lease not read or written");
                        (failure, told) = (text, Instant::now());
                    }
                }
            }
            if renewed.is_some_and(|start: Instant| start.elapsed() >= self.options.renew_deadline) {
                renewed = None;
            }
            self.announce(renewed.is_some());
            tokio::select! {
                biased;
                _ = &mut stopped => break,
                () = tokio::time::sleep(pause.unwrap_or_else(|| self.pause())) => (),
            }
        }
        self.announce(false);
        match tokio::time::timeout(RELEASE_LIMIT, self.release()).await {
            Ok(Ok(())) => (),
            Ok(Err(error)) => tracing::warn!(%error, "lease not released; it runs out by itself"),
            Err(_) => tracing::warn!("lease not released in time; it runs out by itself"),
        }
    }

    /// Takes or renews the lease if possible. Returns the start of the write that succeeded, `None` when
    /// another process holds the lease.
    async fn attempt(&mut self, renewed: Option<Instant>) -> kube::Result<Option<Instant>> {
        // The leader knows what is stored, and the resourceVersion refuses it when it does not. After any
        // failure it reads again.
        let known = self.seen.take_if(|_| renewed.is_some()).map(|seen| seen.lease);
        let current = match known {
            Some(lease) => Some(lease),
            None => self.read().await?,
        };
        if current.is_some() && !self.is_free() && !current.as_ref().is_some_and(|lease| self.is_ours(lease))
        {
            return Ok(None);
        }
        let start = Instant::now();
        match self.write(&self.claim(current.as_ref())).await {
            Ok(lease) => {
                self.seen = Some(Seen { lease, since: start });
                self.fence.open_until(start + self.options.lease_duration - self.options.request_timeout);
                Ok(Some(start))
            }
            // Somebody wrote in between; what they wrote is read at the next attempt.
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(renewed),
            Err(error) => Err(error),
        }
    }

    async fn read(&mut self) -> kube::Result<Option<Lease>> {
        let limit = self.options.request_timeout;
        let stored = bounded(limit, self.api.get_opt(&self.options.name)).await?;
        let version = |lease: &Lease| lease.metadata.resource_version.clone();
        self.seen = match (stored.clone(), self.seen.take()) {
            (Some(lease), Some(seen)) if version(&lease) == version(&seen.lease) => Some(seen),
            (Some(lease), _) => Some(Seen { lease, since: Instant::now() }),
            (None, _) => None,
        };
        Ok(stored)
    }

    async fn write(&self, lease: &Lease) -> kube::Result<Lease> {
        let (limit, params) = (self.options.request_timeout, PostParams::default());
        if lease.metadata.resource_version.is_some() {
            bounded(limit, self.api.replace(&self.options.name, &params, lease)).await
        } else {
            bounded(limit, self.api.create(&params, lease)).await
        }
    }

    /// Gives the lease back if it is ours. A renewal that was cut off may still land, hence the retry.
    async fn release(&mut self) -> kube::Result<()> {
        loop {
            let Some(mut lease) = self.read().await?.filter(|lease| self.is_ours(lease)) else {
                return Ok(());
            };
            let spec = lease.spec.get_or_insert_default();
            spec.holder_identity = Some(String::new());
            spec.lease_duration_seconds = Some(*STORED_DURATION.start());
            spec.renew_time = Some(MicroTime(Timestamp::now()));
            match self.write(&lease).await {
                Err(kube::Error::Api(status)) if status.code == 409 => (),
                result => return result.map(drop),
            }
        }
    }

    fn claim(&self, current: Option<&Lease>) -> Lease {
        let mut lease = current.cloned().unwrap_or_else(|| Lease {
            metadata: ObjectMeta { name: Some(self.options.name.clone()), ..ObjectMeta::default() },
            spec: None,
        });
        let now = Some(MicroTime(Timestamp::now()));
        let renewal = self.is_ours(&lease);
        let before = lease.spec.take().unwrap_or_default();
        let transitions = before.lease_transitions.unwrap_or(0);
        lease.spec = Some(LeaseSpec {
            holder_identity: Some(self.options.identity.clone()),
            lease_duration_seconds: Some(whole_seconds(self.options.lease_duration)),
            acquire_time: if renewal { before.acquire_time } else { now.clone() },
            lease_transitions: Some(if renewal { transitions } else { transitions.saturating_add(1) }),
            renew_time: now,
            ..before
        });
        lease
    }

    fn is_ours(&self, lease: &Lease) -> bool {
        holder(lease) == Some(&self.options.identity)
    }

    /// Whether the lease that was seen is released or has run out.
    fn is_free(&self) -> bool {
        self.seen.as_ref().is_some_and(|seen| runs_out(seen).is_none_or(|instant| instant <= Instant::now()))
    }

    /// Time until the next attempt: not later than the moment the other's lease runs out.
    fn pause(&self) -> Duration {
        let other = self.seen.as_ref().filter(|seen| !self.is_ours(&seen.lease));
        let left = other.and_then(runs_out).map(|instant| instant.saturating_duration_since(Instant::now()));
        // A lease that has run out and could not be taken is no reason to hurry.
        let left = left.filter(|left| !left.is_zero()).unwrap_or(self.options.retry_period);
        left.min(self.options.retry_period)
    }

    /// A lead that went on without a break for others may have had one for the fence: what was not written
    /// then is due, so it is announced as a new one.
    fn announce(&mut self, leading: bool) {
        if !leading {
            self.fence.close();
        }
        let term = self.fence.term();
        let renewed = std::mem::replace(&mut self.term, term) != term;
        let changed = self.leading.send_if_modified(|current| {
            let before = std::mem::replace(current, leading);
            before != leading || (leading && renewed)
        });
        if changed && leading {
            tracing::info!(identity = %self.options.identity, "this replica leads");
        } else if changed {
            tracing::info!(identity = %self.options.identity, "this replica no longer leads");
        }
    }
}

/// Who holds the lease; nobody when the name is empty.
fn holder(lease: &Lease) -> Option<&String> {
    lease.spec.as_ref()?.holder_identity.as_ref().filter(|name| !name.is_empty())
}

/// When a held lease runs out unless it changes.
fn runs_out(seen: &Seen) -> Option<Instant> {
    holder(&seen.lease)?;
    let seconds = seen.lease.spec.as_ref()?.lease_duration_seconds.unwrap_or(0);
    let seconds = seconds.clamp(*STORED_DURATION.start(), *STORED_DURATION.end());
    Some(seen.since + Duration::from_secs(seconds.unsigned_abs().into()))
}

/// Rounded up: others must not be told a shorter time than the one we count on.
fn whole_seconds(duration: Duration) -> i32 {
    let seconds = duration.as_secs() + u64::from(duration.subsec_nanos() > 0);
    i32::try_from(seconds).unwrap_or(i32::MAX).min(*STORED_DURATION.end())
}

#[cfg(test)]
mod tests;
