//! Guard rails: what a class forbids, and what is forbidden unless a class allows it.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ResourceRequirements;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::{Inputs, Intent, Violations, entry, extra_containers, quoted};
use crate::api::names::Image;
use crate::intent::Scaling;
use crate::intent::quantity::Amount;

/// Namespaces that no service runs in unless a class names them.
const SYSTEM_NAMESPACES: [&str; 3] = ["kube-system", "kube-public", "kube-node-lease"];
/// Annotations of pods that are allowed unless a class has its own list.
const POD_ANNOTATIONS: [&str; 6] = [
    "prometheus.io/*",
    "sidecar.istio.io/*",
    "linkerd.io/*",
    "instrumentation.opentelemetry.io/*",
    "ad.datadoghq.com/*",
    "cluster-autoscaler.kubernetes.io/safe-to-evict",
];

pub(super) fn check(inputs: &Inputs<'_>, intent: &Intent, found: &mut Violations) {
    namespaces(inputs, found);
    image("spec.image", &inputs.spec.image, inputs, found);
    for (field, container) in extra_containers(inputs.spec) {
        image(&format!("{field}.image"), &container.image, inputs, found);
    }
    replicas(inputs, intent, found);
    resources(inputs, intent, found);
    pod_annotations(inputs, found);
    security_profile(inputs, intent, found);
    service_account(inputs, intent, found);
}

/// Who forbids it, for messages.
pub(super) fn class(inputs: &Inputs<'_>) -> String {
    match inputs.class_name {
        Some(name) => format!("MicroserviceClass {name:?}"),
        None => "the operator, as no MicroserviceClass applies,".to_owned(),
    }
}

fn namespaces(inputs: &Inputs<'_>, found: &mut Violations) {
    let namespace = inputs.namespace();
    let allowed = if let Some(allowed) = &inputs.guardrails.allowed_namespaces {
        allowed.iter().any(|allowed| allowed == namespace)
    } else {
        let operator = inputs.observed.operator_namespace.as_deref();
        !SYSTEM_NAMESPACES.contains(&namespace) && operator != Some(namespace)
    };
    if !allowed {
        let message = format!(
            "{} allows no services in {}: use another namespace or add it to guardrails.allowedNamespaces",
            class(inputs),
            quoted(namespace)
        );
        found.guardrail("metadata.namespace", message);
    }
}

fn image(field: &str, image: &str, inputs: &Inputs<'_>, found: &mut Violations) {
    let rails = inputs.guardrails;
    let parsed = Image::parse(image);
    if let Some(prefixes) = &rails.allowed_image_prefixes
        && !prefixes.iter().any(|prefix| has_prefix(image, prefix))
    {
        let message = format!("{} allows only images from: {}", class(inputs), quoted(&prefixes.join(", ")));
        found.guardrail(field, message);
    }
    if rails.require_digest == Some(true) && !parsed.is_pinned() {
        found.guardrail(field, format!("{} wants a digest: append @sha256:…", class(inputs)));
    }
    let floating = parsed.digest.is_none() && matches!(parsed.tag, None | Some("" | "latest"));
    if rails.forbid_latest == Some(true) && floating {
        found.guardrail(field, format!("{} forbids latest: name a version, such as :v1.2.0", class(inputs)));
    }
}

/// A prefix ends at a separator: `registry.example.com/team` does not allow `registry.example.com/team-b`.
fn has_prefix(image: &str, prefix: &str) -> bool {
    let separator = |text: char| matches!(text, '/' | ':' | '@');
    !prefix.is_empty()
        && image
            .strip_prefix(prefix)
            .is_some_and(|rest| prefix.ends_with(separator) || rest.is_empty() || rest.starts_with(separator))
}

fn replicas(inputs: &Inputs<'_>, intent: &Intent, found: &mut Violations) {
    let Some(max) = inputs.guardrails.max_replicas else { return };
    let autoscaling =
        inputs.spec.autoscaling.as_deref().map(|auto| auto.max_replicas).filter(|most| *most > max);
    if let Some(most) = autoscaling {
        let message = format!("{most} is more than {} allows: use at most {max}", class(inputs));
        found.guardrail("spec.autoscaling.maxReplicas", message);
    } else if let Scaling::Static(n) = intent.scaling
        && n > max
    {
        let message = format!("{n} is more than {} allows: use at most {max}", class(inputs));
        found.guardrail("spec.replicas", message);
    }
}

fn resources(inputs: &Inputs<'_>, intent: &Intent, found: &mut Violations) {
    let Some(ceilings) = &inputs.guardrails.max_resources else { return };
    container_resources("spec.resources", &intent.resources, ceilings, inputs, found);
    let merged = intent.init_containers.iter().chain(&intent.sidecars);
    for ((field, _), merged) in extra_containers(inputs.spec).zip(merged) {
        if let Some(resources) = &merged.resources {
            container_resources(&format!("{field}.resources"), resources, ceilings, inputs, found);
        }
    }
}

fn container_resources(
    field: &str,
    resources: &ResourceRequirements,
    ceilings: &BTreeMap<String, Quantity>,
    inputs: &Inputs<'_>,
    found: &mut Violations,
) {
    for (name, ceiling) in ceilings {
        let Some(most) = Amount::parse(&ceiling.0) else {
            let message =
                format!("{} has a ceiling that is no quantity: {}", class(inputs), quoted(&ceiling.0));
            found.guardrail(entry(&format!("{field}.limits"), name), message);
            continue;
        };
        for (part, amounts) in [("requests", &resources.requests), ("limits", &resources.limits)] {
            let at = entry(&format!("{field}.{part}"), name);
            let given = amounts.as_ref().and_then(|amounts| amounts.get(name));
            match given.and_then(|given| Some((given, Amount::parse(&given.0)?))) {
                Some((given, amount)) if amount > most => {
                    let message = format!(
                        "{} is more than {} allows: use at most {}",
                        given.0,
                        class(inputs),
                        ceiling.0
                    );
                    found.guardrail(at, message);
                }
                None if given.is_none() && part == "limits" => {
                    let message = format!("{} wants a limit: set at most {}", class(inputs), ceiling.0);
                    found.guardrail(at, message);
                }
                _ => {}
            }
        }
    }
}

/// The class's own annotations need no permission.
fn pod_annotations(inputs: &Inputs<'_>, found: &mut Violations) {
    let given = inputs.spec.pod.as_deref().and_then(|pod| pod.annotations.as_ref());
    let allowed: Vec<&str> = match &inputs.guardrails.allowed_pod_annotations {
        Some(allowed) => allowed.iter().map(String::as_str).collect(),
        None => POD_ANNOTATIONS.to_vec(),
    };
    for key in given.into_iter().flat_map(BTreeMap::keys) {
        let matches = |pattern: &&str| match pattern.strip_suffix('*') {
            Some(prefix) => key.starts_with(prefix),
            None => key == pattern,
        };
        if !allowed.iter().any(matches) {
            let message = match allowed.as_slice() {
                [] => format!("{} allows none", class(inputs)),
                some => format!("{} allows only: {}", class(inputs), some.join(", ")),
            };
            found.guardrail(entry("spec.pod.annotations", key), message);
        }
    }
}

fn security_profile(inputs: &Inputs<'_>, intent: &Intent, found: &mut Violations) {
    let floor = inputs.guardrails.security_profile.unwrap_or_default();
    if intent.pod.security_profile < floor {
        let message = format!(
            "{:?} is weaker than {} allows: use {floor:?}",
            intent.pod.security_profile,
            class(inputs)
        );
        found.guardrail("spec.pod.securityProfile", message);
    }
}

fn service_account(inputs: &Inputs<'_>, intent: &Intent, found: &mut Violations) {
    let account = &intent.service_account;
    let allowed = inputs.guardrails.allowed_service_accounts.iter().flatten();
    if !account.own && !allowed.into_iter().any(|allowed| *allowed == account.name) {
        let message = format!(
            "{} does not allow the account {}: remove it, or add it to guardrails.allowedServiceAccounts",
            class(inputs),
            quoted(&account.name)
        );
        found.guardrail("spec.serviceAccount.name", message);
    }
}
