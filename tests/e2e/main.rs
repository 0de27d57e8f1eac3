//! The operator on a real node: real pods, probes, traffic and brokers. One module per promise. Run it with
//! `make e2e-fast`; it needs root on Linux, or a cluster in TEST_KUBECONFIG.
#![allow(missing_docs, clippy::expect_used, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

#[path = "../support/mod.rs"]
mod support;

mod arrival;
mod causes;
mod disruption;
mod fixtures;
mod ground;
mod order;
mod rolls;
mod rotation;
mod scaling;
mod traffic;
mod updates;
