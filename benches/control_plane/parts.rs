//! The parts of the suite as a table: help, selection and the order of a run come from it.

use futures::future::LocalBoxFuture;

use crate::ground::Ground;
use crate::report::Report;
use crate::{bounce, burst, calls, floors, leader, load, rest, restart, soak, throttle, topics, trouble};

/// One part.
pub struct Part {
    pub name: &'static str,
    pub what: &'static str,
    /// What is told, by the ids of the metrics.
    metrics: &'static str,
    /// Minutes with N=1000 on two cores.
    minutes: u32,
    /// Runs by its name only: it needs more than the others, or an hour.
    alone: bool,
    pub run: for<'a> fn(&'a mut Ground, &'a mut Report) -> LocalBoxFuture<'a, ()>,
}

/// What `make test` can afford.
const QUICK: [&str; 4] = ["B0", "B2", "B6", "B7"];

/// In the order in which they run: what empties the namespace comes after what needs it full, and what
/// has an operator of its own comes last.
const PARTS: [Part; 16] = [
    Part {
        name: "B0",
        what: "floor of the box: each kind of child at 1, 4, 16 and 64 in flight",
        metrics: "requests/s, p50, p99",
        minutes: 2,
        alone: false,
        run: |ground, report| Box::pin(floors::kinds(ground, report)),
    },
    Part {
        name: "B2",
        what: "N services at once against the floor of the same run",
        metrics: "M1, M3, M5, M8, M9",
        minutes: 4,
        alone: false,
        run: |ground, report| Box::pin(burst::burst(ground, report)),
    },
    Part {
        name: "B1",
        what: "floor of the job: what the operator sends, by a plain client; parallel, and in series per object",
        metrics: "seconds, requests/s",
        minutes: 3,
        alone: false,
        run: |ground, report| Box::pin(floors::job(ground, report)),
    },
    Part {
        name: "B3",
        what: "open loop of 1, 5 and 10 new services a second",
        metrics: "M6",
        minutes: 6,
        alone: false,
        run: |ground, report| Box::pin(load::open(ground, report)),
    },
    Part {
        name: "B4",
        what: "mixed changes, 10 a second: 70 % image, 20 % environment or bounds, 10 % created or deleted",
        metrics: "M7",
        minutes: 3,
        alone: false,
        run: |ground, report| Box::pin(load::mixed(ground, report)),
    },
    Part {
        name: "B6",
        what: "rest, a sweep that is forced, and a foreign edit that is repaired",
        metrics: "M2, M3, M7, M9, M10",
        minutes: 2,
        alone: false,
        run: |ground, report| Box::pin(rest::run(ground, report)),
    },
    Part {
        name: "B7",
        what: "restart, at rest and with a backlog of N changes",
        metrics: "M4, M9, M11",
        minutes: 3,
        alone: false,
        run: |ground, report| Box::pin(restart::run(ground, report)),
    },
    Part {
        name: "B8",
        what: "API server away for OUTAGE=30 seconds, with changes that wait for it",
        metrics: "M14",
        minutes: 2,
        alone: false,
        run: |ground, report| Box::pin(bounce::away(ground, report)),
    },
    Part {
        name: "B9",
        what: "history compacted while the operator sleeps: every watch has expired",
        metrics: "M14",
        minutes: 1,
        alone: false,
        run: |ground, report| Box::pin(bounce::expired(ground, report)),
    },
    Part {
        name: "B11",
        what: "5 % poison, then one object that changes 50 times a second, beside a calm run of the same",
        metrics: "M12, M13",
        minutes: 8,
        alone: false,
        run: |ground, report| Box::pin(trouble::run(ground, report)),
    },
    Part {
        name: "B5",
        what: "delete everything and drain",
        metrics: "M9",
        minutes: 1,
        alone: false,
        run: |ground, report| Box::pin(burst::drain(ground, report)),
    },
    Part {
        name: "B10",
        what: "the leader of two ends by SIGTERM and by SIGKILL under load",
        metrics: "M15",
        minutes: 2,
        alone: false,
        run: |ground, report| Box::pin(leader::run(ground, report)),
    },
    Part {
        name: "B14",
        what: "priority and fairness refuses most of the operator's requests",
        metrics: "M17",
        minutes: 3,
        alone: false,
        run: |ground, report| Box::pin(throttle::run(ground, report)),
    },
    Part {
        name: "B15",
        what: "N services at once, each of which calls CALLS=5 others; then the port of one changes",
        metrics: "M1, M2, M3, M9",
        minutes: 4,
        alone: false,
        run: |ground, report| Box::pin(calls::run(ground, report)),
    },
    Part {
        name: "B12",
        what: "N Kafka topics against a plain admin client, then the broker away for OUTAGE=60 seconds",
        metrics: "M16",
        minutes: 5,
        alone: true,
        run: |ground, report| Box::pin(topics::run(ground, report)),
    },
    Part {
        name: "B13",
        what: "soak of MINUTES=60: random changes, and whether memory grows",
        metrics: "M9",
        minutes: 62,
        alone: true,
        run: |ground, report| Box::pin(soak::run(ground, report)),
    },
];

/// The parts of a list like `B2,B6`; `quick`, `all`, or nothing for those that do not run alone.
pub fn selected(only: &str) -> Result<Vec<&'static Part>, String> {
    let wanted: Vec<&str> = only.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
    let known = |name: &str| matches!(name, "quick" | "all") || PARTS.iter().any(|part| part.name == name);
    if let Some(unknown) = wanted.iter().find(|name| !known(name)) {
        let names: Vec<&str> = PARTS.iter().map(|part| part.name).collect();
        return Err(format!(
            "ONLY={only}: there is no part {unknown}; there are {}, quick and all",
            names.join(", ")
        ));
    }
    let chosen = |part: &&Part| {
        wanted.contains(&part.name)
            || wanted.contains(&"all")
            || (wanted.contains(&"quick") && QUICK.contains(&part.name))
            || (wanted.is_empty() && !part.alone)
    };
    Ok(PARTS.iter().filter(chosen).collect())
}

/// A line for each part.
pub fn list() -> String {
    let mut lines = vec![format!("{:<5} {:>7}  {:<22} what", "ONLY", "minutes", "tells")];
    lines.extend(PARTS.iter().map(|part| {
        let Part { name, what, metrics, minutes, .. } = part;
        let alone = if part.alone { "; by its name only" } else { "" };
        format!("{name:<5} {minutes:>7}  {metrics:<22} {what}{alone}")
    }));
    lines.push(format!("quick = {}; all = all of them; none = all but those by name only", QUICK.join(",")));
    lines.join("\n")
}

/// How long these take with N=1000.
pub fn minutes(parts: &[&Part]) -> u32 {
    parts.iter().map(|part| part.minutes).sum()
}
