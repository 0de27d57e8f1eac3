//! What is wanted of a Kafka cluster, what it has, and what to change. Pure: the admin protocol is
//! behind [`crate::engine::kafka`].

pub mod account;
pub mod config;
pub mod consent;
pub mod ledger;
pub mod model;
pub mod names;
pub mod release;
pub mod rights;
pub mod strimzi;
pub mod topic;
pub mod view;
