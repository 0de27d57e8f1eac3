//! What goes wrong, and when: decided beforehand by the number of a request or event, so that a failing run
//! can be told and repeated.

use std::fmt;
use std::time::Duration;

use proptest::prelude::*;
use proptest::sample::select;

/// What becomes of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteFault {
    /// The operator is killed before it is carried out.
    CrashBefore,
    /// The operator is killed after it was carried out, before the answer.
    CrashAfter,
    /// Carried out; the connection breaks before the answer.
    Lost,
    /// Carried out, and answered with 504.
    LostInGateway,
    /// Carried out; an answer never comes.
    Hangs,
    /// The connection breaks, and it is carried out after these seconds.
    Late(u8),
    /// Carried out, and once more after these seconds.
    Twice(u8),
    /// Refused with this code.
    Refused(u16),
}

/// What becomes of a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadFault {
    /// The connection breaks.
    Reset,
    /// An answer never comes.
    Hangs,
    /// Refused with this code.
    Refused(u16),
    /// A list is answered from so many changes ago, and a watch goes on from there; else nothing.
    Stale(u8),
}

/// What becomes of a watch when it is about to tell of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WatchFault {
    /// It ends, as if by its timeout.
    Ends,
    /// The connection breaks.
    Breaks,
    /// The version is too old: 410.
    Expired,
    /// It stays open and tells nothing any more.
    Silent,
}

/// Resources whose watches fail; so often are they hit.
pub const WATCHED: [&str; 9] = [
    "microservice.dev/microservices",
    "microservice.dev/microservices",
    "apps/deployments",
    "apps/deployments",
    "/services",
    "/configmaps",
    "/secrets",
    "autoscaling/horizontalpodautoscalers",
    "policy/poddisruptionbudgets",
];

/// All that goes wrong in a chain.
#[derive(Clone, Default)]
pub struct Faults {
    /// By the number of the write of the operator, from 0.
    pub writes: Vec<(u16, WriteFault)>,
    /// By the number of the read or watch request of the operator, from 0.
    pub reads: Vec<(u16, ReadFault)>,
    /// By resource, and the number of the event that its watches tell, from 0.
    pub watches: Vec<(&'static str, u16, WatchFault)>,
    /// By resource: how many milliseconds after the change its watches tell of it.
    pub lags: Vec<(&'static str, u16)>,
    /// By resource: so many of the next lists are refused for lack of rights.
    pub refusals: Vec<(&'static str, u16)>,
}

impl fmt::Debug for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let writes = self.writes.iter().map(|(number, fault)| format!("write {number}: {fault:?}"));
        let reads = self.reads.iter().map(|(number, fault)| format!("read {number}: {fault:?}"));
        let watches = self.watches.iter();
        let watches =
            watches.map(|(resource, number, fault)| format!("event {number} of {resource}: {fault:?}"));
        let lags = self.lags.iter().map(|(resource, lag)| format!("events of {resource}: {lag} ms late"));
        let refusals = self.refusals.iter();
        let refusals = refusals.map(|(resource, count)| format!("{count} lists of {resource}: no right"));
        f.debug_list().entries(writes.chain(reads).chain(watches).chain(lags).chain(refusals)).finish()
    }
}

impl Faults {
    /// How late the watches of a resource are.
    pub fn lag(&self, resource: &str) -> Duration {
        let own = self.lags.iter().find(|(lagging, _)| *lagging == resource);
        Duration::from_millis(own.map_or(0, |(_, lag)| (*lag).into()))
    }

    /// Whether this list of a resource is refused for lack of rights.
    pub fn refuses(&mut self, resource: &str) -> bool {
        let left = self.refusals.iter_mut().find(|(refused, left)| *refused == resource && *left > 0);
        left.map(|(_, left)| *left -= 1).is_some()
    }
}

fn write_fault() -> impl Strategy<Value = WriteFault> {
    prop_oneof![
        Just(WriteFault::CrashBefore),
        Just(WriteFault::CrashAfter),
        Just(WriteFault::Lost),
        Just(WriteFault::LostInGateway),
        Just(WriteFault::Hangs),
        (1..40_u8).prop_map(WriteFault::Late),
        (0..20_u8).prop_map(WriteFault::Twice),
        select(&[409_u16, 429, 500, 503][..]).prop_map(WriteFault::Refused),
    ]
}

fn read_fault() -> impl Strategy<Value = ReadFault> {
    prop_oneof![
        Just(ReadFault::Reset),
        Just(ReadFault::Hangs),
        select(&[429_u16, 500, 503][..]).prop_map(ReadFault::Refused),
        (1..30_u8).prop_map(ReadFault::Stale),
    ]
}

fn watch_fault() -> impl Strategy<Value = WatchFault> {
    select(&[WatchFault::Ends, WatchFault::Breaks, WatchFault::Expired, WatchFault::Silent][..])
}

/// None for a fifth of the chains, else a few of each sort.
pub fn faults() -> impl Strategy<Value = Faults> {
    // The first write is that of a new object, the first 30 reads are those of the start.
    let some = (
        prop::collection::vec((0..40_u16, write_fault()), 0..5),
        prop::collection::vec((0..90_u16, read_fault()), 0..4),
        prop::collection::vec((select(&WATCHED[..]), 0..8_u16, watch_fault()), 0..4),
        prop::collection::vec((select(&WATCHED[..]), 1..4000_u16), 0..3),
    );
    prop_oneof![
        1 => Just(Faults::default()),
        4 => some.prop_map(|(writes, reads, watches, lags)| Faults { writes, reads, watches, lags, refusals: Vec::new() }),
    ]
}
