//! A control plane for tests: an instance of the launcher in `tests/cluster`, with simulated nodes or
//! with a real one; or the cluster that `TEST_KUBECONFIG` offers.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

use super::Audit;

/// A control plane. Tests of one process share one; a test that disturbs it starts its own.
pub struct Cluster {
    kubeconfig: PathBuf,
    audit: Option<PathBuf>,
    instance: Option<Instance>,
}

/// An instance that this process runs. It ends when its stdin does, so also when we are killed.
struct Instance {
    dir: PathBuf,
    process: Child,
}

static SHARED: OnceLock<Cluster> = OnceLock::new();

impl Cluster {
    /// The cluster of this process, started by the first call.
    pub fn shared() -> &'static Self {
        SHARED.get_or_init(|| Self::foreign().unwrap_or_else(Self::own))
    }

    /// The cluster of this process with a real node, started by the first call. It is the shared one of
    /// a process whose tests all ask for it.
    pub fn real() -> &'static Self {
        SHARED.get_or_init(|| Self::foreign().unwrap_or_else(Self::own_real))
    }

    fn foreign() -> Option<Self> {
        let path = std::env::var_os("TEST_KUBECONFIG")?;
        let audit = std::env::var_os("TEST_AUDIT_LOG").map(PathBuf::from);
        Some(Self { kubeconfig: path.into(), audit, instance: None })
    }

    /// A cluster for one test alone: for tests that restart, stop or starve parts of it.
    pub fn own() -> Self {
        Self::start(&[])
    }

    /// The same with a real node.
    pub fn own_real() -> Self {
        Self::start(&["--real".as_ref(), tool("node").as_os_str()])
    }

    fn start(arguments: &[&OsStr]) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        static SWEEP: OnceLock<()> = OnceLock::new();
        SWEEP.get_or_init(remove_old_instances);

        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let dir = scratch().join(format!("{PREFIX}{}-{number}", std::process::id()));
        let mut process = Command::new(launcher())
            .args(["run", "--dir"])
            .arg(&dir)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the launcher starts");
        let mut line = String::new();
        let output = process.stdout.take().expect("stdout is a pipe");
        BufReader::new(output).read_line(&mut line).expect("its output is text");
        assert!(
            line.starts_with("ready "),
            "the control plane did not start; see above and {}",
            dir.display()
        );
        Self {
            kubeconfig: dir.join("kubeconfig"),
            audit: Some(dir.join("audit.log")),
            instance: Some(Instance { dir, process }),
        }
    }

    /// A new client with all rights. It belongs to the calling test: a client is bound to the runtime
    /// that made it, and each test has its own.
    pub async fn client(&self) -> Client {
        let config = Config::from_custom_kubeconfig(self.kubeconfig(), &KubeConfigOptions::default())
            .await
            .expect("the kubeconfig is complete");
        Client::try_from(config).expect("the kubeconfig makes a client")
    }

    /// The kubeconfig with all rights.
    pub fn kubeconfig(&self) -> Kubeconfig {
        Kubeconfig::read_from(&self.kubeconfig).expect("the kubeconfig can be read")
    }

    /// The file of the kubeconfig with all rights.
    pub fn kubeconfig_path(&self) -> &Path {
        &self.kubeconfig
    }

    /// Whether somebody else's cluster is used, so that we have to clean up.
    pub fn is_foreign(&self) -> bool {
        self.instance.is_none()
    }

    /// The audit log. Panics on a foreign cluster that does not offer one with `TEST_AUDIT_LOG`.
    pub async fn audit(&self) -> Audit {
        let path = self.audit.clone().expect(
            "this test counts requests: unset TEST_KUBECONFIG, or set TEST_AUDIT_LOG to the audit log \
             (JSON lines, level Metadata, blocking) of its API server",
        );
        Audit::new(path, self.client().await)
    }

    /// Restarts a component with the same port, data, certificates and tokens.
    pub fn restart(&self, component: &str) {
        self.control("restart", &[component]);
    }

    /// Sends a signal to a component: KILL, TERM, INT, STOP, CONT or HUP.
    pub fn signal(&self, component: &str, signal: &str) {
        self.control("signal", &[component, signal]);
    }

    /// Starts what has been killed and waits until the cluster is usable.
    pub fn revive(&self) {
        self.control("start", &[]);
    }

    /// Gives the real node one program as images of these names; who runs it as `link` gets it too. Into
    /// somebody else's cluster they have been brought already.
    pub fn load(&self, program: &str, link: &str, images: &[&str]) {
        if self.is_foreign() {
            return;
        }
        let program = tool(program).display().to_string();
        let operands: Vec<&str> =
            ["--link", link, &program].into_iter().chain(images.iter().copied()).collect();
        self.control("load", &operands);
    }

    /// The address of this host that the pods of a real node reach.
    pub fn host_address(&self) -> String {
        if let Ok(address) = std::env::var("TEST_HOST_ADDRESS") {
            return address;
        }
        assert!(!self.is_foreign(), "set TEST_HOST_ADDRESS: how pods of that cluster reach this host");
        let config = serde_json::to_value(self.kubeconfig()).expect("a kubeconfig is JSON");
        let server = config["clusters"][0]["cluster"]["server"].as_str().unwrap_or_default();
        let node = server.trim_start_matches("https://").split(':').next().unwrap_or_default();
        // The cable has two ends: the node's address is ours plus one.
        let node: std::net::Ipv4Addr = node.parse().expect("the API server of a real node has an address");
        std::net::Ipv4Addr::from_bits(node.to_bits() - 1).to_string()
    }

    /// A process of the real node, whose namespaces are the node's.
    pub fn node_pid(&self) -> u32 {
        // Any of its threads may have started the first process of the node.
        let threads = std::fs::read_dir(format!("/proc/{}/task", self.pid())).expect("the launcher runs");
        let children = threads
            .flatten()
            .filter_map(|thread| std::fs::read_to_string(thread.path().join("children")).ok());
        let children: String = children.collect();
        children.split(' ').find_map(|child| child.parse().ok()).expect("the node runs")
    }

    /// The directory of an instance of our own.
    pub fn dir(&self) -> &Path {
        &self.instance.as_ref().expect("only a cluster of our own has one").dir
    }

    /// The process that runs it.
    pub fn pid(&self) -> u32 {
        self.instance.as_ref().expect("only a cluster of our own has one").process.id()
    }

    /// Makes etcd forget its history: watches from before it get 410 Gone.
    pub fn compact(&self) {
        self.control("compact", &[]);
    }

    fn control(&self, command: &str, operands: &[&str]) {
        let instance = self.instance.as_ref().expect("only a cluster of our own can be disturbed");
        let output = Command::new(launcher())
            .args([command, "--dir"])
            .arg(&instance.dir)
            .args(operands)
            .output()
            .expect("the launcher runs");
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "cluster {command} {operands:?}: {text}");
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}

const PREFIX: &str = "cluster-";

/// Where tests keep files, below the target directory.
pub fn scratch() -> PathBuf {
    let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    std::fs::create_dir_all(&dir).expect("the target directory is writable");
    dir
}

/// The launcher that `make cluster-tools` builds.
fn launcher() -> PathBuf {
    tool("cluster")
}

/// A program that `make cluster-tools` or `make chart-tools` builds.
pub fn tool(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("tools").join(name);
    assert!(
        path.exists(),
        "{} is missing: run `make cluster-tools chart-tools`; TEST_KUBECONFIG, a cluster for tests, replaces the \
         first",
        path.display()
    );
    path
}

/// Removes the logs of test processes that are gone. The last run's stay until here, for reading.
fn remove_old_instances() {
    for dir in remains(PREFIX) {
        let _ = Command::new(launcher()).args(["stop", "--purge", "--dir"]).arg(dir).status();
    }
}

/// Directories `PREFIX` + pid + `-…` in the scratch directory whose test process is gone.
pub fn remains(prefix: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(scratch()).expect("the scratch directory is readable").flatten();
    let gone = entries.filter(|entry| {
        let name = entry.file_name().to_string_lossy().into_owned();
        let pid = name.strip_prefix(prefix).and_then(|rest| rest.split('-').next());
        pid.is_some_and(|pid| !is_alive(pid))
    });
    gone.map(|entry| entry.path()).collect()
}

/// Whether there is a process of this id.
pub fn is_alive(pid: &str) -> bool {
    Command::new("kill").args(["-0", pid]).stderr(Stdio::null()).status().is_ok_and(|s| s.success())
}
