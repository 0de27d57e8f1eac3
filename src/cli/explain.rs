//! `explain`: prints why an object is not Ready, as a tree.

use std::io::Write;

use super::Error;
use super::paint::{Paint, Style};
use crate::status::explain::{Explanation, Node};

/// Prints the explanation.
///
/// # Errors
/// The output cannot be written.
pub fn print(out: &mut dyn Write, told: &Explanation, paint: Paint) -> Result<(), Error> {
    let style = if told.ready { Style::Good } else { Style::Bad };
    writeln!(out, "{}", paint.text(style, &told.title))?;
    for sentence in &told.sentences {
        writeln!(out, "  {sentence}")?;
    }
    for branch in &told.branches {
        writeln!(out, "\n{}", paint.text(Style::Head, &branch.text))?;
        nodes(out, &branch.inner, "", paint)?;
    }
    Ok(())
}

fn nodes(out: &mut dyn Write, nodes: &[Node], indent: &str, paint: Paint) -> Result<(), Error> {
    for (index, node) in nodes.iter().enumerate() {
        let last = index + 1 == nodes.len();
        let (here, below) = if last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
        let (mark, style) = match node.good {
            Some(true) => ("✓ ", Style::Good),
            Some(false) => ("✗ ", Style::Bad),
            None => ("", Style::Plain),
        };
        writeln!(out, "{indent}{here}{}{}", paint.text(style, mark), node.text)?;
        self::nodes(out, &node.inner, &format!("{indent}{below}"), paint)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(good: Option<bool>, text: &str, inner: Vec<Node>) -> Node {
        Node { text: text.to_owned(), good, inner }
    }

    #[test]
    fn lines_show_what_belongs_to_what() {
        let pods = vec![
            node(Some(false), "pod 1", vec![node(None, "container", vec![])]),
            node(Some(true), "pod 2", vec![]),
        ];
        let children = vec![node(Some(false), "Deployment", pods), node(Some(true), "Service", vec![])];
        let told = Explanation {
            ready: false,
            title: "it is not Ready".to_owned(),
            sentences: vec!["Fix it.".to_owned()],
            branches: vec![node(None, "children", children)],
        };
        let printed = |paint| {
            let mut out = Vec::new();
            print(&mut out, &told, paint).unwrap();
            String::from_utf8(out).unwrap()
        };
        let plain = printed(Paint::new(false));
        let expected = "it is not Ready\n  Fix it.\n\nchildren\n├─ ✗ Deployment\n│  ├─ ✗ pod 1\n│  │  └─ container\n\
                        │  └─ ✓ pod 2\n└─ ✓ Service\n";
        assert_eq!(plain, expected);
        assert!(printed(Paint::new(true)).starts_with("\u{1b}[31mit is not Ready\u{1b}[0m\n"));
    }
}
