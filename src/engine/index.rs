//! A cache of small projections, fed by watches and by the answers to our own writes. An older
//! version never replaces a newer one, so a slow watch cannot undo what a write has just told us.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::live::Key;

/// Projections by namespace and name.
#[derive(Debug)]
pub struct Index<V> {
    state: RwLock<State<V>>,
}

#[derive(Debug)]
struct State<V> {
    entries: BTreeMap<Key, Entry<V>>,
    /// Keys seen so far by the listing under way, per watched namespace ("" = all).
    listing: BTreeMap<String, BTreeSet<Key>>,
    /// Watched namespaces whose first listing is complete.
    synced: BTreeSet<String>,
}

#[derive(Debug)]
struct Entry<V> {
    version: u64,
    value: Arc<V>,
    /// Put here by our own write while a listing was under way that may not hold it yet.
    local: bool,
}

impl<V> Default for Index<V> {
    fn default() -> Self {
        Self {
            state: RwLock::new(State {
                entries: BTreeMap::new(),
                listing: BTreeMap::new(),
                synced: BTreeSet::new(),
            }),
        }
    }
}

/// Resource versions of one resource type are ordered numbers (Kubernetes API conventions); what is
/// not a number counts as newest, so that it is never ignored.
fn version(text: &str) -> u64 {
    text.parse().unwrap_or(UNORDERED)
}

/// A version that is not a number.
const UNORDERED: u64 = u64::MAX;

impl<V: PartialEq> Index<V> {
    // A poisoned lock means a panic in one of the few lines below; the map itself is whole.
    fn read(&self) -> RwLockReadGuard<'_, State<V>> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State<V>> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// The projection of this key.
    pub fn get(&self, key: &Key) -> Option<Arc<V>> {
        self.read().entries.get(key).map(|entry| Arc::clone(&entry.value))
    }

    /// All projections that match, with their keys.
    pub fn select(&self, wanted: impl Fn(&Key, &V) -> bool) -> Vec<(Key, Arc<V>)> {
        let state = self.read();
        let matching = state.entries.iter().filter(|(key, entry)| wanted(key, &entry.value));
        matching.map(|(key, entry)| (key.clone(), Arc::clone(&entry.value))).collect()
    }

    /// Number of projections.
    pub fn len(&self) -> usize {
        self.read().entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the first listing of this namespace, or of all, is complete.
    pub fn synced(&self, namespace: &str) -> bool {
        let state = self.read();
        state.synced.contains("") || state.synced.contains(namespace)
    }

    /// A watch saw this object. Returns whether that is news.
    pub fn observe(&self, scope: &str, key: Key, resource_version: &str, value: V) -> bool {
        let mut state = self.write();
        if let Some(listed) = state.listing.get_mut(scope) {
            listed.insert(key.clone());
        }
        put(&mut state.entries, key, version(resource_version), value, false)
    }

    /// A watch tells of exactly this version, which is known. Returns false when it is not.
    pub fn confirm(&self, scope: &str, key: &Key, resource_version: &str) -> bool {
        let mut state = self.write();
        let version = version(resource_version);
        let Some(entry) = state.entries.get_mut(key) else { return false };
        if entry.version != version || version == UNORDERED {
            return false;
        }
        entry.local = false;
        if let Some(listed) = state.listing.get_mut(scope) {
            listed.insert(key.clone());
        }
        true
    }

    /// Our own write returned this object.
    pub fn wrote(&self, key: Key, resource_version: &str, value: V) {
        put(&mut self.write().entries, key, version(resource_version), value, true);
    }

    /// The object is gone. Returns what it was.
    pub fn remove(&self, key: &Key) -> Option<Arc<V>> {
        self.write().entries.remove(key).map(|entry| entry.value)
    }

    /// Nothing is known any more, as before the first listing. Returns what was.
    pub fn clear(&self) -> Vec<(Key, Arc<V>)> {
        let mut state = self.write();
        state.listing.clear();
        state.synced.clear();
        std::mem::take(&mut state.entries).into_iter().map(|(key, entry)| (key, entry.value)).collect()
    }

    /// A watch begins to list again. The listing will hold whatever was written before and still exists.
    pub fn begin(&self, scope: &str) {
        let mut state = self.write();
        state.listing.insert(scope.to_owned(), BTreeSet::new());
        for (key, entry) in &mut state.entries {
            entry.local &= !within(key, scope);
        }
    }

    /// The listing is complete: what it did not hold is gone. Returns what was removed.
    pub fn finish(&self, scope: &str) -> Vec<(Key, Arc<V>)> {
        let mut state = self.write();
        state.synced.insert(scope.to_owned());
        let listed = state.listing.remove(scope).unwrap_or_default();
        let gone: Vec<Key> = state
            .entries
            .iter()
            .filter(|(key, entry)| within(key, scope) && !listed.contains(*key) && !entry.local)
            .map(|(key, _)| key.clone())
            .collect();
        gone.into_iter()
            .filter_map(|key| state.entries.remove(&key).map(|entry| (key, entry.value)))
            .collect()
    }
}

fn within(key: &Key, scope: &str) -> bool {
    scope.is_empty() || key.namespace == scope
}

fn put<V: PartialEq>(
    entries: &mut BTreeMap<Key, Entry<V>>,
    key: Key,
    version: u64,
    value: V,
    local: bool,
) -> bool {
    match entries.get_mut(&key) {
        Some(entry) if entry.version > version => false,
        Some(entry) => {
            let news = *entry.value != value;
            if news {
                entry.value = Arc::new(value);
            }
            (entry.version, entry.local) = (version, local);
            news
        }
        None => {
            entries.insert(key, Entry { version, value: Arc::new(value), local });
            true
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> Key {
        Key::new("ns", name)
    }

    #[test]
    fn an_older_version_never_replaces_a_newer_one() {
        let index = Index::default();
        assert!(index.observe("", key("a"), "5", "five"));
        index.wrote(key("a"), "9", "nine");
        assert!(!index.observe("", key("a"), "7", "seven"));
        assert_eq!(index.get(&key("a")).as_deref(), Some(&"nine"));
        assert!(!index.observe("", key("a"), "9", "nine"), "the echo of our own write is no news");
        assert!(index.observe("", key("a"), "10", "ten"));
    }

    #[test]
    fn a_listing_removes_what_it_does_not_hold() {
        let index = Index::default();
        index.observe("", key("stays"), "1", 1);
        index.observe("", key("goes"), "1", 1);
        index.begin("");
        index.observe("", key("stays"), "1", 1);
        index.wrote(key("new"), "8", 2);
        assert!(!index.synced("ns"));
        assert_eq!(index.finish(""), vec![(key("goes"), Arc::new(1))]);
        assert!(index.synced("ns"));
        assert_eq!(index.get(&key("new")).as_deref(), Some(&2), "written while the listing was under way");
    }

    #[test]
    fn a_listing_removes_what_we_wrote_before_it_began() {
        let index = Index::default();
        index.observe("", key("seen"), "5", 1);
        index.wrote(key("seen"), "5", 1); // the watch was faster than the answer
        index.wrote(key("unseen"), "6", 2); // the watch broke before it told
        index.begin("");
        let mut gone = index.finish("");
        gone.sort();
        assert_eq!(gone, vec![(key("seen"), Arc::new(1)), (key("unseen"), Arc::new(2))]);
    }

    #[test]
    fn a_version_that_is_known_counts_as_listed() {
        let index = Index::default();
        index.wrote(key("kept"), "5", 1);
        index.wrote(key("newer"), "6", 1);
        index.begin("");
        assert!(index.confirm("", &key("kept"), "5"));
        assert!(!index.confirm("", &key("newer"), "5"), "the listing is older than the write");
        assert!(!index.confirm("", &key("unknown"), "5"));
        index.wrote(key("odd"), "?", 1);
        assert!(!index.confirm("", &key("odd"), "?"), "equal by chance");
        let gone: Vec<Key> = index.finish("").into_iter().map(|(key, _)| key).collect();
        assert_eq!(gone, [key("newer")]);
    }

    #[test]
    fn a_listing_of_one_namespace_leaves_the_others() {
        let index = Index::default();
        index.observe("b", Key::new("b", "x"), "1", 1);
        index.begin("a");
        assert!(index.finish("a").is_empty());
        assert_eq!(index.len(), 1);
        assert!(index.synced("a") && !index.synced("b"));
    }
}
