//! B15: N services that call each other, and what one of them that changes costs the rest.

use serde_json::json;

use crate::ground::{Fleet, Ground};
use crate::process;
use crate::report::Report;
use crate::workload::name;

/// B15: each service calls five others, so it has five callers.
pub async fn run(ground: &mut Ground, report: &mut Report) {
    let calls = ground.settings.calls;
    assert!(
        calls < ground.settings.objects,
        "CALLS={calls}: it takes more than {calls} services, N says how many"
    );
    let mut fleet = Fleet::start(ground.settings, ground.cluster, report).await;
    fleet.calls = calls;
    let pid = fleet.operator.pid();
    let (cpu, memory, mark) = (process::cpu(pid), process::resident(pid), fleet.audit.mark().await);
    let began = fleet.looks().await;
    fleet.fill().await;
    let per_object = |count: usize| count as f64 / fleet.settings.objects as f64;
    let sent = fleet.sent(mark).await;
    report.measure("M1", "writes per object", None, per_object(sent.writes().without("events").count()));
    report.count("M3", "GET and LIST per object", 0.0, per_object(sent.reads().count()));
    report.measure("M8", "looks per object", None, per_object(fleet.looks().await - began));
    let used = (process::cpu(pid) - cpu).as_secs_f64();
    report.measure("M8", "CPU per 1,000 objects [s]", None, used * per_object(1000));
    let grown = process::resident(pid) - memory;
    report.measure("M9", "RSS for the burst, per 1,000 objects [MiB]", Some(16.0), grown * per_object(1000));
    report.measure("M9", "RSS, peak / settled", Some(1.5), process::peak(pid) / process::resident(pid));
    rest(&fleet, report).await;
    neighbours(&fleet, report).await;
}

/// All of them agree with each other, so there is nothing to write.
async fn rest(fleet: &Fleet, report: &mut Report) {
    let (pid, rest) = (fleet.operator.pid(), fleet.settings.rest);
    let (cpu, mark) = (process::cpu(pid), fleet.audit.mark().await);
    tokio::time::sleep(rest).await;
    let used = (process::cpu(pid) - cpu).as_secs_f64();
    report.count("M2", "writes at rest, but the lease", 0.0, fleet.sent(mark).await.writes().count() as f64);
    report.measure("M10", "CPU at rest [% of a core]", Some(0.5), used / rest.as_secs_f64() * 100.0);
}

/// A port that moves concerns those that call it, and nobody else.
async fn neighbours(fleet: &Fleet, report: &mut Report) {
    let (service, mark) = (name(fleet.calls), fleet.audit.mark().await);
    let ports = json!([{"name": "http", "port": 81, "containerPort": 3000}, {"name": "grpc", "port": 9000}]);
    fleet.change(&service, json!({"ports": ports})).await;
    fleet.applied().await;
    fleet.quiet().await;
    let mut written = fleet.sent(mark).await.writes().without("events").0;
    written.retain(|request| request.resource == "deployments");
    written.sort_by(|a, b| a.name.cmp(&b.name));
    written.dedup_by(|a, b| a.name == b.name);
    let concerned = (fleet.calls + 1) as f64;
    report.count("M7", "services that a changed port has rolled", concerned, written.len() as f64);
}
