//! The requests that the engine sends for children, each under a timeout, and what can come back.

use std::fmt::Debug;
use std::time::Duration;

use futures::TryFutureExt;
use kube::api::{DeleteParams, DynamicObject, GetParams, ListParams, Patch, PatchParams, Preconditions};
use kube::core::Request;
use kube::{Api, Client, Resource};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::client;
use super::live::{Key, Live};
use super::managed_fields::Entry;
use super::metadata::Metadata;
use super::seen::{Seen, View};
use super::watch::api_resource;
use crate::api::Reason;
use crate::plan::Kind;
use crate::status::views::Problem;

/// Longest wait for one answer, retries included; the API server itself gives up after 60 s, but a caller
/// that waits that long holds a worker.
pub const TIMEOUT: Duration = Duration::from_secs(20);

/// Why a request did not succeed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// 409: the object exists, is another one, or has changed; observe again.
    #[error("conflict: {0}")]
    Conflict(String),
    /// 422 or 400: this body will never be accepted.
    #[error("{0}")]
    Invalid(String),
    /// 403: a right, a quota or an admission check is missing or refuses.
    #[error("{0}")]
    Forbidden(String),
    /// 404: no such object or namespace.
    #[error("not found: {0}")]
    Missing(String),
    /// 404 for the whole kind: the API is not served.
    #[error("this cluster does not serve the API: {0}")]
    NotServed(String),
    /// This replica may not write now.
    #[error("this replica is not the leader any more")]
    Fenced,
    /// Everything that passes: no answer, 429, 5xx.
    #[error("{0}")]
    Transient(String),
}

impl Failure {
    /// The reason for conditions, Events and metrics.
    pub fn reason(&self) -> Reason {
        match self {
            Self::Conflict(_) | Self::Missing(_) | Self::Fenced | Self::Transient(_) => {
                Reason::ApiUnavailable
            }
            Self::Invalid(_) => Reason::Rejected,
            Self::Forbidden(_) => Reason::Forbidden,
            Self::NotServed(_) => Reason::ApiNotServed,
        }
    }

    /// Whether trying again soon cannot help.
    pub fn is_lasting(&self) -> bool {
        matches!(self, Self::Invalid(_) | Self::Forbidden(_) | Self::NotServed(_))
    }

    /// Whether the object is not there: none has its name, or its API is gone and took it along.
    pub fn is_gone(&self) -> bool {
        matches!(self, Self::Missing(_) | Self::NotServed(_))
    }

    /// The failure as it is for this child. KEDA's admission check may still know of the autoscaler that
    /// has just made room for the ScaledObject of its name: that passes.
    pub fn of_child(self, kind: &str, name: &str) -> Self {
        match self {
            Self::Forbidden(text)
                if kind == "ScaledObject"
                    && text.contains(&format!("already managed by the hpa '{name}'")) =>
            {
                Self::Transient(text)
            }
            other => other,
        }
    }

    /// The failure as a sentence about the object that it concerns.
    pub fn problem(&self, kind: &str, name: &str) -> Problem {
        let message = match self {
            Self::Invalid(text) => format!("the API server rejects {kind} {name}: {text}"),
            Self::Forbidden(text) => format!("{kind} {name} may not be written: {text}"),
            other => format!("{kind} {name}: {other}"),
        };
        Problem { reason: self.reason(), message: bounded_text(&message) }
    }
}

/// Whether a 404 is about the API and not about one object of it: for a group that is not served at all
/// the server answers in plain text.
fn is_of_the_api(message: &str) -> bool {
    ["could not find the requested resource", "page not found"].iter().any(|text| message.contains(text))
}

/// Texts from the server can be as long as the object.
fn bounded_text(text: &str) -> String {
    const LONGEST: usize = 600;
    if text.len() <= LONGEST { text.to_owned() } else { text.chars().take(LONGEST).chain(['…']).collect() }
}

impl From<kube::Error> for Failure {
    fn from(error: kube::Error) -> Self {
        let status = match error {
            kube::Error::Api(status) => status,
            other if client::is_fenced(&other) => return Self::Fenced,
            kube::Error::Service(error) => return Self::Transient(bounded_text(&error.to_string())),
            other => return Self::Transient(bounded_text(&other.to_string())),
        };
        let text = bounded_text(&status.message);
        match status.code {
            409 => Self::Conflict(text),
            400 | 413 | 422 => Self::Invalid(text),
            403 => Self::Forbidden(text),
            404 if is_of_the_api(&status.message) => Self::NotServed(text),
            404 => Self::Missing(text),
            _ => Self::Transient(text),
        }
    }
}

/// All objects that are asked for, page by page: as many at once as `params` limits it to.
///
/// # Errors
/// Any [`Failure`] of one of the pages.
pub async fn all<K>(api: &Api<K>, mut params: ListParams) -> Result<Vec<K>, Failure>
where
    K: Clone + Debug + DeserializeOwned,
{
    let mut all = Vec::new();
    loop {
        let page = bounded(api.list(&params)).await?;
        all.extend(page.items);
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params = params.continue_token(&token),
            None => return Ok(all),
        }
    }
}

/// Waits for an answer, but no longer than [`TIMEOUT`].
///
/// # Errors
/// Any [`Failure`].
pub fn bounded<'a, T: 'a>(
    answer: impl Future<Output = Result<T, kube::Error>> + Send + 'a,
) -> impl Future<Output = Result<T, Failure>> + Send + 'a {
    client::bounded(TIMEOUT, answer).map_err(Failure::from)
}

/// Sends what concerns one child. Reads and applies ask for no more than the view needs.
#[derive(Clone)]
pub struct Requests {
    client: Client,
}

impl Requests {
    /// Requests over this client.
    pub fn new(client: Client) -> Self {
        Self { client }
    }

    /// The client itself.
    pub fn client(&self) -> &Client {
        &self.client
    }

    fn api(&self, kind: &Kind, namespace: &str) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), namespace, &api_resource(kind))
    }

    /// A child, `None` when there is none.
    ///
    /// # Errors
    /// Any [`Failure`] but `Missing`.
    pub async fn live<V: View>(&self, kind: &Kind, key: &Key) -> Result<Option<Seen<V>>, Failure> {
        let api: Api<Seen<V>> =
            Api::namespaced_with(self.client.clone(), &key.namespace, &api_resource(kind));
        bounded(api.get_opt(&key.name)).await
    }

    /// The metadata of a child with its managedFields, as text; `None` when there is none.
    ///
    /// # Errors
    /// Any [`Failure`] but `Missing`.
    pub async fn metadata(&self, kind: &Kind, key: &Key) -> Result<Option<MetadataText>, Failure> {
        let request = request(kind, key).get_metadata(&key.name, &GetParams::default());
        let answer = async { self.client.request_text(named(request, "get")?).await };
        match bounded(answer).await {
            Ok(text) => Ok(Some(MetadataText(text))),
            Err(Failure::Missing(_)) => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    /// A whole child, `None` when there is none.
    ///
    /// # Errors
    /// Any [`Failure`] but `Missing`.
    pub async fn whole(&self, kind: &Kind, key: &Key) -> Result<Option<DynamicObject>, Failure> {
        bounded(self.api(kind, &key.namespace).get_opt(&key.name)).await
    }

    /// Applies a body, as JSON, under the field manager, with strict field validation.
    ///
    /// # Errors
    /// Any [`Failure`].
    pub async fn apply<V: View>(
        &self,
        kind: &Kind,
        key: &Key,
        manager: &str,
        force: bool,
        body: String,
    ) -> Result<Seen<V>, Failure> {
        let mut params = PatchParams::apply(manager).validation_strict();
        params.force = force;
        let (request, patch) = (request(kind, key), Patch::Apply(()));
        let request = if V::METADATA_ONLY {
            request.patch_metadata(&key.name, &params, &patch)
        } else {
            request.patch(&key.name, &params, &patch)
        };
        // kube would serialize it anew.
        let request = request.map(|request| request.map(|_| body.into_bytes()));
        bounded(self.send(request, "patch")).await
    }

    /// What kube's typed calls do, for answers of a type of our own.
    async fn send<T: DeserializeOwned>(&self, request: Built, verb: &'static str) -> Result<T, kube::Error> {
        self.client.request(named(request, verb)?).await
    }

    /// Replaces `metadata.managedFields` if the object is still at this version.
    ///
    /// # Errors
    /// Any [`Failure`]; `Conflict` when the object has changed.
    pub async fn set_managed_fields(
        &self,
        kind: &Kind,
        key: &Key,
        metadata: &Metadata<'_>,
        entries: &[Entry<'_>],
    ) -> Result<(), Failure> {
        let patch = json!([
            {"op": "test", "path": "/metadata/uid", "value": metadata.uid},
            {"op": "replace", "path": "/metadata/resourceVersion", "value": metadata.resource_version},
            {"op": "replace", "path": "/metadata/managedFields", "value": entries},
        ]);
        let patch = serde_json::from_value(patch).map_err(|error| Failure::Transient(error.to_string()))?;
        let api = self.api(kind, &key.namespace);
        bounded(api.patch_metadata(&key.name, &PatchParams::default(), &Patch::<()>::Json(patch))).await?;
        Ok(())
    }

    /// Deletes exactly this object at exactly this version; a ScaledObject after the autoscaler that KEDA
    /// made of it.
    ///
    /// # Errors
    /// Any [`Failure`]; `Conflict` when it has changed or is another one, [gone](Failure::is_gone) when there is none.
    pub async fn delete(&self, kind: &Kind, key: &Key, live: &Live) -> Result<(), Failure> {
        let params = match kind.kind {
            "ScaledObject" => DeleteParams::foreground(),
            _ => DeleteParams::background(),
        };
        let params = params.preconditions(Preconditions {
            uid: Some(live.uid.to_string()),
            resource_version: Some(live.resource_version.to_string()),
        });
        bounded(self.api(kind, &key.namespace).delete(&key.name, &params)).await?;
        Ok(())
    }
}

/// The metadata of an object as they came.
pub struct MetadataText(String);

impl MetadataText {
    /// What is read of them.
    ///
    /// # Errors
    /// `Transient` when the text is not what the API promises.
    pub fn read(&self) -> Result<Metadata<'_>, Failure> {
        #[derive(Deserialize)]
        struct Object<'a> {
            #[serde(borrow)]
            metadata: Metadata<'a>,
        }
        let object: Result<Object<'_>, _> = serde_json::from_str(&self.0);
        object.map(|object| object.metadata).map_err(|error| Failure::Transient(error.to_string()))
    }
}

type Built = Result<http::Request<Vec<u8>>, kube::core::request::Error>;

/// The request with its verb, for the metrics.
fn named(request: Built, verb: &'static str) -> Result<http::Request<Vec<u8>>, kube::Error> {
    let mut request = request.map_err(kube::Error::BuildRequest)?;
    request.extensions_mut().insert(verb);
    Ok(request)
}

fn request(kind: &Kind, key: &Key) -> Request {
    Request::new(Seen::<()>::url_path(&api_resource(kind), Some(&key.namespace)))
}

#[cfg(test)]
mod tests {
    use kube::core::Status;

    use super::*;

    fn failure(code: u16, message: &str) -> Failure {
        Failure::from(kube::Error::Api(Status::failure(message, "").with_code(code).boxed()))
    }

    #[test]
    fn codes_become_what_to_do_next() {
        assert_eq!(failure(409, "x"), Failure::Conflict("x".to_owned()));
        assert_eq!(failure(422, "x").reason(), Reason::Rejected);
        assert_eq!(failure(403, "x").reason(), Reason::Forbidden);
        assert_eq!(
            failure(404, "the server could not find the requested resource").reason(),
            Reason::ApiNotServed
        );
        assert_eq!(failure(404, "pods \"x\" not found"), Failure::Missing("pods \"x\" not found".to_owned()));
        assert!(!failure(503, "x").is_lasting());
        assert!(failure(422, "x").is_lasting());
    }

    #[test]
    fn what_an_api_held_that_is_not_served_is_gone_with_it() {
        let answer = kube::Error::Api(
            Status::failure("404 page not found", "Failed to parse error data").with_code(404).boxed(),
        );
        let unserved = Failure::from(answer);
        assert_eq!(unserved, Failure::NotServed("404 page not found".to_owned()));
        assert!(unserved.is_gone() && failure(404, "pods \"x\" not found").is_gone());
        assert!(!failure(403, "x").is_gone() && !failure(503, "x").is_gone());
    }

    #[test]
    fn keda_is_asked_again_about_an_autoscaler_of_ours_that_has_just_gone() {
        let text = "the workload 'web' of type 'apps/v1.Deployment' is already managed by the hpa 'web'";
        let denied = Failure::Forbidden(text.to_owned());
        assert!(!denied.clone().of_child("ScaledObject", "web").is_lasting());
        assert_eq!(denied.clone().of_child("Deployment", "web"), denied);
        assert_eq!(denied.clone().of_child("ScaledObject", "other"), denied, "somebody else's autoscaler");
    }

    #[test]
    fn a_200_kb_message_is_cut() {
        assert!(failure(422, &"x".repeat(200_000)).problem("Deployment", "a").message.len() < 700);
    }
}
