//! Status, computed. Pure: everything the world says comes in through [`views`].

pub mod causes;
mod conditions;
pub mod events;
pub mod views;

pub use conditions::{Inputs, compute};
