//! Which of the pods' troubles comes first, and the sentence for it.

use super::container::{self, Role, Trouble};
use super::{Template, old_pods, old_serving, quotes};
use crate::api::Reason;
use crate::intent::Intent;
use crate::status::text::{quote, verb};
use crate::status::views::{ContainerView, DeploymentView, PodView, Problem};

/// One pod's first trouble.
pub(super) struct Found<'p> {
    pod: &'p PodView,
    /// Absent when the pod has no node yet.
    container: Option<&'p ContainerView>,
    trouble: Trouble,
}

pub(super) fn cause(
    deployment: &DeploymentView,
    pods: &[&PodView],
    template: &Template<'_>,
    now: i64,
) -> Option<Problem> {
    let found: Vec<Found<'_>> = pods.iter().filter_map(|pod| first(pod, now)).collect();
    let earliest = found.iter().min_by_key(|found| found.trouble.stage())?;
    let same = |other: &&Found<'_>| {
        other.trouble.stage() == earliest.trouble.stage()
            && other.container.map(|c| &c.name) == earliest.container.map(|c| &c.name)
    };
    let count = found.iter().filter(same).count();
    let subject = subject(count, deployment);
    let role = earliest.container.map(|container| container::role(container, template));
    let text = sentence(earliest, count, role.as_ref(), template);
    let message = format!("{subject} {text}{}.", old_pods(deployment));
    Some(Problem { reason: earliest.trouble.reason(), message })
}

pub(super) fn first(pod: &PodView, now: i64) -> Option<Found<'_>> {
    if let Some(text) = &pod.unschedulable {
        return Some(Found { pod, container: None, trouble: Trouble::Unschedulable(text.clone()) });
    }
    let probe = pod.probe_message.as_deref();
    pod.containers.iter().find_map(|container| {
        let trouble = container::trouble(container, probe, now)?;
        Some(Found { pod, container: Some(container), trouble })
    })
}

/// `2 of 3 pods`, or `1 new pod` while old ones serve.
fn subject(count: usize, deployment: &DeploymentView) -> String {
    if old_serving(deployment) > 0 {
        return format!("{count} new {}", verb(count, "pod", "pods"));
    }
    let all = usize::try_from(deployment.desired).unwrap_or_default().max(count);
    format!("{count} of {all} {}", verb(all, "pod", "pods"))
}

fn sentence(found: &Found<'_>, count: usize, role: Option<&Role>, template: &Template<'_>) -> String {
    let name = found.container.map_or("", |container| container.name.as_str());
    let image = found.container.map_or("", |container| container.image.as_str());
    let of = role.map_or(String::new(), |role| role.of(name));
    let field = role.map_or_else(String::new, Role::field);
    match &found.trouble {
        Trouble::Unschedulable(text) => {
            let fix = "lower spec.resources, loosen spec.pod, or add nodes";
            format!("cannot be scheduled: {}; {fix}", quotes::scheduler(text))
        }
        Trouble::ImagePull(text) => {
            let image = quote(image);
            let text = quotes::registry(text, &image).map_or(String::new(), |text| format!(": {text}"));
            let fix = format!("fix {field}image or add spec.imagePullSecrets");
            format!("cannot pull image \"{image}\"{of}{text}; {fix}")
        }
        Trouble::RunsAsRoot => {
            let image = quote(image);
            format!("may not run as root, but image \"{image}\"{of} does; set spec.pod.runAsUser: 1000")
        }
        Trouble::Config(text) => {
            let (what, fix) = quotes::config(text);
            format!("cannot start{of}: {what}; {fix}")
        }
        Trouble::OutOfMemory => {
            let limit = memory_limit(role, template);
            format!(
                "{} out of memory{of}{limit}; raise {field}resources.limits.memory",
                verb(count, "runs", "run")
            )
        }
        Trouble::Crash(end) => {
            let crash = verb(count, "crashes", "crash");
            let pod = &found.pod.name;
            let fix = match end {
                Some((126 | 127, _)) => format!("the command cannot be run: fix {field}command or the image"),
                _ => format!("see `kubectl logs {pod} -c {name} --previous`"),
            };
            format!("{crash}{of}{}; {fix}", ended(end.as_ref()))
        }
        Trouble::Probe(text) => {
            let fail = verb(count, "fails", "fail");
            let logs = format!("`kubectl logs {} -c {name}`", found.pod.name);
            format!("{fail} the health check{of}: {}", quotes::probe(text, role, template, &logs))
        }
    }
}

/// ` with exit code 1`, with the reason when it says more than `Error`.
fn ended(end: Option<&(i32, String)>) -> String {
    match end {
        Some((code, reason)) if reason.is_empty() || reason == "Error" || reason == "Completed" => {
            format!(" with exit code {code}")
        }
        Some((code, reason)) => format!(" with exit code {code} ({})", quote(reason)),
        None => String::new(),
    }
}

fn memory_limit(role: Option<&Role>, template: &Template<'_>) -> String {
    let limits =
        |intent: &Intent| intent.resources.limits.clone()?.get("memory").map(|limit| limit.0.clone());
    match role {
        Some(Role::Main) => {
            template.intent.and_then(limits).map_or(String::new(), |limit| format!(" (limit {limit})"))
        }
        _ => String::new(),
    }
}

impl Trouble {
    /// Order in the life of a pod.
    fn stage(&self) -> u8 {
        match self {
            Self::Unschedulable(_) => 0,
            Self::ImagePull(_) => 1,
            Self::RunsAsRoot => 2,
            Self::Config(_) => 3,
            Self::OutOfMemory => 4,
            Self::Crash(_) => 5,
            Self::Probe(_) => 6,
        }
    }

    fn reason(&self) -> Reason {
        match self {
            Self::Unschedulable(_) => Reason::Unschedulable,
            Self::ImagePull(_) => Reason::ImagePullFailed,
            Self::RunsAsRoot => Reason::NonRootRefused,
            Self::Config(_) => Reason::ContainerConfigError,
            Self::OutOfMemory => Reason::OutOfMemory,
            Self::Crash(_) => Reason::CrashLooping,
            Self::Probe(_) => Reason::ProbeFailing,
        }
    }
}
