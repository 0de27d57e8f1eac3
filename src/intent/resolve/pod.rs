//! Pod options, account, and the containers before and beside the service's own.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Affinity;

use super::{Inputs, environment, resources};
use crate::api::microservice::{ExtraContainer, PodOptions};
use crate::intent::{AccountIntent, PodIntent};

type Texts = BTreeMap<String, String>;

/// Options of spec over class: maps merge by key, lists are replaced.
pub(super) fn pod(inputs: &Inputs<'_>) -> PodIntent {
    let none = PodOptions::default();
    let spec = inputs.spec.pod.as_deref().unwrap_or(&none);
    let class = inputs.class.pod.as_ref().unwrap_or(&none);
    PodIntent {
        labels: merged(spec.labels.as_ref(), class.labels.as_ref()),
        annotations: merged(spec.annotations.as_ref(), class.annotations.as_ref()),
        node_selector: merged(spec.node_selector.as_ref(), class.node_selector.as_ref()),
        tolerations: spec.tolerations.clone().or_else(|| class.tolerations.clone()).unwrap_or_default(),
        affinity: affinity(spec.affinity.as_ref(), class.affinity.as_ref()),
        topology_spread_constraints: spec
            .topology_spread_constraints
            .clone()
            .or_else(|| class.topology_spread_constraints.clone()),
        priority_class_name: spec.priority_class_name.clone().or_else(|| class.priority_class_name.clone()),
        runtime_class_name: spec.runtime_class_name.clone().or_else(|| class.runtime_class_name.clone()),
        run_as_user: spec.run_as_user.or(class.run_as_user),
        run_as_group: spec.run_as_group.or(class.run_as_group),
        fs_group: spec.fs_group.or(class.fs_group),
        read_only_root_filesystem: spec
            .read_only_root_filesystem
            .or(class.read_only_root_filesystem)
            .unwrap_or(true),
        security_profile: spec.security_profile.or(class.security_profile).unwrap_or_default(),
    }
}

fn merged(spec: Option<&Texts>, class: Option<&Texts>) -> Texts {
    let mut merged = class.cloned().unwrap_or_default();
    merged.extend(spec.cloned().unwrap_or_default());
    merged
}

fn affinity(spec: Option<&Affinity>, class: Option<&Affinity>) -> Option<Affinity> {
    let (Some(spec), Some(class)) = (spec, class) else { return spec.or(class).cloned() };
    let layers = [spec, class];
    Some(Affinity {
        node_affinity: layers.iter().find_map(|layer| layer.node_affinity.clone()),
        pod_affinity: layers.iter().find_map(|layer| layer.pod_affinity.clone()),
        pod_anti_affinity: layers.iter().find_map(|layer| layer.pod_anti_affinity.clone()),
    })
}

/// The account of the pods; the service's own name means the own account.
pub(super) fn account(inputs: &Inputs<'_>) -> AccountIntent {
    let given = inputs.spec.service_account.clone().unwrap_or_default();
    let name = given.name.unwrap_or_else(|| inputs.name().to_owned());
    AccountIntent {
        own: name == inputs.name(),
        name,
        annotations: given.annotations.unwrap_or_default(),
        automount_token: given.automount_service_account_token.unwrap_or(false),
    }
}

/// Init containers or sidecars with resources and environment complete.
pub(super) fn extra_containers(
    inputs: &Inputs<'_>,
    given: Option<&Vec<ExtraContainer>>,
) -> Vec<ExtraContainer> {
    given.into_iter().flatten().map(|container| extra_container(inputs, container)).collect()
}

fn extra_container(inputs: &Inputs<'_>, given: &ExtraContainer) -> ExtraContainer {
    ExtraContainer {
        env: given.env.clone().map(|env| environment::complete(env.into_iter())),
        resources: Some(resources::helper(inputs, given.resources.as_ref())),
        ..given.clone()
    }
}
