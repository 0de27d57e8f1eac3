//! Over generated specs, good and hostile: no panic, one answer, and an accepted spec is consistent.

use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use super::defaults::explicit;
use super::*;
use crate::intent::Scaling;
use crate::intent::quantity::Amount;

/// For each field values of every kind: common, odd, at the edge, hostile.
fn candidates() -> Vec<(&'static str, Vec<Value>)> {
    let hostile = "../x\u{0}\r\n{{`${\"'é";
    vec![
        ("className", vec![json!("standard"), json!(hostile)]),
        (
            "image",
            vec![
                json!("a"),
                json!(hostile),
                json!("r:1/a:b@sha256:c"),
                json!("a".repeat(5000)),
                json!("é:é@é"),
            ],
        ),
        ("port", vec![json!(8080), json!(i32::MIN), json!(i32::MAX)]),
        (
            "ports",
            vec![
                json!([]),
                json!([{"name": "grpc", "port": 50051}, {"name": "metrics", "port": 9100, "protocol": "UDP"}]),
                json!([{"name": hostile, "port": -1, "containerPort": i32::MAX}, {"name": hostile, "port": -1}]),
            ],
        ),
        ("replicas", vec![json!(0), json!(1), json!(2), json!(i32::MIN), json!(i32::MAX)]),
        (
            "autoscaling",
            vec![
                json!({"maxReplicas": 10}),
                json!({"maxReplicas": 1}),
                json!({"maxReplicas": i32::MIN, "minReplicas": i32::MAX, "targetCPUUtilizationPercentage": i32::MIN}),
                json!({"maxReplicas": 5, "minReplicas": 2, "kafka": [{"topic": "a", "lagThreshold": 1}]}),
                json!({"maxReplicas": 5, "kafka": [
                    {"topic": hostile, "namespace": hostile, "group": hostile, "lagThreshold": i32::MIN},
                ]}),
                json!({"maxReplicas": 5, "minReplicas": 2, "behavior": {"scaleDown": {"policies": []}}, "metrics": [{"type": hostile}]}),
            ],
        ),
        (
            "resources",
            vec![
                json!({"limits": {}}),
                json!({"requests": {"cpu": "2"}}),
                json!({"requests": {"cpu": "1e1000", hostile: hostile}, "limits": {"cpu": "-1", "memory": ""}}),
                json!({"limits": {"cpu": "0", "memory": "9223372036854775807"}, "claims": [{"name": hostile}]}),
            ],
        ),
        (
            "health",
            vec![
                json!({"type": "None"}),
                json!({"type": "GRPC", "port": "grpc", "liveness": {}}),
                json!({"path": hostile, "port": hostile, "periodSeconds": i32::MAX, "failureThreshold": i32::MAX}),
                json!({"liveness": {"path": "x", "port": i32::MIN, "periodSeconds": i32::MIN}}),
            ],
        ),
        (
            "readinessProbe",
            vec![json!({}), json!({"exec": {}}), json!({"httpGet": {"port": hostile, "host": hostile}})],
        ),
        (
            "startupProbe",
            vec![
                json!({"exec": {}, "periodSeconds": i32::MAX, "failureThreshold": i32::MAX, "initialDelaySeconds": i32::MAX}),
                json!({"grpc": {"port": i32::MIN}, "periodSeconds": i32::MIN, "failureThreshold": i32::MAX}),
            ],
        ),
        ("livenessProbe", vec![json!({"tcpSocket": {"port": "http"}})]),
        ("metrics", vec![json!({}), json!({"port": 9100}), json!({"port": i32::MIN, "path": hostile})]),
        (
            "shutdown",
            vec![
                json!({"drainSeconds": 100}),
                json!({"drainSeconds": i32::MAX}),
                json!({"drainSeconds": i32::MIN, "gracePeriodSeconds": i32::MIN}),
            ],
        ),
        (
            "env",
            vec![
                json!([{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]),
                json!([{"name": "DB", "value": "mine"}, {"name": "F", "valueFrom": {"fieldRef": {"fieldPath": hostile}}}]),
                json!([{"name": hostile, "value": hostile, "valueFrom": {"secretKeyRef": {"name": hostile, "key": hostile}}}]),
            ],
        ),
        (
            "envFrom",
            vec![
                json!([{"secretRef": {"name": "s"}}]),
                json!([{}, {"configMapRef": {"name": hostile}, "prefix": hostile}]),
            ],
        ),
        ("config", vec![json!({"A": "1"}), json!({"": "", hostile: hostile})]),
        (
            "files",
            vec![
                json!([{"mountPath": "/a", "config": {"a": "b"}}, {"mountPath": "/b", "emptyDir": {"sizeLimit": "64Mi"}}]),
                json!([{"mountPath": "/data", "persistentVolumeClaim": {"claimName": "c"}}]),
                json!([{"mountPath": hostile}, {"mountPath": "", "secret": {}, "projected": {"sources": [{}]}, "csi": {"driver": hostile}}]),
            ],
        ),
        (
            "secrets",
            vec![
                json!([{"name": "db", "env": [{"name": "DB", "key": "url"}]}, {"name": "t", "mountPath": "/t", "optional": true}]),
                json!([{"name": "g", "generate": [{"key": "k", "rotateAfter": "720h"}]}]),
                json!([{"name": hostile, "mountPath": hostile, "generate": [{"key": hostile, "length": i32::MIN, "rotateAfter": hostile}]}]),
            ],
        ),
        (
            "strategy",
            vec![
                json!({"type": "Recreate"}),
                json!({"rollingUpdate": {"maxUnavailable": "100%", "maxSurge": 0}}),
                json!({"type": hostile, "rollingUpdate": {"maxUnavailable": hostile, "maxSurge": i32::MIN}}),
            ],
        ),
        ("minReadySeconds", vec![json!(10), json!(i32::MAX), json!(i32::MIN)]),
        (
            "service",
            vec![
                json!({"annotations": {"a": "b"}}),
                json!({"annotations": {hostile: hostile}, "trafficDistribution": hostile}),
            ],
        ),
        (
            "initContainers",
            vec![
                json!([{"name": "i", "image": "i:1"}]),
                json!([{"name": hostile, "image": hostile, "ports": [{"containerPort": -1, "hostPort": 1}]}]),
            ],
        ),
        (
            "sidecars",
            vec![
                json!([{"name": "s", "image": "s:1", "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}]}]),
                json!([{"name": "user-service", "image": "", "volumeMounts": [{"name": hostile, "mountPath": hostile, "subPath": hostile}]}]),
            ],
        ),
        (
            "pod",
            vec![
                json!({"labels": {"team": "a"}, "runAsUser": 1000}),
                json!({"labels": {"app": "x", hostile: hostile}, "annotations": {hostile: hostile}, "runAsUser": 0, "fsGroup": i64::MAX}),
                json!({"tolerations": [{}], "priorityClassName": "system-x", "securityProfile": "Baseline"}),
            ],
        ),
        (
            "serviceAccount",
            vec![
                json!({"name": "user-service"}),
                json!({"name": hostile, "annotations": {hostile: hostile}}),
            ],
        ),
        (
            "disruptionBudget",
            vec![
                json!({"maxUnavailable": "50%"}),
                json!({"maxUnavailable": hostile}),
                json!({"maxUnavailable": i32::MIN}),
            ],
        ),
        (
            "kafka",
            vec![
                json!({"topics": [{"name": "a", "retention": "7d"}], "consumes": [{"topic": "a"}, {"topic": "b", "group": "g"}]}),
                json!({"cluster": hostile, "streams": {"applicationId": hostile}}),
                json!({
                    "topics": [
                        {"name": hostile, "partitions": i32::MIN, "retention": hostile, "retentionBytes": hostile, "config": {hostile: hostile}},
                        {"name": hostile, "producers": [{"name": hostile, "namespace": hostile}]}
                    ],
                    "produces": [{"topic": hostile, "namespace": hostile}, {"topic": hostile, "external": true}],
                    "consumes": [{"topic": "", "group": ""}, {"topic": hostile, "group": hostile}]
                }),
            ],
        ),
    ]
}

fn fields() -> impl Strategy<Value = Value> {
    let all = candidates();
    let count = all.len();
    subsequence(all, 0..=count.min(8)).prop_flat_map(|chosen| {
        let values: Vec<_> = chosen
            .into_iter()
            .map(|(field, values)| select(values).prop_map(move |value| (field, value)))
            .collect();
        values.prop_map(|pairs| pairs.into_iter().map(|(field, value)| (field.to_owned(), value)).collect())
    })
}

/// As [`fields`], from the first candidate of each, most of which are good.
fn good_fields() -> impl Strategy<Value = Value> {
    let all: Vec<(String, Value)> = candidates()
        .into_iter()
        .filter(|(field, _)| {
            !matches!(*field, "className" | "port" | "readinessProbe" | "replicas" | "kafka")
        })
        .filter_map(|(field, values)| Some((field.to_owned(), values.into_iter().next()?)))
        .filter(|(field, _)| field != "env" && field != "startupProbe" && field != "ports")
        .collect();
    let count = all.len();
    subsequence(all, 0..=count).prop_map(|pairs| pairs.into_iter().collect())
}

fn classes() -> impl Strategy<Value = Option<Value>> {
    let defaults = ["replicas", "resources", "health", "autoscaling", "shutdown", "pod", "strategy"];
    let all: Vec<_> = candidates().into_iter().filter(|(field, _)| defaults.contains(field)).collect();
    let count = all.len();
    let defaults = subsequence(all, 0..=count).prop_flat_map(|chosen| {
        let values: Vec<_> = chosen
            .into_iter()
            .map(|(field, values)| select(values).prop_map(move |value| (field.to_owned(), value)))
            .collect();
        values.prop_map(|pairs| pairs.into_iter().collect::<Value>())
    });
    let guardrails = select(vec![
        json!({}),
        json!({"maxReplicas": 2, "maxResources": {"cpu": "100m", "memory": "1Gi"}}),
        json!({"maxReplicas": i32::MIN, "maxResources": {"cpu": "x"}, "allowedImagePrefixes": [""], "requireDigest": true}),
        json!({"allowedNamespaces": [], "allowedPodAnnotations": ["*"], "securityProfile": "Baseline"}),
    ]);
    let kafka = select(vec![
        json!(null),
        json!({"clusters": [], "topicNameTemplate": ""}),
        json!({"clusters": [{"name": "c", "bootstrapServers": ["k:1"]}], "topicNameTemplate": "{namespace}.{name}"}),
        json!({
            "clusters": [{"name": "../x", "bootstrapServers": ["\0"], "users": {"mode": "Existing"}, "mode": "Strimzi"}],
            "topicNameTemplate": "{name}{namespace}\u{0}", "principalPrefix": "a".repeat(300)
        }),
    ]);
    let class = (defaults, guardrails, select(vec![1, 1, 1, i32::MIN, i32::MAX]), kafka).prop_map(
        |(defaults, guardrails, revision, kafka)| {
            json!({"defaults": defaults, "guardrails": guardrails, "defaultsRevision": revision, "kafka": kafka})
        },
    );
    prop::option::of(class)
}

/// What must hold of every accepted spec.
fn consistent(intent: &Intent) {
    let unique = |names: Vec<&str>| names.iter().collect::<BTreeSet<_>>().len() == names.len();
    assert!(unique(intent.env.iter().map(|entry| entry.name.as_str()).collect()));
    assert!(unique(intent.ports.iter().map(|port| port.name.as_str()).collect()));
    assert!(intent.ports.iter().all(|port| port.container_port.is_some() && port.protocol.is_some()));
    assert!(0 <= intent.drain_seconds && intent.drain_seconds < intent.grace_period_seconds);
    assert!(intent.progress_deadline_seconds >= 600);
    assert_eq!(
        intent.strategy.rolling_update.is_some(),
        intent.strategy.type_.as_deref() == Some("RollingUpdate")
    );
    match &intent.scaling {
        Scaling::Static(n) => assert!((1..=1000).contains(n)),
        Scaling::Stopped => {}
        Scaling::Auto(auto) => {
            assert!(1 <= auto.min && auto.min < auto.max && auto.max <= 1000 && !auto.metrics.is_empty());
            assert!(auto.behavior.scale_up.is_some() && auto.behavior.scale_down.is_some());
        }
    }
    let limits = intent.resources.limits.clone().unwrap_or_default();
    for (name, request) in intent.resources.requests.iter().flatten() {
        let request = Amount::parse(&request.0).unwrap();
        assert!(!request.is_negative());
        assert!(limits.get(name).is_none_or(|limit| request <= Amount::parse(&limit.0).unwrap()));
    }
    assert!(intent.pod.run_as_user.is_none_or(|id| id > 0));
    assert!(intent.files.iter().all(|file| file.read_only.is_some()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn no_spec_panics_and_the_answer_is_always_the_same(fields in fields(), class_spec in classes()) {
        let object = service(&fields);
        let class = class_spec.as_ref().map(class);
        let first = Intent::resolve(&object, class.as_ref(), &Observed::default());
        prop_assert_eq!(&first, &Intent::resolve(&object, class.as_ref(), &Observed::default()));
        match first {
            Ok(intent) => consistent(&intent),
            Err(violations) => {
                prop_assert!(!violations.is_empty());
                for Violation { field, message, .. } in &violations {
                    prop_assert!(field.starts_with("spec.") || field.starts_with("metadata."), "{}", field);
                    prop_assert!(!message.is_empty() && !message.contains('\n') && !message.contains('\0'));
                }
            }
        }
    }

    #[test]
    fn good_specs_are_accepted(fields in good_fields()) {
        let found = refused(&fields, None);
        prop_assert_eq!(found, []);
    }

    #[test]
    fn writing_defaults_changes_nothing(fields in good_fields(), defaults in subsequence(explicit(), 0..=explicit().len())) {
        let mut written = fields.clone();
        for (field, default) in defaults {
            let autoscaled = field == "replicas" && fields.get("autoscaling").is_some();
            if written.get(field).is_none() && !autoscaled {
                written[field] = default;
            }
        }
        prop_assert_eq!(resolved(written), resolved(fields));
    }
}
