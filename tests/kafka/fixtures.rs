//! What the tests need again and again.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use krafka::producer::Record;
use microservice_operator::engine::kafka::{Broker, BrokerError, Direct, Results};
use microservice_operator::kafka::model::{NewTopic, Topic};

use crate::support::{Kafka, eventually};

/// How long a call may take: its deadline of 12 seconds, and as much again for a machine under load.
pub const BOUND: Duration = Duration::from_secs(25);

/// The client as the operator has it: TLS and SCRAM.
pub fn direct(kafka: &Kafka) -> Direct {
    Direct::new(kafka.settings())
}

/// A name that no other test has.
pub fn unique(name: &str) -> String {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    format!("{name}-{}", NUMBER.fetch_add(1, Ordering::Relaxed))
}

/// A topic with what the broker has as defaults.
pub fn plain(name: &str) -> NewTopic {
    NewTopic { name: name.to_owned(), ..NewTopic::default() }
}

/// Configuration from pairs.
pub fn config<V: Clone>(pairs: &[(&str, V)]) -> BTreeMap<String, V> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect()
}

/// Creates topics, and waits until they can be described.
pub async fn create(direct: &Direct, topics: &[NewTopic]) -> Vec<Topic> {
    all_ok(direct.create(topics, false).await.expect("the broker answers"));
    let names: Vec<String> = topics.iter().map(|topic| topic.name.clone()).collect();
    described(direct, &names).await
}

/// The topics, as soon as the broker has heard of all of them.
pub async fn described(direct: &Direct, names: &[String]) -> Vec<Topic> {
    eventually(Duration::from_secs(30), "the topics are described", || async {
        let topics = direct.describe(names).await?;
        topics.into_iter().collect::<Result<Vec<_>, _>>()
    })
    .await
}

/// Waits until one topic is described as wanted: a broker hears of a change a moment after it is made.
pub async fn settles(direct: &Direct, name: &str, what: &str, wanted: impl Fn(&Topic) -> bool) -> Topic {
    eventually(Duration::from_secs(30), what, || async {
        let topic = direct.describe(&[name.to_owned()]).await.map_err(|error| error.to_string())?.remove(0);
        let topic = topic.map_err(|error| error.to_string())?;
        if wanted(&topic) { Ok(topic) } else { Err(format!("{topic:?}")) }
    })
    .await
}

/// Waits until the topic is gone.
pub async fn goes(direct: &Direct, name: &str) {
    eventually(Duration::from_secs(30), "the topic is gone", || async {
        match direct.describe(&[name.to_owned()]).await?.remove(0) {
            Err(BrokerError::Missing) => Ok(()),
            Err(error) => Err(error),
            Ok(_) => Err(BrokerError::Exists),
        }
    })
    .await;
}

/// Every item succeeded.
pub fn all_ok<T>(results: Results<T>) {
    for (index, result) in results.into_iter().enumerate() {
        result.map_err(|error| format!("item {index}: {error}")).expect("it succeeds");
    }
}

/// The kind of an error, without its text.
pub fn kind<T>(result: &Result<T, BrokerError>) -> String {
    match result {
        Ok(_) => "Ok".into(),
        Err(error) => format!("{error:?}").split('(').next().expect("a name").to_owned(),
    }
}

/// The kinds of all results.
pub fn kinds<T>(results: &Results<T>) -> Vec<String> {
    results.iter().map(kind).collect()
}

/// Writes one message as a super user.
pub async fn produce(kafka: &Kafka, topic: &str) {
    let client = kafka.client().await.expect("the broker answers");
    let producer = client.producer().build().await.expect("a producer");
    eventually(Duration::from_secs(30), "a message is written", || async {
        producer.send(Record::new(topic, "hello")).await.map(drop)
    })
    .await;
    producer.close().await.expect("the producer closes");
}

/// An error that says what it is about.
pub fn shows(error: &impl Display, part: &str) {
    let text = error.to_string();
    assert!(text.contains(part), "`{part}` is not in: {text}");
}
