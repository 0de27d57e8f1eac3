//! The Microservices themselves: several watches, one per namespace, into one store.

use std::collections::{BTreeMap, BTreeSet};

use kube::runtime::watcher::Event;

use super::live::Key;
use crate::api::Microservice;

/// Joins the events of several watches: the store that reads them knows only one listing, the first.
#[derive(Debug)]
pub struct Roots {
    /// Scopes that have not listed yet.
    pending: BTreeSet<String>,
    listing: BTreeMap<String, BTreeSet<Key>>,
    known: BTreeSet<Key>,
    /// Gone before every scope had listed: the store takes what was listed until then, and them with it.
    gone: BTreeSet<Key>,
}

impl Roots {
    /// Of these scopes.
    pub fn new(scopes: &[String]) -> Self {
        let pending = scopes.iter().cloned().collect();
        Self { pending, listing: BTreeMap::new(), known: BTreeSet::new(), gone: BTreeSet::new() }
    }

    /// What the store has to hear of this event: one `Init` before everything, one `InitDone` once
    /// every scope has listed, and from then on only changes. An `InitDone` without `Init` says that the scope
    /// holds nothing.
    pub fn join(&mut self, scope: &str, event: Event<Microservice>) -> Vec<Event<Microservice>> {
        match event {
            Event::Init => {
                self.listing.insert(scope.to_owned(), BTreeSet::new());
                Vec::new()
            }
            Event::InitApply(object) | Event::Apply(object) => {
                let key = Key::of(&object.metadata);
                if let Some(listed) = self.listing.get_mut(scope) {
                    listed.insert(key.clone());
                }
                self.gone.remove(&key);
                self.known.insert(key);
                vec![if self.pending.is_empty() { Event::Apply(object) } else { Event::InitApply(object) }]
            }
            Event::Delete(object) => {
                self.forget(Key::of(&object.metadata));
                vec![Event::Delete(object)]
            }
            Event::InitDone => {
                let listed = self.listing.remove(scope).unwrap_or_default();
                let gone: Vec<Key> = self
                    .known
                    .iter()
                    .filter(|key| (scope.is_empty() || key.namespace == scope) && !listed.contains(*key))
                    .cloned()
                    .collect();
                let mut events: Vec<_> = gone
                    .into_iter()
                    .map(|key| {
                        let event = Event::Delete(named(&key));
                        self.forget(key);
                        event
                    })
                    .collect();
                if self.pending.remove(scope) && self.pending.is_empty() {
                    events.push(Event::InitDone);
                    let gone = std::mem::take(&mut self.gone);
                    events.extend(gone.iter().map(|key| Event::Delete(named(key))));
                }
                events
            }
        }
    }

    fn forget(&mut self, key: Key) {
        self.known.remove(&key);
        if !self.pending.is_empty() {
            self.gone.insert(key);
        }
    }
}

fn named(key: &Key) -> Microservice {
    let mut object = Microservice::default();
    object.metadata.namespace = Some(key.namespace.to_string());
    object.metadata.name = Some(key.name.to_string());
    object
}

#[cfg(test)]
mod tests {
    use kube::ResourceExt;
    use kube::runtime::reflector;

    use super::*;

    fn names(events: Vec<Event<Microservice>>) -> Vec<String> {
        events
            .into_iter()
            .map(|event| match event {
                Event::Init => "init".to_owned(),
                Event::InitDone => "done".to_owned(),
                Event::InitApply(o) => format!("list {}", o.metadata.name.unwrap()),
                Event::Apply(o) => format!("apply {}", o.metadata.name.unwrap()),
                Event::Delete(o) => format!("delete {}", o.metadata.name.unwrap()),
            })
            .collect()
    }

    fn object(namespace: &str, name: &str) -> Microservice {
        named(&Key::new(namespace, name))
    }

    #[test]
    fn the_store_is_ready_when_every_namespace_has_listed() {
        let mut roots = Roots::new(&["a".to_owned(), "b".to_owned()]);
        let mut all = Vec::new();
        for (scope, event) in [
            ("a", Event::Init),
            ("a", Event::InitApply(object("a", "x"))),
            ("b", Event::Init),
            ("a", Event::InitDone),
            ("b", Event::InitDone),
            ("b", Event::Apply(object("b", "y"))),
        ] {
            all.extend(names(roots.join(scope, event)));
        }
        assert_eq!(all, ["list x", "done", "apply y"]);
    }

    /// What a real store holds after these events.
    fn stored(scopes: &[&str], events: Vec<(&str, Event<Microservice>)>) -> Vec<String> {
        let scopes: Vec<String> = scopes.iter().map(|&scope| scope.to_owned()).collect();
        let (mut roots, (store, mut writer)) = (Roots::new(&scopes), reflector::store::<Microservice>());
        writer.apply_watcher_event(&Event::Init);
        for (scope, event) in events {
            roots.join(scope, event).iter().for_each(|event| writer.apply_watcher_event(event));
        }
        let mut names: Vec<String> = store.state().iter().map(|object| object.name_any()).collect();
        names.sort();
        names
    }

    #[test]
    fn what_goes_while_another_namespace_has_not_listed_stays_away() {
        let events = |again: Vec<(&'static str, Event<Microservice>)>| {
            let mut events = vec![
                ("a", Event::Init),
                ("a", Event::InitApply(object("a", "x"))),
                ("a", Event::InitApply(object("a", "z"))),
                ("a", Event::InitDone),
                ("a", Event::Delete(object("a", "x"))),
            ];
            events.extend(again);
            events.extend([("b", Event::Init), ("b", Event::InitDone)]);
            events
        };
        assert_eq!(stored(&["a", "b"], events(Vec::new())), ["z"]);
        let anew = vec![("a", Event::Apply(object("a", "x")))];
        assert_eq!(stored(&["a", "b"], events(anew)), ["x", "z"], "there is another one of the name");
    }

    #[test]
    fn what_goes_between_two_attempts_to_list_stays_away() {
        let events = vec![
            ("", Event::Init),
            ("", Event::InitApply(object("a", "x"))),
            ("", Event::InitApply(object("a", "z"))),
            // The second page failed.
            ("", Event::Init),
            ("", Event::InitApply(object("a", "z"))),
            ("", Event::InitDone),
        ];
        assert_eq!(stored(&[""], events), ["z"]);
    }

    #[test]
    fn a_namespace_that_is_gone_keeps_nobody_waiting() {
        let events = vec![
            ("a", Event::Init),
            ("a", Event::InitApply(object("a", "x"))),
            ("a", Event::InitDone),
            ("b", Event::Init),
            ("b", Event::InitDone),
            ("b", Event::Apply(object("b", "y"))),
            ("b", Event::InitDone),
        ];
        assert_eq!(stored(&["a", "b"], events), ["x"], "what it held went with it");
    }

    #[test]
    fn a_second_listing_deletes_what_is_gone_in_its_namespace_only() {
        let mut roots = Roots::new(&["a".to_owned(), "b".to_owned()]);
        for (scope, name) in [("a", "x"), ("a", "z"), ("b", "y")] {
            roots.join(scope, Event::Init);
            roots.join(scope, Event::InitApply(object(scope, name)));
        }
        roots.join("a", Event::InitDone);
        roots.join("b", Event::InitDone);
        roots.join("a", Event::Init);
        roots.join("a", Event::InitApply(object("a", "z")));
        let last = names(roots.join("a", Event::InitDone));
        assert!(last.is_empty() || last == ["delete x"], "{last:?}");
    }
}
