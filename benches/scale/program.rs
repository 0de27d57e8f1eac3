//! The operator as a process, against the stub.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::process;
use crate::support::{BINARY, eventually, free_port, metric, run_guarded, scratch};

/// Namespace of the operator itself.
pub const NAMESPACE: &str = "microservice-system";
/// Longest wait for anything.
pub const PATIENCE: Duration = Duration::from_mins(30);
/// It is at rest when it has used less CPU than this in [`REST`].
const IDLE: Duration = Duration::from_millis(20);
const REST: Duration = Duration::from_secs(2);

/// A running operator; it ends with this value, or with us.
pub struct Program {
    guard: Child,
    pub pid: u32,
    port: u16,
    log: PathBuf,
    pub started: Instant,
}

impl Program {
    /// Starts it with the settings that it is shipped with.
    pub fn start(server: SocketAddr) -> Self {
        let port = free_port();
        let file = |end: &str| scratch().join(format!("scale-{}-{port}.{end}", std::process::id()));
        let (kubeconfig, log) = (file("kubeconfig"), file("log"));
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "stub",
            "contexts": [{"name": "stub", "context": {"cluster": "stub", "user": "nobody"}}],
            "clusters": [{"name": "stub", "cluster": {"server": format!("http://{server}")}}],
            "users": [{"name": "nobody", "user": {}}],
        });
        fs::write(&kubeconfig, config.to_string()).expect("the scratch directory is writable");
        let started = Instant::now();
        let (guard, pid) = run_guarded(Path::new(BINARY), &log, |command| {
            command.args(["run", "--leader-elect=false"]);
            command
                .arg(format!("--listen=127.0.0.1:{port}"))
                .arg(format!("--operator-namespace={NAMESPACE}"));
            command.env("KUBECONFIG", kubeconfig);
        });
        Self { guard, pid, port, log, started }
    }

    /// Looks at objects so far.
    pub async fn looks(&self) -> usize {
        metric(self.port, "microservice_operator_reconciles_total").await.unwrap_or_default()
    }

    /// Waits for so many looks. Returns how long it took from this time on.
    pub async fn looked(&self, since: Instant, count: usize) -> Duration {
        eventually(PATIENCE, &format!("the operator has looked {count} times"), || async {
            let looks = self.looks().await;
            if looks >= count {
                Ok(())
            } else {
                Err(format!("{looks} times; its log is {}", self.log.display()))
            }
        })
        .await;
        since.elapsed()
    }

    /// Waits until it knows so many objects and no more.
    pub async fn left(&self, count: usize) {
        eventually(PATIENCE, &format!("the operator knows {count} objects"), || async {
            let known = metric(self.port, "microservice_operator_objects").await.unwrap_or_default();
            if known == count { Ok(()) } else { Err(format!("{known} objects")) }
        })
        .await;
    }

    /// Waits until it does nothing.
    pub async fn rest(&self) {
        eventually(PATIENCE, "the operator is at rest", || async {
            let before = process::cpu(self.pid);
            tokio::time::sleep(REST).await;
            let used = process::cpu(self.pid) - before;
            if used < IDLE { Ok(()) } else { Err(format!("it used {used:?} of CPU in {REST:?}")) }
        })
        .await;
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        drop(self.guard.stdin.take()); // the guard then kills the operator
        let _ = self.guard.wait();
    }
}
