//! `status.topics` and the condition TopicsReady. What was last known of a topic stands until its
//! cluster says otherwise: a broker that is away for a moment changes nothing.

use super::facts::{Facts, Pass, Truth, Verdict, find};
use super::text;
use crate::api::Reason;
use crate::api::status::{TopicState, TopicStatus};
use crate::intent::KafkaIntent;
use crate::intent::kafka::TopicIntent;
use crate::kafka::topic::Obstacle;
use crate::kafka::view::{TopicView, Trouble};

/// Name of the condition.
pub(super) const CONDITION: &str = "TopicsReady";

/// Most topics in a status.
const LIST: usize = 256;

/// One entry per declared topic; what was recorded stays where nothing could be concluded.
pub(super) fn entries(facts: &Facts<'_>) -> Vec<TopicStatus> {
    let recorded = facts.previous.map(|status| status.topics.as_slice()).unwrap_or_default();
    let kafka = match served(facts) {
        None => return recorded.to_vec(),
        Some(None) => return Vec::new(),
        Some(Some(kafka)) => kafka,
    };
    let entry = |topic: &TopicIntent| {
        let same = |old: &&TopicStatus| {
            old.physical_name == topic.physical_name && old.cluster == kafka.cluster.name
        };
        let views = facts.inputs.topics;
        let view = views.iter().find(|view| view.name == topic.physical_name);
        entry(facts, kafka, topic, view, recorded.iter().find(same))
    };
    kafka.topics.iter().take(LIST).map(entry).collect()
}

/// The topics to tell of, if any are described. `None` = nobody looks after them, and what was told
/// stands.
fn served<'a>(facts: &Facts<'a>) -> Option<Option<&'a KafkaIntent>> {
    match facts.pass {
        Pass::Invalid(_) | Pass::Suspended(_) => None,
        Pass::Blocked(intent, _) | Pass::Pending(intent) | Pass::Done(intent, _) => {
            Some(intent.kafka.as_deref())
        }
    }
}

fn entry(
    facts: &Facts<'_>,
    kafka: &KafkaIntent,
    topic: &TopicIntent,
    view: Option<&TopicView>,
    old: Option<&TopicStatus>,
) -> TopicStatus {
    let seen = view.and_then(|view| view.topic.as_ref());
    let told = facts.previous.and_then(|status| status.observed_generation) == facts.generation;
    let base = TopicStatus {
        name: topic.name.clone(),
        physical_name: topic.physical_name.clone(),
        cluster: kafka.cluster.name.clone(),
        id: seen.map(|topic| topic.id.clone()).or_else(|| old?.id.clone()),
        partitions: seen.map_or_else(|| old?.partitions, |topic| known(topic.partitions)),
        replication_factor: seen
            .map_or_else(|| old?.replication_factor, |topic| known(topic.replication_factor)),
        ..TopicStatus::default()
    };
    let with = |state, reason: Reason, message: String| TopicStatus {
        state,
        reason: Some(reason.as_str().to_owned()),
        message: Some(text::cut(&message, text::MESSAGE_BYTES)),
        ..base.clone()
    };
    match view {
        Some(TopicView { trouble: Some(trouble), .. }) if trouble.lasting => {
            let state = match (is_of_topic(trouble.reason), &base.id) {
                (true, _) => TopicState::Refused,
                (false, Some(_)) => TopicState::Unknown,
                (false, None) => TopicState::Pending,
            };
            with(state, trouble.reason, refusal(topic, kafka, trouble))
        }
        // What was never seen has no last known state that could stand.
        Some(TopicView { trouble: Some(trouble), .. })
            if base.id.is_none() && trouble.reason == Reason::BrokerUnreachable =>
        {
            let message = format!("it cannot be created yet: {}", refusal(topic, kafka, trouble));
            with(TopicState::Pending, Reason::WaitingForOwnTopic, message)
        }
        Some(view) if view.compared && view.trouble.is_none() => match view.obstacles.as_slice() {
            [] if view.topic.is_some() => TopicStatus { state: TopicState::Ready, ..base },
            [] => with(TopicState::Pending, Reason::WaitingForOwnTopic, "it is being created".to_owned()),
            [first, ..] => {
                let texts: Vec<String> =
                    view.obstacles.iter().map(|obstacle| hindrance(topic, obstacle)).collect();
                with(TopicState::Refused, reason(first), texts.join("; "))
            }
        },
        _ => match old.filter(|_| told) {
            Some(old) => old.clone(),
            None if base.id.is_some() => {
                with(TopicState::Pending, Reason::Progressing, "it is being brought in line".to_owned())
            }
            None => with(TopicState::Pending, Reason::WaitingForOwnTopic, "it is being created".to_owned()),
        },
    }
}

/// A number that somebody has seen.
fn known(number: i32) -> Option<i32> {
    Some(number).filter(|number| *number > 0)
}

/// Whether the cluster refuses the topic itself: its description has to change.
fn is_of_topic(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::TopicNameRefused
            | Reason::TopicConfigRefused
            | Reason::TopicPolicyViolation
            | Reason::ReplicationImpossible
            | Reason::StrimziRefused
            | Reason::Conflict
            | Reason::Rejected
    )
}

/// What the cluster refuses, and what to do about it.
fn refusal(topic: &TopicIntent, kafka: &KafkaIntent, trouble: &Trouble) -> String {
    let cluster = &kafka.cluster.name;
    let quoted = text::quote(&trouble.text);
    let fix = match trouble.reason {
        Reason::BrokerUnreachable => format!(
            "the platform team checks the brokers of cluster \"{cluster}\" and its bootstrapServers in the class"
        ),
        Reason::LoginRefused | Reason::ClusterSecretMissing => {
            "the platform team corrects the Secret with the operator's login; it is read again by itself"
                .to_owned()
        }
        Reason::TlsRefused => {
            "the platform team corrects the cluster's tls in the class, or the Secret with the certificate authorities"
                .to_owned()
        }
        Reason::NotAuthorized => format!(
            "the platform team gives the operator's user the right on topic \"{}\"",
            topic.physical_name
        ),
        Reason::Throttled => "it is sent again later".to_owned(),
        Reason::ApiNotServed => {
            "the platform team installs Strimzi's definitions; that is noticed by itself".to_owned()
        }
        Reason::Forbidden => {
            "the platform team gives the operator its rights on Strimzi's objects (rbac --strimzi-namespace)"
                .to_owned()
        }
        Reason::Conflict => {
            "use another name, or have the platform team remove that object, which is not the operator's"
                .to_owned()
        }
        Reason::StrimziNotRunning => {
            "the platform team starts Strimzi's operators, or corrects strimzi in the class".to_owned()
        }
        Reason::StrimziRefused => "correct what is named here, or ask the platform team".to_owned(),
        Reason::TopicNameRefused => "use another name".to_owned(),
        Reason::ReplicationImpossible => {
            "lower replicationFactor, or wait until more brokers have joined".to_owned()
        }
        Reason::TopicConfigRefused => "correct the fields named here".to_owned(),
        Reason::TopicPolicyViolation => "follow the policy, or ask the platform team to change it".to_owned(),
        _ => "it is tried again".to_owned(),
    };
    format!("{quoted}; {fix}")
}

fn reason(obstacle: &Obstacle) -> Reason {
    match obstacle {
        Obstacle::OwnedBy(_) => Reason::TopicConflict,
        Obstacle::ExistsUnmanaged => Reason::TopicExists,
        Obstacle::OnOtherCluster(_) => Reason::TopicMoveRefused,
        Obstacle::Blind => Reason::GuardsLimited,
        Obstacle::Absent => Reason::WaitingForTopic,
        Obstacle::PartitionDecrease { .. } => Reason::PartitionDecreaseRefused,
        Obstacle::CompactedGrowth { .. } => Reason::PartitionIncreaseUnconfirmed,
        Obstacle::ReplicationChange { .. } => Reason::ReplicationChangeRefused,
    }
}

/// What stands in the way, and what to do about it.
fn hindrance(topic: &TopicIntent, obstacle: &Obstacle) -> String {
    match obstacle {
        Obstacle::OwnedBy(owner) => format!(
            "it belongs to Microservice {}/{}: use another name, or have that one let it go and set managementPolicy: \
             Adopt here",
            owner.namespace, owner.name
        ),
        Obstacle::ExistsUnmanaged => {
            "it exists and was not made for this Microservice: set managementPolicy: Adopt to take it over, Observe to \
             only use it, or use another name"
                .to_owned()
        }
        Obstacle::OnOtherCluster(id) => format!(
            "it is on the cluster with the id {id} and would be created anew and empty here: restore the \
             bootstrapServers of the class, or remove the topic from spec.kafka.topics and add it again"
        ),
        Obstacle::Blind => {
            "the class gives the operator no login for the brokers, so it cannot see what the topic is: set \
             managementPolicy: Manage for a new topic, or have the platform team add a login that may describe topics"
                .to_owned()
        }
        Obstacle::Absent => {
            "it does not exist, and managementPolicy: Observe never creates it: create it, or set Manage".to_owned()
        }
        Obstacle::PartitionDecrease { wanted, has } => format!(
            "it has {has} partitions and Kafka cannot take any away: set partitions to {has} instead of {wanted}"
        ),
        Obstacle::CompactedGrowth { wanted, has } => format!(
            "it is compacted, and with {wanted} partitions instead of {has} its keys would move: confirm with the \
             annotation microservice.dev/confirm-partitions: {}",
            topic.physical_name
        ),
        Obstacle::ReplicationChange { wanted, has } => format!(
            "it has {has} replicas, which are not changed in place: set replicationFactor to {has} instead of \
             {wanted}, or have the platform team reassign its partitions"
        ),
    }
}

/// The condition; absent when the service owns no topics.
pub(super) fn condition(facts: &Facts<'_>, entries: &[TopicStatus]) -> Option<Verdict> {
    let declared = facts.inputs.object.spec.kafka.as_deref();
    if declared.and_then(|kafka| kafka.topics.as_ref()).is_none_or(Vec::is_empty) {
        return None;
    }
    if served(facts).is_none() {
        return find(facts.conditions(), CONDITION)
            .is_some()
            .then(|| super::conditions::carried(facts, CONDITION));
    }
    let worst = worst(entries)?;
    let blind = facts
        .intent()
        .and_then(|intent| intent.kafka.as_deref())
        .is_some_and(|kafka| kafka.cluster.is_blind());
    let (truth, reason) = match worst.state {
        TopicState::Ready if blind => (Truth::True, Reason::GuardsLimited),
        TopicState::Ready => (Truth::True, Reason::TopicsReady),
        TopicState::Unknown => (Truth::Unknown, reason_of(worst)),
        TopicState::Pending | TopicState::Refused => (Truth::False, reason_of(worst)),
    };
    let message = match (truth, entries.len()) {
        (Truth::True, 1) => "The one topic is on the cluster as described.".to_owned(),
        (Truth::True, count) => format!("All {count} topics are on the cluster as described."),
        _ => failing(entries.iter().filter(|entry| entry.state != TopicState::Ready)),
    };
    let message = match reason {
        Reason::GuardsLimited if truth == Truth::True => format!(
            "{message} The class gives the operator no login for the brokers: whether a topic was there before is not \
             known, none is deleted (deletionPolicy: Delete retains), and none is taken over."
        ),
        _ => message,
    };
    Some(Verdict::new(truth, reason, message))
}

/// Own topics that have never been there keep the service from being Ready; `None` = all have been.
pub(super) fn existing(facts: &Facts<'_>, entries: &[TopicStatus]) -> Option<Verdict> {
    let kafka = facts.intent()?.kafka.as_deref()?;
    let declared = |entry: &&TopicStatus| kafka.topics.iter().any(|t| t.physical_name == entry.physical_name);
    let missing: Vec<&TopicStatus> =
        entries.iter().filter(declared).filter(|entry| entry.id.is_none()).collect();
    let worst = missing.iter().copied().min_by_key(|entry| rank(entry.state))?;
    Some(Verdict::new(Truth::False, reason_of(worst), failing(missing.into_iter())))
}

/// Whether only a person can end this state of a topic.
pub(super) fn needs_a_person(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::TopicConflict
            | Reason::TopicExists
            | Reason::TopicNameRefused
            | Reason::TopicConfigRefused
            | Reason::TopicPolicyViolation
            | Reason::StrimziRefused
            | Reason::Conflict
            | Reason::GuardsLimited
    )
}

fn rank(state: TopicState) -> u8 {
    match state {
        TopicState::Refused => 0,
        TopicState::Pending => 1,
        TopicState::Unknown => 2,
        TopicState::Ready => 3,
    }
}

fn worst(entries: &[TopicStatus]) -> Option<&TopicStatus> {
    entries.iter().min_by_key(|entry| rank(entry.state))
}

fn reason_of(entry: &TopicStatus) -> Reason {
    entry.reason.as_deref().and_then(Reason::parse).unwrap_or(Reason::WaitingForOwnTopic)
}

/// Each topic by name with what is wrong.
fn failing<'e>(entries: impl Iterator<Item = &'e TopicStatus>) -> String {
    let tell = |entry: &TopicStatus| {
        format!("topic \"{}\": {}", entry.physical_name, entry.message.as_deref().unwrap_or("not there yet"))
    };
    let all: Vec<String> = entries.map(tell).collect();
    let text = text::list(&all, 3, "; ");
    text.strip_prefix('t').map_or(text.clone(), |rest| format!("T{rest}"))
}

#[cfg(test)]
mod tests;
