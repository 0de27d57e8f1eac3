//! ACLs in our words and in the protocol's. Pure.

use krafka::admin::{
    AclBinding, AclFilter, AclOperation, AclPatternType, AclPermissionType, AclResourceType,
};

use crate::engine::kafka::BrokerError;
use crate::kafka::model::{Acl, Operation, Pattern, ResourceType};

/// The types of resource that have a word on both sides.
const RESOURCES: [(ResourceType, AclResourceType); 4] = [
    (ResourceType::Topic, AclResourceType::Topic),
    (ResourceType::Group, AclResourceType::Group),
    (ResourceType::TransactionalId, AclResourceType::TransactionalId),
    (ResourceType::Cluster, AclResourceType::Cluster),
];

/// Likewise the operations.
const OPERATIONS: [(Operation, AclOperation); 11] = [
    (Operation::All, AclOperation::All),
    (Operation::Read, AclOperation::Read),
    (Operation::Write, AclOperation::Write),
    (Operation::Create, AclOperation::Create),
    (Operation::Delete, AclOperation::Delete),
    (Operation::Alter, AclOperation::Alter),
    (Operation::Describe, AclOperation::Describe),
    (Operation::ClusterAction, AclOperation::ClusterAction),
    (Operation::DescribeConfigs, AclOperation::DescribeConfigs),
    (Operation::AlterConfigs, AclOperation::AlterConfigs),
    (Operation::IdempotentWrite, AclOperation::IdempotentWrite),
];

/// An ACL as the broker tells of it.
pub fn from_wire(binding: AclBinding) -> Acl {
    let resource = RESOURCES.iter().find(|(_, wire)| *wire == binding.resource_type);
    let operation = OPERATIONS.iter().find(|(_, wire)| *wire == binding.operation);
    Acl {
        principal: binding.principal,
        resource: resource.map_or(ResourceType::Other, |(ours, _)| *ours),
        name: binding.resource_name,
        pattern: match binding.pattern_type {
            AclPatternType::Prefixed => Pattern::Prefixed,
            _ => Pattern::Literal,
        },
        operation: operation.map_or(Operation::Other, |(ours, _)| *ours),
        allow: binding.permission_type == AclPermissionType::Allow,
        host: binding.host,
    }
}

/// An ACL to add.
pub fn to_wire(acl: &Acl) -> AclBinding {
    let permission = if acl.allow { AclPermissionType::Allow } else { AclPermissionType::Deny };
    AclBinding::new(
        resource(acl),
        acl.name.as_str(),
        acl.principal.as_str(),
        acl.host.as_str(),
        operation(acl),
        permission,
    )
    .with_pattern_type(pattern(acl))
}

/// What matches this ACL and no other. Every field is given: one left out would match anything.
pub fn exactly(acl: &Acl) -> AclFilter {
    let permission = if acl.allow { AclPermissionType::Allow } else { AclPermissionType::Deny };
    AclFilter::for_resource(resource(acl), acl.name.as_str())
        .pattern_type(pattern(acl))
        .principal(acl.principal.as_str())
        .host(acl.host.as_str())
        .operation(operation(acl))
        .permission_type(permission)
}

/// Refuses what has no word in the protocol: sent as it is, it would mean something else.
pub fn check(acl: &Acl) -> Result<(), BrokerError> {
    if acl.resource == ResourceType::Other || acl.operation == Operation::Other {
        return Err(BrokerError::Unsupported(format!(
            "the ACL of {} on `{}` is of a kind that the operator does not know: change it with Kafka's \
             own tools",
            acl.principal, acl.name
        )));
    }
    Ok(())
}

fn resource(acl: &Acl) -> AclResourceType {
    let found = RESOURCES.iter().find(|(ours, _)| *ours == acl.resource);
    found.map_or(AclResourceType::Unknown, |(_, wire)| *wire)
}

fn operation(acl: &Acl) -> AclOperation {
    let found = OPERATIONS.iter().find(|(ours, _)| *ours == acl.operation);
    found.map_or(AclOperation::Unknown, |(_, wire)| *wire)
}

fn pattern(acl: &Acl) -> AclPatternType {
    match acl.pattern {
        Pattern::Literal => AclPatternType::Literal,
        Pattern::Prefixed => AclPatternType::Prefixed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn acl(resource: ResourceType, operation: Operation) -> Acl {
        Acl {
            principal: "User:msvc.shop.order".into(),
            resource,
            name: "order-events".into(),
            pattern: Pattern::Prefixed,
            operation,
            allow: false,
            host: "10.0.0.1".into(),
        }
    }

    #[test]
    fn an_acl_survives_the_way_to_the_broker_and_back() {
        for (resource, _) in RESOURCES {
            for (operation, _) in OPERATIONS {
                for (pattern, allow) in [(Pattern::Literal, true), (Pattern::Prefixed, false)] {
                    let sent = Acl { pattern, allow, ..acl(resource, operation) };
                    assert_eq!(check(&sent), Ok(()));
                    assert_eq!(from_wire(to_wire(&sent)), sent);
                }
            }
        }
    }

    #[test]
    fn what_revokes_matches_nothing_else() {
        let filter = exactly(&acl(ResourceType::Topic, Operation::Write));
        assert_eq!(filter.resource_name.as_deref(), Some("order-events"));
        assert_eq!(filter.principal.as_deref(), Some("User:msvc.shop.order"));
        assert_eq!(filter.host.as_deref(), Some("10.0.0.1"));
        assert_eq!(filter.resource_type, AclResourceType::Topic);
        assert_eq!(filter.pattern_type, AclPatternType::Prefixed);
        assert_eq!(filter.operation, AclOperation::Write);
        assert_eq!(filter.permission_type, AclPermissionType::Deny);
    }

    #[test]
    fn what_has_no_word_is_never_sent() {
        for odd in [acl(ResourceType::Other, Operation::Read), acl(ResourceType::Topic, Operation::Other)] {
            assert!(matches!(check(&odd), Err(BrokerError::Unsupported(_))), "{odd:?}");
        }
    }
}
