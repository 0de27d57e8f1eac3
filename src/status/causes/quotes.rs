//! What registries, schedulers, kubelets and admission say, shortened to what a person needs.

use super::Template;
use super::container::Role;
use crate::api::Reason;
use crate::api::microservice::HealthType;
use crate::status::text::quote;

/// Why an image cannot be pulled, in a few words.
pub(super) fn registry(text: &str, image: &str) -> Option<String> {
    const KNOWN: [(&str, &[&str]); 5] = [
        ("the registry refuses access", &["unauthorized", "denied", "authentication required", "forbidden"]),
        ("the registry limits the rate", &["toomanyrequests", "too many requests"]),
        ("not found", &["not found", "notfound", "manifest unknown", "name unknown", "does not exist"]),
        ("the registry cannot be reached", &["no such host", "connection refused", "timeout", "unreachable"]),
        ("the name is not valid", &["invalid reference", "couldn't parse image", "invalidimagename"]),
    ];
    let lower = text.to_lowercase();
    let known = KNOWN.iter().find(|(_, marks)| marks.iter().any(|mark| lower.contains(mark)));
    if let Some((words, _)) = known {
        return Some((*words).to_owned());
    }
    // "Back-off pulling image" repeats what is known already.
    let last = text.rsplit(": ").next().unwrap_or_default();
    let says_nothing = last.is_empty() || last.starts_with("Back-off pulling") || last == image;
    (!says_nothing).then(|| quote(last))
}

/// What the scheduler says, without what it tried to free.
pub(super) fn scheduler(text: &str) -> String {
    let text = text.split(" preemption: ").next().unwrap_or_default();
    let text = text.trim_end_matches([' ', '.']);
    if text.is_empty() { "no node can take it".to_owned() } else { quote(text) }
}

/// Why a container cannot be created, and the fix.
pub(super) fn config(text: &str) -> (String, String) {
    let key = text.strip_prefix("couldn't find key ").and_then(|rest| rest.split_once(" in "));
    if let Some((key, object)) = key {
        let (kind, name) = object.split_once(' ').unwrap_or(("Secret", object));
        let name = name.rsplit('/').next().unwrap_or_default();
        let object = format!("{} \"{}\"", quote(kind), quote(name));
        let what = format!("key \"{}\" is missing in {object}", quote(key));
        return (what, format!("add the key to {object}"));
    }
    for (prefix, kind) in [("secret \"", "Secret"), ("configmap \"", "ConfigMap")] {
        let name = text.strip_prefix(prefix).and_then(|rest| rest.strip_suffix("\" not found"));
        if let Some(name) = name {
            let object = format!("{kind} \"{}\"", quote(name));
            return (format!("{object} does not exist"), format!("create {object}"));
        }
    }
    let what = if text.is_empty() { "its container cannot be created".to_owned() } else { quote(text) };
    (what, "check spec.command, spec.env, spec.files and spec.secrets".to_owned())
}

/// Why the API server refuses pods, and the fix.
pub(super) fn refusal(text: &str) -> (Reason, String, String) {
    // What stands before it is the pod's random name.
    let text = text.split_once(" is forbidden: ").map_or(text, |(_, rest)| rest);
    let (reason, fix) = if text.contains("exceeded quota") || text.contains("failed quota") {
        (Reason::QuotaExceeded, "raise the quota, or lower spec.resources or the number of pods")
    } else if text.contains("PodSecurity") {
        let fix = "set spec.pod.securityProfile: Restricted, or loosen the label \
                   pod-security.kubernetes.io/enforce of the namespace";
        (Reason::PodsRefused, fix)
    } else {
        (Reason::PodsRefused, "change the spec or the admission check that refuses them")
    };
    (reason, quote(text), fix.to_owned())
}

/// The status code that a probe got, if its text names one.
pub(super) fn status_code(text: &str) -> Option<u32> {
    let (_, rest) = text.split_once("statuscode: ")?;
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

/// What a probe says, and the fix; `logs` is the command that shows what the container says.
pub(super) fn probe(text: &str, role: Option<&Role>, template: &Template<'_>, logs: &str) -> String {
    let spec = &template.object.spec;
    let health = spec.health.clone().unwrap_or_default();
    let http = health.kind.unwrap_or_default() == HealthType::HTTP;
    let own = spec.readiness_probe.is_some() || spec.startup_probe.is_some() || spec.liveness_probe.is_some();
    let probes = template.intent.map(|intent| &intent.probes);
    let probe = probes.and_then(|probes| probes.readiness.as_ref().or(probes.startup.as_ref()));
    let planned = probe.and_then(|probe| probe.http_get.as_ref()?.path.as_deref());
    let path = planned.or(health.path.as_deref()).unwrap_or("/health");
    match (status_code(text).filter(|_| http && !own), role) {
        (Some(404), Some(Role::Main)) => {
            let or_tcp = if health.path.is_none() { " or spec.health.type: TCP" } else { "" };
            format!("GET {path} answers 404; set spec.health.path{or_tcp}")
        }
        (Some(code), Some(Role::Main)) => {
            format!("GET {path} answers {code}; see {logs}, or fix spec.health")
        }
        (None, Some(Role::Main)) => {
            let field = if own { "the probes in spec" } else { "spec.health" };
            format!("{}; see {logs}, or fix {field}", quote(text))
        }
        _ => format!("{}; see {logs}", quote(text)),
    }
}
