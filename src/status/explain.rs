//! Why a Microservice is not Ready: its conditions, children, pods and Events as one tree, and the root
//! cause as the operator would tell it now.

mod nodes;

use jiff::Timestamp;

pub use nodes::Node;

use super::causes::{self, Template};
use super::facts::find;
use super::views::{DeploymentView, PodView, Problem};
use crate::api::Microservice;

/// All that an explanation is made of, as it is in the cluster.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    /// The object with its status.
    pub object: Microservice,
    /// Its Deployment.
    pub deployment: Option<DeploymentView>,
    /// Its pods that are not ready.
    pub pods: Vec<PodView>,
    /// Number of its pods that are ready.
    pub ready_pods: usize,
    /// Warnings about it, its children and its pods.
    pub warnings: Vec<Warning>,
    /// What could not be read, and why.
    pub unread: Vec<String>,
}

/// A Warning Event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// Kind of what it is about.
    pub kind: String,
    /// Name of what it is about.
    pub name: String,
    /// Its reason.
    pub reason: String,
    /// Its text.
    pub message: String,
    /// How often it was seen.
    pub count: i32,
    /// When it was last seen.
    pub last: Timestamp,
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// Whether the object is Ready in its current generation.
    pub ready: bool,
    /// One line: which object, and how it is.
    pub title: String,
    /// What is behind it, and what to do; one sentence each.
    pub sentences: Vec<String>,
    /// Everything that was seen.
    pub branches: Vec<Node>,
}

/// Explains. `now` is for the ages.
pub fn explain(seen: &Surroundings, now: Timestamp) -> Explanation {
    let metadata = &seen.object.metadata;
    let name = metadata.name.as_deref().unwrap_or_default();
    let namespace = metadata.namespace.as_deref().unwrap_or_default();
    let conditions = seen.object.status.as_ref().map_or(&[][..], |status| &status.conditions);
    let current =
        seen.object.status.as_ref().and_then(|status| status.observed_generation) == metadata.generation;
    let condition = find(conditions, "Ready");
    let ready = current && condition.is_some_and(|condition| condition.status == "True");
    let title = match (metadata.deletion_timestamp.is_some(), condition) {
        (true, _) => format!("Microservice {namespace}/{name} is being deleted"),
        (_, Some(condition)) if ready => {
            format!("Microservice {namespace}/{name} is Ready: {}", condition.reason)
        }
        (_, Some(condition)) if current => {
            format!("Microservice {namespace}/{name} is not Ready: {}", condition.reason)
        }
        _ => format!("Microservice {namespace}/{name}: its status is not up to date"),
    };
    let mut sentences = Vec::new();
    sentences.extend(unseen(&seen.object, current));
    sentences.extend(condition.filter(|_| current).map(|condition| condition.message.clone()));
    if !ready && let Some(problem) = cause(seen, now) {
        let told = |sentence: &String| sentence.contains(problem.message.trim_end_matches('.'));
        // The status tells the same with more of the spec's words.
        let same = current && condition.is_some_and(|condition| condition.reason == problem.reason.as_str());
        if !same && !sentences.iter().any(told) {
            sentences.push(format!("Now seen in its pods: {}", problem.message));
        }
    }
    sentences.retain(|sentence| !sentence.is_empty());
    let branches = nodes::all(seen, &sentences, now);
    Explanation { ready, title, sentences, branches }
}

/// The operator's own judgement of the pods as they are now.
fn cause(seen: &Surroundings, now: Timestamp) -> Option<Problem> {
    let template = Template { object: &seen.object, intent: None };
    causes::root_cause(seen.deployment.as_ref()?, &seen.pods, &template, now.as_second())
}

/// That no operator has looked at it, or not at its newest spec.
fn unseen(object: &Microservice, current: bool) -> Option<String> {
    let namespace = object.metadata.namespace.as_deref().unwrap_or_default();
    let observed =
        object.status.as_ref().and_then(|status| status.observed_generation).filter(|seen| *seen > 0);
    match observed {
        _ if current => None,
        Some(observed) => Some(format!(
            "The operator has seen generation {observed} of it, and it is at {}: if that stays so, see whether the \
             operator runs.",
            object.metadata.generation.unwrap_or_default()
        )),
        None => Some(format!(
            "No operator has looked at it: see whether the operator runs, and whether it watches namespace {namespace}."
        )),
    }
}

#[cfg(test)]
mod tests;
