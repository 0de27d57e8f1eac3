//! Which groups read a topic, or have read it and remember how far.

mod shown;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::{StreamExt, TryStreamExt, stream};
use krafka::__private::kafka_metadata;
use krafka::admin::{
    AdminClient, ConsumerGroupListing, DescribeConsumerGroupsOptions, DescribeShareGroupOffsetsOptions,
    DescribeStreamsGroupsOptions, GroupType, ListConsumerGroupOffsetsOptions, ListConsumerGroupsOptions,
};
use krafka::error::{ErrorCode, KrafkaError};
use krafka::{Kafka, Result};
use tokio::time::{sleep, timeout};

use super::ITEMS;
use super::link::Connection;
use crate::kafka::model::Group;
use shown::{Reading, Shown, is_idle};

/// How many groups are asked for their offsets at once.
const AT_ONCE: usize = 8;
/// How often a group that does not show what it reads is looked at: most rebalances are over by then.
const LOOKS: usize = 5;
/// How long to wait before the next look.
const PAUSE: Duration = Duration::from_secs(1);

/// All groups that have to do with the topic. A group whose answer is missing fails the whole: "nobody
/// reads it" must not be said of a cluster that was seen in part.
pub async fn of_topic(connection: &Connection, topic: &str, left: Duration) -> Result<Vec<Group>> {
    let admin = &connection.admin;
    find_brokers(&connection.kafka, left).await?;
    let all = list(admin, left).await?;
    let mut found = BTreeMap::new();
    let mut quiet = Vec::new();
    let readers =
        read_now(admin, topic, all.values().filter(|group| is_active(group)).collect(), left).await?;
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

/// Learns of all brokers: the client asks those that it knows, and one that joined after it connected is
/// not among them until something else proves wrong.
async fn find_brokers(kafka: &Kafka, left: Duration) -> Result<()> {
    let late = |_| KrafkaError::timeout("asking for the brokers of the cluster");
    timeout(left, kafka_metadata(kafka).force_refresh(Some(&[]))).await.map_err(late)?
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
    !group.state.as_deref().is_some_and(is_idle)
}

/// Those of the active groups that read the topic, and those that do not show what they read.
async fn read_now(
    admin: &AdminClient,
    topic: &str,
    active: Vec<&ConsumerGroupListing>,
    left: Duration,
) -> Result<BTreeSet<String>> {
    let mut readers = BTreeSet::new();
    let mut open = active;
    open.retain(|group| !is_of_type(group, "share"));
    for look in 0..LOOKS {
        if open.is_empty() {
            break;
        }
        if look > 0 {
            sleep(PAUSE).await;
        }
        let shown = describe(admin, &open, left).await?;
        let reading = |id: &String| shown.get(id).map_or(Reading::No, |group| group.reading(topic));
        readers.extend(shown.keys().filter(|id| reading(id) == Reading::Yes).cloned());
        open.retain(|group| reading(&group.group_id) == Reading::Unclear);
    }
    readers.extend(open.into_iter().map(|group| group.group_id.clone()));
    Ok(readers)
}

/// What these groups show, without those that are gone.
async fn describe(
    admin: &AdminClient,
    groups: &[&ConsumerGroupListing],
    left: Duration,
) -> Result<BTreeMap<String, Shown>> {
    let (streams, consumers): (Vec<_>, Vec<_>) =
        groups.iter().map(|group| (is_of_type(group, "streams"), &group.group_id)).partition(|(yes, _)| *yes);
    let mut all = BTreeMap::new();
    for chunk in consumers.chunks(ITEMS) {
        let options = DescribeConsumerGroupsOptions::default().timeout(left);
        let ids = chunk.iter().map(|(_, id)| id);
        for (id, described) in admin.describe_consumer_groups(ids, options).await? {
            all.extend(existing(described)?.map(|group| (id, group.into())));
        }
    }
    for chunk in streams.chunks(ITEMS) {
        let options = DescribeStreamsGroupsOptions::default().timeout(left);
        let ids = chunk.iter().map(|(_, id)| id);
        for (id, described) in admin.describe_streams_groups(ids, options).await? {
            all.extend(existing(described)?.map(|group| (id, group.into())));
        }
    }
    Ok(all)
}

fn is_of_type(group: &ConsumerGroupListing, name: &str) -> bool {
    matches!(&group.group_type, Some(GroupType::Unknown(other)) if other == name)
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
