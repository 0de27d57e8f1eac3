//! The connections themselves, as kube builds them, with one difference: those that carry writes ask the
//! fence each time that bytes go out. Any earlier question leaves room for a wait, for a connection, for
//! the TLS handshake or for a stopped process, between the answer and the write.

use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::BoxFuture;
use http::{Request, Response, Uri};
use http_body_util::BodyExt;
use hyper_timeout::TimeoutConnector;
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use kube::Config;
use kube::client::{Body, ClientBuilder, ConfigExt, DynBody};
use tower::util::BoxService;
use tower::{BoxError, Service, ServiceBuilder, ServiceExt};

use self::stream::FencedStream;
use super::{CONNECT_TIMEOUT, READ_TIMEOUT, SOCKET_WRITE_TIMEOUT, mutates};
use crate::engine::lease::Fence;

mod stream;

/// Most bytes that a connection reads at once, and keeps room for as long as it lives: that is as long as a
/// watch. The library's own limit is 400 KiB; no head of an answer is longer than this.
const READ_BUFFER: usize = 32 << 10;

/// How long a connection is kept that nobody uses. A burst leaves 32 of them with their buffers; the lease is
/// renewed more often, so that there is always one.
const IDLE_TIMEOUT: Duration = Duration::from_secs(5);

/// What sends a request and brings the answer.
pub(super) type Transport = BoxService<Request<Body>, Response<Box<DynBody>>, BoxError>;

/// Connections to the server of this configuration: one pool for reads, one for writes. There is no
/// proxy: it would have to be trusted with every Secret.
///
/// # Errors
/// Certificates, token file or server address cannot be used.
pub(super) fn transport(config: &Config, fence: Fence) -> kube::Result<ClientBuilder<Transport>> {
    let reads = pool(config, Fence::always())?;
    let writes = pool(config, fence)?;
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(config.auth_layer()?)
        .layer(config.extra_headers_layer()?)
        .map_err(BoxError::from)
        .service_fn(
            move |request: Request<Body>| {
                if mutates(request.method()) { writes(request) } else { reads(request) }
            },
        );
    Ok(ClientBuilder::new(service.boxed(), config.default_namespace.clone()))
}

type Answer = BoxFuture<'static, Result<Response<Box<DynBody>>, BoxError>>;

/// Connections of their own, that send only while the fence is open.
fn pool(config: &Config, fence: Fence) -> kube::Result<impl Fn(Request<Body>) -> Answer + Clone + use<>> {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    let tls = config.rustls_https_connector_with_connector(FencedConnector { tcp, fence })?;
    let mut connector = TimeoutConnector::new(tls);
    connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
    connector.set_read_timeout(Some(READ_TIMEOUT));
    connector.set_write_timeout(Some(SOCKET_WRITE_TIMEOUT));
    // Otherwise the time a pooled connection was idle counts against the next answer.
    connector.set_reset_reader_on_write(true);
    let connections = legacy::Builder::new(TokioExecutor::new())
        .http1_max_buf_size(READ_BUFFER)
        .pool_idle_timeout(IDLE_TIMEOUT)
        .pool_timer(TokioTimer::new())
        .build(connector);
    Ok(move |request| {
        let answer = connections.request(request);
        let boxed = |body| Box::new(BodyExt::map_err(body, BoxError::from)) as Box<DynBody>;
        Box::pin(async move { Ok(answer.await?.map(boxed)) }) as Answer
    })
}

/// Opens connections that ask the fence.
#[derive(Clone)]
struct FencedConnector {
    tcp: HttpConnector,
    fence: Fence,
}

impl Service<Uri> for FencedConnector {
    type Response = TokioIo<FencedStream>;
    type Error = <HttpConnector as Service<Uri>>::Error;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.tcp.poll_ready(context)
    }

    fn call(&mut self, server: Uri) -> Self::Future {
        let fence = self.fence.clone();
        let connection = self.tcp.call(server);
        Box::pin(async move { Ok(TokioIo::new(FencedStream::new(connection.await?.into_inner(), fence))) })
    }
}

#[cfg(test)]
mod tests {
    use kube::Client;
    use kube::api::{Api, Patch, PatchParams};
    use serde_json::json;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
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

    /// As a process finds itself that was stopped in the middle of a write: the head and a part of the body
    /// are with the kernel, the rest is refused, and the server never gets a whole request.
    #[tokio::test]
    async fn a_write_that_is_half_sent_when_the_lease_is_lost_stays_half() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let config = Config::new(format!("http://{}", listener.local_addr().unwrap()).parse().unwrap());
        let fence = Fence::closed();
        fence.open_until(Instant::now() + Duration::from_mins(1));
        let client: Client = transport(&config, fence.clone()).unwrap().build();
        let api: Api<k8s_openapi::api::core::v1::ConfigMap> = Api::namespaced(client, "default");
        let size = 64 << 20;
        let body = Patch::Merge(json!({"data": {"a": "x".repeat(size)}}));
        let params = PatchParams::default();
        let server = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut start = [0; 5];
            stream.read_exact(&mut start).await.unwrap();
            assert_eq!(&start, b"PATCH");
            fence.open_until(Instant::now());
            let mut rest = Vec::new();
            // The connection may also end with a reset.
            let _ = stream.read_to_end(&mut rest).await;
            rest.len()
        };
        let both = async { tokio::join!(api.patch("a", &params, &body), server) };
        let (write, received) = tokio::time::timeout(Duration::from_mins(1), both).await.unwrap();
        assert!(is_fenced(&write.unwrap_err()));
        assert!(received < size, "{received} of {size} bytes were sent");
    }

    #[tokio::test]
    async fn a_connection_that_nobody_uses_is_closed() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let config = Config::new(format!("http://{}", listener.local_addr().unwrap()).parse().unwrap());
        let client: Client = transport(&config, Fence::always()).unwrap().build();
        let server = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 1 << 10];
            assert_ne!(stream.read(&mut request).await.unwrap(), 0);
            let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";
            stream.write_all(answer).await.unwrap();
            stream
        };
        let (answer, mut stream) =
            tokio::join!(client.request_text(Request::get("/").body(Vec::new()).unwrap()), server);
        assert_eq!(answer.unwrap(), "{}");
        let mut rest = Vec::new();
        let closed = tokio::time::timeout(IDLE_TIMEOUT * 3, stream.read_to_end(&mut rest)).await;
        assert!(matches!(closed, Ok(Ok(0))), "{closed:?}");
    }
}
