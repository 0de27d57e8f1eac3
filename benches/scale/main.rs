//! `make bench-scale`: one operator with `N` (100,000) Microservices and all their children, against a stub
//! of an API server that makes lists and watches of copies of one recorded object. What is measured is the
//! operator alone: memory, time and CPU of a start, whether a new object waits for the backlog, and what
//! many changes at once do. Fails on counts: everything is as it should be, so nothing may be written.
#![allow(missing_docs, clippy::expect_used, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::print_stderr)]

#[path = "../../tests/support/mod.rs"]
mod support;

#[path = "../control_plane/process.rs"]
#[allow(dead_code, reason = "the other bench asks for more")]
mod process;
#[path = "../control_plane/report.rs"]
#[allow(dead_code, reason = "the other bench tells more")]
mod report;
#[path = "../control_plane/times.rs"]
#[allow(dead_code, reason = "the other bench takes times of many requests")]
mod times;
#[path = "../control_plane/workload.rs"]
#[allow(dead_code, reason = "the other bench sends the children itself")]
mod workload;

mod fleet;
mod objects;
mod program;
mod record;
mod server;
mod template;

use std::num::NonZeroUsize;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fleet::Fleet;
use microservice_operator::engine::watch::PAGE;
use program::Program;
use record::Recording;
use report::Report;
use server::{ROOTS, Request, Server};
use workload::{microservice, name};

/// Objects when `N` does not say.
const DEFAULT_OBJECTS: usize = 100_000;
/// Most objects that change at once.
const CHANGES: usize = 10_000;
/// How long CPU at rest is counted.
const REST: Duration = Duration::from_secs(30);

fn main() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime starts");
    if std::env::args().any(|argument| argument == record::ARGUMENT) {
        runtime.block_on(record::print());
        return ExitCode::SUCCESS;
    }
    let report = runtime.block_on(run(number()));
    report.print();
    if report.passed() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn number() -> usize {
    match std::env::var("N").as_deref() {
        Ok(text) if !text.is_empty() => {
            let number = text.parse::<NonZeroUsize>();
            number.unwrap_or_else(|_| panic!("N={text} is not a number of objects")).get()
        }
        _ => DEFAULT_OBJECTS,
    }
}

async fn run(count: usize) -> Report {
    eprintln!("records one object");
    let recording = Recording::make();
    let mut report = Report::new("scale".to_owned(), count);
    let empty = empty(&recording, &mut report).await;

    eprintln!("makes {count} copies");
    let (server, address) = Server::start(Fleet::new(&recording, count)).await;
    let mut bench = Bench { program: Program::start(address), server, empty, created: 0, looks: 0 };
    bench.start(&mut report).await;
    bench.change(&mut report).await;
    bench.at_rest(&mut report).await;
    bench.repair(&mut report).await;
    bench.delete(&mut report).await;
    report
}

/// Memory without any object.
async fn empty(recording: &Recording, report: &mut Report) -> f64 {
    let (_, address) = Server::start(Fleet::new(recording, 0)).await;
    let program = Program::start(address);
    program.rest().await;
    let resident = process::resident(program.pid);
    report.measure("M9", "RSS, empty [MiB]", Some(25.0), resident);
    report.measure("M9", "  of that its own memory [MiB]", None, process::anonymous(program.pid));
    resident
}

struct Bench {
    program: Program,
    server: Arc<Server>,
    /// Memory without any object, MiB.
    empty: f64,
    /// New objects so far.
    created: usize,
    /// Looks before what is measured now.
    looks: usize,
}

impl Bench {
    /// From the start of the process until every object was looked at. An object is created as soon as the
    /// first one was.
    async fn start(&mut self, report: &mut Report) {
        let (count, pid, since) = (self.server.fleet.len(), self.program.pid, self.program.started);
        let first = self.program.looked(since, 1).await;
        let (served, all) = self.serve_amid(count).await;
        let cpu = process::cpu(pid).as_secs_f64();
        self.program.rest().await;
        let peak = process::peak(pid);
        let resident = process::resident(pid);
        let thousands = count as f64 / 1000.0;
        report.measure("M11", "start to the first look [s]", None, first.as_secs_f64());
        report.measure(
            "M11",
            "start until every object was looked at [s]",
            None,
            (first + all).as_secs_f64(),
        );
        report.measure("M11", "CPU until then, per 1,000 objects [s]", None, cpu / thousands);
        report.measure("M11", "new object served / end of the backlog", Some(1.0), ratio(served, all));
        report.measure("M9", "RSS, settled [MiB]", Some(25.0 + 16.0 * thousands), resident);
        report.measure("M9", "  of that its own memory [MiB]", None, process::anonymous(pid));
        let grown = (resident - self.empty) / thousands;
        report.measure("M9", "  of that per 1,000 objects [MiB]", Some(16.0), grown);
        report.measure("M9", "RSS, peak / settled", Some(1.5), peak / resident);
        self.count(report, "on start");
        let lists = self.server.requests().iter().filter(|request| request.is_list()).count();
        // Copies of each kind, and one page each of what there is none of: classes, pods, network policies and
        // the records of topics; and of the one Namespace.
        let pages = count.div_ceil(PAGE as usize) * (self.server.fleet.children() + 1) + 5;
        report.count("M4", "pages of lists, more than there are", 0.0, lists as f64 - pages as f64);
        self.server.forget();
    }

    /// Many objects change at once in a way that concerns none of their children, and one is created.
    async fn change(&mut self, report: &mut Report) {
        let changed = self.server.fleet.len().min(CHANGES);
        let (pid, cpu) = (self.program.pid, process::cpu(self.program.pid));
        self.looks = self.program.looks().await;
        process::reset_peak(pid);
        let since = Instant::now();
        self.server.annotate(changed);
        let first = self.program.looked(since, self.looks + 1).await;
        let (served, all) = self.serve_amid(changed).await;
        let cpu = (process::cpu(pid) - cpu).as_secs_f64();
        self.program.rest().await;
        let thousands = changed as f64 / 1000.0;
        report.measure(
            "R18",
            &format!("{changed} changes at once, all looked at [s]"),
            None,
            (first + all).as_secs_f64(),
        );
        report.measure("R18", "  CPU per 1,000 of them [s]", None, cpu / thousands);
        report.measure("R18", "  new object served / end of the backlog", Some(1.0), ratio(served, all));
        report.measure(
            "R18",
            "  RSS, peak / settled after it",
            Some(1.5),
            process::peak(pid) / process::resident(pid),
        );
        self.count(report, "after the changes");
    }

    /// Nobody changes anything.
    async fn at_rest(&mut self, report: &mut Report) {
        self.server.forget();
        let before = process::cpu(self.program.pid);
        tokio::time::sleep(REST).await;
        let used = (process::cpu(self.program.pid) - before).as_secs_f64();
        report.measure("M10", "CPU at rest [% of a core]", Some(0.5), used / REST.as_secs_f64() * 100.0);
        report.count("M2", "requests at rest", 0.0, self.server.requests().len() as f64);
        report.measure("M9", "RSS, at the end [MiB]", None, process::resident(self.program.pid));
        report.measure("M9", "  of that its own memory [MiB]", None, process::anonymous(self.program.pid));
    }

    /// It was quiet because all was well, not because it does not look.
    async fn repair(&self, report: &mut Report) {
        let since = Instant::now();
        let spoilt = self.server.spoil("configmaps", 0);
        let at = self.asked_for("configmaps", &spoilt).await;
        report.measure("M7", "repair of an edit [s]", Some(1.0), (at - since).as_secs_f64());
    }

    /// Everything is deleted but the objects that were created meanwhile: the objects by a user, then their
    /// children by the garbage collector.
    async fn delete(&self, report: &mut Report) {
        self.server.forget();
        self.server.delete_all(ROOTS);
        self.program.left(self.created).await;
        self.server.fleet.plurals().for_each(|plural| self.server.delete_all(plural));
        self.program.rest().await;
        self.count(report, "while all is deleted");
        let left = process::resident(self.program.pid);
        report.measure("M9", "RSS after all is deleted [MiB]", None, left);
        report.measure("M9", "  of that its own memory [MiB]", None, process::anonymous(self.program.pid));
        report.measure("M9", "RSS after all is deleted / empty", Some(1.3), left / self.empty);
    }

    /// When an object was written first, which is awaited.
    async fn asked_for(&self, plural: &str, name: &str) -> Instant {
        let is_it =
            |request: &Request| request.is_write() && request.plural == plural && request.name == name;
        support::eventually(program::PATIENCE, &format!("{plural} {name} is written"), || async {
            let requests = self.server.requests();
            let written = requests.iter().find(|request| is_it(request)).map(|request| request.at);
            written.ok_or_else(|| format!("{} requests: {:?}", requests.len(), requests.last()))
        })
        .await
    }

    /// Creates an object while there is a backlog. Returns when its pods were asked for, and when the
    /// backlog was looked at, both from now on.
    async fn serve_amid(&mut self, backlog: usize) -> (Duration, Duration) {
        let since = Instant::now();
        let number = self.server.fleet.len() + self.created;
        self.created += 1;
        let object = microservice(&self.server.fleet.namespace, number);
        self.server.create(serde_json::to_value(object).expect("an object is JSON"));
        let all = self.program.looked(since, self.looks + backlog).await;
        let served = self.asked_for("deployments", &name(number)).await;
        (served - since, all)
    }

    /// Writes to what is as it should be: all but those for the new objects and for the operator itself.
    fn count(&self, report: &mut Report, when: &str) {
        let writes = self.writes();
        writes.iter().take(5).for_each(|write| eprintln!("  written: {write:?}"));
        report.count("M4", &format!("writes {when}, but for the new object"), 0.0, writes.len() as f64);
        let reads = self.server.requests();
        let reads = reads
            .iter()
            .filter(|read| !read.is_write() && !read.name.is_empty() && read.namespace != program::NAMESPACE);
        report.count("M3", &format!("GETs {when}"), 0.0, reads.count() as f64);
    }

    fn writes(&self) -> Vec<Request> {
        let new: Vec<String> =
            (0..self.created).map(|number| name(self.server.fleet.len() + number)).collect();
        let of_new = |request: &Request| new.iter().any(|name| request.name.starts_with(name));
        let mut writes = self.server.requests();
        writes.retain(|request| {
            request.is_write() && request.namespace != program::NAMESPACE && !of_new(request)
        });
        writes
    }
}

fn ratio(part: Duration, whole: Duration) -> f64 {
    part.as_secs_f64() / whole.as_secs_f64()
}
