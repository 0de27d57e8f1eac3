//! How available the shop is to its clients while versions, pods, kubelet and operator come and go:
//! `make availability`, with MINUTES=30 by default. It needs what the end-to-end tests need.
#![allow(missing_docs, clippy::expect_used, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

#[path = "../e2e/fixtures.rs"]
#[allow(dead_code)] // the end-to-end tests use more of it
mod fixtures;
#[path = "../support/mod.rs"]
mod support;
#[path = "../e2e/traffic.rs"]
#[allow(dead_code)]
mod traffic;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::{Duration, Instant};

use rand::seq::IndexedRandom;

use fixtures::{LAST, NEXT, Shop, nobody_is_leaving, operator, pods, serving, wait_ready};
use microservice_operator::api::microservice::Microservice;
use serde_json::json;
use support::Cluster;
use traffic::{Load, Report, request};

/// What each service owes its clients.
const PROMISE: f64 = 0.999;
/// A container is killed this often, each time one of another service: a request that is under way there,
/// and those that come until the rules of the node are without it, are lost.
const CRASH_EVERY: Duration = Duration::from_mins(3);
/// What a killed container may cost its clients, in seconds.
const CRASH_COSTS: f64 = 5.0;
/// A kubelet that starts takes containers for not ready that are younger than this, until it has checked
/// them. In a cluster of several nodes those of one are concerned; here all pods are on one.
const YOUNG: Duration = Duration::from_secs(10);

/// Seconds.
const DAY: f64 = 86_400.0;

/// What is done to the shop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Trouble {
    NewVersion,
    NewSetting,
    Restart,
    PodDeleted,
    KubeletKilled,
    OperatorKilled,
    ContainerKilled,
}

/// How often each comes, compared with the others; killed containers have a pace of their own.
const TROUBLES: [(Trouble, u32); 6] = [
    (Trouble::NewVersion, 4),
    (Trouble::NewSetting, 2),
    (Trouble::Restart, 2),
    (Trouble::PodDeleted, 3),
    (Trouble::OperatorKilled, 1),
    (Trouble::KubeletKilled, 1),
];

/// What was done, when and to whom.
struct Done {
    trouble: Trouble,
    service: String,
    /// Of the day, as in the causes of failed requests.
    second: f64,
}

#[tokio::test]
async fn clients_are_served_while_everything_comes_and_goes() {
    let minutes = std::env::var("MINUTES").map_or(30.0, |text| text.parse().expect("MINUTES is a number"));
    let shop = Shop::open().await;
    let mut loads = BTreeMap::new();
    for name in serving() {
        let address = shop.address(&name).await;
        loads.insert(name, Load::on(&[address], 1, 10));
    }
    let done = disturb(&shop, Duration::from_secs_f64(60.0 * minutes)).await;
    shop.wait_ready().await;
    nobody_is_leaving(&shop.namespace).await;
    let reports = loads.into_iter().map(|(name, load)| (name, load.report())).collect();
    let (text, broken) = judge(minutes, &reports, &done);
    println!("{text}");
    assert!(broken.is_empty(), "{broken:#?}");
}

/// One thing after the other, at random moments; each service is whole before its next.
async fn disturb(shop: &Shop, period: Duration) -> Vec<Done> {
    let (start, mut done, mut crashes) = (Instant::now(), Vec::new(), 0);
    while start.elapsed() < period {
        let crash_due = start.elapsed() > CRASH_EVERY * crashes + CRASH_EVERY / 3;
        let several = several(shop).await;
        let (trouble, service) = if crash_due {
            crashes += 1;
            (Trouble::ContainerKilled, several[crashes as usize % several.len()].clone())
        } else {
            let trouble = TROUBLES.choose_weighted(&mut rand::rng(), |(_, often)| *often).unwrap().0;
            let services = if trouble == Trouble::PodDeleted { several } else { serving() };
            (trouble, services.choose(&mut rand::rng()).unwrap().clone())
        };
        wait_ready(&shop.namespace, &service).await;
        let second = now();
        make(shop, trouble, &service, done.len()).await;
        done.push(Done { trouble, service, second });
        tokio::time::sleep(Duration::from_millis(rand::random_range(500..5_000))).await;
    }
    done
}

/// The services that have more than one pod: the only pod of a service is missed when it dies.
async fn several(shop: &Shop) -> Vec<String> {
    let pods = shop.pods().await;
    serving().into_iter().filter(|name| pods[name].len() > 1).collect()
}

async fn make(shop: &Shop, trouble: Trouble, service: &str, number: usize) {
    let kubectl = &shop.kubectl;
    match trouble {
        Trouble::NewVersion => {
            let tag = if number.is_multiple_of(2) { NEXT } else { LAST };
            let image = json!({"spec": {"image": format!("{service}:{tag}")}});
            shop.namespace.patch::<Microservice>(service, image).await;
        }
        Trouble::NewSetting => {
            let config = json!({"spec": {"config": {"ROUND": number.to_string()}}});
            shop.namespace.patch::<Microservice>(service, config).await;
        }
        Trouble::Restart => drop(kubectl.ok(&format!("rollout restart deployment/{service}")).await),
        Trouble::PodDeleted => {
            let pods = pods(&shop.namespace, service).await;
            let name = pods.keys().next().and_then(|pod| pod.split(' ').next()).unwrap().to_owned();
            kubectl.ok(&format!("delete pod {name} --wait=false")).await;
        }
        Trouble::KubeletKilled => {
            shop.wait_ready().await;
            nobody_is_leaving(&shop.namespace).await;
            tokio::time::sleep(YOUNG).await;
            Cluster::real().signal("kubelet", "KILL");
            Cluster::real().revive();
        }
        Trouble::OperatorKilled => {
            let mut operator = operator().await;
            operator.kill().await;
            operator.restart().await;
        }
        Trouble::ContainerKilled => {
            let address = shop.address(service).await;
            request("POST", &address, "/misbehave?how=crash:1").await.expect_err("it is gone");
        }
    }
}

/// The report, and what of it breaks the promise.
fn judge(minutes: f64, reports: &BTreeMap<String, Report>, done: &[Done]) -> (String, Vec<String>) {
    let (mut text, mut broken) = (format!("{minutes} minutes\n\n"), Vec::new());
    let mut counts = BTreeMap::<_, usize>::new();
    done.iter().for_each(|done| *counts.entry(done.trouble).or_default() += 1);
    let counts: Vec<_> = counts.iter().map(|(trouble, count)| format!("{count} {trouble:?}")).collect();
    let _ = writeln!(text, "{}\n", counts.join(", "));
    let _ = writeln!(text, "| service | requests | failed | availability | slowest |\n|---|---|---|---|---|");
    for (name, report) in reports {
        let (total, failed, slowest) = (report.total(), report.failed, report.slowest);
        #[allow(clippy::cast_precision_loss)] // far from 2^52
        let availability = 1.0 - failed as f64 / total as f64;
        let percent = 100.0 * availability;
        let _ = writeln!(text, "| {name} | {total} | {failed} | {percent:.4} % | {slowest} ms |");
        if availability < PROMISE {
            broken.push(format!("{name}: {percent:.4} %"));
        }
    }
    for (name, report) in reports {
        for (explanation, count) in explained(name, report, done, &mut broken) {
            let _ = writeln!(text, "\n{count} of {name}: {explanation}");
        }
    }
    (text, broken)
}

/// The failed requests of a service by what explains them; what nothing explains is broken.
fn explained(name: &str, report: &Report, done: &[Done], broken: &mut Vec<String>) -> BTreeMap<String, u64> {
    let killed =
        || done.iter().filter(|done| done.trouble == Trouble::ContainerKilled && done.service == name);
    let mut explained = BTreeMap::new();
    for (cause, count) in &report.causes {
        let (time, error) = cause.split_once(": ").unwrap_or_default();
        let after = |done: &Done| (seconds(time) - done.second).rem_euclid(DAY);
        if killed().any(|done| after(done) < CRASH_COSTS) {
            let text = format!("{error}, within {CRASH_COSTS} s of a killed container");
            *explained.entry(text).or_default() += count;
        } else {
            let before = done.iter().rev().filter(|done| after(done) < 30.0);
            let before =
                before.map(|done| format!("{:?} of {} {:.1} s", done.trouble, done.service, after(done)));
            let before: Vec<_> = before.collect();
            broken.push(format!("{name}: {cause}: nothing explains it; before: {}", before.join(", ")));
        }
    }
    explained
}

/// Of the day, in `09:12:33.250`.
fn seconds(time: &str) -> f64 {
    time.split(':').filter_map(|part| part.parse::<f64>().ok()).fold(0.0, |sum, part| sum * 60.0 + part)
}

/// Second of the day, UTC.
fn now() -> f64 {
    let passed = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap();
    passed.as_secs_f64() % DAY
}
