//! What the parts stand on: one control plane, and one operator with N services that most of them share.

use std::collections::BTreeSet;
use std::ops::Range;
use std::pin::pin;
use std::time::{Duration, Instant};

use futures::{StreamExt, TryStreamExt, future, stream};
use kube::Api;
use kube::api::{DeleteParams, DynamicObject, ListParams, PostParams};
use kube::runtime::{WatchStreamExt, watcher};
use microservice_operator::api::{LABEL_NAME, Microservice};
use microservice_operator::engine::watch::api_resource;
use microservice_operator::plan;
use serde_json::{Value, json};

use crate::process;
use crate::report::Report;
use crate::settings::Settings;
use crate::support::{Audit, Cluster, Mark, Namespace, Operator, OperatorOptions, Requests, eventually};
use crate::workload::{calling, name, policed};

/// Objects that are created at the same time.
const CREATORS: usize = 16;
/// Objects before the first burst: they bring code pages and connection buffers, which do not grow with
/// the number of objects.
const WARM: usize = 100;
/// Longest wait for all objects.
pub const PATIENCE: Duration = Duration::from_mins(15);

/// One control plane, disturbed by nothing but the parts.
pub struct Ground {
    pub settings: Settings,
    pub cluster: &'static Cluster,
    fleet: Option<Fleet>,
}

/// One operator as it is shipped, and the services that it serves.
pub struct Fleet {
    pub settings: Settings,
    pub cluster: &'static Cluster,
    pub audit: Audit,
    pub namespace: Namespace,
    pub operator: Operator,
    /// Services that there are.
    pub objects: usize,
    /// Whether the N services are among them.
    pub full: bool,
    /// The next number that no service has had.
    next: usize,
    /// How many others of the N each of them calls.
    pub calls: usize,
    /// Memory of the operator before the first service, MiB.
    pub empty: f64,
    /// Resources that it has listed when it started.
    pub listed: BTreeSet<String>,
}

impl Ground {
    /// Starts the control plane.
    pub fn new(settings: Settings) -> Self {
        let cluster = Cluster::shared();
        // Pods, ReplicaSets and autoscaling would load the API server for all, and hide the operator.
        cluster.signal("kube-controller-manager", "STOP");
        cluster.signal("kube-scheduler", "STOP");
        Self { settings, cluster, fleet: None }
    }

    /// The shared operator, warm but without the N services unless a part has made them.
    pub async fn warm(&mut self, report: &mut Report) -> &mut Fleet {
        let fleet = match self.fleet.take() {
            Some(fleet) => fleet,
            None => Fleet::start(self.settings, self.cluster, report).await,
        };
        self.fleet.insert(fleet)
    }

    /// The shared operator with N services at rest.
    pub async fn filled(&mut self, report: &mut Report) -> &mut Fleet {
        let fleet = self.warm(report).await;
        if !fleet.full {
            fleet.fill().await;
        }
        fleet
    }
}

impl Fleet {
    /// A namespace and an operator that has seen a few services, so that it is warm.
    pub async fn start(settings: Settings, cluster: &'static Cluster, report: &mut Report) -> Self {
        let audit = cluster.audit().await;
        let mark = audit.mark().await;
        let namespace = policed(cluster, "bench").await;
        let operator = Operator::start(cluster, shipped(&namespace)).await;
        let mut fleet = Self {
            settings,
            cluster,
            audit,
            namespace,
            operator,
            objects: 0,
            full: false,
            next: settings.objects,
            calls: 0,
            empty: 0.0,
            listed: BTreeSet::new(),
        };
        fleet.quiet().await;
        let pid = fleet.operator.pid();
        fleet.empty = process::resident(pid);
        report.measure("M9", "RSS, empty [MiB]", Some(25.0), fleet.empty);
        report.measure("M9", "  of that its own memory [MiB]", None, process::anonymous(pid));
        let lists = fleet.sent(mark).await.only(|request| request.verb == "list" && request.code == 200);
        fleet.listed = lists.0.into_iter().map(|request| request.resource).collect();
        let warm = fleet.fresh(WARM);
        fleet.add(warm).await;
        fleet
    }

    /// Numbers that no service has had; the services are not there yet.
    pub fn fresh(&mut self, count: usize) -> Range<usize> {
        self.next += count;
        self.next - count..self.next
    }

    /// Creates services and waits until all is applied and at rest. Returns how long until the last was applied.
    pub async fn add(&mut self, numbers: Range<usize>) -> Duration {
        self.objects += numbers.len();
        let start = Instant::now();
        tokio::join!(self.create(numbers), self.applied());
        let applied = start.elapsed();
        self.quiet().await;
        applied
    }

    /// Creates the N services as [`Self::add`] does.
    pub async fn fill(&mut self) -> Duration {
        self.full = true;
        self.add(0..self.settings.objects).await
    }

    async fn create(&self, numbers: Range<usize>) {
        stream::iter(numbers).for_each_concurrent(CREATORS, |number| self.create_one(number)).await;
    }

    /// One service, which is not counted yet.
    pub async fn create_one(&self, number: usize) {
        let among = self.settings.objects;
        let callees = (1..=self.calls).filter(|_| number < among).map(|step| (number + step) % among);
        let object = calling(self.namespace.name(), number, callees);
        let created = self.namespace.api::<Microservice>().create(&PostParams::default(), &object).await;
        created.unwrap_or_else(|error| panic!("creating {}: {error}", name(number)));
    }

    /// Resolves when all services have Applied=True in their generation, as another client sees it.
    pub async fn applied(&self) {
        let api: Api<Microservice> = self.namespace.api();
        let mut applied = BTreeSet::new();
        let all = async {
            let mut events =
                pin!(watcher(api, watcher::Config::default()).default_backoff().applied_objects());
            while applied.len() < self.objects {
                // After an error the watch goes on by itself.
                let Some(object) = events.try_next().await.ok().flatten() else { continue };
                let name = object.metadata.name.clone().unwrap_or_default();
                if is_applied(&object) {
                    applied.insert(name);
                } else {
                    applied.remove(&name);
                }
            }
        };
        let ended = tokio::time::timeout(PATIENCE, all).await;
        assert!(
            ended.is_ok(),
            "not within {PATIENCE:?}: all {} Microservices of {} are Applied; {} are",
            self.objects,
            self.namespace.name(),
            applied.len()
        );
    }

    /// Waits until the operator has sent nothing for two seconds.
    pub async fn quiet(&self) {
        let start = Instant::now();
        loop {
            let mark = self.audit.mark().await;
            tokio::time::sleep(Duration::from_secs(2)).await;
            let sent = self.sent(mark).await;
            if sent.writes().count() + sent.reads().count() == 0 {
                return;
            }
            assert!(start.elapsed() < PATIENCE, "not within {PATIENCE:?}: the operator is at rest\n{sent}");
        }
    }

    /// What the operator has sent, but for its lease.
    pub async fn sent(&self, mark: Mark) -> Requests {
        self.audit.since(mark).await.of(&self.operator.user()).without("leases")
    }

    /// Changes the spec of a service, as a person with `kubectl patch --type=merge` does.
    pub async fn change(&self, service: &str, spec: Value) {
        self.namespace.patch::<Microservice>(service, json!({"spec": spec})).await;
    }

    /// Deletes one service, which is still counted, and leaves its children to [`Self::collect`].
    pub async fn delete_one(&self, name: &str) {
        let services = self.namespace.api::<Microservice>();
        let deleted = services.delete(name, &DeleteParams::default()).await;
        deleted.unwrap_or_else(|error| panic!("deleting {name}: {error}"));
    }

    /// Deletes the children of services that are gone, as the garbage collector does, which is stopped. The
    /// operator must know by then that they are gone, or it makes the children again.
    pub async fn collect(&self, services: &[String]) {
        for some in services.chunks(100) {
            collect(&self.namespace, &format!("{LABEL_NAME} in ({})", some.join(","))).await;
        }
    }

    /// Deletes all services with their children, and waits until the operator has forgotten them.
    pub async fn drain(&mut self) {
        let services = self.namespace.api::<Microservice>();
        let deleted = services.delete_collection(&DeleteParams::default(), &ListParams::default()).await;
        deleted.expect("the Microservices can be deleted");
        (self.objects, self.full) = (0, false);
        self.known(0).await;
        collect(&self.namespace, LABEL_NAME).await;
        self.quiet().await;
    }

    /// Waits until the operator counts so many services.
    pub async fn known(&self, objects: usize) {
        eventually(PATIENCE, &format!("the operator knows {objects} Microservices"), || async {
            let known = self.operator.metric("microservice_operator_objects").await;
            let known = known.map_err(|error| error.to_string())?;
            if known == objects { Ok(()) } else { Err(format!("it knows {known}")) }
        })
        .await;
    }

    /// How often it has looked at an object since its start.
    pub async fn looks(&self) -> usize {
        self.operator.metric("microservice_operator_reconciles_total").await.unwrap_or_default()
    }
}

/// As it is shipped, limited to one namespace.
pub fn shipped(namespace: &Namespace) -> OperatorOptions {
    OperatorOptions {
        leader_elect: true,
        log: "info".to_owned(),
        ..OperatorOptions::namespace(namespace.name())
    }
}

/// Deletes the children that a selector names.
async fn collect(namespace: &Namespace, selector: &str) {
    let kinds: Vec<_> = plan::kinds().into_iter().filter(|kind| !kind.optional).collect();
    let delete = |kind: &plan::Kind| {
        let api: Api<DynamicObject> =
            Api::namespaced_with(namespace.client(), namespace.name(), &api_resource(kind));
        let (kind, selected) = (kind.kind, ListParams::default().labels(selector));
        async move {
            let deleted = api.delete_collection(&DeleteParams::default(), &selected).await;
            deleted.unwrap_or_else(|error| panic!("deleting each {kind} with {selector}: {error}"));
        }
    };
    future::join_all(kinds.iter().map(delete)).await;
}

/// Waits until so many services of a namespace have their children stored.
pub async fn wait_applied(namespace: &Namespace, services: usize) {
    let api = namespace.api::<Microservice>();
    eventually(PATIENCE, "every service is applied", || async {
        let all = api.list(&Default::default()).await.map_err(|error| error.to_string())?.items;
        let applied = all.iter().filter(|object| is_applied(object)).count();
        if applied == services { Ok(()) } else { Err(format!("{applied} of {services}")) }
    })
    .await;
}

/// Whether the children of this generation are stored.
pub fn is_applied(object: &Microservice) -> bool {
    let status = object.status.as_ref();
    let current = status.and_then(|status| status.observed_generation) == object.metadata.generation;
    let conditions = status.map(|status| status.conditions.as_slice()).unwrap_or_default();
    current && conditions.iter().any(|c| c.type_ == "Applied" && c.status == "True")
}
