//! Colour, for terminals only.

use std::io::IsTerminal;

/// What a text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// Nothing special.
    Plain,
    /// As it should be, or added.
    Good,
    /// Not as it should be, or taken away.
    Bad,
    /// Where in something this is.
    Place,
    /// A headline.
    Head,
}

/// Paints, or does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Paint {
    colour: bool,
}

impl Paint {
    /// With colour or without.
    pub fn new(colour: bool) -> Self {
        Self { colour }
    }

    /// For standard output: with colour on a terminal that can show it, unless `NO_COLOR` is set.
    pub fn of_stdout() -> Self {
        let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        let dumb = set("TERM").is_some_and(|terminal| terminal == "dumb");
        Self::new(std::io::stdout().is_terminal() && set("NO_COLOR").is_none() && !dumb)
    }

    /// The text, painted.
    pub fn text(self, style: Style, text: &str) -> String {
        let code = match style {
            _ if !self.colour || text.is_empty() => return text.to_owned(),
            Style::Plain => return text.to_owned(),
            Style::Good => 32,
            Style::Bad => 31,
            Style::Place => 36,
            Style::Head => 1,
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }
}
