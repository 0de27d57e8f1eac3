//! Events from the difference of two sets of conditions.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use super::facts::find;
use super::text;

/// Whether an Event tells of something good or bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// All is well.
    Normal,
    /// Somebody should look.
    Warning,
}

/// An Event to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventDraft {
    /// Normal or Warning.
    pub kind: EventKind,
    /// The condition's reason.
    pub reason: String,
    /// What the operator was doing.
    pub action: &'static str,
    /// The condition's message, at most 1 kB.
    pub note: String,
}

/// Conditions that give Events, causes before consequences, with what the operator does for them.
const ACTIONS: [(&str, &str); 6] = [
    ("Accepted", "Validate"),
    ("SecretsReady", "ResolveSecrets"),
    ("Applied", "Apply"),
    ("Available", "RollOut"),
    ("Stalled", "Reconcile"),
    ("Ready", "Reconcile"),
];

/// One Event per transition that a person wants to know of, and one only when several conditions
/// tell the same. A pass that changed no status and no reason gives none; a new object gives three
/// until it is Ready: Accepted, Applied, Ready.
pub fn transitions(old: &[Condition], new: &[Condition]) -> Vec<EventDraft> {
    let mut drafts: Vec<EventDraft> = Vec::new();
    for (type_, action) in ACTIONS {
        let (before, Some(now)) = (find(old, type_), find(new, type_)) else { continue };
        let told = drafts.iter().any(|draft| draft.reason == now.reason);
        let Some(kind) = worth_an_event(before, now, new).filter(|_| !told) else { continue };
        let (reason, note) = (now.reason.clone(), text::cut(&now.message, text::MESSAGE_BYTES));
        drafts.push(EventDraft { kind, reason, action, note });
    }
    drafts
}

fn worth_an_event(before: Option<&Condition>, now: &Condition, all: &[Condition]) -> Option<EventKind> {
    let status_changed = before.is_none_or(|before| before.status != now.status);
    let reason_changed = before.is_none_or(|before| before.reason != now.reason);
    if !status_changed && !reason_changed {
        return None;
    }
    let ready = find(all, "Ready").is_some_and(|ready| ready.status == "True");
    let normal = |worth: bool| worth.then_some(EventKind::Normal);
    match (now.type_.as_str(), now.status.as_str()) {
        ("Stalled", "True") => Some(EventKind::Warning),
        // The parts have told already why it is not Ready.
        ("Ready", "False" | "Unknown") => normal(now.reason == "Suspended"),
        // Stopped, started, suspended and resumed are news although it was and is Ready.
        ("Ready", "True") => normal(true),
        // Ready tells it.
        ("Available", "True") => normal(status_changed && !ready),
        // An ordinary rollout is no news until it ends.
        ("Available", "False") if now.reason == "RolloutInProgress" => None,
        // What is there from the start is no news either.
        ("SecretsReady", "True") => normal(before.is_some_and(|before| before.status == "False")),
        ("Accepted" | "Applied", "True") => normal(status_changed),
        (_, "False") => Some(EventKind::Warning),
        _ => None,
    }
}
