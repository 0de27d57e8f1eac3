//! Many items in one call.

use microservice_operator::engine::kafka::Broker;
use microservice_operator::kafka::model::NewTopic;

use crate::fixtures::{all_ok, described, direct, plain, unique};
use crate::support::Kafka;

#[tokio::test]
async fn two_hundred_and_fifty_topics_are_three_requests_each_way() {
    let kafka = Kafka::start().await;
    let broker = direct(&kafka);
    let topics: Vec<NewTopic> =
        (0..250).map(|_| NewTopic { partitions: Some(1), ..plain(&unique("many")) }).collect();
    let names: Vec<String> = topics.iter().map(|topic| topic.name.clone()).collect();

    all_ok(broker.create(&topics, false).await.expect("the broker answers"));
    assert_eq!(broker.requests(), 3);
    described(&broker, &names).await;

    let before = broker.requests();
    let seen = broker.describe(&names).await.expect("the broker answers");
    assert_eq!(broker.requests() - before, 3);
    for (name, topic) in names.iter().zip(seen) {
        assert_eq!(name, &topic.expect("it is there").name, "the answers are in the order of the names");
    }
    let before = broker.requests();
    all_ok(broker.delete(&names).await.expect("the broker answers"));
    assert_eq!(broker.requests() - before, 3);
}

#[tokio::test]
async fn nothing_to_do_sends_nothing() {
    let broker = direct(Kafka::shared().await);
    assert_eq!(broker.create(&[], false).await, Ok(vec![]));
    assert_eq!(broker.describe(&[]).await, Ok(vec![]));
    assert!(broker.users(&[]).await.is_ok_and(|users| users.is_empty()), "not all users of the cluster");
    assert_eq!(broker.requests(), 0);
}
