//! A namespace for one test, with short ways to reach what is in it.

use std::fmt::Debug;
use std::time::Duration;

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Namespace as CoreNamespace;
use kube::api::{Api, ApiResource, DeleteParams, DynamicObject, GroupVersionKind, Patch, PatchParams};
use kube::{Client, Resource, ResourceExt};
use microservice_operator::api::microservice::Microservice;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::{Cluster, MANAGER, eventually, suffix};

/// A fresh namespace that enforces Pod Security `restricted`.
pub struct Namespace {
    name: String,
    client: Client,
    cluster: &'static Cluster,
}

impl Namespace {
    /// Creates the namespace `<name>-<random>` on the shared cluster.
    pub async fn new(cluster: &'static Cluster, name: &str) -> Self {
        let client = cluster.client().await;
        let name = format!("{name}-{}", suffix());
        create_namespace(&client, &name).await;
        Self { name, client, cluster }
    }

    /// One that another test of this process has created.
    pub async fn existing(cluster: &'static Cluster, name: &str) -> Self {
        Self { name: name.to_owned(), client: cluster.client().await, cluster }
    }

    /// Name of the namespace.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A client with all rights.
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// Typed access to one kind.
    pub fn api<K>(&self) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.client(), &self.name)
    }

    /// Reads one object; panics when it is not there.
    pub async fn get<K>(&self, name: &str) -> K
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + DeserializeOwned + Debug,
    {
        self.api().get(name).await.unwrap_or_else(|error| panic!("{} {name}: {error}", K::kind(&())))
    }

    /// Applies a manifest server-side, with force, as `test`. Its namespace is this one.
    pub async fn apply(&self, manifest: Value) -> DynamicObject {
        self.try_apply(manifest.clone())
            .await
            .unwrap_or_else(|error| panic!("applying {manifest:#}: {error}"))
    }

    /// Like [`Namespace::apply`], for manifests that may be refused.
    pub async fn try_apply(&self, manifest: Value) -> kube::Result<DynamicObject> {
        let object: DynamicObject = serde_json::from_value(manifest).expect("a manifest has metadata");
        let api = self.dynamic(&object);
        let strict = PatchParams {
            field_validation: Some(kube::api::ValidationDirective::Strict),
            ..Default::default()
        };
        let params = PatchParams { field_manager: Some(MANAGER.to_owned()), force: true, ..strict };
        api.patch(&object.name_any(), &params, &Patch::Apply(&object)).await
    }

    /// Merges a patch into an object, as a person with `kubectl patch --type=merge` does.
    pub async fn patch<K>(&self, name: &str, patch: Value) -> K
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + DeserializeOwned + Debug,
    {
        let params = PatchParams { field_manager: Some("kubectl-patch".to_owned()), ..Default::default() };
        let result = self.api().patch(name, &params, &Patch::Merge(&patch)).await;
        result.unwrap_or_else(|error| panic!("patching {} {name} with {patch}: {error}", K::kind(&())))
    }

    /// Deletes an object and waits until it is gone; a new one of its name may stand in its place by then.
    pub async fn delete<K>(&self, name: &str)
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + DeserializeOwned + Debug,
    {
        let api = self.api::<K>();
        let uid = api.get(name).await.expect("the object is there").meta().uid.clone();
        api.delete(name, &DeleteParams::default()).await.expect("the object can be deleted");
        let what = format!("{} {name} is gone", K::kind(&()));
        eventually(Duration::from_secs(20), &what, || async {
            match api.get_opt(name).await {
                Ok(Some(object)) if object.meta().uid == uid => Err("it is still there".to_owned()),
                Ok(_) => Ok(()),
                Err(error) => Err(error.to_string()),
            }
        })
        .await;
    }

    /// Applies a Microservice with this spec.
    pub async fn microservice(&self, name: &str, spec: Value) -> DynamicObject {
        self.apply(json!({
            "apiVersion": "microservice.dev/v1alpha1",
            "kind": "Microservice",
            "metadata": {"name": name},
            "spec": spec,
        }))
        .await
    }

    /// Waits until a Microservice is Ready in its current generation, for at most 30 s.
    pub async fn wait_ready(&self, name: &str) -> Microservice {
        self.wait_condition(name, "Ready", "True", None).await
    }

    /// Waits until a condition of the current generation has this status, and this reason if one is
    /// given, for at most 30 s.
    pub async fn wait_condition(
        &self,
        name: &str,
        kind: &str,
        status: &str,
        reason: Option<&str>,
    ) -> Microservice {
        let api = self.api::<Microservice>();
        let what =
            format!("Microservice {}/{name} has {kind}={status} {}", self.name, reason.unwrap_or_default());
        eventually(Duration::from_secs(90), &what, || async {
            let object = api.get(name).await.map_err(|error| error.to_string())?;
            let current =
                object.status.as_ref().and_then(|s| s.observed_generation) == object.metadata.generation;
            let conditions = object.status.as_ref().map(|s| s.conditions.as_slice()).unwrap_or_default();
            let met = conditions.iter().any(|condition| {
                condition.type_ == kind
                    && condition.status == status
                    && reason.is_none_or(|reason| condition.reason == reason)
            });
            if current && met { Ok(object) } else { Err(describe(&object)) }
        })
        .await
    }

    fn dynamic(&self, object: &DynamicObject) -> Api<DynamicObject> {
        let types = object.types.as_ref().expect("a manifest has apiVersion and kind");
        let kind = GroupVersionKind::try_from(types).expect("apiVersion is group/version");
        Api::namespaced_with(self.client(), &self.name, &ApiResource::from_gvk(&kind))
    }
}

/// The status of a Microservice in a few lines, for the message of a failed test.
fn describe(object: &Microservice) -> String {
    let generation = object.metadata.generation.unwrap_or_default();
    let Some(status) = &object.status else { return format!("generation {generation}, no status") };
    let seen = status.observed_generation.unwrap_or_default();
    let mut text = format!("generation {generation}, observed {seen}, ready {:?}", status.ready);
    for condition in &status.conditions {
        let (kind, message) = (&condition.type_, &condition.message);
        text += &format!("\n    {kind}={} {}: {message}", condition.status, condition.reason);
    }
    text
}

/// Changes a field of the Deployment that the operator owns, and waits until it is as before.
pub async fn see_a_repair(namespace: &Namespace, name: &str) {
    let before = namespace.get::<Deployment>(name).await.spec.unwrap_or_default().revision_history_limit;
    assert_ne!(before, Some(1));
    namespace.patch::<Deployment>(name, json!({"spec": {"revisionHistoryLimit": 1}})).await;
    eventually(Duration::from_secs(30), "a foreign edit is repaired", || async {
        let now = namespace.get::<Deployment>(name).await.spec.unwrap_or_default().revision_history_limit;
        if now == before { Ok(()) } else { Err(format!("revisionHistoryLimit is {now:?}")) }
    })
    .await;
}

/// Creates a namespace that enforces Pod Security `restricted`, and waits until pods can be created
/// there: for its default ServiceAccount.
pub async fn create_namespace(client: &Client, name: &str) {
    let mut namespace = CoreNamespace::default();
    namespace.metadata.name = Some(name.to_owned());
    namespace.metadata.labels =
        Some([("pod-security.kubernetes.io/enforce".to_owned(), "restricted".to_owned())].into());
    let api = Api::<CoreNamespace>::all(client.clone());
    api.create(&Default::default(), &namespace).await.expect("the namespace can be created");
}

/// Applies a cluster-scoped object, or one whose namespace is in the manifest, as `test`.
pub async fn apply_as_given<T: Serialize>(client: &Client, manifest: &T) -> DynamicObject {
    let value = serde_json::to_value(manifest).expect("a manifest is JSON");
    let object: DynamicObject = serde_json::from_value(value).expect("a manifest has metadata");
    let types = object.types.as_ref().expect("a manifest has apiVersion and kind");
    let kind = GroupVersionKind::try_from(types).expect("apiVersion is group/version");
    let resource = ApiResource::from_gvk(&kind);
    let api = match object.namespace() {
        Some(namespace) => Api::namespaced_with(client.clone(), &namespace, &resource),
        None => Api::all_with(client.clone(), &resource),
    };
    let name = object.name_any();
    let result = api.patch(&name, &PatchParams::apply(MANAGER).force(), &Patch::Apply(&object)).await;
    result.unwrap_or_else(|error| panic!("applying {} {name}: {error}", kind.kind))
}

impl Drop for Namespace {
    /// A foreign cluster gets its namespaces back; ours ends with us.
    fn drop(&mut self) {
        if !self.cluster.is_foreign() {
            return;
        }
        let (cluster, name) = (self.cluster, self.name.clone());
        let deletion = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async {
                let api = Api::<CoreNamespace>::all(cluster.client().await);
                api.delete(&name, &DeleteParams::default()).await.map_err(std::io::Error::other)
            })
        });
        if !matches!(deletion.join(), Ok(Ok(_))) {
            eprintln!("the namespace {} could not be deleted", self.name);
        }
    }
}
