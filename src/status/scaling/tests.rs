//! The condition ScalingReady in every situation.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use crate::api::Reason;
use crate::api::status::{TopicState, TopicStatus};
use crate::intent::lag::{LagScaling, LagTopic};
use crate::intent::{AutoScaling, Scaling};
use crate::status::events::{EventKind, transitions};
use crate::status::samples::*;

fn lagging(max: i32, served: bool) -> Scaling {
    let Scaling::Auto(auto) = autoscaled(2, max) else { panic!("it is autoscaled") };
    let topic = |name: &str| LagTopic {
        name: name.to_owned(),
        physical_name: format!("shop.{name}"),
        group: "shop.orders".to_owned(),
        threshold: 10,
        activation: 0,
    };
    let lag = LagScaling {
        topics: vec![topic("a"), topic("b")],
        metrics: Vec::new(),
        bootstrap_servers: vec!["kafka:9092".to_owned()],
        tls: false,
        login: None,
        served,
    };
    Scaling::Auto(Box::new(AutoScaling { lag: Some(Box::new(lag)), ..*auto }))
}

fn world(max: i32, served: bool) -> World {
    let mut world = World::new();
    world.intent().scaling = lagging(max, served);
    world.outcome.as_mut().unwrap().push(child("ScaledObject"));
    world
}

fn message(world: &mut World) -> String {
    condition(&world.step(), "ScalingReady").message.clone()
}

#[test]
fn it_is_told_only_where_lag_scales() {
    assert_eq!(short(&World::new().step(), "ScalingReady"), "-");
    let mut plain = World::new();
    plain.intent().scaling = autoscaled(2, 5);
    assert_eq!(short(&plain.step(), "ScalingReady"), "-");
    let mut lagging = world(5, true);
    assert_eq!(short(&lagging.step(), "ScalingReady"), "True ScalingReady");
    assert_eq!(
        message(&mut lagging),
        "ScaledObject \"orders\" scales by the lag of topic \"shop.a\" and topic \"shop.b\"."
    );
}

#[test]
fn without_keda_it_says_what_to_install_and_the_service_stays_ready() {
    let mut world = world(5, false);
    let status = world.step();
    assert_eq!(short(&status, "ScalingReady"), "False ApiNotServed");
    assert_eq!(short(&status, "Ready"), "True Ready");
    assert_eq!((short(&status, "Reconciling"), short(&status, "Stalled")), ("-".to_owned(), "-".to_owned()));
    let message = &condition(&status, "ScalingReady").message;
    assert!(message.contains("install KEDA") && message.contains("keda.sh/v1alpha1"), "{message}");
    world.intent().scaling = lagging(5, true);
    assert_eq!(short(&world.step(), "ScalingReady"), "True ScalingReady");
}

#[test]
fn that_keda_comes_and_goes_is_an_event() {
    let events = |before: &[Condition], after: &[Condition]| -> Vec<(EventKind, String)> {
        transitions(before, after).into_iter().map(|draft| (draft.kind, draft.reason)).collect()
    };
    let mut lagging_service = world(5, true);
    let with = lagging_service.step().conditions;
    lagging_service.intent().scaling = lagging(5, false);
    let without = lagging_service.step().conditions;
    assert_eq!(events(&with, &without), [(EventKind::Warning, "ApiNotServed".to_owned())]);
    assert_eq!(events(&without, &with), [(EventKind::Normal, "ScalingReady".to_owned())]);
    assert!(events(&with, &with).is_empty());
}

#[test]
fn a_scaled_object_that_cannot_be_stored_is_named() {
    let mut world = world(5, true);
    world.outcome.as_mut().unwrap()[3].problem = Some(problem(Reason::Forbidden, "ScaledObject orders: no"));
    let status = world.step();
    assert_eq!(short(&status, "ScalingReady"), "False Forbidden");
    assert_eq!(short(&status, "Applied"), "False Forbidden");
    world.outcome.as_mut().unwrap()[3] =
        crate::status::views::ChildOutcome { held: true, ..child("ScaledObject") };
    assert_eq!(short(&world.step(), "ScalingReady"), "False WaitingForSecret");
}

#[test]
fn what_was_told_stands_while_nothing_is_carried_out() {
    let mut world = world(5, true);
    let before = world.step();
    world.object.spec.suspend = true;
    assert_eq!(short(&world.step(), "ScalingReady"), "True ScalingReady");
    world.object.spec.suspend = false;
    world.intent = Err(vec![violation(Reason::InvalidSpec)]);
    let status = world.step();
    assert_eq!(condition(&status, "ScalingReady").message, condition(&before, "ScalingReady").message);
    let mut new = self::world(5, true);
    new.outcome = None;
    assert_eq!(short(&new.step(), "ScalingReady"), "Unknown Progressing");
}

#[test]
fn more_pods_than_partitions_are_noted_and_not_cut() {
    let topic = |name: &str, partitions| TopicStatus {
        name: name.to_owned(),
        physical_name: format!("shop.{name}"),
        state: TopicState::Ready,
        partitions: Some(partitions),
        ..TopicStatus::default()
    };
    let lag = lagging(8, true);
    let Scaling::Auto(auto) = &lag else { panic!("{lag:?}") };
    let note = |topics: &[TopicStatus]| {
        super::idle_pods(&intent(), auto, auto.lag.as_deref().unwrap(), topics).unwrap_or_default()
    };
    assert!(note(&[topic("a", 3), topic("b", 4)]).contains("maxReplicas 8 is more than the 7 partitions"));
    assert_eq!(note(&[topic("a", 3), topic("b", 5)]), "");
    assert_eq!(note(&[topic("a", 3)]), "", "the partitions of the other one are not known");
}
