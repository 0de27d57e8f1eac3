//! Spec over class over built-in, leaf by leaf, with the exceptions of the API.

use super::defaults::explicit;
use super::*;
use crate::intent::Scaling;

fn cpu_memory(intent: &Intent) -> Value {
    let part =
        |part: &str, name: &str| value(&intent.resources)[part].get(name).cloned().unwrap_or(Value::Null);
    json!([
        part("requests", "cpu"),
        part("requests", "memory"),
        part("limits", "cpu"),
        part("limits", "memory")
    ])
}

#[test]
fn requests_and_limits_replace_whole_and_defaults_follow() {
    for (given, expected) in [
        (json!({"requests": {"cpu": "100m"}}), json!(["100m", null, "500m", "512Mi"])),
        (json!({"limits": {}}), json!(["250m", "256Mi", null, null])),
        (json!({"requests": {}, "limits": {}}), json!([null, null, null, null])),
        (json!({"limits": {"cpu": "2"}}), json!(["250m", "256Mi", "2", null])),
        (json!({"requests": {"cpu": "2", "memory": "1Gi"}}), json!(["2", "1Gi", "2", "1Gi"])),
        (json!({"limits": {"cpu": "100m", "memory": "64Mi"}}), json!(["100m", "64Mi", "100m", "64Mi"])),
        (json!({"requests": {"cpu": "1000m"}, "limits": {"cpu": "1.5"}}), json!(["1", null, "1500m", null])),
    ] {
        assert_eq!(cpu_memory(&resolved(json!({ "resources": given }))), expected, "{given}");
    }
}

#[test]
fn class_resources_stand_between() {
    let with = |spec: Value, class: Value| {
        cpu_memory(&resolved_with(json!({ "resources": spec }), json!({"defaults": {"resources": class}})))
    };
    let class = json!({"requests": {"cpu": "1", "memory": "1Gi"}});
    assert_eq!(with(json!({}), class.clone()), json!(["1", "1Gi", "1", "1Gi"]), "a built-in limit rises");
    assert_eq!(with(json!({"limits": {"cpu": "500m"}}), class.clone()), json!(["500m", "1Gi", "500m", null]));
    assert_eq!(with(json!({"requests": {"cpu": "2"}}), class), json!(["2", null, "2", "512Mi"]));
    let limits = json!({"limits": {"cpu": "100m", "memory": "2Gi"}});
    assert_eq!(with(json!({}), limits), json!(["100m", "256Mi", "100m", "2Gi"]), "a built-in request falls");
}

#[test]
fn defaults_keep_the_ceilings_of_the_class() {
    let class = json!({"guardrails": {"maxResources": {"cpu": "200m", "memory": "300Mi"}, "maxReplicas": 2}});
    let intent = resolved_with(json!({"sidecars": [{"name": "a", "image": "a:1"}]}), class.clone());
    assert_eq!(cpu_memory(&intent), json!(["200m", "256Mi", "200m", "300Mi"]));
    assert_eq!(value(&intent.sidecars[0].resources)["limits"]["cpu"], "200m");
    assert_eq!(intent.scaling, Scaling::Static(2));
    let lower = resolved_with(
        json!({}),
        json!({"guardrails": {"maxReplicas": 4}, "defaults": {"autoscaling": {"maxReplicas": 9}}}),
    );
    assert!(matches!(lower.scaling, Scaling::Auto(auto) if (auto.min, auto.max) == (3, 4)));
}

#[test]
fn spec_over_class_over_built_in_for_each_leaf() {
    let class = json!({"defaults": {
        "replicas": 4,
        "health": {"path": "/class", "periodSeconds": 7, "liveness": {"failureThreshold": 9}},
        "shutdown": {"drainSeconds": 10},
        "strategy": {"rollingUpdate": {"maxSurge": 1}},
        "pod": {"labels": {"a": "class", "b": "class"}, "tolerations": [{"key": "class", "operator": "Exists"}],
                "nodeSelector": {"disk": "ssd"}, "runAsUser": 1000, "priorityClassName": "class",
                "annotations": {"company.example/team": "platform"}},
    }});
    let intent = resolved_with(json!({}), class.clone());
    assert_eq!(intent.scaling, Scaling::Static(4));
    assert_eq!(value(&intent.probes.readiness)["httpGet"]["path"], "/class");
    assert_eq!(value(&intent.probes.readiness)["periodSeconds"], 7);
    assert_eq!(value(&intent.probes.readiness)["timeoutSeconds"], 2, "built-in below the class");
    assert_eq!(value(&intent.probes.liveness)["failureThreshold"], 9);
    assert_eq!((intent.drain_seconds, intent.grace_period_seconds), (10, 35));
    assert_eq!(value(&intent.strategy.rolling_update), json!({"maxUnavailable": 0, "maxSurge": 1}));
    assert_eq!(
        (intent.pod.run_as_user, intent.pod.priority_class_name.as_deref()),
        (Some(1000), Some("class"))
    );
    assert_eq!(intent.pod.annotations["company.example/team"], "platform", "the class needs no permission");

    let spec = json!({
        "replicas": 2, "health": {"path": "/spec", "liveness": {"periodSeconds": 3}},
        "shutdown": {"gracePeriodSeconds": 60}, "strategy": {"rollingUpdate": {"maxUnavailable": "10%"}},
        "pod": {"labels": {"a": "spec"}, "tolerations": [], "runAsUser": 2000, "nodeSelector": {"zone": "a"}},
    });
    let intent = resolved_with(spec, class);
    assert_eq!(intent.scaling, Scaling::Static(2));
    assert_eq!(value(&intent.probes.readiness)["httpGet"]["path"], "/spec");
    assert_eq!(value(&intent.probes.readiness)["periodSeconds"], 7, "not set by the spec");
    let liveness = value(&intent.probes.liveness);
    assert_eq!((&liveness["periodSeconds"], &liveness["failureThreshold"]), (&json!(3), &json!(9)));
    assert_eq!((intent.drain_seconds, intent.grace_period_seconds), (10, 60));
    assert_eq!(value(&intent.strategy.rolling_update), json!({"maxUnavailable": "10%", "maxSurge": 1}));
    assert_eq!(value(&intent.pod.labels), json!({"a": "spec", "b": "class"}), "maps merge by key");
    assert_eq!(value(&intent.pod.node_selector), json!({"disk": "ssd", "zone": "a"}));
    assert_eq!(intent.pod.tolerations, [], "lists are replaced");
    assert_eq!(intent.pod.run_as_user, Some(2000));
}

#[test]
fn affinity_merges_by_kind() {
    let node = json!({"preferredDuringSchedulingIgnoredDuringExecution": []});
    let pod = json!({"preferredDuringSchedulingIgnoredDuringExecution": []});
    let class = json!({"defaults": {"pod": {"affinity": {"nodeAffinity": node}}}});
    let only_class = resolved_with(json!({}), class.clone());
    assert_eq!(value(&only_class.pod.affinity), json!({"nodeAffinity": node}));
    let both = resolved_with(json!({"pod": {"affinity": {"podAffinity": pod}}}), class);
    assert_eq!(value(&both.pod.affinity), json!({"nodeAffinity": node, "podAffinity": pod}));
}

#[test]
fn a_class_scales_only_who_says_nothing() {
    let class = json!({"defaults": {"replicas": 7, "autoscaling": {
        "minReplicas": 5, "maxReplicas": 8, "targetCPUUtilizationPercentage": 60,
        "behavior": {"scaleUp": {"stabilizationWindowSeconds": 30}}}}});
    let auto = |fields: Value| match resolved_with(fields, class.clone()).scaling {
        Scaling::Auto(auto) => (
            auto.min,
            auto.max,
            value(auto.metrics)[0]["containerResource"]["target"]["averageUtilization"].clone(),
        ),
        other => panic!("{other:?}"),
    };
    assert_eq!(auto(json!({})), (5, 8, json!(60)));
    assert_eq!(auto(json!({"autoscaling": {"maxReplicas": 20}})), (5, 20, json!(60)));
    assert_eq!(
        auto(
            json!({"autoscaling": {"maxReplicas": 20, "minReplicas": 2, "targetCPUUtilizationPercentage": 50}})
        ),
        (2, 20, json!(50))
    );
    assert_eq!(
        resolved_with(json!({"autoscaling": {"maxReplicas": 4}}), class.clone()).scaling,
        Scaling::Static(4)
    );
    assert_eq!(resolved_with(json!({"replicas": 2}), class.clone()).scaling, Scaling::Static(2));
    assert_eq!(resolved_with(json!({"replicas": 0}), class.clone()).scaling, Scaling::Stopped);
    match resolved_with(json!({}), class).scaling {
        Scaling::Auto(auto) => {
            let up = value(auto.behavior.scale_up);
            assert_eq!((&up["stabilizationWindowSeconds"], &up["selectPolicy"]), (&json!(30), &json!("Max")));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn recreate_of_the_spec_drops_the_numbers_of_the_class() {
    let class =
        json!({"defaults": {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 2}}}});
    let intent = resolved_with(json!({"strategy": {"type": "Recreate"}}), class);
    assert_eq!(value(&intent.strategy), json!({"type": "Recreate"}));
}

#[test]
fn a_default_in_the_class_changes_nothing_but_the_revision() {
    let none = resolved_with(json!({}), json!({}));
    for (field, default) in explicit() {
        if !["replicas", "resources", "health", "shutdown", "pod", "strategy"].contains(&field) {
            continue;
        }
        let mut intent = resolved_with(json!({}), json!({"defaults": {field: default}}));
        assert_ne!(intent.class_revision, none.class_revision, "{field}");
        intent.class_revision.clone_from(&none.class_revision);
        assert_eq!(intent, none, "{field}");
    }
}

#[test]
fn the_class_revision_follows_what_plans_depend_on() {
    let revision = |class: Value| resolved_with(json!({}), class).class_revision;
    let base = revision(json!({}));
    assert_eq!(base, revision(json!({"defaultsRevision": 1})));
    assert_ne!(
        base,
        resolved(json!({})).class_revision,
        "another class, even an equal one, is another revision"
    );
    assert_ne!(base, revision(json!({"defaults": {"replicas": 2}})));
    assert_eq!(
        base,
        revision(json!({"guardrails": {"forbidLatest": true}})),
        "allows or refuses, changes no child"
    );
}

#[test]
fn env_of_the_user_wins_and_follows_ours() {
    let intent = resolved(json!({
        "env": [{"name": "DATABASE_URL", "value": "mine"}, {"name": "FULL", "value": "$(TOKEN)/x"}],
        "secrets": [{"name": "db", "env": [{"name": "DATABASE_URL", "key": "url"}, {"name": "TOKEN", "key": "token"}]}],
    }));
    let names: Vec<&str> = intent.env.iter().map(|entry| entry.name.as_str()).collect();
    assert_eq!(names, ["TOKEN", "DATABASE_URL", "FULL"]);
    assert_eq!(value(&intent.env[0].value_from), json!({"secretKeyRef": {"name": "db", "key": "token"}}));
    assert_eq!(intent.env[1].value.as_deref(), Some("mine"));
}

#[test]
fn the_own_config_map_comes_first() {
    let intent =
        resolved(json!({"config": {"LOG": "info"}, "envFrom": [{"configMapRef": {"name": "shared"}}]}));
    assert_eq!(
        value(&intent.env_from),
        json!([{"configMapRef": {"name": "user-service-config"}}, {"configMapRef": {"name": "shared"}}])
    );
    assert_eq!(value(&intent.config), json!({"LOG": "info"}));
}
