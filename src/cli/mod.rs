//! Offline commands: crd, rbac, render, check. Never a client. YAML is read and written only here.

pub mod check;
pub mod crd;
mod input;
pub mod rbac;
pub mod render;

pub use input::{Document, Inputs};

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
    /// A document is not YAML, or not an object.
    #[error("{path}:{document}: not a Kubernetes object in YAML: {message}")]
    Document {
        /// Where.
        path: String,
        /// Number of the document in the file, from 1.
        document: usize,
        /// Why.
        message: String,
    },
    /// The output cannot be written.
    #[error("output: {0}")]
    Output(#[from] std::io::Error),
    /// An object cannot be written as YAML.
    #[error("output: {0}")]
    Yaml(#[from] serde_yaml::Error),
}

/// Writes one document of a YAML stream.
fn write_document(out: &mut dyn std::io::Write, object: &impl Serialize) -> Result<(), Error> {
    write!(out, "---\n{}", serde_yaml::to_string(object)?)?;
    Ok(())
}
