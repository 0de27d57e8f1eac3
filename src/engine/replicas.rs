//! Hands `spec.replicas` of a Deployment between the operator and an autoscaler without a dip. The
//! server resets a field to its default when its last owner drops it, so a second field manager holds
//! it in between.

use k8s_openapi::api::apps::v1::Deployment;
use kube::Api;
use serde_json::{Value, json};

use super::apply::Applier;
use super::live::{Key, Live};
use super::request::{Failure, bounded};
use crate::api::{FIELD_MANAGER, REPLICAS_MANAGER};
use crate::plan::Planned;

/// How often a hand-over is tried again when the count changes under it.
const ROUNDS: usize = 3;

/// An autoscaler chooses the count, and the plan's Deployment carries none.
fn is_scaled(planned: &Planned) -> bool {
    planned.replica_bounds.is_some()
}

/// Whether an interrupted hand-over has to be finished although the child is in sync.
pub fn unfinished(planned: &Planned, live: &Live) -> bool {
    planned.kind.kind == "Deployment" && !is_scaled(planned) && live.verdict.handover_holds_replicas
}

/// Before the main apply drops `spec.replicas`: the second manager takes the live count, within the
/// bounds. Zero would leave the autoscaler switched off for ever.
pub async fn before(applier: &Applier<'_>, planned: &Planned, key: &Key, live: &Live) -> Result<(), Failure> {
    if !is_scaled(planned) || !live.verdict.main_holds_replicas {
        return Ok(());
    }
    let (min, max) = planned.replica_bounds.unwrap_or((1, i32::MAX));
    let api: Api<Deployment> = Api::namespaced(applier.requests.client().clone(), &key.namespace);
    for _ in 0..ROUNDS {
        let found =
            bounded(api.get_opt(&key.name)).await?.ok_or_else(|| Failure::Missing(key.name.to_string()))?;
        let count = found.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
        let held = count.clamp(min, max);
        let mut body = hold(planned, key, found.metadata.uid.as_deref().unwrap_or_default(), Some(held));
        if let (Some(metadata), Some(version)) =
            (body.get_mut("metadata").and_then(Value::as_object_mut), found.metadata.resource_version)
        {
            metadata.insert("resourceVersion".to_owned(), Value::String(version));
        }
        // Forced only where the count itself has to change; the version makes that safe.
        match send(applier, planned, key, held != count, &body).await {
            Ok(_) => return Ok(()),
            Err(Failure::Conflict(_)) => {}
            Err(failure) => return Err(failure),
        }
    }
    Err(Failure::Transient("the replica count changes faster than it can be handed over".to_owned()))
}

/// After the main apply: a new autoscaled Deployment is lifted to its lower bound at once, and a count
/// that is ours again is released by the second manager. Returns the newest state, if it wrote.
pub async fn after(
    applier: &Applier<'_>,
    planned: &Planned,
    key: &Key,
    live: Option<&Live>,
    stored: &Live,
) -> Result<Option<Live>, Failure> {
    let uid = &stored.uid.to_string();
    let lift = planned.replica_bounds.map(|(min, _)| min).filter(|min| *min > 1);
    if live.is_none() && is_scaled(planned) && lift.is_some() {
        return send(applier, planned, key, false, &hold(planned, key, uid, lift)).await.map(Some);
    }
    if unfinished(planned, stored) {
        return send(applier, planned, key, false, &hold(planned, key, uid, None)).await.map(Some);
    }
    Ok(None)
}

fn hold(planned: &Planned, key: &Key, uid: &str, replicas: Option<i32>) -> Value {
    let mut body = json!({
        "apiVersion": planned.kind.api_version(),
        "kind": planned.kind.kind,
        "metadata": {"name": key.name, "namespace": key.namespace, "uid": uid},
    });
    if let (Some(count), Some(object)) = (replicas, body.as_object_mut()) {
        object.insert("spec".to_owned(), json!({"replicas": count}));
    }
    body
}

async fn send(
    applier: &Applier<'_>,
    planned: &Planned,
    key: &Key,
    force: bool,
    body: &Value,
) -> Result<Live, Failure> {
    debug_assert_ne!(REPLICAS_MANAGER, FIELD_MANAGER);
    applier.telemetry.child_write(planned.kind.kind, "replicas");
    applier.requested(&planned.kind, key, REPLICAS_MANAGER, force, body.to_string()).await
}
