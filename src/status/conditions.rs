//! Conditions from what is known, and the whole status around them.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::views::{ChildOutcome, DeploymentView, PodView, Problem};
use crate::api::status::{ReferenceStatus, SecretStatus};
use crate::api::{Microservice, MicroserviceStatus};
use crate::intent::{Intent, Violation};

/// All that a status is computed from.
#[derive(Clone, Debug)]
pub struct Inputs<'a> {
    /// The object with its previous status.
    pub object: &'a Microservice,
    /// The resolved intent, or why there is none.
    pub intent: Result<&'a Intent, &'a [Violation]>,
    /// Digest of the planned pod template.
    pub template_hash: Option<&'a str>,
    /// What became of the children; `None` before the first child write of this generation.
    pub outcome: Option<&'a [ChildOutcome]>,
    /// Something that keeps the pass from applying anything: `WaitingForTurn`, `WaitingForDeletion`,
    /// `ApiUnavailable`, `Forbidden`.
    pub blocked: Option<&'a Problem>,
    /// The live Deployment.
    pub deployment: Option<&'a DeploymentView>,
    /// Pods that are not ready, at most 64.
    pub pods: &'a [PodView],
    /// Records of references for `status.references`.
    pub references: Vec<ReferenceStatus>,
    /// Records of generated Secrets for `status.secrets`.
    pub secrets: Vec<SecretStatus>,
    /// Now.
    pub now: Time,
}

/// The status that describes the inputs.
pub fn compute(inputs: &Inputs<'_>) -> MicroserviceStatus {
    let _ = inputs;
    MicroserviceStatus::default()
}
