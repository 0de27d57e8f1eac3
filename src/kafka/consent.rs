//! What a Microservice may do with a topic: the owner of it decides, and nobody else. Nothing that a team
//! writes in its own namespace gives it a right on another team's topic.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use smol_str::SmolStr;

use super::model::Acl;
use super::rights::{self, Uses};
use super::topic::{Owner, Recorded};

/// Whom the owner of a topic lets use it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Consent {
    /// Every service of the owner's namespace.
    #[default]
    OwnNamespace,
    /// Nobody: no list is given, and the class wants one.
    Nobody,
    /// Exactly these services, as namespace and name, each once and in their order; the name `*` stands for
    /// all of the namespace.
    Services(Arc<[(SmolStr, SmolStr)]>),
}

impl Consent {
    /// What a list of services says, with the owner's namespace where none is given: the rule for topics and
    /// for calls alike. Without a list `unsaid` counts.
    pub fn of<'a>(
        list: Option<impl Iterator<Item = (Option<&'a String>, &'a String)>>,
        own: &str,
        unsaid: &Self,
    ) -> Self {
        list.map_or_else(
            || unsaid.clone(),
            |list| {
                let key = |(namespace, name): (Option<&String>, &String)| {
                    (namespace.map_or(own, String::as_str).into(), name.into())
                };
                let services: BTreeSet<(SmolStr, SmolStr)> = list.map(key).collect();
                Self::Services(services.into_iter().collect())
            },
        )
    }

    /// Whether the owner, of this namespace, lets a service use the topic. The owner itself needs none.
    pub fn allows(&self, owner_namespace: &str, namespace: &str, name: &str) -> bool {
        match self {
            Self::OwnNamespace => namespace == owner_namespace,
            Self::Nobody => false,
            Self::Services(services) => {
                services.iter().any(|(at, of)| at == namespace && (of == name || of == "*"))
            }
        }
    }
}

/// Both answers of the owner of a topic.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Consents {
    /// Who may write.
    pub producers: Consent,
    /// Who may read.
    pub consumers: Consent,
}

/// One topic that a Microservice reads or writes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Use {
    /// Its name on the broker.
    pub topic: String,
    /// Its name in the API.
    pub name: String,
    /// Whose topic it is meant to be.
    pub origin: Origin,
    /// What is done with it.
    pub access: Access,
}

/// Whose topic a use is of.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// The Microservice declares it itself; `observed` = it is made elsewhere.
    Own {
        /// It is only observed.
        observed: bool,
    },
    /// A service of this namespace declares it.
    Of(String),
    /// It has no owner in the API; the class lets services use it.
    External,
}

/// Reading or writing.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Access {
    /// It writes.
    Write,
    /// It reads, with this consumer group.
    Read(String),
}

impl Access {
    /// The list of the owner in which a service has to be named.
    pub fn list(&self) -> &'static str {
        match self {
            Self::Write => "producers",
            Self::Read(_) => "consumers",
        }
    }
}

/// What is known of a topic that is used.
#[derive(Clone, Copy, Debug)]
pub enum Known<'a> {
    /// The ledger cannot be read for it.
    Unreadable,
    /// The ledger has this record of it; `None` = nobody's topic. Beside it what the owner allows, if
    /// the owner declares it now.
    Ledger(Option<&'a Recorded>, Option<&'a Consents>),
}

/// Whether a use is allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is.
    Yes,
    /// It is not, and what is missing.
    No(Lack),
    /// The owner cannot be asked now: rights that were given stand, and none are added.
    Open(Lack),
}

/// What is missing for a use.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lack {
    /// No service of the namespace declares the topic, by its name in the API.
    Topic {
        /// Namespace of the owner that is waited for.
        namespace: String,
        /// Name of the topic.
        topic: String,
    },
    /// The owner does not name the service.
    Consent {
        /// Namespace of the owner.
        namespace: String,
        /// Name of the owner.
        owner: String,
        /// Name of the topic in the API.
        topic: String,
        /// The list in which the service has to be named.
        list: &'static str,
    },
    /// The own topic is not there yet, or is not its own: the condition of topics says why.
    OwnTopic {
        /// Name of the topic.
        topic: String,
    },
}

/// Judges one use of a topic by this Microservice.
pub fn judge(user: &Owner, used: &Use, known: Known<'_>) -> Verdict {
    let absent = |namespace: &str| Lack::Topic { namespace: namespace.to_owned(), topic: used.name.clone() };
    let (record, consents) = match (&used.origin, known) {
        (Origin::External, _) => return Verdict::Yes,
        (Origin::Own { .. }, Known::Unreadable) => {
            return Verdict::Open(Lack::OwnTopic { topic: used.name.clone() });
        }
        (Origin::Of(namespace), Known::Unreadable) => return Verdict::Open(absent(namespace)),
        (_, Known::Ledger(record, consents)) => (record, consents),
    };
    let holder = record.filter(|record| !record.released).map(|record| &record.owner);
    match (&used.origin, holder) {
        (_, Some(owner)) if owner.continues(user) => Verdict::Yes,
        (Origin::Own { observed: true }, None) | (Origin::External, _) => Verdict::Yes,
        (Origin::Own { .. }, _) => Verdict::No(Lack::OwnTopic { topic: used.name.clone() }),
        (Origin::Of(namespace), Some(owner)) if owner.namespace == *namespace => {
            asked(user, used, owner, consents)
        }
        // It was let go a moment ago, or its owner is being made anew.
        (Origin::Of(namespace), None) if record.is_some() => Verdict::Open(absent(namespace)),
        (Origin::Of(namespace), _) => Verdict::No(absent(namespace)),
    }
}

fn asked(user: &Owner, used: &Use, owner: &Owner, consents: Option<&Consents>) -> Verdict {
    let lack = Lack::Consent {
        namespace: owner.namespace.clone(),
        owner: owner.name.clone(),
        topic: used.name.clone(),
        list: used.access.list(),
    };
    let consent = consents.map(|consents| match used.access {
        Access::Write => &consents.producers,
        Access::Read(_) => &consents.consumers,
    });
    match consent {
        None => Verdict::Open(lack),
        Some(consent) if consent.allows(&owner.namespace, &user.namespace, &user.name) => Verdict::Yes,
        Some(_) => Verdict::No(lack),
    }
}

/// The rights of a Microservice: those it has, those that stay if it has them, and what it lacks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Claims {
    /// Uses that are allowed.
    pub uses: Uses,
    /// Uses that are allowed, and those of which nothing is known now.
    pub most: Uses,
    /// What is missing.
    pub lacks: BTreeSet<Lack>,
    /// What nothing is known of now, because the owner is not heard of.
    pub open: BTreeSet<Lack>,
}

/// Judges all uses; `known` tells of a topic by its name on the broker.
pub fn claims<'a>(
    user: &Owner,
    uses: &[Use],
    streams: Option<&str>,
    known: impl Fn(&str) -> Known<'a>,
) -> Claims {
    let mut claims = Claims::default();
    claims.uses.streams = streams.map(str::to_owned);
    claims.most.streams.clone_from(&claims.uses.streams);
    for used in uses {
        match judge(user, used, known(&used.topic)) {
            Verdict::Yes => {
                add(&mut claims.uses, used);
                add(&mut claims.most, used);
            }
            Verdict::Open(lack) => {
                add(&mut claims.most, used);
                claims.open.insert(lack);
            }
            Verdict::No(lack) => drop(claims.lacks.insert(lack)),
        }
    }
    claims
}

fn add(uses: &mut Uses, used: &Use) {
    match &used.access {
        Access::Write => drop(uses.writes.insert(used.topic.clone())),
        Access::Read(group) => drop(uses.reads.insert((used.topic.clone(), group.clone()))),
    }
}

impl Claims {
    /// What to add and take away for one principal.
    pub fn difference(&self, principal: &str, have: &BTreeSet<Acl>) -> rights::AclChange {
        let want = rights::rights(principal, &self.uses);
        let most = rights::rights(principal, &self.most);
        let mut change = rights::difference(principal, &want, have);
        change.revoke.retain(|acl| !most.contains(acl));
        change
    }
}

/// Who asks the owners of topics for consent, by owner as namespace and name.
pub type Asks = BTreeMap<(String, String), BTreeSet<Ask>>;

/// A service that an owner does not name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ask {
    /// Name of the topic in the API.
    pub topic: String,
    /// The list in which it would have to be named.
    pub list: &'static str,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

#[cfg(test)]
mod tests;
