//! What every plan keeps, and one test per rule of a child.

use std::collections::BTreeSet;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Container, EnvVar, PodSpec, TopologySpreadConstraint};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use serde_json::{Value, json};

use super::sample::{auto, every, files, full, http_probe, intent, port, repeating, text_map, waiting};
use super::{Plan, Planned, Stage, kinds, meta, plan};
use crate::api::microservice::{FileMount, SecurityProfile};
use crate::intent::{AccountIntent, Intent, PodIntent, Probes, Scaling};

fn child<'a>(plan: &'a Plan, kind: &str, name: &str) -> &'a Planned {
    let found = plan.children.iter().find(|child| child.kind.kind == kind && child.name == name);
    found.unwrap_or_else(|| panic!("no {kind} {name}"))
}

fn body(intent: &Intent, kind: &str) -> Value {
    child(&plan(intent), kind, &intent.name).body.clone()
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

// ---- every plan ----

#[test]
fn every_child_is_labelled_owned_hashed_and_in_order() {
    for intent in every() {
        let plan = plan(&intent);
        let order: Vec<_> = plan.children.iter().map(|child| (child.kind, child.name.clone())).collect();
        let distinct: BTreeSet<_> = order.iter().cloned().collect();
        assert_eq!(order, distinct.into_iter().collect::<Vec<_>>(), "sorted, each once");
        for child in &plan.children {
            let body = &child.body;
            assert_eq!(at(body, "/apiVersion"), &json!(child.kind.api_version()));
            assert_eq!(at(body, "/kind"), &json!(child.kind.kind));
            assert_eq!(at(body, "/metadata/name"), &json!(child.name));
            assert_eq!(at(body, "/metadata/namespace"), &json!(intent.namespace));
            assert_eq!(at(body, "/metadata/labels"), &json!(meta::labels(&intent)));
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
        ("app.kubernetes.io/version", "v1.2.0"),
        ("microservice.dev/name", "user-service"),
    ]);
    assert_eq!(meta::labels(&intent), expected);
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
    assert_eq!(plan(&intent()).template_hash.as_deref(), Some("884f01349c256b7a6f93e0bcaf59c573"));
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
            walk(child.kind.kind, &child.body);
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
            let data = at(&child(&plan, "ConfigMap", "user-service-files").body, "/data").clone();
            for item in source.items.as_ref().unwrap() {
                assert!(data.get(&item.key).is_some(), "{}", item.key);
            }
        }
    }
}

// ---- Pod Security Standards ----

/// The standard "restricted", version 1.36, control by control; the pods of `Baseline` are held to it
/// with the two exceptions that the profile is for.
fn assert_restricted(pod: &PodSpec, baseline: bool) {
    let security = pod.security_context.as_ref().expect("pod security context");
    // Host namespaces, host ports, host processes.
    assert_eq!((pod.host_network, pod.host_pid, pod.host_ipc), (None, None, None));
    assert_eq!(security.windows_options, None);
    // Sysctls, SELinux, AppArmor: the runtime's defaults.
    assert_eq!(security.sysctls, None);
    assert_eq!(security.se_linux_options, None);
    assert_eq!(security.app_armor_profile, None);
    // Seccomp and users.
    assert_eq!(security.seccomp_profile.as_ref().unwrap().type_, "RuntimeDefault");
    assert_eq!(security.run_as_non_root, (!baseline).then_some(true));
    assert_ne!(security.run_as_user, Some(0));
    for volume in pod.volumes.iter().flatten() {
        let mut value = serde_json::to_value(volume).unwrap();
        value.as_object_mut().unwrap().remove("name");
        let allowed = [
            "configMap",
            "csi",
            "downwardAPI",
            "emptyDir",
            "ephemeral",
            "persistentVolumeClaim",
            "projected",
            "secret",
        ];
        let sources: Vec<&String> = value.as_object().unwrap().keys().collect();
        assert_eq!(sources.len(), 1, "{value}");
        assert!(allowed.contains(&sources[0].as_str()), "{value}");
    }
    assert_eq!(pod.ephemeral_containers, None);
    for container in containers(pod) {
        let security = container.security_context.as_ref().expect("security context");
        assert_eq!(security.privileged, None);
        assert_eq!(security.allow_privilege_escalation, Some(false));
        assert_eq!(security.run_as_non_root, None, "the pod's value counts");
        assert_eq!(security.run_as_user, None, "the pod's value counts");
        assert_eq!(security.seccomp_profile, None, "the pod's value counts");
        assert_eq!((&security.proc_mount, &security.se_linux_options), (&None, &None));
        assert_eq!((&security.app_armor_profile, &security.windows_options), (&None, &None));
        let capabilities = security.capabilities.as_ref();
        assert_eq!(capabilities.and_then(|all| all.add.clone()), None);
        let drop = capabilities.and_then(|all| all.drop.clone());
        assert_eq!(drop, (!baseline).then(|| vec!["ALL".to_owned()]));
        // Beyond the standard: ours.
        assert_eq!(security.read_only_root_filesystem, Some(true));
        for port in container.ports.iter().flatten() {
            assert_eq!((port.host_port, &port.host_ip), (None, &None));
        }
        let probes = [&container.startup_probe, &container.readiness_probe, &container.liveness_probe];
        for probe in probes.into_iter().flatten() {
            assert_eq!(probe.http_get.as_ref().and_then(|get| get.host.clone()), None);
            assert_eq!(probe.tcp_socket.as_ref().and_then(|tcp| tcp.host.clone()), None);
        }
    }
}

#[test]
fn every_pod_meets_the_restricted_standard() {
    for intent in every() {
        let baseline = intent.pod.security_profile == SecurityProfile::Baseline;
        assert_restricted(&pod(&intent), baseline);
    }
}

#[test]
fn a_probe_never_leaves_the_pod() {
    let mut probe = http_probe("http");
    probe.http_get.as_mut().unwrap().host = Some("169.254.169.254".to_owned());
    let probes = Probes { readiness: Some(probe), ..Probes::default() };
    assert_restricted(&pod(&Intent { probes, ..intent() }), false);
}

#[test]
fn pods_leak_neither_token_nor_links() {
    for intent in every() {
        let pod = pod(&intent);
        assert_eq!(pod.automount_service_account_token, Some(false));
        assert_eq!(pod.enable_service_links, Some(false));
    }
    let asked = AccountIntent { automount_token: true, ..intent().service_account };
    let intent = Intent { service_account: asked, ..intent() };
    assert_eq!(pod(&intent).automount_service_account_token, Some(true));
    let account = body(&intent, "ServiceAccount");
    assert_eq!(at(&account, "/automountServiceAccountToken"), &json!(false));
}

#[test]
fn a_writable_root_is_possible() {
    let pod_intent = PodIntent { read_only_root_filesystem: false, ..intent().pod };
    let pod = pod(&Intent { pod: pod_intent, ..intent() });
    let security = pod.containers[0].security_context.as_ref().unwrap();
    assert_eq!(security.read_only_root_filesystem, Some(false));
    assert_eq!(security.allow_privilege_escalation, Some(false));
}

// ---- pod template ----

#[test]
fn template_carries_our_annotations_and_no_others_of_ours() {
    let full = body(&full(), "Deployment");
    let expected = json!({
        "microservice.dev/config-hash": "c0ffee",
        "microservice.dev/restart": "2",
        "prometheus.io/scrape": "true",
    });
    assert_eq!(at(&full, "/spec/template/metadata/annotations"), &expected);
    assert_eq!(at(&full, "/spec/template/metadata/labels/team"), "users");
    let minimal = body(&intent(), "Deployment");
    assert_eq!(minimal.pointer("/spec/template/metadata/annotations"), None);
}

#[test]
fn only_what_concerns_pods_changes_the_template() {
    let template = |intent: Intent| plan(&intent).template_hash;
    let before = template(full());
    assert_eq!(before, template(Intent { owner: None, ..full() }));
    assert_eq!(before, template(Intent { scaling: Scaling::Stopped, ..full() }));
    assert_eq!(before, template(Intent { class_revision: "9".to_owned(), ..full() }));
    assert_eq!(before, template(waiting(true)));
    assert_eq!(before, template(Intent { service: intent().service, ..full() }));
    assert_ne!(before, template(Intent { config_hash: Some("1".to_owned()), ..full() }));
    assert_ne!(before, template(Intent { restart: Some("3".to_owned()), ..full() }));
    assert_ne!(before, template(Intent { image: "user-service:v2".to_owned(), ..full() }));
}

#[test]
fn spread_over_zones_and_hosts_per_version_by_default() {
    let expect = |key: &str| {
        json!({
            "maxSkew": 1,
            "topologyKey": key,
            "whenUnsatisfiable": "ScheduleAnyway",
            "matchLabelKeys": ["pod-template-hash"],
            "labelSelector": { "matchLabels": { "microservice.dev/name": "user-service" } },
        })
    };
    let deployment = body(&intent(), "Deployment");
    let spread = at(&deployment, "/spec/template/spec/topologySpreadConstraints");
    assert_eq!(spread, &json!([expect("topology.kubernetes.io/zone"), expect("kubernetes.io/hostname")]));

    let with = |constraints| {
        let pod_intent = PodIntent { topology_spread_constraints: Some(constraints), ..intent().pod };
        pod(&Intent { pod: pod_intent, ..intent() }).topology_spread_constraints
    };
    assert_eq!(with(Vec::new()), None, "an empty list means none");
    let own = LabelSelector { match_labels: Some(text_map(&[("a", "b")])), ..LabelSelector::default() };
    let given = TopologySpreadConstraint { label_selector: Some(own), ..TopologySpreadConstraint::default() };
    assert_eq!(with(vec![given.clone()]), Some(vec![given]));
    let counted = with(vec![TopologySpreadConstraint::default()]).unwrap()[0].label_selector.clone();
    assert_eq!(counted.unwrap().match_labels, Some(meta::selector(&intent())));
}

#[test]
fn pods_sleep_before_they_end() {
    let pod_of = |drain_seconds| pod(&Intent { drain_seconds, grace_period_seconds: 40, ..intent() });
    let sleeping = pod_of(7);
    assert_eq!(sleeping.termination_grace_period_seconds, Some(40));
    let pre_stop = sleeping.containers[0].lifecycle.clone().unwrap().pre_stop.unwrap();
    assert_eq!(serde_json::to_value(pre_stop).unwrap(), json!({ "sleep": { "seconds": 7 } }));
    assert_eq!(pod_of(0).containers[0].lifecycle, None);
}

#[test]
fn probes_are_sent_with_every_default_of_the_server() {
    let deployment = body(&full(), "Deployment");
    let container = at(&deployment, "/spec/template/spec/containers/0");
    let numbers =
        json!({ "timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3 });
    let probe = |handler: Value| {
        let mut probe = numbers.clone();
        probe.as_object_mut().unwrap().extend(handler.as_object().unwrap().clone());
        probe
    };
    let http = json!({ "httpGet": { "path": "/health", "port": "http", "scheme": "HTTP" } });
    assert_eq!(at(container, "/readinessProbe"), &probe(http));
    assert_eq!(at(container, "/startupProbe"), &probe(json!({ "tcpSocket": { "port": "http" } })));
    assert_eq!(at(container, "/livenessProbe"), &probe(json!({ "grpc": { "port": 9090, "service": "" } })));
    assert_eq!(pod(&intent()).containers[0].liveness_probe, None);
}

#[test]
fn keys_of_secrets_come_first_and_the_users_own_variables_win() {
    let pod = pod(&full());
    let env = pod.containers[0].env.clone().unwrap();
    let names: Vec<&str> = env.iter().map(|variable| variable.name.as_str()).collect();
    assert_eq!(names, ["DATABASE_URL", "TOKEN", "LOG_LEVEL", "URL"]);
    let reference = json!({ "secretKeyRef": { "name": "database", "key": "url" } });
    assert_eq!(serde_json::to_value(&env[0].value_from).unwrap(), reference);
    assert_eq!(env[2].value.as_deref(), Some("debug"));
    assert_eq!(pod.containers[0].env_from.as_ref().map(Vec::len), Some(1), "own ConfigMap once");
    let repeated = super::tests::pod(&repeating());
    let own = |name: &str| -> EnvVar {
        let env = repeated.containers[0].env.iter().flatten();
        env.clone().find(|variable| variable.name == name).cloned().unwrap()
    };
    assert_eq!(own("TOKEN").value.as_deref(), Some("mine"));
    assert_eq!(own("A").value.as_deref(), Some("1"));
}

#[test]
fn sidecars_start_before_init_containers() {
    let pod = pod(&full());
    let init = pod.init_containers.unwrap();
    let order: Vec<_> = init.iter().map(|c| (c.name.as_str(), c.restart_policy.as_deref())).collect();
    assert_eq!(order, [("proxy", Some("Always")), ("migrate", None)]);
    for container in &init {
        let mounts = serde_json::to_value(&container.volume_mounts).unwrap();
        let expected = json!([
            { "name": "files-0", "mountPath": "/config" },
            { "name": "tmp", "mountPath": "/tmp" },
        ]);
        assert_eq!(mounts, expected);
        assert_eq!(container.lifecycle, None);
    }
    assert_eq!(pod.containers.len(), 1);
    assert_eq!(pod.containers[0].name, "user-service");
}

// ---- volumes and files ----

#[test]
fn volumes_are_numbered_and_carry_the_servers_default_mode() {
    let deployment = body(&full(), "Deployment");
    let hash = meta::digest_text("sub/dir/b.txt");
    let items = |key: &str, path: &str| json!({ "key": key, "path": path });
    let expected = json!([
        { "name": "files-0", "configMap": { "name": "user-service-files", "defaultMode": 420, "items": [
            items("0_app.yaml", "app.yaml"), items(&format!("0.{hash}"), "sub/dir/b.txt"),
        ] } },
        { "name": "files-1", "configMap": { "name": "user-service-files", "defaultMode": 420, "items": [
            items("1_app.yaml", "app.yaml"),
        ] } },
        { "name": "files-2", "configMap": { "name": "shared", "defaultMode": 420 } },
        { "name": "files-3", "secret": { "secretName": "tls", "defaultMode": 256 } },
        { "name": "files-4", "emptyDir": {} },
        { "name": "files-5", "emptyDir": {} },
        { "name": "secret-0", "secret":
            { "secretName": "certificates", "defaultMode": 420, "optional": true } },
        { "name": "secret-1", "secret": { "secretName": "user-service-keys", "defaultMode": 420 } },
        { "name": "tmp", "emptyDir": {} },
    ]);
    assert_eq!(at(&deployment, "/spec/template/spec/volumes"), &expected);
}

#[test]
fn only_scratch_space_and_claims_are_writable() {
    let pod = pod(&full());
    let mounts = pod.containers[0].volume_mounts.clone().unwrap();
    let writable = |mount: &&_| {
        let mount: &k8s_openapi::api::core::v1::VolumeMount = mount;
        mount.read_only != Some(true)
    };
    let paths: Vec<&str> = mounts.iter().filter(writable).map(|mount| mount.mount_path.as_str()).collect();
    assert_eq!(paths, ["/var/cache", "/tmp"]);
    assert_eq!(mounts.len(), 9);
}

#[test]
fn a_mount_at_tmp_replaces_ours() {
    let own = FileMount { mount_path: "/tmp/".to_owned(), ..files()[4].clone() };
    let pod = pod(&Intent { files: vec![own], ..intent() });
    let mounts = pod.containers[0].volume_mounts.clone().unwrap();
    let names: Vec<_> = mounts.iter().map(|mount| (mount.name.as_str(), mount.mount_path.as_str())).collect();
    assert_eq!(names, [("files-0", "/tmp/")]);
    assert!(pod.volumes.unwrap().iter().any(|volume| volume.name == "tmp"), "for other containers");
}

#[test]
fn config_and_inline_files_have_a_config_map_each() {
    let plan = plan(&full());
    let config = child(&plan, "ConfigMap", "user-service-config");
    assert_eq!(at(&config.body, "/data"), &json!({ "REGION": "eu" }));
    let files = child(&plan, "ConfigMap", "user-service-files");
    let hash = meta::digest_text("sub/dir/b.txt");
    let hashed = format!("0.{hash}");
    let expected = text_map(&[("0_app.yaml", "a: 1"), (&hashed, "b"), ("1_app.yaml", "other")]);
    assert_eq!(at(&files.body, "/data"), &json!(expected));
    assert!(!has(&intent(), "ConfigMap"));
}

// ---- Service ----

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
    let told = |name: &str| super::ports::app_protocol(&port(name, 1, 1));
    assert_eq!(told("http-admin").as_deref(), Some("http"));
    assert_eq!(told("grpc").as_deref(), Some("grpc"));
    assert_eq!(told("https"), None);
    assert_eq!(told("amqp"), None);
    let given = crate::api::microservice::Port {
        app_protocol: Some("kubernetes.io/h2c".to_owned()),
        ..port("http", 1, 1)
    };
    assert_eq!(super::ports::app_protocol(&given).as_deref(), Some("kubernetes.io/h2c"));
}

#[test]
fn service_options_and_session_affinity() {
    let plain = body(&intent(), "Service");
    assert_eq!(at(&plain, "/spec/type"), "ClusterIP");
    assert_eq!(at(&plain, "/spec/sessionAffinity"), "None");
    assert_eq!(plain.pointer("/spec/sessionAffinityConfig"), None);
    let sticky = body(&full(), "Service");
    assert_eq!(at(&sticky, "/spec/sessionAffinity"), "ClientIP");
    // The server would fill this in, and refuse a later change to None because of it.
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

// ---- scaling ----

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

// ---- identity ----

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
    assert_eq!(at(&read.body, "/type"), "Opaque");
    assert_eq!(at(&read.body, "/data/token"), "czNjcmV0");
    let unread = secret(&|intent| intent.generated[0].data = None);
    assert_eq!(unread.body.get("data"), None);
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
        intent.generated[0].keys.push(crate::api::microservice::GenerateKey { key: "b".to_owned(), ..key });
    });
    assert_ne!(another.plan_hash, read.plan_hash);
}

// ---- plan ----

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
    assert_eq!(meta::digest(&value), meta::digest_text(&value.to_string()));
    assert_eq!(meta::digest_text("abc"), "ba7816bf8f01cfea414140de5dae2223");
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
        "/api/v1/namespaces/shop/services/x",
        "/apis/apps/v1/namespaces/shop/deployments/x",
        "/apis/autoscaling/v2/namespaces/shop/horizontalpodautoscalers/x",
        "/apis/policy/v1/namespaces/shop/poddisruptionbudgets/x",
    ];
    assert_eq!(paths, expected);
    let planned: BTreeSet<_> = plan(&full()).children.iter().map(|child| child.kind).collect();
    assert_eq!(planned, kinds().into_iter().collect(), "the full sample has every kind");
}
