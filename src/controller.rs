//! Triggers, reconcile, error policy, leader gate.
