//! B15: N services that call each other, and what one of them that changes costs the rest.

use futures::{StreamExt, stream};
use k8s_openapi::api::apps::v1::Deployment;
use kube::ResourceExt;
use kube::api::{ListParams, Patch, PatchParams};
use microservice_operator::api::Microservice;
use serde_json::json;

use crate::ground::{Fleet, Ground, PATIENCE};
use crate::process;
use crate::report::Report;
use crate::rest::rest;
use crate::support::eventually;
use crate::workload::name;

/// B15: each service calls five others, so it has five callers.
pub async fn run(ground: &mut Ground, report: &mut Report) {
    let calls = ground.settings.calls;
    assert!(
        calls < ground.settings.objects,
        "CALLS={calls}: it takes more than {calls} services, N says how many"
    );
    let mut fleet = Fleet::start(ground.settings, ground.cluster, report).await;
    fleet.calls = calls;
    let pid = fleet.operator.pid();
    let (cpu, memory, mark) = (process::cpu(pid), process::resident(pid), fleet.audit.mark().await);
    let began = fleet.looks().await;
    fleet.fill().await;
    let per_object = |count: usize| count as f64 / fleet.settings.objects as f64;
    let sent = fleet.sent(mark).await;
    report.measure("M1", "writes per object", None, per_object(sent.writes().without("events").count()));
    report.count("M3", "GET and LIST per object", 0.0, per_object(sent.reads().count()));
    report.measure("M8", "looks per object", None, per_object(fleet.looks().await - began));
    let used = (process::cpu(pid) - cpu).as_secs_f64();
    report.measure("M8", "CPU per 1,000 objects [s]", None, used * per_object(1000));
    let grown = || (process::resident(pid) - memory) * 1000.0 / fleet.settings.objects as f64;
    report.measure("M9", "RSS while nobody serves, per 1,000 objects [MiB]", Some(16.0), grown());
    serve(&fleet).await;
    report.measure("M9", "RSS when all serve, per 1,000 objects [MiB]", Some(16.0), grown());
    report.measure("M9", "RSS, peak / settled", Some(1.5), process::peak(pid) / process::resident(pid));
    // All of them agree with each other, so there is nothing to write.
    rest(&fleet, report).await;
    neighbours(&fleet, report).await;
}

/// Says of all pods that they are ready, as the controllers would that sleep, and does so again for each service that
/// rolls because of it, until every service is Ready and nobody writes any more.
async fn serve(fleet: &Fleet) {
    let services = fleet.namespace.api::<Microservice>();
    eventually(PATIENCE, "every service is Ready", || async {
        roll_out(fleet).await;
        let all = services.list(&ListParams::default()).await.map_err(|error| error.to_string())?.items;
        let unready: Vec<String> =
            all.iter().filter(|one| !is_ready(one)).map(ResourceExt::name_any).collect();
        if unready.is_empty() {
            Ok(())
        } else {
            Err(format!("{} are not, among them {}", unready.len(), unready[0]))
        }
    })
    .await;
    fleet.quiet().await;
}

/// What the controllers would say of each Deployment that has changed.
async fn roll_out(fleet: &Fleet) {
    let deployments = fleet.namespace.api::<Deployment>();
    let all = deployments.list(&ListParams::default()).await.expect("the Deployments can be listed").items;
    let observed = |one: &&Deployment| one.status.as_ref().and_then(|status| status.observed_generation);
    stream::iter(all.iter().filter(|one| observed(one) != one.metadata.generation))
        .for_each_concurrent(16, |deployment| {
            let (name, deployments) = (deployment.name_any(), &deployments);
            let pods = deployment.spec.as_ref().and_then(|spec| spec.replicas);
            let status = json!({"status": {
                "observedGeneration": deployment.metadata.generation, "replicas": pods, "updatedReplicas": pods,
                "readyReplicas": pods, "availableReplicas": pods,
            }});
            async move {
                let told = deployments.patch_status(&name, &PatchParams::default(), &Patch::Merge(&status)).await;
                told.unwrap_or_else(|error| panic!("status of Deployment {name}: {error}"));
            }
        })
        .await;
}

/// Whether it is, and whom it calls too.
fn is_ready(object: &Microservice) -> bool {
    let mut conditions = object.status.iter().flat_map(|status| &status.conditions);
    let is_bad = |kind: &str, status: &str| kind == "DependenciesReady" && status != "True";
    let calm = !conditions.clone().any(|condition| is_bad(&condition.type_, &condition.status));
    calm && conditions.any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

/// A port that moves concerns those that call it, and nobody else.
async fn neighbours(fleet: &Fleet, report: &mut Report) {
    let (service, mark) = (name(fleet.calls), fleet.audit.mark().await);
    let ports = json!([{"name": "http", "port": 81, "containerPort": 3000}, {"name": "grpc", "port": 9000}]);
    fleet.change(&service, json!({"ports": ports})).await;
    fleet.applied().await;
    serve(fleet).await;
    let mut written = fleet.sent(mark).await.writes().without("events").0;
    written.retain(|request| request.resource == "deployments");
    written.sort_by(|a, b| a.name.cmp(&b.name));
    written.dedup_by(|a, b| a.name == b.name);
    let concerned = fleet.calls as f64;
    report.count("M7", "services that a changed port has rolled", concerned, written.len() as f64);
}
