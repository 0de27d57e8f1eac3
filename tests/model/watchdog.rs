//! Chains that never end. The clock of a chain stands still for as long as the operator has something to do at
//! once, so an operator that always has would hold the whole test for ever.

use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

/// Longest time that a chain may take on a real clock. One takes a tenth of a second.
const PATIENCE: Duration = Duration::from_mins(3);
/// Between two looks at that.
const LOOK: Duration = Duration::from_secs(5);

/// What each thread runs, and since when.
static RUNNING: LazyLock<Mutex<HashMap<ThreadId, (Instant, String)>>> = LazyLock::new(|| {
    thread::spawn(|| {
        loop {
            thread::sleep(LOOK);
            end_for(running().values().find(|(since, _)| since.elapsed() > PATIENCE));
        }
    });
    Mutex::default()
});

fn running() -> MutexGuard<'static, HashMap<ThreadId, (Instant, String)>> {
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A thread that is stuck cannot be stopped: all end.
fn end_for(stuck: Option<&(Instant, String)>) {
    if let Some((_, what)) = stuck {
        eprintln!(
            "not ended within {PATIENCE:?}: the operator has something to do at once, again and again\n{what}"
        );
        std::process::exit(101);
    }
}

/// This thread runs a chain, until the value is dropped.
pub struct Watched;

impl Watched {
    /// From now on.
    pub fn begin(what: &impl Debug) -> Self {
        running().insert(thread::current().id(), (Instant::now(), format!("{what:#?}")));
        Self
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        running().remove(&thread::current().id());
    }
}
