//! The connections themselves, as kube builds them, with one difference: the fence is asked once more
//! while a write goes out, since it may have waited for a connection in between.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt;
use hyper_timeout::TimeoutConnector;
use hyper_util::client::legacy;
use hyper_util::rt::TokioExecutor;
use kube::Config;
use kube::client::{Body, ClientBuilder, ConfigExt, DynBody};
use tower::util::BoxService;
use tower::{BoxError, ServiceBuilder, ServiceExt};

use super::{CONNECT_TIMEOUT, Fenced, READ_TIMEOUT, SOCKET_WRITE_TIMEOUT, mutates};
use crate::engine::lease::Fence;

/// What sends a request and brings the answer.
pub(super) type Transport = BoxService<Request<Body>, Response<Box<DynBody>>, BoxError>;

/// Connections to the server of this configuration. There is no proxy: it would have to be trusted with
/// every Secret.
///
/// # Errors
/// Certificates, token file or server address cannot be used.
pub(super) fn transport(config: &Config, fence: Fence) -> kube::Result<ClientBuilder<Transport>> {
    let mut connector = TimeoutConnector::new(config.rustls_https_connector()?);
    connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
    connector.set_read_timeout(Some(READ_TIMEOUT));
    connector.set_write_timeout(Some(SOCKET_WRITE_TIMEOUT));
    // Otherwise the time a pooled connection was idle counts against the next answer.
    connector.set_reset_reader_on_write(true);
    let connections = legacy::Builder::new(TokioExecutor::new()).build(connector);
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(config.auth_layer()?)
        .layer(config.extra_headers_layer()?)
        .map_request(move |request: Request<Body>| {
            let fence = mutates(request.method()).then(|| fence.clone());
            request.map(|body| FencedBody { body, fence })
        })
        .map_err(BoxError::from)
        .service(connections)
        .map_response(|response: Response<_>| {
            response.map(|body| Box::new(BodyExt::map_err(body, BoxError::from)) as Box<DynBody>)
        });
    Ok(ClientBuilder::new(service.boxed(), config.default_namespace.clone()))
}

/// The body of a request, which is asked for in the moment in which the request is written: head and
/// body go out together or not at all.
struct FencedBody {
    body: Body,
    fence: Option<Fence>,
}

impl http_body::Body for FencedBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if self.fence.as_ref().is_some_and(|fence| !fence.permit()) {
            return Poll::Ready(Some(Err(Fenced.into())));
        }
        Pin::new(&mut self.body).poll_frame(context).map_err(BoxError::from)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use kube::Client;
    use kube::api::{Api, Patch, PatchParams};
    use serde_json::json;
    use tokio::io::AsyncReadExt;
    use tokio::net::TcpListener;
    use tokio::time::Instant;

    use super::*;
    use crate::engine::client::is_fenced;

    /// The server accepts only after the lease is lost: a stopped process would find itself there.
    #[tokio::test]
    async fn a_write_that_waited_for_its_connection_asks_again() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let config = Config::new(format!("http://{address}").parse().unwrap());
        let fence = Fence::closed();
        let client: Client = transport(&config, fence.clone()).unwrap().build();
        let api: Api<k8s_openapi::api::core::v1::ConfigMap> = Api::namespaced(client, "default");

        // The request has all it needs, and is written in a later turn than the one that took it.
        let (params, patch) = (PatchParams::default(), Patch::Merge(json!({"data": {}})));
        let write = api.patch("a", &params, &patch);
        let refused = tokio::time::timeout(Duration::from_secs(10), write).await.unwrap().unwrap_err();
        assert!(is_fenced(&refused), "{refused:?}");
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut received = Vec::new();
        stream.read_to_end(&mut received).await.unwrap();
        assert_eq!(String::from_utf8_lossy(&received), "", "nothing of it may be sent");

        fence.open_until(Instant::now() + Duration::from_mins(1));
        let write = api.patch("a", &params, &patch);
        let server = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut start = [0; 5];
            stream.read_exact(&mut start).await.unwrap();
            start
        };
        let (_, start) = tokio::join!(write, server);
        assert_eq!(&start, b"PATCH");
    }
}
