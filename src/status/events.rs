//! Events from the difference of two sets of conditions.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use super::facts::find;
use super::text;
use crate::api::Reason;

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
const ACTIONS: [(&str, &str); 10] = [
    ("Accepted", "Validate"),
    ("SecretsReady", "ResolveSecrets"),
    ("Applied", "Apply"),
    ("TopicsReady", "ReconcileTopics"),
    ("KafkaAccessReady", "ReconcileAccess"),
    ("DependenciesReady", "CheckDependencies"),
    ("ScalingReady", "Scale"),
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
        // The parts have told already why it is not Ready.
        ("Ready", "False" | "Unknown") => normal(now.reason == "Suspended"),
        // Stopped, started, suspended and resumed are news although it was and is Ready.
        ("Ready", "True") => normal(true),
        // Ready tells it.
        ("Available", "True") => normal(status_changed && !ready),
        // An ordinary rollout is no news until it ends.
        ("Available", "False") if now.reason == "RolloutInProgress" => None,
        // What is there from the start is no news either.
        ("SecretsReady" | "ScalingReady", "True") => {
            normal(before.is_some_and(|before| before.status == "False"))
        }
        // Work that has just begun is no news; its Events tell what was done. Of a service that does not
        // serve its own Events tell.
        ("TopicsReady" | "KafkaAccessReady" | "DependenciesReady", "False") if is_under_way(&now.reason) => {
            None
        }
        // A service that asks for a consent is news to the owner.
        ("KafkaAccessReady" | "DependenciesReady", "True") if now.reason == "PendingConsent" => normal(true),
        ("TopicsReady" | "KafkaAccessReady" | "DependenciesReady", "True") => {
            normal(before.is_some_and(|before| before.status != "True" && !is_under_way(&before.reason)))
        }
        ("Accepted" | "Applied", "True") => normal(status_changed),
        ("Stalled", "True") | ("TopicsReady" | "KafkaAccessReady", "Unknown") | (_, "False") => {
            Some(EventKind::Warning)
        }
        _ => None,
    }
}

fn is_under_way(reason: &str) -> bool {
    matches!(
        Reason::parse(reason),
        Some(
            Reason::WaitingForOwnTopic
                | Reason::WaitingForLogin
                | Reason::PeerNotServing
                | Reason::Progressing
        )
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::samples::*;

    /// Reasons of the Events of one more pass.
    fn reasons(world: &mut World) -> Vec<(EventKind, String)> {
        let old = world.object.status.clone().unwrap_or_default().conditions;
        let new = world.step().conditions;
        transitions(&old, &new).into_iter().map(|draft| (draft.kind, draft.reason)).collect()
    }

    fn normal(reason: &str) -> (EventKind, String) {
        (EventKind::Normal, reason.to_owned())
    }

    fn warning(reason: &str) -> (EventKind, String) {
        (EventKind::Warning, reason.to_owned())
    }

    #[test]
    fn a_new_object_gives_three_events_until_it_is_ready_and_none_at_rest() {
        let mut world = World::new();
        let (outcome, live) = (world.outcome.take(), world.deployment.take());
        assert_eq!(reasons(&mut world), [normal("Accepted")]);
        world.outcome = outcome;
        assert_eq!(reasons(&mut world), [normal("Applied")]);
        world.deployment = Some(deployment(3, 3, 3, 2));
        assert_eq!(reasons(&mut world), []);
        world.deployment = live;
        assert_eq!(reasons(&mut world), [normal("Ready")]);
        assert_eq!(reasons(&mut world), []);
    }

    #[test]
    fn causes_are_told_once() {
        let mut world = World::new();
        world.step();
        world.deployment = Some(deployment(3, 3, 3, 0));
        world.pods = vec![pod(1, waiting("CrashLoopBackOff", ""))];
        assert_eq!(reasons(&mut world), [warning("CrashLooping")]);
        assert_eq!(reasons(&mut world), []);
        world.intent = Err(vec![violation(Reason::InvalidSpec)]);
        assert_eq!(reasons(&mut world), [warning("InvalidSpec")]);
    }

    #[test]
    fn a_missing_secret_is_told_once_and_so_is_its_arrival() {
        let mut world = World::new();
        world.object.spec.secrets = Some(vec![Default::default()]);
        world.step();
        world.intent().missing = vec![missing("db", Some("url"))];
        world.outcome.as_mut().unwrap()[2].held = true;
        assert_eq!(reasons(&mut world), [warning("WaitingForSecret")]);
        world.intent().missing.clear();
        world.outcome.as_mut().unwrap()[2].held = false;
        assert_eq!(reasons(&mut world), [normal("SecretsReady"), normal("Applied"), normal("Ready")]);
    }

    #[test]
    fn a_failed_rollout_is_told_beside_its_cause() {
        let mut world = World::new();
        world.deployment = Some(deployment(3, 4, 1, 3));
        world.pods = vec![pod(1, waiting("ErrImagePull", "not found"))];
        assert_eq!(reasons(&mut world), [normal("Accepted"), normal("Applied"), warning("ImagePullFailed")]);
        world.deployment.as_mut().unwrap().conditions.push(deadline_exceeded());
        assert_eq!(reasons(&mut world), [warning("RolloutFailed")]);
    }

    #[test]
    fn suspension_is_told() {
        let mut world = World::new();
        world.step();
        world.object.spec.suspend = true;
        assert_eq!(reasons(&mut world), [normal("Suspended")]);
        world.object.spec.suspend = false;
        assert_eq!(reasons(&mut world), [normal("Ready")]);
    }

    #[test]
    fn a_note_is_bounded() {
        let mut world = World::new();
        let mut new = world.step().conditions;
        new[0].message = "ä".repeat(3000);
        assert!(transitions(&[], &new).iter().all(|draft| draft.note.len() <= 1024));
    }
}
