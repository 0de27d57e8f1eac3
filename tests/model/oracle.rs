//! What must hold: what is stored is what the pure plan says, and nothing was done on the way that must not be.

use std::collections::BTreeMap;

use microservice_operator::api::Microservice;
use microservice_operator::intent::references::references;
use microservice_operator::intent::{GeneratedValues, Intent, Observed, ReferenceKind, ReferenceState};
use microservice_operator::plan::{Kind, Plan, Planned, plan};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::chain::{self, OPERATOR};
use crate::server::{Server, State, Write};
use crate::specs::{NAME, NAMESPACE, Step, Wait, microservice};
use crate::store::{Key, Object};

/// What the pure core makes of the Microservice.
enum Wanted {
    /// These children.
    Children(Box<Plan>),
    /// Nothing is to be changed.
    Untouched,
}

fn key_of(kind: &Kind, name: &str) -> Key {
    Key::new(&format!("{}/{}", kind.group, kind.plural), NAMESPACE, name)
}

fn root(state: &State) -> Option<Microservice> {
    let object = state.store.get(&chain::root())?;
    Microservice::deserialize(Value::Object(object.value.clone())).ok()
}

/// What the world is to the plan, read from the store and the records of the status.
fn observed(state: &State, object: &Microservice) -> Observed {
    let records = object.status.iter().flat_map(|status| &status.references);
    let hashes: BTreeMap<(&str, &str), &String> =
        records.map(|record| ((record.kind.as_str(), record.name.as_str()), &record.hash)).collect();
    let known = |kind: ReferenceKind, name: &str| hashes.get(&(kind.as_str(), name)).copied().cloned();
    let references = references(&object.spec).into_keys().map(|key| {
        let hash = known(key.kind, &key.name);
        let live = hash.map_or(ReferenceState::Missing, |hash| ReferenceState::Known { hash });
        (key, live)
    });
    let made = object.spec.secrets.iter().flatten().filter(|secret| secret.generate.is_some());
    let generated = made.map(|secret| {
        let hash = known(ReferenceKind::Secret, &secret.name).unwrap_or_default();
        (secret.name.clone(), GeneratedValues { data: None, hash })
    });
    Observed {
        references: references.collect(),
        generated: generated.collect(),
        deployment_exists: state.store.get(&Key::new("apps/deployments", NAMESPACE, NAME)).is_some(),
        keda_missing: true,
        operator_namespace: Some(OPERATOR.to_owned()),
        ..Observed::default()
    }
}

fn wanted(object: &Microservice, observed: &Observed) -> Wanted {
    match Intent::resolve(object, None, observed) {
        Ok(intent) if !object.spec.suspend => Wanted::Children(Box::new(plan(&intent))),
        _ => Wanted::Untouched,
    }
}

/// The first thing that is not as the pure core says; `None` = all is.
pub fn difference(server: &Server) -> Option<String> {
    let state = server.state();
    let Some(object) = root(&state) else {
        return Some("there is no Microservice that can be read".to_owned());
    };
    let status = object.status.clone().unwrap_or_default();
    if status.observed_generation != object.metadata.generation {
        return Some("the status describes an older generation".to_owned());
    }
    let condition = |name: &str| status.conditions.iter().find(|one| one.type_ == name);
    let observed = observed(&state, &object);
    let Wanted::Children(plan) = wanted(&object, &observed) else {
        let ready = condition("Ready").filter(|ready| ready.status == "True" && !object.spec.suspend);
        return ready.map(|_| "Ready, although the spec is invalid".to_owned());
    };
    let children = plan.children.iter().filter(|planned| !planned.held);
    let different = children.filter_map(|planned| of_child(&state, planned)).next();
    // What the pods of before may read stays as long as new ones are held back.
    let held = plan.children.iter().any(|planned| planned.held);
    let left_over = || if held { None } else { left_over(&state, &object, &plan) };
    different.or_else(left_over).or_else(|| {
        let ready = condition("Ready").is_some_and(|ready| ready.status == "True");
        (ready == held).then(|| format!("Ready is {:?}, held is {held}", condition("Ready")))
    })
}

/// Where a stored child differs from its plan.
fn of_child(state: &State, planned: &Planned) -> Option<String> {
    let key = key_of(&planned.kind, &planned.name);
    let Some(object) = state.store.get(&key) else { return Some(format!("{key} does not exist")) };
    let (mut live, mut wanted) = (object.value.clone(), planned.body.value());
    live.remove("status");
    if let Some(metadata) = live.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.retain(|name, _| {
            !["uid", "resourceVersion", "generation", "creationTimestamp"].contains(&name.as_str())
        });
    }
    if planned.lacks_values
        && live.remove("data").is_none_or(|data| data.as_object().is_none_or(Map::is_empty))
    {
        return Some(format!("{key} has no values"));
    }
    if let Some((min, max)) = planned.replica_bounds {
        let count = live.get_mut("spec").and_then(|spec| spec.as_object_mut()?.remove("replicas"));
        let count = count.as_ref().and_then(Value::as_i64).unwrap_or_default();
        if !(i64::from(min)..=i64::from(max)).contains(&count) {
            return Some(format!("{key} has {count} replicas, which are not between {min} and {max}"));
        }
    }
    let live = Value::Object(live);
    if live == wanted {
        return None;
    }
    let place = first_difference(&live, &wanted, String::new());
    wanted = wanted.pointer(&place).cloned().unwrap_or_default();
    Some(format!("{key} at {place:?} is {}, not {wanted}", live.pointer(&place).unwrap_or(&Value::Null)))
}

fn first_difference(one: &Value, other: &Value, place: String) -> String {
    let (Some(a), Some(b)) = (one.as_object(), other.as_object()) else { return place };
    let names = a.keys().chain(b.keys());
    match names.filter(|name| a.get(*name) != b.get(*name)).min() {
        Some(name) => {
            let nothing = Value::Null;
            let below = format!("{place}/{}", name.replace('~', "~0").replace('/', "~1"));
            first_difference(a.get(name).unwrap_or(&nothing), b.get(name).unwrap_or(&nothing), below)
        }
        None => place,
    }
}

fn children<'s>(state: &'s State, uid: &str) -> impl Iterator<Item = (&'s Key, &'s std::sync::Arc<Object>)> {
    state.store.objects.iter().filter(move |(_, object)| object.owner() == Some(uid))
}

fn left_over(state: &State, object: &Microservice, plan: &Plan) -> Option<String> {
    let uid = object.metadata.uid.as_deref().unwrap_or_default();
    let is_planned =
        |key: &Key| plan.children.iter().any(|planned| key_of(&planned.kind, &planned.name) == *key);
    children(state, uid)
        .map(|(key, _)| key)
        .find(|key| !is_planned(key))
        .map(|key| format!("{key} is left over"))
}

/// The children at a time when all had come to rest.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// Whether the spec asks for nothing.
    untouched: bool,
    /// resourceVersions.
    children: BTreeMap<Key, String>,
}

impl Snapshot {
    /// As all is now.
    pub fn of(server: &Server) -> Self {
        let state = server.state();
        let object = root(&state).unwrap_or_default();
        let uid = object.metadata.uid.clone().unwrap_or_default();
        let versions = children(&state, &uid);
        Self {
            untouched: matches!(wanted(&object, &observed(&state, &object)), Wanted::Untouched),
            children: versions
                .map(|(key, one)| (key.clone(), one.text_of("resourceVersion").to_owned()))
                .collect(),
        }
    }

    /// A spec that asks for nothing, or is invalid, leaves all children as they were.
    ///
    /// # Errors
    /// The child that it did not.
    pub fn after(&self, before: &Self) -> Result<(), String> {
        if !self.untouched || self.children == before.children {
            return Ok(());
        }
        let changed = self.children.iter().find(|(key, version)| before.children.get(key) != Some(version));
        let changed =
            changed.or_else(|| before.children.iter().find(|(key, _)| !self.children.contains_key(key)));
        Err(format!(
            "a spec that is to change nothing changed {}",
            changed.map_or_else(String::new, |(key, _)| key.to_string())
        ))
    }
}

/// Nothing was deleted but what some spec of the chain until then did not want, and each request was as it
/// has to be.
///
/// # Errors
/// The first write that should not have been.
pub fn deletes(server: &Server, steps: &[Step]) -> Result<(), String> {
    let state = server.state();
    if let Some(write) = state.written.iter().find(|write| !write.wrong.is_empty()) {
        return Err(format!("{}: {write}", write.wrong));
    }
    let wants = |plan: &Plan, key: &Key| {
        plan.children.iter().any(|planned| key_of(&planned.kind, &planned.name) == *key)
    };
    let deleted = |write: &&Write| write.verb.starts_with("DELETE") && write.code == 200;
    let gone: Vec<&Write> = state.written.iter().filter(deleted).collect();
    if gone.is_empty() {
        return Ok(());
    }
    let plans: Vec<Option<Plan>> = steps.iter().map(planned).collect();
    for write in gone {
        let last_rest = steps.iter().take(write.step).rposition(|step| step.wait == Wait::Settled);
        let since = last_rest.unwrap_or_default();
        let mut seen = plans.iter().take(write.step + 1).skip(since).flatten();
        if seen.all(|plan| wants(plan, &write.key)) {
            return Err(format!("deleted, although every spec since the last rest wants it: {write}"));
        }
    }
    Ok(())
}

fn planned(step: &Step) -> Option<Plan> {
    let object = microservice(&step.spec)?;
    let observed =
        Observed { keda_missing: true, operator_namespace: Some(OPERATOR.to_owned()), ..Observed::default() };
    match wanted(&object, &observed) {
        Wanted::Children(plan) => Some(*plan),
        Wanted::Untouched => None,
    }
}
