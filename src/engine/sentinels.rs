//! Watches single objects that stand in the place of a child and are not ours. The ordinary watches
//! select by our label and tell only those who are named, so nobody else would notice that such an
//! object is gone.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::{Mutex, PoisonError};

use futures::StreamExt;
use kube::runtime::watcher::{Event, watcher};
use tokio::task::JoinHandle;

use super::live::Key;
use super::pace::paced;
use super::watch::Watches;
use crate::plan::Kind;

/// Most objects watched at the same time: each is a connection.
const MOST: usize = 128;

/// Kind and name of an object in the namespace of the Microservice that it is in the way of.
pub type Obstacle = (Kind, String);

/// The watches on single objects, by Microservice.
pub struct Sentinels {
    watches: Watches,
    posted: Mutex<HashMap<Key, HashMap<Obstacle, Sentinel>>>,
}

/// One watch; dropping it ends it.
struct Sentinel(JoinHandle<()>);

impl Drop for Sentinel {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Sentinels {
    /// None yet. They fill the caches and the queue of these watches.
    pub fn new(watches: Watches) -> Self {
        Self { watches, posted: Mutex::default() }
    }

    /// From now on exactly these objects are watched for the Microservice. Returns those for which there
    /// is no room: nobody will tell when they change.
    pub fn post(&self, owner: &Key, obstacles: &[Obstacle]) -> Vec<Obstacle> {
        let mut posted = self.posted.lock().unwrap_or_else(PoisonError::into_inner);
        let mut own = posted.remove(owner).unwrap_or_default();
        own.retain(|obstacle, _| obstacles.contains(obstacle));
        let mut room = MOST.saturating_sub(posted.values().map(HashMap::len).sum::<usize>() + own.len());
        let mut left = Vec::new();
        for obstacle in obstacles {
            if own.contains_key(obstacle) {
                continue;
            }
            if room == 0 {
                left.push(obstacle.clone());
                continue;
            }
            room -= 1;
            own.insert(obstacle.clone(), self.start(owner, obstacle));
        }
        if !own.is_empty() {
            posted.insert(owner.clone(), own);
        }
        left
    }

    fn start(&self, owner: &Key, (kind, name): &Obstacle) -> Sentinel {
        let (watches, owner, kind) = (self.watches.clone(), owner.clone(), *kind);
        let key = Key::new(&owner.namespace, name);
        Sentinel(tokio::spawn(async move {
            let (api, config) = watches.single(&kind, &key);
            let mut events = pin!(paced(watcher(api, config)));
            let mut seen = false;
            while let Some(event) = events.next().await {
                match event {
                    Ok(Event::Init) => seen = false,
                    Ok(Event::InitApply(object) | Event::Apply(object)) => {
                        seen = true;
                        let before = watches.world.child(&kind, &key);
                        let now = object.object.head();
                        let same = before.is_some_and(|old| old.uid == now.uid && old.owner == now.owner);
                        watches.world.observe_child(&kind, &key.namespace, key.clone(), object.object);
                        if !same {
                            watches.enqueue(&owner);
                        }
                    }
                    Ok(Event::InitDone) if seen => {}
                    Ok(Event::InitDone | Event::Delete(_)) => {
                        watches.world.forget_child(&kind, &key);
                        watches.enqueue(&owner);
                    }
                    Err(error) => watches.report(kind.kind, &error),
                }
            }
        }))
    }
}
