//! Liveness as a set of deadlines: whoever owes progress sets one, and meets or renews it in time.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// What progress is expected of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Expectation {
    Watch,
    Queue,
    Reconcile(u64),
}

impl Expectation {
    fn as_str(self) -> &'static str {
        match self {
            Self::Watch => "watch",
            Self::Queue => "queue",
            Self::Reconcile(_) => "reconcile",
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Liveness {
    due: Mutex<BTreeMap<Expectation, Instant>>,
    reconciles: AtomicU64,
}

impl Liveness {
    /// Sets or renews a deadline.
    pub fn expect(&self, what: Expectation, within: Duration) {
        self.due().insert(what, Instant::now() + within);
    }

    /// Sets a deadline that a repetition does not renew.
    pub fn expect_unless_expected(&self, what: Expectation, within: Duration) {
        self.due().entry(what).or_insert_with(|| Instant::now() + within);
    }

    /// Removes a deadline: the progress was made, or nothing is left to do.
    pub fn met(&self, what: Expectation) {
        self.due().remove(&what);
    }

    /// Sets the deadline of a new reconcile and returns its number.
    pub fn begin(&self, within: Duration) -> u64 {
        let id = self.reconciles.fetch_add(1, Ordering::Relaxed);
        self.expect(Expectation::Reconcile(id), within);
        id
    }

    /// Names of the deadlines that have passed, each once.
    pub fn overdue(&self) -> Vec<&'static str> {
        let now = Instant::now();
        let due = self.due();
        let mut names: Vec<_> =
            due.iter().filter(|(_, deadline)| **deadline < now).map(|(what, _)| what.as_str()).collect();
        names.dedup();
        names
    }

    /// The map is consistent after every single operation, so a panic elsewhere does not spoil it.
    fn due(&self) -> MutexGuard<'_, BTreeMap<Expectation, Instant>> {
        self.due.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
