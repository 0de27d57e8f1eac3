//! A minute without the broker while specs change all the time: each change arrives once, and no pod that has
//! nothing to do with it notices.

use std::time::{Duration, Instant};

use kube::api::ApiResource;
use microservice_operator::api::Microservice;
use serde_json::json;

use super::counter::{Tried, becomes, produces};
use super::fleet::{Fleet, workloads};
use super::shop::Shop;
use crate::support::{History, Kafka, Weather, condition, eventually};

/// How long the broker is away, without the time that it takes to start.
const OUTAGE: Duration = Duration::from_secs(60);
/// For so long the network swallows everything; then the broker is dead, and every connection is reset.
const SILENCE: Duration = Duration::from_secs(20);
/// One change in this time.
const PACE: Duration = Duration::from_millis(1250);
/// How long something may take: less than a sweep, which would find what was lost.
const LONG: Duration = Duration::from_secs(120);
/// How long the whole fleet may take at first, on a machine that is busy.
const BEGIN: Duration = Duration::from_secs(300);
/// Changes that the operator is busy with when the broker goes.
const UNDER_WAY: usize = 5;

#[tokio::test]
async fn a_minute_without_a_broker_under_load_loses_and_doubles_no_change() {
    let (mut kafka, proxy) = Kafka::proxied().await;
    let mut shop = Shop::open_with("minute", &kafka, &[]).await;
    shop.give_users_of(&kafka).await;
    let mut fleet = Fleet::open(&shop).await;
    eventually(BEGIN, "the fleet is served", || fleet.arrived(&kafka)).await;
    shop.operator_settles().await;
    let before = workloads(&shop.namespace).await;
    let history = History::of(&shop.namespace, &ApiResource::erase::<Microservice>(&())).await;

    for number in 0..UNDER_WAY {
        fleet.change(number).await;
    }
    let gone = Instant::now();
    proxy.set(Weather::BlackHole);
    let (mut number, mut pace) = (UNDER_WAY, tokio::time::interval(PACE));
    while gone.elapsed() < OUTAGE {
        pace.tick().await;
        fleet.change(number).await;
        number += 1;
        if gone.elapsed() > SILENCE && proxy.weather() == Weather::BlackHole {
            // What the network still held goes with the broker.
            kafka.kill(0);
            proxy.cut();
            proxy.set(Weather::Fair);
        }
    }
    fleet.withdraw().await;
    let started = Instant::now();
    kafka.revive(0).await;
    let back = Instant::now();
    eventually(LONG, "every change has arrived", || fleet.is_on(&kafka)).await;
    let arrived = back.elapsed();
    eventually(LONG, "every service is ready", || fleet.arrived(&kafka)).await;
    println!(
        "{number} changes: on the broker {arrived:?} after it was back, all services ready after {:?}; it took \
         {:?} to start",
        back.elapsed(),
        back - started
    );

    shop.operator_settles().await;
    fleet.arrived(&kafka).await.expect("it stays so");
    fleet.each_was_made_once(&proxy).await;
    let after = workloads(&shop.namespace).await;
    let untouched = fleet.untouched();
    assert!(untouched.len() >= 10, "{untouched:?}");
    for service in &untouched {
        assert_eq!(before[service], after[service], "the pods of {service} have nothing to do with it");
        for version in history.versions(service) {
            for kind in ["Ready", "Available"] {
                assert_eq!(condition(&version.object, kind)["status"], json!("True"), "{version:?}");
            }
        }
    }
    for (service, topic) in fleet.newcomers() {
        let (login, topic) = (shop.login_of(&service).await, shop.name(&topic));
        becomes("a newcomer writes", Tried::Done, || produces(&kafka, &login, &topic)).await;
    }
    assert!(shop.operator.is_running(), "it has never ended");
}
