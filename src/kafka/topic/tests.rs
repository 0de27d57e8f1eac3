use proptest::prelude::*;

use super::*;

fn owner(name: &str) -> Owner {
    Owner { namespace: "shop".to_owned(), name: name.to_owned(), uid: "u1".to_owned() }
}

fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn declared() -> Declared {
    Declared {
        name: "shop.orders".to_owned(),
        owner: owner("order"),
        partitions: Some(6),
        config: map(&[("retention.ms", "1000")]),
        ..Declared::default()
    }
}

fn live() -> Topic {
    Topic {
        name: "shop.orders".to_owned(),
        id: "id1".to_owned(),
        partitions: 6,
        replication_factor: 3,
        config: map(&[("retention.ms", "1000")]),
    }
}

fn record() -> Recorded {
    Recorded {
        id: "id1".to_owned(),
        owner: owner("order"),
        created: true,
        keys: ["retention.ms".to_owned()].into(),
        ..Recorded::default()
    }
}

fn deleting() -> Declared {
    Declared { delete: true, ..declared() }
}

fn altered(decision: &Decision) -> Option<&BTreeMap<String, Option<String>>> {
    decision.changes.iter().find_map(|change| match change {
        Change::Alter(change) => Some(&change.keys),
        _ => None,
    })
}

#[test]
fn a_topic_that_is_as_declared_costs_nothing() {
    let decision = decide(&declared(), Some(&live()), Some(&record()));
    assert_eq!(decision, Decision { record: Some(record()), ..Decision::default() });
}

#[test]
fn an_absent_topic_is_created_and_recorded_before() {
    let decision = decide(&deleting(), None, None);
    assert!(matches!(&decision.changes[..], [Change::Create(new)] if new.partitions == Some(6)));
    let record = decision.record.unwrap();
    assert!(!record.created && record.delete && record.id.is_empty());
    assert_eq!(decision.surprises, []);
    assert!(record.confirmed("id1").created);
}

#[test]
fn an_interrupted_creation_goes_on_and_is_no_surprise() {
    let begun = Recorded { id: String::new(), ..record() };
    assert_eq!(decide(&declared(), None, Some(&begun)).surprises, []);
    let found = decide(&declared(), Some(&live()), Some(&begun));
    assert_eq!((found.changes, found.surprises), (vec![], vec![]));
    let kept = Recorded { created: false, ..record() };
    assert_eq!(found.record, Some(kept), "somebody else may have made it in the meantime");
}

#[test]
fn an_existing_topic_is_refused_adopted_or_observed() {
    let refused = decide(&declared(), Some(&live()), None);
    assert_eq!(refused, Decision { obstacles: vec![Obstacle::ExistsUnmanaged], ..Decision::default() });
    let adopt = Declared { management: Management::Adopt, ..deleting() };
    let adopted = decide(&adopt, Some(&live()), None);
    assert!(!adopted.record.unwrap().created, "what was adopted is never deleted");
    let observe = Declared { management: Management::Observe, ..declared() };
    assert_eq!(decide(&observe, Some(&live()), None), Decision::default());
    assert_eq!(decide(&observe, None, None).obstacles, [Obstacle::Absent]);
}

#[test]
fn the_recorded_owner_wins_and_a_successor_of_the_name_continues() {
    let other = Declared { owner: owner("thief"), management: Management::Adopt, ..declared() };
    let decision = decide(&other, Some(&live()), Some(&record()));
    assert_eq!(decision.obstacles, [Obstacle::OwnedBy(owner("order"))]);
    assert_eq!((decision.changes, decision.record), (vec![], None));
    let reborn = Owner { uid: "u2".to_owned(), ..owner("order") };
    let decision = decide(&Declared { owner: reborn.clone(), ..declared() }, Some(&live()), Some(&record()));
    assert_eq!(decision.record.unwrap().owner, reborn);
}

#[test]
fn what_was_let_go_is_taken_over_by_adoption_only() {
    let let_go = Recorded { released: true, ..record() };
    let next = Declared { owner: owner("next"), ..declared() };
    assert_eq!(decide(&next, Some(&live()), Some(&let_go)).obstacles, [Obstacle::ExistsUnmanaged]);
    let adopt = Declared { management: Management::Adopt, ..next };
    let taken = decide(&adopt, Some(&live()), Some(&let_go)).record.unwrap();
    assert_eq!((taken.owner, taken.created, taken.released), (owner("next"), false, false));
    let again = decide(&declared(), Some(&live()), Some(&let_go)).record.unwrap();
    assert_eq!(again, record(), "its owner goes on with it");
}

#[test]
fn the_recorded_owner_is_heard_else_the_oldest_that_looks_after_it() {
    let claim = |name: &str, management| Declared { owner: owner(name), management, ..declared() };
    let claims = [
        claim("old", Management::Observe),
        claim("middle", Management::Manage),
        claim("young", Management::Adopt),
    ];
    let heard_with =
        |record: Option<&Recorded>| heard(&claims, record).map(|claim| claim.owner.name.as_str());
    assert_eq!(heard_with(None), Some("middle"));
    let of = |name: &str| Recorded { owner: owner(name), ..record() };
    assert_eq!(heard_with(Some(&of("young"))), Some("young"));
    assert_eq!(
        heard_with(Some(&Recorded { released: true, ..of("gone") })),
        Some("young"),
        "it may take it over"
    );
    assert_eq!(heard(&[], None), None);
    assert_eq!(heard(&claims[..1], None).map(|claim| claim.management), Some(Management::Observe));
}

#[test]
fn a_new_topic_gets_the_defaults_and_an_existing_one_does_not() {
    let lax = Declared {
        partitions: None,
        initial_partitions: Some(9),
        initial_replication_factor: Some(2),
        ..declared()
    };
    let created = decide(&lax, None, None);
    assert!(
        matches!(&created.changes[..], [Change::Create(new)] if (new.partitions, new.replication_factor) == (Some(9), Some(2)))
    );
    let kept = decide(&lax, Some(&live()), Some(&record()));
    assert_eq!((kept.changes, kept.obstacles), (vec![], vec![]));
}

#[test]
fn only_our_keys_are_set_and_reset() {
    let mut topic = live();
    topic.config = map(&[("retention.ms", "5"), ("segment.bytes", "7"), ("cleanup.policy", "compact")]);
    let mut recorded = record();
    recorded.keys.insert("cleanup.policy".to_owned());
    let decision = decide(&declared(), Some(&topic), Some(&recorded));
    let expected: BTreeMap<_, _> =
        [("retention.ms".to_owned(), Some("1000".to_owned())), ("cleanup.policy".to_owned(), None)].into();
    assert_eq!(altered(&decision), Some(&expected), "segment.bytes is somebody else's");
    assert_eq!(decision.surprises, [Surprise::Drifted]);
}

#[test]
fn partitions_only_grow_and_the_rest_still_applies() {
    let fewer = Declared { partitions: Some(3), config: map(&[("retention.ms", "9")]), ..declared() };
    let decision = decide(&fewer, Some(&live()), Some(&record()));
    assert_eq!(decision.obstacles, [Obstacle::PartitionDecrease { wanted: 3, has: 6 }]);
    assert!(altered(&decision).is_some());
    let more = Declared { partitions: Some(9), ..declared() };
    let decision = decide(&more, Some(&live()), Some(&record()));
    assert_eq!(decision.changes, [Change::Grow("shop.orders".to_owned(), 9)]);
    let any = Declared { partitions: None, ..declared() };
    assert_eq!(decide(&any, Some(&live()), Some(&record())).changes, []);
}

#[test]
fn a_compacted_topic_grows_only_when_confirmed() {
    let compacted = map(&[("retention.ms", "1000"), ("cleanup.policy", "compact,delete")]);
    let topic = Topic { config: compacted.clone(), ..live() };
    let more = Declared { partitions: Some(9), config: compacted, ..declared() };
    let decision = decide(&more, Some(&topic), Some(&record()));
    assert_eq!(decision.obstacles, [Obstacle::CompactedGrowth { wanted: 9, has: 6 }]);
    let confirmed = Declared { repartition: true, ..more };
    let decision = decide(&confirmed, Some(&topic), Some(&record()));
    assert_eq!(decision.changes, [Change::Grow("shop.orders".to_owned(), 9)]);
}

#[test]
fn replication_is_never_changed_in_place() {
    let wanted = Declared { replication_factor: Some(1), ..declared() };
    let decision = decide(&wanted, Some(&live()), Some(&record()));
    assert_eq!(decision.obstacles, [Obstacle::ReplicationChange { wanted: 1, has: 3 }]);
    assert_eq!(decision.changes, []);
}

#[test]
fn a_topic_deleted_or_replaced_behind_our_back_is_noticed() {
    let decision = decide(&declared(), None, Some(&record()));
    assert_eq!(decision.surprises, [Surprise::Deleted]);
    assert!(matches!(decision.changes[..], [Change::Create(_)]));
    let another = Topic { id: "id2".to_owned(), ..live() };
    let decision = decide(&deleting(), Some(&another), Some(&record()));
    assert_eq!(decision.surprises, [Surprise::Replaced]);
    assert!(!decision.record.unwrap().created, "nobody knows whose data it holds");
}

/// The broker after the changes.
fn applied(changes: &[Change], before: Option<Topic>) -> Option<Topic> {
    changes.iter().fold(before, |topic, change| match (change, topic) {
        (Change::Create(new), None) => Some(Topic {
            name: new.name.clone(),
            id: "new".to_owned(),
            partitions: new.partitions.unwrap_or(1),
            replication_factor: new.replication_factor.unwrap_or(1),
            config: new.config.clone(),
        }),
        (Change::Grow(_, total), Some(topic)) => Some(Topic { partitions: *total, ..topic }),
        (Change::Alter(change), Some(mut topic)) => {
            for (key, value) in &change.keys {
                match value {
                    Some(value) => topic.config.insert(key.clone(), value.clone()),
                    None => topic.config.remove(key),
                };
            }
            Some(topic)
        }
        (change, topic) => panic!("{change:?} makes no sense on {topic:?}"),
    })
}

fn configs() -> impl Strategy<Value = BTreeMap<String, String>> {
    prop::collection::btree_map("[a-d]", "[0-9]{1,2}|true|TRUE", 0..4)
}

prop_compose! {
    fn declarations()(
        partitions in prop::option::of(1..5),
        replication_factor in prop::option::of(1..3),
        config in configs(),
        management in prop_oneof![Just(Management::Manage), Just(Management::Adopt), Just(Management::Observe)],
        who in "[ab]",
    ) -> Declared {
        Declared { partitions, replication_factor, config, management, owner: owner(&who), ..declared() }
    }
}

prop_compose! {
    fn topics()(partitions in 1..5, replication_factor in 1..3, config in configs(), id in "[ab]") -> Topic {
        Topic { name: "shop.orders".to_owned(), id, partitions, replication_factor, config }
    }
}

prop_compose! {
    fn records()(
        id in "[ab]?", who in "[ab]", created: bool, delete: bool, released: bool,
        keys in prop::collection::btree_set("[a-d]", 0..3),
    ) -> Recorded {
        Recorded { id, owner: owner(&who), created, keys, delete, released, ..Recorded::default() }
    }
}

proptest! {
    #[test]
    fn one_round_converges_and_touches_only_what_is_ours(
        declared in declarations(),
        have in prop::option::of(topics()),
        recorded in prop::option::of(records()),
    ) {
        let first = decide(&declared, have.as_ref(), recorded.as_ref());
        let after = applied(&first.changes, have.clone());
        let Some(record) = &first.record else {
            prop_assert!(first.changes.is_empty(), "nothing is changed that is not recorded as ours");
            return Ok(());
        };
        prop_assert!(record.owner.continues(&declared.owner));
        let second = decide(&declared, after.as_ref(), Some(record));
        prop_assert_eq!(&second.changes, &vec![]);
        // Keys that nobody of us set are as before.
        let ours = |key: &String| {
            declared.config.contains_key(key) || recorded.as_ref().is_some_and(|r| r.keys.contains(key))
        };
        for (key, value) in have.iter().flat_map(|topic| &topic.config).filter(|(key, _)| !ours(key)) {
            prop_assert_eq!(after.as_ref().and_then(|topic| topic.config.get(key)), Some(value));
        }
        if let (Some(before), Some(after)) = (&have, &after) {
            prop_assert!(after.partitions >= before.partitions);
            prop_assert_eq!(after.replication_factor, before.replication_factor);
        }
        if have.is_some() && recorded.is_none() {
            prop_assert!(!record.created);
        }
    }
}

#[test]
fn what_nobody_can_see_is_neither_taken_over_nor_told_to_be_absent() {
    let blind = |management| Declared { blind: true, management, ..declared() };
    let refused = [Obstacle::Blind];
    assert_eq!(decide(&blind(Management::Adopt), None, None).obstacles, refused);
    assert_eq!(decide(&blind(Management::Adopt), Some(&live()), None).obstacles, refused);
    assert_eq!(decide(&blind(Management::Observe), None, None).obstacles, refused);
    assert_eq!(decide(&blind(Management::Observe), Some(&live()), None), Decision::default());
    assert_eq!(decide(&blind(Management::Adopt), Some(&live()), Some(&record())).obstacles, []);
    assert_eq!(decide(&blind(Management::Manage), None, None).changes.len(), 1);
}
