//! Topics in our words and in the protocol's. Pure.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use krafka::admin::{ConfigEntry, ConfigOp, TopicDescription};

use crate::engine::kafka::BrokerError;
use crate::kafka::model::{ConfigChange, NewTopic, Topic};

/// The longest name of a topic, in bytes.
const LONGEST_NAME: usize = 249;
/// "As the broker has it set", for a number of partitions or replicas.
const DEFAULT: i16 = -1;
/// How a broker marks what is set on the topic itself.
const SET_ON_TOPIC: i8 = 1;

/// Refuses a name that the client would refuse together with all others of the request. The broker has
/// more rules, such as those on `.` and on names that differ in `.` and `_` only.
pub fn check_name(name: &str) -> Result<(), BrokerError> {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    let reason = if name.is_empty() {
        "it is empty".to_owned()
    } else if name.len() > LONGEST_NAME {
        format!("it has {} bytes, and {LONGEST_NAME} is the most", name.len())
    } else if !name.bytes().all(legal) {
        "only letters, digits, `.`, `_` and `-` are allowed".to_owned()
    } else {
        return Ok(());
    };
    Err(BrokerError::InvalidName(reason))
}

/// Refuses a topic that the client would refuse together with all others.
pub fn check_new(topic: &NewTopic) -> Result<(), BrokerError> {
    check_name(&topic.name)?;
    if let Some(partitions) = topic.partitions.filter(|partitions| *partitions < 1) {
        return Err(BrokerError::InvalidPartitions(format!("{partitions} is less than 1")));
    }
    if let Some(factor) =
        topic.replication_factor.filter(|factor| !(1..=i32::from(i16::MAX)).contains(factor))
    {
        let text = format!("{factor} is not between 1 and {}", i16::MAX);
        return Err(BrokerError::InvalidReplication(text));
    }
    Ok(())
}

/// A topic to create.
pub fn to_wire(topic: &NewTopic) -> krafka::Result<krafka::admin::NewTopic> {
    let partitions = topic.partitions.unwrap_or(i32::from(DEFAULT));
    let factor = topic.replication_factor.and_then(|factor| i16::try_from(factor).ok()).unwrap_or(DEFAULT);
    let new = krafka::admin::NewTopic::new(topic.name.as_str(), partitions, factor)?;
    Ok(topic.config.iter().fold(new, |new, (key, value)| new.with_config(key.as_str(), value.as_str())))
}

/// The changes of single keys.
pub fn operations(change: &ConfigChange) -> Vec<ConfigOp> {
    let operation = |(key, value): (&String, &Option<String>)| match value {
        Some(value) => ConfigOp::set(key.as_str(), value.as_str()),
        None => ConfigOp::delete(key.as_str()),
    };
    change.keys.iter().map(operation).collect()
}

/// A topic as the broker tells of it. What is sensitive comes without a value and is left out.
pub fn from_wire(topic: TopicDescription, config: Vec<ConfigEntry>) -> Topic {
    let own = config.into_iter().filter(|entry| entry.config_source == SET_ON_TOPIC);
    let replicas = topic.partitions.iter().map(|partition| partition.replicas.len()).min();
    Topic {
        id: URL_SAFE_NO_PAD.encode(topic.topic_id),
        partitions: count(topic.partitions.len()),
        replication_factor: count(replicas.unwrap_or_default()),
        config: own.filter_map(|entry| Some((entry.name, entry.value?))).collect(),
        name: topic.name,
    }
}

fn count(number: usize) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_no_broker_takes_are_refused_one_by_one() {
        let longest = "x".repeat(249);
        for name in ["a", "order-events", "A_b.c", "..", longest.as_str()] {
            assert_eq!(check_name(name), Ok(()), "{name}");
        }
        let too_long = "x".repeat(250);
        for name in ["", "a b", "a/b", "ä", too_long.as_str()] {
            assert!(matches!(check_name(name), Err(BrokerError::InvalidName(_))), "{name}");
        }
    }

    #[test]
    fn numbers_that_mean_something_else_to_the_protocol_are_refused() {
        let new = |partitions, replication_factor| {
            check_new(&NewTopic { name: "a".into(), partitions, replication_factor, ..NewTopic::default() })
        };
        assert_eq!((new(None, None), new(Some(1), Some(32767))), (Ok(()), Ok(())));
        for partitions in [0, -1, i32::MIN] {
            assert!(matches!(new(Some(partitions), None), Err(BrokerError::InvalidPartitions(_))));
        }
        for factor in [0, -1, 32768, 65537] {
            assert!(matches!(new(None, Some(factor)), Err(BrokerError::InvalidReplication(_))));
        }
    }

    #[test]
    fn what_is_not_said_is_left_to_the_broker() {
        let topic = to_wire(&NewTopic { name: "a".into(), ..NewTopic::default() }).expect("valid");
        assert_eq!((topic.num_partitions, topic.replication_factor), (-1, -1));
    }
}
