//! Deletes the children that the plan no longer holds: only what is ours, only the version that was
//! seen, never on a failed or partial view.

use std::sync::Arc;

use super::apply::Applier;
use super::live::{Belongs, Key, Live};
use super::request::Failure;
use crate::api::Reason;
use crate::api::status::ChildStatus;
use crate::plan::{self, Kind, Plan, Stage, keda};
use crate::status::views::{ChildOutcome, Problem};

/// A child that is ours and no longer planned.
pub struct Leftover {
    /// Its kind.
    pub kind: Kind,
    /// Its key.
    pub key: Key,
    /// What was seen of it.
    pub live: Arc<Live>,
}

impl Leftover {
    /// The record of a leftover that is still there.
    pub fn outcome(&self) -> ChildOutcome {
        ChildOutcome {
            api_version: self.kind.api_version().into(),
            kind: self.kind.kind.into(),
            name: self.key.name.clone(),
            uid: Some(self.live.uid.clone()),
            digest: self.live.verdict.digest.clone(),
            stored_version: None,
            outdated: false,
            held: false,
            problem: None,
        }
    }
}

/// Asks the server for recorded children that are no longer planned and that no cache holds: one that
/// lost the label that the watches select by must not be forgotten. Returns those that could not be
/// asked for, to keep them on record.
pub async fn search(applier: &Applier<'_>, plan: &Plan, recorded: &[ChildStatus]) -> Vec<ChildOutcome> {
    let mut unknown = Vec::new();
    for child in recorded {
        let Some(kind) = applier.world.kind_of(child) else { continue };
        let key = Key::new(&applier.owner.namespace, &child.name);
        let planned = plan.children.iter().any(|planned| planned.kind == kind && planned.name == child.name);
        // What an API held that is gone went with it.
        if planned
            || !applier.world.has_kind(&kind)
            || child.uid.is_none()
            || applier.world.child(&kind, &key).is_some()
        {
            continue;
        }
        if let Err(failure) = applier.look(&kind, &key).await {
            unknown.push(ChildOutcome {
                api_version: child.api_version.clone(),
                kind: child.kind.clone(),
                name: child.name.clone(),
                uid: child.uid.clone(),
                digest: child.digest.clone(),
                stored_version: None,
                outdated: false,
                held: false,
                problem: Some(refused(applier, &kind, &key, &failure)),
            });
        }
    }
    unknown
}

/// Everything that is ours and not planned, last stage first.
pub fn leftovers(applier: &Applier<'_>, plan: &Plan, recorded: &[ChildStatus]) -> Vec<Leftover> {
    unplanned(applier, plan, recorded).into_iter().filter(|leftover| !leftover.live.deleting).collect()
}

/// Autoscalers on their way out that still scale: what a finalizer keeps was deleted in an earlier pass.
pub async fn leaving(applier: &Applier<'_>, plan: &Plan, recorded: &[ChildStatus]) -> Vec<ChildOutcome> {
    let mut outcomes = Vec::new();
    let all = unplanned(applier, plan, recorded);
    for leftover in all.iter().filter(|leftover| leftover.live.deleting && is_autoscaler(leftover)) {
        let problem = confirm(applier, leftover).await.err();
        outcomes.push(ChildOutcome { problem, ..leftover.outcome() });
    }
    outcomes
}

fn unplanned(applier: &Applier<'_>, plan: &Plan, recorded: &[ChildStatus]) -> Vec<Leftover> {
    let mut found: Vec<Leftover> = applier
        .world
        .candidates(applier.owner, recorded)
        .into_iter()
        .filter(|(kind, key, live)| {
            let record = recorded.iter().find(|child| child.kind == kind.kind && child.name == key.name);
            !plan.children.iter().any(|child| child.kind == *kind && child.name == key.name)
                && live.belongs(applier.uid, &applier.owner.name, record) == Belongs::Ours
                && applier.world.children(kind).is_some_and(|index| index.synced(&key.namespace))
        })
        .map(|(kind, key, live)| Leftover { kind, key, live })
        .collect();
    found.sort_by_key(|leftover| std::cmp::Reverse(leftover.kind));
    found
}

/// Whether the leftover has to go before the workload changes: an autoscaler must not fight the
/// operator for the count.
pub fn goes_first(leftover: &Leftover) -> bool {
    leftover.kind.stage > Stage::Workload
}

/// Deletes one leftover. `None` = it is gone.
pub async fn remove(applier: &Applier<'_>, leftover: &Leftover) -> Option<ChildOutcome> {
    applier.telemetry.child_write(leftover.kind.kind, "delete");
    let mut result = applier.requests.delete(&leftover.kind, &leftover.key, &leftover.live).await;
    if matches!(result, Err(Failure::Conflict(_))) {
        result = retry(applier, leftover).await;
    }
    let problem = match result {
        Ok(()) => confirm(applier, leftover).await.err(),
        Err(failure) if failure.is_gone() => confirm(applier, leftover).await.err(),
        Err(failure) => Some(refused(applier, &leftover.kind, &leftover.key, &failure)),
    };
    if problem.is_none() {
        applier.world.forget_child(&leftover.kind, &leftover.key);
        applier.memory.succeeded(applier.owner, &(leftover.kind, leftover.key.name.to_string()));
        return None;
    }
    Some(ChildOutcome { problem, ..leftover.outcome() })
}

/// Why a removal, or the question whether there is anything to remove, failed. It is tried again: a child that
/// is not planned has nobody else who would ask for another look.
fn refused(applier: &Applier<'_>, kind: &Kind, key: &Key, failure: &Failure) -> Problem {
    let why = failure.problem(kind.kind, &key.name);
    if *failure != Failure::Fenced {
        let child = (*kind, key.name.to_string());
        applier.memory.failed(applier.owner, &child, "removal", &why, failure.is_lasting());
    }
    why
}

/// The object has changed since it was seen, an autoscaler's status for example: once more with the
/// version of now, if it is still the same object.
async fn retry(applier: &Applier<'_>, leftover: &Leftover) -> Result<(), Failure> {
    let Some(seen) = applier.requests.live::<()>(&leftover.kind, &leftover.key).await? else {
        return Ok(());
    };
    let live = seen.object.judge();
    let record = ChildStatus { uid: Some(leftover.live.uid.clone()), ..ChildStatus::default() };
    if live.uid != leftover.live.uid
        || live.belongs(applier.uid, &applier.owner.name, Some(&record)) != Belongs::Ours
    {
        return Ok(());
    }
    applier.requests.delete(&leftover.kind, &leftover.key, &live).await
}

/// An autoscaler is waited for: only when it is really gone may the count be taken back. A ScaledObject
/// scales by the HorizontalPodAutoscaler that KEDA made of it, which the garbage collector takes away
/// before it; the finalizer that may keep it longer, for want of a KEDA that runs, scales nothing.
async fn confirm(applier: &Applier<'_>, leftover: &Leftover) -> Result<(), Problem> {
    let (kind, key) = (&leftover.kind, &leftover.key);
    if !is_autoscaler(leftover) {
        return Ok(());
    }
    match scaler(applier, leftover).await {
        Ok(None) => Ok(()),
        Ok(Some(name)) => {
            let message = format!("{} {}: the autoscaler {name} is still being deleted", kind.kind, key.name);
            Err(Problem { reason: Reason::WaitingForDeletion, message })
        }
        Err(failure) => Err(refused(applier, kind, key, &failure)),
    }
}

fn is_autoscaler(leftover: &Leftover) -> bool {
    matches!(leftover.kind.kind, "HorizontalPodAutoscaler" | "ScaledObject")
}

/// Name of the HorizontalPodAutoscaler by which a leftover still scales.
async fn scaler(applier: &Applier<'_>, leftover: &Leftover) -> Result<Option<String>, Failure> {
    let (name, of_keda) = match leftover.kind.kind {
        "ScaledObject" => (keda::autoscaler_name(&leftover.key.name), true),
        _ => (leftover.key.name.to_string(), false),
    };
    let kinds = plan::kinds();
    let Some(kind) = kinds.iter().find(|kind| kind.kind == "HorizontalPodAutoscaler") else {
        return Ok(None);
    };
    let found = applier.requests.live::<()>(kind, &Key::new(&leftover.key.namespace, &name)).await?;
    let uid = found.as_ref().and_then(|seen| {
        let live = seen.object.head();
        if of_keda { live.owner.as_ref().map(|owner| &owner.uid) } else { Some(&live.uid) }
    });
    Ok((uid == Some(&leftover.live.uid)).then_some(name))
}
