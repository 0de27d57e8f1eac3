//! Not written yet.
use super::{Inputs, Intent, Violations};
pub(super) fn check(_: &Inputs<'_>, _: &Intent, _: &mut Violations) {}
