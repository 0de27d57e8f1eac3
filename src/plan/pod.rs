//! The pod template: hardened, spread, and free of anything that changes without a reason, because
//! every change of it is a rollout.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    Container, PodSecurityContext, PodSpec, PodTemplateSpec, SeccompProfile, TopologySpreadConstraint,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};

use super::{container, meta, volumes};
use crate::api::microservice::SecurityProfile;
use crate::api::{ANNOTATION_CONFIG_HASH, ANNOTATION_KAFKA_USER, ANNOTATION_RESTART};
use crate::intent::Intent;

/// Node labels over which the pods spread by default.
const SPREAD_OVER: [&str; 2] = ["topology.kubernetes.io/zone", "kubernetes.io/hostname"];

/// Template of the service's pods.
pub(super) fn template(intent: &Intent) -> PodTemplateSpec {
    PodTemplateSpec {
        metadata: Some(ObjectMeta {
            labels: Some(labels(intent)),
            annotations: meta::map(annotations(intent)),
            ..ObjectMeta::default()
        }),
        spec: Some(spec(intent)),
    }
}

/// The user's labels never win over ours: the selector depends on them.
fn labels(intent: &Intent) -> BTreeMap<String, String> {
    let mut labels = intent.pod.labels.clone();
    labels.extend(meta::versioned(intent));
    labels
}

fn annotations(intent: &Intent) -> BTreeMap<String, String> {
    let mut annotations = intent.pod.annotations.clone();
    let user = intent.kafka_login.as_ref().and_then(|login| login.user.as_ref());
    let own = [
        (ANNOTATION_CONFIG_HASH, intent.config_hash.as_ref()),
        (ANNOTATION_KAFKA_USER, user),
        (ANNOTATION_RESTART, intent.restart.as_ref()),
    ];
    // What is not ours to say may not be said by others: users are kept as long as pods carry them.
    annotations.remove(ANNOTATION_KAFKA_USER);
    for (key, value) in own {
        if let Some(value) = value {
            annotations.insert(key.to_owned(), value.clone());
        }
    }
    annotations
}

fn spec(intent: &Intent) -> PodSpec {
    let pod = &intent.pod;
    let (main, init) = containers(intent);
    PodSpec {
        containers: vec![main],
        init_containers: meta::list(init),
        volumes: meta::list(volumes::volumes(intent)),
        service_account_name: Some(intent.service_account.name.clone()),
        automount_service_account_token: Some(intent.service_account.automount_token),
        enable_service_links: Some(false),
        security_context: Some(security(intent)),
        termination_grace_period_seconds: Some(i64::from(intent.grace_period_seconds)),
        image_pull_secrets: meta::list(meta::unique_by(&intent.image_pull_secrets, |secret| {
            secret.name.clone()
        })),
        topology_spread_constraints: meta::list(spread(intent)),
        node_selector: meta::map(pod.node_selector.clone()),
        tolerations: meta::list(pod.tolerations.clone()),
        affinity: pod.affinity.clone(),
        priority_class_name: pod.priority_class_name.clone(),
        runtime_class_name: pod.runtime_class_name.clone(),
        ..PodSpec::default()
    }
}

/// The service's container, and the list of init containers: native sidecars first, then those that
/// run to completion. A sidecar (a database proxy, a mesh) is there for the pod's whole life, so init
/// containers may use it; the other order would let an init container wait for ever for a sidecar
/// that starts after it, while a sidecar that waits for an init container only restarts once.
fn containers(intent: &Intent) -> (Container, Vec<Container>) {
    let sidecars = intent.sidecars.iter().map(|extra| container::sidecar(intent, extra));
    let init = intent.init_containers.iter().map(|extra| container::init(intent, extra));
    let extra: Vec<Container> =
        sidecars.chain(init).filter(|container| container.name != intent.name).collect();
    (container::main(intent), meta::unique_by(&extra, |container| container.name.clone()))
}

fn security(intent: &Intent) -> PodSecurityContext {
    let pod = &intent.pod;
    PodSecurityContext {
        run_as_non_root: (pod.security_profile == SecurityProfile::Restricted).then_some(true),
        seccomp_profile: Some(SeccompProfile {
            type_: "RuntimeDefault".to_owned(),
            ..SeccompProfile::default()
        }),
        run_as_user: pod.run_as_user,
        run_as_group: pod.run_as_group,
        fs_group: pod.fs_group,
        ..PodSecurityContext::default()
    }
}

/// The user's constraints, else even over zones and hosts as far as there is room. A constraint
/// without selector counts no pod at all, so it gets the service's own.
fn spread(intent: &Intent) -> Vec<TopologySpreadConstraint> {
    let defaults = || SPREAD_OVER.map(even_over).to_vec();
    let mut constraints = intent.pod.topology_spread_constraints.clone().unwrap_or_else(defaults);
    for constraint in &mut constraints {
        constraint.label_selector.get_or_insert_with(|| LabelSelector {
            match_labels: Some(meta::selector(intent)),
            ..LabelSelector::default()
        });
    }
    meta::unique_by(&constraints, |constraint| {
        (constraint.topology_key.clone(), constraint.when_unsatisfiable.clone())
    })
}

/// Counts the pods of each version apart: else the old version's pods push the new ones together.
fn even_over(key: &str) -> TopologySpreadConstraint {
    TopologySpreadConstraint {
        max_skew: 1,
        topology_key: key.to_owned(),
        when_unsatisfiable: "ScheduleAnyway".to_owned(),
        match_label_keys: Some(vec!["pod-template-hash".to_owned()]),
        ..TopologySpreadConstraint::default()
    }
}
