//! `render`: the children of the given Microservices, exactly as `run` would apply them, except what
//! only the cluster knows: the owner's UID, hashes of referenced data, generated values.

use std::io::Write;

use serde_json::{Value, json};

use super::{Error, Inputs, write_document};
use crate::cli::check::{self, Finding};
use crate::plan::{Plan, plan};

/// How the children are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// A stream of documents.
    #[default]
    Yaml,
    /// One List.
    Json,
}

/// Plans of all Microservices among the inputs, in their order.
///
/// # Errors
/// Everything wrong with our objects; nothing is planned then.
pub fn plans(inputs: &Inputs) -> Result<Vec<Plan>, Vec<Finding>> {
    let examined = check::examine(inputs);
    if !examined.findings.is_empty() {
        return Err(examined.findings);
    }
    Ok(examined.intents.iter().map(plan).collect())
}

/// The children of all Microservices, in the order in which they are applied.
///
/// # Errors
/// Everything wrong with our objects.
pub fn children(inputs: &Inputs) -> Result<Vec<Value>, Vec<Finding>> {
    let plans = plans(inputs)?;
    Ok(plans.iter().flat_map(|plan| &plan.children).map(|child| child.body.value()).collect())
}

/// Prints the children, or returns what is wrong.
///
/// # Errors
/// The output cannot be written.
pub fn print(out: &mut dyn Write, inputs: &Inputs, format: Format) -> Result<Vec<Finding>, Error> {
    let children = match children(inputs) {
        Ok(children) => children,
        Err(findings) => return Ok(findings),
    };
    match format {
        Format::Yaml => children.iter().try_for_each(|child| write_document(out, child))?,
        Format::Json => {
            let list = json!({"apiVersion": "v1", "kind": "List", "items": children});
            writeln!(out, "{list:#}")?;
        }
    }
    Ok(Vec::new())
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;
    use crate::cli::Settings;

    fn inputs(text: &str) -> Inputs {
        let mut inputs = Inputs::new(Settings { namespace: "shop".to_owned(), ..Settings::default() });
        inputs.add("-", text);
        inputs
    }

    fn rendered(text: &str) -> (Vec<Value>, Vec<Finding>) {
        let mut out = Vec::new();
        let findings = print(&mut out, &inputs(text), Format::Yaml).unwrap();
        // An empty stream would count as one empty document.
        let documents = serde_yaml::Deserializer::from_slice(&out).filter(|_| !out.is_empty());
        (documents.map(|document| Value::deserialize(document).unwrap()).collect(), findings)
    }

    const MINIMAL: &str = "apiVersion: microservice.dev/v1alpha1\nkind: Microservice\nmetadata: {name: orders}\n\
                           spec: {image: 'registry.example.com/orders:1'}\n";

    #[test]
    fn a_minimal_object_gives_its_children_in_order() {
        let (children, findings) = rendered(MINIMAL);
        assert_eq!(findings, []);
        let kinds: Vec<_> = children.iter().map(|child| child["kind"].as_str().unwrap()).collect();
        assert_eq!(kinds, ["ServiceAccount", "Service", "Deployment", "PodDisruptionBudget"]);
        for child in &children {
            assert_eq!(child["metadata"]["name"], "orders");
            assert_eq!(child["metadata"]["namespace"], "shop");
            assert!(child["metadata"]["annotations"]["microservice.dev/plan-hash"].is_string());
        }
    }

    #[test]
    fn what_is_printed_is_the_plan() {
        let planned = children(&inputs(MINIMAL)).unwrap();
        assert_eq!(rendered(MINIMAL).0, planned);
    }

    #[test]
    fn json_is_one_list_of_the_same() {
        let mut out = Vec::new();
        print(&mut out, &inputs(MINIMAL), Format::Json).unwrap();
        let list: Value = serde_json::from_slice(&out).unwrap();
        assert_eq!((&list["kind"], list["items"].as_array()), (&"List".into(), Some(&rendered(MINIMAL).0)));
    }

    #[test]
    fn one_wrong_object_stops_all() {
        let (children, findings) =
            rendered(&format!("{MINIMAL}---\n{}", MINIMAL.replace("spec: {", "spec: {port: 0, ")));
        assert_eq!(children, [Value::Null; 0]);
        assert!(
            findings.iter().any(|finding| finding.field == "spec.port" && finding.at.line == 9),
            "{findings:?}"
        );
    }
}
