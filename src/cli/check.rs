//! `check`: every rule that the API server and the operator would hold against an object, and what the
//! given files hold against each other, offline.

mod data;
mod output;
mod peers;
mod sarif;
mod system;
mod topics;

use std::collections::BTreeSet;
use std::fmt;

use rayon::prelude::*;
use serde_json::Value;

pub use output::{Format, print};

use super::{Document, Inputs, Position, Unreadable};
use crate::api::schema;
use crate::api::{API_VERSION, GROUP, Microservice, MicroserviceClass, Reason};
use crate::graph::{Kind, Policies, Severity};
use crate::intent::calls::Key;
use crate::intent::neighbours::Neighbours;
use crate::intent::{Intent, Violation, class_violations};

/// Something wrong with an object, or with what it is part of.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// File, or `-`.
    pub path: String,
    /// Where the field stands, or the nearest one around it.
    pub at: Position,
    /// Field path; empty for the object itself.
    pub field: String,
    /// What kind of finding it is.
    pub rule: Rule,
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong and what to write instead.
    pub message: String,
}

/// What a finding is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// As the reason that the object's conditions would give.
    Reason(Reason),
    /// As in the graph of calls, where no condition has that reason.
    Graph(Kind),
}

impl From<Kind> for Rule {
    fn from(kind: Kind) -> Self {
        Reason::parse(kind.as_str()).map_or(Self::Graph(kind), Self::Reason)
    }
}

impl Rule {
    /// The name, as it is printed.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Reason(reason) => reason.as_str(),
            Self::Graph(kind) => kind.as_str(),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let field = if self.field.is_empty() { "object" } else { &self.field };
        write!(f, "{}:{}: {field}: ", self.path, self.at)?;
        if self.severity != Severity::Error {
            write!(f, "{}: ", self.severity)?;
        }
        write!(f, "{} [{}]", self.message, self.rule.as_str())
    }
}

/// What came out of a check.
#[derive(Clone, Debug, Default)]
pub struct Examined {
    /// Everything wrong with our objects, in the order of the inputs.
    pub findings: Vec<Finding>,
    /// The intents of the Microservices that are right in themselves, in the order of the inputs.
    pub intents: Vec<Intent>,
    /// How each of them is judged in the graph of calls.
    pub policies: Policies,
    /// Number of our objects.
    pub objects: usize,
}

impl Examined {
    /// How bad the worst finding is.
    pub fn worst(&self) -> Option<Severity> {
        self.findings.iter().map(|finding| finding.severity).max()
    }
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
    look(inputs).done(inputs)
}

/// The same with what is found in the graph of calls of the given services.
pub fn review(inputs: &Inputs) -> Examined {
    let mut looked = look(inputs);
    looked.findings.extend(system::findings(&looked.services, &looked.policies));
    looked.done(inputs)
}

/// What came out of a look at all objects.
struct Looked<'i> {
    findings: Vec<Finding>,
    services: Vec<Checked<'i>>,
    policies: Policies,
    objects: usize,
}

impl Looked<'_> {
    fn done(mut self, inputs: &Inputs) -> Examined {
        let order = inputs.order();
        self.findings.sort_by_key(|finding| (order.get(finding.path.as_str()), finding.at));
        Examined {
            findings: self.findings,
            intents: self.services.into_iter().map(|service| service.intent).collect(),
            policies: self.policies,
            objects: self.objects,
        }
    }
}

/// A document as a Microservice; an error if a field has the wrong type, `None` = it is none.
type Decoded = Option<Result<Microservice, serde_json::Error>>;

fn look(inputs: &Inputs) -> Looked<'_> {
    let classes = inputs.classes();
    let ours: Vec<&Document> = inputs.documents.iter().filter(|document| is_ours(document)).collect();
    let decode = |document: &&Document| document.is(API_VERSION, "Microservice").then(|| document.decode());
    let decoded: Vec<Decoded> = ours.par_iter().map(decode).collect();
    let services = decoded.iter().flatten().flatten();
    let neighbours = peers::neighbours(inputs, &classes, services.clone());
    let mut policies = Policies::default();
    services.for_each(|object| policies.put(Key::of(object), inputs.class_for(object, &classes)));
    let mut seen = BTreeSet::new();
    let mut checked = Vec::new();
    let mut findings: Vec<Finding> = inputs.unreadable.iter().map(unreadable).collect();
    let judged: Vec<_> = ours
        .par_iter()
        .zip(decoded)
        .map(|(document, decoded)| judge(inputs, &classes, &neighbours, document, decoded))
        .collect();
    for (document, judged) in ours.iter().zip(judged) {
        match judged {
            Ok(service) => checked.extend(service),
            Err(wrong) => findings.extend(wrong),
        }
        findings.extend(repeated(document, &mut seen));
    }
    findings.extend(topics::findings(&checked));
    findings.extend(data::findings(inputs, &checked));
    Looked { findings, services: checked, policies, objects: ours.len() }
}

fn unreadable(one: &Unreadable) -> Finding {
    let message = format!("not a Kubernetes object in YAML: {}", one.message);
    Finding {
        path: one.path.to_string(),
        at: one.at,
        field: String::new(),
        rule: Rule::Reason(Reason::InvalidSpec),
        severity: Severity::Error,
        message,
    }
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
    decoded: Decoded,
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
    let Some(object) = decoded else {
        let class = document.decode::<MicroserviceClass>().map_err(unreadable)?;
        let found = class_violations(&class);
        return if found.is_empty() { Ok(None) } else { Err(wrong(found)) };
    };
    let object = object.map_err(unreadable)?;
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
        self.told(Rule::Reason(reason), Severity::Error, field, message)
    }

    fn told(&self, rule: Rule, severity: Severity, field: String, message: String) -> Finding {
        let (path, at) = (self.path.to_string(), self.position(&field));
        Finding { path, at, field, rule, severity, message }
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
