//! Each file of `examples/antipatterns` is found by its name, and `graph` prints what is kept of it.

use std::collections::BTreeSet;

use microservice_operator::cli::graph::{Drawing, Format, print};
use microservice_operator::cli::paint::Paint;
use microservice_operator::cli::{Inputs, check};
use microservice_operator::graph::Kind;
use serde_json::Value;

use super::*;

/// What else is found where one service needs two others, directly or through each other: the product of
/// their objectives is below its own.
const COMPANION: &str = "AvailabilityCeiling";

#[test]
fn every_antipattern_shows_what_it_is_named_after_and_nothing_else() {
    let mut shown = BTreeSet::new();
    let mut wrong = Vec::new();
    for path in files(&root().join("examples/antipatterns")) {
        let name = stem(&path);
        let mut inputs = Inputs::new(Settings { namespace: NAMESPACE.to_owned(), ..Settings::default() });
        inputs.add(&name, &fs::read_to_string(&path).unwrap());
        let examined = check::examine(&inputs);
        assert_eq!(examined.findings, [], "{name}");
        let drawing = Drawing::new(&examined);
        let kinds = kinds(&drawing);
        let wanted = camel(&name);
        let others: Vec<&String> =
            kinds.iter().filter(|kind| **kind != wanted && *kind != COMPANION).collect();
        assert!(kinds.contains(&wanted) && others.is_empty(), "{name}: {kinds:?}");
        wrong.extend(differing(&format!("antipatterns/{name}.txt"), &printed(&drawing, Format::Text)));
        shown.insert(wanted);
    }
    assert_eq!(wrong, [""; 0], "UPDATE=1 cargo test --test golden, and look at the difference");
    let all: BTreeSet<String> = Kind::ALL.iter().map(ToString::to_string).collect();
    assert_eq!(shown, all, "examples/antipatterns has one file for each kind of finding");
}

fn printed(drawing: &Drawing, format: Format) -> String {
    let mut out = Vec::new();
    print(&mut out, drawing, format, Paint::new(false)).unwrap();
    String::from_utf8(out).unwrap()
}

fn kinds(drawing: &Drawing) -> BTreeSet<String> {
    let value: Value = serde_json::from_str(&printed(drawing, Format::Json)).unwrap();
    let findings = value["findings"].as_array().unwrap();
    findings.iter().map(|finding| finding["kind"].as_str().unwrap().to_owned()).collect()
}

/// `long-chain` as `LongChain`.
fn camel(name: &str) -> String {
    let word = |word: &str| format!("{}{}", word[..1].to_uppercase(), &word[1..]);
    name.split('-').map(word).collect()
}
