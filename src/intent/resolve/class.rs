//! Which class and which revision of the built-in defaults apply, and the digest of both.

use serde_json::{Value, json};

use super::Inputs;
use crate::api::defaults::{DEFAULT_REVISION, Defaults, NEWEST_REVISION, revision as defaults_of};
use crate::api::network::{ClassNetwork, PolicyMode};
use crate::api::{LABEL_CLASS, Microservice, MicroserviceClass, Reason, names};
use crate::intent::{Observed, Violation};

/// The built-in defaults that the class asks for, once it is certain that the class at hand is the one
/// that the object or its namespace names.
pub(super) fn applicable(
    object: &Microservice,
    class: Option<&MicroserviceClass>,
    observed: &Observed,
) -> Result<&'static Defaults, Violation> {
    let found = class.and_then(|class| class.metadata.name.as_deref());
    if let Some(wanted) = object.spec.class_name.as_deref() {
        if found != Some(wanted) {
            let message = format!(
                "there is no MicroserviceClass {wanted:?}: create it, name an existing one, or leave className out"
            );
            return Err(not_found("spec.className", message));
        }
    } else if let Some(wanted) = observed.class_wanted.as_deref()
        && found != Some(wanted)
    {
        let message = format!(
            "the namespace's label {LABEL_CLASS} names the MicroserviceClass {wanted:?}, which does not exist: \
                 create it, correct the label, or set spec.className"
        );
        return Err(not_found("metadata.namespace", message));
    }
    let wanted = wanted_defaults(class);
    defaults_of(wanted).ok_or_else(|| Violation {
        reason: Reason::InvalidSpec,
        field: "spec.className".to_owned(),
        message: format!(
            "MicroserviceClass {:?} asks for defaultsRevision {wanted}, but this release knows 1 to \
             {NEWEST_REVISION}: set it to one of these or upgrade the operator",
            found.unwrap_or_default()
        ),
    })
}

/// The revision of the defaults that a class asks for, whether or not this release knows it.
pub(super) fn wanted_defaults(class: Option<&MicroserviceClass>) -> i32 {
    class.and_then(|class| class.spec.defaults_revision).unwrap_or(DEFAULT_REVISION)
}

fn not_found(field: &str, message: String) -> Violation {
    Violation { reason: Reason::ClassNotFound, field: field.to_owned(), message }
}

/// Digest of everything outside the object that a plan depends on. Guard rails that only allow or
/// refuse are left out: they change no child.
pub(super) fn revision(inputs: &Inputs<'_>) -> String {
    let mut parts = json!({
        "class": inputs.class_name,
        "defaults": inputs.class,
        "maxReplicas": inputs.guardrails.max_replicas,
        "maxResources": inputs.guardrails.max_resources,
        "revision": inputs.defaults.revision,
    });
    if let (Some(parts), Some(kafka)) = (parts.as_object_mut(), kafka(inputs)) {
        parts.insert("kafka".to_owned(), kafka);
    }
    if let (Some(parts), PolicyMode::Enforce) = (parts.as_object_mut(), super::network::mode(inputs)) {
        // Who enforces it is only told.
        let network = inputs.network.map(|network| ClassNetwork { enforced_by: None, ..network.clone() });
        parts.insert("network".to_owned(), json!(network));
    }
    // serde_json's map is sorted by key: its compact form is canonical.
    names::digest(&parts.to_string())
}

/// The class's part that names topics and users; only services that use Kafka depend on it.
fn kafka(inputs: &Inputs<'_>) -> Option<Value> {
    let (spec, class) = (inputs.spec.kafka.as_deref()?, inputs.kafka?);
    Some(json!({
        "cluster": super::kafka::cluster(spec, class),
        "topicNameTemplate": class.topic_name_template,
        "principalPrefix": class.principal_prefix,
        "defaults": class.defaults,
    }))
}
