//! The connection to the API server: time limits, few retries, bounded requests in flight, and a fence
//! that every write passes immediately before it is sent.
//!
//! A token file is read again by kube at least once a minute (in-cluster, and `tokenFile` of a
//! kubeconfig), the CA file of a pod likewise; a token written into the kubeconfig itself is not.

use std::future::Future;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::BoxFuture;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use kube::client::{Body, ClientBuilder, DynBody};
use kube::{Client, Config};
use tower::buffer::BufferLayer;
use tower::retry::{Policy, RetryLayer};
use tower::{BoxError, Layer, Service};
use tracing::{Instrument, field};

use self::transport::transport;
use self::window::WindowLayer;
use super::lease::Fence;

mod transport;
mod window;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A watch ends by itself after 290 s; silence for longer than this is a dead connection.
const READ_TIMEOUT: Duration = Duration::from_secs(295);
const SOCKET_WRITE_TIMEOUT: Duration = Duration::from_secs(10);
const MAX_RETRIES: u32 = 3;
const FIRST_DELAY: Duration = Duration::from_millis(200);
/// A server that asks for more patience than this gets it from the caller's own backoff.
const LONGEST_DELAY: Duration = Duration::from_secs(5);

/// Longest wait for the answer to a write. A server that is slow for all would abort each of them for ever
/// if all of them were given up early.
pub const LONGEST_WRITE: Duration = Duration::from_secs(15);

/// Called once per request sent: verb (`get`, `list`, `watch`, `patch` …) and HTTP status, 0 when no
/// answer came.
pub type Observer = Arc<dyn Fn(&'static str, u16) + Send + Sync>;

/// How a client behaves.
#[derive(Clone)]
pub struct Options {
    /// Asked before each write.
    pub fence: Fence,
    /// How long the answer to a write is awaited at least. Together with the renew deadline it must stay
    /// below the lease duration, so that no write of a former leader is under way when the lease has run
    /// out. While the lease has longer to run, a slow answer gets longer, up to [`LONGEST_WRITE`].
    pub write_timeout: Duration,
    /// Most requests that wait for an answer at the same time; fewer while the server refuses some with 429.
    pub in_flight: usize,
    /// Told of each request.
    pub observe: Observer,
}

impl Default for Options {
    /// No fence, 4 s, 32 in flight, nobody told.
    fn default() -> Self {
        Self {
            fence: Fence::always(),
            write_timeout: Duration::from_secs(4),
            in_flight: 32,
            observe: Arc::new(|_, _| ()),
        }
    }
}

/// The client cannot be built.
#[derive(Debug, thiserror::Error)]
#[error("cannot set up the connection to the API server; check kubeconfig, certificates and token file: {0}")]
pub struct Error(#[source] kube::Error);

/// The write was not sent: this replica does not hold the lease, or not for long enough.
#[derive(Debug, thiserror::Error)]
#[error("not sent: this replica does not hold the lease")]
pub struct Fenced;

/// No answer in time. The outcome of a write is then unknown.
#[derive(Debug, thiserror::Error)]
#[error("no answer from the API server within {0:?}")]
pub struct TimedOut(pub Duration);

/// Builds a client.
///
/// # Errors
/// The configuration is not usable: certificates, proxy, token file.
pub fn connect(config: &Config, options: Options) -> Result<Client, Error> {
    if let Some(proxy) = &config.proxy_url {
        let proxy_url = Box::new(proxy.clone());
        return Err(Error(kube::Error::ProxyProtocolUnsupported { proxy_url }));
    }
    Ok(guarded(transport(config, options.fence.clone()).map_err(Error)?, options))
}

/// A client over this transport, which may be one without a network. Adds the layers, innermost first:
/// the fence is asked after every wait.
pub fn guarded<S>(builder: ClientBuilder<S>, options: Options) -> Client
where
    S: Service<Request<Body>, Response = Response<Box<DynBody>>, Error = BoxError> + Send + 'static,
    S::Future: Send + 'static,
{
    let in_flight = options.in_flight;
    builder
        .with_layer(&GuardLayer(options))
        .with_layer(&WindowLayer::new(in_flight))
        .with_layer(&BufferLayer::new(in_flight))
        .with_layer(&RetryLayer::new(Patience::default()))
        .build()
}

/// Runs one call under a time limit, retries included. Not for watches. The call, some kilobytes of
/// state, is put on the heap: all that wait for it hold it, at each place where they do.
///
/// # Errors
/// Those of the call, or [`TimedOut`] inside [`kube::Error::Service`].
pub fn bounded<'a, T: 'a>(
    limit: Duration,
    call: impl Future<Output = kube::Result<T>> + Send + 'a,
) -> impl Future<Output = kube::Result<T>> + Send + 'a {
    let call: BoxFuture<'a, kube::Result<T>> = Box::pin(call);
    async move {
        match tokio::time::timeout(limit, call).await {
            Ok(result) => result,
            Err(_) => Err(kube::Error::Service(Box::new(TimedOut(limit)))),
        }
    }
}

/// Whether the fence stopped the write.
pub fn is_fenced(error: &kube::Error) -> bool {
    let kube::Error::Service(inner) = error else { return false };
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(inner.as_ref());
    while let Some(error) = cause {
        if error.is::<Fenced>() {
            return true;
        }
        // An I/O error passes over what it was made of when it is asked for its source.
        let made_of = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        cause = made_of.map(|error| error as _).or_else(|| error.source());
    }
    false
}

/// Whether the call ran into its time limit.
pub fn is_timeout(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Service(inner) if inner.is::<TimedOut>())
}

/// Fence, write timeout and count of one request.
#[derive(Clone)]
struct GuardLayer(Options);

impl<S> Layer<S> for GuardLayer {
    type Service = Guard<S>;

    fn layer(&self, inner: S) -> Guard<S> {
        Guard { inner, options: self.0.clone() }
    }
}

struct Guard<S> {
    inner: S,
    options: Options,
}

impl<S, B> Service<Request<Body>> for Guard<S>
where
    S: Service<Request<Body>, Response = Response<B>, Error = BoxError>,
    S::Future: Send + 'static,
{
    type Response = Response<B>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Response<B>, BoxError>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let write = mutates(request.method());
        if write && !self.options.fence.permit() {
            return Box::pin(async { Err(Fenced.into()) });
        }
        let verb = verb(&request);
        if verb == "list" {
            // A connection keeps room for the largest answer it ever read, and the watch would inherit it.
            request.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        let observe = self.options.observe.clone();
        let limit =
            (self.options.write_timeout + self.options.fence.left().min(LONGEST_WRITE)).min(LONGEST_WRITE);
        // In traces only: no usual level of the log shows it.
        let span = tracing::trace_span!("request", verb, path = request.uri().path(), code = field::Empty);
        let sent = self.inner.call(request);
        let told = span.clone();
        let answered = async move {
            let result = if write {
                tokio::time::timeout(limit, sent).await.unwrap_or_else(|_| Err(TimedOut(limit).into()))
            } else {
                sent.await
            };
            let code = result.as_ref().map_or(0, |response| response.status().as_u16());
            told.record("code", code);
            observe(verb, code);
            result
        };
        Box::pin(answered.instrument(span))
    }
}

/// Everything that is not known to be a read.
fn mutates(method: &Method) -> bool {
    !method.is_safe()
}

/// The verb as kube names it in the request's extensions, else the HTTP method.
fn verb(request: &Request<Body>) -> &'static str {
    match (request.extensions().get::<&'static str>(), request.method()) {
        (Some(verb), _) => verb,
        (None, &Method::GET) => "get",
        (None, &Method::POST) => "create",
        (None, &Method::PUT) => "replace",
        (None, &Method::PATCH) => "patch",
        (None, &Method::DELETE) => "delete",
        (None, _) => "other",
    }
}

/// Repeats what is safe to repeat: a request that the server refused to begin (429), and reads when a
/// server is away (503, 504). Never a write whose outcome is unknown.
#[derive(Clone, Debug, Default)]
struct Patience {
    retries: u32,
}

impl<B> Policy<Request<Body>, Response<B>, BoxError> for Patience {
    type Future = tokio::time::Sleep;

    fn retry(
        &mut self,
        request: &mut Request<Body>,
        result: &mut Result<Response<B>, BoxError>,
    ) -> Option<Self::Future> {
        let response = result.as_ref().ok()?;
        let repeatable = match response.status() {
            StatusCode::TOO_MANY_REQUESTS => true,
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT => !mutates(request.method()),
            _ => false,
        };
        if !repeatable || self.retries == MAX_RETRIES {
            return None;
        }
        let delay = retry_after(response).unwrap_or(FIRST_DELAY * 2u32.pow(self.retries));
        if delay > LONGEST_DELAY {
            return None;
        }
        self.retries += 1;
        // Spread, or everybody who was refused together comes back together.
        Some(tokio::time::sleep(delay.mul_f64(rand::random_range(1.0..1.25))))
    }

    fn clone_request(&mut self, request: &Request<Body>) -> Option<Request<Body>> {
        let mut copy = Request::new(request.body().try_clone()?);
        *copy.method_mut() = request.method().clone();
        *copy.uri_mut() = request.uri().clone();
        *copy.version_mut() = request.version();
        *copy.headers_mut() = request.headers().clone();
        *copy.extensions_mut() = request.extensions().clone();
        Some(copy)
    }
}

/// `Retry-After` in seconds; the API server never sends a date.
fn retry_after<B>(response: &Response<B>) -> Option<Duration> {
    let seconds = response.headers().get(header::RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests;
