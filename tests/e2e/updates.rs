//! A new version of every service at once, under load: nobody notices.

use microservice_operator::api::microservice::Microservice;
use serde_json::json;

use crate::fixtures::{LAST, NEXT, Shop, nobody_is_leaving, services, serving};
use crate::traffic::Load;

/// As many requests as the promise is about.
const REQUESTS: u64 = 20_000;

#[tokio::test]
async fn a_rolling_update_of_every_service_fails_no_request() {
    let shop = Shop::open().await;
    let mut addresses = Vec::new();
    for name in serving() {
        addresses.push(shop.address(&name).await);
    }
    let (mut requests, mut fresh, mut rounds) = (0, 0, 0);
    while requests < REQUESTS {
        rounds += 1;
        let tag = if rounds % 2 == 1 { NEXT } else { LAST };
        let load = Load::on(&addresses, 2, 15);
        for name in services() {
            let image = json!({"spec": {"image": format!("{name}:{tag}")}});
            shop.namespace.patch::<Microservice>(&name, image).await;
        }
        shop.wait_ready().await;
        nobody_is_leaving(&shop.namespace).await;
        let report = load.report();
        report.assert_perfect();
        for name in serving() {
            let versions = &report.versions;
            assert!(versions.contains_key(&format!("{name}:{tag}")), "{name} is updated: {versions:#?}");
        }
        (requests, fresh) = (requests + report.total(), fresh + report.new);
    }
    println!("{requests} requests in {rounds} updates, {fresh} with a connection of their own: none failed");
}
