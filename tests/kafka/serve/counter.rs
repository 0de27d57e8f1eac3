//! What a service at the counter has: its Secret, its user on the broker, its rights; and what a client
//! with that login may do.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use krafka::KrafkaError;
use krafka::consumer::AutoOffsetReset;
use krafka::error::ErrorCode;
use krafka::producer::Record;
use kube::ResourceExt;
use kube::api::{Api, ListParams, Patch, PatchParams};
use microservice_operator::engine::kafka::Broker;
use microservice_operator::kafka::account::Recorded;
use microservice_operator::kafka::ledger;
use microservice_operator::kafka::model::Acl;
use serde_json::{Value, json};

use super::shop::Shop;
use crate::support::{Kafka, Namespace, eventually};

/// What became of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tried {
    Done,
    Denied,
    /// A reader was let in, and got nothing.
    Nothing,
}

impl Shop {
    /// Applies a service with this section `kafka`.
    pub async fn service(&self, name: &str, kafka: Value) {
        self.service_in(&self.namespace, name, kafka, json!({})).await;
    }

    /// The same in another namespace, with annotations.
    pub async fn service_in(&self, namespace: &Namespace, name: &str, kafka: Value, annotations: Value) {
        let spec = json!({"image": "order:v1", "className": self.class, "replicas": 1, "kafka": kafka});
        namespace
            .apply(json!({
                "apiVersion": "microservice.dev/v1alpha1", "kind": "Microservice",
                "metadata": {"name": name, "annotations": annotations}, "spec": spec,
            }))
            .await;
    }

    /// The Secret with the login of a service, as soon as it holds one.
    pub async fn login_of(&self, service: &str) -> BTreeMap<String, String> {
        login_in(&self.namespace, service).await
    }

    /// Name of the user of a service.
    pub fn user(&self, service: &str, slot: char) -> String {
        format!("msvc.{}.{service}.{slot}", self.namespace.name())
    }

    /// Whether a user exists on the broker.
    pub async fn has_user(&self, user: &str) -> bool {
        let found = self.broker.users(&[user.to_owned()]).await.expect("the broker answers");
        !found.is_empty()
    }

    /// ACLs of a user.
    pub async fn acls(&self, user: &str) -> BTreeSet<Acl> {
        self.broker.acls(&format!("User:{user}")).await.expect("the broker answers")
    }

    /// Waits until a user and its ACLs are gone.
    pub async fn user_goes(&self, user: &str) {
        eventually(Duration::from_secs(120), &format!("user {user} and its ACLs are gone"), || async {
            let (there, acls) = (self.has_user(user).await, self.acls(user).await);
            if there || !acls.is_empty() { Err(format!("{there} {acls:?}")) } else { Ok(()) }
        })
        .await;
    }

    /// The record of the login of a service.
    pub async fn login_record(&self, service: &str) -> Option<Recorded> {
        self.login_entry(service).await.map(|(_, record)| record)
    }

    /// The same with the name of the ConfigMap that it is in.
    async fn login_entry(&self, service: &str) -> Option<(String, Recorded)> {
        let all = ListParams::default().labels("microservice.dev/kafka-ledger=principals");
        let name = format!("{}.{service}", self.namespace.name());
        let maps = self.ledgers().list(&all).await.expect("ConfigMaps can be listed").items;
        maps.into_iter().find_map(|map| {
            let at = map.name_any();
            let (mut records, unreadable) = ledger::records::<Recorded>(&map.data.unwrap_or_default());
            assert_eq!(unreadable, Vec::<String>::new());
            records.remove(&name).map(|record| (at, record))
        })
    }

    /// Changes the record of a login behind the operator's back.
    pub async fn change_login_record(&self, service: &str, change: impl FnOnce(&mut Recorded)) {
        let (map, mut record) = self.login_entry(service).await.expect("it is recorded");
        change(&mut record);
        let name = ledger::key::<Recorded>(&format!("{}.{service}", self.namespace.name()));
        let text = serde_json::to_string(&record).expect("a record is JSON");
        let patch = Patch::Merge(json!({"data": {name: text}}));
        self.ledgers().patch(&map, &PatchParams::default(), &patch).await.expect("it can be changed");
    }

    fn ledgers(&self) -> Api<ConfigMap> {
        Api::namespaced(self.namespace.client(), self.operator.installation().namespace())
    }
}

/// The Secret with the login of a service, as soon as it holds one.
pub async fn login_in(namespace: &Namespace, service: &str) -> BTreeMap<String, String> {
    let secrets: Api<Secret> = namespace.api();
    let name = format!("{service}-kafka");
    eventually(Duration::from_secs(30), &format!("Secret {name} holds a login"), || async {
        let secret = secrets.get_opt(&name).await.map_err(|error| error.to_string())?;
        let data = secret.and_then(|secret| secret.data).unwrap_or_default();
        let text = |value: Vec<u8>| String::from_utf8(value).expect("it is text");
        let data: BTreeMap<String, String> =
            data.into_iter().map(|(key, value)| (key, text(value.0))).collect();
        if data.contains_key("password") { Ok(data) } else { Err(format!("{:?}", data.keys())) }
    })
    .await
}

/// Writes one message with a login.
pub async fn produces(kafka: &Kafka, login: &BTreeMap<String, String>, topic: &str) -> Tried {
    let client = kafka.client_of(&login["username"], &login["password"]).await.expect("it logs in");
    // Who may write nowhere is told so when the producer is made.
    match client.producer().build().await {
        Ok(producer) => tried(producer.send(Record::new(topic, "hello")).await.map(drop)),
        Err(error) => tried(Err(error)),
    }
}

/// Reads one message with a login.
pub async fn consumes(kafka: &Kafka, login: &BTreeMap<String, String>, topic: &str, group: &str) -> Tried {
    let client = kafka.client_of(&login["username"], &login["password"]).await.expect("it logs in");
    let builder = client.consumer(group).auto_offset_reset(AutoOffsetReset::Earliest);
    let consumer = builder.build().await.expect("a consumer");
    let mut seen = match consumer.subscribe(&[topic]).await {
        Ok(()) => Tried::Nothing,
        refused => tried(refused),
    };
    let start = std::time::Instant::now();
    while seen == Tried::Nothing && start.elapsed() < Duration::from_secs(10) {
        match consumer.poll(Duration::from_millis(500)).await {
            Ok(records) if records.is_empty() => {}
            read => seen = tried(read.map(drop)),
        }
    }
    let _ = consumer.close().await;
    seen
}

fn tried(outcome: krafka::Result<()>) -> Tried {
    match outcome {
        Ok(()) => Tried::Done,
        Err(KrafkaError::Broker {
            code:
                ErrorCode::TopicAuthorizationFailed
                | ErrorCode::GroupAuthorizationFailed
                | ErrorCode::ClusterAuthorizationFailed,
            ..
        }) => Tried::Denied,
        Err(other) => panic!("neither done nor denied: {other:?}"),
    }
}

/// Waits until an attempt ends like this: brokers hear of ACLs a moment after they are made.
pub async fn becomes<F: Future<Output = Tried>>(what: &str, wanted: Tried, attempt: impl Fn() -> F) {
    eventually(Duration::from_secs(20), what, || async {
        let seen = attempt().await;
        if seen == wanted { Ok(()) } else { Err(format!("{seen:?}")) }
    })
    .await;
}
