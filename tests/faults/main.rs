//! `make faults`: each scenario with each fault at each point of it, and what must hold in the end: the
//! state of the calm run, and silence. Without arguments a fixed selection; see `--help`.
#![allow(missing_docs, clippy::expect_used, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::print_stderr, clippy::print_stdout)]

#[path = "../support/specs.rs"]
mod specs;
#[path = "../support/mod.rs"]
mod support;

mod campaign;
mod chains;
mod chaos;
mod plan;
mod run;
mod scenario;
mod selection;
mod state;

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;

use plan::Plan;

/// Runs scenarios on a real control plane while requests, watches and the operator itself fail.
#[derive(Parser)]
pub struct Arguments {
    /// Every plan instead of the fixed selection
    #[arg(long)]
    all: bool,
    /// Repeats one plan, as it is printed for a failure
    #[arg(long, value_name = "PLAN", conflicts_with = "all")]
    plan: Vec<Plan>,
    /// For so many minutes scenarios with many faults at once, by chance
    #[arg(long, value_name = "MINUTES", conflicts_with_all = ["all", "plan"])]
    chaos: Option<u64>,
    /// So many generated chains of specs, half of them in chaos; each ends as its last spec alone
    #[arg(long, value_name = "NUMBER", conflicts_with_all = ["all", "plan", "chaos"])]
    chains: Option<u64>,
    /// The first seed of chaos, and the number of the first chain. Default: of the clock
    #[arg(long)]
    seed: Option<u64>,
    /// Only plans whose text contains this
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// Prints the plans and runs none
    #[arg(long)]
    list: bool,
    /// Seconds in the end of each run in which nothing may be written
    #[arg(long, default_value_t = 3)]
    rest: u64,
    /// Runs at the same time
    #[arg(long, default_value_t = 6)]
    jobs: usize,
    /// What `cargo test` gives to every test program
    #[arg(hide = true)]
    filter: Option<String>,
}

impl Arguments {
    /// The seed of the first run; each further one has the next.
    fn seed(&self) -> u64 {
        let now = || jiff::Timestamp::now().as_second().unsigned_abs();
        self.seed.unwrap_or_else(now)
    }

    /// Clusters for each scenario that needs one for itself.
    fn clusters(&self) -> usize {
        self.jobs.div_ceil(6)
    }

    fn rest(&self) -> Duration {
        Duration::from_secs(self.rest)
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime starts");
    if runtime.block_on(campaign::run(&arguments)) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
