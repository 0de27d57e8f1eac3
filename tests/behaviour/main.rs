//! The operator on a real control plane with simulated nodes. One module per promise.
#![allow(missing_docs, clippy::expect_used, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

#[path = "../support/mod.rs"]
mod support;

mod causes;
mod charts;
mod children;
mod classes;
mod command_line;
mod contest;
mod drift;
mod faults;
mod gitops;
mod graph;
mod lag;
mod leader;
mod neighbours;
mod ownership;
mod page;
mod poison;
mod policies;
mod program;
mod protect;
mod quiet;
mod references;
mod restart;
mod rights;
mod rollout;
mod scaling;
mod schema_server;
mod secrets;
mod smoke;
mod status;
mod steps;
mod telemetry;
mod way_out;
