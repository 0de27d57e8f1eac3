//! B12: N topics of N/10 objects on a real broker against a plain admin client that creates as
//! many in the same run; rest; and the broker out of reach for `OUTAGE` seconds while objects are created.
//!
//! Broker, API server and operator share the cores of one machine, and the children of N/10 objects are
//! work of their own. So the floor is measured twice: alone, and while as many objects without topics are
//! created. The second is what the operator is judged by.

use std::time::{Duration, Instant};

use k8s_openapi::api::apps::v1::Deployment;
use microservice_operator::api::Microservice;
use microservice_operator::engine::kafka::{Broker, BrokerError, Direct};
use microservice_operator::kafka::model::NewTopic;
use serde_json::{Value, json};

use crate::ground::Ground;
use crate::report::Report;
use crate::settings::Settings;
use crate::support::{
    ADMIN, Cluster, Kafka, Namespace, Operator, OperatorOptions, Proxy, Weather, api, apply_as_given,
    eventually,
};

/// Topics of one object.
const TOPICS: usize = 10;
/// Topics of one request of the floor: as many as the operator sends.
const BATCH: usize = 100;
/// Objects that are created while the broker is away.
const LATE: usize = 10;
/// Between two looks at the broker at rest; longer than the burst takes.
const SWEEP: Duration = Duration::from_secs(20);
/// Longest wait for anything.
const PATIENCE: Duration = Duration::from_mins(10);

struct Bench {
    settings: Settings,
    kafka: Kafka,
    proxy: Proxy,
    broker: Direct,
    cluster: &'static Cluster,
    namespace: Namespace,
    operator: Operator,
}

/// Without `OUTAGE`, in seconds.
const OUTAGE: u64 = 60;

/// B12.
pub async fn run(ground: &mut Ground, report: &mut Report) {
    let (cluster, settings) = (ground.cluster, ground.settings);
    let (kafka, proxy) = Kafka::proxied().await;
    let broker = Direct::new(kafka.settings());
    let alone = floor(&broker, settings.objects).await;
    report.measure("M16", "a plain admin client alone [s]", None, alone.as_secs_f64());

    let namespace = Namespace::new(cluster, "topics").await;
    let mut options = OperatorOptions::namespace(namespace.name());
    options.log = "info".to_owned();
    options.arguments = vec![format!("--kafka-sweep={}s", SWEEP.as_secs())];
    let operator = Operator::start(cluster, options).await;
    let bench = Bench { settings, kafka, proxy, broker, cluster, namespace, operator };
    bench.describe_cluster().await;
    let floor = bench.floor_under_load().await;
    report.measure("M16", "floor: the same while objects are created [s]", None, floor.as_secs_f64());
    bench.burst(report, floor).await;
    bench.rest(report).await;
    bench.outage(report).await;
}

/// Creates as many topics and takes them away again.
async fn floor(broker: &Direct, topics: usize) -> Duration {
    let new: Vec<NewTopic> = (0..topics)
        .map(|number| NewTopic {
            name: format!("floor-{number}"),
            partitions: Some(1),
            ..NewTopic::default()
        })
        .collect();
    let names: Vec<String> = new.iter().map(|topic| topic.name.clone()).collect();
    let start = Instant::now();
    for batch in new.chunks(BATCH) {
        for result in broker.create(batch, false).await.expect("the broker answers") {
            result.expect("it can be created");
        }
    }
    shows(broker, &names).await;
    let floor = start.elapsed();
    broker.delete(&names).await.expect("the broker answers");
    gone(broker, names).await;
    floor
}

/// Waits until the broker shows none of these topics.
async fn gone(broker: &Direct, names: Vec<String>) {
    eventually(PATIENCE, "the topics of the floor are gone", || async {
        let seen = broker.describe(&names).await.expect("the broker answers");
        let left = seen.iter().filter(|seen| !matches!(seen, Err(BrokerError::Missing))).count();
        if left == 0 { Ok(()) } else { Err(format!("{left} are left")) }
    })
    .await;
}

/// Waits until the broker shows every one of these topics.
async fn shows(broker: &Direct, names: &[String]) {
    let mut missing = names.to_vec();
    let start = Instant::now();
    while !missing.is_empty() {
        assert!(start.elapsed() < PATIENCE, "{} topics do not show", missing.len());
        // A part is enough to see that it is not over.
        let part = missing.split_off(missing.len().saturating_sub(BATCH));
        for (name, seen) in part.iter().zip(broker.describe(&part).await.expect("the broker answers")) {
            match seen {
                Ok(_) => {}
                Err(BrokerError::Missing) => missing.push(name.clone()),
                Err(error) => panic!("{name}: {error}"),
            }
        }
        if missing.len() >= part.len() && !missing.is_empty() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

impl Bench {
    async fn describe_cluster(&self) {
        let client = self.namespace.client();
        let login = self.kafka.settings().login.expect("it logs in");
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret",
            "metadata": {"name": "kafka-admin", "namespace": self.operator.installation().namespace()},
            "stringData": {"username": ADMIN, "password": login.password},
        });
        apply_as_given(&client, &secret).await;
        let class = json!({
            "apiVersion": "microservice.dev/v1alpha1", "kind": "MicroserviceClass",
            "metadata": {"name": self.namespace.name()},
            "spec": {"kafka": {
                "topicNameTemplate": "{namespace}.{name}",
                "clusters": [{
                    "name": "main", "bootstrapServers": self.kafka.sasl(),
                    "sasl": {"mechanism": "SCRAM-SHA-512", "secretName": "kafka-admin"},
                    "users": {"mode": "None"},
                }],
            }},
        });
        apply_as_given(&client, &class).await;
    }

    fn object(&self, name: &str, topics: usize) -> Value {
        let topics: Vec<Value> =
            (0..topics).map(|number| json!({"name": format!("{name}-{number}"), "partitions": 1})).collect();
        let mut spec = json!({"image": "order:v1", "className": self.namespace.name()});
        if !topics.is_empty() {
            spec["kafka"] = json!({"topics": topics});
        }
        json!({
            "apiVersion": "microservice.dev/v1alpha1", "kind": "Microservice",
            "metadata": {"name": name}, "spec": spec,
        })
    }

    /// The plain client again, while as many objects are created as own the topics later.
    async fn floor_under_load(&self) -> Duration {
        let objects = self.create("plain", self.settings.objects / TOPICS, 0);
        let (floor, _) = tokio::join!(floor(&self.broker, self.settings.objects), objects);
        let deployments = self.namespace.api::<Deployment>();
        eventually(PATIENCE, "the objects without topics are done", || async {
            let made = deployments.list(&Default::default()).await.map_err(|error| error.to_string())?;
            let left = self.settings.objects / TOPICS - made.items.len();
            if left == 0 { Ok(()) } else { Err(format!("{left} are not")) }
        })
        .await;
        floor
    }

    /// Creates objects and returns the names of their topics on the broker.
    async fn create(&self, prefix: &str, objects: usize, topics: usize) -> Vec<String> {
        let names: Vec<String> = (0..objects).map(|number| format!("{prefix}{number}")).collect();
        futures::future::join_all(names.iter().map(|name| self.namespace.apply(self.object(name, topics))))
            .await;
        let of = |name: &String| {
            let name = name.clone();
            (0..topics).map(move |number| format!("{name}-{number}"))
        };
        names.iter().flat_map(of).map(|topic| format!("{}.{topic}", self.namespace.name())).collect()
    }

    /// Until every object says that its topics are there.
    async fn told(&self) {
        let api = self.namespace.api::<Microservice>();
        eventually(PATIENCE, "all topics are told as ready", || async {
            let all = api.list(&Default::default()).await.map_err(|error| error.to_string())?;
            let owners = all.items.iter().filter(|object| object.spec.kafka.is_some());
            let open = owners.filter(|object| !is_ready(object)).count();
            if open == 0 { Ok(()) } else { Err(format!("{open} objects are not")) }
        })
        .await;
    }

    async fn burst(&self, report: &mut Report, floor: Duration) {
        let start = Instant::now();
        let names = self.create("shop", self.settings.objects / TOPICS, TOPICS).await;
        shows(&self.broker, &names).await;
        let wall = start.elapsed();
        self.told().await;
        let told = start.elapsed();
        let ratio = wall.as_secs_f64() / floor.as_secs_f64();
        report.measure("M16", "objects created until all topics exist [s]", None, wall.as_secs_f64());
        report.measure("M16", "until all are told as ready [s]", None, told.as_secs_f64());
        report.measure("M16", "topics exist / floor", Some(1.3), ratio);
        let requests = self.proxy.requests();
        let of = |api: i16| requests.get(&api).copied().unwrap_or_default() as f64;
        let hundreds = self.settings.objects as f64 / BATCH as f64;
        // Objects come one by one, so that batches are not full.
        report.count("M16", "CreateTopics requests per 100 topics", 5.0, of(api::CREATE_TOPICS) / hundreds);
        let all: usize = requests.values().sum();
        report.measure("M16", "requests of all kinds per 100 topics", None, all as f64 / hundreds);
        report.count("M16", "other admin writes", 0.0, self.proxy.writes() as f64 - of(api::CREATE_TOPICS));
    }

    async fn rest(&self, report: &mut Report) {
        let audit = self.cluster.audit().await;
        // What was told last is looked at once more by the next sweep.
        tokio::time::sleep(2 * SWEEP).await;
        let (mark, writes, all) = (audit.mark().await, self.proxy.writes(), self.requests());
        tokio::time::sleep(self.settings.rest).await;
        let sent = audit.since(mark).await.of(&self.operator.user()).writes();
        report.count("M16", "admin writes at rest", 0.0, (self.proxy.writes() - writes) as f64);
        report.count("M16", "writes to the API server at rest", 0.0, sent.count() as f64);
        let sweeps = self.settings.rest.as_secs_f64() / SWEEP.as_secs_f64();
        let per_sweep = (self.requests() - all) as f64 / sweeps;
        report.measure("M16", "requests per sweep", None, per_sweep);
    }

    fn requests(&self) -> usize {
        self.proxy.requests().values().sum()
    }

    async fn outage(&self, report: &mut Report) {
        let audit = self.cluster.audit().await;
        let mark = audit.mark().await;
        self.proxy.set(Weather::BlackHole);
        let names = self.create("late", LATE, 2).await;
        tokio::time::sleep(self.settings.outage_or(OUTAGE)).await;
        self.proxy.set(Weather::Fair);
        let start = Instant::now();
        shows(&self.broker, &names).await;
        self.told().await;
        let caught_up = start.elapsed().as_secs_f64();
        report.measure("M16", "out of reach, then all is done after [s]", Some(10.0), caught_up);
        let sent = audit.since(mark).await.of(&self.operator.user()).writes();
        let old = sent.only(|request| request.name.starts_with("shop")).without("microservices/status");
        report.count("M16", "writes to the workload of the others", 0.0, old.count() as f64);
        report.count(
            "M16",
            "operators that do not answer afterwards",
            0.0,
            f64::from(u8::from(!self.is_alive().await)),
        );
    }

    async fn is_alive(&self) -> bool {
        self.operator.http("/livez").await.is_ok_and(|(code, _)| code == 200)
    }
}

fn is_ready(object: &Microservice) -> bool {
    let conditions = object.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    conditions.iter().any(|condition| condition.type_ == "TopicsReady" && condition.status == "True")
}
