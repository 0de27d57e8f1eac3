//! Valid inputs, to be changed: the examples of the project, and what a cluster makes of them.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use microservice_operator::api::{FIELD_MANAGER, Microservice, MicroserviceClass, REPLICAS_MANAGER};
use microservice_operator::cli::{Inputs, render, yaml};
use serde_json::{Map, Value, json};

use crate::harness::Input;

pub const QUANTITIES: [&str; 12] = [
    "1",
    "1000m",
    "0.25",
    "1.5Gi",
    "431.18Mi",
    "12e2",
    "15E-1",
    "-1.5",
    "+3",
    "9223372036854775807",
    "64Ki",
    "100n",
];
pub const DURATIONS: [&str; 6] = ["720h", "7d", "1h30m", "2000ms", "1m1s", "99999d"];
pub const IMAGES: [&str; 6] = [
    "user-service:v1.2.0",
    "registry.example.com:5000/shop/orders",
    "registry.example.com:5000/shop/orders:v1@sha256:0000000000000000000000000000000000000000000000000000000000000000",
    "a@sha256:00",
    "shop/orders:latest",
    "a",
];
pub const NAMES: [&str; 7] = [
    "orders",
    "order-service",
    "order-events.v1",
    "shop.orders-0123abcd",
    "a-name-of-sixty-three-characters-the-longest-that-a-service-may-have",
    "LOG_LEVEL",
    "__consumer_offsets",
];
pub const TEMPLATES: [&str; 5] = [
    "{name}",
    "{namespace}.{name}",
    "{namespace}_{name}.v1",
    "prod-{namespace}.events.{name}",
    "User:{namespace}.{name}",
];
/// Key, one value, another value.
pub const CONFIGS: [&str; 6] = [
    "cleanup.policy\ndelete,compact\ncompact, delete",
    "retention.ms\n604800000\n0604800000",
    "min.cleanable.dirty.ratio\n0.5\n0.50",
    "preallocate\ntrue\nTRUE",
    "compression.type\nzstd\nlz4",
    "retention.bytes\n-1\n9007199254740993",
];
pub const WORDS: [&str; 8] = [
    "Ready",
    "WaitingForSecret",
    "SharedDatabase",
    "Enforce",
    "http://otel-collector.monitoring:4318",
    "0b4de6a3-6d0c-4b6e-9f3f-0f6d8f1a2c11",
    "d41d8cd98f00b204e9800998ecf8427e",
    "2.5Ki",
];
pub const KUBELET: [&str; 10] = [
    "Back-off pulling image \"shop/orders:v9\"",
    "failed to resolve reference \"shop/orders:v9\": unexpected status from HEAD request: 401 Unauthorized",
    "rpc error: code = NotFound desc = manifest unknown",
    "couldn't find key url in Secret shop/orders-db",
    "secret \"orders-db\" not found",
    "configmap \"orders-config\" not found",
    "0/3 nodes are available: 3 Insufficient cpu. preemption: 0/3 nodes are available: 3 No preemption victims found.",
    "Readiness probe failed: HTTP probe failed with statuscode: 404",
    "pods \"orders-6d9c\" is forbidden: exceeded quota: compute, requested: limits.cpu=1, used: limits.cpu=4, limited: limits.cpu=4",
    "pods \"orders-6d9c\" is forbidden: violates PodSecurity \"restricted:latest\": runAsNonRoot != true",
];
pub const REFUSALS: [&str; 4] = [
    "Deployment.apps \"orders\" is invalid: spec.selector: Invalid value: field is immutable",
    "the server could not find the requested resource",
    "deployments.apps \"orders\" not found",
    "the workload 'web' of type 'apps/v1.Deployment' is already managed by the hpa 'web'",
];

pub fn texts(examples: &[&str]) -> Vec<Input> {
    examples.iter().map(|text| text.as_bytes().to_vec()).collect()
}

/// Texts of the files that commands read.
pub fn yaml() -> Vec<Input> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    for directory in
        ["examples", "examples/invalid", "examples/antipatterns", "examples/shop", "tests/fixtures/status"]
    {
        let listed = fs::read_dir(root.join(directory)).unwrap().map(|file| file.unwrap().path());
        files.extend(listed.filter(|path| path.extension().is_some_and(|kind| kind == "yaml")));
    }
    files.sort();
    files.iter().map(|path: &PathBuf| fs::read(path).unwrap()).collect()
}

/// Objects of a kind of ours that can be decoded.
pub fn of_kind(kind: &str) -> Vec<Value> {
    let texts = yaml();
    let documents =
        texts.iter().flat_map(|text| yaml::read(std::str::from_utf8(text).unwrap()).unwrap_or_default());
    let mut objects: Vec<Value> = documents
        .map(|(value, _)| value)
        .filter(|value| value["kind"] == kind && decodes(kind, value))
        .collect();
    for object in &mut objects {
        object["metadata"]["managedFields"] =
            json!([{"manager": "kubectl", "operation": "Apply", "fieldsV1": fields(object)}]);
    }
    objects
}

fn decodes(kind: &str, value: &Value) -> bool {
    match kind {
        "Microservice" => serde_json::from_value::<Microservice>(value.clone()).is_ok(),
        _ => serde_json::from_value::<MicroserviceClass>(value.clone()).is_ok(),
    }
}

/// Children as they are stored.
pub fn children() -> Vec<Value> {
    static ALL: LazyLock<Vec<Value>> = LazyLock::new(all_children);
    ALL.clone()
}

fn all_children() -> Vec<Value> {
    let files = yaml();
    let planned = files.iter().filter_map(|text| {
        let mut inputs = Inputs::default();
        inputs.add("-", std::str::from_utf8(text).ok()?);
        render::children(&inputs).ok()
    });
    let mut stored: Vec<Value> = planned.flatten().map(stored).collect();
    stored.sort_by_key(|child| std::cmp::Reverse(child.to_string().len()));
    stored.dedup_by(|a, b| a["kind"] == b["kind"] && a.to_string().len() / 64 == b.to_string().len() / 64);
    stored
}

fn stored(mut child: Value) -> Value {
    let ours = fields(&child);
    let system =
        json!({"f:status": {"f:conditions": {"k:{\"type\":\"Available\"}": {".": {}, "f:type": {}}}}});
    child["metadata"]["uid"] = json!("0b4de6a3-6d0c-4b6e-9f3f-0f6d8f1a2c11");
    child["metadata"]["resourceVersion"] = json!("4711");
    child["metadata"]["generation"] = json!(3);
    child["metadata"]["creationTimestamp"] = json!("2026-01-02T03:04:05Z");
    child["metadata"]["ownerReferences"] = json!([{
        "apiVersion": "microservice.dev/v1alpha1", "kind": "Microservice", "name": "orders", "controller": true,
        "blockOwnerDeletion": true, "uid": "7a1de6a3-6d0c-4b6e-9f3f-0f6d8f1a2c11",
    }]);
    child["metadata"]["managedFields"] = json!([
        {"manager": FIELD_MANAGER, "operation": "Apply", "apiVersion": "v1", "time": "2026-01-02T03:04:05Z", "fieldsType": "FieldsV1", "fieldsV1": ours},
        {"manager": REPLICAS_MANAGER, "operation": "Apply", "fieldsType": "FieldsV1", "fieldsV1": {"f:spec": {"f:replicas": {}}}},
        {"manager": "kube-controller-manager", "operation": "Update", "subresource": "status", "fieldsV1": system},
        {"manager": "kubectl-edit", "operation": "Update", "time": "2026-01-03T03:04:05Z", "fieldsV1": {"f:spec": {"f:externalIPs": {}, "f:template": {"f:spec": {"f:containers": {"k:{\"name\":\"x\"}": {"f:image": {}}}}}}}},
    ]);
    child
}

/// Names of the fields of an object, as the API server lists them.
fn fields(value: &Value) -> Value {
    match value {
        Value::Object(inner) => {
            inner.iter().map(|(key, value)| (format!("f:{key}"), fields(value))).collect()
        }
        Value::Array(items) => {
            let named = items.iter().filter_map(|item| Some((item.get("name")?, item)));
            named.map(|(name, item)| (format!("k:{}", json!({"name": name})), fields(item))).collect()
        }
        _ => Value::Object(Map::new()),
    }
}

pub fn managed_fields() -> Vec<Value> {
    children().into_iter().map(|mut child| child["metadata"]["managedFields"].take()).collect()
}

/// Deployments with a status.
pub fn deployments() -> Vec<Value> {
    let mut deployments = children();
    deployments.retain(|child| child["kind"] == "Deployment");
    for deployment in &mut deployments {
        deployment["status"] = json!({
            "observedGeneration": 3, "replicas": 2, "updatedReplicas": 2, "readyReplicas": 1, "availableReplicas": 1,
            "conditions": [
                {"type": "Available", "status": "False", "reason": "MinimumReplicasUnavailable", "message": "Deployment does not have minimum availability.", "lastUpdateTime": "2026-01-02T03:04:05Z", "lastTransitionTime": "2026-01-02T03:04:05Z"},
                {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": KUBELET[8]},
                {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "message": "ReplicaSet \"orders-6d9c\" has timed out progressing."},
            ],
        });
    }
    deployments
}

/// Pods that are not ready, each for another reason.
pub fn pods() -> Vec<Value> {
    let state = |state: Value, last: Value| {
        json!({
            "name": "orders", "image": "shop/orders:v9", "imageID": "", "ready": false, "started": false,
            "restartCount": 7, "state": state, "lastState": last,
        })
    };
    let killed = json!({"terminated": {"exitCode": 137, "reason": "OOMKilled", "startedAt": "2026-01-02T03:04:05Z", "finishedAt": "2026-01-02T03:05:05Z"}});
    let waiting = |reason: &str, message: &str| json!({"waiting": {"reason": reason, "message": message}});
    let states = [
        state(waiting("ImagePullBackOff", KUBELET[0]), json!({})),
        state(waiting("CreateContainerConfigError", KUBELET[3]), json!({})),
        state(waiting("CrashLoopBackOff", "back-off 5m0s restarting failed container=orders"), killed),
        state(json!({"running": {"startedAt": "2026-01-02T03:04:05Z"}}), json!({})),
    ];
    let pods = states.into_iter().map(|container| {
        json!({
            "metadata": {
                "name": "orders-6d9c-x", "namespace": "shop", "uid": "0b4de6a3-6d0c-4b6e-9f3f-0f6d8f1a2c11", "resourceVersion": "9",
                "creationTimestamp": "2026-01-02T03:04:05Z", "labels": {"microservice.dev/name": "orders", "pod-template-hash": "6d9c"},
            },
            "status": {
                "phase": "Pending",
                "conditions": [
                    {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": KUBELET[6]},
                    {"type": "Ready", "status": "False"},
                ],
                "initContainerStatuses": [container.clone()],
                "containerStatuses": [container],
            },
        })
    });
    pods.collect()
}

/// Objects that are read as a whole.
pub fn wholes() -> Vec<Value> {
    vec![
        json!({"apiVersion": "v1", "kind": "Secret", "type": "Opaque", "immutable": true,
            "metadata": {"name": "orders-keys", "namespace": "shop", "resourceVersion": "7"}, "data": {"token": "eHh4eA==", "url": ""}}),
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "orders-config", "annotations": {"a": "b"}},
            "data": {"LOG_LEVEL": "info"}, "binaryData": {"x": "eHh4eA=="}}),
        json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "microservice-operator"},
            "spec": {"holderIdentity": "a_1", "leaseDurationSeconds": 15, "leaseTransitions": 3,
                "acquireTime": "2026-01-02T03:04:05.123456Z", "renewTime": "2026-01-02T03:04:05.123456Z"}}),
    ]
}

/// Pages of lists.
pub fn pages() -> Vec<Value> {
    let page = |items: Value| json!({"apiVersion": "v1", "kind": "List", "metadata": {"resourceVersion": "9", "continue": "abc", "remainingItemCount": 7}, "items": items});
    let first = |objects: Vec<Value>| json!(objects.into_iter().take(2).collect::<Vec<_>>());
    vec![
        page(first(children())),
        page(first(deployments())),
        page(first(of_kind("Microservice"))),
        page(json!([])),
    ]
}

/// Objects of the lines of watches.
pub fn events() -> Vec<Value> {
    let mut objects: Vec<Value> = children().into_iter().take(4).collect();
    objects.extend(of_kind("Microservice").into_iter().take(4));
    objects.push(json!({
        "kind": "Deployment", "apiVersion": "apps/v1",
        "metadata": {"resourceVersion": "12", "annotations": {"k8s.io/initial-events-end": "true"}},
    }));
    objects.push(json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure", "message": "too old resource version",
        "reason": "Expired", "code": 410,
    }));
    objects
}

/// Records as the operator keeps them.
pub fn records() -> Vec<Value> {
    let owner = json!({"namespace": "shop", "name": "orders", "uid": "0b4de6a3-6d0c-4b6e-9f3f-0f6d8f1a2c11"});
    let place = json!({"class": "web", "cluster": "main"});
    vec![
        json!({"t.shop.orders": {"id": "abc", "owner": owner, "created": true, "keys": ["retention.ms"], "delete": true, "confirmed": true, "place": place, "doomed": true}}),
        json!({"p.shop.orders": {"owner": owner, "place": place, "users": {"msvc.shop.orders.a": "Active", "msvc.shop.orders.b": {"Retiring": 1_700_000_000}}, "rotated": "x", "switched": 1}}),
    ]
}

/// KafkaTopics and KafkaUsers as Strimzi leaves them.
pub fn strimzi() -> Vec<Value> {
    let metadata = json!({
        "name": "shop.orders", "namespace": "kafka", "uid": "0b4de6a3-6d0c-4b6e-9f3f-0f6d8f1a2c11", "resourceVersion": "7", "generation": 2,
        "labels": {"strimzi.io/cluster": "main", "microservice.dev/operator": "microservice-system"},
        "annotations": {"microservice.dev/owner": "shop/orders", "strimzi.io/managed": "true"},
        "managedFields": [{"manager": FIELD_MANAGER, "operation": "Apply"}],
    });
    let status = json!({"observedGeneration": 2, "topicId": "abc", "conditions": [{"type": "Ready", "status": "True", "reason": "x", "message": "y"}]});
    vec![
        json!({"metadata": metadata, "status": status, "spec": {"topicName": "shop.orders", "partitions": 3, "replicas": 1, "config": {"retention.ms": 604_800_000, "cleanup.policy": "compact"}}}),
        json!({"metadata": metadata, "status": status, "spec": {"authentication": {"type": "scram-sha-512"}, "authorization": {"type": "simple", "acls": [
            {"resource": {"type": "topic", "name": "shop.orders", "patternType": "literal"}, "operations": ["Read", "Describe"], "host": "*", "type": "allow"}]}}}),
    ]
}
