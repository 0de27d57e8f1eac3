//! The floor: what the same client needs for the same requests when nothing has to be decided.

use std::time::{Duration, Instant};

use futures::{StreamExt, stream};
use k8s_openapi::api::events::v1::Event;
use kube::api::{DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::config::KubeConfigOptions;
use kube::{Api, Client, Config};
use microservice_operator::api::{Microservice, STATUS_MANAGER};
use microservice_operator::engine::client::{Options, connect};
use microservice_operator::engine::watch::api_resource;
use serde_json::json;

use crate::support::{Cluster, Namespace};
use crate::workload::{Body, children as bodies, is_hand_over, microservice, name};

/// One run of a floor.
pub struct Floor {
    /// What was sent, and how many at a time.
    pub name: String,
    /// From the first request to the last answer.
    pub wall: Duration,
    /// Time of each request, sorted.
    times: Vec<Duration>,
}

impl Floor {
    /// Requests per second.
    pub fn rate(&self) -> f64 {
        self.times.len() as f64 / self.wall.as_secs_f64()
    }

    /// A percentile of the time of one request.
    pub fn percentile(&self, percent: usize) -> Duration {
        self.times.get(self.times.len().saturating_sub(1) * percent / 100).copied().unwrap_or_default()
    }
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

/// The whole job: the objects themselves, their children, the status and the Events, as a finished
/// namespace shows them. The requests for one object follow each other.
pub async fn whole(cluster: &'static Cluster, objects: usize, in_flight: usize, done: &Namespace) -> Floor {
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
        for body in bodies(space, number) {
            times.push(apply(&client, space, &body).await);
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
    measure(format!("whole job, {in_flight} objects in flight"), sent).await
}

async fn measure(name: String, sent: impl stream::Stream<Item = Vec<Duration>>) -> Floor {
    let start = Instant::now();
    let mut times: Vec<Duration> = sent.concat().await;
    let wall = start.elapsed();
    times.sort();
    Floor { name, wall, times }
}

/// As the operator applies a child.
async fn apply(client: &Client, namespace: &str, body: &Body) -> Duration {
    let start = Instant::now();
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &api_resource(&body.kind));
    let params = PatchParams::apply(body.manager).force().validation_strict();
    let sent = api.patch_metadata(&body.name, &params, &Patch::Apply(&body.body)).await;
    sent.unwrap_or_else(|error| panic!("{} {}: {error}", body.kind.kind, body.name));
    start.elapsed()
}

async fn write_status(services: &Api<Microservice>, number: usize, status: &serde_json::Value) {
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
async fn client(cluster: &Cluster) -> Client {
    let config = Config::from_custom_kubeconfig(cluster.kubeconfig(), &KubeConfigOptions::default())
        .await
        .expect("the kubeconfig is complete");
    let patient = Options { write_timeout: Duration::from_mins(1), ..Options::default() };
    connect(&config, patient).expect("the kubeconfig makes a client")
}
