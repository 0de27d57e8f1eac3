//! Small projections of live objects and of what the engine did: all that status is computed from.

use smol_str::SmolStr;

use crate::api::Reason;
use crate::api::id::Id;

/// What the status needs of a Deployment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeploymentView {
    /// metadata.uid
    pub uid: Id,
    /// metadata.generation
    pub generation: i64,
    /// status.observedGeneration
    pub observed_generation: i64,
    /// spec.replicas
    pub desired: i32,
    /// status.replicas
    pub replicas: i32,
    /// status.updatedReplicas
    pub updated: i32,
    /// status.readyReplicas
    pub ready: i32,
    /// status.availableReplicas
    pub available: i32,
    /// status.conditions
    pub conditions: Vec<DeploymentCondition>,
}

/// One condition of a Deployment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeploymentCondition {
    /// Progressing, Available or ReplicaFailure.
    pub kind: String,
    /// Whether its status is `"True"`.
    pub status: bool,
    /// Its reason.
    pub reason: String,
    /// Its message, cut to 1 KiB.
    pub message: String,
}

/// What the status needs of a pod that is not ready; ready pods are not kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodView {
    /// metadata.name
    pub name: String,
    /// metadata.labels["pod-template-hash"]
    pub template: String,
    /// Whether it has a deletionTimestamp.
    pub deleting: bool,
    /// metadata.creationTimestamp, seconds since 1970.
    pub created: i64,
    /// Text of the PodScheduled condition when it is False with reason Unschedulable.
    pub unschedulable: Option<String>,
    /// Init and main containers, in order.
    pub containers: Vec<ContainerView>,
    /// Last message of an `Unhealthy` Event of this pod, read only when the rest names no cause.
    pub probe_message: Option<String>,
}

/// What the status needs of a container.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ContainerView {
    /// Its name.
    pub name: String,
    /// Its image.
    pub image: String,
    /// Whether it is ready.
    pub ready: bool,
    /// Whether its startup probe has passed.
    pub started: bool,
    /// Whether it runs now.
    pub running: bool,
    /// Since when it runs, seconds since 1970; 0 while it does not.
    pub since: i64,
    /// Number of restarts.
    pub restarts: i32,
    /// Reason and message while it waits.
    pub waiting: Option<(String, String)>,
    /// Exit code and reason of the current or last termination.
    pub terminated: Option<(i32, String)>,
}

/// What became of one child in a pass.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChildOutcome {
    /// apiVersion
    pub api_version: SmolStr,
    /// kind
    pub kind: SmolStr,
    /// name
    pub name: SmolStr,
    /// UID as stored.
    pub uid: Option<Id>,
    /// Digest of our Apply entry as stored.
    pub digest: Option<Id>,
    /// resourceVersion as stored by this pass; `None` when nothing was written.
    pub stored_version: Option<SmolStr>,
    /// Whether it was seen to change, or to go, after what is told here.
    pub outdated: bool,
    /// Held back for a missing reference.
    pub held: bool,
    /// Why it is not stored as planned.
    pub problem: Option<Problem>,
}

/// One thing that went wrong, with its fix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Reason for the condition.
    pub reason: Reason,
    /// One sentence: what failed, which object and field, what to do.
    pub message: String,
}
