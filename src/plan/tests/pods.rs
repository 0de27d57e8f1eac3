//! Rules of the pod template: hardening, probes, environment, volumes.

use k8s_openapi::api::core::v1::{EnvVar, PodSpec, TopologySpreadConstraint, VolumeMount};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use serde_json::{Value, json};

use super::{at, body, child, containers, has, pod};
use crate::api::microservice::{FileMount, SecurityProfile};
use crate::api::names;
use crate::intent::{AccountIntent, Intent, PodIntent, Probes, Scaling};
use crate::plan::sample::{every, files, full, http_probe, intent, repeating, text_map, waiting};
use crate::plan::{meta, plan};

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
    let template = |intent: Intent| plan(&intent).template_hash().map(str::to_owned);
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
    let repeated = super::pod(&repeating());
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

#[test]
fn volumes_are_numbered_and_carry_the_servers_default_mode() {
    let deployment = body(&full(), "Deployment");
    let hash = names::digest("sub/dir/b.txt");
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
    let writable = |mount: &&VolumeMount| mount.read_only != Some(true);
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
    assert_eq!(at(&config.body.value(), "/data"), &json!({ "REGION": "eu" }));
    let files = child(&plan, "ConfigMap", "user-service-files");
    let hash = names::digest("sub/dir/b.txt");
    let hashed = format!("0.{hash}");
    let expected = text_map(&[("0_app.yaml", "a: 1"), (&hashed, "b"), ("1_app.yaml", "other")]);
    assert_eq!(at(&files.body.value(), "/data"), &json!(expected));
    assert!(!has(&intent(), "ConfigMap"));
}
