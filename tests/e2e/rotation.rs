//! Services log in to Kafka as somebody else while orders flow: none is lost, and none comes twice.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::Future;
use std::time::Duration;

use futures::future::join_all;
use k8s_openapi::api::core::v1::Secret;
use krafka::consumer::AutoOffsetReset;
use microservice_operator::engine::kafka::{Broker, Direct, Settings};
use serde_json::json;

use crate::fixtures::{PATIENCE, address, kafka, namespace, operator, wait_ready};
use crate::support::{Cluster, Kafka, Namespace, apply_as_given, eventually};
use crate::traffic::request;

const SERVICES: [&str; 2] = ["order-service", "payment-service"];
const CUSTOMERS: usize = 4;

#[tokio::test]
async fn logins_change_while_orders_flow() {
    let images = ["order-service", "payment-service"].map(|name| format!("docker.io/library/{name}:v1"));
    Cluster::real().load("shop", "/app/migrate", &images.each_ref().map(String::as_str));
    let kafka = kafka().await;
    let (namespace, kubectl) = namespace("rotation").await;
    open(&namespace, kafka).await;
    let address = address(&namespace, "order-service").await;
    let first = users(&namespace).await;

    let rotated = async {
        kubectl.ok("annotate msvc --all microservice.dev/rotate=1").await;
        let broker = Direct::new(Settings { bootstrap: kafka.plaintext(), tls: None, login: None });
        eventually(PATIENCE, "the old users are gone, and all is calm", || async {
            let users = users(&namespace).await;
            let old = broker.users(&first).await.map_err(|error| error.to_string())?;
            let changed = users.iter().zip(&first).all(|(new, old)| new != old);
            if changed && old.is_empty() { Ok(()) } else { Err(format!("{users:?}, still there {old:?}")) }
        })
        .await;
        join_all(SERVICES.map(|name| wait_ready(&namespace, name))).await;
    };
    let orders = orders_while(&address, rotated).await;
    let missed: Vec<_> = orders.iter().filter(|(_, answer)| answer.is_err()).collect();
    assert!(missed.is_empty(), "of {} orders were refused: {missed:#?}", orders.len());
    assert!(orders.len() > 200, "only {} orders in all that time", orders.len());

    let wanted: BTreeMap<_, _> = orders.into_keys().map(|id| (id, 1)).collect();
    for topic in ["order-events", "payment-events"] {
        let topic = format!("{}.{topic}", namespace.name());
        assert_eq!(
            differences(&wanted, &read(kafka, &topic, wanted.len()).await),
            BTreeMap::new(),
            "{topic}"
        );
    }
    println!("{} orders while both logins changed: none refused, none lost, none twice", wanted.len());
}

/// A class that gives each service a user of its own, and two services: orders are paid.
async fn open(namespace: &Namespace, kafka: &Kafka) {
    let login = kafka.settings().login.unwrap();
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret",
        "metadata": {"name": "kafka-admin", "namespace": operator().await.installation().namespace()},
        "stringData": {"username": login.user, "password": login.password},
    });
    apply_as_given(&namespace.client(), &secret).await;
    let cluster = json!({
        "name": "main", "bootstrapServers": kafka.sasl(), "users": {"mode": "Managed"},
        "sasl": {"mechanism": "SCRAM-SHA-512", "secretName": "kafka-admin"},
    });
    let class = json!({
        "apiVersion": "microservice.dev/v1alpha1", "kind": "MicroserviceClass",
        "metadata": {"name": namespace.name()},
        "spec": {"kafka": {
            "topicNameTemplate": "{namespace}.{name}", "clusters": [cluster],
            "defaults": {"partitions": 3, "replicationFactor": 3},
        }},
    });
    apply_as_given(&namespace.client(), &class).await;
    let topics = [
        json!({
            "topics": [{"name": "order-events"}],
            "consumes": [{"topic": "payment-events"}, {"topic": "inventory-events"}],
        }),
        json!({
            "topics": [{"name": "payment-events"}, {"name": "inventory-events"}],
            "consumes": [{"topic": "order-events"}],
        }),
    ];
    for (name, kafka) in SERVICES.iter().zip(topics) {
        let spec = json!({
            "image": format!("{name}:v1"), "className": namespace.name(), "replicas": 2, "kafka": kafka,
        });
        namespace.microservice(name, spec).await;
    }
    join_all(SERVICES.map(|name| wait_ready(namespace, name))).await;
}

/// The users that the Secrets of the services name.
async fn users(namespace: &Namespace) -> Vec<String> {
    join_all(SERVICES.map(|name| async move {
        let secret = namespace.get::<Secret>(&format!("{name}-kafka")).await;
        String::from_utf8(secret.data.unwrap()["username"].0.clone()).unwrap()
    }))
    .await
}

/// Customers place one order after the other until something has happened; returns what they were told.
async fn orders_while(
    address: &str,
    happens: impl Future<Output = ()>,
) -> BTreeMap<String, Result<(), String>> {
    let (orders, over) = (RefCell::new(BTreeMap::new()), Cell::new(false));
    let customer = |number: usize| {
        let (orders, over) = (&orders, &over);
        async move {
            for count in (0..).take_while(|_| !over.get()) {
                let id = format!("{number}-{count}");
                let answer = request("POST", address, &format!("/order?id={id}")).await;
                let answer = answer.and_then(|(status, body)| match status {
                    200 => Ok(()),
                    _ => Err(format!("{status} {body}")),
                });
                orders.borrow_mut().insert(id, answer);
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    };
    let happens = async {
        happens.await;
        over.set(true);
    };
    tokio::join!(happens, join_all((0..CUSTOMERS).map(customer)));
    orders.into_inner()
}

/// How often each value is in the topic, once it has so many different ones.
async fn read(kafka: &Kafka, topic: &str, different: usize) -> BTreeMap<String, usize> {
    let client = kafka.client().await.unwrap();
    let group = format!("reader-of-{topic}");
    let consumer =
        client.consumer(&group).auto_offset_reset(AutoOffsetReset::Earliest).build().await.unwrap();
    consumer.subscribe(&[topic]).await.unwrap();
    let mut found = BTreeMap::new();
    let mut quiet = 0;
    // Twice nothing after all is there: then nothing comes twice either.
    for _ in 0..240 {
        let records = consumer.poll(Duration::from_millis(500)).await.unwrap();
        quiet = if records.is_empty() { quiet + 1 } else { 0 };
        for value in records.iter().filter_map(|record| record.value.as_ref()) {
            *found.entry(String::from_utf8(value.to_vec()).unwrap()).or_default() += 1;
        }
        if found.len() >= different && quiet >= 2 {
            break;
        }
    }
    consumer.close().await.unwrap();
    found
}

/// What is there more or less often than wanted: wanted, found.
fn differences(
    wanted: &BTreeMap<String, usize>,
    found: &BTreeMap<String, usize>,
) -> BTreeMap<String, (usize, usize)> {
    let count = |counts: &BTreeMap<String, usize>, id: &String| counts.get(id).copied().unwrap_or_default();
    let ids = wanted.keys().chain(found.keys());
    let both = ids.map(|id| (id.clone(), (count(wanted, id), count(found, id))));
    both.filter(|(_, (wanted, found))| wanted != found).collect()
}
