//! The kubelet's word on a failing probe. It stands only in Events, so it is read when the pod itself
//! tells no cause, and not again for a minute.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Event;
use kube::api::ListParams;
use kube::{Api, Client};

use super::request::bounded;
use crate::status::causes::unexplained;
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
        let good_for = if message.is_some() { FRESH } else { patience(pod) };
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

/// When to ask again after "nothing is known": soon for a young pod, whose Event may be on its way,
/// later for one that just starts slowly.
fn patience(pod: &PodView) -> Duration {
    let age = u64::try_from(Timestamp::now().as_second() - pod.created).unwrap_or_default();
    Duration::from_secs(age / 2).clamp(Duration::from_secs(1), FRESH)
}

/// When the next answer about these pods is due; `None` = all that can be known is.
pub fn next_question(pods: &[PodView]) -> Option<Duration> {
    let silent = unexplained(pods);
    let unanswered =
        pods.iter().filter(|pod| pod.probe_message.is_none() && silent.contains(&pod.name.as_str()));
    unanswered.take(PODS).map(patience).min()
}
