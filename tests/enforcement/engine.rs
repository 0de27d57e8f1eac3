//! What enforces network policies: a process in the network of the real node.

use k8s_openapi::api::core::v1::Node;
use kube::{Api, ResourceExt};

use crate::support::{Cluster, Guarded, tool};

/// Addresses of Services, as the control plane of the tests gives them.
const SERVICES: &str = "10.96.0.0/16";

/// What enforces them.
pub struct Engine {
    /// Its process.
    pub process: Guarded,
    /// The address of the node that it is at work on.
    pub node_address: String,
}

impl Engine {
    /// Starts it.
    pub async fn start(cluster: &Cluster) -> Self {
        let nodes = Api::<Node>::all(cluster.client().await).list(&Default::default()).await.unwrap();
        let [node] = nodes.items.as_slice() else { panic!("one real node is expected: {nodes:?}") };
        let tools = tool("enforcer");
        let path = format!("{}:{}", tools.join("bin").display(), std::env::var("PATH").unwrap());
        let process = Guarded::start("enforcer", "TERM", |command| {
            command
                .arg("nsenter")
                .arg(format!("--net=/proc/{}/ns/net", cluster.node_pid()))
                .arg(tools.join("enforcer"))
                .arg(format!("--kubeconfig={}", cluster.kubeconfig_path().display()))
                .arg(format!("--node={}", node.name_any()))
                .arg(format!("--services={SERVICES}"))
                .env("PATH", path)
                .env("LD_LIBRARY_PATH", tools.join("lib"))
                .env("XTABLES_LIBDIR", tools.join("xtables"));
        });
        let addresses = node.status.as_ref().and_then(|status| status.addresses.as_ref());
        let internal = addresses.into_iter().flatten().find(|address| address.type_ == "InternalIP");
        let node_address = internal.expect("a node has an address").address.clone();
        Self { process, node_address }
    }
}
