//! One look at one Microservice: observe, resolve, plan, carry out, tell.

mod kafka;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::api::ObjectMeta;
use kube::{Resource, ResourceExt};
use tokio::time::Instant;

use super::{Context, Error};
use crate::api::{Microservice, MicroserviceClass, MicroserviceSpec, MicroserviceStatus, Reason};
use crate::engine::apply::Applier;
use crate::engine::kafka::clusters::LetGo;
use crate::engine::live::Key;
use crate::engine::observe::{Observation, Observer};
use crate::engine::packed::Packed;
use crate::engine::pass;
use crate::engine::probes::next_question;
use crate::engine::publish::{Published, Stored};
use crate::engine::request::Failure;
use crate::engine::sentinels::Obstacle;
use crate::engine::world::{Basis, ClassUnknown, reference_kind};
use crate::intent::{Address, Intent, Observed, Violation};
use crate::plan::{Plan, keda, plan};
use crate::status::views::{ChildOutcome, DeploymentView, PodView, Problem};
use crate::status::{Inputs, compute};

/// Until the next look at an object that others stand in the way of and that nobody tells about.
const UNWATCHED: Duration = Duration::from_mins(1);

/// How a look ended.
pub(super) struct Looked {
    pub(super) reason: Reason,
    pub(super) next: Option<Duration>,
    /// The status as it was stored, if it was written.
    written: Option<Box<Stored>>,
}

/// One look at one object.
pub(super) struct Look<'a> {
    pub(super) context: &'a Context,
    pub(super) key: Key,
    pub(super) began: Instant,
}

/// What a look knows when it tells.
struct Told<'a> {
    object: &'a Microservice,
    intent: Result<&'a Intent, &'a [Violation]>,
    plan: Option<&'a Plan>,
    outcome: Option<&'a [ChildOutcome]>,
    blocked: Option<&'a Problem>,
    observation: &'a Observation,
}

impl Look<'_> {
    pub(super) async fn take(&self, cached: &Packed) -> Result<Looked, Error> {
        let idle = Looked { reason: Reason::Ready, next: None, written: None };
        if !self.context.fence.permit() {
            return Ok(idle);
        }
        if let Err(unknown) = self.context.world.knows_class(&self.key.namespace) {
            return self.without_class(cached, unknown).await;
        }
        let _looking = self.context.survey.look(&self.key);
        let object = self.newest(cached)?;
        if object.metadata.deletion_timestamp.is_some() {
            // Whatever is left belongs to the garbage collector.
            return Ok(idle);
        }
        let class = self.context.world.class_for(&object);
        self.context.concern(self.context.world.renew_service(&object, class.as_deref()));
        let observation = match self.observe(&object, class.as_deref()).await {
            Ok(observation) => observation,
            Err(failure) => return self.blind(&object, &failure).await,
        };
        let mut intent = match Intent::resolve(&object, class.as_deref(), &observation.observed) {
            Ok(intent) => intent,
            Err(violations) => return self.invalid(&object, &violations, &observation).await,
        };
        intent.missing.extend(observation.missing.iter().cloned());
        self.context.survey.note(&intent, class.as_deref());
        let plan = plan(&intent);
        if object.spec.suspend {
            self.context.clusters.withdraw(&self.key);
            return self.tell(Told::of(&object, &intent, &plan, &observation)).await;
        }
        self.carry_out(&object, &intent, &plan, observation).await
    }

    /// The newest that is known of the object.
    fn newest(&self, cached: &Packed) -> Result<Arc<Microservice>, Error> {
        let object = match self.context.memory.newest(&self.key, cached.meta()) {
            Some(written) => written,
            None => Arc::new(cached.unpack().map_err(Error::Unreadable)?),
        };
        let term = self.context.fence.term();
        Ok(self.context.memory.with_untold(&self.key, &object, term).map_or(object, Arc::new))
    }

    async fn observe(
        &self,
        object: &Microservice,
        class: Option<&MicroserviceClass>,
    ) -> Result<Observation, Failure> {
        let observer = Observer {
            world: &self.context.world,
            client: &self.context.client,
            keys: &self.context.keys,
            clusters: &self.context.clusters,
            now: Timestamp::now(),
        };
        let mut observation = observer.observe(object, class).await?;
        let observed = &mut observation.observed;
        observed.deployment_exists = self.context.world.deployments.get(&self.key).is_some();
        observed.keda_missing = !self.context.world.serves(keda::API_VERSION);
        observed.addresses = self.context.world.addresses(object);
        observed.outline = self.context.world.outline(object, class);
        observed.granted = self.context.world.granted(&self.key);
        observed.network_mode = self.context.world.network_mode(&self.key.namespace);
        observed.operator_namespace = Some(self.context.operator_namespace.clone());
        observed.class_wanted = self.context.world.class_of_namespace(&self.key.namespace);
        Ok(observation)
    }

    async fn carry_out(
        &self,
        object: &Microservice,
        intent: &Intent,
        plan: &Plan,
        mut observation: Observation,
    ) -> Result<Looked, Error> {
        let nothing = MicroserviceStatus::default();
        let status = object.status.as_ref().unwrap_or(&nothing);
        let uid = object.uid().unwrap_or_default();
        let made = observation.made.clone();
        let applier = Applier {
            world: &self.context.world,
            memory: &self.context.memory,
            requests: &self.context.requests,
            telemetry: &self.context.telemetry,
            owner: &self.key,
            uid: &uid,
            secrets: &made,
        };
        let mut announces = false;
        if pass::is_due(&applier, plan, &status.children) {
            if let Err(wait) = self.turn(object, status, intent, plan) {
                let problem = Problem {
                    reason: Reason::WaitingForTurn,
                    message: "a change of the class, or of what a new operator finds, waits for its turn; \
                              services change at a bounded rate"
                        .to_owned(),
                };
                let told = Told { blocked: Some(&problem), ..Told::of(object, intent, plan, &observation) };
                let looked = self.tell(told).await?;
                return Ok(Looked { next: Some(looked.next.map_or(wait, |next| next.min(wait))), ..looked });
            }
            // A new object has no old status, and one costs the server as much as four children.
            announces =
                !status.conditions.is_empty() && status.observed_generation != object.metadata.generation;
        }
        self.context.memory.meet(&self.key);
        // An old Ready is known by its generation; this tells that the next one is on its way.
        let announce = async {
            let told = Told::of(object, intent, plan, &observation);
            if announces { self.tell(told).await.map(|announced| announced.written) } else { Ok(None) }
        };
        let carry_out = async {
            let topics = self.look_after_kafka(object, intent, &observation.stored).await;
            (topics, pass::execute(&applier, plan, &status.children).await)
        };
        let (announced, (topics, outcomes)) = if announces && is_final(&applier, plan, intent, status) {
            (announce.await?, carry_out.await)
        } else {
            // The status at the end tells all of it, and what cannot be told is kept for the next look.
            let (announced, done) = futures::join!(announce, carry_out);
            (announced.ok().flatten(), done)
        };
        // The status of now on the spec that was planned: what the write returned may hold a newer spec.
        let current = announced.map(|stored| Microservice {
            metadata: ObjectMeta { resource_version: stored.resource_version, ..object.metadata.clone() },
            spec: object.spec.clone(),
            status: Some(stored.status),
        });
        let object = current.as_ref().unwrap_or(object);
        observation.settle(object, &outcomes);
        self.tell_of_login(&observation, &outcomes);
        let unwatched = self.watch_obstacles(plan, &outcomes);
        let told = Told { outcome: Some(&outcomes), ..Told::of(object, intent, plan, &observation) };
        let mut looked = self.tell(told).await?;
        if unwatched {
            looked.next = Some(looked.next.map_or(UNWATCHED, |next| next.min(UNWATCHED)));
        }
        looked.next = looked.next.into_iter().chain(topics).min();
        if outcomes.iter().any(|outcome| outcome.outdated) {
            looked.next = Some(Duration::ZERO);
        }
        self.tell_of_topics(object, &LetGo::default()).await;
        Ok(looked)
    }

    /// Has what stands in the place of a child watched, so that it is noticed when it goes. Returns
    /// whether some of it is not watched for lack of room: it is forgotten, so the next look asks.
    fn watch_obstacles(&self, plan: &Plan, outcomes: &[ChildOutcome]) -> bool {
        let blocked = |kind: &str, name: &str| {
            let reason = |o: &ChildOutcome| o.problem.as_ref().map(|problem| problem.reason);
            let outcome = outcomes.iter().find(|o| o.kind == kind && o.name == name);
            matches!(outcome.and_then(reason), Some(Reason::Conflict | Reason::WaitingForDeletion))
        };
        let world = &self.context.world;
        let key = |name: &str| Key::new(&self.key.namespace, name);
        let obstacles: Vec<Obstacle> = plan
            .children
            .iter()
            .filter(|planned| blocked(planned.kind.kind, &planned.name))
            .map(|planned| (planned.kind, planned.name.clone()))
            .filter(|(kind, name)| {
                // One that names us is told by the ordinary watches, which see most kinds by their label.
                let live = world.child(kind, &key(name));
                live.is_some_and(|live| {
                    live.claimed_by() != Some(self.key.name.as_str())
                        || (live.service.is_none() && reference_kind(kind).is_none())
                })
            })
            .collect();
        let left = self.context.sentinels.post(&self.key, &obstacles);
        for (kind, name) in &left {
            world.forget_child(kind, &key(name));
        }
        !left.is_empty()
    }

    /// Asks for a turn when what changed is not the object but the class, or the operator: if a process
    /// that has just started wants other pods, it is another release, or something was missed while none
    /// ran. A port of a service that is called rolls all who call it. Each concerns many services at once.
    fn turn(
        &self,
        object: &Microservice,
        status: &MicroserviceStatus,
        intent: &Intent,
        plan: &Plan,
    ) -> Result<(), Duration> {
        let rolls = plan.template_hash() != status.completed_template.as_deref();
        let of_class =
            status.class_revision.as_ref().is_some_and(|revision| *revision != intent.class_revision);
        let of_operator = rolls && !self.context.memory.has_met(&self.key);
        let of_peers = rolls && moved(status, intent);
        if status.observed_generation == object.metadata.generation && (of_class || of_operator || of_peers) {
            return self.context.turns.take(&self.key, rolls);
        }
        Ok(())
    }

    /// The spec breaks a rule: nothing is applied, nothing is pruned.
    async fn invalid(
        &self,
        object: &Microservice,
        violations: &[Violation],
        observation: &Observation,
    ) -> Result<Looked, Error> {
        let told =
            Told { object, intent: Err(violations), plan: None, outcome: None, blocked: None, observation };
        self.tell(told).await
    }

    /// Something could not be read: nothing may be concluded from what was.
    async fn blind(&self, object: &Microservice, failure: &Failure) -> Result<Looked, Error> {
        let problem = Problem {
            reason: failure.reason(),
            message: format!("a Secret or ConfigMap could not be read: {failure}"),
        };
        let status = object.status.clone().unwrap_or_default();
        let observation =
            Observation { references: status.references, secrets: status.secrets, ..Observation::default() };
        let class = self.context.world.class_for(object);
        let intent = Intent::resolve(object, class.as_deref(), &observation.observed);
        let told = Told {
            object,
            intent: intent.as_ref().map_err(Vec::as_slice),
            plan: None,
            outcome: None,
            blocked: Some(&problem),
            observation: &observation,
        };
        let looked = self.tell(told).await?;
        let wait = self.context.memory.pass_failed(&self.key);
        let next = Some(looked.next.map_or(wait, |next| next.min(wait)));
        Ok(Looked { reason: failure.reason(), next, ..looked })
    }

    /// Which class applies is not known. With the defaults of none, pods would roll and policies would go:
    /// nothing is planned.
    async fn without_class(&self, cached: &Packed, unknown: ClassUnknown) -> Result<Looked, Error> {
        let (basis, failure) = match unknown {
            ClassUnknown::Yet(wait) => {
                return Ok(Looked { reason: Reason::Progressing, next: Some(wait), written: None });
            }
            ClassUnknown::Refused(basis, failure) => (basis, failure),
        };
        let object = self.newest(cached)?;
        if object.metadata.deletion_timestamp.is_some() {
            return Ok(Looked { reason: Reason::Ready, next: None, written: None });
        }
        let what = match basis {
            Basis::Classes => "MicroserviceClasses",
            Basis::Namespaces => "Namespaces",
        };
        let message = format!(
            "nothing is applied or deleted, because {what} cannot be listed and so the class is not known; apply the rights and the CRDs of the operator's release: {failure}"
        );
        let problem = Problem { reason: failure.reason(), message };
        if let Some(status) = self.unplanned(&object, &problem) {
            let (memory, term) = (&self.context.memory, self.context.fence.term());
            let written = self.context.publisher.status(memory, &self.key, &object, status, term).await;
            written.map_err(Error::Status)?;
        }
        let next = Some(self.context.memory.pass_failed(&self.key));
        Ok(Looked { reason: problem.reason, next, written: None })
    }

    /// The status as it was, and that nothing is applied now: whatever else it says may hang on the class.
    fn unplanned(&self, object: &Microservice, problem: &Problem) -> Option<MicroserviceStatus> {
        let spec = MicroserviceSpec { image: object.spec.image.clone(), ..MicroserviceSpec::default() };
        let bare = Microservice { spec, ..object.clone() };
        let intent = Intent::resolve(&bare, None, &Observed::default()).ok()?;
        let world = &self.context.world;
        let now = compute(&Inputs {
            object,
            intent: Ok(&intent),
            template_hash: None,
            outcome: None,
            blocked: Some(problem),
            deployment: world.deployments.get(&self.key).as_deref(),
            pods: &[],
            references: Vec::new(),
            secrets: Vec::new(),
            topics: &[],
            access: None,
            neighbours: &world.view(&self.key),
            now: Time(Timestamp::now()),
        });
        let of_pass = |type_: &str| ["Ready", "Reconciling", "Stalled", "Applied"].contains(&type_);
        let mut status = object.status.clone().unwrap_or_default();
        status.conditions.retain(|condition| !of_pass(&condition.type_));
        status.conditions.extend(now.conditions.into_iter().filter(|condition| of_pass(&condition.type_)));
        status.reason = now.reason;
        Some(status)
    }

    /// Computes the status, writes it if it differs, and says when to look again.
    async fn tell(&self, told: Told<'_>) -> Result<Looked, Error> {
        let context = self.context;
        let deployment = context.world.deployments.get(&self.key);
        let deployment = deployment.as_deref();
        let pods = self.troubled_pods(deployment).await;
        let status = compute(&Inputs {
            object: told.object,
            intent: told.intent,
            template_hash: told.plan.and_then(Plan::template_hash),
            outcome: told.outcome,
            blocked: told.blocked,
            deployment,
            pods: &pods,
            references: told.observation.references.clone(),
            secrets: told.observation.secrets.clone(),
            topics: &context.clusters.views(&self.key),
            access: context.clusters.access(&self.key).as_ref(),
            neighbours: &context.world.view(&self.key),
            now: Time(Timestamp::now()),
        });
        let before = told.object.status.as_ref().and_then(|status| status.class.clone());
        if before != status.class || told.object.status.is_none() {
            context.classes_changed.notify_one();
        }
        if told.outcome.is_some() && status.is_true("Available") {
            context.turns.settled(&self.key);
        }
        let ready = status.is_true("Ready");
        let reason = main_reason(&status);
        let next = self.next_look(&status, told.outcome.unwrap_or_default(), &pods, ready);
        let published = context
            .publisher
            .status(&context.memory, &self.key, told.object, status, context.fence.term())
            .await
            .map_err(Error::Status)?;
        if told.outcome.is_some() {
            context.memory.pass_succeeded(&self.key);
        }
        Ok(match published {
            Published::Same => Looked { reason, next, written: None },
            Published::Written(stored) => Looked { reason, next, written: Some(stored) },
            Published::Later(wait) => {
                Looked { reason, next: Some(next.map_or(wait, |next| next.min(wait))), written: None }
            }
        })
    }

    async fn troubled_pods(&self, deployment: Option<&DeploymentView>) -> Vec<PodView> {
        let healthy =
            deployment.is_some_and(|view| view.ready >= view.desired && view.updated >= view.desired);
        if healthy {
            return Vec::new();
        }
        let mut pods = self.context.world.pods_of(&self.key);
        self.context.probes.fill(&self.context.client, &self.key.namespace, &mut pods).await;
        pods
    }

    fn next_look(
        &self,
        status: &MicroserviceStatus,
        outcomes: &[ChildOutcome],
        pods: &[PodView],
        ready: bool,
    ) -> Option<Duration> {
        let now = Timestamp::now();
        let rotation = status
            .secrets
            .iter()
            .filter_map(|secret| secret.next_rotation.as_ref())
            .map(|next| {
                Duration::try_from(next.0.duration_since(now)).unwrap_or_default() + Duration::from_secs(1)
            })
            .min();
        let attempt = self.context.memory.next_attempt(&self.key, self.began);
        let outcome = outcomes.iter().filter_map(|outcome| outcome.problem.as_ref()).filter_map(|problem| {
            (problem.reason == Reason::WaitingForDeletion).then_some(Duration::from_secs(5))
        });
        // The kubelet's word may come later than the pod.
        let probe = if ready { None } else { next_question(pods) };
        outcome.chain(rotation).chain(attempt).chain(probe).min()
    }
}

impl<'a> Told<'a> {
    fn of(
        object: &'a Microservice,
        intent: &'a Intent,
        plan: &'a Plan,
        observation: &'a Observation,
    ) -> Self {
        Self { object, intent: Ok(intent), plan: Some(plan), outcome: None, blocked: None, observation }
    }
}

/// Whether the plan has a step that must not be made for a spec which is no longer the newest, nor twice:
/// something is deleted, or new values are stored. It is then announced first, which the server refuses if
/// the object has changed.
fn is_final(applier: &Applier<'_>, plan: &Plan, intent: &Intent, status: &MicroserviceStatus) -> bool {
    intent.kafka.is_some()
        || !status.topics.is_empty()
        || applier.secrets.values().any(|seen| seen.unsaved)
        || pass::removes(applier, plan, &status.children)
}

/// Whether somebody whom the service calls is not where its pods were told.
fn moved(status: &MicroserviceStatus, intent: &Intent) -> bool {
    let told = Address::recorded(status);
    told.iter().any(|(key, address)| intent.addresses.get(key).is_some_and(|now| now != address))
}

/// The reason in the condition Ready, as a word of our own list.
fn main_reason(status: &MicroserviceStatus) -> Reason {
    let ready = status.conditions.iter().find(|c| c.type_ == "Ready");
    ready.and_then(|c| Reason::parse(&c.reason)).unwrap_or(Reason::Progressing)
}
