//! B6: nobody changes anything; then every kind is listed again; and then somebody does.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::{ConfigMap, Service};
use kube::api::DeleteParams;
use serde_json::json;

use crate::ground::{Fleet, Ground, PATIENCE};
use crate::process;
use crate::report::Report;
use crate::support::{Mark, Requests, eventually};
use crate::workload::name;

/// B6.
pub async fn run(ground: &mut Ground, report: &mut Report) {
    let fleet = ground.filled(report).await;
    rest(fleet, report).await;
    sweep(fleet, report).await;
    repair(fleet, report).await;
}

/// Counts what the operator does for as long as `REST` says, while nobody changes anything.
pub async fn rest(fleet: &Fleet, report: &mut Report) {
    let (pid, rest) = (fleet.operator.pid(), fleet.settings.rest);
    fleet.quiet().await;
    let (cpu, mark) = (process::cpu(pid), fleet.audit.mark().await);
    tokio::time::sleep(rest).await;
    let used = (process::cpu(pid) - cpu).as_secs_f64();
    let sent = fleet.sent(mark).await;
    report.count("M2", "writes at rest, but the lease", 0.0, sent.writes().count() as f64);
    report.count("M3", "GET and LIST at rest", 0.0, sent.reads().count() as f64);
    report.measure("M10", "CPU at rest [% of a core]", Some(0.5), used / rest.as_secs_f64() * 100.0);
}

/// The operator has no timer that looks at everything: it lists again when its watches have expired. So
/// they are made to: history is compacted and the API server restarted, and everything that it then
/// lists is compared.
async fn sweep(fleet: &Fleet, report: &mut Report) {
    let pid = fleet.operator.pid();
    let settled = process::resident(pid);
    process::reset_peak(pid);
    let (cpu, mark) = (process::cpu(pid), fleet.audit.mark().await);
    fleet.cluster.compact();
    fleet.cluster.restart("kube-apiserver");
    all_listed(fleet, mark).await;
    fleet.quiet().await;
    let lists = all_listed(fleet, mark).await;
    let sent = fleet.sent(mark).await;
    report.count("M2", "writes in a forced sweep", 0.0, sent.writes().count() as f64);
    count_lists(fleet, report, &lists);
    let per_thousand = 1000.0 / fleet.objects as f64;
    let cpu = (process::cpu(pid) - cpu).as_secs_f64();
    report.measure("M10", "CPU of a forced sweep, per 1,000 objects [s]", Some(1.0), cpu * per_thousand);
    report.measure("M9", "RSS, peak of a forced sweep / settled", Some(1.5), process::peak(pid) / settled);
}

/// Waits until every kind that was listed at the start was listed again. Returns all lists so far, each once
/// however many pages it has.
pub async fn all_listed(fleet: &Fleet, mark: Mark) -> Requests {
    eventually(PATIENCE, "the operator lists every kind again", || async {
        let lists = fleet.sent(mark).await;
        let lists = lists.only(|request| {
            request.verb == "list" && request.code == 200 && !request.uri.contains("continue=")
        });
        let listed: BTreeSet<&String> = lists.0.iter().map(|request| &request.resource).collect();
        let left: Vec<&String> = fleet.listed.iter().filter(|kind| !listed.contains(kind)).collect();
        if left.is_empty() { Ok(lists) } else { Err(format!("not {left:?}")) }
    })
    .await
}

/// How often the kind was listed that was listed most often. In its own namespace the operator lists for other
/// reasons.
pub fn count_lists(fleet: &Fleet, report: &mut Report, lists: &Requests) {
    let own = fleet.operator.installation().namespace();
    let watched = lists.only(|request| request.namespace != own);
    let counts = watched.0.iter().map(|request| watched.resource(&request.resource).count());
    report.count("M14", "lists of one kind, the most", 1.0, counts.max().unwrap_or_default() as f64);
}

/// It was quiet because all was well, not because it does not look.
pub async fn repair(fleet: &Fleet, report: &mut Report) {
    let mark = fleet.audit.mark().await;
    let edit = repair_edit(fleet, 0).await;
    report.measure("M7", "repair of an edit, polled every 50 ms [s]", Some(1.0), edit.as_secs_f64());
    let services = fleet.namespace.api::<Service>();
    let start = Instant::now();
    services.delete(&name(0), &DeleteParams::default()).await.expect("the Service can be deleted");
    eventually(Duration::from_secs(30), "the Service is back", || async {
        services.get(&name(0)).await.map(drop)
    })
    .await;
    report.measure("M7", "repair of a deletion [s]", Some(1.0), start.elapsed().as_secs_f64());
    fleet.quiet().await;
    let writes = fleet.sent(mark).await.writes().without("events").without("microservices/status").count();
    report.count("M7", "writes of children for both", 2.0, writes as f64);
}

/// Changes a ConfigMap of a service and waits until it is as before.
pub async fn repair_edit(fleet: &Fleet, number: usize) -> Duration {
    let config = format!("{}-config", name(number));
    let start = Instant::now();
    fleet.namespace.patch::<ConfigMap>(&config, json!({"data": {"DATABASE_HOST": "elsewhere"}})).await;
    let configs = fleet.namespace.api::<ConfigMap>();
    eventually(Duration::from_secs(30), &format!("ConfigMap {config} is repaired"), || async {
        let data = configs.get(&config).await.map_err(|error| error.to_string())?.data;
        let host = data.and_then(|data| data.get("DATABASE_HOST").cloned()).unwrap_or_default();
        if host == "postgres" { Ok(()) } else { Err(host) }
    })
    .await;
    start.elapsed()
}
