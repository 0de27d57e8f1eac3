//! Keys that the pods read of the given Secrets and ConfigMaps. One that is not given may be in the
//! cluster.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{Checked, Finding};
use crate::api::Reason;
use crate::cli::{Document, Inputs};
use crate::intent::ReferenceKey;
use crate::intent::ReferenceKind;
use crate::intent::references::references;

/// Keys by namespace and object.
type Given<'i> = BTreeMap<(&'i str, ReferenceKey), BTreeSet<&'i str>>;

pub(super) fn findings(inputs: &Inputs, services: &[Checked<'_>]) -> Vec<Finding> {
    let given = given(inputs);
    if given.is_empty() {
        return Vec::new();
    }
    services.iter().flat_map(|service| missing(service, &given)).collect()
}

fn given(inputs: &Inputs) -> Given<'_> {
    let one = |document| {
        let kind = [ReferenceKind::Secret, ReferenceKind::ConfigMap]
            .into_iter()
            .find(|kind| Document::is(document, "v1", kind.as_str()))?;
        let name = document.text("/metadata/name")?.to_owned();
        Some(((inputs.namespace_of(document), ReferenceKey { kind, name }), keys(document)))
    };
    inputs.documents.iter().filter_map(one).collect()
}

fn keys(document: &Document) -> BTreeSet<&str> {
    let maps = ["data", "stringData", "binaryData"].into_iter().filter_map(|map| document.object.get(map));
    maps.filter_map(Value::as_object).flat_map(|map| map.keys().map(String::as_str)).collect()
}

fn missing(service: &Checked<'_>, given: &Given<'_>) -> Vec<Finding> {
    let mut found = Vec::new();
    for (key, wanted) in references(&service.object.spec) {
        let Some(has) = given.get(&(service.namespace(), key.clone())) else { continue };
        for lacking in wanted.required.iter().filter(|wanted| !has.contains(wanted.as_str())) {
            let (kind, name) = (key.kind.as_str(), &key.name);
            let message = format!(
                "key \"{lacking}\" is not in the {kind} \"{name}\" that is given: add it there, name another, or \
                 make it optional"
            );
            let field = place(service.spec(), name, lacking);
            found.push(service.document.finding(Reason::WaitingForSecret, field, message));
        }
    }
    found
}

/// Path of the place that reads a key of an object: inside what names the object, where the key is named.
fn place(spec: &Value, name: &str, key: &str) -> String {
    let mut best = "spec".to_owned();
    let mut open = vec![("spec".to_owned(), spec, false)];
    while let Some((path, value, named)) = open.pop() {
        match value {
            Value::Object(fields) => {
                let is = |field: &str, text: &str| fields.get(field).and_then(Value::as_str) == Some(text);
                let here = named || is("name", name) || is("secretName", name);
                if here && is("key", key) {
                    return format!("{path}.key");
                }
                if here && !named {
                    best.clone_from(&path);
                }
                open.extend(
                    fields.iter().rev().map(|(field, value)| (format!("{path}.{field}"), value, here)),
                );
            }
            Value::Array(items) => {
                let items = items.iter().enumerate().rev();
                open.extend(items.map(|(index, item)| (format!("{path}[{index}]"), item, named)));
            }
            _ => {}
        }
    }
    best
}
