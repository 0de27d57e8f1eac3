//! The graph for scripts.

use serde_json::{Map, Value, json};

use super::Drawing;
use super::text::target;
use crate::graph::{Call, Finding, Grant, Key, Kind, Service, System, Target};

pub(super) fn value(drawing: &Drawing) -> Value {
    let system = &drawing.system;
    let events = system.events().iter().map(|event| {
        json!({
            "from": event.from.to_string(),
            "to": event.to.to_string(),
            "cluster": event.topic.cluster.as_str(),
            "topic": event.topic.name.as_str(),
        })
    });
    json!({
        "services": system.services().iter().map(|service| key(&service.key)).collect::<Vec<Value>>(),
        "calls": system.services().iter().flat_map(|from| calls(system, from)).collect::<Vec<Value>>(),
        "events": events.collect::<Vec<Value>>(),
        "findings": drawing.findings.iter().map(finding).collect::<Vec<Value>>(),
    })
}

fn key(key: &Key) -> Value {
    json!({"namespace": key.namespace.as_str(), "name": key.name.as_str()})
}

fn calls(system: &System, from: &Service) -> Vec<Value> {
    let kind = |call: &Call| match &call.target {
        Target::Service(_) => "Microservice",
        Target::Workload(_) => "workload",
        Target::External(_) => "external",
    };
    let line = |call: &Call| {
        let mut line = Map::from_iter([
            ("from".to_owned(), from.key.to_string().into()),
            ("to".to_owned(), target(&call.target).into()),
            ("kind".to_owned(), kind(call).into()),
            ("attempts".to_owned(), call.attempts.into()),
            ("optional".to_owned(), call.optional.into()),
        ]);
        let times = [("timeoutMilliseconds", call.timeout), ("perTryTimeoutMilliseconds", call.per_try)];
        line.extend(times.into_iter().filter_map(|(name, time)| Some((name.to_owned(), time?.into()))));
        line.extend(call.port.as_ref().map(|port| ("port".to_owned(), port.to_string().into())));
        let only = call.only.as_deref();
        let methods: Vec<&str> =
            only.iter().flat_map(|only| &only.methods).map(|method| method.as_str()).collect();
        let paths: Vec<&str> =
            only.iter().flat_map(|only| &only.paths).map(smol_str::SmolStr::as_str).collect();
        let lists = [("methods", methods), ("paths", paths)].into_iter().filter(|(_, list)| !list.is_empty());
        line.extend(lists.map(|(name, list)| (name.to_owned(), list.into())));
        line.extend(system.grant(from, call).map(|grant| ("state".to_owned(), state(grant).into())));
        Value::Object(line)
    };
    from.calls.iter().map(line).collect()
}

fn state(grant: Grant) -> &'static str {
    grant.kind().map_or("Granted", Kind::as_str)
}

pub(super) fn finding(finding: &Finding) -> Value {
    let texts = |keys: &[Key]| keys.iter().map(ToString::to_string).collect::<Vec<String>>();
    let numbers: Map<String, Value> =
        finding.numbers.iter().map(|(name, number)| ((*name).to_owned(), (*number).into())).collect();
    json!({
        "kind": finding.kind.as_str(),
        "severity": finding.severity.as_str(),
        "services": texts(&finding.services),
        "path": texts(&finding.path),
        "numbers": numbers,
        "message": finding.message,
        "why": finding.kind.why(),
        "cure": finding.kind.cure(),
    })
}
