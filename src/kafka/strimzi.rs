//! Topics and users as objects of Strimzi's operators: what is written into them, and what they tell. The
//! topic operator deletes a topic with its object, takes over one that exists, and removes every key that
//! its object does not name. Pure.

mod topic;
mod user;

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::api::{FIELD_MANAGER, MANAGED_BY, names};

pub use topic::{TopicObject, TopicSpec, adopted, altered, created, grown, held};
pub use user::{UserObject, UserSpec};

/// API group of the objects.
pub const GROUP: &str = "kafka.strimzi.io";
/// Versions that this release can write, the preferred one first. What is written is the same in both.
pub const VERSIONS: [&str; 2] = ["v1", "v1beta2"];
/// Kind and resource of topics.
pub const TOPICS: (&str, &str) = ("KafkaTopic", "kafkatopics");
/// Kind and resource of users.
pub const USERS: (&str, &str) = ("KafkaUser", "kafkausers");
/// Label with the name of the Kafka object: which of Strimzi's operators looks after an object.
pub const LABEL_CLUSTER: &str = "strimzi.io/cluster";
/// Annotation that tells the topic operator to leave a topic alone, if it is `false`.
pub const ANNOTATION_MANAGED: &str = "strimzi.io/managed";
/// Label with the namespace of the installation whose ledger decides about the object.
pub const LABEL_OPERATOR: &str = "microservice.dev/operator";
/// Annotation with the Microservice, as `namespace/name`: an ownerReference cannot lead to another
/// namespace.
pub const ANNOTATION_OWNER: &str = "microservice.dev/owner";

/// Most bytes of what Strimzi says that are passed on.
const LONGEST: usize = 300;
/// Hexadecimal digits of a digest.
const DIGEST: usize = 32;

/// The id under which the ledger keeps a cluster whose own id nobody can ask for.
pub fn cluster_id(namespace: &str, cluster: &str) -> String {
    format!("strimzi:{namespace}/{cluster}")
}

/// Name of the object of a topic: that of the topic, where it is a name of an object. Else it is made one,
/// with a digest, so that two topics never share an object; a topic whose name looks like that gets a
/// digest too.
pub fn topic_object(topic: &str) -> String {
    let looks_made = topic.rsplit_once('-').is_some_and(|(_, end)| {
        end.len() == DIGEST && end.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'a'..=b'f'))
    });
    if names::is_subdomain(topic) && !looks_made {
        return topic.to_owned();
    }
    let legal = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let head: String = topic.chars().map(legal).take(names::MAX_NAME - DIGEST - 1).collect();
    let head = head.trim_matches('-');
    let digest = names::digest(topic);
    if head.is_empty() { format!("t-{digest}") } else { format!("{head}-{digest}") }
}

/// What is common to all objects.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: String,
    /// Its version.
    pub resource_version: String,
    /// Number of its description.
    pub generation: i64,
    /// Value of the label [`LABEL_CLUSTER`].
    pub cluster: Option<String>,
    /// The Microservice, as `namespace/name`.
    pub owner: Option<String>,
    /// Whether this installation has made it: by its label and by who has written it.
    pub ours: bool,
    /// Whether Strimzi looks after the topic.
    pub managed: bool,
    /// Whether it is being deleted.
    pub deleting: bool,
}

/// What Strimzi says of an object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// The generation that it has looked at; 0 = none.
    pub observed: i64,
    /// Ready, Unmanaged or NotReady, with status, reason and message.
    pub conditions: Vec<Condition>,
}

/// One condition of Strimzi's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Condition {
    /// Its type.
    pub kind: String,
    /// Whether its status is True.
    pub holds: bool,
    /// One word.
    pub reason: String,
    /// A sentence, bounded.
    pub message: String,
}

/// How far Strimzi has come with an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// It has not looked at this generation yet, or is still at work.
    Pending,
    /// It has carried it out.
    Ready,
    /// It leaves the topic alone.
    Unmanaged,
    /// It could not, and these are its reason and message.
    Refused(String, String),
}

impl Head {
    /// Reads the metadata of an object; `operator` is the namespace of this installation.
    pub fn read(metadata: &Value, operator: &str) -> Self {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let (labels, annotations) = (&metadata["labels"], &metadata["annotations"]);
        let label = |key: &str| text(&labels[key]);
        let annotation = |key: &str| text(&annotations[key]);
        let writers = metadata["managedFields"].as_array();
        let written = writers.into_iter().flatten().any(|entry| {
            entry["manager"] == FIELD_MANAGER
                && entry["operation"] == "Apply"
                && entry["subresource"].is_null()
        });
        Self {
            name: text(&metadata["name"]).unwrap_or_default(),
            uid: text(&metadata["uid"]).unwrap_or_default(),
            resource_version: text(&metadata["resourceVersion"]).unwrap_or_default(),
            generation: metadata["generation"].as_i64().unwrap_or_default(),
            cluster: label(LABEL_CLUSTER),
            owner: annotation(ANNOTATION_OWNER),
            ours: written && label(LABEL_OPERATOR).as_deref() == Some(operator),
            managed: annotation(ANNOTATION_MANAGED).as_deref() != Some("false"),
            deleting: !metadata["deletionTimestamp"].is_null(),
        }
    }
}

impl Said {
    /// Reads the status of an object.
    pub fn read(status: &Value) -> Self {
        let conditions = status["conditions"].as_array().into_iter().flatten();
        let condition = |one: &Value| Condition {
            kind: one["type"].as_str().unwrap_or_default().to_owned(),
            holds: one["status"] == "True",
            reason: bounded(one["reason"].as_str().unwrap_or_default()),
            message: bounded(one["message"].as_str().unwrap_or_default()),
        };
        Self {
            observed: status["observedGeneration"].as_i64().unwrap_or_default(),
            conditions: conditions.map(condition).collect(),
        }
    }

    /// How far it is with the object of this head. What it has said of an older generation counts for
    /// nothing.
    pub fn progress(&self, head: &Head) -> Progress {
        if self.observed != head.generation {
            return Progress::Pending;
        }
        let find = |kind: &str| self.conditions.iter().find(|condition| condition.kind == kind);
        if find("Unmanaged").is_some_and(|condition| condition.holds) {
            return Progress::Unmanaged;
        }
        match (find("Ready"), find("NotReady")) {
            (Some(ready), _) if ready.holds => Progress::Ready,
            // The topic operator says Ready=False, the user operator NotReady=True.
            (Some(not), _) => Progress::Refused(not.reason.clone(), not.message.clone()),
            (None, Some(not)) if not.holds => Progress::Refused(not.reason.clone(), not.message.clone()),
            (None, _) => Progress::Pending,
        }
    }
}

/// One line without control characters, cut.
fn bounded(text: &str) -> String {
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let end = line.char_indices().map(|(at, c)| at + c.len_utf8()).take_while(|end| *end <= LONGEST).last();
    match end {
        Some(end) if end < line.len() => format!("{}…", line.get(..end).unwrap_or_default()),
        _ => line,
    }
}

/// What makes an object one of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark<'a> {
    /// Namespace of Strimzi's objects.
    pub namespace: &'a str,
    /// Name of the Kafka object.
    pub cluster: &'a str,
    /// Namespace of this installation.
    pub operator: &'a str,
    /// `group/version` in which it is written.
    pub api_version: &'a str,
}

/// The metadata of an object to apply. `live` is the object that it was decided from: without one it has
/// to be new.
fn metadata(
    mark: &Mark<'_>,
    name: &str,
    owner: Option<&str>,
    live: Option<&Head>,
    managed: Option<bool>,
) -> Value {
    let mut annotations = BTreeMap::new();
    annotations.extend(owner.map(|owner| (ANNOTATION_OWNER, owner.to_owned())));
    annotations.extend(managed.map(|managed| (ANNOTATION_MANAGED, managed.to_string())));
    let mut metadata = json!({
        "name": name, "namespace": mark.namespace, "annotations": annotations,
        "labels": {LABEL_CLUSTER: mark.cluster, LABEL_OPERATOR: mark.operator, "app.kubernetes.io/managed-by": MANAGED_BY},
    });
    // Absent gives 201 and present 409 with this version; with the UID of another object it is refused.
    let (key, value) = live.map_or(("resourceVersion", "1"), |live| ("uid", live.uid.as_str()));
    if let Some(metadata) = metadata.as_object_mut() {
        metadata.insert(key.to_owned(), json!(value));
    }
    metadata
}

/// An object to apply.
fn object(mark: &Mark<'_>, kind: &str, metadata: &Value, spec: &Map<String, Value>) -> Value {
    json!({"apiVersion": mark.api_version, "kind": kind, "metadata": metadata, "spec": spec})
}

#[cfg(test)]
mod tests;
