//! Rules of Service, Deployment, autoscaler, budget, account and Secret.

use serde_json::json;

use super::{at, body, child, has, pod};
use crate::api::microservice::{GenerateKey, Port};
use crate::api::network::PolicyMode;
use crate::intent::{AccountIntent, Intent, NetworkIntent, Scaling};
use crate::plan::sample::{auto, full, intent, network, port};
use crate::plan::{plan, ports};

#[test]
fn service_ports_lead_to_declared_container_ports() {
    let intent = full();
    let service = body(&intent, "Service");
    let port = |name: &str, port: i32, target: &str, protocol: &str| {
        json!({
            "name": name, "port": port, "targetPort": target, "protocol": "TCP", "appProtocol": protocol,
        })
    };
    let expected = json!([
        port("http", 80, "http", "http"),
        port("http-alt", 8080, "http", "http"),
        port("grpc", 9090, "grpc", "grpc"),
    ]);
    assert_eq!(at(&service, "/spec/ports"), &expected);
    let declared = json!([
        { "name": "http", "containerPort": 3000, "protocol": "TCP" },
        { "name": "grpc", "containerPort": 9090, "protocol": "TCP" },
        { "name": "metrics", "containerPort": 9100, "protocol": "TCP" },
    ]);
    let deployment = body(&intent, "Deployment");
    assert_eq!(at(&deployment, "/spec/template/spec/containers/0/ports"), &declared);
}

#[test]
fn app_protocol_is_given_or_told_by_the_name() {
    let told = |name: &str| ports::app_protocol(&port(name, 1, 1));
    assert_eq!(told("http-admin").as_deref(), Some("http"));
    assert_eq!(told("grpc").as_deref(), Some("grpc"));
    assert_eq!(told("https"), None);
    assert_eq!(told("amqp"), None);
    let given = Port { app_protocol: Some("kubernetes.io/h2c".to_owned()), ..port("http", 1, 1) };
    assert_eq!(ports::app_protocol(&given).as_deref(), Some("kubernetes.io/h2c"));
}

#[test]
fn service_options_and_session_affinity() {
    let plain = body(&intent(), "Service");
    assert_eq!(at(&plain, "/spec/type"), "ClusterIP");
    assert_eq!(at(&plain, "/spec/sessionAffinity"), "None");
    assert_eq!(plain.pointer("/spec/sessionAffinityConfig"), None);
    let sticky = body(&full(), "Service");
    assert_eq!(at(&sticky, "/spec/sessionAffinity"), "ClientIP");
    assert_eq!(at(&sticky, "/spec/sessionAffinityConfig/clientIP/timeoutSeconds"), &json!(10_800));
    assert_eq!(at(&sticky, "/spec/trafficDistribution"), "PreferClose");
    assert_eq!(at(&sticky, "/metadata/annotations/example.com~1team"), "users");
}

#[test]
fn a_worker_has_no_service() {
    let worker = Intent { ports: Vec::new(), metrics_port: Some(9100), ..intent() };
    assert!(!has(&worker, "Service"));
    let ports = pod(&worker).containers[0].ports.clone().unwrap();
    assert_eq!(ports[0].name.as_deref(), Some("metrics"));
}

#[test]
fn replicas_are_sent_unless_an_autoscaler_owns_them() {
    let replicas = |scaling| body(&Intent { scaling, ..intent() }, "Deployment");
    assert_eq!(at(&replicas(Scaling::Static(4)), "/spec/replicas"), &json!(4));
    assert_eq!(at(&replicas(Scaling::Stopped), "/spec/replicas"), &json!(0));
    assert_eq!(replicas(auto(2, 5)).pointer("/spec/replicas"), None);
}

#[test]
fn deployment_numbers() {
    let spec = at(&body(&intent(), "Deployment"), "/spec").clone();
    let expected =
        json!({ "type": "RollingUpdate", "rollingUpdate": { "maxSurge": "25%", "maxUnavailable": 0 } });
    assert_eq!(at(&spec, "/strategy"), &expected);
    assert_eq!(at(&spec, "/revisionHistoryLimit"), &json!(5));
    assert_eq!(at(&spec, "/progressDeadlineSeconds"), &json!(600));
    assert_eq!(spec.pointer("/minReadySeconds"), None, "the server stores no 0");
    let slow = body(&Intent { min_ready_seconds: 9, ..intent() }, "Deployment");
    assert_eq!(at(&slow, "/spec/minReadySeconds"), &json!(9));
}

#[test]
fn an_autoscaler_exists_only_between_two_bounds() {
    let auto = Intent { scaling: auto(2, 10), ..intent() };
    let spec = at(&body(&auto, "HorizontalPodAutoscaler"), "/spec").clone();
    let target = json!({ "apiVersion": "apps/v1", "kind": "Deployment", "name": "user-service" });
    assert_eq!(at(&spec, "/scaleTargetRef"), &target);
    assert_eq!((at(&spec, "/minReplicas"), at(&spec, "/maxReplicas")), (&json!(2), &json!(10)));
    assert_eq!(at(&spec, "/metrics/0/containerResource/container"), "user-service");
    assert_eq!(at(&spec, "/behavior/scaleDown/stabilizationWindowSeconds"), &json!(300));
    assert_eq!(at(&spec, "/behavior/scaleUp/stabilizationWindowSeconds"), &json!(0));
    for scaling in [Scaling::Static(3), Scaling::Stopped] {
        assert!(!has(&Intent { scaling, ..intent() }, "HorizontalPodAutoscaler"));
    }
}

#[test]
fn a_budget_needs_two_pods() {
    let budget = |scaling| has(&Intent { scaling, ..intent() }, "PodDisruptionBudget");
    assert!(budget(Scaling::Static(2)) && budget(auto(2, 3)));
    assert!(!budget(Scaling::Static(1)) && !budget(Scaling::Stopped) && !budget(auto(1, 9)));
    let spec = at(&body(&intent(), "PodDisruptionBudget"), "/spec").clone();
    assert_eq!(at(&spec, "/maxUnavailable"), &json!(1));
    assert_eq!(at(&spec, "/unhealthyPodEvictionPolicy"), "AlwaysAllow");
    assert_eq!(spec.pointer("/minAvailable"), None);
}

#[test]
fn a_given_account_is_used_and_not_made() {
    let given = AccountIntent { name: "foreign".to_owned(), own: false, ..intent().service_account };
    let intent = Intent { service_account: given, ..intent() };
    assert!(!has(&intent, "ServiceAccount"));
    assert_eq!(pod(&intent).service_account_name.as_deref(), Some("foreign"));
    let own = body(&full(), "ServiceAccount");
    assert_eq!(at(&own, "/metadata/annotations/iam.example.com~1role"), "users");
}

#[test]
fn a_generated_secret_is_hashed_by_its_keys_never_by_its_values() {
    let secret = |change: &dyn Fn(&mut Intent)| {
        let mut intent = full();
        change(&mut intent);
        child(&plan(&intent), "Secret", "user-service-keys").clone()
    };
    let read = secret(&|_| {});
    assert_eq!(at(&read.body.value(), "/type"), "Opaque");
    assert_eq!(at(&read.body.value(), "/data/token"), "czNjcmV0");
    let unread = secret(&|intent| intent.generated[0].data = None);
    assert_eq!(unread.body.value().get("data"), None);
    assert_eq!(unread.plan_hash, read.plan_hash);
    let rotated = secret(&|intent| {
        intent.generated[0]
            .data
            .iter_mut()
            .for_each(|data| data.values_mut().for_each(|value| value.0.push(1)));
    });
    assert_ne!(rotated.body, read.body);
    assert_eq!(rotated.plan_hash, read.plan_hash);
    let another = secret(&|intent| {
        let key = intent.generated[0].keys[0].clone();
        intent.generated[0].keys.push(GenerateKey { key: "b".to_owned(), ..key });
    });
    assert_ne!(another.plan_hash, read.plan_hash);
}

#[test]
fn a_policy_opens_what_the_intent_says_and_nothing_by_an_empty_list() {
    let pods = json!({
        "matchLabels": {"job": "report"},
        "matchExpressions": [{"key": "microservice.dev/name", "operator": "DoesNotExist"}],
    });
    let expected = json!({
        "podSelector": {"matchLabels": {"microservice.dev/name": "user-service"}},
        "policyTypes": ["Ingress", "Egress"],
        "ingress": [{
            "from": [
                {
                    "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "shop"}},
                    "podSelector": {"matchLabels": {"microservice.dev/name": "orders"}},
                },
                {"podSelector": pods},
            ],
            "ports": [{"port": "http", "protocol": "TCP"}],
        }],
        "egress": [{
            "to": [{"ipBlock": {"cidr": "192.0.2.0/24"}}],
            "ports": [{"port": 5432, "protocol": "TCP"}],
        }],
    });
    assert_eq!(at(&body(&full(), "NetworkPolicy"), "/spec"), &expected);
    let with = |network: NetworkIntent| Intent { network: Some(Box::new(network)), ..full() };
    let closed = with(NetworkIntent { mode: PolicyMode::Enforce, ..NetworkIntent::default() });
    let spec = body(&closed, "NetworkPolicy");
    assert!(spec.pointer("/spec/ingress").is_none() && spec.pointer("/spec/egress").is_none());
    assert!(!has(&with(NetworkIntent { mode: PolicyMode::Plan, ..network() }), "NetworkPolicy"));
    assert!(!has(&intent(), "NetworkPolicy"));
}
