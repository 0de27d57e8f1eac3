//! Objects that the operator writes: as little of server-side apply as it looks at in the answer.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::support::Target;

const CREATED: &str = "2026-01-01T00:00:00Z";

/// By plural and name: all are in one namespace, but for those of the operator itself.
#[derive(Default)]
pub struct Objects(BTreeMap<(String, String), Arc<Value>>);

impl Objects {
    /// The object, if it was written.
    pub fn get(&self, target: &Target) -> Option<Arc<Value>> {
        self.0.get(&key(target)).cloned()
    }

    /// Keeps an object as it is given.
    pub fn create(&mut self, plural: &str, mut object: Value, version: u64) -> Arc<Value> {
        let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        new(&mut object, version);
        self.keep((plural.to_owned(), name), object)
    }

    /// Applies a body: the first one makes the object, later ones replace what they name at the top of
    /// `spec`, and a status is replaced as a whole.
    pub fn apply(&mut self, target: &Target, body: &Value, manager: &str, version: u64) -> Arc<Value> {
        let entry = json!({
            "manager": manager, "operation": "Apply", "apiVersion": body["apiVersion"], "time": CREATED,
            "fieldsType": "FieldsV1", "fieldsV1": fields(body), "subresource": target.subresource,
        });
        let made = || {
            let mut object = body.clone();
            new(&mut object, version);
            object
        };
        let mut object = self.get(target).map_or_else(made, |stored| Value::clone(&stored));
        if target.subresource.is_some() {
            object["status"] = body["status"].clone();
        } else if let Value::Object(spec) = &body["spec"] {
            spec.iter().for_each(|(field, value)| object["spec"][field] = value.clone());
        }
        let metadata = &mut object["metadata"];
        metadata["resourceVersion"] = json!(version.to_string());
        let mut entries = metadata["managedFields"].as_array().cloned().unwrap_or_default();
        entries.retain(|one| {
            (&one["manager"], &one["subresource"]) != (&entry["manager"], &entry["subresource"])
        });
        entries.push(entry);
        metadata["managedFields"] = json!(entries);
        self.keep(key(target), object)
    }

    fn keep(&mut self, key: (String, String), object: Value) -> Arc<Value> {
        let object = Arc::new(object);
        self.0.insert(key, object.clone());
        object
    }
}

fn key(target: &Target) -> (String, String) {
    (target.plural.clone(), target.name.clone().unwrap_or_default())
}

fn new(object: &mut Value, version: u64) {
    let metadata = &mut object["metadata"];
    metadata["uid"] = json!(format!("ffffffff-5ca1-4e00-8000-{version:012x}"));
    metadata["resourceVersion"] = json!(version.to_string());
    metadata["generation"] = json!(1);
    metadata["creationTimestamp"] = json!(CREATED);
}

/// Names of the fields of a body.
fn fields(value: &Value) -> Value {
    match value {
        Value::Object(inner) => {
            inner.iter().map(|(key, value)| (format!("f:{key}"), fields(value))).collect()
        }
        _ => Value::Object(Map::new()),
    }
}
