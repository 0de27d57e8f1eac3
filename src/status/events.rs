//! Events from the difference of two sets of conditions.
