//! The shop starts as the example describes it, and an order goes through all of it.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::fixtures::Shop;
use crate::support::{eventually, suffix};
use crate::traffic::request;

#[tokio::test]
async fn an_order_flows_through_calls_and_events() {
    let shop = Shop::open().await;
    let id = format!("order-{}", suffix());

    let path = format!("/order?id={id}");
    let address = shop.address("order-service").await;
    let (status, body) = request("POST", &address, &path).await.unwrap();
    assert_eq!(status, 200, "{body}");

    // Payment and inventory have heard of it and answered with events of their own.
    eventually(Duration::from_secs(60), "the order comes back to the order service", || async {
        let mut seen = BTreeMap::new();
        for _ in 0..12 {
            // Each request may meet another pod.
            let (_, body) = request("GET", &address, "/seen").await?;
            let some: BTreeMap<String, u64> =
                serde_json::from_str(&body).map_err(|error| error.to_string())?;
            seen.extend(some.into_iter().filter(|(event, _)| event.ends_with(&id)));
        }
        let logs =
            shop.kubectl.run("logs --selector=microservice.dev/name=order-service --prefix --tail=50").await;
        let wanted = [format!("inventory-events {id}"), format!("payment-events {id}")];
        let met = wanted.iter().all(|event| seen.get(event) == Some(&1));
        if met { Ok(()) } else { Err(format!("{seen:?}; its pods say {}", logs.out)) }
    })
    .await;
    eventually(Duration::from_secs(60), "the customer is told of order and payment", || async {
        let logs = "logs --selector=microservice.dev/name=notification-service --tail=-1";
        let logs = shop.kubectl.run(logs).await.out;
        let count = |topic: &str| logs.lines().filter(|l| *l == format!("handled {topic} {id}")).count();
        let told = (count("order-events"), count("payment-events"));
        if told == (1, 1) { Ok(()) } else { Err(format!("{told:?} times")) }
    })
    .await;
}
