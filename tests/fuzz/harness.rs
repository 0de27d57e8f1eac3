//! Runs one target: the cases that once failed, the examples as they are, then its share of random inputs.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use proptest::test_runner::{Config, TestError, TestRunner};

use crate::SHARES;
use crate::mutate::Inputs;

/// Bytes that somebody sends.
pub type Input = Vec<u8>;

/// Inputs of all targets together when `FUZZ_INPUTS` does not say.
const DEFAULT_INPUTS: u64 = 50_000;
/// Longest time for one input, a thousand times what the slowest takes: what takes longer has no end.
const LIMIT: Duration = Duration::from_secs(60);

/// Runs a target. `check` panics when something is wrong, and says whether the input was read.
pub fn run(name: &'static str, share: u64, inputs: &Inputs, check: fn(&[u8]) -> bool) {
    let watchdog = Watchdog::start(name);
    for (path, input) in kept(name) {
        println!("{}", path.display());
        watchdog.guard(&input, check);
    }
    for example in inputs.examples() {
        assert!(check(example), "{name}: an example is not read: {}", shown(example));
    }
    let cases = u32::try_from((budget() * share).div_ceil(SHARES)).expect("a number of inputs fits");
    let (read, began) = (Mutex::new(0_u32), Instant::now());
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 2_000, ..Config::default() };
    let result = TestRunner::new(config).run(&inputs.strategy(), |input| {
        *read.lock().unwrap() += u32::from(watchdog.guard(&input, check));
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
struct Watchdog {
    current: Arc<Mutex<Option<(Instant, Input)>>>,
    end: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Watchdog {
    fn start(name: &'static str) -> Self {
        let current = Arc::new(Mutex::new(None::<(Instant, Input)>));
        let (end, ended) = channel::<()>();
        let watched = current.clone();
        let thread = std::thread::spawn(move || {
            while ended.recv_timeout(LIMIT / 4) == Err(RecvTimeoutError::Timeout) {
                let late = watched.lock().unwrap().take_if(|(since, _)| since.elapsed() > LIMIT);
                if let Some((_, input)) = late {
                    let path = keep(name, &input);
                    eprintln!("{name}: no end after {LIMIT:?}; the input is kept in {}", path.display());
                    std::process::abort();
                }
            }
        });
        Self { current, end: Some(end), thread: Some(thread) }
    }

    fn guard(&self, input: &[u8], check: fn(&[u8]) -> bool) -> bool {
        *self.current.lock().unwrap() = Some((Instant::now(), input.to_vec()));
        let read = check(input);
        *self.current.lock().unwrap() = None;
        read
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        drop(self.end.take());
        // It only ends early by ending the process.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}
