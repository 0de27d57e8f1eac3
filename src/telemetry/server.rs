//! The HTTP server: `/metrics`, `/livez`, `/readyz`, and `/log-level` for callers on this host or in this
//! pod (`kubectl port-forward` is one).

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{ConnectInfo, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Deserialize;
use tokio::net::TcpListener;

use super::Telemetry;
use super::logs::LogLevel;

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

#[derive(Clone)]
struct Shared {
    telemetry: Arc<Telemetry>,
    level: LogLevel,
}

/// Serves until `shutdown` completes.
///
/// # Errors
/// The listener fails.
pub async fn serve(
    listener: TcpListener,
    telemetry: Arc<Telemetry>,
    level: LogLevel,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    let router = Router::new()
        .route("/metrics", get(metrics))
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/log-level", get(log_level).put(set_log_level))
        .with_state(Shared { telemetry, level });
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    axum::serve(listener, service).with_graceful_shutdown(shutdown).await
}

async fn metrics(State(shared): State<Shared>) -> Response {
    match shared.telemetry.exposition() {
        Ok(text) => ([(header::CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

async fn livez(State(shared): State<Shared>) -> (StatusCode, String) {
    match shared.telemetry.stuck().as_slice() {
        [] => (StatusCode::OK, "ok\n".to_owned()),
        stuck => (StatusCode::SERVICE_UNAVAILABLE, format!("no progress: {}\n", stuck.join(", "))),
    }
}

async fn readyz(State(shared): State<Shared>) -> (StatusCode, &'static str) {
    if shared.telemetry.is_ready() {
        (StatusCode::OK, "ok\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "the caches are not filled yet\n")
    }
}

async fn log_level(State(shared): State<Shared>, ConnectInfo(peer): ConnectInfo<SocketAddr>) -> Response {
    if !is_local(peer) {
        return elsewhere();
    }
    match shared.level.get() {
        Ok(level) => format!("{level}\n").into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}

#[derive(Deserialize)]
struct Wanted {
    level: String,
}

async fn set_log_level(
    State(shared): State<Shared>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    Query(wanted): Query<Wanted>,
) -> Response {
    if !is_local(peer) {
        return elsewhere();
    }
    match shared.level.set(&wanted.level) {
        Ok(()) => {
            tracing::info!(level = %wanted.level, "log level changed");
            StatusCode::NO_CONTENT.into_response()
        }
        Err(error) => (StatusCode::BAD_REQUEST, format!("{error}\n")).into_response(),
    }
}

/// A pod that accepts IPv6 sees IPv4 callers as mapped addresses.
fn is_local(peer: SocketAddr) -> bool {
    peer.ip().to_canonical().is_loopback()
}

fn elsewhere() -> Response {
    let hint = "only from the same host or pod, for example through kubectl port-forward\n";
    (StatusCode::FORBIDDEN, hint).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_is_local() {
        for (address, local) in [
            ("127.0.0.1:1", true),
            ("[::1]:1", true),
            ("[::ffff:127.0.0.1]:1", true),
            ("10.1.2.3:1", false),
            ("[::ffff:10.1.2.3]:1", false),
        ] {
            assert_eq!(is_local(address.parse().unwrap()), local, "{address}");
        }
    }
}
