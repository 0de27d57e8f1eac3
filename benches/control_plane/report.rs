//! One table with bars and verdicts, and the same as JSON below `target/bench/`.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::process;

/// Everything that was measured.
pub struct Report {
    part: &'static str,
    /// What is counted by `number`.
    unit: &'static str,
    number: usize,
    load_before: String,
    load_after: String,
    rows: Vec<Row>,
    floors: Vec<Value>,
}

struct Row {
    id: &'static str,
    metric: String,
    /// Most that is allowed.
    bar: Option<f64>,
    value: f64,
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
    /// What a part of the bench does with so many of these.
    pub fn new(part: &'static str, number: usize, unit: &'static str) -> Self {
        let load = process::load();
        Self {
            part,
            unit,
            number,
            load_before: load,
            load_after: String::new(),
            rows: Vec::new(),
            floors: Vec::new(),
        }
    }

    /// A count: missing its bar fails the run.
    pub fn count(&mut self, id: &'static str, metric: &str, bar: f64, value: f64) {
        self.add(Row { id, metric: metric.to_owned(), bar: Some(bar), value, exact: true });
    }

    /// A time, CPU or memory: it depends on the machine.
    pub fn measure(&mut self, id: &'static str, metric: &str, bar: Option<f64>, value: f64) {
        self.add(Row { id, metric: metric.to_owned(), bar, value, exact: false });
    }

    fn add(&mut self, row: Row) {
        eprintln!("  {:<48} {:.2}", row.metric, row.value);
        self.rows.push(row);
    }

    /// A run of a floor, of which the file has more than the table.
    pub fn floor(&mut self, floor: Value) {
        self.floors.push(floor);
    }

    pub fn finish(&mut self) {
        self.load_after = process::load();
    }

    /// Whether every count is within its bar.
    pub fn passed(&self) -> bool {
        self.rows.iter().all(|row| !row.exact || row.met())
    }

    /// Prints the table and writes the JSON file.
    pub fn print(&self) {
        println!(
            "\n{} {}, commit {}, load {} to {}",
            self.number,
            self.unit,
            commit(),
            self.load_before,
            self.load_after
        );
        println!("{:<4} {:<48} {:>10} {:>8}  verdict", "", "metric", "value", "bar");
        for row in &self.rows {
            let bar = row.bar.map(|bar| format!("{bar:.1}")).unwrap_or_default();
            println!("{:<4} {:<48} {:>10.2} {bar:>8}  {}", row.id, row.metric, row.value, row.verdict());
        }
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("bench");
        std::fs::create_dir_all(&path).expect("the target directory is writable");
        let path = path.join(format!("{}-{}.json", self.part, self.number));
        std::fs::write(&path, format!("{:#}\n", self.json())).expect("the report can be written");
        println!("{}", path.display());
    }

    fn json(&self) -> Value {
        let rows: Vec<Value> = self
            .rows
            .iter()
            .map(|row| {
                json!({
                    "id": row.id, "metric": row.metric.trim(), "bar": row.bar, "value": row.value,
                    "exact": row.exact, "met": row.met(),
                })
            })
            .collect();
        json!({
            self.unit: self.number, "commit": commit(), "passed": self.passed(),
            "load": [self.load_before, self.load_after], "rows": rows, "floors": self.floors,
        })
    }
}

fn commit() -> String {
    let output = Command::new("git").args(["describe", "--always", "--dirty"]).output();
    output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default()
}
