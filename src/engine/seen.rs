//! What a watch keeps of an object that it decodes. A page of a list is decoded as a whole, so each
//! object is reduced to what we need of it while it is read.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Debug;

use k8s_openapi::api::apps::v1::DeploymentStatus;
use k8s_openapi::api::core::v1::PodStatus;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{OwnerReference, Time};
use kube::Resource;
use kube::api::{ApiResource, ObjectMeta};
use kube::core::DynamicResourceScope;
use kube::core::error_boundary::InvalidObject;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use smol_str::SmolStr;

use super::live::Unjudged;
use super::metadata::Metadata;
use super::project;
use super::world::ServicePod;
use crate::api::Microservice;
use crate::status::views::DeploymentView;

/// What is read of an object beside its metadata.
pub trait View: Clone + Debug + Send + Sync + Sized + 'static {
    /// Whether the server need not send more than the metadata.
    const METADATA_ONLY: bool = false;
    /// What is read of `spec`.
    type Spec: DeserializeOwned + Default;
    /// What is read of `status`.
    type Status: DeserializeOwned + Default;

    /// Reduces it.
    fn of(metadata: &Metadata<'_>, spec: &Self::Spec, status: Self::Status) -> Self;
}

/// Nothing.
impl View for () {
    const METADATA_ONLY: bool = true;
    type Spec = IgnoredAny;
    type Status = IgnoredAny;

    fn of(_: &Metadata<'_>, _: &IgnoredAny, _: IgnoredAny) -> Self {}
}

/// What is read of a Deployment's spec.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Replicas {
    /// spec.replicas
    pub replicas: Option<i32>,
}

impl View for DeploymentView {
    type Spec = Replicas;
    type Status = DeploymentStatus;

    fn of(metadata: &Metadata<'_>, spec: &Replicas, status: DeploymentStatus) -> Self {
        project::deployment(metadata, spec.replicas, status)
    }
}

/// A pod that needs attention.
impl View for Option<ServicePod> {
    type Spec = IgnoredAny;
    type Status = PodStatus;

    fn of(metadata: &Metadata<'_>, _: &IgnoredAny, status: PodStatus) -> Self {
        project::troubled_pod(metadata, &status)
    }
}

/// An object of ours as a watch, or the answer to a write, shows it.
#[derive(Clone, Debug)]
pub struct Seen<V> {
    /// Name, namespace and version: what a watch itself needs.
    meta: ObjectMeta,
    /// The projection of its metadata.
    pub object: Unjudged,
    /// What else is read of it.
    pub view: V,
}

impl<'de, V: View> Deserialize<'de> for Seen<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(bound = "S: DeserializeOwned + Default, T: DeserializeOwned + Default")]
        struct Text<'a, S, T> {
            #[serde(borrow)]
            metadata: Metadata<'a>,
            #[serde(default)]
            spec: S,
            #[serde(default)]
            status: T,
        }
        let Text { metadata, spec, status } = Text::<'_, V::Spec, V::Status>::deserialize(deserializer)?;
        let text = |text: &SmolStr| Some(text.to_string()).filter(|text| !text.is_empty());
        let meta = ObjectMeta {
            name: text(&metadata.name),
            namespace: text(&metadata.namespace),
            resource_version: text(&metadata.resource_version),
            ..ObjectMeta::default()
        };
        let view = V::of(&metadata, &spec, status);
        Ok(Self { meta, object: Unjudged::of(metadata), view })
    }
}

impl<V: View> Resource for Seen<V> {
    type DynamicType = ApiResource;
    type Scope = DynamicResourceScope;

    fn kind(resource: &ApiResource) -> Cow<'_, str> {
        resource.kind.as_str().into()
    }

    fn group(resource: &ApiResource) -> Cow<'_, str> {
        resource.group.as_str().into()
    }

    fn version(resource: &ApiResource) -> Cow<'_, str> {
        resource.version.as_str().into()
    }

    fn plural(resource: &ApiResource) -> Cow<'_, str> {
        resource.plural.as_str().into()
    }

    fn metadata_api() -> bool {
        V::METADATA_ONLY
    }

    fn meta(&self) -> &ObjectMeta {
        &self.meta
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.meta
    }
}

/// A Microservice as a watch tells of it, not decoded yet: one that cannot be would end a typed watch,
/// and what our own write has just told need not be.
#[derive(Clone, Debug, Resource)]
#[resource(inherit = Microservice)]
pub struct Root {
    metadata: ObjectMeta,
    spec: Option<Box<RawValue>>,
    status: Option<Box<RawValue>>,
}

impl Root {
    /// The object, or what is known of it and why it is no more.
    ///
    /// # Errors
    /// It could not be decoded.
    pub fn into_result(self) -> Result<Microservice, Box<InvalidObject>> {
        let text = |part| Option::map_or(part, "null", RawValue::get);
        let decoded = serde_json::from_str(text(self.spec.as_deref()))
            .and_then(|spec| Ok((spec, serde_json::from_str(text(self.status.as_deref()))?)));
        let metadata = self.metadata;
        match decoded {
            Ok((spec, status)) => Ok(Microservice { metadata, spec, status }),
            Err(error) => Err(Box::new(InvalidObject { error: error.to_string(), metadata })),
        }
    }
}

impl<'de> Deserialize<'de> for Root {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Text {
            metadata: RootMetadata,
            spec: Option<Box<RawValue>>,
            status: Option<Box<RawValue>>,
        }
        let Text { metadata, spec, status } = Text::deserialize(deserializer)?;
        Ok(Self { metadata: metadata.into(), spec, status })
    }
}

/// A Microservice of which the server was asked for the metadata alone.
#[derive(Deserialize)]
pub struct RootHead {
    metadata: RootMetadata,
}

impl RootHead {
    /// What is kept of its metadata.
    pub fn into_metadata(self) -> ObjectMeta {
        self.metadata.into()
    }
}

/// The whole object once more, as kubectl keeps it on objects that it applies client-side.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Metadata of a Microservice without `managedFields` and [`LAST_APPLIED`], more than half of its text,
/// which nobody reads.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RootMetadata {
    name: Option<String>,
    namespace: Option<String>,
    uid: Option<String>,
    resource_version: Option<String>,
    generation: Option<i64>,
    creation_timestamp: Option<Time>,
    deletion_timestamp: Option<Time>,
    labels: Option<BTreeMap<String, String>>,
    annotations: Option<BTreeMap<String, String>>,
    finalizers: Option<Vec<String>>,
    owner_references: Option<Vec<OwnerReference>>,
}

impl From<RootMetadata> for ObjectMeta {
    fn from(mut metadata: RootMetadata) -> Self {
        if let Some(annotations) = &mut metadata.annotations {
            annotations.remove(LAST_APPLIED);
        }
        Self {
            name: metadata.name,
            namespace: metadata.namespace,
            uid: metadata.uid,
            resource_version: metadata.resource_version,
            generation: metadata.generation,
            creation_timestamp: metadata.creation_timestamp,
            deletion_timestamp: metadata.deletion_timestamp,
            labels: metadata.labels,
            annotations: metadata.annotations,
            finalizers: metadata.finalizers,
            owner_references: metadata.owner_references,
            ..Self::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::api::FIELD_MANAGER;

    #[test]
    fn a_deployment_is_seen_as_its_counts() {
        let text = json!({
            "metadata": {
                "name": "orders",
                "namespace": "shop",
                "resourceVersion": "7",
                "managedFields": [{
                    "manager": FIELD_MANAGER,
                    "operation": "Apply",
                    "fieldsV1": {"f:spec": {"f:replicas": {}}},
                }],
            },
            "spec": {"replicas": 2, "selector": {}, "template": {"spec": {"containers": []}}},
            "status": {"readyReplicas": 1},
        });
        // From text, as watches and answers are decoded.
        let seen: Seen<DeploymentView> = serde_json::from_str(&text.to_string()).unwrap();
        let live = seen.object.clone().judge();
        assert!(live.verdict.digest.is_some() && live.verdict.main_holds_replicas);
        assert_eq!((seen.view.desired, seen.view.ready), (2, 1));
        assert_eq!(seen.meta().resource_version.as_deref(), Some("7"));
        let again: Seen<()> = serde_json::from_str(&text.to_string()).unwrap();
        assert_eq!(again.object.judge(), live);
    }

    #[test]
    fn a_microservice_that_cannot_be_decoded_still_has_a_name() {
        let root = |spec| -> Result<Microservice, Box<InvalidObject>> {
            let text = json!({
                "metadata": {
                    "name": "orders",
                    "managedFields": [{"manager": "x", "fieldsV1": {}}],
                    "annotations": {LAST_APPLIED: "{}"},
                },
                "spec": spec,
                "status": {"observedGeneration": 3},
            });
            serde_json::from_str::<Root>(&text.to_string()).unwrap().into_result()
        };
        let good = root(json!({"image": "orders:v1"})).unwrap();
        assert_eq!((good.spec.image.as_str(), good.metadata.managed_fields), ("orders:v1", None));
        assert_eq!(good.metadata.annotations, Some([].into()));
        assert_eq!(good.status.unwrap().observed_generation, Some(3));
        let bad = root(json!({"image": 7})).unwrap_err();
        assert_eq!(bad.metadata.name.as_deref(), Some("orders"));
        assert!(bad.error.contains("invalid type: integer `7`, expected a string"), "{}", bad.error);
        assert!(root(Value::Null).is_err());
    }
}
