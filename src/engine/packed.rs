//! A Microservice as the store keeps it. Decoded it is several times as large as its text, and between two
//! looks, most of the time, nobody reads it.

use kube::Resource;
use kube::api::ObjectMeta;
use kube::runtime::{Predicate, predicates};
use serde::Deserialize;
use smol_str::SmolStr;

use crate::api::Microservice;

/// The compressed text of an object, with what is read of it between two looks.
#[derive(Clone, Debug, Deserialize, Resource)]
#[resource(inherit = Microservice)]
#[serde(from = "Microservice")]
pub struct Packed {
    /// Name, namespace, UID and version; the rest is in the text.
    metadata: ObjectMeta,
    /// Whether its condition Ready is true.
    pub is_ready: bool,
    /// The class that it names.
    pub class_name: Option<SmolStr>,
    /// Stands for all that is not status: generation, labels, annotations, finalizers.
    wanted: Option<u64>,
    text: Box<[u8]>,
}

/// Why an object cannot be had back.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// The text cannot be decompressed.
    #[error("{0}")]
    Text(#[from] lz4_flex::block::DecompressError),
    /// The object cannot be decoded.
    #[error("{0}")]
    Object(#[from] serde_json::Error),
}

impl From<Microservice> for Packed {
    fn from(object: Microservice) -> Self {
        Self::from(&object)
    }
}

impl From<&Microservice> for Packed {
    fn from(object: &Microservice) -> Self {
        // What could not be encoded, if that ever happens, is told by `unpack`.
        let text = serde_json::to_vec(object).unwrap_or_default();
        Self {
            metadata: ObjectMeta {
                name: object.metadata.name.clone(),
                namespace: object.metadata.namespace.clone(),
                uid: object.metadata.uid.clone(),
                resource_version: object.metadata.resource_version.clone(),
                ..ObjectMeta::default()
            },
            is_ready: object.status.as_ref().is_some_and(|status| status.is_true("Ready")),
            class_name: object.spec.class_name.as_ref().map(SmolStr::from),
            wanted: predicates::generation
                .combine(predicates::labels)
                .combine(predicates::annotations)
                .combine(predicates::finalizers)
                .hash_property(object),
            text: lz4_flex::compress_prepend_size(&text).into_boxed_slice(),
        }
    }
}

impl Packed {
    /// Whether at most the status is another one.
    pub fn wants_as(&self, other: &Self) -> bool {
        self.metadata.uid == other.metadata.uid && self.wanted == other.wanted
    }

    /// The object.
    ///
    /// # Errors
    /// Its text could not be made or cannot be read.
    pub fn unpack(&self) -> Result<Microservice, Unreadable> {
        Ok(serde_json::from_slice(&lz4_flex::decompress_size_prepended(&self.text)?)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object() -> Microservice {
        serde_yaml::from_str(
            "{metadata: {name: orders, namespace: shop, uid: u-1, resourceVersion: '7', generation: 3, \
             labels: {team: a}, annotations: {note: b}, creationTimestamp: '2026-01-01T00:00:00Z'}, \
             spec: {image: 'orders:v1', className: web}, status: {observedGeneration: 3, conditions: [{type: Ready, \
             status: 'True', reason: Ready, message: '', lastTransitionTime: '2026-01-01T00:00:00Z'}]}}",
        )
        .unwrap()
    }

    #[test]
    fn an_object_comes_back_as_it_was() {
        let packed = Packed::from(&object());
        assert_eq!(packed.unpack().unwrap(), object());
        assert_eq!(packed.meta().resource_version.as_deref(), Some("7"));
        assert_eq!((packed.is_ready, packed.class_name.as_deref()), (true, Some("web")));
        let bare = Packed::from(&Microservice { status: None, ..object() });
        assert!(!bare.is_ready && bare.unpack().unwrap().status.is_none());
    }

    /// A status says much the same of each child and each condition.
    #[test]
    fn a_text_of_repetitions_is_kept_in_less() {
        let mut object = object();
        let status = object.status.as_mut().unwrap();
        let condition = status.conditions[0].clone();
        status.conditions = vec![condition; 20];
        let text = serde_json::to_vec(&object).unwrap();
        assert!(Packed::from(&object).text.len() < text.len() / 3);
    }

    #[test]
    fn another_status_wants_nothing_else() {
        let packed = |change: fn(&mut Microservice)| {
            let mut object = object();
            change(&mut object);
            Packed::from(&object)
        };
        let same = |change| packed(|_| ()).wants_as(&packed(change));
        assert!(same(|object| object.status = None));
        assert!(same(|object| object.metadata.resource_version = Some("8".to_owned())));
        assert!(!same(|object| object.metadata.generation = Some(4)));
        assert!(!same(|object| object.metadata.labels = None));
        assert!(!same(|object| object.metadata.annotations = None));
        assert!(!same(|object| object.metadata.finalizers = Some(vec!["x".to_owned()])));
        assert!(!same(|object| object.metadata.uid = Some("another".to_owned())));
    }

    #[test]
    fn what_cannot_be_read_is_told() {
        let broken = |text: &[u8]| Packed { text: text.into(), ..Packed::from(&object()) };
        assert!(matches!(broken(b"").unpack(), Err(Unreadable::Text(_))));
        let empty = lz4_flex::compress_prepend_size(b"");
        assert!(matches!(broken(&empty).unpack(), Err(Unreadable::Object(_))));
    }
}
