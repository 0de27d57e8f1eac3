//! Each rule, broken once: field and what the message must say.

use super::*;

/// The spec breaks exactly one rule; `says` is part of the message.
#[track_caller]
fn broken(fields: Value, field: &str, says: &str) {
    one(&refused(&fields, None), Reason::InvalidSpec, field, says, &fields);
}

/// As above, for a guard rail of the class.
#[track_caller]
fn forbidden(fields: Value, guardrails: Value, field: &str, says: &str) {
    let found = refused(&fields, Some(&json!({ "guardrails": guardrails })));
    one(&found, Reason::GuardrailViolated, field, says, &fields);
}

#[track_caller]
fn one(found: &[Violation], reason: Reason, field: &str, says: &str, fields: &Value) {
    assert_eq!(reasons(found), [(reason, field)], "{fields}: {found:?}");
    assert!(found[0].message.contains(says), "{}", found[0].message);
}

#[track_caller]
fn allowed(fields: Value, guardrails: Value) {
    assert_eq!(refused(&fields, Some(&json!({ "guardrails": guardrails }))), [], "{fields}");
}

#[test]
fn names() {
    for name in ["", "9a", "A", "a.b", "a_b", &"a".repeat(64)] {
        let mut object = service(&json!({}));
        object.metadata.name = Some(name.to_owned());
        let found = Intent::resolve(&object, None, &Observed::default()).unwrap_err();
        assert!(reasons(&found).contains(&(Reason::InvalidSpec, "metadata.name")), "{name:?}");
    }
}

#[test]
fn classes() {
    let wants = |name: &str| Observed { class_wanted: Some(name.to_owned()), ..Observed::default() };
    let (plain, named) = (service(&json!({})), service(&json!({"className": "standard"})));
    let (standard, none) = (class(&json!({})), Observed::default());
    assert!(Intent::resolve(&named, Some(&standard), &wants("other")).is_ok(), "the object's word stands");
    assert!(Intent::resolve(&plain, Some(&standard), &wants("standard")).is_ok());
    assert!(Intent::resolve(&plain, Some(&standard), &none).is_ok(), "the default class");
    let refused = |object: &Microservice, class: Option<&MicroserviceClass>, observed: &Observed| {
        Intent::resolve(object, class, observed).unwrap_err()
    };
    for (found, field) in [
        (refused(&named, None, &none), "spec.className"),
        (refused(&service(&json!({"className": "x", "port": 0})), Some(&standard), &none), "spec.className"),
        (refused(&plain, None, &wants("standard")), "metadata.namespace"),
        (refused(&plain, Some(&standard), &wants("other")), "metadata.namespace"),
    ] {
        assert_eq!(reasons(&found), [(Reason::ClassNotFound, field)]);
    }
    let future = class(&json!({"defaultsRevision": 2}));
    let found = refused(&named, Some(&future), &none);
    assert_eq!(reasons(&found), [(Reason::InvalidSpec, "spec.className")]);
    assert!(found[0].message.contains("knows 1 to 1"));
}

#[test]
fn images() {
    broken(json!({"image": ""}), "spec.image", "1 to 1024");
    broken(json!({"image": "a b"}), "spec.image", "without spaces");
    broken(json!({"image": "a\n"}), "spec.image", "without spaces");
    broken(json!({"image": "a".repeat(4096)}), "spec.image", "1 to 1024");
    broken(json!({"image": "file:///etc/passwd"}), "spec.image", "no scheme");
    broken(json!({"image": "user:password@registry/a:1"}), "spec.image", "imagePullSecrets");
    broken(json!({"image": "registry/team/../other/a:1"}), "spec.image", "'..' part");
    broken(json!({"image": "registry//a:1"}), "spec.image", "empty");
    broken(json!({"sidecars": [{"name": "a", "image": " "}]}), "spec.sidecars[0].image", "without spaces");
}

#[test]
fn ports() {
    let port = |name: &str, number: i32| json!({"name": name, "port": number});
    broken(json!({"port": 0}), "spec.port", "1 to 65535");
    broken(json!({"port": 65536}), "spec.port", "1 to 65535");
    broken(json!({"port": 3000, "ports": [port("http", 3000)]}), "spec.ports", "exclude each other");
    broken(json!({"ports": [port("HTTP", 80)]}), "spec.ports[0].name", "lower-case");
    broken(json!({"ports": [port("a", 80), port("a", 81)]}), "spec.ports[1].name", "twice");
    broken(json!({"ports": [port("a", 80), port("b", 80)]}), "spec.ports[1].port", "80/TCP");
    broken(
        json!({"ports": [{"name": "a", "port": 80, "containerPort": -1}], "health": {"port": 80}}),
        "spec.ports[0].containerPort",
        "1 to 65535",
    );
    let many: Vec<Value> = (1..=33).map(|n| port(&format!("p{n}"), n)).collect();
    broken(json!({ "ports": many }), "spec.ports", "at most 32");
    broken(json!({"metrics": {"port": 0}}), "spec.metrics.port", "1 to 65535");
    broken(json!({"metrics": {"path": "metrics"}}), "spec.metrics.path", "start with '/'");
    broken(
        json!({"ports": [port("metrics", 80)], "metrics": {"port": 81}}),
        "spec.metrics.port",
        "named \"metrics\"",
    );
    broken(json!({"ports": [], "metrics": {}, "health": {"type": "None"}}), "spec.metrics.port", "no port");
}

#[test]
fn scaling() {
    broken(json!({"replicas": -1}), "spec.replicas", "0 to 1000");
    broken(json!({"replicas": i32::MAX}), "spec.replicas", "0 to 1000");
    broken(
        json!({"replicas": 2, "autoscaling": {"maxReplicas": 5}}),
        "spec.replicas",
        "remove spec.replicas",
    );
    broken(json!({"autoscaling": {"maxReplicas": 0}}), "spec.autoscaling.maxReplicas", "1 to 1000");
    broken(json!({"autoscaling": {"maxReplicas": 1001}}), "spec.autoscaling.maxReplicas", "1 to 1000");
    broken(
        json!({"autoscaling": {"minReplicas": 0, "maxReplicas": 5}}),
        "spec.autoscaling.minReplicas",
        "1 or more",
    );
    broken(
        json!({"autoscaling": {"minReplicas": 6, "maxReplicas": 5}}),
        "spec.autoscaling.minReplicas",
        "maxReplicas 5",
    );
    broken(
        json!({"autoscaling": {"maxReplicas": 5, "targetCPUUtilizationPercentage": 0}}),
        "spec.autoscaling.targetCPUUtilizationPercentage",
        "at least 1",
    );
    broken(
        json!({"autoscaling": {"maxReplicas": 5}, "resources": {"requests": {}, "limits": {}}}),
        "spec.resources.requests.cpu",
        "request cpu",
    );
    let stopped = json!({"replicas": 0, "autoscaling": {"minReplicas": 6, "maxReplicas": 5}});
    broken(stopped, "spec.autoscaling.minReplicas", "maxReplicas 5");
}

#[test]
fn a_broken_class_is_named() {
    let class = json!({"defaults": {"replicas": 5000}});
    let found = refused(&json!({}), Some(&class));
    assert_eq!(reasons(&found), [(Reason::InvalidSpec, "spec.replicas")]);
    assert!(found[0].message.contains("MicroserviceClass \"standard\""), "{}", found[0].message);
    assert_eq!(refused(&json!({"replicas": 1}), Some(&class)), []);
    let class = json!({"defaults": {"autoscaling": {"minReplicas": -3, "maxReplicas": 5}}});
    assert_eq!(
        reasons(&refused(&json!({"autoscaling": {"maxReplicas": 5}}), Some(&class))),
        [(Reason::InvalidSpec, "spec.autoscaling.minReplicas")]
    );
    assert_eq!(refused(&json!({"replicas": 1}), Some(&class)), []);
}

#[test]
fn resources() {
    let of = |resources: Value| json!({ "resources": resources });
    for quantity in ["1e1000", "１", "x", "", "1K"] {
        broken(of(json!({"requests": {"cpu": quantity}})), "spec.resources.requests.cpu", "no quantity");
    }
    broken(
        of(json!({"limits": {"nvidia.com/gpu": "-1"}})),
        "spec.resources.limits[\"nvidia.com/gpu\"]",
        "negative",
    );
    broken(
        of(json!({"requests": {"cpu": "2"}, "limits": {"cpu": "1500m"}})),
        "spec.resources.requests.cpu",
        "2 after filling the defaults is more than the limit 1500m",
    );
    broken(of(json!({"claims": [{"name": "a"}]})), "spec.resources.claims", "remove claims");
    let sidecar = json!({"name": "a", "image": "a:1", "resources": {
        "requests": {"cpu": "2"}, "limits": {"cpu": "1"}, "claims": [{"name": "a"}]}});
    assert_eq!(
        reasons(&refused(&json!({"sidecars": [sidecar]}), None)),
        [
            (Reason::InvalidSpec, "spec.sidecars[0].resources.claims"),
            (Reason::InvalidSpec, "spec.sidecars[0].resources.requests.cpu"),
        ]
    );
}

#[test]
fn health() {
    broken(json!({"health": {"path": "health"}}), "spec.health.path", "start with '/'");
    broken(json!({"health": {"path": "/a\r\nb"}}), "spec.health.path", "control characters");
    broken(json!({"health": {"periodSeconds": 0}}), "spec.health.periodSeconds", "1 or more");
    broken(
        json!({"health": {"liveness": {"failureThreshold": 0}}}),
        "spec.health.liveness.failureThreshold",
        "1 or more",
    );
    broken(json!({"health": {"port": "admin"}}), "spec.health.port", "no port named \"admin\"");
    broken(json!({"health": {"port": 70000}}), "spec.health.port", "1 to 65535");
    broken(json!({"health": {"liveness": {"port": "x"}}}), "spec.health.liveness.port", "no port named");
    broken(json!({"health": {"type": "None", "liveness": {}}}), "spec.health.liveness", "remove liveness");
    broken(json!({"ports": []}), "spec.health", "type to None");
    broken(json!({"ports": [], "health": {"type": "TCP"}}), "spec.health", "port to a number");
    for worker in [
        json!({"ports": [], "health": {"port": 8080}}),
        json!({"ports": [], "readinessProbe": {"exec": {"command": ["a"]}}}),
    ] {
        assert_eq!(refused(&worker, None), [], "{worker}");
    }
}

#[test]
fn native_probes() {
    let of = |probe: Value| json!({ "readinessProbe": probe });
    broken(of(json!({})), "spec.readinessProbe", "exactly one");
    broken(
        of(json!({"httpGet": {"port": 3000}, "tcpSocket": {"port": 3000}})),
        "spec.readinessProbe",
        "exactly one",
    );
    broken(
        of(json!({"httpGet": {"port": 80, "host": "169.254.169.254"}})),
        "spec.readinessProbe.httpGet.host",
        "its own pod only",
    );
    broken(
        of(json!({"tcpSocket": {"port": 80, "host": "x"}})),
        "spec.readinessProbe.tcpSocket.host",
        "its own pod only",
    );
    broken(of(json!({"tcpSocket": {"port": "x"}})), "spec.readinessProbe.tcpSocket.port", "no port named");
    broken(of(json!({"grpc": {"port": 0}})), "spec.readinessProbe.grpc.port", "1 to 65535");
    broken(
        of(json!({"httpGet": {"port": 1, "path": "a"}})),
        "spec.readinessProbe.httpGet.path",
        "start with",
    );
    broken(
        of(json!({"grpc": {"port": 1}, "periodSeconds": -1})),
        "spec.readinessProbe.periodSeconds",
        "1 or more",
    );
    let probe = json!({"exec": {"command": ["a"]}, "successThreshold": 2});
    assert_eq!(refused(&of(probe.clone()), None), []);
    broken(json!({"startupProbe": probe}), "spec.startupProbe.successThreshold", "readiness");
    broken(
        json!({"livenessProbe": {"exec": {}, "initialDelaySeconds": -1}}),
        "spec.livenessProbe.initialDelaySeconds",
        "0 or more",
    );
}

#[test]
fn shutdown_and_strategy() {
    broken(json!({"shutdown": {"drainSeconds": -1}}), "spec.shutdown.drainSeconds", "negative");
    broken(
        json!({"shutdown": {"drainSeconds": 30, "gracePeriodSeconds": 30}}),
        "spec.shutdown.drainSeconds",
        "lower drainSeconds",
    );
    broken(
        json!({"shutdown": {"gracePeriodSeconds": 5}}),
        "spec.shutdown.drainSeconds",
        "raise gracePeriodSeconds",
    );
    broken(
        json!({"shutdown": {"gracePeriodSeconds": 3601}}),
        "spec.shutdown.gracePeriodSeconds",
        "at most 3600",
    );
    broken(json!({"shutdown": {"drainSeconds": 3600}}), "spec.shutdown.gracePeriodSeconds", "at most 3600");
    let class = json!({"defaults": {"shutdown": {"gracePeriodSeconds": 40}}});
    let found = refused(&json!({"shutdown": {"drainSeconds": 50}}), Some(&class));
    one(&found, Reason::InvalidSpec, "spec.shutdown.drainSeconds", "\"standard\"", &json!({}));

    let rolling = |numbers: Value| json!({"strategy": {"rollingUpdate": numbers}});
    let unavailable = "spec.strategy.rollingUpdate.maxUnavailable";
    broken(json!({"minReadySeconds": -1}), "spec.minReadySeconds", "negative");
    broken(json!({"strategy": {"type": "BlueGreen"}}), "spec.strategy.type", "RollingUpdate or Recreate");
    broken(
        json!({"strategy": {"type": "Recreate", "rollingUpdate": {}}}),
        "spec.strategy.rollingUpdate",
        "remove it",
    );
    broken(rolling(json!({"maxSurge": 0})), "spec.strategy.rollingUpdate", "both 0");
    broken(
        rolling(json!({"maxSurge": "0%", "maxUnavailable": "0%"})),
        "spec.strategy.rollingUpdate",
        "both 0",
    );
    for value in [json!("1"), json!("+1%"), json!("%"), json!(-1), json!("101%"), json!("a%")] {
        broken(rolling(json!({ "maxUnavailable": value })), unavailable, "percentage");
    }
    let budget = |value: Value| json!({"disruptionBudget": {"maxUnavailable": value}});
    for (value, says) in [
        (json!(0), "blocks every drain"),
        (json!("0%"), "blocks every drain"),
        (json!(-1), "percentage"),
        (json!("101%"), "percentage"),
        (json!("one"), "percentage"),
    ] {
        broken(budget(value), "spec.disruptionBudget.maxUnavailable", says);
    }
}

#[test]
fn environment() {
    let var = |name: &str| json!({"name": name, "value": "x"});
    broken(json!({"env": [var("A"), var("A")]}), "spec.env[1].name", "twice");
    broken(json!({"env": [var("A=B")]}), "spec.env[0].name", "environment variable");
    broken(json!({"env": [var("")]}), "spec.env[0].name", "environment variable");
    broken(json!({"env": [{"name": "A", "valueFrom": {}}]}), "spec.env[0].valueFrom", "exactly one");
    let from = json!({"fieldRef": {"fieldPath": "metadata.name"}});
    broken(
        json!({"env": [{"name": "A", "value": "x", "valueFrom": from}]}),
        "spec.env[0]",
        "exclude each other",
    );
    let key = |name: &str, key: &str| json!({"env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": name, "key": key}}}]});
    broken(key("ns/name", "k"), "spec.env[0].valueFrom.secretKeyRef.name", "without a namespace");
    broken(key("name", "../k"), "spec.env[0].valueFrom.secretKeyRef.key", "cannot be a key");
    broken(json!({"envFrom": [{}]}), "spec.envFrom[0]", "exactly one");
    let map = json!({"configMapRef": {"name": "a"}});
    broken(json!({"envFrom": [map, map]}), "spec.envFrom[1]", "same prefix");
    let prefixed = json!({"configMapRef": {"name": "a"}, "prefix": "X_"});
    assert_eq!(refused(&json!({"envFrom": [map, prefixed]}), None), []);
    broken(
        json!({"envFrom": [{"configMapRef": {"name": "a"}, "prefix": "="}]}),
        "spec.envFrom[0].prefix",
        "variable",
    );
    broken(json!({"config": {"1A": ""}}), "spec.config.1A", "environment variable");
    broken(json!({"config": {"A B": ""}}), "spec.config[\"A B\"]", "environment variable");
    let many: serde_json::Map<String, Value> = (0..257).map(|n| (format!("K{n}"), json!(""))).collect();
    broken(json!({ "config": many }), "spec.config", "at most 256");
    broken(json!({"config": {"A": "x".repeat(256 * 1024)}}), "spec.config", "bytes");
    let sidecar = json!({"name": "a", "image": "a:1", "env": [var("A"), var("A")]});
    broken(json!({"sidecars": [sidecar]}), "spec.sidecars[0].env[1].name", "twice");
    broken(
        json!({"imagePullSecrets": [{"name": "a/b"}]}),
        "spec.imagePullSecrets[0].name",
        "without a namespace",
    );
}

#[test]
fn secrets() {
    let generate = |key: Value| json!({"secrets": [{"name": "a", "generate": [key]}]});
    let at = |leaf: &str| format!("spec.secrets[0].generate[0].{leaf}");
    broken(generate(json!({"key": "a/b"})), &at("key"), "cannot be a key");
    broken(generate(json!({"key": "a", "length": 15})), &at("length"), "16 to 256");
    broken(generate(json!({"key": "a", "length": 257})), &at("length"), "16 to 256");
    for age in ["59m", "", "1w", "-2h"] {
        broken(generate(json!({"key": "a", "rotateAfter": age})), &at("rotateAfter"), "at least 1h");
    }
    broken(
        json!({"secrets": [{"name": "a", "generate": [{"key": "k"}, {"key": "k"}]}]}),
        "spec.secrets[0].generate[1].key",
        "twice",
    );
    broken(json!({"secrets": [{"name": "a"}, {"name": "a"}]}), "spec.secrets[1].name", "listed twice");
    let env = json!([{"name": "X", "key": "k"}]);
    broken(
        json!({"secrets": [{"name": "a", "env": env}, {"name": "b", "env": env}]}),
        "spec.secrets[1].env[0].name",
        "another entry",
    );
    broken(
        json!({"secrets": [{"name": "a", "env": env, "generate": [{"key": "other"}]}]}),
        "spec.secrets[0].env[0].key",
        "among the generated",
    );
}

#[test]
fn files_and_mounts() {
    let at = |path: &str| json!({"files": [{"mountPath": path, "emptyDir": {}}]});
    for path in ["relative", "", "/a/../b", "/a:b", "/a\0"] {
        broken(at(path), "spec.files[0].mountPath", "no mount path");
    }
    for path in [
        "/",
        "//",
        "/./",
        "/etc",
        "/etc/",
        "/proc",
        "/proc/1",
        "/sys/fs",
        "/dev/shm",
        "/var/run/secrets/x",
        "/run//secrets",
    ] {
        broken(at(path), "spec.files[0].mountPath", "belongs to the system");
    }
    for path in ["/etc/app", "/var/run", "/process", "/data"] {
        assert_eq!(refused(&at(path), None), [], "{path}");
    }
    broken(at("/tmp/"), "spec.files[0].mountPath", "/tmp always is");
    broken(
        json!({"files": [{"mountPath": "/a", "emptyDir": {}}], "secrets": [{"name": "s", "mountPath": "/a/"}]}),
        "spec.secrets[0].mountPath",
        "mounted already",
    );
    for size in ["-1", "1e1000", "big"] {
        let scratch = json!({"files": [{"mountPath": "/a", "emptyDir": {"sizeLimit": size}}]});
        broken(scratch, "spec.files[0].emptyDir.sizeLimit", "no size");
    }
    broken(json!({"files": [{"mountPath": "/a"}]}), "spec.files[0]", "exactly one");
    broken(
        json!({"files": [{"mountPath": "/a", "emptyDir": {}, "config": {"a": ""}}]}),
        "spec.files[0]",
        "exactly one",
    );
    broken(
        json!({"files": [{"mountPath": "/a", "config": {"a/b": ""}}]}),
        "spec.files[0].config[\"a/b\"]",
        "key",
    );
    broken(
        json!({"files": [{"mountPath": "/a", "config": {"a": "x".repeat(1 << 20)}}]}),
        "spec.files",
        "at most",
    );
    broken(
        json!({"files": [{"mountPath": "/a", "secret": {}}]}),
        "spec.files[0].secret.secretName",
        "name of an object",
    );
    let items = json!([{"key": "k", "path": "../k"}]);
    broken(
        json!({"files": [{"mountPath": "/a", "configMap": {"name": "m", "items": items}}]}),
        "spec.files[0].configMap.items[0].path",
        "leaves the volume",
    );
    broken(
        json!({"files": [{"mountPath": "/a", "projected": {"sources": [{"secret": {"name": "../x"}}]}}]}),
        "spec.files[0].projected.sources[0].secret.name",
        "without a namespace",
    );
}

#[test]
fn claims() {
    let claim = json!([{"mountPath": "/data", "persistentVolumeClaim": {"claimName": "data"}}]);
    let field = "spec.files[0].persistentVolumeClaim";
    broken(json!({"files": claim}), field, "spec.replicas to 1 and spec.strategy.type to Recreate");
    broken(json!({"files": claim, "replicas": 1}), field, "set spec.strategy.type to Recreate");
    broken(json!({"files": claim, "strategy": {"type": "Recreate"}}), field, "set spec.replicas to 1");
    let recreate = json!({"type": "Recreate"});
    broken(
        json!({"files": claim, "strategy": recreate, "autoscaling": {"minReplicas": 1, "maxReplicas": 2}}),
        field,
        "set spec.replicas to 1",
    );
    assert_eq!(refused(&json!({"files": claim, "strategy": recreate, "replicas": 0}), None), []);
    let shared =
        json!([{"mountPath": "/data", "persistentVolumeClaim": {"claimName": "data", "readOnly": true}}]);
    assert_eq!(refused(&json!({ "files": shared }), None), [], "any number of pods may read one");
    let bad = json!([{"mountPath": "/data", "persistentVolumeClaim": {"claimName": "a/b"}}]);
    broken(
        json!({"files": bad, "strategy": recreate, "replicas": 1}),
        "spec.files[0].persistentVolumeClaim.claimName",
        "without a namespace",
    );
}

#[test]
fn extra_containers() {
    let of = |more: Value| {
        let mut container = json!({"name": "proxy", "image": "proxy:1"});
        container.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({"sidecars": [container], "files": [{"mountPath": "/f", "emptyDir": {}}],
               "secrets": [{"name": "unmounted"}, {"name": "mounted", "mountPath": "/s"}]})
    };
    broken(of(json!({"name": "Proxy"})), "spec.sidecars[0].name", "container name");
    broken(of(json!({"name": "user-service"})), "spec.sidecars[0].name", "another container");
    broken(
        of(json!({"ports": [{"containerPort": 80, "hostPort": 80}]})),
        "spec.sidecars[0].ports[0].hostPort",
        "node",
    );
    broken(
        of(json!({"ports": [{"containerPort": 80, "hostIP": ""}]})),
        "spec.sidecars[0].ports[0].hostIP",
        "node",
    );
    broken(of(json!({"ports": [{"containerPort": 0}]})), "spec.sidecars[0].ports[0].containerPort", "65535");
    let mount = |more: Value| {
        let mut mount = json!({"name": "files-0", "mountPath": "/x"});
        mount.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        of(json!({"volumeMounts": [mount]}))
    };
    let at = |leaf: &str| format!("spec.sidecars[0].volumeMounts[0].{leaf}");
    for name in ["files-0", "secret-0", "tmp"] {
        assert_eq!(refused(&mount(json!({ "name": name })), None), [], "{name}");
    }
    broken(mount(json!({"name": "secret-1"})), &at("name"), "files-0, secret-0, tmp");
    broken(mount(json!({"mountPath": "/proc"})), &at("mountPath"), "system");
    broken(mount(json!({"mountPropagation": "Bidirectional"})), &at("mountPropagation"), "remove it");
    broken(mount(json!({"subPath": "../x"})), &at("subPath"), "leaves the volume");
    broken(mount(json!({"subPathExpr": "/x"})), &at("subPathExpr"), "leaves the volume");
    let twice = json!([{"name": "tmp", "mountPath": "/x"}, {"name": "files-0", "mountPath": "/x"}]);
    broken(
        of(json!({ "volumeMounts": twice })),
        "spec.sidecars[0].volumeMounts[1].mountPath",
        "mounted already",
    );
    let same = json!({"name": "a", "image": "a:1"});
    broken(
        json!({"initContainers": [same], "sidecars": [same]}),
        "spec.sidecars[0].name",
        "another container",
    );
}

#[test]
fn pod_options() {
    let of = |pod: Value| json!({ "pod": pod });
    for key in [
        "app",
        "app.kubernetes.io/name",
        "microservice.dev/name",
        "x.microservice.dev/a",
        "topology.istio.io/network",
        "linkerd.io/inject",
        "pod-template-hash",
        "batch.k8s.io/a",
    ] {
        let field = crate::intent::rules::entry("spec.pod.labels", key);
        broken(of(json!({"labels": {key: "x"}})), &field, "reserved");
    }
    assert_eq!(
        refused(
            &of(
                json!({"labels": {"team": "a", "notk8s.io/a": "x", "empty": "", "sidecar.istio.io/inject": "false"}})
            ),
            None
        ),
        []
    );
    broken(of(json!({"labels": {"team": "a b"}})), "spec.pod.labels.team", "no label value");
    broken(of(json!({"tolerations": [{"operator": "Exists"}]})), "spec.pod.tolerations[0]", "control plane");
    for key in ["node-role.kubernetes.io/control-plane", "node-role.kubernetes.io/master"] {
        broken(
            of(json!({"tolerations": [{"key": key, "operator": "Exists"}]})),
            "spec.pod.tolerations[0]",
            "control plane",
        );
    }
    broken(
        of(json!({"priorityClassName": "system-node-critical"})),
        "spec.pod.priorityClassName",
        "another priority",
    );
    for id in ["runAsUser", "runAsGroup", "fsGroup"] {
        broken(of(json!({id: 0})), &format!("spec.pod.{id}"), "1 or more");
        broken(of(json!({id: -1})), &format!("spec.pod.{id}"), "1 or more");
    }
    let term = |more: Value| {
        let mut term = json!({"topologyKey": "kubernetes.io/hostname"});
        term.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        term
    };
    let required = |term: Value| json!({"requiredDuringSchedulingIgnoredDuringExecution": [term]});
    let preferred = |term: Value| json!({"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 1, "podAffinityTerm": term}]});
    broken(
        of(json!({"affinity": {"podAffinity": required(term(json!({"namespaces": ["other"]})))}})),
        "spec.pod.affinity.podAffinity",
        "other namespaces",
    );
    broken(
        of(json!({"affinity": {"podAntiAffinity": preferred(term(json!({"namespaceSelector": {}})))}})),
        "spec.pod.affinity.podAntiAffinity",
        "other namespaces",
    );
    assert_eq!(
        refused(
            &of(json!({"affinity": {"podAffinity": required(term(json!({"namespaces": ["shop"]})))}})),
            None
        ),
        []
    );
}

#[test]
fn accounts_and_annotations() {
    broken(
        json!({"service": {"annotations": {"microservice.dev/plan-hash": "x"}}}),
        "spec.service.annotations[\"microservice.dev/plan-hash\"]",
        "reserved",
    );
    assert_eq!(
        refused(&json!({"service": {"annotations": {"service.kubernetes.io/topology-mode": "Auto"}}}), None),
        []
    );
    broken(
        json!({"serviceAccount": {"annotations": {"kubernetes.io/x": "y"}}}),
        "spec.serviceAccount.annotations[\"kubernetes.io/x\"]",
        "reserved",
    );
    let class = json!({"guardrails": {"allowedServiceAccounts": ["shared", "../x"]}});
    let with = |account: Value| refused(&json!({ "serviceAccount": account }), Some(&class));
    assert_eq!(with(json!({"name": "shared"})), []);
    assert_eq!(
        reasons(&with(json!({"name": "shared", "annotations": {"a": "b"}}))),
        [(Reason::InvalidSpec, "spec.serviceAccount.annotations")]
    );
    assert_eq!(reasons(&with(json!({"name": "../x"}))), [(Reason::InvalidSpec, "spec.serviceAccount.name")]);
}

#[test]
fn guardrails_on_numbers() {
    forbidden(json!({"replicas": 6}), json!({"maxReplicas": 5}), "spec.replicas", "at most 5");
    forbidden(
        json!({"autoscaling": {"maxReplicas": 6}}),
        json!({"maxReplicas": 5}),
        "spec.autoscaling.maxReplicas",
        "at most 5",
    );
    forbidden(json!({}), json!({"maxReplicas": 0}), "spec.replicas", "at most 0");
    allowed(json!({"replicas": 5}), json!({"maxReplicas": 5}));
    let rails = json!({"maxResources": {"cpu": "1", "memory": "1Gi"}});
    allowed(json!({"resources": {"limits": {"cpu": "1000m", "memory": "1024Mi"}}}), rails.clone());
    forbidden(
        json!({"resources": {"limits": {"cpu": "2", "memory": "1Gi"}}}),
        rails.clone(),
        "spec.resources.limits.cpu",
        "at most 1",
    );
    forbidden(
        json!({"resources": {"limits": {"cpu": "1"}}}),
        rails.clone(),
        "spec.resources.limits.memory",
        "wants a limit",
    );
    let sidecar = json!({"name": "a", "image": "a:1", "resources": {"limits": {"memory": "64Mi"}}});
    forbidden(
        json!({"sidecars": [sidecar]}),
        rails,
        "spec.sidecars[0].resources.limits.cpu",
        "wants a limit",
    );
    let found = refused(
        &json!({"resources": {"requests": {"cpu": "2"}, "limits": {"memory": "1Gi"}}}),
        Some(&json!({"guardrails": {"maxResources": {"cpu": "1"}}})),
    );
    assert_eq!(
        reasons(&found),
        [
            (Reason::GuardrailViolated, "spec.resources.requests.cpu"),
            (Reason::GuardrailViolated, "spec.resources.limits.cpu")
        ]
    );
    forbidden(json!({}), json!({"maxResources": {"cpu": "x"}}), "spec.resources.limits.cpu", "no quantity");
}

#[test]
fn guardrails_on_images() {
    let rails = |prefix: &str| json!({"allowedImagePrefixes": ["other/", prefix]});
    for (image, prefix, good) in [
        ("registry.example.com/team/a:1", "registry.example.com/team/", true),
        ("registry.example.com/team/a:1", "registry.example.com/team", true),
        ("registry.example.com/team:1", "registry.example.com/team", true),
        ("registry.example.com/team-evil/a:1", "registry.example.com/team", false),
        ("registry.example.com.evil.org/a:1", "registry.example.com", false),
        ("a:1", "registry.example.com", false),
        ("a:1", "", false),
    ] {
        if good {
            allowed(json!({ "image": image }), rails(prefix));
        } else {
            forbidden(json!({ "image": image }), rails(prefix), "spec.image", "allows only images from");
        }
    }
    forbidden(
        json!({"image": "r/a:1", "initContainers": [{"name": "i", "image": "x/i:1"}]}),
        json!({"allowedImagePrefixes": ["r/"]}),
        "spec.initContainers[0].image",
        "r/",
    );
    let pinned = format!("a@sha256:{}", "0".repeat(64));
    allowed(json!({ "image": pinned }), json!({"requireDigest": true, "forbidLatest": true}));
    forbidden(json!({}), json!({"requireDigest": true}), "spec.image", "append @sha256");
    for image in ["a", "a:latest", "r:5000/a"] {
        forbidden(json!({ "image": image }), json!({"forbidLatest": true}), "spec.image", "name a version");
    }
    allowed(json!({"image": "a:latest"}), json!({"forbidLatest": false}));
}

#[test]
fn a_class_may_make_the_profile_its_default_that_its_guard_rails_allow() {
    let legacy = |rails: Value| {
        let spec = json!({"defaults": {"pod": {"securityProfile": "Baseline"}}, "guardrails": rails});
        class(&spec)
    };
    assert_eq!(crate::intent::class_violations(&legacy(json!({"securityProfile": "Baseline"}))), []);
    let found = crate::intent::class_violations(&legacy(json!({})));
    assert_eq!(reasons(&found), [(Reason::InvalidSpec, "spec.defaults.pod.securityProfile")]);
}

#[test]
fn guardrails_on_accounts_profiles_and_annotations() {
    forbidden(
        json!({"serviceAccount": {"name": "admin"}}),
        json!({}),
        "spec.serviceAccount.name",
        "allowedServiceAccounts",
    );
    let found = refused(&json!({"serviceAccount": {"name": "admin"}}), None);
    assert_eq!(reasons(&found), [(Reason::GuardrailViolated, "spec.serviceAccount.name")]);
    let baseline = json!({"pod": {"securityProfile": "Baseline"}});
    forbidden(baseline.clone(), json!({}), "spec.pod.securityProfile", "use Restricted");
    assert_eq!(reasons(&refused(&baseline, None)), [(Reason::GuardrailViolated, "spec.pod.securityProfile")]);
    allowed(baseline, json!({"securityProfile": "Baseline"}));

    let annotated = |key: &str| json!({"pod": {"annotations": {key: "x"}}});
    forbidden(annotated("team"), json!({}), "spec.pod.annotations.team", "prometheus.io/*");
    allowed(annotated("prometheus.io/scrape"), json!({}));
    allowed(annotated("cluster-autoscaler.kubernetes.io/safe-to-evict"), json!({}));
    allowed(annotated("team"), json!({"allowedPodAnnotations": ["te*"]}));
    forbidden(
        annotated("teams"),
        json!({"allowedPodAnnotations": ["team"]}),
        "spec.pod.annotations.teams",
        "team",
    );
    for key in [
        "microservice.dev/config-hash",
        "kubectl.kubernetes.io/restartedAt",
        "container.apparmor.security.beta.kubernetes.io/user-service",
        "seccomp.security.alpha.kubernetes.io/pod",
    ] {
        let found = refused(&annotated(key), Some(&json!({"guardrails": {"allowedPodAnnotations": ["*"]}})));
        let field = crate::intent::rules::entry("spec.pod.annotations", key);
        one(&found, Reason::InvalidSpec, &field, "no class can allow it", &json!(key));
    }
}

#[test]
fn ports_of_helpers() {
    let helper = |ports: Value| json!({"sidecars": [{"name": "a", "image": "a:1", "ports": ports}]});
    let port = |name: &str, number: i32| json!({"name": name, "containerPort": number});
    broken(helper(json!([port("m", 1), port("m", 2)])), "spec.sidecars[0].ports[1].name", "another port");
    broken(helper(json!([port("m", 1), port("n", 1)])), "spec.sidecars[0].ports[1].containerPort", "1/TCP");
    let both = json!([{"containerPort": 53}, {"containerPort": 53, "protocol": "UDP"}]);
    assert_eq!(refused(&helper(both), None), []);
}

#[test]
fn targets_of_metrics() {
    let metric = |kind: &str, source: Value| json!({"autoscaling": {"maxReplicas": 5, "metrics": [{"type": kind, kind_field(kind): source}]}});
    let at = |leaf: &str| format!("spec.autoscaling.metrics[0].{leaf}");
    let cpu = |target: Value| metric("Resource", json!({"name": "memory", "target": target}));
    let pods = |target: Value| metric("Pods", json!({"metric": {"name": "m"}, "target": target}));
    let external = |target: Value| metric("External", json!({"metric": {"name": "m"}, "target": target}));
    let average = |value: &str| json!({"type": "AverageValue", "averageValue": value});
    broken(
        cpu(json!({"type": "Value", "value": "1"})),
        &at("resource.target.type"),
        "Utilization or AverageValue",
    );
    let both = json!({"type": "Utilization", "averageUtilization": 80, "averageValue": "1"});
    broken(cpu(both), &at("resource.target.averageValue"), "remove it");
    broken(cpu(json!({"type": "Utilization"})), &at("resource.target"), "needs averageUtilization");
    broken(cpu(average("0")), &at("resource.target.averageValue"), "above 0");
    broken(pods(json!({"type": "Value", "value": "1"})), &at("pods.target.type"), "use AverageValue");
    broken(pods(average("-1")), &at("pods.target.averageValue"), "above 0");
    broken(
        external(json!({"type": "Utilization", "averageUtilization": 1})),
        &at("external.target.type"),
        "Value",
    );
    broken(external(average("many")), &at("external.target.averageValue"), "above 0");
    for good in [cpu(average("1Gi")), pods(average("100m")), external(json!({"type": "Value", "value": "5"}))]
    {
        assert_eq!(refused(&good, None), [], "{good}");
    }
    let class = json!({"defaults": {"autoscaling": {"maxReplicas": 5, "metrics": [
        {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Value", "value": "1"}}},
    ]}}});
    assert_eq!(
        reasons(&crate::intent::class_violations(&self::class(&class))),
        [(Reason::InvalidSpec, "spec.defaults.autoscaling.metrics[0].resource.target.type")]
    );
}

/// The field of a metric of this type.
fn kind_field(kind: &str) -> &'static str {
    match kind {
        "Resource" => "resource",
        "Pods" => "pods",
        _ => "external",
    }
}

#[test]
fn what_a_network_policy_could_not_say() {
    let external = |cidr: &str| json!({"calls": [{"external": {"cidr": cidr, "ports": [1]}}]});
    let field = "spec.calls[0].external.cidr";
    for cidr in
        ["", "192.0.2.0", "192.0.2.0/33", "192.0.2.0/024", "300.0.0.0/8", "::ffff:192.0.2.0/120", "::/129"]
    {
        broken(external(cidr), field, "no range of addresses");
    }
    broken(external("192.0.2.7/24"), field, "write 192.0.2.0/24");
    broken(external("2001:db8::1/64"), field, "write 2001:db8::/64");
    for cidr in ["192.0.2.0/24", "192.0.2.7/32", "0.0.0.0/0", "2001:DB8::/64", "::1/128", "::/0"] {
        assert_eq!(refused(&external(cidr), None), [], "{cidr}");
    }
    let pods = |labels: Value| json!({"podSelector": {"matchLabels": labels}, "ports": [1]});
    let field = "spec.calls[0].workload.podSelector.matchLabels";
    broken(
        json!({"calls": [{"workload": pods(json!({"app": "x y"}))}]}),
        &format!("{field}.app"),
        "no label value",
    );
    for key in ["-app", "a/b/c", "A_b/c", ""] {
        let at = crate::intent::rules::entry(field, key);
        broken(json!({"calls": [{"workload": pods(json!({key: "x"}))}]}), &at, "no label");
    }
    assert_eq!(
        refused(&json!({"calls": [{"workload": pods(json!({"a.b/C_d": "", "e": "F.g"}))}]}), None),
        []
    );
    let callers = json!({"callers": [{"podSelector": {"matchLabels": {"app": "x y"}}}]});
    broken(callers, "spec.callers[0].podSelector.matchLabels.app", "no label value");
    let callers = json!({"callers": [{"namespaceSelector": {"matchLabels": {"team!": "x"}}}]});
    broken(callers, "spec.callers[0].namespaceSelector.matchLabels[\"team!\"]", "no label");
}

#[test]
fn what_a_class_gives_to_every_network_policy() {
    let network = json!({
        "gateways": [{"cidr": "300.0.0.0/8"}], "monitoring": [{"cidr": "10.0.5.1/16"}],
        "dns": [{"namespace": "kube-system", "podSelector": {"matchLabels": {"k8s-app": "kube dns"}}}],
        "infrastructure": [{"to": {"cidr": "10.1.0.0/16"}, "ports": [1]}, {"to": {"cidr": "10/8"}, "ports": [1]}],
    });
    let fields = [
        "spec.network.gateways[0].cidr",
        "spec.network.monitoring[0].cidr",
        "spec.network.dns[0].podSelector.matchLabels.k8s-app",
        "spec.network.infrastructure[1].to.cidr",
    ];
    let bad = class(&json!({ "network": network }));
    let invalid = fields.map(|field| (Reason::InvalidSpec, field));
    assert_eq!(reasons(&crate::intent::class_violations(&bad)), invalid);
    // No policy is written for its services yet.
    assert_eq!(refused(&json!({}), Some(&json!({ "network": network }))), []);
    let mut enforced = network;
    enforced["mode"] = json!("Enforce");
    let found = refused(&json!({}), Some(&json!({ "network": enforced })));
    assert_eq!(reasons(&found), invalid);
    assert!(found.iter().all(|violation| violation.message.contains("MicroserviceClass")), "{found:?}");
}

#[test]
fn guardrails_on_namespaces() {
    let observed = Observed { operator_namespace: Some("operator".to_owned()), ..Observed::default() };
    let found = |namespace: &str, class: Option<&MicroserviceClass>| {
        let mut object = service(&json!({}));
        object.metadata.namespace = Some(namespace.to_owned());
        Intent::resolve(&object, class, &observed).err().unwrap_or_default()
    };
    for namespace in ["kube-system", "kube-public", "kube-node-lease", "operator"] {
        assert_eq!(reasons(&found(namespace, None)), [(Reason::GuardrailViolated, "metadata.namespace")]);
    }
    assert_eq!(found("shop", None), []);
    let only = class(&json!({"guardrails": {"allowedNamespaces": ["kube-system"]}}));
    assert_eq!(found("kube-system", Some(&only)), []);
    assert_eq!(reasons(&found("shop", Some(&only))), [(Reason::GuardrailViolated, "metadata.namespace")]);
}

#[test]
fn all_violations_at_once_in_the_order_of_the_fields() {
    let fields = json!({
        "pod": {"runAsUser": 0}, "port": 0, "replicas": -1, "image": "", "env": [{"name": ""}],
        "disruptionBudget": {"maxUnavailable": 0}, "serviceAccount": {"name": "admin"},
    });
    let fields_found: Vec<String> =
        refused(&fields, None).into_iter().map(|violation| violation.field).collect();
    assert_eq!(
        fields_found,
        [
            "spec.image",
            "spec.port",
            "spec.replicas",
            "spec.env[0].name",
            "spec.pod.runAsUser",
            "spec.serviceAccount.name",
            "spec.disruptionBudget.maxUnavailable"
        ]
    );
}
