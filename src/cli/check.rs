//! `check`: every rule that the API server and the operator would hold against an object, offline.

use std::collections::BTreeSet;
use std::fmt;
use std::io::Write;

use super::{Document, Error, Inputs};
use crate::api::schema;
use crate::api::{GROUP, Microservice, MicroserviceClass};
use crate::intent::{Intent, Violation, class_violations};

/// Something wrong with an object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// File, or `-`.
    pub path: String,
    /// Number of the document in the file, from 1.
    pub document: usize,
    /// Field path; empty for the object itself.
    pub field: String,
    /// What is wrong and what to write instead.
    pub message: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let field = if self.field.is_empty() { "object" } else { &self.field };
        write!(f, "{}:{} {field}: {}", self.path, self.document, self.message)
    }
}

/// Everything wrong with our objects among the inputs, in their order. Objects of other API groups are
/// passed over.
pub fn findings(inputs: &Inputs) -> Vec<Finding> {
    let mut seen = BTreeSet::new();
    inputs.documents.iter().flat_map(|document| document_findings(inputs, document, &mut seen)).collect()
}

/// Prints the findings, one a line, and returns how many there are.
///
/// # Errors
/// The output cannot be written.
pub fn print(out: &mut dyn Write, inputs: &Inputs) -> Result<usize, Error> {
    let findings = findings(inputs);
    for finding in &findings {
        writeln!(out, "{finding}")?;
    }
    Ok(findings.len())
}

type Seen = BTreeSet<(String, String, String)>;

fn document_findings(inputs: &Inputs, document: &Document, seen: &mut Seen) -> Vec<Finding> {
    let text =
        |pointer: &str| document.object.pointer(pointer).and_then(|value| value.as_str()).unwrap_or_default();
    let (api_version, kind) = (text("/apiVersion"), text("/kind"));
    if api_version.split('/').next() != Some(GROUP) && !kind.is_empty() && !api_version.is_empty() {
        return Vec::new();
    }
    let finding = |field: String, message: String| Finding {
        path: document.path.clone(),
        document: document.number,
        field,
        message,
    };
    let mut found: Vec<Finding> = schema::validate(&document.object)
        .into_iter()
        .map(|violation| finding(violation.path, violation.message))
        .collect();
    if found.is_empty() {
        // Only of an object that the schema accepts: the same mistake is not told twice.
        found.extend(violations(inputs, document).into_iter().map(|v| finding(v.field, v.message)));
    }
    let (namespace, name) = (text("/metadata/namespace"), text("/metadata/name"));
    if !name.is_empty() && !seen.insert((kind.to_owned(), namespace.to_owned(), name.to_owned())) {
        let message = format!("{kind} {name} is given twice: the later one would replace the earlier one");
        found.push(finding("metadata.name".to_owned(), message));
    }
    found
}

fn violations(inputs: &Inputs, document: &Document) -> Vec<Violation> {
    let unreadable = |error: serde_json::Error| {
        let reason = crate::api::Reason::InvalidSpec;
        vec![Violation { reason, field: String::new(), message: error.to_string() }]
    };
    if document.object.get("kind").and_then(|kind| kind.as_str()) == Some("MicroserviceClass") {
        return document
            .decode::<MicroserviceClass>()
            .map_or_else(unreadable, |class| class_violations(&class));
    }
    document.decode::<Microservice>().map_or_else(unreadable, |object| {
        let class = inputs.class_for(&object);
        Intent::resolve(&object, class.as_ref(), &inputs.observed(&object)).err().unwrap_or_default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> Vec<Finding> {
        let mut inputs = Inputs::default();
        inputs.add("shop.yaml", text).unwrap();
        findings(&inputs)
    }

    fn service(spec: &str) -> String {
        format!(
            "apiVersion: microservice.dev/v1alpha1\nkind: Microservice\nmetadata: {{name: orders, namespace: shop}}\n\
             spec: {{image: 'registry.example.com/orders:1', {spec}}}\n"
        )
    }

    #[test]
    fn a_minimal_object_and_foreign_kinds_pass() {
        assert_eq!(check(&service("")), []);
        assert_eq!(check("apiVersion: v1\nkind: Pod\nmetadata: {name: a}\n"), []);
    }

    #[test]
    fn schema_errors_name_file_document_and_field() {
        let found =
            check(&format!("{}---\n{}", service("").replace("orders,", "other,"), service("replicas: -1")));
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].to_string().starts_with("shop.yaml:2 spec.replicas: "), "{}", found[0]);
    }

    #[test]
    fn a_class_that_is_named_must_be_among_the_files() {
        let class = "---\napiVersion: microservice.dev/v1alpha1\nkind: MicroserviceClass\nmetadata: {name: team}\nspec: {}\n";
        let object = service("className: team");
        assert_eq!(check(&format!("{object}{class}")), []);
        let found = check(&object);
        assert_eq!((found.len(), found[0].field.as_str()), (1, "spec.className"), "{found:?}");
    }

    #[test]
    fn a_typing_error_in_the_kind_is_found() {
        assert_eq!(
            check("apiVersion: microservice.dev/v1alpha1\nkind: Microservices\nmetadata: {name: a}\n").len(),
            1
        );
        assert_eq!(check("kind: Microservice\nmetadata: {name: a}\n").len(), 1);
    }

    #[test]
    fn the_same_object_twice_is_found() {
        let found = check(&format!("{0}---\n{0}", service("")));
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!((found[0].document, found[0].field.as_str()), (2, "metadata.name"));
    }
}
