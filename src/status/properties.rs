//! What holds for every status, whatever the inputs.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use proptest::prelude::*;
use proptest::sample::select;

use super::facts::find;
use super::samples::*;
use super::views::{ChildOutcome, ContainerView, DeploymentView, PodView, Problem};
use super::{equal_ignoring_times, events};
use crate::api::Reason;
use crate::api::conditions::MICROSERVICE;
use crate::intent::Scaling;

fn is_true(conditions: &[Condition], type_: &str) -> bool {
    find(conditions, type_).is_some_and(|condition| condition.status == "True")
}

fn any_reason() -> impl Strategy<Value = Reason> {
    select(Reason::ALL).prop_map(|entry| entry.reason)
}

fn any_problem() -> impl Strategy<Value = Problem> {
    (any_reason(), ".{0,40}").prop_map(|(reason, message)| Problem { reason, message })
}

/// Mostly counts as they occur, sometimes nonsense.
fn any_count() -> impl Strategy<Value = i32> {
    prop_oneof![9 => 0..5, 1 => any::<i32>()]
}

fn any_deployment() -> impl Strategy<Value = DeploymentView> {
    let counts = (any_count(), any_count(), any_count(), any_count());
    (counts, 1..3_i64, 1..3_i64, any::<bool>()).prop_map(
        |((desired, replicas, updated, available), now, seen, late)| DeploymentView {
            generation: now,
            observed_generation: seen,
            conditions: late.then(deadline_exceeded).into_iter().collect(),
            ..deployment(desired, replicas, updated, available)
        },
    )
}

fn any_container() -> impl Strategy<Value = ContainerView> {
    let waits = select(vec![
        "",
        "ErrImagePull",
        "CrashLoopBackOff",
        "CreateContainerConfigError",
        "ContainerCreating",
    ]);
    let ends = proptest::option::of((any::<i32>(), select(vec!["OOMKilled", "Error"])));
    (waits, ".{0,30}", ends, any::<[bool; 3]>(), 0..4).prop_map(
        |(waits, text, ends, [ready, started, running], restarts)| ContainerView {
            ready,
            started,
            running,
            restarts,
            waiting: (!waits.is_empty()).then(|| (waits.to_owned(), text)),
            terminated: ends.map(|(code, reason)| (code, reason.to_owned())),
            ..container("orders")
        },
    )
}

fn any_pod() -> impl Strategy<Value = PodView> {
    let texts = (proptest::option::of(".{0,30}"), proptest::option::of(".{0,30}"));
    (0..5_i64, any::<bool>(), texts, proptest::collection::vec(any_container(), 0..3)).prop_map(
        |(number, deleting, (unschedulable, probe_message), containers)| PodView {
            deleting,
            unschedulable,
            probe_message,
            containers,
            ..pod(number, container("orders"))
        },
    )
}

fn any_outcome() -> impl Strategy<Value = Vec<ChildOutcome>> {
    let child = (
        select(vec!["Deployment", "Service", "Secret"]),
        prop::bool::weighted(0.1),
        proptest::option::weighted(0.15, any_problem()),
    );
    let child = child.prop_map(|(kind, held, problem)| ChildOutcome { held, problem, ..child_of(kind) });
    proptest::collection::vec(child, 0..4)
}

fn child_of(kind: &str) -> ChildOutcome {
    super::samples::child(kind)
}

fn any_scaling() -> impl Strategy<Value = Scaling> {
    prop_oneof![Just(Scaling::Stopped), Just(autoscaled(1, 4)), any_count().prop_map(Scaling::Static)]
}

fn any_world() -> impl Strategy<Value = World> {
    let object = (proptest::option::weighted(0.9, 1..4_i64), prop::bool::weighted(0.1));
    let intent =
        (prop::bool::weighted(0.85), any_scaling(), prop::bool::weighted(0.15), select(vec!["a", "b"]));
    let engine = (
        proptest::option::weighted(0.85, any_outcome()),
        proptest::option::weighted(0.1, any_problem()),
        proptest::option::weighted(0.9, any_deployment()),
        proptest::collection::vec(any_pod(), 0..3),
    );
    (object, intent, engine).prop_map(|((generation, suspend), (valid, scaling, waits, hash), engine)| {
        let mut world = World::new();
        world.object.metadata.generation = generation;
        world.object.spec.suspend = suspend;
        world.intent().scaling = scaling;
        world.intent().missing = waits.then(|| missing("db", Some("url"))).into_iter().collect();
        if !valid {
            world.intent = Err(vec![violation(Reason::GuardrailViolated)]);
        }
        world.hash = Some(hash.to_owned());
        (world.outcome, world.blocked, world.deployment, world.pods) = engine;
        world
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn every_status_keeps_the_rules(passes in proptest::collection::vec(any_world(), 1..6)) {
        let mut previous = None;
        for (number, mut world) in passes.into_iter().enumerate() {
            world.now = 100 * i64::try_from(number).unwrap();
            world.object.status = previous.clone();
            let status = world.compute();
            let conditions = &status.conditions;
            let generation = world.object.metadata.generation;

            prop_assert_eq!(status.observed_generation, generation);
            for condition in conditions {
                prop_assert_eq!(condition.observed_generation, generation);
                prop_assert!(condition.message.len() <= 1024);
                prop_assert!(Reason::parse(&condition.reason).is_some());
                prop_assert!(MICROSERVICE.iter().any(|(known, _)| *known == condition.type_));
                let old = previous.as_ref().and_then(|old: &crate::api::MicroserviceStatus| find(&old.conditions, &condition.type_));
                let kept = old.filter(|old| old.status == condition.status);
                let since = kept.map_or(time(world.now), |old| old.last_transition_time.clone());
                prop_assert_eq!(&condition.last_transition_time, &since);
            }
            if is_true(conditions, "Ready") {
                for type_ in ["Accepted", "Applied", "Available"] {
                    prop_assert!(is_true(conditions, type_), "{} of {:?}", type_, conditions);
                }
                prop_assert!(find(conditions, "SecretsReady").is_none_or(|secrets| secrets.status != "False"));
                prop_assert!(!is_true(conditions, "Stalled"));
            }
            for type_ in ["Reconciling", "Stalled"] {
                prop_assert!(find(conditions, type_).is_none_or(|condition| condition.status == "True"));
            }
            prop_assert!(!(is_true(conditions, "Reconciling") && is_true(conditions, "Stalled")));

            // Fed back it says the same, so that a pass at rest writes nothing and tells nothing.
            world.object.status = Some(status.clone());
            world.now += 50;
            let again = world.compute();
            prop_assert_eq!(&again, &status);
            prop_assert!(equal_ignoring_times(&again, &status));
            prop_assert!(events::transitions(&status.conditions, &again.conditions).is_empty());
            previous = Some(status);
        }
    }
}
