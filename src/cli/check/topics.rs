//! What the given services say of each other's topics: one owner each, and the owner's consent.

use std::collections::BTreeMap;

use super::{Checked, Finding};
use crate::api::Reason;
use crate::api::kafka::ManagementPolicy;
use crate::intent::kafka::{Consent, TopicIntent, TopicReference};

/// A topic as its owner declares it.
struct Owned<'c> {
    owner: &'c Checked<'c>,
    cluster: &'c str,
    topic: &'c TopicIntent,
}

/// Owners by namespace and name of the topic in the API.
type Owners<'c> = BTreeMap<(&'c str, &'c str), Vec<Owned<'c>>>;

/// All findings. A topic that none of the given services owns may have its owner in the cluster.
pub(super) fn findings(services: &[Checked<'_>]) -> Vec<Finding> {
    let mut owners = Owners::new();
    let mut found = Vec::new();
    for owner in services {
        let Some(kafka) = &owner.intent.kafka else { continue };
        for (index, topic) in kafka.topics.iter().enumerate() {
            let same = owners.entry((owner.namespace(), &topic.name)).or_default();
            let owned = Owned { owner, cluster: &kafka.cluster.name, topic };
            if let Some(other) = same.iter().find(|other| conflict(other, &owned)) {
                found.push(twice(owner, index, &topic.name, other.owner.name()));
            }
            same.push(owned);
        }
    }
    found.extend(services.iter().flat_map(|service| lacks(service, &owners)));
    found
}

/// Whether both would have the same topic of the same cluster made.
fn conflict(one: &Owned<'_>, other: &Owned<'_>) -> bool {
    let makes = |owned: &Owned<'_>| owned.topic.management_policy != ManagementPolicy::Observe;
    one.owner.class == other.owner.class
        && one.cluster == other.cluster
        && one.topic.physical_name == other.topic.physical_name
        && one.owner.name() != other.owner.name()
        && makes(one)
        && makes(other)
}

fn twice(owner: &Checked<'_>, index: usize, topic: &str, other: &str) -> Finding {
    let message = format!(
        "Microservice {other} owns topic \"{topic}\" too, and a topic has one owner: name it under produces or \
         consumes in one of the two"
    );
    owner.document.finding(Reason::TopicConflict, format!("spec.kafka.topics[{index}].name"), message)
}

/// What a service uses without the consent of a given owner.
fn lacks(service: &Checked<'_>, owners: &Owners<'_>) -> Vec<Finding> {
    let Some(kafka) = &service.intent.kafka else { return Vec::new() };
    let produces = kafka.produces.iter().enumerate();
    let produces = produces.filter_map(|(index, used)| lack(service, owners, used, "producers", index));
    let consumes = kafka.consumes.iter().enumerate();
    let consumes =
        consumes.filter_map(|(index, used)| lack(service, owners, &used.topic, "consumers", index));
    produces.chain(consumes).collect()
}

fn lack(
    service: &Checked<'_>,
    owners: &Owners<'_>,
    used: &TopicReference,
    list: &str,
    index: usize,
) -> Option<Finding> {
    let at = used.owner.as_deref()?;
    let owners = owners.get(&(at, used.name.as_str()))?;
    let consent = |owned: &Owned<'_>| -> bool {
        let consent: &Consent =
            if list == "producers" { &owned.topic.producers } else { &owned.topic.consumers };
        owned.owner.name() == service.name() && at == service.namespace()
            || consent.allows(at, service.namespace(), service.name())
    };
    if owners.iter().any(consent) {
        return None;
    }
    let owner = owners.first()?.owner.name();
    let (name, namespace, topic) = (service.name(), service.namespace(), &used.name);
    let message = format!(
        "the owner of topic \"{topic}\" does not allow it: add {{name: {name}, namespace: {namespace}}} to its \
         {list} in Microservice {at}/{owner}"
    );
    let field = if list == "producers" { "produces" } else { "consumes" };
    Some(service.document.finding(
        Reason::PendingConsent,
        format!("spec.kafka.{field}[{index}].topic"),
        message,
    ))
}
