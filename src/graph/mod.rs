//! Who calls whom, over all services given: what of it will hurt, by exact definitions. Pure: it knows
//! neither files nor a cluster.

mod find;
mod finding;
mod model;
mod policy;
mod system;

pub use find::{each_finding, findings};
pub use finding::{Finding, Kind, Severity, time};
pub use model::{Call, Key, PortName, Service, Target, Topic};
pub use policy::{Limits, Policies, Policy};
pub use system::{Event, Grant, System};

#[cfg(test)]
mod tests;
