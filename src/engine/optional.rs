//! Kinds whose API a cluster may lack: asked for at start and then at a slow pace. They are watched, and
//! planned, only while they are served.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinSet;

use super::request::{Failure, bounded};
use super::watch::{Listed, Watches};
use crate::plan::{self, Kind};

/// Until an API that seems to be gone is asked for once more, and until an answer is asked for that did
/// not come: a server that has just started may not know all of its APIs yet.
const AGAIN: Duration = Duration::from_secs(5);

/// Whether the cluster serves all of these resources in this group and version.
///
/// # Errors
/// The server does not say.
pub(super) async fn serves(client: &Client, version: &str, plurals: &[&str]) -> Result<bool, Failure> {
    match bounded(client.list_api_group_resources(version)).await {
        Ok(list) => {
            let names: Vec<&str> = list.resources.iter().map(|resource| resource.name.as_str()).collect();
            Ok(plurals.iter().all(|plural| names.contains(plural)))
        }
        Err(failure) if failure.is_gone() => Ok(false),
        Err(failure) => Err(failure),
    }
}

/// One group and version with the kinds of it that a plan can hold.
struct OptionalApi {
    watches: Watches,
    version: String,
    kinds: Vec<Kind>,
    /// Told by a stream that the server does not know its kind any more.
    lost: Arc<Notify>,
    streams: Option<JoinSet<()>>,
    /// Whether the last answer was that a watched API is not there.
    doubted: bool,
    /// Whether the server has answered, and what it serves was listed.
    settled: bool,
}

impl Watches {
    /// Follows every optional API. Each of the results resolves when it is known not to be served, or is
    /// listed.
    pub(super) fn optional(&self, tasks: &mut JoinSet<()>) -> Vec<Listed> {
        let mut apis: BTreeMap<String, Vec<Kind>> = BTreeMap::new();
        for kind in plan::kinds().into_iter().filter(|kind| kind.optional) {
            apis.entry(kind.api_version()).or_default().push(kind);
        }
        let start = |(version, kinds)| {
            let (done, listed) = oneshot::channel();
            let api = OptionalApi {
                watches: self.clone(),
                version,
                kinds,
                lost: Arc::default(),
                streams: None,
                doubted: false,
                settled: false,
            };
            tasks.spawn(api.follow(done));
            listed
        };
        apis.into_iter().map(start).collect()
    }
}

impl OptionalApi {
    async fn follow(mut self, listed: oneshot::Sender<()>) {
        let mut listed = Some(listed);
        loop {
            let pause = self.look().await;
            if let Some(listed) = listed.take_if(|_| self.settled) {
                // Nobody waits any more only while shutting down.
                let _ = listed.send(());
            }
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.lost.notified() => {}
            }
        }
    }

    /// Asks once, and starts or stops what follows from the answer. Returns when to ask again.
    async fn look(&mut self) -> Duration {
        match self.is_served().await {
            Ok(true) => {
                self.doubted = false;
                self.appear().await;
            }
            Ok(false) if self.streams.is_none() => self.settled = true,
            Ok(false) if self.doubted => self.vanish(),
            Ok(false) => {
                self.doubted = true;
                return AGAIN;
            }
            Err(failure) => {
                tracing::warn!(api = self.version, %failure, "whether the cluster serves an optional API is not known now");
                return AGAIN;
            }
        }
        self.watches.api_pace
    }

    async fn is_served(&self) -> Result<bool, Failure> {
        let plurals: Vec<&str> = self.kinds.iter().map(|kind| kind.plural).collect();
        serves(&self.watches.client, &self.version, &plurals).await
    }

    /// Watches the kinds. They count as served once they could be listed: without the right to read them
    /// nothing may be planned on them.
    async fn appear(&mut self) {
        let scopes = self.watches.scopes();
        if self.streams.is_none() {
            let mut streams = JoinSet::new();
            let mut listed = Vec::new();
            for scope in &scopes {
                for kind in &self.kinds {
                    let lost = Some(Arc::clone(&self.lost));
                    listed.push(self.watches.children(&mut streams, kind, scope, lost));
                }
            }
            self.streams = Some(streams);
            for stream in listed {
                let _ = stream.await;
            }
        }
        self.settled = true;
        let world = &self.watches.world;
        let read = |kind: &Kind| {
            world.children(kind).is_some_and(|index| scopes.iter().all(|scope| index.synced(scope)))
        };
        self.publish(self.kinds.iter().all(read));
    }

    /// What was known of the kinds went with their API.
    fn vanish(&mut self) {
        self.streams = None;
        self.doubted = false;
        for kind in &self.kinds {
            self.watches.world.forget_kind(kind);
        }
        self.publish(false);
    }

    fn publish(&self, served: bool) {
        if self.watches.world.set_served(&self.version, served) {
            tracing::info!(api = self.version, served, "an optional API has come or gone");
            self.watches.announce(true);
        }
    }
}
