//! What the operator goes through: nothing, a burst, rest, a restart, one repair.

use std::ops::Range;
use std::pin::pin;
use std::time::{Duration, Instant};

use futures::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ConfigMap, Service};
use kube::Api;
use kube::api::{DeleteParams, PostParams};
use kube::runtime::{WatchStreamExt, watcher};
use microservice_operator::api::Microservice;
use microservice_operator::engine::watch::PAGE;
use serde_json::json;

use crate::floor::Floor;
use crate::report::Report;
use crate::support::{Audit, Mark, Namespace, Operator, Requests, eventually};
use crate::workload::{CHILDREN, microservice, name};
use crate::{Size, process};

/// Objects that are created at the same time.
const CREATORS: usize = 16;
/// Objects before the burst: the first ones bring code pages and connection buffers, which do not grow
/// with the number of objects.
const WARM: usize = 100;
/// Longest wait for the whole burst.
const PATIENCE: Duration = Duration::from_mins(15);

/// One operator and the objects that it serves.
pub struct Bench {
    pub size: Size,
    pub audit: Audit,
    pub namespace: Namespace,
    pub operator: Operator,
}

/// How long the burst took, from the first create.
pub struct Burst {
    /// To the last child.
    pub children: Duration,
    /// To the last object whose condition Applied is true, as another client sees it.
    pub applied: Duration,
}

impl Burst {
    /// The burst against the floors before and after it. The bar is the faster number of requests in
    /// flight, each the mean of both runs.
    pub fn compare(&self, report: &mut Report, before: &[Floor], after: &[Floor], whole: &Floor) {
        let mean = |(a, b): (&Floor, &Floor)| (a.wall + b.wall) / 2;
        let best = before.iter().zip(after).map(mean).min().unwrap_or_default();
        for floor in before.iter().chain(after).chain([whole]) {
            let (p50, p99) = (floor.percentile(50), floor.percentile(99));
            report.measure("B1", &format!("floor, {} [s]", floor.name), None, floor.wall.as_secs_f64());
            report.floor(json!({
                "name": floor.name, "seconds": floor.wall.as_secs_f64(), "requests_per_second": floor.rate(),
                "p50_seconds": p50.as_secs_f64(), "p99_seconds": p99.as_secs_f64(),
            }));
        }
        let ratio = |wall: Duration, floor: Duration| wall.as_secs_f64() / floor.as_secs_f64();
        let whole = whole.wall;
        report.measure("M5", "burst to the last child [s]", None, self.children.as_secs_f64());
        report.measure("M5", "burst until all are Applied [s]", None, self.applied.as_secs_f64());
        // The floor of the job holds everything that has to be sent for it. The children alone cost the
        // server about half of that: no operator that tells of its progress reaches their floor.
        report.measure("M5", "last child / floor of the children alone", None, ratio(self.children, best));
        report.measure("M5", "last child / floor of the whole job", Some(1.5), ratio(self.children, whole));
        report.measure("M5", "all Applied / floor of the whole job", Some(1.5), ratio(self.applied, whole));
    }
}

impl Bench {
    /// Memory with nothing to do.
    pub async fn empty(&self, report: &mut Report) {
        self.quiet().await;
        let pid = self.operator.pid();
        report.measure("M9", "RSS, empty [MiB]", Some(25.0), process::resident(pid));
        report.measure("M9", "  of that its own memory [MiB]", None, process::anonymous(pid));
    }

    /// The first objects, on which nothing is measured.
    pub async fn warm(&self) {
        tokio::join!(self.create(self.size.objects..self.all()), self.applied(WARM));
        self.quiet().await;
    }

    /// Number of all objects.
    fn all(&self) -> usize {
        self.size.objects + WARM
    }

    /// All objects at once, until everything is applied and quiet.
    pub async fn burst(&self, report: &mut Report) -> Burst {
        let pid = self.operator.pid();
        let (cpu, memory, looks) = (process::cpu(pid), process::resident(pid), self.looks().await);
        let mark = self.audit.mark().await;
        let began = Timestamp::now();
        let start = Instant::now();
        tokio::join!(self.create(0..self.size.objects), self.applied(self.all()));
        let applied = start.elapsed();
        self.quiet().await;
        // The key of the hashes is made once for all, in the operator's own namespace.
        let sent = self.sent(mark).await.namespace(self.namespace.name());
        let last = sent.only(|request| request.code == 201).without("events");
        let last = last.0.iter().filter_map(|request| request.answered.parse::<Timestamp>().ok()).max();
        let children = last.map(|last| Duration::try_from(last.duration_since(began)).unwrap_or_default());

        self.count_burst(report, &sent);
        let per_thousand = 1000.0 / self.size.objects as f64;
        let looks = (self.looks().await - looks) as f64;
        report.measure("M8", "looks per object", None, looks / self.size.objects as f64);
        let cpu = (process::cpu(pid) - cpu).as_secs_f64();
        report.measure("M8", "CPU per 1,000 objects [s]", Some(6.0), cpu * per_thousand);
        let grown = (process::resident(pid) - memory) * per_thousand;
        report.measure("M9", "RSS for the burst, per 1,000 objects [MiB]", Some(16.0), grown);
        let allowed = 25.0 + 16.0 * self.all() as f64 / 1000.0;
        report.measure("M9", "RSS, all objects [MiB]", Some(allowed), process::resident(pid));
        report.measure("M9", "  of that its own memory [MiB]", None, process::anonymous(pid));
        report.measure("M9", "RSS, peak [MiB]", None, process::peak(pid));
        Burst { children: children.expect("the operator made children"), applied }
    }

    fn count_burst(&self, report: &mut Report, sent: &Requests) {
        let objects = self.size.objects;
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

    /// Nobody changes anything.
    pub async fn rest(&self, report: &mut Report) {
        let pid = self.operator.pid();
        self.quiet().await;
        let (cpu, mark) = (process::cpu(pid), self.audit.mark().await);
        tokio::time::sleep(self.size.rest).await;
        let used = (process::cpu(pid) - cpu).as_secs_f64();
        let sent = self.sent(mark).await;
        report.count("M2", "writes at rest, but the lease", 0.0, sent.writes().count() as f64);
        report.count("M3", "GET and LIST at rest", 0.0, sent.reads().count() as f64);
        let share = used / self.size.rest.as_secs_f64() * 100.0;
        report.measure("M10", "CPU at rest [% of a core]", Some(0.5), share);
    }

    /// A new process finds everything as it should be.
    pub async fn restart(&mut self, report: &mut Report) {
        let mark = self.audit.mark().await;
        self.operator.stop().await;
        self.operator.restart().await;
        eventually(PATIENCE, "every object was looked at after the restart", || async {
            let looks = self.looks().await;
            if looks >= self.all() { Ok(()) } else { Err(format!("{looks} looks")) }
        })
        .await;
        self.quiet().await;
        let pid = self.operator.pid();
        let sent = self.sent(mark).await;
        report.count("M4", "writes on restart, but the lease", 0.0, sent.writes().count() as f64);
        let pages = self.all().div_ceil(PAGE as usize);
        // Nine lists in pages, the namespaces and classes, and the key of the hashes.
        report.count("M4", "GET and LIST on restart", (9 * pages + 3) as f64, sent.reads().count() as f64);
        report.measure("M4", "requests on restart", None, sent.count() as f64);
        report.measure("M4", "CPU of the restart [s]", None, process::cpu(pid).as_secs_f64());
        report.measure("M9", "RSS after the restart [MiB]", None, process::resident(pid));
        report.measure("M9", "RSS after the restart, peak [MiB]", None, process::peak(pid));
    }

    /// It was quiet because all was well, not because it does not look.
    pub async fn repair(&self, report: &mut Report) {
        let config = format!("{}-config", name(0));
        let mark = self.audit.mark().await;
        let start = Instant::now();
        self.namespace.patch::<ConfigMap>(&config, json!({"data": {"DATABASE_HOST": "elsewhere"}})).await;
        let configs = self.namespace.api::<ConfigMap>();
        eventually(Duration::from_secs(30), "the ConfigMap is repaired", || async {
            let data = configs.get(&config).await.map_err(|error| error.to_string())?.data;
            let host = data.and_then(|data| data.get("DATABASE_HOST").cloned()).unwrap_or_default();
            if host == "postgres" { Ok(()) } else { Err(host) }
        })
        .await;
        report.measure(
            "M7",
            "repair of an edit, polled every 50 ms [s]",
            Some(1.0),
            start.elapsed().as_secs_f64(),
        );
        let services = self.namespace.api::<Service>();
        let start = Instant::now();
        services.delete(&name(0), &DeleteParams::default()).await.expect("the Service can be deleted");
        eventually(Duration::from_secs(30), "the Service is back", || async {
            services.get(&name(0)).await.map(drop)
        })
        .await;
        report.measure("M7", "repair of a deletion [s]", Some(1.0), start.elapsed().as_secs_f64());
        self.quiet().await;
        let writes = self.sent(mark).await.writes().without("events").count();
        report.measure("M7", "writes for both", None, writes as f64);
    }

    async fn create(&self, numbers: Range<usize>) {
        let api = self.namespace.api::<Microservice>();
        stream::iter(numbers)
            .for_each_concurrent(CREATORS, |number| {
                let (api, object) = (api.clone(), microservice(self.namespace.name(), number));
                async move {
                    api.create(&PostParams::default(), &object).await.expect("the object is created");
                }
            })
            .await;
    }

    /// Resolves when so many objects have Applied=True.
    async fn applied(&self, objects: usize) {
        let api: Api<Microservice> = self.namespace.api();
        let all = async {
            let mut events = pin!(watcher(api, watcher::Config::default()).applied_objects());
            let mut applied = std::collections::HashSet::new();
            while applied.len() < objects {
                let object = events.try_next().await.expect("the watch goes on").expect("it has no end");
                let conditions = object.status.into_iter().flat_map(|status| status.conditions);
                if conditions.into_iter().any(|c| c.type_ == "Applied" && c.status == "True") {
                    applied.insert(object.metadata.name);
                }
            }
        };
        tokio::time::timeout(PATIENCE, all).await.expect("every object is applied in time");
    }

    /// Waits until the operator has sent nothing for two seconds.
    async fn quiet(&self) {
        loop {
            let mark = self.audit.mark().await;
            tokio::time::sleep(Duration::from_secs(2)).await;
            let sent = self.sent(mark).await;
            if sent.writes().count() + sent.reads().count() == 0 {
                return;
            }
        }
    }

    /// What the operator has sent, but for its lease.
    async fn sent(&self, mark: Mark) -> Requests {
        self.audit.since(mark).await.of(&self.operator.user()).without("leases")
    }

    async fn looks(&self) -> usize {
        let metrics = self.operator.http("/metrics").await.map(|(_, text)| text).unwrap_or_default();
        let looks = metrics.lines().filter(|line| line.starts_with("microservice_operator_reconciles_total"));
        looks.filter_map(|line| line.rsplit(' ').next()?.parse::<usize>().ok()).sum()
    }
}
