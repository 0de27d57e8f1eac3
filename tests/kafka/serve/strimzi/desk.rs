//! A shop whose topics and users are made through Strimzi.

use std::sync::OnceLock;
use std::time::Duration;

use kube::ResourceExt;
use kube::api::{Api, DynamicObject};
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use crate::serve::shop::{SECRET, Shop};
use crate::support::strimzi::{self, CLUSTER, Strimzi};
use crate::support::{Cluster, Kafka, Namespace, OperatorOptions, eventually};

/// A shop, and the namespace in which Strimzi works.
pub struct Desk {
    pub shop: Shop,
    pub kafka: &'static Kafka,
    /// Where Strimzi's objects are.
    pub place: Namespace,
    pub strimzi: Strimzi,
    version: &'static str,
}

/// The shared cluster, with Strimzi's definitions in their present version.
pub async fn served() -> &'static Cluster {
    static INSTALLED: OnceCell<()> = OnceCell::const_new();
    let cluster = Cluster::shared();
    INSTALLED.get_or_init(|| async { strimzi::install(&cluster.client().await, "v1").await }).await;
    cluster
}

/// A cluster of its own, without definitions at first.
pub fn bare() -> &'static Cluster {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    CLUSTER.get_or_init(Cluster::own)
}

impl Desk {
    /// Where the definitions are installed, and the operator has a login for the broker.
    pub async fn open(name: &str) -> Self {
        Self::open_with(name, &[], true).await
    }

    /// With further arguments for the operator, and with or without its login.
    pub async fn open_with(name: &str, arguments: &[&str], guarded: bool) -> Self {
        Self::open_on(served().await, "v1", name, arguments, guarded).await
    }

    /// On this cluster, where this version is to be used.
    pub async fn open_on(
        cluster: &'static Cluster,
        version: &'static str,
        name: &str,
        arguments: &[&str],
        guarded: bool,
    ) -> Self {
        let kafka = Kafka::shared().await;
        let place = Namespace::new(cluster, "kafka").await;
        let options = OperatorOptions {
            arguments: arguments.iter().map(|&argument| argument.to_owned()).collect(),
            strimzi: vec![place.name().to_owned()],
            ..OperatorOptions::namespace("")
        };
        let shop = Shop::open_on(cluster, name, kafka, options).await;
        let strimzi = Strimzi::start(&place, kafka, version);
        let desk = Self { shop, kafka, place, strimzi, version };
        desk.describe(guarded, json!({"users": {"mode": "None"}})).await;
        desk
    }

    /// Describes the cluster of the class, with these further fields.
    pub async fn describe(&self, guarded: bool, more: Value) {
        let mut cluster = json!({
            "name": "main", "mode": "Strimzi", "bootstrapServers": self.kafka.sasl(),
            "strimzi": {"namespace": self.place.name(), "cluster": CLUSTER},
        });
        let fields = cluster.as_object_mut().expect("it is one");
        fields.extend(more.as_object().expect("it is one").clone());
        if guarded {
            fields.insert("sasl".to_owned(), json!({"mechanism": "SCRAM-SHA-512", "secretName": SECRET}));
        }
        self.shop.describe_cluster("{namespace}.{name}", cluster).await;
    }

    /// Strimzi's objects of this kind.
    pub fn objects(&self, kind: &str) -> Api<DynamicObject> {
        strimzi::objects(&self.place, self.version, kind)
    }

    /// The KafkaTopic of a topic, if there is one.
    pub async fn object(&self, topic: &str) -> Option<DynamicObject> {
        self.objects("KafkaTopic").get_opt(&self.shop.name(topic)).await.expect("objects can be read")
    }

    /// Waits until the KafkaTopic of a topic is gone.
    pub async fn object_goes(&self, topic: &str) {
        eventually(Duration::from_secs(30), "the KafkaTopic is gone", || async {
            match self.object(topic).await {
                None => Ok(()),
                Some(object) => Err(format!("{:?} {}", object.annotations(), object.data)),
            }
        })
        .await;
    }
}
