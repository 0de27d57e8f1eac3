//! The shop of `examples/shop` on the real node, with an operator for the whole cluster and three brokers.
//! The first test that asks for it opens it; it stays for the others.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Pod, Service};
use kube::ResourceExt;
use kube::api::ListParams;
use microservice_operator::api::microservice::Microservice;
use serde_json::{Value, json};
use tokio::sync::{Mutex, MutexGuard, OnceCell};

use crate::support::{
    Cluster, Kafka, Kubectl, Namespace, Operator, OperatorOptions, apply_as_given, documents, eventually,
};

/// Long enough for a rollout of several pods on a machine that does other things too.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// Tags that a service is updated to. They are loaded for each of them.
pub const NEXT: &str = "v99.0.0";
/// The other one.
pub const LAST: &str = "v98.0.0";

static OPERATOR: OnceCell<Mutex<Operator>> = OnceCell::const_new();
static KAFKA: OnceCell<Kafka> = OnceCell::const_new();
/// The namespace of the shop.
static SHOP: OnceCell<String> = OnceCell::const_new();

/// Three brokers that pods reach: the example wants as many copies of each topic.
pub async fn kafka() -> &'static Kafka {
    let start = || async { Kafka::reachable(&Cluster::real().host_address(), 3).await };
    KAFKA.get_or_init(start).await
}

/// The operator of the whole cluster; who has it may kill it, and has to start it again.
pub async fn operator() -> MutexGuard<'static, Operator> {
    let start = || async {
        // An old login ends soon after it is no longer used.
        let arguments = ["--kafka-sweep=5s", "--kafka-grace=5s"].map(str::to_owned).to_vec();
        let options = OperatorOptions { namespaces: Vec::new(), arguments, ..OperatorOptions::namespace("") };
        Mutex::new(Operator::start(Cluster::real(), options).await)
    };
    OPERATOR.get_or_init(start).await.lock().await
}

/// A namespace with the operator at work, for a test of its own.
pub async fn namespace(name: &str) -> (Namespace, Kubectl) {
    drop(operator().await);
    let namespace = Namespace::new(Cluster::real(), name).await;
    let kubectl = Kubectl::new(Cluster::real(), namespace.name());
    (namespace, kubectl)
}

/// The shop, as one test reaches it.
pub struct Shop {
    pub namespace: Namespace,
    pub kubectl: Kubectl,
}

impl Shop {
    /// Opens it, or comes in when it is open; all services are ready then.
    pub async fn open() -> Self {
        let name = SHOP.get_or_init(start).await;
        let cluster = Cluster::real();
        let namespace = Namespace::existing(cluster, name).await;
        let kubectl = Kubectl::new(cluster, name);
        let shop = Self { namespace, kubectl };
        shop.wait_ready().await;
        shop
    }

    /// Waits until every service is ready in its present generation.
    pub async fn wait_ready(&self) {
        for name in services() {
            wait_ready(&self.namespace, &name).await;
        }
    }

    /// Address and port of a service.
    pub async fn address(&self, service: &str) -> String {
        address(&self.namespace, service).await
    }

    /// The pods of each service that are not about to go: name of the pod, and how often and since when its
    /// container runs.
    pub async fn pods(&self) -> BTreeMap<String, BTreeMap<String, String>> {
        let mut all = BTreeMap::new();
        for service in services() {
            all.insert(service.clone(), pods(&self.namespace, &service).await);
        }
        all
    }
}

/// Address and port of a service.
pub async fn address(namespace: &Namespace, service: &str) -> String {
    let service = namespace.get::<Service>(service).await.spec.unwrap();
    let port = service.ports.unwrap().first().unwrap().port;
    format!("{}:{port}", service.cluster_ip.unwrap())
}

/// The names of all services.
pub fn services() -> Vec<String> {
    let is_service = |object: &&Value| object["kind"] == "Microservice";
    let name = |object: &Value| object["metadata"]["name"].as_str().unwrap().to_owned();
    manifests().iter().filter(is_service).map(name).collect()
}

/// Those that answer requests.
pub fn serving() -> Vec<String> {
    services().into_iter().filter(|name| name != "notification-service").collect()
}

/// Pods of a service that are not about to go: identity, restarts and start of the container.
pub async fn pods(namespace: &Namespace, service: &str) -> BTreeMap<String, String> {
    let mine = ListParams::default().labels(&format!("microservice.dev/name={service}"));
    let pods = namespace.api::<Pod>().list(&mine).await.unwrap();
    let stays = |pod: &Pod| pod.metadata.deletion_timestamp.is_none();
    let state = |pod: Pod| {
        let containers = pod.status.clone().and_then(|status| status.container_statuses).unwrap_or_default();
        let started = containers.iter().map(|container| {
            let running = container.state.as_ref().and_then(|state| state.running.as_ref());
            format!("{}: {} {running:?}", container.name, container.restart_count)
        });
        (format!("{} {}", pod.name_any(), pod.uid().unwrap_or_default()), started.collect())
    };
    pods.into_iter().filter(stays).map(state).collect()
}

/// Waits until a service is ready in its present generation, with all its pods.
pub async fn wait_ready(namespace: &Namespace, name: &str) -> Microservice {
    eventually(PATIENCE, &format!("{name} is ready"), || async {
        let object = namespace.api::<Microservice>().get(name).await.map_err(|error| error.to_string())?;
        let status = object.status.clone().unwrap_or_default();
        let ready = status.conditions.iter().find(|condition| condition.type_ == "Ready");
        let current = status.observed_generation == object.metadata.generation;
        match ready {
            Some(ready) if current && ready.status == "True" && is_full(status.ready.as_deref()) => {
                Ok(object)
            }
            Some(ready) => Err(format!("{:?} {}: {}", status.ready, ready.reason, ready.message)),
            None => Err("no condition yet".to_owned()),
        }
    })
    .await
}

/// Waits until no pod is on its way out. A service is ready before: the last pods of the old version drain,
/// and answer who has not heard of it.
pub async fn nobody_is_leaving(namespace: &Namespace) {
    eventually(PATIENCE, "the old pods are gone", || async {
        let pods =
            namespace.api::<Pod>().list(&Default::default()).await.map_err(|error| error.to_string())?;
        let leaving = pods.iter().filter(|pod| pod.metadata.deletion_timestamp.is_some());
        let leaving: Vec<String> = leaving.map(ResourceExt::name_any).collect();
        if leaving.is_empty() { Ok(()) } else { Err(format!("{leaving:?} are leaving")) }
    })
    .await;
}

/// Whether "3/3" has as many as are wanted.
fn is_full(ready: Option<&str>) -> bool {
    ready.and_then(|ready| ready.split_once('/')).is_some_and(|(ready, wanted)| ready == wanted)
}

/// Everything in `examples/shop`.
fn manifests() -> Vec<Value> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/shop");
    let mut files: Vec<_> = std::fs::read_dir(dir).unwrap().flatten().map(|entry| entry.path()).collect();
    files.sort();
    files.iter().flat_map(|file| documents(&std::fs::read_to_string(file).unwrap())).collect()
}

/// Every image that a manifest names, and the further versions of each service's own.
fn images(manifests: &[Value]) -> Vec<String> {
    let mut images = Vec::new();
    for spec in manifests.iter().map(|object| &object["spec"]) {
        let Some(image) = spec["image"].as_str() else { continue };
        images.push(image.to_owned());
        let name = image.split(':').next().unwrap();
        images.extend([NEXT, LAST].map(|tag| format!("{name}:{tag}")));
        let others = [&spec["sidecars"], &spec["initContainers"]];
        let others = others.iter().filter_map(|list| list.as_array()).flatten();
        images.extend(others.filter_map(|container| container["image"].as_str()).map(str::to_owned));
    }
    images.sort();
    images.dedup();
    images.iter().map(|image| format!("docker.io/library/{image}")).collect()
}

async fn start() -> String {
    let cluster = Cluster::real();
    let manifests = manifests();
    let images = images(&manifests);
    cluster.load("shop", "/app/migrate", &images.iter().map(String::as_str).collect::<Vec<_>>());
    let kafka = kafka().await;
    drop(operator().await);
    let namespace = Namespace::new(cluster, "shop").await;
    for mut object in manifests {
        if object["kind"] == "MicroserviceClass" {
            let cluster = &mut object["spec"]["kafka"]["clusters"][0];
            assert_eq!(cluster["bootstrapServers"], json!(["kafka.kafka.svc:9092"]), "as the example has it");
            cluster["bootstrapServers"] = json!(kafka.plaintext());
            apply_as_given(&namespace.client(), &object).await;
        } else {
            namespace.apply(object).await;
        }
    }
    namespace.name().to_owned()
}
