//! Model tests: the whole controller, in memory, against a model of the API server with a clock that does not
//! wait. Generated chains of specs meet crashes, lost, late and repeated writes, conflicts, refusals, stale lists and
//! watches that end, break, expire, lag or fall silent; then everything must be as the pure plan says, and stay.
//!
//! `MODEL_CHAINS=100000 cargo test --test model` looks at more than the usual number, `PROPTEST_RNG_SEED` at others.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::indexing_slicing,
    reason = "a test may panic, also in its helpers"
)]

mod chain;
mod classes;
mod faults;
mod fields;
mod kubernetes;
mod oracle;
mod request;
mod server;
#[path = "../support/specs.rs"]
mod specs;
mod store;
mod stream;
#[path = "../support/target.rs"]
mod target;
mod trouble;
#[path = "../support/watchdog.rs"]
mod watchdog;

use std::collections::BTreeSet;
use std::num::NonZero;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use chain::Chain;
use faults::{Faults, ReadFault, WriteFault};
use microservice_operator::api::MicroserviceSpec;
use proptest::test_runner::{Config, FileFailurePersistence, RngSeed, TestCaseError, TestRunner};
use serde_json::{Value, json};
use specs::{Meddling, Step, Wait};

/// Chains in one run, if `MODEL_CHAINS` does not say how many: what two cores do in four minutes, at 70 ms of CPU
/// each without optimization.
const CHAINS: u64 = 4_000;
/// Parts that they are split into, each with a seed of its own: the same chains on any number of cores.
const PARTS: u64 = 16;

/// What may become of any write.
const FAULTS: [WriteFault; 12] = [
    WriteFault::CrashBefore,
    WriteFault::CrashAfter,
    WriteFault::Lost,
    WriteFault::LostInGateway,
    WriteFault::Hangs,
    WriteFault::Late(3),
    WriteFault::Late(20),
    WriteFault::Twice(3),
    WriteFault::Refused(409),
    WriteFault::Refused(429),
    WriteFault::Refused(500),
    WriteFault::Refused(503),
];

/// Children of all kinds come, change and go.
fn scenario() -> Chain {
    let step = |spec: Value| Step {
        meddling: Meddling::Nothing,
        spec: spec.as_object().unwrap().clone(),
        wait: Wait::Settled,
    };
    let steps = vec![
        step(json!({"image": "web:v1"})),
        step(json!({
            "image": "web:v2", "config": {"A": "1"}, "autoscaling": {"maxReplicas": 5},
            "secrets": [{"name": "keys", "generate": [{"key": "k"}]}],
        })),
        step(json!({"image": "web:v1", "replicas": 1})),
    ];
    Chain { steps, faults: Faults::default(), late_references: false }
}

#[test]
fn every_write_may_go_wrong_in_every_way() {
    let calm = scenario();
    let writes = calm.run().unwrap_or_else(|error| panic!("without any fault: {error}"));
    assert!(writes > 20, "the scenario sends {writes} writes only");
    let mut each = (0..writes).flat_map(|number| FAULTS.map(|fault| (number, fault)));
    let failure = each.find_map(|fault| {
        let faults = Faults { writes: vec![fault], ..Faults::default() };
        let chain = Chain { faults, ..calm.clone() };
        chain.run().err().map(|error| format!("{error}\n{chain:#?}"))
    });
    assert!(failure.is_none(), "{}", failure.unwrap_or_default());
}

#[test]
fn every_read_may_go_wrong_in_every_way() {
    let faults = [
        ReadFault::Reset,
        ReadFault::Hangs,
        ReadFault::Refused(429),
        ReadFault::Refused(503),
        ReadFault::Stale(9),
    ];
    // Those of the start, and what is asked on the way.
    let mut each = (0..50).flat_map(|number| faults.map(|fault| (number, fault)));
    let failure = each.find_map(|fault| {
        let faults = Faults { reads: vec![fault], ..Faults::default() };
        let chain = Chain { faults, ..scenario() };
        chain.run().err().map(|error| format!("{error}\n{chain:#?}"))
    });
    assert!(failure.is_none(), "{}", failure.unwrap_or_default());
}

#[test]
fn every_chain_ends_as_planned_whatever_goes_wrong() {
    let chains =
        std::env::var("MODEL_CHAINS").map_or(CHAINS, |text| text.parse().expect("MODEL_CHAINS is a number"));
    let next = AtomicU64::new(0);
    let work = || {
        let parts = std::iter::repeat_with(|| next.fetch_add(1, Ordering::Relaxed));
        let mut parts = parts.take_while(|part| *part < PARTS);
        let failure = parts.find_map(|part| look_at(part, chains.div_ceil(PARTS)));
        // One failure is enough: nobody begins another part.
        failure.inspect(|_| next.store(PARTS, Ordering::Relaxed))
    };
    let threads = thread::available_parallelism().map_or(1, NonZero::get);
    let failures: Vec<String> = thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        workers.into_iter().filter_map(|worker| worker.join().expect("a worker ends")).collect()
    });
    println!("{} chains", chain::RUNS.load(Ordering::Relaxed));
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

/// Runs some chains; the smallest one that fails, with its faults and all that was written in it.
fn look_at(part: u64, count: u64) -> Option<String> {
    let usual = Config::default();
    let config = Config {
        cases: count.try_into().unwrap_or(u32::MAX),
        rng_seed: match usual.rng_seed {
            RngSeed::Fixed(seed) => RngSeed::Fixed(seed.wrapping_add(part)),
            RngSeed::Random => RngSeed::Random,
        },
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct("proptest-regressions/model.txt"))),
        ..usual
    };
    let mut runner = TestRunner::new(config);
    let result = runner.run(&chain::chains(), |chain| chain.run().map(drop).map_err(TestCaseError::fail));
    result.err().map(|error| error.to_string())
}

#[test]
fn every_property_is_set_and_most_examples_are_valid() {
    let schema = serde_json::to_value(schemars::schema_for!(MicroserviceSpec)).unwrap();
    let pool = specs::pool();
    let known: BTreeSet<&str> = pool.values.iter().map(|(name, _)| name.as_str()).collect();
    let all: BTreeSet<&str> = schema["properties"].as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(known, all);
    assert!(pool.bases.len() > 30 && pool.bases.iter().all(specs::is_known));
}
