//! The two ends: connections of the operator, and those to the API server.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Instant;

use futures::future::BoxFuture;
use http::{Request, Response, StatusCode, Uri, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use kube::Config;
use kube::client::ConfigExt;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use super::watch::{self, Rule};
use super::{Call, Fault, Sent, Shared, Stale, Strike};

/// What comes back.
pub(super) type Body = UnsyncBoxBody<Bytes, Broken>;

/// Ends a connection without an answer, or in the middle of one.
#[derive(Debug, thiserror::Error)]
#[error("the connection is closed on purpose")]
pub(super) struct Broken;

/// An answer that is under way.
type Sending = BoxFuture<'static, Result<Response<Incoming>, Broken>>;

/// Connections to the API server.
pub(super) struct Upstream {
    send: Box<dyn Fn(Request<Full<Bytes>>) -> Sending + Send + Sync>,
    server: Uri,
}

impl Upstream {
    pub(super) fn new(config: &Config) -> Self {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        let tls = config.rustls_https_connector_with_connector(tcp).expect("the kubeconfig has a CA");
        let client: Client<_, Full<Bytes>> = Client::builder(TokioExecutor::new()).build(tls);
        let send = move |request| {
            let sent = client.request(request);
            Box::pin(async move { sent.await.map_err(|_| Broken) }) as Sending
        };
        Self { send: Box::new(send), server: config.cluster_url.clone() }
    }

    /// Passes a request on. `query` replaces what it asks for.
    async fn pass(
        &self,
        request: Request<Bytes>,
        query: Option<String>,
    ) -> Result<Response<Incoming>, Broken> {
        let (mut head, body) = request.into_parts();
        let path = head.uri.path();
        let asked = query.or_else(|| head.uri.query().map(str::to_owned));
        let path = asked.map_or_else(|| path.to_owned(), |asked| format!("{path}?{asked}"));
        let server = self.server.clone().into_parts();
        let mut parts = http::uri::Parts::default();
        (parts.scheme, parts.authority) = (server.scheme, server.authority);
        parts.path_and_query = Some(path.parse().expect("it was a path"));
        head.uri = Uri::from_parts(parts).expect("all parts are there");
        head.headers.remove(header::HOST);
        (self.send)(Request::from_parts(head, Full::new(body))).await
    }
}

/// Takes connections until the task is ended; those that are open end with it.
pub(super) async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = tokio::task::JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let Ok((stream, _)) = listener.accept().await else { return };
        let shared = Arc::clone(&shared);
        connections.spawn(async move {
            // A server carries out what has arrived, also when whoever asked is gone by then.
            let answer = service_fn(move |request| {
                let answered = tokio::spawn(answer(Arc::clone(&shared), request));
                async move { answered.await.unwrap_or(Err(Broken)) }
            });
            // That the operator closes it, or that we do, is no news.
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), answer)
                .await;
        });
    }
}

async fn answer(shared: Arc<Shared>, request: Request<Incoming>) -> Result<Response<Body>, Broken> {
    let mut call = Call::of(request.method(), request.uri());
    let fault = shared.begin(&mut call);
    let result = carry_out(&shared, &call, fault, request).await;
    if call.writes() {
        let code = result.as_ref().map_or(0, |(code, _)| *code);
        let mut state = shared.state();
        state.under_way -= 1;
        state.writes.push(Sent { call, code, at: Instant::now() });
    }
    result.and_then(|(_, answer)| answer)
}

/// The code of the API server's own answer, and what the operator is told.
type Outcome = Result<(u16, Result<Response<Body>, Broken>), Broken>;

async fn carry_out(
    shared: &Arc<Shared>,
    call: &Call,
    fault: Option<Fault>,
    request: Request<Incoming>,
) -> Outcome {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(|_| Broken)?.to_bytes();
    let request = Request::from_parts(head, body);
    match fault {
        Some(Fault::CrashBefore) => {
            shared.crash().await;
            return Err(Broken);
        }
        Some(Fault::Lose) => return Err(Broken),
        Some(Fault::Refuse(code)) => return Ok((0, Ok(refusal(code)))),
        Some(Fault::Late(time)) => shared.hold(tokio::time::sleep(time)).await,
        Some(Fault::CrashAfter | Fault::LoseReply | Fault::Timeout) | None => {}
    }
    let (answer, rule) = shared.ask(call, request).await?;
    let code = answer.status().as_u16();
    let (head, body) = answer.into_parts();
    if call.verb == "watch" && head.status.is_success() {
        let body = watch::pass(body, Arc::clone(shared), call.resource.clone(), rule);
        return Ok((code, Ok(Response::from_parts(head, body))));
    }
    let body = body.collect().await.map_err(|_| Broken)?.to_bytes();
    match fault {
        Some(Fault::CrashAfter) => {
            shared.crash().await;
            Ok((code, Err(Broken)))
        }
        Some(Fault::LoseReply) => Ok((code, Err(Broken))),
        Some(Fault::Timeout) => Ok((code, Ok(refusal(504)))),
        _ => Ok((code, Ok(Response::from_parts(head, whole(body))))),
    }
}

impl Shared {
    /// Counts a call, and asks what goes wrong with it.
    fn begin(&self, call: &mut Call) -> Option<Fault> {
        let mut state = self.state();
        let key = (call.verb.clone(), call.resource.clone(), call.name.clone());
        let seen = state.calls.entry(key).or_default();
        *seen += 1;
        call.occurrence = *seen;
        if call.writes() {
            state.under_way += 1;
        }
        let fault = state.policy.as_ref().and_then(|policy| policy.at_call(call));
        if let Some(fault) = fault {
            state.note(Strike::Call(call.clone(), fault));
        }
        fault
    }

    /// Passes a request on; a list that is to show the past asks for it. What is to happen to the events of
    /// a watch comes back too.
    async fn ask(&self, call: &Call, request: Request<Bytes>) -> Result<(Response<Incoming>, Rule), Broken> {
        let asked = request.uri().query().unwrap_or_default().to_owned();
        let further = asked.contains("continue=");
        let meant = |stale: &&Stale| stale.resource == call.resource && call.verb == "list" && !further;
        let query = self.state().stale.as_ref().filter(meant).map(|stale| as_of(&asked, &stale.revision));
        let rule = if call.verb == "watch" { self.rule(call, &asked) } else { Rule::default() };
        Ok((self.upstream.pass(request, query).await?, rule))
    }

    /// The watch that goes on from a stale list gets its events late, and the past is over.
    fn rule(&self, call: &Call, asked: &str) -> Rule {
        let mut state = self.state();
        let goes_on = |stale: &mut Stale| {
            stale.resource == call.resource
                && asked.split('&').any(|p| p == format!("resourceVersion={}", stale.revision))
        };
        let stale = state.stale.take_if(goes_on);
        let lag = stale.as_ref().map(|stale| stale.lag);
        if let Some(stale) = stale {
            state.note(Strike::Past(stale));
        }
        Rule { lag }
    }

    /// Has the operator ended, and waits until it is.
    async fn crash(&self) {
        let (told, ended) = oneshot::channel();
        self.crashes.send(told).expect("somebody looks after the operator");
        let _ = ended.await;
    }
}

/// The same question about the past.
fn as_of(asked: &str, revision: &str) -> String {
    let kept = asked.split('&').filter(|part| !part.is_empty() && !part.starts_with("resourceVersion"));
    let past = [format!("resourceVersion={revision}"), "resourceVersionMatch=Exact".to_owned()];
    kept.map(str::to_owned).chain(past).collect::<Vec<_>>().join("&")
}

/// What an API server says when it refuses.
fn refusal(code: u16) -> Response<Body> {
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "code": code,
        "message": format!("refused on purpose with {code}"), "reason": reason(code),
    });
    let mut response = Response::new(whole(Bytes::from(status.to_string())));
    *response.status_mut() = StatusCode::from_u16(code).expect("a code of HTTP");
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    if code == 429 {
        headers.insert(header::RETRY_AFTER, header::HeaderValue::from_static("1"));
    }
    response
}

fn reason(code: u16) -> &'static str {
    match code {
        401 => "Unauthorized",
        403 => "Forbidden",
        409 => "Conflict",
        410 => "Expired",
        429 => "TooManyRequests",
        500 => "InternalError",
        503 => "ServiceUnavailable",
        504 => "Timeout",
        _ => "",
    }
}

fn whole(bytes: Bytes) -> Body {
    Full::new(bytes).map_err(|never: Infallible| match never {}).boxed_unsync()
}
