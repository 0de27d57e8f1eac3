//! All IO of a pass: observe, apply, prune, status, events. What can be pure is, in files of its own.

pub mod apply;
pub mod classes;
pub mod client;
pub mod fleet;
pub mod generate;
pub mod hash_key;
pub mod index;
pub mod kafka;
pub mod lease;
pub mod live;
pub mod managed_fields;
pub mod memory;
pub mod metadata;
pub mod observe;
pub mod pass;
pub mod probes;
pub mod project;
pub mod prune;
pub mod publish;
pub mod replicas;
pub mod request;
pub mod roots;
pub mod seen;
pub mod sentinels;
pub mod watch;
pub mod world;
