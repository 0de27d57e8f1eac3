//! The graph for tools that draw: one node for each service and each target, grouped by namespace.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Result, Write};

use super::Drawing;
use super::text::{lack, target};
use crate::graph::{Key, Target};

/// What is drawn: nodes by namespace, and edges between their numbers.
struct Picture {
    /// Text of each node; the ones outside of the system have no namespace.
    groups: BTreeMap<String, Vec<(usize, String)>>,
    outside: Vec<(usize, String)>,
    edges: Vec<Line>,
}

struct Line {
    from: usize,
    to: usize,
    label: String,
    style: Look,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Look {
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
    fn of(drawing: &Drawing) -> Self {
        let system = &drawing.system;
        let mut names: BTreeSet<Target> =
            system.services().iter().map(|service| Target::Service(service.key.clone())).collect();
        names.extend(
            system.services().iter().flat_map(|service| &service.calls).map(|call| call.target.clone()),
        );
        let numbers: BTreeMap<&Target, usize> =
            names.iter().enumerate().map(|(number, target)| (target, number)).collect();
        let number = |key: &Key| numbers.get(&Target::Service(key.clone())).copied().unwrap_or_default();
        let mut picture = Self { groups: BTreeMap::new(), outside: Vec::new(), edges: Vec::new() };
        for (name, number) in &numbers {
            match name {
                Target::Service(key) if system.get(key).is_some() => {
                    let group = picture.groups.entry(key.namespace.to_string()).or_default();
                    group.push((*number, key.name.to_string()));
                }
                other => picture.outside.push((*number, target(other))),
            }
        }
        let lacks: BTreeMap<(&Key, &Key), &'static str> = system
            .declared()
            .filter_map(|(from, to, _, grant)| Some(((&from.key, to), lack(grant)?)))
            .collect();
        for service in system.services() {
            for call in &service.calls {
                let lack = match &call.target {
                    Target::Service(to) => lacks.get(&(&service.key, to)).copied(),
                    Target::Workload(_) | Target::External(_) => None,
                };
                let style = match (lack, call.optional) {
                    (Some(_), _) => Look::Broken,
                    (None, true) => Look::Thin,
                    (None, false) => Look::Solid,
                };
                let to = numbers.get(&call.target).copied().unwrap_or_default();
                let label = lack.unwrap_or_default().to_owned();
                picture.edges.push(Line { from: number(&service.key), to, label, style });
            }
        }
        picture.edges.extend(system.events().iter().map(|event| Line {
            from: number(&event.from),
            to: number(&event.to),
            label: event.topic.name.to_string(),
            style: Look::Event,
        }));
        picture
    }
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
    for Line { from, to, label, style } in &picture.edges {
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
    for Line { from, to, label, style } in &picture.edges {
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
