//! Clusters of mode Strimzi: its real definitions, a stand-in for its operators, and a real broker behind
//! them.

mod desk;
mod topics;
