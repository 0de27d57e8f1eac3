//! What else a cluster does: rolls Deployments out, keeps them within the bounds of their autoscaler, and removes what belongs to nobody any more.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::sleep;

use crate::fields::Manager;
use crate::server::Server;
use crate::store::{Key, Object, Store};

/// How long new pods take, and the garbage collector.
const PACE: Duration = Duration::from_millis(400);

/// Runs until it is dropped.
pub async fn run(server: Arc<Server>) {
    let mut changed = server.changed.subscribe();
    while changed.changed().await.is_ok() {
        if server.change(|store| !is_idle(store)) {
            sleep(PACE).await;
            server.change(scale);
            server.change(roll_out);
            server.change(collect_garbage);
        }
    }
}

fn is_idle(store: &Store) -> bool {
    new_deployments(store).is_empty() && unscaled(store).is_empty() && garbage(store).is_empty()
}

/// Deployments whose count their autoscaler does not allow, with the count that it wants. One without pods it
/// leaves alone.
fn unscaled(store: &Store) -> Vec<(Key, i64)> {
    let scalers =
        store.objects.iter().filter(|(key, _)| key.resource == "autoscaling/horizontalpodautoscalers");
    let wanted = scalers.filter_map(|(key, scaler)| {
        let (key, spec) =
            (Key { resource: "apps/deployments".to_owned(), ..key.clone() }, scaler.value.get("spec")?);
        let count = store.get(&key)?.value.get("spec")?["replicas"].as_i64().filter(|count| *count > 0)?;
        let wanted = count.max(spec["minReplicas"].as_i64()?).min(spec["maxReplicas"].as_i64()?);
        (wanted != count).then_some((key, wanted))
    });
    wanted.collect()
}

fn scale(store: &mut Store) {
    for (key, count) in unscaled(store) {
        let Some(object) = store.get(&key).cloned() else { continue };
        let mut value = object.value.clone();
        value["spec"]["replicas"] = json!(count);
        store.put(&key, value, Manager::scales(&object.managers, &object.value, count));
    }
}

fn new_deployments(store: &Store) -> Vec<(Key, Arc<Object>)> {
    let is_new = |object: &Object| {
        object.value.get("status").is_none_or(|status| status["observedGeneration"] != object.generation())
    };
    let all = store.objects.iter().filter(|(key, _)| key.resource == "apps/deployments");
    all.filter(|(_, object)| is_new(object)).map(|(key, object)| (key.clone(), Arc::clone(object))).collect()
}

fn roll_out(store: &mut Store) {
    for (key, object) in new_deployments(store) {
        let mut value = object.value.clone();
        let count = value["spec"]["replicas"].clone();
        let condition = |kind: &str, reason: &str| json!({"type": kind, "status": "True", "reason": reason});
        let status = json!({
            "observedGeneration": object.generation(),
            "replicas": count, "updatedReplicas": count, "readyReplicas": count, "availableReplicas": count,
            "conditions": [
                condition("Available", "MinimumReplicasAvailable"),
                condition("Progressing", "NewReplicaSetAvailable"),
            ],
        });
        value.insert("status".to_owned(), status);
        store.put(&key, value, object.managers.clone());
    }
}

fn garbage(store: &Store) -> Vec<Key> {
    let uids: BTreeSet<&str> = store.objects.values().map(|object| object.text_of("uid")).collect();
    let lost = |object: &Object| object.owner().is_some_and(|owner| !uids.contains(owner));
    store.objects.iter().filter(|(_, object)| lost(object)).map(|(key, _)| key.clone()).collect()
}

fn collect_garbage(store: &mut Store) {
    for key in garbage(store) {
        store.remove(&key);
    }
}

/// An object as somebody else makes it.
pub fn make(store: &mut Store, key: &Key, value: &Value) {
    let mut value = value.as_object().cloned().unwrap_or_default();
    if let Some(live) = store.get(key) {
        value.extend(live.value.get("status").map(|status| ("status".to_owned(), status.clone())));
    }
    let managers = store.get(key).map(|live| live.managers.clone()).unwrap_or_default();
    store.put(key, value, managers);
}
