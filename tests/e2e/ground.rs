//! The real node itself: it runs pods, and leaves nothing behind, however it ends.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Node, Pod};
use kube::Api;
use serde_json::json;

use crate::fixtures::PATIENCE;
use crate::support::{Cluster, eventually, tool};

/// What a node could leave on the host: mounts, interfaces, routes, rules, cgroups, switches, processes.
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
    traces.extend(processes());
    traces
}

/// Processes whose program is one of the node's. Those of its pods are in its cgroups, which can only be
/// removed without them.
fn processes() -> BTreeSet<String> {
    let programs = tool("node").canonicalize().unwrap();
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Ok(program) = std::fs::read_link(entry.path().join("exe")) else { continue };
        if program.starts_with(&programs) {
            found.insert(format!("process {} {}", entry.file_name().display(), program.display()));
        }
    }
    found
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

async fn is_as_before(before: &BTreeSet<String>) {
    eventually(Duration::from_secs(20), "the host is as before", || async {
        let after = traces();
        let new: Vec<_> = after.difference(before).collect();
        // Pods of the node that all tests share may go meanwhile.
        let gone = before.difference(&after).filter(|trace| !trace.starts_with("process "));
        let gone: Vec<_> = gone.collect();
        if new.is_empty() && gone.is_empty() { Ok(()) } else { Err(format!("new {new:#?}, gone {gone:#?}")) }
    })
    .await;
}

#[tokio::test]
async fn a_node_that_is_stopped_leaves_nothing() {
    let before = traces();
    let cluster = Cluster::own_real();
    run_a_pod(&cluster).await;
    assert!(traces().len() > before.len() + 5, "while it runs there is something to see");
    drop(cluster);
    is_as_before(&before).await;
}

#[tokio::test]
async fn a_node_that_is_killed_leaves_nothing() {
    let before = traces();
    let cluster = Cluster::own_real();
    run_a_pod(&cluster).await;
    let dir = cluster.dir().to_owned();
    let killed = Command::new("kill").args(["-KILL", &cluster.pid().to_string()]).status();
    assert!(killed.unwrap().success());
    drop(cluster);
    // The kernel has ended everything; empty cgroups wait for the next start or stop.
    let stopped = Command::new(tool("cluster")).args(["stop", "--purge", "--dir"]).arg(&dir).status();
    assert!(stopped.unwrap().success());
    is_as_before(&before).await;
    assert!(!dir.exists(), "{} is gone", dir.display());
}
