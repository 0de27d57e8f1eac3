//! What is known of the topics and the login that a Microservice declares, for its status, and what has
//! happened to them, for its Events.

use std::collections::BTreeSet;

use super::account;
use super::consent::{Ask, Lack};
use super::model::Topic;
use super::release::Kept;
use super::topic::Obstacle;
use crate::api::Reason;

/// What is known of one declared topic.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TopicView {
    /// Its name on the broker.
    pub name: String,
    /// Whether it was compared with the broker since it was declared as it is now.
    pub compared: bool,
    /// The topic, if it is the declaring object's or only observed by it.
    pub topic: Option<Topic>,
    /// What stands in the way.
    pub obstacles: Vec<Obstacle>,
    /// What the cluster, or the way to it, refused.
    pub trouble: Option<Trouble>,
}

/// What is known of the login of a Microservice.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccessView {
    /// Whether it was compared with the broker since it was declared as it is now.
    pub compared: bool,
    /// The user that is in use.
    pub user: Option<String>,
    /// Users that pods may still use.
    pub retiring: BTreeSet<String>,
    /// Whether it has to be known which users the pods carry.
    pub looks_at_pods: bool,
    /// Why there is no login.
    pub obstacle: Option<account::Obstacle>,
    /// Rights that it does not have, because others have not given them or their topics are not there.
    pub lacks: BTreeSet<Lack>,
    /// Rights that stand as they are, because the owners of the topics are not heard of now.
    pub open: BTreeSet<Lack>,
    /// Services that ask for rights on its topics and have none.
    pub asks: BTreeSet<Ask>,
    /// Somebody keeps removing its ACLs.
    pub contested: bool,
    /// Why the cluster keeps no ACLs at all.
    pub unsupported: Option<String>,
    /// What the cluster, or the way to it, refused.
    pub trouble: Option<Trouble>,
}

/// Why something did not work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// The reason, as in conditions.
    pub reason: Reason,
    /// The words of the broker, bounded and without credentials.
    pub text: String,
    /// Whether it has lasted for so long that what was known before says nothing about now.
    pub lasting: bool,
}

/// Something that happened to a topic or a login and is worth an Event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct News {
    /// The topic's or user's name on the broker.
    pub topic: String,
    /// What.
    pub what: Happened,
}

/// What happened to a topic or a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Happened {
    /// It was created.
    Created,
    /// It was taken over.
    Adopted,
    /// Its partitions were raised.
    Raised {
        /// From this number.
        from: i32,
        /// To this one.
        to: i32,
    },
    /// Somebody had deleted it: it was created again, and it is empty.
    Recreated,
    /// Another topic of its name took its place.
    Replaced,
    /// These keys of its configuration were set back.
    Repaired(Vec<String>),
    /// It was let go and stays on the broker.
    Retained(Kept),
    /// Strimzi had an object for it of which the ledger knows nothing: it is left alone, and it stays.
    Stray,
    /// It was deleted.
    Deleted,
    /// Another Microservice owns it now, as namespace and name.
    HandedOver(String, String),
    /// Its owner was let go before its deletion could be carried out; that is tried again.
    Doomed,
    /// The first login was made.
    LoginMade,
    /// The pods get this user instead of another one.
    LoginRotated,
    /// This user is gone, and its ACLs.
    LoginRetired,
    /// ACLs of this user had been removed, and were given again.
    AclsRepaired,
}
