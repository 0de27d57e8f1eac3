//! The floor: what the same client needs for the same requests when nothing has to be decided.

use std::time::{Duration, Instant};

use futures::{StreamExt, future, stream};
use k8s_openapi::api::events::v1::Event;
use kube::api::{DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::config::KubeConfigOptions;
use kube::{Api, Client, Config};
use microservice_operator::api::{Microservice, STATUS_MANAGER};
use microservice_operator::engine::client::{Options, connect};
use microservice_operator::engine::watch::api_resource;
use serde_json::json;

use crate::report::Report;
use crate::support::{Cluster, Namespace};
use crate::times::Times;
use crate::workload::{Body, children as bodies, is_hand_over, microservice, name};

/// One run of a floor.
pub struct Floor {
    /// What was sent, and how many at a time.
    pub name: String,
    /// From the first request to the last answer.
    pub wall: Duration,
    /// Of each request.
    pub times: Times,
}

impl Floor {
    /// Requests per second.
    pub fn rate(&self) -> f64 {
        self.times.count() as f64 / self.wall.as_secs_f64()
    }

    /// Puts it into the report.
    pub fn tell(&self, report: &mut Report, id: &'static str) {
        let (p50, p99) = (self.times.percentile(50), self.times.percentile(99));
        let (name, seconds, rate) = (&self.name, self.wall.as_secs_f64(), self.rate());
        let note = format!("{seconds:.2} s, p50 {:.1} ms, p99 {:.1} ms", p50 * 1000.0, p99 * 1000.0);
        let details = json!({
            "name": name, "seconds": seconds, "requests_per_second": rate, "p50_seconds": p50, "p99_seconds": p99,
        });
        report.rate(id, &format!("floor, {name} [requests/s]"), rate, note, details);
    }
}

/// New objects of each kind of child, for each number of requests in flight.
pub async fn kinds(cluster: &'static Cluster, objects: usize, in_flight: &[usize]) -> Vec<Floor> {
    let mut floors = Vec::new();
    let client = client(cluster).await;
    for &in_flight in in_flight {
        let namespace = Namespace::new(cluster, "floor").await;
        let (client, space) = (&client, namespace.name());
        let all = (0..objects).flat_map(|number| bodies(space, number));
        let mut all: Vec<Body> = all.filter(|body| !is_hand_over(body)).collect();
        all.sort_by_key(|body| body.kind);
        for same in all.chunk_by(|a, b| a.kind == b.kind) {
            let kind = same.first().map(|body| body.kind.kind).unwrap_or_default();
            let send = |body| async move { vec![apply(client, space, body).await] };
            let sent = stream::iter(same).map(send).buffer_unordered(in_flight);
            floors.push(measure(format!("{kind}, {in_flight} in flight"), sent).await);
        }
    }
    floors
}

/// The children alone, once for each number of requests in flight: all that can be sent at once first,
/// the hand-overs of the replica counts after it.
pub async fn children(cluster: &'static Cluster, objects: usize, in_flight: &[usize]) -> Vec<Floor> {
    let mut floors = Vec::new();
    for &in_flight in in_flight {
        let namespace = Namespace::new(cluster, "floor").await;
        let client = client(cluster).await;
        let all = (0..objects).flat_map(|number| bodies(namespace.name(), number));
        let (last, first): (Vec<Body>, Vec<Body>) = all.partition(is_hand_over);
        let (client, space) = (&client, namespace.name());
        let send = |body| async move { vec![apply(client, space, body).await] };
        let first = stream::iter(&first).map(send).buffer_unordered(in_flight);
        let last = stream::iter(&last).map(send).buffer_unordered(in_flight);
        floors.push(measure(format!("children, {in_flight} in flight"), first.chain(last)).await);
    }
    floors
}

/// How the children of one object follow each other.
#[derive(Clone, Copy)]
pub enum Order {
    /// One after the other.
    Series,
    /// All at once, and the hand-over of the replica count after them.
    Together,
}

impl Order {
    fn text(self) -> &'static str {
        match self {
            Self::Series => "in series",
            Self::Together => "together",
        }
    }
}

/// The whole job: the objects themselves, their children, the status and the Events, as a finished
/// namespace shows them.
pub async fn whole(
    cluster: &'static Cluster,
    objects: usize,
    in_flight: usize,
    order: Order,
    done: &Namespace,
) -> Floor {
    let namespace = Namespace::new(cluster, "floor").await;
    let (client, space) = (client(cluster).await, namespace.name());
    let services = Api::<Microservice>::namespaced(client.clone(), space);
    let events = Api::<Event>::namespaced(client.clone(), space);
    let finished: Microservice = done.get(&name(0)).await;
    let status = serde_json::to_value(finished.status).expect("a status is JSON");
    let about = ListParams::default().fields(&format!("regarding.name={}", name(0)));
    let notes = done.api::<Event>().list(&about).await.expect("Events can be listed").items;

    let job = async |number: usize| {
        let mut times = Vec::new();
        let mut start = Instant::now();
        let mut lap = |times: &mut Vec<Duration>| {
            times.push(start.elapsed());
            start = Instant::now();
        };
        services.create(&PostParams::default(), &microservice(space, number)).await.expect("it is created");
        lap(&mut times);
        match order {
            Order::Series => {
                for body in bodies(space, number) {
                    times.push(apply(&client, space, &body).await);
                }
            }
            Order::Together => times.extend(children_of(&client, space, number).await),
        }
        lap(&mut Vec::new());
        write_status(&services, number, &status).await;
        lap(&mut times);
        for (place, note) in notes.iter().enumerate() {
            let mut event = note.clone();
            event.metadata = kube::api::ObjectMeta {
                name: Some(format!("{}-{place}", name(number))),
                namespace: Some(space.to_owned()),
                ..Default::default()
            };
            if let Some(regarding) = &mut event.regarding {
                regarding.namespace = Some(space.to_owned());
            }
            events.create(&PostParams::default(), &event).await.expect("an Event is created");
            lap(&mut times);
        }
        times
    };
    let sent = stream::iter(0..objects).map(job).buffer_unordered(in_flight);
    measure(format!("whole job, {in_flight} objects in flight, children {}", order.text()), sent).await
}

async fn measure(name: String, sent: impl stream::Stream<Item = Vec<Duration>>) -> Floor {
    let start = Instant::now();
    let times: Vec<Duration> = sent.concat().await;
    Floor { name, wall: start.elapsed(), times: times.into_iter().collect() }
}

/// All children of one object as soon as they can be sent: the hand-over after the others.
pub async fn children_of(client: &Client, namespace: &str, number: usize) -> Vec<Duration> {
    let mut times = Vec::new();
    let (last, first): (Vec<Body>, Vec<Body>) = bodies(namespace, number).into_iter().partition(is_hand_over);
    for together in [first, last] {
        times.extend(future::join_all(together.iter().map(|body| apply(client, namespace, body))).await);
    }
    times
}

/// As the operator applies a child.
pub async fn apply(client: &Client, namespace: &str, body: &Body) -> Duration {
    let start = Instant::now();
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &api_resource(&body.kind));
    let params = PatchParams::apply(body.manager).force().validation_strict();
    let sent = api.patch_metadata(&body.name, &params, &Patch::Apply(&body.body)).await;
    sent.unwrap_or_else(|error| panic!("{} {}: {error}", body.kind.kind, body.name));
    start.elapsed()
}

/// Stores a status as the operator would.
pub async fn write_status(services: &Api<Microservice>, number: usize, status: &serde_json::Value) {
    let body = json!({
        "apiVersion": "microservice.dev/v1alpha1",
        "kind": "Microservice",
        "metadata": {"name": name(number)},
        "status": status,
    });
    let params = PatchParams::apply(STATUS_MANAGER).force();
    let written = services.patch_status(&name(number), &params, &Patch::Apply(body)).await;
    written.unwrap_or_else(|error| panic!("status of {}: {error}", name(number)));
}

/// The operator's own client, with all rights and more patience: a slow floor is a result too.
pub async fn client(cluster: &Cluster) -> Client {
    let config = Config::from_custom_kubeconfig(cluster.kubeconfig(), &KubeConfigOptions::default())
        .await
        .expect("the kubeconfig is complete");
    let patient = Options { write_timeout: Duration::from_mins(1), ..Options::default() };
    connect(&config, patient).expect("the kubeconfig makes a client")
}
