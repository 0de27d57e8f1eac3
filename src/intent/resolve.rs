//! Spec + class + built-ins, merged per leaf.

use super::{Intent, Observed, Violation};
use crate::api::{Microservice, MicroserviceClass};

pub(super) fn resolve(
    _o: &Microservice,
    _c: Option<&MicroserviceClass>,
    _w: &Observed,
) -> Result<Intent, Vec<Violation>> {
    Err(Vec::new())
}
