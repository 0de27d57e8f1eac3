//! The ACLs that one service needs, no more, and what to add and take away. Only ACLs of our own
//! principals are ever touched.

use std::collections::BTreeSet;

use super::model::{Acl, Operation, Pattern, ResourceType};

/// What a service does with a cluster, in names of the broker.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Uses {
    /// Topics that it writes to: its own and those it produces to.
    pub writes: BTreeSet<String>,
    /// Topics that it reads, each with its consumer group.
    pub reads: BTreeSet<(String, String)>,
    /// The application.id of its Kafka Streams application: its group, and with a `-` the prefix of its
    /// internal topics and transactional ids.
    pub streams: Option<String>,
}

/// The ACLs of one principal (`User:name`) for these uses. The right of an idempotent producer is in
/// Write since Kafka 2.8.
pub fn rights(principal: &str, uses: &Uses) -> BTreeSet<Acl> {
    use Operation::{All, Describe, Read, Write};
    let literal =
        |resource, name: &str, operation| acl(principal, resource, name, Pattern::Literal, operation);
    let mut acls = BTreeSet::new();
    for topic in &uses.writes {
        acls.extend([Write, Describe].map(|operation| literal(ResourceType::Topic, topic, operation)));
    }
    for (topic, group) in &uses.reads {
        acls.extend([Read, Describe].map(|operation| literal(ResourceType::Topic, topic, operation)));
        acls.insert(literal(ResourceType::Group, group, Read));
    }
    if let Some(application) = &uses.streams {
        // Its changelog and repartition topics are made, read and deleted by the application itself.
        let prefix = format!("{application}-");
        for resource in [ResourceType::Topic, ResourceType::TransactionalId] {
            acls.insert(acl(principal, resource, &prefix, Pattern::Prefixed, All));
        }
        acls.insert(literal(ResourceType::Group, application, Read));
    }
    acls
}

fn acl(principal: &str, resource: ResourceType, name: &str, pattern: Pattern, operation: Operation) -> Acl {
    Acl {
        principal: principal.to_owned(),
        resource,
        name: name.to_owned(),
        pattern,
        operation,
        allow: true,
        host: "*".to_owned(),
    }
}

/// What to add and what to take away.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AclChange {
    /// To add.
    pub allow: Vec<Acl>,
    /// To take away.
    pub revoke: Vec<Acl>,
}

/// The difference for one principal of ours. Whoever denies something has a reason: that stays.
pub fn difference(principal: &str, want: &BTreeSet<Acl>, have: &BTreeSet<Acl>) -> AclChange {
    let mine = |acl: &&Acl| acl.principal == principal && acl.allow;
    AclChange {
        allow: want.difference(have).filter(mine).cloned().collect(),
        revoke: have.difference(want).filter(mine).cloned().collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn short(acls: &BTreeSet<Acl>) -> Vec<String> {
        acls.iter()
            .map(|acl| format!("{:?} {:?} {} {:?}", acl.operation, acl.resource, acl.name, acl.pattern))
            .collect()
    }

    #[test]
    fn a_writer_and_a_reader_get_what_they_need_and_no_more() {
        let writer = Uses { writes: set(&["orders"]), ..Uses::default() };
        assert_eq!(
            short(&rights("User:a", &writer)),
            ["Write Topic orders Literal", "Describe Topic orders Literal"]
        );
        let reads = [("orders".to_owned(), "shop.audit".to_owned())].into();
        let reader = Uses { reads, ..Uses::default() };
        assert_eq!(
            short(&rights("User:a", &reader)),
            ["Read Topic orders Literal", "Describe Topic orders Literal", "Read Group shop.audit Literal"]
        );
        assert_eq!(rights("User:a", &Uses::default()), BTreeSet::new());
    }

    #[test]
    fn a_streams_application_owns_its_group_and_its_prefix_only() {
        let streams = Uses { streams: Some("shop.totals".to_owned()), ..Uses::default() };
        assert_eq!(
            short(&rights("User:a", &streams)),
            [
                "All Topic shop.totals- Prefixed",
                "Read Group shop.totals Literal",
                "All TransactionalId shop.totals- Prefixed"
            ]
        );
    }

    #[test]
    fn what_is_not_ours_or_denies_is_never_touched() {
        let want = rights("User:a", &Uses { writes: set(&["orders"]), ..Uses::default() });
        let old = rights("User:a", &Uses { writes: set(&["payments"]), ..Uses::default() });
        let mut have: BTreeSet<Acl> = old.clone();
        have.extend(rights("User:b", &Uses { writes: set(&["secret"]), ..Uses::default() }));
        let denied = Acl { allow: false, ..old.first().cloned().unwrap() };
        have.insert(denied.clone());
        let change = difference("User:a", &want, &have);
        assert_eq!(change.allow, want.iter().cloned().collect::<Vec<_>>());
        assert_eq!(change.revoke, old.iter().cloned().collect::<Vec<_>>());
        assert!(!change.revoke.contains(&denied));
        assert_eq!(difference("User:a", &want, &want), AclChange::default());
    }
}
