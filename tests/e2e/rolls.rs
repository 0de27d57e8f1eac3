//! Another value of a setting or of a secret: exactly the pods that read it are replaced.

use k8s_openapi::api::core::v1::Secret;
use microservice_operator::api::microservice::Microservice;
use serde_json::json;

use crate::fixtures::{PATIENCE, Shop, nobody_is_leaving};
use crate::support::eventually;
use crate::traffic::{Load, request};

#[tokio::test]
async fn another_setting_replaces_the_pods_of_its_service_alone() {
    let shop = Shop::open().await;
    let (before, address) = (shop.pods().await, shop.address("user-service").await);
    let load = Load::on(std::slice::from_ref(&address), 2, 10);
    let config = json!({"spec": {"config": {"LOG_LEVEL": "debug"}}});
    shop.namespace.patch::<Microservice>("user-service", config).await;
    replaced(&shop, "user-service", &before).await;
    load.report().assert_perfect();
    let (_, info) = request("GET", &address, "/info").await.unwrap();
    assert!(info.contains(r#""LOG_LEVEL":"debug""#), "{info}");
}

#[tokio::test]
async fn another_secret_replaces_the_pods_that_read_it_alone() {
    let shop = Shop::open().await;
    let (before, address) = (shop.pods().await, shop.address("inventory-service").await);
    let load = Load::on(std::slice::from_ref(&address), 2, 10);
    let url = "postgres://inventory-service:another@inventory-db:5432/inventory";
    shop.namespace.patch::<Secret>("inventory-db", json!({"stringData": {"url": url}})).await;
    replaced(&shop, "inventory-service", &before).await;
    load.report().assert_perfect();
    let (_, info) = request("GET", &address, "/info").await.unwrap();
    assert!(info.contains(&format!(r#""DATABASE_URL":"{} bytes""#, url.len())), "{info}");
}

type Pods = std::collections::BTreeMap<String, std::collections::BTreeMap<String, String>>;

/// Waits until every pod of this service is another one; those of all others are the same, with the same
/// start.
async fn replaced(shop: &Shop, service: &str, before: &Pods) {
    eventually(PATIENCE, &format!("the pods of {service} are replaced"), || async {
        let pods = shop.pods().await;
        let old = pods[service].keys().filter(|pod| before[service].contains_key(*pod)).count();
        let met = old == 0 && pods[service].len() == before[service].len();
        if met { Ok(()) } else { Err(format!("{:#?}", pods[service])) }
    })
    .await;
    shop.wait_ready().await;
    nobody_is_leaving(&shop.namespace).await;
    let mut after = shop.pods().await;
    after.insert(service.to_owned(), before[service].clone());
    assert_eq!(&after, before, "only {service} is concerned");
}
