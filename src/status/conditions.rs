//! Conditions from what is known, and the whole status around them.
