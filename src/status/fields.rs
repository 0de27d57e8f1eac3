//! The fields of a status beside its conditions.

use super::facts::{Facts, Pass};
use super::text;
use super::views::ChildOutcome;
use crate::api::microservice::{Port, Protocol};
use crate::api::status::ChildStatus;
use crate::api::{LABEL_NAME, MicroserviceStatus};
use crate::intent::Intent;

/// Most entries of each list.
const LIST: usize = 256;

/// Everything but `reason` and `conditions`. Where nothing was applied, what was recorded stays.
pub(super) fn fields(facts: &Facts<'_>, complete: bool) -> MicroserviceStatus {
    let mut status = facts.previous.cloned().unwrap_or_default();
    status.observed_generation = facts.generation;
    status.selector = Some(format!("{LABEL_NAME}={}", facts.name));
    counts(facts, &mut status);
    if let Some(intent) = facts.intent() {
        status.class.clone_from(&intent.class);
        if facts.live() || status.image.is_none() {
            status.image = Some(intent.image.clone());
        }
    }
    if let Pass::Done(intent, children) = facts.pass {
        status.url = url(intent);
        status.class_revision = Some(intent.class_revision.clone());
        status.children = self::children(&status.children, children);
        status.references = facts.inputs.references.iter().take(LIST).cloned().collect();
        status.secrets = facts.inputs.secrets.iter().take(LIST).cloned().collect();
    }
    if complete && facts.inputs.template_hash.is_some() {
        status.completed_template = facts.inputs.template_hash.map(str::to_owned);
    }
    status
}

/// Pods as the Deployment counts them. A Deployment that could not be read changes no count.
fn counts(facts: &Facts<'_>, status: &mut MicroserviceStatus) {
    let (replicas, ready, updated, text) = match (facts.inputs.deployment, facts.pass) {
        (Some(live), _) => {
            (live.replicas, live.ready, live.updated, Some(format!("{}/{}", live.ready, live.desired)))
        }
        (None, Pass::Blocked(..)) => return,
        (None, _) => {
            let wanted = facts.intent().map(|intent| intent.scaling.lower_bound());
            (0, 0, 0, wanted.map(|wanted| format!("0/{wanted}")))
        }
    };
    status.replicas = Some(replicas);
    status.ready_replicas = Some(ready);
    status.updated_replicas = Some(updated);
    status.ready = text;
}

/// `http://orders.shop.svc:3000`, of the main port.
fn url(intent: &Intent) -> Option<String> {
    let port = intent.ports.first()?;
    Some(format!("{}://{}.{}.svc:{}", scheme(port), intent.name, intent.namespace, port.port))
}

fn scheme(port: &Port) -> &'static str {
    let grpc = port.name == "grpc" || port.name.starts_with("grpc-");
    match (port.protocol.unwrap_or_default(), port.app_protocol.as_deref()) {
        (Protocol::UDP, _) => "udp",
        (Protocol::SCTP, _) => "sctp",
        (Protocol::TCP, Some("https")) => "https",
        (Protocol::TCP, Some("grpc")) => "grpc",
        (Protocol::TCP, None) if grpc => "grpc",
        (Protocol::TCP, _) => "http",
    }
}

/// One entry per child. What was recorded of a child outlives a pass that could not store it: the
/// recorded UID says that the child is ours.
fn children(recorded: &[ChildStatus], outcome: &[ChildOutcome]) -> Vec<ChildStatus> {
    let same = |old: &&ChildStatus, new: &ChildOutcome| {
        old.api_version == new.api_version && old.kind == new.kind && old.name == new.name
    };
    let held = || "held back until every reference exists".to_owned();
    let entry = |child: &ChildOutcome| {
        let old = recorded.iter().find(|old| same(old, child));
        let problem = child.problem.as_ref().map(|problem| problem.message.as_str());
        ChildStatus {
            api_version: child.api_version.clone(),
            kind: child.kind.clone(),
            name: child.name.clone(),
            uid: child.uid.clone().or_else(|| old?.uid.clone()),
            digest: child.digest.clone().or_else(|| old?.digest.clone()),
            ready: problem.is_none() && !child.held,
            message: problem.map(text::quote).or_else(|| child.held.then(held)),
        }
    };
    outcome.iter().take(LIST).map(entry).collect()
}
