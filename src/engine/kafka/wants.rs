//! What an intent declares, in the words of the pure core. Pure.

use std::collections::BTreeSet;

use kube::ResourceExt;

use super::cluster::{Declaration, Want};
use crate::api::Microservice;
use crate::api::kafka::{DeletionPolicy, ManagementPolicy};
use crate::api::{ANNOTATION_CONFIRM_DELETE, ANNOTATION_CONFIRM_PARTITIONS, ANNOTATION_ROTATE};
use crate::intent::kafka::{KafkaIntent, TopicIntent, TopicReference, UsersIntent};
use crate::kafka::account::{Account, Identity, Stored};
use crate::kafka::consent::{Access, Consents, Origin, Use};
use crate::kafka::topic::{Declared, Management, Owner, Place};

/// What is known of the login of an object beside its spec.
#[derive(Clone, Debug, Default)]
pub struct Login {
    /// What its Secret holds.
    pub stored: Stored,
    /// Users that its pods carry; `None` = nobody has looked.
    pub carried: Option<BTreeSet<String>>,
}

/// The topics and the login of an object, and where they are. `None` = there is nothing that the operator
/// asks a broker for.
pub fn wants(
    object: &Microservice,
    class: Option<&str>,
    kafka: &KafkaIntent,
    login: Login,
) -> Option<(Place, Declaration)> {
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
        blind: kafka.cluster.is_blind(),
    };
    let consents = |topic: &TopicIntent| Consents {
        producers: topic.producers.clone(),
        consumers: topic.consumers.clone(),
    };
    let want = |topic| Want { declared: declared(topic), consents: consents(topic), created };
    let topics: Vec<Want> = kafka.topics.iter().map(want).collect();
    let account = account(object, kafka, &owner, &place, login);
    (!topics.is_empty() || account.is_some()).then_some((place, Declaration { topics, account }))
}

/// The login; `None` where clients do not log in, or where nothing of it is ours.
fn account(
    object: &Microservice,
    kafka: &KafkaIntent,
    owner: &Owner,
    place: &Place,
    login: Login,
) -> Option<Account> {
    let identity = match &kafka.cluster.users {
        UsersIntent::Managed { users, .. } => Identity::Managed(users.clone()),
        UsersIntent::Existing { principal, .. } if kafka.cluster.acls && kafka.cluster.may_have_rights() => {
            Identity::Existing(principal.strip_prefix("User:").unwrap_or(principal).to_owned())
        }
        UsersIntent::Existing { .. } | UsersIntent::None => return None,
    };
    Some(Account {
        owner: owner.clone(),
        place: place.clone(),
        identity,
        uses: uses(kafka),
        streams: kafka.application_id.clone(),
        acls: kafka.cluster.acls,
        rotate: object.annotations().get(ANNOTATION_ROTATE).cloned(),
        rotate_after: match &kafka.cluster.users {
            UsersIntent::Managed { rotate_after, .. } => *rotate_after,
            UsersIntent::Existing { .. } | UsersIntent::None => None,
        },
        secret: match &kafka.cluster.users {
            UsersIntent::Managed { secret, .. } => Some(secret.clone()),
            UsersIntent::Existing { .. } | UsersIntent::None => None,
        },
        stored: login.stored,
        carried: login.carried,
    })
}

/// What the object reads and writes.
fn uses(kafka: &KafkaIntent) -> Vec<Use> {
    let own = kafka.topics.iter().map(|topic| Use {
        topic: topic.physical_name.clone(),
        name: topic.name.clone(),
        origin: Origin::Own { observed: topic.management_policy == ManagementPolicy::Observe },
        access: Access::Write,
    });
    let origin = |topic: &TopicReference| topic.owner.clone().map_or(Origin::External, Origin::Of);
    let used = |topic: &TopicReference, access| Use {
        topic: topic.physical_name.clone(),
        name: topic.name.clone(),
        origin: origin(topic),
        access,
    };
    let produced = kafka.produces.iter().map(|topic| used(topic, Access::Write));
    let consumed = kafka.consumes.iter().map(|read| used(&read.topic, Access::Read(read.group.clone())));
    own.chain(produced).chain(consumed).collect()
}

/// The topics that an object looks after, and that are recorded as its own.
pub fn owned(wants: &[Want]) -> BTreeSet<String> {
    let managed = wants.iter().filter(|want| want.declared.management != Management::Observe);
    managed.map(|want| want.declared.name.clone()).collect()
}

/// The topics that an object declares and leaves as they are.
pub fn observed(wants: &[Want]) -> BTreeSet<String> {
    let observed = wants.iter().filter(|want| want.declared.management == Management::Observe);
    observed.map(|want| want.declared.name.clone()).collect()
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
    fn what_is_observed_is_declared_and_not_looked_after() {
        let want = |name: &str, management| Want {
            declared: Declared { name: name.to_owned(), management, ..Declared::default() },
            consents: Consents::default(),
            created: 0,
        };
        let wants = [
            want("made", Management::Manage),
            want("taken", Management::Adopt),
            want("seen", Management::Observe),
        ];
        assert_eq!(Vec::from_iter(owned(&wants)), ["made", "taken"]);
        assert_eq!(Vec::from_iter(observed(&wants)), ["seen"]);
    }

    #[test]
    fn an_annotation_names_topics_with_commas_between_them() {
        let mut object = Microservice::default();
        let text = " shop.orders, shop.payments ,,";
        object.metadata.annotations = Some([(ANNOTATION_CONFIRM_DELETE.to_owned(), text.to_owned())].into());
        assert_eq!(Vec::from_iter(confirmed(&object)), ["shop.orders", "shop.payments"]);
        assert_eq!(names(&object, ANNOTATION_CONFIRM_PARTITIONS), BTreeSet::new());
    }
}
