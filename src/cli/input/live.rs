//! What a cluster adds to files: classes and Namespaces that are not among them, and what the status of
//! each Microservice remembers of the world.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Document, Inputs};
use crate::api::{Microservice, MicroserviceStatus};
use crate::cli::yaml::Marks;
use crate::intent::references::is_generated;
use crate::intent::{
    Address, GeneratedValues, KafkaLogin, Observed, ReferenceKey, ReferenceKind, ReferenceState, references,
};

impl Inputs {
    /// Adds an object of the cluster, unless one of its name is among the files.
    pub fn complete(&mut self, object: Value) {
        let document = of_cluster("cluster", object);
        let same = |other: &Document| {
            ["/apiVersion", "/kind", "/metadata/name"]
                .iter()
                .all(|field| other.text(field) == document.text(field))
        };
        if !self.documents.iter().any(same) {
            self.add_document(document);
        }
    }

    /// Adds an object of the cluster, where nothing comes from files: its kind and name stand for the file.
    pub fn add_live(&mut self, object: Value) {
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str);
        let namespace = text("/metadata/namespace").map(|namespace| format!("{namespace}/"));
        let (kind, name) = (text("/kind").unwrap_or_default(), text("/metadata/name").unwrap_or_default());
        let place = format!("{kind} {}{name}", namespace.unwrap_or_default());
        self.add_document(of_cluster(&place, object));
    }

    fn add_document(&mut self, document: Document) {
        self.note_labels(&document);
        self.documents.push(document);
    }

    /// Tells of the Microservices of the cluster, the neighbours of those among the documents.
    pub fn surround(&mut self, live: Vec<Microservice>) {
        self.around = live;
    }

    /// Tells of a Microservice as it is in the cluster: the one of the files has its UID, and its
    /// children carry what the operator remembers.
    pub fn meet(&mut self, live: &Microservice, keda_missing: bool) {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let key = (text(&live.metadata.namespace), text(&live.metadata.name));
        let of_it = |document: &&mut Document| {
            document.text("/kind") == Some("Microservice")
                && document.text("/metadata/namespace") == Some(&key.0)
                && document.text("/metadata/name") == Some(&key.1)
        };
        for document in self.documents.iter_mut().filter(of_it) {
            if let (Some(metadata), Some(uid)) =
                (document.object.get_mut("metadata").and_then(Value::as_object_mut), &live.metadata.uid)
            {
                metadata.insert("uid".to_owned(), uid.as_str().into());
            }
        }
        self.recorded.insert(key, Observed { keda_missing, ..recorded(live) });
    }
}

fn of_cluster(path: &str, object: Value) -> Document {
    Document { path: path.into(), object, marks: Marks::default().into() }
}

/// The live world as the operator has last recorded it.
fn recorded(live: &Microservice) -> Observed {
    let Some(status) = &live.status else { return Observed::default() };
    let hashes: BTreeMap<ReferenceKey, String> = status.references.iter().filter_map(hash).collect();
    let generated = live.spec.secrets.iter().flatten().filter(|secret| is_generated(secret));
    let generated = generated.filter_map(|secret| {
        let hash = hashes.get(&secret_key(&secret.name))?.clone();
        Some((secret.name.clone(), GeneratedValues { data: None, hash }))
    });
    let states = hashes.iter().map(|(key, hash)| (key.clone(), ReferenceState::Known { hash: hash.clone() }));
    Observed {
        generated: generated.collect(),
        kafka_login: login(live, status, &hashes),
        deployment_exists: status
            .children
            .iter()
            .any(|child| child.kind == "Deployment" && child.uid.is_some()),
        references: states.collect(),
        addresses: Address::recorded(status),
        ..Observed::default()
    }
}

fn hash(record: &crate::api::status::ReferenceStatus) -> Option<(ReferenceKey, String)> {
    let kind = [ReferenceKind::Secret, ReferenceKind::ConfigMap]
        .into_iter()
        .find(|kind| kind.as_str() == record.kind)?;
    Some((ReferenceKey { kind, name: record.name.clone() }, record.hash.clone()))
}

fn secret_key(name: &str) -> ReferenceKey {
    ReferenceKey { kind: ReferenceKind::Secret, name: name.to_owned() }
}

/// The login for Kafka: the one that the operator keeps, else the only Secret that it watches for the
/// service beside those that the spec names.
fn login(
    live: &Microservice,
    status: &MicroserviceStatus,
    hashes: &BTreeMap<ReferenceKey, String>,
) -> Option<KafkaLogin> {
    live.spec.kafka.as_ref()?;
    if let Some(kept) = status.secrets.iter().find(|secret| secret.user.is_some()) {
        let hash = hashes.get(&secret_key(&kept.name))?.clone();
        return Some(KafkaLogin { user: kept.user.clone(), hash, data: None, kept: true });
    }
    let named = references::references(&live.spec);
    let generated =
        |key: &ReferenceKey| live.spec.secrets.iter().flatten().any(|secret| secret.name == key.name);
    let other = |key: &&ReferenceKey| {
        key.kind == ReferenceKind::Secret && !named.contains_key(key) && !generated(key)
    };
    let hash = hashes.get(hashes.keys().find(other)?)?.clone();
    Some(KafkaLogin { hash, ..KafkaLogin::default() })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cli::Settings;

    #[test]
    fn files_win_over_the_cluster_and_get_its_uid() {
        let class = |revision: i32| {
            json!({
                "apiVersion": "microservice.dev/v1alpha1", "kind": "MicroserviceClass",
                "metadata": {"name": "team"}, "spec": {"defaultsRevision": revision},
            })
        };
        let mut inputs = Inputs::new(Settings { namespace: "shop".to_owned(), ..Settings::default() });
        inputs.add("-", &class(1).to_string());
        let object = "apiVersion: microservice.dev/v1alpha1\nkind: Microservice\nmetadata: {name: a}\nspec: {image: 'a:1'}\n";
        inputs.add("-", object);
        inputs.complete(class(7));
        inputs.complete(json!({"apiVersion": "v1", "kind": "Namespace",
            "metadata": {"name": "shop", "labels": {"microservice.dev/class": "team"}}}));
        let mut live: Microservice = inputs.documents[1].decode().unwrap();
        live.metadata.uid = Some("u".to_owned());
        live.status = serde_json::from_value(json!({"references": [
            {"kind": "Secret", "name": "s", "uid": "", "resourceVersion": "", "hash": "h", "keyId": ""},
        ]}))
        .unwrap();
        inputs.meet(&live, true);
        let object: Microservice = inputs.documents[1].decode().unwrap();
        assert_eq!(object.metadata.uid.as_deref(), Some("u"));
        assert_eq!(inputs.classes()[0].spec.defaults_revision, Some(1));
        let observed = inputs.observed(&object);
        assert_eq!((observed.class_wanted.as_deref(), observed.keda_missing), (Some("team"), true));
        assert_eq!(observed.references[&secret_key("s")], ReferenceState::Known { hash: "h".to_owned() });
    }

    #[test]
    fn the_login_that_the_operator_keeps_is_remembered() {
        let live: Microservice = serde_json::from_value(json!({
            "apiVersion": "microservice.dev/v1alpha1", "kind": "Microservice",
            "metadata": {"name": "a", "namespace": "shop"}, "spec": {"image": "a:1", "kafka": {}},
            "status": {
                "secrets": [{"name": "a-kafka", "user": "u"}],
                "references": [
                    {"kind": "Secret", "name": "a-kafka", "uid": "", "resourceVersion": "", "hash": "h", "keyId": ""},
                ],
            },
        })).unwrap();
        let login = recorded(&live).kafka_login.unwrap();
        assert_eq!((login.user.as_deref(), login.hash.as_str(), login.kept), (Some("u"), "h", true));
    }
}
