//! What is wrong with one container.

use super::{Template, UP_WITHIN, quotes};
use crate::status::views::ContainerView;

/// What stops a pod, in the order of its life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// No node takes it; the scheduler's text.
    Unschedulable(String),
    /// An image cannot be pulled; the registry's text.
    ImagePull(String),
    /// The image runs as root.
    RunsAsRoot,
    /// A container cannot be created; the kubelet's text.
    Config(String),
    /// A container was killed for its memory.
    OutOfMemory,
    /// A container ended, with exit code and reason when they are known.
    Crash(Option<(i32, String)>),
    /// A probe fails; its text.
    Probe(String),
}

/// Part that a container plays in the pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// The service's own container.
    Main,
    /// An entry of `spec.initContainers`.
    Init(usize),
    /// An entry of `spec.sidecars`.
    Sidecar(usize),
    /// Somebody injected it.
    Foreign,
}

pub(super) fn role(container: &ContainerView, template: &Template<'_>) -> Role {
    let spec = &template.object.spec;
    let position = |list: &Option<Vec<crate::api::microservice::ExtraContainer>>| {
        list.as_ref()?.iter().position(|extra| extra.name == container.name)
    };
    if let Some(index) = position(&spec.init_containers) {
        Role::Init(index)
    } else if let Some(index) = position(&spec.sidecars) {
        Role::Sidecar(index)
    } else if container.name == template.name() {
        Role::Main
    } else {
        Role::Foreign
    }
}

impl Role {
    /// ` of sidecar "proxy"`, or nothing for the service's own container.
    pub(super) fn of(&self, name: &str) -> String {
        match self {
            Self::Main => String::new(),
            Self::Init(_) => format!(" in init container \"{name}\""),
            Self::Sidecar(_) => format!(" in sidecar \"{name}\""),
            Self::Foreign => format!(" in injected container \"{name}\""),
        }
    }

    /// Path of the container in the spec, with a dot at its end.
    pub(super) fn field(&self) -> String {
        match self {
            Self::Main => "spec.".to_owned(),
            Self::Init(index) => format!("spec.initContainers[{index}]."),
            Self::Sidecar(index) => format!("spec.sidecars[{index}]."),
            Self::Foreign => "its ".to_owned(),
        }
    }
}

/// The trouble of a container, if it has one. An ordinary start, however slow, is none.
pub(super) fn trouble(container: &ContainerView, probe: Option<&str>, now: i64) -> Option<Trouble> {
    if container.ready {
        return None;
    }
    let (waits, text) = container.waiting.as_ref().map_or(("", ""), |(reason, text)| (reason, text));
    match waits {
        "ErrImagePull"
        | "ImagePullBackOff"
        | "InvalidImageName"
        | "ErrImageNeverPull"
        | "RegistryUnavailable"
        | "ImageInspectError"
        | "SignatureValidationFailed" => {
            let text = if waits == "ErrImageNeverPull" { "it is not on the node" } else { text };
            return Some(Trouble::ImagePull(text.to_owned()));
        }
        "CreateContainerConfigError" if text.contains("runAsNonRoot") => return Some(Trouble::RunsAsRoot),
        "CreateContainerConfigError" | "CreateContainerError" | "RunContainerError" => {
            return Some(Trouble::Config(text.to_owned()));
        }
        _ => {}
    }
    let probe = probe.filter(|text| !starting(container, text, now));
    match (&container.terminated, probe) {
        (_, Some(text)) if container.running && container.started => Some(Trouble::Probe(text.to_owned())),
        (Some((_, reason)), _) if reason == "OOMKilled" => Some(Trouble::OutOfMemory),
        (end, Some(text)) if ended_by_itself(container) && quotes::status_code(text).is_none() => {
            Some(Trouble::Crash(end.clone()))
        }
        (_, Some(text)) if container.running || killed(container) => Some(Trouble::Probe(text.to_owned())),
        (end, _) if crashes(container) => Some(Trouble::Crash(end.clone())),
        _ => None,
    }
}

/// Ends again and again, or ended with an error. What runs again counts until it is ready, so that
/// the reason does not come and go with every restart.
fn crashes(container: &ContainerView) -> bool {
    let backs_off = container.waiting.as_ref().is_some_and(|(reason, _)| reason == "CrashLoopBackOff");
    let failed = container.terminated.as_ref().is_some_and(|(code, _)| *code != 0);
    backs_off || failed || container.restarts > 1
}

/// Ended by a signal of the kubelet, as after a failed startup or liveness probe.
pub(super) fn killed(container: &ContainerView) -> bool {
    container
        .terminated
        .as_ref()
        .is_some_and(|(code, reason)| matches!(code, 137 | 143) && reason != "OOMKilled")
}

/// Ended with an error of its own. While it is up again, a probe that nobody answered tells only that it
/// goes the same way.
fn ended_by_itself(container: &ContainerView) -> bool {
    container.terminated.as_ref().is_some_and(|(code, _)| *code != 0) && !killed(container)
}

/// Whether a failed probe only says that the process is not up yet. An answer that refuses (404) comes
/// from a process that is up, and will not change; any other (503) may, but not for long.
fn starting(container: &ContainerView, probe: &str, now: i64) -> bool {
    let over = match quotes::status_code(probe) {
        Some(400..500) => true,
        Some(_) => now - container.since >= UP_WITHIN,
        None => false,
    };
    !container.started && container.restarts == 0 && !over
}
