//! B8 and B9: the API server goes away, and history is lost.

use std::collections::HashMap;
use std::time::Duration;

use futures::future;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{DeleteParams, Patch, PatchParams};
use microservice_operator::api::Microservice;
use serde_json::json;

use crate::ground::{Fleet, Ground};
use crate::report::Report;
use crate::rest::{all_listed, count_lists, repair_edit};
use crate::support::{Requests, eventually};
use crate::times::Times;
use crate::workload::name;

/// Services that are changed while the API server is away.
const CHANGES: usize = 20;
/// Without `OUTAGE`, in seconds.
const OUTAGE: u64 = 30;
/// Longest wait for an end of the outage.
const PATIENCE: Duration = Duration::from_mins(5);

/// B8: whoever wants a change while the server is away tries until it is back.
pub async fn away(ground: &mut Ground, report: &mut Report) {
    let outage = ground.settings.outage_or(OUTAGE);
    let fleet = ground.filled(report).await;
    let changes = CHANGES.min(fleet.settings.objects);
    let (mark, pid) = (fleet.audit.mark().await, fleet.operator.pid());
    fleet.cluster.signal("kube-apiserver", "KILL");
    let wanted = future::join_all((0..changes).map(|number| insist(fleet, number)));
    let back = async {
        tokio::time::sleep(outage).await;
        tokio::task::spawn_blocking({
            let cluster = fleet.cluster;
            move || cluster.revive()
        })
        .await
        .expect("the API server is back");
    };
    let (landed, ()) = tokio::join!(wanted, back);
    let first = landed.iter().min().copied().expect("there are changes");
    fleet.applied().await;
    all_listed(fleet, mark).await;
    fleet.quiet().await;

    let lists = all_listed(fleet, mark).await;
    let sent = fleet.sent(mark).await;
    let late = applied_after(&sent, changes, first);
    assert_eq!(late.count(), changes, "every change was written by the operator\n{}", sent.writes());
    report.measure("M14", "away, then change applied, p50 [s]", None, late.percentile(50));
    report.measure("M14", "away, then change applied, p99 [s]", Some(3.0), late.percentile(99));
    count_lists(fleet, report, &lists);
    let children = sent.writes().without("events").without("microservices/status");
    let beyond = children.only(|request| !(0..changes).any(|number| request.name.starts_with(&name(number))));
    report.count("M14", "writes of children that nobody changed", 0.0, beyond.count() as f64);
    let twice = children.count().saturating_sub(changes);
    report.count("M14", "writes of children more than the changes need", 0.0, twice as f64);
    let ended = !fleet.operator.is_running() || fleet.operator.pid() != pid;
    report.count("M14", "operators that have ended", 0.0, f64::from(u8::from(ended)));
}

/// Gives a service another image, as often as it takes. Returns when the server took it.
async fn insist(fleet: &Fleet, number: usize) -> Timestamp {
    let services = fleet.namespace.api::<Microservice>();
    let name = name(number);
    let image = format!("registry.example.com/shop/{name}:v1.4.0");
    let patch = Patch::Merge(json!({"spec": {"image": image}}));
    eventually(PATIENCE, &format!("the server takes a change of {name}"), || async {
        services.patch(&name, &PatchParams::default(), &patch).await.map(drop)
    })
    .await;
    Timestamp::now()
}

/// How long after a moment the operator had each of the first Deployments written.
fn applied_after(sent: &Requests, changes: usize, since: Timestamp) -> Times {
    let written = sent.writes().resource("deployments").only(|request| request.code == 200);
    let mut last = HashMap::new();
    for request in &written.0 {
        if let Ok(answered) = request.answered.parse::<Timestamp>() {
            last.insert(request.name.clone(), answered);
        }
    }
    let of = |number| last.get(&name(number)).copied();
    let late = (0..changes).filter_map(of).map(|at| at.duration_since(since));
    late.map(|late| Duration::try_from(late).unwrap_or_default()).collect()
}

/// B9: while the operator is stopped, one child is deleted, one edited and one service deleted; and when it
/// goes on, no watch can be resumed.
pub async fn expired(ground: &mut Ground, report: &mut Report) {
    let fleet = ground.filled(report).await;
    let victim = fleet.fresh(1);
    fleet.add(victim.clone()).await;
    let configs = fleet.namespace.api::<ConfigMap>();
    let (deleted, edited) = (format!("{}-config", name(1)), format!("{}-config", name(2)));

    fleet.operator.signal("STOP");
    configs.delete(&deleted, &DeleteParams::default()).await.expect("the ConfigMap can be deleted");
    fleet.namespace.patch::<ConfigMap>(&edited, json!({"data": {"DATABASE_HOST": "elsewhere"}})).await;
    fleet.delete_one(&name(victim.start)).await;
    fleet.objects -= 1;
    fleet.cluster.compact();
    fleet.cluster.restart("kube-apiserver");
    let mark = fleet.audit.mark().await;
    fleet.operator.signal("CONT");
    all_listed(fleet, mark).await;
    fleet.known(fleet.objects).await;
    fleet.collect(&[name(victim.start)]).await;
    eventually(PATIENCE, "both ConfigMaps are as they were", || async {
        for config in [&deleted, &edited] {
            let data = configs.get(config).await.map_err(|error| error.to_string())?.data.unwrap_or_default();
            if data.get("DATABASE_HOST").is_none_or(|host| host != "postgres") {
                return Err(format!("{config}: {data:?}"));
            }
        }
        Ok(())
    })
    .await;
    fleet.quiet().await;
    let lists = all_listed(fleet, mark).await;
    let sent = fleet.sent(mark).await.writes().without("events").without("microservices/status");
    count_lists(fleet, report, &lists);
    report.count("M14", "writes of children for two that were changed", 2.0, sent.count() as f64);
    let repaired = repair_edit(fleet, 0).await;
    report.measure("M7", "repair of an edit afterwards [s]", Some(1.0), repaired.as_secs_f64());
}
