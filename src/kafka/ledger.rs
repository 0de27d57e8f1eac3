//! Where in the operator's namespace the records of topics and logins are kept. Pure: reading and writing
//! is in [`crate::engine::kafka`].

use std::collections::BTreeMap;
use std::fmt::Debug;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::account;
use super::topic::{self, Owner};
use crate::api::names;

/// How many ConfigMaps hold the records of one kind and cluster. Never changed: records would not be
/// found again.
pub const SHARDS: u8 = 16;
/// Label of all ledgers; its value is what they hold.
pub const LABEL: &str = "microservice.dev/kafka-ledger";
/// Annotation with the id of the cluster, as the cluster says it.
pub const ANNOTATION_CLUSTER: &str = "microservice.dev/kafka-cluster-id";

/// What a ledger holds one of under each name.
pub trait Record: Clone + Debug + PartialEq + Serialize + DeserializeOwned + Send + Sync + 'static {
    /// Value of the label [`LABEL`].
    const KIND: &'static str;
    /// What one is called in messages.
    const NOUN: &'static str;
    /// Start of the ConfigMaps' names.
    const OBJECT: &'static str;
    /// What a key in a ConfigMap begins with: a key may not begin with `..`, and the name of a topic may.
    const PREFIX: &'static str;

    /// Whose it is.
    fn owner(&self) -> &Owner;
}

impl Record for topic::Recorded {
    const KIND: &'static str = "topics";
    const NOUN: &'static str = "topic";
    const OBJECT: &'static str = "microservice-operator-kafka";
    const PREFIX: &'static str = "t.";

    fn owner(&self) -> &Owner {
        &self.owner
    }
}

/// Logins are kept by `<namespace>.<name>` of their Microservice; neither has a `.` in it.
impl Record for account::Recorded {
    const KIND: &'static str = "principals";
    const NOUN: &'static str = "login of Microservice";
    const OBJECT: &'static str = "microservice-operator-kafka-principals";
    const PREFIX: &'static str = "p.";

    fn owner(&self) -> &Owner {
        &self.owner
    }
}

/// The shard of a name: FNV-1a, the same in every release.
pub fn shard(name: &str) -> u8 {
    let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    u8::try_from(hash % u64::from(SHARDS)).unwrap_or_default()
}

/// Name of the ConfigMap of a shard. A cluster's id is no name of an object, so its digest is in it.
pub fn object_name<R: Record>(cluster_id: &str, shard: u8) -> String {
    format!("{}-{}-{shard}", R::OBJECT, names::digest(cluster_id))
}

/// The key of a name in its ConfigMap.
pub fn key<R: Record>(name: &str) -> String {
    format!("{}{name}", R::PREFIX)
}

/// The records in the data of a ConfigMap, and the names whose record cannot be read: nothing is
/// concluded about those, and they are never overwritten.
pub fn records<R: Record>(data: &BTreeMap<String, String>) -> (BTreeMap<String, R>, Vec<String>) {
    let (mut records, mut unreadable) = (BTreeMap::new(), Vec::new());
    for (key, text) in data {
        match (key.strip_prefix(R::PREFIX), serde_json::from_str(text)) {
            (Some(name), Ok(record)) => drop(records.insert(name.to_owned(), record)),
            (Some(name), Err(_)) => unreadable.push(name.to_owned()),
            (None, _) => {}
        }
    }
    (records, unreadable)
}

/// The value of a record.
pub fn value<R: Record>(record: &R) -> String {
    // Strings, numbers, truth values, sets and maps of them: there is nothing that JSON could not hold.
    serde_json::to_string(record).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::kafka::topic::{Owner, Place, Recorded};

    #[test]
    fn a_topic_stays_in_its_shard_in_every_release() {
        assert_eq!((shard("order-events"), shard("shop.orders"), shard("")), (11, 12, 5));
        let used: BTreeSet<u8> = (0..200).map(|n| shard(&format!("topic-{n}"))).collect();
        assert_eq!(used.len(), usize::from(SHARDS));
    }

    #[test]
    fn every_topic_and_every_cluster_gives_a_legal_key_and_name() {
        for topic in ["a", "...", "A_b", &"x".repeat(249)] {
            let key = key::<Recorded>(topic);
            assert!(key.len() <= 253 && !key.starts_with(".."), "{key}");
        }
        let name = object_name::<Recorded>("4L6g3nShT-eMCtK--X86sw", 15);
        assert!(
            name.len() <= 253
                && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        );
        assert_ne!(name, object_name::<Recorded>("4L6g3nShT-eMCtK--X86sW", 15), "ids differ in case");
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
        let data = [
            ("t.a".to_owned(), value(&record)),
            ("t.b".to_owned(), "{".to_owned()),
            ("other".to_owned(), "{".to_owned()),
        ];
        let (found, unreadable) = records::<Recorded>(&data.into());
        assert_eq!(found, [("a".to_owned(), record)].into());
        assert_eq!(unreadable, ["b"]);
    }

    #[test]
    fn a_record_of_an_earlier_release_is_read() {
        let old = r#"{"id":"x","owner":{"namespace":"n","name":"m","uid":"u"},"created":true,"keys":[],"delete":false}"#;
        let (found, unreadable) = records::<Recorded>(&[("t.a".to_owned(), old.to_owned())].into());
        assert_eq!((found["a"].released, unreadable.len()), (false, 0));
    }
}
