//! The few metadata of a child that anybody reads. Everything else of an object's text is skipped while
//! it is decoded.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde::Deserialize;
use serde_json::value::RawValue;
use smol_str::SmolStr;

use crate::api::id::Id;

/// Metadata of a child or pod.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Metadata<'a> {
    /// metadata.name
    pub name: SmolStr,
    /// metadata.namespace
    pub namespace: SmolStr,
    /// metadata.uid
    pub uid: Id,
    /// metadata.resourceVersion
    pub resource_version: SmolStr,
    /// metadata.generation
    pub generation: i64,
    /// metadata.creationTimestamp
    pub creation_timestamp: Option<Time>,
    /// metadata.deletionTimestamp
    pub deletion_timestamp: Option<Time>,
    /// metadata.labels
    pub labels: Labels,
    /// metadata.annotations
    pub annotations: Annotations,
    /// metadata.ownerReferences
    pub owner_references: Vec<OwnerText>,
    /// metadata.managedFields, as text: see [`super::managed_fields::entries`].
    #[serde(borrow)]
    pub managed_fields: Option<&'a RawValue>,
}

/// The labels that are read.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Labels {
    /// [`crate::api::LABEL_NAME`]: the Microservice.
    #[serde(rename = "microservice.dev/name")]
    pub service: Option<SmolStr>,
    /// Of a pod: its ReplicaSet's template.
    #[serde(rename = "pod-template-hash")]
    pub template: Option<SmolStr>,
}

/// The annotations that are read.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Annotations {
    /// [`crate::api::ANNOTATION_PLAN_HASH`].
    #[serde(rename = "microservice.dev/plan-hash")]
    pub plan_hash: Option<Id>,
}

/// An owner reference.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct OwnerText {
    /// Whether it is the controller.
    pub controller: bool,
    /// apiVersion
    pub api_version: SmolStr,
    /// kind
    pub kind: SmolStr,
    /// name
    pub name: SmolStr,
    /// uid
    pub uid: Id,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::api::{ANNOTATION_PLAN_HASH, LABEL_NAME};

    #[test]
    fn what_is_read_has_the_names_of_the_api() {
        let text = json!({
            "name": "orders",
            "labels": {LABEL_NAME: "orders", "other": "x"},
            "annotations": {ANNOTATION_PLAN_HASH: "abc", "other": "x"},
            "ownerReferences": [{"apiVersion": "v1", "kind": "K", "name": "n", "uid": "u"}],
            "finalizers": ["x"],
        });
        let text = text.to_string();
        let metadata: Metadata<'_> = serde_json::from_str(&text).unwrap();
        assert_eq!(metadata.labels.service.as_deref(), Some("orders"));
        assert_eq!(metadata.annotations.plan_hash, Some("abc".into()));
        assert!(!metadata.owner_references[0].controller);
    }
}
