//! `render`: the children of the given Microservices, exactly as `run` would apply them, except what
//! only the cluster knows: the owner's UID, hashes of referenced data, generated values.

use std::io::Write;

use super::{Document, Error, Inputs, write_document};
use crate::api::Microservice;
use crate::cli::check::{self, Finding};
use crate::intent::Intent;
use crate::plan::{Plan, plan};

/// Plans of all Microservices among the inputs, in their order.
///
/// # Errors
/// Everything wrong with our objects; nothing is planned then.
pub fn plans(inputs: &Inputs, default_namespace: &str) -> Result<Vec<Plan>, Vec<Finding>> {
    let inputs = with_namespace(inputs, default_namespace);
    let findings = check::findings(&inputs);
    if !findings.is_empty() {
        return Err(findings);
    }
    // What does not decode or resolve is among the findings.
    let objects =
        inputs.of_kind("Microservice").filter_map(|document| document.decode::<Microservice>().ok());
    let intents = objects.filter_map(|object| {
        Intent::resolve(&object, inputs.class_for(&object).as_ref(), &inputs.observed(&object)).ok()
    });
    Ok(intents.map(|intent| plan(&intent)).collect())
}

/// Prints the children as one YAML stream, or returns what is wrong.
///
/// # Errors
/// The output cannot be written.
pub fn print(out: &mut dyn Write, inputs: &Inputs, default_namespace: &str) -> Result<Vec<Finding>, Error> {
    let plans = match plans(inputs, default_namespace) {
        Ok(plans) => plans,
        Err(findings) => return Ok(findings),
    };
    for child in plans.iter().flat_map(|plan| &plan.children) {
        write_document(out, &child.body.value())?;
    }
    Ok(Vec::new())
}

/// As `kubectl apply -n` would: an object without a namespace gets the given one.
fn with_namespace(inputs: &Inputs, namespace: &str) -> Inputs {
    let mut inputs = inputs.clone();
    for Document { object, .. } in &mut inputs.documents {
        let ours = object.get("kind").is_some_and(|kind| kind == "Microservice");
        if let Some(metadata) =
            object.get_mut("metadata").and_then(|value| value.as_object_mut()).filter(|_| ours)
        {
            metadata.entry("namespace").or_insert_with(|| namespace.into());
        }
    }
    inputs
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::Value;

    use super::*;

    fn rendered(text: &str) -> (Vec<Value>, Vec<Finding>) {
        let mut inputs = Inputs::default();
        inputs.add("-", text).unwrap();
        let mut out = Vec::new();
        let findings = print(&mut out, &inputs, "shop").unwrap();
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
        let mut inputs = Inputs::default();
        inputs.add("-", MINIMAL).unwrap();
        let planned: Vec<Value> = plans(&inputs, "shop")
            .unwrap()
            .into_iter()
            .flat_map(|plan| plan.children)
            .map(|child| child.body.value())
            .collect();
        assert_eq!(rendered(MINIMAL).0, planned);
    }

    #[test]
    fn one_wrong_object_stops_all() {
        let (children, findings) =
            rendered(&format!("{MINIMAL}---\n{}", MINIMAL.replace("spec: {", "spec: {port: 0, ")));
        assert_eq!(children, [Value::Null; 0]);
        assert!(
            findings.iter().any(|finding| finding.field == "spec.port" && finding.document == 2),
            "{findings:?}"
        );
    }
}
