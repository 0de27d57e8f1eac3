//! The Pod Security Standard "restricted" (version 1.36), control by control, as a check of a pod
//! template in JSON.

use serde_json::Value;

const HOST_FIELDS: [&str; 3] = ["hostNetwork", "hostPID", "hostIPC"];
const VOLUMES: [&str; 8] = [
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "persistentVolumeClaim",
    "projected",
    "secret",
];

/// What "restricted" refuses in the template; empty = it is admitted.
pub fn violations(template: &Value) -> Vec<String> {
    let mut found = baseline_violations(template);
    let mut refuse = |text: String| found.push(text);
    let pod = &template["spec"];
    let security = &pod["securityContext"];
    if security["runAsNonRoot"] != true {
        refuse("the pod may run as root".to_owned());
    }
    for volume in items(&pod["volumes"]) {
        let sources = volume.as_object().into_iter().flatten().filter(|(key, _)| *key != "name");
        for (source, _) in sources.filter(|(source, _)| !VOLUMES.contains(&source.as_str())) {
            refuse(format!("volume type {source}"));
        }
    }
    for container in containers(pod) {
        let (name, security) = (&container["name"], &container["securityContext"]);
        if security["allowPrivilegeEscalation"] != false {
            refuse(format!("{name} may escalate its privileges"));
        }
        if !items(&security["capabilities"]["drop"]).any(|capability| capability == "ALL") {
            refuse(format!("{name} does not drop all capabilities"));
        }
        if security["runAsNonRoot"] == false || security["runAsUser"] == 0 {
            refuse(format!("{name} runs as root"));
        }
        if !["RuntimeDefault", "Localhost"].iter().any(|kind| {
            security["seccompProfile"]["type"] == *kind
                || pod["securityContext"]["seccompProfile"]["type"] == *kind
        }) {
            refuse(format!("{name} has no seccomp profile"));
        }
    }
    if security["runAsUser"] == 0 {
        refuse("the pod runs as user 0".to_owned());
    }
    found
}

/// What "baseline" refuses already.
pub fn baseline_violations(template: &Value) -> Vec<String> {
    let mut found = Vec::new();
    let mut refuse = |text: String| found.push(text);
    let pod = &template["spec"];
    for field in HOST_FIELDS.iter().filter(|field| pod[**field] == true) {
        refuse((*field).to_owned());
    }
    for volume in items(&pod["volumes"]).filter(|volume| volume.get("hostPath").is_some()) {
        refuse(format!("hostPath {}", volume["name"]));
    }
    for security in std::iter::once(&pod["securityContext"])
        .chain(containers(pod).map(|container| &container["securityContext"]))
    {
        for field in ["seLinuxOptions", "windowsOptions", "sysctls", "procMount", "appArmorProfile"] {
            if security.get(field).is_some() {
                refuse(format!("{field}: only the runtime's default is planned"));
            }
        }
        if security["seccompProfile"]["type"] == "Unconfined" {
            refuse("seccomp Unconfined".to_owned());
        }
    }
    for container in containers(pod) {
        let name = &container["name"];
        if container["securityContext"]["privileged"] == true {
            refuse(format!("{name} is privileged"));
        }
        if items(&container["securityContext"]["capabilities"]["add"]).next().is_some() {
            refuse(format!("{name} adds capabilities"));
        }
        for port in items(&container["ports"]).filter(|port| port.get("hostPort").is_some()) {
            refuse(format!("{name} has host port {}", port["hostPort"]));
        }
        for hook in ["livenessProbe", "readinessProbe", "startupProbe", "lifecycle"] {
            // Since 1.34 a probe or hook that names a host is refused.
            if container[hook].to_string().contains("\"host\":") {
                refuse(format!("{name}: {hook} names a host"));
            }
        }
    }
    let annotations = template["metadata"]["annotations"].as_object().into_iter().flatten();
    for (key, _) in annotations.filter(|(key, _)| key.contains("apparmor.security.beta.kubernetes.io")) {
        refuse(key.clone());
    }
    found
}

/// All containers of a pod, those that run before the others included.
pub fn containers(pod: &Value) -> impl Iterator<Item = &Value> {
    items(&pod["containers"]).chain(items(&pod["initContainers"]))
}

/// Items of a list; none when it is absent.
pub fn items(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

#[test]
fn the_check_sees_each_control() {
    use serde_json::json;
    let good = json!({"spec": {
        "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
        "volumes": [{"name": "tmp", "emptyDir": {}}],
        "containers": [{"name": "app", "ports": [{"containerPort": 1}], "securityContext": {
            "allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]},
        }}],
    }});
    assert_eq!(violations(&good), [""; 0]);
    for (pointer, value) in [
        ("/spec/hostNetwork", json!(true)),
        ("/spec/securityContext/runAsNonRoot", json!(false)),
        ("/spec/securityContext/runAsUser", json!(0)),
        ("/spec/securityContext/seccompProfile", json!({"type": "Unconfined"})),
        ("/spec/securityContext/sysctls", json!([])),
        ("/spec/volumes/0", json!({"name": "root", "hostPath": {"path": "/"}})),
        ("/spec/volumes/0", json!({"name": "disk", "nfs": {"server": "a", "path": "/"}})),
        ("/spec/containers/0/ports/0/hostPort", json!(80)),
        ("/spec/containers/0/livenessProbe", json!({"tcpSocket": {"port": 1, "host": "10.0.0.1"}})),
        ("/spec/containers/0/securityContext/privileged", json!(true)),
        ("/spec/containers/0/securityContext/allowPrivilegeEscalation", json!(true)),
        ("/spec/containers/0/securityContext/capabilities", json!({"drop": []})),
        ("/spec/containers/0/securityContext/capabilities/add", json!(["NET_ADMIN"])),
        ("/spec/containers/0/securityContext/runAsUser", json!(0)),
        ("/spec/initContainers", json!([{"name": "init"}])),
    ] {
        let mut bad = good.clone();
        let (parent, field) = pointer.rsplit_once('/').unwrap();
        match bad.pointer_mut(parent).unwrap() {
            Value::Array(list) => list[0] = value,
            object => object[field] = value,
        }
        assert!(!violations(&bad).is_empty(), "{pointer}");
    }
}
