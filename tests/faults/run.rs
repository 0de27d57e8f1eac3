//! One run of a scenario: the operator behind a proxy, the steps, what goes wrong, and what must hold.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use kube::api::ListParams;
use kube::{Api, ResourceExt};
use microservice_operator::api::{Microservice, MicroserviceClass};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::JoinHandle;

use super::plan::{Plan, Trouble};
use super::scenario::Scenario;
use super::state::{Mask, State};
use crate::support::{
    ApiProxy, Call, Cluster, Crash, Installation, Namespace, Operator, OperatorOptions, Stale, eventually,
};

/// Without a write for so long, an operator has ended a step: it holds progress back for a second.
const STILL: Duration = Duration::from_millis(1300);
/// The same for one that tells classes of their services, three seconds after a change.
const STILL_WITH_CLASSES: Duration = Duration::from_millis(4500);
/// How long a namespace may take to go.
const END: Duration = Duration::from_mins(2);

/// What a run showed.
pub struct Seen {
    pub state: State,
    /// Requests that change something, each with its number.
    pub writes: Vec<Call>,
    /// Events of each resource.
    pub events: BTreeMap<String, usize>,
    /// Deletions that were carried out, by resource and name.
    deletions: BTreeMap<String, usize>,
    /// Whether what was planned has happened.
    pub struck: bool,
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

impl Place {
    fn still(&self) -> Duration {
        if self.whole { STILL_WITH_CLASSES } else { STILL }
    }
}

/// Runs a scenario twice without trouble. What differs between the two is no business of any plan.
pub async fn calm(place: Place, scenario: &Scenario) -> Result<Calm, String> {
    let seen = Run::start(place, scenario, None).await.play(None).await?;
    let again = Run::start(place, scenario, None).await.play(None).await?;
    let mask = seen.state.differences(&again.state);
    Ok(Calm { seen, mask })
}

/// Runs a scenario with trouble, and compares with the calm run.
pub async fn troubled(place: Place, scenario: &Scenario, plan: &Plan, calm: &Calm) -> Result<bool, String> {
    let run = Run::start(place, scenario, Some(plan)).await;
    let seen = run.play(Some(calm)).await?;
    Ok(seen.struck)
}

struct Run<'a> {
    place: Place,
    scenario: &'a Scenario,
    plan: Option<&'a Plan>,
    namespace: Namespace,
    proxy: ApiProxy,
    keeper: Keeper,
}

impl<'a> Run<'a> {
    async fn start(place: Place, scenario: &'a Scenario, plan: Option<&'a Plan>) -> Self {
        let namespace = Namespace::new(place.cluster, &scenario.name).await;
        let mut options = OperatorOptions::namespace(namespace.name());
        if place.whole {
            options.namespaces.clear();
        }
        let installation = Installation::new(place.cluster, &options).await;
        let (proxy, crashes) = ApiProxy::start(place.cluster).await;
        match plan.map(|plan| &plan.trouble) {
            Some(Trouble::Request(call, fault)) => proxy.fail(call.clone(), *fault),
            Some(Trouble::Event(resource, number, disturbance)) => {
                proxy.disturb(resource, *number, *disturbance);
            }
            Some(Trouble::Past(..)) | None => {}
        }
        let operator = Operator::start_in(&installation.through(&proxy.url()), options).await;
        Self { place, scenario, plan, namespace, proxy, keeper: Keeper::of(operator, crashes) }
    }

    async fn play(mut self, calm: Option<&Calm>) -> Result<Seen, String> {
        for (number, step) in self.scenario.steps.iter().enumerate() {
            let before = self.revision().await;
            step.take(&self.namespace).await;
            self.settle().await?;
            if let Some(Trouble::Past(steps, resource, lag)) = self.plan.map(|plan| &plan.trouble)
                && *steps == number + 1
            {
                let (resource, revision) = (resource.clone(), before);
                self.proxy.show_the_past(Stale { resource, revision, lag: *lag });
                self.keeper.crash().await;
                self.settle().await?;
            }
        }
        self.arrive().await?;
        let state = self.converge(calm).await?;
        self.calm_down().await;
        self.rest().await?;
        let seen = self.seen(state);
        if let Some(calm) = calm {
            seen.no_more_deletions_than(&calm.seen)?;
        }
        self.end().await?;
        Ok(seen)
    }

    fn patience(&self) -> Duration {
        self.plan.map_or(Duration::from_mins(2), Plan::patience)
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
            let waits = self.unobserved().await;
            let quiet = self.proxy.quiet_since(start);
            if waits.is_none() && quiet >= STILL && self.keeper.runs() {
                return Ok(());
            }
            if start.elapsed() > self.patience() {
                let waits = waits.unwrap_or_else(|| "it writes on and on".to_owned());
                return Err(format!("not settled within {:?}: {waits}", self.patience()));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn services(&self) -> Vec<Microservice> {
        let services = self.namespace.api::<Microservice>().list(&ListParams::default()).await;
        services.expect("Microservices can be listed").items
    }

    /// A service whose present generation nobody has answered for.
    async fn unobserved(&self) -> Option<String> {
        let services = self.services().await;
        let waits = services.iter().find(|service| {
            let observed = service.status.as_ref().and_then(|status| status.observed_generation);
            observed != service.metadata.generation
        });
        waits.map(|service| format!("{} is not observed: {:?}", service.name_any(), service.status))
    }

    /// Waits for the state of the calm run; a calm run has the state that it comes to.
    async fn converge(&self, calm: Option<&Calm>) -> Result<State, String> {
        let start = Instant::now();
        loop {
            let state = State::of(&self.namespace).await;
            let Some(calm) = calm else { return Ok(state) };
            match state.compare(&calm.seen.state, &calm.mask) {
                Ok(()) => return Ok(state),
                Err(differences) if start.elapsed() > self.patience() => {
                    return Err(format!("another state than in the calm run:\n    {differences}"));
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(200)).await,
            }
        }
    }

    /// Waits until no service says any more that work is under way: others, such as the garbage collector, may
    /// take their time.
    async fn arrive(&self) -> Result<(), String> {
        let start = Instant::now();
        loop {
            self.calm_down().await;
            let under_way = self.services().await.into_iter().find(|service| {
                let conditions = service.status.iter().flat_map(|status| &status.conditions);
                conditions.into_iter().any(|one| one.type_ == "Reconciling" && one.status == "True")
            });
            match under_way {
                None => return Ok(()),
                Some(service) if start.elapsed() > self.patience() => {
                    return Err(format!("work goes on for {}: {:?}", service.name_any(), service.status));
                }
                Some(_) => {}
            }
        }
    }

    /// Waits until nothing has been written for so long that nothing is held back any more.
    async fn calm_down(&self) {
        let start = Instant::now();
        while self.proxy.quiet_since(start) < self.place.still() {
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
        let struck = self.proxy.has_struck();
        let writes = writes.into_iter().map(|sent| sent.call).collect();
        Seen { state, writes, events: self.proxy.events(), deletions, struck }
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

/// Starts the operator again when it was killed.
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
            loop {
                let crash = tokio::select! {
                    Some(crash) = crashes.recv() => crash,
                    order = ordered.recv() => match order {
                        Some(crash) => crash,
                        None => return operator,
                    },
                };
                running.send_replace(false);
                operator.kill().await;
                // Whoever asked may be gone with the connection of the operator.
                let _ = crash.send(());
                operator.restart().await;
                running.send_replace(true);
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
