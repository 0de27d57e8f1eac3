//! kubectl as a person types it: the one that `make cluster-tools` builds.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::Cluster;
use super::cluster::tool;

/// kubectl with all rights, in one namespace.
#[derive(Clone)]
pub struct Kubectl {
    kubeconfig: PathBuf,
    namespace: String,
}

/// What a command printed and how it ended.
#[derive(Clone, Debug)]
pub struct Printed {
    /// Exit code.
    pub code: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Kubectl {
    /// In this namespace of the cluster.
    pub fn new(cluster: &Cluster, namespace: &str) -> Self {
        Self { kubeconfig: cluster.kubeconfig_path().to_owned(), namespace: namespace.to_owned() }
    }

    /// Runs a command, given as one line of words.
    pub async fn run(&self, line: &str) -> Printed {
        self.with(line, String::new()).await
    }

    /// Runs a command that reads manifests with `-f -`.
    pub async fn with(&self, line: &str, stdin: String) -> Printed {
        let mut command = Command::new(tool("kubectl"));
        command.arg("--kubeconfig").arg(&self.kubeconfig).args(["--namespace", &self.namespace]);
        command.args(line.split(' '));
        run(command, stdin).await
    }

    /// Runs a command that must succeed, and returns what it printed.
    pub async fn ok(&self, line: &str) -> String {
        let printed = self.run(line).await;
        assert_eq!(printed.code, 0, "kubectl {line}: {}{}", printed.out, printed.err);
        printed.out
    }
}

/// Runs promtool, given as one line of words, on a text.
pub async fn promtool(line: &str, stdin: String) -> Printed {
    let mut command = Command::new(tool("promtool"));
    command.args(line.split(' '));
    run(command, stdin).await
}

/// Runs a tool to its end, in a thread of its own.
pub async fn run(mut command: Command, stdin: String) -> Printed {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let run = move || {
        let mut process = command.spawn()?;
        let mut input = process.stdin.take().expect("stdin is a pipe");
        // A command that does not read its input closes the pipe.
        let _ = input.write_all(stdin.as_bytes());
        drop(input);
        process.wait_with_output()
    };
    let output = tokio::task::spawn_blocking(run).await.expect("the thread ends");
    let output = output.expect("the tool runs: build it with `make cluster-tools chart-tools`");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Printed {
        code: output.status.code().expect("it ends by itself"),
        out: text(&output.stdout),
        err: text(&output.stderr),
    }
}
