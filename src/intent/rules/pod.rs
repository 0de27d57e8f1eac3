//! The pod must stay hardened and ours: images, containers, labels, placement, ids, account.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{Affinity, PodAffinityTerm, Toleration};

use super::{Inputs, Intent, Violations, entry, extra_containers, label_value, quoted, workload};
use crate::api::microservice::{ExtraContainer, PodOptions};
use crate::api::names::{self, Image};

const MAX_IMAGE: usize = 1024;
/// Domains, with their subdomains, whose labels the operator, Kubernetes or a mesh gives a meaning.
const RESERVED_LABELS: [&str; 6] =
    ["microservice.dev", "kubernetes.io", "k8s.io", "istio.io", "linkerd.io", "hashicorp.com"];
/// The one label of these domains that only opts in or out.
const INJECTION_LABEL: &str = "sidecar.istio.io/inject";
/// Labels without a domain that have a meaning.
const RESERVED_PLAIN_LABELS: [&str; 3] = ["app", "pod-template-hash", "controller-revision-hash"];
/// Domains whose annotations on Service and ServiceAccount are not the user's.
const RESERVED_ANNOTATIONS: [&str; 3] = ["microservice.dev", "kubernetes.io", "k8s.io"];
pub(super) fn check(inputs: &Inputs<'_>, intent: &Intent, found: &mut Violations) {
    image("spec.image", &inputs.spec.image, found);
    service_annotations(inputs, found);
    extra(inputs, found);
    for pod in [inputs.spec.pod.as_deref(), inputs.class.pod.as_ref()].into_iter().flatten() {
        labels(pod, found);
        pod_annotations(pod, found);
        placement(inputs, pod, found);
        ids(pod, found);
    }
    account(inputs, intent, found);
}

/// What a registry would refuse, and what would carry a scheme or a password into logs and status.
fn image(field: &str, image: &str, found: &mut Violations) {
    let odd = |c: char| c.is_control() || c.is_whitespace() || !c.is_ascii();
    if image.is_empty() || image.len() > MAX_IMAGE || image.contains(odd) {
        let message = format!(
            "must be 1 to {MAX_IMAGE} ASCII characters without spaces, such as shop/user-service:v1.2.0"
        );
        found.invalid(field, message);
    } else if image.contains("://") {
        found.invalid(field, "an image has no scheme: start with the registry or the repository");
    } else if Image::parse(image).digest.is_some() && !Image::parse(image).is_pinned() {
        found.invalid(
            field,
            "'@' must be followed by a digest such as sha256:…; credentials go into imagePullSecrets",
        );
    } else if Image::parse(image).repository.split('/').any(|part| matches!(part, "" | "." | "..")) {
        found.invalid(field, "has an empty, '.' or '..' part: write registry/path/name");
    }
}

fn service_annotations(inputs: &Inputs<'_>, found: &mut Violations) {
    let given = inputs.spec.service.as_deref().and_then(|service| service.annotations.as_ref());
    for key in given.into_iter().flat_map(BTreeMap::keys) {
        if in_domains(key, &RESERVED_ANNOTATIONS) && !key.starts_with("service.kubernetes.io/") {
            let message = "the domains kubernetes.io, k8s.io and microservice.dev are reserved: remove it";
            found.invalid(entry("spec.service.annotations", key), message);
        }
    }
}

/// Whether a key's domain is one of these or below one of them.
fn in_domains(key: &str, domains: &[&str]) -> bool {
    let domain = key.split_once('/').map_or("", |(domain, _)| domain);
    domains.iter().any(|reserved| {
        domain.strip_suffix(reserved).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    })
}

fn extra(inputs: &Inputs<'_>, found: &mut Violations) {
    let mut seen = BTreeSet::from([inputs.name()]);
    for (field, container) in extra_containers(inputs.spec) {
        let name = container.name.as_str();
        let at = format!("{field}.name");
        if !names::is_label(name) {
            let message =
                format!("{} is no container name: use lower-case letters, digits and '-'", quoted(name));
            found.invalid(at, message);
        } else if !seen.insert(name) {
            let message =
                format!("{} is the name of another container (the service's own has its name)", quoted(name));
            found.invalid(at, message);
        }
        image(&format!("{field}.image"), &container.image, found);
        ports_apart(&field, container, found);
        for (i, port) in container.ports.iter().flatten().enumerate() {
            let at = format!("{field}.ports[{i}]");
            workload::port_range(&format!("{at}.containerPort"), port.container_port, found);
            let host_ip = port.host_ip.is_some();
            for (leaf, given) in [("hostPort", port.host_port.is_some()), ("hostIP", host_ip)] {
                if given {
                    found.invalid(format!("{at}.{leaf}"), "pods do not open ports of their node: remove it");
                }
            }
        }
    }
}

/// The API server refuses two ports of one name, and of one number only the first would be there.
fn ports_apart(field: &str, container: &ExtraContainer, found: &mut Violations) {
    let (mut names, mut numbers) = (BTreeSet::new(), BTreeSet::new());
    for (i, port) in container.ports.iter().flatten().enumerate() {
        let at = format!("{field}.ports[{i}]");
        if let Some(name) = port.name.as_deref().filter(|name| !names.insert(*name)) {
            let message = format!("{} is the name of another port of this container", quoted(name));
            found.invalid(format!("{at}.name"), message);
        }
        let protocol = port.protocol.as_deref().unwrap_or("TCP");
        if !numbers.insert((port.container_port, protocol)) {
            let message =
                format!("{}/{protocol} is there twice: remove one of the entries", port.container_port);
            found.invalid(format!("{at}.containerPort"), message);
        }
    }
}

fn labels(pod: &PodOptions, found: &mut Violations) {
    for (key, value) in pod.labels.iter().flatten() {
        let field = entry("spec.pod.labels", key);
        let reserved = RESERVED_PLAIN_LABELS.contains(&key.as_str()) || in_domains(key, &RESERVED_LABELS);
        if reserved && key != INJECTION_LABEL {
            found.invalid(field, "is reserved for the operator, Kubernetes or a mesh: choose another key");
        } else {
            label_value(field, value, found);
        }
    }
}

fn pod_annotations(pod: &PodOptions, found: &mut Violations) {
    for key in pod.annotations.iter().flat_map(BTreeMap::keys) {
        if forbidden_annotation(key) {
            found
                .invalid(entry("spec.pod.annotations", key), "is reserved, no class can allow it: remove it");
        }
    }
}

/// What no class can allow: annotations of the operator and of kubectl, and those that weaken the sandbox.
fn forbidden_annotation(key: &str) -> bool {
    let sandbox = ["security.alpha.kubernetes.io", "security.beta.kubernetes.io"];
    in_domains(key, &["microservice.dev"])
        || in_domains(key, &sandbox)
        || key.starts_with("kubernetes.io/")
        || key.starts_with("kubectl.")
}

fn placement(inputs: &Inputs<'_>, pod: &PodOptions, found: &mut Violations) {
    for (i, toleration) in pod.tolerations.iter().flatten().enumerate() {
        if tolerates_control_plane(toleration) {
            found.invalid(
                format!("spec.pod.tolerations[{i}]"),
                "tolerates the control plane's taints: name the key of the nodes that are meant",
            );
        }
    }
    let priority = pod.priority_class_name.as_deref().unwrap_or_default();
    if priority.starts_with("system-") {
        let message =
            format!("{} is for the cluster itself: choose another priority class", quoted(priority));
        found.invalid("spec.pod.priorityClassName", message);
    }
    if let Some(affinity) = &pod.affinity {
        own_namespace_only(inputs.namespace(), affinity, found);
    }
}

fn tolerates_control_plane(toleration: &Toleration) -> bool {
    // No key means every taint.
    let key = toleration.key.as_deref().unwrap_or_default();
    key.is_empty() || key.starts_with("node-role.kubernetes.io/")
}

/// A pod's placement must tell nothing about the pods of other teams.
fn own_namespace_only(namespace: &str, affinity: &Affinity, found: &mut Violations) {
    let foreign = |term: &PodAffinityTerm| {
        term.namespace_selector.is_some() || term.namespaces.iter().flatten().any(|other| other != namespace)
    };
    let with = affinity.pod_affinity.as_ref().is_some_and(|rules| {
        let preferred = rules.preferred_during_scheduling_ignored_during_execution.iter().flatten();
        let required = rules.required_during_scheduling_ignored_during_execution.iter().flatten();
        required.chain(preferred.map(|weighted| &weighted.pod_affinity_term)).any(foreign)
    });
    let without = affinity.pod_anti_affinity.as_ref().is_some_and(|rules| {
        let preferred = rules.preferred_during_scheduling_ignored_during_execution.iter().flatten();
        let required = rules.required_during_scheduling_ignored_during_execution.iter().flatten();
        required.chain(preferred.map(|weighted| &weighted.pod_affinity_term)).any(foreign)
    });
    for (leaf, given) in [("podAffinity", with), ("podAntiAffinity", without)] {
        if given {
            found.invalid(
                format!("spec.pod.affinity.{leaf}"),
                "names pods of other namespaces: remove namespaces and namespaceSelector",
            );
        }
    }
}

/// Root is refused in every profile.
fn ids(pod: &PodOptions, found: &mut Violations) {
    for (leaf, id) in
        [("runAsUser", pod.run_as_user), ("runAsGroup", pod.run_as_group), ("fsGroup", pod.fs_group)]
    {
        if let Some(id) = id.filter(|id| !(1..=i64::from(i32::MAX)).contains(id)) {
            found.invalid(format!("spec.pod.{leaf}"), format!("{id} is not allowed: use 1 or more"));
        }
    }
}

fn account(inputs: &Inputs<'_>, intent: &Intent, found: &mut Violations) {
    let account = &intent.service_account;
    if !account.own {
        super::data::object_name("spec.serviceAccount.name", &account.name, found);
        if !account.annotations.is_empty() {
            let message = format!(
                "the operator does not change the account {}: remove annotations, or use the own account {:?}",
                quoted(&account.name),
                inputs.name()
            );
            found.invalid("spec.serviceAccount.annotations", message);
        }
    }
    for key in account.annotations.keys().filter(|key| in_domains(key, &RESERVED_ANNOTATIONS)) {
        found.invalid(
            entry("spec.serviceAccount.annotations", key),
            "the domains kubernetes.io, k8s.io and microservice.dev are reserved: remove it",
        );
    }
}
