//! What a watch keeps of an object that it decodes. A page of a list is decoded as a whole, and most of
//! it is managedFields and pod templates: they go object by object, not page by page.

use std::borrow::Cow;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use kube::Resource;
use kube::api::{DynamicObject, ObjectMeta, PartialObjectMeta};
use kube::core::DeserializeGuard;
use serde::{Deserialize, Deserializer};

use super::live::Live;
use crate::api::Microservice;

/// Drops what nobody reads beside `managedFields`.
pub trait Slim {
    /// Drops it.
    fn slim(&mut self);
}

impl Slim for PartialObjectMeta<DynamicObject> {
    fn slim(&mut self) {}
}

impl Slim for DeserializeGuard<Microservice> {
    fn slim(&mut self) {}
}

impl Slim for Deployment {
    fn slim(&mut self) {
        if let Some(spec) = &mut self.spec {
            spec.template = Default::default();
        }
    }
}

impl Slim for Pod {
    fn slim(&mut self) {
        self.spec = None;
    }
}

/// An object without its `managedFields`, and what they said.
#[derive(Clone, Debug)]
pub struct Seen<K> {
    /// The object.
    pub object: K,
    /// Its projection.
    pub live: Live,
}

impl<'de, K: Deserialize<'de> + Resource + Slim> Deserialize<'de> for Seen<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut object = K::deserialize(deserializer)?;
        let live = Live::of(object.meta());
        object.meta_mut().managed_fields = None;
        object.slim();
        Ok(Self { object, live })
    }
}

impl<K: Resource> Resource for Seen<K> {
    type DynamicType = K::DynamicType;
    type Scope = K::Scope;

    fn kind(dynamic: &K::DynamicType) -> Cow<'_, str> {
        K::kind(dynamic)
    }

    fn group(dynamic: &K::DynamicType) -> Cow<'_, str> {
        K::group(dynamic)
    }

    fn version(dynamic: &K::DynamicType) -> Cow<'_, str> {
        K::version(dynamic)
    }

    fn plural(dynamic: &K::DynamicType) -> Cow<'_, str> {
        K::plural(dynamic)
    }

    fn meta(&self) -> &ObjectMeta {
        self.object.meta()
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        self.object.meta_mut()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::api::FIELD_MANAGER;

    #[test]
    fn a_deployment_is_digested_and_slimmed() {
        let text = json!({
            "metadata": {"name": "orders", "managedFields": [
                {"manager": FIELD_MANAGER, "operation": "Apply", "fieldsV1": {"f:spec": {"f:replicas": {}}}}]},
            "spec": {
                "replicas": 2,
                "selector": {},
                "template": {"spec": {"containers": [{"name": "orders"}]}},
            },
        });
        let seen: Seen<Deployment> = serde_json::from_value(text).unwrap();
        assert!(seen.live.digest.is_some() && seen.live.main_holds_replicas);
        assert_eq!(seen.object.metadata.managed_fields, None);
        let spec = seen.object.spec.unwrap();
        assert_eq!((spec.replicas, spec.template.spec), (Some(2), None));
    }
}
