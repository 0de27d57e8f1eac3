//! The Helm charts beside the code: what is generated is as generated, what is named exists, and every
//! value is documented. What Helm and an API server make of them is in the behaviour tests.
//! `UPDATE=1 cargo test --test charts` writes the table of values; `make crds` the rest.
#![allow(clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use microservice_operator::api::{ANNOTATION_CONFIRM_DELETE_CALLED, Reason};
use microservice_operator::cli::{crd, rbac};
use microservice_operator::telemetry::Telemetry;
use serde_json::Value;

const CHART: &str = "charts/microservice-operator";
const CRDS: &str = "charts/microservice-operator-crds";
const BEGIN: &str = "<!-- values -->\n";
const END: &str = "<!-- end of values -->\n";

fn at(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn read(path: &str) -> String {
    fs::read_to_string(at(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn yaml(path: &str) -> Value {
    serde_yaml::from_str(&read(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

#[test]
fn the_definitions_and_rights_are_those_of_the_code() {
    let mut printed = Vec::new();
    crd::print(&mut printed).expect("they can be printed");
    let files =
        ["microservices.yaml", "microserviceclasses.yaml"].map(|name| read(&format!("{CRDS}/files/{name}")));
    let joined: String = files.iter().flat_map(|text| ["---\n", text]).collect();
    assert!(joined.as_bytes() == printed, "run `make crds`");
    let mut rules = Vec::new();
    rbac::print_rules(&mut rules, "microservice-operator").expect("they can be printed");
    assert!(read(&format!("{CHART}/files/rules.yaml")).as_bytes() == rules, "run `make crds`");
}

#[test]
fn the_policy_reads_the_annotation_that_is_documented() {
    let policy = read(&format!("{CHART}/templates/protectcalled.yaml"));
    assert!(policy.contains(&format!("annotations['{ANNOTATION_CONFIRM_DELETE_CALLED}'] == 'true'")));
}

#[test]
fn the_charts_have_the_version_of_the_program() {
    for chart in [CHART, CRDS] {
        let chart = yaml(&format!("{chart}/Chart.yaml"));
        assert_eq!(
            (&chart["version"], &chart["appVersion"]),
            (&env!("CARGO_PKG_VERSION").into(), &env!("CARGO_PKG_VERSION").into())
        );
    }
}

/// Paths of all values, `a.b`; what the schema leaves open counts as one.
fn paths(schema: &Value, prefix: &str, all: &mut BTreeSet<String>) {
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{prefix}{name}");
        if property.get("properties").is_some() {
            paths(property, &format!("{path}."), all);
        } else {
            all.insert(path);
        }
    }
}

#[test]
fn schema_and_values_have_the_same_paths() {
    let schema: Value =
        serde_json::from_str(&read(&format!("{CHART}/values.schema.json"))).expect("it is JSON");
    let mut known = BTreeSet::new();
    paths(&schema, "", &mut known);
    known.remove("global");
    let listed: BTreeSet<String> = table().into_iter().map(|row| row.path).collect();
    assert_eq!(known, listed);
    let values = yaml(&format!("{CHART}/values.yaml"));
    for path in &known {
        let found = path.split('.').try_fold(&values, |value, name| value.get(name));
        assert!(found.is_some(), "values.yaml has no {path}");
    }
}

struct Row {
    path: String,
    default: String,
    meaning: String,
}

/// The rows of the table, from the comments in values.yaml.
fn table() -> Vec<Row> {
    let (mut parents, mut comment, mut rows) = (Vec::<(usize, String)>::new(), String::new(), Vec::new());
    for line in read(&format!("{CHART}/values.yaml")).lines().skip(1) {
        let text = line.trim_start();
        let depth = line.len() - text.len();
        if let Some(words) = text.strip_prefix("# ") {
            comment = format!("{comment} {words}").trim().to_owned();
            continue;
        }
        let Some((name, value)) = text.split_once(':') else { continue };
        parents.retain(|(outer, _)| *outer < depth);
        let path = parents.iter().map(|(_, name)| name.as_str()).chain([name]).collect::<Vec<_>>().join(".");
        let meaning = std::mem::take(&mut comment);
        if parents.iter().any(|(_, name)| name == "resources") {
            continue;
        }
        if value.is_empty() {
            parents.push((depth, name.to_owned()));
        }
        if !value.is_empty() || name == "resources" {
            assert!(!meaning.is_empty(), "values.yaml does not say what {path} is");
            rows.push(Row { path, default: value.trim().to_owned(), meaning });
        }
    }
    rows
}

#[test]
fn every_value_is_in_the_table() {
    let row = |row: &Row| {
        format!("| `{}` | {} | {} |\n", row.path, code(&row.default), row.meaning.replace('|', "\\|"))
    };
    let table: String = table().iter().map(row).collect();
    let table = format!("{BEGIN}| Value | Default | Meaning |\n|---|---|---|\n{table}{END}");
    let path = format!("{CHART}/README.md");
    let text = read(&path);
    let (before, rest) = text.split_once(BEGIN).expect("the table begins");
    let (_, after) = rest.split_once(END).expect("the table ends");
    let wanted = format!("{before}{table}{after}");
    if std::env::var_os("UPDATE").is_some() {
        fs::write(at(&path), &wanted).expect("it can be written");
    }
    assert!(read(&path) == wanted, "{path} is old: UPDATE=1 cargo test --test charts");
}

fn code(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!("`{text}`") }
}

#[test]
fn alerts_and_dashboard_ask_for_metrics_and_reasons_that_exist() {
    let exposed = Telemetry::sample().exposition().expect("it can be printed");
    let exposed: BTreeSet<&str> = exposed.lines().filter_map(|line| line.split(['{', ' ']).next()).collect();
    for file in ["alerts.yaml", "dashboard.json"] {
        let text = read(&format!("{CHART}/files/{file}"));
        let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let asked: BTreeSet<&str> =
            text.split(|c| !word(c)).filter(|word| word.starts_with("microservice_operator_")).collect();
        assert!(asked.len() >= 5, "{file} asks for {asked:?}");
        let unknown: Vec<_> = asked.difference(&exposed).collect();
        assert!(unknown.is_empty(), "{file} asks for {unknown:?}");
        for (_, list) in text.match_indices("reason=~\"").map(|(at, key)| text[at..].split_at(key.len())) {
            for reason in list.split('"').next().into_iter().flat_map(|list| list.split('|')) {
                assert!(Reason::ALL.iter().any(|known| known.reason.as_str() == reason), "{file}: {reason}");
            }
        }
    }
}

#[test]
fn each_alert_says_what_is_wrong_and_what_to_do() {
    let alerts = yaml(&format!("{CHART}/files/alerts.yaml"));
    let rules = alerts["groups"][0]["rules"].as_array().expect("there are rules");
    assert!(rules.len() >= 5);
    for rule in rules {
        let texts = [&rule["annotations"]["summary"], &rule["annotations"]["description"], &rule["for"]];
        assert!(texts.iter().all(|text| text.as_str().is_some_and(|text| !text.is_empty())), "{rule}");
    }
}
