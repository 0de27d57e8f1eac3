//! What the operator tells about itself: metrics, liveness and readiness here, the HTTP server, the
//! logs and the traces in the modules below. Labels are `&'static str`, so no name of an object can become one.

mod liveness;
pub mod logs;
pub mod server;
pub mod traces;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

use liveness::{Expectation, Liveness};

/// Every call of a reconcile has a time limit of seconds.
const RECONCILE_LIMIT: Duration = Duration::from_secs(300);
/// Queued work begins as soon as one of the running reconciles ends.
const QUEUE_LIMIT: Duration = Duration::from_secs(300);
/// A watch is renewed by the client at least every 295 s, also when the API server is away.
const WATCH_LIMIT: Duration = Duration::from_secs(600);

type Label<V> = [(&'static str, V); 1];
type Labels = [(&'static str, &'static str); 2];

/// Metrics, liveness and readiness of this process.
///
/// Liveness is progress, not existence. `/livez` fails when
/// * a reconcile runs for more than 5 minutes ([`Telemetry::working`]),
/// * work is queued after the first listing, and none was begun or ended for 5 minutes
///   ([`Telemetry::queued`]),
/// * no watch was opened or refused for 10 minutes after the first one ([`Telemetry::api_request`]).
///
/// An API server that is away fails none of these: a restart would not bring it back.
#[derive(Debug)]
pub struct Telemetry {
    registry: Registry,
    reconciles: Family<Label<&'static str>, Counter>,
    reconcile_seconds: Histogram,
    in_flight: Gauge,
    child_writes: Family<Labels, Counter>,
    repairs: Family<Label<&'static str>, Counter>,
    watch_errors: Family<Label<&'static str>, Counter>,
    api_requests: Family<(Label<&'static str>, Label<u32>), Counter>,
    objects: Family<Label<&'static str>, Gauge>,
    kafka_changes: Family<Label<&'static str>, Counter>,
    kafka_users: Family<Label<&'static str>, Gauge>,
    kafka_tombstones: Family<Label<&'static str>, Gauge>,
    findings: Family<Labels, Gauge>,
    leader: Gauge,
    liveness: Arc<Liveness>,
    synced: AtomicBool,
}

impl Default for Telemetry {
    fn default() -> Self {
        Self::new()
    }
}

impl Telemetry {
    /// All metrics at zero, caches not synced, nothing expected.
    pub fn new() -> Self {
        let telemetry = Self {
            registry: Registry::with_prefix("microservice_operator"),
            reconciles: Family::default(),
            // 1 ms to 33 s
            reconcile_seconds: Histogram::new(exponential_buckets(0.001, 2.0, 16)),
            in_flight: Gauge::default(),
            child_writes: Family::default(),
            repairs: Family::default(),
            watch_errors: Family::default(),
            api_requests: Family::default(),
            objects: Family::default(),
            kafka_changes: Family::default(),
            kafka_users: Family::default(),
            kafka_tombstones: Family::default(),
            findings: Family::default(),
            leader: Gauge::default(),
            liveness: Arc::default(),
            synced: AtomicBool::new(false),
        };
        telemetry.register()
    }

    /// All metrics used, so that each shows with its labels: for the reference, and for tests of whoever
    /// asks for metrics.
    pub fn sample() -> Self {
        let telemetry = Self::new();
        telemetry.reconciled("Ready", 0.02);
        telemetry.child_write("Deployment", "apply");
        telemetry.repaired("Service");
        telemetry.watch_error("deployments");
        telemetry.api_request("patch", 409);
        telemetry.objects("Ready", 7);
        telemetry.kafka_changed("LoginRotated");
        telemetry.kafka_users("Retiring", 2);
        telemetry.kafka_tombstones("topic", 3);
        telemetry.findings([("Cycle", "error"), ("NoTimeout", "info"), ("NoTimeout", "info")]);
        telemetry.set_leader(true);
        telemetry
    }

    fn register(mut self) -> Self {
        let registry = &mut self.registry;
        registry.register(
            "reconciles",
            "Reconciles that ended, by the reason of the outcome",
            self.reconciles.clone(),
        );
        registry.register(
            "reconcile_seconds",
            "Duration of a reconcile, in seconds",
            self.reconcile_seconds.clone(),
        );
        registry.register("reconciles_in_flight", "Reconciles that run now", self.in_flight.clone());
        registry.register("child_writes", "Writes of children, by kind and verb", self.child_writes.clone());
        registry.register(
            "repairs",
            "Children put right after somebody changed or deleted them, by kind",
            self.repairs.clone(),
        );
        registry.register(
            "watch_errors",
            "Errors of watch streams, each followed by a retry, by stream",
            self.watch_errors.clone(),
        );
        registry.register(
            "api_requests",
            "Requests sent to the API server, by verb and HTTP status; 0 = no answer",
            self.api_requests.clone(),
        );
        registry.register("objects", "Microservices, by readiness", self.objects.clone());
        registry.register(
            "kafka_changes",
            "What was done to topics and users of Kafka, by the reason of its Event, such as LoginRotated",
            self.kafka_changes.clone(),
        );
        registry.register(
            "kafka_users",
            "Users in the ledger of Kafka, by what they are: Reserved, Active, Retiring, Granted or Leaving",
            self.kafka_users.clone(),
        );
        registry.register(
            "kafka_tombstones",
            "Topics and logins of services that are gone whose removal is still due",
            self.kafka_tombstones.clone(),
        );
        registry.register(
            "graph_findings",
            "Findings in the system of services that call each other, by kind and severity",
            self.findings.clone(),
        );
        registry.register("leader", "1 when this replica leads, else 0", self.leader.clone());
        let build = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "Version of the operator", build);
        self
    }

    /// A reconcile ended. `reason` is one of the words of [`crate::api::Reason`].
    pub fn reconciled(&self, reason: &'static str, seconds: f64) {
        self.reconciles.get_or_create(&[("reason", reason)]).inc();
        self.reconcile_seconds.observe(seconds);
    }

    /// A reconcile begins; it is in flight until the value is dropped.
    #[must_use = "the reconcile counts as in flight until this is dropped"]
    pub fn working(&self) -> Working {
        self.in_flight.inc();
        self.beat();
        Working {
            id: self.liveness.begin(RECONCILE_LIMIT),
            in_flight: self.in_flight.clone(),
            liveness: self.liveness.clone(),
        }
    }

    /// An object was queued; a reconcile of something has to begin or end soon. Before the first listing none
    /// can, and a restart would not bring that about.
    pub fn queued(&self) {
        if self.is_ready() {
            self.liveness.expect_unless_expected(Expectation::Queue, QUEUE_LIMIT);
        }
    }

    /// A child was written: `apply`, `delete` or `patch`.
    pub fn child_write(&self, kind: &'static str, verb: &'static str) {
        self.child_writes.get_or_create(&[("kind", kind), ("verb", verb)]).inc();
    }

    /// A child that somebody had changed or deleted was put right.
    pub fn repaired(&self, kind: &'static str) {
        self.repairs.get_or_create(&[("kind", kind)]).inc();
    }

    /// A watch stream reported an error; `stream` is the plural of what it watches.
    pub fn watch_error(&self, stream: &'static str) {
        self.watch_errors.get_or_create(&[("stream", stream)]).inc();
    }

    /// A request was sent; `code` is the HTTP status, 0 without an answer.
    pub fn api_request(&self, verb: &'static str, code: u16) {
        self.api_requests.get_or_create(&([("verb", verb)], [("code", code.into())])).inc();
        if verb.starts_with("watch") {
            self.liveness.expect(Expectation::Watch, WATCH_LIMIT);
        }
    }

    /// Number of Microservices of one readiness, for example `Ready`, `NotReady`, `Unknown`.
    pub fn objects(&self, readiness: &'static str, count: usize) {
        self.objects.get_or_create(&[("readiness", readiness)]).set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// Something was done to a topic or user of Kafka.
    pub fn kafka_changed(&self, reason: &'static str) {
        self.kafka_changes.get_or_create(&[("reason", reason)]).inc();
    }

    /// Number of users in the ledger that are this.
    pub fn kafka_users(&self, standing: &'static str, count: usize) {
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        self.kafka_users.get_or_create(&[("standing", standing)]).set(count);
    }

    /// Number of topics or logins (`kind`) whose removal is still due.
    pub fn kafka_tombstones(&self, kind: &'static str, count: usize) {
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        self.kafka_tombstones.get_or_create(&[("kind", kind)]).set(count);
    }

    /// Everything that is found in the system now, each by its kind and severity.
    pub fn findings(&self, found: impl IntoIterator<Item = (&'static str, &'static str)>) {
        self.findings.clear();
        for (kind, severity) in found {
            self.findings.get_or_create(&[("kind", kind), ("severity", severity)]).inc();
        }
    }

    /// Whether this replica leads.
    pub fn set_leader(&self, leads: bool) {
        self.leader.set(leads.into());
    }

    /// The caches are filled: this replica is ready, as leader or as standby.
    pub fn synced(&self) {
        self.synced.store(true, Ordering::Release);
    }

    /// Queued work made progress, whatever came out of it.
    pub fn beat(&self) {
        self.liveness.met(Expectation::Queue);
    }

    /// Whether [`Telemetry::synced`] was called.
    pub fn is_ready(&self) -> bool {
        self.synced.load(Ordering::Acquire)
    }

    /// What makes no progress; empty = alive.
    pub fn stuck(&self) -> Vec<&'static str> {
        self.liveness.overdue()
    }

    /// All metrics in the OpenMetrics text format.
    ///
    /// # Errors
    /// None in practice: writing to a string does not fail.
    pub fn exposition(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

/// A reconcile in flight.
#[derive(Debug)]
pub struct Working {
    id: u64,
    in_flight: Gauge,
    liveness: Arc<Liveness>,
}

impl Drop for Working {
    fn drop(&mut self) {
        self.in_flight.dec();
        self.liveness.met(Expectation::Reconcile(self.id));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Everything that may be a label; a new one is added here after thought about its cardinality.
    const LABELS: [&str; 10] =
        ["reason", "kind", "severity", "standing", "verb", "stream", "code", "readiness", "version", "le"];

    #[test]
    fn every_metric_has_a_help_text_and_only_known_labels() {
        let text = Telemetry::sample().exposition().unwrap();
        let samples = text.lines().filter(|line| !line.starts_with('#'));
        for sample in samples {
            let name = sample.split(['{', ' ']).next().unwrap();
            let known = |suffix| text.contains(&format!("# HELP {} ", name.trim_end_matches(suffix)));
            assert!(["", "_total", "_bucket", "_sum", "_count", "_info"].into_iter().any(known), "{sample}");
            let Some((_, labels)) = sample.split_once('{') else { continue };
            for label in labels.split('}').next().unwrap().split(',') {
                let key = label.split('=').next().unwrap();
                assert!(LABELS.contains(&key), "label {key} of {name}");
            }
        }
    }

    #[test]
    fn what_happened_is_exposed() {
        let telemetry = Telemetry::sample();
        let working = telemetry.working();
        let text = telemetry.exposition().unwrap();
        for expected in [
            r#"microservice_operator_reconciles_total{reason="Ready"} 1"#,
            "microservice_operator_reconcile_seconds_count 1",
            "microservice_operator_reconciles_in_flight 1",
            r#"microservice_operator_child_writes_total{kind="Deployment",verb="apply"} 1"#,
            r#"microservice_operator_repairs_total{kind="Service"} 1"#,
            r#"microservice_operator_watch_errors_total{stream="deployments"} 1"#,
            r#"microservice_operator_api_requests_total{verb="patch",code="409"} 1"#,
            r#"microservice_operator_objects{readiness="Ready"} 7"#,
            r#"microservice_operator_kafka_changes_total{reason="LoginRotated"} 1"#,
            r#"microservice_operator_kafka_users{standing="Retiring"} 2"#,
            r#"microservice_operator_kafka_tombstones{kind="topic"} 3"#,
            r#"microservice_operator_graph_findings{kind="NoTimeout",severity="info"} 2"#,
            "microservice_operator_leader 1",
            concat!(r#"microservice_operator_build_info{version=""#, env!("CARGO_PKG_VERSION"), r#""} 1"#),
        ] {
            assert!(text.lines().any(|line| line == expected), "{expected} is not in\n{text}");
        }
        drop(working);
        assert!(telemetry.exposition().unwrap().contains("reconciles_in_flight 0"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_process_with_nothing_to_do_is_alive() {
        let telemetry = Telemetry::new();
        drop(telemetry.working());
        telemetry.queued();
        telemetry.beat();
        tokio::time::advance(Duration::from_secs(86_400)).await;
        assert_eq!(telemetry.stuck(), [""; 0]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_reconcile_that_hangs_is_stuck_though_others_go_on() {
        let telemetry = Telemetry::new();
        let hanging = telemetry.working();
        for _ in 0..30 {
            tokio::time::advance(Duration::from_secs(11)).await;
            drop(telemetry.working());
        }
        assert_eq!(telemetry.stuck(), ["reconcile"]);
        drop(hanging);
        assert_eq!(telemetry.stuck(), [""; 0]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_growing_queue_that_nobody_serves_is_stuck() {
        let telemetry = Telemetry::new();
        let queue = async || {
            for _ in 1..32 {
                telemetry.queued();
                tokio::time::advance(Duration::from_secs(10)).await;
            }
            telemetry.stuck()
        };
        assert_eq!(queue().await, [""; 0], "nobody can serve it before the first listing");
        telemetry.synced();
        assert_eq!(queue().await, ["queue"]);
        drop(telemetry.working());
        assert_eq!(telemetry.stuck(), [""; 0]);
    }

    #[tokio::test(start_paused = true)]
    async fn watches_that_nobody_renews_are_stuck() {
        let telemetry = Telemetry::new();
        telemetry.api_request("watch_metadata", 0);
        tokio::time::advance(Duration::from_secs(599)).await;
        assert_eq!(telemetry.stuck(), [""; 0]);
        telemetry.api_request("get", 200);
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!(telemetry.stuck(), ["watch"]);
        telemetry.api_request("watch", 200);
        assert_eq!(telemetry.stuck(), [""; 0]);
    }
}
