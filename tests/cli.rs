//! What the program says when something is wrong, and how it ends: each command of `tests/cli/errors.txt`
//! with its exit code and all that it prints. `UPDATE=1 cargo test --test cli` writes the file; the texts
//! of `--help` are `docs/reference/command-line.md`.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic, also in its helpers")]

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Instant;

const BINARY: &str = env!("CARGO_BIN_EXE_microservice-operator");

/// The commands, and what they read from standard input.
const COMMANDS: [(&str, &str); 26] = [
    ("", ""),
    ("chekc", ""),
    ("check", ""),
    ("check -f tests/cli/files/nowhere.yaml", ""),
    ("check -f tests/cli", ""),
    ("check -f tests/cli/files/broken.yaml", ""),
    ("check -f tests/cli/files/twice.yaml", ""),
    ("check -f -", "- a\n- b\n"),
    ("check -f -", "apiVersion: v1\nkind: Pod\n"),
    ("check -f - -o xml", ""),
    ("check -f tests/cli/files/wrong.yaml", ""),
    ("check -f tests/cli/files/wrong.yaml -o json", ""),
    ("check -f tests/cli/files/wrong.yaml -o sarif", ""),
    ("check -f tests/cli/files/right.yaml", ""),
    ("check -f tests/cli/files/right.yaml --class nobody", ""),
    ("render -f tests/cli/files/wrong.yaml", ""),
    ("diff -f tests/cli/files/right.yaml --against tests/cli/files/wrong.yaml", ""),
    ("diff -f tests/cli/files/right.yaml --against tests/cli/files/right.yaml", ""),
    ("diff -f tests/cli/files/right.yaml --against tests/cli/files/older.yaml", ""),
    ("explain", ""),
    ("explain orders --kubeconfig tests/cli/files/nowhere.yaml", ""),
    ("graph", ""),
    ("graph --cluster -f tests/cli/files/right.yaml", ""),
    ("graph -A -f tests/cli/files/right.yaml", ""),
    ("graph --cluster --kubeconfig tests/cli/files/unreachable.yaml", ""),
    ("completions tcsh", ""),
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn program(line: &str, stdin: &str) -> Output {
    let mut command = Command::new(BINARY);
    command
        .current_dir(root())
        .args(line.split_whitespace())
        .env_remove("KUBECONFIG")
        .env("HOME", "/nonexistent");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut process = command.spawn().unwrap();
    // What ends without reading closes the pipe.
    let _ = process.stdin.take().unwrap().write_all(stdin.as_bytes());
    process.wait_with_output().unwrap()
}

#[test]
fn every_error_says_what_is_wrong_and_what_to_do() {
    let mut text = String::new();
    for (line, stdin) in COMMANDS {
        let output = program(line, stdin);
        let of = |bytes: &[u8]| String::from_utf8_lossy(bytes).replace(env!("CARGO_PKG_VERSION"), "VERSION");
        let given = if stdin.is_empty() { String::new() } else { format!(" < {stdin:?}") };
        text +=
            &format!("$ microservice-operator {line}{given}\n{}{}", of(&output.stdout), of(&output.stderr));
        text += &format!("= {}\n\n", output.status.code().unwrap());
    }
    assert!(
        !text.contains("panicked") && !text.contains("RUST_BACKTRACE") && !text.contains('\u{1b}'),
        "{text}"
    );
    let path = root().join("tests/cli/errors.txt");
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&path, &text).unwrap();
    }
    let stored = fs::read_to_string(&path).unwrap_or_default();
    for (stored, found) in stored.lines().zip(text.lines()) {
        assert_eq!(
            stored, found,
            "tests/cli/errors.txt is not what is printed: UPDATE=1 cargo test --test cli"
        );
    }
    assert_eq!(stored.len(), text.len(), "UPDATE=1 cargo test --test cli");
}

/// Findings stand where the field is named, or at what is around it.
#[test]
fn every_counter_example_has_its_finding_at_a_line_of_its_own_text() {
    let output = program("check -R -f examples/invalid -o json", "");
    let found: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let findings = found["findings"].as_array().unwrap();
    assert!(findings.len() > 100, "{}", findings.len());
    for finding in findings {
        let file = fs::read_to_string(root().join(finding["file"].as_str().unwrap())).unwrap();
        let line = usize::try_from(finding["line"].as_u64().unwrap()).unwrap();
        let column = usize::try_from(finding["column"].as_u64().unwrap()).unwrap();
        let text = file.lines().nth(line - 1).unwrap();
        let rest: String = text.chars().skip(column - 1).collect();
        // The key at the place is one of the path, or the path leads to an item of a list.
        let key: String =
            rest.trim_start_matches(['"', '\'']).chars().take_while(|c| !"\"':".contains(*c)).collect();
        let field = finding["field"].as_str().unwrap();
        let at_key = field.contains(&key) && rest.contains(':');
        assert!(at_key || field.contains('[') || field.is_empty(), "{finding}\n{text}");
    }
}

#[test]
fn a_check_fails_on_what_is_so_severe_and_tells_the_rest() {
    let code = |line: &str| program(line, "").status.code().unwrap();
    let told = program("check -R -f examples/shop", "");
    let text = String::from_utf8(told.stdout).unwrap();
    assert!(text.contains("spec.calls: warning: ") && text.contains("[AvailabilityCeiling]"), "{text}");
    assert_eq!(told.status.code(), Some(0), "warnings are told");
    assert_eq!(code("check -R -f examples/shop --fail-on warning"), 1);
    assert_eq!(code("check -f examples/network-policy.yaml --fail-on warning"), 0);
    assert_eq!(code("check -f examples/network-policy.yaml --fail-on info"), 1);
    assert_eq!(code("check -f examples/invalid/call-host.yaml --fail-on error"), 1);
    assert_eq!(code("graph -R -f examples/shop"), 0);
    assert_eq!(code("graph -R -f examples/shop --fail-on warning"), 1);
}

/// The bar is a second for 1,000 files: `cargo test --release --test cli` holds it. A build without
/// optimizations is slower by far, and checks that they fit together only.
#[test]
fn a_thousand_files_are_checked_within_a_second() {
    let count = if cfg!(debug_assertions) { 100 } else { 1000 };
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("many");
    // What an earlier run has left.
    let _ = fs::remove_dir_all(&directory);
    fs::create_dir_all(&directory).unwrap();
    let example = fs::read_to_string(root().join("examples/shop/order.yaml")).unwrap();
    let class = fs::read_to_string(root().join("examples/shop/class.yaml")).unwrap();
    fs::write(directory.join("class.yaml"), class).unwrap();
    for number in 0..count {
        let text = example.replace("order-service", &format!("order-{number}"));
        let text = text.replace("order-events", &format!("order-events-{number}"));
        let text = text.replace("order-db", &format!("order-db-{number}"));
        fs::write(directory.join(format!("order-{number}.yaml")), text).unwrap();
    }
    let line = format!("check -f {} -o json", directory.display());
    let once = || {
        let start = Instant::now();
        (program(&line, ""), start.elapsed())
    };
    // The best of three: others may use the machine too.
    let (output, took) = (0..3).map(|_| once()).min_by_key(|(_, took)| *took).unwrap();
    println!("{count} files: {took:?}");
    let found: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (&found["objects"], &found["findings"]),
        (&(count + 1).into(), &serde_json::json!([])),
        "{found:#}"
    );
    assert!(cfg!(debug_assertions) || took.as_millis() < 1000, "{took:?}");
}

#[test]
fn completions_and_pages_cover_every_command() {
    let text = |line: &str| String::from_utf8(program(line, "").stdout).unwrap();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = text(&format!("completions {shell}"));
        assert!(script.contains("microservice-operator") && script.contains("explain"), "{shell}: {script}");
    }
    let page = text("man");
    assert!(page.starts_with(".ie") || page.starts_with(".TH"), "{page}");
    assert!(page.contains("microservice\\-operator\\-diff(1)") && page.contains("Exit codes"), "{page}");
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("man");
    assert!(program(&format!("man --write {}", directory.display()), "").status.success());
    for name in
        ["", "-run", "-crd", "-rbac", "-render", "-check", "-diff", "-explain", "-completions", "-man"]
    {
        assert!(directory.join(format!("microservice-operator{name}.1")).is_file(), "no page of {name:?}");
    }
}
