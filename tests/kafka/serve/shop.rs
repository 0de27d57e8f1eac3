//! A namespace with an operator, a class that names a broker, and short ways to look at both sides.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use k8s_openapi::api::events::v1::Event;
use kube::api::{Api, ListParams};
use microservice_operator::api::Microservice;
use microservice_operator::engine::kafka::{Broker, BrokerError, Direct, Settings};
use microservice_operator::kafka::ledger;
use microservice_operator::kafka::model::Topic;
use microservice_operator::kafka::topic::Recorded;
use serde_json::{Value, json};

use crate::fixtures::settles;
use crate::support::{Cluster, Kafka, Namespace, Operator, OperatorOptions, apply_as_given, eventually};

/// Name of the Secret with the operator's login.
pub const SECRET: &str = "kafka-admin";

/// All that a test of served topics needs.
pub struct Shop {
    pub cluster: &'static Cluster,
    pub namespace: Namespace,
    pub operator: Operator,
    /// The class of its services.
    pub class: String,
    /// A client of the test's own.
    pub broker: Direct,
    cluster_id: String,
}

/// Status and message of a condition, if it is there.
pub fn told<'a>(object: &'a Microservice, condition: &str) -> Option<(&'a str, &'a str)> {
    let conditions = object.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    let found = conditions.iter().find(|c| c.type_ == condition)?;
    Some((found.status.as_str(), found.message.as_str()))
}

/// The message of a condition that is there.
pub fn message<'a>(object: &'a Microservice, condition: &str) -> &'a str {
    told(object, condition).expect("the condition is there").1
}

/// Whether a condition is True.
pub fn is_true(object: &Microservice, condition: &str) -> bool {
    told(object, condition).is_some_and(|(status, _)| status == "True")
}

/// How a class reaches a broker without TLS, with the operator's usual login.
pub fn reached(kafka: &Kafka) -> Value {
    json!({
        "name": "main", "bootstrapServers": kafka.sasl(),
        "sasl": {"mechanism": "SCRAM-SHA-512", "secretName": SECRET},
    })
}

impl Shop {
    /// On the broker that all tests share.
    pub async fn open(name: &str) -> Self {
        Self::open_with(name, Kafka::shared().await, &[]).await
    }

    /// On this broker, with further arguments for the operator.
    pub async fn open_with(name: &str, kafka: &Kafka, arguments: &[&str]) -> Self {
        Self::open_beside(name, kafka, arguments, None).await
    }

    /// The same with a second namespace that the operator serves too.
    pub async fn open_beside(
        name: &str,
        kafka: &Kafka,
        arguments: &[&str],
        neighbour: Option<&Namespace>,
    ) -> Self {
        let options = OperatorOptions {
            namespaces: neighbour.map(|neighbour| neighbour.name().to_owned()).into_iter().collect(),
            arguments: arguments.iter().map(|&argument| argument.to_owned()).collect(),
            ..OperatorOptions::namespace("")
        };
        let shop = Self::open_on(Cluster::shared(), name, kafka, options).await;
        shop.describe_class(&kafka.sasl(), "{namespace}.{name}", "None").await;
        shop
    }

    /// On this control plane, with the operator's Secret and without a class; the operator serves the own
    /// namespace too.
    pub async fn open_on(
        cluster: &'static Cluster,
        name: &str,
        kafka: &Kafka,
        options: OperatorOptions,
    ) -> Self {
        let namespace = Namespace::new(cluster, name).await;
        let mut namespaces = vec![namespace.name().to_owned()];
        namespaces.extend(options.namespaces.into_iter().filter(|name| !name.is_empty()));
        let operator = Operator::start(cluster, OperatorOptions { namespaces, ..options }).await;
        let class = namespace.name().to_owned();
        let shop = Self {
            cluster,
            namespace,
            operator,
            class,
            broker: Direct::new(kafka.settings()),
            cluster_id: kafka.id().to_owned(),
        };
        shop.login(&kafka.settings()).await;
        shop
    }

    /// Writes the Secret with the operator's login.
    pub async fn login(&self, settings: &Settings) {
        let login = settings.login.as_ref().expect("it logs in");
        self.secret(SECRET, json!({"username": login.user, "password": login.password})).await;
    }

    /// Writes a Secret of the operator's namespace.
    pub async fn secret(&self, name: &str, data: Value) {
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret",
            "metadata": {"name": name, "namespace": self.operator.installation().namespace()},
            "stringData": data,
        });
        apply_as_given(&self.namespace.client(), &secret).await;
    }

    /// Takes the Secret away.
    pub async fn log_out(&self) {
        let secrets: Api<Secret> =
            Api::namespaced(self.namespace.client(), self.operator.installation().namespace());
        secrets.delete(SECRET, &Default::default()).await.expect("the Secret can be deleted");
    }

    /// Gives the topics of the class other names.
    pub async fn rename_topics(&self, template: &str) {
        let kafka = Kafka::shared().await;
        self.describe_class(&kafka.sasl(), template, "None").await;
    }

    /// Has the services of the class log in.
    pub async fn give_users(&self) {
        self.give_users_of(Kafka::shared().await).await;
    }

    /// The same on a broker of its own.
    pub async fn give_users_of(&self, kafka: &Kafka) {
        self.describe_class(&kafka.sasl(), "{namespace}.{name}", "Managed").await;
    }

    async fn describe_class(&self, bootstrap: &[String], template: &str, users: &str) {
        self.describe_cluster(
            template,
            json!({
                "name": "main", "bootstrapServers": bootstrap,
                "sasl": {"mechanism": "SCRAM-SHA-512", "secretName": SECRET},
                "users": {"mode": users},
            }),
        )
        .await;
    }

    /// Gives the class this cluster.
    pub async fn describe_cluster(&self, template: &str, cluster: Value) {
        self.describe_kafka(json!({
            "topicNameTemplate": template,
            "clusters": [cluster],
            "allowedConfig": ["compression.type"],
            "defaults": {"partitions": 3},
        }))
        .await;
    }

    /// Gives the class this section `kafka`.
    pub async fn describe_kafka(&self, kafka: Value) {
        let class = json!({
            "apiVersion": "microservice.dev/v1alpha1", "kind": "MicroserviceClass",
            "metadata": {"name": self.class}, "spec": {"kafka": kafka},
        });
        apply_as_given(&self.namespace.client(), &class).await;
    }

    /// Applies a service with these topics.
    pub async fn order(&self, name: &str, topics: Value) {
        self.order_with(name, topics, json!({})).await;
    }

    /// The same with annotations.
    pub async fn order_with(&self, name: &str, topics: Value, annotations: Value) {
        let spec =
            json!({"image": "order:v1", "className": self.class, "replicas": 1, "kafka": {"topics": topics}});
        self.namespace
            .apply(json!({
                "apiVersion": "microservice.dev/v1alpha1", "kind": "Microservice",
                "metadata": {"name": name, "annotations": annotations}, "spec": spec,
            }))
            .await;
    }

    /// Name on the broker.
    pub fn name(&self, topic: &str) -> String {
        format!("{}.{topic}", self.namespace.name())
    }

    /// A topic as the broker has it.
    pub async fn topic(&self, topic: &str) -> Option<Topic> {
        let names = [self.name(topic)];
        match self.broker.describe(&names).await.expect("the broker answers").remove(0) {
            Ok(topic) => Some(topic),
            Err(BrokerError::Missing) => None,
            Err(error) => panic!("{error}"),
        }
    }

    /// Waits until the topic is as wanted.
    pub async fn settles(&self, topic: &str, what: &str, wanted: impl Fn(&Topic) -> bool) -> Topic {
        settles(&self.broker, &self.name(topic), what, wanted).await
    }

    /// Deletes a topic behind the operator's back, which may have made another one at once.
    pub async fn delete_topic(&self, topic: &str) {
        let before = self.topic(topic).await.expect("it is there").id;
        let names = [self.name(topic)];
        self.broker.delete(&names).await.expect("the broker answers").remove(0).expect("it can be deleted");
        eventually(Duration::from_secs(30), "the topic is gone", || async {
            let same = self.topic(topic).await.filter(|found| found.id == before);
            same.map_or(Ok(()), |_| Err("it is there"))
        })
        .await;
    }

    /// The record of a topic in the ledger.
    pub async fn record(&self, topic: &str) -> Option<Recorded> {
        let maps: Api<ConfigMap> =
            Api::namespaced(self.namespace.client(), self.operator.installation().namespace());
        let name = self.name(topic);
        let map = ledger::object_name::<Recorded>(&self.cluster_id, ledger::shard(&name));
        let map = maps.get_opt(&map).await.expect("ConfigMaps can be read")?;
        let (mut records, unreadable) = ledger::records(&map.data.unwrap_or_default());
        assert_eq!(unreadable, Vec::<String>::new());
        records.remove(&name)
    }

    /// The note of an Event about a service, as soon as there is one.
    pub async fn event(&self, service: &str, reason: &str) -> String {
        eventually(Duration::from_secs(20), &format!("there is an Event {reason}"), || async {
            let events = self.events(service).await;
            events.get(reason).cloned().ok_or(format!("{events:?}"))
        })
        .await
    }

    /// All Events about a service, note by reason.
    pub async fn events(&self, service: &str) -> BTreeMap<String, String> {
        let all = self.namespace.api::<Event>().list(&ListParams::default()).await;
        let mine = all.expect("Events can be listed").items.into_iter().filter(|event| {
            event.regarding.as_ref().and_then(|object| object.name.as_deref()) == Some(service)
        });
        mine.map(|event| (event.reason.unwrap_or_default(), event.note.unwrap_or_default())).collect()
    }

    /// Waits until no object is written any more: their versions stay for longer than the second for which
    /// the operator keeps back a status that tells of progress alone.
    pub async fn operator_settles(&self) {
        let api = self.namespace.api::<Microservice>();
        let versions = || async {
            let all = api.list(&ListParams::default()).await.expect("Microservices can be listed").items;
            all.into_iter().map(|object| object.metadata.resource_version).collect::<Vec<_>>()
        };
        let mut last = versions().await;
        loop {
            tokio::time::sleep(Duration::from_millis(2500)).await;
            let now = versions().await;
            if now == last {
                return;
            }
            last = now;
        }
    }
}
