//! Spec + class + built-ins, merged per leaf. The merge is total: it fills every field even of a broken
//! spec, then [`super::rules`] judges spec and result together.

pub(super) mod calls;
mod class;
mod environment;
pub(super) mod kafka;
pub(super) mod lag;
pub(super) mod network;
mod pod;
pub(super) mod ports;
pub(super) mod probes;
mod resources;
mod rollout;
mod scaling;
mod secrets;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::ResourceExt;

use super::{Intent, Observed, Violation, rules};
use crate::api::class::{ClassDefaults, Guardrails, SameNamespaceConsent};
use crate::api::defaults::Defaults;
use crate::api::kafka::class::ClassKafka;
use crate::api::microservice::MicroserviceSpec;
use crate::api::network::ClassNetwork;
use crate::api::{ANNOTATION_RESTART, API_VERSION, Microservice, MicroserviceClass, names};
use crate::kafka::consent::Consent;

/// Namespace of an object of a file that names none.
pub(super) const NAMESPACE: &str = "default";

/// Everything that a resolution reads.
pub(super) struct Inputs<'a> {
    /// The object.
    pub object: &'a Microservice,
    /// Its spec.
    pub spec: &'a MicroserviceSpec,
    /// Name of the class that applies.
    pub class_name: Option<&'a str>,
    /// The class's defaults, empty without a class.
    pub class: &'a ClassDefaults,
    /// The class's guard rails, empty without a class.
    pub guardrails: &'a Guardrails,
    /// The class's Kafka clusters and names.
    pub kafka: Option<&'a ClassKafka>,
    /// The class's network.
    pub network: Option<&'a ClassNetwork>,
    /// Whom a service lets in that says nothing of it.
    pub unsaid: Consent,
    /// Whether the class wants deletions confirmed.
    pub protect_called: bool,
    /// The built-in defaults of the class's revision.
    pub defaults: &'static Defaults,
    /// The live world.
    pub observed: &'a Observed,
}

impl Inputs<'_> {
    /// Name of the service.
    pub fn name(&self) -> &str {
        self.object.metadata.name.as_deref().unwrap_or_default()
    }

    /// Namespace of the service; `default` where a file names none.
    pub fn namespace(&self) -> &str {
        self.object.metadata.namespace.as_deref().unwrap_or(NAMESPACE)
    }
}

pub(super) fn resolve(
    object: &Microservice,
    class: Option<&MicroserviceClass>,
    observed: &Observed,
) -> Result<Intent, Vec<Violation>> {
    let defaults = class::applicable(object, class, observed).map_err(|violation| vec![violation])?;
    let (no_defaults, no_guardrails) = (ClassDefaults::default(), Guardrails::default());
    let inputs = Inputs {
        object,
        spec: &object.spec,
        class_name: class.and_then(|class| class.metadata.name.as_deref()),
        class: class.and_then(|class| class.spec.defaults.as_ref()).unwrap_or(&no_defaults),
        guardrails: class.and_then(|class| class.spec.guardrails.as_ref()).unwrap_or(&no_guardrails),
        kafka: class.and_then(|class| class.spec.kafka.as_ref()),
        network: class.and_then(|class| class.spec.network.as_ref()),
        unsaid: unsaid(class),
        protect_called: class.and_then(|class| class.spec.protect_called).unwrap_or_default(),
        defaults,
        observed,
    };
    let intent = merge(&inputs);
    let violations = rules::check(&inputs, &intent);
    if violations.is_empty() { Ok(intent) } else { Err(violations) }
}

fn merge(inputs: &Inputs<'_>) -> Intent {
    let Inputs { object, spec, observed, .. } = *inputs;
    let ports = ports::ports(spec, inputs.defaults);
    let metrics_port = ports::metrics_port(spec, &ports);
    let probes = probes::probes(inputs, &ports);
    let (drain_seconds, grace_period_seconds) = rollout::shutdown(inputs);
    let min_ready_seconds = spec.min_ready_seconds.unwrap_or(inputs.defaults.min_ready);
    let progress_deadline_seconds = rollout::progress_deadline(
        inputs,
        (probes.startup.as_ref(), probes.readiness.as_ref()),
        min_ready_seconds,
        drain_seconds,
    );
    let kafka = kafka::kafka(inputs);
    let (calls, callers) = calls::both_sides(inputs);
    let peers = calls::peers(inputs);
    let network = network::network(inputs, &ports, kafka.as_deref()).map(Box::new);
    let config = spec.config.clone().filter(|config| !config.is_empty());
    Intent {
        name: inputs.name().to_owned(),
        namespace: inputs.namespace().to_owned(),
        owner: owner(object),
        part_of: object.labels().get("app.kubernetes.io/part-of").and_then(|value| names::label_value(value)),
        version: names::version_label(&spec.image),
        class: inputs.class_name.map(str::to_owned),
        class_revision: class::revision(inputs),
        image: spec.image.clone(),
        image_pull_policy: spec.image_pull_policy,
        image_pull_secrets: list(spec.image_pull_secrets.as_ref()),
        command: list(spec.command.as_ref()),
        args: list(spec.args.as_ref()),
        working_dir: spec.working_dir.clone(),
        ports,
        metrics_port,
        scaling: scaling::scaling(inputs, kafka.as_deref()),
        resources: resources::main(inputs),
        probes,
        drain_seconds,
        grace_period_seconds,
        progress_deadline_seconds,
        env: environment::env(inputs, kafka.as_deref()),
        env_from: environment::env_from(inputs, peers.is_some(), config.is_some()),
        config_hash: secrets::config_hash(inputs, config.as_ref(), peers.as_ref()),
        config,
        files: environment::files(inputs),
        secrets: list(spec.secrets.as_ref()),
        strategy: rollout::strategy(inputs),
        min_ready_seconds,
        service: ports::service(spec),
        init_containers: pod::extra_containers(inputs, spec.init_containers.as_ref()),
        sidecars: pod::extra_containers(inputs, spec.sidecars.as_ref()),
        pod: pod::pod(inputs),
        service_account: pod::account(inputs),
        max_unavailable: max_unavailable(inputs),
        restart: object.annotations().get(ANNOTATION_RESTART).cloned(),
        generated: secrets::generated(inputs),
        kafka_login: observed.kafka_login.clone().filter(|_| kafka.is_some()),
        kafka,
        calls,
        callers,
        protect_called: inputs.protect_called,
        addresses: calls::addresses(inputs),
        peers,
        network,
        missing: secrets::missing(inputs),
        deployment_exists: observed.deployment_exists,
    }
}

/// Whom a service lets in that says nothing of it, as its class has it.
fn unsaid(class: Option<&MicroserviceClass>) -> Consent {
    match class.and_then(|class| class.spec.same_namespace_consent).unwrap_or_default() {
        SameNamespaceConsent::Implicit => Consent::OwnNamespace,
        SameNamespaceConsent::Explicit => Consent::Nobody,
    }
}

/// The controller reference of every child; none without a UID.
fn owner(object: &Microservice) -> Option<OwnerReference> {
    Some(OwnerReference {
        api_version: API_VERSION.to_owned(),
        kind: "Microservice".to_owned(),
        name: object.metadata.name.clone()?,
        uid: object.metadata.uid.clone().filter(|uid| !uid.is_empty())?,
        controller: Some(true),
        block_owner_deletion: Some(true),
    })
}

fn max_unavailable(inputs: &Inputs<'_>) -> IntOrString {
    let given = inputs.spec.disruption_budget.as_ref().and_then(|budget| budget.max_unavailable.clone());
    given.unwrap_or(IntOrString::Int(inputs.defaults.budget_max_unavailable))
}

fn list<T: Clone>(given: Option<&Vec<T>>) -> Vec<T> {
    given.cloned().unwrap_or_default()
}
