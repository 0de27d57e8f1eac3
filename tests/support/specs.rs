//! Generated chains of specs of one Microservice: what the examples use of each property, edges, and what the
//! rules refuse.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::Path;
use std::sync::OnceLock;

use microservice_operator::api::{Microservice, MicroserviceSpec};
use microservice_operator::intent::ReferenceKind;
use microservice_operator::intent::references::{self, ReferenceKey};
use proptest::prelude::*;
use proptest::sample::Index;
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// Namespace of the Microservice.
pub const NAMESPACE: &str = "shop";
/// Its name.
pub const NAME: &str = "web";

/// How long a step lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// Until all is as planned.
    Settled,
    /// So many milliseconds: the next step comes in between.
    Millis(u16),
}

/// What somebody else does before a spec is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meddling {
    /// Nothing.
    Nothing,
    /// Deletes the Microservice: the spec is that of a new one of its name.
    Anew,
    /// Deletes a child, counted from 0 and round and round.
    Deletes(u8),
}

/// One spec of the chain.
#[derive(Clone)]
pub struct Step {
    /// What happens before.
    pub meddling: Meddling,
    /// The spec.
    pub spec: Map<String, Value>,
    /// How long until the next one.
    pub wait: Wait,
}

impl fmt::Debug for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.meddling != Meddling::Nothing {
            write!(f, "{:?}, ", self.meddling)?;
        }
        write!(f, "{:?}: {}", self.wait, Value::Object(self.spec.clone()))
    }
}

/// Values at the edges of what is allowed, and beyond what the rules allow, that no example has.
const EDGES: &str = "
port: [1, 65535, 8080]
replicas: [0, 1, 2, 1000]
minReadySeconds: [0, 1, 300]
autoscaling: [{maxReplicas: 2}, {minReplicas: 1, maxReplicas: 1000}, {minReplicas: 4, maxReplicas: 5}]
shutdown: [{drainSeconds: 0}, {drainSeconds: 3575, gracePeriodSeconds: 3600}, {drainSeconds: 9, gracePeriodSeconds: 9}]
resources: [{limits: {}}, {requests: {cpu: 1m}}, {requests: {cpu: '2'}, limits: {cpu: '1'}}]
config: [{}, {A: '1'}, {A: '2', B: '1'}]
env: [[], [{name: A, value: '1'}], [{name: B, value: '1'}, {name: A, value: '2'}]]
ports: [[], [{name: http, port: 80}], [{name: grpc, port: 50051}, {name: http, port: 80, containerPort: 8080}]]
disruptionBudget: [{maxUnavailable: 1}, {maxUnavailable: 100%}, {maxUnavailable: 0}]
image: ['web:v1', 'web:v2', 'web', 'web:latest', 'web@sha256:1', 'a b']
className: [missing]
suspend: [true]
serviceAccount: [{automountServiceAccountToken: true}, {annotations: {a.example/b: c}}, {name: default}]
discovery: [None, Environment]
";

/// What is known of specs.
pub struct Pool {
    /// Whole ones, all valid.
    pub bases: Vec<Map<String, Value>>,
    /// Values by property.
    pub values: Vec<(String, Vec<Value>)>,
}

fn documents(directory: &Path) -> Vec<Map<String, Value>> {
    let mut paths: Vec<_> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let yaml = paths.iter().filter(|path| path.extension().is_some_and(|kind| kind == "yaml"));
    let texts = yaml.map(|path| fs::read_to_string(path).unwrap());
    let read = |text: String| -> Vec<Value> {
        serde_yaml::Deserializer::from_str(&text).filter_map(|one| Value::deserialize(one).ok()).collect()
    };
    let all = texts.flat_map(read).filter(|object| object["kind"] == "Microservice");
    all.filter_map(|object| object["spec"].as_object().cloned()).collect()
}

/// Whether the schema knows and takes all of it.
pub fn is_known(spec: &Map<String, Value>) -> bool {
    let decoded = MicroserviceSpec::deserialize(Value::Object(spec.clone()));
    let kept = decoded.map(|decoded| serde_json::to_value(decoded).unwrap_or_default());
    kept.is_ok_and(|kept| spec.keys().all(|property| kept.get(property).is_some()))
}

/// What the examples use, and the edges.
pub fn pool() -> &'static Pool {
    static POOL: OnceLock<Pool> = OnceLock::new();
    POOL.get_or_init(|| {
        let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
        let bases = documents(&examples);
        let mut values: BTreeMap<String, Vec<Value>> = serde_yaml::from_str(EDGES).unwrap();
        for spec in bases.iter().chain(&documents(&examples.join("invalid"))) {
            for (property, value) in spec {
                let known = values.entry(property.clone()).or_default();
                if !known.contains(value) {
                    known.push(value.clone());
                }
            }
        }
        for (property, known) in &mut values {
            // What the schema refuses is never stored.
            known.retain(|value| {
                let mut spec = Map::from_iter([("image".to_owned(), "web:v1".into())]);
                spec.insert(property.clone(), value.clone());
                is_known(&spec)
            });
        }
        values.retain(|_, known| !known.is_empty());
        Pool { bases, values: values.into_iter().collect() }
    })
}

/// How a spec follows from those before it.
#[derive(Clone, Debug)]
enum Move {
    /// Another one altogether.
    Fresh(Index),
    /// The last one with other values of some properties; `None` = without it.
    Change(Vec<(Index, Option<Index>)>),
    /// One that was there before.
    Back(Index),
}

impl Move {
    fn from(&self, before: &[Map<String, Value>]) -> Map<String, Value> {
        let pool = pool();
        match self {
            Self::Fresh(base) => base.get(&pool.bases).clone(),
            Self::Back(step) if !before.is_empty() => step.get(before).clone(),
            Self::Back(step) => step.get(&pool.bases).clone(),
            Self::Change(changes) => {
                let mut spec = before.last().or(pool.bases.first()).cloned().unwrap_or_default();
                for (property, value) in changes {
                    let (property, values) = property.get(&pool.values);
                    match value {
                        Some(value) => {
                            spec.insert(property.clone(), value.get(values).clone());
                        }
                        None if property != "image" => drop(spec.remove(property)),
                        None => {}
                    }
                }
                spec
            }
        }
    }
}

fn step() -> impl Strategy<Value = (Move, Wait, Meddling)> {
    let change = (any::<Index>(), prop::option::weighted(0.7, any::<Index>()));
    let next = prop_oneof![
        1 => any::<Index>().prop_map(Move::Fresh),
        1 => any::<Index>().prop_map(Move::Back),
        3 => prop::collection::vec(change, 1..4).prop_map(Move::Change),
    ];
    let wait = prop_oneof![2 => Just(Wait::Settled), 1 => (0..3000_u16).prop_map(Wait::Millis)];
    let meddling = prop_oneof![
        8 => Just(Meddling::Nothing),
        1 => Just(Meddling::Anew),
        1 => any::<u8>().prop_map(Meddling::Deletes),
    ];
    (next, wait, meddling)
}

/// Two to six specs.
pub fn steps() -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec(step(), 2..=6).prop_map(|moves| {
        let mut specs = Vec::new();
        for (next, ..) in &moves {
            specs.push(next.from(&specs));
        }
        let steps = specs.into_iter().zip(moves);
        steps.map(|(spec, (_, wait, meddling))| Step { meddling, spec, wait }).collect()
    })
}

fn decoded(spec: &Map<String, Value>) -> Option<MicroserviceSpec> {
    MicroserviceSpec::deserialize(Value::Object(spec.clone())).ok()
}

/// The Microservice with this spec.
pub fn microservice(spec: &Map<String, Value>) -> Option<Microservice> {
    let mut object = Microservice::new(NAME, decoded(spec)?);
    object.metadata.namespace = Some(NAMESPACE.to_owned());
    Some(object)
}

/// The Secrets and ConfigMaps that the specs read and do not make.
pub fn references(steps: &[Step]) -> Vec<Value> {
    let specs: Vec<MicroserviceSpec> = steps.iter().filter_map(|step| decoded(&step.spec)).collect();
    let made = |name: &str| {
        let secrets = specs.iter().flat_map(|spec| spec.secrets.iter().flatten());
        secrets.filter(|secret| secret.generate.is_some()).any(|secret| secret.name == name)
    };
    let mut found: BTreeMap<ReferenceKey, Map<String, Value>> = BTreeMap::new();
    for (reference, wanted) in specs.iter().flat_map(references::references) {
        if made(&reference.name) || reference.name.starts_with(NAME) {
            continue;
        }
        let value = match reference.kind {
            ReferenceKind::Secret => "eA==",
            ReferenceKind::ConfigMap => "x",
        };
        let keys = wanted.required.iter().chain(&wanted.optional).map(|key| (key.clone(), value.into()));
        found.entry(reference).or_default().extend(keys);
    }
    let object = |(reference, data): (ReferenceKey, Map<String, Value>)| {
        json!({
            "apiVersion": "v1", "kind": reference.kind.as_str(), "metadata": {"name": reference.name}, "data": data,
        })
    };
    found.into_iter().map(object).collect()
}
