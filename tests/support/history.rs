//! Every stored version of the objects of a namespace, in the order in which they were stored, and
//! what kstatus (Flux, Argo CD, `kubectl wait`-like tools) makes of them.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::StreamExt;
use kube::ResourceExt;
use kube::api::{Api, ApiResource, DynamicObject, WatchEvent, WatchParams};
use serde_json::Value;
use tokio::task::JoinHandle;

use super::{Namespace, eventually};

/// One version of an object.
#[derive(Clone, Debug)]
pub struct Version {
    /// Revision of the cluster's data; comparable between all objects.
    pub revision: u64,
    /// Whether this is its end.
    pub deleted: bool,
    /// The object.
    pub object: Value,
}

/// Records from its creation on, until it is dropped.
pub struct History {
    versions: Arc<Mutex<Vec<Version>>>,
    task: JoinHandle<()>,
}

/// What kstatus says of an object of a kind that it does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Work is under way.
    InProgress,
    /// A person has to act.
    Failed,
    /// As wanted.
    Current,
    /// Being deleted.
    Terminating,
}

impl History {
    /// Records all objects of one kind in the namespace.
    pub async fn of(namespace: &Namespace, kind: &ApiResource) -> Self {
        let api: Api<DynamicObject> = Api::namespaced_with(namespace.client(), namespace.name(), kind);
        let start = api.list(&Default::default()).await.expect("the kind is served").metadata;
        let versions = Arc::new(Mutex::new(Vec::new()));
        let (seen, from) = (versions.clone(), start.resource_version.expect("a list has a version"));
        let task = tokio::spawn(async move {
            // A watch that ends would lose nothing, but a test never lasts that long.
            let params = WatchParams::default().timeout(290);
            let mut events = api.watch(&params, &from).await.expect("the watch starts").boxed();
            while let Some(event) = events.next().await {
                let (object, deleted) = match event.expect("the watch goes on") {
                    WatchEvent::Added(object) | WatchEvent::Modified(object) => (object, false),
                    WatchEvent::Deleted(object) => (object, true),
                    WatchEvent::Bookmark(_) => continue,
                    WatchEvent::Error(error) => panic!("the watch ended: {error:?}"),
                };
                let revision = object.resource_version().expect("a version").parse().expect("a number");
                let object = serde_json::to_value(object).expect("an object is JSON");
                seen.lock().expect("no panic while locked").push(Version { revision, deleted, object });
            }
        });
        Self { versions, task }
    }

    /// All versions so far, of one name.
    pub fn versions(&self, name: &str) -> Vec<Version> {
        assert!(!self.task.is_finished(), "the record is incomplete: the watch has ended");
        let all = self.versions.lock().expect("no panic while locked");
        all.iter().filter(|version| version.object["metadata"]["name"] == name).cloned().collect()
    }

    /// Waits until this version of the object is in the record.
    pub async fn until(&self, name: &str, revision: u64) {
        eventually(Duration::from_secs(10), "the record has caught up", || async {
            let last = self.versions(name).last().map(|version| version.revision);
            if last >= Some(revision) { Ok(()) } else { Err(format!("at {last:?} of {revision}")) }
        })
        .await;
    }
}

impl Drop for History {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The rules of sigs.k8s.io/cli-utils: deletion, generation, Reconciling and Stalled in their order,
/// then Ready.
pub fn kstatus(object: &Value) -> Verdict {
    let metadata = &object["metadata"];
    if metadata["deletionTimestamp"].is_string() {
        return Verdict::Terminating;
    }
    let observed = &object["status"]["observedGeneration"];
    if !observed.is_null() && *observed != metadata["generation"] {
        return Verdict::InProgress;
    }
    let conditions = || object["status"]["conditions"].as_array().into_iter().flatten();
    for condition in conditions().filter(|condition| condition["status"] == "True") {
        match condition["type"].as_str() {
            Some("Reconciling") => return Verdict::InProgress,
            Some("Stalled") => return Verdict::Failed,
            _ => {}
        }
    }
    match conditions().find(|condition| condition["type"] == "Ready") {
        Some(ready) if ready["status"] != "True" => Verdict::InProgress,
        _ => Verdict::Current,
    }
}

/// A condition of an object, or null.
pub fn condition<'a>(object: &'a Value, kind: &str) -> &'a Value {
    let mut conditions = object["status"]["conditions"].as_array().into_iter().flatten();
    conditions.find(|condition| condition["type"] == kind).unwrap_or(&Value::Null)
}
