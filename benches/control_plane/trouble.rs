//! B11: services that fail for ever, and one that never stops to change. What the others feel of it is a ratio
//! to calm runs of the same load before and after.

use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::{ApiResource, DeleteParams, DynamicObject, Patch, PatchParams, PostParams};
use kube::core::GroupVersionKind;
use microservice_operator::api::Microservice;
use serde_json::{Value, json};

use crate::floor::write_status;
use crate::ground::{Fleet, Ground};
use crate::load::arrivals;
use crate::observer::Observer;
use crate::report::Report;
use crate::support::{Mark, apply_as_given, eventually};
use crate::times::{Rounds, Times};
use crate::workload::{microservice, name, named, policed};

/// New services a second beside the trouble.
const RATE: u32 = 5;
/// Without `SECONDS`.
const LENGTH: u64 = 60;
/// Changes a second of the storm.
const STORM: u32 = 50;
/// First wait of the operator after a child was refused; each later one is twice as long, up to five minutes.
const FIRST_WAIT: u64 = 15;
/// Characters of the longest message with which a child is refused.
const LONG: usize = 200_000;
/// What is wrong with a service.
const ILLS: [&str; 3] = ["refused", "lengthy", "secretless"];

/// B11.
pub async fn run(ground: &mut Ground, report: &mut Report) {
    let settings = ground.settings;
    let length = settings.seconds_or(LENGTH);
    let fleet = ground.filled(report).await;
    let observer = Observer::of(fleet.cluster, fleet.namespace.name()).await;
    let (mut poisoned, mut stormy) = (Rounds::default(), Rounds::default());
    for round in 0..settings.rounds {
        let policy = Policy::install(fleet).await;
        let calm = arrivals(fleet, &observer, RATE, length).await;
        let poison = Poison::spread(fleet, round).await;
        let beside_poison = arrivals(fleet, &observer, RATE, length).await;
        if round == 0 {
            poison.count(fleet, report).await;
        }
        poison.remove(fleet).await;
        let calm = calm.and(arrivals(fleet, &observer, RATE, length).await);
        policy.remove(fleet).await;
        let beside_storm = storm(fleet, &observer, length, (round == 0).then_some(&mut *report)).await;
        let elsewhere = beside_floor(fleet, &observer, length).await;
        if round == 0 {
            let all = [
                ("calm", &calm),
                ("beside poison", &beside_poison),
                ("beside a storm", &beside_storm),
                ("beside one that nobody serves", &elsewhere),
            ];
            for (what, times) in all {
                let metric = format!("the others, {what}, p50 [s]");
                report.measure("M13", &metric, None, times.percentile(50));
                report.measure("M13", &metric.replace("p50", "p99"), None, times.percentile(99));
            }
        }
        poisoned.push(beside_poison.percentile(99) / calm.percentile(99));
        stormy.push(beside_storm.percentile(99) / elsewhere.percentile(99));
    }
    report.rounds("M12", "p99 of the others beside poison / calm", Some(1.2), &poisoned);
    report.rounds(
        "M13",
        "p99 of the others beside a storm / beside one that nobody serves",
        Some(1.3),
        &stormy,
    );
}

/// Services that cannot be served: a twentieth of all.
struct Poison {
    names: Vec<String>,
    mark: Mark,
    since: Instant,
}

impl Poison {
    async fn spread(fleet: &mut Fleet, round: usize) -> Self {
        let names = (0..(fleet.settings.objects / 20).max(ILLS.len()))
            .map(|number| format!("poison-{}-{round}-{number:03}", ILLS[number % ILLS.len()]));
        let poison = Self { names: names.collect(), mark: fleet.audit.mark().await, since: Instant::now() };
        for name in &poison.names {
            let mut object = named(fleet.namespace.name(), name);
            if name.contains("secretless") {
                let missing = json!([{"name": "nobody-has-it", "env": [{"name": "KEY", "key": "key"}]}]);
                object.spec.secrets = serde_json::from_value(missing).expect("secrets of a service");
            }
            let services = fleet.namespace.api::<Microservice>();
            services.create(&PostParams::default(), &object).await.expect("the object is created");
        }
        poison.told(fleet).await;
        poison
    }

    /// Each tells what is wrong. That so many are made at once is no part of what they cost.
    async fn told(&self, fleet: &Fleet) {
        let services = fleet.namespace.api::<Microservice>();
        eventually(Duration::from_mins(2), "every poisoned service tells what is wrong", || async {
            for name in &self.names {
                let status =
                    services.get(name).await.map_err(|error| error.to_string())?.status.unwrap_or_default();
                let bad =
                    |kind: &str| status.conditions.iter().any(|c| c.type_ == kind && c.status == "False");
                if !bad("Applied") && !bad("SecretsReady") {
                    return Err(format!("{name}: {:?}", status.conditions));
                }
            }
            Ok(())
        })
        .await;
    }

    /// Each is tried again ever more seldom, and nothing is written of it.
    async fn count(&self, fleet: &Fleet, report: &mut Report) {
        let told = fleet.audit.mark().await;
        tokio::time::sleep(fleet.settings.rest).await;
        let of_poison =
            |mark| async move { fleet.sent(mark).await.only(|request| request.name.starts_with("poison-")) };
        let later = of_poison(told).await;
        let status = later.writes().resource("microservices/status").count();
        report.count("M12", "status writes of poison with nothing new", 0.0, status as f64);
        let attempts =
            of_poison(self.mark).await.writes().resource("services").only(|request| request.code >= 400);
        let most = self.names.iter().map(|name| attempts.only(|request| request.name == *name).count()).max();
        let allowed = attempts_within(self.since.elapsed());
        report.count(
            "M12",
            "attempts of a refused child, the most",
            allowed as f64,
            most.unwrap_or_default() as f64,
        );
        assert!(most > Some(0), "no child was refused: the policy is not in force");
    }

    async fn remove(&self, fleet: &mut Fleet) {
        for name in &self.names {
            fleet.delete_one(name).await;
        }
        fleet.known(fleet.objects).await;
        fleet.collect(&self.names).await;
        fleet.quiet().await;
    }
}

/// How often something may be tried in that time: at once, and after each wait.
fn attempts_within(time: Duration) -> usize {
    let waits = (0..).map(|count: u32| (FIRST_WAIT << count.min(16)).min(300));
    let at = waits.scan(0, |sum, wait| {
        *sum += wait;
        Some(*sum)
    });
    1 + at.take_while(|&at| at <= time.as_secs()).count()
}

/// Services of poisoned ones are refused, of some with a message that fills a status. It is asked for those of
/// the others too, so it is there in the calm runs as well.
struct Policy(String);

impl Policy {
    async fn install(fleet: &Fleet) -> Self {
        let policy = Self(format!("poison.{}", fleet.namespace.name()));
        policy.apply(fleet).await;
        policy.wait(fleet).await;
        policy
    }

    async fn apply(&self, fleet: &Fleet) {
        let client = fleet.namespace.client();
        let spec = json!({
            "failurePolicy": "Fail",
            "matchConstraints": {
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": fleet.namespace.name()}},
                "resourceRules": [{
                    "apiGroups": [""], "apiVersions": ["v1"], "resources": ["services"], "operations": ["CREATE"],
                }],
            },
            "validations": [
                {"expression": "!object.metadata.name.startsWith('poison-refused')", "message": "no poison here"},
                {"expression": "!object.metadata.name.startsWith('poison-lengthy')", "message": "long ".repeat(LONG / 5).trim_end()},
            ],
        });
        let policy = &self.0;
        let manifest = |kind: &str, spec: Value| {
            json!({
                "apiVersion": "admissionregistration.k8s.io/v1", "kind": kind, "metadata": {"name": policy},
                "spec": spec,
            })
        };
        apply_as_given(&client, &manifest("ValidatingAdmissionPolicy", spec)).await;
        let binding = json!({"policyName": policy, "validationActions": ["Deny"]});
        apply_as_given(&client, &manifest("ValidatingAdmissionPolicyBinding", binding)).await;
    }

    async fn wait(&self, fleet: &Fleet) {
        let policy = &self.0;
        let probe: k8s_openapi::api::core::v1::Service = serde_json::from_value(json!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": "poison-refused"}, "spec": {"ports": [{"port": 80}]},
        }))
        .expect("a Service");
        let dry = PostParams { dry_run: true, ..PostParams::default() };
        eventually(Duration::from_secs(30), &format!("the policy {policy} is in force"), || async {
            match fleet.namespace.api().create(&dry, &probe).await {
                Err(error) if error.to_string().contains("no poison here") => Ok(()),
                other => Err(format!("{:?}", other.map(drop))),
            }
        })
        .await;
    }

    async fn remove(self, fleet: &Fleet) {
        for kind in ["ValidatingAdmissionPolicyBinding", "ValidatingAdmissionPolicy"] {
            let deleted = admission(fleet, kind).delete(&self.0, &DeleteParams::default()).await;
            deleted.unwrap_or_else(|error| panic!("{kind} {}: {error}", self.0));
        }
    }
}

fn admission(fleet: &Fleet, kind: &str) -> Api<DynamicObject> {
    let kind = GroupVersionKind::gvk("admissionregistration.k8s.io", "v1", kind);
    Api::all_with(fleet.namespace.client(), &ApiResource::from_gvk(&kind))
}

/// Changes one service all the time, one change after the other. Returns how often. (Changes at the same time
/// stand in each other's way: the API server computes each of them anew whenever another one was first, which
/// costs it several times as much, and is no doing of the operator.)
async fn gusts(services: &Api<Microservice>, service: &str, length: Duration) -> usize {
    let (begin, mut ticks) = (Instant::now(), tokio::time::interval(Duration::from_secs(1) / STORM));
    let mut count = 0;
    while begin.elapsed() < length {
        ticks.tick().await;
        change(services, service, count.to_string()).await;
        count += 1;
    }
    count
}

async fn change(services: &Api<Microservice>, service: &str, number: String) {
    let patch = Patch::Merge(json!({"spec": {"config": {"NUMBER": number}}}));
    let changed = services.patch(service, &PatchParams::default(), &patch).await;
    changed.unwrap_or_else(|error| panic!("changing {service}: {error}"));
}

/// The usual load beside a storm in a namespace without an operator: what it costs the API server alone. The
/// object has the status of a served one, with which each change of it costs the server more.
async fn beside_floor(fleet: &mut Fleet, observer: &Observer, length: Duration) -> Times {
    let namespace = policed(fleet.cluster, "storm").await;
    let services = namespace.api::<Microservice>();
    let object = microservice(namespace.name(), 0);
    services.create(&PostParams::default(), &object).await.expect("the object is created");
    let service = name(0);
    let served = fleet.namespace.get::<Microservice>(&service).await;
    write_status(&services, 0, &json!(served.status)).await;
    tokio::join!(arrivals(fleet, observer, RATE, length), gusts(&services, &service, length)).0
}

/// One service whose configuration changes all the time, beside the usual load.
async fn storm(
    fleet: &mut Fleet,
    observer: &Observer,
    length: Duration,
    report: Option<&mut Report>,
) -> Times {
    let stormy = fleet.fresh(1);
    fleet.add(stormy.clone()).await;
    let service = name(stormy.start);
    let config = format!("{service}-config");
    let mark = fleet.audit.mark().await;
    let services = fleet.namespace.api::<Microservice>();
    let (beside, changes) =
        tokio::join!(arrivals(fleet, observer, RATE, length), gusts(&services, &service, length));
    let last = Instant::now();
    change(&services, &service, "last".to_owned()).await;
    let configs = fleet.namespace.api::<ConfigMap>();
    eventually(Duration::from_mins(1), &format!("ConfigMap {config} has the last change"), || async {
        let data = configs.get(&config).await.map_err(|error| error.to_string())?.data.unwrap_or_default();
        let number = data.get("NUMBER").cloned().unwrap_or_default();
        if number == "last" { Ok(()) } else { Err(number) }
    })
    .await;
    let right = last.elapsed();
    fleet.quiet().await;
    if let Some(report) = report {
        let written =
            fleet.sent(mark).await.writes().resource("configmaps").only(|request| request.name == config);
        report.measure("M13", "changes of the storm", None, changes as f64);
        report.measure("M13", "writes of its ConfigMap", None, written.count() as f64);
        report.count(
            "M13",
            "storms without a write while they last",
            0.0,
            f64::from(u8::from(written.count() < 2)),
        );
        report.measure("M13", "right after the last change [s]", Some(1.0), right.as_secs_f64());
    }
    beside
}
