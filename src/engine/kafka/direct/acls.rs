//! ACLs in our words and in the protocol's.
//!
//! The client crate has the numbers of patterns wrong (0.28.1 sends 2 and 3 where the protocol has 3 for
//! literal and 4 for prefixed), so what changes ACLs is encoded here and sent over its connection.

mod encode;
mod send;

use krafka::admin::{AclBinding, AclOperation, AclPatternType, AclPermissionType, AclResourceType};

use crate::engine::kafka::BrokerError;
use crate::kafka::model::{Acl, Operation, Pattern, ResourceType};

pub use send::{allow, revoke};

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
        // 3 and 4 on the wire; the client knows no 4.
        pattern: match binding.pattern_type {
            AclPatternType::Prefixed => Pattern::Literal,
            _ => Pattern::Prefixed,
        },
        operation: operation.map_or(Operation::Other, |(ours, _)| *ours),
        allow: binding.permission_type == AclPermissionType::Allow,
        host: binding.host,
    }
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

    /// When this fails the client was corrected, and `from_wire` is to follow it.
    #[test]
    fn the_client_still_has_the_numbers_of_patterns_wrong() {
        assert_eq!((AclPatternType::Literal.to_i8(), AclPatternType::Prefixed.to_i8()), (2, 3));
    }

    #[test]
    fn an_acl_is_understood_as_the_broker_means_it() {
        for (resource, resource_type) in RESOURCES {
            for (operation, wire) in OPERATIONS {
                for (number, pattern) in [(3, Pattern::Literal), (4, Pattern::Prefixed)] {
                    let told = AclBinding::new(
                        resource_type,
                        "order-events",
                        "User:msvc.shop.order",
                        "10.0.0.1",
                        wire,
                        AclPermissionType::Deny,
                    );
                    let told = told.with_pattern_type(AclPatternType::from_i8(number));
                    assert_eq!(from_wire(told), Acl { pattern, ..acl(resource, operation) });
                }
            }
        }
    }

    #[test]
    fn what_has_no_word_is_never_sent() {
        for odd in [acl(ResourceType::Other, Operation::Read), acl(ResourceType::Topic, Operation::Other)] {
            assert!(matches!(check(&odd), Err(BrokerError::Unsupported(_))), "{odd:?}");
        }
    }
}
