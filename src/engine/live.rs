//! What the engine remembers of a live child: identity, owner, and whether it is still as we left it.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::value::RawValue;
use smol_str::SmolStr;

use super::managed_fields::{self, Verdict};
use super::metadata::{Metadata, OwnerText};
use crate::api::API_VERSION;
use crate::api::id::Id;
use crate::api::status::ChildStatus;
use crate::intent::calls;

/// Namespace and name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Namespace; empty for a cluster-scoped object.
    pub namespace: SmolStr,
    /// Name.
    pub name: SmolStr,
}

impl Key {
    /// The key of these two.
    pub fn new(namespace: &str, name: &str) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }

    /// The key in these metadata.
    pub fn of(metadata: &ObjectMeta) -> Self {
        Self {
            namespace: metadata.namespace.as_deref().unwrap_or_default().into(),
            name: metadata.name.as_deref().unwrap_or_default().into(),
        }
    }
}

impl From<&Key> for calls::Key {
    fn from(key: &Key) -> Self {
        Self { namespace: key.namespace.clone(), name: key.name.clone() }
    }
}

impl From<calls::Key> for Key {
    fn from(key: calls::Key) -> Self {
        Self { namespace: key.namespace, name: key.name }
    }
}

/// The controller of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// Kind, for messages; `None` = it is a Microservice.
    pub other_kind: Option<Box<str>>,
    /// Name.
    pub name: SmolStr,
    /// UID.
    pub uid: Id,
}

impl From<OwnerText> for Owner {
    fn from(text: OwnerText) -> Self {
        let microservice = text.api_version == API_VERSION && text.kind == "Microservice";
        let other_kind = (!microservice).then(|| text.kind.as_str().into());
        Self { other_kind, name: text.name, uid: text.uid }
    }
}

impl Owner {
    /// Whether it is a Microservice.
    pub fn is_microservice(&self) -> bool {
        self.other_kind.is_none()
    }
}

/// A live object as far as the engine cares, a few hundred bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Live {
    /// metadata.uid
    pub uid: Id,
    /// metadata.resourceVersion
    pub resource_version: SmolStr,
    /// metadata.generation
    pub generation: i64,
    /// Whether it has a deletionTimestamp.
    pub deleting: bool,
    /// The controller reference.
    pub owner: Option<Owner>,
    /// Label `microservice.dev/name`.
    pub service: Option<SmolStr>,
    /// Annotation `microservice.dev/plan-hash`.
    pub plan_hash: Option<Id>,
    /// What managedFields say: whether anything of ours was lost or added to.
    pub verdict: Verdict,
}

impl Live {
    /// The Microservice that this object belongs to by its own account: owner first, then label.
    pub fn claimed_by(&self) -> Option<&str> {
        match &self.owner {
            Some(owner) if owner.is_microservice() => Some(&owner.name),
            _ => self.service.as_deref(),
        }
    }

    /// Whose object it is, seen from the Microservice with this UID and this record of the child.
    pub fn belongs(&self, owner_uid: &str, owner_name: &str, recorded: Option<&ChildStatus>) -> Belongs {
        let recorded = recorded.and_then(|child| child.uid.as_ref()) == Some(&self.uid);
        match &self.owner {
            Some(owner) if owner.uid == *owner_uid && (recorded || self.verdict.digest.is_some()) => {
                Belongs::Ours
            }
            Some(owner) if owner.uid != *owner_uid && owner.is_microservice() && owner.name == owner_name => {
                Belongs::Predecessor
            }
            None if recorded => Belongs::Ours,
            _ => Belongs::Foreign,
        }
    }

    /// Whether it is stored exactly as planned: same object as recorded, same plan, and no field of
    /// ours was lost to anybody since.
    pub fn in_sync(&self, plan_hash: &str, recorded: Option<&ChildStatus>) -> bool {
        let Some(recorded) = recorded else { return false };
        !self.verdict.tampered
            && recorded.uid.as_ref() == Some(&self.uid)
            && self.plan_hash.as_ref().is_some_and(|hash| *hash == *plan_hash)
            && self.verdict.digest.is_some()
            && self.verdict.digest == recorded.digest
    }
}

/// A live object whose managedFields were not looked into yet: nobody needs to who knows the version.
#[derive(Clone, Debug)]
pub struct Unjudged {
    live: Live,
    fields: Option<Box<RawValue>>,
}

impl Unjudged {
    /// What these metadata say.
    pub fn of(metadata: Metadata<'_>) -> Self {
        let fields = metadata.managed_fields.map(RawValue::to_owned);
        let live = Live {
            uid: metadata.uid,
            resource_version: metadata.resource_version,
            generation: metadata.generation,
            deleting: metadata.deletion_timestamp.is_some(),
            owner: metadata.owner_references.into_iter().find(|owner| owner.controller).map(Owner::from),
            service: metadata.labels.service,
            plan_hash: metadata.annotations.plan_hash,
            verdict: Verdict::default(),
        };
        Self { live, fields }
    }

    /// The object without its verdict.
    pub fn head(&self) -> &Live {
        &self.live
    }

    /// The object.
    pub fn judge(self) -> Live {
        let entries = managed_fields::entries(self.fields.as_deref());
        Live { verdict: Verdict::of(&entries), ..self.live }
    }
}

/// Whose object a live child is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Belongs {
    /// Ours: applied, repaired and removed by us.
    Ours,
    /// It belongs to an older Microservice of the same name; the garbage collector will remove it.
    Predecessor,
    /// Somebody else's: never changed, adopted or deleted.
    Foreign,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn live(owner: Option<(&str, &str, bool)>, digest: Option<&str>) -> Live {
        Live {
            uid: "child".into(),
            owner: owner.map(|(name, uid, microservice)| Owner {
                other_kind: (!microservice).then(|| "K".into()),
                name: name.into(),
                uid: uid.into(),
            }),
            verdict: Verdict { digest: digest.map(Id::from), ..Verdict::default() },
            plan_hash: Some("plan".into()),
            ..Live::default()
        }
    }

    fn record(uid: &str) -> ChildStatus {
        ChildStatus { uid: Some(uid.into()), digest: Some("d".into()), ..ChildStatus::default() }
    }

    #[test]
    fn ownership_follows_the_rule_of_the_design() {
        let mine = Some(("svc", "me", true));
        let table = [
            (live(mine, Some("d")), None, Belongs::Ours, "our reference and our entry"),
            (live(mine, None), None, Belongs::Foreign, "a forged reference alone is not enough"),
            (live(None, Some("d")), None, Belongs::Foreign, "an entry alone is not enough"),
            (live(None, None), Some(record("child")), Belongs::Ours, "stripped, but recorded by UID"),
            (live(None, None), Some(record("other")), Belongs::Foreign, "another object of the name"),
            (
                live(Some(("x", "x", false)), Some("d")),
                Some(record("child")),
                Belongs::Foreign,
                "taken by another controller",
            ),
            (
                live(Some(("svc", "old", true)), Some("d")),
                None,
                Belongs::Predecessor,
                "an older UID of our name",
            ),
            (live(Some(("other", "old", true)), Some("d")), None, Belongs::Foreign, "another Microservice"),
        ];
        for (live, recorded, expected, why) in table {
            assert_eq!(live.belongs("me", "svc", recorded.as_ref()), expected, "{why}");
        }
    }

    #[test]
    fn in_sync_needs_identity_plan_and_fields() {
        let live = live(None, Some("d"));
        assert!(live.in_sync("plan", Some(&record("child"))));
        assert!(!live.in_sync("plan", None));
        assert!(!live.in_sync("other", Some(&record("child"))));
        assert!(!live.in_sync("plan", Some(&record("elsewhere"))));
        let changed = |change: &dyn Fn(&mut Verdict)| {
            let mut live = live.clone();
            change(&mut live.verdict);
            live
        };
        let lost = changed(&|verdict| verdict.digest = Some("less".into()));
        assert!(!lost.in_sync("plan", Some(&record("child"))));
        let tampered = changed(&|verdict| verdict.tampered = true);
        assert!(!tampered.in_sync("plan", Some(&record("child"))));
    }
}
