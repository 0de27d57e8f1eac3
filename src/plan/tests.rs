//! What every plan keeps; the rules of single children are in the files beside this one.

mod children;
mod lag;
mod pods;

use std::collections::BTreeSet;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Container, PodSpec};
use serde_json::{Value, json};

use super::sample::{every, full, intent, lagging, text_map, waiting};
use super::{Plan, Planned, Stage, kinds, meta, plan};
use crate::api::microservice::PullPolicy;
use crate::api::names;
use crate::intent::Intent;

fn child<'a>(plan: &'a Plan, kind: &str, name: &str) -> &'a Planned {
    let found = plan.children.iter().find(|child| child.kind.kind == kind && child.name == name);
    found.unwrap_or_else(|| panic!("no {kind} {name}"))
}

fn body(intent: &Intent, kind: &str) -> Value {
    child(&plan(intent), kind, &intent.name).body.value()
}

fn has(intent: &Intent, kind: &str) -> bool {
    plan(intent).children.iter().any(|child| child.kind.kind == kind)
}

fn at<'a>(value: &'a Value, path: &str) -> &'a Value {
    value.pointer(path).unwrap_or(&Value::Null)
}

fn pod(intent: &Intent) -> PodSpec {
    let deployment: Deployment = serde_json::from_value(body(intent, "Deployment")).unwrap();
    deployment.spec.unwrap().template.spec.unwrap()
}

fn containers(pod: &PodSpec) -> impl Iterator<Item = &Container> {
    pod.containers.iter().chain(pod.init_containers.iter().flatten())
}

#[test]
fn every_child_is_labelled_owned_hashed_and_in_order() {
    for intent in every() {
        let plan = plan(&intent);
        let order: Vec<_> = plan.children.iter().map(|child| (child.kind, child.name.clone())).collect();
        let distinct: BTreeSet<_> = order.iter().cloned().collect();
        assert_eq!(order, distinct.into_iter().collect::<Vec<_>>(), "sorted, each once");
        for child in &plan.children {
            let body = &child.body.value();
            assert_eq!(at(body, "/apiVersion"), &json!(child.kind.api_version()));
            assert_eq!(at(body, "/kind"), &json!(child.kind.kind));
            assert_eq!(at(body, "/metadata/name"), &json!(child.name));
            assert_eq!(at(body, "/metadata/namespace"), &json!(intent.namespace));
            let runs = child.kind.kind == "Deployment";
            let labels = if runs { meta::versioned(&intent) } else { meta::labels(&intent) };
            assert_eq!(at(body, "/metadata/labels"), &json!(labels));
            let owners: Vec<_> = intent.owner.iter().collect();
            assert_eq!(body.pointer("/metadata/ownerReferences").unwrap_or(&json!([])), &json!(owners));
            let annotation = at(body, "/metadata/annotations/microservice.dev~1plan-hash");
            assert_eq!(annotation, &json!(child.plan_hash));
            assert_eq!(child.plan_hash.len(), 32);
        }
    }
}

#[test]
fn labels_are_the_recommended_set() {
    let intent = full();
    let expected = text_map(&[
        ("app", "user-service"),
        ("app.kubernetes.io/instance", "user-service"),
        ("app.kubernetes.io/managed-by", "microservice-operator"),
        ("app.kubernetes.io/name", "user-service"),
        ("app.kubernetes.io/part-of", "shop"),
        ("microservice.dev/name", "user-service"),
    ]);
    assert_eq!(meta::labels(&intent), expected);
    let mut versioned = expected;
    versioned.insert("app.kubernetes.io/version".to_owned(), "v1.2.0".to_owned());
    assert_eq!(meta::versioned(&intent), versioned);
}

/// A new tag rolls the pods and touches nothing else.
#[test]
fn the_version_is_a_label_of_what_runs_it() {
    let mut intent = full();
    let before = plan(&intent).children;
    intent.image = "registry.example.com/shop/user-service:v2".to_owned();
    intent.version = Some("v2".to_owned());
    for (before, after) in before.iter().zip(plan(&intent).children) {
        let label = |pointer| at(&after.body.value(), pointer).as_str().map(str::to_owned);
        if after.kind.kind == "Deployment" {
            assert_eq!(label("/metadata/labels/app.kubernetes.io~1version").as_deref(), Some("v2"));
            assert_eq!(
                label("/spec/template/metadata/labels/app.kubernetes.io~1version").as_deref(),
                Some("v2")
            );
        } else {
            assert_eq!(after.plan_hash, before.plan_hash, "{}", after.kind.kind);
        }
    }
}

#[test]
fn everything_selects_by_one_frozen_label() {
    let one = json!({ "microservice.dev/name": "user-service" });
    for intent in every() {
        let deployment = body(&intent, "Deployment");
        assert_eq!(at(&deployment, "/spec/selector"), &json!({ "matchLabels": one }));
        assert_eq!(at(&deployment, "/spec/template/metadata/labels/microservice.dev~1name"), "user-service");
        assert_eq!(at(&deployment, "/spec/template/metadata/labels/app"), "user-service", "not forged");
        if has(&intent, "Service") {
            assert_eq!(at(&body(&intent, "Service"), "/spec/selector"), &one);
        }
        if has(&intent, "PodDisruptionBudget") {
            let budget = body(&intent, "PodDisruptionBudget");
            assert_eq!(at(&budget, "/spec/selector"), &json!({ "matchLabels": one }));
        }
    }
}

#[test]
fn a_plan_is_deterministic_and_stable_across_releases() {
    for intent in every() {
        assert_eq!(plan(&intent), plan(&intent.clone()));
    }
    // A change of this value rolls every pod of every fleet at the next release: it must be meant.
    assert_eq!(plan(&intent()).template_hash(), Some("81e022ba3cfac9db1b9c74a728c8c63a"));
}

#[test]
fn an_image_whose_tag_moves_is_pulled_each_time_whatever_came_before_it() {
    let digest = format!("a@sha256:{}", "0".repeat(64));
    let images = [
        ("a", "Always"),
        ("r:5000/a:latest", "Always"),
        ("a:v1", "IfNotPresent"),
        (digest.as_str(), "IfNotPresent"),
    ];
    for (image, expected) in images {
        let mut intent = Intent { image: image.to_owned(), image_pull_policy: None, ..intent() };
        let policy = |intent: &Intent| {
            let pods = body(intent, "Deployment");
            at(&pods, "/spec/template/spec/containers/0/imagePullPolicy").clone()
        };
        assert_eq!(policy(&intent), expected, "{image}");
        intent.image_pull_policy = Some(PullPolicy::Never);
        assert_eq!(policy(&intent), "Never", "{image}");
    }
}

#[test]
fn nothing_is_sent_that_we_do_not_mean() {
    fn walk(path: &str, value: &Value) {
        match value {
            Value::Null => panic!("null at {path}"),
            Value::Object(map) if map.is_empty() => {
                assert!(path.ends_with("/emptyDir"), "empty object at {path}");
            }
            Value::Array(list) if list.is_empty() => panic!("empty list at {path}"),
            Value::Object(map) => map.iter().for_each(|(key, value)| {
                let server = ["clusterIP", "clusterIPs", "nodePort", "ipFamilies", "ipFamilyPolicy"];
                let never = ["status", "creationTimestamp", "resourceVersion", "uid", "hostPort", "hostIP"];
                let owner = path.contains("/ownerReferences");
                assert!(owner || !server.iter().chain(&never).any(|field| field == key), "{path}/{key}");
                walk(&format!("{path}/{key}"), value);
            }),
            Value::Array(list) => list.iter().for_each(|value| walk(path, value)),
            _ => {}
        }
    }
    for intent in every() {
        for child in plan(&intent).children {
            walk(child.kind.kind, &child.body.value());
        }
    }
}

#[test]
fn no_keyed_list_repeats_a_key() {
    fn distinct<T, K: Ord + std::fmt::Debug>(items: Option<&Vec<T>>, key: impl Fn(&T) -> K) {
        let items = items.map(Vec::as_slice).unwrap_or_default();
        let keys: BTreeSet<K> = items.iter().map(&key).collect();
        assert_eq!(keys.len(), items.len(), "{keys:?}");
    }
    for intent in every() {
        let pod = pod(&intent);
        distinct(pod.volumes.as_ref(), |volume| volume.name.clone());
        distinct(pod.image_pull_secrets.as_ref(), |secret| secret.name.clone());
        distinct(pod.topology_spread_constraints.as_ref(), |spread| {
            (spread.topology_key.clone(), spread.when_unsatisfiable.clone())
        });
        let all: Vec<&Container> = containers(&pod).collect();
        distinct(Some(&all), |container| container.name.clone());
        for container in all {
            distinct(container.env.as_ref(), |variable| variable.name.clone());
            distinct(container.ports.as_ref(), |port| (port.container_port, port.protocol.clone()));
            distinct(container.ports.as_ref(), |port| port.name.clone());
            distinct(container.volume_mounts.as_ref(), |mount| mount.mount_path.clone());
        }
        if has(&intent, "Service") {
            let service = body(&intent, "Service");
            let ports = at(&service, "/spec/ports").as_array().unwrap();
            distinct(Some(ports), |port| (at(port, "/port").as_i64(), at(port, "/protocol").to_string()));
            distinct(Some(ports), |port| at(port, "/name").to_string());
        }
    }
}

#[test]
fn mounts_name_volumes_and_inline_keys_exist() {
    for intent in every() {
        let pod = pod(&intent);
        let volumes = pod.volumes.clone().unwrap();
        let plan = plan(&intent);
        for mount in containers(&pod).flat_map(|container| container.volume_mounts.iter().flatten()) {
            let known = volumes.iter().any(|volume| volume.name == mount.name);
            assert!(known || mount.name == "files-0", "no volume {}", mount.name);
        }
        let sources = volumes.iter().filter_map(|volume| volume.config_map.as_ref());
        for source in sources.filter(|source| source.name == "user-service-files") {
            let data = at(&child(&plan, "ConfigMap", "user-service-files").body.value(), "/data").clone();
            for item in source.items.as_ref().unwrap() {
                assert!(data.get(&item.key).is_some(), "{}", item.key);
            }
        }
    }
}

#[test]
fn plan_hash_ignores_the_owner_and_nothing_else() {
    let hashes = |intent: &Intent| -> Vec<String> {
        plan(intent).children.into_iter().map(|child| child.plan_hash).collect()
    };
    assert_eq!(hashes(&full()), hashes(&Intent { owner: None, ..full() }));
    let moved = hashes(&Intent { part_of: Some("other".to_owned()), ..full() });
    assert!(hashes(&full()).iter().zip(&moved).all(|(before, after)| before != after));
}

#[test]
fn canonical_json_has_sorted_keys() {
    // Fails when a dependency turns on serde_json's feature `preserve_order`.
    let value: Value = serde_json::from_str(r#"{ "b": [1, {"z": null, "y": "é"}], "a": true }"#).unwrap();
    assert_eq!(value.to_string(), r#"{"a":true,"b":[1,{"y":"é","z":null}]}"#);
    assert_eq!(names::digest("abc"), "ba7816bf8f01cfea414140de5dae2223");
}

#[test]
fn a_new_missing_reference_holds_the_pods_back() {
    let held = |intent: &Intent| -> Vec<Stage> {
        plan(intent).children.iter().filter(|child| child.held).map(|child| child.kind.stage).collect()
    };
    assert_eq!(held(&full()), []);
    assert_eq!(held(&waiting(false)), [Stage::Workload, Stage::Scaling, Stage::Scaling]);
    assert_eq!(held(&waiting(true)), [Stage::Workload]);
}

#[test]
fn kinds_are_those_of_the_server_in_order_of_application() {
    let paths: Vec<String> = kinds().iter().map(|kind| kind.path("shop", "x")).collect();
    let expected = [
        "/api/v1/namespaces/shop/configmaps/x",
        "/api/v1/namespaces/shop/secrets/x",
        "/api/v1/namespaces/shop/serviceaccounts/x",
        "/apis/keda.sh/v1alpha1/namespaces/shop/triggerauthentications/x",
        "/apis/networking.k8s.io/v1/namespaces/shop/networkpolicies/x",
        "/api/v1/namespaces/shop/services/x",
        "/apis/apps/v1/namespaces/shop/deployments/x",
        "/apis/autoscaling/v2/namespaces/shop/horizontalpodautoscalers/x",
        "/apis/keda.sh/v1alpha1/namespaces/shop/scaledobjects/x",
        "/apis/policy/v1/namespaces/shop/poddisruptionbudgets/x",
    ];
    assert_eq!(paths, expected);
    let kinds_of =
        |intent: &Intent| -> BTreeSet<_> { plan(intent).children.iter().map(|child| child.kind).collect() };
    let plain = kinds_of(&full());
    let always: BTreeSet<_> = kinds().into_iter().filter(|kind| !kind.optional).collect();
    assert_eq!(plain, always, "the full sample has every kind that all clusters serve");
    let lagging = kinds_of(&Intent { scaling: lagging(2, 10), ..full() });
    let gone: Vec<_> = plain.difference(&lagging).map(|kind| kind.kind).collect();
    assert_eq!(gone, ["HorizontalPodAutoscaler"]);
    assert_eq!(&plain | &lagging, kinds().into_iter().collect());
}
