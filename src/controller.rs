//! When to look at which Microservice. What one look consists of is in `look.rs`.

mod departures;
mod look;
mod ripples;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::channel::mpsc::{UnboundedReceiver, UnboundedSender, unbounded};
use futures::{FutureExt, Stream, StreamExt, stream};
use kube::api::ObjectMeta;
use kube::runtime::controller::{self, Action, Controller};
use kube::runtime::reflector::{self, ObjectRef, Store, store::Writer};
use kube::runtime::watcher::{self, Event};
use kube::{Client, Resource};
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tracing::Instrument;

use crate::api::{Microservice, Reason};
use crate::engine::classes;
use crate::engine::fleet::Turns;
use crate::engine::hash_key::HashKeys;
use crate::engine::kafka::access::Access;
use crate::engine::kafka::agreements::Agreements;
use crate::engine::kafka::cluster::Hub;
use crate::engine::kafka::clusters::Clusters;
use crate::engine::kafka::ledger::Ledger;
use crate::engine::kafka::strimzi::Installation;
use crate::engine::lease::Fence;
use crate::engine::live::Key;
use crate::engine::memory::Memory;
use crate::engine::packed::{Packed, Unreadable};
use crate::engine::probes::ProbeMessages;
use crate::engine::publish::Publisher;
use crate::engine::request::{Failure, Requests};
use crate::engine::roots::Roots;
use crate::engine::sentinels::Sentinels;
use crate::engine::survey::Survey;
use crate::engine::watch::{Queue, Watches, microservices};
use crate::engine::world::World;
use crate::intent::neighbours::Concerned;
use crate::status::deleted_while_called;
use crate::telemetry::{Telemetry, traces};
use look::Look;
use ripples::Ripples;

/// Between two counts of the objects.
const CENSUS: Duration = Duration::from_secs(5);

/// How the controller runs.
pub struct Options {
    /// Client with limits and fence.
    pub client: Client,
    /// Watched namespaces; empty = all.
    pub namespaces: Vec<String>,
    /// Namespace of the operator itself.
    pub operator_namespace: String,
    /// Name of this replica, in Events.
    pub identity: String,
    /// Objects looked at at the same time.
    pub concurrency: u16,
    /// Changes of the fleet per second, see [`Turns`].
    pub class_rate: f64,
    /// Services that may roll at once for a change of the fleet.
    pub max_rolling: usize,
    /// Between two looks at Kafka topics of which nothing was heard.
    pub kafka_sweep: Duration,
    /// How long a Kafka user is kept at least after its successor is in the Secret.
    pub kafka_grace: Duration,
    /// How long Strimzi may leave an object alone until that is told.
    pub strimzi_patience: Duration,
    /// Between two looks at which optional APIs the cluster serves.
    pub api_pace: Duration,
    /// Logs, metrics, health.
    pub telemetry: Arc<Telemetry>,
    /// Whether this replica may write.
    pub fence: Fence,
    /// Changes when this replica becomes or ceases to be the leader.
    pub leadership: watch::Receiver<bool>,
}

/// Why a look at an object failed as a whole.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The status could not be written.
    #[error("the status could not be written: {0}")]
    Status(#[source] Failure),
    /// What the store keeps cannot be read.
    #[error("the operator cannot read what it keeps of it, please report this: {0}")]
    Unreadable(#[source] Unreadable),
}

impl Error {
    /// The reason, as in conditions and metrics.
    pub fn reason(&self) -> Reason {
        match self {
            Self::Status(failure) => failure.reason(),
            Self::Unreadable(_) => Reason::Rejected,
        }
    }
}

/// What every look needs.
struct Context {
    client: Client,
    operator_namespace: String,
    world: Arc<World>,
    memory: Memory,
    requests: Requests,
    keys: HashKeys,
    publisher: Publisher,
    probes: ProbeMessages,
    turns: Turns,
    ripples: Ripples,
    survey: Arc<Survey>,
    sentinels: Sentinels,
    clusters: Clusters,
    telemetry: Arc<Telemetry>,
    fence: Fence,
    classes_changed: Notify,
    watches: Watches,
    store: Store<Packed>,
    /// Whether every Microservice is in the store.
    listed: watch::Sender<bool>,
}

/// Runs until `shutdown` resolves; looks under way are finished first.
///
/// # Errors
/// None today: whatever fails is tried again.
pub async fn run(
    options: Options,
    shutdown: impl Future<Output = ()> + Send + Sync + 'static,
) -> Result<(), Error> {
    let (queue, queued) = unbounded();
    let (fleet, fleet_changes) = unbounded();
    let watches = watches(&options, queue, fleet);
    let (store, writer) = reflector::store();
    let context = Arc::new(Context::new(&options, watches.clone(), store.clone()));
    let shutdown = shutdown.shared();
    let (mut tasks, listed) = watches.start();
    tokio::select! {
        () = listed => {}
        () = shutdown.clone() => return Ok(()),
    }
    let (leading, all_listed) = (options.leadership.clone(), context.listed.subscribe());
    tasks.spawn(departures::take_up(
        leading,
        all_listed,
        watches.scopes(),
        store.clone(),
        Arc::clone(&context),
    ));
    let objects = roots(&watches, writer, Arc::clone(&context));
    spawn_survey(&mut tasks, Arc::clone(&context));
    spawn_ripples(&mut tasks, Arc::clone(&context));
    if options.namespaces.is_empty() {
        // Several installations that are limited to namespaces would fight over it.
        spawn_class_status(&mut tasks, Arc::clone(&context), store.clone());
    }
    let everything = stream::select(
        everything(fleet_changes, options.leadership, Arc::clone(&context)),
        census(store.clone(), Arc::clone(&context)),
    );
    let telemetry = options.telemetry;
    Controller::for_stream(objects, store)
        .with_config(controller::Config::default().concurrency(options.concurrency))
        .reconcile_on(queued)
        .reconcile_all_on(everything)
        .graceful_shutdown_on(shutdown)
        .run(reconcile, retry, context)
        .for_each(move |result| {
            telemetry.beat();
            match result {
                Err(controller::Error::ReconcilerFailed(Error::Status(Failure::Conflict(_)), object)) => {
                    tracing::debug!(%object, "this Microservice has changed meanwhile and is looked at again");
                }
                Err(controller::Error::ReconcilerFailed(error, object)) => {
                    tracing::warn!(%object, %error, "a look at this Microservice failed and will be repeated");
                }
                _ => {}
            }
            std::future::ready(())
        })
        .await;
    Ok(())
}

fn watches(options: &Options, queue: Queue, fleet: UnboundedSender<()>) -> Watches {
    Watches {
        client: options.client.clone(),
        namespaces: options.namespaces.clone(),
        world: Arc::new(World::within(&options.namespaces)),
        queue,
        fleet,
        api_pace: options.api_pace,
        telemetry: Arc::clone(&options.telemetry),
    }
}

/// What the tasks of the Kafka clusters share.
fn hub(options: &Options, watches: Watches, survey: Arc<Survey>) -> Hub {
    let (client, namespace) = (&options.client, &options.operator_namespace);
    Hub {
        access: Access::new(client.clone(), namespace),
        ledger: Ledger::new(client.clone(), namespace),
        principals: Ledger::new(client.clone(), namespace),
        agreements: Agreements::default(),
        world: Arc::clone(&watches.world),
        survey,
        fence: options.fence.clone(),
        installation: Installation {
            client: client.clone(),
            operator: namespace.clone(),
            api_pace: options.api_pace,
            patience: options.strimzi_patience,
        },
        sweep: options.kafka_sweep,
        grace: options.kafka_grace,
        enqueue: Box::new(move |key| watches.enqueue(key)),
    }
}

/// Changes of the Microservices that are worth a look: not those of their status, unless our last one was
/// refused over an older version.
fn roots(
    watches: &Watches,
    mut writer: Writer<Packed>,
    context: Arc<Context>,
) -> impl Stream<Item = Result<Packed, watcher::Error>> + use<> {
    let scopes = watches.scopes();
    let streams = scopes.iter().map(|scope| {
        let name = scope.clone();
        let context = Arc::clone(&context);
        let told = move |metadata: &ObjectMeta| context.memory.told(metadata);
        let (world, namespace) = (Arc::clone(&watches.world), scope.clone());
        let absent = move || !namespace.is_empty() && world.lacks_namespace(&namespace);
        microservices(&watches.client, scope, Arc::clone(&watches.telemetry), told, absent)
            .map(move |event| (name.clone(), event))
            .boxed()
    });
    let events = stream::select_all(streams);
    let mut roots = Roots::new(&scopes);
    let store = writer.as_reader();
    writer.apply_watcher_event(&Event::Init);
    events.flat_map(move |(scope, event)| {
        let mut touched = Vec::new();
        for event in roots.join(&scope, event) {
            let packed = packed(&event);
            let (now, gone) = match &packed {
                Event::Apply(now) | Event::InitApply(now) => (Some(now), None),
                Event::Delete(gone) => (None, Some(gone)),
                Event::Init | Event::InitDone => (None, None),
            };
            let before = now.or(gone).and_then(|object| store.get(&ObjectRef::from_obj(object)));
            writer.apply_watcher_event(&packed);
            if let Some(now) = now {
                let waits = context.memory.watched(&Key::of(now.meta()), now.meta());
                let news = waits || before.as_ref().is_none_or(|before| !before.wants_as(now));
                touched.extend(news.then(|| Ok(now.clone())));
            }
            match event {
                Event::Apply(object) | Event::InitApply(object) => {
                    context.concern(context.world.observe_service(&object));
                }
                Event::Delete(object) => context.forget(object, before.as_deref()),
                Event::InitDone => context.listed(),
                Event::Init => {}
            }
        }
        stream::iter(touched)
    })
}

fn packed(event: &Event<Microservice>) -> Event<Packed> {
    match event {
        Event::Init => Event::Init,
        Event::InitApply(object) => Event::InitApply(object.into()),
        Event::InitDone => Event::InitDone,
        Event::Apply(object) => Event::Apply(object.into()),
        Event::Delete(object) => Event::Delete(object.into()),
    }
}

/// Fires when every object is concerned: a class changed, or this replica has become the leader.
fn everything(
    fleet: UnboundedReceiver<()>,
    leadership: watch::Receiver<bool>,
    context: Arc<Context>,
) -> impl Stream<Item = ()> + Send + 'static {
    let leading = stream::unfold(leadership, |mut leadership| async move {
        loop {
            leadership.changed().await.ok()?;
            if *leadership.borrow_and_update() {
                return Some(((), leadership));
            }
        }
    });
    stream::select(fleet, leading).inspect(move |()| context.classes_changed.notify_one())
}

/// Keeps the counts of objects, users and tombstones; never fires.
fn census(store: Store<Packed>, context: Arc<Context>) -> impl Stream<Item = ()> + Send + 'static {
    stream::unfold((), |()| async {
        tokio::time::sleep(CENSUS).await;
        Some(((), ()))
    })
    .filter_map(move |()| {
        count_objects(&store, &context.telemetry);
        context.clusters.count(&context.telemetry);
        std::future::ready(None)
    })
}

fn count_objects(store: &Store<Packed>, telemetry: &Telemetry) {
    let (mut ready, mut not_ready) = (0, 0);
    for object in store.state() {
        *(if object.is_ready { &mut ready } else { &mut not_ready }) += 1;
    }
    telemetry.objects("Ready", ready);
    telemetry.objects("NotReady", not_ready);
}

fn spawn_class_status(tasks: &mut JoinSet<()>, context: Arc<Context>, store: Store<Packed>) {
    tasks.spawn(async move {
        loop {
            context.classes_changed.notified().await;
            tokio::time::sleep(classes::PAUSE).await;
            if !context.fence.permit() || !context.telemetry.is_ready() {
                continue; // leading and the end of the listing notify too
            }
            let reports = context.survey.reports();
            if let Err(failure) =
                classes::publish(&context.client, &context.world, &store, reports.as_deref()).await
            {
                tracing::warn!(%failure, "the status of a class could not be written and will be repeated");
                tokio::time::sleep(Duration::from_secs(15)).await;
                context.classes_changed.notify_one();
            }
        }
    });
}

/// Judges the system of all services after each change of it.
fn spawn_survey(tasks: &mut JoinSet<()>, context: Arc<Context>) {
    tasks.spawn(async move {
        loop {
            let found = context.survey.next().await;
            context
                .telemetry
                .findings(found.iter().map(|(kind, severity)| (kind.as_str(), severity.as_str())));
            context.classes_changed.notify_one();
        }
    });
}

/// Has those looked at who reach over others what has changed.
fn spawn_ripples(tasks: &mut JoinSet<()>, context: Arc<Context>) {
    tasks.spawn(async move {
        loop {
            context.ripples.next().await.iter().for_each(|key| context.watches.enqueue(key));
        }
    });
}

#[allow(clippy::needless_pass_by_value)] // the signature is kube's
fn retry(object: Arc<Packed>, _error: &Error, context: Arc<Context>) -> Action {
    let wait = context.memory.pass_failed(&Key::of(object.meta()));
    context.clear_if_gone(&object);
    Action::requeue(wait)
}

async fn reconcile(object: Arc<Packed>, context: Arc<Context>) -> Result<Action, Error> {
    let result = look_at(&object, &context).await;
    context.clear_if_gone(&object);
    result
}

async fn look_at(object: &Packed, context: &Context) -> Result<Action, Error> {
    let key = Key::of(object.meta());
    if let Err(wait) = context.memory.follow(&key, object.wanted) {
        return Ok(Action::requeue(wait));
    }
    let span = tracing::info_span!(
        "reconcile",
        namespace = key.namespace.as_str(),
        microservice = key.name.as_str(),
        reason = tracing::field::Empty,
        trace_id = tracing::field::Empty
    );
    let traced = traces::name(&span);
    let started = Instant::now();
    let _working = context.telemetry.working();
    let result =
        Look { context, key, began: tokio::time::Instant::now() }.take(object).instrument(span.clone()).await;
    let reason = match &result {
        Ok(look) => look.reason,
        Err(error) => error.reason(),
    };
    let seconds = started.elapsed().as_secs_f64();
    if traced {
        span.record("reason", reason.as_str());
    }
    span.in_scope(|| tracing::debug!(reason = reason.as_str(), seconds, "reconciled"));
    context.telemetry.reconciled(reason.as_str(), seconds);
    result.map(|look| look.next.map_or_else(Action::await_change, Action::requeue))
}

impl Context {
    fn new(options: &Options, watches: Watches, store: Store<Packed>) -> Self {
        let survey: Arc<Survey> = Arc::default();
        Self {
            client: options.client.clone(),
            operator_namespace: options.operator_namespace.clone(),
            world: Arc::clone(&watches.world),
            memory: Memory::default(),
            requests: Requests::new(options.client.clone()),
            keys: HashKeys::new(options.client.clone(), &options.operator_namespace),
            publisher: Publisher::new(options.client.clone(), &options.identity),
            probes: ProbeMessages::default(),
            turns: Turns::new(options.class_rate, options.max_rolling),
            ripples: Ripples::default(),
            clusters: Clusters::new(hub(options, watches.clone(), Arc::clone(&survey))),
            survey,
            sentinels: Sentinels::new(watches.clone()),
            telemetry: Arc::clone(&options.telemetry),
            fence: options.fence.clone(),
            classes_changed: Notify::new(),
            watches,
            store,
            listed: watch::Sender::new(false),
        }
    }

    /// Every Microservice is in the store. Nobody may wait for that on the store itself: it wakes only
    /// the last of those who wait, and the controller is one.
    fn listed(&self) {
        self.telemetry.synced();
        self.survey.expect(self.world.services().into_iter());
        self.listed.send_replace(true);
        self.classes_changed.notify_one();
    }

    /// Has those looked at whose calls a change concerns. Before every Microservice is known, each will be.
    fn concern(&self, concerned: Concerned) {
        if *self.listed.borrow() {
            concerned.near.into_iter().for_each(|key| self.watches.enqueue(&key.into()));
            self.ripples.add(concerned.far.into_iter().map(Key::from));
        }
    }

    /// It is gone; `last` is what the store held of it.
    fn forget(self: &Arc<Self>, object: Microservice, last: Option<&Packed>) {
        let key = Key::of(&object.metadata);
        self.clear(&key);
        self.classes_changed.notify_one();
        let told = deleted_while_called(&object).filter(|_| self.fence.permit());
        if let Some(draft) = told {
            let (this, object) = (Arc::clone(self), object.clone());
            tokio::spawn(async move { this.publisher.events(&object, vec![draft]).await });
        }
        self.see_off(key, last_known(object, last));
    }

    fn clear(&self, key: &Key) {
        self.concern(self.world.forget_service(key));
        self.memory.forget(key);
        self.turns.settled(key);
        self.survey.forget(key);
        self.sentinels.post(key, &[]);
        self.clusters.withdraw(key);
        self.world.set_reads(key, BTreeSet::new());
    }

    /// A look that was under way when its object went has put back what was cleared, and may have declared its
    /// topics once more. A new object of the name takes over all of that.
    fn clear_if_gone(self: &Arc<Self>, object: &Packed) {
        if self.store.get(&ObjectRef::from_obj(object)).is_some() {
            return;
        }
        let key = Key::of(object.meta());
        let declares = self.clusters.declares(&key);
        self.clear(&key);
        if declares && let Ok(object) = object.unpack() {
            self.see_off(key, object);
        }
    }

    /// Lets the topics go of an object that is gone.
    fn see_off(self: &Arc<Self>, key: Key, object: Microservice) {
        if departures::had_topics(&object) {
            let who = departures::Who::Gone(Box::new(object));
            tokio::spawn(departures::see_off(Arc::clone(self), key, who));
        }
    }
}

/// An object that is gone. One whose end no watch has seen is known by its name alone, and else as it was stored.
fn last_known(object: Microservice, last: Option<&Packed>) -> Microservice {
    let last = last.filter(|_| object.metadata.uid.is_none());
    last.and_then(|last| last.unpack().ok()).unwrap_or(object)
}

#[cfg(test)]
mod tests;
