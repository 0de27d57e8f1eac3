//! The tables of cases in `tests/kafka/main.rs` and `docs/reliability.md` tell the truth: whatever they name
//! exists, and is a test. And the bugs that `make planted` plants can be planted.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic, also in its helpers")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

const TABLE: &str = "tests/kafka/main.rs";

/// The names in the last column, each with its line.
fn named(text: &str) -> Vec<(String, String)> {
    let rows = text.lines().filter_map(|line| line.strip_prefix("//! | "));
    let rows = rows.filter(|row| !row.starts_with("case |"));
    rows.flat_map(|row| {
        let held = row.trim_end_matches('|').rsplit(" | ").next().unwrap_or_default();
        let names = held.split_whitespace().map(|name| name.trim_matches('`').to_owned());
        names.map(|name| (name, row.to_owned())).collect::<Vec<_>>()
    })
    .collect()
}

/// Names of the functions in a source that are tests, those of properties too.
fn tests(source: &str, found: &mut BTreeSet<String>) {
    let mut marked = false;
    for line in source.lines().map(str::trim) {
        if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
            marked = true;
        } else if marked && line.contains("fn ") {
            let name = line.split("fn ").nth(1).unwrap_or_default();
            found.insert(name.split(['(', '<']).next().unwrap_or_default().to_owned());
            marked = false;
        }
    }
}

fn collect(directory: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, found);
        } else if path.extension().is_some_and(|kind| kind == "rs") {
            tests(&fs::read_to_string(&path).unwrap(), found);
        }
    }
}

/// All tests of the repository.
fn known(root: &Path) -> BTreeSet<String> {
    let mut known = BTreeSet::new();
    ["src", "tests"].into_iter().for_each(|directory| collect(&root.join(directory), &mut known));
    known
}

#[test]
fn every_class_of_bugs_is_covered_by_tests_and_scenarios_that_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let known = known(root);
    let page = fs::read_to_string(root.join("docs/reliability.md")).unwrap();
    let rows: Vec<&str> = page.lines().filter(|line| line.starts_with("| R")).collect();
    assert_eq!(rows.len(), 18, "one row for each class");
    for row in rows {
        let names: Vec<&str> = row.split('`').skip(1).step_by(2).collect();
        assert!(!names.is_empty(), "{row}");
        for name in names {
            let exists = match name.split_once("::") {
                Some((_, test)) => known.contains(test),
                None if name.contains('/') => root.join(name).exists(),
                None => root.join("tests/faults/scenarios").join(format!("{name}.yaml")).exists(),
            };
            assert!(exists, "{name} is no test, no scenario and no directory: {row}");
        }
    }
}

#[test]
fn every_case_is_held_by_a_test_that_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let known = known(root);
    let named = named(&fs::read_to_string(root.join(TABLE)).unwrap());
    assert!(named.len() > 60, "the table was not understood: {named:?}");
    for (name, row) in named {
        let example = root.join("examples/invalid").join(format!("{name}.yaml"));
        assert!(known.contains(&name) || example.exists(), "{name} is no test and no counter-example: {row}");
    }
}

#[test]
fn every_planted_bug_fits_the_sources() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let patches = fs::read_dir(root.join("tests/planted")).unwrap();
    let patches: Vec<_> = patches.map(|entry| entry.unwrap().path()).collect();
    assert_eq!(patches.len(), 20, "docs/reliability.md and the Makefile say twenty");
    let failed: Vec<String> = patches.iter().filter_map(|patch| misfit(root, patch)).collect();
    assert!(failed.is_empty(), "make these anew, with the same first line:\n{}", failed.join("\n"));
}

/// Why a patch cannot be applied.
fn misfit(root: &Path, patch: &Path) -> Option<String> {
    let mut git = Command::new("git");
    // The patch is of this directory, also where it is no repository but within one.
    git.current_dir(root).env("GIT_CEILING_DIRECTORIES", root.parent().unwrap_or(root));
    let output = git.args(["apply", "--check"]).arg(patch).output().expect("git is installed");
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    (!output.status.success()).then(|| format!("{}: {words}", patch.display()))
}
