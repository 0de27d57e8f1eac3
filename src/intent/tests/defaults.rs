//! What the smallest object gives, and that writing a default changes nothing.

use super::*;
use crate::intent::{AutoScaling, Scaling};

#[test]
fn the_smallest_object_is_a_complete_service() {
    let intent = resolved(json!({}));
    assert_eq!((intent.name.as_str(), intent.namespace.as_str()), ("user-service", "shop"));
    assert_eq!((intent.version.as_deref(), intent.class.as_deref()), (Some("v1.2.0"), None));
    assert_eq!(
        value(&intent.ports),
        json!([{"name": "http", "port": 3000, "containerPort": 3000, "protocol": "TCP", "appProtocol": "http"}])
    );
    assert_eq!(intent.scaling, Scaling::Static(3));
    assert_eq!(
        value(&intent.resources),
        json!({"requests": {"cpu": "250m", "memory": "256Mi"}, "limits": {"cpu": "500m", "memory": "512Mi"}})
    );
    assert_eq!((intent.drain_seconds, intent.grace_period_seconds), (5, 30));
    assert_eq!((intent.min_ready_seconds, intent.progress_deadline_seconds), (0, 600));
    assert_eq!(
        value(&intent.strategy),
        json!({"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": "25%"}})
    );
    assert_eq!(value(&intent.service), json!({"type": "ClusterIP", "sessionAffinity": "None"}));
    assert_eq!(value(&intent.max_unavailable), json!(1));
    let account = &intent.service_account;
    assert_eq!((account.name.as_str(), account.own, account.automount_token), ("user-service", true, false));
    assert!(intent.pod.read_only_root_filesystem);
    assert_eq!(value(intent.pod.security_profile), json!("Restricted"));
    assert_eq!((intent.config_hash, intent.config, intent.owner, intent.restart), (None, None, None, None));
    assert!(intent.env.is_empty() && intent.env_from.is_empty() && intent.missing.is_empty());
}

#[test]
fn probes_by_default() {
    let probes = resolved(json!({})).probes;
    let get = json!({"path": "/health", "port": 3000, "scheme": "HTTP"});
    assert_eq!(
        value(probes.readiness),
        json!({"httpGet": get, "periodSeconds": 10, "timeoutSeconds": 2, "failureThreshold": 3, "successThreshold": 1})
    );
    assert_eq!(
        value(probes.startup),
        json!({"httpGet": get, "periodSeconds": 2, "timeoutSeconds": 2, "failureThreshold": 150, "successThreshold": 1})
    );
    assert_eq!(probes.liveness, None);
}

#[test]
fn liveness_when_asked_for() {
    let probes = resolved(json!({"health": {"path": "/up", "liveness": {}}})).probes;
    assert_eq!(
        value(probes.liveness),
        json!({
            "httpGet": {"path": "/up", "port": 3000, "scheme": "HTTP"},
            "periodSeconds": 10, "timeoutSeconds": 2, "failureThreshold": 6, "successThreshold": 1,
        })
    );
    let own = json!({"path": "/live", "port": 9000, "periodSeconds": 7, "timeoutSeconds": 3, "failureThreshold": 8});
    let probes = resolved(json!({"health": {"path": "/up", "liveness": own}})).probes;
    assert_eq!(
        value(probes.liveness),
        json!({
            "httpGet": {"path": "/live", "port": 9000, "scheme": "HTTP"},
            "periodSeconds": 7, "timeoutSeconds": 3, "failureThreshold": 8, "successThreshold": 1,
        })
    );
}

#[test]
fn kinds_of_health() {
    let handler = |kind: &str| value(resolved(json!({"health": {"type": kind}})).probes.readiness);
    assert_eq!(handler("TCP")["tcpSocket"], json!({"port": 3000}));
    assert_eq!(handler("GRPC")["grpc"], json!({"port": 3000, "service": ""}));
    assert_eq!(resolved(json!({"health": {"type": "None"}})).probes, crate::intent::Probes::default());
}

#[test]
fn a_native_probe_replaces_and_startup_asks_the_same() {
    let native = json!({"exec": {"command": ["/check"]}, "periodSeconds": 4, "initialDelaySeconds": 9});
    let probes = resolved(json!({"readinessProbe": native})).probes;
    assert_eq!(
        value(probes.readiness),
        json!({
            "exec": {"command": ["/check"]}, "periodSeconds": 4, "initialDelaySeconds": 9,
            "timeoutSeconds": 1, "failureThreshold": 3, "successThreshold": 1,
        })
    );
    let startup = value(probes.startup);
    assert_eq!(startup["exec"], json!({"command": ["/check"]}));
    assert_eq!((&startup["failureThreshold"], startup.get("initialDelaySeconds")), (&json!(150), None));

    let waived = resolved(json!({"readinessProbe": native, "health": {"type": "None"}})).probes;
    assert!(waived.readiness.is_some() && waived.startup.is_none());

    let startup = json!({"tcpSocket": {"port": "http"}, "periodSeconds": 5, "failureThreshold": 200});
    let intent = resolved(json!({"startupProbe": startup, "livenessProbe": {"httpGet": {"port": 3000}}}));
    assert_eq!(value(&intent.probes.startup)["tcpSocket"], json!({"port": "http"}));
    assert_eq!(value(&intent.probes.readiness)["httpGet"]["path"], "/health");
    assert_eq!(
        value(&intent.probes.liveness)["httpGet"],
        json!({"path": "/", "port": 3000, "scheme": "HTTP"})
    );
}

#[test]
fn health_port_by_name_or_number() {
    let ports = json!([{"name": "http", "port": 80, "containerPort": 8080}, {"name": "admin", "port": 9000}]);
    for (port, expected) in [(json!("admin"), 9000), (json!("http"), 8080), (json!(7000), 7000)] {
        let intent = resolved(json!({"ports": ports, "health": {"port": port}}));
        assert_eq!(value(intent.probes.readiness)["httpGet"]["port"], json!(expected));
    }
    for (metrics, expected) in [(json!({}), 3000), (json!({"port": 3000}), 3000)] {
        let intent = resolved(json!({"metrics": metrics, "health": {"port": "metrics"}}));
        assert_eq!(value(intent.probes.readiness)["httpGet"]["port"], json!(expected));
    }
    let intent = resolved(json!({"metrics": {"port": 9100}, "health": {"port": "metrics"}}));
    assert_eq!(value(intent.probes.readiness)["httpGet"]["port"], json!(9100));
}

#[test]
fn the_progress_deadline_waits_for_the_slowest_pod() {
    let startup = json!({"httpGet": {"port": 3000}, "initialDelaySeconds": 10, "periodSeconds": 10, "failureThreshold": 60});
    let intent =
        resolved(json!({"startupProbe": startup, "minReadySeconds": 30, "shutdown": {"drainSeconds": 40}}));
    assert_eq!(intent.progress_deadline_seconds, 610 + 30 + 40 + 120);
    assert_eq!(intent.grace_period_seconds, 65);
    let slow = json!({"httpGet": {"path": "/", "port": 3000}, "initialDelaySeconds": 900, "periodSeconds": 10, "successThreshold": 3});
    let intent = resolved(json!({ "readinessProbe": slow }));
    assert!(intent.progress_deadline_seconds > 920, "{}", intent.progress_deadline_seconds);
}

#[test]
fn ports_are_completed() {
    let ports = json!([
        {"name": "grpc-api", "port": 50051},
        {"name": "http-admin", "port": 80, "containerPort": 8080},
        {"name": "dns", "port": 53, "protocol": "UDP"},
        {"name": "https", "port": 443, "appProtocol": "kubernetes.io/h2c"},
    ]);
    let intent = resolved(json!({"ports": ports, "metrics": {"port": 8080}}));
    let of = |i: usize| value(&intent.ports[i]);
    assert_eq!((&of(0)["appProtocol"], &of(0)["containerPort"]), (&json!("grpc"), &json!(50051)));
    assert_eq!((&of(1)["appProtocol"], &of(1)["containerPort"]), (&json!("http"), &json!(8080)));
    assert_eq!((of(2).get("appProtocol"), &of(2)["protocol"]), (None, &json!("UDP")));
    assert_eq!(of(3)["appProtocol"], json!("kubernetes.io/h2c"));
    assert_eq!(intent.metrics_port, None, "8080 is a port already");
    assert_eq!(resolved(json!({"metrics": {}})).metrics_port, None);
    assert_eq!(resolved(json!({"metrics": {"port": 9100}})).metrics_port, Some(9100));
    let worker = resolved(json!({"ports": [], "health": {"type": "None"}}));
    assert!(worker.ports.is_empty());
}

fn auto(intent: Intent) -> AutoScaling {
    match intent.scaling {
        Scaling::Auto(auto) => *auto,
        other => panic!("not autoscaled: {other:?}"),
    }
}

#[test]
fn an_autoscaler_is_complete() {
    let scaler = auto(resolved(json!({"autoscaling": {"maxReplicas": 10}})));
    assert_eq!((scaler.min, scaler.max), (3, 10));
    assert_eq!(
        value(&scaler.metrics),
        json!([{"type": "ContainerResource", "containerResource": {
            "container": "user-service", "name": "cpu", "target": {"type": "Utilization", "averageUtilization": 70}}}])
    );
    assert_eq!(
        value(&scaler.behavior),
        json!({
            "scaleUp": {"stabilizationWindowSeconds": 0, "selectPolicy": "Max", "policies": [
                {"type": "Pods", "value": 4, "periodSeconds": 15}, {"type": "Percent", "value": 100, "periodSeconds": 15}]},
            "scaleDown": {"stabilizationWindowSeconds": 300, "selectPolicy": "Max", "policies": [
                {"type": "Percent", "value": 100, "periodSeconds": 15}]},
        })
    );
}

#[test]
fn cpu_is_the_metric_only_when_there_is_no_other() {
    let names = |fields: Value| -> Vec<String> {
        let metrics = auto(resolved(json!({ "autoscaling": fields }))).metrics;
        metrics.into_iter().map(|m| m.container_resource.map_or(m.type_, |resource| resource.name)).collect()
    };
    let external = json!([{"type": "External", "external": {
        "metric": {"name": "lag"}, "target": {"type": "Value", "value": "5"}}}]);
    assert_eq!(names(json!({"maxReplicas": 9, "targetMemoryUtilizationPercentage": 80})), ["memory"]);
    assert_eq!(names(json!({"maxReplicas": 9, "metrics": external})), ["External"]);
    assert_eq!(names(json!({"maxReplicas": 9, "metrics": []})), ["cpu"]);
    assert_eq!(
        names(json!({"maxReplicas": 9, "metrics": external, "targetCPUUtilizationPercentage": 50})),
        ["cpu", "External"]
    );
}

#[test]
fn a_count_is_brought_within_what_is_wanted() {
    let table = [
        (json!({"replicas": 5}), [5, 5, 5]),
        (json!({"replicas": 0}), [0, 0, 0]),
        (json!({"autoscaling": {"minReplicas": 2, "maxReplicas": 6}}), [2, 4, 6]),
    ];
    for (fields, expected) in table {
        assert_eq!([1, 4, 9].map(|count| resolved(fields.clone()).scaling.within(count)), expected);
    }
}

#[test]
fn who_scales() {
    for (fields, expected) in [
        (json!({"replicas": 5}), Scaling::Static(5)),
        (json!({"replicas": 0}), Scaling::Stopped),
        (json!({"replicas": 0, "autoscaling": {"maxReplicas": 9}}), Scaling::Stopped),
        (json!({"autoscaling": {"minReplicas": 4, "maxReplicas": 4}}), Scaling::Static(4)),
        (json!({"autoscaling": {"maxReplicas": 2}}), Scaling::Static(2)),
    ] {
        assert_eq!(resolved(fields.clone()).scaling, expected, "{fields}");
    }
}

#[test]
fn helpers_get_small_resources_and_complete_environment() {
    let helper = json!({"name": "proxy", "image": "proxy:1", "env": [
        {"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}]});
    let intent =
        resolved(json!({"initContainers": [{"name": "init", "image": "init:1"}], "sidecars": [helper]}));
    let expected =
        json!({"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"cpu": "250m", "memory": "128Mi"}});
    assert_eq!(value(&intent.init_containers[0].resources), expected);
    assert_eq!(value(&intent.sidecars[0].resources), expected);
    assert_eq!(value(&intent.sidecars[0].env)[0]["valueFrom"]["fieldRef"]["apiVersion"], "v1");
}

#[test]
fn files_are_read_only_but_for_scratch_and_claims() {
    let files = json!([
        {"mountPath": "/a", "config": {"k": "v"}},
        {"mountPath": "/b", "configMap": {"name": "b"}},
        {"mountPath": "/c", "secret": {"secretName": "c", "defaultMode": 256}},
        {"mountPath": "/d", "emptyDir": {}},
        {"mountPath": "/e", "persistentVolumeClaim": {"claimName": "e"}},
        {"mountPath": "/f", "emptyDir": {}, "readOnly": true},
        {"mountPath": "/g", "projected": {"sources": []}},
    ]);
    let intent = resolved(json!({"files": files, "replicas": 1, "strategy": {"type": "Recreate"}}));
    let read_only: Vec<bool> = intent.files.iter().map(|file| file.read_only.unwrap()).collect();
    assert_eq!(read_only, [true, true, true, false, false, true, true]);
    assert_eq!(value(&intent.files[1].config_map)["defaultMode"], json!(420));
    assert_eq!(value(&intent.files[2].secret)["defaultMode"], json!(256));
    assert_eq!(value(&intent.files[6].projected)["defaultMode"], json!(420));
    assert_eq!(intent.strategy.rolling_update, None);
}

#[test]
fn metadata_is_carried() {
    let mut object = service(&json!({}));
    object.metadata.uid = Some("u-1".to_owned());
    object.metadata.labels = Some([("app.kubernetes.io/part-of".to_owned(), "shop".to_owned())].into());
    object.metadata.annotations = Some([("microservice.dev/restart".to_owned(), "now".to_owned())].into());
    let intent = Intent::resolve(&object, None, &Observed::default()).unwrap();
    assert_eq!((intent.part_of.as_deref(), intent.restart.as_deref()), (Some("shop"), Some("now")));
    assert_eq!(
        value(intent.owner),
        json!({"apiVersion": "microservice.dev/v1alpha1", "kind": "Microservice", "name": "user-service",
               "uid": "u-1", "controller": true, "blockOwnerDeletion": true})
    );
}

/// Every built-in default, as a user would write it.
pub(super) fn explicit() -> Vec<(&'static str, Value)> {
    vec![
        ("port", json!(3000)),
        ("replicas", json!(3)),
        (
            "resources",
            json!({"requests": {"cpu": "0.25", "memory": "256Mi"}, "limits": {"cpu": "500m", "memory": "0.5Gi"}}),
        ),
        (
            "health",
            json!({"path": "/health", "port": "http", "periodSeconds": 10, "timeoutSeconds": 2,
                          "failureThreshold": 3, "type": "HTTP"}),
        ),
        ("shutdown", json!({"drainSeconds": 5, "gracePeriodSeconds": 30})),
        (
            "strategy",
            json!({"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": "25%"}}),
        ),
        ("minReadySeconds", json!(0)),
        ("service", json!({"type": "ClusterIP", "sessionAffinity": "None", "annotations": {}})),
        (
            "pod",
            json!({"readOnlyRootFilesystem": true, "securityProfile": "Restricted", "labels": {}, "tolerations": []}),
        ),
        ("serviceAccount", json!({"name": "user-service", "automountServiceAccountToken": false})),
        ("disruptionBudget", json!({"maxUnavailable": 1})),
        ("env", json!([])),
        ("envFrom", json!([])),
        ("config", json!({})),
        ("files", json!([])),
        ("secrets", json!([])),
        ("initContainers", json!([])),
        ("sidecars", json!([])),
        ("imagePullSecrets", json!([])),
        ("command", json!([])),
        ("args", json!([])),
    ]
}

#[test]
fn an_explicit_default_is_no_change() {
    let unset = resolved(json!({}));
    for (field, default) in explicit() {
        assert_eq!(resolved(json!({ field: default })), unset, "{field}");
    }
    let port = json!([{"name": "http", "port": 3000, "containerPort": 3000, "protocol": "TCP", "appProtocol": "http"}]);
    assert_eq!(resolved(json!({ "ports": port })), unset);
}

#[test]
fn an_explicit_default_of_autoscaling_is_no_change() {
    let auto = |more: Value| {
        let mut auto = json!({"maxReplicas": 10});
        auto.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        resolved(json!({ "autoscaling": auto }))
    };
    let unset = auto(json!({}));
    assert_eq!(auto(json!({"minReplicas": 3})), unset);
    assert_eq!(auto(json!({"targetCPUUtilizationPercentage": 70})), unset);
    assert_eq!(auto(json!({"behavior": {"scaleDown": {"stabilizationWindowSeconds": 300}}})), unset);
    assert_eq!(auto(json!({"behavior": {"scaleUp": {"selectPolicy": "Max"}}})), unset);
    assert_ne!(auto(json!({"behavior": {"scaleDown": {"stabilizationWindowSeconds": 299}}})), unset);
}
