//! Where IO may happen and who may know whom, read from the sources: the pure core has no client, no
//! clock and no randomness, the command line never a client, and no module reaches back up the flow.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic, also in its helpers")]

use std::fs;
use std::path::{Path, PathBuf};

/// Module, and the modules of this crate that it may use besides itself.
const DIRECTION: [(&str, &[&str]); 10] = [
    ("api", &[]),
    ("kafka", &["api"]),
    ("intent", &["api", "kafka"]),
    ("graph", &["api", "kafka", "intent"]),
    ("plan", &["api", "intent"]),
    ("status", &["api", "kafka", "intent", "graph", "plan"]),
    ("cli", &["api", "intent", "graph", "plan", "status"]),
    ("telemetry", &["api"]),
    ("engine", &["api", "kafka", "intent", "graph", "plan", "status", "telemetry"]),
    ("controller", &["api", "kafka", "intent", "plan", "status", "telemetry", "engine"]),
];

/// Modules that compute and nothing else. The rest of the library does IO.
const PURE: [&str; 6] = ["api", "kafka", "intent", "graph", "plan", "status"];
/// Reads files and writes to standard output, but never talks to a cluster.
const OFFLINE: &str = "cli";
const IO: [&str; 3] = ["telemetry", "engine", "controller"];

/// Words that only IO needs: requests, waiting, threads.
const REQUESTS: [&str; 10] = [
    "Client",
    "Api",
    "await",
    "async",
    "tokio",
    "futures",
    "kube::runtime",
    "std::net",
    "std::thread",
    "std::process",
];
/// What differs from run to run: clocks, randomness, and collections of random order.
const CHANCE: [&str; 8] =
    ["Instant", "SystemTime", "::now", "rand", "getrandom", "RandomState", "HashMap", "HashSet"];
/// Needed and harmless.
const EXCEPTIONS: [(&str, &str, &str); 1] =
    [("api/schema/cel.rs", "HashMap", "the CEL library's own type of a map, only looked up in")];
/// The outside world as the process sees it.
const OUTSIDE: [&str; 5] = ["std::env", "std::fs", "std::io", "stdin", "println"];

/// One source file without its tests and comments.
struct Source {
    module: String,
    path: String,
    code: String,
}

#[test]
fn the_pure_core_has_no_client_no_clock_and_no_chance() {
    assert_without(&PURE, &[&REQUESTS[..], &CHANCE, &OUTSIDE].concat());
}

#[test]
fn the_command_line_never_talks_to_a_cluster() {
    assert_without(&[OFFLINE], &[&REQUESTS[..], &CHANCE].concat());
}

#[test]
fn every_module_is_pure_offline_or_io() {
    for source in sources() {
        // The binary wires the library together; its rules are those of a program.
        let known =
            [&PURE[..], &[OFFLINE], &IO, &["lib", "main", "arguments", "live", "manual", "run"]].concat();
        assert!(known.contains(&source.module.as_str()), "{}: say what {} is", source.path, source.module);
    }
}

#[test]
fn no_module_reaches_back_up_the_flow() {
    let all = sources();
    let mut broken = Vec::new();
    for (module, allowed) in DIRECTION {
        assert!(all.iter().any(|source| source.module == module), "{module} is gone");
        for source in all.iter().filter(|source| source.module == module) {
            for used in uses(&source.code) {
                if used != module && !allowed.contains(&used.as_str()) {
                    broken.push(format!("{}: {module} may not use {used}", source.path));
                }
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

/// The scanner itself: it would be worth nothing if it overlooked what it looks for.
#[test]
fn the_scan_sees_code_and_passes_over_comments_and_tests() {
    let text = "//! A Client in words.\nlet a = Api::<Pod>::all(client).get(\"x\").await; // Instant\n\
                let b = \"an Instant\";\nuse crate::{api::names, plan};\n\
                #[cfg(test)]\nmod tests {\n    use std::time::SystemTime;\n}\nfn after(now: rand::Rng) {}\n";
    let code = production(text);
    let seen = |word: &str| lines_with(&code, word);
    assert_eq!((seen("Api"), seen("await"), seen("rand")), (vec![2], vec![2], vec![9]));
    assert_eq!((seen("Client"), seen("SystemTime"), seen("Instant")), (vec![], vec![], vec![]));
    assert!(lines_with("let granted = operand();", "rand").is_empty(), "words are whole");
    assert_eq!(lines_with("Timestamp::now()", "::now"), [1]);
    assert_eq!(uses(&code), ["api", "plan"]);
}

fn assert_without(modules: &[&str], words: &[&str]) {
    let mut found = Vec::new();
    for source in sources().iter().filter(|source| modules.contains(&source.module.as_str())) {
        let excepted =
            |word: &str| EXCEPTIONS.iter().any(|(path, it, _)| *path == source.path && *it == word);
        for word in words.iter().filter(|word| !excepted(word)) {
            for line in lines_with(&source.code, word) {
                found.push(format!("{}:{line}: `{word}`", source.path));
            }
        }
    }
    assert!(found.is_empty(), "belongs into engine, controller, telemetry or main:\n{}", found.join("\n"));
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    collect(&root, &mut files);
    let files = files.into_iter().map(|file| {
        let path = file.strip_prefix(&root).unwrap().display().to_string();
        let module = path.split(['/', '.']).next().unwrap_or_default().to_owned();
        (fs::read_to_string(&file).unwrap(), path, module)
    });
    let whole: Vec<(String, String, String)> = files.collect();
    let tests = test_modules(&whole);
    let found: Vec<Source> = whole
        .into_iter()
        .filter(|(_, path, _)| !tests.iter().any(|test| path.starts_with(test)))
        .map(|(text, path, module)| Source { module, path, code: production(&text) })
        .collect();
    assert!(found.len() > 50, "only {} sources were found", found.len());
    found
}

fn collect(directory: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|end| end == "rs") {
            files.push(path);
        }
    }
    files.sort();
}

/// Paths (without `.rs` or `/`) of the modules that are declared `#[cfg(test)] mod name;`.
fn test_modules(files: &[(String, String, String)]) -> Vec<String> {
    let mut tests = Vec::new();
    for (text, path, _) in files {
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        let directory = match path.strip_suffix("/mod.rs") {
            Some(directory) => directory.to_owned(),
            None if ["lib.rs", "main.rs"].contains(&path.as_str()) => String::new(),
            None => path.trim_end_matches(".rs").to_owned(),
        };
        for pair in lines.windows(2) {
            let [first, second] = pair else { continue };
            let name = second.strip_prefix("mod ").and_then(|rest| rest.strip_suffix(';'));
            if let Some(name) = name.filter(|_| *first == "#[cfg(test)]") {
                for end in [".rs", "/"] {
                    tests.push(format!("{directory}/{name}{end}").trim_start_matches('/').to_owned());
                }
            }
        }
    }
    tests
}

/// The text with as many lines, but without comments, contents of string literals on one line, and
/// items under `#[cfg(test)]`.
fn production(text: &str) -> String {
    let mut skipping = false;
    let mut lines = Vec::new();
    for line in text.lines() {
        if line == "#[cfg(test)]" {
            skipping = true;
        }
        lines.push(if skipping { String::new() } else { bare(line) });
        // rustfmt ends an item at the first column.
        if skipping && (line == "}" || line.ends_with(';') && !line.starts_with(' ')) {
            skipping = false;
        }
    }
    lines.join("\n")
}

/// One line without its comment and without what stands in string literals.
fn bare(line: &str) -> String {
    let mut code = String::new();
    let mut characters = line.chars().peekable();
    let mut quoted = false;
    while let Some(character) = characters.next() {
        match character {
            '\\' if quoted => {
                characters.next();
            }
            // The character literal of a quote begins no string.
            '"' if !code.ends_with('\'') => quoted = !quoted,
            '/' if !quoted && characters.peek() == Some(&'/') => break,
            _ if !quoted => code.push(character),
            _ => {}
        }
    }
    code
}

/// Numbers of the lines that hold the word, from 1.
fn lines_with(code: &str, word: &str) -> Vec<usize> {
    let part = |character: char| character.is_alphanumeric() || character == '_';
    let whole = |line: &str| {
        line.match_indices(word).any(|(at, _)| {
            let before = line.get(..at).and_then(|text| text.chars().next_back());
            let after = line.get(at + word.len()..).and_then(|text| text.chars().next());
            (word.starts_with(':') || !before.is_some_and(part)) && !after.is_some_and(part)
        })
    };
    code.lines().enumerate().filter(|(_, line)| whole(line)).map(|(index, _)| index + 1).collect()
}

/// Modules of this crate that the code names as `crate::module` or in `crate::{…}`.
fn uses(code: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (_, rest) in code.match_indices("crate::").map(|(at, word)| (at, code.get(at + word.len()..))) {
        let rest = rest.unwrap_or_default();
        let names: Vec<&str> = match rest.strip_prefix('{') {
            Some(group) => {
                let end = group.find("};").unwrap_or(group.len());
                group.get(..end).unwrap_or_default().split(", ").collect()
            }
            None => vec![rest],
        };
        for name in names {
            let name: String = name.trim().chars().take_while(|c| c.is_lowercase() || *c == '_').collect();
            if !name.is_empty() {
                found.push(name);
            }
        }
    }
    found.sort();
    found.dedup();
    found
}
