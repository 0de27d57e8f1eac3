//! What becomes of a topic whose owner lets it go. In doubt it stays: a retained topic costs disk, a
//! deleted one costs data.

use super::model::{Group, Topic};
use super::topic::{Owner, Recorded};

/// What is known when a topic is let go.
#[derive(Clone, Debug, Default)]
pub struct Letting<'a> {
    /// The topic now; `None` = it is gone.
    pub have: Option<&'a Topic>,
    /// Value of the annotation that confirms the deletion: the topic's name on the broker.
    pub confirmation: Option<&'a str>,
    /// Whether pods of the owner may still use it.
    pub in_use: bool,
    /// Its consumer groups that are not the owner's.
    pub groups: &'a [Group],
    /// Another Microservice that declares it with `managementPolicy: Adopt`.
    pub successor: Option<&'a Owner>,
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Release {
    /// Forget it: it is gone already.
    Forget,
    /// Record the successor as its owner.
    HandOver(Owner),
    /// Wait: pods of the owner are still there.
    Wait,
    /// Delete it, as long as its id is this one.
    Delete {
        /// Its id.
        id: String,
    },
    /// Leave it on the broker, and say why.
    Retain(Kept),
}

/// Why a topic stays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kept {
    /// `deletionPolicy: Retain`.
    Policy,
    /// `managementPolicy: Observe`: its owner looks after it no more.
    Observed,
    /// The annotation is missing or names another topic.
    Unconfirmed,
    /// We have not created it.
    NotCreatedByUs,
    /// Another topic of the name took its place.
    Replaced,
    /// This consumer group still reads it, or does not show what it reads.
    Read {
        /// Its id.
        by: String,
    },
    /// The cluster refused to delete it.
    Refused {
        /// Its words.
        why: String,
    },
}

/// Decides what becomes of a topic. Only what was recorded counts: the declaration is gone.
pub fn release(recorded: &Recorded, letting: &Letting<'_>) -> Release {
    let Some(topic) = letting.have else { return Release::Forget };
    if let Some(successor) = letting.successor {
        return Release::HandOver(successor.clone());
    }
    if !recorded.delete {
        return Release::Retain(Kept::Policy);
    }
    if letting.in_use {
        return Release::Wait;
    }
    if topic.id != recorded.id {
        return Release::Retain(Kept::Replaced);
    }
    if !recorded.created {
        return Release::Retain(Kept::NotCreatedByUs);
    }
    if letting.confirmation != Some(topic.name.as_str()) {
        return Release::Retain(Kept::Unconfirmed);
    }
    match letting.groups.iter().find(|group| group.active) {
        Some(group) => Release::Retain(Kept::Read { by: group.id.clone() }),
        None => Release::Delete { id: topic.id.clone() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recorded() -> Recorded {
        Recorded { id: "id1".to_owned(), created: true, delete: true, ..Recorded::default() }
    }

    fn topic() -> Topic {
        Topic { name: "shop.orders".to_owned(), id: "id1".to_owned(), ..Topic::default() }
    }

    #[test]
    fn a_topic_is_deleted_only_when_everything_speaks_for_it() {
        let (topic, other) = (topic(), Topic { id: "id2".to_owned(), ..topic() });
        let idle = [Group { id: "x".to_owned(), active: false }];
        let active = [Group { id: "x".to_owned(), active: true }];
        let successor = Owner { name: "next".to_owned(), ..Owner::default() };
        let good = Letting {
            have: Some(&topic),
            confirmation: Some("shop.orders"),
            groups: &idle,
            ..Letting::default()
        };
        let table = [
            (recorded(), good.clone(), Release::Delete { id: "id1".to_owned() }),
            (recorded(), Letting { have: None, ..good.clone() }, Release::Forget),
            (recorded(), Letting { in_use: true, ..good.clone() }, Release::Wait),
            (recorded(), Letting { confirmation: None, ..good.clone() }, Release::Retain(Kept::Unconfirmed)),
            (
                recorded(),
                Letting { confirmation: Some("orders"), ..good.clone() },
                Release::Retain(Kept::Unconfirmed),
            ),
            (recorded(), Letting { have: Some(&other), ..good.clone() }, Release::Retain(Kept::Replaced)),
            (
                recorded(),
                Letting { groups: &active, ..good.clone() },
                Release::Retain(Kept::Read { by: "x".to_owned() }),
            ),
            (Recorded { delete: false, ..recorded() }, good.clone(), Release::Retain(Kept::Policy)),
            (Recorded { created: false, ..recorded() }, good.clone(), Release::Retain(Kept::NotCreatedByUs)),
            (
                recorded(),
                Letting { successor: Some(&successor), ..good.clone() },
                Release::HandOver(successor.clone()),
            ),
        ];
        for (record, letting, expected) in table {
            assert_eq!(release(&record, &letting), expected, "{letting:?}");
        }
    }
}
