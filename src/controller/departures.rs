//! What becomes of the topics and users of a Microservice that is gone. There is no finalizer: the ledger holds
//! all that is needed, so neither an object nor a namespace ever waits for a broker or for us.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use kube::api::ListParams;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::{Api, ResourceExt};
use tokio::sync::watch;
use tokio::time::Instant;

use super::Context;
use crate::api::Microservice;
use crate::engine::kafka::carriers::carriers;
use crate::engine::kafka::clusters::{Keeps, Terms};
use crate::engine::kafka::wants::confirmed;
use crate::engine::live::Key;
use crate::engine::packed::Packed;
use crate::engine::request::{Failure, bounded};
use crate::kafka::names;
use crate::kafka::view::{Happened, News};
use crate::status::{counted, topic_events};

/// When it is told that a topic which is to be deleted still waits for its cluster.
const LATE: Duration = Duration::from_secs(30);
/// After this time nobody asks any more; the ledger and the task of the cluster go on.
const GIVE_UP: Duration = Duration::from_mins(10);
/// Between two looks at topics that wait.
const PAUSE: Duration = Duration::from_secs(1);
/// The same after a while, and between two attempts when the API server fails.
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// Whose topics are let go.
pub(super) enum Who {
    /// An object that the watch has seen go.
    Gone(Box<Microservice>),
    /// An object that the ledger knows and the watch does not.
    Unknown,
    /// An object that is there and describes no topics.
    WithoutTopics,
}

/// Lets the topics of an object go that is gone, or describes none any more.
pub(super) async fn see_off(context: Arc<Context>, key: Key, who: Who) {
    let mut leaving = Departure { context, key, who, since: Instant::now(), told: false };
    let mut pause = PAUSE;
    // A new object of the name goes on with the topics, another leader with the rest.
    while leaving.context.fence.permit() && !leaving.context.clusters.declares(&leaving.key) {
        match leaving.step().await {
            Ok(true) | Err(Failure::Fenced) => return,
            Ok(false) if leaving.since.elapsed() >= GIVE_UP => return,
            Ok(false) => {}
            Err(failure) => {
                let (namespace, microservice) = (leaving.key.namespace.as_str(), leaving.key.name.as_str());
                tracing::warn!(namespace, microservice, %failure, "the topics and users of a deleted Microservice could not be let go and will be");
            }
        }
        tokio::time::sleep(pause).await;
        pause = pause.mul_f64(1.2).min(LONGEST_PAUSE);
    }
}

struct Departure {
    context: Arc<Context>,
    key: Key,
    who: Who,
    since: Instant,
    told: bool,
}

impl Departure {
    /// Whether there is nothing left to do.
    async fn step(&mut self) -> Result<bool, Failure> {
        let context = &self.context;
        if self.is_there().await? {
            return Ok(true);
        }
        let object = match &self.who {
            Who::Gone(object) => Some(object.as_ref()),
            Who::Unknown | Who::WithoutTopics => None,
        };
        let deployed = context.world.deployments.get(&self.key).is_some();
        let carried = if context.clusters.logins(&self.key).await?.is_empty() {
            None
        } else if self.namespace_is_gone() {
            Some(BTreeSet::new())
        } else {
            Some(carriers(&context.client, &self.key).await?)
        };
        let terms = Terms {
            keeps: Keeps::default(),
            carried,
            confirmed: object.map(confirmed),
            in_use: deployed && !matches!(self.who, Who::WithoutTopics),
            own_groups: object.map(own_groups).unwrap_or_default(),
            gone: true,
        };
        let result = context.clusters.let_go(&self.key, &terms).await?;
        let mut news = context.clusters.take_news(&self.key);
        news.extend(result.news);
        news.iter().for_each(|news| context.telemetry.kafka_changed(counted(&news.what)));
        if self.since.elapsed() >= LATE && !std::mem::replace(&mut self.told, true) {
            let late = |topic: &String| News { topic: topic.clone(), what: Happened::Doomed };
            news.extend(result.waits.iter().map(late));
        }
        if let Some(object) = object {
            context.publisher.events(object, topic_events(&news)).await;
        }
        Ok(result.waits.is_empty() && !result.login_waits)
    }

    /// With it has gone whatever was in it, and maybe our right to ask.
    fn namespace_is_gone(&self) -> bool {
        self.context.world.lacks_namespace(&self.key.namespace)
    }

    /// An object that cannot be decoded any more has disappeared from the watch and is still there: its
    /// topics are not touched. A new object of its name is another matter.
    async fn is_there(&self) -> Result<bool, Failure> {
        let uid = match &self.who {
            Who::Gone(object) => object.metadata.uid.as_ref(),
            Who::Unknown => None,
            Who::WithoutTopics => return Ok(false),
        };
        if self.namespace_is_gone() {
            return Ok(false);
        }
        let (context, namespace) = (&self.context, &self.key.namespace);
        let api: Api<Microservice> = Api::namespaced(context.client.clone(), namespace);
        let params = ListParams::default().fields(&format!("metadata.name={}", self.key.name));
        let found = bounded(api.list_metadata(&params)).await?.items;
        Ok(found.iter().any(|found| uid.is_none() || found.metadata.uid.as_ref() == uid))
    }
}

/// Whether it may have left topics behind.
pub(super) fn had_topics(object: &Microservice) -> bool {
    object.spec.kafka.is_some() || object.status.as_ref().is_some_and(|status| !status.topics.is_empty())
}

/// Consumer groups that end with the object.
fn own_groups(object: &Microservice) -> BTreeSet<String> {
    let (namespace, name) = (object.namespace().unwrap_or_default(), object.name_any());
    let kafka = object.spec.kafka.as_deref();
    let consumed = kafka.and_then(|kafka| kafka.consumes.as_ref()).into_iter().flatten();
    let groups = consumed.map(|read| read.group.as_deref().unwrap_or(&name));
    let streams =
        kafka.and_then(|kafka| kafka.streams.as_ref()).map(|streams| streams.application_id.as_str());
    groups.chain(streams).map(|group| names::group(&namespace, group)).collect()
}

/// Each time this replica becomes the leader, once every Microservice is known: another replica may have
/// changed the ledger, and objects may have gone while nobody looked.
pub(super) async fn take_up(
    mut leadership: watch::Receiver<bool>,
    mut listed: watch::Receiver<bool>,
    scopes: Vec<String>,
    store: Store<Packed>,
    context: Arc<Context>,
) {
    if listed.wait_for(|listed| *listed).await.is_err() {
        return;
    }
    loop {
        let mut pause = PAUSE;
        while *leadership.borrow_and_update() {
            match take_up_once(&scopes, &store, &context).await {
                Ok(()) => break,
                Err(failure) => tracing::warn!(%failure, "the ledger of Kafka topics could not be read"),
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
        if leadership.changed().await.is_err() {
            // Whoever never loses the lead has taken up all there is.
            return;
        }
    }
}

async fn take_up_once(
    scopes: &[String],
    store: &Store<Packed>,
    context: &Arc<Context>,
) -> Result<(), Failure> {
    context.clusters.take_up().await?;
    for key in context.clusters.owners().await? {
        let watched = scopes.iter().any(|scope| scope.is_empty() || *scope == key.namespace);
        let object = store.get(&ObjectRef::new(&key.name).within(&key.namespace));
        let who = match object {
            // It says in its own look which of them it has let go; one that cannot be read keeps them.
            Some(object) if object.unpack().map_or(true, |object| had_topics(&object)) => continue,
            Some(_) => Who::WithoutTopics,
            None => Who::Unknown,
        };
        if watched {
            tokio::spawn(see_off(Arc::clone(context), key, who));
        }
    }
    Ok(())
}
