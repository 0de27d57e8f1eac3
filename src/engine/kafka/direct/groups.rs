//! Which groups read a topic, or have read it and remember how far.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt, stream};
use krafka::Result;
use krafka::admin::{
    AdminClient, ConsumerGroupDescription, ConsumerGroupListing, DescribeConsumerGroupsOptions,
    DescribeShareGroupOffsetsOptions, DescribeStreamsGroupsOptions, GroupType,
    ListConsumerGroupOffsetsOptions, ListConsumerGroupsOptions,
};
use krafka::error::{ErrorCode, KrafkaError};

use super::ITEMS;
use crate::kafka::model::Group;

/// How many groups are asked for their offsets at once.
const AT_ONCE: usize = 8;

/// All groups that have to do with the topic. A group whose answer is missing fails the whole: "nobody
/// reads it" must not be said of a cluster that was seen in part.
pub async fn of_topic(admin: &AdminClient, topic: &str, left: Duration) -> Result<Vec<Group>> {
    let all = list(admin, left).await?;
    let mut found = BTreeMap::new();
    let mut quiet = Vec::new();
    let active: Vec<&ConsumerGroupListing> = all.values().filter(|group| is_active(group)).collect();
    let readers = read_now(admin, topic, &active, left).await?;
    for (id, group) in all {
        if readers.contains(&id) {
            found.insert(id, true);
        } else {
            quiet.push(remembers(admin, topic, group, left));
        }
    }
    let asked: Vec<Option<(String, bool)>> =
        stream::iter(quiet).buffer_unordered(AT_ONCE).try_collect().await?;
    found.extend(asked.into_iter().flatten());
    Ok(found.into_iter().map(|(id, active)| Group { id, active }).collect())
}

/// The groups of all brokers.
async fn list(admin: &AdminClient, left: Duration) -> Result<BTreeMap<String, ConsumerGroupListing>> {
    let options = ListConsumerGroupsOptions::default().timeout(left);
    let mut all = BTreeMap::new();
    for (_, listed) in admin.list_consumer_groups(options).await? {
        all.extend(listed?.into_iter().map(|group| (group.group_id.clone(), group)));
    }
    Ok(all)
}

fn is_active(group: &ConsumerGroupListing) -> bool {
    !matches!(group.state.as_deref(), Some("Empty" | "Dead"))
}

/// Those of the active groups that have the topic assigned or subscribed.
async fn read_now(
    admin: &AdminClient,
    topic: &str,
    active: &[&ConsumerGroupListing],
    left: Duration,
) -> Result<Vec<String>> {
    let (streams, consumers): (Vec<&ConsumerGroupListing>, Vec<&ConsumerGroupListing>) = active
        .iter()
        .copied()
        .filter(|group| !is_of_type(group, "share"))
        .partition(|group| is_of_type(group, "streams"));
    let mut readers = Vec::new();
    for chunk in consumers.chunks(ITEMS) {
        let options = DescribeConsumerGroupsOptions::default().timeout(left);
        let ids = chunk.iter().map(|group| &group.group_id);
        for (id, described) in admin.describe_consumer_groups(ids, options).await? {
            if existing(described)?.is_some_and(|group| reads(&group, topic)) {
                readers.push(id);
            }
        }
    }
    for chunk in streams.chunks(ITEMS) {
        let options = DescribeStreamsGroupsOptions::default().timeout(left);
        let ids = chunk.iter().map(|group| &group.group_id);
        for (id, described) in admin.describe_streams_groups(ids, options).await? {
            let parts = existing(described)?.and_then(|group| group.topology?.subtopologies);
            let sources = parts.into_iter().flatten().flat_map(|part| part.source_topics);
            if sources.into_iter().any(|source| source == topic) {
                readers.push(id);
            }
        }
    }
    Ok(readers)
}

fn is_of_type(group: &ConsumerGroupListing, name: &str) -> bool {
    matches!(&group.group_type, Some(GroupType::Unknown(other)) if other == name)
}

fn reads(group: &ConsumerGroupDescription, topic: &str) -> bool {
    group.members.iter().any(|member| {
        let mut names = member.subscribed_topic_names.iter().flatten();
        let mut assigned = member.assignment.iter().flatten();
        names.any(|name| name == topic) || assigned.any(|part| part.topic_name == topic)
    })
}

/// The group and whether it is active, if it has offsets on the topic.
async fn remembers(
    admin: &AdminClient,
    topic: &str,
    group: ConsumerGroupListing,
    left: Duration,
) -> Result<Option<(String, bool)>> {
    let active = is_active(&group);
    let id = group.group_id.as_str();
    let found = if is_of_type(&group, "share") {
        let options = DescribeShareGroupOffsetsOptions::default().timeout(left);
        let offsets = existing(admin.describe_share_group_offsets(id, options).await)?;
        offsets.into_iter().flatten().any(|(part, _)| part.topic == topic)
    } else {
        let options = ListConsumerGroupOffsetsOptions::default().timeout(left);
        let offsets = existing(admin.list_consumer_group_offsets(id, options).await)?;
        offsets
            .into_iter()
            .flatten()
            .any(|(part, offset)| part.topic == topic && offset.is_ok_and(|offset| offset.offset.is_some()))
    };
    Ok(found.then_some((group.group_id, active)))
}

/// A group may be gone since it was listed.
fn existing<T>(answer: Result<T>) -> Result<Option<T>> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(KrafkaError::Broker { code: ErrorCode::GroupIdNotFound, .. }) => Ok(None),
        Err(error) => Err(error),
    }
}
