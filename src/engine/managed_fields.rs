//! Reads `metadata.managedFields`: the digest of our own Apply entry, who else owns what, and how to
//! take foreign fields over. Pure.

mod fields;

use std::borrow::Cow;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Map, Value};
use smol_str::SmolStr;

use crate::api::id::Id;
use crate::api::names::digest;
use crate::api::{FIELD_MANAGER, REPLICAS_MANAGER};
use fields::{Fields, canonical};

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

/// One entry of `metadata.managedFields`. Most of them are never looked into, so the field names, most
/// of an object's text, stay text, and where they are.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    manager: Option<SmolStr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    operation: Option<SmolStr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    api_version: Option<SmolStr>,
    /// In the API server's one format, so that the order of texts is the order of times.
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<SmolStr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fields_type: Option<SmolStr>,
    #[serde(borrow, default, deserialize_with = "in_place", skip_serializing_if = "Option::is_none")]
    fields_v1: Option<Cow<'a, RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    subresource: Option<SmolStr>,
}

/// Only a text can be borrowed from: that is how watches and answers come.
fn in_place<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Cow<'de, RawValue>>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(|text| Some(Cow::Borrowed(text)))
}

/// The entries in this text. The API server writes it; what is none has no entries, as an object that
/// nobody has applied.
pub fn entries(text: Option<&RawValue>) -> Vec<Entry<'_>> {
    text.and_then(|text| serde_json::from_str(text.get()).ok()).unwrap_or_default()
}

impl Entry<'_> {
    fn is_apply_of(&self, manager: &str) -> bool {
        self.manager.as_deref() == Some(manager)
            && self.operation.as_deref() == Some("Apply")
            && self.no_subresource()
    }

    /// Whether it is our own Apply entry.
    fn is_ours(&self) -> bool {
        self.is_apply_of(FIELD_MANAGER)
    }

    fn no_subresource(&self) -> bool {
        self.subresource.as_deref().unwrap_or_default().is_empty()
    }

    /// Whether it belongs to somebody else and is not about a subresource. Admission plug-ins that
    /// change what we send appear under our own name with operation Update: those are not foreign.
    fn is_foreign(&self) -> bool {
        let manager = self.manager.as_deref().unwrap_or_default();
        self.no_subresource()
            && manager != FIELD_MANAGER
            && manager != REPLICAS_MANAGER
            && !SYSTEM_MANAGERS.contains(&manager)
    }

    fn text(&self) -> &str {
        self.fields_v1.as_deref().map_or("{}", RawValue::get)
    }

    fn fields(&self) -> Fields<'_> {
        Fields::of(self.text())
    }
}

/// What the entries say about a child.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Digest of the field names in our own Apply entry; `None` when we have none.
    pub digest: Option<Id>,
    /// Whether somebody else owns a field that is protected and not also ours.
    pub tampered: bool,
    /// Whether our Apply entry holds `spec.replicas`.
    pub main_holds_replicas: bool,
    /// Whether the hand-over entry holds `spec.replicas`.
    pub handover_holds_replicas: bool,
    /// The manager outside of this operator that last wrote a field other than of the status.
    pub last_foreign_manager: Option<Box<str>>,
}

impl Verdict {
    /// What these entries say. Without an entry of ours it does not matter what others own.
    pub fn of(entries: &[Entry<'_>]) -> Self {
        let handover = entries.iter().find(|entry| entry.is_apply_of(REPLICAS_MANAGER));
        let handover_holds_replicas = handover.is_some_and(|entry| holds_replicas(&canonical(entry.text())));
        let Some(ours) = entries.iter().find(|entry| entry.is_ours() && entry.fields_v1.is_some()) else {
            return Self { handover_holds_replicas, ..Self::default() };
        };
        let names = canonical(ours.text());
        Self {
            digest: Some(Id::from(digest(&names).as_str())),
            tampered: entries.iter().any(|entry| entry.is_foreign() && protected(&entry.fields(), ours)),
            main_holds_replicas: holds_replicas(&names),
            handover_holds_replicas,
            last_foreign_manager: last_foreign_manager(entries).map(Box::from),
        }
    }
}

fn holds_replicas(names: &str) -> bool {
    fields::holds(names, &["f:spec", "f:replicas"])
}

/// Whether the foreign fields hold one that is protected and not also ours.
fn protected(foreign: &Fields<'_>, ours: &Entry<'_>) -> bool {
    let mut theirs = PROTECTED.iter().filter_map(|path| Some((path, foreign.at(path)?))).peekable();
    if theirs.peek().is_none() {
        return false;
    }
    let ours = ours.fields();
    theirs.any(|(path, theirs)| ours.at(path).is_none_or(|mine| theirs.adds(mine)))
}

fn last_foreign_manager<'e>(entries: &'e [Entry<'_>]) -> Option<&'e str> {
    let foreign = entries.iter().filter(|entry| {
        entry.manager.as_deref() != Some(FIELD_MANAGER)
            && entry.manager.as_deref() != Some(REPLICAS_MANAGER)
            && entry.subresource.as_deref() != Some("status")
    });
    foreign.max_by_key(|entry| entry.time.as_deref()).and_then(|entry| entry.manager.as_deref())
}

/// The entries after everything that others own below `spec` was moved into our Apply entry, so that
/// the next apply removes what the plan does not hold. `None` when nobody else owns anything there.
///
/// A forced apply alone cannot do that: the server keeps a field that another manager owns, which
/// leaves two variants of a union in place and is refused with 422 for ever.
pub fn taken_over<'a>(entries: &[Entry<'a>]) -> Option<Vec<Entry<'a>>> {
    let mut taken = Map::new();
    let mut left: Vec<Entry<'a>> = Vec::new();
    for entry in entries {
        let mut entry = entry.clone();
        if entry.is_foreign() {
            let mut fields = tree(&entry);
            for root in ["f:spec", "f:data", "f:binaryData"] {
                if let Some(theirs) = fields.remove(root) {
                    merge(taken.entry(root).or_insert_with(|| Value::Object(Map::new())), theirs);
                }
            }
            if fields.is_empty() {
                continue;
            }
            entry.fields_v1 = to_raw_value(&fields).ok().map(Cow::Owned);
        }
        left.push(entry);
    }
    if taken.is_empty() {
        return None;
    }
    let ours = left.iter_mut().find(|entry| entry.is_ours())?;
    let mut fields = Value::Object(tree(ours));
    merge(&mut fields, Value::Object(taken));
    ours.fields_v1 = to_raw_value(&fields).ok().map(Cow::Owned);
    Some(left)
}

fn tree(entry: &Entry<'_>) -> Map<String, Value> {
    serde_json::from_str(entry.text()).unwrap_or_default()
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
    use serde_json::json;

    use super::*;

    fn entry(manager: &str, operation: &str, subresource: Option<&str>, fields: &Value) -> Entry<'static> {
        Entry {
            manager: Some(manager.into()),
            operation: Some(operation.into()),
            subresource: subresource.map(SmolStr::from),
            fields_v1: Some(Cow::Owned(to_raw_value(fields).unwrap())),
            ..Entry::default()
        }
    }

    fn ours(fields: &Value) -> Entry<'static> {
        entry(FIELD_MANAGER, "Apply", None, fields)
    }

    fn own_digest(entries: &[Entry<'_>]) -> Option<Id> {
        Verdict::of(entries).digest
    }

    #[test]
    fn digest_sees_only_our_apply_entry() {
        let base = vec![ours(&json!({"f:spec": {"f:replicas": {}}}))];
        let mut noisy = base.clone();
        noisy.push(entry("kubectl", "Update", None, &json!({"f:metadata": {"f:labels": {"f:x": {}}}})));
        noisy.push(entry(FIELD_MANAGER, "Apply", Some("status"), &json!({"f:status": {}})));
        assert_eq!(own_digest(&base), own_digest(&noisy));
        let less = vec![ours(&json!({"f:spec": {}}))];
        assert_ne!(own_digest(&base), own_digest(&less));
        assert_eq!(own_digest(&[]), None);
    }

    #[test]
    fn digest_does_not_depend_on_the_order_or_form_of_the_text() {
        let texts = [
            r#"{"f:spec":{"f:a":{},"k:{\"name\":\"x\"}":{".":{}}}}"#,
            r#"{"f:spec": {"k:{\"name\":\"x\"}": {".": {}}, "f:\u0061": {}}}"#,
        ];
        let digests = texts.map(|text| {
            let fields_v1 = Some(Cow::Owned(RawValue::from_string(text.to_owned()).unwrap()));
            own_digest(&[Entry { fields_v1, ..ours(&Value::Null) }]).unwrap()
        });
        assert_eq!(digests[0], digests[1]);
        let nested = ours(&json!({"f:spec": {"f:a": {"k:{\"name\":\"x\"}": {".": {}}}}}));
        assert_ne!(own_digest(&[nested]).unwrap(), digests[0]);
    }

    #[test]
    fn a_foreign_container_is_protected_but_a_restart_annotation_is_not() {
        let mine = json!({"f:spec": {"f:template": {"f:spec": {"f:containers": {"k:{\"name\":\"a\"}": {"f:image": {}}}}}}});
        let container = json!({"f:spec": {"f:template": {"f:spec": {"f:containers": {"k:{\"name\":\"evil\"}": {".": {}}}}}}});
        let restart = json!({"f:spec": {"f:template": {"f:metadata": {"f:annotations": {"f:kubectl.kubernetes.io/restartedAt": {}}}}}});
        let tampered = |other| Verdict::of(&[ours(&mine), other]).tampered;
        assert!(tampered(entry("kubectl", "Update", None, &container)));
        assert!(!tampered(entry("kubectl", "Update", None, &restart)));
        assert!(!tampered(entry("other", "Apply", None, &mine)), "the same field, co-owned");
        let scale = json!({"f:spec": {"f:replicas": {}}});
        assert!(!tampered(entry("scaler", "Update", Some("scale"), &scale)));
    }

    #[test]
    fn taking_over_moves_foreign_spec_and_leaves_the_rest() {
        let entries = [
            ours(&json!({"f:spec": {"f:maxUnavailable": {}}})),
            entry(
                "kubectl",
                "Update",
                None,
                &json!({"f:metadata": {"f:labels": {"f:x": {}}}, "f:spec": {"f:minAvailable": {}}}),
            ),
            entry("kube-controller-manager", "Update", None, &json!({"f:spec": {"f:kept": {}}})),
            entry("scaler", "Update", Some("scale"), &json!({"f:spec": {"f:replicas": {}}})),
            entry("empty", "Update", None, &json!({"f:spec": {"f:other": {}}})),
        ];
        let after = taken_over(&entries).unwrap();
        let fields = |place: usize| Value::Object(tree(&after[place]));
        assert_eq!(
            fields(0),
            json!({"f:spec": {"f:maxUnavailable": {}, "f:minAvailable": {}, "f:other": {}}})
        );
        assert_eq!(fields(1), json!({"f:metadata": {"f:labels": {"f:x": {}}}}));
        for place in [2, 3] {
            assert_eq!(json!(after[place]), json!(entries[place]));
        }
        assert_eq!(after.len(), 4, "an entry without fields is dropped");
        assert!(taken_over(&after).is_none());
    }

    #[test]
    fn replicas_are_seen_per_manager() {
        let verdict = Verdict::of(&[
            ours(&json!({"f:spec": {"f:replicas": {}}})),
            entry(REPLICAS_MANAGER, "Apply", None, &json!({"f:spec": {}})),
        ]);
        assert!(verdict.main_holds_replicas && !verdict.handover_holds_replicas);
    }

    #[test]
    fn the_last_foreign_manager_is_named() {
        let at = |manager: &str, time: &str| Entry {
            time: Some(time.into()),
            ..entry(manager, "Update", None, &json!({}))
        };
        let entries = [
            ours(&json!({})),
            at("late", "2026-02-01T00:00:00Z"),
            at("early", "2026-01-01T00:00:00Z"),
            at("status", "2026-03-01T00:00:00Z"),
        ];
        let mut entries = entries.to_vec();
        entries[3].subresource = Some("status".into());
        assert_eq!(Verdict::of(&entries).last_foreign_manager.as_deref(), Some("late"));
    }
}
