//! The watches: one stream per kind and namespace, each with a pace of its own, so that one missing
//! API or right never starves the others. They fill the caches and name the objects to reconcile.

use std::sync::Arc;
use std::time::Duration;

use futures::channel::mpsc::UnboundedSender;
use futures::{Stream, StreamExt};
use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::api::{ApiResource, ObjectMeta, PartialObjectMeta};
use kube::core::error_boundary::InvalidObject;
use kube::core::{DeserializeGuard, Status};
use kube::runtime::reflector::ObjectRef;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinSet;

use super::live::{Key, Live};
use super::pace::paced;
use super::packed::Packed;
use super::request::Failure;
use super::seen::{Root, Seen, View};
use super::world::{Basis, NamespaceLabels, ServicePod, World, reference_kind};
use crate::api::{LABEL_NAME, Microservice, MicroserviceClass};
use crate::plan::{self, Kind};
use crate::status::views::DeploymentView;
use crate::telemetry::Telemetry;

/// Where a change sends the objects that it concerns.
pub type Queue = UnboundedSender<ObjectRef<Packed>>;

/// Objects per list page. The text of a page, up to 2 MB of Deployments, is in memory for every kind at
/// once; smaller pages cost more requests.
pub const PAGE: u32 = 250;

/// Helm keeps a Secret per release revision: large, many, and never read by pods.
const SECRET_FIELDS: &str = "type!=helm.sh/release.v1";

/// Everything a watch needs.
#[derive(Clone)]
pub struct Watches {
    /// Client for lists and watches.
    pub client: Client,
    /// Watched namespaces; empty = all.
    pub namespaces: Vec<String>,
    /// The caches to fill.
    pub world: Arc<World>,
    /// Objects to reconcile.
    pub queue: Queue,
    /// Told when a class or a namespace's class label changes: every object is concerned.
    pub fleet: UnboundedSender<()>,
    /// Between two looks at which optional APIs the cluster serves.
    pub api_pace: Duration,
    /// Counters.
    pub telemetry: Arc<Telemetry>,
}

/// Resolves when a stream has listed once, or has learned that it may not or cannot.
pub(super) type Listed = oneshot::Receiver<()>;

impl Watches {
    /// Starts all streams but that of the Microservices. They run until the set is dropped; the second
    /// value resolves when every cache is filled as far as this cluster and our rights allow.
    pub fn start(&self) -> (JoinSet<()>, impl Future<Output = ()> + use<>) {
        let mut tasks = JoinSet::new();
        let mut listed = Vec::new();
        for scope in self.scopes() {
            for kind in plan::kinds().iter().filter(|kind| !kind.optional) {
                listed.push(self.children(&mut tasks, kind, &scope, None));
            }
            listed.push(self.pods(&mut tasks, &scope));
        }
        listed.extend(self.optional(&mut tasks));
        listed.push(self.namespace_labels(&mut tasks));
        listed.push(self.classes(&mut tasks));
        (tasks, async move {
            for stream in listed {
                // An error means that the stream ended, which only happens when we are shutting down.
                let _ = stream.await;
            }
        })
    }

    /// The watched namespaces, "" for all.
    pub fn scopes(&self) -> Vec<String> {
        if self.namespaces.is_empty() { vec![String::new()] } else { self.namespaces.clone() }
    }

    /// Watches one kind of children. `lost` is told when the server does not know the kind; for one
    /// without it that is an error like any other.
    pub(super) fn children(
        &self,
        tasks: &mut JoinSet<()>,
        kind: &Kind,
        scope: &str,
        lost: Option<Arc<Notify>>,
    ) -> Listed {
        let (this, kind, name) = (self.clone(), *kind, scope.to_owned());
        let resource = api_resource(&kind);
        if kind.kind == "Deployment" {
            let api: Api<Seen<DeploymentView>> = dynamic(&self.client, &resource, scope);
            return self.run(tasks, kind.kind, api, base().labels(LABEL_NAME), move |event| {
                this.deployment_event(&kind, &name, event);
            });
        }
        let config = match (kind.kind, reference_kind(&kind)) {
            ("Secret", _) => base().fields(SECRET_FIELDS),
            (_, Some(_)) => base(),
            (_, None) => base().labels(LABEL_NAME),
        };
        let api: Api<Seen<()>> = dynamic(&self.client, &resource, scope);
        let handle = move |event| this.child_event(&kind, &name, event, |()| false);
        let Some(lost) = lost else { return self.run(tasks, kind.kind, api, config, handle) };
        self.run_unless(tasks, kind.kind, api, config, handle, move |error| {
            let unknown = is_unknown(error);
            if unknown {
                lost.notify_one();
            }
            unknown
        })
    }

    /// `news` is told what was seen beside the metadata, and says whether that is news.
    fn child_event<V: View>(
        &self,
        kind: &Kind,
        scope: &str,
        event: Event<Seen<V>>,
        news: impl Fn(V) -> bool,
    ) {
        let Some(index) = self.world.children(kind) else { return };
        match event {
            Event::Init => index.begin(scope),
            Event::InitApply(seen) | Event::Apply(seen) => {
                let key = Key::of(seen.meta());
                let news = news(seen.view);
                let before = self.world.child(kind, &key);
                let writer = self.world.under_way.told(kind, &key, false);
                if self.world.observe_child(kind, scope, key.clone(), seen.object) || news {
                    self.trigger(kind, &key, &[before, self.world.child(kind, &key)], writer.as_ref());
                }
            }
            Event::Delete(seen) => {
                let key = Key::of(seen.meta());
                let writer = self.world.under_way.told(kind, &key, true);
                let known = self.world.forget_child(kind, &key);
                self.trigger(kind, &key, &[known, Some(Arc::new(seen.object.judge()))], writer.as_ref());
            }
            Event::InitDone => {
                for (key, gone) in index.finish(scope) {
                    let writer = self.world.under_way.told(kind, &key, true);
                    self.world.unclaim(kind, &key, &gone);
                    self.trigger(kind, &key, &[Some(gone)], writer.as_ref());
                }
            }
        }
    }

    fn deployment_event(&self, kind: &Kind, scope: &str, event: Event<Seen<DeploymentView>>) {
        let views = &self.world.deployments;
        match &event {
            Event::Init => views.begin(scope),
            Event::InitDone => drop(views.finish(scope)),
            Event::InitApply(_) | Event::Apply(_) | Event::Delete(_) => {}
        }
        let place = match &event {
            Event::InitApply(seen) | Event::Apply(seen) => {
                Some((Key::of(seen.meta()), seen.object.head().resource_version.clone()))
            }
            _ => None,
        };
        self.child_event(kind, scope, event, |view| {
            place.as_ref().is_some_and(|(key, version)| views.observe(scope, key.clone(), version, view))
        });
    }

    /// Queues whoever the object belongs to, belonged to, or is read by, but not who is writing it.
    fn trigger(&self, kind: &Kind, key: &Key, versions: &[Option<Arc<Live>>], writer: Option<&Key>) {
        let mut owners: Vec<Key> = versions
            .iter()
            .flatten()
            .filter_map(|live| live.claimed_by())
            .map(|name| Key::new(&key.namespace, name))
            .collect();
        if let Some(kind) = reference_kind(kind) {
            owners.extend(self.world.readers(kind, key));
        }
        owners.sort();
        owners.dedup();
        for owner in owners.iter().filter(|owner| Some(*owner) != writer) {
            self.enqueue(owner);
        }
    }

    /// Asks for a look at this Microservice.
    pub fn enqueue(&self, owner: &Key) {
        self.telemetry.queued();
        // The receiver is gone only while shutting down.
        let _ = self.queue.unbounded_send(ObjectRef::new(&owner.name).within(&owner.namespace));
    }

    /// What is needed to watch one object.
    pub fn single(&self, kind: &Kind, key: &Key) -> (Api<Seen<()>>, watcher::Config) {
        let only = base().fields(&format!("metadata.name={}", key.name));
        (dynamic(&self.client, &api_resource(kind), &key.namespace), only)
    }

    /// Counts and logs the error of a watch.
    pub fn report(&self, stream: &'static str, error: &watcher::Error) {
        report(&self.telemetry, stream, error);
    }

    fn pods(&self, tasks: &mut JoinSet<()>, scope: &str) -> Listed {
        let api: Api<Seen<Option<ServicePod>>> =
            dynamic(&self.client, &ApiResource::erase::<Pod>(&()), scope);
        let (this, name) = (self.clone(), scope.to_owned());
        self.run(tasks, "Pod", api, base().labels(LABEL_NAME), move |event| this.pod_event(&name, event))
    }

    fn pod_event(&self, scope: &str, event: Event<Seen<Option<ServicePod>>>) {
        let pods = &self.world.pods;
        let (namespace, service) = match event {
            Event::Init => return pods.begin(scope),
            Event::InitApply(seen) | Event::Apply(seen) => {
                let key = Key::of(seen.meta());
                let namespace = key.namespace.clone();
                let news = match seen.view {
                    Some(pod) => pods.observe(scope, key, &seen.object.head().resource_version, pod),
                    None => pods.remove(&key).is_some(),
                };
                (namespace, seen.object.head().service.clone().filter(|_| news))
            }
            Event::Delete(seen) => {
                let key = Key::of(seen.meta());
                let gone = pods.remove(&key);
                (key.namespace, gone.map(|pod| pod.service.clone()))
            }
            Event::InitDone => {
                for (key, gone) in pods.finish(scope) {
                    self.enqueue(&Key::new(&key.namespace, &gone.service));
                }
                return;
            }
        };
        if let Some(service) = service {
            self.enqueue(&Key::new(&namespace, &service));
        }
    }

    fn namespace_labels(&self, tasks: &mut JoinSet<()>) -> Listed {
        let api: Api<PartialObjectMeta<Namespace>> = Api::all(self.client.clone());
        let this = self.clone();
        let handle = move |event: Event<PartialObjectMeta<Namespace>>| {
            let index = &this.world.namespaces;
            let changed = match event {
                Event::Init => {
                    index.begin("");
                    false
                }
                Event::InitApply(object) | Event::Apply(object) => {
                    let labels = NamespaceLabels::of(object.metadata.labels.as_ref());
                    let version = object.metadata.resource_version.clone().unwrap_or_default();
                    let key = Key::new("", object.metadata.name.as_deref().unwrap_or_default());
                    let known = index.get(&key).is_some();
                    // A namespace without our labels that was not known is no news to anybody.
                    let news = known || labels != NamespaceLabels::default();
                    index.observe("", key, &version, labels) && news
                }
                Event::Delete(object) => {
                    index.remove(&Key::new("", object.metadata.name.as_deref().unwrap_or_default()));
                    false
                }
                Event::InitDone => {
                    let gone = index.finish("");
                    this.world.admit(Basis::Namespaces) || !gone.is_empty()
                }
            };
            this.announce(changed);
        };
        self.run_unless(tasks, "Namespace", api, base(), handle, self.refused(Basis::Namespaces))
    }

    /// Keeps that a first list is refused on which everything hangs.
    fn refused(&self, basis: Basis) -> impl Fn(&watcher::Error) -> bool + Send + use<> {
        let world = Arc::clone(&self.world);
        move |error| {
            if let Some(failure) = refusal(error) {
                world.refuse(basis, failure);
            }
            false
        }
    }

    fn classes(&self, tasks: &mut JoinSet<()>) -> Listed {
        let api: Api<DeserializeGuard<MicroserviceClass>> = Api::all(self.client.clone());
        let this = self.clone();
        let handle = move |event: Event<DeserializeGuard<MicroserviceClass>>| {
            let index = &this.world.classes;
            let changed = match event {
                Event::Init => {
                    index.begin("");
                    false
                }
                Event::InitApply(DeserializeGuard(class)) | Event::Apply(DeserializeGuard(class)) => {
                    match class {
                        Ok(class) => this.saw_class(class),
                        Err(error) => {
                            let name = error.metadata.name.unwrap_or_default();
                            tracing::error!(
                                class = name,
                                error = error.error,
                                "a MicroserviceClass cannot be decoded and is ignored; correct the field named in the error"
                            );
                            false
                        }
                    }
                }
                Event::Delete(class) => {
                    let key = Key::new("", class.meta().name.as_deref().unwrap_or_default());
                    index.remove(&key).is_some()
                }
                Event::InitDone => {
                    let gone = index.finish("");
                    this.world.admit(Basis::Classes) || !gone.is_empty()
                }
            };
            this.announce(changed);
        };
        self.run_unless(tasks, "MicroserviceClass", api, base(), handle, self.refused(Basis::Classes))
    }

    /// Status changes of a class concern nobody.
    fn saw_class(&self, class: MicroserviceClass) -> bool {
        let key = Key::new("", class.metadata.name.as_deref().unwrap_or_default());
        let before = self.world.classes.get(&key);
        let version = class.metadata.resource_version.clone().unwrap_or_default();
        let same = before.is_some_and(|before| {
            before.spec == class.spec
                && before.metadata.uid == class.metadata.uid
                && before.metadata.annotations == class.metadata.annotations
        });
        self.world.classes.observe("", key, &version, class) && !same
    }

    /// Has every Microservice looked at.
    pub(super) fn announce(&self, changed: bool) {
        if changed {
            let _ = self.fleet.unbounded_send(());
        }
    }

    fn run<K>(
        &self,
        tasks: &mut JoinSet<()>,
        name: &'static str,
        api: Api<K>,
        config: watcher::Config,
        handle: impl Fn(Event<K>) + Send + 'static,
    ) -> Listed
    where
        K: Resource + Clone + DeserializeOwned + std::fmt::Debug + Send + Sync + 'static,
        K::DynamicType: Send + Sync,
    {
        self.run_unless(tasks, name, api, config, handle, |_| false)
    }

    /// The same, where some errors are told to somebody who knows more.
    fn run_unless<K>(
        &self,
        tasks: &mut JoinSet<()>,
        name: &'static str,
        api: Api<K>,
        config: watcher::Config,
        handle: impl Fn(Event<K>) + Send + 'static,
        told: impl Fn(&watcher::Error) -> bool + Send + 'static,
    ) -> Listed
    where
        K: Resource + Clone + DeserializeOwned + std::fmt::Debug + Send + Sync + 'static,
        K::DynamicType: Send + Sync,
    {
        let (done, listed) = oneshot::channel();
        let mut done = Some(done);
        let telemetry = Arc::clone(&self.telemetry);
        tasks.spawn(async move {
            let mut events = std::pin::pin!(paced(watcher(api, config)));
            while let Some(event) = events.next().await {
                let settled = match event {
                    Ok(event) => {
                        let settled = matches!(event, Event::InitDone);
                        handle(event);
                        settled
                    }
                    Err(error) => {
                        if !told(&error) {
                            report(&telemetry, name, &error);
                        }
                        refusal(&error).is_some()
                    }
                };
                if let Some(done) = done.take_if(|_| settled) {
                    let _ = done.send(());
                }
            }
        });
        listed
    }
}

/// A stream of the Microservices that can be decoded. One that cannot is set aside and named: a
/// typed watch would fail as a whole. `told` knows some of them without their text, `absent` whether the
/// namespace is not there: with it went our right to list them, and a list of nothing is told.
pub fn microservices<F, A>(
    client: &Client,
    scope: &str,
    telemetry: Arc<Telemetry>,
    told: F,
    absent: A,
) -> impl Stream<Item = Event<Microservice>> + use<F, A>
where
    F: Fn(&ObjectMeta) -> Option<Microservice>,
    A: Fn() -> bool,
{
    let api: Api<Root> =
        if scope.is_empty() { Api::all(client.clone()) } else { Api::namespaced(client.clone(), scope) };
    paced(watcher(api, base())).filter_map(move |event| {
        let event = match event {
            Ok(Event::Init) => Some(Event::Init),
            Ok(Event::InitDone) => Some(Event::InitDone),
            Ok(Event::InitApply(seen)) => match seen.into_result() {
                Ok(object) => Some(Event::InitApply(object)),
                Err(invalid) => {
                    complain(&telemetry, &invalid);
                    None
                }
            },
            Ok(Event::Apply(seen)) => match told(seen.meta()).map_or_else(|| seen.into_result(), Ok) {
                Ok(object) => Some(Event::Apply(object)),
                Err(invalid) => {
                    complain(&telemetry, &invalid);
                    // Nobody may go on working from the spec that it had before.
                    Some(Event::Delete(named(invalid)))
                }
            },
            Ok(Event::Delete(seen)) => Some(Event::Delete(seen.into_result().unwrap_or_else(named))),
            Err(error) => {
                report(&telemetry, "Microservice", &error);
                (is_forbidden(&error) && absent()).then_some(Event::InitDone)
            }
        };
        std::future::ready(event)
    })
}

fn complain(telemetry: &Telemetry, invalid: &InvalidObject) {
    telemetry.watch_error("undecodable");
    tracing::error!(
        namespace = invalid.metadata.namespace.as_deref().unwrap_or_default(),
        microservice = invalid.metadata.name.as_deref().unwrap_or_default(),
        error = invalid.error,
        "this Microservice cannot be decoded and is left alone with all its children; correct the field named in the error"
    );
}

#[allow(clippy::boxed_local)] // as it comes
fn named(invalid: Box<InvalidObject>) -> Microservice {
    Microservice { metadata: invalid.metadata, ..Microservice::default() }
}

fn base() -> watcher::Config {
    watcher::Config::default().page_size(PAGE)
}

fn dynamic<V: View>(client: &Client, resource: &ApiResource, scope: &str) -> Api<Seen<V>> {
    if scope.is_empty() {
        Api::all_with(client.clone(), resource)
    } else {
        // A dynamic type knows its scope only at run time; every child kind is namespaced.
        Api::namespaced_with(client.clone(), scope, resource)
    }
}

/// The kind as kube's dynamic API wants it.
pub fn api_resource(kind: &Kind) -> ApiResource {
    ApiResource {
        group: kind.group.to_owned(),
        version: kind.version.to_owned(),
        api_version: kind.api_version(),
        kind: kind.kind.to_owned(),
        plural: kind.plural.to_owned(),
    }
}

fn report(telemetry: &Telemetry, stream: &'static str, error: &watcher::Error) {
    telemetry.watch_error(stream);
    tracing::warn!(stream, %error, "a watch failed and will be tried again");
}

/// By the code alone: for a group that is not served at all the server answers in plain text.
fn is_absent(status: &Status) -> bool {
    status.code == 404
}

/// Whether the server says that it does not know the kind.
pub(super) fn is_unknown(error: &watcher::Error) -> bool {
    match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status))
        | watcher::Error::WatchError(status) => is_absent(status),
        _ => false,
    }
}

/// Whether the server says that the objects may not be listed or watched.
pub(super) fn is_forbidden(error: &watcher::Error) -> bool {
    match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status)) => status.is_forbidden(),
        _ => false,
    }
}

/// The answer of a server that will not serve this list: waiting for it would wait for ever.
fn refusal(error: &watcher::Error) -> Option<Failure> {
    match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status))
            if status.is_forbidden() || is_absent(status) =>
        {
            Some(kube::Error::Api(status.clone()).into())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use http::{Request, Response};
    use kube::client::Body;
    use tower::BoxError;

    use super::*;

    /// Without any right.
    fn client() -> Client {
        let status = r#"{"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Forbidden", "code": 403}"#;
        let refuses = move |_: Request<Body>| async move {
            Response::builder()
                .status(403)
                .body(Body::from(status.as_bytes().to_vec()))
                .map_err(BoxError::from)
        };
        Client::new(tower::service_fn(refuses), "system")
    }

    #[tokio::test(start_paused = true)]
    async fn only_a_namespace_that_is_gone_counts_as_empty_when_its_list_is_refused() {
        for absent in [true, false] {
            let events = microservices(&client(), "b", Arc::default(), |_| None, move || absent);
            let mut told = pin!(events.filter(|event| std::future::ready(!matches!(event, Event::Init))));
            let first = tokio::time::timeout(Duration::from_mins(2), told.next()).await;
            assert_eq!(matches!(first, Ok(Some(Event::InitDone))), absent, "{first:?}");
        }
    }
}
