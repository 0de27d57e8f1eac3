//! KEDA itself: its operator and its metrics server as processes of this machine, with all rights, and the
//! registration through which the API server asks the second one.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use kube::Client;
use kube::api::{Api, ApiResource, DynamicObject};
use serde_json::json;

use crate::support::{
    Authority, Cluster, apply_as_given, create_namespace, eventually, free_port, keda, scratch,
};

const NAMESPACE: &str = "keda";
const EXTERNAL_METRICS: &str = "v1beta1.external.metrics.k8s.io";

/// Both programs. They end with this value.
pub struct Programs {
    running: Vec<Child>,
    logs: Vec<PathBuf>,
}

impl Programs {
    /// Installs what KEDA needs, starts both and waits until the metrics are served.
    pub async fn start(cluster: &Cluster) -> Self {
        let client = cluster.client().await;
        keda::install_all(&client).await;
        create_namespace(&client, NAMESPACE).await;
        let directory = scratch().join(format!("keda-{}", std::process::id()));
        let certificates = write_certificates(&directory);
        let [metrics, probe, served] = [free_port(), free_port(), free_port()];
        let mut programs = Self { running: Vec::new(), logs: Vec::new() };
        let operator = [
            format!("--metrics-service-bind-address=127.0.0.1:{metrics}"),
            format!("--health-probe-bind-address=127.0.0.1:{probe}"),
            format!("--cert-dir={}", certificates.display()),
            "--enable-prometheus-metrics=false".to_owned(),
        ];
        programs.run("keda-operator", cluster, &directory, &operator);
        let adapter = [
            format!("--metrics-service-address=127.0.0.1:{metrics}"),
            format!("--cert-dir={}", certificates.display()),
            "--bind-address=127.0.0.1".to_owned(),
            format!("--secure-port={served}"),
            // Its own metrics, which nobody reads here: any port.
            "--port=0".to_owned(),
            format!("--lister-kubeconfig={}", cluster.kubeconfig_path().display()),
            format!("--authentication-kubeconfig={}", cluster.kubeconfig_path().display()),
            format!("--authorization-kubeconfig={}", cluster.kubeconfig_path().display()),
            "--authentication-skip-lookup=true".to_owned(),
        ];
        programs.run("keda-adapter", cluster, &directory, &adapter);
        register(&client, served).await;
        programs.wait_served(&client).await;
        programs
    }

    fn run(&mut self, name: &str, cluster: &Cluster, directory: &Path, arguments: &[String]) {
        let log = directory.join(format!("{name}.log"));
        let output = File::create(&log).expect("the scratch directory is writable");
        let process = Command::new(program(name))
            .args(arguments)
            .env("KUBECONFIG", cluster.kubeconfig_path())
            .envs([("POD_NAMESPACE", NAMESPACE), ("KEDA_CLUSTER_OBJECT_NAMESPACE", NAMESPACE)])
            .env("WATCH_NAMESPACE", "")
            .stdin(Stdio::null())
            .stdout(output.try_clone().expect("a file can be shared"))
            .stderr(output)
            .spawn()
            .expect("the program starts");
        self.running.push(process);
        self.logs.push(log);
    }

    async fn wait_served(&mut self, client: &Client) {
        let resource = ApiResource {
            group: "apiregistration.k8s.io".to_owned(),
            version: "v1".to_owned(),
            api_version: "apiregistration.k8s.io/v1".to_owned(),
            kind: "APIService".to_owned(),
            plural: "apiservices".to_owned(),
        };
        let services = Api::<DynamicObject>::all_with(client.clone(), &resource);
        eventually(Duration::from_secs(60), "KEDA's metrics are served", || async {
            let service = services.get(EXTERNAL_METRICS).await.map_err(|error| error.to_string())?;
            let conditions = service.data["status"]["conditions"].clone();
            let available = conditions.as_array().into_iter().flatten();
            let available = available.into_iter().any(|c| c["type"] == "Available" && c["status"] == "True");
            if available { Ok(()) } else { Err(format!("{conditions} {}", self.tails())) }
        })
        .await;
    }

    /// The ends of both logs.
    pub fn tails(&self) -> String {
        let tail = |log: &PathBuf| {
            let text = fs::read_to_string(log).unwrap_or_default();
            let lines: Vec<&str> = text.lines().collect();
            let end = lines.get(lines.len().saturating_sub(8)..).unwrap_or_default().join("\n  ");
            format!("\n{}:\n  {end}", log.display())
        };
        self.logs.iter().map(tail).collect()
    }
}

impl Drop for Programs {
    fn drop(&mut self) {
        for process in &mut self.running {
            let _ = process.kill();
            let _ = process.wait();
        }
        if std::thread::panicking() {
            eprintln!("{}", self.tails());
        }
    }
}

/// What `make test-keda` builds.
fn program(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("tools").join(name);
    assert!(path.exists(), "{} is missing: run `make keda-tools`", path.display());
    path
}

/// One authority, and a certificate with which each of both shows the other who it is.
fn write_certificates(directory: &Path) -> PathBuf {
    let certificates = directory.join("certs");
    fs::create_dir_all(&certificates).expect("the scratch directory is writable");
    let authority = Authority::new("keda");
    let (certificate, key) = authority.sign("keda");
    let files = [("ca.crt", authority.certificate()), ("tls.crt", certificate), ("tls.key", key)];
    for (name, text) in files {
        fs::write(certificates.join(name), text).expect("a certificate can be written");
    }
    certificates
}

/// Tells the API server where the metrics are. There is no network of Services here, so the Service is a
/// name for this machine. The API server of the tests has no certificate of a front proxy: to KEDA's server
/// the controller of autoscalers is nobody in particular, so anybody may read the metrics.
async fn register(client: &Client, port: u16) {
    let service = json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": "keda-metrics-apiserver", "namespace": NAMESPACE},
        "spec": {"type": "ExternalName", "externalName": "localhost", "ports": [{"port": port}]},
    });
    let registration = json!({
        "apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService",
        "metadata": {"name": EXTERNAL_METRICS},
        "spec": {
            "group": "external.metrics.k8s.io", "version": "v1beta1",
            "groupPriorityMinimum": 100, "versionPriority": 100, "insecureSkipTLSVerify": true,
            "service": {"name": "keda-metrics-apiserver", "namespace": NAMESPACE, "port": port},
        },
    });
    let role = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
        "metadata": {"name": "external-metrics"},
        "rules": [
            {"apiGroups": ["external.metrics.k8s.io"], "resources": ["*"], "verbs": ["get", "list"]},
            {"nonResourceURLs": ["/apis", "/apis/*", "/openapi/*"], "verbs": ["get"]},
        ],
    });
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
        "metadata": {"name": "external-metrics"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "external-metrics"},
        "subjects": [
            {"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "system:unauthenticated"},
            {"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "system:authenticated"},
        ],
    });
    for manifest in [service, role, binding, registration] {
        apply_as_given(client, &manifest).await;
    }
}
