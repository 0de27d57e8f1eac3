//! What one service should own, and two do: topics and databases.

use std::collections::{BTreeMap, BTreeSet};

use super::{Found, Shape};
use crate::graph::finding::{Finding, Kind};
use crate::graph::model::{Key, Service};
use crate::graph::system::System;

/// Most names in a message; `services` of the finding has all.
const NAMES: usize = 5;

pub(super) fn find(shape: &Shape<'_>, found: Found<'_>) {
    let topics = by(shape.system, |service| &service.owns);
    let databases = by(shape.system, |service| &service.databases);
    let topics = topics.into_iter().filter(shared).map(|(topic, owners)| {
        let message = format!("{} own the topic {topic}", and(&owners));
        Finding::new(Kind::SharedTopicOwner, owners.into_iter().collect(), message)
    });
    let databases = databases.into_iter().filter(shared).map(|(database, users)| {
        let message = format!("{} use the database of {database}", and(&users));
        Finding::new(Kind::SharedDatabase, users.into_iter().collect(), message)
    });
    topics.chain(databases).for_each(found);
}

fn by<T: Ord>(system: &System, things: impl Fn(&Service) -> &[T]) -> BTreeMap<&T, BTreeSet<Key>> {
    let mut users: BTreeMap<&T, BTreeSet<Key>> = BTreeMap::new();
    for service in system.services() {
        for thing in things(service) {
            users.entry(thing).or_default().insert(service.key.clone());
        }
    }
    users
}

fn shared<T>((_, users): &(T, BTreeSet<Key>)) -> bool {
    users.len() > 1
}

/// Names for people: all of a few, of many the first.
fn and(keys: &BTreeSet<Key>) -> String {
    let mut names: Vec<String> = keys.iter().take(NAMES).map(ToString::to_string).collect();
    if keys.len() > NAMES {
        names.push(format!("{} more", keys.len() - NAMES));
    }
    match names.as_slice() {
        [all @ .., last] if !all.is_empty() => format!("{} and {last}", all.join(", ")),
        names => names.concat(),
    }
}
