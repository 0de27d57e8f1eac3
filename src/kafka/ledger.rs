//! Where in the operator's namespace the record of a topic is kept. Pure: reading and writing is in
//! [`crate::engine::kafka`].

use std::collections::BTreeMap;

use super::topic::Recorded;
use crate::api::names;

/// How many ConfigMaps hold the topics of one cluster. Never changed: records would not be found again.
pub const SHARDS: u8 = 16;
/// Label of all ledgers; its value is what they hold.
pub const LABEL: &str = "microservice.dev/kafka-ledger";
/// What a shard with topics holds.
pub const TOPICS: &str = "topics";
/// Annotation with the id of the cluster, as the cluster says it.
pub const ANNOTATION_CLUSTER: &str = "microservice.dev/kafka-cluster-id";

/// What a key in a ConfigMap begins with: a key may not begin with `..`, and the name of a topic may.
const PREFIX: &str = "t.";

/// The shard of a topic: FNV-1a, the same in every release.
pub fn shard(topic: &str) -> u8 {
    let hash = topic.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    u8::try_from(hash % u64::from(SHARDS)).unwrap_or_default()
}

/// Name of the ConfigMap of a shard. A cluster's id is no name of an object, so its digest is in it.
pub fn object_name(cluster_id: &str, shard: u8) -> String {
    format!("microservice-operator-kafka-{}-{shard}", names::digest(cluster_id))
}

/// The key of a topic in its ConfigMap.
pub fn key(topic: &str) -> String {
    format!("{PREFIX}{topic}")
}

/// The topics in the data of a ConfigMap, and the keys that cannot be read: nothing is concluded about
/// those, and they are never overwritten.
pub fn records(data: &BTreeMap<String, String>) -> (BTreeMap<String, Recorded>, Vec<String>) {
    let (mut records, mut unreadable) = (BTreeMap::new(), Vec::new());
    for (key, text) in data {
        match (key.strip_prefix(PREFIX), serde_json::from_str(text)) {
            (Some(topic), Ok(record)) => drop(records.insert(topic.to_owned(), record)),
            (Some(topic), Err(_)) => unreadable.push(topic.to_owned()),
            (None, _) => {}
        }
    }
    (records, unreadable)
}

/// The value of a record.
pub fn value(record: &Recorded) -> String {
    // Strings, truth values and a set of strings: there is nothing that JSON could not hold.
    serde_json::to_string(record).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::kafka::topic::{Owner, Place};

    #[test]
    fn a_topic_stays_in_its_shard_in_every_release() {
        assert_eq!((shard("order-events"), shard("shop.orders"), shard("")), (11, 12, 5));
        let used: BTreeSet<u8> = (0..200).map(|n| shard(&format!("topic-{n}"))).collect();
        assert_eq!(used.len(), usize::from(SHARDS));
    }

    #[test]
    fn every_topic_and_every_cluster_gives_a_legal_key_and_name() {
        for topic in ["a", "...", "A_b", &"x".repeat(249)] {
            let key = key(topic);
            assert!(key.len() <= 253 && !key.starts_with(".."), "{key}");
        }
        let name = object_name("4L6g3nShT-eMCtK--X86sw", 15);
        assert!(
            name.len() <= 253
                && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        );
        assert_ne!(name, object_name("4L6g3nShT-eMCtK--X86sW", 15), "ids differ in case");
    }

    #[test]
    fn a_record_comes_back_as_it_was_and_a_broken_one_is_told() {
        let record = Recorded {
            id: "id1".to_owned(),
            owner: Owner { namespace: "shop".into(), name: "order".into(), uid: "u".into() },
            created: true,
            keys: ["retention.ms".to_owned()].into(),
            delete: true,
            confirmed: true,
            place: Place { class: "events".into(), cluster: "main".into() },
            released: false,
            doomed: true,
        };
        let data =
            [(key("a"), value(&record)), (key("b"), "{".to_owned()), ("other".to_owned(), "{".to_owned())];
        let (found, unreadable) = records(&data.into());
        assert_eq!(found, [("a".to_owned(), record)].into());
        assert_eq!(unreadable, ["b"]);
    }

    #[test]
    fn a_record_of_an_earlier_release_is_read() {
        let old = r#"{"id":"x","owner":{"namespace":"n","name":"m","uid":"u"},"created":true,"keys":[],"delete":false}"#;
        let (found, unreadable) = records(&[(key("a"), old.to_owned())].into());
        assert_eq!((found["a"].released, unreadable.len()), (false, 0));
    }
}
