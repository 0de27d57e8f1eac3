//! The pod template.
