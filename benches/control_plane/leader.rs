//! B10: two replicas of one installation under load; the leader ends, and the other takes over. The audit log
//! tells the two apart by their tokens.

use std::time::Duration;

use futures::future;
use jiff::Timestamp;
use kube::api::PostParams;
use microservice_operator::api::Microservice;

use crate::ground::{Ground, shipped, wait_applied};
use crate::load::open_loop;
use crate::report::Report;
use crate::support::{Audit, Cluster, Mark, Namespace, Operator, Requests};
use crate::workload::{microservice, policed};

/// New services a second.
const RATE: u32 = 5;
/// How long there is load before the leader ends, and after.
const BEFORE: Duration = Duration::from_secs(5);
const AFTER: Duration = Duration::from_secs(25);
/// A lease of 15 s as it is shipped, the retry period of 2 s, and 1 s.
const KILLED: f64 = 18.0;
/// A lease that is given back.
const STOPPED: f64 = 3.0;

/// Both replicas, of which the first leads.
struct Pair {
    namespace: Namespace,
    leader: Operator,
    other: Operator,
    /// What the audit log calls them.
    credentials: [String; 2],
    audit: Audit,
    start: Mark,
}

/// B10.
pub async fn run(ground: &mut Ground, report: &mut Report) {
    for (signal, bar) in [("TERM", STOPPED), ("KILL", KILLED)] {
        let pair = Pair::start(ground.cluster).await;
        let ended = pair.change_hands(signal).await;
        pair.tell(report, signal, bar, ended).await;
    }
}

impl Pair {
    async fn start(cluster: &'static Cluster) -> Self {
        let namespace = policed(cluster, "leader").await;
        let audit = cluster.audit().await;
        let start = audit.mark().await;
        let options = |identity: &str| {
            let mut options = shipped(&namespace);
            options.arguments.push(format!("--identity={identity}"));
            options
        };
        let leader = Operator::start(cluster, options("first")).await;
        let installation = leader.installation();
        installation.wait_holder("first", Duration::from_secs(30)).await;
        let twin = installation.twin().await;
        let other = Operator::start_in(&twin, options("second")).await;
        let credentials = [installation.credential().await, twin.credential().await];
        Self { namespace, leader, other, credentials, audit, start }
    }

    /// Ends the leader under load, and waits until all is applied. Returns when the signal was sent.
    async fn change_hands(&self, signal: &str) -> Timestamp {
        let (namespace, leader) = (&self.namespace, &self.leader);
        let services = namespace.api::<Microservice>();
        let load = open_loop(RATE, BEFORE + AFTER, async |number, _| {
            let object = microservice(namespace.name(), number);
            services.create(&PostParams::default(), &object).await.expect("the object is created");
        });
        let end = async {
            tokio::time::sleep(BEFORE).await;
            let now = Timestamp::now();
            leader.signal(signal);
            now
        };
        let (created, ended) = future::join(load, end).await;
        wait_applied(namespace, created.len()).await;
        ended
    }

    async fn tell(&self, report: &mut Report, signal: &str, bar: f64, ended: Timestamp) {
        let all = self.audit.since(self.start).await.of(&self.other.user()).writes().without("leases");
        let accepted = |credential: &String| all.with(credential).only(|request| request.code < 300);
        let [first, second] = [&self.credentials[0], &self.credentials[1]].map(accepted);
        assert!(first.count() > 0 && second.count() > 0, "both replicas have written\n{all}");
        let begun = second.0.iter().map(|request| request.at.as_str()).min().unwrap_or_default();
        let took = begun.parse::<Timestamp>().expect("a time of the audit log").duration_since(ended);
        let what = format!("SIG{signal} to the first write of the other [s]");
        report.measure("M15", &what, Some(bar), took.as_secs_f64());
        let late = first.only(|request| request.at.as_str() >= begun);
        report.count("M15", "writes of the old leader after the first of the new", 0.0, late.count() as f64);
        report.count("M15", "children made twice", 0.0, made_twice(&all) as f64);
    }
}

/// Creates beyond the first of the same object.
fn made_twice(writes: &Requests) -> usize {
    let created = writes.without("events").only(|request| request.code == 201);
    let mut names: Vec<(String, String)> =
        created.0.into_iter().map(|request| (request.resource, request.name)).collect();
    let all = names.len();
    names.sort();
    names.dedup();
    all - names.len()
}
