//! The pages of `docs/reference/` are what the code says: every field, condition, reason, metric and flag.
//! `UPDATE=1 cargo test --test reference` writes them.
#![allow(clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use microservice_operator::api::{Reason, conditions};
use microservice_operator::cli::crd::documents;
use microservice_operator::telemetry::Telemetry;
use serde_json::Value;

const GENERATED: &str =
    "<!-- Generated from the code by `UPDATE=1 cargo test --test reference`; do not edit. -->\n\n";

/// The page in the repository is this text.
fn is_page(name: &str, title: &str, text: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/reference").join(name);
    let page = format!("{GENERATED}# {title}\n\n{}\n", text.trim_end());
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&path, &page).expect("the page can be written");
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    assert!(found == page, "docs/reference/{name} is not up to date: UPDATE=1 cargo test --test reference");
}

/// The schema of a kind.
fn kind(name: &str) -> Value {
    let crds = documents().expect("the definitions can be written");
    let mut parsed = crds.iter().map(|(_, text)| serde_yaml::from_str::<Value>(text).expect("it is YAML"));
    let crd = parsed.find(|crd| crd["spec"]["names"]["kind"] == name).expect("there is such a kind");
    crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"].clone()
}

/// Text for a cell of a table; what is not quoted as code may look like a tag.
fn cell(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|");
    let parts = line.split('`').enumerate();
    let safe = parts.map(|(n, part)| if n % 2 == 0 { part.replace('<', "&lt;") } else { part.to_owned() });
    safe.collect::<Vec<_>>().join("`")
}

/// The type in a few words: `array of string`, `integer, 1 to 65535`.
fn type_of(schema: &Value) -> String {
    let word = |schema: &Value| schema["type"].as_str().unwrap_or("any").to_owned();
    let mut text = if schema["x-kubernetes-int-or-string"] == true {
        "integer or string".to_owned()
    } else if let Some(values) = schema["enum"].as_array() {
        let values: Vec<String> = values.iter().map(|value| format!("`{}`", plain(value))).collect();
        values.join(", ")
    } else if schema["type"] == "array" {
        format!("array of {}", word(&schema["items"]))
    } else if let Some(values) = schema["additionalProperties"].as_object() {
        format!("map of {}", word(&Value::Object(values.clone())))
    } else {
        word(schema)
    };
    match (schema["minimum"].as_f64(), schema["maximum"].as_f64()) {
        (Some(least), Some(most)) => write!(text, ", {least} to {most}"),
        (Some(least), None) => write!(text, ", from {least}"),
        (None, Some(most)) => write!(text, ", to {most}"),
        (None, None) => Ok(()),
    }
    .expect("a string takes it");
    text
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// A section for each object with fields, its path as the title: its own fields first, then those below.
fn sections(schema: &Value, path: &str, out: &mut String) {
    let Some(properties) = schema["properties"].as_object() else { return };
    let required: BTreeSet<&str> =
        schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let about = schema["description"].as_str().unwrap_or_default();
    writeln!(out, "## {path}\n\n{}\n\n| Field | Type | Meaning |\n|---|---|---|", cell(about))
        .expect("a string takes it");
    for (name, field) in properties {
        let meaning = field["description"].as_str().unwrap_or_default();
        assert!(!meaning.is_empty(), "{path}.{name} has no description");
        let mark = if required.contains(name.as_str()) { " (required)" } else { "" };
        let default = match field.get("default") {
            Some(value) => format!(" Default: `{}`.", plain(value)),
            None => String::new(),
        };
        writeln!(out, "| `{name}`{mark} | {} | {}{default} |", type_of(field), cell(meaning))
            .expect("a string takes it");
    }
    out.push('\n');
    for (name, field) in properties {
        sections(field, &format!("{path}.{name}"), out);
        sections(&field["items"], &format!("{path}.{name}[]"), out);
        sections(&field["additionalProperties"], &format!("{path}.{name}.KEY"), out);
    }
}

fn fields(name: &str) -> String {
    let schema = kind(name);
    let mut out = format!("{}\n\n", schema["description"].as_str().unwrap_or_default());
    for part in ["spec", "status"] {
        sections(&schema["properties"][part], part, &mut out);
    }
    out
}

#[test]
fn every_field_of_a_microservice_is_there() {
    is_page("microservice.md", "Fields of a Microservice", &fields("Microservice"));
}

#[test]
fn every_field_of_a_class_is_there() {
    is_page("microserviceclass.md", "Fields of a MicroserviceClass", &fields("MicroserviceClass"));
}

#[test]
fn every_condition_and_reason_is_there_with_its_cure() {
    let mut out = String::from(
        "The condition `Ready` and the column `Reason` of `kubectl get msvc` name one of the reasons below; its \
         message says which object, which field and what to do. [Status and troubleshooting](../status.md) \
         shows how to read them.\n\n",
    );
    for (kind, conditions) in
        [("Microservice", &conditions::MICROSERVICE[..]), ("MicroserviceClass", &conditions::CLASS[..])]
    {
        write!(out, "## Conditions of a {kind}\n\n| Condition | When it is True |\n|---|---|\n")
            .expect("a string takes it");
        for (name, meaning) in conditions {
            writeln!(out, "| `{name}` | {} |", cell(meaning)).expect("a string takes it");
        }
        out.push('\n');
    }
    out.push_str("## Reasons\n\n| Reason | Meaning | What to do |\n|---|---|---|\n");
    for entry in Reason::ALL {
        let (reason, meaning, cure) = (entry.reason, cell(entry.meaning), cell(entry.cure));
        assert!(cure.ends_with(['.', '?']), "{reason}: the cure is a sentence");
        writeln!(out, "| `{reason}` | {meaning} | {cure} |").expect("a string takes it");
    }
    is_page("reasons.md", "Conditions and reasons", &out);
}

#[test]
fn what_the_cures_advise_exists() {
    let spec = kind("Microservice");
    for entry in Reason::ALL {
        for path in entry.cure.split('`').filter_map(|quoted| quoted.strip_prefix("spec.")) {
            let mut schema = &spec["properties"]["spec"];
            for name in path.split('.') {
                // Quantities are maps.
                schema = schema["properties"].get(name).unwrap_or(&schema["additionalProperties"]);
                assert!(!schema.is_null(), "{}: there is no spec.{path}", entry.reason);
            }
        }
    }
}

#[test]
fn every_metric_is_there_with_its_labels() {
    let text = Telemetry::sample().exposition().expect("the metrics can be written");
    let mut out = String::from(
        "`GET /metrics` on the port of `--listen` gives them in the OpenMetrics text format. Labels never hold \
         the name of an object.\n\n| Metric | Type | Labels | Meaning |\n|---|---|---|---|\n",
    );
    for line in text.lines().filter_map(|line| line.strip_prefix("# HELP ")) {
        let (name, help) = line.split_once(' ').expect("a help text");
        let type_ =
            text.lines().find_map(|line| line.strip_prefix(&format!("# TYPE {name} "))).expect("a type");
        let sample = text
            .lines()
            .find(|line| line.starts_with(name) && !line.starts_with(&format!("{name}s")))
            .unwrap_or_else(|| panic!("{name} is not used by Telemetry::sample"));
        let labels: Vec<String> = match sample.split_once('{') {
            Some((_, labels)) => labels
                .split("\",")
                .filter_map(|pair| pair.split_once('='))
                .map(|(key, _)| format!("`{key}`"))
                .collect(),
            None => Vec::new(),
        };
        let suffix = match type_ {
            "counter" => "_total",
            "info" => "_info",
            _ => "",
        };
        let labels = labels.join(", ");
        writeln!(out, "| `{name}{suffix}` | {type_} | {labels} | {} |", cell(help))
            .expect("a string takes it");
    }
    is_page("metrics.md", "Metrics", &out);
}

/// The help text of a command.
fn help(command: &[String]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_microservice-operator"))
        .args(command)
        .arg("--help")
        .env_clear()
        .output()
        .expect("the program can be run");
    String::from_utf8(output.stdout).expect("it is text")
}

/// The commands below this one, with their help.
fn commands(command: &[String], out: &mut String) {
    let text = help(command);
    assert!(text.contains("Usage:"), "{command:?}: {text}");
    let title = [&["microservice-operator".to_owned()], command].concat().join(" ");
    writeln!(out, "## {title}\n\n```text\n{}\n```\n", text.trim_end()).expect("a string takes it");
    let list = text.split("Commands:\n").nth(1).unwrap_or_default();
    let names = list.lines().take_while(|line| !line.is_empty()).filter_map(|line| {
        let name = line.strip_prefix("  ")?;
        (!name.starts_with(' ')).then(|| name.split_whitespace().next().unwrap_or_default())
    });
    for name in names.filter(|name| *name != "help") {
        commands(&[command, &[name.to_owned()]].concat(), out);
    }
}

#[test]
fn every_command_and_flag_is_there() {
    let mut out = String::new();
    commands(&[], &mut out);
    is_page("command-line.md", "Command line", &out);
}
