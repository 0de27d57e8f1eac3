use super::super::samples::*;
use super::*;
use crate::api::MicroserviceStatus;
use crate::api::kafka::{Kafka, Topic as Described};
use crate::intent::kafka::{ClusterIntent, Consent, ModeIntent, UsersIntent};
use crate::kafka::model::Topic;
use crate::kafka::topic::Owner;

fn intent_of(names: &[&str]) -> KafkaIntent {
    let topic = |name: &&str| TopicIntent {
        name: (*name).to_owned(),
        physical_name: format!("shop.{name}"),
        partitions: None,
        initial_partitions: None,
        replication_factor: None,
        initial_replication_factor: None,
        config: Default::default(),
        deletion_policy: Default::default(),
        management_policy: Default::default(),
        producers: Consent::OwnNamespace,
        consumers: Consent::OwnNamespace,
    };
    KafkaIntent {
        cluster: ClusterIntent {
            name: "main".to_owned(),
            bootstrap_servers: vec!["kafka:9092".to_owned()],
            security_protocol: "PLAINTEXT",
            mode: ModeIntent::Direct,
            users: UsersIntent::None,
            acls: false,
        },
        topics: names.iter().map(topic).collect(),
        produces: Vec::new(),
        consumes: Vec::new(),
        application_id: None,
    }
}

/// A service that runs, with these topics of which nothing is known yet.
fn world(names: &[&str]) -> World {
    let mut world = World::new();
    world.intent().kafka = Some(Box::new(intent_of(names)));
    let described = names.iter().map(|name| Described { name: (*name).to_owned(), ..Described::default() });
    world.object.spec.kafka = Some(Box::new(Kafka { topics: Some(described.collect()), ..Kafka::default() }));
    world
}

fn live(name: &str) -> Topic {
    Topic {
        name: name.to_owned(),
        id: format!("id-{name}"),
        partitions: 3,
        replication_factor: 1,
        ..Topic::default()
    }
}

fn good(name: &str) -> TopicView {
    let name = format!("shop.{name}");
    TopicView { topic: Some(live(&name)), name, compared: true, ..TopicView::default() }
}

fn hindered(name: &str, obstacle: Obstacle) -> TopicView {
    TopicView { obstacles: vec![obstacle], ..good(name) }
}

fn refused(name: &str, reason: Reason, lasting: bool) -> TopicView {
    let trouble = Some(Trouble { reason, text: "the broker's words".to_owned(), lasting });
    TopicView { name: format!("shop.{name}"), trouble, ..TopicView::default() }
}

/// Status, reason and message of a condition.
fn told(status: &MicroserviceStatus, type_: &str) -> Option<(String, String, String)> {
    let found = find(&status.conditions, type_)?;
    Some((found.status.clone(), found.reason.clone(), found.message.clone()))
}

fn short(status: &MicroserviceStatus, type_: &str) -> String {
    told(status, type_).map_or("absent".to_owned(), |(status, reason, _)| format!("{status} {reason}"))
}

#[test]
fn a_new_topic_is_waited_for_and_then_the_service_is_ready() {
    let mut world = world(&["a", "b"]);
    let status = world.step();
    assert_eq!(short(&status, "TopicsReady"), "False WaitingForOwnTopic");
    assert_eq!(short(&status, "Ready"), "False WaitingForOwnTopic");
    assert_eq!(short(&status, "Reconciling"), "True WaitingForOwnTopic");
    assert_eq!(short(&status, "Available"), "True Available", "pods never wait for a topic");

    world.topics = vec![good("a"), good("b")];
    let status = world.step();
    assert_eq!(short(&status, "TopicsReady"), "True TopicsReady");
    assert_eq!(short(&status, "Ready"), "True Ready");
    assert_eq!(short(&status, "Reconciling"), "absent");
    assert_eq!(status.topics.len(), 2);
    assert_eq!((status.topics[0].id.as_deref(), status.topics[0].partitions), (Some("id-shop.a"), Some(3)));
    assert_eq!(world.step(), status, "nothing new, nothing written");
}

#[test]
fn what_was_known_stands_until_the_cluster_says_otherwise() {
    let mut world = world(&["a"]);
    world.topics = vec![good("a")];
    let status = world.step();
    // A restart, and an outage of a moment.
    for views in [vec![], vec![refused("a", Reason::BrokerUnreachable, false)]] {
        world.topics = views;
        assert_eq!(world.step(), status);
    }
    world.topics = vec![refused("a", Reason::BrokerUnreachable, true)];
    let away = world.step();
    assert_eq!(short(&away, "TopicsReady"), "Unknown BrokerUnreachable");
    assert_eq!(short(&away, "Ready"), "True Ready", "it was there once");
    assert_eq!(away.topics[0].id, status.topics[0].id);
    // A restart in the middle of it.
    world.topics = vec![];
    assert_eq!(world.step(), away);
    world.topics = vec![good("a")];
    assert_eq!(short(&world.step(), "TopicsReady"), "True TopicsReady");
}

#[test]
fn a_topic_that_was_never_seen_says_at_once_that_no_broker_answers() {
    let mut world = world(&["a"]);
    world.topics = vec![];
    assert!(told(&world.step(), "TopicsReady").unwrap().2.contains("it is being created"));
    world.topics = vec![refused("a", Reason::BrokerUnreachable, false)];
    let (_, reason, message) = told(&world.step(), "TopicsReady").unwrap();
    assert_eq!(reason, "WaitingForOwnTopic");
    assert!(message.contains("the broker's words") && message.contains("bootstrapServers"), "{message}");
}

#[test]
fn a_new_generation_is_not_ready_before_it_was_compared() {
    let mut world = world(&["a"]);
    world.topics = vec![good("a")];
    world.step();
    world.object.metadata.generation = Some(3);
    world.topics = vec![TopicView { compared: false, ..good("a") }];
    let status = world.step();
    assert_eq!(short(&status, "TopicsReady"), "False Progressing");
    assert_eq!(short(&status, "Ready"), "True Ready");
    assert_eq!(world.step(), status);
    world.topics = vec![good("a")];
    assert_eq!(short(&world.step(), "TopicsReady"), "True TopicsReady");
}

#[test]
fn every_obstacle_has_its_reason_and_names_topic_and_fix() {
    let owner = Owner { namespace: "bank".to_owned(), name: "ledger".to_owned(), uid: "u".to_owned() };
    let table = [
        (Obstacle::OwnedBy(owner), "TopicConflict", "Microservice bank/ledger"),
        (Obstacle::ExistsUnmanaged, "TopicExists", "set managementPolicy: Adopt"),
        (Obstacle::OnOtherCluster("id2".to_owned()), "TopicMoveRefused", "id id2"),
        (Obstacle::Blind, "GuardsLimited", "add a login"),
        (Obstacle::Absent, "WaitingForTopic", "set Manage"),
        (
            Obstacle::PartitionDecrease { wanted: 1, has: 3 },
            "PartitionDecreaseRefused",
            "set partitions to 3",
        ),
        (
            Obstacle::CompactedGrowth { wanted: 9, has: 3 },
            "PartitionIncreaseUnconfirmed",
            "microservice.dev/confirm-partitions: shop.a",
        ),
        (
            Obstacle::ReplicationChange { wanted: 3, has: 1 },
            "ReplicationChangeRefused",
            "set replicationFactor to 1",
        ),
    ];
    for (obstacle, reason, fix) in table {
        let mut world = world(&["b", "a"]);
        world.topics = vec![good("b"), hindered("a", obstacle.clone())];
        let (status, told, message) = told(&world.step(), "TopicsReady").unwrap();
        assert_eq!((status.as_str(), told.as_str()), ("False", reason), "{obstacle:?}");
        assert!(message.starts_with("Topic \"shop.a\": ") && message.contains(fix), "{message}");
        assert!(!message.contains("shop.b"), "{message}");
    }
}

#[test]
fn every_refusal_has_its_reason_and_what_to_do() {
    let table = [
        (Reason::BrokerUnreachable, "bootstrapServers", "Reconciling"),
        (Reason::LoginRefused, "the Secret with the operator's login", "Reconciling"),
        (Reason::ClusterSecretMissing, "the Secret with the operator's login", "Reconciling"),
        (Reason::TlsRefused, "certificate authorities", "Reconciling"),
        (Reason::NotAuthorized, "the right on topic \"shop.a\"", "Reconciling"),
        (Reason::TopicNameRefused, "use another name", "Stalled"),
        (Reason::ReplicationImpossible, "lower replicationFactor", "Reconciling"),
        (Reason::TopicConfigRefused, "correct the fields", "Stalled"),
        (Reason::TopicPolicyViolation, "follow the policy", "Stalled"),
        (Reason::ApiNotServed, "installs Strimzi's definitions", "Reconciling"),
        (Reason::Forbidden, "rbac --strimzi-namespace", "Reconciling"),
        (Reason::StrimziNotRunning, "starts Strimzi's operators", "Reconciling"),
        (Reason::StrimziRefused, "correct what is named here", "Stalled"),
        (Reason::Conflict, "which is not the operator's", "Stalled"),
    ];
    for (reason, fix, progress) in table {
        let mut world = world(&["a"]);
        world.topics = vec![refused("a", reason, true)];
        let status = world.step();
        let (truth, told, message) = told(&status, "TopicsReady").unwrap();
        assert_eq!((truth.as_str(), told.as_str()), ("False", reason.as_str()));
        assert!(message.contains("shop.a") && message.contains(fix), "{message}");
        assert!(message.contains("the broker's words"), "{message}");
        assert_eq!(short(&status, "Ready"), format!("False {}", reason.as_str()));
        assert_eq!(short(&status, progress), format!("True {}", reason.as_str()), "{reason:?}");
    }
}

#[test]
fn the_worst_topic_gives_the_reason_and_all_are_named() {
    let mut world = world(&["a", "b", "c"]);
    world.topics = vec![
        refused("a", Reason::BrokerUnreachable, false),
        hindered("b", Obstacle::PartitionDecrease { wanted: 1, has: 3 }),
        good("c"),
    ];
    let (_, reason, message) = told(&world.step(), "TopicsReady").unwrap();
    assert_eq!(reason, "PartitionDecreaseRefused");
    assert!(
        message.contains("shop.a") && message.contains("shop.b") && !message.contains("shop.c"),
        "{message}"
    );
}

#[test]
fn without_topics_there_is_no_condition_and_a_refused_spec_keeps_it() {
    let mut world = world(&["a"]);
    world.topics = vec![good("a")];
    let status = world.step();
    world.intent = Err(vec![violation(Reason::InvalidSpec)]);
    let invalid = world.step();
    assert_eq!(told(&invalid, "TopicsReady"), told(&status, "TopicsReady"));
    assert_eq!(invalid.topics, status.topics);

    let mut plain = World::new();
    plain.object.status = Some(status);
    let plain = plain.step();
    assert_eq!((short(&plain, "TopicsReady"), plain.topics), ("absent".to_owned(), vec![]));
}

#[test]
fn suspended_topics_are_told_as_they_were() {
    let mut world = world(&["a"]);
    world.topics = vec![good("a")];
    let status = world.step();
    world.object.spec.suspend = true;
    world.topics = vec![];
    let suspended = world.step();
    assert_eq!(suspended.topics, status.topics);
    assert_eq!(short(&suspended, "TopicsReady"), "True TopicsReady");
}
