//! KafkaUser: a login with SCRAM-SHA-512 and its ACLs. Its name is that of the user on the broker.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::{Head, Mark, Said, USERS, metadata, object};
use crate::kafka::account::principal;
use crate::kafka::model::{Acl, Operation, Pattern, ResourceType};

/// A KafkaUser.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserObject {
    /// Its metadata.
    pub head: Head,
    /// What Strimzi says of it.
    pub said: Said,
    /// What it asks for.
    pub spec: UserSpec,
    /// The Secret into which Strimzi puts the password.
    pub secret: Option<String>,
}

/// What a KafkaUser asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserSpec {
    /// Whether it logs in with SCRAM-SHA-512.
    pub scram: bool,
    /// Its ACLs; `None` = none are kept for it.
    pub acls: Option<BTreeSet<Acl>>,
}

const RESOURCES: [(ResourceType, &str); 4] = [
    (ResourceType::Topic, "topic"),
    (ResourceType::Group, "group"),
    (ResourceType::TransactionalId, "transactionalId"),
    (ResourceType::Cluster, "cluster"),
];
const OPERATIONS: [(Operation, &str); 11] = [
    (Operation::All, "All"),
    (Operation::Read, "Read"),
    (Operation::Write, "Write"),
    (Operation::Create, "Create"),
    (Operation::Delete, "Delete"),
    (Operation::Alter, "Alter"),
    (Operation::Describe, "Describe"),
    (Operation::ClusterAction, "ClusterAction"),
    (Operation::DescribeConfigs, "DescribeConfigs"),
    (Operation::AlterConfigs, "AlterConfigs"),
    (Operation::IdempotentWrite, "IdempotentWrite"),
];

impl UserObject {
    /// Reads an object.
    pub fn read(whole: &Value, operator: &str) -> Self {
        let head = Head::read(&whole["metadata"], operator);
        let (spec, status) = (&whole["spec"], &whole["status"]);
        let (authentication, authorization) = (&spec["authentication"], &spec["authorization"]);
        let rules = authorization["acls"].as_array();
        let who = principal(&head.name);
        Self {
            spec: UserSpec {
                scram: authentication["type"] == "scram-sha-512",
                acls: rules.map(|rules| rules.iter().flat_map(|rule| acls(&who, rule)).collect()),
            },
            secret: status["secret"].as_str().map(str::to_owned),
            said: Said::read(status),
            head,
        }
    }
}

/// The ACLs of one rule.
fn acls(principal: &str, rule: &Value) -> Vec<Acl> {
    let (resource, text) = (&rule["resource"], |value: &Value| value.as_str().map(str::to_owned));
    let of_type = RESOURCES.iter().find(|(_, word)| resource["type"] == *word);
    let base = Acl {
        principal: principal.to_owned(),
        resource: of_type.map_or(ResourceType::Other, |(resource, _)| *resource),
        name: text(&resource["name"]).unwrap_or_default(),
        pattern: if resource["patternType"] == "prefix" { Pattern::Prefixed } else { Pattern::Literal },
        operation: Operation::Other,
        allow: rule["type"] != "deny",
        host: text(&rule["host"]).unwrap_or_else(|| "*".to_owned()),
    };
    let operation = |value: &Value| {
        let found = OPERATIONS.iter().find(|(_, word)| *value == *word);
        Acl { operation: found.map_or(Operation::Other, |(operation, _)| *operation), ..base.clone() }
    };
    // The older version has a single one too.
    let many = rule["operations"].as_array().into_iter().flatten();
    many.chain(Some(&rule["operation"]).filter(|one| one.is_string())).map(operation).collect()
}

impl UserSpec {
    /// The object to apply for a user. `live` is the one that it was decided from.
    pub fn body(&self, mark: &Mark<'_>, user: &str, owner: Option<&str>, live: Option<&Head>) -> Value {
        let mut spec = Map::new();
        if self.scram {
            spec.insert("authentication".to_owned(), json!({"type": "scram-sha-512"}));
        }
        if let Some(acls) = &self.acls {
            spec.insert("authorization".to_owned(), json!({"type": "simple", "acls": rules(acls)}));
        }
        object(mark, USERS.0, &metadata(mark, user, owner, live, None), &spec)
    }
}

/// One rule for each resource, with all that is allowed on it. What Strimzi has no word for is left out.
fn rules(acls: &BTreeSet<Acl>) -> Vec<Value> {
    type Place<'a> = (ResourceType, &'a str, Pattern, bool, &'a str);
    let mut all: BTreeMap<Place<'_>, Vec<&str>> = BTreeMap::new();
    for acl in acls {
        let place = (acl.resource, acl.name.as_str(), acl.pattern, acl.allow, acl.host.as_str());
        let word = OPERATIONS.iter().find(|(operation, _)| *operation == acl.operation);
        all.entry(place).or_default().extend(word.map(|(_, word)| *word));
    }
    let rule = |((resource, name, pattern, allow, host), operations): (Place<'_>, Vec<&str>)| {
        let word = RESOURCES.iter().find(|(known, _)| *known == resource)?.1;
        let pattern = if pattern == Pattern::Prefixed { "prefix" } else { "literal" };
        let resource = match resource {
            ResourceType::Cluster => json!({"type": word}),
            _ => json!({"type": word, "name": name, "patternType": pattern}),
        };
        let allow = if allow { "allow" } else { "deny" };
        Some(json!({"type": allow, "resource": resource, "operations": operations, "host": host}))
    };
    all.into_iter().filter_map(rule).collect()
}
