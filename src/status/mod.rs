//! Status, computed. Pure: everything the world says comes in through [`views`].

mod access;
mod available;
pub mod causes;
mod class;
mod conditions;
mod dependencies;
pub mod events;
pub mod explain;
mod facts;
mod fields;
mod scaling;
mod system;
mod text;
mod topic_events;
mod topics;
pub mod views;

pub use class::{ClassInputs, class_status};
pub use conditions::{compute, equal_ignoring_times};
pub use dependencies::deleted_while_called;
pub use facts::Inputs;
pub use system::{Report, Tally};
pub use topic_events::{counted, topic_events};

#[cfg(test)]
mod fixtures;
#[cfg(test)]
mod kstatus;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod samples;
#[cfg(test)]
mod tests;
