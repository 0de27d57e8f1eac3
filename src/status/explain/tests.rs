//! Explanations of objects as they are found in clusters.

use serde_json::{Value, json};

use super::*;
use crate::status::views::ContainerView;

fn now() -> Timestamp {
    "2026-01-01T01:00:00Z".parse().unwrap()
}

fn object(status: &Value) -> Microservice {
    let object = json!({
        "apiVersion": "microservice.dev/v1alpha1",
        "kind": "Microservice",
        "metadata": {"name": "orders", "namespace": "shop", "generation": 2},
        "spec": {"image": "web:v1-missing"},
        "status": status,
    });
    serde_json::from_value(object).unwrap()
}

fn condition(kind: &str, status: &str, reason: &str, message: &str) -> Value {
    json!({
        "type": kind, "status": status, "reason": reason, "message": message, "observedGeneration": 2,
        "lastTransitionTime": "2026-01-01T00:58:30Z",
    })
}

const CAUSE: &str = "1 of 1 pod cannot pull image \"web:v1-missing\": not found; fix spec.image or add \
                     spec.imagePullSecrets.";

fn broken() -> Surroundings {
    let status = json!({
        "observedGeneration": 2,
        "conditions": [
            condition("Ready", "False", "ImagePullFailed", CAUSE),
            condition("Accepted", "True", "Accepted", "The spec is valid."),
        ],
        "children": [
            {"apiVersion": "v1", "kind": "Service", "name": "orders", "ready": true},
            {"apiVersion": "apps/v1", "kind": "Deployment", "name": "orders", "ready": true},
        ],
    });
    let container = ContainerView {
        name: "orders".to_owned(),
        image: "web:v1-missing".to_owned(),
        waiting: Some(("ImagePullBackOff".to_owned(), "rpc error: not found".to_owned())),
        terminated: Some((1, "Error".to_owned())),
        restarts: 1,
        ..ContainerView::default()
    };
    let pod = PodView {
        name: "orders-1".to_owned(),
        created: now().as_second() - 3_700,
        containers: vec![container],
        ..PodView::default()
    };
    Surroundings {
        object: object(&status),
        deployment: Some(DeploymentView {
            generation: 1,
            observed_generation: 1,
            desired: 1,
            ..Default::default()
        }),
        pods: vec![pod],
        ready_pods: 0,
        warnings: vec![Warning {
            kind: "Pod".to_owned(),
            name: "orders-1".to_owned(),
            reason: "Failed".to_owned(),
            message: "Failed to pull image.".to_owned(),
            count: 3,
            last: now() - std::time::Duration::from_secs(20),
        }],
        unread: Vec::new(),
    }
}

fn lines(nodes: &[Node], depth: usize, out: &mut Vec<String>) {
    for node in nodes {
        let mark = match node.good {
            Some(true) => '+',
            Some(false) => '-',
            None => ' ',
        };
        out.push(format!("{}{mark}{}", "  ".repeat(depth), node.text));
        lines(&node.inner, depth + 1, out);
    }
}

#[test]
fn the_way_from_the_condition_to_the_container_is_shown() {
    let told = explain(&broken(), now());
    assert!(!told.ready);
    assert_eq!(told.title, "Microservice shop/orders is not Ready: ImagePullFailed");
    assert_eq!(told.sentences, [CAUSE]);
    let mut shown = Vec::new();
    lines(&told.branches, 0, &mut shown);
    let expected = [
        " conditions".to_owned(),
        "  -Ready=False ImagePullFailed, for 1m30s".to_owned(),
        "  +Accepted=True Accepted, for 1m30s".to_owned(),
        " children".to_owned(),
        "  +Service orders".to_owned(),
        "  -Deployment orders: 0 of 1 ready, 0 updated".to_owned(),
        "    -Pod orders-1, 1h1m old".to_owned(),
        "      -container orders: waits: ImagePullBackOff: rpc error: not found; last exit code 1 (Error); 1 restart"
            .to_owned(),
        "      -Warning Failed, 20s ago, 3 times: Failed to pull image".to_owned(),
    ];
    assert_eq!(shown, expected);
}

#[test]
fn a_stale_status_is_not_taken_for_the_truth() {
    let mut seen = broken();
    seen.object.metadata.generation = Some(3);
    let told = explain(&seen, now());
    assert!(!told.ready && told.title.ends_with("its status is not up to date"), "{}", told.title);
    assert!(told.sentences[0].contains("generation 2") && told.sentences[0].contains("at 3"), "{told:?}");
    // What the pods say is told all the same.
    assert!(told.sentences[1].starts_with("Now seen in its pods: 1 of 1 pod cannot pull"), "{told:?}");
}

#[test]
fn an_object_that_nobody_looked_at_says_so() {
    let mut seen = broken();
    seen.object.status = None;
    seen.deployment = None;
    let told = explain(&seen, now());
    assert!(told.sentences[0].contains("whether it watches namespace shop"), "{told:?}");
    assert_eq!((told.sentences.len(), told.branches.len()), (1, 0), "{told:?}");
}

#[test]
fn what_is_ready_is_said_to_be() {
    let mut seen = broken();
    let status =
        json!({"observedGeneration": 2, "conditions": [condition("Ready", "True", "Ready", "All is well.")]});
    seen.object = object(&status);
    let told = explain(&seen, now());
    assert!(told.ready);
    assert_eq!(told.title, "Microservice shop/orders is Ready: Ready");
    assert_eq!(told.sentences, ["All is well."]);
    // It has been Ready for 90 seconds.
    for (ago, good) in [(20, Some(false)), (100, None)] {
        seen.warnings[0].kind = "Microservice".to_owned();
        seen.warnings[0].name = "orders".to_owned();
        seen.warnings[0].last = now() - std::time::Duration::from_secs(ago);
        let told = explain(&seen, now());
        assert_eq!(told.branches[0].inner.last().unwrap().good, good, "{ago} seconds ago: {told:?}");
    }
}
