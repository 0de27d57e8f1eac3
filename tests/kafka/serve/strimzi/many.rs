//! Many objects, and several clusters and classes at once, through Strimzi.

use std::collections::BTreeSet;
use std::time::Duration;

use kube::ResourceExt;
use kube::api::ListParams;
use microservice_operator::api::Microservice;
use microservice_operator::engine::kafka::{Broker, Direct};
use serde_json::{Value, json};

use super::desk::Desk;
use crate::serve::counter::{Tried, becomes, produces};
use crate::serve::shop::SECRET;
use crate::support::strimzi::{self, CLUSTER, Strimzi};
use crate::support::{Kafka, Namespace, always, apply_as_given, eventually, manifests};

/// Lets the operator of the desk work in this namespace of Strimzi's too.
async fn give_rights(desk: &Desk, place: &Namespace) {
    let own = desk.shop.operator.installation().namespace();
    let rights =
        manifests(&["rbac", "--namespace", own, "--namespaced", own, "--strimzi-namespace", place.name()]);
    for manifest in rights.iter().filter(|manifest| manifest["metadata"]["namespace"] == place.name()) {
        apply_as_given(&place.client(), manifest).await;
    }
}

async fn names(place: &Namespace, kind: &str) -> BTreeSet<String> {
    let list = strimzi::objects(place, "v1", kind).list(&ListParams::default()).await;
    list.expect("objects can be listed").items.iter().map(ResourceExt::name_any).collect()
}

#[tokio::test]
async fn two_clusters_and_two_classes_are_served_beside_each_other() {
    let desk = Desk::open_with("several", &["--api-pace=1s", "--kafka-sweep=2s"], true).await;
    let (shop, other) = (&desk.shop, Kafka::start().await);
    let place = Namespace::new(shop.cluster, "kafka").await;
    give_rights(&desk, &place).await;
    let _strimzi = Strimzi::start(&place, &other, "v1");
    let login = other.settings().login.expect("it logs in");
    shop.secret("other-admin", json!({"username": login.user, "password": login.password})).await;
    let cluster = |name: &str, kafka: &Kafka, place: &Namespace, secret: &str| {
        json!({
            "name": name, "mode": "Strimzi", "bootstrapServers": kafka.sasl(), "users": {"mode": "Managed"},
            "strimzi": {"namespace": place.name(), "cluster": CLUSTER},
            "sasl": {"mechanism": "SCRAM-SHA-512", "secretName": secret},
        })
    };
    let kafka = json!({
        "topicNameTemplate": "{namespace}.{name}",
        "clusters": [
            cluster("main", desk.kafka, &desk.place, SECRET), cluster("other", &other, &place, "other-admin"),
        ],
    });
    shop.describe_kafka(kafka).await;
    // Another class knows the second cluster by another name.
    let second = format!("{}-second", shop.class);
    let class = json!({
        "apiVersion": "microservice.dev/v1alpha1", "kind": "MicroserviceClass", "metadata": {"name": second},
        "spec": {"kafka": {
            "topicNameTemplate": "{namespace}.second.{name}",
            "clusters": [cluster("only", &other, &place, "other-admin")],
        }},
    });
    apply_as_given(&shop.namespace.client(), &class).await;
    let service = |class: &str, kafka: Value| json!({"image": "order:v1", "className": class, "replicas": 1, "kafka": kafka});
    let topics = json!([{"name": "a", "partitions": 1}]);
    shop.namespace
        .microservice("here", service(&shop.class, json!({"cluster": "main", "topics": topics})))
        .await;
    shop.namespace
        .microservice("there", service(&shop.class, json!({"cluster": "other", "topics": topics})))
        .await;
    shop.namespace.microservice("third", service(&second, json!({"topics": topics}))).await;
    for name in ["here", "there", "third"] {
        shop.namespace.wait_ready(name).await;
        shop.namespace.wait_condition(name, "KafkaAccessReady", "True", None).await;
    }
    let (name, third) = (shop.name("a"), format!("{}.second.a", shop.namespace.name()));
    let [here, there, of_third] = ["here", "there", "third"].map(|service| shop.user(service, 'a'));
    assert_eq!(names(&desk.place, "KafkaTopic").await, [name.clone()].into());
    assert_eq!(names(&place, "KafkaTopic").await, [name.clone(), third.clone()].into());
    assert_eq!(names(&desk.place, "KafkaUser").await, [here].into());
    assert_eq!(names(&place, "KafkaUser").await, [there, of_third].into());

    // Of the same name, and each has its own.
    for (service, kafka, topic) in
        [("here", desk.kafka, &name), ("there", &other, &name), ("third", &other, &third)]
    {
        let login = shop.login_of(service).await;
        becomes("each writes on its own cluster", Tried::Done, || produces(kafka, &login, topic)).await;
    }
    let login = shop.login_of("there").await;
    assert_eq!(produces(&other, &login, &third).await, Tried::Denied);

    shop.namespace.delete::<Microservice>("there").await;
    let gone = || async {
        let left = names(&place, "KafkaTopic").await;
        let users = names(&place, "KafkaUser").await;
        if left == [third.clone()].into() && users.len() == 1 {
            Ok(())
        } else {
            Err(format!("{left:?} {users:?}"))
        }
    };
    eventually(Duration::from_secs(60), "what it had is let go there", gone).await;
    let broker = Direct::new(other.settings());
    let described = broker.describe(std::slice::from_ref(&name)).await.expect("the broker answers");
    assert!(described[0].is_ok(), "the topic stays");
    assert_eq!(names(&desk.place, "KafkaTopic").await, [name].into());
    let login = shop.login_of("third").await;
    assert_eq!(produces(&other, &login, &third).await, Tried::Done);
}

#[tokio::test]
async fn two_hundred_topics_of_twenty_objects_are_a_write_each_and_then_none() {
    const OBJECTS: usize = 20;
    const EACH: usize = 10;
    let desk = Desk::open_with("many", &["--kafka-sweep=5s"], true).await;
    let (shop, audit) = (&desk.shop, desk.shop.cluster.audit().await);
    let (mark, who) = (audit.mark().await, shop.operator.user());
    for object in 0..OBJECTS {
        let topic = |number| json!({"name": format!("t{object}-{number}"), "partitions": 1});
        shop.order(&format!("s{object}"), json!((0..EACH).map(topic).collect::<Vec<_>>())).await;
    }
    let api = shop.namespace.api::<Microservice>();
    eventually(Duration::from_secs(180), "all services are ready", || async {
        let list = api.list(&ListParams::default()).await.map_err(|error| error.to_string())?.items;
        let ready = list.iter().filter(|object| crate::serve::shop::is_true(object, "Ready")).count();
        if ready == OBJECTS { Ok(()) } else { Err(format!("{ready} of {OBJECTS}")) }
    })
    .await;
    shop.operator_settles().await;
    let all = audit.since(mark).await.of(&who);
    let (objects, ledger) = (all.writes().resource("kafkatopics"), all.writes().resource("configmaps"));
    assert_eq!(objects.count(), OBJECTS * EACH, "one write makes each");
    assert_eq!(names(&desk.place, "KafkaTopic").await.len(), OBJECTS * EACH);
    // Recorded before it is asked for and again once it is there, many at a time.
    assert!(ledger.count() < OBJECTS * EACH, "{}", ledger.count());

    let mark = audit.mark().await;
    let writes = || async {
        let writes = audit.since(mark).await.of(&who).writes();
        if writes.count() == 0 { Ok(()) } else { Err(writes.to_string()) }
    };
    always(Duration::from_secs(11), "nothing is written while two sweeps go by", writes).await;
    let reads = audit.since(mark).await.of(&who).reads();
    assert!(reads.count() < 20, "what is watched is not read again: {reads}");
}
