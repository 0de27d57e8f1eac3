//! The few metadata of a child that anybody reads. Everything else of an object's text is skipped while
//! it is decoded.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde::Deserialize;

use super::managed_fields::Entry;

/// Metadata of a child or pod.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Metadata {
    /// metadata.name
    pub name: String,
    /// metadata.namespace
    pub namespace: String,
    /// metadata.uid
    pub uid: String,
    /// metadata.resourceVersion
    pub resource_version: String,
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
    /// metadata.managedFields
    pub managed_fields: Vec<Entry>,
}

/// The labels that are read.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Labels {
    /// [`crate::api::LABEL_NAME`]: the Microservice.
    #[serde(rename = "microservice.dev/name")]
    pub service: Option<String>,
    /// Of a pod: its ReplicaSet's template.
    #[serde(rename = "pod-template-hash")]
    pub template: Option<String>,
}

/// The annotations that are read.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Annotations {
    /// [`crate::api::ANNOTATION_PLAN_HASH`].
    #[serde(rename = "microservice.dev/plan-hash")]
    pub plan_hash: Option<String>,
}

/// An owner reference.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct OwnerText {
    /// Whether it is the controller.
    pub controller: bool,
    /// apiVersion
    pub api_version: String,
    /// kind
    pub kind: String,
    /// name
    pub name: String,
    /// uid
    pub uid: String,
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
        let metadata: Metadata = serde_json::from_value(text).unwrap();
        assert_eq!(metadata.labels.service.as_deref(), Some("orders"));
        assert_eq!(metadata.annotations.plan_hash.as_deref(), Some("abc"));
        assert!(!metadata.owner_references[0].controller);
    }
}
