//! Runs one target: the cases that once failed, the examples as they are, then its share of random inputs.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use proptest::test_runner::{Config, TestError, TestRunner};

use crate::SHARES;
use crate::mutate::Inputs;
use crate::watchdog::Watchdog;

/// Bytes that somebody sends.
pub type Input = Vec<u8>;

/// Inputs of all targets together when `FUZZ_INPUTS` does not say.
const DEFAULT_INPUTS: u64 = 50_000;
/// Longest time for one input, a thousand times what the slowest takes: what takes longer has no end.
const LIMIT: Duration = Duration::from_secs(60);

/// Runs a target. `check` panics when something is wrong, and says whether the input was read.
pub fn run(name: &'static str, share: u64, inputs: &Inputs, check: fn(&[u8]) -> bool) {
    let watchdog = watchdog(name);
    let check_one = |input: &Input| watchdog.guard(input.clone(), || check(input));
    for (path, input) in kept(name) {
        println!("{}", path.display());
        check_one(&input);
    }
    for example in inputs.examples() {
        assert!(check(example), "{name}: an example is not read: {}", shown(example));
    }
    let cases = u32::try_from((budget() * share).div_ceil(SHARES)).expect("a number of inputs fits");
    let (read, began) = (Mutex::new(0_u32), Instant::now());
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 2_000, ..Config::default() };
    let result = TestRunner::new(config).run(&inputs.strategy(), |input| {
        *read.lock().unwrap() += u32::from(check_one(&input));
        Ok(())
    });
    match result {
        Ok(()) => {
            println!(
                "{name}: {cases} inputs, {} of them read, {:.1?}",
                read.lock().unwrap(),
                began.elapsed()
            );
        }
        Err(TestError::Fail(reason, input)) => panic!(
            "{name}: {reason}\ninput, kept in {}: {}\nagain: cargo test --test fuzz -- --exact {name}",
            keep(name, &input).display(),
            shown(&input),
        ),
        Err(TestError::Abort(reason)) => panic!("{name}: {reason}"),
    }
}

fn budget() -> u64 {
    let text = std::env::var("FUZZ_INPUTS").unwrap_or_else(|_| DEFAULT_INPUTS.to_string());
    text.parse().unwrap_or_else(|_| panic!("FUZZ_INPUTS={text} is not a number"))
}

fn shown(input: &[u8]) -> String {
    String::from_utf8_lossy(input).escape_debug().to_string()
}

/// Where the inputs are kept that a target has once failed on.
fn directory(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/cases").join(name)
}

fn kept(name: &str) -> Vec<(PathBuf, Input)> {
    let files = fs::read_dir(directory(name)).into_iter().flatten();
    let mut paths: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
    paths.sort();
    paths.into_iter().map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

/// Keeps an input as a case for all later runs.
fn keep(name: &str, input: &[u8]) -> PathBuf {
    let digest = microservice_operator::api::names::digest(&String::from_utf8_lossy(input));
    let path = directory(name).join(&digest[..12]);
    fs::create_dir_all(directory(name)).unwrap();
    fs::write(&path, input).unwrap();
    path
}

/// Ends the process when one input takes too long: that it has no end could not be told otherwise.
fn watchdog(name: &'static str) -> Watchdog<Input> {
    Watchdog::start(LIMIT, move |input: Input| {
        let path = keep(name, &input);
        eprintln!("{name}: no end after {LIMIT:?}; the input is kept in {}", path.display());
        std::process::abort();
    })
}
