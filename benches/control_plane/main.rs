//! `make bench`: how fast the operator is, how much it takes and how often it writes, in parts that
//! `ONLY` chooses, each against a floor of the same run: the same requests sent by the same client without
//! an operator. Fails on counts; times, CPU and memory are reported with their bars, because they depend
//! on the machine. `LIST=1` says what there is.
#![allow(missing_docs, clippy::expect_used, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::print_stderr)]

#[path = "../../tests/support/mod.rs"]
mod support;

mod bounce;
mod burst;
mod calls;
mod floor;
mod floors;
mod ground;
mod leader;
mod load;
mod observer;
mod parts;
mod process;
mod report;
mod rest;
mod restart;
mod settings;
mod soak;
mod throttle;
mod times;
mod topics;
mod trouble;
mod workload;

use std::process::ExitCode;

use ground::Ground;
use parts::Part;
use report::Report;
use settings::{Settings, variable};

fn main() -> ExitCode {
    if variable("LIST").is_some() {
        println!("{}", parts::list());
        return ExitCode::SUCCESS;
    }
    let only = variable("ONLY").unwrap_or_default();
    let parts = match parts::selected(&only) {
        Ok(parts) => parts,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(2);
        }
    };
    let settings = Settings::from_env();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime starts");
    let report = runtime.block_on(run(&only, &parts, settings));
    report.print();
    if report.passed() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

async fn run(only: &str, parts: &[&'static Part], settings: Settings) -> Report {
    let name = if only.is_empty() { "most".to_owned() } else { only.replace(',', "-") };
    eprintln!("{} parts; {} minutes with N=1000 and the defaults", parts.len(), parts::minutes(parts));
    let mut report = Report::new(name, settings.objects);
    let mut ground = Ground::new(settings);
    for part in parts {
        report.begin(part.name, part.what);
        (part.run)(&mut ground, &mut report).await;
    }
    report
}
