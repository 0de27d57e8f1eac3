//! Findings as SARIF 2.1.0, which code hosts show at the lines of a pull request.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{Finding, Rule};
use crate::api::Reason;
use crate::graph::Severity;

const SCHEMA: &str = "https://json.schemastore.org/sarif-2.1.0.json";

/// A log of one run. Each kind of finding is a rule.
pub(super) fn log(findings: &[Finding]) -> Value {
    let rules: BTreeSet<Rule> = findings.iter().map(|finding| finding.rule).collect();
    let rules: Vec<Rule> = rules.into_iter().collect();
    let results: Vec<Value> = findings.iter().map(|finding| result(finding, &rules)).collect();
    json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": env!("CARGO_PKG_NAME"),
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "rules": rules.iter().copied().map(rule).collect::<Vec<Value>>(),
            }},
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    })
}

fn rule(rule: Rule) -> Value {
    let (meaning, cure, severity) = match rule {
        Rule::Reason(reason) => {
            let known = Reason::ALL.iter().find(|known| known.reason == reason);
            let (meaning, cure) = known.map_or(("", ""), |known| (known.meaning.trim(), known.cure));
            (meaning, cure, Severity::Error)
        }
        Rule::Graph(kind) => (kind.why(), kind.cure(), kind.severity()),
    };
    json!({
        "id": rule.as_str(),
        "shortDescription": {"text": meaning},
        "help": {"text": cure.replace('`', ""), "markdown": cure},
        "defaultConfiguration": {"level": level(severity)},
    })
}

fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Info => "note",
    }
}

fn result(finding: &Finding, rules: &[Rule]) -> Value {
    let message = match finding.field.as_str() {
        "" => finding.message.clone(),
        field => format!("{field}: {}", finding.message),
    };
    json!({
        "ruleId": finding.rule.as_str(),
        "ruleIndex": rules.iter().position(|rule| *rule == finding.rule),
        "level": level(finding.severity),
        "message": {"text": message},
        "locations": [{
            "physicalLocation": {
                "artifactLocation": {"uri": uri(&finding.path)},
                "region": {"startLine": finding.at.line, "startColumn": finding.at.column},
            },
            "logicalLocations": [{"fullyQualifiedName": finding.field}],
        }],
        // Not the line: a finding stays the same one when the file grows above it.
        "partialFingerprints": {"field/v1": format!("{}:{}:{}", finding.path, finding.field, finding.message)},
    })
}

/// A path as a reference: relative ones stay relative to where the command ran.
fn uri(path: &str) -> String {
    if path == "-" {
        return "stdin".to_owned();
    }
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'.' | b'-' | b'_' | b'~');
    let text: String = path
        .strip_prefix("./")
        .unwrap_or(path)
        .bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect();
    if text.starts_with('/') { format!("file://{text}") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_references() {
        assert_eq!(uri("./k8s/a b.yaml"), "k8s/a%20b.yaml");
        assert_eq!(uri("/srv/ä.yaml"), "file:///srv/%C3%A4.yaml");
        assert_eq!(uri("-"), "stdin");
    }
}
