//! What the owners of topics allow, over all clusters that classes describe: two classes may describe the
//! same brokers. Whose word counts for a topic is decided by the ledger, which knows its owner.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::accounts::Allowed;
use super::cluster::Want;
use crate::engine::live::Key;
use crate::kafka::consent::Consents;
use crate::kafka::topic::Owner;

/// All of them, and who is to hear when one changes.
#[derive(Default)]
pub struct Agreements {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// What each object allows, by the names of its topics on the broker.
    by_object: HashMap<Key, HashMap<String, (Owner, Consents)>>,
    by_topic: HashMap<String, BTreeSet<Key>>,
    inboxes: Vec<Arc<Inbox>>,
}

/// Topics that have changed and that a cluster has not looked at since.
pub struct Inbox {
    topics: Mutex<BTreeSet<String>>,
    wake: Arc<Notify>,
}

impl Agreements {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A further cluster hears of changes; `wake` is notified of each.
    pub fn join(&self, wake: Arc<Notify>) -> Arc<Inbox> {
        let inbox = Arc::new(Inbox { topics: Mutex::default(), wake });
        self.state().inboxes.push(Arc::clone(&inbox));
        inbox
    }

    /// Replaces what an object allows, and tells all clusters of the topics for which that is news.
    pub fn declare(&self, key: &Key, wants: &[Want]) {
        let new = |want: &Want| {
            let declared = &want.declared;
            (declared.name.clone(), (declared.owner.clone(), want.consents.clone()))
        };
        let new: HashMap<String, (Owner, Consents)> = wants.iter().map(new).collect();
        let mut state = self.state();
        let old = state.by_object.remove(key).unwrap_or_default();
        let names = old.keys().chain(new.keys());
        let changed: BTreeSet<String> =
            names.filter(|name| old.get(*name) != new.get(*name)).cloned().collect();
        for name in &changed {
            let keys = state.by_topic.entry(name.clone()).or_default();
            if new.contains_key(name) {
                keys.insert(key.clone());
            } else {
                keys.remove(key);
            }
            if keys.is_empty() {
                state.by_topic.remove(name);
            }
        }
        if !new.is_empty() {
            state.by_object.insert(key.clone(), new);
        }
        state.tell(&changed);
    }

    /// Topics, or their records, have changed.
    pub fn changed(&self, topics: &BTreeSet<String>) {
        self.state().tell(topics);
    }

    /// What those who declare these topics allow.
    pub fn of<'a>(&self, topics: impl Iterator<Item = &'a String>) -> Allowed {
        let state = self.state();
        let all = |topic: &String| {
            let keys = state.by_topic.get(topic).into_iter().flatten();
            keys.filter_map(|key| state.by_object.get(key)?.get(topic).cloned()).collect()
        };
        topics.map(|topic| (topic.clone(), all(topic))).collect()
    }
}

impl State {
    fn tell(&self, topics: &BTreeSet<String>) {
        if topics.is_empty() {
            return;
        }
        for inbox in &self.inboxes {
            inbox.topics().extend(topics.iter().cloned());
            inbox.wake.notify_one();
        }
    }
}

impl Inbox {
    fn topics(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.topics.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The topics that have changed since the last call.
    pub fn take(&self) -> BTreeSet<String> {
        std::mem::take(&mut self.topics())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::consent::Consent;
    use crate::kafka::topic::Declared;

    fn want(topic: &str, consumers: Consent) -> Want {
        let owner = Owner { namespace: "shop".into(), name: "order".into(), uid: "1".into() };
        let declared = Declared { name: topic.into(), owner, ..Declared::default() };
        Want { declared, consents: Consents { consumers, ..Consents::default() }, created: 0 }
    }

    fn named() -> Consent {
        Consent::Services([("bank".into(), "ledger".into())].into())
    }

    #[test]
    fn all_hear_of_what_is_news_and_of_nothing_else() {
        let agreements = Agreements::default();
        let inboxes = [0; 2].map(|_| agreements.join(Arc::default()));
        let heard = || inboxes.clone().map(|inbox| inbox.take().into_iter().collect::<Vec<_>>().join(" "));
        let key = Key::new("shop", "order");
        let two = [want("a", Consent::OwnNamespace), want("b", Consent::OwnNamespace)];
        agreements.declare(&key, &two);
        assert_eq!(heard(), ["a b", "a b"]);
        agreements.declare(&key, &two);
        assert_eq!(heard(), ["", ""]);
        agreements.declare(&key, &[want("a", named()), want("b", Consent::OwnNamespace)]);
        assert_eq!(heard(), ["a", "a"]);
        agreements.declare(&key, &[want("a", named())]);
        assert_eq!(heard(), ["b", "b"]);
    }

    #[test]
    fn what_is_allowed_is_what_was_declared_last() {
        let agreements = Agreements::default();
        let key = Key::new("shop", "order");
        let of = |topic: &str| agreements.of([topic.to_owned()].iter()).remove(topic).unwrap_or_default();
        agreements.declare(&key, &[want("a", Consent::OwnNamespace)]);
        agreements.declare(&key, &[want("a", named())]);
        assert_eq!(of("a").len(), 1);
        assert_eq!(of("a")[0].1.consumers, named());
        agreements.declare(&Key::new("shop", "other"), &[want("a", Consent::OwnNamespace)]);
        assert_eq!(of("a").len(), 2);
        agreements.declare(&key, &[]);
        assert_eq!((of("a").len(), of("b").len()), (1, 0));
    }
}
