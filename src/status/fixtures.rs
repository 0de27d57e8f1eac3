//! One whole object per state in `tests/fixtures/status`, for everything that judges objects by their
//! status. `UPDATE=1 cargo test status::fixtures` writes them anew. What tools make of each is in
//! `tests/fixtures/health.yaml`; the tools themselves are asked by `tests/health`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::class::{ClassInputs, class_status};
use super::kstatus::{Verdict, evaluate};
use super::samples::*;
use crate::api::class::{MicroserviceClass, MicroserviceClassSpec};
use crate::api::{Microservice, Reason};
use crate::intent::{Scaling, Violation};

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

/// Created, and not seen by any operator yet: the status is the CRD's default.
fn unseen() -> Microservice {
    let mut object = new().object;
    let status = crate::api::MicroserviceStatus { observed_generation: Some(-1), ..Default::default() };
    object.status = Some(status);
    object
}

/// Ready in generation 2, and edited since.
fn edited() -> Microservice {
    let mut object = changed().object;
    object.spec.image = "orders:v10".to_owned();
    object
}

/// A Secret is missing, so the first Deployment is not applied.
fn secret_missing() -> World {
    let mut world = new();
    world.intent().missing = vec![missing("orders-db", Some("url"))];
    world.outcome = Some(vec![child("ServiceAccount"), child("Service")]);
    world
}

/// The deadline of a rollout passed; the old pods serve.
fn rollout_failed() -> World {
    let mut failed = deployment(3, 4, 1, 3);
    failed.conditions = vec![deadline_exceeded()];
    World { deployment: Some(failed), ..changed() }
}

/// Created with `spec.suspend`: there is nothing that could serve.
fn created_suspended() -> World {
    let mut world = new();
    world.object.spec.suspend = true;
    world
}

fn class(name: &str, violations: &[Violation], status: bool) -> MicroserviceClass {
    let mut class = MicroserviceClass::new(name, MicroserviceClassSpec::default());
    class.metadata.generation = Some(1);
    class.metadata.creation_timestamp = Some(time(0));
    class.status = status.then(|| {
        let marked = [];
        class_status(&ClassInputs {
            name,
            generation: Some(1),
            previous: None,
            violations,
            marked: &marked,
            services: 7,
            report: None,
            now: time(10),
        })
    });
    class
}

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

/// Compares an object with its file, or writes the file.
fn stored<T: Serialize>(name: &str, object: &T) -> String {
    let text = serde_yaml::to_string(object).unwrap();
    let path = directory().join(format!("status/{name}.yaml"));
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let stored = std::fs::read_to_string(&path).unwrap();
    assert_eq!(stored, text, "{name}: run UPDATE=1 cargo test status::fixtures");
    stored
}

/// What kstatus should say, by the name of the object.
fn expected() -> BTreeMap<String, String> {
    #[derive(Deserialize)]
    struct Line {
        object: String,
        kstatus: String,
    }
    let text = std::fs::read_to_string(directory().join("health.yaml")).unwrap();
    let lines: Vec<Line> = serde_yaml::from_str(&text).unwrap();
    lines.into_iter().map(|line| (line.object, line.kstatus)).collect()
}

#[test]
fn fixtures_are_what_the_code_computes_and_kstatus_reads_them_right() {
    let expected = expected();
    let cases = [
        ("unseen", unseen()),
        ("edited", edited()),
        ("new", object(new())),
        ("progressing", object(progressing())),
        ("waiting", object(secret_missing())),
        ("ready", object(served())),
        ("degraded", object(degraded())),
        ("rollout-failed", object(rollout_failed())),
        ("stalled", object(stalled())),
        ("suspended", object(suspended())),
        ("created-suspended", object(created_suspended())),
        ("scaled-to-zero", object(scaled_to_zero())),
        ("deleting", object(deleting())),
    ];
    for (name, object) in cases {
        let read: Microservice = serde_yaml::from_str(&stored(name, &object)).unwrap();
        let verdict = format!("{:?}", evaluate(&read));
        assert_eq!(Some(&verdict), expected.get(name), "{name}");
    }
}

#[test]
fn classes_are_what_the_code_computes() {
    let broken = [violation(Reason::InvalidSpec)];
    stored("class-accepted", &class("web", &[], true));
    stored("class-invalid", &class("web", &broken, true));
    stored("class-unseen", &class("web", &[], false));
}

#[test]
fn an_object_is_never_current_between_its_creation_and_the_first_status() {
    assert_eq!(evaluate(&unseen()), Verdict::InProgress);
}

#[test]
fn an_edited_object_is_in_progress_before_and_after_the_first_pass() {
    let mut world = changed();
    assert_eq!(evaluate(&world.object), Verdict::InProgress);
    world.outcome = None;
    world.step();
    assert_eq!(evaluate(&world.object), Verdict::InProgress);
}
