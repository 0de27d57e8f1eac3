//! Reads what surrounds one Microservice, for a person who asks: few requests, none of which need the
//! operator. What may not be read is left out and said.

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Event, Pod};
use kube::api::{ListParams, ObjectMeta};
use kube::{Api, Client};
use smol_str::SmolStr;

use super::metadata::{Labels, Metadata};
use super::project;
use super::request::{Failure, bounded};
use crate::api::{LABEL_NAME, Microservice};
use crate::status::explain::{Surroundings, Warning};
use crate::status::views::PodView;

/// Most pods and Events that are read; a namespace may hold very many.
const PODS: u32 = 500;
const EVENTS: u32 = 1000;

/// The object and what is around it; `None` = there is no such object.
///
/// # Errors
/// The object itself cannot be read.
pub async fn gather(client: &Client, namespace: &str, name: &str) -> Result<Option<Surroundings>, Failure> {
    let objects: Api<Microservice> = Api::namespaced(client.clone(), namespace);
    let object = match bounded(objects.get(name)).await {
        Ok(object) => object,
        Err(Failure::Missing(_)) => return Ok(None),
        Err(failure) => return Err(failure),
    };
    let mut seen = Surroundings { object, ..Surroundings::default() };
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), namespace);
    match bounded(deployments.get_opt(name)).await {
        Ok(live) => seen.deployment = live.map(deployment),
        Err(failure) => seen.unread.push(format!("Deployment {name}: {failure}")),
    }
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let labelled = ListParams::default().labels(&format!("{LABEL_NAME}={name}")).limit(PODS);
    match bounded(pods.list(&labelled)).await {
        Ok(list) => sort_out(list.items, &mut seen),
        Err(failure) => seen.unread.push(format!("pods: {failure}")),
    }
    let events: Api<Event> = Api::namespaced(client.clone(), namespace);
    let params = ListParams::default().fields("type=Warning").limit(EVENTS);
    match bounded(events.list(&params)).await {
        Ok(list) => seen.warnings = warnings(&seen, list.items),
        Err(failure) => seen.unread.push(format!("Events: {failure}")),
    }
    fill_probes(&mut seen);
    Ok(Some(seen))
}

fn deployment(live: Deployment) -> crate::status::views::DeploymentView {
    let replicas = live.spec.and_then(|spec| spec.replicas);
    project::deployment(&metadata(&live.metadata), replicas, live.status.unwrap_or_default())
}

/// Pods that are not ready are looked at, the others counted.
fn sort_out(pods: Vec<Pod>, seen: &mut Surroundings) {
    for pod in pods {
        let status = pod.status.unwrap_or_default();
        let done = status.phase.as_deref() == Some("Succeeded");
        match project::troubled_pod(&metadata(&pod.metadata), &status) {
            Some(troubled) => seen.pods.push(troubled.view),
            None if !done => seen.ready_pods += 1,
            None => {}
        }
    }
    seen.pods.sort_by(|a, b| a.name.cmp(&b.name));
}

fn metadata(meta: &ObjectMeta) -> Metadata<'static> {
    let label = |name: &str| meta.labels.as_ref().and_then(|labels| labels.get(name)).map(SmolStr::new);
    Metadata {
        name: meta.name.as_deref().unwrap_or_default().into(),
        namespace: meta.namespace.as_deref().unwrap_or_default().into(),
        uid: meta.uid.as_deref().unwrap_or_default().into(),
        generation: meta.generation.unwrap_or_default(),
        creation_timestamp: meta.creation_timestamp.clone(),
        deletion_timestamp: meta.deletion_timestamp.clone(),
        labels: Labels { service: label(LABEL_NAME), template: label("pod-template-hash") },
        ..Metadata::default()
    }
}

/// Those about the object, its children, its ReplicaSets and its pods.
fn warnings(seen: &Surroundings, events: Vec<Event>) -> Vec<Warning> {
    let name = seen.object.metadata.name.as_deref().unwrap_or_default();
    let children = || seen.object.status.iter().flat_map(|status| &status.children);
    let is_ours = |kind: &str, of: &str| {
        kind == "Microservice" && of == name
            || children().any(|child| child.kind == kind && child.name == of)
            || kind == "Pod" && seen.pods.iter().any(|pod| pod.name == of)
    };
    let warning = |event: Event| {
        let last = last_seen(&event);
        Some(Warning {
            kind: event.involved_object.kind?,
            name: event.involved_object.name?,
            reason: event.reason.unwrap_or_default(),
            message: event.message.unwrap_or_default(),
            count: event.series.and_then(|series| series.count).or(event.count).unwrap_or(1),
            last,
        })
    };
    let all = events.into_iter().filter_map(warning).map(of_deployment);
    all.filter(|warning| is_ours(&warning.kind, &warning.name)).collect()
}

/// A ReplicaSet is named after its Deployment: what it fails at is told there.
fn of_deployment(warning: Warning) -> Warning {
    match warning.name.rsplit_once('-') {
        Some((deployment, _)) if warning.kind == "ReplicaSet" => {
            Warning { kind: "Deployment".to_owned(), name: deployment.to_owned(), ..warning }
        }
        _ => warning,
    }
}

fn last_seen(event: &Event) -> Timestamp {
    let series =
        event.series.as_ref().and_then(|series| series.last_observed_time.as_ref()).map(|time| time.0);
    let single = event.last_timestamp.as_ref().map(|time| time.0);
    let micro = event.event_time.as_ref().map(|time| time.0);
    let created = event.metadata.creation_timestamp.as_ref().map(|time| time.0);
    series.or(single).or(micro).or(created).unwrap_or_default()
}

/// What the kubelet says of a failing probe, as the operator reads it.
fn fill_probes(seen: &mut Surroundings) {
    let warnings = &seen.warnings;
    let unhealthy = |pod: &PodView| {
        let own = |warning: &&Warning| {
            warning.kind == "Pod" && warning.name == pod.name && warning.reason == "Unhealthy"
        };
        warnings.iter().filter(own).max_by_key(|warning| warning.last).map(|warning| warning.message.clone())
    };
    for pod in &mut seen.pods {
        pod.probe_message = unhealthy(pod);
    }
}
