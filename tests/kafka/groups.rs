//! Which groups read a topic: it must not be deleted under them.

use std::collections::HashMap;
use std::time::Duration;

use krafka::admin::{CreateTopicsOptions, NewTopic as WireTopic};
use krafka::consumer::{AutoOffsetReset, Consumer, GroupProtocol};
use microservice_operator::engine::kafka::{Broker, Direct};
use microservice_operator::kafka::model::{Group, NewTopic};

use crate::fixtures::{create, direct, plain, produce, unique};
use crate::support::{Kafka, eventually};

/// Both protocols of consumer groups: the old one, and the one of Kafka 4.
const PROTOCOLS: [GroupProtocol; 2] = [GroupProtocol::Classic, GroupProtocol::Consumer];

#[tokio::test]
async fn a_group_is_active_while_a_consumer_reads_and_remembered_after_it_has_gone() {
    let kafka = Kafka::shared().await;
    let broker = direct(kafka);
    for protocol in PROTOCOLS {
        let (topic, other, group) = (unique("read"), unique("other"), unique("readers"));
        create(&broker, &[plain(&topic), plain(&other)]).await;
        told(&broker, &topic, &[]).await;

        produce(kafka, &topic).await;
        let consumer = reader(kafka, &topic, &group, protocol).await;
        let active = Group { id: group.clone(), active: true };
        told(&broker, &topic, &[active]).await;
        told(&broker, &other, &[]).await;

        consumer.commit().await.expect("it commits");
        consumer.close().await.expect("it leaves");
        told(&broker, &topic, &[Group { id: group, active: false }]).await;
    }
}

/// The client connects while a broker is away. A group that this broker looks after later is seen like any
/// other: a topic must not be deleted under it.
#[tokio::test]
async fn a_group_at_a_broker_that_joined_after_the_client_connected_is_seen() {
    let mut kafka = Kafka::incomplete(3).await;
    let broker = direct(&kafka);
    let (topic, group) = (unique("late"), unique("readers"));
    create(&broker, &[NewTopic { replication_factor: Some(2), ..plain(&topic) }]).await;
    told(&broker, &topic, &[]).await;

    kafka.revive(2).await;
    // All groups are where this topic's only partition is led: at the broker that has just joined.
    let admin = kafka.client().await.expect("the brokers answer").admin();
    let offsets = WireTopic::with_replica_assignment("__consumer_offsets", HashMap::from([(0, vec![3])]));
    let offsets = offsets.expect("an assignment");
    let created = admin.create_topics([offsets], CreateTopicsOptions::default()).await;
    created.expect("the controller answers").into_values().for_each(|one| one.expect("it is created"));
    produce(&kafka, &topic).await;
    let consumer = reader(&kafka, &topic, &group, GroupProtocol::Classic).await;
    told(&broker, &topic, &[Group { id: group, active: true }]).await;
    consumer.close().await.expect("it leaves");
}

/// A consumer of this group that has read the message in the topic.
async fn reader(kafka: &Kafka, topic: &str, group: &str, protocol: GroupProtocol) -> Consumer {
    let client = kafka.client().await.expect("the broker answers");
    let builder = client.consumer(group).group_protocol(protocol);
    let consumer = builder.auto_offset_reset(AutoOffsetReset::Earliest).build().await.expect("a consumer");
    consumer.subscribe(&[topic]).await.expect("it subscribes");
    eventually(Duration::from_secs(30), "the message is read", || async {
        let records = consumer.poll(Duration::from_millis(500)).await.map_err(|error| error.to_string())?;
        if records.is_empty() { Err("nothing yet".to_owned()) } else { Ok(()) }
    })
    .await;
    consumer
}

/// Waits until exactly these groups are told of the topic. All groups of the broker are asked, those of other
/// tests too, and one that moves just now has no answer.
async fn told(broker: &Direct, topic: &str, wanted: &[Group]) {
    eventually(Duration::from_secs(20), &format!("{wanted:?} read {topic}"), || async {
        let groups = broker.groups(topic).await.map_err(|error| error.to_string())?;
        if groups == wanted { Ok(()) } else { Err(format!("{groups:?}")) }
    })
    .await;
}

/// Share groups read without owning partitions, and keep their own kind of offsets.
#[tokio::test]
async fn a_share_group_is_seen_like_any_other() {
    let kafka = Kafka::shared().await;
    let broker = direct(kafka);
    let (topic, group) = (unique("shared"), unique("sharers"));
    create(&broker, &[plain(&topic)]).await;
    let client = kafka.client().await.expect("the broker answers");
    let consumer = client.share_consumer(&group).build().await.expect("a consumer");
    consumer.subscribe(&[&topic]).await.expect("it subscribes");
    let seen = |active| [Group { id: group.clone(), active }];
    eventually(Duration::from_secs(20), "the group reads", || async {
        consumer.poll(Duration::from_millis(100)).await.map_err(|error| error.to_string())?;
        let groups = broker.groups(&topic).await.map_err(|error| error.to_string())?;
        if groups == seen(true) { Ok(()) } else { Err(format!("{groups:?}")) }
    })
    .await;
    consumer.close().await.expect("it leaves");
    told(&broker, &topic, &seen(false)).await;
}
