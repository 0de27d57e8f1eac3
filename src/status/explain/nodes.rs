//! The branches of the tree.

use std::collections::BTreeSet;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use super::{Surroundings, Warning};
use crate::api::status::TopicState;
use crate::status::facts::find;
use crate::status::text::{self, quote};
use crate::status::views::{ContainerView, PodView};

/// Most pods that are shown, most Warnings of one object.
const PODS: usize = 8;
const WARNINGS: usize = 3;

/// One line of the tree, and what stands below it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Node {
    /// The line.
    pub text: String,
    /// Whether that is as it should be; `None` = it says nothing of that.
    pub good: Option<bool>,
    /// What stands below it.
    pub inner: Vec<Node>,
}

impl Node {
    fn new(good: impl Into<Option<bool>>, text: String) -> Self {
        Self { text, good: good.into(), inner: Vec::new() }
    }

    fn with(self, inner: Vec<Self>) -> Self {
        Self { inner, ..self }
    }
}

/// Conditions, topics, children with pods, and what could not be read. What the sentences tell is not told
/// again.
pub(super) fn all(seen: &Surroundings, sentences: &[String], now: Timestamp) -> Vec<Node> {
    let mut branches = vec![conditions(seen, sentences, now), children(seen, now)];
    branches.extend(topics(seen));
    if !seen.unread.is_empty() {
        let lines = seen.unread.iter().map(|line| Node::new(None, line.clone())).collect();
        branches.push(Node::new(None, "not read".to_owned()).with(lines));
    }
    branches.retain(|branch| !branch.inner.is_empty());
    branches
}

fn conditions(seen: &Surroundings, sentences: &[String], now: Timestamp) -> Node {
    let conditions = seen.object.status.iter().flat_map(|status| &status.conditions);
    let name = seen.object.metadata.name.as_deref().unwrap_or_default();
    let mut told = sentences.iter().map(String::as_str).collect();
    let mut lines: Vec<Node> = conditions.map(|one| condition(one, &mut told, now)).collect();
    lines.extend(warnings(seen, "Microservice", name, now));
    Node::new(None, "conditions".to_owned()).with(lines)
}

fn condition<'c>(condition: &'c Condition, told: &mut BTreeSet<&'c str>, now: Timestamp) -> Node {
    let Condition { type_, status, reason, message, last_transition_time, .. } = condition;
    let good = match type_.as_str() {
        "Reconciling" | "Stalled" => status != "True",
        _ => status == "True",
    };
    let since = age(last_transition_time.0, now);
    let head = format!("{type_}={status} {reason}, for {since}");
    let says = !good && told.insert(message);
    Node::new(good, if says { format!("{head}: {message}") } else { head })
}

fn children(seen: &Surroundings, now: Timestamp) -> Node {
    let children = seen.object.status.iter().flat_map(|status| &status.children);
    let lines = children.map(|child| {
        let mut good = child.ready;
        let mut line = format!("{} {}", child.kind, child.name);
        let mut inner = warnings(seen, &child.kind, &child.name, now);
        if child.kind == "Deployment" {
            if let Some(live) = &seen.deployment {
                line += &format!(": {} of {} ready, {} updated", live.ready, live.desired, live.updated);
                good &= live.ready >= live.desired;
            }
            inner.extend(pods(seen, now));
        }
        match &child.message {
            Some(message) => line += &format!(": {message}"),
            None if !child.ready => line += ": not stored as planned",
            None => {}
        }
        Node::new(good, line).with(inner)
    });
    Node::new(None, "children".to_owned()).with(lines.collect())
}

fn pods(seen: &Surroundings, now: Timestamp) -> Vec<Node> {
    let mut lines: Vec<Node> = seen.pods.iter().take(PODS).map(|one| pod(seen, one, now)).collect();
    let more = seen.pods.len().saturating_sub(PODS);
    if more > 0 {
        lines.push(Node::new(false, format!("{} more {} not ready", text::pods(count(more)), verb(more))));
    }
    if seen.ready_pods > 0 {
        lines.push(Node::new(
            true,
            format!("{} ready", text::are(i32::try_from(seen.ready_pods).unwrap_or(i32::MAX))),
        ));
    }
    lines
}

fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn verb(count: usize) -> &'static str {
    text::verb(count, "is", "are")
}

fn pod(seen: &Surroundings, pod: &PodView, now: Timestamp) -> Node {
    let age = age(Timestamp::from_second(pod.created).unwrap_or(now), now);
    let mut line = format!("Pod {}, {age} old", pod.name);
    if pod.deleting {
        line += ", ends";
    }
    if let Some(why) = &pod.unschedulable {
        line += &format!(": not scheduled: {}", quote(why));
    }
    let mut inner: Vec<Node> =
        pod.containers.iter().filter(|container| !container.ready).map(container).collect();
    inner.extend(warnings(seen, "Pod", &pod.name, now));
    Node::new(false, line).with(inner)
}

fn container(container: &ContainerView) -> Node {
    let mut parts = Vec::new();
    match &container.waiting {
        Some((reason, why)) if why.is_empty() => parts.push(format!("waits: {reason}")),
        Some((reason, why)) => parts.push(format!("waits: {reason}: {}", quote(why))),
        None if container.running && container.started => parts.push("runs, and is not ready".to_owned()),
        None if container.running => parts.push("runs, and has not started up".to_owned()),
        None => {}
    }
    if let Some((code, reason)) = &container.terminated {
        let reason = if reason.is_empty() { String::new() } else { format!(" ({reason})") };
        parts.push(format!("last exit code {code}{reason}"));
    }
    if container.restarts > 0 {
        parts.push(format!(
            "{} {}",
            container.restarts,
            if container.restarts == 1 { "restart" } else { "restarts" }
        ));
    }
    let done = container.waiting.is_none()
        && !container.running
        && container.terminated.as_ref().is_some_and(|(code, _)| *code == 0);
    Node::new(
        if done { None } else { Some(false) },
        format!("container {}: {}", container.name, parts.join("; ")),
    )
}

/// The newest Warnings of one object.
fn warnings(seen: &Surroundings, kind: &str, name: &str, now: Timestamp) -> Vec<Node> {
    let mut own: Vec<&Warning> =
        seen.warnings.iter().filter(|warning| warning.kind == kind && warning.name == name).collect();
    own.sort_by_key(|warning| std::cmp::Reverse(warning.last));
    let ready_since = ready_since(seen);
    let line = |warning: &&Warning| {
        let Warning { reason, message, count, last, .. } = warning;
        let times = if *count > 1 { format!(", {count} times") } else { String::new() };
        // What was before it became Ready is history.
        let good = Some(false).filter(|_| ready_since.is_none_or(|since| *last > since));
        Node::new(good, format!("Warning {reason}, {} ago{times}: {}", age(*last, now), quote(message)))
    };
    own.iter().take(WARNINGS).map(line).collect()
}

/// Since when it has been Ready, if it is.
fn ready_since(seen: &Surroundings) -> Option<Timestamp> {
    let ready = find(seen.object.status.as_ref().map_or(&[], |status| &status.conditions), "Ready");
    ready.filter(|ready| ready.status == "True").map(|ready| ready.last_transition_time.0)
}

fn topics(seen: &Surroundings) -> Option<Node> {
    let topics = seen.object.status.as_ref().map(|status| &status.topics)?;
    let line = |topic: &crate::api::status::TopicStatus| {
        let mut line = format!(
            "Topic {} ({} on cluster {}): {:?}",
            topic.name, topic.physical_name, topic.cluster, topic.state
        );
        if let Some(message) = &topic.message {
            line += &format!(": {message}");
        }
        Node::new(topic.state == TopicState::Ready, line)
    };
    Some(Node::new(None, "topics".to_owned()).with(topics.iter().map(line).collect()))
}

/// How long ago, in the largest two units.
fn age(then: Timestamp, now: Timestamp) -> String {
    let seconds = now.as_second().saturating_sub(then.as_second()).max(0);
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, minutes) => format!("{minutes}m{}s", seconds % 60),
        (0, hours, minutes) => format!("{hours}h{minutes}m"),
        (days, hours, _) => format!("{days}d{hours}h"),
    }
}
