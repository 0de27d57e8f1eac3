//! What people and programs do to children. Every line is an edit that must be undone.

use serde_json::{Value, json};

use crate::children::ChildKind;

/// How an edit is made.
pub enum Edit {
    /// A merge patch (object) or a JSON patch (array).
    Patch(Value),
    /// `kubectl scale`.
    Scale(i32),
    /// `kubectl delete`.
    Delete,
    /// A server-side apply under our own field manager: the planned content without our annotations
    /// and owner, changed by this.
    OurName(Value),
}

/// One edit.
pub struct Case {
    /// For messages.
    pub what: &'static str,
    /// What is done.
    pub edit: Edit,
}

impl Case {
    /// Whether what the server gives at creation (UID, cluster IP) cannot be brought back.
    pub fn is_anew(&self) -> bool {
        matches!(self.edit, Edit::Delete) || self.what == "type ExternalName"
    }
}

fn patch(what: &'static str, patch: Value) -> Case {
    Case { what, edit: Edit::Patch(patch) }
}

/// One operation of a JSON patch on the pod's first container.
fn container(what: &'static str, op: &str, path: &str, value: Value) -> Case {
    on("/spec/template/spec/containers/0", what, op, path, value)
}

fn pod(what: &'static str, op: &str, path: &str, value: Value) -> Case {
    on("/spec/template/spec", what, op, path, value)
}

fn on(root: &str, what: &'static str, op: &str, path: &str, value: Value) -> Case {
    patch(what, json!([{"op": op, "path": format!("{root}{path}"), "value": value}]))
}

/// Edits that every kind knows.
pub fn of_any(kind: &ChildKind) -> Vec<Case> {
    let metadata = |what, metadata| patch(what, json!({"metadata": metadata}));
    let change = match kind.kind {
        "Deployment" => json!({"spec": {"progressDeadlineSeconds": 77}}),
        "Service" => json!({"spec": {"sessionAffinity": "ClientIP"}}),
        "ConfigMap" => json!({"data": {"LEVEL": "late"}}),
        "HorizontalPodAutoscaler" => json!({"spec": {"maxReplicas": 77}}),
        "PodDisruptionBudget" => json!({"spec": {"maxUnavailable": 2}}),
        _ => json!({"metadata": {"labels": {"app": "late"}}}),
    };
    vec![
        metadata("a label of ours changed", json!({"labels": {"app": "other"}})),
        metadata("a label of ours removed", json!({"labels": {"app.kubernetes.io/instance": null}})),
        metadata("the service's label changed", json!({"labels": {"microservice.dev/name": "other"}})),
        metadata("the service's label removed", json!({"labels": {"microservice.dev/name": null}})),
        metadata("all labels removed", json!({"labels": null})),
        metadata("ownerReferences removed", json!({"ownerReferences": null})),
        metadata(
            "owner and label removed",
            json!({"ownerReferences": null, "labels": {"microservice.dev/name": null}}),
        ),
        metadata("plan hash removed", json!({"annotations": {"microservice.dev/plan-hash": null}})),
        metadata("plan hash changed", json!({"annotations": {"microservice.dev/plan-hash": "0"}})),
        on("", "no longer controlled", "replace", "/metadata/ownerReferences/0/controller", json!(false)),
        Case { what: "deleted", edit: Edit::Delete },
        Case { what: "a late apply under our own name", edit: Edit::OurName(change) },
    ]
}

/// Edits of a ServiceAccount.
pub fn of_service_account() -> Vec<Case> {
    vec![patch("token mounted", json!({"automountServiceAccountToken": true}))]
}

/// Edits of a ConfigMap.
pub fn of_config_map() -> Vec<Case> {
    vec![
        patch("a value edited", json!({"data": {"LEVEL": "debug"}})),
        patch("a key removed", json!({"data": {"LEVEL": null}})),
        patch("all keys removed", json!({"data": null})),
        patch("text to binary", json!({"data": {"LEVEL": null}, "binaryData": {"LEVEL": "ZGVidWc="}})),
    ]
}

/// Edits of a Service.
pub fn of_service() -> Vec<Case> {
    let port = |what, op, path, value| on("/spec/ports/0", what, op, path, value);
    vec![
        port("port number", "replace", "/port", json!(82)),
        port("target port", "replace", "/targetPort", json!(9999)),
        port("port name", "replace", "/name", json!("other")),
        port("protocol", "replace", "/protocol", json!("UDP")),
        port("application protocol", "remove", "/appProtocol", Value::Null),
        patch("port removed", json!([{"op": "remove", "path": "/spec/ports/1"}])),
        patch(
            "ports swapped",
            json!({"spec": {"ports": [
                {"name": "http", "port": 81, "targetPort": "http"},
                {"name": "admin", "port": 80, "targetPort": "admin"},
            ]}}),
        ),
        patch("selector changed", json!({"spec": {"selector": {"microservice.dev/name": "other"}}})),
        patch("selector extended", json!({"spec": {"selector": {"app": "other"}}})),
        patch("session affinity", json!({"spec": {"sessionAffinity": "ClientIP"}})),
        patch("load balancer IP", json!({"spec": {"loadBalancerIP": "192.0.2.7"}})),
        patch("external IPs", json!({"spec": {"externalIPs": ["192.0.2.7"]}})),
        patch("type NodePort", json!({"spec": {"type": "NodePort"}})),
        patch(
            "type ExternalName",
            json!({"spec": {"type": "ExternalName", "externalName": "evil.example.com"}}),
        ),
    ]
}

/// Edits of what we say in a Deployment.
pub fn of_deployment() -> Vec<Case> {
    let tcp = json!({"tcpSocket": {"port": 8080}});
    let field = json!({"name": "MODE", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}});
    vec![
        container("image", "replace", "/image", json!("web:v2")),
        container("a value removed", "remove", "/securityContext/readOnlyRootFilesystem", Value::Null),
        container("an object removed", "remove", "/resources", Value::Null),
        container("probe httpGet to tcpSocket", "replace", "/readinessProbe", tcp),
        container("probe removed", "remove", "/readinessProbe", Value::Null),
        container("env value to valueFrom", "replace", "/env/0", field),
        container("env list item removed", "remove", "/env/0", Value::Null),
        container(
            "env list reduced and renamed",
            "replace",
            "/env",
            json!([{"name": "OTHER", "value": "x"}]),
        ),
        container(
            "preStop sleep to exec",
            "replace",
            "/lifecycle/preStop",
            json!({"exec": {"command": ["true"]}}),
        ),
        container("container port", "replace", "/ports/0/containerPort", json!(9999)),
        container("container port name", "replace", "/ports/0/name", json!("other")),
        container("container renamed", "replace", "/name", json!("renamed")),
        container("mount moved", "replace", "/volumeMounts/0/mountPath", json!("/other")),
        pod(
            "volume emptyDir to configMap",
            "replace",
            "/volumes/0",
            json!({"name": "tmp", "configMap": {"name": "x"}}),
        ),
        pod("spread constraints removed", "remove", "/topologySpreadConstraints", Value::Null),
        pod("grace period", "replace", "/terminationGracePeriodSeconds", json!(99)),
        patch("replicas", json!({"spec": {"replicas": 2}})),
        Case { what: "kubectl scale", edit: Edit::Scale(2) },
        patch(
            "strategy to Recreate",
            json!({"spec": {"strategy": {"type": "Recreate", "rollingUpdate": null}}}),
        ),
        patch("surge", json!({"spec": {"strategy": {"rollingUpdate": {"maxUnavailable": "100%"}}}})),
        patch(
            "a label of the pods",
            json!({"spec": {"template": {"metadata": {"labels": {"app": "other"}}}}}),
        ),
    ]
}

/// What would undo the hardening of the pods.
pub fn unsafe_additions() -> Vec<Case> {
    let evil = json!({"name": "evil", "image": "evil:v1", "securityContext": {"privileged": true}});
    let host = json!({"name": "host", "hostPath": {"path": "/"}});
    let everywhere = json!([{"operator": "Exists"}]);
    vec![
        pod("privileged container", "add", "/containers/-", evil.clone()),
        pod("init container", "add", "/initContainers", json!([evil])),
        pod("host network", "add", "/hostNetwork", json!(true)),
        pod("host processes", "add", "/hostPID", json!(true)),
        pod("host volume", "add", "/volumes/-", host),
        pod("toleration", "add", "/tolerations", everywhere),
        pod("node name", "add", "/nodeName", json!("node-0")),
        pod("token mounted", "replace", "/automountServiceAccountToken", json!(true)),
        pod("another account", "replace", "/serviceAccountName", json!("default")),
        pod("root allowed", "replace", "/securityContext", json!({"runAsUser": 0})),
        pod(
            "sysctl",
            "add",
            "/securityContext/sysctls",
            json!([{"name": "net.core.somaxconn", "value": "1"}]),
        ),
        container("capability", "add", "/securityContext/capabilities/add", json!(["NET_ADMIN"])),
        container("capabilities kept", "replace", "/securityContext/capabilities", json!({"drop": ["KILL"]})),
        container("unconfined", "add", "/securityContext/seccompProfile", json!({"type": "Unconfined"})),
        container("command", "add", "/command", json!(["sh"])),
        container("foreign variable", "add", "/env/-", json!({"name": "LD_PRELOAD", "value": "/tmp/x.so"})),
        container(
            "foreign source of variables",
            "add",
            "/envFrom",
            json!([{"secretRef": {"name": "other"}}]),
        ),
        container("host port", "add", "/ports/0/hostPort", json!(8080)),
    ]
}

/// Edits of a HorizontalPodAutoscaler.
pub fn of_hpa() -> Vec<Case> {
    let metric = json!([{"type": "Resource", "resource":
        {"name": "memory", "target": {"type": "Utilization", "averageUtilization": 9}}}]);
    vec![
        patch("upper bound", json!({"spec": {"maxReplicas": 50}})),
        patch("lower bound", json!({"spec": {"minReplicas": 2}})),
        patch("metrics replaced", json!({"spec": {"metrics": metric}})),
        patch("target", json!({"spec": {"scaleTargetRef": {"name": "other"}}})),
        patch("speed", json!({"spec": {"behavior": {"scaleDown": {"stabilizationWindowSeconds": 0}}}})),
        patch("behavior removed", json!({"spec": {"behavior": null}})),
    ]
}

/// Edits of a PodDisruptionBudget.
pub fn of_pdb() -> Vec<Case> {
    vec![
        patch("number", json!({"spec": {"maxUnavailable": 0}})),
        patch("maxUnavailable to minAvailable", json!({"spec": {"maxUnavailable": null, "minAvailable": 2}})),
        patch("selector", json!({"spec": {"selector": {"matchLabels": {"microservice.dev/name": "other"}}}})),
        patch("eviction policy", json!({"spec": {"unhealthyPodEvictionPolicy": "IfHealthyBudget"}})),
    ]
}
