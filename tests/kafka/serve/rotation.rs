//! Another password without a moment in which a running pod has none: clients that connect anew each time
//! go on through every step.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::api::{Api, ListParams};
use microservice_operator::api::Microservice;
use serde_json::json;

use super::counter::{Tried, becomes, login_in, produces};
use super::shop::{Shop, reached};
use crate::support::{Kafka, always, eventually};

/// Short times.
pub const QUICK: [&str; 2] = ["--kafka-sweep=2s", "--kafka-grace=2s"];

/// The logins of all pods that there are, used as the pods do.
struct Clients<'a> {
    shop: &'a Shop,
    kafka: &'a Kafka,
    topic: String,
    /// Every login that the Secret has held.
    logins: BTreeMap<String, BTreeMap<String, String>>,
    /// How often each user has written.
    written: BTreeMap<String, usize>,
}

impl<'a> Clients<'a> {
    /// Of pods that may have started with this login.
    fn new(shop: &'a Shop, kafka: &'a Kafka, login: &BTreeMap<String, String>) -> Self {
        let logins = [(login["username"].clone(), login.clone())].into();
        let written = BTreeMap::new();
        Self { shop, kafka, topic: shop.name("a"), logins, written }
    }

    /// Users that pods carry now, those that are being terminated too.
    async fn carried(&self) -> BTreeSet<String> {
        let pods: Api<Pod> = self.shop.namespace.api();
        let mine = ListParams::default().labels("microservice.dev/name=order");
        let pods = pods.list(&mine).await.expect("pods can be listed").items;
        let user = |pod: Pod| pod.metadata.annotations?.remove("microservice.dev/kafka-user");
        pods.into_iter().filter_map(user).collect()
    }

    /// Each pod connects anew and writes. One that has gone in the meantime need not.
    async fn write(&mut self) {
        // In this order: what a pod carries was in the Secret before.
        let carried = self.carried().await;
        let now = login_in(&self.shop.namespace, "order").await;
        self.logins.insert(now["username"].clone(), now);
        for user in carried {
            let login = self.logins.get(&user).expect("its login was in the Secret").clone();
            let client = self.kafka.client_of(&login["username"], &login["password"]).await;
            if let Err(error) = client {
                assert!(!self.carried().await.contains(&user), "a pod with {user} cannot log in: {error}");
                continue;
            }
            if !self.carried().await.contains(&user) {
                continue;
            }
            let outcome = produces(self.kafka, &login, &self.topic).await;
            assert_eq!(outcome, Tried::Done, "a pod with {user} cannot write");
            *self.written.entry(user).or_default() += 1;
        }
    }

    /// Writes until something is true.
    async fn until<F: Future<Output = bool>>(&mut self, what: &str, is: impl Fn() -> F) {
        let start = Instant::now();
        while !is().await {
            assert!(start.elapsed() < Duration::from_secs(90), "not in time: {what}");
            self.write().await;
        }
    }
}

/// Asks for another password.
pub async fn rotate(shop: &Shop, word: &str) {
    let annotations = json!({"metadata": {"annotations": {"microservice.dev/rotate": word}}});
    shop.namespace.patch::<Microservice>("order", annotations).await;
}

/// A service that has its login and writes.
pub async fn open(name: &str, kafka: &Kafka) -> Shop {
    let shop = Shop::open_with(name, kafka, &QUICK).await;
    shop.give_users_of(kafka).await;
    shop.service("order", json!({"topics": [{"name": "a"}]})).await;
    shop.namespace.wait_ready("order").await;
    let (login, topic) = (shop.login_of("order").await, shop.name("a"));
    becomes("it writes", Tried::Done, || produces(kafka, &login, &topic)).await;
    shop
}

#[tokio::test]
async fn pods_write_through_every_step_and_the_old_user_goes_last() {
    let kafka = Kafka::shared().await;
    let shop = open("rotated", kafka).await;
    let (a, b) = (shop.user("order", 'a'), shop.user("order", 'b'));
    let first = shop.login_of("order").await;
    let mut clients = Clients::new(&shop, kafka, &first);
    clients.write().await;
    rotate(&shop, "one").await;
    clients.until("the old user is gone", || async { !shop.has_user(&a).await }).await;
    clients.write().await;
    let second = shop.login_of("order").await;
    assert_eq!(second["username"], b);
    assert_ne!(first["password"], second["password"]);
    assert!(clients.written[&a] > 0 && clients.written[&b] > 0, "{:?}", clients.written);
    assert!(shop.acls(&a).await.is_empty());
    assert!(shop.event("order", "LoginRotated").await.contains(&b));
    assert!(shop.event("order", "LoginRetired").await.contains(&a));

    // And back, with a password that nobody had before.
    rotate(&shop, "two").await;
    clients.until("the other user is gone", || async { !shop.has_user(&b).await }).await;
    let third = shop.login_of("order").await;
    assert_eq!(third["username"], a);
    assert_ne!(third["password"], first["password"]);
    shop.namespace.wait_ready("order").await;
}

#[tokio::test]
async fn an_operator_that_is_killed_in_between_goes_on_where_it_was() {
    let kafka = Kafka::shared().await;
    let mut shop = open("killed", kafka).await;
    let (a, b) = (shop.user("order", 'a'), shop.user("order", 'b'));
    let first = shop.login_of("order").await;
    rotate(&shop, "one").await;
    eventually(Duration::from_secs(20), "it has begun", || async {
        let record = shop.login_record("order").await;
        record.clone().filter(|record| record.users.contains_key(&b)).ok_or(format!("{record:?}"))
    })
    .await;
    shop.operator.kill().await;
    shop.operator.restart().await;
    {
        let mut clients = Clients::new(&shop, kafka, &first);
        clients.until("the old user is gone", || async { !shop.has_user(&a).await }).await;
    }
    let second = shop.login_of("order").await;
    // At a moment when both are in use.
    rotate(&shop, "two").await;
    eventually(Duration::from_secs(20), "the Secret has changed", || async {
        let login = shop.login_of("order").await;
        if login["username"] == a { Ok(()) } else { Err("not yet") }
    })
    .await;
    shop.operator.kill().await;
    shop.operator.restart().await;
    let mut clients = Clients::new(&shop, kafka, &second);
    clients.until("the other user is gone", || async { !shop.has_user(&b).await }).await;
    shop.namespace.wait_ready("order").await;
}

#[tokio::test]
async fn a_secret_that_is_lost_or_spoilt_gets_another_login() {
    let kafka = Kafka::shared().await;
    let shop = open("spoilt", kafka).await;
    let (a, b) = (shop.user("order", 'a'), shop.user("order", 'b'));
    let first = shop.login_of("order").await;
    shop.namespace.delete::<Secret>("order-kafka").await;
    assert_eq!(shop.login_of("order").await["username"], b);
    let mut clients = Clients::new(&shop, kafka, &first);
    clients.until("the lost user is gone", || async { !shop.has_user(&a).await }).await;

    let spoilt = json!({"stringData": {"password": "guessed"}});
    shop.namespace.patch::<Secret>("order-kafka", spoilt).await;
    eventually(Duration::from_secs(20), "there is another login", || async {
        let login = shop.login_of("order").await;
        if login["username"] == a && login["password"] != "guessed" { Ok(()) } else { Err("not yet") }
    })
    .await;
    let (login, topic) = (shop.login_of("order").await, shop.name("a"));
    becomes("it works", Tried::Done, || produces(kafka, &login, &topic)).await;
}

/// The operator writes the Secret between the two: what it wrote back is as spoilt as what it had read.
#[tokio::test]
async fn a_secret_that_is_spoilt_while_the_broker_is_away_gets_another_login_after_it() {
    let mut kafka = Kafka::start().await;
    let shop = open("astray", &kafka).await;
    let (a, b) = (shop.user("order", 'a'), shop.user("order", 'b'));
    assert_eq!(shop.login_of("order").await["username"], a);
    kafka.kill(0);
    let spoilt = json!({"stringData": {"password": "guessed"}});
    let spoilt = shop.namespace.patch::<Secret>("order-kafka", spoilt).await.metadata.resource_version;
    eventually(Duration::from_secs(20), "the operator takes its fields back", || async {
        let version = shop.namespace.get::<Secret>("order-kafka").await.metadata.resource_version;
        if version == spoilt { Err("not yet") } else { Ok(()) }
    })
    .await;
    for replicas in [2, 3] {
        let changed = json!({"spec": {"replicas": replicas}});
        let generation = shop.namespace.patch::<Microservice>("order", changed).await.metadata.generation;
        eventually(Duration::from_secs(20), "the change is looked at", || async {
            let status = shop.namespace.get::<Microservice>("order").await.status.unwrap_or_default();
            if status.observed_generation == generation { Ok(()) } else { Err(format!("{status:?}")) }
        })
        .await;
    }
    kafka.revive(0).await;
    eventually(Duration::from_secs(60), "there is another login", || async {
        let login = shop.login_of("order").await;
        if login["username"] == b && login["password"] != "guessed" { Ok(()) } else { Err("not yet") }
    })
    .await;
    let (login, topic) = (shop.login_of("order").await, shop.name("a"));
    becomes("it works", Tried::Done, || produces(&kafka, &login, &topic)).await;
}

/// The age is that of the record: while the operator is away, the record is made old.
#[tokio::test]
async fn a_password_that_is_old_is_changed_without_being_asked_for_and_then_rests() {
    let kafka = Kafka::shared().await;
    let mut shop = Shop::open_with("aged", kafka, &QUICK).await;
    let mut cluster = reached(kafka);
    cluster["users"] = json!({"rotateAfter": "1h"});
    shop.describe_cluster("{namespace}.{name}", cluster).await;
    for service in ["order", "young"] {
        shop.service(service, json!({"topics": [{"name": service}]})).await;
        shop.namespace.wait_ready(service).await;
    }
    let (first, young) = (shop.login_of("order").await, shop.login_of("young").await);
    let switched = shop.login_record("order").await.and_then(|record| record.switched);
    let switched = switched.expect("it is noted since when");
    shop.operator.kill().await;
    shop.change_login_record("order", |record| record.switched = Some(switched - 3600)).await;
    shop.operator.restart().await;

    let (a, b) = (shop.user("order", 'a'), shop.user("order", 'b'));
    let mut clients = Clients { topic: shop.name("order"), ..Clients::new(&shop, kafka, &first) };
    clients.until("the old user is gone", || async { !shop.has_user(&a).await }).await;
    let second = shop.login_of("order").await;
    assert_eq!(second["username"], b);
    assert_ne!(first["password"], second["password"]);
    assert!(clients.written[&a] > 0, "{:?}", clients.written);
    let record = shop.login_record("order").await.expect("it is recorded");
    assert!(record.switched >= Some(switched), "its age begins anew: {record:?}");
    assert_eq!(shop.login_of("young").await, young, "the other one is not old enough");
    let keeps = || async {
        if shop.login_of("order").await == second { Ok(()) } else { Err("it was changed again") }
    };
    always(Duration::from_secs(5), "it rests", keeps).await;
}

/// Everything that the operator says, at the finest level.
#[tokio::test]
async fn no_password_is_ever_told() {
    let kafka = Kafka::shared().await;
    let arguments = [QUICK[0], QUICK[1], "--log-level=trace"];
    let shop = Shop::open_with("canary", kafka, &arguments).await;
    shop.give_users().await;
    shop.service("order", json!({"topics": [{"name": "a"}]})).await;
    shop.namespace.wait_ready("order").await;
    let first = shop.login_of("order").await["password"].clone();
    rotate(&shop, "one").await;
    let old = shop.user("order", 'a');
    eventually(Duration::from_secs(90), "the old user is gone", || async {
        if shop.has_user(&old).await { Err("it is there") } else { Ok(()) }
    })
    .await;
    let second = shop.login_of("order").await["password"].clone();
    let events = format!("{:?}", shop.events("order").await);
    let object = shop.namespace.get::<Microservice>("order").await;
    let object = serde_json::to_string(&object).expect("it is JSON");
    let record = format!("{:?}", shop.login_record("order").await);
    let metrics = eventually(Duration::from_secs(20), "the metrics tell of the rotation", || async {
        let metrics = shop.operator.http("/metrics").await.map_err(|error| error.to_string())?.1;
        let counted = |reason: &&str| {
            let line = format!("microservice_operator_kafka_changes_total{{reason=\"{reason}\"}} 1");
            metrics.lines().any(|found| found == line)
        };
        let all = ["LoginMade", "LoginRotated", "LoginRetired"].iter().all(counted);
        if all && metrics.contains("kafka_users{standing=\"Active\"} 1") { Ok(metrics) } else { Err(metrics) }
    })
    .await;
    assert!(!metrics.contains(shop.namespace.name()), "no name of an object is a label");
    let log = shop.operator.log();
    assert!(log.contains("TRACE") || log.contains("trace"), "the log is not at the finest level");
    let own = kafka.settings().login.expect("the operator logs in").password;
    for password in [first, second, own] {
        for text in [&log, &events, &object, &record, &metrics] {
            let line = text.lines().find(|line| line.contains(&password));
            assert_eq!(line, None);
        }
    }
}
