use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::kafka::model::{ConfigChange, NewTopic, Topic};
use crate::kafka::rights::{Uses, rights};

const MARK: Mark<'static> =
    Mark { namespace: "kafka", cluster: "main", operator: "system", api_version: "kafka.strimzi.io/v1" };

fn pairs(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn a_topic_keeps_its_name_where_an_object_can_have_it() {
    assert_eq!(topic_object("shop.order-events"), "shop.order-events");
    for topic in ["shop.Orders", "shop_orders", "_x", "...", &"x".repeat(300), "a.-b", ""] {
        let name = topic_object(topic);
        assert!(names::is_subdomain(&name) && name != topic, "{topic}: {name}");
    }
    assert_ne!(topic_object("shop_orders"), topic_object("shop.Orders"));
    let made = topic_object("shop_orders");
    assert_ne!(topic_object(&made), made, "nobody can take the object of another topic by its name");
}

#[test]
fn what_was_said_of_an_older_generation_counts_for_nothing() {
    let said = |observed: i64, kind: &str, status: &str| {
        let condition = json!({"type": kind, "status": status, "reason": "KafkaError", "message": "no\nway"});
        Said::read(&json!({"observedGeneration": observed, "conditions": [condition]}))
    };
    let head = Head { generation: 2, ..Head::default() };
    let refused = Progress::Refused("KafkaError".to_owned(), "no way".to_owned());
    for (said, expected) in [
        (Said::default(), Progress::Pending),
        (said(1, "Ready", "True"), Progress::Pending),
        (said(2, "Ready", "True"), Progress::Ready),
        (said(2, "Ready", "False"), refused.clone()),
        (said(2, "NotReady", "True"), refused),
        (said(2, "Unmanaged", "True"), Progress::Unmanaged),
        (said(2, "Warning", "True"), Progress::Pending),
    ] {
        assert_eq!(said.progress(&head), expected, "{said:?}");
    }
    let long = said(1, &"x".repeat(9), &"y".repeat(9));
    assert!(bounded(&"ä".repeat(4000)).len() < 310 && long.conditions[0].message == "no way");
}

#[test]
fn only_what_we_have_applied_ourselves_is_ours() {
    let object = |label: &str, manager: &str, operation: &str| {
        let fields = json!([{"manager": manager, "operation": operation}]);
        Head::read(&json!({"labels": {LABEL_OPERATOR: label}, "managedFields": fields}), "system").ours
    };
    assert!(object("system", FIELD_MANAGER, "Apply"));
    assert!(!object("other", FIELD_MANAGER, "Apply"), "another installation's");
    assert!(!object("system", "kubectl", "Apply") && !object("system", FIELD_MANAGER, "Update"));
}

#[test]
fn what_is_written_is_read_back() {
    let spec = TopicSpec { partitions: Some(3), replicas: None, config: pairs(&[("retention.ms", "1")]) };
    let body = spec.body(&MARK, "shop.Orders", Some("shop/order"), None, true);
    assert_eq!(body["metadata"]["resourceVersion"], "1", "it has to be new");
    let read = TopicObject::read(&body, "system");
    assert_eq!((read.topic.as_str(), &read.spec), ("shop.Orders", &spec));
    assert_eq!((read.head.owner.as_deref(), read.head.managed), (Some("shop/order"), true));
    let live = Head { uid: "u".to_owned(), ..Head::default() };
    let body = spec.body(&MARK, "shop.orders", None, Some(&live), false);
    assert!(body["spec"].get("topicName").is_none() && body["metadata"].get("resourceVersion").is_none());
    assert!(!TopicObject::read(&body, "system").head.managed && body["metadata"]["uid"] == "u");

    let reads = [("orders".to_owned(), "shop.audit".to_owned())].into();
    let uses = Uses { writes: ["a".to_owned()].into(), reads, streams: Some("shop.s".to_owned()) };
    let spec = UserSpec { scram: true, acls: Some(rights("User:msvc.shop.order.a", &uses)) };
    let body = spec.body(&MARK, "msvc.shop.order.a", None, None);
    assert_eq!(UserObject::read(&body, "system").spec, spec);
}

#[test]
fn values_of_other_types_are_text_too() {
    let config = json!({"a": 1, "b": true, "c": ["delete", "compact"], "d": null, "e": "x"});
    let read = TopicObject::read(&json!({"spec": {"config": config}}), "");
    assert_eq!(read.spec.config, pairs(&[("a", "1"), ("b", "true"), ("c", "delete,compact"), ("e", "x")]));
}

#[test]
fn a_topic_that_is_taken_over_keeps_every_key_that_it_has() {
    let topic = Topic {
        name: "a".to_owned(),
        id: "id".to_owned(),
        partitions: 6,
        replication_factor: 3,
        config: pairs(&[("retention.ms", "7"), ("segment.bytes", "1048576")]),
    };
    let copied = adopted(&topic);
    let declared = pairs(&[("retention.ms", "8")]);
    let change =
        ConfigChange { topic: "a".into(), keys: [("retention.ms".to_owned(), Some("8".to_owned()))].into() };
    let spec = altered(&copied, &change);
    assert_eq!(spec.config, pairs(&[("retention.ms", "8"), ("segment.bytes", "1048576")]));
    assert_eq!((spec.partitions, spec.replicas), (Some(6), Some(3)));
    // Somebody has edited the object: fewer partitions, other replicas, another value, a key of their own.
    let edited = TopicSpec {
        partitions: Some(1),
        replicas: Some(1),
        config: pairs(&[("retention.ms", "9"), ("segment.bytes", "1048576"), ("x", "y")]),
    };
    let back = held(&edited, &topic, &declared, Some(3));
    assert_eq!((back.partitions, back.replicas), (Some(6), Some(3)));
    assert_eq!(back.config["retention.ms"], "8");
    assert_eq!(back.config["x"], "y", "a key that nobody describes is not ours");
    assert_eq!(held(&back, &topic, &declared, Some(3)), back, "and then it rests");
    let undeclared = held(&edited, &topic, &declared, None);
    assert_eq!(undeclared.replicas, Some(1), "the platform may be moving it");
    let reset = ConfigChange { topic: "a".into(), keys: [("retention.ms".to_owned(), None)].into() };
    assert!(!altered(&back, &reset).config.contains_key("retention.ms"));
    assert_eq!(grown(&back, 9).partitions, Some(9));
}

#[test]
fn what_is_created_once_more_is_as_it_was() {
    let new = NewTopic {
        name: "a".into(),
        partitions: Some(3),
        config: pairs(&[("a", "1")]),
        ..NewTopic::default()
    };
    let first = created(&new, None);
    assert_eq!(created(&new, Some(&first)), first);
    let kept = TopicSpec { config: pairs(&[("kept", "1")]), ..TopicSpec::default() };
    assert_eq!(created(&new, Some(&kept)).config, pairs(&[("a", "1"), ("kept", "1")]));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2048))]
    #[test]
    fn two_topics_never_share_an_object(a in "[a-cA-C._-]{1,6}", b in "[a-cA-C._-]{1,6}") {
        prop_assume!(a != b);
        let (a, b) = (topic_object(&a), topic_object(&b));
        prop_assert!(names::is_subdomain(&a) && names::is_subdomain(&b));
        prop_assert_ne!(a, b);
    }

    #[test]
    fn nothing_that_a_cluster_holds_panics(text in any::<String>(), number in any::<i64>()) {
        let whole = json!({
            "metadata": {"name": text, "labels": {text.clone(): text}, "managedFields": text, "generation": number},
            "spec": {"partitions": number, "config": {text.clone(): [[text]]}, "authorization": {"acls": [text]}},
            "status": {"conditions": [{"message": text}, text], "observedGeneration": number},
        });
        let _ = (TopicObject::read(&whole, &text), UserObject::read(&whole, &text));
        prop_assert!(names::is_subdomain(&topic_object(&text)));
    }

    #[test]
    fn rights_come_back_from_the_object(writes in prop::collection::btree_set("[a-c]{1,3}", 0..4), reads in prop::collection::btree_set(("[a-c]{1,3}", "[a-c]{1,3}"), 0..4)) {
        let acls: BTreeSet<_> = rights("User:u", &Uses { writes, reads, streams: None });
        let spec = UserSpec { scram: true, acls: Some(acls) };
        prop_assert_eq!(UserObject::read(&spec.body(&MARK, "u", None, None), "").spec, spec);
    }
}
