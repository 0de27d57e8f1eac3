//! B3 and B4: changes that come at a rate, whatever became of those before. Latencies are those that
//! another client sees, from the moment at which a change was due.

use std::time::{Duration, Instant};

use futures::future;
use kube::Client;
use kube::api::PostParams;
use microservice_operator::api::Microservice;
use serde_json::json;

use crate::floor;
use crate::ground::{Fleet, Ground};
use crate::observer::{Aspect, Change, Observer};
use crate::report::Report;
use crate::support::Requests;
use crate::times::{Rounds, Times};
use crate::workload::{Body, CHILDREN, children, is_hand_over, microservice, name, policed};

/// New services a second of B3; the bar is for the second.
const RATES: [u32; 3] = [1, 5, 10];
/// The rate with a bar.
const JUDGED: u32 = 5;
/// Changes a second of B4.
const MIXED: u32 = 10;
/// Changes between two of the same service, at least.
const APART: usize = 20;
/// What a service may ask for.
const MOST_REPLICAS: usize = 1000;
/// Without `SECONDS`.
const LENGTH: u64 = 30;
/// Deployments that the floor of B4 goes round.
const DEPLOYMENTS: usize = 50;

/// Ours against the floor, of several rounds.
#[derive(Default)]
pub struct Latencies {
    floor: [Rounds; 2],
    ours: [Rounds; 2],
    ratio: [Rounds; 2],
}

/// The percentiles that are told.
const PERCENTILES: [usize; 2] = [50, 99];

impl Latencies {
    pub fn add(&mut self, floor: &Times, ours: &Times) {
        for (place, percent) in PERCENTILES.into_iter().enumerate() {
            let (floor, ours) = (floor.percentile(percent), ours.percentile(percent));
            self.floor[place].push(floor * 1000.0);
            self.ours[place].push(ours * 1000.0);
            self.ratio[place].push(ours / floor);
        }
    }

    /// `bars` are those of the ratios.
    pub fn tell(&self, report: &mut Report, id: &'static str, what: &str, bars: [Option<f64>; 2]) {
        for (place, percent) in PERCENTILES.into_iter().enumerate() {
            report.rounds(id, &format!("{what}, p{percent} [ms]"), None, &self.ours[place]);
            report.rounds(id, &format!("  floor, p{percent} [ms]"), None, &self.floor[place]);
            report.rounds(id, &format!("  {what}, p{percent} / floor"), bars[place], &self.ratio[place]);
        }
    }
}

/// Begins a job at each tick, whether or not those before have ended. Each is told its number and when it was
/// due.
pub async fn open_loop<T>(rate: u32, length: Duration, job: impl AsyncFn(usize, Instant) -> T) -> Vec<T> {
    let (start, period, job) = (Instant::now(), Duration::from_secs(1) / rate, &job);
    let one = |number: usize| async move {
        let due = start + period * u32::try_from(number).expect("a small number");
        tokio::time::sleep_until(due.into()).await;
        job(number, due).await
    };
    future::join_all((0..ticks(rate, length)).map(one)).await
}

/// How often something happens at a rate, at least once.
fn ticks(rate: u32, length: Duration) -> usize {
    let ticks = length.as_millis() * u128::from(rate) / 1000;
    usize::try_from(ticks).expect("a small number").max(1)
}

/// B3: floor, ours, floor at each rate.
pub async fn open(ground: &mut Ground, report: &mut Report) {
    let (cluster, settings) = (ground.cluster, ground.settings);
    let length = settings.seconds_or(LENGTH);
    let client = floor::client(cluster).await;
    let fleet = ground.filled(report).await;
    let observer = Observer::of(cluster, fleet.namespace.name()).await;
    for rate in RATES {
        let mut latencies = Latencies::default();
        for _ in 0..settings.rounds {
            let before = plain(fleet, &client, rate, length).await;
            let ours = arrivals(fleet, &observer, rate, length).await;
            let after = plain(fleet, &client, rate, length).await;
            latencies.add(&before.and(after), &ours);
        }
        let bars = if rate == JUDGED { [Some(2.0), Some(3.0)] } else { [None, None] };
        latencies.tell(report, "M6", &format!("{rate}/s: created to last child"), bars);
    }
}

/// New services at a rate, until the last child of each is there.
pub async fn arrivals(fleet: &mut Fleet, observer: &Observer, rate: u32, length: Duration) -> Times {
    let numbers = fleet.fresh(ticks(rate, length));
    let (first, fleet_now) = (numbers.start, &*fleet);
    let sent = open_loop(rate, length, async |place, due| {
        fleet_now.create_one(first + place).await;
        (name(first + place), due)
    })
    .await;
    let times = observer.complete(&sent).await;
    fleet.objects += sent.len();
    fleet.quiet().await;
    times
}

/// The same by a plain client, in a namespace without an operator.
async fn plain(fleet: &Fleet, client: &Client, rate: u32, length: Duration) -> Times {
    let namespace = policed(fleet.cluster, "floor").await;
    let observer = Observer::of(fleet.cluster, namespace.name()).await;
    let services = namespace.api::<Microservice>();
    let sent = open_loop(rate, length, async |number, due| {
        let object = microservice(namespace.name(), number);
        services.create(&PostParams::default(), &object).await.expect("the object is created");
        floor::children_of(client, namespace.name(), number).await;
        (name(number), due)
    })
    .await;
    observer.complete(&sent).await
}

/// What B4 has done: changes and new services by name, and the numbers of those that are gone.
#[derive(Default)]
struct Done {
    changes: Vec<(String, Change)>,
    created: Vec<(String, Instant)>,
    deleted: Vec<usize>,
}

/// One step of B4.
enum Step {
    Change(String, Change),
    Create(String, Instant),
    Delete(usize),
}

impl FromIterator<Step> for Done {
    fn from_iter<I: IntoIterator<Item = Step>>(steps: I) -> Self {
        let mut done = Self::default();
        for step in steps {
            match step {
                Step::Change(service, change) => done.changes.push((service, change)),
                Step::Create(service, due) => done.created.push((service, due)),
                Step::Delete(number) => done.deleted.push(number),
            }
        }
        done
    }
}

impl Done {
    fn of(&self, aspect: Aspect) -> usize {
        self.changes.iter().filter(|(_, change)| change.aspect == aspect).count()
    }
}

/// B4: the changes of a working day, against as many plain writes of a Deployment.
pub async fn mixed(ground: &mut Ground, report: &mut Report) {
    let (cluster, settings) = (ground.cluster, ground.settings);
    let length = settings.seconds_or(LENGTH);
    assert!(
        settings.objects >= APART,
        "B4 needs N={APART} at least: changes of one service would overtake each other"
    );
    let client = floor::client(cluster).await;
    let fleet = ground.filled(report).await;
    let observer = Observer::of(cluster, fleet.namespace.name()).await;
    let mut latencies = ASPECTS.map(|(aspect, what)| (aspect, what, Latencies::default()));
    let mut created = Rounds::default();
    for round in 0..settings.rounds {
        let before = one_write(fleet, &client, length).await;
        let (mut done, sent) = changes(fleet, length, round).await;
        let floor = before.and(one_write(fleet, &client, length).await);
        created.push(observer.complete(&done.created).await.percentile(99) * 1000.0);
        if round == 0 {
            count(report, &sent, &done);
        }
        for (aspect, _, latencies) in &mut latencies {
            let these: Vec<_> = done.changes.extract_if(.., |(_, change)| change.aspect == *aspect).collect();
            latencies.add(&floor, &observer.changed(&these).await);
        }
    }
    for (_, what, latencies) in &latencies {
        latencies.tell(report, "M7", what, [None, Some(3.0)]);
    }
    report.rounds("M6", "created to last child, p99 [ms]", None, &created);
}

/// What is changed, in the words of the report.
const ASPECTS: [(Aspect, &str); 3] = [
    (Aspect::Image, "image changed to Deployment changed"),
    (Aspect::Region, "environment changed to Deployment changed"),
    (Aspect::Bounds, "bounds changed to autoscaler changed"),
];

/// The changes at their rate: of ten, seven of an image, one of the environment, one of the bounds, and one
/// service that is created or one that is deleted. Returns what the operator has sent for them.
async fn changes(fleet: &mut Fleet, length: Duration, round: usize) -> (Done, Requests) {
    let ticks = ticks(MIXED, length);
    let (fresh, doomed) = (fleet.fresh(ticks).start, fleet.fresh(ticks.div_ceil(20)));
    fleet.add(doomed.clone()).await;
    let mark = fleet.audit.mark().await;
    let now = &*fleet;
    let steps = open_loop(MIXED, length, async |tick, due| {
        let target = name(tick % now.settings.objects);
        let (aspect, value, spec) = match tick % 20 {
            9 => {
                now.create_one(fresh + tick).await;
                return Step::Create(name(fresh + tick), due);
            }
            19 => {
                let number = doomed.start + tick / 20;
                now.delete_one(&name(number)).await;
                return Step::Delete(number);
            }
            7 | 17 => {
                let region = format!("region-{round:02}-{tick:05}");
                let env =
                    json!([{"name": "LOG_LEVEL", "value": "info"}, {"name": "REGION", "value": region}]);
                (Aspect::Region, region, json!({"env": env}))
            }
            8 | 18 => {
                let most = 10 + (ticks * round + tick) / 10;
                assert!(
                    most <= MOST_REPLICAS,
                    "SECONDS={} is too long for {} rounds",
                    length.as_secs(),
                    round + 1
                );
                (Aspect::Bounds, format!("{most:06}"), json!({"autoscaling": {"maxReplicas": most}}))
            }
            _ => {
                let image = format!("registry.example.com/shop/{target}:v2.{round:02}.{tick:05}");
                (Aspect::Image, image.clone(), json!({"image": image}))
            }
        };
        now.change(&target, spec).await;
        Step::Change(target, Change { aspect, value, due })
    })
    .await;
    let done: Done = steps.into_iter().collect();
    fleet.objects = fleet.objects + done.created.len() - done.deleted.len();
    fleet.known(fleet.objects).await;
    fleet.applied().await;
    fleet.collect(&done.deleted.iter().map(|&number| name(number)).collect::<Vec<_>>()).await;
    fleet.quiet().await;
    let sent = fleet.sent(mark).await;
    (done, sent)
}

fn count(report: &mut Report, sent: &Requests, done: &Done) {
    let writes = sent.writes();
    let children = writes.without("events").without("microservices/status").count();
    let needed = done.of(Aspect::Image)
        + done.of(Aspect::Region)
        + done.of(Aspect::Bounds)
        + done.created.len() * (CHILDREN + 1);
    report.count("M1", "child writes / those that the changes need", 1.0, children as f64 / needed as f64);
    let changes = done.changes.len() + done.created.len();
    let status = writes.resource("microservices/status").count();
    report.count("M1", "status writes per change", 2.0, status as f64 / changes as f64);
    let refused = writes.only(|request| request.code >= 300).count();
    report.count("M1", "refused writes", 0.0, refused as f64);
    report.count("M3", "GET and LIST", 0.0, sent.reads().count() as f64);
}

/// The floor of a change: a plain client that writes a Deployment at the same rate, and when it is seen.
async fn one_write(fleet: &Fleet, client: &Client, length: Duration) -> Times {
    let namespace = policed(fleet.cluster, "floor").await;
    let space = namespace.name();
    let deployments: Vec<Body> = (0..fleet.settings.objects.min(DEPLOYMENTS))
        .flat_map(|number| children(space, number))
        .filter(|body| body.kind.kind == "Deployment" && !is_hand_over(body))
        .collect();
    future::join_all(deployments.iter().map(|body| floor::apply(client, space, body))).await;
    let observer = Observer::of(fleet.cluster, space).await;
    let sent = open_loop(MIXED, length, async |tick, due| {
        let body = &deployments[tick % deployments.len()];
        let image = format!("registry.example.com/shop/{}:v1.{tick:05}", body.name);
        let mut changed = body.clone();
        changed.body["spec"]["template"]["spec"]["containers"][0]["image"] = json!(image);
        floor::apply(client, space, &changed).await;
        (body.name.clone(), Change { aspect: Aspect::Image, value: image, due })
    })
    .await;
    observer.changed(&sent).await
}
