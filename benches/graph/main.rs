//! `make bench-graph`: the graph and all that is found in it, for 1,000 and 10,000 services of five calls
//! each: from cold, and again as after each change. Fails on counts; times and memory are reported with
//! their bars, because they depend on the machine.
#![allow(missing_docs, clippy::expect_used, clippy::indexing_slicing)]

#[path = "../control_plane/process.rs"]
#[allow(dead_code, reason = "the other bench asks for more")]
mod process;

use std::time::{Duration, Instant};

use microservice_operator::graph::{Call, Finding, Key, Policies, Service, System, findings};

/// Calls of each service.
const CALLS: usize = 5;
/// How often it is done again.
const AGAIN: usize = 20;

/// What is measured, and the most that is allowed: milliseconds, MiB.
struct Size {
    services: usize,
    cold: u32,
    again: Option<u32>,
    peak: Option<u32>,
}

const SIZES: [Size; 2] = [
    Size { services: 1_000, cold: 100, again: Some(10), peak: None },
    Size { services: 10_000, cold: 2_000, again: None, peak: Some(200) },
];

fn main() {
    println!("load before {}", process::load());
    SIZES.iter().for_each(measure);
    println!("load after {}", process::load());
}

fn measure(size: &Size) {
    let given = services(size.services);
    let (cold, system, found) = once(&given);
    let calls: usize = system.services().iter().map(|service| service.calls.len()).sum();
    assert_eq!((system.services().len(), calls), (size.services, size.services * CALLS));
    // Nearly every service needs more than it promises, and leaves one timeout open.
    let least = size.services * 3 / 2;
    assert!(found.len() > least, "only {} findings", found.len());
    println!(
        "{} services, {calls} calls, {} findings: cold {} ms{}, again {} ms{}, peak {:.0} MiB{}",
        size.services,
        found.len(),
        milliseconds(cold),
        bar(Some(size.cold)),
        milliseconds((0..AGAIN).map(|_| once(&given).0).min().unwrap_or(cold)),
        bar(size.again),
        process::peak(std::process::id()),
        bar(size.peak),
    );
}

fn once(given: &[Service]) -> (Duration, System, Vec<Finding>) {
    let given = given.to_vec();
    let start = Instant::now();
    let system = System::new(given);
    let found = findings(&system, &Policies::default());
    (start.elapsed(), system, found)
}

fn milliseconds(time: Duration) -> String {
    format!("{:.1}", time.as_secs_f64() * 1000.0)
}

fn bar(most: Option<u32>) -> String {
    most.map(|most| format!(" (bar {most})")).unwrap_or_default()
}

/// Ten layers; each service calls five of those below it, the last layer its neighbours in a ring.
fn services(count: usize) -> Vec<Service> {
    let key = |number: usize| Key::new("shop", format!("service-{number:05}"));
    let layer = count / 10;
    let service = |number: usize| {
        let lower = (number / layer + 1) * layer;
        let callee = |line: usize| {
            let spread = number.wrapping_mul(7_919).wrapping_add(line.wrapping_mul(104_729));
            if lower < count {
                lower + spread % (count - lower)
            } else {
                (number + line) % layer + count - layer
            }
        };
        let call = |line: usize| Call {
            timeout: (line > 1).then_some(1_000),
            attempts: 1 + u64::from(line == 2),
            optional: line == 3,
            ..Call::to(key(callee(line)))
        };
        Service { calls: (1..=CALLS).map(call).collect(), ..Service::new(key(number)) }
    };
    (0..count).map(service).collect()
}
