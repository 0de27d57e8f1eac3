//! The operator on a real control plane with simulated nodes. One module per promise.

#[path = "../support/mod.rs"]
mod support;

mod faults;
mod leader;
mod poison;
mod quiet;
mod restart;
mod smoke;
