//! metrics-server as a process of this machine, and the registration through which the API server asks it.

use std::net::TcpListener;
use std::path::PathBuf;
use std::time::Duration;

use kube::Client;
use kube::api::{Api, ApiResource, DynamicObject};
use serde_json::json;
use tokio::sync::OnceCell;

use crate::support::{Cluster, Guarded, apply_as_given, eventually, scratch, tool};

const NAME: &str = "metrics-server";
const REGISTRATION: &str = "v1beta1.metrics.k8s.io";

/// Started by the first test that asks.
static RUNNING: OnceCell<Guarded> = OnceCell::const_new();

/// Starts it, once, and waits until the use of CPU of the node can be asked for.
pub async fn serve(cluster: &Cluster) {
    RUNNING.get_or_init(|| start(cluster)).await;
}

async fn start(cluster: &Cluster) -> Guarded {
    let host = cluster.host_address();
    let port = free_port(&host);
    let client = cluster.client().await;
    let kubeconfig = cluster.kubeconfig_path().display();
    let certificates = scratch().join(format!("{NAME}-{}", std::process::id()));
    let running = Guarded::start(NAME, "KILL", |command| {
        command
            .arg(tool(NAME))
            .arg(format!("--kubeconfig={kubeconfig}"))
            .arg(format!("--authentication-kubeconfig={kubeconfig}"))
            .arg(format!("--authorization-kubeconfig={kubeconfig}"))
            .args(["--authentication-skip-lookup=true", "--kubelet-insecure-tls=true"])
            .args(["--kubelet-preferred-address-types=InternalIP", "--metric-resolution=10s"])
            .args(["--kubelet-request-timeout=5s".to_owned(), format!("--bind-address={host}")])
            .arg(format!("--secure-port={port}"))
            .arg(format!("--cert-dir={}", certificates.display()));
    });
    register(&client, &host, port).await;
    wait_served(&client, &running.log).await;
    running
}

/// A port that was free a moment ago.
fn free_port(host: &str) -> u16 {
    let listener = TcpListener::bind((host, 0)).expect("the host has this address");
    listener.local_addr().expect("it listens").port()
}

/// Tells the API server where the metrics are: at this machine, behind a Service without pods. The API
/// server of the tests has no certificate of a front proxy: to metrics-server the controller of autoscalers
/// is nobody in particular, so anybody may read the metrics.
async fn register(client: &Client, host: &str, port: u16) {
    let metadata = json!({"name": NAME, "namespace": "kube-system"});
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": metadata,
        "spec": {"ports": [{"name": "https", "port": 443, "targetPort": port}]},
    });
    let mut labelled = metadata.clone();
    labelled["labels"] = json!({"kubernetes.io/service-name": NAME});
    let slice = json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": labelled,
        "addressType": "IPv4", "endpoints": [{"addresses": [host]}],
        "ports": [{"name": "https", "port": port}],
    });
    let registration = json!({
        "apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService",
        "metadata": {"name": REGISTRATION},
        "spec": {
            "group": "metrics.k8s.io", "version": "v1beta1",
            "groupPriorityMinimum": 100, "versionPriority": 100, "insecureSkipTLSVerify": true,
            "service": {"name": NAME, "namespace": "kube-system", "port": 443},
        },
    });
    let role = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
        "metadata": {"name": "metrics"},
        "rules": [
            {"apiGroups": ["metrics.k8s.io"], "resources": ["*"], "verbs": ["get", "list"]},
            {"nonResourceURLs": ["/apis", "/apis/*", "/openapi/*"], "verbs": ["get"]},
        ],
    });
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
        "metadata": {"name": "metrics"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "metrics"},
        "subjects": [
            {"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "system:unauthenticated"},
            {"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "system:authenticated"},
        ],
    });
    for manifest in [service, slice, role, binding, registration] {
        apply_as_given(client, &manifest).await;
    }
}

async fn wait_served(client: &Client, log: &PathBuf) {
    let resource = ApiResource {
        group: "metrics.k8s.io".to_owned(),
        version: "v1beta1".to_owned(),
        api_version: "metrics.k8s.io/v1beta1".to_owned(),
        kind: "NodeMetrics".to_owned(),
        plural: "nodes".to_owned(),
    };
    let nodes = Api::<DynamicObject>::all_with(client.clone(), &resource);
    eventually(Duration::from_secs(90), "the use of CPU of the node is told", || async {
        let node = nodes.get("node-1").await;
        let said = || std::fs::read_to_string(log).unwrap_or_default();
        let end = |said: String| said.lines().rev().take(5).map(str::to_owned).collect::<Vec<_>>().join("\n");
        node.map(drop).map_err(|error| format!("{error}\n{}", end(said())))
    })
    .await;
}
