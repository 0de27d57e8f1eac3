//! What the model of the API server stores: objects, and each change of them.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use serde_json::{Map, Value, json};

use crate::fields::Manager;

/// Resource as `group/plural`, namespace and name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// `group/plural`; of the core group `/plural`.
    pub resource: String,
    /// Namespace; empty for what has none.
    pub namespace: String,
    /// Name.
    pub name: String,
}

impl Key {
    /// The key of these three.
    pub fn new(resource: &str, namespace: &str, name: &str) -> Self {
        Self { resource: resource.to_owned(), namespace: namespace.to_owned(), name: name.to_owned() }
    }
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}/{}", self.resource, self.namespace, self.name)
    }
}

/// One version of an object.
#[derive(Debug, Default)]
pub struct Object {
    /// All of it but `metadata.managedFields`.
    pub value: Map<String, Value>,
    /// Who owns what.
    pub managers: Vec<Manager>,
    whole: OnceLock<String>,
    metadata: OnceLock<String>,
}

impl Object {
    /// The value at this place of the metadata.
    pub fn metadata(&self, name: &str) -> Option<&Value> {
        self.value.get("metadata")?.get(name)
    }

    /// The text there.
    pub fn text_of(&self, name: &str) -> &str {
        self.metadata(name).and_then(Value::as_str).unwrap_or_default()
    }

    /// This label.
    pub fn label(&self, name: &str) -> Option<&str> {
        self.metadata("labels")?.get(name)?.as_str()
    }

    /// metadata.generation
    pub fn generation(&self) -> i64 {
        self.metadata("generation").and_then(Value::as_i64).unwrap_or_default()
    }

    /// UID of the controller.
    pub fn owner(&self) -> Option<&str> {
        let owners = self.metadata("ownerReferences")?.as_array()?;
        owners.iter().find(|owner| owner["controller"] == json!(true))?["uid"].as_str()
    }

    /// As JSON, whole or as PartialObjectMetadata.
    pub fn text(&self, metadata_only: bool) -> &str {
        let cell = if metadata_only { &self.metadata } else { &self.whole };
        cell.get_or_init(|| {
            let mut value = if metadata_only {
                let metadata = self.value.get("metadata").cloned().unwrap_or_default();
                json!({"apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata", "metadata": metadata})
            } else {
                Value::Object(self.value.clone())
            };
            if !self.managers.is_empty() {
                value["metadata"]["managedFields"] = self.managers.iter().map(Manager::json).collect();
            }
            value.to_string()
        })
    }
}

/// A change of one object.
#[derive(Clone, Debug)]
pub struct Change {
    /// Version of everything after it.
    pub version: u64,
    /// What changed.
    pub key: Key,
    /// As it was.
    pub before: Option<Arc<Object>>,
    /// As it is; of one that is gone what it was at the end, at this version.
    pub now: Arc<Object>,
    /// Whether it is gone.
    pub gone: bool,
}

/// All objects and their history.
#[derive(Debug)]
pub struct Store {
    /// The objects.
    pub objects: BTreeMap<Key, Arc<Object>>,
    /// All changes, the oldest first.
    pub log: Vec<Change>,
    version: u64,
    uids: u64,
}

impl Default for Store {
    fn default() -> Self {
        Self { objects: BTreeMap::new(), log: Vec::new(), version: 1000, uids: 0 }
    }
}

impl Store {
    /// resourceVersion of everything.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The object of this key.
    pub fn get(&self, key: &Key) -> Option<&Arc<Object>> {
        self.objects.get(key)
    }

    /// Stores an object, and returns it as it is stored. What changes nothing makes no new version.
    pub fn put(&mut self, key: &Key, mut value: Map<String, Value>, managers: Vec<Manager>) -> Arc<Object> {
        let before = self.get(key).cloned();
        self.complete(key, &mut value, before.as_deref());
        if let Some(before) = &before
            && before.value == value
            && before.managers == managers
        {
            return Arc::clone(before);
        }
        self.version += 1;
        value["metadata"]["resourceVersion"] = json!(self.version.to_string());
        let now = Arc::new(Object { value, managers, ..Object::default() });
        self.objects.insert(key.clone(), Arc::clone(&now));
        let (key, object) = (key.clone(), Arc::clone(&now));
        self.log.push(Change { version: self.version, key, before, now: object, gone: false });
        now
    }

    /// What the server fills in.
    fn complete(&mut self, key: &Key, value: &mut Map<String, Value>, before: Option<&Object>) {
        if key.resource == "apps/deployments"
            && value.get("spec").is_none_or(|spec| spec["replicas"].is_null())
        {
            value.entry("spec").or_insert_with(|| json!({}))["replicas"] = json!(1);
        }
        let generation = match before {
            None => 1,
            Some(before) => before.generation() + i64::from(is_news(before, value)),
        };
        let uid = before.map_or_else(
            || {
                self.uids += 1;
                json!(format!("00000000-0000-0000-0000-{:012}", self.uids))
            },
            |before| json!(before.text_of("uid")),
        );
        let metadata = value.entry("metadata").or_insert_with(|| json!({}));
        metadata["name"] = json!(key.name);
        if !key.namespace.is_empty() {
            metadata["namespace"] = json!(key.namespace);
        }
        metadata["uid"] = uid;
        metadata["generation"] = json!(generation);
        metadata["creationTimestamp"] = json!("2026-01-01T00:00:00Z");
        metadata["resourceVersion"] = json!(before.map(|before| before.text_of("resourceVersion")));
    }

    /// Removes an object; whether there was one.
    pub fn remove(&mut self, key: &Key) -> bool {
        let Some(before) = self.objects.remove(key) else { return false };
        self.version += 1;
        let mut value = before.value.clone();
        value["metadata"]["resourceVersion"] = json!(self.version.to_string());
        let managers = before.managers.clone();
        let now = Arc::new(Object { value, managers, ..Object::default() });
        let change =
            Change { version: self.version, key: key.clone(), before: Some(before), now, gone: true };
        self.log.push(change);
        true
    }

    /// The objects as they were this many changes ago, and the version then.
    pub fn ago(&self, changes: usize) -> (BTreeMap<Key, Arc<Object>>, u64) {
        let (mut objects, mut version) = (self.objects.clone(), self.version);
        for change in self.log.iter().rev().take(changes) {
            version = change.version - 1;
            match &change.before {
                Some(before) => objects.insert(change.key.clone(), Arc::clone(before)),
                None => objects.remove(&change.key),
            };
        }
        (objects, version)
    }
}

/// Whether the server counts it as another generation.
fn is_news(before: &Object, value: &Map<String, Value>) -> bool {
    let annotations =
        |value: &Map<String, Value>| value.get("metadata").map(|meta| meta["annotations"].clone());
    let of_deployment = value.get("kind") == Some(&json!("Deployment"));
    before.value.get("spec") != value.get("spec")
        || (of_deployment && annotations(&before.value) != annotations(value))
}
