//! Go modules that a `go.mod` below `tests/` pins and of which only files are read.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// Where Go keeps a module that `tests/PROJECT/go.mod` requires; it is fetched when it is not there yet.
pub fn module(project: &str, name: &str) -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(project);
    let requirements = std::fs::read_to_string(own.join("go.mod")).expect("its go.mod can be read");
    let required = requirements.lines().map(|line| line.trim().trim_start_matches("require "));
    let line = required.into_iter().find(|line| line.starts_with(&format!("{name} ")));
    let pinned =
        line.unwrap_or_else(|| panic!("tests/{project}/go.mod requires no {name}")).replace(' ', "@");
    let output = Command::new("go")
        .args(["mod", "download", "-json", &pinned])
        .current_dir(&own)
        .envs([("GOTOOLCHAIN", "local"), ("GOFLAGS", "-mod=readonly"), ("GOWORK", "off")])
        .output()
        .expect("go runs");
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    let place = answer["Dir"].as_str().map(PathBuf::from);
    place.unwrap_or_else(|| panic!("{pinned}: {answer} {}", String::from_utf8_lossy(&output.stderr)))
}
