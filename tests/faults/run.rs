//! One run of a scenario: the operator behind a proxy, the steps, what goes wrong, and what must hold.

use std::any::Any;
use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::FutureExt;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::api::ListParams;
use kube::core::Status;
use kube::{Api, ResourceExt};
use microservice_operator::api::{Microservice, MicroserviceClass};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::JoinHandle;

use super::plan::Trouble;
use super::scenario::{Scenario, Step};
use super::state::{Mask, State};
use super::{chains, chaos};
use crate::support::{
    ApiProxy, Call, Cluster, Crash, Installation, Namespace, Operator, OperatorOptions, Stale, Strike,
    eventually,
};

/// Without a write for so long, an operator has ended a step: it holds progress back for a second.
const STILL: Duration = Duration::from_millis(1300);
/// The same for one that tells classes of their services, three seconds after a change.
const STILL_WITH_CLASSES: Duration = Duration::from_millis(4500);
/// How long a namespace may take to go.
const END: Duration = Duration::from_mins(2);
/// In the first so many seconds chaos kills the operator at any moment.
const KILLS: Duration = Duration::from_secs(8);
/// How long pods of a chain may take to run: what the examples ask for, such as volumes, is not always there.
const PODS: Duration = Duration::from_secs(15);

/// What a run showed.
pub struct Seen {
    pub state: State,
    /// Requests that change something, each with its number.
    pub writes: Vec<Call>,
    /// Events of each resource.
    pub events: BTreeMap<String, usize>,
    /// Deletions that were carried out, by resource and name.
    deletions: BTreeMap<String, usize>,
    /// What has gone wrong.
    pub strikes: Vec<Strike>,
}

/// What two calm runs showed, for comparison.
pub struct Calm {
    pub seen: Seen,
    pub mask: Mask,
}

/// A place to run in.
#[derive(Clone, Copy)]
pub struct Place {
    pub cluster: &'static Cluster,
    /// Whether the operator has the cluster for itself.
    pub whole: bool,
    /// How long nothing may be written in the end.
    pub rest: Duration,
}

impl Calm {
    /// What is not compared in this trouble: in much of it an operator sees less of what happens on the way.
    fn mask_for(&self, trouble: &Trouble) -> Mask {
        let counts = self.seen.state.counts().into_iter().filter(|_| matches!(trouble, Trouble::Chaos(_)));
        self.mask.iter().cloned().chain(counts).collect()
    }
}

impl Place {
    fn still(&self) -> Duration {
        if self.whole { STILL_WITH_CLASSES } else { STILL }
    }
}

/// Runs what a scenario is compared with twice without trouble. What differs between the two is no business
/// of any plan.
pub async fn calm(place: Place, scenario: &Scenario) -> Result<Calm, String> {
    let reference = scenario.reference();
    let run = async || Run::start(place, &reference, &Trouble::Calm).await.complete(None).await;
    let (seen, again) = (run().await?, run().await?);
    let mut mask = seen.state.differences(&again.state);
    if scenario.scratch.is_some() {
        mask.extend(seen.state.left_by_others());
    }
    Ok(Calm { seen, mask })
}

/// Runs a scenario with trouble, and compares with the calm run. What has gone wrong.
pub async fn troubled(
    place: Place,
    scenario: &Scenario,
    trouble: &Trouble,
    calm: &Calm,
) -> Result<Vec<Strike>, String> {
    let seen = Run::start(place, scenario, trouble).await.complete(Some(calm)).await?;
    Ok(seen.strikes)
}

struct Run<'a> {
    place: Place,
    scenario: &'a Scenario,
    trouble: &'a Trouble,
    namespace: Namespace,
    proxy: Arc<ApiProxy>,
    keeper: Keeper,
    /// Where the operator writes its log.
    log: PathBuf,
    start: Instant,
    /// When the operator is killed, counted from the start.
    kills: Vec<Duration>,
}

impl<'a> Run<'a> {
    async fn start(place: Place, scenario: &'a Scenario, trouble: &'a Trouble) -> Self {
        let namespace = Namespace::new(place.cluster, &scenario.name).await;
        let mut options = OperatorOptions::namespace(namespace.name());
        if place.whole {
            options.namespaces.clear();
        }
        let installation = Installation::new(place.cluster, &options).await;
        let (proxy, crashes) = ApiProxy::start(place.cluster).await;
        let chaos = matches!(trouble, Trouble::Chaos(_));
        if !chaos {
            proxy.follow(trouble.clone());
        }
        let operator = Operator::start_in(&installation.through(&proxy.url()), options).await;
        // Whoever starts it waits until it is ready, and nobody would start it again before that.
        if chaos {
            proxy.follow(trouble.clone());
        }
        let kills = match trouble {
            Trouble::Chaos(seed) => chaos::kills(*seed, KILLS),
            _ => Vec::new(),
        };
        let (log, keeper) = (operator.log_file().to_owned(), Keeper::of(operator, crashes));
        let (proxy, start) = (Arc::new(proxy), Instant::now());
        Self { place, scenario, trouble, namespace, proxy, keeper, log, start, kills }
    }

    /// Plays it to its end. With an error comes all that went wrong on the way.
    async fn complete(mut self, calm: Option<&Calm>) -> Result<Seen, String> {
        let (proxy, log, start) = (Arc::clone(&self.proxy), self.log.clone(), self.start);
        let whole = async {
            let seen = self.play(calm).await?;
            self.end().await?;
            Ok::<_, String>(seen)
        };
        let result = AssertUnwindSafe(whole).catch_unwind().await;
        result.unwrap_or_else(|panic| Err(said(&*panic))).map_err(|error| {
            let strikes = proxy.strikes().into_iter();
            let strikes =
                strikes.map(|(at, strike)| format!("\n    {:7.3} s: {strike}", (at - start).as_secs_f64()));
            format!("{error}\n    log of the operator: {}{}", log.display(), strikes.collect::<String>())
        })
    }

    async fn play(&mut self, calm: Option<&Calm>) -> Result<Seen, String> {
        let scenario = self.scenario;
        for (number, step) in scenario.steps.iter().enumerate() {
            let before = self.revision().await;
            self.take(step).await?;
            match step.pause() {
                Some(pause) => tokio::time::sleep(pause).await,
                None => self.settle().await?,
            }
            if let Some((resource, lag)) = self.past(number + 1, calm) {
                self.proxy.show_the_past(Stale { resource, revision: before, lag });
                self.keeper.crash().await;
                self.settle().await?;
            }
        }
        if matches!(self.trouble, Trouble::Chaos(_)) {
            self.kills.clear();
            self.proxy.calm().await;
            self.settle().await?;
        }
        self.arrive().await?;
        let state = self.converge(calm).await?;
        self.calm_down().await;
        self.rest().await?;
        let seen = self.seen(state);
        if let Some(calm) = calm.filter(|_| scenario.scratch.is_none()) {
            seen.no_more_deletions_than(&calm.seen)?;
        }
        Ok(seen)
    }

    /// Does a step. In chaos an earlier one may not have led to what this one is about, and what is generated
    /// may break the rules of the kind.
    async fn take(&self, step: &Step) -> Result<(), String> {
        let lenient = matches!(self.trouble, Trouble::Chaos(_)) || self.scenario.scratch.is_some();
        match step.take(&self.namespace).await {
            Ok(()) => Ok(()),
            Err(kube::Error::Api(status)) if lenient && is_no_surprise(&status) => Ok(()),
            Err(error) => Err(format!("{step:?}: {error}")),
        }
    }

    /// Of what the operator is to see the past after this step, and how late it hears of the present.
    fn past(&self, step: usize, calm: Option<&Calm>) -> Option<(String, Duration)> {
        match self.trouble {
            Trouble::Past(at, resource, lag) => (*at == step).then(|| (resource.clone(), *lag)),
            Trouble::Chaos(seed) => {
                // An old spec is carried out, and then the newer one: that is no way to the same state with as few
                // deletions.
                let seen = calm?.seen.events.keys();
                let resources: Vec<&String> = seen.filter(|name| *name != "microservices").collect();
                chaos::past(*seed, step, &resources).map(|(resource, lag)| (resource.clone(), lag))
            }
            _ => None,
        }
    }

    /// Revision of the cluster's data.
    async fn revision(&self) -> String {
        let services = self.namespace.api::<Microservice>();
        let list = services.list(&ListParams::default().limit(1)).await.expect("Microservices can be listed");
        list.metadata.resource_version.unwrap_or_default()
    }

    /// Waits until every service is observed and nothing has been written for a while.
    async fn settle(&mut self) -> Result<(), String> {
        let start = Instant::now();
        loop {
            if self.kills.pop_if(|due| *due < self.start.elapsed()).is_some() {
                self.proxy.note(Strike::Kill);
                self.keeper.crash().await;
            }
            let waits = self.unobserved().await;
            let quiet = self.proxy.quiet_since(start);
            if waits.is_none() && quiet >= STILL && self.keeper.runs() {
                return Ok(());
            }
            if start.elapsed() > self.trouble.patience() {
                let writes = || if self.keeper.runs() { "it writes on and on" } else { "it is not ready" };
                let waits = waits.unwrap_or_else(|| writes().to_owned());
                return Err(format!("not settled within {:?}: {waits}", self.trouble.patience()));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn services(&self) -> Vec<Microservice> {
        let services = self.namespace.api::<Microservice>().list(&ListParams::default()).await;
        services.expect("Microservices can be listed").items
    }

    /// A service whose present generation nobody has answered for, or that waits until a refused write may be
    /// tried again: in the calm run the next step finds it done.
    async fn unobserved(&self) -> Option<String> {
        let services = self.services().await;
        let waits = services.iter().find(|service| {
            let status = service.status.clone().unwrap_or_default();
            let held_up = |one: &Condition| matches!(one.reason.as_str(), "Forbidden" | "ApiUnavailable");
            status.observed_generation != service.metadata.generation || status.conditions.iter().any(held_up)
        });
        waits.map(|service| format!("{} is not observed: {:?}", service.name_any(), service.status))
    }

    /// Waits for the state of the calm run. A calm run has the state that it comes to, when the garbage collector
    /// has done its part.
    async fn converge(&self, calm: Option<&Calm>) -> Result<State, String> {
        let (start, mask) = (Instant::now(), calm.map(|calm| calm.mask_for(self.trouble)));
        loop {
            let state = State::of(&self.namespace).await;
            let compared = match calm.zip(mask.as_ref()) {
                Some((calm, mask)) => state.compare(&calm.seen.state, mask),
                None => state.orphan().map_or(Ok(()), |orphan| Err(format!("{orphan} has lost its owner"))),
            };
            match compared {
                Ok(()) => return Ok(state),
                Err(differences) if start.elapsed() > self.trouble.patience() => {
                    return Err(format!("another state than in the calm run:\n    {differences}"));
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(200)).await,
            }
        }
    }

    /// Waits until no service says any more that work is under way: others, such as the garbage collector, may
    /// take their time.
    async fn arrive(&self) -> Result<(), String> {
        let (start, generated) = (Instant::now(), chains::number(&self.scenario.name).is_some());
        loop {
            self.calm_down().await;
            let under_way = self.services().await.into_iter().find(|service| {
                let conditions = service.status.iter().flat_map(|status| &status.conditions);
                conditions.into_iter().any(|one| one.type_ == "Reconciling" && one.status == "True")
            });
            match under_way {
                None => return Ok(()),
                Some(_) if generated && start.elapsed() > PODS => return Ok(()),
                Some(service) if start.elapsed() > self.trouble.patience() => {
                    return Err(format!("work goes on for {}: {:?}", service.name_any(), service.status));
                }
                Some(_) => {}
            }
        }
    }

    /// Waits until all that is late has come, and nothing has been written for so long that nothing is held back
    /// any more.
    async fn calm_down(&self) {
        let start = Instant::now();
        while self.proxy.is_late() || self.proxy.quiet_since(start) < self.place.still() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Nothing is written any more.
    async fn rest(&self) -> Result<(), String> {
        let before = self.proxy.writes().len();
        tokio::time::sleep(self.place.rest).await;
        let writes = self.proxy.writes();
        let late: Vec<String> = writes.iter().skip(before).map(|sent| sent.call.to_string()).collect();
        if late.is_empty() { Ok(()) } else { Err(format!("written at rest: {}", late.join(", "))) }
    }

    fn seen(&self, state: State) -> Seen {
        let writes = self.proxy.writes();
        let mut deletions = BTreeMap::new();
        for sent in
            writes.iter().filter(|sent| sent.call.verb == "delete" && sent.code < 300 && sent.code > 0)
        {
            *deletions.entry(format!("{}/{}", sent.call.resource, sent.call.name)).or_default() += 1;
        }
        let strikes = self.proxy.strikes().into_iter().map(|(_, strike)| strike).collect();
        let writes = writes.into_iter().map(|sent| sent.call).collect();
        Seen { state, writes, events: self.proxy.events(), deletions, strikes }
    }

    /// The operator ends as it should, and with the namespace everything goes.
    async fn end(self) -> Result<(), String> {
        let mut operator = self.keeper.release().await;
        let log = operator.log();
        if log.contains("panicked") {
            return Err("the operator panicked".to_owned());
        }
        operator.stop().await;
        let client = self.namespace.client();
        if self.scenario.has_class() {
            let (classes, name) = (Api::<MicroserviceClass>::all(client.clone()), self.namespace.name());
            let _ = classes.delete(&format!("class-{name}"), &Default::default()).await;
        }
        let namespaces = Api::<k8s_openapi::api::core::v1::Namespace>::all(client);
        let name = self.namespace.name();
        let _ = namespaces.delete(name, &Default::default()).await;
        eventually(END, "the namespace goes", || async {
            match namespaces.get_opt(name).await {
                Ok(None) => Ok(()),
                other => Err(format!("{:?}", other.map(|found| found.and_then(|found| found.status)))),
            }
        })
        .await;
        Ok(())
    }
}

impl Seen {
    /// What somebody deletes twice he deletes from an old view.
    fn no_more_deletions_than(&self, calm: &Self) -> Result<(), String> {
        let more = self.deletions.iter().find(|(object, count)| calm.deletions.get(*object) < Some(*count));
        match more {
            None => Ok(()),
            Some((object, count)) => {
                Err(format!("{object} was deleted {count} times, more often than in the calm run"))
            }
        }
    }
}

/// Whether a refusal is about what was asked for. The server answers 500 to a field that it does not know.
fn is_no_surprise(status: &Status) -> bool {
    matches!(status.code, 404 | 422) || status.message.contains("field not declared in schema")
}

/// What a panic said.
fn said(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
    text.unwrap_or_else(|| "something panicked".to_owned())
}

/// Starts the operator again when it was killed, also while it starts.
struct Keeper {
    orders: tokio::sync::mpsc::UnboundedSender<Crash>,
    runs: tokio::sync::watch::Receiver<bool>,
    task: JoinHandle<Operator>,
}

impl Keeper {
    fn of(mut operator: Operator, mut crashes: UnboundedReceiver<Crash>) -> Self {
        let (orders, mut ordered) = tokio::sync::mpsc::unbounded_channel::<Crash>();
        let (running, runs) = tokio::sync::watch::channel(true);
        let task = tokio::spawn(async move {
            let mut ready = true;
            loop {
                let crash = tokio::select! {
                    Some(crash) = crashes.recv() => crash,
                    order = ordered.recv() => match order {
                        Some(crash) => crash,
                        None => return operator,
                    },
                    () = operator.wait_up(), if !ready => {
                        ready = true;
                        running.send_replace(true);
                        continue;
                    }
                };
                ready = false;
                running.send_replace(false);
                operator.kill().await;
                // Whoever asked may be gone with the connection of the operator.
                let _ = crash.send(());
                operator.launch();
            }
        });
        Self { orders, runs, task }
    }

    fn runs(&self) -> bool {
        *self.runs.borrow()
    }

    /// Kills the operator and waits until the next one is ready.
    async fn crash(&mut self) {
        let (told, ended) = tokio::sync::oneshot::channel();
        self.orders.send(told).expect("the keeper runs");
        ended.await.expect("the operator ends");
        self.runs.wait_for(|runs| *runs).await.expect("the keeper runs");
    }

    async fn release(self) -> Operator {
        drop(self.orders);
        self.task.await.expect("the keeper does not panic")
    }
}
