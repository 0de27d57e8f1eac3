//! One plan against the cluster: what must leave first, then stage by stage, then the rest of what is
//! no longer wanted.

use futures::future::join_all;

use super::apply::{Applier, fingerprint};
use super::live::{Belongs, Key};
use super::prune::{self, Leftover};
use crate::api::status::ChildStatus;
use crate::plan::{Plan, Planned, Stage};
use crate::status::views::{ChildOutcome, Problem};

/// What is sent together: first all that the pods need, which no part needs of another, then the pods.
const STAGES: [&[Stage]; 3] =
    [&[Stage::Identity, Stage::Policy, Stage::Service], &[Stage::Workload], &[Stage::Scaling]];

/// The record of a planned child.
pub fn recorded<'a>(children: &'a [ChildStatus], planned: &Planned) -> Option<&'a ChildStatus> {
    children.iter().find(|child| {
        child.kind == planned.kind.kind
            && child.name == planned.name
            && child.api_version == planned.kind.api_version()
    })
}

/// Whether carrying out the plan would write anything.
pub fn is_due(applier: &Applier<'_>, plan: &Plan, children: &[ChildStatus]) -> bool {
    plan.children.iter().any(|planned| differs(applier, planned, recorded(children, planned)))
        || removes(applier, plan, children)
}

/// Whether there is a child that the plan does not want.
pub fn removes(applier: &Applier<'_>, plan: &Plan, children: &[ChildStatus]) -> bool {
    !prune::leftovers(applier, plan, children).is_empty()
}

/// Whether a child has to be sent.
pub fn differs(applier: &Applier<'_>, planned: &Planned, recorded: Option<&ChildStatus>) -> bool {
    let key = Key::new(&applier.owner.namespace, &planned.name);
    let live = applier.world.child(&planned.kind, &key);
    let in_sync = live.as_ref().is_some_and(|live| applier.is_current(planned, live, recorded));
    let print = fingerprint(planned, live.as_deref());
    !planned.held
        && !in_sync
        && applier.memory.postponed(applier.owner, &applier.child_key(planned), &print).is_none()
}

/// Carries out the plan and says what became of each child.
pub async fn execute(applier: &Applier<'_>, plan: &Plan, children: &[ChildStatus]) -> Vec<ChildOutcome> {
    let unknown = prune::search(applier, plan, children).await;
    let (first, last): (Vec<Leftover>, Vec<Leftover>) =
        prune::leftovers(applier, plan, children).into_iter().partition(prune::goes_first);
    let mut outcomes = prune::leaving(applier, plan, children).await;
    outcomes.extend(remove(applier, &first).await);
    let mut blocked = outcomes.iter().find_map(|outcome| outcome.problem.clone());
    for stages in STAGES {
        let of_stages = plan.children.iter().filter(|planned| stages.contains(&planned.kind.stage));
        let results = join_all(of_stages.map(|planned| {
            // A count that is still somebody else's must not be changed, nor an autoscaler be made over it.
            let wait = blocked.clone().filter(|_| waits(applier, planned));
            async move {
                let record = recorded(children, planned);
                let outcome = match wait {
                    None => return applier.child(planned, record).await,
                    Some(_) => applier.child(&Planned { held: true, ..planned.clone() }, record).await,
                };
                ChildOutcome { held: false, problem: wait, ..outcome }
            }
        }))
        .await;
        blocked = blocked
            .or_else(|| unsaved(applier, &results))
            .or_else(|| open(applier, plan, &results, children));
        if stages.contains(&Stage::Workload) {
            blocked = blocked.or_else(|| results.iter().find_map(|outcome| outcome.problem.clone()));
        }
        outcomes.extend(results);
    }
    if settled(applier, &outcomes) {
        outcomes.extend(remove(applier, &last).await);
    } else {
        // What stays for now stays on record.
        outcomes.extend(last.iter().map(Leftover::outcome));
    }
    outcomes.extend(unknown);
    outcomes
}

/// Children that must not be sent while the count is not in the hands it should be in.
fn waits(applier: &Applier<'_>, planned: &Planned) -> bool {
    let key = Key::new(&applier.owner.namespace, &planned.name);
    match planned.kind.kind {
        "Deployment" => true,
        "HorizontalPodAutoscaler" | "ScaledObject" => applier.world.child(&planned.kind, &key).is_none(),
        _ => false,
    }
}

/// Why the pods must not follow new values of a generated Secret: they could not be stored.
fn unsaved(applier: &Applier<'_>, outcomes: &[ChildOutcome]) -> Option<Problem> {
    let failed = outcomes.iter().find(|outcome| {
        outcome.kind == "Secret"
            && applier.secrets.get(outcome.name.as_str()).is_some_and(|seen| seen.unsaved)
    });
    failed.and_then(|outcome| outcome.problem.clone())
}

/// Why no pod may start: the policy that shuts off what nobody granted is not there.
fn open(
    applier: &Applier<'_>,
    plan: &Plan,
    outcomes: &[ChildOutcome],
    children: &[ChildStatus],
) -> Option<Problem> {
    let stands = |planned: &Planned| {
        let live = applier.world.child(&planned.kind, &Key::new(&applier.owner.namespace, &planned.name));
        let record = recorded(children, planned);
        live.is_some_and(|live| live.belongs(applier.uid, &applier.owner.name, record) == Belongs::Ours)
    };
    let policies = plan.children.iter().filter(|planned| planned.kind.kind == "NetworkPolicy");
    let missing = policies.filter(|planned| !stands(planned)).find_map(|planned| {
        outcomes.iter().find(|outcome| outcome.kind == planned.kind.kind && outcome.name == planned.name)
    });
    missing.and_then(|outcome| outcome.problem.clone())
}

async fn remove(applier: &Applier<'_>, leftovers: &[Leftover]) -> Vec<ChildOutcome> {
    join_all(leftovers.iter().map(|leftover| prune::remove(applier, leftover)))
        .await
        .into_iter()
        .flatten()
        .collect()
}

/// Old pods may still read the configuration that is no longer wanted: it goes when they have gone.
fn settled(applier: &Applier<'_>, outcomes: &[ChildOutcome]) -> bool {
    outcomes.iter().all(|outcome| outcome.problem.is_none() && !outcome.held)
        && applier.world.deployments.get(applier.owner).is_none_or(|view| {
            view.observed_generation >= view.generation
                && view.updated >= view.replicas
                && view.updated >= view.desired
        })
}
