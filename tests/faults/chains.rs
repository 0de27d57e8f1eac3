//! Generated chains of specs as scenarios: what they lead to must be what their last spec alone leads to.

use microservice_operator::intent::{Intent, Observed};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::{Map, Value, json};

use super::plan::Trouble;
use super::scenario::{Scenario, Step};
use crate::specs::{self, Meddling, NAME, Wait};

/// Most replicas of a step: simulated pods are work too.
const REPLICAS: i64 = 3;

/// Children that others delete, in turn.
const CHILDREN: [(&str, &str); 5] = [
    ("Deployment", "web"),
    ("Service", "web"),
    ("ConfigMap", "web-config"),
    ("ServiceAccount", "web"),
    ("PodDisruptionBudget", "web"),
];

const PREFIX: &str = "chain-";

/// The number of a chain, from its name.
pub fn number(name: &str) -> Option<u64> {
    name.strip_prefix(PREFIX)?.parse().ok()
}

/// What goes wrong in it: nothing in every second one.
pub fn trouble(number: u64) -> Trouble {
    if number.is_multiple_of(2) { Trouble::Calm } else { Trouble::Chaos(number) }
}

/// One chain; the same for the same number.
pub fn chain(number: u64) -> Scenario {
    let specs = specs(number);
    let references: Vec<Step> = specs::references(&specs).into_iter().map(Step::Apply).map(soon(0)).collect();
    let last = specs.last().map(|step| Step::Apply(microservice(&step.spec)));
    let steps = references.iter().cloned().chain(specs.iter().flat_map(steps)).collect();
    let scratch = references.iter().cloned().chain(last).collect();
    Scenario { name: format!("{PREFIX}{number}"), steps, scratch: Some(scratch) }
}

/// At least two specs, of which the last one says what there must be.
fn specs(number: u64) -> Vec<specs::Step> {
    let mut seed = [0; 32];
    seed[..8].copy_from_slice(&number.to_le_bytes());
    let random = TestRng::from_seed(RngAlgorithm::ChaCha, &seed);
    let mut runner = TestRunner::new_with_rng(Config::default(), random);
    loop {
        let mut specs = specs::steps().new_tree(&mut runner).expect("nothing is filtered").current();
        specs.iter_mut().for_each(|step| few_pods(&mut step.spec));
        let last = specs.iter().rposition(|step| decides(&step.spec));
        specs.truncate(last.map_or(0, |last| last + 1));
        if specs.len() > 1 {
            return specs;
        }
    }
}

/// Whether the spec can be carried out, whatever was before.
fn decides(spec: &Map<String, Value>) -> bool {
    let observed = Observed { keda_missing: true, ..Observed::default() };
    let object = specs::microservice(spec).filter(|object| !object.spec.suspend);
    object.is_some_and(|object| Intent::resolve(&object, None, &observed).is_ok())
}

/// Keeps the pods few, and such as can run.
fn few_pods(spec: &mut Map<String, Value>) {
    cap(spec.get_mut("replicas"));
    cap(spec.get_mut("autoscaling").and_then(|scaling| scaling.get_mut("minReplicas")));
    // There is no such class: pods from before would serve on where from scratch there are none.
    if let Some(pod) = spec.get_mut("pod").and_then(Value::as_object_mut) {
        pod.remove("priorityClassName");
    }
}

fn cap(count: Option<&mut Value>) {
    if let Some(count) = count.filter(|count| count.as_i64() > Some(REPLICAS)) {
        *count = json!(REPLICAS);
    }
}

/// What is done for one spec of the chain.
fn steps(step: &specs::Step) -> Vec<Step> {
    let object = microservice(&step.spec);
    let (before, change) = match step.meddling {
        Meddling::Nothing => (None, Step::Apply(object)),
        Meddling::Anew => (None, Step::Replace(object)),
        Meddling::Deletes(which) => {
            let (kind, name) = CHILDREN[usize::from(which) % CHILDREN.len()];
            let gone = Step::Delete { kind: kind.to_owned(), name: name.to_owned() };
            (Some(soon(0)(gone)), Step::Apply(object))
        }
    };
    let change = match step.wait {
        Wait::Settled => change,
        Wait::Millis(count) => soon(count.into())(change),
    };
    before.into_iter().chain([change]).collect()
}

fn microservice(spec: &Map<String, Value>) -> Value {
    json!({"kind": "Microservice", "name": NAME, "spec": spec})
}

fn soon(millis: u64) -> impl Fn(Step) -> Step {
    move |step| Step::Soon(Box::new(step), millis)
}
