//! Whom the service calls and who may call it, with namespaces and times written out.

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::Inputs;
use crate::api::calls::{Call as Line, Caller, External, Labelled, Workload};
use crate::intent::calls::{Call, Key, PortName, Target};
use crate::intent::duration;
use crate::kafka::consent::Consent;

/// Lines that name nobody are left out; a rule reports them.
pub(super) fn calls(inputs: &Inputs<'_>) -> Vec<Call> {
    let lines = inputs.spec.calls.iter().flatten();
    lines.filter_map(|line| Some(call(line, target(line, inputs.namespace())?))).collect()
}

/// What a line calls.
pub(in crate::intent) fn target(line: &Line, namespace: &str) -> Option<Target> {
    let of = |given: Option<&String>| given.map_or(namespace, String::as_str).to_owned();
    if let Some(name) = &line.name {
        return Some(Target::Service(Key::new(of(line.namespace.as_ref()), name.as_str())));
    }
    if let Some(Workload { namespace, pod_selector, ports }) = &line.workload {
        let text = format!("{} in {}:{}", labels(pod_selector), of(namespace.as_ref()), numbers(ports));
        return Some(Target::Workload(text.into()));
    }
    let External { host, cidr, ports } = line.external.as_ref()?;
    let host = host.as_ref().or(cidr.as_ref())?;
    Some(Target::External(format!("{host}:{}", numbers(ports)).into()))
}

fn labels(selector: &Labelled) -> String {
    let pairs: Vec<String> =
        selector.match_labels.iter().map(|(label, value)| format!("{label}={value}")).collect();
    pairs.join(",")
}

fn numbers(ports: &[i32]) -> String {
    let ports: Vec<String> = ports.iter().map(ToString::to_string).collect();
    ports.join(",")
}

fn call(line: &Line, target: Target) -> Call {
    let retries = line.retries.as_ref();
    Call {
        target,
        port: line.port.as_ref().map(|port| match port {
            IntOrString::Int(number) => PortName::Number(*number),
            IntOrString::String(name) => PortName::Name(name.into()),
        }),
        timeout: line.timeout.as_deref().and_then(milliseconds),
        attempts: retries.and_then(|retries| u64::try_from(retries.attempts).ok()).unwrap_or_default() + 1,
        per_try: retries.and_then(|retries| milliseconds(retries.per_try_timeout.as_deref()?)),
        optional: line.optional,
    }
}

/// A timeout of the API; it is shorter than 64 bits of milliseconds by its grammar.
pub(in crate::intent) fn milliseconds(text: &str) -> Option<u64> {
    u64::try_from(duration::parse(text)?.as_millis()).ok().filter(|time| *time > 0)
}

/// Pods that are let in by their labels are no services, and so not among them.
pub(super) fn callers(inputs: &Inputs<'_>) -> Consent {
    let given = inputs.spec.callers.as_deref();
    Consent::of(given.map(|given| given.iter().filter_map(named)), inputs.namespace())
}

fn named(caller: &Caller) -> Option<(Option<&String>, &String)> {
    Some((caller.namespace.as_ref(), caller.name.as_ref()?))
}
