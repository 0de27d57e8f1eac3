//! `make bench`: a burst of N services, rest, restart, against the floor of the same run: the same
//! child bodies sent by the same client without an operator. Fails on counts; times, CPU and memory are
//! reported with their bars, because they depend on the machine. `ONLY=topics` measures the topics of a
//! real Kafka broker instead.
#![allow(missing_docs, clippy::expect_used, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::print_stderr)]

#[path = "../../tests/support/mod.rs"]
mod support;

mod floor;
mod phases;
mod process;
mod report;
mod topics;
mod workload;

use std::process::ExitCode;
use std::time::Duration;

use phases::Bench;
use report::Report;
use support::{Cluster, Namespace, Operator, OperatorOptions};

/// How much is done.
#[derive(Clone, Copy)]
struct Size {
    objects: usize,
    rest: Duration,
}

impl Size {
    /// `N` objects (1000) and `REST` seconds (60).
    fn from_env() -> Self {
        let number = |name: &str, default| match std::env::var(name) {
            Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name}={text} is not a number")),
            Err(_) => default,
        };
        let rest = u64::try_from(number("REST", 60)).expect("a number of seconds fits");
        Self { objects: number("N", 1000), rest: Duration::from_secs(rest) }
    }
}

fn main() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime starts");
    let report = runtime.block_on(selected(Size::from_env()));
    report.print();
    if report.passed() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The part that `ONLY` names; without it, that of the control plane.
async fn selected(size: Size) -> Report {
    match std::env::var("ONLY").as_deref() {
        Err(_) | Ok("" | "control-plane") => run(size).await,
        Ok("topics") => topics::run(size).await,
        Ok(other) => panic!("ONLY={other} is not a part: control-plane or topics"),
    }
}

async fn run(size: Size) -> Report {
    let mut report = Report::new("control-plane", size.objects, "objects");
    let cluster = Cluster::shared();
    // Pods, ReplicaSets and autoscaling would load the API server for both, and hide the operator.
    cluster.signal("kube-controller-manager", "STOP");
    cluster.signal("kube-scheduler", "STOP");

    let before = floor::children(cluster, size.objects, &[16, 64]).await;
    let namespace = Namespace::new(cluster, "bench").await;
    let options = OperatorOptions {
        leader_elect: true,
        log: "info".to_owned(),
        ..OperatorOptions::namespace(namespace.name())
    };
    let operator = Operator::start(cluster, options).await;
    let mut bench = Bench { size, audit: cluster.audit().await, namespace, operator };
    bench.empty(&mut report).await;
    bench.warm().await;
    let burst = bench.burst(&mut report).await;
    let after = floor::children(cluster, size.objects, &[16, 64]).await;
    let whole = floor::whole(cluster, size.objects, 64, &bench.namespace).await;
    burst.compare(&mut report, &before, &after, &whole);
    bench.rest(&mut report).await;
    bench.restart(&mut report).await;
    bench.repair(&mut report).await;
    report.finish();
    report
}
