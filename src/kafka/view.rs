//! What is known of the topics that a Microservice declares, for its status, and what has happened to
//! them, for its Events.

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

/// Something that happened to a topic and is worth an Event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct News {
    /// The topic's name on the broker.
    pub topic: String,
    /// What.
    pub what: Happened,
}

/// What happened to a topic.
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
    /// It was deleted.
    Deleted,
    /// Another Microservice owns it now, as namespace and name.
    HandedOver(String, String),
    /// Its owner was let go before its deletion could be carried out; that is tried again.
    Doomed,
}
