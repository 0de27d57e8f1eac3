//! `graph`: the system that the given services are, for people, for scripts, and for tools that draw.

mod draw;
mod json;
mod page;
mod text;

use std::io::Write;

use super::Error;
use super::check::Examined;
use super::paint::Paint;
use crate::graph::{Finding, Key, Service, Severity, System, findings};

/// How the graph is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// Services with their edges, then the findings.
    #[default]
    Text,
    /// One JSON object.
    Json,
    /// The language of Graphviz.
    Dot,
    /// Mermaid, which code hosts draw in Markdown.
    Mermaid,
    /// One page that needs nothing but itself.
    Html,
}

/// A system and what is found in it.
pub struct Drawing {
    system: System,
    findings: Vec<Finding>,
}

impl Drawing {
    /// From services that are right in themselves.
    pub fn new(examined: &Examined) -> Self {
        let system = System::new(examined.intents.iter().map(Service::from));
        let findings = findings(&system, &examined.policies);
        Self { system, findings }
    }

    /// The part of it that a namespace has to do with: its services, whom they call and who calls them, with
    /// what is found of its services in the whole.
    pub fn within(&self, namespace: &str) -> Self {
        let is_own = |key: &Key| key.namespace == namespace;
        let findings = self.findings.iter().filter(|finding| finding.services.iter().any(is_own));
        Self { system: self.system.around(is_own), findings: findings.cloned().collect() }
    }

    /// The worst that is found.
    pub fn worst(&self) -> Option<Severity> {
        self.findings.iter().map(|finding| finding.severity).max()
    }
}

/// Prints it.
///
/// # Errors
/// The output cannot be written.
pub fn print(out: &mut dyn Write, drawing: &Drawing, format: Format, paint: Paint) -> Result<(), Error> {
    match format {
        Format::Text => text::print(out, drawing, paint)?,
        Format::Json => writeln!(out, "{:#}", json::value(drawing))?,
        Format::Dot => draw::dot(out, drawing)?,
        Format::Mermaid => draw::mermaid(out, drawing)?,
        Format::Html => page::print(out, drawing)?,
    }
    Ok(())
}

#[cfg(test)]
mod tests;
