//! Writes of children that are under way. What a watch tells of a child meanwhile is mostly that very
//! write, and the answer tells as much: it is no news to the Microservice that waits for the answer.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::live::Key;
use crate::plan::Kind;

/// The writes that wait for an answer.
#[derive(Debug, Default)]
pub struct UnderWay(Mutex<HashMap<(Kind, Key), Write>>);

#[derive(Debug)]
struct Write {
    owner: Key,
    /// Whether a watch has told that the child is gone.
    gone: bool,
}

/// One write, until this is dropped.
#[derive(Debug)]
pub struct Writing<'a> {
    all: &'a UnderWay,
    child: (Kind, Key),
}

impl UnderWay {
    // A poisoned lock means a panic in one of the few lines below; the map itself is whole.
    fn lock(&self) -> MutexGuard<'_, HashMap<(Kind, Key), Write>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The owner begins to write this child. It does so one write after the other.
    pub fn begin(&self, kind: &Kind, key: &Key, owner: &Key) -> Writing<'_> {
        let child = (*kind, key.clone());
        self.lock().insert(child.clone(), Write { owner: owner.clone(), gone: false });
        Writing { all: self, child }
    }

    /// A watch tells of a child, or that it is gone. Returns who writes it now.
    pub fn told(&self, kind: &Kind, key: &Key, gone: bool) -> Option<Key> {
        let mut writes = self.lock();
        if writes.is_empty() {
            return None;
        }
        let write = writes.get_mut(&(*kind, key.clone()))?;
        write.gone |= gone;
        Some(write.owner.clone())
    }
}

impl Writing<'_> {
    /// Whether a watch has told that the child is gone since the write began.
    pub fn is_gone(&self) -> bool {
        self.all.lock().get(&self.child).is_some_and(|write| write.gone)
    }
}

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        self.all.lock().remove(&self.child);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_is_under_way_until_it_is_dropped() {
        let (writes, kind) = (UnderWay::default(), crate::plan::kinds()[0]);
        let (child, owner) = (Key::new("ns", "child"), Key::new("ns", "orders"));
        assert_eq!(writes.told(&kind, &child, false), None);
        let writing = writes.begin(&kind, &child, &owner);
        assert_eq!(writes.told(&kind, &Key::new("ns", "another"), true), None);
        assert_eq!(writes.told(&kind, &child, false), Some(owner.clone()));
        assert!(!writing.is_gone());
        assert_eq!(writes.told(&kind, &child, true), Some(owner));
        assert!(writing.is_gone(), "an event after the deletion does not undo it");
        drop(writing);
        assert_eq!(writes.told(&kind, &child, false), None);
    }
}
