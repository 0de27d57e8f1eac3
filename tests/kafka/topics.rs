//! Topics: create, describe, grow, alter, delete; one bad item never fails its neighbours.

use microservice_operator::engine::kafka::{Broker, BrokerError, Direct};
use microservice_operator::kafka::model::{ConfigChange, NewTopic};

use crate::fixtures::{
    all_ok, config, create, described, direct, goes, kind, kinds, plain, settles, shows, unique,
};
use crate::support::Kafka;

async fn broker() -> Direct {
    direct(Kafka::shared().await)
}

#[tokio::test]
async fn asking_whether_a_topic_could_be_created_creates_nothing() {
    let broker = broker().await;
    let name = unique("asked");
    let good = NewTopic { partitions: Some(3), ..plain(&name) };
    let bad = NewTopic { config: config(&[("no.such.key", "1".to_owned())]), ..plain(&unique("asked")) };
    let results = broker.create(&[good.clone(), bad], true).await.expect("the broker answers");
    assert_eq!(kinds(&results), ["Ok", "InvalidConfig"]);
    let seen = broker.describe(std::slice::from_ref(&name)).await.expect("the broker answers");
    assert_eq!(seen, [Err(BrokerError::Missing)]);
    create(&broker, &[good]).await;
}

#[tokio::test]
async fn a_created_topic_is_described_as_it_was_wanted() {
    let broker = broker().await;
    let own = config(&[("retention.ms", "86400000".to_owned()), ("cleanup.policy", "compact,delete".into())]);
    let wanted = NewTopic {
        partitions: Some(6),
        replication_factor: Some(1),
        config: own.clone(),
        ..plain(&unique("order-events"))
    };
    let topics = create(&broker, &[wanted.clone(), plain(&unique("defaults"))]).await;
    assert_eq!((topics[0].name.as_str(), topics[0].partitions), (wanted.name.as_str(), 6));
    assert_eq!((topics[0].replication_factor, &topics[0].config), (1, &own), "defaults are not in it");
    assert_eq!(topics[0].id.len(), 22, "an id as Kafka prints it: {}", topics[0].id);
    assert_ne!(topics[0].id, topics[1].id);
    assert_eq!((topics[1].partitions, topics[1].config.len()), (2, 0), "num.partitions of the broker");
}

#[tokio::test]
async fn a_topic_that_is_made_again_has_another_id() {
    let broker = broker().await;
    let name = unique("again");
    let first = create(&broker, &[plain(&name)]).await.remove(0);
    all_ok(broker.delete(std::slice::from_ref(&name)).await.expect("the broker answers"));
    goes(&broker, &name).await;
    let second = create(&broker, &[plain(&name)]).await.remove(0);
    assert_ne!(first.id, second.id);
}

#[tokio::test]
async fn of_one_call_the_bad_topics_are_refused_each_for_its_reason_and_the_good_ones_are_made() {
    let broker = broker().await;
    let (there, good, last) = (unique("there"), unique("good"), unique("last"));
    let dotted = unique("a.b");
    create(&broker, &[plain(&there), plain(&dotted)]).await;
    let with = |pairs: &[(&str, &str)]| {
        let pairs: Vec<(&str, String)> =
            pairs.iter().map(|(key, value)| (*key, (*value).to_owned())).collect();
        NewTopic { config: config(&pairs), ..plain(&unique("configured")) }
    };
    let replicated = |factor| NewTopic { replication_factor: Some(factor), ..plain(&unique("replicated")) };
    let cases = [
        (plain(&good), "Ok"),
        (plain(&there), "Exists"),
        (plain(&dotted.replace('.', "_")), "InvalidName"),
        (plain(&"x".repeat(250)), "InvalidName"),
        (plain(".."), "InvalidName"),
        (plain("."), "InvalidName"),
        (plain(""), "InvalidName"),
        (plain("white space"), "InvalidName"),
        (plain("a/b"), "InvalidName"),
        (plain("größe"), "InvalidName"),
        (replicated(2), "InvalidReplication"),
        (replicated(0), "InvalidReplication"),
        (NewTopic { partitions: Some(0), ..plain(&unique("none")) }, "InvalidPartitions"),
        (NewTopic { partitions: Some(-3), ..plain(&unique("negative")) }, "InvalidPartitions"),
        (with(&[("no.such.key", "1")]), "InvalidConfig"),
        (with(&[("retention.ms", "long")]), "InvalidConfig"),
        (with(&[("retention.ms", "99999999999999999999")]), "InvalidConfig"),
        (with(&[("retention.ms", "1000")]), "Ok"),
        (plain(&last), "Ok"),
    ];
    let topics: Vec<NewTopic> = cases.iter().map(|(topic, _)| topic.clone()).collect();
    let before = broker.requests();
    let results = broker.create(&topics, false).await.expect("the broker answers");
    let wanted: Vec<&str> = cases.iter().map(|(_, kind)| *kind).collect();
    assert_eq!(kinds(&results), wanted, "{results:#?}");
    assert_eq!(broker.requests() - before, 1, "one request for all");
    shows(results[2].as_ref().unwrap_err(), &dotted);
    shows(results[14].as_ref().unwrap_err(), "no.such.key");
    described(&broker, &[good, last]).await;
}

#[tokio::test]
async fn a_topic_named_twice_is_made_once_and_a_contradiction_is_refused() {
    let broker = broker().await;
    let name = unique("twice");
    let other = NewTopic { partitions: Some(5), ..plain(&name) };
    let results =
        broker.create(&[plain(&name), plain(&name), other], false).await.expect("the broker answers");
    assert_eq!(kinds(&results), ["Ok", "Ok", "Other"]);
    shows(results[2].as_ref().unwrap_err(), &name);
    assert_eq!(described(&broker, &[name]).await[0].partitions, 2);
}

#[tokio::test]
async fn partitions_grow_and_never_shrink() {
    let broker = broker().await;
    let (grown, kept) = (unique("grown"), unique("kept"));
    let topics = create(&broker, &[plain(&grown), plain(&kept)]).await;
    let totals = [(grown.clone(), 4), (kept.clone(), 1), (unique("missing"), 3)];
    let results = broker.grow(&totals).await.expect("the broker answers");
    assert_eq!(kinds(&results), ["Ok", "InvalidPartitions", "Missing"]);
    let topic = settles(&broker, &grown, "there are four partitions", |topic| topic.partitions == 4).await;
    assert_eq!(topic.id, topics[0].id, "the same topic");
    assert_eq!(described(&broker, &[kept]).await[0].partitions, 2);
}

#[tokio::test]
async fn altering_sets_and_resets_single_keys_and_leaves_foreign_ones() {
    let broker = broker().await;
    let name = unique("altered");
    let made = config(&[("retention.ms", "1000".to_owned()), ("segment.bytes", "2000000".into())]);
    create(&broker, &[NewTopic { config: made, ..plain(&name) }]).await;
    let change = |topic: &str, keys: &[(&str, Option<&str>)]| ConfigChange {
        topic: topic.to_owned(),
        keys: keys.iter().map(|(key, value)| ((*key).to_owned(), value.map(str::to_owned))).collect(),
    };
    let changes = [
        change(&name, &[("retention.ms", None), ("max.message.bytes", Some("4096"))]),
        change(&unique("missing"), &[("retention.ms", Some("1"))]),
    ];
    let results = broker.alter(&changes).await.expect("the broker answers");
    assert_eq!(kinds(&results), ["Ok", "Missing"]);
    let wanted = config(&[("max.message.bytes", "4096".to_owned()), ("segment.bytes", "2000000".into())]);
    settles(&broker, &name, "one is set, one reset, one left", |topic| topic.config == wanted).await;

    for bad in [("no.such.key", Some("1")), ("retention.ms", Some("soon"))] {
        let results = broker.alter(&[change(&name, &[bad])]).await.expect("the broker answers");
        assert_eq!(kind(&results[0]), "InvalidConfig", "{bad:?}");
    }
    let after = described(&broker, &[name]).await.remove(0);
    assert_eq!(after.config, wanted, "a refused change changes nothing");
}

#[tokio::test]
async fn what_is_not_there_is_missing_and_the_rest_is_described_and_deleted() {
    let broker = broker().await;
    let (there, missing) = (unique("there"), unique("missing"));
    create(&broker, &[plain(&there)]).await;
    let names = [missing.clone(), there.clone(), "not a name".to_owned()];
    let seen = broker.describe(&names).await.expect("the broker answers");
    assert_eq!(kinds(&seen), ["Missing", "Ok", "InvalidName"]);
    let results = broker.delete(&names).await.expect("the broker answers");
    assert_eq!(kinds(&results), ["Missing", "Ok", "InvalidName"]);
    goes(&broker, &there).await;
}

#[tokio::test]
async fn the_id_of_the_cluster_is_its_own() {
    let kafka = Kafka::shared().await;
    let id = direct(kafka).cluster_id().await.expect("the broker answers");
    assert_eq!(id, kafka.id());
}
