//! What one broken service has those say that reach it over others: each of its changes goes up the chains of its
//! callers, and when many break or begin at once, many come to each of them. They are told once for many.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use crate::engine::live::Key;

/// Changes within this time are told together.
const PAUSE: Duration = Duration::from_secs(1);

/// Services that are to be looked at soon.
#[derive(Debug, Default)]
pub(super) struct Ripples {
    services: Mutex<BTreeSet<Key>>,
    changed: Notify,
}

impl Ripples {
    /// These too.
    pub(super) fn add(&self, services: impl IntoIterator<Item = Key>) {
        let mut waiting = self.services.lock().unwrap_or_else(PoisonError::into_inner);
        let first = waiting.is_empty();
        waiting.extend(services);
        if first && !waiting.is_empty() {
            self.changed.notify_one();
        }
    }

    /// Waits for the first and for those that come with it.
    pub(super) async fn next(&self) -> BTreeSet<Key> {
        self.changed.notified().await;
        tokio::time::sleep(PAUSE).await;
        std::mem::take(&mut self.services.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_comes_within_a_second_is_told_once_and_what_comes_later_too() {
        let ripples = Ripples::default();
        let [a, b] = ["a", "b"].map(|name| Key::new("shop", name));
        let start = tokio::time::Instant::now();
        ripples.add([a.clone()]);
        let later = async {
            tokio::time::sleep(PAUSE / 2).await;
            ripples.add([b.clone(), a.clone()]);
        };
        let (told, ()) = tokio::join!(ripples.next(), later);
        assert_eq!((told.len(), start.elapsed()), (2, PAUSE));
        ripples.add([b.clone()]);
        let again = tokio::time::timeout(PAUSE * 3, ripples.next()).await.unwrap();
        assert_eq!(again, BTreeSet::from([b]), "nothing in between");
        ripples.add([]);
        assert!(tokio::time::timeout(PAUSE * 60, ripples.next()).await.is_err(), "nothing has changed");
    }
}
