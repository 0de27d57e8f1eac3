//! Another client that watches the children, in a thread of its own so that the load does not delay it:
//! what it has seen, and when. It knows nothing of the operator.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use futures::StreamExt;
use futures::stream::select_all;
use kube::api::DynamicObject;
use kube::runtime::watcher::{Config, Event};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, ResourceExt};
use microservice_operator::api::LABEL_NAME;
use microservice_operator::engine::watch::api_resource;
use microservice_operator::plan;
use serde_json::Value;
use tokio::sync::oneshot;

use crate::support::{Cluster, eventually};
use crate::times::Times;
use crate::workload::CHILDREN;

/// Longest wait for what is bound to come.
const PATIENCE: Duration = Duration::from_mins(3);

/// Watches from its creation until it is dropped.
pub struct Observer {
    seen: Arc<Mutex<Seen>>,
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// By the name of the service.
type Seen = HashMap<String, Sights>;

#[derive(Default)]
struct Sights {
    /// When each child, by kind and name, was first there.
    first: HashMap<(&'static str, String), Instant>,
    /// What a change of the spec changes in the children, each time that it became something else.
    marks: HashMap<Aspect, Vec<(Instant, String)>>,
}

impl Observer {
    /// Of the children in one namespace; resolves when it sees all that is there.
    pub async fn of(cluster: &'static Cluster, namespace: &str) -> Self {
        let seen = Arc::<Mutex<Seen>>::default();
        let (end, ended) = oneshot::channel();
        let (begin, begun) = oneshot::channel();
        let (record, namespace) = (Arc::clone(&seen), namespace.to_owned());
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime starts").block_on(async {
                tokio::select! {
                    () = watch(cluster, &namespace, &record, begin) => {}
                    _ = ended => {}
                }
            });
        });
        begun.await.expect("the watches of the observer begin; its thread has ended");
        Self { seen, end: Some(end), thread: Some(thread) }
    }

    /// How long each of these services took from its moment until all of its children were there.
    pub async fn complete(&self, services: &[(String, Instant)]) -> Times {
        self.all("all children are there", services, |sights, &(_, since)| {
            let last = sights.first.values().max().filter(|_| sights.first.len() >= CHILDREN)?;
            Some(last.saturating_duration_since(since))
        })
        .await
    }

    /// How long each of these changes, by service, took until it or a later one of the same was to be seen in a
    /// child.
    pub async fn changed(&self, changes: &[(String, Change)]) -> Times {
        self.all("all changes are there", changes, |sights, (_, change)| {
            let marks = sights.marks.get(&change.aspect)?;
            let found = marks.iter().find(|(at, value)| *at >= change.due && *value >= change.value)?;
            Some(found.0.saturating_duration_since(change.due))
        })
        .await
    }

    async fn all<T>(
        &self,
        what: &str,
        wanted: &[(String, T)],
        find: impl Fn(&Sights, &(String, T)) -> Option<Duration>,
    ) -> Times {
        eventually(PATIENCE, &format!("the observer sees that {what}"), || async {
            let seen = self.seen.lock().expect("no panic while locked");
            let found = |wanted: &(String, T)| {
                let found = seen.get(&wanted.0).and_then(|sights| find(sights, wanted));
                found.ok_or_else(|| {
                    format!("not those of {}: {:?}", wanted.0, seen.get(&wanted.0).map(Sights::list))
                })
            };
            wanted.iter().map(found).collect::<Result<Times, String>>()
        })
        .await
    }
}

/// What of a service is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Aspect {
    /// Of the Deployment.
    Image,
    /// Of the Deployment: the variable REGION.
    Region,
    /// Of the autoscaler: the most replicas, with six digits.
    Bounds,
}

/// A change of a service. One that comes later has a value that is greater as text.
pub struct Change {
    pub aspect: Aspect,
    pub value: String,
    pub due: Instant,
}

impl Sights {
    fn list(&self) -> Vec<String> {
        let marks =
            self.marks.iter().filter_map(|(aspect, marks)| Some(format!("{aspect:?}: {}", marks.last()?.1)));
        self.first.keys().map(|(kind, name)| format!("{kind} {name}")).chain(marks).collect()
    }
}

async fn watch(cluster: &'static Cluster, namespace: &str, seen: &Mutex<Seen>, begin: oneshot::Sender<()>) {
    let client = cluster.client().await;
    let kinds: Vec<_> = plan::kinds().into_iter().filter(|kind| !kind.optional).collect();
    let streams = kinds.iter().map(|kind| {
        let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &api_resource(kind));
        let events = watcher(api, Config::default().labels(LABEL_NAME)).default_backoff();
        let kind = kind.kind;
        Box::pin(events.map(move |event| (kind, event)))
    });
    let (mut events, mut begin, mut listed) = (select_all(streams), Some(begin), 0);
    while let Some((kind, event)) = events.next().await {
        match event {
            Ok(Event::Apply(object) | Event::InitApply(object)) => record(seen, kind, &object),
            Ok(Event::InitDone) => {
                listed += 1;
                if let Some(begin) = begin.take_if(|_| listed == kinds.len()) {
                    // Whoever waits for it has ended when nobody is told.
                    let _ = begin.send(());
                }
            }
            // After an error it goes on by itself.
            Ok(Event::Init | Event::Delete(_)) | Err(_) => {}
        }
    }
}

fn record(seen: &Mutex<Seen>, kind: &'static str, object: &DynamicObject) {
    let now = Instant::now();
    let Some(service) = object.labels().get(LABEL_NAME) else { return };
    let mut seen = seen.lock().expect("no panic while locked");
    let sights = seen.entry(service.clone()).or_default();
    sights.first.entry((kind, object.name_any())).or_insert(now);
    for (aspect, value) in marks(kind, object) {
        let marks = sights.marks.entry(aspect).or_default();
        if marks.last().is_none_or(|(_, last)| *last != value) {
            marks.push((now, value));
        }
    }
}

/// What the aspects are in a child.
fn marks(kind: &str, object: &DynamicObject) -> Vec<(Aspect, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    match kind {
        "Deployment" => {
            let container = &object.data["spec"]["template"]["spec"]["containers"][0];
            let mut env = container["env"].as_array().into_iter().flatten();
            let region =
                env.find(|variable| variable["name"] == "REGION").map(|region| text(&region["value"]));
            vec![(Aspect::Image, text(&container["image"])), (Aspect::Region, region.unwrap_or_default())]
        }
        "HorizontalPodAutoscaler" => {
            let most = object.data["spec"]["maxReplicas"].as_u64().unwrap_or_default();
            vec![(Aspect::Bounds, format!("{most:06}"))]
        }
        _ => Vec::new(),
    }
}

impl Drop for Observer {
    fn drop(&mut self) {
        // It ends when nobody holds the other side.
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
