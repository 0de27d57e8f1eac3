//! `docs/getting-started.md`, run as it stands: each command in its order in one shell, and what the page
//! says that it prints. `…` on the page is whatever comes.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{run, scratch, suffix};

const PAGE: &str = include_str!("../../docs/getting-started.md");
/// What a run of the tests has done already, or what has a test of its own.
const NOT_RUN: [&str; 2] = ["make demo", "cargo build"];
/// Begins the output of a block.
const MARK: &str = "##>";

/// Commands, and the lines that the page shows below them.
struct Block<'a> {
    commands: Vec<&'a str>,
    shown: Vec<&'a str>,
}

fn blocks(page: &str) -> Vec<Block<'_>> {
    let mut found: Vec<Block<'_>> = Vec::new();
    let mut language = None;
    for line in page.lines() {
        match (line.strip_prefix("```"), language) {
            (Some("sh"), None) => {
                found.push(Block { commands: Vec::new(), shown: Vec::new() });
                language = Some("sh");
            }
            (Some(other), None) => language = Some(other),
            (Some(_), Some(_)) => language = None,
            (None, Some("sh")) => found.last_mut().expect("a block has begun").commands.push(line),
            (None, Some("text")) => found.last_mut().expect("commands come first").shown.push(line),
            (None, _) => {}
        }
    }
    found
}

/// The repository with an empty `target` of its own that has the tools and the program of this run.
fn checkout() -> PathBuf {
    let root = scratch().join(format!("page-{}", suffix()));
    let target = root.join("target");
    fs::create_dir_all(&target).expect("a directory can be made");
    for entry in fs::read_dir(env!("CARGO_MANIFEST_DIR")).expect("the repository can be read").flatten() {
        let name = entry.file_name();
        if name != "target" && name != ".git" {
            symlink(entry.path(), root.join(&name)).expect("a link can be made");
        }
    }
    let built = Path::new(env!("CARGO_BIN_EXE_microservice-operator")).parent().expect("it has a directory");
    symlink(built, target.join("debug")).expect("a link can be made");
    let tools = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("tools");
    symlink(tools, target.join("tools")).expect("a link can be made");
    root
}

fn script(blocks: &[Block<'_>]) -> String {
    let mut script = String::from(
        "set -euo pipefail\ntrap 'kill $(jobs -p) 2>/dev/null || true; make cluster-down' EXIT\n",
    );
    for (number, block) in blocks.iter().enumerate() {
        script.push_str(&format!("printf '\\n{MARK} {number}\\n'\n"));
        for command in block.commands.iter().filter(|command| !NOT_RUN.contains(command)) {
            script.push_str(&format!("{command}\n"));
        }
    }
    script
}

/// Whether the words of a line of the page are those of a line that was printed.
fn is_like(shown: &str, printed: &str) -> bool {
    let mut printed = printed.split_whitespace().peekable();
    let mut open = false;
    for word in shown.split_whitespace() {
        if word == "…" {
            open = true;
        } else if open {
            open = false;
            if !printed.by_ref().any(|other| other == word) {
                return false;
            }
        } else if printed.next() != Some(word) {
            return false;
        }
    }
    open || printed.peek().is_none()
}

#[tokio::test]
async fn each_command_of_the_first_steps_does_what_the_page_says() {
    let blocks = blocks(PAGE);
    assert!(blocks.len() > 10, "the page was not understood");
    let all: Vec<&str> = blocks.iter().flat_map(|block| block.commands.clone()).collect();
    NOT_RUN
        .iter()
        .for_each(|command| assert!(all.contains(command), "{command} is not on the page any more"));
    let root = checkout();
    let mut command = Command::new("bash");
    command.arg("-c").arg(script(&blocks)).current_dir(&root).env("LISTEN", "127.0.0.1:0");
    for variable in ["CARGO_TARGET_DIR", "MAKEFLAGS", "MAKELEVEL", "KUBECONFIG", "TEST_KUBECONFIG"] {
        command.env_remove(variable);
    }
    let printed = run(command, String::new()).await;
    let log = fs::read_to_string(root.join("operator.log")).unwrap_or_default();
    let told = || format!("{}\n{}\noperator.log:\n{log}", printed.out, printed.err);
    assert_eq!(printed.code, 0, "{}", told());
    for (number, block) in blocks.iter().enumerate() {
        let output = printed.out.split(&format!("{MARK} {number}\n")).nth(1).expect("the block was run");
        let output = output.split(MARK).next().unwrap_or_default();
        for shown in &block.shown {
            assert!(
                output.lines().any(|line| is_like(shown, line)),
                "{:?} shows {shown:?}, but printed {output}",
                block.commands
            );
        }
    }
    fs::remove_dir_all(&root).expect("it can be removed");
}

#[test]
fn a_line_of_the_page_is_like_what_it_stands_for() {
    assert!(is_like("a   … z", "a b c z"));
    assert!(is_like("a …", "a"));
    assert!(!is_like("a", "a b"));
    assert!(!is_like("a … z", "a b"));
    assert!(!is_like("a b", "a c"));
}
