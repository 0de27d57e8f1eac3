//! A request as the model understands it.

use std::collections::HashMap;

use axum::extract::Query;
use http::{Method, Request, Uri, header};
use http_body_util::BodyExt;
use kube::client::Body;

use crate::store::Key;
use crate::target::Target;

/// What is asked for.
#[derive(Debug)]
pub struct Call {
    /// HTTP method.
    pub method: Method,
    /// Resource, namespace and name; the latter two are empty when not given.
    pub key: Key,
    /// Subresource; empty when none.
    pub subresource: String,
    /// Query.
    pub query: HashMap<String, String>,
    /// Content-Type.
    pub content: String,
    /// Whether only metadata are wanted.
    pub metadata_only: bool,
    /// Body.
    pub body: Vec<u8>,
}

impl Call {
    /// Reads a request.
    pub async fn of(request: Request<Body>) -> Self {
        let (head, body) = request.into_parts();
        let text = |name| head.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let (key, subresource) = place(&head.uri);
        Self {
            key,
            subresource,
            query: Query::try_from_uri(&head.uri).map(|Query(query)| query).unwrap_or_default(),
            content: text(header::CONTENT_TYPE).to_owned(),
            metadata_only: text(header::ACCEPT).contains("as=PartialObjectMetadata"),
            method: head.method,
            body: body.collect().await.map(|body| body.to_bytes().to_vec()).unwrap_or_default(),
        }
    }

    /// A parameter of the query.
    pub fn parameter(&self, name: &str) -> &str {
        self.query.get(name).map(String::as_str).unwrap_or_default()
    }

    /// Whether it only reads.
    pub fn reads(&self) -> bool {
        self.method == Method::GET
    }

    /// Whether it is a watch.
    pub fn watches(&self) -> bool {
        self.parameter("watch") == "true"
    }
}

/// Key and subresource of a path. Of one that ends before the resource, which asks what is served, the key
/// names none.
fn place(uri: &Uri) -> (Key, String) {
    let Target { group, plural, namespace, name, subresource } = Target::of(uri.path());
    let key =
        Key::new(&format!("{group}/{plural}"), &namespace.unwrap_or_default(), &name.unwrap_or_default());
    (key, subresource.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_says_what_is_meant() {
        let of = |path: &str| place(&path.parse().unwrap());
        let key = Key::new;
        assert_eq!(of("/api/v1/namespaces?limit=2"), (key("/namespaces", "", ""), String::new()));
        assert_eq!(of("/api/v1/namespaces/a/secrets/b"), (key("/secrets", "a", "b"), String::new()));
        assert_eq!(of("/apis/apps/v1/deployments"), (key("apps/deployments", "", ""), String::new()));
        let status = of("/apis/x.dev/v1/namespaces/a/xs/b/status");
        assert_eq!(status, (key("x.dev/xs", "a", "b"), "status".to_owned()));
        assert_eq!(of("/apis/keda.sh/v1alpha1").0, key("keda.sh/", "", ""));
    }
}
