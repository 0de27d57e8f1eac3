//! B2 and B5: N services at once, and none again.

use std::time::Duration;

use jiff::Timestamp;

use crate::floor::{self, Floor, Order};
use crate::ground::{Fleet, Ground};
use crate::process;
use crate::report::Report;
use crate::support::Requests;
use crate::times::Rounds;
use crate::workload::CHILDREN;

/// How long the burst took, from the first create.
struct Burst {
    /// To the last child.
    children: Duration,
    /// To the last object whose condition Applied is true, as another client sees it.
    applied: Duration,
}

/// The ratios of all rounds.
#[derive(Default)]
struct Ratios {
    alone: Rounds,
    children: Rounds,
    applied: Rounds,
}

/// B2: floor, ours, floor, as often as asked. Counts, CPU and memory are those of the first round, when the
/// process is new.
pub async fn burst(ground: &mut Ground, report: &mut Report) {
    let (cluster, settings) = (ground.cluster, ground.settings);
    let fleet = ground.warm(report).await;
    let mut ratios = Ratios::default();
    for round in 0..settings.rounds {
        if fleet.full {
            fleet.drain().await;
        }
        let before = floor::children(cluster, settings.objects, &[16, 64]).await;
        let burst = once(fleet, report, round == 0).await;
        let after = floor::children(cluster, settings.objects, &[16, 64]).await;
        let mut whole = Vec::new();
        for (in_flight, order) in [(64, Order::Series), (8, Order::Together)] {
            whole.push(floor::whole(cluster, settings.objects, in_flight, order, &fleet.namespace).await);
        }
        ratios.add(&burst, &before, &after, &whole);
        for floor in before.iter().chain(&after).chain(&whole) {
            floor.tell(report, "B1");
        }
        report.measure("M5", "burst to the last child [s]", None, burst.children.as_secs_f64());
        report.measure("M5", "burst until all are Applied [s]", None, burst.applied.as_secs_f64());
    }
    // The floor of the job holds everything that has to be sent for it. The children alone cost the
    // server about half of that: no operator that tells of its progress reaches their floor.
    report.rounds("M5", "last child / floor of the children alone", None, &ratios.alone);
    report.rounds("M5", "last child / floor of the whole job", Some(1.25), &ratios.children);
    report.rounds("M5", "all Applied / floor of the whole job", Some(1.5), &ratios.applied);
}

impl Ratios {
    /// The floor is the fastest way; that of the children alone is the mean of both runs.
    fn add(&mut self, burst: &Burst, before: &[Floor], after: &[Floor], whole: &[Floor]) {
        let mean = |(a, b): (&Floor, &Floor)| (a.wall + b.wall) / 2;
        let best = before.iter().zip(after).map(mean).min().unwrap_or_default();
        let whole = whole.iter().map(|floor| floor.wall).min().unwrap_or_default();
        let ratio = |wall: Duration, floor: Duration| wall.as_secs_f64() / floor.as_secs_f64();
        self.alone.push(ratio(burst.children, best));
        self.children.push(ratio(burst.children, whole));
        self.applied.push(ratio(burst.applied, whole));
    }
}

/// All objects at once, until everything is applied and quiet.
async fn once(fleet: &mut Fleet, report: &mut Report, told: bool) -> Burst {
    let pid = fleet.operator.pid();
    let objects = fleet.settings.objects;
    let (cpu, memory, looks) = (process::cpu(pid), process::resident(pid), fleet.looks().await);
    let mark = fleet.audit.mark().await;
    let began = Timestamp::now();
    let applied = fleet.fill().await;
    // The key of the hashes is made once for all, in the operator's own namespace.
    let sent = fleet.sent(mark).await.namespace(fleet.namespace.name());
    let last = sent.only(|request| request.code == 201).without("events");
    let last = last.0.iter().filter_map(|request| request.answered.parse::<Timestamp>().ok()).max();
    let children = last.map(|last| Duration::try_from(last.duration_since(began)).unwrap_or_default());
    if told {
        count(report, &sent, objects);
        let per_thousand = 1000.0 / objects as f64;
        let looks = (fleet.looks().await - looks) as f64;
        report.measure("M8", "looks per object", None, looks / objects as f64);
        let cpu = (process::cpu(pid) - cpu).as_secs_f64();
        report.measure("M8", "CPU per 1,000 objects [s]", Some(6.0), cpu * per_thousand);
        let grown = (process::resident(pid) - memory) * per_thousand;
        report.measure("M9", "RSS for the burst, per 1,000 objects [MiB]", Some(16.0), grown);
        let allowed = 25.0 + 16.0 * fleet.objects as f64 / 1000.0;
        report.measure("M9", "RSS, all objects [MiB]", Some(allowed), process::resident(pid));
        report.measure("M9", "  of that its own memory [MiB]", None, process::anonymous(pid));
        report.measure("M9", "RSS, peak [MiB]", None, process::peak(pid));
    }
    Burst { children: children.expect("the operator made children"), applied }
}

fn count(report: &mut Report, sent: &Requests, objects: usize) {
    let writes = sent.writes();
    let events = writes.resource("events").count();
    let status = writes.resource("microservices/status").count();
    let per_object = |count: usize| count as f64 / objects as f64;
    let refused = writes.only(|request| request.code >= 300).count();
    let children = writes.count() - events - status;
    // One more than the children: the hand-over of the replica count to the autoscaler.
    report.count("M1", "child writes per object", (CHILDREN + 1) as f64, per_object(children));
    report.count("M1", "status writes per object", 2.0, per_object(status));
    report.count("M1", "Events per object", 3.0, per_object(events));
    report.count("M1", "refused writes", 0.0, refused as f64);
    report.count("M3", "GET and LIST per object", 0.0, per_object(sent.reads().count()));
}

/// B5: everything is deleted.
pub async fn drain(ground: &mut Ground, report: &mut Report) {
    let fleet = ground.filled(report).await;
    let mark = fleet.audit.mark().await;
    fleet.drain().await;
    let sent = fleet.sent(mark).await;
    report.count("M1", "writes while all is deleted", 0.0, sent.writes().count() as f64);
    report.count("M3", "GET and LIST while all is deleted", 0.0, sent.reads().count() as f64);
    let left = process::resident(fleet.operator.pid());
    report.measure("M9", "RSS after all is deleted [MiB]", None, left);
    report.measure("M9", "RSS after all is deleted / empty", Some(1.3), left / fleet.empty);
}
