//! Which plans there are for a scenario, and which of them are always run.

use std::time::Duration;

use super::plan::{Plan, Trouble};
use super::run::Seen;
use super::scenario::Scenario;
use crate::support::{Call, Disturbance, Fault, NONE};

/// The worst that a write can suffer: at every write of every scenario.
const WORST: [Fault; 3] = [Fault::CrashBefore, Fault::CrashAfter, Fault::LoseReply];

/// What else it can suffer: at every write of some scenarios.
const FURTHER: [Fault; 9] = [
    Fault::Timeout,
    Fault::Lose,
    Fault::Late(Duration::from_secs(3)),
    Fault::Refuse(401),
    Fault::Refuse(403),
    Fault::Refuse(409),
    Fault::Refuse(429),
    Fault::Refuse(500),
    Fault::Refuse(503),
];

/// What the first list and the first watch of a resource can suffer.
const OF_READS: [Fault; 7] = [
    Fault::Lose,
    Fault::Late(Duration::from_secs(3)),
    Fault::Refuse(401),
    Fault::Refuse(403),
    Fault::Refuse(410),
    Fault::Refuse(429),
    Fault::Refuse(503),
];

/// What is done to events. An event that is lost is a watch that has expired: the protocol knows no other
/// way to lose one. That a watch is dead is noticed after five minutes, so it dies of the first event only.
const DISTURBANCES: [Disturbance; 8] = [
    Disturbance::Delay(Duration::from_millis(200)),
    Disturbance::Delay(Duration::from_secs(2)),
    Disturbance::Delay(Duration::from_secs(6)),
    Disturbance::Coalesce(Duration::from_secs(2)),
    Disturbance::Double,
    Disturbance::Break,
    Disturbance::Expire,
    Disturbance::Silence,
];

/// How late the events after an old list come.
const LAGS: [Duration; 3] = [Duration::ZERO, Duration::from_secs(2), Duration::from_secs(8)];

/// Scenarios with the further faults of writes.
const WITH_FURTHER: [&str; 4] = ["create", "autoscaling", "generated", "drift"];
/// Scenarios with faults of reads and events, and views from the past: one of one service with all that
/// others do to it, one of a service that is replaced, and one of several services and their class.
const WITH_VIEWS: [&str; 3] = ["drift", "replace", "calls"];

/// Every plan for what a calm run of a scenario showed.
pub fn all(scenario: &Scenario, calm: &Seen) -> Vec<Plan> {
    let mut troubles = Vec::new();
    let name = scenario.name.as_str();
    for call in points(&calm.writes) {
        let further = FURTHER.iter().filter(|_| WITH_FURTHER.contains(&name));
        troubles.extend(WORST.iter().chain(further).map(|fault| Trouble::Request(call.clone(), *fault)));
    }
    if WITH_VIEWS.contains(&name) {
        calm.events.iter().for_each(|(resource, count)| troubles.extend(of_views(resource, *count)));
        for step in 1..=scenario.steps.len() {
            let pasts = calm.events.keys().flat_map(|resource| LAGS.map(|lag| (resource.clone(), lag)));
            troubles.extend(pasts.map(|(resource, lag)| Trouble::Past(step, resource, lag)));
        }
    }
    troubles.into_iter().map(|trouble| Plan { scenario: name.to_owned(), trouble }).collect()
}

/// How the operator can be kept from seeing a resource: at its first list, its first watch, and at the
/// first event, one in the middle, and the last.
fn of_views(resource: &str, events: usize) -> Vec<Trouble> {
    let first = |verb: &str| Call {
        verb: verb.to_owned(),
        resource: resource.to_owned(),
        name: NONE.to_owned(),
        occurrence: 1,
    };
    let reads = ["list", "watch"]
        .into_iter()
        .flat_map(|verb| OF_READS.map(|fault| Trouble::Request(first(verb), fault)));
    let mut numbers = vec![1, events.div_ceil(2), events];
    numbers.dedup();
    let disturbed = numbers.into_iter().flat_map(|number| {
        let all = DISTURBANCES.into_iter().filter(move |what| number == 1 || *what != Disturbance::Silence);
        all.map(move |what| Trouble::Event(resource.to_owned(), number, what))
    });
    reads.chain(disturbed).collect()
}

/// Requests that a fault can be aimed at. An Event is named by chance, and whether it comes decides nothing.
fn points(writes: &[Call]) -> Vec<Call> {
    writes.iter().filter(|call| call.resource != "events").cloned().collect()
}

/// Scenarios of the plans that are always run.
pub const QUICK: [&str; 4] = ["image", "autoscaling", "replace", "drift"];

/// Whether a plan is one of those that are always run: of a few scenarios, each write after the first to an
/// object with the worst that a write can suffer; and one of each other trouble.
pub fn is_quick(plan: &Plan) -> bool {
    match (plan.scenario.as_str(), &plan.trouble) {
        ("image" | "autoscaling" | "replace", Trouble::Request(call, fault)) => {
            call.occurrence > 1 && matches!(fault, Fault::CrashAfter | Fault::LoseReply)
        }
        ("drift", Trouble::Event(_, 1, what)) => matches!(what, Disturbance::Expire | Disturbance::Double),
        ("replace", Trouble::Past(2, _, lag)) => *lag == LAGS[1],
        _ => false,
    }
}
