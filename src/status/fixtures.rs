//! One whole object per state in `tests/fixtures/status`, for everything that judges objects by their
//! status. `UPDATE=1 cargo test status::fixtures` writes them anew.

use std::path::Path;

use super::kstatus::{Verdict, evaluate};
use super::samples::*;
use crate::api::{Microservice, Reason};
use crate::intent::Scaling;

/// The object after one more pass.
fn object(mut world: World) -> Microservice {
    world.step();
    world.object
}

/// A service that was Ready in generation 2.
fn served() -> World {
    let mut world = World::new();
    world.object.spec.replicas = Some(3);
    world.step();
    world
}

/// The same with a new generation.
fn changed() -> World {
    let mut world = served();
    world.object.metadata.generation = Some(3);
    world.hash = Some("template-b".to_owned());
    world
}

fn new() -> World {
    let mut world = World::new();
    world.object.spec.replicas = Some(3);
    world.object.metadata.generation = Some(1);
    (world.outcome, world.deployment) = (None, None);
    world
}

fn progressing() -> World {
    World { deployment: Some(deployment(3, 4, 2, 3)), ..changed() }
}

fn degraded() -> World {
    let mut crashing = waiting("CrashLoopBackOff", "back-off 5m0s restarting failed container");
    crashing.terminated = Some((1, "Error".to_owned()));
    let pods = (1..=3).map(|n| pod(n, crashing.clone())).collect();
    World { deployment: Some(deployment(3, 3, 3, 0)), pods, ..served() }
}

fn stalled() -> World {
    let mut world = changed();
    world.intent = Err(vec![violation(Reason::InvalidSpec)]);
    world.object.spec.port = Some(70_000);
    world
}

fn suspended() -> World {
    let mut world = changed();
    world.object.spec.suspend = true;
    world.outcome = None;
    world
}

fn scaled_to_zero() -> World {
    let mut world = changed();
    world.hash = Some("template-a".to_owned());
    world.object.spec.replicas = Some(0);
    world.intent().scaling = Scaling::Stopped;
    world.deployment = Some(deployment(0, 0, 0, 0));
    world
}

fn deleting() -> World {
    let mut world = served();
    world.object.metadata.deletion_timestamp = Some(time(20));
    world.object.metadata.finalizers = Some(vec!["foregroundDeletion".to_owned()]);
    world
}

#[test]
fn fixtures_are_what_the_code_computes_and_kstatus_reads_them_right() {
    let cases = [
        ("new", new(), Verdict::InProgress),
        ("progressing", progressing(), Verdict::InProgress),
        ("ready", served(), Verdict::Current),
        ("degraded", degraded(), Verdict::InProgress),
        ("stalled", stalled(), Verdict::Failed),
        ("suspended", suspended(), Verdict::Current),
        ("scaled-to-zero", scaled_to_zero(), Verdict::Current),
        ("deleting", deleting(), Verdict::Terminating),
    ];
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/status");
    for (name, world, verdict) in cases {
        let object = object(world);
        let text = serde_yaml::to_string(&object).unwrap();
        let path = directory.join(format!("{name}.yaml"));
        if std::env::var_os("UPDATE").is_some() {
            std::fs::create_dir_all(&directory).unwrap();
            std::fs::write(&path, &text).unwrap();
        }
        let stored = std::fs::read_to_string(&path).unwrap();
        assert_eq!(stored, text, "{name}: run UPDATE=1 cargo test status::fixtures");
        let read: Microservice = serde_yaml::from_str(&stored).unwrap();
        assert_eq!(evaluate(&read), verdict, "{name}");
    }
}

#[test]
fn an_object_is_never_current_between_its_creation_and_the_first_status() {
    // What the CRD's default `status: {observedGeneration: -1}` makes of a new object.
    let mut object = new().object;
    let status = crate::api::MicroserviceStatus { observed_generation: Some(-1), ..Default::default() };
    object.status = Some(status);
    assert_eq!(evaluate(&object), Verdict::InProgress);
}

#[test]
fn an_edited_object_is_in_progress_before_and_after_the_first_pass() {
    let mut world = changed();
    assert_eq!(evaluate(&world.object), Verdict::InProgress);
    world.outcome = None;
    world.step();
    assert_eq!(evaluate(&world.object), Verdict::InProgress);
}
