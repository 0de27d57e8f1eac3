//! What passes have done and no status has told yet: the entries of the records that they changed, and no
//! others. A pass may have worked from an old object, and what it merely saw there must not stand for what a
//! newer one records.

use crate::api::Microservice;
use crate::api::MicroserviceStatus;
use crate::api::status::{ChildStatus, ReferenceStatus, SecretStatus};

/// The work of passes in one term of the lease. Without it the next pass would take its own work for somebody
/// else's, or do it twice.
#[derive(Clone, Debug, PartialEq)]
pub struct Untold {
    uid: Option<String>,
    term: u64,
    children: Work<ChildStatus>,
    references: Work<ReferenceStatus>,
    secrets: Work<SecretStatus>,
}

impl Untold {
    /// What a status of this object would have told, in this term of the lease.
    pub fn of(object: &Microservice, status: &MicroserviceStatus, term: u64) -> Self {
        let nothing = MicroserviceStatus::default();
        let before = object.status.as_ref().unwrap_or(&nothing);
        Self {
            uid: object.metadata.uid.clone(),
            term,
            children: Work::between(&before.children, &status.children),
            references: Work::between(&before.references, &status.references),
            secrets: Work::between(&before.secrets, &status.secrets),
        }
    }

    /// Whether it is the work of this term on this very object.
    pub fn is_of(&self, object: &Microservice, term: u64) -> bool {
        self.uid == object.metadata.uid && self.term == term
    }

    /// This and what was done before it, unless that was on another object or in another term.
    #[must_use]
    pub fn after(self, earlier: Option<Self>) -> Self {
        match earlier.filter(|earlier| (&earlier.uid, earlier.term) == (&self.uid, self.term)) {
            None => self,
            Some(earlier) => Self {
                children: self.children.after(earlier.children),
                references: self.references.after(earlier.references),
                secrets: self.secrets.after(earlier.secrets),
                ..self
            },
        }
    }

    /// The object as if it had been told; `None` = it has been.
    pub fn told(&self, object: &Microservice) -> Option<Microservice> {
        let status = object.status.clone().unwrap_or_default();
        let told = MicroserviceStatus {
            children: self.children.done_to(&status.children),
            references: self.references.done_to(&status.references),
            secrets: self.secrets.done_to(&status.secrets),
            ..status.clone()
        };
        (told != status).then(|| Microservice { status: Some(told), ..object.clone() })
    }
}

/// An entry of a record.
trait Entry: Clone {
    /// Whether both are of the same thing.
    fn is_same(&self, other: &Self) -> bool;
    /// Whether a pass that had found that entry did something to have this one.
    fn is_work(&self, before: Option<&Self>) -> bool;
}

impl Entry for ChildStatus {
    fn is_same(&self, other: &Self) -> bool {
        (&self.api_version, &self.kind, &self.name) == (&other.api_version, &other.kind, &other.name)
    }

    /// A child that could not be stored is none, and whether it is ready is seen again.
    fn is_work(&self, before: Option<&Self>) -> bool {
        let stored = (&self.uid, &self.digest);
        self.uid.is_some() && before.is_none_or(|before| stored != (&before.uid, &before.digest))
    }
}

impl Entry for ReferenceStatus {
    fn is_same(&self, other: &Self) -> bool {
        (&self.kind, &self.name) == (&other.kind, &other.name)
    }

    fn is_work(&self, before: Option<&Self>) -> bool {
        before != Some(self)
    }
}

impl Entry for SecretStatus {
    fn is_same(&self, other: &Self) -> bool {
        self.name == other.name
    }

    fn is_work(&self, before: Option<&Self>) -> bool {
        before != Some(self)
    }
}

/// Entries that are other than before, and those that are no longer there.
#[derive(Clone, Debug, PartialEq)]
struct Work<T> {
    done: Vec<T>,
    gone: Vec<T>,
}

impl<T: Entry> Work<T> {
    fn between(before: &[T], after: &[T]) -> Self {
        Self {
            done: after.iter().filter(|entry| entry.is_work(find(before, entry))).cloned().collect(),
            gone: before.iter().filter(|entry| find(after, entry).is_none()).cloned().collect(),
        }
    }

    fn after(self, earlier: Self) -> Self {
        let stands = |entry: &T| find(&self.done, entry).is_none() && find(&self.gone, entry).is_none();
        let mut done: Vec<T> = earlier.done.into_iter().filter(stands).collect();
        let mut gone: Vec<T> = earlier.gone.into_iter().filter(stands).collect();
        done.extend(self.done);
        gone.extend(self.gone);
        Self { done, gone }
    }

    /// The entries of now, with this work.
    fn done_to(&self, now: &[T]) -> Vec<T> {
        let stay = now.iter().filter(|entry| find(&self.gone, entry).is_none());
        let known = stay.map(|entry| find(&self.done, entry).unwrap_or(entry));
        let new = self.done.iter().filter(|entry| find(now, entry).is_none());
        known.chain(new).cloned().collect()
    }
}

fn find<'a, T: Entry>(entries: &'a [T], like: &T) -> Option<&'a T> {
    entries.iter().find(|entry| entry.is_same(like))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn child(name: &str, uid: Option<&str>) -> ChildStatus {
        ChildStatus { name: name.into(), uid: uid.map(Into::into), ..ChildStatus::default() }
    }

    fn object(children: &[ChildStatus]) -> Microservice {
        let status = MicroserviceStatus { children: children.to_vec(), ..MicroserviceStatus::default() };
        Microservice { status: Some(status), ..Microservice::default() }
    }

    fn untold(before: &[ChildStatus], after: &[ChildStatus]) -> Untold {
        Untold::of(&object(before), &object(after).status.unwrap_or_default(), 1)
    }

    fn children(object: Option<Microservice>) -> Option<Vec<ChildStatus>> {
        Some(object?.status?.children)
    }

    #[test]
    fn what_an_old_object_did_not_have_is_not_taken_from_a_newer_one() {
        // The first look had no record of the child, whose owner somebody has removed: it is somebody else's then.
        let blind = untold(&[], &[child("web", None)]);
        assert_eq!(blind.told(&object(&[child("web", Some("1"))])), None);
        let older = [child("web", Some("1")), child("api", Some("2"))];
        let copied = untold(&older, &[child("web", Some("1")), child("api", Some("3"))]);
        let newer = object(&[child("web", Some("9")), child("api", Some("2")), child("db", Some("4"))]);
        let expected = vec![child("web", Some("9")), child("api", Some("3")), child("db", Some("4"))];
        assert_eq!(children(copied.told(&newer)), Some(expected));
    }

    #[test]
    fn what_was_done_and_removed_is_told_until_it_is_stored() {
        let work = untold(&[child("old", Some("1"))], &[child("new", Some("2"))]);
        let expected = vec![child("new", Some("2"))];
        assert_eq!(children(work.told(&object(&[child("old", Some("1"))]))), Some(expected.clone()));
        assert_eq!(work.told(&object(&expected)), None, "it was stored all the same");
    }

    #[test]
    fn work_upon_work_is_all_kept() {
        let first = untold(&[], &[child("a", Some("1")), child("b", Some("1"))]);
        let known = [child("a", Some("1")), child("b", Some("1"))];
        let second = untold(&known, &[child("a", Some("2"))]).after(Some(first.clone()));
        assert_eq!(children(second.told(&object(&[]))), Some(vec![child("a", Some("2"))]));
        let back = untold(&[child("a", Some("2"))], &[child("a", Some("2")), child("b", Some("3"))]);
        let back = back.after(Some(second.clone()));
        let expected = vec![child("a", Some("2")), child("b", Some("3"))];
        assert_eq!(children(back.told(&object(&[]))), Some(expected));
        let other = Untold { term: 2, ..untold(&[], &[]) }.after(Some(second));
        assert_eq!(other.told(&object(&[])), None, "others may have led");
    }
}
