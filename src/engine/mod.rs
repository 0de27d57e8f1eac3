//! All IO of a pass: observe, apply, prune, status, events.
