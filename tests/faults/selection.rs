//! Which plans there are for a scenario, and which of them are always run.

use std::time::Duration;

use super::plan::{Plan, Trouble};
use super::run::Seen;
use super::scenario::Scenario;
use crate::support::{Call, Disturbance, Fault};

/// What is done to every request that changes something.
const FAULTS: [Fault; 12] = [
    Fault::CrashBefore,
    Fault::CrashAfter,
    Fault::LoseReply,
    Fault::Timeout,
    Fault::Lose,
    Fault::Late(Duration::from_secs(3)),
    Fault::Refuse(409),
    Fault::Refuse(429),
    Fault::Refuse(500),
    Fault::Refuse(503),
    Fault::Refuse(403),
    Fault::Refuse(401),
];

/// What is done to events. An event that is lost is a watch that has expired: the protocol knows no other
/// way to lose one.
const DISTURBANCES: [Disturbance; 7] = [
    Disturbance::Delay(Duration::from_millis(200)),
    Disturbance::Delay(Duration::from_secs(2)),
    Disturbance::Delay(Duration::from_secs(6)),
    Disturbance::Coalesce(Duration::from_secs(2)),
    Disturbance::Double,
    Disturbance::Break,
    Disturbance::Expire,
];

/// How late the events after an old list come.
const LAGS: [Duration; 3] = [Duration::ZERO, Duration::from_secs(2), Duration::from_secs(8)];

/// Every plan for what a calm run of a scenario showed.
pub fn all(scenario: &Scenario, calm: &Seen) -> Vec<Plan> {
    let plan = |trouble| Plan { scenario: scenario.name.clone(), trouble };
    let mut plans = Vec::new();
    for call in points(&calm.writes) {
        plans.extend(FAULTS.map(|fault| plan(Trouble::Request(call.clone(), fault))));
    }
    for (resource, count) in &calm.events {
        // The first, one in the middle, and the last.
        let mut numbers = vec![1, count.div_ceil(2), *count];
        numbers.dedup();
        for number in numbers {
            plans.extend(DISTURBANCES.map(|what| plan(Trouble::Event(resource.clone(), number, what))));
        }
    }
    for step in 1..=scenario.steps.len() {
        for resource in calm.events.keys() {
            plans.extend(LAGS.map(|lag| plan(Trouble::Past(step, resource.clone(), lag))));
        }
    }
    plans
}

/// Requests that a fault can be aimed at. An Event is named by chance, and whether it comes decides nothing.
fn points(writes: &[Call]) -> Vec<Call> {
    writes.iter().filter(|call| call.resource != "events").cloned().collect()
}

/// Whether a plan is one of those that are always run: of a few scenarios, each write of the last step with
/// the faults that a write can suffer, and one of each other trouble.
pub fn is_quick(plan: &Plan) -> bool {
    let first = ["image", "replace", "autoscaling"].contains(&plan.scenario.as_str());
    match &plan.trouble {
        Trouble::Request(call, fault) => {
            first && call.occurrence > 1 && matches!(fault, Fault::CrashAfter | Fault::LoseReply)
        }
        Trouble::Event(_, number, what) => {
            plan.scenario == "drift"
                && *number == 1
                && matches!(what, Disturbance::Expire | Disturbance::Double)
        }
        Trouble::Past(step, _, lag) => plan.scenario == "replace" && *step == 2 && *lag == LAGS[1],
    }
}
