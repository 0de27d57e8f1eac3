//! The kubelet's word on a failing probe. It stands only in Events, so it is read when the pod itself
//! tells no cause, and not again for a minute.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Event;
use kube::api::ListParams;
use kube::{Api, Client};
use tokio::time::Instant;

use super::request::bounded;
use crate::status::causes::{UP_WITHIN, is_silent, unexplained};
use crate::status::views::PodView;

/// How long an answer is good for.
const FRESH: Duration = Duration::from_mins(1);
/// Pods of one service that are asked about: they fail alike.
const PODS: usize = 2;

/// Answers by pod.
#[derive(Default)]
pub struct ProbeMessages {
    known: Mutex<HashMap<(String, String), Answer>>,
}

struct Answer {
    at: Instant,
    good_for: Duration,
    message: Option<String>,
}

impl ProbeMessages {
    /// Fills in the message of the first pods that do not tell their cause themselves.
    pub async fn fill(&self, client: &Client, namespace: &str, pods: &mut [PodView]) {
        let silent: Vec<String> = unexplained(pods).into_iter().take(PODS).map(str::to_owned).collect();
        for pod in pods.iter_mut().filter(|pod| silent.contains(&pod.name)) {
            pod.probe_message = self.message(client, namespace, pod).await;
        }
    }

    async fn message(&self, client: &Client, namespace: &str, pod: &PodView) -> Option<String> {
        let key = (namespace.to_owned(), pod.name.clone());
        if let Some(known) = self.recent(&key) {
            return known;
        }
        let message = read(client, namespace, &pod.name).await;
        let told = PodView { probe_message: message.clone(), ..pod.clone() };
        let good_for = question(&told, Timestamp::now().as_second()).unwrap_or(FRESH);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, answer| answer.at.elapsed() < answer.good_for);
        known.insert(key, Answer { at: Instant::now(), good_for, message: message.clone() });
        message
    }

    fn recent(&self, key: &(String, String)) -> Option<Option<String>> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let answer = known.get(key)?;
        (answer.at.elapsed() < answer.good_for).then(|| answer.message.clone())
    }
}

async fn read(client: &Client, namespace: &str, pod: &str) -> Option<String> {
    let api: Api<Event> = Api::namespaced(client.clone(), namespace);
    let params = ListParams::default()
        .fields(&format!("involvedObject.kind=Pod,involvedObject.name={pod},reason=Unhealthy"))
        .limit(20);
    match bounded(api.list(&params)).await {
        Ok(events) => {
            let newest =
                events.items.into_iter().max_by_key(|event| event.last_timestamp.clone().map(|t| t.0));
            newest.and_then(|event| event.message)
        }
        Err(failure) => {
            tracing::debug!(%failure, pod, "the Events of a pod could not be read");
            None
        }
    }
}

/// When to ask again about a pod; `None` = it has told what is wrong. `now` is in seconds since 1970.
fn question(pod: &PodView, now: i64) -> Option<Duration> {
    let seconds = |count: i64| Duration::from_secs(u64::try_from(count).unwrap_or_default());
    if pod.probe_message.is_none() {
        // Soon for a young pod, whose Event may be on its way, later for one that just starts slowly.
        return Some(seconds((now - pod.created) / 2).clamp(Duration::from_secs(1), FRESH));
    }
    // It was not up: another answer may follow at any time. When its time is over, the last one counts.
    let began = pod.containers.iter().map(|container| container.since).max().unwrap_or_default();
    let age = now - began;
    let wait = if age < UP_WITHIN { seconds(age.clamp(1, UP_WITHIN - age)) } else { FRESH };
    is_silent(pod, now).then_some(wait)
}

/// When the next answer about these pods is due; `None` = all that can be known is.
pub fn next_question(pods: &[PodView]) -> Option<Duration> {
    let (silent, now) = (unexplained(pods), Timestamp::now().as_second());
    let asked = pods.iter().filter(|pod| silent.contains(&pod.name.as_str())).take(PODS);
    asked.filter_map(|pod| question(pod, now)).min()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::views::ContainerView;

    #[test]
    fn a_pod_that_starts_is_asked_about_until_its_answer_counts() {
        let pod = |message: Option<&str>| PodView {
            created: 1_000,
            probe_message: message.map(str::to_owned),
            containers: vec![ContainerView { running: true, since: 1_002, ..ContainerView::default() }],
            ..PodView::default()
        };
        let waits = |message: &str, now| question(&pod(Some(message)), now).map(|wait| wait.as_secs());
        let (refused, answers) = ("connection refused", "HTTP probe failed with statuscode: 503");
        assert_eq!(question(&pod(None), 1_010), Some(Duration::from_secs(5)));
        for message in [refused, answers] {
            assert_eq!(waits(message, 1_002), Some(1));
            assert_eq!(waits(message, 1_010), Some(8));
            assert_eq!(waits(message, 1_050), Some(12), "when a minute is over");
        }
        assert_eq!(waits(refused, 1_062), Some(60));
        assert_eq!(waits(answers, 1_062), None, "that is its trouble");
    }
}
