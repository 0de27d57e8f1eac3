//! The operator on a real control plane with simulated nodes. One module per promise.

#[path = "../support/mod.rs"]
mod support;

mod quiet;
mod smoke;
