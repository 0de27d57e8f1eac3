//! What the engine remembers between two passes over one object: newest version, failed attempts,
//! repairs. Lost on restart, and nothing breaks by that.

mod untold;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use tokio::time::Instant;

use super::live::Key;
use super::request::Failure;
use crate::api::Microservice;
use crate::plan::Kind;
use crate::status::views::Problem;

pub use untold::Untold;

/// First wait after a failure that passes by itself.
const QUICK: Duration = Duration::from_millis(500);
/// First wait after a failure that needs a change.
const SLOW: Duration = Duration::from_secs(15);
/// Longest wait between two attempts.
pub const LONGEST: Duration = Duration::from_mins(5);
/// Repairs of one thing within this time are a fight.
const FIGHT_WINDOW: Duration = Duration::from_mins(10);
/// Repairs that are made at once; the next one waits.
const FREE_REPAIRS: usize = 2;
/// First wait in a fight.
const FIGHT: Duration = Duration::from_secs(10);

/// Changes of one spec that are followed at once.
const BURST: u32 = 4;
/// Between two more of them: what changes all the time costs the others no more than this, and is right this
/// soon after its last change.
const PACE: Duration = Duration::from_millis(500);

/// A child of one Microservice.
pub type ChildKey = (Kind, String);

/// All memories.
#[derive(Debug, Default)]
pub struct Memory {
    objects: Mutex<BTreeMap<Key, Remembered>>,
}

#[derive(Debug, Default)]
struct Remembered {
    newest: Option<Arc<Microservice>>,
    /// Version that the watch has reached.
    watched: u64,
    attempts: BTreeMap<ChildKey, Attempt>,
    repairs: BTreeMap<(ChildKey, String), Vec<Instant>>,
    failures: u32,
    /// What is followed: see [`Memory::follow`].
    followed: Option<u64>,
    /// When [`BURST`] changes may be followed at once again.
    rested: Option<Instant>,
    status_written: Option<Instant>,
    /// The last status may be stored or not: its answer did not come. This is the version that it was to
    /// replace.
    status_unknown: Option<u64>,
    /// The last status was refused over this version, because there is a newer one.
    refused: Option<u64>,
    /// What was done and could not be told.
    untold: Option<Box<Untold>>,
    /// This process has found its children as planned, or was allowed to change them.
    met: bool,
}

/// A failed attempt to write a child.
#[derive(Clone, Debug)]
struct Attempt {
    fingerprint: String,
    count: u32,
    until: Instant,
    problem: Problem,
}

/// An answer that is due later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Postponed {
    /// What stands in the way.
    pub problem: Problem,
    /// How long to wait.
    pub wait: Duration,
}

/// Doubles from `first` up to [`LONGEST`], with up to a quarter of jitter so that objects that failed
/// together do not come back together.
fn backoff(first: Duration, count: u32) -> Duration {
    let doubled = first.saturating_mul(1 << count.min(16)).min(LONGEST);
    doubled.mul_f64(1.0 + rand::random::<f64>() / 4.0)
}

impl Memory {
    fn with<T>(&self, key: &Key, use_it: impl FnOnce(&mut Remembered) -> T) -> T {
        let mut objects = self.objects.lock().unwrap_or_else(PoisonError::into_inner);
        use_it(objects.entry(key.clone()).or_default())
    }

    /// Forgets an object that is gone.
    pub fn forget(&self, key: &Key) {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }

    /// Whether nothing is remembered of any object.
    #[cfg(test)]
    pub fn is_empty(&self) -> bool {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// What our last status write left, if that is newer than the cached object.
    pub fn newest(&self, key: &Key, cached: &ObjectMeta) -> Option<Arc<Microservice>> {
        self.with(key, |memory| {
            memory.newest = memory.newest.take().filter(|written| {
                written.metadata.uid == cached.uid && version(&written.metadata) > version(cached)
            });
            memory.newest.clone()
        })
    }

    /// A status was written; this is the object now, if that is known. It is kept until the watch has
    /// caught up.
    pub fn status_written(&self, key: &Key, object: Option<Arc<Microservice>>) {
        self.with(key, |memory| {
            memory.newest = object.filter(|object| version(&object.metadata) > memory.watched);
            memory.status_written = Some(Instant::now());
            (memory.status_unknown, memory.refused, memory.untold) = (None, None, None);
        });
    }

    /// A status for this object could not be written, as far as is known: it may be stored all the same, and
    /// the cached object does not tell until the watch delivers a newer one.
    pub fn status_failed(&self, key: &Key, object: &Microservice, work: Untold, failure: &Failure) {
        self.with(key, |memory| {
            let is_old = matches!(failure, Failure::Conflict(_));
            memory.refused = is_old.then(|| version(&object.metadata));
            let earlier = memory.untold.take().map(|earlier| *earlier);
            memory.untold = Some(Box::new(work.after(earlier)));
            memory.status_unknown =
                Some(version(&object.metadata)).filter(|version| *version >= memory.watched);
        });
    }

    /// Whether the last status that was sent may be stored or not.
    pub fn is_status_unknown(&self, key: &Key) -> bool {
        self.with(key, |memory| memory.status_unknown.is_some() || memory.untold.is_some())
    }

    /// The object with what this process did in this term of the lease and could not tell; `None` = all is told.
    pub fn with_untold(&self, key: &Key, object: &Microservice, term: u64) -> Option<Microservice> {
        let untold = self.with(key, |memory| {
            memory.untold = memory.untold.take().filter(|untold| untold.is_of(object, term));
            memory.untold.clone()
        });
        let told = untold?.told(object);
        // What is in it was stored all the same: the watch may tell of it before the request fails.
        if told.is_none() {
            self.with(key, |memory| memory.untold = None);
        }
        told
    }

    /// The watch delivered this object: the cache is at least as new. Returns whether our last status was
    /// refused over an older version.
    pub fn watched(&self, key: &Key, object: &ObjectMeta) -> bool {
        let watched = version(object);
        self.with(key, |memory| {
            let waits = memory.refused.take_if(|over| *over < watched).is_some();
            memory.watched = watched;
            memory.status_unknown = memory.status_unknown.filter(|before| *before >= watched);
            memory.newest = memory.newest.take().filter(|written| version(&written.metadata) > watched);
            waits
        })
    }

    /// The object of which a watch tells, if it is what our last status write left: it need not be decoded.
    pub fn told(&self, metadata: &ObjectMeta) -> Option<Microservice> {
        let same = |written: &Microservice| {
            (&written.metadata.uid, &written.metadata.resource_version)
                == (&metadata.uid, &metadata.resource_version)
        };
        let newest =
            self.with(&Key::of(metadata), |memory| memory.newest.take_if(|written| same(written)))?;
        Some(Arc::unwrap_or_clone(newest))
    }

    /// How long ago the status was written; `None` = never by this process.
    pub fn since_status(&self, key: &Key) -> Option<Duration> {
        self.with(key, |memory| memory.status_written.map(|at| at.elapsed()))
    }

    /// Asks to follow a change; `wanted` stands for all that people say of the object. One that changes all the
    /// time is followed at a bounded rate.
    ///
    /// # Errors
    /// How long to wait.
    pub fn follow(&self, key: &Key, wanted: Option<u64>) -> Result<(), Duration> {
        self.with(key, |memory| {
            if memory.followed == wanted {
                return Ok(());
            }
            let now = Instant::now();
            let rested = memory.rested.map_or(now, |rested| rested.max(now));
            let early = rested.duration_since(now).saturating_sub(PACE * (BURST - 1));
            if !early.is_zero() {
                return Err(early);
            }
            (memory.followed, memory.rested) = (wanted, Some(rested + PACE));
            // What went wrong with another spec says nothing of this one.
            memory.failures = 0;
            Ok(())
        })
    }

    /// Whether this process has met the object: see [`Memory::meet`].
    pub fn has_met(&self, key: &Key) -> bool {
        self.with(key, |memory| memory.met)
    }

    /// The children of the object are as this process plans them, or it was allowed to change them.
    pub fn meet(&self, key: &Key) {
        self.with(key, |memory| memory.met = true);
    }

    /// Whether the same write failed before and is not due again.
    pub fn postponed(&self, key: &Key, child: &ChildKey, fingerprint: &str) -> Option<Postponed> {
        self.with(key, |memory| {
            let attempt = memory.attempts.get(child)?;
            let wait = left(attempt.until, Instant::now())?;
            (attempt.fingerprint == fingerprint).then(|| Postponed { problem: attempt.problem.clone(), wait })
        })
    }

    /// A write failed; returns how long to wait before the same one is tried again.
    pub fn failed(
        &self,
        key: &Key,
        child: &ChildKey,
        fingerprint: &str,
        problem: &Problem,
        lasting: bool,
    ) -> Duration {
        self.with(key, |memory| {
            let count = match memory.attempts.get(child) {
                Some(attempt) if attempt.fingerprint == fingerprint => attempt.count + 1,
                _ => 0,
            };
            let wait = backoff(if lasting { SLOW } else { QUICK }, count);
            let attempt = Attempt {
                fingerprint: fingerprint.to_owned(),
                count,
                until: Instant::now() + wait,
                problem: problem.clone(),
            };
            memory.attempts.insert(child.clone(), attempt);
            wait
        })
    }

    /// A write succeeded.
    pub fn succeeded(&self, key: &Key, child: &ChildKey) {
        self.with(key, |memory| memory.attempts.remove(child));
    }

    /// Asks to repair a child; `trace` tells what was lost, so that only the same loss counts again.
    /// `Some` = somebody keeps undoing it, wait that long.
    pub fn contested(&self, key: &Key, child: &ChildKey, trace: &str) -> Option<Duration> {
        self.with(key, |memory| {
            let now = Instant::now();
            for times in memory.repairs.values_mut() {
                times.retain(|at| now.duration_since(*at) < FIGHT_WINDOW);
            }
            memory.repairs.retain(|_, times| !times.is_empty());
            let times = memory.repairs.get(&(child.clone(), trace.to_owned()))?;
            left(due(times)?, now)
        })
    }

    /// A child was repaired.
    pub fn repaired(&self, key: &Key, child: &ChildKey, trace: &str) {
        self.with(key, |memory| {
            memory.repairs.entry((child.clone(), trace.to_owned())).or_default().push(Instant::now());
        });
    }

    /// When the next attempt or repair of any child of this object is due, for a look that began at this time;
    /// `None` = nothing waits. What has become due since then may have been turned away by that look.
    pub fn next_attempt(&self, key: &Key, began: Instant) -> Option<Duration> {
        self.with(key, |memory| {
            let now = Instant::now();
            let attempts = memory.attempts.values().map(|attempt| attempt.until);
            let repairs = memory.repairs.values().filter_map(|times| due(times));
            let waiting = attempts.chain(repairs).filter(|due| *due > began);
            waiting.map(|due| due.saturating_duration_since(now)).min()
        })
    }

    /// The whole pass failed; returns how long to wait.
    pub fn pass_failed(&self, key: &Key) -> Duration {
        self.with(key, |memory| {
            let watched = memory.watched;
            if memory.refused.take_if(|over| *over < watched).is_some() {
                // The watch told of the newer one before.
                return backoff(QUICK, 0);
            }
            let wait = backoff(QUICK, memory.failures);
            memory.failures += 1;
            wait
        })
    }

    /// The whole pass succeeded.
    pub fn pass_succeeded(&self, key: &Key) {
        self.with(key, |memory| memory.failures = 0);
    }
}

/// How long until this time; `None` = it has come.
fn left(until: Instant, now: Instant) -> Option<Duration> {
    until.checked_duration_since(now).filter(|left| !left.is_zero())
}

/// When the same thing may be repaired again after these repairs; `None` = at once.
fn due(times: &[Instant]) -> Option<Instant> {
    let extra = times.len().checked_sub(FREE_REPAIRS)?;
    Some(*times.last()? + FIGHT.saturating_mul(1 << extra.min(16)).min(LONGEST))
}

fn version(metadata: &ObjectMeta) -> u64 {
    metadata.resource_version.as_deref().and_then(|text| text.parse().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::status::ChildStatus;
    use crate::api::{MicroserviceStatus, Reason};

    fn names() -> (Key, ChildKey) {
        (Key::new("ns", "svc"), (crate::plan::kinds()[0], "svc".to_owned()))
    }

    /// The object at this version.
    fn at(version: &str) -> Microservice {
        let mut object = Microservice::default();
        object.metadata.namespace = Some("ns".to_owned());
        object.metadata.name = Some("svc".to_owned());
        object.metadata.resource_version = Some(version.to_owned());
        object
    }

    fn problem() -> Problem {
        Problem { reason: Reason::Rejected, message: "no".to_owned() }
    }

    /// Or a look that is due at once asks for another that is due at once, for as long as the clock stands.
    #[tokio::test(start_paused = true)]
    async fn what_is_due_now_does_not_wait() {
        let (memory, (key, child)) = (Memory::default(), names());
        let wait = memory.failed(&key, &child, "a", &problem(), true);
        assert_eq!(memory.next_attempt(&key, Instant::now()), Some(wait));
        tokio::time::advance(wait).await;
        assert_eq!(memory.postponed(&key, &child, "a"), None);
        assert_eq!(memory.next_attempt(&key, Instant::now()), None);
    }

    #[tokio::test(start_paused = true)]
    async fn what_became_due_during_a_look_that_turned_it_away_is_looked_at_again() {
        let (memory, (key, child)) = (Memory::default(), names());
        let wait = memory.failed(&key, &child, "a", &problem(), true);
        let began = Instant::now();
        assert!(memory.postponed(&key, &child, "a").is_some());
        tokio::time::advance(wait * 2).await;
        assert_eq!(memory.next_attempt(&key, began), Some(Duration::ZERO));
    }

    #[test]
    fn the_same_failing_write_waits_and_another_does_not() {
        let (memory, (key, child)) = (Memory::default(), names());
        let first = memory.failed(&key, &child, "a", &problem(), true);
        let second = memory.failed(&key, &child, "a", &problem(), true);
        assert!(second > first, "{second:?} after {first:?}");
        assert_eq!(memory.postponed(&key, &child, "a").map(|p| p.problem), Some(problem()));
        assert_eq!(memory.postponed(&key, &child, "b"), None);
        memory.succeeded(&key, &child);
        assert_eq!(memory.postponed(&key, &child, "a"), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_spec_that_changes_all_the_time_is_followed_twice_a_second() {
        let (memory, (key, _)) = (Memory::default(), names());
        let begin = Instant::now();
        let mut followed = Vec::new();
        for change in 0..1000 {
            if memory.follow(&key, Some(change)).is_ok() {
                followed.push(begin.elapsed());
                assert_eq!(memory.follow(&key, Some(change)), Ok(()), "it may be looked at again and again");
            }
            tokio::time::advance(Duration::from_millis(10)).await;
        }
        assert!((20..=24).contains(&followed.len()), "{followed:?}");
        assert!(followed.iter().take(4).all(|at| *at < Duration::from_millis(40)), "{followed:?}");
        let refused = |change| memory.follow(&key, Some(change)).err().map(|wait| (change, wait));
        let (last, wait) = (1000..1005).find_map(refused).expect("another one comes too soon");
        assert!(wait <= PACE, "{wait:?}");
        tokio::time::advance(wait).await;
        assert_eq!(memory.follow(&key, Some(last)), Ok(()));
    }

    #[test]
    fn waits_grow_to_five_minutes() {
        assert!(backoff(SLOW, 30) >= LONGEST);
        assert!(backoff(SLOW, 30) <= LONGEST.mul_f64(1.26));
    }

    #[test]
    fn the_third_repair_of_the_same_thing_waits() {
        let (memory, (key, child)) = (Memory::default(), names());
        for _ in 0..2 {
            assert_eq!(memory.contested(&key, &child, "x"), None);
            memory.repaired(&key, &child, "x");
        }
        assert!(memory.contested(&key, &child, "x").is_some());
        assert_eq!(memory.contested(&key, &child, "y"), None, "another field is another matter");
    }

    #[test]
    fn what_could_not_be_told_is_known_until_it_is_told_or_another_leads() {
        let (memory, (key, _)) = (Memory::default(), names());
        let mut object = Microservice::default();
        object.metadata.uid = Some("a".to_owned());
        let child = ChildStatus { name: "web".into(), uid: Some("1".into()), ..ChildStatus::default() };
        let status = MicroserviceStatus { children: vec![child], ..MicroserviceStatus::default() };
        let conflict = Failure::Conflict("another version".to_owned());
        let fail = || memory.status_failed(&key, &object, Untold::of(&object, &status, 1), &conflict);
        let known = |object: &Microservice, term| memory.with_untold(&key, object, term);
        assert_eq!(known(&object, 1), None);
        fail();
        let told = known(&object, 1).and_then(|object| object.status).unwrap();
        assert_eq!((told.children.as_slice(), memory.is_status_unknown(&key)), (&status.children[..], true));
        assert!(!memory.watched(&key, &object.metadata), "it is as old as what the status was refused for");
        let mut other = object.clone();
        other.metadata.resource_version = Some("8".to_owned());
        assert!(memory.watched(&key, &other.metadata));
        assert!(!memory.watched(&key, &other.metadata), "that is told once");
        assert!(known(&other, 1).is_some(), "the watch tells of another change");
        let mut stored = Microservice { status: Some(status.clone()), ..object.clone() };
        stored.metadata.resource_version = Some("9".to_owned());
        memory.status_written(&key, None);
        assert!(!memory.watched(&key, &stored.metadata), "nothing has failed");
        fail();
        assert_eq!(known(&stored, 1), None, "it was stored all the same, and told before the request failed");
        assert!(!memory.is_status_unknown(&key), "nothing is to be written");
        fail();
        assert_eq!(known(&object, 2), None, "others may have led");
        fail();
        assert_eq!(known(&Microservice::default(), 1), None, "another object");
        fail();
        memory.status_written(&key, None);
        assert!(known(&object, 1).is_none() && !memory.is_status_unknown(&key));
    }

    #[test]
    fn a_refusal_by_something_that_the_watch_has_told_already_is_no_failure() {
        let (memory, (key, _)) = (Memory::default(), names());
        let status = MicroserviceStatus::default();
        let fail = |version: &str, failure: &Failure| {
            memory.status_failed(&key, &at(version), Untold::of(&at(version), &status, 1), failure);
        };
        let conflict = Failure::Conflict("another version".to_owned());
        for _ in 0..9 {
            memory.pass_failed(&key);
        }
        memory.watched(&key, &at("8").metadata);
        fail("9", &conflict);
        assert!(!memory.watched(&key, &at("9").metadata), "it was refused over this one");
        assert!(memory.pass_failed(&key) > QUICK * 100);
        fail("7", &conflict);
        assert!(memory.pass_failed(&key) < QUICK * 2, "over the one of the watch it can be written");
        fail("9", &Failure::Transient("reset".to_owned()));
        assert!(!memory.watched(&key, &at("10").metadata), "that is another trouble");
    }

    #[test]
    fn our_own_status_write_is_newer_than_a_slow_watch() {
        let (memory, (key, _)) = (Memory::default(), names());
        memory.status_written(&key, Some(Arc::new(at("7"))));
        assert_eq!(memory.newest(&key, &at("5").metadata), Some(Arc::new(at("7"))));
        assert_eq!(memory.newest(&key, &at("8").metadata), None);
    }

    #[test]
    fn what_our_own_write_left_is_told_once() {
        let (memory, (key, _)) = (Memory::default(), names());
        memory.status_written(&key, Some(Arc::new(at("7"))));
        assert_eq!(memory.told(&at("8").metadata), None, "somebody else has written since");
        let another = ObjectMeta { uid: Some("another".to_owned()), ..at("7").metadata };
        assert_eq!(memory.told(&another), None);
        assert!(memory.told(&at("7").metadata).is_some());
        assert_eq!(memory.told(&at("7").metadata), None);
    }

    #[test]
    fn what_the_watch_has_delivered_is_not_kept_twice() {
        let (memory, (key, _)) = (Memory::default(), names());
        let kept = || memory.with(&key, |memory| memory.newest.is_some());
        memory.status_written(&key, Some(Arc::new(at("7"))));
        memory.watched(&key, &at("5").metadata);
        assert!(kept(), "the watch is behind");
        memory.watched(&key, &at("7").metadata);
        assert!(!kept());
        memory.watched(&key, &at("9").metadata);
        memory.status_written(&key, Some(Arc::new(at("8"))));
        assert!(!kept(), "the watch was faster than the answer");
    }
}
