//! What the description of a group shows of its reading. Pure.

use krafka::admin::{
    ConsumerGroupDescription, ConsumerGroupMember, DescribedStreamsGroup, StreamsSubtopology,
};

/// The protocol of groups that read topics. Others, such as those of Kafka Connect's workers, only divide
/// work among themselves.
const CONSUMERS: &str = "consumer";

/// Whether a group reads a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// It does.
    Yes,
    /// It does not.
    No,
    /// It has members of whom not all show what they read, as during a rebalance.
    Unclear,
}

/// What a group shows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shown {
    state: String,
    /// `None` = of the group's type there is but one.
    protocol: Option<String>,
    /// The topics that each member, or each part of a Streams application, reads.
    parts: Vec<Vec<String>>,
}

impl Shown {
    /// Whether the group reads the topic.
    pub fn reading(&self, topic: &str) -> Reading {
        let foreign = |protocol: &String| !protocol.is_empty() && protocol != CONSUMERS;
        if self.parts.iter().flatten().any(|name| name == topic) {
            Reading::Yes
        } else if is_idle(&self.state) || self.protocol.as_ref().is_some_and(foreign) {
            Reading::No
        } else if self.parts.is_empty() || self.parts.iter().any(Vec::is_empty) {
            Reading::Unclear
        } else {
            Reading::No
        }
    }
}

/// Whether a group in this state has no members.
pub fn is_idle(state: &str) -> bool {
    matches!(state, "Empty" | "Dead")
}

impl From<ConsumerGroupDescription> for Shown {
    fn from(group: ConsumerGroupDescription) -> Self {
        let parts = group.members.into_iter().map(names).collect();
        Self { state: group.state, protocol: group.protocol_type, parts }
    }
}

/// What a member has subscribed to, reads, or is about to read.
fn names(member: ConsumerGroupMember) -> Vec<String> {
    let assigned = member.assignment.into_iter().chain(member.target_assignment).flatten();
    let subscribed = member.subscribed_topic_names.into_iter().flatten();
    subscribed.chain(assigned.map(|part| part.topic_name)).collect()
}

impl From<DescribedStreamsGroup> for Shown {
    fn from(group: DescribedStreamsGroup) -> Self {
        let parts = group.topology.and_then(|topology| topology.subtopologies).into_iter().flatten();
        // One that reads only what the application itself writes shows that.
        let names = |part: StreamsSubtopology| {
            let own = part.repartition_source_topics.into_iter().map(|topic| topic.name);
            part.source_topics.into_iter().chain(own).collect()
        };
        Self { state: group.group_state, protocol: None, parts: parts.map(names).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(state: &str, protocol: Option<&str>, parts: &[&[&str]]) -> Shown {
        let owned = |names: &&[&str]| names.iter().map(|&name| name.to_owned()).collect();
        let parts = parts.iter().map(owned).collect();
        Shown { state: state.to_owned(), protocol: protocol.map(str::to_owned), parts }
    }

    #[test]
    fn a_group_that_does_not_show_what_it_reads_is_not_taken_for_one_that_does_not_read() {
        let classic = Some("consumer");
        let table = [
            ("Stable", classic, &[&["a"][..], &["orders"]][..], Reading::Yes),
            ("Stable", classic, &[&["a"], &["b"]], Reading::No),
            // In a rebalance a classic group is described without what its members read.
            ("PreparingRebalance", classic, &[&[]], Reading::Unclear),
            ("CompletingRebalance", classic, &[&[], &[]], Reading::Unclear),
            ("PreparingRebalance", Some(""), &[], Reading::Unclear),
            // One member of several, such as one that subscribes with a pattern and has nothing yet.
            ("Stable", None, &[&["a"], &[]], Reading::Unclear),
            ("Stable", None, &[&["orders"], &[]], Reading::Yes),
            // No topology, as long as a Streams application lacks topics.
            ("NotReady", None, &[], Reading::Unclear),
            ("Empty", classic, &[], Reading::No),
            ("Dead", None, &[], Reading::No),
            // The workers of Kafka Connect, and those of a schema registry.
            ("Stable", Some("connect"), &[&[]], Reading::No),
            ("Stable", Some("sr"), &[&[]], Reading::No),
        ];
        for (state, protocol, parts, expected) in table {
            let group = shown(state, protocol, parts);
            assert_eq!(group.reading("orders"), expected, "{group:?}");
        }
    }
}
