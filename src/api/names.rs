//! Names of children: derived, length-safe, never two for one.
