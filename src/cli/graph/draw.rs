//! The graph for tools that draw: one node for each service and each target, grouped by namespace.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Result, Write};

use super::Drawing;
use super::text::{lack, said, target};
use crate::graph::{Call, Key, Service, System, Target};

/// What is drawn: nodes by namespace, and edges between their numbers.
pub(super) struct Picture {
    /// Everything that has a node, by its number.
    pub names: Vec<Target>,
    pub edges: Vec<Line>,
    /// Text of each node; the ones outside of the system have no namespace.
    groups: BTreeMap<String, Vec<(usize, String)>>,
    outside: Vec<(usize, String)>,
}

pub(super) struct Line {
    pub from: usize,
    pub to: usize,
    pub style: Look,
    /// All that is said of it.
    pub said: String,
    /// The most important of that.
    label: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    /// A call that is needed.
    Solid,
    /// One that is optional.
    Thin,
    /// One that cannot be made.
    Broken,
    /// An event.
    Event,
}

impl Picture {
    pub fn of(drawing: &Drawing) -> Self {
        let system = &drawing.system;
        let services = system.services().iter();
        let mut names: BTreeSet<Target> =
            services.clone().map(|service| Target::Service(service.key.clone())).collect();
        names.extend(services.flat_map(|service| service.calls.iter()).map(|call| call.target.clone()));
        let names: Vec<Target> = names.into_iter().collect();
        let numbers: Numbers = names.iter().cloned().zip(0..).collect();
        let edges = lines(system, &numbers);
        let mut picture = Self { names, edges, groups: BTreeMap::new(), outside: Vec::new() };
        for (name, number) in &numbers {
            match name {
                Target::Service(key) if system.get(key).is_some() => {
                    let group = picture.groups.entry(key.namespace.to_string()).or_default();
                    group.push((*number, key.name.to_string()));
                }
                other => picture.outside.push((*number, target(other))),
            }
        }
        picture
    }
}

/// The number of each node.
type Numbers = BTreeMap<Target, usize>;

fn lines(system: &System, numbers: &Numbers) -> Vec<Line> {
    let number = |target: &Target| numbers.get(target).copied().unwrap_or_default();
    let service = |key: &Key| number(&Target::Service(key.clone()));
    let call = |from: &Service, call: &Call| {
        let grant = system.grant(from, call);
        let missing = grant.and_then(lack);
        let style = match (missing, call.optional) {
            (Some(_), _) => Look::Broken,
            (None, true) => Look::Thin,
            (None, false) => Look::Solid,
        };
        let label = missing.unwrap_or_default().to_owned();
        let said = said(call, grant);
        Line { from: service(&from.key), to: number(&call.target), style, said, label }
    };
    let calls = system.services().iter().flat_map(|from| from.calls.iter().map(move |to| (from, to)));
    let events = system.events().iter().map(|event| Line {
        from: service(&event.from),
        to: service(&event.to),
        style: Look::Event,
        said: event.topic.to_string(),
        label: event.topic.name.to_string(),
    });
    calls.map(|(from, to)| call(from, to)).chain(events).collect()
}

pub(super) fn dot(out: &mut dyn Write, drawing: &Drawing) -> Result<()> {
    let picture = Picture::of(drawing);
    writeln!(out, "digraph services {{\n  rankdir=LR;\n  node [shape=box];")?;
    for (place, (namespace, nodes)) in picture.groups.iter().enumerate() {
        writeln!(out, "  subgraph cluster_{place} {{\n    label={};", quoted(namespace))?;
        for (number, name) in nodes {
            writeln!(out, "    n{number} [label={}];", quoted(name))?;
        }
        writeln!(out, "  }}")?;
    }
    for (number, name) in &picture.outside {
        writeln!(out, "  n{number} [label={}, style=dashed];", quoted(name))?;
    }
    for Line { from, to, label, style, .. } in &picture.edges {
        let style = match style {
            Look::Solid => "style=solid",
            Look::Thin => "style=solid, color=gray",
            Look::Broken => "style=bold, color=red",
            Look::Event => "style=dashed",
        };
        writeln!(out, "  n{from} -> n{to} [{style}, label={}];", quoted(label))?;
    }
    writeln!(out, "}}")
}

pub(super) fn mermaid(out: &mut dyn Write, drawing: &Drawing) -> Result<()> {
    let picture = Picture::of(drawing);
    writeln!(out, "flowchart LR")?;
    for (place, (namespace, nodes)) in picture.groups.iter().enumerate() {
        writeln!(out, "  subgraph g{place}[{}]", entity(namespace))?;
        for (number, name) in nodes {
            writeln!(out, "    n{number}[{}]", entity(name))?;
        }
        writeln!(out, "  end")?;
    }
    for (number, name) in &picture.outside {
        writeln!(out, "  n{number}([{}])", entity(name))?;
    }
    for Line { from, to, label, style, .. } in &picture.edges {
        let arrow = match style {
            Look::Solid | Look::Thin => "-->",
            Look::Broken => "--x",
            Look::Event => "-.->",
        };
        let label = match (label.is_empty(), *style == Look::Thin) {
            (false, _) => format!("|{}|", entity(label)),
            (true, true) => "|optional|".to_owned(),
            (true, false) => String::new(),
        };
        writeln!(out, "  n{from} {arrow}{label} n{to}")?;
    }
    Ok(())
}

/// A text as Graphviz quotes it.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// A text as Mermaid quotes it: with entities for what would end it.
fn entity(text: &str) -> String {
    format!("\"{}\"", text.replace('#', "#35;").replace('"', "#quot;"))
}
