//! A Microservice as the store keeps it. Decoded it is several times as large as its text, and between two
//! looks, most of the time, nobody reads it.

use std::sync::LazyLock;

use kube::Resource;
use kube::api::ObjectMeta;
use kube::runtime::{Predicate, predicates};
use lz4_flex::block;
use serde::Deserialize;
use smol_str::SmolStr;

use crate::api::Microservice;

/// What most texts have, in the words and in the order in which they are encoded: a text is kept as its
/// difference to this.
static COMMON: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let typical: Vec<Microservice> = serde_json::from_str(include_str!("packed.json")).unwrap_or_default();
    serde_json::to_vec(&typical).unwrap_or_default()
});

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
    pub wanted: Option<u64>,
    text: Box<[u8]>,
}

/// Why an object cannot be had back.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// The text cannot be decompressed.
    #[error("{0}")]
    Text(#[from] block::DecompressError),
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
            text: compressed(&text),
        }
    }
}

/// A copy of what the compressor gives: that keeps the room it was made in, for the worst case.
fn compressed(text: &[u8]) -> Box<[u8]> {
    block::compress_prepend_size_with_dict(text, &COMMON).as_slice().into()
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
        Ok(serde_json::from_slice(&block::decompress_size_prepended_with_dict(&self.text, &COMMON)?)?)
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

    /// The typical objects are as objects are encoded today: nothing in their file is unknown or lost.
    #[test]
    fn what_is_common_is_up_to_date() {
        let file: serde_json::Value = serde_json::from_str(include_str!("packed.json")).unwrap();
        let common: serde_json::Value = serde_json::from_slice(&COMMON).unwrap();
        assert_eq!(common, file);
    }

    /// Names, UIDs and digests are what is left of a text of the usual.
    #[test]
    fn a_text_of_the_usual_is_kept_in_less() {
        let mut object: Vec<Microservice> = serde_json::from_slice(&COMMON).unwrap();
        let mut object = object.remove(0);
        object.metadata.name = Some("payments".to_owned());
        for child in object.status.iter_mut().flat_map(|status| &mut status.children) {
            child.name = child.name.replace("orders", "payments").into();
        }
        let text = serde_json::to_vec(&object).unwrap();
        let packed = Packed::from(&object);
        assert!(packed.text.len() < text.len() / 8, "{} of {}", packed.text.len(), text.len());
        assert_eq!(packed.unpack().unwrap(), object);
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
        assert!(matches!(broken(&compressed(b"")).unpack(), Err(Unreadable::Object(_))));
    }
}
