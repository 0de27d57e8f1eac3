//! Harness of the behaviour tests: a control plane, namespaces, the operator as a process, the audit
//! log as a counter. Use it with `#[path = "../support/mod.rs"] mod support;`.
#![allow(dead_code, unused_imports)] // each test binary uses a part of it
// A harness fails by panicking, as a test does.
#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::print_stderr)]

mod api_proxy;
mod audit;
mod cluster;
pub mod collector;
mod guarded;
pub mod helm;
mod history;
mod kafka;
pub mod keda;
mod kubectl;
mod module;
mod namespace;
mod operator;
mod port;
mod target;
mod wall_clock;

use std::fmt::Display;
use std::future::Future;
use std::time::{Duration, Instant};

pub use api_proxy::{ApiProxy, Call, Crash, Disturbance, Fault, NONE, Policy, Sent, Stale, Strike, millis};
pub use audit::{Audit, Mark, Request, Requests};
pub use cluster::{Cluster, scratch, tool};
pub use guarded::Guarded;
pub use helm::Helm;
pub use history::{History, Verdict, Version, condition, kstatus};
pub use kafka::{ADMIN, Authority, Kafka, Odd, Proxy, Weather, api, strimzi};
pub use kubectl::{Kubectl, Printed, promtool, run};
pub use module::module;
pub use namespace::{Namespace, apply_as_given, create_namespace, see_a_repair};
pub use operator::{
    BINARY, Installation, Operator, OperatorOptions, documents, install_crds, manifests, metric, run_guarded,
    wait_allowed,
};
pub use port::free_port;
pub use target::Target;
pub use wall_clock::WallClock;

/// Field manager of everything that a test applies.
pub const MANAGER: &str = "test";

/// Calls `check` until it returns `Ok`, every 50 ms. Panics after `timeout` with `what` was awaited and
/// what the last check said. A check that hangs counts as failed after the timeout too.
pub async fn eventually<T, E, F, C>(timeout: Duration, what: &str, mut check: C) -> T
where
    E: Display,
    F: Future<Output = Result<T, E>>,
    C: FnMut() -> F,
{
    let start = Instant::now();
    let mut last = "the first check has not ended".to_owned();
    loop {
        let left = timeout.saturating_sub(start.elapsed());
        match tokio::time::timeout(left, check()).await {
            Ok(Ok(value)) => return value,
            Ok(Err(error)) => last = error.to_string(),
            Err(_) => {}
        }
        // A check that never waits is not interrupted.
        assert!(start.elapsed() < timeout, "not within {timeout:?}: {what}\n  last seen: {last}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Calls `check` every 50 ms for the whole `period` and panics on the first error.
pub async fn always<E, F, C>(period: Duration, what: &str, mut check: C)
where
    E: Display,
    F: Future<Output = Result<(), E>>,
    C: FnMut() -> F,
{
    let start = Instant::now();
    while start.elapsed() < period {
        if let Err(error) = check().await {
            panic!("no longer true after {:?}: {what}\n  {error}", start.elapsed());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// A suffix that no other object has.
pub fn suffix() -> String {
    format!("{:08x}", rand::random::<u32>())
}
