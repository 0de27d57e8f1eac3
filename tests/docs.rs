//! The pages for people: links lead somewhere, YAML is what `check` accepts, commands and make targets
//! exist, and every page and example is listed. `UPDATE=1 cargo test --test docs` writes
//! `examples/README.md`.
#![allow(clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn collect(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).expect("it can be read").flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, found);
        } else if path.extension().is_some_and(|kind| kind == "md") {
            found.push(path);
        }
    }
}

/// All pages, in one order.
fn pages() -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(root()).expect("it can be read").flatten() {
        let path = entry.path();
        if path.extension().is_some_and(|kind| kind == "md") {
            found.push(path);
        }
    }
    for directory in ["docs", "charts", "examples"] {
        collect(&root().join(directory), &mut found);
    }
    found.sort();
    assert!(found.len() > 10, "{found:?}");
    found
}

/// What a page holds, as far as it is looked at here.
#[derive(Default)]
struct Page {
    links: Vec<String>,
    /// Anchors of the headings, as GitHub and mdBook make them.
    anchors: BTreeSet<String>,
    /// Language and text.
    blocks: Vec<(String, String)>,
}

fn parse(text: &str) -> Page {
    let mut page = Page::default();
    let (mut heading, mut block) = (None::<String>, None::<(String, String)>);
    for event in Parser::new_ext(text, Options::ENABLE_TABLES) {
        match event {
            Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                page.links.push(dest_url.into_string());
            }
            Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
            Event::End(TagEnd::Heading(_)) => {
                page.anchors.extend(heading.take().map(|title| anchor(&title)));
            }
            Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(language))) => {
                block = Some((language.into_string(), String::new()));
            }
            Event::End(TagEnd::CodeBlock) => page.blocks.extend(block.take()),
            Event::Text(text) | Event::Code(text) => {
                if let Some(heading) = &mut heading {
                    heading.push_str(&text);
                }
                if let Some((_, block)) = &mut block {
                    block.push_str(&text);
                }
            }
            _ => {}
        }
    }
    page
}

fn anchor(title: &str) -> String {
    let kept = title.chars().filter(|c| c.is_alphanumeric() || [' ', '-', '_'].contains(c));
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}

#[test]
fn every_link_leads_somewhere() {
    let pages: BTreeMap<PathBuf, Page> =
        pages().into_iter().map(|path| (path.clone(), parse(&read(&path)))).collect();
    let mut wrong = Vec::new();
    for (path, page) in &pages {
        for link in page.links.iter().filter(|link| !link.contains("://") && !link.starts_with("mailto:")) {
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = if file.is_empty() {
                path.clone()
            } else {
                path.parent().expect("it is in a directory").join(file)
            };
            let known = target.canonicalize().ok();
            let there = known.as_ref().is_some_and(|target| {
                anchor.is_empty() || pages.get(target).is_some_and(|page| page.anchors.contains(anchor))
            });
            if !there {
                wrong.push(format!("{}: {link}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "links that lead nowhere:\n{}", wrong.join("\n"));
}

/// Runs the program with this input.
fn program(arguments: &[&str], input: &str) -> Output {
    let mut process = Command::new(env!("CARGO_BIN_EXE_microservice-operator"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program can be run");
    process.stdin.take().expect("it is a pipe").write_all(input.as_bytes()).expect("it reads");
    process.wait_with_output().expect("it ends")
}

#[test]
fn every_object_on_a_page_is_valid() {
    let mut seen = 0;
    for path in pages() {
        for (_, text) in parse(&read(&path)).blocks.iter().filter(|(language, _)| language == "yaml") {
            let documents = serde_yaml::Deserializer::from_str(text)
                .map(<serde_json::Value as serde::Deserialize>::deserialize);
            documents.for_each(|document| {
                document.unwrap_or_else(|error| panic!("{}: {error} in\n{text}", path.display()));
            });
            if !text.contains("apiVersion: microservice.dev/") {
                continue;
            }
            let output = program(&["check", "-f", "-"], text);
            let said = String::from_utf8_lossy(&output.stdout);
            assert!(output.status.success(), "{}: {said}\n{text}", path.display());
            seen += 1;
        }
    }
    assert!(seen > 1, "no object was found");
}

/// Lines of the shell blocks of a page, without comments.
fn commands(page: &Page) -> Vec<String> {
    let shell = page.blocks.iter().filter(|(language, _)| language == "sh");
    let joined = shell.map(|(_, text)| text.replace("\\\n", " "));
    joined
        .flat_map(|text| {
            text.lines()
                .map(|line| line.split(" #").next().unwrap_or_default().to_owned())
                .collect::<Vec<_>>()
        })
        .collect()
}

#[test]
fn every_command_on_a_page_exists() {
    let makefile = read(&root().join("Makefile"));
    let targets: BTreeSet<&str> = makefile
        .lines()
        .filter(|line| line.contains(":") && line.contains(" ## "))
        .filter_map(|line| line.split(':').next())
        .collect();
    let mut helps: BTreeMap<String, String> = BTreeMap::new();
    let mut seen = 0;
    for path in pages() {
        for line in commands(&parse(&read(&path))) {
            for part in line.split(['|', ';']).map(str::trim) {
                let words: Vec<&str> = part.split_whitespace().collect();
                match words.as_slice() {
                    ["make", target, ..] if !target.contains('=') => {
                        assert!(targets.contains(target), "{}: there is no `make {target}`", path.display());
                        seen += 1;
                    }
                    ["microservice-operator", command, rest @ ..] if !command.starts_with('-') => {
                        let help = helps.entry((*command).to_owned()).or_insert_with(|| {
                            let output = program(&[command, "--help"], "");
                            assert!(output.status.success(), "{}: there is no {command}", path.display());
                            String::from_utf8_lossy(&output.stdout).into_owned()
                        });
                        for flag in rest.iter().filter(|word| word.starts_with("--") && word.len() > 2) {
                            let flag = flag.split('=').next().unwrap_or_default();
                            assert!(help.contains(flag), "{}: {command} has no {flag}", path.display());
                        }
                        seen += 1;
                    }
                    _ => {}
                }
            }
        }
    }
    assert!(seen > 10, "the pages were not understood");
}

#[test]
fn every_page_is_in_the_table_of_contents() {
    let docs = root().join("docs");
    let summary = parse(&read(&docs.join("SUMMARY.md")));
    let listed: BTreeSet<PathBuf> =
        summary.links.iter().filter_map(|link| docs.join(link).canonicalize().ok()).collect();
    let mut all = Vec::new();
    collect(&docs, &mut all);
    for page in all.iter().filter(|page| !page.ends_with("SUMMARY.md")) {
        assert!(listed.contains(page), "docs/SUMMARY.md does not list {}", page.display());
    }
}

/// The first sentence of the comment that a file begins with.
fn about(path: &Path) -> String {
    let text = read(path);
    let comment: Vec<&str> = text.lines().map_while(|line| line.strip_prefix("# ")).collect();
    assert!(!comment.is_empty(), "{} does not say what it shows", path.display());
    let all = comment.join(" ");
    let end = all.find(". ").map_or(all.len(), |end| end + 1);
    all[..end].to_owned()
}

/// A table of the files of a directory of `examples/`.
fn listed(directory: &str) -> String {
    let path = root().join("examples").join(directory);
    let mut files: Vec<PathBuf> =
        fs::read_dir(path).expect("it can be read").flatten().map(|entry| entry.path()).collect();
    files.retain(|path| path.extension().is_some_and(|kind| kind == "yaml"));
    files.sort();
    let row = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str()).expect("it has a name");
        format!("| [`{name}`]({directory}{name}) | {} |\n", about(path).replace('|', "\\|"))
    };
    format!("| File | What it shows |\n|---|---|\n{}", files.iter().map(row).collect::<String>())
}

#[test]
fn every_example_is_listed() {
    let page = format!(
        "<!-- Generated by `UPDATE=1 cargo test --test docs`; do not edit. -->\n\n# Examples\n\nOne file per \
         feature. [`shop/`](shop) is a whole system with topics, [`invalid/`](invalid) what is refused, each \
         with the message. `microservice-operator render -f FILE` prints what a file becomes.\n\n{}\n## What \
         hurts in a system\n\nIn `antipatterns/`, one file for each [kind of finding](../docs/graph.md#what-is-found). \
         `microservice-operator graph -f FILE` finds it and says what to change.\n\n{}",
        listed(""),
        listed("antipatterns/")
    );
    let list = root().join("examples/README.md");
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&list, &page).expect("it can be written");
    }
    let found = fs::read_to_string(&list).unwrap_or_default();
    assert!(found == page, "examples/README.md is not up to date: UPDATE=1 cargo test --test docs");
}

/// Names of the tests in a directory of end-to-end tests. What tests the node is no promise of the operator.
fn end_to_end(directory: &str) -> Vec<String> {
    let files = fs::read_dir(root().join("tests").join(directory)).expect("it can be read").flatten();
    let files = files.map(|entry| entry.path()).filter(|path| !path.ends_with("ground.rs"));
    let texts: String = files.map(|path| read(&path)).collect();
    let tests = texts.split("#[tokio::test]\nasync fn ").skip(1);
    tests.filter_map(|rest| rest.split('(').next()).map(str::to_owned).collect()
}

#[test]
fn every_end_to_end_test_is_a_guarantee() {
    let tests: BTreeSet<String> =
        ["e2e", "autoscaling", "enforcement"].into_iter().flat_map(end_to_end).collect();
    assert!(tests.len() > 10, "{tests:?}");
    let readme = read(&root().join("README.md"));
    let rows = readme.lines().filter_map(|line| line.strip_suffix("` |")?.rsplit_once("| `"));
    let rows: BTreeSet<String> = rows.map(|(_, test)| test.to_owned()).collect();
    assert_eq!(rows, tests, "the table of guarantees in README.md has one line for each test");
}
