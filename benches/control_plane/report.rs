//! One table with bars and verdicts, and the same as JSON below `target/bench/`.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::process;
use crate::times::Rounds;

/// Everything that was measured.
pub struct Report {
    /// What was asked for, as the name of the file.
    name: String,
    objects: usize,
    load: String,
    /// The part that runs now.
    part: &'static str,
    rows: Vec<Row>,
    floors: Vec<Value>,
}

struct Row {
    part: &'static str,
    id: &'static str,
    metric: String,
    /// Most that is allowed.
    bar: Option<f64>,
    value: f64,
    /// The smallest and the largest of several rounds, of which `value` is the median.
    range: Option<(f64, f64)>,
    /// What is told beside it.
    note: String,
    /// Counts do not depend on the machine: missing one fails the run.
    exact: bool,
}

impl Row {
    fn met(&self) -> bool {
        // Counts per object are quotients of whole numbers.
        self.bar.is_none_or(|bar| self.value <= bar + 1e-9)
    }

    fn verdict(&self) -> &'static str {
        match (self.bar, self.met(), self.exact) {
            (None, ..) => "",
            (_, true, _) => "met",
            (_, false, true) => "FAILED",
            (_, false, false) => "missed",
        }
    }
}

impl Report {
    /// Of these parts with so many objects.
    pub fn new(name: String, objects: usize) -> Self {
        let load = process::load();
        Self { name, objects, load, part: "", rows: Vec::new(), floors: Vec::new() }
    }

    /// All that follows belongs to this part.
    pub fn begin(&mut self, part: &'static str, what: &str) {
        eprintln!("{part}: {what}");
        self.part = part;
    }

    /// A count: missing its bar fails the run.
    pub fn count(&mut self, id: &'static str, metric: &str, bar: f64, value: f64) {
        self.add(id, metric, Some(bar), value, None, true);
    }

    /// A time, CPU or memory: it depends on the machine.
    pub fn measure(&mut self, id: &'static str, metric: &str, bar: Option<f64>, value: f64) {
        self.add(id, metric, bar, value, None, false);
    }

    /// The median of several rounds, with the smallest and the largest.
    pub fn rounds(&mut self, id: &'static str, metric: &str, bar: Option<f64>, values: &Rounds) {
        self.add(id, metric, bar, values.median(), values.range(), false);
    }

    fn add(
        &mut self,
        id: &'static str,
        metric: &str,
        bar: Option<f64>,
        value: f64,
        range: Option<(f64, f64)>,
        exact: bool,
    ) {
        eprintln!("  {metric:<60} {value:.2}");
        let note = range.map(|(least, most)| format!("{least:.2} to {most:.2}")).unwrap_or_default();
        let (part, metric) = (self.part, metric.to_owned());
        self.rows.push(Row { part, id, metric, bar, value, range, note, exact });
    }

    /// A rate, with what is told beside it; the details are in the file only.
    pub fn rate(&mut self, id: &'static str, metric: &str, value: f64, note: String, mut details: Value) {
        self.measure(id, metric, None, value);
        if let Some(row) = self.rows.last_mut() {
            row.note = note;
        }
        details["part"] = json!(self.part);
        self.floors.push(details);
    }

    /// Whether every count is within its bar.
    pub fn passed(&self) -> bool {
        self.rows.iter().all(|row| !row.exact || row.met())
    }

    /// Prints the table and writes the JSON file.
    pub fn print(&self) {
        let load = process::load();
        println!("\n{} objects, commit {}, load {} to {load}", self.objects, commit(), self.load);
        println!("{:<4} {:<4} {:<60} {:>10} {:>8}  verdict", "part", "", "metric", "value", "bar");
        for row in &self.rows {
            let bar = row.bar.map(|bar| format!("{bar:.2}")).unwrap_or_default();
            let Row { part, id, metric, value, note, .. } = row;
            let verdict = row.verdict();
            println!("{part:<4} {id:<4} {metric:<60} {value:>10.2} {bar:>8}  {verdict:<8}{note}");
        }
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("bench");
        std::fs::create_dir_all(&path).expect("the target directory is writable");
        let path = path.join(format!("{}-{}.json", self.name, self.objects));
        std::fs::write(&path, format!("{:#}\n", self.json(&load))).expect("the report can be written");
        println!("{}", path.display());
    }

    fn json(&self, load: &str) -> Value {
        let row = |row: &Row| {
            json!({
                "part": row.part, "id": row.id, "metric": row.metric.trim(), "bar": row.bar, "value": row.value,
                "range": row.range, "exact": row.exact, "met": row.met(),
            })
        };
        json!({
            "objects": self.objects, "commit": commit(), "passed": self.passed(), "load": [self.load, load],
            "rows": self.rows.iter().map(row).collect::<Vec<_>>(), "floors": self.floors,
        })
    }
}

fn commit() -> String {
    let output = Command::new("git").args(["describe", "--always", "--dirty"]).output();
    output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default()
}
