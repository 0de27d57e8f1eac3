//! A table per condition, and the life of a service pass by pass.

use super::samples::*;
use super::*;
use crate::api::status::{ChildStatus, ReferenceStatus, SecretStatus};
use crate::api::{MicroserviceStatus, Reason};
use crate::intent::Scaling;

/// Asserts `True Reason` (or `-`) of conditions.
#[track_caller]
fn assert_conditions(status: &MicroserviceStatus, expected: &[(&str, &str)]) {
    for (type_, text) in expected {
        assert_eq!(short(status, type_), *text, "{type_} of {:#?}", status.conditions);
    }
}

#[test]
fn a_new_object_goes_from_pending_over_rollout_to_ready() {
    let mut world = World::new();
    let outcome = world.outcome.take();
    world.deployment = None;
    let status = world.step();
    assert_conditions(
        &status,
        &[
            ("Ready", "False Progressing"),
            ("Reconciling", "True Progressing"),
            ("Accepted", "True Accepted"),
            ("Applied", "Unknown Progressing"),
            ("Available", "False RolloutInProgress"),
            ("SecretsReady", "-"),
            ("Stalled", "-"),
        ],
    );
    assert_eq!(status.ready.as_deref(), Some("0/3"));

    world.outcome = outcome;
    world.deployment = Some(deployment(3, 2, 2, 1));
    let status = world.step();
    assert_conditions(
        &status,
        &[
            ("Ready", "False RolloutInProgress"),
            ("Reconciling", "True Progressing"),
            ("Applied", "True Applied"),
        ],
    );
    assert_eq!(status.completed_template, None);
    assert_eq!(
        condition(&status, "Ready").message,
        "Rollout under way: 2 of 3 pods are updated, 1 available."
    );

    world.deployment = Some(deployment(3, 3, 3, 3));
    let status = world.step();
    assert_conditions(
        &status,
        &[("Ready", "True Ready"), ("Available", "True Available"), ("Reconciling", "-")],
    );
    assert_eq!(status.completed_template.as_deref(), Some("template-a"));
    assert_eq!(condition(&status, "Ready").message, "3 of 3 pods are available.");
}

#[test]
fn fields_describe_the_service() {
    let status = World::new().compute();
    assert_eq!(status.observed_generation, Some(2));
    assert_eq!(
        (status.replicas, status.ready_replicas, status.updated_replicas),
        (Some(3), Some(3), Some(3))
    );
    let text = |field: &Option<String>| field.clone().unwrap_or_default();
    assert_eq!(text(&status.ready), "3/3");
    assert_eq!(text(&status.reason), "Ready");
    assert_eq!(text(&status.selector), "microservice.dev/name=orders");
    assert_eq!(text(&status.url), "http://orders.shop.svc:3000");
    assert_eq!(text(&status.image), "orders:v9");
    assert_eq!(text(&status.class), "web");
    assert_eq!(text(&status.class_revision), "revision");
    assert_eq!(status.children.len(), 3);
    assert_eq!(status.children[2].uid, Some("uid-of-deployment".into()));
    assert!(status.children.iter().all(|child| child.ready && child.message.is_none()));
}

#[test]
fn the_url_follows_the_main_port() {
    let cases = [
        ("http", None, Some("http://orders.shop.svc:3000")),
        ("web", Some("https"), Some("https://orders.shop.svc:3000")),
        ("rpc", Some("grpc"), Some("grpc://orders.shop.svc:3000")),
        ("grpc-api", None, Some("grpc://orders.shop.svc:3000")),
        ("", None, None),
    ];
    for (name, protocol, url) in cases {
        let mut world = World::new();
        if name.is_empty() {
            world.intent().ports.clear();
        } else {
            world.intent().ports[0].name = name.to_owned();
            world.intent().ports[0].app_protocol = protocol.map(str::to_owned);
        }
        assert_eq!(world.compute().url.as_deref(), url, "{name}");
    }
}

#[test]
fn a_new_generation_never_shows_the_old_ready() {
    let mut world = World::new();
    world.step();
    world.object.metadata.generation = Some(3);
    world.hash = Some("template-b".to_owned());
    let outcome = world.outcome.take();
    let status = world.step();
    assert_eq!(status.observed_generation, Some(3));
    assert_conditions(&status, &[("Ready", "Unknown Progressing"), ("Reconciling", "True Progressing")]);
    // Applied, but the Deployment controller has not looked yet: its counts are those of the old template.
    world.outcome = outcome;
    world.deployment.as_mut().unwrap().generation = 3;
    let expected = [("Ready", "False RolloutInProgress"), ("Reconciling", "True Progressing")];
    assert_conditions(&world.step(), &expected);
    // All new pods exist at once (maxSurge 100 %), the old ones serve.
    world.deployment = Some(deployment(3, 6, 3, 3));
    assert_conditions(&world.step(), &expected);
    world.deployment = Some(deployment(3, 3, 3, 3));
    assert_conditions(&world.step(), &[("Ready", "True Ready"), ("Reconciling", "-")]);
}

#[test]
fn pods_that_are_lost_stay_lost_while_a_child_is_refused() {
    let mut world = World::new();
    world.step();
    world.deployment = Some(deployment(3, 0, 0, 0));
    let mut refused = child("Service");
    refused.problem = Some(problem(Reason::Rejected, "no"));
    world.outcome = Some(vec![refused]);
    for _ in 0..2 {
        assert_conditions(
            &world.step(),
            &[("Available", "False PodsUnavailable"), ("Stalled", "True Rejected")],
        );
    }
}

#[test]
fn back_to_the_last_good_template_waits_for_the_pods_of_the_bad_one() {
    let mut world = World::new();
    world.step();
    world.object.metadata.generation = Some(3);
    world.hash = Some("template-b".to_owned());
    world.deployment = Some(deployment(3, 4, 2, 3));
    world.step();
    world.object.metadata.generation = Some(4);
    world.hash = Some("template-a".to_owned());
    let status = world.step();
    assert_conditions(&status, &[("Ready", "False RolloutInProgress"), ("Reconciling", "True Progressing")]);
}

#[test]
fn once_complete_only_lost_pods_make_it_unavailable() {
    let mut idle = deployment(3, 3, 3, 3);
    idle.generation = 7; // an autoscaler wrote, nobody has looked yet
    let cases = [
        ("one drained node", Scaling::Static(3), deployment(3, 3, 3, 2), "True Available"),
        ("two lost pods", Scaling::Static(3), deployment(3, 3, 3, 1), "False PodsUnavailable"),
        ("autoscaler adds pods", autoscaled(3, 20), deployment(20, 20, 20, 3), "True Available"),
        ("autoscaler, not observed yet", autoscaled(3, 20), idle, "True Available"),
        (
            "autoscaler, below the minimum",
            autoscaled(3, 20),
            deployment(20, 20, 20, 1),
            "False PodsUnavailable",
        ),
        ("all lost", Scaling::Static(1), deployment(1, 1, 1, 0), "False PodsUnavailable"),
    ];
    for (name, scaling, live, expected) in cases {
        let mut world = World::new();
        world.intent().scaling = scaling;
        world.step();
        world.deployment = Some(live);
        let status = world.step();
        assert_eq!(short(&status, "Available"), expected, "{name}");
        assert_eq!(short(&status, "Reconciling"), "-", "{name}: the generation was seen through");
    }
}

#[test]
fn scaling_up_is_work_until_all_pods_serve() {
    let mut world = World::new();
    world.step();
    world.object.metadata.generation = Some(3);
    world.intent().scaling = Scaling::Static(10);
    world.deployment = Some(deployment(10, 10, 10, 3));
    let expected = [("Ready", "False RolloutInProgress"), ("Reconciling", "True Progressing")];
    assert_conditions(&world.step(), &expected);
    world.deployment = Some(deployment(10, 10, 10, 9));
    assert_conditions(&world.step(), &[("Ready", "True Ready"), ("Reconciling", "True Progressing")]);
    world.deployment = Some(deployment(10, 10, 10, 10));
    assert_conditions(&world.step(), &[("Ready", "True Ready"), ("Reconciling", "-")]);
}

#[test]
fn a_rollout_past_its_deadline_is_stalled() {
    let mut world = World::new();
    let mut live = deployment(3, 4, 1, 3);
    live.conditions.push(deadline_exceeded());
    world.deployment = Some(live);
    assert_conditions(
        &world.compute(),
        &[("Available", "False RolloutFailed"), ("Stalled", "True RolloutFailed"), ("Reconciling", "-")],
    );
    world.pods = vec![pod(1, waiting("ImagePullBackOff", "orders:v9: not found"))];
    let status = world.compute();
    assert_conditions(
        &status,
        &[
            ("Ready", "False ImagePullFailed"),
            ("Available", "False ImagePullFailed"),
            ("Stalled", "True RolloutFailed"),
        ],
    );
    let message = &condition(&status, "Stalled").message;
    assert!(message.ends_with("; 3 old pods keep serving."), "{message}");
    // The deadline of the old template says nothing about the new one.
    world.deployment.as_mut().unwrap().generation = 3;
    world.pods.clear();
    assert_conditions(&world.compute(), &[("Stalled", "-"), ("Available", "False RolloutInProgress")]);
}

#[test]
fn zero_replicas_are_ready_when_all_pods_are_gone() {
    let mut world = World::new();
    world.step();
    world.object.metadata.generation = Some(3);
    world.intent().scaling = Scaling::Stopped;
    world.deployment = Some(deployment(0, 2, 2, 2));
    assert_conditions(
        &world.step(),
        &[("Ready", "False RolloutInProgress"), ("Reconciling", "True Progressing")],
    );
    world.deployment = Some(deployment(0, 0, 0, 0));
    let status = world.step();
    assert_conditions(&status, &[("Ready", "True ScaledToZero"), ("Reconciling", "-")]);
    assert_eq!(status.completed_template.as_deref(), Some("template-a"));
    assert_eq!(status.ready.as_deref(), Some("0/0"));
}

#[test]
fn a_live_zero_under_an_autoscaler_is_reported() {
    let mut world = World::new();
    world.step();
    world.intent().scaling = autoscaled(2, 5);
    world.deployment = Some(deployment(0, 0, 0, 0));
    let status = world.step();
    assert_conditions(&status, &[("Ready", "False AutoscalerIdle"), ("Reconciling", "-"), ("Stalled", "-")]);
    assert!(condition(&status, "Ready").message.contains("kubectl scale deployment orders --replicas=2"));
}

#[test]
fn suspension_keeps_the_truth_and_says_so() {
    let mut world = World::new();
    world.step();
    world.object.metadata.generation = Some(3);
    world.object.spec.suspend = true;
    world.outcome = None;
    let status = world.step();
    assert_conditions(
        &status,
        &[
            ("Ready", "True Suspended"),
            ("Applied", "True Suspended"),
            ("Available", "True Available"),
            ("Reconciling", "-"),
        ],
    );
    assert_eq!(status.reason.as_deref(), Some("Suspended"));
    assert_eq!(status.children.len(), 3);
    world.deployment = Some(deployment(3, 3, 3, 0));
    let status = world.step();
    assert_conditions(&status, &[("Ready", "False Suspended"), ("Available", "False PodsUnavailable")]);
    let message = &condition(&status, "Ready").message;
    assert!(message.starts_with("Suspended: ") && message.contains("0 of 3 pods"), "{message}");
}

#[test]
fn suspension_keeps_a_problem_of_a_child_but_not_that_of_an_invalid_spec() {
    for (reason, expected) in
        [(Reason::Conflict, "False Conflict"), (Reason::InvalidSpec, "Unknown Suspended")]
    {
        let mut world = World::new();
        if reason == Reason::InvalidSpec {
            let intent = std::mem::replace(&mut world.intent, Err(vec![violation(reason)]));
            world.step();
            world.intent = intent;
        } else {
            world.outcome.as_mut().unwrap()[1].problem = Some(problem(reason, "it is foreign"));
            world.step();
        }
        world.object.spec.suspend = true;
        assert_eq!(short(&world.step(), "Applied"), expected);
    }
}

#[test]
fn an_invalid_spec_keeps_what_is_recorded() {
    let mut world = World::new();
    let mut before = world.step();
    let reference = ReferenceStatus { name: "db".to_owned(), ..ReferenceStatus::default() };
    before.references = vec![reference];
    before.secrets = vec![SecretStatus { name: "own".to_owned(), ..SecretStatus::default() }];
    world.object.status = Some(before.clone());
    world.object.metadata.generation = Some(3);
    world.hash = None;
    for reason in [Reason::InvalidSpec, Reason::ClassNotFound, Reason::GuardrailViolated] {
        world.intent = Err(vec![violation(reason), violation(reason), violation(reason), violation(reason)]);
        let status = world.compute();
        let word = reason.as_str();
        assert_conditions(
            &status,
            &[
                ("Ready", format!("False {word}").as_str()),
                ("Accepted", format!("False {word}").as_str()),
                ("Stalled", format!("True {word}").as_str()),
                ("Available", "True Available"),
                ("Reconciling", "-"),
            ],
        );
        let one = "spec.port: must be between 1 and 65535";
        let expected = format!("{one}; {one}; {one} (and 1 more)");
        assert_eq!(condition(&status, "Accepted").message, expected);
        assert_eq!(status.observed_generation, Some(3));
        assert_eq!(
            (&status.children, &status.references, &status.secrets),
            (&before.children, &before.references, &before.secrets)
        );
        assert_eq!((&status.image, &status.url), (&before.image, &before.url));
        assert_eq!((status.replicas, status.ready.as_deref()), (Some(3), Some("3/3")));
        assert_eq!(status.completed_template, before.completed_template);
    }
}

#[test]
fn a_missing_reference_waits_and_names_what_for() {
    let mut world = World::new();
    world.step();
    world.object.metadata.generation = Some(3);
    world.hash = Some("template-b".to_owned());
    world.intent().image = "orders:v10".to_owned();
    world.intent().missing =
        vec![missing("orders-db", Some("url")), missing("orders-db", Some("user")), missing("tls", None)];
    world.outcome.as_mut().unwrap()[2].held = true;
    let status = world.step();
    assert_conditions(
        &status,
        &[
            ("Ready", "False WaitingForSecret"),
            ("SecretsReady", "False WaitingForSecret"),
            ("Applied", "False WaitingForSecret"),
            ("Available", "True Available"),
            ("Reconciling", "True WaitingForSecret"),
            ("Stalled", "-"),
        ],
    );
    let message = &condition(&status, "SecretsReady").message;
    let names = "keys \"url\", \"user\" of Secret \"orders-db\" and Secret \"tls\"";
    assert!(message.contains(names), "{message}");
    assert_eq!(status.completed_template.as_deref(), Some("template-a"));
    assert_eq!(status.image.as_deref(), Some("orders:v9"), "the old image runs");
    assert!(!status.children[2].ready);
    // The Secret appears.
    world.intent().missing.clear();
    world.intent().secrets = vec![Default::default()];
    world.object.spec.secrets = Some(vec![Default::default()]);
    world.outcome.as_mut().unwrap()[2].held = false;
    assert_conditions(&world.step(), &[("SecretsReady", "True SecretsReady"), ("Applied", "True Applied")]);
}

#[test]
fn a_new_service_that_waits_for_a_secret_has_no_pods() {
    let mut world = World::new();
    world.intent().missing = vec![missing("orders-db", Some("url"))];
    world.outcome.as_mut().unwrap()[2].held = true;
    world.deployment = None;
    let status = world.step();
    assert_conditions(
        &status,
        &[("Available", "False WaitingForSecret"), ("Reconciling", "True WaitingForSecret")],
    );
    let message = &condition(&status, "Ready").message;
    assert!(message.starts_with("Waiting for key \"url\" of Secret \"orders-db\""), "{message}");
}

#[test]
fn the_worst_child_decides_and_each_is_named() {
    let cases = [
        (Reason::Conflict, true),
        (Reason::Rejected, true),
        (Reason::Forbidden, true),
        (Reason::ApiNotServed, false),
        (Reason::DriftContested, false),
        (Reason::ApiUnavailable, false),
    ];
    for (reason, stalls) in cases {
        let mut world = World::new();
        let children = world.outcome.as_mut().unwrap();
        children[0].problem = Some(problem(Reason::ApiUnavailable, "no answer"));
        children[1].problem = Some(problem(reason, "somebody else owns it"));
        let status = world.compute();
        let (word, type_, other) =
            if stalls { ("True", "Stalled", "Reconciling") } else { ("True", "Reconciling", "Stalled") };
        let expected = format!("False {}", reason.as_str());
        assert_conditions(
            &status,
            &[
                ("Ready", &expected),
                ("Applied", &expected),
                (type_, &format!("{word} {}", reason.as_str())),
                (other, "-"),
                ("Available", "True Available"),
            ],
        );
        let message = &condition(&status, "Applied").message;
        assert!(message.contains("Service \"orders\": somebody else owns it"), "{message}");
        assert!(message.contains("ServiceAccount \"orders\": no answer"), "{message}");
        assert_eq!(status.children[1].message.as_deref(), Some("somebody else owns it"));
    }
}

#[test]
fn a_child_that_failed_keeps_its_record_and_a_pruned_one_loses_it() {
    let mut world = World::new();
    world.outcome.as_mut().unwrap().push(child("PodDisruptionBudget"));
    world.step();
    let children = world.outcome.as_mut().unwrap();
    children.pop();
    children[1].uid = None;
    children[1].digest = None;
    children[1].problem = Some(problem(Reason::Rejected, "no"));
    let status = world.step();
    let kinds: Vec<_> = status.children.iter().map(|child| child.kind.as_str()).collect();
    assert_eq!(kinds, ["ServiceAccount", "Service", "Deployment"]);
    let ChildStatus { uid, digest, ready, .. } = &status.children[1];
    assert_eq!((uid, digest, *ready), (&Some("uid-of-service".into()), &Some("5f1c8e".into()), false));
}

#[test]
fn what_blocks_a_pass_does_not_make_a_serving_service_unready() {
    let cases = [
        (Reason::WaitingForTurn, "True Ready", "Reconciling"),
        (Reason::ApiUnavailable, "True Ready", "Reconciling"),
        (Reason::Forbidden, "False Forbidden", "Stalled"),
    ];
    for (reason, ready, type_) in cases {
        let mut world = World::new();
        world.step();
        world.blocked = Some(problem(reason, "so it is"));
        world.outcome = None;
        let status = world.step();
        let shown = format!("True {}", reason.as_str());
        assert_conditions(&status, &[("Ready", ready), (type_, &shown)]);
        assert_eq!(status.children.len(), 3);
        assert_eq!(status.class_revision.as_deref(), Some("revision"));
        // A generation that was never applied is not Ready.
        world.object.metadata.generation = Some(3);
        assert_conditions(&world.step(), &[("Ready", &format!("False {}", reason.as_str()))]);
    }
}

#[test]
fn a_deployment_that_could_not_be_read_leaves_the_counts() {
    let mut world = World::new();
    world.step();
    world.deployment = None;
    world.outcome = None;
    world.blocked = Some(problem(Reason::ApiUnavailable, "The API server did not answer."));
    let status = world.step();
    assert_eq!(status.ready.as_deref(), Some("3/3"));
    assert_conditions(
        &status,
        &[("Available", "Unknown ApiUnavailable"), ("Ready", "Unknown ApiUnavailable")],
    );
}

#[test]
fn an_older_object_is_awaited() {
    let mut world = World::new();
    world.blocked =
        Some(problem(Reason::WaitingForDeletion, "Deployment \"orders\" is still being deleted."));
    world.outcome = None;
    world.deployment = None;
    let expected = [("Ready", "False WaitingForDeletion"), ("Reconciling", "True WaitingForDeletion")];
    assert_conditions(&world.compute(), &expected);
}

#[test]
fn transition_times_move_with_the_status_only() {
    let mut world = World::new();
    let first = world.step();
    let at = |status: &MicroserviceStatus, type_| condition(status, type_).last_transition_time.clone();
    assert_eq!(at(&first, "Ready"), time(10));
    world.deployment = Some(deployment(3, 3, 3, 2));
    let second = world.step();
    assert_ne!(condition(&second, "Ready").message, condition(&first, "Ready").message);
    assert_eq!(at(&second, "Ready"), time(10));
    world.deployment = Some(deployment(3, 3, 3, 0));
    let third = world.step();
    assert_eq!((at(&third, "Ready"), at(&third, "Applied")), (time(30), time(10)));
}

#[test]
fn statuses_are_compared_without_times_and_order() {
    let mut world = World::new();
    let first = world.compute();
    world.now = 500;
    let mut second = world.compute();
    assert_ne!(first, second);
    second.conditions.reverse();
    assert!(equal_ignoring_times(&first, &second));
    second.conditions[0].message.push('!');
    assert!(!equal_ignoring_times(&first, &second));
    let mut third = first.clone();
    third.conditions.pop();
    assert!(!equal_ignoring_times(&first, &third) && !equal_ignoring_times(&third, &first));
}

#[test]
fn long_messages_are_cut() {
    let mut world = World::new();
    let long = crate::intent::Violation { message: "ä".repeat(4000), ..violation(Reason::InvalidSpec) };
    world.intent = Err(vec![long, violation(Reason::InvalidSpec)]);
    let status = world.compute();
    let message = &condition(&status, "Accepted").message;
    assert!(message.len() <= 1024 && message.ends_with("… (and 1 more)"), "{}", message.len());
}

#[test]
fn what_was_stalled_was_not_seen_through() {
    let mut world = World::new();
    world.step();
    world.object.metadata.generation = Some(3);
    let intent = std::mem::replace(&mut world.intent, Err(vec![violation(Reason::ClassNotFound)]));
    world.step();
    // The class appears; the Deployment controller has not looked at the apply that followed.
    world.intent = intent;
    world.deployment.as_mut().unwrap().generation = 3;
    let expected =
        [("Ready", "False RolloutInProgress"), ("Reconciling", "True Progressing"), ("Stalled", "-")];
    assert_conditions(&world.step(), &expected);
}
