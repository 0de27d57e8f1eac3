//! Requests that add and remove ACLs, as bytes of version 2 of the protocol. Pure.

use krafka::admin::{AclOperation, AclPermissionType, AclResourceType};

use super::{OPERATIONS, RESOURCES};
use crate::kafka::model::{Acl, Pattern};

/// The version that is encoded: from Kafka 2.5 on.
pub const VERSION: i16 = 2;
/// The number of a pattern that matches exactly one name.
const LITERAL: i8 = 3;
/// That of one that matches a beginning.
const PREFIXED: i8 = 4;
/// Ends every structure: it has no optional fields.
const NO_TAGS: u8 = 0;

/// The body of a request for these ACLs. To add and to remove are written alike: a filter that leaves
/// nothing open has the form of the ACL.
pub fn body(acls: &[&Acl]) -> Vec<u8> {
    let mut bytes = Vec::new();
    length(&mut bytes, acls.len());
    for acl in acls {
        byte(&mut bytes, resource(acl).to_i8());
        string(&mut bytes, &acl.name);
        byte(
            &mut bytes,
            match acl.pattern {
                Pattern::Literal => LITERAL,
                Pattern::Prefixed => PREFIXED,
            },
        );
        string(&mut bytes, &acl.principal);
        string(&mut bytes, &acl.host);
        byte(&mut bytes, operation(acl).to_i8());
        let permission = if acl.allow { AclPermissionType::Allow } else { AclPermissionType::Deny };
        byte(&mut bytes, permission.to_i8());
        bytes.push(NO_TAGS);
    }
    bytes.push(NO_TAGS);
    bytes
}

fn resource(acl: &Acl) -> AclResourceType {
    let found = RESOURCES.iter().find(|(ours, _)| *ours == acl.resource);
    found.map_or(AclResourceType::Unknown, |(_, wire)| *wire)
}

fn operation(acl: &Acl) -> AclOperation {
    let found = OPERATIONS.iter().find(|(ours, _)| *ours == acl.operation);
    found.map_or(AclOperation::Unknown, |(_, wire)| *wire)
}

fn byte(bytes: &mut Vec<u8>, value: i8) {
    bytes.extend_from_slice(&value.to_be_bytes());
}

fn string(bytes: &mut Vec<u8>, text: &str) {
    length(bytes, text.len());
    bytes.extend_from_slice(text.as_bytes());
}

/// One more than the length, seven bits a byte, the lowest first.
fn length(bytes: &mut Vec<u8>, length: usize) {
    let mut rest = length + 1;
    loop {
        let low = u8::try_from(rest & 0x7f).unwrap_or_default();
        rest >>= 7;
        if rest == 0 {
            bytes.push(low);
            return;
        }
        bytes.push(low | 0x80);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::model::{Operation, ResourceType};

    #[test]
    fn a_request_has_the_bytes_of_the_protocol() {
        let literal = Acl {
            principal: "User:a".into(),
            resource: ResourceType::Topic,
            name: "t".into(),
            pattern: Pattern::Literal,
            operation: Operation::Write,
            allow: true,
            host: "*".into(),
        };
        let prefixed = Acl {
            resource: ResourceType::TransactionalId,
            pattern: Pattern::Prefixed,
            operation: Operation::All,
            allow: false,
            ..literal.clone()
        };
        let one = |kind, pattern, operation, permission| {
            [&[kind, 2, b't', pattern, 7][..], b"User:a", &[2, b'*', operation, permission, 0]].concat()
        };
        let wanted = [vec![3], one(2, 3, 4, 3), one(5, 4, 2, 2), vec![0]].concat();
        assert_eq!(body(&[&literal, &prefixed]), wanted);
    }

    #[test]
    fn long_texts_have_long_lengths() {
        let mut bytes = Vec::new();
        length(&mut bytes, 126);
        length(&mut bytes, 127);
        length(&mut bytes, 299);
        assert_eq!(bytes, [127, 0x80, 1, 0xac, 2]);
    }
}
