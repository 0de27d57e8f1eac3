//! What holds for every rendered child: labels, selectors, names, keys and quantities.

use std::collections::BTreeSet;

use microservice_operator::api::names::{is_label, is_port_name, is_subdomain};
use microservice_operator::intent::quantity::Amount;
use microservice_operator::plan::{Plan, Planned};
use serde_json::{Value, json};

use super::restricted::{containers, items};

/// Panics with the case, the child and what does not hold.
pub fn check(case: &str, plan: &Plan) {
    let order: Vec<_> = plan.children.iter().map(|child| (child.kind, &child.name)).collect();
    let distinct: BTreeSet<_> = order.iter().copied().collect();
    assert_eq!(order, distinct.into_iter().collect::<Vec<_>>(), "{case}: sorted, each once");
    let deployment = plan.children.iter().find(|child| child.kind.kind == "Deployment").expect("pods");
    for child in &plan.children {
        let context = format!("{case}: {} {}", child.kind.kind, child.name);
        identity(&context, child, &deployment.name);
        selector(&context, child, &deployment.name);
        quantities(&context, "", &child.body.value());
        only_what_is_meant(&context, "", &child.body.value());
    }
    let template = &deployment.body.value()["spec"]["template"];
    keys(case, template);
    references(case, plan, template);
}

fn identity(context: &str, child: &Planned, service: &str) {
    let metadata = &child.body.value()["metadata"];
    assert_eq!(child.body.value()["apiVersion"], json!(child.kind.api_version()), "{context}");
    assert_eq!(child.body.value()["kind"], child.kind.kind, "{context}");
    assert_eq!(metadata["namespace"], super::NAMESPACE, "{context}");
    assert_eq!(metadata["name"], child.name.as_str(), "{context}");
    let name_fits = match child.kind.kind {
        // A Service's name is a label of DNS; a Deployment's goes into labels of its pods.
        "Service" | "Deployment" => is_label(&child.name) && child.name.len() <= 63,
        _ => is_subdomain(&child.name) && child.name.len() <= 253,
    };
    assert!(name_fits, "{context}: name");
    labels(context, &metadata["labels"], service);
    let hash = metadata["annotations"]["microservice.dev/plan-hash"].as_str().expect("a plan hash");
    assert_eq!(hash, child.plan_hash, "{context}");
    assert!(hash.len() == 32 && hash.chars().all(|c| c.is_ascii_hexdigit()), "{context}: {hash}");
    if child.kind.kind == "Deployment" {
        labels(context, &child.body.value()["spec"]["template"]["metadata"]["labels"], service);
    }
}

fn labels(context: &str, labels: &Value, service: &str) {
    for (key, value) in [
        ("app", service),
        ("app.kubernetes.io/name", service),
        ("app.kubernetes.io/instance", service),
        ("app.kubernetes.io/managed-by", "microservice-operator"),
        ("microservice.dev/name", service),
    ] {
        assert_eq!(labels[key], value, "{context}: label {key}");
    }
    for (key, value) in labels.as_object().expect("labels") {
        let value = value.as_str().expect("a label is text");
        let form = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        assert!(value.len() <= 63 && value.chars().all(form), "{context}: label {key}={value}");
        assert!(key.rsplit('/').next().is_some_and(|name| name.len() <= 63), "{context}: label {key}");
    }
}

fn selector(context: &str, child: &Planned, service: &str) {
    let one = json!({"microservice.dev/name": service});
    let spec = &child.body.value()["spec"];
    match child.kind.kind {
        "Service" => assert_eq!(spec["selector"], one, "{context}"),
        "Deployment" | "PodDisruptionBudget" => {
            assert_eq!(spec["selector"], json!({"matchLabels": one}), "{context}");
        }
        "HorizontalPodAutoscaler" => {
            let target = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": service});
            assert_eq!(spec["scaleTargetRef"], target, "{context}");
        }
        _ => {}
    }
}

/// No keyed list repeats a key: the server would refuse it. And names have the form of their kind.
fn keys(case: &str, template: &Value) {
    let pod = &template["spec"];
    distinct(case, "volumes", items(&pod["volumes"]).map(|volume| volume["name"].to_string()));
    distinct(case, "containers", containers(pod).map(|container| container["name"].to_string()));
    distinct(case, "pull secrets", items(&pod["imagePullSecrets"]).map(|secret| secret["name"].to_string()));
    distinct(
        case,
        "spread",
        items(&pod["topologySpreadConstraints"])
            .map(|spread| format!("{} {}", spread["topologyKey"], spread["whenUnsatisfiable"])),
    );
    let mut ports = Vec::new();
    for container in containers(pod) {
        let name = container["name"].as_str().expect("a container has a name");
        assert!(is_label(name) && name.len() <= 63, "{case}: container {name}");
        distinct(case, "env", items(&container["env"]).map(|variable| variable["name"].to_string()));
        distinct(
            case,
            "mounts",
            items(&container["volumeMounts"]).map(|mount| mount["mountPath"].to_string()),
        );
        for port in items(&container["ports"]) {
            if let Some(name) = port["name"].as_str() {
                assert!(is_port_name(name) && name.len() <= 15, "{case}: port {name}");
            }
            ports.push(format!("{} {}", port["containerPort"], port["protocol"]));
        }
    }
    // They share one network namespace.
    distinct(case, "ports of the pod", ports.into_iter());
}

fn distinct(case: &str, what: &str, keys: impl Iterator<Item = String>) {
    let mut seen = BTreeSet::new();
    for key in keys {
        assert!(seen.insert(key.clone()), "{case}: {what}: {key} twice");
    }
}

/// What the pod reads from objects of ours is in the plan, and every mount names a volume.
fn references(case: &str, plan: &Plan, template: &Value) {
    let pod = &template["spec"];
    let volumes: BTreeSet<&str> =
        items(&pod["volumes"]).filter_map(|volume| volume["name"].as_str()).collect();
    for mount in containers(pod).flat_map(|container| items(&container["volumeMounts"])) {
        let name = mount["name"].as_str().unwrap_or_default();
        assert!(volumes.contains(name), "{case}: no volume {name}");
    }
    for child in plan.children.iter().filter(|child| ["ConfigMap", "Secret"].contains(&child.kind.kind)) {
        let named = format!("\"{}\"", child.name);
        assert!(pod.to_string().contains(&named), "{case}: nothing reads {} {}", child.kind.kind, child.name);
    }
    let account = pod["serviceAccountName"].as_str().expect("an account");
    let ours = plan.children.iter().any(|child| child.kind.kind == "ServiceAccount" && child.name == account);
    assert!(ours || case == "service-account-shared", "{case}: no ServiceAccount {account}");
}

/// Every quantity is written as the server stores it, or our object would never equal the live one.
fn quantities(context: &str, path: &str, value: &Value) {
    let is_map = ["/requests", "/limits"].iter().any(|end| path.ends_with(end));
    let is_quantity =
        ["/sizeLimit", "/divisor", "/averageValue", "/target/value"].iter().any(|end| path.ends_with(end));
    match value {
        Value::Object(map) if is_map => {
            for (resource, quantity) in map {
                canonical(context, &format!("{path}/{resource}"), quantity);
            }
        }
        Value::Object(map) => {
            map.iter().for_each(|(key, value)| quantities(context, &format!("{path}/{key}"), value));
        }
        Value::Array(list) => list.iter().for_each(|value| quantities(context, path, value)),
        scalar if is_quantity => canonical(context, path, scalar),
        _ => {}
    }
}

fn canonical(context: &str, path: &str, quantity: &Value) {
    let text = quantity.as_str().unwrap_or_else(|| panic!("{context}{path}: {quantity} is not text"));
    let amount = Amount::parse(text).unwrap_or_else(|| panic!("{context}{path}: {text} is no quantity"));
    assert_eq!(amount.canonical(), text, "{context}{path}");
}

/// No null, no empty list, and no empty object where one says nothing.
fn only_what_is_meant(context: &str, path: &str, value: &Value) {
    match value {
        Value::Null => panic!("{context}{path} is null"),
        Value::Array(list) if list.is_empty() => panic!("{context}{path} is empty"),
        Value::Object(map) if map.is_empty() => {
            assert!(path.ends_with("/emptyDir"), "{context}{path} is empty");
        }
        Value::Object(map) => {
            map.iter().for_each(|(key, value)| only_what_is_meant(context, &format!("{path}/{key}"), value));
        }
        Value::Array(list) => list.iter().for_each(|value| only_what_is_meant(context, path, value)),
        _ => {}
    }
}
