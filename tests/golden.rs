//! Golden cases: what each example renders to, in `tests/golden/`, and what holds for all of it; and what
//! `graph` says of each file of `examples/antipatterns`.
//! A new file in `examples/` is a new case; `UPDATE=1 cargo test --test golden` writes its golden file.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may panic, also in its helpers"
)]

#[path = "golden/antipatterns.rs"]
mod antipatterns;
#[path = "golden/invariants.rs"]
mod invariants;
#[path = "golden/restricted.rs"]
mod restricted;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use microservice_operator::cli::{Inputs, Settings, render};
use microservice_operator::plan::Plan;
use serde::Deserialize;
use serde_json::{Value, json};

/// Where the examples live; the guard rails of `class-guardrails.yaml` allow it.
const NAMESPACE: &str = "shop";

/// A file or directory of `examples/`, and everything that it needs to be rendered.
struct Case {
    name: String,
    /// YAML documents; what is not ours is passed over by `render`.
    text: String,
    plans: OnceLock<Vec<Plan>>,
}

impl Case {
    fn new(name: String, text: String) -> Self {
        Self { name, text, plans: OnceLock::new() }
    }

    fn inputs(&self) -> Inputs {
        let mut inputs = Inputs::new(Settings { namespace: NAMESPACE.to_owned(), ..Settings::default() });
        inputs.add(&self.name, &self.text);
        assert_eq!(inputs.unreadable, []);
        inputs
    }

    /// What `microservice-operator render` prints.
    fn rendered(&self) -> String {
        let mut out = Vec::new();
        let findings = render::print(&mut out, &self.inputs(), render::Format::Yaml).unwrap();
        assert!(findings.is_empty(), "{} cannot be rendered: {findings:?}", self.name);
        assert!(!out.is_empty(), "{} gives no children", self.name);
        String::from_utf8(out).unwrap()
    }

    fn plans(&self) -> &[Plan] {
        self.plans.get_or_init(|| {
            let plans = render::plans(&self.inputs());
            plans.unwrap_or_else(|all| panic!("{} cannot be rendered: {all:?}", self.name))
        })
    }

    /// The same objects as a cluster holds them: with UIDs.
    fn stored(&self) -> Inputs {
        let mut inputs = self.inputs();
        for document in &mut inputs.documents {
            document.object["metadata"]["uid"] =
                json!(format!("uid-{}", document.object["metadata"]["name"]));
        }
        inputs
    }
}

#[test]
fn every_example_renders_to_its_golden_file() {
    let directory = root().join("tests/golden");
    let update = std::env::var_os("UPDATE").is_some();
    let mut wrong = Vec::new();
    let cases = cases();
    for case in cases {
        wrong.extend(differing(&format!("{}.yaml", case.name), &case.rendered()));
    }
    let names: BTreeSet<&str> = cases.iter().map(|case| case.name.as_str()).collect();
    for path in files(&directory).into_iter().filter(|path| !names.contains(stem(path).as_str())) {
        if update {
            fs::remove_file(&path).unwrap();
        } else {
            wrong.push(format!("{}: no example has this name", path.display()));
        }
    }
    assert!(
        wrong.is_empty(),
        "not what is rendered (first line that differs):\n  {}\nRun UPDATE=1 cargo test --test golden and \
         look at the difference: a changed pod template rolls the pods of every fleet.",
        wrong.join("\n  ")
    );
}

#[test]
fn everything_rendered_keeps_the_invariants() {
    for case in cases() {
        for plan in case.plans() {
            invariants::check(&case.name, plan);
        }
    }
}

#[test]
fn every_pod_is_restricted_unless_its_owner_asked_for_baseline() {
    let mut baseline = Vec::new();
    for case in cases() {
        let inputs = case.inputs();
        let objects = inputs.of_kind("Microservice").map(|document| &document.object);
        for (plan, object) in case.plans().iter().zip(objects) {
            let template = &workload(plan)["spec"]["template"];
            let found = restricted::violations(template);
            if object["spec"]["pod"]["securityProfile"] == "Baseline" {
                baseline.push(case.name.clone());
                assert_eq!(restricted::baseline_violations(template), [""; 0], "{}", case.name);
            } else {
                assert_eq!(found, [""; 0], "{}", case.name);
            }
        }
    }
    assert_eq!(baseline, ["security-baseline"]);
}

/// The owner is all that a cluster adds to an object without references.
#[test]
fn every_child_is_owned_and_its_hash_is_that_of_the_golden_file() {
    for case in cases() {
        let offline = case.plans();
        let stored = case.stored();
        let live = render::plans(&stored).unwrap();
        let objects: Vec<&Value> = stored.of_kind("Microservice").map(|document| &document.object).collect();
        for ((offline, live), object) in offline.iter().zip(&live).zip(objects) {
            for (offline, live) in offline.children.iter().zip(&live.children) {
                let context = format!("{}: {} {}", case.name, live.kind.kind, live.name);
                let owner = json!([{
                    "apiVersion": "microservice.dev/v1alpha1",
                    "kind": "Microservice",
                    "name": object["metadata"]["name"],
                    "uid": object["metadata"]["uid"],
                    "controller": true,
                    "blockOwnerDeletion": true,
                }]);
                assert_eq!(live.body.value()["metadata"]["ownerReferences"], owner, "{context}");
                assert_eq!(live.plan_hash, offline.plan_hash, "{context}");
                let mut body = live.body.value();
                body["metadata"].as_object_mut().unwrap().remove("ownerReferences");
                assert_eq!(body, offline.body.value(), "{context}");
            }
        }
    }
}

/// Order says nothing in a map, among the documents of a stream, and among generated keys. It does in
/// ports (the first is the main one), variables (they may refer to earlier ones) and containers.
#[test]
fn order_changes_nothing_where_it_says_nothing() {
    for case in cases() {
        let documents = serde_yaml::Deserializer::from_str(&case.text);
        let mut documents: Vec<serde_yaml::Value> =
            documents.map(|document| serde_yaml::Value::deserialize(document).unwrap()).collect();
        documents.reverse();
        let turned = documents.into_iter().map(|document| serde_yaml::to_string(&turn(document)).unwrap());
        let turned = Case::new(case.name.clone(), turned.collect::<Vec<_>>().join("---\n"));
        assert_ne!(turned.text, case.text, "{}", case.name);
        let sorted = |case: &Case| {
            let mut documents: Vec<String> = case.rendered().split("---\n").map(str::to_owned).collect();
            documents.sort();
            documents
        };
        assert_eq!(sorted(&turned), sorted(case), "{}", case.name);
    }
}

/// The same value with its maps, and the lists whose order says nothing, the other way round.
fn turn(value: serde_yaml::Value) -> serde_yaml::Value {
    use serde_yaml::Value::{Mapping, Sequence};
    match value {
        Mapping(map) => {
            let entries = map.into_iter().map(|(key, value)| match (key.as_str(), turn(value)) {
                (Some("generate"), Sequence(keys)) => (key, Sequence(keys.into_iter().rev().collect())),
                (_, value) => (key, value),
            });
            let entries: Vec<_> = entries.collect();
            Mapping(entries.into_iter().rev().collect())
        }
        Sequence(items) => Sequence(items.into_iter().map(turn).collect()),
        scalar => scalar,
    }
}

fn workload(plan: &Plan) -> Value {
    let found = plan.children.iter().find(|child| child.kind.kind == "Deployment");
    found.unwrap().body.value()
}

/// Each file of `examples/`, each directory of it as a whole, but those that show what is wrong.
fn cases() -> &'static [Case] {
    static CASES: OnceLock<Vec<Case>> = OnceLock::new();
    CASES.get_or_init(read_cases)
}

fn read_cases() -> Vec<Case> {
    let examples = root().join("examples");
    let mut cases: Vec<Case> = files(&examples).iter().map(|path| single(&examples, path)).collect();
    for entry in fs::read_dir(&examples).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("invalid") && !path.ends_with("antipatterns") {
            let texts: Vec<String> =
                files(&path).iter().map(|file| fs::read_to_string(file).unwrap()).collect();
            cases.push(Case::new(stem(&path), texts.join("---\n")));
        }
    }
    assert!(cases.len() > 40, "only {} examples", cases.len());
    cases
}

/// An example with the class that it names. An example of a class alone is shown by what it makes of
/// the smallest service.
fn single(examples: &Path, path: &Path) -> Case {
    let mut text = fs::read_to_string(path).unwrap();
    let own = objects(&text);
    let is_class = |object: &&Value| object["kind"] == "MicroserviceClass";
    let classes: Vec<&Value> = own.iter().filter(is_class).map(|class| &class["metadata"]["name"]).collect();
    for object in own.iter().filter(|object| object["kind"] == "Microservice") {
        let wanted = &object["spec"]["className"];
        if wanted.is_string() && !classes.contains(&wanted) {
            let defines = |text: &String| {
                objects(text).iter().filter(is_class).any(|class| class["metadata"]["name"] == *wanted)
            };
            let mut texts = files(examples).into_iter().map(|path| fs::read_to_string(path).unwrap());
            let found = texts.find(defines);
            let class = found.unwrap_or_else(|| panic!("{}: no example of class {wanted}", path.display()));
            text = format!("{text}---\n{class}");
        }
    }
    if classes.len() == own.len() {
        let mut smallest = objects(&fs::read_to_string(examples.join("minimal.yaml")).unwrap()).remove(0);
        smallest["spec"]["className"] = own[0]["metadata"]["name"].clone();
        text = format!("{text}---\n{}", serde_yaml::to_string(&smallest).unwrap());
    }
    let case = Case::new(stem(path), text);
    match render::plans(&case.inputs()) {
        Ok(_) => case,
        Err(_) => allowed(case, &own),
    }
}

/// The same under a default class that allows what only a class can allow.
fn allowed(case: Case, objects: &[Value]) -> Case {
    let accounts: Vec<&Value> = objects
        .iter()
        .map(|object| &object["spec"]["serviceAccount"]["name"])
        .filter(|name| name.is_string())
        .collect();
    let class = json!({
        "apiVersion": "microservice.dev/v1alpha1",
        "kind": "MicroserviceClass",
        "metadata": {"name": "permissive", "annotations": {"microservice.dev/is-default-class": "true"}},
        "spec": {"guardrails": {"securityProfile": "Baseline", "allowedServiceAccounts": accounts}},
    });
    Case::new(case.name, format!("{}---\n{}", case.text, serde_yaml::to_string(&class).unwrap()))
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> =
        entries.filter(|path| path.extension().is_some_and(|extension| extension == "yaml")).collect();
    files.sort();
    files
}

fn stem(path: &Path) -> String {
    path.file_stem().unwrap().to_string_lossy().into_owned()
}

fn objects(text: &str) -> Vec<Value> {
    serde_yaml::Deserializer::from_str(text).map(|document| Value::deserialize(document).unwrap()).collect()
}

/// Where a golden file is not this text; `UPDATE=1` writes it first.
fn differing(name: &str, text: &str) -> Option<String> {
    let path = root().join("tests/golden").join(name);
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&path, text).unwrap();
    }
    let line = first_difference(&fs::read_to_string(&path).unwrap_or_default(), text)?;
    Some(format!("tests/golden/{name}:{line}"))
}

/// Number of the first line that differs.
fn first_difference(stored: &str, rendered: &str) -> Option<usize> {
    if stored == rendered {
        return None;
    }
    let same = stored.lines().zip(rendered.lines()).take_while(|(a, b)| a == b).count();
    Some(same + 1)
}
