//! Brings one child to its planned state by the rules of first apply, repair and contest, and never by
//! touching what is not ours.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::ByteString;
use serde_json::{Value, json};

use super::live::{Belongs, Key, Live};
use super::managed_fields;
use super::memory::{ChildKey, Memory};
use super::observe;
use super::replicas;
use super::request::{Failure, Requests};
use super::seen::Seen;
use super::world::World;
use crate::api::id::Id;
use crate::api::status::ChildStatus;
use crate::api::{FIELD_MANAGER, Reason};
use crate::plan::{Kind, Planned};
use crate::status::views::{ChildOutcome, DeploymentView, Problem};
use crate::telemetry::Telemetry;

/// How often a child is observed again within one pass before the pass gives up.
const ROUNDS: usize = 4;

/// Applies children.
pub struct Applier<'a> {
    /// Caches.
    pub world: &'a World,
    /// Attempts and repairs.
    pub memory: &'a Memory,
    /// IO.
    pub requests: &'a Requests,
    /// Counters.
    pub telemetry: &'a Telemetry,
    /// Namespace and name of the Microservice.
    pub owner: &'a Key,
    /// Its UID.
    pub uid: &'a str,
    /// Its generated Secrets, as the plan saw them.
    pub secrets: &'a BTreeMap<String, observe::Seen>,
}

/// What to do with a child.
enum Step {
    /// It is as planned, or something else has to happen first.
    Done(ChildOutcome),
    /// Send it.
    Send,
}

impl Applier<'_> {
    /// Brings the child to its planned state and says what became of it.
    pub async fn child(&self, planned: &Planned, recorded: Option<&ChildStatus>) -> ChildOutcome {
        if planned.held {
            return ChildOutcome { held: true, ..outcome(planned, recorded) };
        }
        let key = Key::new(&self.owner.namespace, &planned.name);
        let live = self.world.child(&planned.kind, &key);
        let lost = live.is_none() && recorded.is_some_and(|child| child.uid.is_some());
        if !lost && let Step::Done(outcome) = self.judge(planned, recorded, live.as_deref()) {
            return outcome;
        }
        let writing = self.world.under_way.begin(&planned.kind, &key, self.owner);
        let before = live.as_ref().map(|live| live.resource_version.clone());
        let outcome = self.bring(planned, &key, recorded, live, lost).await;
        let gone = writing.is_gone();
        if gone {
            self.world.forget_child(&planned.kind, &key);
        }
        let now = self.world.child(&planned.kind, &key);
        let now = now.as_ref().map(|live| &live.resource_version);
        let told = outcome.stored_version.as_ref().or(before.as_ref());
        ChildOutcome { outdated: gone || now != told, ..outcome }
    }

    /// Sends it until it is stored as planned, or something stands in the way. `lost` = it was there
    /// and no cache holds it.
    async fn bring(
        &self,
        planned: &Planned,
        key: &Key,
        recorded: Option<&ChildStatus>,
        mut live: Option<Arc<Live>>,
        lost: bool,
    ) -> ChildOutcome {
        if lost {
            // Deleted, or without the label that the watches select by: only the server can tell.
            match self.look(&planned.kind, key).await {
                Ok(found) => live = found,
                Err(failure) => return self.refused(planned, recorded, None, &failure),
            }
        }
        for _ in 0..ROUNDS {
            match self.judge(planned, recorded, live.as_deref()) {
                Step::Done(outcome) => return outcome,
                Step::Send => {}
            }
            let sent = self.send(planned, key, live.as_deref()).await;
            match sent.map_err(|failure| failure.of_child(planned.kind.kind, &planned.name)) {
                Ok(stored) => {
                    if let Some(trace) = loss(recorded, live.as_deref()) {
                        self.repaired(planned, live.as_deref(), &trace);
                    }
                    return self.stored(planned, key, stored);
                }
                // Another object, a newer version, or none: look again. The cache will follow.
                Err(Failure::Conflict(_) | Failure::Missing(_)) => {
                    match self.look(&planned.kind, key).await {
                        // The plan was made from what is no longer there: the whole pass has to look again.
                        Ok(found) if self.seen(planned).is_some() => {
                            live = found;
                            break;
                        }
                        Ok(found) => live = found,
                        Err(failure) => return self.refused(planned, recorded, live.as_deref(), &failure),
                    }
                }
                Err(failure) => return self.refused(planned, recorded, live.as_deref(), &failure),
            }
        }
        let failure = Failure::Conflict("it changes faster than it can be applied".to_owned());
        self.refused(planned, recorded, live.as_deref(), &failure)
    }

    fn judge(&self, planned: &Planned, recorded: Option<&ChildStatus>, live: Option<&Live>) -> Step {
        let stop = |reason, message| Step::Done(problem(planned, recorded, Problem { reason, message }));
        let name = format!("{} {}", planned.kind.kind, planned.name);
        if let Some(live) = live {
            match live.belongs(self.uid, &self.owner.name, recorded) {
                Belongs::Predecessor => {
                    let message = format!("{name} of an older {} is still being deleted", self.owner.name);
                    return stop(Reason::WaitingForDeletion, message);
                }
                Belongs::Foreign => {
                    let whose = live.owner.as_ref().map_or_else(
                        || "it has no owner".to_owned(),
                        |owner| {
                            let kind = owner.other_kind.as_deref().unwrap_or("Microservice");
                            format!("it belongs to {kind} {}", owner.name)
                        },
                    );
                    let message = format!(
                        "{name} exists and was not made by this Microservice ({whose}); rename the Microservice, or delete that object"
                    );
                    return stop(Reason::Conflict, message);
                }
                Belongs::Ours if live.deleting => {
                    return stop(
                        Reason::WaitingForDeletion,
                        format!("{name} is being deleted; it will be made again"),
                    );
                }
                Belongs::Ours if self.is_current(planned, live, recorded) => {
                    return Step::Done(outcome(planned, recorded));
                }
                Belongs::Ours => {}
            }
        }
        let child = self.child_key(planned);
        if let Some(postponed) = self.memory.postponed(self.owner, &child, &fingerprint(planned, live)) {
            return Step::Done(problem(planned, recorded, postponed.problem));
        }
        let fight = loss(recorded, live).and_then(|trace| self.memory.contested(self.owner, &child, &trace));
        if fight.is_some() {
            let other = live
                .and_then(|live| live.verdict.last_foreign_manager.as_deref())
                .unwrap_or("another client");
            let advice = match (planned.kind.kind, other.contains("autoscaler") || other.contains("keda")) {
                ("Deployment", true) => "; set spec.autoscaling instead of a second autoscaler",
                _ => "; make it stop, or change the Microservice",
            };
            let message = format!("{other} keeps changing {name}, which this Microservice describes{advice}");
            return stop(Reason::DriftContested, message);
        }
        Step::Send
    }

    /// Whether nothing has to be sent.
    pub fn is_current(&self, planned: &Planned, live: &Live, recorded: Option<&ChildStatus>) -> bool {
        live.in_sync(&planned.plan_hash, recorded)
            && !replicas::unfinished(planned, live)
            && !self.seen(planned).is_some_and(|seen| seen.unsaved)
    }

    /// A generated Secret as the plan saw it.
    fn seen(&self, planned: &Planned) -> Option<&observe::Seen> {
        self.secrets.get(&planned.name).filter(|_| planned.kind.kind == "Secret")
    }

    async fn send(&self, planned: &Planned, key: &Key, live: Option<&Live>) -> Result<Live, Failure> {
        if live.is_some_and(|live| live.verdict.tampered) {
            // Before the apply, or it would store one more template with what has to go.
            self.take_over(&planned.kind, key).await?;
        }
        let body = self.identified(planned, key, live).await?;
        if let Some(live) = live {
            replicas::before(self, planned, key, live).await?;
        }
        let mut stored = self.apply(planned, key, &body).await;
        let foreign_remains = match &stored {
            Ok(stored) => stored.verdict.tampered,
            Err(failure) => live.is_some() && matches!(failure, Failure::Invalid(_)),
        };
        if foreign_remains && self.take_over(&planned.kind, key).await? {
            stored = self.apply(planned, key, &body).await;
        }
        let stored = stored?;
        Ok(replicas::after(self, planned, key, live, &stored).await?.unwrap_or(stored))
    }

    /// The body that says which object is meant: none yet, or exactly the one that was seen.
    async fn identified(&self, planned: &Planned, key: &Key, live: Option<&Live>) -> Result<String, Failure> {
        let mut identity = Vec::from_iter(live.map(|live| ("uid", json!(live.uid))));
        let mut data = None;
        if let Some(seen) = self.seen(planned).filter(|seen| !seen.resource_version.is_empty()) {
            identity.push(("resourceVersion", json!(seen.resource_version)));
            data = self.kept_data(planned, key, seen).await?;
        } else if live.is_none() || self.seen(planned).is_some() {
            // No object ever has version 1: this makes the apply a create.
            identity.push(("resourceVersion", json!("1")));
        }
        Ok(planned.body.with(&identity, data.map(|data| ("data", data))))
    }

    /// Applied without its data, a Secret would lose it: the live values are sent back.
    async fn kept_data(
        &self,
        planned: &Planned,
        key: &Key,
        seen: &observe::Seen,
    ) -> Result<Option<Value>, Failure> {
        if !planned.lacks_values {
            return Ok(None);
        }
        let whole = self.requests.whole(&planned.kind, key).await?;
        let whole = whole.ok_or_else(|| Failure::Missing(key.name.to_string()))?;
        if whole.metadata.resource_version.as_deref() != Some(&seen.resource_version) {
            return Err(Failure::Conflict(format!("Secret {} has changed since it was read", key.name)));
        }
        let data: BTreeMap<String, ByteString> = whole
            .data
            .get("data")
            .map(|data| serde_json::from_value(data.clone()))
            .transpose()
            .map_err(|_| Failure::Transient("the Secret's data cannot be decoded".to_owned()))?
            .unwrap_or_default();
        Ok(Some(json!(data)))
    }

    async fn apply(&self, planned: &Planned, key: &Key, body: &str) -> Result<Live, Failure> {
        self.telemetry.child_write(planned.kind.kind, "apply");
        self.requested(&planned.kind, key, FIELD_MANAGER, true, body.to_owned()).await
    }

    /// Applies a body and keeps what the answer tells beside the metadata.
    ///
    /// # Errors
    /// Any [`Failure`].
    pub async fn requested(
        &self,
        kind: &Kind,
        key: &Key,
        manager: &str,
        force: bool,
        body: String,
    ) -> Result<Live, Failure> {
        if kind.kind == "Deployment" {
            let seen = self.requests.apply(kind, key, manager, force, body).await?;
            return Ok(self.counted(kind, key, seen));
        }
        let seen = self.requests.apply::<()>(kind, key, manager, force, body).await?;
        Ok(self.world.judged(kind, key, seen.object))
    }

    /// Keeps the counts of a Deployment that an answer holds.
    fn counted(&self, kind: &Kind, key: &Key, seen: Seen<DeploymentView>) -> Live {
        self.world.deployments.wrote(key.clone(), &seen.object.head().resource_version, seen.view);
        self.world.judged(kind, key, seen.object)
    }

    /// Moves what others own under `spec` to us, so that the next apply removes it. Returns whether
    /// there was anything.
    async fn take_over(&self, kind: &Kind, key: &Key) -> Result<bool, Failure> {
        let Some(text) = self.requests.metadata(kind, key).await? else {
            return Err(Failure::Missing(key.name.to_string()));
        };
        let metadata = text.read()?;
        let Some(taken) = managed_fields::taken_over(&managed_fields::entries(metadata.managed_fields))
        else {
            return Ok(false);
        };
        self.telemetry.child_write(kind.kind, "take_over");
        self.requests.set_managed_fields(kind, key, &metadata, &taken).await?;
        Ok(true)
    }

    /// Asks the server for a child, and keeps the answer in the cache.
    ///
    /// # Errors
    /// Any [`Failure`] but `Missing`.
    pub async fn look(&self, kind: &Kind, key: &Key) -> Result<Option<Arc<Live>>, Failure> {
        let found = if kind.kind == "Deployment" {
            self.requests.live(kind, key).await?.map(|seen| self.counted(kind, key, seen))
        } else {
            self.requests.live::<()>(kind, key).await?.map(|seen| self.world.judged(kind, key, seen.object))
        };
        let Some(live) = found else {
            self.world.forget_child(kind, key);
            return Ok(None);
        };
        self.world.wrote_child(kind, key.clone(), live.clone());
        Ok(Some(Arc::new(live)))
    }

    fn repaired(&self, planned: &Planned, live: Option<&Live>, trace: &str) {
        let fields = live
            .and_then(|live| live.verdict.digest.as_ref())
            .map_or_else(|| "gone".to_owned(), Id::to_string);
        tracing::info!(kind = planned.kind.kind, name = planned.name, fields, "drift repaired");
        self.memory.repaired(self.owner, &self.child_key(planned), trace);
        self.telemetry.repaired(planned.kind.kind);
    }

    fn stored(&self, planned: &Planned, key: &Key, live: Live) -> ChildOutcome {
        self.world.wrote_child(&planned.kind, key.clone(), live.clone());
        self.memory.succeeded(self.owner, &self.child_key(planned));
        ChildOutcome {
            uid: Some(live.uid),
            digest: live.verdict.digest,
            stored_version: Some(live.resource_version),
            ..outcome(planned, None)
        }
    }

    fn refused(
        &self,
        planned: &Planned,
        recorded: Option<&ChildStatus>,
        live: Option<&Live>,
        failure: &Failure,
    ) -> ChildOutcome {
        let why = failure.problem(planned.kind.kind, &planned.name);
        if *failure != Failure::Fenced {
            let print = fingerprint(planned, live);
            // An API that may come and go is asked for elsewhere; once it is back, the child must not wait.
            let between = planned.kind.optional && matches!(failure, Failure::NotServed(_));
            let lasting = failure.is_lasting() && !between;
            self.memory.failed(self.owner, &self.child_key(planned), &print, &why, lasting);
        }
        problem(planned, recorded, why)
    }

    /// The name under which attempts at this child are remembered.
    pub fn child_key(&self, planned: &Planned) -> ChildKey {
        (planned.kind, planned.name.clone())
    }
}

/// The outcome of a child of which nothing new is known.
fn outcome(planned: &Planned, recorded: Option<&ChildStatus>) -> ChildOutcome {
    ChildOutcome {
        api_version: planned.kind.api_version().into(),
        kind: planned.kind.kind.into(),
        name: planned.name.as_str().into(),
        uid: recorded.and_then(|child| child.uid.clone()),
        digest: recorded.and_then(|child| child.digest.clone()),
        stored_version: None,
        outdated: false,
        held: false,
        problem: None,
    }
}

fn problem(planned: &Planned, recorded: Option<&ChildStatus>, why: Problem) -> ChildOutcome {
    ChildOutcome { problem: Some(why), ..outcome(planned, recorded) }
}

/// What makes a second attempt the same as the first.
pub fn fingerprint(planned: &Planned, live: Option<&Live>) -> String {
    let hash = &planned.plan_hash;
    match live.map(|live| &live.verdict.digest) {
        None => format!("{hash} absent"),
        Some(None) => format!("{hash} foreign"),
        Some(Some(digest)) => format!("{hash} {digest}"),
    }
}

/// What a live child has lost without our doing: a word that is the same each time that the same is
/// lost. `None` when it only has to follow a new plan.
pub fn loss(recorded: Option<&ChildStatus>, live: Option<&Live>) -> Option<String> {
    let recorded = recorded?;
    let uid = recorded.uid.as_ref()?;
    let Some(live) = live else { return Some("deleted".to_owned()) };
    let drifted = live.uid == *uid && (live.verdict.tampered || live.verdict.digest != recorded.digest);
    drifted.then(|| format!("{} {}", live.verdict.digest.clone().unwrap_or_default(), live.verdict.tampered))
}
