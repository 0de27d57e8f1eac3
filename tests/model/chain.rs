//! A chain of specs of one Microservice, run against the whole controller, whose clock does not wait.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use microservice_operator::controller;
use microservice_operator::engine::lease::Leadership;
use microservice_operator::telemetry::Telemetry;
use proptest::prelude::*;
use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::faults::{Faults, faults};
use crate::kubernetes;
use crate::oracle::{self, Snapshot};
use crate::server::{Life, Server};
use crate::specs::{self, Meddling, NAME, NAMESPACE, Step, Wait, references};
use crate::store::Key;
use crate::trouble;
use crate::watchdog::Watchdog;

/// Namespace of the operator.
pub const OPERATOR: &str = "microservice-system";

/// Until a step counts as done: longer than a dead watch (295 s) and the longest backoff (5 min and a quarter).
const PATIENCE: Duration = Duration::from_mins(20);
/// Until the first look at whether it is; the next ones come more and more slowly.
const LOOK: Duration = Duration::from_secs(5);
/// How long nothing may be written afterwards.
const QUIET: Duration = Duration::from_mins(10);
/// Until a killed operator runs again.
const RESTART: Duration = Duration::from_millis(300);

/// Longest time that a chain may take on a real clock; a usual one takes a tenth of a second. The clock of a
/// chain stands still for as long as the operator has something to do at once, so one that always has would
/// never end.
const ENDLESS: Duration = Duration::from_mins(3);

thread_local! {
    static WATCHDOG: Watchdog<String> = Watchdog::start(ENDLESS, |chain| {
        eprintln!("not ended within {ENDLESS:?}: the operator has something to do at once, again and again\n{chain}");
        std::process::exit(101);
    });
}

/// Chains that were run.
pub static RUNS: AtomicU64 = AtomicU64::new(0);

/// All that happens in one run.
#[derive(Clone, Debug)]
pub struct Chain {
    /// The specs.
    pub steps: Vec<Step>,
    /// What goes wrong meanwhile.
    pub faults: Faults,
    /// Whether the Secrets and ConfigMaps that the specs name come after the last step.
    pub late_references: bool,
}

/// Two to six specs, and what goes wrong meanwhile.
pub fn chains() -> impl Strategy<Value = Chain> {
    (specs::steps(), faults(), prop::bool::weighted(0.2)).prop_map(|(steps, faults, late)| Chain {
        steps,
        faults,
        late_references: late,
    })
}

impl Chain {
    /// Runs it in a runtime of its own. Returns how many writes the operator sent.
    ///
    /// # Errors
    /// What is not as it must be, with all that the operator wrote.
    pub fn run(&self) -> Result<u16, String> {
        WATCHDOG.with(|watchdog| watchdog.guard(format!("{self:#?}"), || self.run_unwatched()))
    }

    fn run_unwatched(&self) -> Result<u16, String> {
        trouble::forget();
        RUNS.fetch_add(1, Ordering::Relaxed);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        let runtime = runtime.map_err(|error| error.to_string())?;
        runtime.block_on(async {
            let run = Run::start(self);
            let result = run.all().await;
            let result = result.and_then(|()| trouble::none()).map(|()| run.server.sent());
            result.map_err(|error| {
                format!("{error}\nwhat the operator wrote, and what went wrong:\n{}", run.journal())
            })
        })
    }
}

struct Run<'c> {
    chain: &'c Chain,
    server: Arc<Server>,
}

impl<'c> Run<'c> {
    fn start(chain: &'c Chain) -> Self {
        let server = Server::new(chain.faults.clone());
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace"});
        server.change(|store| {
            for name in [NAMESPACE, OPERATOR] {
                kubernetes::make(store, &Key::new("/namespaces", "", name), &namespace);
            }
        });
        tokio::spawn(kubernetes::run(Arc::clone(&server)));
        tokio::spawn(operate(Arc::clone(&server)));
        Self { chain, server }
    }

    async fn all(&self) -> Result<(), String> {
        if !self.chain.late_references {
            self.make_references();
        }
        let mut settled = None;
        for (number, step) in self.chain.steps.iter().enumerate() {
            settled = self.step(number, step, settled).await?;
        }
        self.server.calm();
        if self.chain.late_references {
            self.make_references();
        }
        self.settle().await.map_err(|error| format!("after the last step, with all faults over: {error}"))?;
        oracle::deletes(&self.server, &self.chain.steps)?;
        self.quiet().await
    }

    /// Stores the spec and waits as long as the step says. `before` is how all was, if it had come to rest.
    async fn step(
        &self,
        number: usize,
        step: &Step,
        before: Option<Snapshot>,
    ) -> Result<Option<Snapshot>, String> {
        self.server.state().step = number;
        let key = root();
        self.meddle(step.meddling);
        let object = json!({
            "apiVersion": "microservice.dev/v1alpha1", "kind": "Microservice", "metadata": {}, "spec": step.spec,
        });
        self.server.change(|store| kubernetes::make(store, &key, &object));
        match step.wait {
            Wait::Millis(count) => {
                sleep(Duration::from_millis(count.into())).await;
                Ok(None)
            }
            Wait::Settled => {
                self.settle().await.map_err(|error| format!("step {number}: {error}"))?;
                let now = Snapshot::of(&self.server);
                if let Some(before) = before.filter(|_| step.meddling == Meddling::Nothing) {
                    now.after(&before).map_err(|error| format!("step {number}: {error}"))?;
                }
                Ok(Some(now))
            }
        }
    }

    fn meddle(&self, meddling: Meddling) {
        let uid = self.server.state().store.get(&root()).map(|root| root.text_of("uid").to_owned());
        let children: Vec<Key> = self.server.change(|store| {
            let owned = store.objects.iter().filter(|(_, object)| object.owner() == uid.as_deref());
            owned.filter(|_| uid.is_some()).map(|(key, _)| key.clone()).collect()
        });
        let gone = match meddling {
            Meddling::Nothing => None,
            Meddling::Anew => Some(root()),
            Meddling::Deletes(number) => children.iter().cycle().nth(number.into()).cloned(),
        };
        if let Some(key) = gone
            && self.server.change(|store| store.remove(&key))
        {
            self.server.note(&format!("somebody deletes {key}"));
        }
    }

    /// Waits until nothing is written any more and all is as the pure plan says.
    async fn settle(&self) -> Result<(), String> {
        let (start, mut pause) = (Instant::now(), LOOK);
        loop {
            let before = self.progress();
            sleep(pause).await;
            pause = (pause * 2).min(PATIENCE / 10);
            let trouble = match oracle::difference(&self.server) {
                _ if self.progress() != before => "it goes on writing".to_owned(),
                _ if self.server.has_more_to_tell() => {
                    "a request or a dead watch is still under way".to_owned()
                }
                None => return Ok(()),
                Some(difference) => difference,
            };
            if start.elapsed() > PATIENCE {
                return Err(format!("not within {PATIENCE:?}: {trouble}"));
            }
        }
    }

    fn progress(&self) -> (usize, u64) {
        let state = self.server.state();
        (state.written.len(), state.store.version())
    }

    /// The second half of what is promised: at rest nothing is written.
    async fn quiet(&self) -> Result<(), String> {
        let before = self.server.state().written.len();
        sleep(QUIET).await;
        let more = self.server.state().written.len() - before;
        if more > 0 {
            return Err(format!("{more} writes in {QUIET:?} of rest"));
        }
        oracle::difference(&self.server).map_or(Ok(()), Err)
    }

    /// Makes every Secret and ConfigMap that a spec of the chain reads.
    fn make_references(&self) {
        for object in references(&self.chain.steps) {
            let kind = if object["kind"] == "Secret" { "/secrets" } else { "/configmaps" };
            let key = Key::new(kind, NAMESPACE, object["metadata"]["name"].as_str().unwrap_or_default());
            self.server.change(|store| kubernetes::make(store, &key, &object));
        }
    }

    fn journal(&self) -> String {
        self.server.state().journal.iter().map(|line| format!("  {line}\n")).collect()
    }
}

/// The key of the Microservice.
pub fn root() -> Key {
    Key::new("microservice.dev/microservices", NAMESPACE, NAME)
}

/// The operator, started again after each crash.
pub async fn operate(server: Arc<Server>) {
    loop {
        let life = Arc::new(Life::default());
        let leadership = Leadership::always();
        let options = controller::Options {
            client: server.connect(&life),
            namespaces: Vec::new(),
            operator_namespace: OPERATOR.to_owned(),
            identity: "model".to_owned(),
            concurrency: 16,
            class_rate: 5.0,
            max_rolling: 10,
            kafka_sweep: Duration::from_mins(5),
            kafka_grace: Duration::from_mins(10),
            strimzi_patience: Duration::from_mins(3),
            api_pace: Duration::from_mins(5),
            telemetry: Arc::new(Telemetry::new()),
            fence: leadership.fence(),
            leadership: leadership.changes(),
        };
        tokio::select! {
            _ = controller::run(options, std::future::pending()) => {}
            () = server.crashed.notified() => {}
        }
        sleep(RESTART).await;
    }
}
