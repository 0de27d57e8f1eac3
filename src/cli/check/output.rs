//! The findings for people, for scripts, and for whoever shows them next to a pull request.

use std::io::Write;

use serde_json::{Value, json};

use super::{Examined, Finding, sarif};
use crate::cli::Error;

/// How the findings are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// One line each.
    #[default]
    Text,
    /// One JSON object with a list of them.
    Json,
    /// SARIF 2.1.0.
    Sarif,
}

/// Prints the findings.
///
/// # Errors
/// The output cannot be written.
pub fn print(out: &mut dyn Write, examined: &Examined, format: Format) -> Result<(), Error> {
    let value = match format {
        Format::Text => {
            for finding in &examined.findings {
                writeln!(out, "{finding}")?;
            }
            return Ok(());
        }
        Format::Json => json!({
            "objects": examined.objects,
            "findings": examined.findings.iter().map(plain).collect::<Vec<Value>>(),
        }),
        Format::Sarif => sarif::log(&examined.findings),
    };
    writeln!(out, "{value:#}")?;
    Ok(())
}

fn plain(finding: &Finding) -> Value {
    json!({
        "file": finding.path,
        "line": finding.at.line,
        "column": finding.at.column,
        "field": finding.field,
        "severity": finding.severity.as_str(),
        "reason": finding.rule.as_str(),
        "message": finding.message,
    })
}
