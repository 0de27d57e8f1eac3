//! Reads `metadata.managedFields`: the digest of our own Apply entry, who else owns what, and how to
//! take foreign fields over. Pure.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
use serde_json::{Map, Value};

use crate::api::{FIELD_MANAGER, REPLICAS_MANAGER};
use crate::plan::meta::digest;

/// Foreign fields below these paths are removed from a child even when nothing of ours changed: they
/// would undo the hardening of the pods or open the Service to the outside.
const PROTECTED: [&[&str]; 4] = [
    &["f:spec", "f:template", "f:spec"],
    &["f:spec", "f:externalIPs"],
    &["f:spec", "f:externalName"],
    &["f:spec", "f:loadBalancerIP"],
];

/// Managers whose fields in `spec` are part of how Kubernetes works.
const SYSTEM_MANAGERS: [&str; 1] = ["kube-controller-manager"];

/// Whether the entry is our own Apply entry.
fn is_ours(entry: &ManagedFieldsEntry) -> bool {
    is_apply_of(entry, FIELD_MANAGER)
}

fn is_apply_of(entry: &ManagedFieldsEntry, manager: &str) -> bool {
    entry.manager.as_deref() == Some(manager)
        && entry.operation.as_deref() == Some("Apply")
        && no_subresource(entry)
}

fn no_subresource(entry: &ManagedFieldsEntry) -> bool {
    entry.subresource.as_deref().unwrap_or_default().is_empty()
}

/// Whether the entry belongs to somebody else and is not about a subresource. Admission plug-ins that
/// change what we send appear under our own name with operation Update: those are not foreign.
fn is_foreign(entry: &ManagedFieldsEntry) -> bool {
    let manager = entry.manager.as_deref().unwrap_or_default();
    no_subresource(entry)
        && manager != FIELD_MANAGER
        && manager != REPLICAS_MANAGER
        && !SYSTEM_MANAGERS.contains(&manager)
}

fn fields(entry: &ManagedFieldsEntry) -> Option<&Value> {
    entry.fields_v1.as_ref().map(|fields| &fields.0)
}

/// Digest of the field names in our own Apply entry; `None` when we have none.
pub fn own_digest(entries: &[ManagedFieldsEntry]) -> Option<String> {
    entries.iter().find(|entry| is_ours(entry)).and_then(fields).map(digest)
}

/// Whether the manager's Apply entry holds `spec.replicas`.
pub fn holds_replicas(entries: &[ManagedFieldsEntry], manager: &str) -> bool {
    entries
        .iter()
        .filter(|entry| is_apply_of(entry, manager))
        .filter_map(fields)
        .any(|fields| fields.pointer("/f:spec/f:replicas").is_some())
}

/// Whether somebody else owns a field that is protected and not also ours.
pub fn protected_by_others(entries: &[ManagedFieldsEntry]) -> bool {
    let empty = Value::Object(Map::new());
    let ours = entries.iter().find(|entry| is_ours(entry)).and_then(fields).unwrap_or(&empty);
    entries.iter().filter(|entry| is_foreign(entry)).filter_map(fields).any(|foreign| {
        PROTECTED.iter().any(|path| match (at(foreign, path), at(ours, path)) {
            (Some(theirs), Some(mine)) => adds(theirs, mine),
            (Some(_), None) => true,
            (None, _) => false,
        })
    })
}

/// The manager outside of this operator that last wrote a field other than a subresource's.
pub fn last_foreign_manager(entries: &[ManagedFieldsEntry]) -> Option<&str> {
    entries
        .iter()
        .filter(|entry| {
            entry.manager.as_deref() != Some(FIELD_MANAGER)
                && entry.manager.as_deref() != Some(REPLICAS_MANAGER)
                && entry.subresource.as_deref() != Some("status")
        })
        .max_by_key(|entry| entry.time.as_ref().map(|time| time.0))
        .and_then(|entry| entry.manager.as_deref())
}

fn at<'a>(value: &'a Value, path: &[&str]) -> Option<&'a Value> {
    path.iter().try_fold(value, |value, key| value.get(*key))
}

/// Whether `theirs` names a field that `mine` does not.
fn adds(theirs: &Value, mine: &Value) -> bool {
    match (theirs.as_object(), mine.as_object()) {
        (Some(theirs), Some(mine)) => theirs.iter().any(|(key, below)| match mine.get(key) {
            Some(own) => adds(below, own),
            None => true,
        }),
        _ => false,
    }
}

/// The entries after everything that others own below `spec` was moved into our Apply entry, so that
/// the next apply removes what the plan does not hold. `None` when nobody else owns anything there.
///
/// A forced apply alone cannot do that: the server keeps a field that another manager owns, which
/// leaves two variants of a union in place and is refused with 422 for ever.
pub fn taken_over(entries: &[ManagedFieldsEntry]) -> Option<Vec<ManagedFieldsEntry>> {
    let mut entries = entries.to_vec();
    let mut taken = Map::new();
    for entry in entries.iter_mut().filter(|entry| is_foreign(entry)) {
        let fields = entry.fields_v1.as_mut().and_then(|fields| fields.0.as_object_mut());
        for root in ["f:spec", "f:data", "f:binaryData"] {
            if let Some(theirs) = fields.as_deref().and_then(|fields| fields.get(root)).cloned() {
                merge(taken.entry(root).or_insert_with(|| Value::Object(Map::new())), theirs);
            }
        }
        if let Some(fields) = fields {
            fields.retain(|root, _| !taken.contains_key(root));
        }
    }
    if taken.is_empty() {
        return None;
    }
    let ours = entries.iter_mut().find(|entry| is_ours(entry))?;
    if let Some(fields) = ours.fields_v1.as_mut() {
        merge(&mut fields.0, Value::Object(taken));
    }
    entries.retain(|entry| fields(entry).and_then(Value::as_object).is_none_or(|fields| !fields.is_empty()));
    Some(entries)
}

/// Adds all keys of `other` to `target`, at every depth.
fn merge(target: &mut Value, other: Value) {
    if let (Some(target), Value::Object(other)) = (target.as_object_mut(), other) {
        for (key, below) in other {
            match target.get_mut(&key) {
                Some(own) => merge(own, below),
                None => {
                    target.insert(key, below);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::FieldsV1;
    use serde_json::json;

    use super::*;

    fn entry(manager: &str, operation: &str, subresource: Option<&str>, fields: Value) -> ManagedFieldsEntry {
        ManagedFieldsEntry {
            manager: Some(manager.to_owned()),
            operation: Some(operation.to_owned()),
            subresource: subresource.map(str::to_owned),
            fields_v1: Some(FieldsV1(fields)),
            ..ManagedFieldsEntry::default()
        }
    }

    fn ours(fields: Value) -> ManagedFieldsEntry {
        entry(FIELD_MANAGER, "Apply", None, fields)
    }

    #[test]
    fn digest_sees_only_our_apply_entry() {
        let base = vec![ours(json!({"f:spec": {"f:replicas": {}}}))];
        let mut noisy = base.clone();
        noisy.push(entry("kubectl", "Update", None, json!({"f:metadata": {"f:labels": {"f:x": {}}}})));
        noisy.push(entry(FIELD_MANAGER, "Apply", Some("status"), json!({"f:status": {}})));
        assert_eq!(own_digest(&base), own_digest(&noisy));
        let less = vec![ours(json!({"f:spec": {}}))];
        assert_ne!(own_digest(&base), own_digest(&less));
        assert_eq!(own_digest(&[]), None);
    }

    #[test]
    fn a_foreign_container_is_protected_but_a_restart_annotation_is_not() {
        let mine = json!({"f:spec": {"f:template": {"f:spec": {"f:containers": {"k:{\"name\":\"a\"}": {"f:image": {}}}}}}});
        let container = json!({"f:spec": {"f:template": {"f:spec": {"f:containers": {"k:{\"name\":\"evil\"}": {".": {}}}}}}});
        let restart = json!({"f:spec": {"f:template": {"f:metadata": {"f:annotations": {"f:kubectl.kubernetes.io/restartedAt": {}}}}}});
        assert!(protected_by_others(&[ours(mine.clone()), entry("kubectl", "Update", None, container)]));
        assert!(!protected_by_others(&[ours(mine.clone()), entry("kubectl", "Update", None, restart)]));
        assert!(
            !protected_by_others(&[ours(mine.clone()), entry("other", "Apply", None, mine.clone())]),
            "the same field, co-owned"
        );
        assert!(!protected_by_others(&[
            ours(mine.clone()),
            entry("scaler", "Update", Some("scale"), json!({"f:spec": {"f:replicas": {}}}))
        ]));
    }

    #[test]
    fn taking_over_moves_foreign_spec_and_leaves_the_rest() {
        let entries = [
            ours(json!({"f:spec": {"f:maxUnavailable": {}}})),
            entry(
                "kubectl",
                "Update",
                None,
                json!({"f:metadata": {"f:labels": {"f:x": {}}}, "f:spec": {"f:minAvailable": {}}}),
            ),
            entry("kube-controller-manager", "Update", None, json!({"f:spec": {"f:kept": {}}})),
            entry("scaler", "Update", Some("scale"), json!({"f:spec": {"f:replicas": {}}})),
            entry("empty", "Update", None, json!({"f:spec": {"f:other": {}}})),
        ];
        let after = taken_over(&entries).unwrap();
        assert_eq!(
            fields(&after[0]).unwrap(),
            &json!({"f:spec": {"f:maxUnavailable": {}, "f:minAvailable": {}, "f:other": {}}})
        );
        assert_eq!(fields(&after[1]).unwrap(), &json!({"f:metadata": {"f:labels": {"f:x": {}}}}));
        assert_eq!(after[2], entries[2]);
        assert_eq!(after[3], entries[3]);
        assert_eq!(after.len(), 4, "an entry without fields is dropped");
        assert_eq!(taken_over(&after), None);
    }

    #[test]
    fn replicas_are_seen_per_manager() {
        let entries = [
            ours(json!({"f:spec": {"f:replicas": {}}})),
            entry(REPLICAS_MANAGER, "Apply", None, json!({"f:spec": {}})),
        ];
        assert!(holds_replicas(&entries, FIELD_MANAGER));
        assert!(!holds_replicas(&entries, REPLICAS_MANAGER));
    }
}
