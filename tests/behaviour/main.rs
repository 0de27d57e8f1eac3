//! The operator on a real control plane with simulated nodes. One module per promise.

#[path = "../support/mod.rs"]
mod support;

mod classes;
mod references;
mod rollout;
mod scaling;
mod secrets;
mod smoke;
mod steps;
