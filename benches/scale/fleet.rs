//! N copies of a recorded object and its children, consistent with what the operator wants: with the plan
//! hashes and digests that each copy has by its own name and UIDs.

use std::fmt::Write;

use microservice_operator::api::Microservice;
use microservice_operator::api::id::Id;
use microservice_operator::cli::Inputs;
use microservice_operator::engine::managed_fields::{Verdict, entries};
use microservice_operator::intent::Intent;
use microservice_operator::plan::{Kind, Plan, kinds, plan};
use rayon::prelude::*;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::record::{Recording, Stored};
use crate::template::{Hole, Template};
use crate::workload::name;

const PLAN_HASH: &str = "/metadata/annotations/microservice.dev~1plan-hash";

/// All copies.
pub struct Fleet {
    /// The namespace of all of them.
    pub namespace: String,
    root: Template,
    children: Vec<Child>,
    /// What cannot be put together from names and numbers, by copy.
    known: Vec<Known>,
}

struct Child {
    kind: Kind,
    /// Its own name, after that of the Microservice.
    suffix: String,
    text: Template,
    managed_fields: Template,
}

#[derive(Default)]
struct Known {
    hashes: Vec<Id>,
    digests: Vec<Id>,
    pods: Id,
}

impl Fleet {
    /// So many copies.
    pub fn new(recording: &Recording, count: usize) -> Self {
        let marks = marks(recording);
        let children = recording.children.iter().map(|Stored { kind, object }| Child {
            kind: kinds().into_iter().find(|one| one.kind == kind).expect("it is a kind of children"),
            suffix: text(object, "/metadata/name")
                .strip_prefix(&name(0))
                .expect("it has its service's name")
                .to_owned(),
            text: Template::new(&object.to_string(), &marks),
            managed_fields: Template::new(&object["metadata"]["managedFields"].to_string(), &marks),
        });
        let mut fleet = Self {
            namespace: recording.namespace.clone(),
            root: Template::new(&recording.root.to_string(), &marks),
            children: children.collect(),
            known: Vec::new(),
        };
        fleet.check(recording);
        fleet.known = (0..count).into_par_iter().map(|number| fleet.learn(number)).collect();
        fleet
    }

    /// Number of copies.
    pub fn len(&self) -> usize {
        self.known.len()
    }

    /// Children of each copy.
    pub fn children(&self) -> usize {
        self.children.len()
    }

    /// The recorded object as the operator plans it has the recorded hashes: what copies are given can
    /// then be relied upon.
    fn check(&self, recording: &Recording) {
        let object: Microservice =
            serde_json::from_value(recording.root.clone()).expect("the recording is a Microservice");
        let planned = planned(&object);
        for (child, recorded) in self.children.iter().zip(&recording.children) {
            let hash = hash_of(&planned, child, &name(0)).to_string();
            assert_eq!(
                hash,
                text(&recorded.object, PLAN_HASH),
                "{} is not stored as it is planned here",
                child.kind.kind
            );
        }
        let pods = planned.template_hash().expect("a service has pods");
        assert_eq!(pods, text(&recording.root, "/status/completedTemplate"));
        let holes = (0..=self.children.len())
            .flat_map(|slot| [Hole::Uid(slot)].into_iter().chain((slot > 0).then_some(Hole::Digest(slot))));
        for hole in holes {
            assert!(self.root.has(hole), "the status does not hold {hole:?}");
        }
    }

    /// What a copy has by its names.
    fn learn(&self, number: usize) -> Known {
        let mut known = Known::default();
        for child in &self.children {
            let fields = filled(&child.managed_fields, number, &known);
            let fields = RawValue::from_string(fields).expect("managedFields are JSON");
            known
                .digests
                .push(Verdict::of(&entries(Some(&fields))).digest.expect("the operator has applied it"));
        }
        let object: Microservice =
            serde_json::from_str(&filled(&self.root, number, &known)).expect("a copy is a Microservice");
        let planned = planned(&object);
        known.hashes = self.children.iter().map(|child| hash_of(&planned, child, &name(number))).collect();
        known.pods = Id::from(planned.template_hash().expect("a service has pods"));
        known
    }

    /// Plurals of the kinds of their children.
    pub fn plurals(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.children.iter().map(|child| child.kind.plural)
    }

    /// The Microservice of this number as JSON.
    pub fn root(&self, number: usize) -> String {
        filled(&self.root, number, &self.known[number])
    }

    /// Its child of this kind, if copies have one.
    pub fn child(&self, plural: &str, number: usize) -> Option<String> {
        let child = self.children.iter().find(|child| child.kind.plural == plural)?;
        Some(filled(&child.text, number, &self.known[number]))
    }
}

/// The greatest version that copies have.
pub fn last_version(fleet: &Fleet) -> u64 {
    version(fleet.len(), 0)
}

fn version(number: usize, slot: usize) -> u64 {
    1_000 + number as u64 * 16 + slot as u64
}

/// The text of a copy.
fn filled(template: &Template, number: usize, known: &Known) -> String {
    let mut text = String::with_capacity(12_000);
    template.write(&mut text, |hole, text| fill(number, known, hole, text));
    text
}

fn fill(number: usize, known: &Known, hole: Hole, text: &mut String) {
    let written = match hole {
        Hole::Name => write!(text, "{}", name(number)),
        Hole::Uid(slot) => write!(text, "{slot:08x}-5ca1-4e00-8000-{number:012x}"),
        Hole::Version(slot) => write!(text, "\"resourceVersion\":\"{}\"", version(number, slot)),
        Hole::Digest(slot) => write!(text, "{}", known.digests[slot - 1]),
        Hole::Hash(slot) => write!(text, "{}", known.hashes[slot - 1]),
        Hole::Pods => write!(text, "{}", known.pods),
    };
    written.expect("a text takes everything");
}

/// The texts that differ between copies, in the recording.
fn marks(recording: &Recording) -> Vec<(String, Hole)> {
    let mut marks = vec![(name(0), Hole::Name)];
    let children = recording.children.iter().map(|child| &child.object);
    let objects = [&recording.root].into_iter().chain(children);
    for (slot, object) in objects.enumerate() {
        marks.push((text(object, "/metadata/uid").to_owned(), Hole::Uid(slot)));
        let version = text(object, "/metadata/resourceVersion");
        marks.push((format!("\"resourceVersion\":\"{version}\""), Hole::Version(slot)));
        if slot > 0 {
            marks.push((text(object, PLAN_HASH).to_owned(), Hole::Hash(slot)));
            let fields =
                RawValue::from_string(object["metadata"]["managedFields"].to_string()).expect("it is JSON");
            let digest = Verdict::of(&entries(Some(&fields))).digest.expect("the operator has applied it");
            marks.push((digest.to_string(), Hole::Digest(slot)));
        }
    }
    marks.push((text(&recording.root, "/status/completedTemplate").to_owned(), Hole::Pods));
    marks
}

/// The plan of a stored object, as the operator that remembers its status makes it.
fn planned(object: &Microservice) -> Plan {
    let mut inputs = Inputs::default();
    inputs.meet(object, true);
    plan(&Intent::resolve(object, None, &inputs.observed(object)).expect("the reference object is valid"))
}

fn hash_of(plan: &Plan, child: &Child, service: &str) -> Id {
    let name = format!("{service}{}", child.suffix);
    let found = plan.children.iter().find(|planned| planned.kind == child.kind && planned.name == name);
    Id::from(found.unwrap_or_else(|| panic!("{} {name} is not planned", child.kind.kind)).plan_hash.as_str())
}

fn text<'v>(value: &'v Value, pointer: &str) -> &'v str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_else(|| panic!("the recording has no {pointer}"))
}
