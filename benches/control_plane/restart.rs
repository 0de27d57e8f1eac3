//! B7: a new process that finds everything as it should be, and one that finds N changes.

use jiff::Timestamp;
use microservice_operator::engine::watch::PAGE;
use serde_json::json;

use crate::ground::{Fleet, Ground, PATIENCE};
use crate::process;
use crate::report::Report;
use crate::support::{Requests, eventually};
use crate::workload::{CHILDREN, name};

/// B7.
pub async fn run(ground: &mut Ground, report: &mut Report) {
    let fleet = ground.filled(report).await;
    at_rest(fleet, report).await;
    backlog(fleet, report).await;
}

async fn at_rest(fleet: &mut Fleet, report: &mut Report) {
    let mark = fleet.audit.mark().await;
    fleet.operator.stop().await;
    fleet.operator.restart().await;
    eventually(PATIENCE, "every object was looked at after the restart", || async {
        let looks = fleet.looks().await;
        if looks >= fleet.objects { Ok(()) } else { Err(format!("{looks} looks of {}", fleet.objects)) }
    })
    .await;
    fleet.quiet().await;
    let pid = fleet.operator.pid();
    let sent = fleet.sent(mark).await;
    report.count("M4", "writes on restart, but the lease", 0.0, sent.writes().count() as f64);
    let pages = fleet.objects.div_ceil(PAGE as usize);
    // The Microservices and eight kinds of children in pages; the pods, the namespaces, the classes and the
    // ledgers of Kafka.
    let reads = ((CHILDREN + 1) * pages + 4) as f64;
    report.count("M4", "GET and LIST on restart", reads, sent.reads().count() as f64);
    report.measure("M4", "requests on restart", None, sent.count() as f64);
    report.measure("M4", "CPU of the restart [s]", None, process::cpu(pid).as_secs_f64());
    report.measure("M9", "RSS after the restart [MiB]", None, process::resident(pid));
    report.measure("M9", "RSS after the restart, peak [MiB]", None, process::peak(pid));
}

/// Every service gets another image while nobody serves it; a service that is new when the process is there
/// must not wait for all of them.
async fn backlog(fleet: &mut Fleet, report: &mut Report) {
    let settled = process::resident(fleet.operator.pid());
    fleet.operator.stop().await;
    for number in 0..fleet.settings.objects {
        let image = format!("registry.example.com/shop/{}:v1.3.0", name(number));
        fleet.change(&name(number), json!({"image": image})).await;
    }
    let new = fleet.fresh(1).start;
    let mark = fleet.audit.mark().await;
    fleet.operator.restart().await;
    let created = Timestamp::now();
    fleet.create_one(new).await;
    fleet.objects += 1;
    fleet.applied().await;
    fleet.quiet().await;
    let sent = fleet.sent(mark).await.writes().without("events").without("microservices/status");
    let served = answered_last(&sent.only(|request| request.code == 201), created);
    let ended = answered_last(&sent, created);
    report.measure("M11", "backlog of N changes worked off [s]", None, ended);
    report.measure("M11", "new service, created to last child [s]", None, served);
    report.measure("M11", "new service served / backlog ended", Some(1.0), served / ended);
    let peak = process::peak(fleet.operator.pid());
    report.measure("M9", "RSS, peak of the backlog / settled before", Some(1.5), peak / settled);
}

/// Seconds until the last of these was answered.
fn answered_last(requests: &Requests, since: Timestamp) -> f64 {
    let times = requests.0.iter().filter_map(|request| request.answered.parse::<Timestamp>().ok());
    times.max().map(|last| last.duration_since(since).as_secs_f64()).unwrap_or_default()
}
