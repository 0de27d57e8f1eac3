//! Traces of the operator for OpenTelemetry, sent by OTLP over plain HTTP: one for each reconcile, with
//! a span for each request. Only when an endpoint is given; without one nothing of this runs.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use opentelemetry::KeyValue;
use opentelemetry::trace::{TraceContextExt, TracerProvider};
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SdkTracerProvider, Tracer};
use tokio::runtime::Handle;
use tracing::{Metadata, Span, Subscriber};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::Layer;
use tracing_subscriber::registry::LookupSpan;

/// Spans of other crates are not sent: they may hold what nobody has looked at.
const OURS: &str = env!("CARGO_CRATE_NAME");
/// Path of the protocol below the endpoint.
const PATH: &str = "/v1/traces";
/// Longest wait for the answer of the collector.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Longest wait for it when the operator ends.
const LAST_WAIT: Duration = Duration::from_millis(200);
/// The answer says at most how many spans were refused.
const LONGEST_ANSWER: usize = 64 * 1024;

/// Where traces are sent to: the address that `/v1/traces` is put behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint(String);

impl FromStr for Endpoint {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let hint = "write for example http://otel-collector.monitoring:4318";
        let uri: http::Uri = text.parse().map_err(|error| format!("{error}; {hint}"))?;
        match (uri.scheme_str(), uri.host()) {
            (Some("http"), Some(_)) => Ok(Self(format!("{}{PATH}", text.trim_end_matches('/')))),
            (Some("https"), _) => {
                Err(format!("only plain http is spoken; name a collector inside the cluster: {hint}"))
            }
            _ => Err(format!("not an http address; {hint}")),
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Traces cannot be sent.
#[derive(Debug, thiserror::Error)]
#[error("traces cannot be sent to {endpoint}: {source}; correct --otlp-endpoint or leave it out")]
pub struct Error {
    endpoint: Endpoint,
    source: opentelemetry_otlp::ExporterBuildError,
}

/// Sends spans, some seconds' worth at a time, until [`Traces::end`].
#[derive(Debug)]
pub struct Traces {
    provider: SdkTracerProvider,
}

impl Traces {
    /// Spans collected from now on are sent there by this runtime; `instance` names this replica.
    ///
    /// # Errors
    /// The endpoint, or what an `OTEL_EXPORTER_OTLP_…` variable says, is not usable.
    pub fn start(endpoint: &Endpoint, instance: &str, runtime: Handle) -> Result<Self, Error> {
        let exporter = opentelemetry_otlp::SpanExporter::builder()
            .with_http()
            .with_http_client(Sender::new(endpoint.clone(), runtime))
            .with_endpoint(endpoint.to_string())
            .with_timeout(TIMEOUT)
            .build()
            .map_err(|source| Error { endpoint: endpoint.clone(), source })?;
        let resource = Resource::builder()
            .with_service_name("microservice-operator")
            .with_attributes([
                KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
                KeyValue::new("service.instance.id", instance.to_owned()),
            ])
            .build();
        let provider =
            SdkTracerProvider::builder().with_resource(resource).with_batch_exporter(exporter).build();
        Ok(Self { provider })
    }

    /// What turns spans of `tracing` into those that are sent. Events stay in the log.
    pub(super) fn layer<S>(&self) -> impl Layer<S> + Send + Sync + use<S>
    where
        S: Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
    {
        let tracer: Tracer = self.provider.tracer("microservice-operator");
        let layer = tracing_opentelemetry::layer()
            .with_tracer(tracer)
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            .with_level(false)
            .with_tracked_inactivity(false);
        layer.with_filter(filter_fn(is_sent))
    }

    /// Sends what was collected, for at most a moment.
    pub async fn end(self) {
        let end = tokio::task::spawn_blocking(move || self.provider.shutdown_with_timeout(LAST_WAIT));
        if !matches!(tokio::time::timeout(LAST_WAIT, end).await, Ok(Ok(Ok(())))) {
            tracing::warn!("the last traces may not have arrived");
        }
    }
}

fn is_sent(metadata: &Metadata<'_>) -> bool {
    metadata.is_span() && metadata.target().starts_with(OURS)
}

/// Writes the id of the trace into the field `trace_id` of the span, so that log lines have it. Returns
/// whether the span is sent; without traces nothing is written.
pub fn name(span: &Span) -> bool {
    let context = span.context();
    let sent = context.span().span_context().is_valid();
    if sent {
        span.record("trace_id", tracing::field::display(context.span().span_context().trace_id()));
    }
    sent
}

/// HTTP for the exporter, which calls from a thread of its own.
struct Sender {
    endpoint: Endpoint,
    client: legacy::Client<HttpConnector, Full<Bytes>>,
    runtime: Handle,
    /// Whether the last attempt failed: an outage is told once, not every few seconds.
    failing: Arc<AtomicBool>,
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sender({})", self.endpoint)
    }
}

impl Sender {
    fn new(endpoint: Endpoint, runtime: Handle) -> Self {
        let client = legacy::Client::builder(TokioExecutor::new()).build_http();
        Self { endpoint, client, runtime, failing: Arc::default() }
    }

    fn tell(&self, failure: Option<&str>) {
        let failed_before = self.failing.swap(failure.is_some(), Ordering::Relaxed);
        match failure {
            Some(cause) if !failed_before => {
                tracing::warn!(endpoint = %self.endpoint, cause, "traces do not arrive and are dropped");
            }
            None if failed_before => tracing::info!(endpoint = %self.endpoint, "traces arrive again"),
            _ => {}
        }
    }
}

#[async_trait]
impl HttpClient for Sender {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let client = self.client.clone();
        let answer = self.runtime.spawn(async move {
            let exchange = async {
                let (parts, body) = client.request(request.map(Full::new)).await?.into_parts();
                let body = Limited::new(body, LONGEST_ANSWER).collect().await?;
                Ok::<_, HttpError>(Response::from_parts(parts, body.to_bytes()))
            };
            tokio::time::timeout(TIMEOUT, exchange)
                .await
                .unwrap_or_else(|_| Err(format!("no answer within {TIMEOUT:?}").into()))
        });
        // The runtime is gone when the operator has ended.
        let result = answer.await.map_err(HttpError::from).and_then(|result| result);
        match &result {
            Ok(answer) if answer.status().is_success() => self.tell(None),
            Ok(answer) => self.tell(Some(&format!("the collector answers {}", answer.status()))),
            Err(error) => self.tell(Some(&causes(error.as_ref()))),
        }
        result
    }
}

/// The error with what is behind it: hyper's own text does not say which connection was refused.
fn causes(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::filter::LevelFilter;
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    #[test]
    fn an_endpoint_is_completed_or_explained() {
        let parse = |text: &str| text.parse::<Endpoint>();
        assert_eq!(parse("http://tempo:4318").unwrap().to_string(), "http://tempo:4318/v1/traces");
        assert_eq!(parse("http://tempo:4318/otlp/").unwrap().to_string(), "http://tempo:4318/otlp/v1/traces");
        assert!(parse("https://tempo:4318").unwrap_err().contains("plain http"));
        for wrong in ["tempo:4318", "grpc://tempo", "/v1/traces", "", "http://"] {
            assert!(parse(wrong).unwrap_err().contains("for example"), "{wrong}");
        }
    }

    #[test]
    fn without_traces_a_span_gets_no_id() {
        let subscriber = tracing_subscriber::registry().with(LevelFilter::INFO);
        tracing::subscriber::with_default(subscriber, || {
            assert!(!name(&tracing::info_span!("reconcile", trace_id = tracing::field::Empty)));
        });
    }
}
