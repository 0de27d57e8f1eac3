//! The real node itself: it runs pods, and leaves nothing behind, however it ends.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Node, Pod};
use kube::Api;
use serde_json::json;

use crate::fixtures::PATIENCE;
use crate::support::{Cluster, eventually, tool};

/// What a node could leave on the host: mounts, interfaces, routes, rules, cgroups, switches.
fn traces() -> BTreeSet<String> {
    let mut traces = BTreeSet::new();
    let mut note = |kind: &str, text: &str| {
        traces.extend(text.lines().map(|line| format!("{kind} {}", line.trim())));
    };
    note("mount", &std::fs::read_to_string("/proc/self/mounts").unwrap());
    for entry in std::fs::read_dir("/sys/class/net").unwrap().flatten() {
        note("interface", &entry.file_name().to_string_lossy());
    }
    note("route", &std::fs::read_to_string("/proc/net/route").unwrap());
    let nft = Command::new(tool("node").join("nft"))
        .env("LD_LIBRARY_PATH", tool("node").join("lib"))
        .args(["list", "tables"])
        .output()
        .unwrap();
    note("table", &String::from_utf8_lossy(&nft.stdout));
    for hierarchy in std::fs::read_dir("/sys/fs/cgroup").unwrap().flatten() {
        let inner = std::fs::read_dir(hierarchy.path()).into_iter().flatten().flatten();
        for path in inner.map(|entry| entry.path()).chain([hierarchy.path()]).filter(|path| path.is_dir()) {
            note("cgroup", &path.display().to_string());
        }
    }
    for switch in ["vm/overcommit_memory", "vm/panic_on_oom", "kernel/panic", "kernel/panic_on_oops"] {
        let value = std::fs::read_to_string(Path::new("/proc/sys").join(switch)).unwrap();
        note("switch", &format!("{switch} {value}"));
    }
    note("switch", &std::fs::read_to_string("/proc/sys/net/ipv4/ip_forward").unwrap());
    traces
}

/// The number of the node that a trace is of, if it is one of a node.
fn node_of(trace: &str) -> Option<&str> {
    let (_, rest) = trace.split_once("msnode").or_else(|| trace.split_once("microservice-node-"))?;
    rest.split(|c: char| !c.is_ascii_digit()).next()
}

/// What a node of ours is known by. Others on this host come and go meanwhile.
struct Ours {
    number: String,
    /// The namespace of its processes. Those of its pods are in its cgroups, which can only be removed
    /// without them.
    world: PathBuf,
}

impl Ours {
    fn new(cluster: &Cluster) -> Self {
        let address = cluster.host_address();
        let number = address.split('.').nth(2).unwrap().to_owned();
        let world = std::fs::read_link(format!("/proc/{}/ns/pid", cluster.node_pid())).unwrap();
        Self { number, world }
    }

    /// Its processes.
    fn processes(&self) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        for entry in std::fs::read_dir("/proc").unwrap().flatten() {
            let is_ours =
                std::fs::read_link(entry.path().join("ns/pid")).is_ok_and(|world| world == self.world);
            if is_ours {
                let program = std::fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
                found.insert(format!("process {} {}", entry.file_name().display(), program.trim()));
            }
        }
        found
    }

    /// Its traces on the host.
    fn traces(&self) -> BTreeSet<String> {
        let mine = |trace: &String| node_of(trace) == Some(&self.number);
        traces().into_iter().filter(mine).chain(self.processes()).collect()
    }
}

async fn run_a_pod(cluster: &Cluster) {
    let client = cluster.client().await;
    cluster.load("shop", "/app/migrate", &["docker.io/library/web:v1"]);
    let pods: Api<Pod> = Api::namespaced(client.clone(), "default");
    let pod = serde_json::from_value(json!({
        "metadata": {"name": "web"},
        "spec": {"containers": [{
            "name": "web", "image": "web:v1",
            "readinessProbe": {"httpGet": {"path": "/health", "port": 3000}},
        }]},
    }));
    pods.create(&Default::default(), &pod.unwrap()).await.expect("the pod is accepted");
    eventually(PATIENCE, "the pod is ready", || async {
        let pod = pods.get("web").await.map_err(|error| error.to_string())?;
        let status = pod.status.unwrap_or_default();
        let ready = status.conditions.iter().flatten().any(|c| c.type_ == "Ready" && c.status == "True");
        if ready { Ok(()) } else { Err(format!("{status:?}")) }
    })
    .await;
    let node = Api::<Node>::all(client).get("node-1").await.unwrap();
    let version = node.status.unwrap().node_info.unwrap().container_runtime_version;
    assert!(version.starts_with("containerd://"), "{version}");
}

async fn is_as_before(before: &BTreeSet<String>, ours: &Ours) {
    eventually(Duration::from_secs(20), "the host is as before", || async {
        let (after, left) = (traces(), ours.traces());
        let of_no_node = |trace: &&String| node_of(trace).is_none();
        let changed: Vec<_> = after.symmetric_difference(before).filter(of_no_node).collect();
        let met = changed.is_empty() && left.is_empty();
        if met { Ok(()) } else { Err(format!("changed {changed:#?}, left {left:#?}")) }
    })
    .await;
}

#[tokio::test]
async fn a_node_that_is_stopped_leaves_nothing() {
    let before = traces();
    let cluster = Cluster::own_real();
    let ours = Ours::new(&cluster);
    run_a_pod(&cluster).await;
    assert!(ours.traces().len() > 10, "while it runs there is something to see: {:?}", ours.traces());
    drop(cluster);
    is_as_before(&before, &ours).await;
}

#[tokio::test]
async fn a_node_that_is_killed_leaves_nothing() {
    let before = traces();
    let cluster = Cluster::own_real();
    let ours = Ours::new(&cluster);
    run_a_pod(&cluster).await;
    let dir = cluster.dir().to_owned();
    let killed = Command::new("kill").args(["-KILL", &cluster.pid().to_string()]).status();
    assert!(killed.unwrap().success());
    drop(cluster);
    // The kernel has ended everything; empty cgroups wait for the next start or stop.
    let stopped = Command::new(tool("cluster")).args(["stop", "--purge", "--dir"]).arg(&dir).status();
    assert!(stopped.unwrap().success());
    is_as_before(&before, &ours).await;
    assert!(!dir.exists(), "{} is gone", dir.display());
}
