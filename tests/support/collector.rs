//! A collector of OpenTelemetry: takes spans by OTLP over HTTP and keeps them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value};
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use tokio::task::JoinHandle;

/// A running collector; it ends with the value.
pub struct Collector {
    address: String,
    received: Received,
    task: JoinHandle<()>,
}

type Received = Arc<Mutex<Vec<ExportTraceServiceRequest>>>;

impl Collector {
    /// Starts on a free port of the loopback address.
    pub async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = format!("http://{}", listener.local_addr().expect("it has an address"));
        let received = Received::default();
        let router = axum::Router::new().route("/v1/traces", post(take)).with_state(Arc::clone(&received));
        let task = tokio::spawn(async move {
            axum::serve(listener, router).await.expect("the collector serves");
        });
        Self { address, received, task }
    }

    /// What an operator is told to send to.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// All spans so far.
    pub fn spans(&self) -> Vec<Span> {
        let received = self.received.lock().expect("no panic while locked");
        let resources = received.iter().flat_map(|request| &request.resource_spans);
        resources.flat_map(|resource| &resource.scope_spans).flat_map(|scope| scope.spans.clone()).collect()
    }

    /// What the senders say of themselves.
    pub fn senders(&self) -> Vec<BTreeMap<String, String>> {
        let received = self.received.lock().expect("no panic while locked");
        let resources = received.iter().flat_map(|request| &request.resource_spans);
        let known = resources.filter_map(|spans| spans.resource.as_ref());
        known.map(|resource| words(&resource.attributes)).collect()
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn take(State(received): State<Received>, headers: HeaderMap, body: Bytes) -> StatusCode {
    assert_eq!(headers["content-type"], "application/x-protobuf");
    let request = ExportTraceServiceRequest::decode(body).expect("the body is what the protocol asks for");
    received.lock().expect("no panic while locked").push(request);
    StatusCode::OK
}

/// Attributes as text.
pub fn words(attributes: &[KeyValue]) -> BTreeMap<String, String> {
    let text = |value: &Option<AnyValue>| match value.as_ref().and_then(|value| value.value.as_ref()) {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::IntValue(number)) => number.to_string(),
        other => format!("{other:?}"),
    };
    attributes.iter().map(|pair| (pair.key.clone(), text(&pair.value))).collect()
}
