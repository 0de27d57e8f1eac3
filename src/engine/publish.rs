//! Writes the computed status and its Events: only what differs, progress at most once a second.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::{HeaderValue, header};
use kube::api::{ObjectMeta, Patch, PatchParams};
use kube::core::Request;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use kube::{Client, Resource, ResourceExt};
use serde::Serialize;
use serde_json::{Value, json};

use super::live::Key;
use super::memory::{Memory, Untold};
use super::request::{Failure, bounded};
use super::seen::RootHead;
use crate::api::{API_VERSION, Microservice, MicroserviceStatus, STATUS_MANAGER};
use crate::status::equal_ignoring_times;
use crate::status::events::{EventDraft, EventKind, transitions};

/// Changes of counts alone are written at most once in this time.
const PROGRESS: Duration = Duration::from_secs(1);

/// What is accepted as the answer to a status.
const METADATA: &str = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";

/// The recorder keeps each Event for six minutes, to fold the same one into it, and looks through all
/// of them for each new one. After this many, two kilobytes each, it is replaced: a burst must not be kept in
/// memory.
const FOLDED: usize = 64;

/// Writes status and Events.
pub struct Publisher {
    client: Client,
    reporter: Reporter,
    recorder: Mutex<(Recorder, usize)>,
}

/// A status as it was stored.
#[derive(Debug, PartialEq)]
pub struct Stored {
    /// The status.
    pub status: MicroserviceStatus,
    /// resourceVersion of the object with it.
    pub resource_version: Option<String>,
}

/// What became of a status.
#[derive(Debug, PartialEq)]
pub enum Published {
    /// It was as computed already.
    Same,
    /// It was written, and is stored like this.
    Written(Box<Stored>),
    /// It will be due after this time.
    Later(Duration),
}

impl Publisher {
    /// Writes over this client, in the name of this replica.
    pub fn new(client: Client, identity: &str) -> Self {
        let reporter = Reporter {
            controller: crate::api::FIELD_MANAGER.to_owned(),
            instance: Some(identity.to_owned()),
        };
        let recorder = Recorder::new(client.clone(), reporter.clone());
        Self { client, reporter, recorder: Mutex::new((recorder, 0)) }
    }

    fn recorder(&self) -> Recorder {
        let mut current = self.recorder.lock().unwrap_or_else(PoisonError::into_inner);
        if current.1 == FOLDED {
            *current = (Recorder::new(self.client.clone(), self.reporter.clone()), 0);
        }
        current.1 += 1;
        current.0.clone()
    }

    /// Writes the status if it differs from the object's, and an Event per transition. `term` is that of the
    /// lease.
    ///
    /// # Errors
    /// When the status cannot be written. A failing Event is logged and changes nothing else.
    pub async fn status(
        &self,
        memory: &Memory,
        key: &Key,
        object: &Microservice,
        status: MicroserviceStatus,
        term: u64,
    ) -> Result<Published, Failure> {
        let nothing = MicroserviceStatus::default();
        let old = object.status.as_ref().unwrap_or(&nothing);
        if equal_ignoring_times(old, &status) && !memory.is_status_unknown(key) {
            return Ok(Published::Same);
        }
        if only_progress(old, &status) {
            let wait = memory.since_status(key).and_then(|since| PROGRESS.checked_sub(since));
            if let Some(wait) = wait.filter(|wait| !wait.is_zero()) {
                return Ok(Published::Later(wait));
            }
        }
        let drafts = transitions(&old.conditions, &status.conditions);
        let metadata = match self.write(object, &status).await {
            Ok(metadata) => metadata,
            Err(failure) => {
                memory.status_failed(key, object, Untold::of(object, &status, term), &failure);
                return Err(failure);
            }
        };
        let resource_version = metadata.resource_version.clone();
        memory.status_written(key, newest(object, metadata, &status).map(Arc::new));
        self.events(object, drafts).await;
        Ok(Published::Written(Box::new(Stored { status, resource_version })))
    }

    /// Asks for the metadata alone: the rest is what we have sent.
    async fn write(&self, object: &Microservice, status: &MicroserviceStatus) -> Result<ObjectMeta, Failure> {
        // The UID makes sure that a new object of the name never gets the status of the old one, the version
        // that a write which was given up and lands late does not undo a newer one: nobody would notice.
        let body = Body {
            api_version: API_VERSION,
            kind: "Microservice",
            metadata: json!({
                "name": object.name_any(),
                "uid": object.metadata.uid,
                "resourceVersion": object.metadata.resource_version,
            }),
            status,
        };
        let params = PatchParams::apply(STATUS_MANAGER).force();
        let url = Microservice::url_path(&(), object.metadata.namespace.as_deref());
        let request =
            Request::new(url).patch_subresource("status", &object.name_any(), &params, &Patch::Apply(body));
        let mut request = request.map_err(|error| Failure::Transient(error.to_string()))?;
        request.headers_mut().insert(header::ACCEPT, HeaderValue::from_static(METADATA));
        request.extensions_mut().insert("patch_status");
        Ok(bounded(self.client.request::<RootHead>(request)).await?.into_metadata())
    }

    /// Writes Events. One that cannot be written is logged and changes nothing else.
    pub async fn events(&self, object: &Microservice, drafts: Vec<EventDraft>) {
        for draft in drafts {
            self.event(object, draft).await;
        }
    }

    async fn event(&self, object: &Microservice, draft: EventDraft) {
        let event = Event {
            type_: match draft.kind {
                EventKind::Normal => EventType::Normal,
                EventKind::Warning => EventType::Warning,
            },
            reason: draft.reason,
            note: Some(draft.note),
            action: draft.action.to_owned(),
            secondary: None,
        };
        let published = bounded(self.recorder().publish(&event, &object.object_ref(&()))).await;
        if let Err(failure) = published {
            tracing::warn!(reason = event.reason, %failure, "an Event could not be written");
        }
    }
}

/// The object after its status was written. With another spec than the one that was looked at, only the
/// watch can tell. Annotations and labels are those of the answer: the watch, which may have told of
/// them before, is older.
fn newest(object: &Microservice, answer: ObjectMeta, status: &MicroserviceStatus) -> Option<Microservice> {
    (answer.generation == object.metadata.generation).then(|| Microservice {
        metadata: answer,
        spec: object.spec.clone(),
        status: Some(status.clone()),
    })
}

/// A status as it is applied.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    api_version: &'static str,
    kind: &'static str,
    metadata: Value,
    status: &'a MicroserviceStatus,
}

/// Whether nothing but counts and texts changed.
fn only_progress(old: &MicroserviceStatus, new: &MicroserviceStatus) -> bool {
    let facts = |status: &MicroserviceStatus| {
        status
            .conditions
            .iter()
            .map(|c| (c.type_.clone(), c.status.clone(), c.reason.clone(), c.observed_generation))
            .collect::<Vec<_>>()
    };
    facts(old) == facts(new)
        && old.observed_generation == new.observed_generation
        && old.children == new.children
        && old.references == new.references
        && old.secrets == new.secrets
        && old.completed_template == new.completed_template
        && old.settled_generation == new.settled_generation
        && old.class_revision == new.class_revision
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lost status may be stored by then, and the object that was looked at be older.
    #[tokio::test]
    async fn after_a_lost_answer_a_status_is_written_even_if_it_is_as_it_was_before() {
        let sent = Arc::new(Mutex::new(0));
        let count = Arc::clone(&sent);
        let server = tower::service_fn(move |_: http::Request<kube::client::Body>| {
            *count.lock().unwrap() += 1;
            let answer = json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": {"name": "a"}});
            let lost = *count.lock().unwrap() == 1;
            async move {
                let answered = http::Response::new(kube::client::Body::from(answer.to_string().into_bytes()));
                if lost { Err(std::io::Error::other("reset")) } else { Ok(answered) }
            }
        });
        let publisher = Publisher::new(Client::new(server, "default"), "test");
        let (memory, key) = (Memory::default(), Key::new("ns", "a"));
        let before = MicroserviceStatus { observed_generation: Some(1), ..MicroserviceStatus::default() };
        let mut object = Microservice { status: Some(before.clone()), ..Microservice::default() };
        object.metadata.name = Some("a".to_owned());
        let other = MicroserviceStatus { observed_generation: Some(2), ..before.clone() };
        publisher.status(&memory, &key, &object, other, 0).await.unwrap_err();
        let again = publisher.status(&memory, &key, &object, before.clone(), 0).await.unwrap();
        assert!(matches!(again, Published::Written(_)), "{again:?}");
        assert_eq!(publisher.status(&memory, &key, &object, before, 0).await.unwrap(), Published::Same);
        assert_eq!(*sent.lock().unwrap(), 2);
    }

    #[test]
    fn counts_are_progress_and_a_generation_is_not() {
        let old = MicroserviceStatus { ready_replicas: Some(1), ..MicroserviceStatus::default() };
        let more = MicroserviceStatus { ready_replicas: Some(2), ..MicroserviceStatus::default() };
        assert!(only_progress(&old, &more));
        let newer = MicroserviceStatus { observed_generation: Some(2), ..more };
        assert!(!only_progress(&old, &newer));
    }

    #[test]
    fn an_annotation_of_the_meantime_is_in_the_newest_object() {
        let mut object = Microservice::default();
        object.metadata.generation = Some(2);
        let mut answer = object.metadata.clone();
        answer.annotations = Some([("microservice.dev/rotate".to_owned(), "now".to_owned())].into());
        let status = MicroserviceStatus { observed_generation: Some(2), ..Default::default() };
        let newest_object = newest(&object, answer.clone(), &status).unwrap();
        assert_eq!(newest_object.metadata, answer);
        assert_eq!(newest_object.status, Some(status.clone()));
        answer.generation = Some(3);
        assert_eq!(newest(&object, answer, &status), None, "its spec is not known");
    }
}
