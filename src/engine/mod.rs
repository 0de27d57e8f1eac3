//! All IO of a pass: observe, apply, prune, status, events.

pub mod client;
pub mod lease;
