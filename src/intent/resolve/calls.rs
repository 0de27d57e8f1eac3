//! Whom the service calls and who may call it, with namespaces and times written out.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use smol_str::SmolStr;

use super::class::wanted_defaults;
use super::{Inputs, network, ports, unsaid};
use crate::api::calls::{Call as Line, Caller, Discovery, External, Labelled, Workload};
use crate::api::defaults::{DEFAULT_REVISION, revision};
use crate::api::microservice::MicroserviceSpec;
use crate::api::{Microservice, MicroserviceClass, names};
use crate::intent::calls::{Address, Call, Key, Only, PortName, Target};
use crate::intent::duration;
use crate::intent::neighbours::{Origin, Outline};
use crate::kafka::consent::Consent;

/// Most host names of one service that are looked for.
const MENTIONS: usize = 64;

/// Lines that name nobody are left out; a rule reports them.
fn calls(spec: &MicroserviceSpec, namespace: &str) -> Arc<[Call]> {
    let lines = spec.calls.iter().flatten();
    lines.filter_map(|line| Some(call(line, target(line, namespace)?))).collect()
}

/// What a line calls.
pub(in crate::intent) fn target(line: &Line, namespace: &str) -> Option<Target> {
    let of = |given: Option<&String>| given.map_or(namespace, String::as_str).to_owned();
    if let Some(name) = &line.name {
        return Some(Target::Service(Key::new(of(line.namespace.as_ref()), name.as_str())));
    }
    if let Some(Workload { namespace, pod_selector, ports }) = line.workload.as_deref() {
        let text = format!("{} in {}:{}", labels(pod_selector), of(namespace.as_ref()), numbers(ports));
        return Some(Target::Workload(text.into()));
    }
    let External { host, cidr, ports } = line.external.as_deref()?;
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

pub(super) fn call(line: &Line, target: Target) -> Call {
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
        only: Some(only(line)).filter(|only| *only != Only::default()).map(Box::new),
    }
}

fn only(line: &Line) -> Only {
    Only {
        methods: line.methods.clone().unwrap_or_default(),
        paths: line.paths.iter().flatten().map(SmolStr::from).collect(),
    }
}

/// A timeout of the API; it is shorter than 64 bits of milliseconds by its grammar.
pub(in crate::intent) fn milliseconds(text: &str) -> Option<u64> {
    u64::try_from(duration::parse(text)?.as_millis()).ok().filter(|time| *time > 0)
}

/// Pods that are let in by their labels are no services, and so not among them.
fn callers(spec: &MicroserviceSpec, namespace: &str, unsaid: &Consent) -> Consent {
    let given = spec.callers.as_deref();
    Consent::of(given.map(|given| given.iter().filter_map(named)), namespace, unsaid)
}

/// Whom it calls and who may call it. Both are kept for as long as the service lives: once, together with its
/// outline.
pub(super) fn both_sides(inputs: &Inputs<'_>) -> (Arc<[Call]>, Consent) {
    if let Some(known) = &inputs.observed.outline {
        return (Arc::clone(&known.calls), known.callers.clone());
    }
    let (spec, namespace) = (inputs.spec, inputs.namespace());
    (calls(spec, namespace), callers(spec, namespace, &inputs.unsaid))
}

/// Where the Microservices are that are called.
pub(super) fn addresses(inputs: &Inputs<'_>) -> BTreeMap<Key, Address> {
    let known = &inputs.observed.addresses;
    services(inputs).map(|(line, key)| (key.clone(), address(line, &key, known))).collect()
}

/// The same as variables.
pub(super) fn peers(inputs: &Inputs<'_>) -> Option<BTreeMap<String, String>> {
    let mut variables = BTreeMap::new();
    if inputs.spec.discovery == Some(Discovery::None) {
        return None;
    }
    for (line, key) in services(inputs) {
        let (prefix, host) = (prefix(line, &key), format!("{}.{}.svc", key.name, key.namespace));
        let Address { port, scheme } = address(line, &key, &inputs.observed.addresses);
        if let Some(scheme) = scheme {
            variables.insert(format!("{prefix}_URL"), format!("{scheme}://{host}:{port}"));
        }
        variables.insert(format!("{prefix}_HOST"), host);
        variables.insert(format!("{prefix}_PORT"), port.to_string());
    }
    (!variables.is_empty()).then_some(variables)
}

fn services<'a>(inputs: &'a Inputs<'_>) -> impl Iterator<Item = (&'a Line, Key)> {
    let lines = inputs.spec.calls.iter().flatten();
    lines.filter_map(|line| match target(line, inputs.namespace())? {
        Target::Service(key) => Some((line, key)),
        Target::Workload(_) | Target::External(_) => None,
    })
}

fn address(line: &Line, key: &Key, known: &BTreeMap<Key, Address>) -> Address {
    let of_line = || Address::to(&call(line, Target::Service(key.clone())), None, None);
    known.get(key).cloned().unwrap_or_else(of_line)
}

/// Begin of the names of the variables for one callee.
pub(in crate::intent) fn prefix(line: &Line, key: &Key) -> String {
    let usual = || key.name.to_ascii_uppercase().replace(['-', '.'], "_");
    line.env_prefix.clone().unwrap_or_else(usual)
}

/// What neighbours see of an object, whatever else is wrong with it.
pub(in crate::intent) fn outline(object: &Microservice, class: Option<&MicroserviceClass>) -> Outline {
    let key = Key::of(object);
    let namespace = key.namespace.as_str();
    let defaults = revision(wanted_defaults(class)).or_else(|| revision(DEFAULT_REVISION));
    Outline {
        origin: origin(object, class),
        ports: defaults.map(|defaults| ports::ports(&object.spec, defaults)).unwrap_or_default(),
        calls: calls(&object.spec, namespace),
        callers: callers(&object.spec, namespace, &unsaid(class)),
        mentions: mentions(&object.spec, namespace),
        key,
    }
}

/// What the outline of an object is made from; `None` for one that is in no cluster.
pub(in crate::intent) fn origin(object: &Microservice, class: Option<&MicroserviceClass>) -> Option<Origin> {
    Some(Origin {
        uid: object.metadata.uid.as_deref()?.into(),
        generation: object.metadata.generation?,
        defaults: wanted_defaults(class),
        unsaid: unsaid(class),
    })
}

/// Services that stand where host names do in environment, configuration and arguments.
fn mentions(spec: &MicroserviceSpec, namespace: &str) -> Box<[Key]> {
    let env = spec.env.iter().flatten().filter_map(|entry| entry.value.as_ref());
    let config = spec.config.iter().flat_map(|config| config.values());
    let arguments = spec.args.iter().chain(&spec.command).flatten();
    let texts = env.chain(config).chain(arguments);
    let keys = texts.flat_map(|text| network::mentions(text)).filter_map(|host| mentioned(host, namespace));
    keys.take(MENTIONS).collect::<BTreeSet<Key>>().into_iter().collect()
}

/// `inventory`, `inventory.bank` or `inventory.bank.svc.cluster.local`.
fn mentioned(host: &str, namespace: &str) -> Option<Key> {
    let mut labels = host.trim_end_matches('.').split('.');
    let (name, at) = (labels.next()?, labels.next().unwrap_or(namespace));
    let of_cluster = labels.next().is_none_or(|label| label == "svc");
    (names::is_service_name(name) && names::is_label(at) && of_cluster).then(|| Key::new(at, name))
}

fn named(caller: &Caller) -> Option<(Option<&String>, &String)> {
    Some((caller.namespace.as_ref(), caller.name.as_ref()?))
}
