//! The condition KafkaAccessReady: whether the service has its login and its rights on the cluster, and if
//! not, who has to do what. It never lowers Ready: a running workload has what it has.

use super::facts::{Facts, Pass, Truth, Verdict, find};
use super::text;
use crate::api::Reason;
use crate::intent::KafkaIntent;
use crate::intent::kafka::UsersIntent;
use crate::kafka::account::Obstacle;
use crate::kafka::consent::{Ask, Lack};
use crate::kafka::view::{AccessView, Trouble};

/// Name of the condition.
pub(super) const CONDITION: &str = "KafkaAccessReady";

/// The condition; absent when the operator keeps neither login nor rights.
pub(super) fn condition(facts: &Facts<'_>) -> Option<Verdict> {
    let carried = || {
        let known = find(facts.conditions(), CONDITION).is_some();
        known.then(|| super::conditions::carried(facts, CONDITION))
    };
    let kafka = match facts.pass {
        Pass::Invalid(_) | Pass::Suspended(_) => return carried(),
        Pass::Blocked(intent, _) | Pass::Pending(intent) | Pass::Done(intent, _) => {
            intent.kafka.as_deref()?
        }
    };
    if !is_kept(kafka) {
        return None;
    }
    if !kafka.cluster.may_have_rights() {
        let message = "Strimzi takes ACLs of its own users only: the platform team sets acls: None, or users.mode Managed, for this cluster in the class.";
        return Some(Verdict::new(Truth::False, Reason::Unsupported, message));
    }
    Some(match facts.inputs.access {
        Some(view) => of_view(facts, kafka, view, carried()),
        None => carried().unwrap_or_else(waiting),
    })
}

fn is_kept(kafka: &KafkaIntent) -> bool {
    match kafka.cluster.users {
        UsersIntent::Managed { .. } => true,
        UsersIntent::Existing { .. } => kafka.cluster.acls,
        UsersIntent::None => false,
    }
}

fn waiting() -> Verdict {
    Verdict::new(Truth::False, Reason::WaitingForLogin, "The login for Kafka is being made.")
}

fn of_view(facts: &Facts<'_>, kafka: &KafkaIntent, view: &AccessView, carried: Option<Verdict>) -> Verdict {
    let no = |reason, message: String| Verdict::new(Truth::False, reason, message);
    if let Some(trouble) = view.trouble.as_ref().filter(|trouble| trouble.lasting) {
        let truth =
            if view.user.is_some() && is_of_way(trouble.reason) { Truth::Unknown } else { Truth::False };
        return Verdict::new(truth, trouble.reason, refusal(kafka, trouble));
    }
    if view.trouble.is_some() || !view.compared {
        let told = facts.previous.and_then(|status| status.observed_generation) == facts.generation;
        return carried.filter(|_| told).unwrap_or_else(waiting);
    }
    if let Some(obstacle) = &view.obstacle {
        return no(reason(obstacle), hindrance(kafka, obstacle));
    }
    let Some(user) = &view.user else { return waiting() };
    if view.contested {
        let message = format!(
            "Another program keeps removing the ACLs of user \"{user}\", so they are not given again: have it leave \
             those of the operator alone, such as Strimzi's User Operator, or set acls: None in the class."
        );
        return no(Reason::AclContested, message);
    }
    if let Some(text) = &view.unsupported {
        let message = format!(
            "The cluster keeps no ACLs ({}): the platform team gives it an authorizer, or sets acls: None in the class.",
            text::quote(text)
        );
        return no(Reason::AclsUnsupported, message);
    }
    if let Some(worst) = view.lacks.iter().min_by_key(|lack| rank(lack)) {
        let mut lacks: Vec<&Lack> = view.lacks.iter().collect();
        lacks.sort_by_key(|lack| rank(lack));
        let all: Vec<String> = lacks.into_iter().map(|lack| lacking(facts, lack)).collect();
        return no(of_lack(worst), format!("{}.", text::list(&all, 3, "; ")));
    }
    if !view.open.is_empty() {
        let topics: Vec<String> = view.open.iter().map(|lack| format!("\"{}\"", topic(lack))).collect();
        let message = format!(
            "The owner of topic {} is not looked after now (suspended, not valid, deleted, or in another class): \
             rights that were given stand, and none are added until it is.",
            text::list(&topics, 3, " and ")
        );
        return no(Reason::WaitingForTopic, message);
    }
    ready(user, view)
}

fn topic(lack: &Lack) -> &str {
    match lack {
        Lack::Consent { topic, .. } | Lack::Topic { topic, .. } | Lack::OwnTopic { topic } => topic,
    }
}

/// All is there; whoever waits for a consent of this service is named.
fn ready(user: &str, view: &AccessView) -> Verdict {
    if view.asks.is_empty() {
        let message = format!("User \"{user}\" has all rights that the service needs.");
        return Verdict::new(Truth::True, Reason::KafkaAccessReady, message);
    }
    let ask = |ask: &Ask| {
        format!(
            "{}/{} waits to be named in {} of topic \"{}\" ({{name: {}, namespace: {}}})",
            ask.namespace, ask.name, ask.list, ask.topic, ask.name, ask.namespace
        )
    };
    let asks: Vec<String> = view.asks.iter().map(ask).collect();
    let message = format!(
        "User \"{user}\" has all rights that the service needs. If it may: {}.",
        text::list(&asks, 3, "; ")
    );
    Verdict::new(Truth::True, Reason::PendingConsent, message)
}

fn is_of_way(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::BrokerUnreachable | Reason::LoginRefused | Reason::TlsRefused | Reason::ClusterSecretMissing
    )
}

fn rank(lack: &Lack) -> u8 {
    match lack {
        Lack::Consent { .. } => 0,
        Lack::Topic { .. } => 1,
        Lack::OwnTopic { .. } => 2,
    }
}

fn of_lack(lack: &Lack) -> Reason {
    match lack {
        Lack::Consent { .. } => Reason::PendingConsent,
        Lack::Topic { .. } => Reason::WaitingForTopic,
        Lack::OwnTopic { .. } => Reason::WaitingForOwnTopic,
    }
}

fn lacking(facts: &Facts<'_>, lack: &Lack) -> String {
    let namespace = facts.inputs.object.metadata.namespace.as_deref().unwrap_or_default();
    match lack {
        Lack::Consent { namespace: at, owner, topic, list } => format!(
            "the owner of topic \"{topic}\" does not allow it: have {{name: {}, namespace: {namespace}}} added to its \
             {list} in Microservice {at}/{owner}",
            facts.name
        ),
        Lack::Topic { namespace, topic } => format!(
            "no Microservice of namespace {namespace} owns topic \"{topic}\" on this cluster now: it goes on by itself \
             when one does"
        ),
        Lack::OwnTopic { topic } => {
            format!("the right on the own topic \"{topic}\" follows when it is there, see TopicsReady")
        }
    }
}

fn reason(obstacle: &Obstacle) -> Reason {
    match obstacle {
        Obstacle::Taken(_) | Obstacle::Unrecorded(_) | Obstacle::SecretTaken | Obstacle::Shared { .. } => {
            Reason::UserConflict
        }
        Obstacle::BothInUse => Reason::WaitingForLogin,
    }
}

fn hindrance(kafka: &KafkaIntent, obstacle: &Obstacle) -> String {
    let secret = match &kafka.cluster.users {
        UsersIntent::Managed { secret, .. } | UsersIntent::Existing { secret, .. } => secret.as_str(),
        UsersIntent::None => "",
    };
    match obstacle {
        Obstacle::Taken(user) => format!(
            "User \"{user}\" exists on the cluster and was not made by this operator, so it is left alone: delete it \
             there, or give the class another principalPrefix."
        ),
        Obstacle::Unrecorded(user) => format!(
            "Secret \"{secret}\" holds user \"{user}\", of which the operator has no record: restore the ConfigMaps of \
             its ledger, or delete the user on the cluster, and another login is made."
        ),
        Obstacle::SecretTaken => format!(
            "Secret \"{secret}\" exists and was not made for this Microservice: delete or rename it, and the login is \
             made."
        ),
        Obstacle::BothInUse => format!(
            "Secret \"{secret}\" is gone while pods still use both users of the service: another login is made when \
             the pods of the older one have ended."
        ),
        Obstacle::Shared { user, by } => format!(
            "User \"{user}\" is the login of Microservice {}/{} too, so its rights are left alone: the platform team \
             sets users.principalTemplate in the class so that each service has a principal of its own, such as \
             User:{{namespace}}.{{name}}.",
            by.namespace, by.name
        ),
    }
}

/// What the cluster refuses, and what to do about it.
fn refusal(kafka: &KafkaIntent, trouble: &Trouble) -> String {
    let cluster = &kafka.cluster.name;
    let fix = match trouble.reason {
        Reason::BrokerUnreachable => {
            format!("the platform team checks the brokers of cluster \"{cluster}\" and its bootstrapServers in the class")
        }
        Reason::LoginRefused | Reason::ClusterSecretMissing => {
            "the platform team corrects the Secret with the operator's login; it is read again by itself".to_owned()
        }
        Reason::TlsRefused => {
            "the platform team corrects the cluster's tls in the class, or the Secret with the certificate authorities".to_owned()
        }
        Reason::NotAuthorized => {
            "the platform team gives the operator's user Describe and Alter on the cluster, or the class says who else \
             makes users and ACLs"
                .to_owned()
        }
        Reason::ApiNotServed => {
            "the platform team installs Strimzi's definitions; that is noticed by itself".to_owned()
        }
        Reason::Forbidden => {
            "the platform team gives the operator its rights on Strimzi's objects (rbac --strimzi-namespace)"
                .to_owned()
        }
        Reason::Conflict => {
            "have the platform team remove that object, or set another principalPrefix in the class".to_owned()
        }
        Reason::StrimziNotRunning => {
            "the platform team starts Strimzi's operators, or corrects strimzi in the class".to_owned()
        }
        Reason::StrimziRefused => "ask the platform team, which reads the status of the KafkaUser".to_owned(),
        Reason::CredentialRefused => format!(
            "the platform team checks that cluster \"{cluster}\" takes SCRAM-SHA-512 on these addresses; it is tried \
             again"
        ),
        _ => "it is tried again".to_owned(),
    };
    format!("{}; {fix}.", text::quote(&trouble.text))
}

#[cfg(test)]
mod tests;
