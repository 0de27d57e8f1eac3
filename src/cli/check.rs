//! `check`: every rule that the API server and the operator would hold against an object, and what the
//! given files hold against each other, offline.

mod data;
mod output;
mod peers;
mod sarif;
mod topics;

use std::collections::BTreeSet;
use std::fmt;

use rayon::prelude::*;
use serde_json::Value;

pub use output::{Format, print};

use super::{Document, Inputs, Position, Unreadable};
use crate::api::schema;
use crate::api::{GROUP, Microservice, MicroserviceClass, Reason};
use crate::intent::neighbours::Neighbours;
use crate::intent::{Intent, Violation, class_violations};

/// Something wrong with an object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// File, or `-`.
    pub path: String,
    /// Where the field stands, or the nearest one around it.
    pub at: Position,
    /// Field path; empty for the object itself.
    pub field: String,
    /// The reason that the object's conditions would give.
    pub reason: Reason,
    /// What is wrong and what to write instead.
    pub message: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let field = if self.field.is_empty() { "object" } else { &self.field };
        write!(f, "{}:{}: {field}: {} [{}]", self.path, self.at, self.message, self.reason)
    }
}

/// What came out of a check.
#[derive(Clone, Debug, Default)]
pub struct Examined {
    /// Everything wrong with our objects, in the order of the inputs.
    pub findings: Vec<Finding>,
    /// The intents of the Microservices that are right in themselves, in the order of the inputs.
    pub intents: Vec<Intent>,
    /// Number of our objects.
    pub objects: usize,
}

/// What a check that has found nothing has looked at, and what it could not judge.
pub fn summary(examined: &Examined) -> String {
    if examined.objects == 0 {
        return "nothing was checked: no Microservice and no MicroserviceClass is among the files".to_owned();
    }
    let plural = if examined.objects == 1 { "" } else { "s" };
    let text = format!("{} object{plural} checked, nothing found", examined.objects);
    match examined.intents.iter().filter(|intent| intent.class.is_none()).count() {
        0 => text,
        count => format!(
            "{text}; {count} without a class: give the one that applies in the cluster too, and its guard rails are checked"
        ),
    }
}

/// A Microservice that is right in itself.
struct Checked<'i> {
    document: &'i Document,
    object: Microservice,
    intent: Intent,
    /// Name of the class that applies.
    class: Option<String>,
}

/// Checks our objects among the inputs. Objects of other API groups are passed over, but Namespaces,
/// Secrets and ConfigMaps that ours refer to are looked at.
pub fn examine(inputs: &Inputs) -> Examined {
    let classes = inputs.classes();
    let neighbours = peers::neighbours(inputs, &classes);
    let mut seen = BTreeSet::new();
    let mut checked = Vec::new();
    let mut findings: Vec<Finding> = inputs.unreadable.iter().map(unreadable).collect();
    let ours: Vec<&Document> = inputs.documents.iter().filter(|document| is_ours(document)).collect();
    let judged: Vec<_> =
        ours.par_iter().map(|document| judge(inputs, &classes, &neighbours, document)).collect();
    for (document, judged) in ours.iter().zip(judged) {
        match judged {
            Ok(service) => checked.extend(service),
            Err(wrong) => findings.extend(wrong),
        }
        findings.extend(repeated(document, &mut seen));
    }
    findings.extend(topics::findings(&checked));
    findings.extend(data::findings(inputs, &checked));
    let order = inputs.order();
    findings.sort_by_key(|finding| (order.get(finding.path.as_str()), finding.at));
    Examined {
        findings,
        intents: checked.into_iter().map(|service| service.intent).collect(),
        objects: ours.len(),
    }
}

fn unreadable(one: &Unreadable) -> Finding {
    let message = format!("not a Kubernetes object in YAML: {}", one.message);
    let (path, field) = (one.path.to_string(), String::new());
    Finding { path, at: one.at, field, reason: Reason::InvalidSpec, message }
}

/// What names our API group, or one of our kinds and no group.
fn is_ours(document: &Document) -> bool {
    let text = |pointer: &str| document.text(pointer).unwrap_or_default();
    match text("/apiVersion") {
        "" => matches!(text("/kind"), "Microservice" | "MicroserviceClass"),
        version => version.split('/').next() == Some(GROUP),
    }
}

/// The service, nothing for a class, or what is wrong with the object in itself.
fn judge<'i>(
    inputs: &Inputs,
    classes: &[MicroserviceClass],
    neighbours: &Neighbours,
    document: &'i Document,
) -> Result<Option<Checked<'i>>, Vec<Finding>> {
    let refused = schema::validate(&document.object);
    if !refused.is_empty() {
        // Nothing more is said: the same mistake is not told twice.
        let finding =
            |found: schema::SchemaViolation| document.finding(Reason::InvalidSpec, found.path, found.message);
        return Err(refused.into_iter().map(finding).collect());
    }
    let wrong = |found: Vec<Violation>| -> Vec<Finding> {
        found.into_iter().map(|one| document.finding(one.reason, one.field, one.message)).collect()
    };
    let unreadable = |error: serde_json::Error| {
        vec![document.finding(Reason::InvalidSpec, String::new(), error.to_string())]
    };
    if document.text("/kind") == Some("MicroserviceClass") {
        let class = document.decode::<MicroserviceClass>().map_err(unreadable)?;
        let found = class_violations(&class);
        return if found.is_empty() { Ok(None) } else { Err(wrong(found)) };
    }
    let object = document.decode::<Microservice>().map_err(unreadable)?;
    let class = inputs.class_for(&object, classes);
    let observed = peers::met(inputs, neighbours, &object);
    let intent = Intent::resolve(&object, class, &observed).map_err(wrong)?;
    let class = class.and_then(|class| class.metadata.name.clone());
    Ok(Some(Checked { document, object, intent, class }))
}

type Seen = BTreeSet<(String, String, String)>;

fn repeated(document: &Document, seen: &mut Seen) -> Option<Finding> {
    let text = |pointer: &str| document.text(pointer).unwrap_or_default().to_owned();
    let (kind, name) = (text("/kind"), text("/metadata/name"));
    if name.is_empty() || seen.insert((kind.clone(), text("/metadata/namespace"), name.clone())) {
        return None;
    }
    let message = format!(
        "{kind} {name} is given twice, and the later one would replace the earlier one: remove or rename one"
    );
    Some(document.finding(Reason::InvalidSpec, "metadata.name".to_owned(), message))
}

impl Document {
    fn finding(&self, reason: Reason, field: String, message: String) -> Finding {
        Finding { path: self.path.to_string(), at: self.position(&field), field, reason, message }
    }
}

impl Checked<'_> {
    fn namespace(&self) -> &str {
        self.object.metadata.namespace.as_deref().unwrap_or_default()
    }

    fn name(&self) -> &str {
        self.object.metadata.name.as_deref().unwrap_or_default()
    }

    fn spec(&self) -> &Value {
        self.document.object.get("spec").unwrap_or(&Value::Null)
    }
}

#[cfg(test)]
mod tests;
