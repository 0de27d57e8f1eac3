//! Files of the command line.

use microservice_operator::cli::check::{self, Format as CheckFormat};
use microservice_operator::cli::graph::{self, Drawing, Format as GraphFormat};
use microservice_operator::cli::paint::Paint;
use microservice_operator::cli::render::{self, Format as RenderFormat};
use microservice_operator::cli::{Inputs, yaml};

/// A text is read, or refused at a place that it has; what was read is written so that it is read as
/// the same.
pub fn yaml(input: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(input) else { return false };
    let lines = text.split(['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}']).count() + 1;
    let documents = match yaml::read(text) {
        Ok(documents) => documents,
        Err(trouble) => {
            assert!((1..=lines).contains(&trouble.at.line) && !trouble.message.is_empty(), "{trouble:?}");
            return false;
        }
    };
    for (value, marks) in &documents {
        for path in ["", "metadata.name", "spec.ports[1].port", "spec.config[\"a b\"]", "items[0]", text] {
            assert!((1..=lines).contains(&marks.find(path).line));
        }
        let written = yaml::write(value).expect("what was read can be written");
        let again: Vec<_> = yaml::read(&written)
            .expect("what was written can be read")
            .into_iter()
            .map(|one| one.0)
            .collect();
        assert_eq!(again, std::slice::from_ref(value), "{written}");
    }
    true
}

/// Every command says something about every file.
pub fn commands(input: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(input) else { return false };
    let mut inputs = Inputs::default();
    inputs.add("-", text);
    let mut out = Vec::new();
    let examined = check::examine(&inputs);
    for format in [CheckFormat::Text, CheckFormat::Json, CheckFormat::Sarif] {
        check::print(&mut out, &examined, format).expect("findings can be printed");
    }
    let drawing = Drawing::new(&check::review(&inputs));
    for format in
        [GraphFormat::Text, GraphFormat::Json, GraphFormat::Dot, GraphFormat::Mermaid, GraphFormat::Html]
    {
        graph::print(&mut out, &drawing, format, Paint::new(false)).expect("a graph can be printed");
    }
    for format in [RenderFormat::Yaml, RenderFormat::Json] {
        let findings = render::print(&mut out, &inputs, format).expect("children can be printed");
        assert_eq!(findings.is_empty(), examined.findings.is_empty());
    }
    inputs.unreadable.is_empty()
}
