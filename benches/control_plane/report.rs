//! One table with bars and verdicts, and the same as JSON below `target/bench/`.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::floor::Floor;
use crate::phases::Burst;
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

    /// The burst against the floors before and after it. The bar is the faster number of requests in
    /// flight, each the mean of both runs.
    pub fn walls(&mut self, burst: &Burst, before: &[Floor], after: &[Floor], whole: &Floor) {
        let mean = |(a, b): (&Floor, &Floor)| (a.wall + b.wall) / 2;
        let best = before.iter().zip(after).map(mean).min().unwrap_or_default();
        for floor in before.iter().chain(after).chain([whole]) {
            let (p50, p99) = (floor.percentile(50), floor.percentile(99));
            self.measure("B1", &format!("floor, {} [s]", floor.name), None, floor.wall.as_secs_f64());
            self.floors.push(json!({
                "name": floor.name, "seconds": floor.wall.as_secs_f64(), "requests_per_second": floor.rate(),
                "p50_seconds": p50.as_secs_f64(), "p99_seconds": p99.as_secs_f64(),
            }));
        }
        let ratio = |wall: Duration, floor: Duration| wall.as_secs_f64() / floor.as_secs_f64();
        self.measure("M5", "burst to the last child [s]", None, burst.children.as_secs_f64());
        self.measure("M5", "burst until all are Applied [s]", None, burst.applied.as_secs_f64());
        // The floor of the job holds everything that has to be sent for it. The children alone cost the
        // server about half of that: no operator that tells of its progress reaches their floor.
        self.measure("M5", "last child / floor of the children alone", None, ratio(burst.children, best));
        self.measure(
            "M5",
            "last child / floor of the whole job",
            Some(1.5),
            ratio(burst.children, whole.wall),
        );
        self.measure(
            "M5",
            "all Applied / floor of the whole job",
            Some(1.5),
            ratio(burst.applied, whole.wall),
        );
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
