//! The client for Kafka against a real Apache Kafka. One module per promise.
#![allow(missing_docs, clippy::expect_used, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

#[path = "../support/mod.rs"]
mod support;

mod connection;
mod fixtures;
mod groups;
mod rights;
mod scale;
mod serve;
mod topics;
