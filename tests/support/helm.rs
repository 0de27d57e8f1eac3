//! Helm as a person uses it: the one that `make chart-tools` builds.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::cluster::{scratch, tool};
use super::kubectl::{Printed, run};
use super::{Cluster, suffix};

/// Helm with all rights on a cluster.
pub struct Helm {
    kubeconfig: PathBuf,
    home: PathBuf,
}

impl Helm {
    /// For this cluster, with settings and caches of its own.
    pub fn new(cluster: &Cluster) -> Self {
        let home = scratch().join(format!("helm-{}", suffix()));
        Self { kubeconfig: cluster.kubeconfig_path().to_owned(), home }
    }

    /// Runs a command, given as one line of words.
    pub async fn run(&self, line: &str) -> Printed {
        let mut command = Command::new(tool("helm"));
        command.args(line.split_whitespace()).env("KUBECONFIG", &self.kubeconfig);
        for variable in ["HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME"] {
            command.env(variable, &self.home);
        }
        command.current_dir(env!("CARGO_MANIFEST_DIR"));
        run(command, String::new()).await
    }

    /// Runs a command that must succeed, and returns what it printed.
    pub async fn ok(&self, line: &str) -> String {
        let printed = self.run(line).await;
        assert_eq!(printed.code, 0, "helm {line}: {}{}", printed.out, printed.err);
        printed.out
    }
}

impl Drop for Helm {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.home);
    }
}

/// The files with values that the charts are tried with, `ci/*-values.yaml`.
pub fn values(chart: &str) -> Vec<String> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join(chart).join("ci");
    let entries = std::fs::read_dir(&directory).expect("the chart has values for tests").flatten();
    let mut files: Vec<String> = entries.map(|entry| entry.path().display().to_string()).collect();
    files.sort();
    assert!(!files.is_empty(), "{} is empty", directory.display());
    files
}
