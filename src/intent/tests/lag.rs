//! Scaling by lag: which group on which topic an entry means, and what is refused.

use super::*;
use crate::intent::lag::{LagScaling, LagTopic};
use crate::intent::{AutoScaling, Scaling};

fn class_with(more: &Value) -> Value {
    let mut cluster = json!({"name": "main", "bootstrapServers": ["k0:9092", "k1:9092"]});
    cluster.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({"kafka": {"topicNameTemplate": "{namespace}.{name}", "clusters": [cluster]}})
}

/// A service that reads these, scaled by these, in this class.
fn scaled(kafka: &Value, entries: &Value, more: &Value, class: &Value) -> AutoScaling {
    let mut autoscaling = json!({"minReplicas": 2, "maxReplicas": 8, "kafka": entries});
    autoscaling.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let intent = resolved_with(json!({"kafka": kafka, "autoscaling": autoscaling}), class.clone());
    let Scaling::Auto(auto) = intent.scaling else { panic!("{:?}", intent.scaling) };
    *auto
}

fn lag(kafka: &Value, entries: &Value) -> LagScaling {
    *scaled(kafka, entries, &json!({}), &class_with(&json!({}))).lag.expect("it scales by lag")
}

fn topic(name: &str, physical: &str, group: &str, threshold: i32) -> LagTopic {
    let text = str::to_owned;
    LagTopic { name: text(name), physical_name: text(physical), group: text(group), threshold, activation: 0 }
}

/// Exactly one violation, at this field; `says` is part of the message.
#[track_caller]
fn broken(kafka: &Value, entries: &Value, field: &str, says: &str) {
    let fields = json!({"kafka": kafka, "autoscaling": {"maxReplicas": 8, "kafka": entries}});
    let found = refused(&fields, Some(&class_with(&json!({}))));
    assert_eq!(reasons(&found), [(Reason::InvalidSpec, field)], "{fields}: {found:?}");
    assert!(found[0].message.contains(says), "{}", found[0].message);
}

#[test]
fn an_entry_means_the_group_that_reads_the_topic() {
    let kafka = json!({"consumes": [
        {"topic": "orders", "group": "settlement"},
        {"topic": "ledger", "namespace": "platform"},
    ]});
    let entries = json!([
        {"topic": "orders", "lagThreshold": 100, "activationLagThreshold": 7},
        {"topic": "ledger", "lagThreshold": 5},
    ]);
    let orders = LagTopic { activation: 7, ..topic("orders", "shop.orders", "shop.settlement", 100) };
    let ledger = topic("ledger", "platform.ledger", "shop.user-service", 5);
    let lag = lag(&kafka, &entries);
    assert_eq!(lag.topics, [orders, ledger]);
    assert_eq!(lag.bootstrap_servers, ["k0:9092", "k1:9092"]);
    assert!(lag.served, "offline, KEDA is taken to be there");
}

#[test]
fn an_owner_and_a_group_tell_topics_of_one_name_apart() {
    let kafka = json!({
        "consumes": [
            {"topic": "audit", "namespace": "a", "group": "one"},
            {"topic": "audit", "namespace": "b", "group": "two"},
        ],
    });
    // Their variables would be the same: the service sets its own.
    let fields = |entry: Value| {
        let env = ["KAFKA_TOPIC_AUDIT", "KAFKA_GROUP_AUDIT"].map(|name| json!({"name": name, "value": "x"}));
        json!({"kafka": kafka, "env": env, "autoscaling": {"maxReplicas": 8, "kafka": [entry]}})
    };
    let meant = |entry: Value| {
        let intent = resolved_with(fields(entry), class_with(&json!({})));
        intent.scaling.lag().unwrap().topics[0].clone()
    };
    let one = topic("audit", "a.audit", "shop.one", 1);
    let two = topic("audit", "b.audit", "shop.two", 1);
    assert_eq!(meant(json!({"topic": "audit", "namespace": "a", "lagThreshold": 1})), one);
    assert_eq!(meant(json!({"topic": "audit", "group": "two", "lagThreshold": 1})), two);

    let class = class_with(&json!({}));
    let found = refused(&fields(json!({"topic": "audit", "lagThreshold": 1})), Some(&class));
    assert_eq!(reasons(&found), [(Reason::InvalidSpec, "spec.autoscaling.kafka[0]")]);
    assert!(found[0].message.contains("set namespace to a or b"), "{}", found[0].message);
    let entry = json!({"topic": "audit", "namespace": "a", "group": "two", "lagThreshold": 1});
    let found = refused(&fields(entry), Some(&class));
    assert!(found[0].message.contains("with this namespace and group"), "{}", found[0].message);
}

#[test]
fn a_streams_application_says_which_group_is_meant() {
    let kafka = json!({"consumes": [{"topic": "orders"}], "streams": {"applicationId": "sums"}});
    let entry = |group: &str| json!([{"topic": "orders", "group": group, "lagThreshold": 3}]);
    assert_eq!(lag(&kafka, &entry("sums")).topics, [topic("orders", "shop.orders", "shop.sums", 3)]);
    let own = topic("orders", "shop.orders", "shop.user-service", 3);
    assert_eq!(lag(&kafka, &entry("user-service")).topics, [own]);
    let open = json!([{"topic": "orders", "lagThreshold": 3}]);
    broken(&kafka, &open, "spec.autoscaling.kafka[0]", "set group to sums or user-service");
    // One name for both is one group.
    let same =
        json!({"consumes": [{"topic": "orders", "group": "sums"}], "streams": {"applicationId": "sums"}});
    assert_eq!(lag(&same, &open).topics, [topic("orders", "shop.orders", "shop.sums", 3)]);
}

#[test]
fn what_is_not_consumed_or_said_twice_is_refused() {
    let kafka = json!({"consumes": [{"topic": "orders"}], "produces": [{"topic": "audit"}]});
    let entry = |topic: &str| json!({"topic": topic, "lagThreshold": 1});
    broken(&kafka, &json!([entry("audit")]), "spec.autoscaling.kafka[0].topic", "does not consume \"audit\"");
    let same = json!({"topic": "orders", "group": "user-service", "lagThreshold": 2});
    broken(&kafka, &json!([entry("orders"), same]), "spec.autoscaling.kafka[1].topic", "listed twice");
    for (leaf, number, says) in [
        ("lagThreshold", 0, "use 1 to 1000000000"),
        ("lagThreshold", -5, "use 1 to 1000000000"),
        ("activationLagThreshold", -1, "use 0 to 1000000000"),
    ] {
        let mut bad = entry("orders");
        bad[leaf] = json!(number);
        broken(&kafka, &json!([bad]), &format!("spec.autoscaling.kafka[0].{leaf}"), says);
    }
    let fields = json!({"autoscaling": {"maxReplicas": 8, "kafka": [entry("orders")]}});
    let found = refused(&fields, None);
    assert_eq!(reasons(&found), [(Reason::InvalidSpec, "spec.autoscaling.kafka")]);
}

#[test]
fn a_metric_that_keda_cannot_take_is_refused_and_never_left_out() {
    let (kafka, entries) =
        (json!({"consumes": [{"topic": "orders"}]}), json!([{"topic": "orders", "lagThreshold": 1}]));
    let target = json!({"type": "AverageValue", "averageValue": "10"});
    let pods = json!({"type": "Pods", "pods": {"metric": {"name": "rps"}, "target": target}});
    let memory = json!({"type": "Resource", "resource": {"name": "memory", "target": target}});
    let autoscaling = |metrics: &Value| json!({"kafka": kafka, "autoscaling": {"maxReplicas": 8, "kafka": entries, "metrics": metrics}});
    let class = class_with(&json!({}));
    let found = refused(&autoscaling(&json!([memory, pods])), Some(&class));
    assert_eq!(reasons(&found), [(Reason::InvalidSpec, "spec.autoscaling.metrics[1]")]);
    assert_eq!(refused(&autoscaling(&json!([memory])), Some(&class)), []);

    // What the class adds, an empty list takes back.
    let mut adding = class.clone();
    adding["defaults"] = json!({"autoscaling": {"maxReplicas": 5, "metrics": [pods]}});
    let plain = json!({"kafka": kafka, "autoscaling": {"maxReplicas": 8, "kafka": entries}});
    let found = refused(&plain, Some(&adding));
    assert_eq!(reasons(&found), [(Reason::InvalidSpec, "spec.autoscaling.metrics")]);
    assert!(found[0].message.contains("metrics to []"), "{}", found[0].message);
    assert_eq!(refused(&autoscaling(&json!([])), Some(&adding)), []);
}

#[test]
fn cpu_is_a_default_only_where_nothing_else_scales() {
    let (kafka, entries) =
        (json!({"consumes": [{"topic": "orders"}]}), json!([{"topic": "orders", "lagThreshold": 1}]));
    let class = class_with(&json!({}));
    let alone = scaled(&kafka, &entries, &json!({}), &class);
    assert_eq!((alone.metrics.len(), alone.lag.unwrap().metrics.len()), (1, 0), "CPU without KEDA");
    let both = scaled(&kafka, &entries, &json!({"targetCPUUtilizationPercentage": 60}), &class);
    assert_eq!(both.metrics, both.lag.unwrap().metrics);
    // A default that KEDA does not get asks for no request either.
    let fields = json!({
        "kafka": kafka, "resources": {"requests": {}, "limits": {}},
        "autoscaling": {"maxReplicas": 8, "kafka": entries},
    });
    assert_eq!(refused(&fields, Some(&class)), []);
}

#[test]
fn the_login_is_that_of_the_service() {
    let (kafka, entries) =
        (json!({"consumes": [{"topic": "orders"}]}), json!([{"topic": "orders", "lagThreshold": 1}]));
    let login = |cluster: Value| {
        let lag = scaled(&kafka, &entries, &json!({}), &class_with(&cluster)).lag.unwrap();
        (lag.tls, lag.login.map(|login| (login.secret, login.mechanism, login.ca)))
    };
    let managed = |ca| Some(("user-service-kafka".to_owned(), "SCRAM-SHA-512", ca));
    assert_eq!(login(json!({})), (false, managed(false)));
    assert_eq!(login(json!({"tls": {}})), (true, managed(false)));
    assert_eq!(login(json!({"tls": {"caSecretName": "ca"}})), (true, managed(true)));
    assert_eq!(login(json!({"users": {"mode": "None"}})), (false, None));
    let existing = json!({
        "sasl": {"mechanism": "PLAIN", "secretName": "admin"},
        "users": {
            "mode": "Existing", "secretNameTemplate": "{name}-msk",
            "principalTemplate": "User:{namespace}.{name}",
        },
    });
    assert_eq!(login(existing), (false, Some(("user-service-msk".to_owned(), "PLAIN", false))));
}

#[test]
fn a_cluster_without_keda_keeps_the_bounds_and_the_other_metrics() {
    let fields = json!({
        "kafka": {"consumes": [{"topic": "orders"}]},
        "autoscaling": {"minReplicas": 2, "maxReplicas": 8, "kafka": [{"topic": "orders", "lagThreshold": 1}]},
    });
    let observed = Observed { keda_missing: true, ..Observed::default() };
    let class = class(&class_with(&json!({})));
    let intent = Intent::resolve(&service(&fields), Some(&class), &observed).unwrap();
    let Scaling::Auto(auto) = &intent.scaling else { panic!("{:?}", intent.scaling) };
    assert_eq!((auto.min, auto.max, auto.metrics.len()), (2, 8, 1));
    assert!(auto.lag.is_some() && auto.served_lag().is_none());
    // Whether it is there changes neither the class's revision nor a template.
    let with = Intent::resolve(&service(&fields), Some(&class), &Observed::default()).unwrap();
    assert_eq!(with.class_revision, intent.class_revision);
}

#[test]
fn stopped_and_fixed_services_do_not_scale_by_lag() {
    let kafka = json!({"consumes": [{"topic": "orders"}]});
    let fields = |more: Value| {
        let entries = json!([{"topic": "orders", "lagThreshold": 1}]);
        let mut autoscaling = json!({"maxReplicas": 3, "kafka": entries});
        autoscaling.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({"kafka": kafka, "autoscaling": autoscaling})
    };
    let fixed = resolved_with(fields(json!({"minReplicas": 3})), class_with(&json!({})));
    assert_eq!(fixed.scaling, Scaling::Static(3));
    let mut stopped = fields(json!({}));
    stopped["replicas"] = json!(0);
    assert_eq!(resolved_with(stopped, class_with(&json!({}))).scaling, Scaling::Stopped);
}
