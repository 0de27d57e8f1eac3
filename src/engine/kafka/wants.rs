//! What an intent declares, in the words of the pure core. Pure.

use std::collections::BTreeSet;

use kube::ResourceExt;

use super::cluster::Want;
use crate::api::Microservice;
use crate::api::kafka::{DeletionPolicy, ManagementPolicy};
use crate::api::{ANNOTATION_CONFIRM_DELETE, ANNOTATION_CONFIRM_PARTITIONS};
use crate::intent::kafka::{KafkaIntent, ModeIntent, TopicIntent};
use crate::kafka::topic::{Declared, Management, Owner, Place};

/// The topics of an object, and where they are. `None` = it has none that the operator asks a broker
/// for.
pub fn wants(object: &Microservice, class: Option<&str>, kafka: &KafkaIntent) -> Option<(Place, Vec<Want>)> {
    if kafka.cluster.mode != ModeIntent::Direct || kafka.topics.is_empty() {
        return None;
    }
    let place = Place { class: class?.to_owned(), cluster: kafka.cluster.name.clone() };
    let owner = owner(object);
    let created = object.metadata.creation_timestamp.as_ref().map_or(0, |time| time.0.as_second());
    let (repartition, deletion) = (names(object, ANNOTATION_CONFIRM_PARTITIONS), confirmed(object));
    let declared = |topic: &TopicIntent| Declared {
        name: topic.physical_name.clone(),
        owner: owner.clone(),
        place: place.clone(),
        delete: topic.deletion_policy == DeletionPolicy::Delete,
        confirmed: deletion.contains(&topic.physical_name),
        partitions: topic.partitions,
        replication_factor: topic.replication_factor,
        initial_partitions: topic.initial_partitions,
        initial_replication_factor: topic.initial_replication_factor,
        config: topic.config.clone(),
        management: match topic.management_policy {
            ManagementPolicy::Manage => Management::Manage,
            ManagementPolicy::Adopt => Management::Adopt,
            ManagementPolicy::Observe => Management::Observe,
        },
        repartition: repartition.contains(&topic.physical_name),
    };
    let wants = kafka.topics.iter().map(|topic| Want { declared: declared(topic), created }).collect();
    Some((place, wants))
}

/// The topics that an object looks after, and that are recorded as its own.
pub fn owned(wants: &[Want]) -> BTreeSet<String> {
    let managed = wants.iter().filter(|want| want.declared.management != Management::Observe);
    managed.map(|want| want.declared.name.clone()).collect()
}

/// The topics that an annotation names.
pub fn names(object: &Microservice, annotation: &str) -> BTreeSet<String> {
    let text = object.annotations().get(annotation).map(String::as_str).unwrap_or_default();
    text.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

/// The topics that the object confirms may be deleted.
pub fn confirmed(object: &Microservice) -> BTreeSet<String> {
    names(object, ANNOTATION_CONFIRM_DELETE)
}

fn owner(object: &Microservice) -> Owner {
    Owner {
        namespace: object.namespace().unwrap_or_default(),
        name: object.name_any(),
        uid: object.uid().unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_annotation_names_topics_with_commas_between_them() {
        let mut object = Microservice::default();
        let text = " shop.orders, shop.payments ,,";
        object.metadata.annotations = Some([(ANNOTATION_CONFIRM_DELETE.to_owned(), text.to_owned())].into());
        assert_eq!(Vec::from_iter(confirmed(&object)), ["shop.orders", "shop.payments"]);
        assert_eq!(names(&object, ANNOTATION_CONFIRM_PARTITIONS), BTreeSet::new());
    }
}
