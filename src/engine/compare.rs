//! Compares plans with a cluster for a person who asks: what the server would store of each child, by a
//! dry run of the operator's own apply, beside what it has stored. Nothing is written.

use kube::api::{DynamicObject, Patch, PatchParams};
use kube::{Api, Client};
use serde_json::{Value, json};

use super::optional::serves;
use super::request::{Failure, bounded};
use super::watch::api_resource;
use crate::api::{FIELD_MANAGER, Microservice};
use crate::plan::{self, Kind, Plan, Planned, keda};

/// Live objects, and what would take their place.
#[derive(Clone, Debug, Default)]
pub struct Sides {
    /// As they are stored.
    pub live: Vec<Value>,
    /// As they would be.
    pub planned: Vec<Value>,
}

/// A child that cannot be compared.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{kind} {namespace}/{name}: {failure}")]
pub struct Error {
    kind: String,
    namespace: String,
    name: String,
    failure: Failure,
}

/// Whether the cluster lacks KEDA's API.
///
/// # Errors
/// The server does not say.
pub async fn keda_missing(client: &Client) -> Result<bool, Failure> {
    let kinds = plan::kinds();
    let plurals: Vec<&str> =
        kinds.iter().filter(|kind| kind.api_version() == keda::API_VERSION).map(|kind| kind.plural).collect();
    Ok(!serves(client, keda::API_VERSION, &plurals).await?)
}

/// Compares the children of one Microservice. `live` = the object as it is in the cluster.
///
/// # Errors
/// The first child that the server does not show or would refuse.
pub async fn compare(
    client: &Client,
    namespace: &str,
    plan: &Plan,
    live: Option<&Microservice>,
) -> Result<Sides, Error> {
    let mut sides = Sides::default();
    for child in plan.children.iter().filter(|child| !child.held) {
        let place = Place { client, namespace, kind: child.kind, name: &child.name };
        let stored = place.get().await?;
        let planned = match &stored {
            Some(stored) => place.would_store(child, stored).await?,
            None => child.body.value(),
        };
        sides.live.extend(stored);
        sides.planned.push(planned);
    }
    for (kind, name) in given_up(plan, live) {
        sides.live.extend(Place { client, namespace, kind, name: &name }.get().await?);
    }
    Ok(sides)
}

/// Recorded children that the plan has no place for.
fn given_up(plan: &Plan, live: Option<&Microservice>) -> Vec<(Kind, String)> {
    let recorded = live.and_then(|object| object.status.as_ref()).map_or(&[][..], |status| &status.children);
    let kinds = plan::kinds();
    let gone = recorded.iter().filter_map(|child| {
        let is = |kind: &Kind| kind.kind == child.kind && kind.api_version() == child.api_version;
        let kind = kinds.iter().find(|kind| is(kind))?;
        let planned = plan.children.iter().any(|planned| planned.kind == *kind && planned.name == child.name);
        (!planned && child.uid.is_some()).then(|| (*kind, child.name.to_string()))
    });
    gone.collect()
}

/// One object on the server.
struct Place<'a> {
    client: &'a Client,
    namespace: &'a str,
    kind: Kind,
    name: &'a str,
}

impl Place<'_> {
    fn api(&self) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), self.namespace, &api_resource(&self.kind))
    }

    fn error(&self, failure: Failure) -> Error {
        let (kind, name) = (self.kind.kind.to_owned(), self.name.to_owned());
        Error { kind, namespace: self.namespace.to_owned(), name, failure }
    }

    async fn get(&self) -> Result<Option<Value>, Error> {
        let live = bounded(self.api().get_opt(self.name)).await.map_err(|failure| self.error(failure))?;
        Ok(live.map(|live| json!(live)))
    }

    /// What the server would make of the child; values of Secrets are those that are stored.
    async fn would_store(&self, child: &Planned, stored: &Value) -> Result<Value, Error> {
        let mut body = child.body.value();
        if let (Some(body), Some(data)) =
            (body.as_object_mut(), stored.get("data").filter(|_| child.lacks_values))
        {
            body.insert("data".to_owned(), data.clone());
        }
        let params = PatchParams { dry_run: true, ..PatchParams::apply(FIELD_MANAGER).force() };
        let api = self.api();
        let applied = bounded(api.patch(self.name, &params, &Patch::Apply(&body))).await;
        let mut applied = json!(applied.map_err(|failure| self.error(failure))?);
        if let Some((min, max)) = child.replica_bounds {
            hand_over(&mut applied, stored, (min, max));
        }
        Ok(applied)
    }
}

/// The operator hands the live count over to an autoscaler, within its bounds.
fn hand_over(applied: &mut Value, stored: &Value, (min, max): (i32, i32)) {
    let count = stored.pointer("/spec/replicas").and_then(Value::as_i64);
    if let (Some(count), Some(replicas)) = (count, applied.pointer_mut("/spec/replicas")) {
        *replicas = count.max(min.into()).min(max.into()).into();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_autoscaled_count_stays_within_its_bounds() {
        let of = |count: i32| json!({"spec": {"replicas": count}});
        for (live, expected) in [(1, 2), (3, 3), (9, 5)] {
            let mut applied = of(1);
            hand_over(&mut applied, &of(live), (2, 5));
            assert_eq!(applied, of(expected));
        }
    }
}
