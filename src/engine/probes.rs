//! The kubelet's word on a failing probe. It stands only in Events, so it is read when the pod itself
//! tells no cause, and not again for a minute.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Event;
use kube::api::ListParams;
use kube::{Api, Client};

use super::request::bounded;
use crate::status::views::PodView;

/// How long an answer is good for.
const FRESH: Duration = Duration::from_mins(1);
/// Pods of one service that are asked about: they fail alike.
const PODS: usize = 2;

/// Answers by pod.
#[derive(Default)]
pub struct ProbeMessages {
    known: Mutex<HashMap<(String, String), (Instant, Option<String>)>>,
}

impl ProbeMessages {
    /// Fills in the message of the first pods that run, are not ready, and tell no cause themselves.
    pub async fn fill(&self, client: &Client, namespace: &str, pods: &mut [PodView]) {
        for pod in pods.iter_mut().filter(|pod| is_silent(pod)).take(PODS) {
            pod.probe_message = self.message(client, namespace, &pod.name).await;
        }
    }

    async fn message(&self, client: &Client, namespace: &str, pod: &str) -> Option<String> {
        let key = (namespace.to_owned(), pod.to_owned());
        if let Some(known) = self.recent(&key) {
            return known;
        }
        let api: Api<Event> = Api::namespaced(client.clone(), namespace);
        let params = ListParams::default()
            .fields(&format!("involvedObject.kind=Pod,involvedObject.name={pod},reason=Unhealthy"))
            .limit(20);
        let message = match bounded(api.list(&params)).await {
            Ok(events) => {
                let newest = events.items.into_iter().max_by_key(|event| event.last_timestamp.clone().map(|t| t.0));
                newest.and_then(|event| event.message)
            }
            Err(failure) => {
                tracing::debug!(%failure, pod, "the Events of a pod could not be read");
                None
            }
        };
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, (at, _)| at.elapsed() < FRESH);
        known.insert(key, (Instant::now(), message.clone()));
        message
    }

    /// What is known; "nothing" is asked again after a second, since Events come late.
    fn recent(&self, key: &(String, String)) -> Option<Option<String>> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, message) = known.get(key)?;
        let fresh = if message.is_some() { FRESH } else { Duration::from_secs(1) };
        (at.elapsed() < fresh).then(|| message.clone())
    }
}

/// Whether the pod runs, is not ready, and does not say why.
pub fn is_silent(pod: &PodView) -> bool {
    !pod.deleting
        && pod.containers.iter().any(|container| container.running && !container.ready)
        && pod.containers.iter().all(|container| container.waiting.is_none())
}
