//! Status of the classes: whether each is valid, which one is the default, how many services use it.

use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::api::{Patch, PatchParams};
use kube::runtime::reflector::Store;
use kube::{Api, Client, Resource, ResourceExt};
use serde_json::json;

use super::packed::Packed;
use super::request::{Failure, bounded};
use super::survey::Reports;
use super::world::World;
use crate::api::class::MicroserviceClassStatus;
use crate::api::{API_VERSION, MicroserviceClass, STATUS_MANAGER};
use crate::intent::class_violations;
use crate::status::{ClassInputs, class_status};

/// Changes within this time are written together.
pub const PAUSE: Duration = Duration::from_secs(2);

/// Writes the status of every class whose status is not as it should be.
///
/// # Errors
/// The first write that failed.
pub async fn publish(
    client: &Client,
    world: &World,
    services: &Store<Packed>,
    reports: Option<&Reports>,
) -> Result<(), Failure> {
    let mut classes = world.classes.select(|_, _| true);
    classes.sort_by_key(|(_, class)| (class.creation_timestamp().map(|time| time.0), class.name_any()));
    let marked: Vec<String> = classes
        .iter()
        .filter(|(_, class)| class.is_marked_default())
        .map(|(_, class)| class.name_any())
        .collect();
    let mut users: HashMap<String, i32> = HashMap::new();
    for service in services.state() {
        let namespace = service.meta().namespace.as_deref().unwrap_or_default();
        if let Some(class) = world.class_named(namespace, service.class_name.as_deref()) {
            *users.entry(class.name_any()).or_default() += 1;
        }
    }
    let mut result = Ok(());
    for (_, class) in &classes {
        let name = class.name_any();
        let status = class_status(&ClassInputs {
            name: &name,
            generation: class.metadata.generation,
            previous: class.status.as_ref(),
            violations: &class_violations(class),
            marked: &marked,
            services: users.get(&name).copied().unwrap_or_default(),
            report: reports.map(|reports| reports.get(&name).cloned().unwrap_or_default()),
            now: Time(Timestamp::now()),
        });
        if class.status.as_ref() != Some(&status) {
            result = result.and(write(client, class, &status).await);
        }
    }
    result
}

async fn write(
    client: &Client,
    class: &MicroserviceClass,
    status: &MicroserviceClassStatus,
) -> Result<(), Failure> {
    let api: Api<MicroserviceClass> = Api::all(client.clone());
    let body = json!({
        "apiVersion": API_VERSION,
        "kind": "MicroserviceClass",
        "metadata": {"name": class.name_any(), "uid": class.uid()},
        "status": status,
    });
    let params = PatchParams::apply(STATUS_MANAGER).force();
    bounded(api.patch_status(&class.name_any(), &params, &Patch::Apply(body))).await?;
    Ok(())
}
