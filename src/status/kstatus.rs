//! The rules of kstatus (sigs.k8s.io/cli-utils) for a kind it does not know, for tests: what Flux and
//! `kubectl wait`-like tools make of an object.

use crate::api::Microservice;

/// What kstatus says of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    InProgress,
    Failed,
    Current,
    Terminating,
}

/// Deletion, then generation, then Reconciling and Stalled in their order, then Ready.
pub(super) fn evaluate(object: &Microservice) -> Verdict {
    if object.metadata.deletion_timestamp.is_some() {
        return Verdict::Terminating;
    }
    let Some(status) = &object.status else { return Verdict::Current };
    if status.observed_generation.is_some_and(|seen| Some(seen) != object.metadata.generation) {
        return Verdict::InProgress;
    }
    for condition in status.conditions.iter().filter(|condition| condition.status == "True") {
        match condition.type_.as_str() {
            "Reconciling" => return Verdict::InProgress,
            "Stalled" => return Verdict::Failed,
            _ => {}
        }
    }
    match status.conditions.iter().find(|condition| condition.type_ == "Ready") {
        Some(ready) if ready.status != "True" => Verdict::InProgress,
        _ => Verdict::Current,
    }
}
