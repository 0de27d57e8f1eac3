//! The graph as one HTML page, to be looked around in. It holds everything that it needs and asks nobody:
//! its policy allows exactly its own style and script.

use std::io::{Result, Write};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::Drawing;
use super::draw::{Line, Look, Picture};
use super::json::finding;
use super::text::target;
use crate::graph::{System, Target};

const PAGE: &str = include_str!("page/page.html");
const STYLE: &str = include_str!("page/page.css");
/// The layout knows nothing of the page and comes first.
const SCRIPT: &str = concat!(include_str!("page/layout.js"), "\n", include_str!("page/page.js"));

pub(super) fn print(out: &mut dyn Write, drawing: &Drawing) -> Result<()> {
    // What the system holds comes last: nothing is filled in into names.
    let page = PAGE
        .replace("{{style-hash}}", &source(STYLE))
        .replace("{{script-hash}}", &source(SCRIPT))
        .replace("{{style}}", STYLE)
        .replace("{{script}}", SCRIPT)
        .replace("{{system}}", &embedded(&system(drawing)));
    out.write_all(page.as_bytes())
}

/// How a policy names a text that it allows.
fn source(text: &str) -> String {
    format!("sha256-{}", BASE64_STANDARD.encode(Sha256::digest(text)))
}

/// JSON that cannot end the element around it.
fn embedded(value: &Value) -> String {
    value.to_string().replace('<', "\\u003c")
}

fn system(drawing: &Drawing) -> Value {
    let picture = Picture::of(drawing);
    json!({
        "nodes": picture.names.iter().map(|name| node(&drawing.system, name)).collect::<Vec<Value>>(),
        "edges": picture.edges.iter().map(edge).collect::<Vec<Value>>(),
        "findings": drawing.findings.iter().map(finding).collect::<Vec<Value>>(),
    })
}

fn node(system: &System, name: &Target) -> Value {
    let id = target(name);
    match name {
        Target::Service(key) => {
            let (namespace, name) = (key.namespace.as_str(), key.name.as_str());
            let missing = system.get(key).is_none();
            let (kind, note) = if missing {
                ("missing", format!("{namespace} · no such service"))
            } else {
                ("service", namespace.to_owned())
            };
            json!({"id": id, "kind": kind, "name": name, "note": note, "namespace": namespace, "isKey": true})
        }
        Target::Workload(_) => json!({"id": id, "kind": "workload", "name": id, "note": "other workload"}),
        Target::External(_) => json!({"id": id, "kind": "external", "name": id, "note": "outside"}),
    }
}

fn edge(line: &Line) -> Value {
    let kind = match line.style {
        Look::Solid => "required",
        Look::Thin => "optional",
        Look::Broken => "broken",
        Look::Event => "event",
    };
    json!({"from": line.from, "to": line.to, "kind": kind, "said": line.said})
}
