//! Two versions of the operator, one after the other and back, on one control plane (class R16). `make skew
//! BEFORE=commit` builds the older one, which takes minutes, so this is no part of `make test`.
#![allow(missing_docs, clippy::expect_used, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::print_stderr, clippy::print_stdout)]

#[allow(dead_code)]
#[path = "../faults/state.rs"]
mod state;
#[path = "../support/mod.rs"]
mod support;

use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use kube::api::ListParams;
use microservice_operator::api::Microservice;
use serde_json::Value;

use state::{Mask, State};
use support::{
    Audit, BINARY, Cluster, Installation, Mark, Namespace, Operator, OperatorOptions, Requests,
    apply_as_given, documents, eventually, see_a_repair,
};

/// Until a version has looked at all and done what it wants.
const PATIENCE: Duration = Duration::from_secs(300);
/// In which nothing may be written, after each change of the version.
const REST: Duration = Duration::from_secs(10);
/// A version that has come may not have begun to write: so long without a write is rest.
const PAUSE: Duration = Duration::from_secs(4);

/// One version of the operator.
struct Release(PathBuf);

impl Release {
    /// What a command of it says to this input: whether it is content, and what it prints.
    fn says(&self, arguments: &[&str], input: &str) -> (bool, String) {
        let mut command = Command::new(&self.0);
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{}: {error}", self.0.display()));
        child.stdin.take().expect("stdin is a pipe").write_all(input.as_bytes()).expect("it reads its input");
        let output = child.wait_with_output().expect("it ends");
        (output.status.success(), String::from_utf8(output.stdout).expect("it prints text"))
    }

    /// Installs its kinds over those that are there.
    async fn install_kinds(&self, namespace: &Namespace) {
        let (printed, kinds) = self.says(&["crd"], "");
        assert!(printed, "{} prints its kinds", self.0.display());
        for manifest in documents(&kinds) {
            apply_as_given(&namespace.client(), &manifest).await;
        }
    }

    /// The children that it wants for an object; none where it refuses it.
    fn plan(&self, object: &Value) -> (bool, String) {
        self.says(&["render", "-f", "-"], &object.to_string())
    }
}

/// The older one comes from the environment, the newer one is that of these sources.
fn releases() -> (Release, Release) {
    let program =
        std::env::var_os("OPERATOR_BEFORE").expect("OPERATOR_BEFORE is the older program: make skew");
    (Release(PathBuf::from(program)), Release(PathBuf::from(BINARY)))
}

/// Each service of the examples that needs neither a broker nor a class.
fn services() -> Vec<Value> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let mut files: Vec<PathBuf> = std::fs::read_dir(directory).unwrap().map(|e| e.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|kind| kind == "yaml"));
    files.sort();
    let objects = files.iter().flat_map(|file| documents(&std::fs::read_to_string(file).unwrap()));
    let mut names = BTreeSet::new();
    let alone = |object: &Value| {
        object["kind"] == "Microservice"
            && object["spec"]["className"].is_null()
            && object["spec"]["kafka"].is_null()
    };
    let mut services: Vec<Value> = objects.filter(alone).collect();
    services.retain(|object| names.insert(object["metadata"]["name"].to_string()));
    for service in &mut services {
        service["metadata"].as_object_mut().expect("it has metadata").remove("namespace");
    }
    assert!(services.len() > 20, "the examples were not understood: {names:?}");
    services
}

/// Services in a namespace, and one operator process for it at a time.
struct Ground {
    namespace: Namespace,
    installation: Installation,
    audit: Audit,
    operator: Option<Operator>,
}

impl Ground {
    async fn new(cluster: &'static Cluster, name: &str) -> Self {
        let namespace = Namespace::new(cluster, name).await;
        let options = OperatorOptions::namespace(namespace.name());
        let installation = Installation::new(cluster, &options).await;
        Self { namespace, installation, audit: cluster.audit().await, operator: None }
    }

    /// Stops the version that runs, and starts this one.
    async fn run(&mut self, release: &Release) -> Mark {
        if let Some(mut running) = self.operator.take() {
            let (code, _) = running.stop().await;
            assert_eq!(code, Some(0), "the one before ended");
        }
        let mark = self.audit.mark().await;
        let mut options = OperatorOptions::namespace(self.namespace.name());
        options.program = Some(release.0.clone());
        self.operator = Some(Operator::start_in(&self.installation, options).await);
        mark
    }

    async fn apply(&self, services: &[Value]) {
        for service in services {
            self.namespace.apply(service.clone()).await;
        }
    }

    /// Waits until all are told of and have their pods, and nothing is written any more; then nothing may be.
    async fn state(&self, what: &str) -> State {
        let services = self.namespace.api::<Microservice>();
        eventually(
            PATIENCE,
            &format!("{what}: all services are told of, and their pods are there"),
            || async {
                let all =
                    services.list(&ListParams::default()).await.map_err(|error| error.to_string())?.items;
                let told = |object: &&Microservice| {
                    let status = object.status.clone().unwrap_or_default();
                    status.observed_generation == object.metadata.generation
                        && status.conditions.iter().all(|condition| condition.reason != "RolloutInProgress")
                };
                let told = all.iter().filter(told).count();
                if told == all.len() { Ok(()) } else { Err(format!("{told} of {}", all.len())) }
            },
        )
        .await;
        eventually(PATIENCE, &format!("{what}: comes to rest"), || async {
            let writes = self.written_within(PAUSE).await;
            if writes.count() == 0 { Ok(()) } else { Err(writes.to_string()) }
        })
        .await;
        let late = self.written_within(REST).await;
        assert_eq!(late.count(), 0, "{what}: it had come to rest, and wrote again: {late}");
        State::of(&self.namespace).await
    }

    async fn written_within(&self, time: Duration) -> Requests {
        let mark = self.audit.mark().await;
        tokio::time::sleep(time).await;
        self.written(mark).await
    }

    async fn written(&self, mark: Mark) -> Requests {
        let all = self.audit.since(mark).await.of(&self.installation.user()).writes();
        all.without("leases")
    }
}

/// The same but for counts, what an autoscaler decides, what is known to differ, and the status, which another
/// version words otherwise.
fn same(what: &str, state: &State, expected: &State, known: &Mask) {
    let mut mask = state.differences(expected);
    mask.retain(|path| path.starts_with("Microservice"));
    mask.extend(known.iter().cloned());
    mask.extend(state.left_by_others());
    mask.extend(expected.left_by_others());
    let same = state.compare(expected, &mask);
    same.unwrap_or_else(|error| panic!("{what}:\n    {error}"));
}

/// The services, and those that both versions plan alike.
struct Fleet {
    services: Vec<Value>,
    names: Vec<String>,
    alike: BTreeSet<String>,
}

impl Fleet {
    fn of(before: &Release, after: &Release) -> Self {
        let services = services();
        let name = |service: &Value| service["metadata"]["name"].as_str().expect("it has a name").to_owned();
        let alike = services.iter().filter(|service| before.plan(service) == after.plan(service)).map(name);
        let (names, alike): (Vec<_>, BTreeSet<_>) = (services.iter().map(name).collect(), alike.collect());
        println!("{} services, {} of them planned alike", names.len(), alike.len());
        Self { services, names, alike }
    }

    /// Nothing may be deleted, and nothing written of what both versions plan alike.
    fn check(&self, what: &str, writes: &Requests) {
        let children = writes.without("microservices/status").without("events");
        println!("{what}: {} writes, {} of them of children", writes.count(), children.count());
        let deleted = children.only(|request| request.verb == "delete");
        assert_eq!(deleted.count(), 0, "{what}: nothing is deleted: {deleted}");
        let needless = children.only(|request| self.alike.contains(self.service_of(&request.name)));
        assert_eq!(needless.count(), 0, "{what}: of what both plan alike nothing is written: {needless}");
    }

    /// A child has the name of its service, alone or with what it is for.
    fn service_of(&self, child: &str) -> &str {
        let is_child = |service: &&String| {
            let rest = child.strip_prefix(service.as_str());
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
        };
        self.names.iter().filter(is_child).max_by_key(|name| name.len()).map_or("", String::as_str)
    }
}

/// What a version makes of nothing, in a namespace of its own.
async fn from_scratch(cluster: &'static Cluster, release: &Release, fleet: &Fleet) -> State {
    let mut ground = Ground::new(cluster, "fresh").await;
    ground.run(release).await;
    ground.apply(&fleet.services).await;
    ground.state("from scratch").await
}

#[tokio::test(flavor = "multi_thread")]
async fn another_version_writes_what_it_plans_otherwise_and_back() {
    let (before, after) = releases();
    let cluster: &'static Cluster = Box::leak(Box::new(Cluster::own()));
    let mut ground = Ground::new(cluster, "skew").await;
    before.install_kinds(&ground.namespace).await;
    let fleet = Fleet::of(&before, &after);

    ground.run(&before).await;
    ground.apply(&fleet.services).await;
    let old = ground.state("before").await;

    after.install_kinds(&ground.namespace).await;
    let mark = ground.run(&after).await;
    let new = ground.state("upgraded").await;
    fleet.check("upgraded", &ground.written(mark).await);
    let (scratch, another) =
        (from_scratch(cluster, &after, &fleet).await, from_scratch(cluster, &after, &fleet).await);
    same("upgraded, instead of new from scratch", &new, &scratch, &scratch.differences(&another));

    let mark = ground.run(&before).await;
    let back = ground.state("back").await;
    fleet.check("back", &ground.written(mark).await);
    same("back, instead of before", &back, &old, &Mask::new());

    let mark = ground.run(&after).await;
    let again = ground.state("upgraded again").await;
    fleet.check("upgraded again", &ground.written(mark).await);
    same("upgraded again, instead of upgraded", &again, &new, &Mask::new());
    // A dead operator would pass all that counts writes.
    see_a_repair(&ground.namespace, &fleet.names[0]).await;
}
