//! Offline commands: crd, rbac, render, check, graph, and what diff and explain print. Never a client. YAML is
//! read and written only here.

pub mod check;
pub mod crd;
pub mod diff;
pub mod explain;
pub mod graph;
mod input;
pub mod paint;
pub mod rbac;
pub mod render;
pub mod yaml;

pub use input::{Document, Inputs, Settings, Unreadable};
pub use yaml::Position;

use serde::Serialize;

/// A command cannot do its work. What it finds wrong in the objects it reads is a finding, not an error.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or directory cannot be read or written.
    #[error("{path}: {source}")]
    File {
        /// Where.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// A directory holds nothing to read.
    #[error("{0}: no *.yaml, *.yml or *.json is in this directory; -R looks into those below it too")]
    Empty(String),
    /// The class that was asked for is not among the files.
    #[error("--class {0}: none of the files holds a MicroserviceClass of this name; give it with -f too")]
    Class(String),
    /// The output cannot be written.
    #[error("output: {0}")]
    Output(#[from] std::io::Error),
    /// An object cannot be written as YAML.
    #[error("output: {0}")]
    Yaml(#[from] serde_yaml::Error),
}

/// Writes one document of a YAML stream.
fn write_document(out: &mut dyn std::io::Write, object: &impl Serialize) -> Result<(), Error> {
    write!(out, "---\n{}", yaml::write(&serde_json::to_value(object).map_err(std::io::Error::from)?)?)?;
    Ok(())
}
