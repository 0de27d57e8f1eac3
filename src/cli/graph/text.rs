//! The graph for people: each service with its edges, then what is found, the worst first.

use std::io::{Result, Write};

use super::Drawing;
use crate::cli::paint::{Paint, Style};
use crate::graph::{Call, Finding, Grant, Service, Severity, Target, time};

pub(super) fn print(out: &mut dyn Write, drawing: &Drawing, paint: Paint) -> Result<()> {
    let system = &drawing.system;
    let calls: usize = system.services().iter().map(|service| service.calls.len()).sum();
    let counts = [
        counted(system.services().len(), "service", "services"),
        counted(calls, "call", "calls"),
        counted(system.events().len(), "edge by events", "edges by events"),
    ];
    writeln!(out, "{}", counts.join(", "))?;
    for service in system.services() {
        writeln!(out, "\n{}", paint.text(Style::Head, &service.key.to_string()))?;
        for (arrow, to, more) in edges(drawing, service) {
            let space = if more.is_empty() { "" } else { "  " };
            writeln!(out, "  {arrow} {to}{space}{more}")?;
        }
    }
    if !drawing.findings.is_empty() {
        writeln!(out)?;
    }
    drawing.findings.iter().try_for_each(|finding| told(out, finding, paint))
}

fn counted(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

/// Arrow, target, and what is said of it.
fn edges(drawing: &Drawing, service: &Service) -> Vec<(&'static str, String, String)> {
    let system = &drawing.system;
    let calls = service.calls.iter();
    let mut edges: Vec<_> =
        calls.map(|call| ("→", target(&call.target), said(call, system.grant(service, call)))).collect();
    let events = system.events_from(&service.key);
    edges.extend(events.map(|event| ("⇢", event.to.to_string(), event.topic.to_string())));
    edges
}

/// What is called, as people name it.
pub(super) fn target(target: &Target) -> String {
    match target {
        Target::Service(key) => key.to_string(),
        Target::Workload(text) | Target::External(text) => text.to_string(),
    }
}

/// What a call is like, in a few words.
pub(super) fn said(call: &Call, grant: Option<Grant>) -> String {
    let mut said = Vec::new();
    said.extend(call.port.as_ref().map(|port| format!("port {port}")));
    said.extend(call.only.as_ref().map(ToString::to_string));
    said.extend(call.timeout.map(time));
    if call.attempts > 1 {
        let each = call.per_try.map(|each| format!(" of {}", time(each))).unwrap_or_default();
        said.push(format!("{} attempts{each}", call.attempts));
    }
    said.extend(call.optional.then(|| "optional".to_owned()));
    said.extend(grant.and_then(lack).map(str::to_owned));
    said.join(", ")
}

/// What keeps a call from being made.
pub(super) fn lack(grant: Grant) -> Option<&'static str> {
    match grant {
        Grant::Granted => None,
        Grant::PendingConsent => Some("not allowed by the callee"),
        Grant::UnknownPort => Some("no such port"),
        Grant::MissingPeer => Some("no such service"),
    }
}

fn told(out: &mut dyn Write, finding: &Finding, paint: Paint) -> Result<()> {
    let style = if finding.severity == Severity::Error { Style::Bad } else { Style::Plain };
    let severity = paint.text(style, finding.severity.as_str());
    writeln!(out, "{severity}: {}: {}", finding.kind, finding.message)?;
    writeln!(out, "  {} {}", finding.kind.why(), finding.kind.cure())
}
