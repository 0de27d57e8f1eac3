//! Objects and views for the tests of this module.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{HTTPGetAction, Probe, ResourceRequirements};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, ObjectMeta, Time};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use k8s_openapi::jiff::Timestamp;

use super::facts::find;
use super::views::{ChildOutcome, ContainerView, DeploymentCondition, DeploymentView, PodView, Problem};
use super::{Inputs, compute};
use crate::api::microservice::{Port, ServiceOptions};
use crate::api::{Microservice, MicroserviceSpec, MicroserviceStatus, Reason};
use crate::intent::neighbours::View;
use crate::intent::{
    AccountIntent, AutoScaling, Intent, MissingReference, PodIntent, Probes, ReferenceKey, ReferenceKind,
    Scaling, Violation,
};
use crate::kafka::view::{AccessView, TopicView};

pub(super) fn time(seconds: i64) -> Time {
    Time(Timestamp::from_second(1_750_000_000 + seconds).unwrap())
}

pub(super) fn violation(reason: Reason) -> Violation {
    let (field, message) = ("spec.port".to_owned(), "must be between 1 and 65535".to_owned());
    Violation { reason, field, message }
}

pub(super) fn problem(reason: Reason, message: &str) -> Problem {
    Problem { reason, message: message.to_owned() }
}

pub(super) fn missing(name: &str, key: Option<&str>) -> MissingReference {
    let reference = ReferenceKey { kind: ReferenceKind::Secret, name: name.to_owned() };
    MissingReference { reference, key: key.map(str::to_owned) }
}

pub(super) fn object() -> Microservice {
    let spec = MicroserviceSpec { image: "orders:v9".to_owned(), ..MicroserviceSpec::default() };
    let metadata = ObjectMeta {
        name: Some("orders".to_owned()),
        namespace: Some("shop".to_owned()),
        generation: Some(2),
        uid: Some("0b4de6a3-6d0c-4b6e-9f3f-0f6d8f1a2c11".to_owned()),
        creation_timestamp: Some(time(0)),
        ..ObjectMeta::default()
    };
    Microservice { metadata, spec, status: None }
}

pub(super) fn intent() -> Intent {
    let get = HTTPGetAction { path: Some("/health".to_owned()), ..HTTPGetAction::default() };
    let readiness = Probe { http_get: Some(get), ..Probe::default() };
    let limits = BTreeMap::from([("memory".to_owned(), Quantity("512Mi".to_owned()))]);
    Intent {
        name: "orders".to_owned(),
        namespace: "shop".to_owned(),
        owner: None,
        part_of: None,
        version: None,
        class: Some("web".to_owned()),
        class_revision: "revision".to_owned(),
        image: "orders:v9".to_owned(),
        image_pull_policy: None,
        image_pull_secrets: Vec::new(),
        command: Vec::new(),
        args: Vec::new(),
        working_dir: None,
        ports: vec![Port { name: "http".to_owned(), port: 3000, ..Port::default() }],
        metrics_port: None,
        scaling: Scaling::Static(3),
        resources: ResourceRequirements { limits: Some(limits), ..ResourceRequirements::default() },
        probes: Probes { readiness: Some(readiness), ..Probes::default() },
        drain_seconds: 5,
        grace_period_seconds: 30,
        progress_deadline_seconds: 600,
        env: Vec::new(),
        env_from: Vec::new(),
        config: None,
        files: Vec::new(),
        secrets: Vec::new(),
        strategy: Default::default(),
        min_ready_seconds: 0,
        service: ServiceOptions::default(),
        init_containers: Vec::new(),
        sidecars: Vec::new(),
        pod: PodIntent::default(),
        service_account: AccountIntent {
            name: "orders".to_owned(),
            own: true,
            annotations: BTreeMap::new(),
            automount_token: false,
        },
        max_unavailable: IntOrString::Int(1),
        config_hash: None,
        restart: None,
        generated: Vec::new(),
        kafka: None,
        calls: Default::default(),
        callers: Default::default(),
        protect_called: false,
        addresses: Default::default(),
        peers: None,
        network: None,
        kafka_login: None,
        missing: Vec::new(),
        deployment_exists: true,
    }
}

pub(super) fn autoscaled(min: i32, max: i32) -> Scaling {
    let behavior = Default::default();
    Scaling::Auto(Box::new(AutoScaling { min, max, metrics: Vec::new(), behavior, lag: None }))
}

pub(super) fn child(kind: &str) -> ChildOutcome {
    ChildOutcome {
        api_version: if kind == "Deployment" { "apps/v1" } else { "v1" }.into(),
        kind: kind.into(),
        name: "orders".into(),
        uid: Some(format!("uid-of-{}", kind.to_lowercase()).as_str().into()),
        digest: Some("5f1c8e".into()),
        ..ChildOutcome::default()
    }
}

/// A Deployment with these counts, observed.
pub(super) fn deployment(desired: i32, replicas: i32, updated: i32, available: i32) -> DeploymentView {
    DeploymentView {
        uid: "uid-of-deployment".into(),
        generation: 2,
        observed_generation: 2,
        desired,
        replicas,
        updated,
        ready: available,
        available,
        conditions: Vec::new(),
    }
}

pub(super) fn deployment_condition(
    kind: &str,
    status: bool,
    reason: &str,
    message: &str,
) -> DeploymentCondition {
    let (kind, reason, message) = (kind.to_owned(), reason.to_owned(), message.to_owned());
    DeploymentCondition { kind, status, reason, message }
}

pub(super) fn deadline_exceeded() -> DeploymentCondition {
    deployment_condition("Progressing", false, "ProgressDeadlineExceeded", "timed out")
}

pub(super) fn container(name: &str) -> ContainerView {
    ContainerView { name: name.to_owned(), image: "orders:v9".to_owned(), ..ContainerView::default() }
}

pub(super) fn waiting(reason: &str, message: &str) -> ContainerView {
    ContainerView { waiting: Some((reason.to_owned(), message.to_owned())), ..container("orders") }
}

pub(super) fn pod(number: i64, container: ContainerView) -> PodView {
    PodView {
        name: format!("orders-7d9b-{number}"),
        template: "7d9b".to_owned(),
        created: 100 + number,
        containers: vec![container],
        ..PodView::default()
    }
}

/// Inputs that own what they describe; by default a service that is all there.
#[derive(Clone, Debug)]
pub(super) struct World {
    pub object: Microservice,
    pub intent: Result<Intent, Vec<Violation>>,
    pub hash: Option<String>,
    pub outcome: Option<Vec<ChildOutcome>>,
    pub blocked: Option<Problem>,
    pub deployment: Option<DeploymentView>,
    pub pods: Vec<PodView>,
    pub topics: Vec<TopicView>,
    pub access: Option<AccessView>,
    pub neighbours: View,
    pub now: i64,
}

impl World {
    pub(super) fn new() -> Self {
        Self {
            object: object(),
            intent: Ok(intent()),
            hash: Some("template-a".to_owned()),
            outcome: Some(vec![child("ServiceAccount"), child("Service"), child("Deployment")]),
            blocked: None,
            deployment: Some(deployment(3, 3, 3, 3)),
            pods: Vec::new(),
            topics: Vec::new(),
            access: None,
            neighbours: View::default(),
            now: 10,
        }
    }

    /// The intent of a valid spec.
    pub(super) fn intent(&mut self) -> &mut Intent {
        self.intent.as_mut().unwrap()
    }

    pub(super) fn compute(&self) -> MicroserviceStatus {
        compute(&Inputs {
            object: &self.object,
            intent: self.intent.as_ref().map_err(Vec::as_slice),
            template_hash: self.hash.as_deref(),
            outcome: self.outcome.as_deref(),
            blocked: self.blocked.as_ref(),
            deployment: self.deployment.as_ref(),
            pods: &self.pods,
            references: Vec::new(),
            secrets: Vec::new(),
            topics: &self.topics,
            access: self.access.as_ref(),
            neighbours: &self.neighbours,
            now: time(self.now),
        })
    }

    /// Computes the status, keeps it as the previous one and lets ten seconds pass.
    pub(super) fn step(&mut self) -> MicroserviceStatus {
        let status = self.compute();
        self.object.status = Some(status.clone());
        self.now += 10;
        status
    }
}

/// `True Reason` of a condition, or `-` where it is absent.
pub(super) fn short(status: &MicroserviceStatus, type_: &str) -> String {
    find(&status.conditions, type_).map_or("-".to_owned(), |c| format!("{} {}", c.status, c.reason))
}

pub(super) fn condition<'s>(status: &'s MicroserviceStatus, type_: &str) -> &'s Condition {
    find(&status.conditions, type_).unwrap()
}
