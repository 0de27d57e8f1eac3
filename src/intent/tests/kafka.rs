//! Kafka: what a service and its class resolve to, and what a class refuses.

use crate::intent::kafka::{Consent, KafkaIntent, ModeIntent, UsersIntent};

use super::*;

/// A class with one cluster and these further fields of `spec.kafka`.
fn kafka_class(more: &Value) -> Value {
    let mut kafka = json!({
        "topicNameTemplate": "{namespace}.{name}",
        "clusters": [{"name": "main", "bootstrapServers": ["k0:9092", "k1:9092"]}],
    });
    kafka.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({ "kafka": kafka })
}

fn intent(kafka: Value, class: &Value) -> (KafkaIntent, Intent) {
    let intent = resolved_with(json!({ "kafka": kafka }), class.clone());
    (*intent.kafka.clone().unwrap(), intent)
}

fn variables(intent: &Intent) -> Vec<(&str, &str)> {
    intent
        .env
        .iter()
        .map(|entry| (entry.name.as_str(), entry.value.as_deref().unwrap_or("<secret>")))
        .collect()
}

#[track_caller]
fn broken(kafka: Value, class: &Value, reason: Reason, field: &str, says: &str) {
    let found = refused(&json!({ "kafka": kafka }), Some(class));
    assert_eq!(reasons(&found), [(reason, field)], "{kafka}: {found:?}");
    assert!(found[0].message.contains(says), "{}", found[0].message);
}

#[track_caller]
fn forbidden(kafka: Value, class: &Value, field: &str, says: &str) {
    broken(kafka, class, Reason::GuardrailViolated, field, says);
}

#[track_caller]
fn invalid(kafka: Value, field: &str, says: &str) {
    broken(kafka, &kafka_class(&json!({})), Reason::InvalidSpec, field, says);
}

#[test]
fn without_kafka_there_is_none_of_it() {
    let class = kafka_class(&json!({}));
    let intent = resolved_with(json!({}), class.clone());
    assert_eq!((intent.kafka, intent.env), (None, Vec::new()));
    // Services without Kafka do not depend on the class's part.
    let other = kafka_class(&json!({"topicNameTemplate": "{name}"}));
    let revision = |class: &Value, fields: Value| resolved_with(fields, class.clone()).class_revision;
    assert_eq!(revision(&class, json!({})), revision(&other, json!({})));
    assert_ne!(revision(&class, json!({"kafka": {}})), revision(&other, json!({"kafka": {}})));
    let rails = kafka_class(&json!({"maxPartitions": 5, "allowedConfig": ["compression.type"]}));
    assert_eq!(revision(&class, json!({"kafka": {}})), revision(&rails, json!({"kafka": {}})));
}

#[test]
fn topics_have_their_names_on_the_cluster_and_kafkas_words() {
    let topic = json!({
        "name": "order-events", "partitions": 6, "retention": "1d12h", "retentionBytes": "10Gi",
        "cleanupPolicy": "CompactDelete", "minInsyncReplicas": 2, "maxMessageBytes": 1000,
        "config": {"compression.type": "zstd"}
    });
    let class = kafka_class(&json!({
        "allowedConfig": ["compression.type"], "defaults": {"partitions": 3, "replicationFactor": 3}
    }));
    let (kafka, _) = intent(json!({"topics": [topic, {"name": "plain"}]}), &class);
    let [orders, plain] = kafka.topics.as_slice() else { panic!("{kafka:?}") };
    assert_eq!(orders.physical_name, "shop.order-events");
    assert_eq!((orders.partitions, orders.initial_partitions), (Some(6), Some(6)));
    assert_eq!((orders.replication_factor, orders.initial_replication_factor), (None, Some(3)));
    let expected = [
        ("cleanup.policy", "compact,delete"),
        ("compression.type", "zstd"),
        ("max.message.bytes", "1000"),
        ("min.insync.replicas", "2"),
        ("retention.bytes", "10737418240"),
        ("retention.ms", "129600000"),
    ];
    assert!(orders.config.iter().map(|(key, value)| (key.as_str(), value.as_str())).eq(expected));
    assert_eq!(
        (plain.partitions, plain.initial_partitions),
        (None, Some(3)),
        "the class's default is for new topics"
    );
    assert_eq!((plain.config.len(), plain.producers.clone()), (0, Consent::OwnNamespace));
}

#[test]
fn infinite_and_the_largest_retention_are_in_range() {
    let retention = |time: &str, size: &str| {
        let topic = json!({"name": "a", "retention": time, "retentionBytes": size});
        let (kafka, _) = intent(json!({"topics": [topic]}), &kafka_class(&json!({})));
        ["retention.ms", "retention.bytes"].map(|key| kafka.topics[0].config[key].clone())
    };
    assert_eq!(retention("Infinite", "Infinite"), ["-1", "-1"]);
    let largest = retention("99999d99999d99999d99999d", "999999Ti");
    assert_eq!(largest, ["34559654400000", "1099510528264372224"], "no overflow");
    assert_eq!(retention("1ms", "999999999999999"), ["1", "999999999999999"]);
}

#[test]
fn consent_is_absent_empty_or_a_list() {
    let topic =
        json!({"name": "a", "producers": [], "consumers": [{"name": "x"}, {"name": "y", "namespace": "b"}]});
    let (kafka, _) = intent(json!({"topics": [topic]}), &kafka_class(&json!({})));
    let (producers, consumers) = (&kafka.topics[0].producers, &kafka.topics[0].consumers);
    let allowed = |consent: &Consent| {
        [("shop", "x"), ("shop", "y"), ("b", "y"), ("b", "x")]
            .map(|(at, name)| consent.allows("shop", at, name))
    };
    assert_eq!(allowed(producers), [false; 4]);
    assert_eq!(allowed(consumers), [true, false, true, false]);
    assert_eq!(allowed(&Consent::OwnNamespace), [true, true, false, false]);
}

#[test]
fn references_groups_and_streams_are_resolved() {
    let class = kafka_class(&json!({"externalTopics": [{"name": "legacy", "access": "Read"}]}));
    let (kafka, of) = intent(
        json!({
            "topics": [{"name": "own"}],
            "produces": [{"topic": "audit", "namespace": "platform"}],
            "consumes": [{"topic": "own"}, {"topic": "legacy", "external": true}],
            "streams": {"applicationId": "agg"}
        }),
        &class,
    );
    assert_eq!(kafka.produces[0].physical_name, "platform.audit");
    assert_eq!(kafka.produces[0].owner.as_deref(), Some("platform"));
    let read: Vec<_> =
        kafka.consumes.iter().map(|read| (read.topic.physical_name.as_str(), read.group.as_str())).collect();
    assert_eq!(read, [("shop.own", "shop.user-service"), ("legacy", "shop.user-service")]);
    assert_eq!(kafka.consumes[1].topic.owner, None);
    assert_eq!(kafka.application_id.as_deref(), Some("shop.agg"));
    let plain: Vec<_> = variables(&of).into_iter().filter(|(_, value)| *value != "<secret>").collect();
    assert_eq!(
        plain,
        [
            ("KAFKA_BOOTSTRAP_SERVERS", "k0:9092,k1:9092"),
            ("KAFKA_BROKERS", "k0:9092,k1:9092"),
            ("KAFKA_GROUP_ID", "shop.user-service"),
            ("KAFKA_STREAMS_APPLICATION_ID", "shop.agg"),
            ("KAFKA_TOPIC_AUDIT", "platform.audit"),
            ("KAFKA_TOPIC_LEGACY", "legacy"),
            ("KAFKA_TOPIC_OWN", "shop.own"),
        ]
    );
}

#[test]
fn several_groups_have_a_variable_for_each_topic_and_order_means_nothing() {
    let class = kafka_class(&json!({}));
    let (a, b) = (json!({"topic": "a.x", "group": "one"}), json!({"topic": "b-y", "group": "two"}));
    let (_, first) = intent(json!({"consumes": [a, b]}), &class);
    let (_, second) = intent(json!({"consumes": [b, a]}), &class);
    assert_eq!(first.env, second.env);
    let groups: Vec<_> = variables(&first).into_iter().filter(|(name, _)| name.contains("GROUP")).collect();
    assert_eq!(groups, [("KAFKA_GROUP_A_X", "shop.one"), ("KAFKA_GROUP_B_Y", "shop.two")]);
}

#[test]
fn the_services_own_variables_win() {
    let fields = json!({
        "kafka": {"topics": [{"name": "a"}]},
        "env": [{"name": "KAFKA_TOPIC_A", "value": "mine"}],
        "config": {"KAFKA_BROKERS": "mine"},
        "secrets": [{"name": "s", "env": [{"name": "KAFKA_SASL_PASSWORD", "key": "p"}]}]
    });
    let intent = resolved_with(fields, kafka_class(&json!({})));
    let of = |name: &str| intent.env.iter().filter(|entry| entry.name == name).collect::<Vec<_>>();
    assert_eq!(of("KAFKA_TOPIC_A")[0].value.as_deref(), Some("mine"));
    assert_eq!(of("KAFKA_BROKERS"), [] as [&k8s_openapi::api::core::v1::EnvVar; 0]);
    let [password] = of("KAFKA_SASL_PASSWORD")[..] else { panic!("not one password") };
    assert_eq!(value(password)["valueFrom"]["secretKeyRef"]["name"], "s");
}

#[test]
fn the_login_follows_the_cluster() {
    let cluster = |more: Value| {
        let mut cluster = json!({"name": "main", "bootstrapServers": ["k:1"]});
        cluster.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        intent(json!({}), &kafka_class(&json!({"clusters": [cluster]})))
    };
    let (kafka, of) = cluster(json!({"tls": {}, "users": {"rotateAfter": "90d"}}));
    let users = ["msvc.shop.user-service.a", "msvc.shop.user-service.b"].map(str::to_owned);
    assert_eq!(
        kafka.cluster.users,
        UsersIntent::Managed {
            users,
            secret: "user-service-kafka".to_owned(),
            rotate_after: Some(90 * 86_400)
        }
    );
    assert!(kafka.cluster.acls && kafka.cluster.security_protocol == "SASL_SSL");
    let keys: Vec<_> = of
        .env
        .iter()
        .filter_map(|entry| {
            let key = entry.value_from.as_ref()?.secret_key_ref.as_ref()?;
            assert_eq!((key.name.as_str(), key.optional), ("user-service-kafka", None));
            Some((entry.name.as_str(), key.key.as_str()))
        })
        .collect();
    assert_eq!(
        keys,
        [
            ("KAFKA_SECURITY_PROTOCOL", "security.protocol"),
            ("KAFKA_SASL_MECHANISM", "sasl.mechanism"),
            ("KAFKA_SASL_USERNAME", "username"),
            ("KAFKA_SASL_PASSWORD", "password"),
            ("KAFKA_SASL_JAAS_CONFIG", "sasl.jaas.config"),
        ]
    );
    let templates = json!({"mode": "Existing", "secretNameTemplate": "{name}-x", "principalTemplate": "User:{namespace}.{name}"});
    let sasl = json!({"mechanism": "PLAIN", "secretName": "admin"});
    let (kafka, of) = cluster(json!({"users": templates, "sasl": sasl, "acls": "None"}));
    assert_eq!((kafka.cluster.acls, kafka.cluster.security_protocol), (false, "SASL_PLAINTEXT"));
    let UsersIntent::Existing { principal, secret, .. } = &kafka.cluster.users else { panic!("{kafka:?}") };
    assert_eq!((principal.as_str(), secret.as_str()), ("User:shop.user-service", "user-service-x"));
    assert!(variables(&of).contains(&("KAFKA_SASL_MECHANISM", "PLAIN")));
    let (kafka, of) = cluster(json!({"users": {"mode": "None"}, "tls": {}}));
    assert!(!kafka.cluster.acls);
    assert!(variables(&of).contains(&("KAFKA_SECURITY_PROTOCOL", "SSL")) && of.env.len() == 3);
    let (kafka, _) = cluster(json!({"mode": "Strimzi", "strimzi": {"namespace": "kafka", "cluster": "c"}}));
    let strimzi = |guarded| ModeIntent::Strimzi { guarded, namespace: "kafka".into(), cluster: "c".into() };
    assert_eq!(kafka.cluster.mode, strimzi(false));
    assert!(kafka.cluster.is_blind());
}

#[test]
fn a_class_without_the_cluster_refuses() {
    let found = refused(&json!({"kafka": {}}), None);
    assert_eq!(reasons(&found), [(Reason::GuardrailViolated, "spec.kafka")]);
    assert!(found[0].message.contains("spec.className"), "{}", found[0].message);
    forbidden(json!({}), &json!({}), "spec.kafka", "has no Kafka cluster: have one added");
    forbidden(json!({"cluster": "other"}), &kafka_class(&json!({})), "spec.kafka.cluster", "use main");
    let two = json!({"clusters": [
        {"name": "a", "bootstrapServers": ["a:1"]}, {"name": "b", "bootstrapServers": ["b:1"]}
    ]});
    forbidden(json!({}), &kafka_class(&two), "spec.kafka.cluster", "set it to a or b");
    let (kafka, _) = intent(json!({"cluster": "b"}), &kafka_class(&two));
    assert_eq!(kafka.cluster.bootstrap_servers, ["b:1"]);
    let template = kafka_class(&json!({"topicNameTemplate": "{namespace}{name}"}));
    forbidden(json!({}), &template, "spec.kafka", "topicNameTemplate");
}

#[test]
fn a_class_bounds_topics() {
    let class =
        kafka_class(&json!({"maxPartitions": 12, "allowedConfig": ["compression.type", "segment.ms"]}));
    let topic = |more: Value| {
        let mut topic = json!({"name": "a"});
        topic.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({"topics": [topic]})
    };
    forbidden(topic(json!({"partitions": 13})), &class, "spec.kafka.topics[0].partitions", "at most 12");
    let _ = intent(topic(json!({"partitions": 12, "config": {"segment.ms": "1"}})), &class);
    let field = "spec.kafka.topics[0].config[\"segment.bytes\"]";
    forbidden(
        topic(json!({"config": {"segment.bytes": "1"}})),
        &class,
        field,
        "only compression.type, segment.ms",
    );
    let none = kafka_class(&json!({"defaults": {"replicationFactor": 2}}));
    forbidden(topic(json!({"config": {"segment.bytes": "1"}})), &none, field, "allows no key");
    broken(
        topic(json!({"minInsyncReplicas": 3})),
        &none,
        Reason::InvalidSpec,
        "spec.kafka.topics[0].minInsyncReplicas",
        "the 2 replicas",
    );
}

#[test]
fn external_topics_are_the_classs_to_give() {
    let class = kafka_class(&json!({"externalTopics": [
        {"name": "read", "access": "Read"},
        {"name": "write", "access": "Write", "namespaces": ["shop"]},
        {"name": "other", "access": "ReadWrite", "namespaces": ["billing"]},
    ]}));
    let used = |topic: &str| json!([{"topic": topic, "external": true}]);
    let _ = intent(json!({"consumes": used("read"), "produces": used("write")}), &class);
    for topic in ["write", "other", "missing"] {
        forbidden(json!({"consumes": used(topic)}), &class, "spec.kafka.consumes[0].topic", "externalTopics");
    }
    for topic in ["read", "other", "missing"] {
        forbidden(json!({"produces": used(topic)}), &class, "spec.kafka.produces[0].topic", "externalTopics");
    }
}

#[test]
fn rights_by_prefix_need_names_that_begin_with_the_namespace() {
    let streams = || json!({"streams": {"applicationId": "agg"}});
    for template in ["{name}", "prod-{namespace}.{name}"] {
        let class = kafka_class(&json!({"topicNameTemplate": template}));
        forbidden(streams(), &class, "spec.kafka.streams", "must begin with {namespace}");
    }
    let _ = intent(streams(), &kafka_class(&json!({"topicNameTemplate": "{namespace}_{name}"})));
}

#[test]
fn names_and_numbers_that_the_schema_would_refuse() {
    for name in ["", ".", "..", "__a", "a b", "a/b", "é"] {
        invalid(json!({"topics": [{"name": name}]}), "spec.kafka.topics[0].name", "name of a topic");
    }
    invalid(json!({"topics": [{"name": "a".repeat(250)}]}), "spec.kafka.topics[0].name", "name of a topic");
    invalid(json!({"topics": [{"name": "a".repeat(245)}]}), "spec.kafka.topics[0].name", "at most 249");
    invalid(json!({"produces": [{"topic": "a b"}]}), "spec.kafka.produces[0].topic", "name of a topic");
    invalid(json!({"consumes": [{"topic": ".."}]}), "spec.kafka.consumes[0].topic", "name of a topic");
    invalid(json!({"consumes": [{"topic": "a", "group": "b c"}]}), "spec.kafka.consumes[0].group", "group");
    for (field, number) in [
        ("partitions", 0),
        ("partitions", -1),
        ("partitions", 10_001),
        ("replicationFactor", 0),
        ("minInsyncReplicas", i32::MIN),
        ("maxMessageBytes", 0),
    ] {
        invalid(
            json!({"topics": [{"name": "a", field: number}]}),
            &format!("spec.kafka.topics[0].{field}"),
            "out of range",
        );
    }
    for text in ["", "0s", "-1", "7", "1w", "infinite"] {
        invalid(
            json!({"topics": [{"name": "a", "retention": text}]}),
            "spec.kafka.topics[0].retention",
            "7d",
        );
    }
    for text in ["", "0", "-1", "1G", "1.5Gi", "9999999999999999999", "99999999999999Ti"] {
        invalid(
            json!({"topics": [{"name": "a", "retentionBytes": text}]}),
            "spec.kafka.topics[0].retentionBytes",
            "10Gi",
        );
    }
}

#[test]
fn one_variable_has_one_value() {
    let both = json!({
        "topics": [{"name": "audit-log"}],
        "produces": [{"topic": "audit-log", "namespace": "platform"}]
    });
    invalid(both.clone(), "spec.kafka.produces[0].topic", "KAFKA_TOPIC_AUDIT_LOG");
    let escape =
        json!({"kafka": both, "env": [{"name": "KAFKA_TOPIC_AUDIT_LOG", "value": "shop.audit-log"}]});
    assert_eq!(refused(&escape, Some(&kafka_class(&json!({})))), []);
    invalid(
        json!({"topics": [{"name": "a.b"}, {"name": "a_b"}]}),
        "spec.kafka.topics[1].name",
        "KAFKA_TOPIC_A_B",
    );
    let own = json!({"topics": [{"name": "a"}], "produces": [{"topic": "a"}], "consumes": [{"topic": "a", "namespace": "shop"}]});
    let _ = intent(own, &kafka_class(&json!({})));
    let twice = json!({"consumes": [{"topic": "a"}, {"topic": "a", "namespace": "shop"}]});
    invalid(twice, "spec.kafka.consumes[1].topic", "listed twice");
}

#[test]
fn the_secret_of_the_operator_is_not_the_services() {
    let fields = json!({"kafka": {}, "secrets": [{"name": "user-service-kafka"}]});
    let found = refused(&fields, Some(&kafka_class(&json!({}))));
    assert_eq!(reasons(&found), [(Reason::InvalidSpec, "spec.secrets[0].name")]);
}

#[test]
fn a_topic_that_exists_is_not_moved() {
    let fields = json!({"kafka": {"topics": [{"name": "orders"}, {"name": "new"}]}});
    let mut object = service(&fields);
    let told = |physical: &str, cluster: &str, id: Option<&str>| {
        let topic = json!({"name": "orders", "physicalName": physical, "cluster": cluster, "id": id, "state": "Ready"});
        serde_json::from_value(json!({"topics": [topic]})).unwrap()
    };
    let mut violations = |status| {
        object.status = Some(status);
        let class = class(&kafka_class(&json!({})));
        Intent::resolve(&object, Some(&class), &Observed::default()).err().unwrap_or_default()
    };
    assert_eq!(violations(told("shop.orders", "main", Some("id"))), []);
    assert_eq!(violations(told("old.orders", "main", None)), [], "it never existed there");
    for (physical, cluster) in [("old.orders", "main"), ("shop.orders", "backup")] {
        let found = violations(told(physical, cluster, Some("id")));
        assert_eq!(reasons(&found), [(Reason::TopicMoveRefused, "spec.kafka.topics[0].name")]);
        let message = &found[0].message;
        assert!(
            message.contains(physical) && message.contains(cluster) && message.contains("add it again"),
            "{message}"
        );
    }
}
