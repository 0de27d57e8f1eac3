//! Another password while every connection of operator and clients is cut at each of its steps: each time
//! SCRAM is checked anew, and no message is lost and none refused.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Pod as CorePod;
use krafka::KrafkaError;
use krafka::consumer::{AutoOffsetReset, Consumer};
use krafka::error::ErrorCode;
use krafka::producer::{Producer, Record};
use kube::api::{Api, ListParams};
use serde_json::json;

use super::counter::{Tried, becomes, login_in, produces};
use super::rotation::{QUICK, rotate};
use super::shop::Shop;
use crate::support::{Kafka, api};

/// Brokers, control plane and clients share the processors of the machine with the other tests.
const LONG: Duration = Duration::from_secs(180);

/// What runs in one pod: it logged in with what the Secret held when it started, and keeps its connections.
struct Pod {
    producer: Producer,
    consumer: Consumer,
}

/// All pods of the service.
struct Pods<'a> {
    shop: &'a Shop,
    kafka: &'a Kafka,
    topic: String,
    logins: BTreeMap<String, BTreeMap<String, String>>,
    /// By user: the pods of one are alike.
    running: BTreeMap<String, Pod>,
    next: u32,
    acknowledged: BTreeSet<u32>,
    read: BTreeSet<u32>,
    written: BTreeMap<String, usize>,
}

impl<'a> Pods<'a> {
    fn new(shop: &'a Shop, kafka: &'a Kafka) -> Self {
        Self {
            shop,
            kafka,
            topic: shop.name("a"),
            logins: BTreeMap::new(),
            running: BTreeMap::new(),
            next: 0,
            acknowledged: BTreeSet::new(),
            read: BTreeSet::new(),
            written: BTreeMap::new(),
        }
    }

    async fn carried(&self) -> BTreeSet<String> {
        let pods: Api<CorePod> = self.shop.namespace.api();
        let mine = ListParams::default().labels("microservice.dev/name=order");
        let pods = pods.list(&mine).await.expect("pods can be listed").items;
        let user = |pod: CorePod| pod.metadata.annotations?.remove("microservice.dev/kafka-user");
        pods.into_iter().filter_map(user).collect()
    }

    /// Fails the test if a pod with this user is there still.
    async fn refused(&self, user: &str, error: &KrafkaError) {
        assert!(!self.carried().await.contains(user), "a pod with {user} is refused: {error}");
    }

    async fn start(&self, user: &str) -> krafka::Result<Pod> {
        let login = self.logins.get(user).expect("its login was in the Secret");
        let client = self.kafka.client_of(user, &login["password"]).await?;
        let producer = client.producer().build().await?;
        let group = format!("{}.order", self.shop.namespace.name());
        let consumer = client
            .consumer(&group)
            .auto_offset_reset(AutoOffsetReset::Earliest)
            .session_timeout(Duration::from_secs(6))
            .heartbeat_interval(Duration::from_secs(1))
            .build()
            .await?;
        consumer.subscribe(&[&self.topic]).await?;
        Ok(Pod { producer, consumer })
    }

    /// Each pod writes one message and reads what there is.
    async fn work(&mut self) {
        // In this order: what a pod carries was in the Secret before.
        let carried = self.carried().await;
        let now = login_in(&self.shop.namespace, "order").await;
        self.logins.insert(now["username"].clone(), now);
        let gone: Vec<String> =
            self.running.keys().filter(|user| !carried.contains(*user)).cloned().collect();
        for user in gone {
            let pod = self.running.remove(&user).expect("it runs");
            // What it has read it has read; the group gives the rest to the others.
            let _ = pod.consumer.close().await;
        }
        for user in carried {
            if !self.running.contains_key(&user) {
                match self.start(&user).await {
                    Ok(pod) => drop(self.running.insert(user.clone(), pod)),
                    Err(error) if is_refusal(&error) => self.refused(&user, &error).await,
                    Err(_) => {}
                }
            }
            self.work_of(&user).await;
        }
    }

    async fn work_of(&mut self, user: &str) {
        let Some(pod) = self.running.get(user) else { return };
        let number = self.next;
        match pod.producer.send(Record::new(self.topic.as_str(), number.to_string())).await {
            Ok(_) => {
                self.next += 1;
                self.acknowledged.insert(number);
                *self.written.entry(user.to_owned()).or_default() += 1;
            }
            Err(error) if is_refusal(&error) => self.refused(user, &error).await,
            // The connection: the message is written again.
            Err(_) => {}
        }
        match pod.consumer.poll(Duration::from_millis(100)).await {
            Ok(records) => {
                let text = |value: &[u8]| std::str::from_utf8(value).expect("it is text").parse::<u32>();
                let values = records.iter().filter_map(|record| record.value.as_ref());
                self.read.extend(values.filter_map(|value| text(value).ok()));
            }
            Err(error) if is_refusal(&error) => self.refused(user, &error).await,
            Err(_) => {}
        }
    }

    async fn until<F: Future<Output = bool>>(&mut self, what: &str, is: impl Fn() -> F) {
        let start = Instant::now();
        while !is().await {
            assert!(start.elapsed() < LONG, "not in time: {what}");
            self.work().await;
        }
    }
}

fn is_refusal(error: &KrafkaError) -> bool {
    use ErrorCode::{
        ClusterAuthorizationFailed, GroupAuthorizationFailed, SaslAuthenticationFailed,
        TopicAuthorizationFailed,
    };
    match error {
        KrafkaError::Auth { .. } => true,
        KrafkaError::Broker { code, .. } => [
            ClusterAuthorizationFailed,
            GroupAuthorizationFailed,
            SaslAuthenticationFailed,
            TopicAuthorizationFailed,
        ]
        .contains(code),
        _ => false,
    }
}

#[tokio::test]
async fn no_message_is_lost_or_refused_while_all_connections_are_cut_at_each_step() {
    let (kafka, proxy) = Kafka::proxied().await;
    let shop = Shop::open_with("cut", &kafka, &QUICK).await;
    shop.give_users_of(&kafka).await;
    let lines = json!({"topics": [{"name": "a"}], "consumes": [{"topic": "a"}]});
    shop.service("order", lines).await;
    shop.namespace.wait_ready("order").await;
    let (a, b) = (shop.user("order", 'a'), shop.user("order", 'b'));
    let (login, topic) = (shop.login_of("order").await, shop.name("a"));
    becomes("it writes", Tried::Done, || produces(&kafka, &login, &topic)).await;
    let mut pods = Pods::new(&shop, &kafka);
    while pods.read.is_empty() {
        pods.work().await;
    }

    // 1: the rights of the idle user; 2: its password, and the logins that try it; 6: ACLs go, then the
    // credential.
    let mut severed = vec![api::CREATE_ACLS, api::ALTER_USERS, api::AUTHENTICATE, api::AUTHENTICATE];
    severed.extend([api::DELETE_ACLS, api::ALTER_USERS]);
    proxy.sever(&severed);
    rotate(&shop, "one").await;
    pods.until("3: the Secret has changed", || async { shop.login_of("order").await["username"] == b }).await;
    assert!(proxy.unsevered() <= 2, "the first steps were cut");
    proxy.cut();
    let of_b = |user: BTreeSet<String>| user.contains(&b);
    while !of_b(pods.carried().await) {
        pods.work().await;
    }
    // 4: pods roll.
    proxy.cut();
    while pods.carried().await.contains(&a) {
        pods.work().await;
    }
    // 5: nobody carries the old one.
    proxy.cut();
    pods.until("the old user is gone", || async { !shop.has_user(&a).await }).await;
    assert_eq!((proxy.unsevered(), proxy.cuts()), (0, 9), "every step was cut");
    assert!(shop.acls(&a).await.is_empty());

    let written = pods.written.clone();
    let start = Instant::now();
    while pods.written.get(&b) <= written.get(&b) || !pods.acknowledged.is_subset(&pods.read) {
        let missing: Vec<&u32> = pods.acknowledged.difference(&pods.read).collect();
        assert!(start.elapsed() < LONG, "not read: {missing:?}");
        pods.work().await;
    }
    assert!(pods.written[&a] > 0 && pods.written[&b] > 0, "{:?}", pods.written);
    shop.namespace.wait_ready("order").await;
}
