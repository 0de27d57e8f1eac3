//! What is wanted of a Kafka cluster, what it has, and what to change. Pure: the admin protocol is
//! behind [`crate::engine`].

pub mod model;
pub mod names;
