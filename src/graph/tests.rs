//! Each finding by a case computed by hand, and all of them against every path of small random graphs.

use proptest::prelude::*;

use super::*;
use crate::kafka::consent::Consent;

mod oracle;

fn key(name: &str) -> Key {
    Key::new("shop", name)
}

/// `a -> b` with what is said of it: `t=500` (timeout), `p=200` (per try), `x=2` (attempts in all), `?`
/// (optional).
fn system(edges: &str) -> System {
    let mut services: std::collections::BTreeMap<Key, Service> = std::collections::BTreeMap::new();
    for line in edges.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let mut words = line.split_whitespace();
        let (from, to) = (key(words.next().unwrap()), words.next().unwrap());
        let mut call = Call::to(key(to));
        for word in words {
            match word.split_once('=') {
                Some(("t", number)) => call.timeout = Some(number.parse().unwrap()),
                Some(("p", number)) => call.per_try = Some(number.parse().unwrap()),
                Some(("x", number)) => call.attempts = number.parse().unwrap(),
                None if word == "?" => call.optional = true,
                _ => panic!("{word}"),
            }
        }
        services.entry(key(to)).or_insert_with(|| Service::new(key(to)));
        let caller = services.entry(from.clone()).or_insert_with(|| Service::new(from));
        caller.calls = caller.calls.iter().cloned().chain([call]).collect();
    }
    System::new(services.into_values())
}

/// The messages of one kind.
fn told(system: &System, kind: Kind) -> Vec<String> {
    let found = findings(system, &Policies::default());
    found
        .into_iter()
        .filter(|one| one.kind == kind)
        .map(|one| format!("{}: {}", one.severity, one.message))
        .collect()
}

fn of(edges: &str, kind: Kind) -> Vec<String> {
    told(&system(edges), kind)
}

const NOTHING: [&str; 0] = [];

#[test]
fn a_call_needs_a_service_a_port_and_consent() {
    let mut caller = Service::new(key("order"));
    let port = |to: &str, port| Call { port: Some(port), ..Call::to(key(to)) };
    caller.calls = [
        Call::to(key("gone")),
        port("stock", PortName::Name("grpc".into())),
        port("stock", PortName::Number(3000)),
        Call::to(key("worker")),
        Call::to(key("bank")),
        Call::to(Key::new("other", "bank")),
    ]
    .into();
    let bank = |namespace: &str, callers| Service { callers, ..Service::new(Key::new(namespace, "bank")) };
    let nobody = Consent::Services(Default::default());
    let worker = Service { ports: [].into(), ..Service::new(key("worker")) };
    let services = [
        caller,
        Service::new(key("stock")),
        worker,
        bank("shop", nobody),
        bank("other", Consent::OwnNamespace),
    ];
    let system = System::new(services);
    assert_eq!(told(&system, Kind::MissingPeer), ["error: shop/order calls shop/gone, which does not exist"]);
    assert_eq!(
        told(&system, Kind::UnknownPort),
        [
            "error: shop/order calls shop/stock on port grpc, and that has http (3000)",
            "error: shop/order calls shop/worker on a port, and that has no port at all"
        ]
    );
    assert_eq!(
        told(&system, Kind::PendingConsent),
        [
            "error: shop/order calls other/bank, whose callers do not name it",
            "error: shop/order calls shop/bank, whose callers do not name it"
        ]
    );
    assert_eq!(told(&system, Kind::NoTimeout).len(), 6);
}

#[test]
fn a_circle_is_shown_by_its_shortest_way() {
    let circle = "a b\nb c\nc d\nd a\nc b ?\nd e";
    assert_eq!(
        of(circle, Kind::Cycle),
        [
            "error: 4 services wait for each other in a circle, the shortest way round being shop/b → shop/c → shop/b"
        ]
    );
    let found = findings(&system(circle), &Policies::default());
    let cycle = found.iter().find(|one| one.kind == Kind::Cycle).unwrap();
    assert_eq!(cycle.services, ["a", "b", "c", "d"].map(key));
    assert_eq!(of("a b\nb c\na c", Kind::Cycle), NOTHING);
    assert_eq!(of("a b\nb c\nc a", Kind::Cycle).len(), 1);
    assert_eq!(of("a b\nb a\nc d\nd c", Kind::Cycle).len(), 2);
}

#[test]
fn a_circle_that_events_close_is_told_as_that() {
    let topic = |name: &str| Topic { cluster: "main".into(), name: name.into() };
    let mut order = Service::new(key("order"));
    order.calls = [Call::to(key("stock"))].into();
    order.consumes = [topic("stock-events")].into();
    let mut stock = Service::new(key("stock"));
    stock.produces = [topic("stock-events"), topic("self")].into();
    stock.consumes = [topic("self")].into();
    let system = System::new([order.clone(), stock.clone()]);
    assert_eq!(
        told(&system, Kind::EventLoop),
        ["info: calls and events go round in a circle: shop/order → shop/stock → shop/order"]
    );
    assert_eq!(told(&system, Kind::Cycle), NOTHING);
    order.calls = [].into();
    assert_eq!(told(&System::new([order, stock]), Kind::EventLoop), NOTHING);
}

#[test]
fn a_caller_must_wait_longer_than_its_callee() {
    let of = |edges| (of(edges, Kind::TimeoutInversion), of(edges, Kind::TimeoutInversionPossible));
    let (inverted, possible) = of("a b t=500\nb c t=400\nb d t=800");
    assert_eq!(inverted, ["error: shop/a waits 500ms for shop/b, which itself may wait 800ms for shop/d"]);
    assert_eq!(possible, NOTHING);
    let (inverted, possible) = of("a b t=1000\nb c t=400\nb d t=800");
    assert_eq!(inverted, NOTHING);
    assert_eq!(possible, ["info: shop/a waits 1s for shop/b, whose calls may take 1200ms one after another"]);
    // One attempt counts, not all of them; and of the callee all attempts do.
    assert_eq!(of("a b t=3000 p=500 x=3\nb c p=200 x=3").0.len(), 1);
    assert_eq!(of("a b t=3000 p=600 x=3\nb c p=200 x=3").0, NOTHING);
    // What is not known, and what is not needed, is not compared.
    assert_eq!(of("a b\nb c t=400"), (vec![], vec![]));
    assert_eq!(of("a b t=100\nb c"), (vec![], vec![]));
    assert_eq!(of("a b t=100 ?\nb c t=400"), (vec![], vec![]));
    assert_eq!(of("a b t=100\nb c t=400 ?"), (vec![], vec![]));
}

#[test]
fn attempts_must_fit_into_the_timeout() {
    let of = |edges| of(edges, Kind::RetryBudgetUnusable);
    assert_eq!(
        of("a b t=1000 p=400 x=3"),
        ["warning: shop/a gives shop/b 1s in all, and 3 attempts of 400ms take 1200ms"]
    );
    assert_eq!(of("a b t=1200 p=400 x=3"), NOTHING);
    assert_eq!(of("a b t=1000 x=3"), NOTHING);
}

#[test]
fn retries_multiply_along_the_way() {
    let of = |edges| of(edges, Kind::RetryAmplification);
    assert_eq!(
        of("a b x=3\nb c x=4\nc d"),
        ["warning: one request may become 12 attempts at shop/c: shop/a → shop/b → shop/c"]
    );
    assert_eq!(of("a b x=3\nb c x=3"), NOTHING);
    assert_eq!(of("a b x=12\nb c"), NOTHING, "one place alone is a choice");
    assert_eq!(
        of("a b x=3\nb c x=3\nc d x=3"),
        ["error: one request may become 27 attempts at shop/d: shop/a → shop/b → shop/c → shop/d"]
    );
    let circle = of("a b x=2\nb c\nc b x=2\nc d x=9");
    assert_eq!(circle, ["error: attempts without bound in a circle of 2 services: shop/b → shop/c → shop/b"]);
    assert_eq!(
        of("a b x=2\nb c\nc b\nc d x=9").len(),
        1,
        "a circle that does not retry passes on what comes"
    );
}

#[test]
fn the_load_adds_up_what_all_entries_send() {
    let found = findings(&system("a c x=4\nb c x=4\nc d x=3"), &Policies::default());
    let retries = found.iter().find(|one| one.kind == Kind::RetryAmplification).unwrap();
    assert_eq!(retries.numbers, [("attempts", 12), ("load", 24)]);
}

#[test]
fn a_chain_has_three_calls_at_most() {
    let of = |edges| of(edges, Kind::LongChain);
    assert_eq!(of("a b\nb c\nc d"), NOTHING);
    assert_eq!(
        of("a b t=900\nb c t=600\nc d t=300\nd e t=100\nb e t=9"),
        [
            "warning: 4 calls wait for one another, with timeouts of 1900ms in all: shop/a → shop/b → shop/c → shop/d → shop/e"
        ]
    );
    assert_eq!(
        of("a b\nb c t=600\nc d t=300\nd e t=100"),
        ["warning: 4 calls wait for one another: shop/a → shop/b → shop/c → shop/d → shop/e"]
    );
    assert_eq!(of("a b\nb c ?\nc d\nd e"), NOTHING);
    assert_eq!(of("a b\nb c\nc d\nd e\nx b").len(), 2, "each entry has a chain of its own");
}

#[test]
fn nobody_promises_more_than_what_it_needs() {
    let of = |edges| of(edges, Kind::AvailabilityCeiling);
    assert_eq!(of("a b"), NOTHING);
    assert_eq!(
        of("a b\na c\nb d\nc d"),
        [
            "warning: shop/a is held to 99.900 % availability, and the 3 services that it needs allow 99.700 % at most"
        ],
        "d is needed twice and counts once"
    );
    assert_eq!(of("a b\na c ?"), NOTHING);
    assert_eq!(of("a b\nb a\na c").len(), 2, "nobody needs itself");
}

#[test]
fn a_hub_is_called_by_ten_and_a_quarter_of_all() {
    let star = |callers: usize, others: usize| {
        let lines: Vec<String> = (0..callers)
            .map(|n| format!("c{n:02} hub"))
            .chain((0..others).map(|n| format!("x{n:02} y{n:02}")))
            .collect();
        of(&lines.join("\n"), Kind::FanInHub)
    };
    assert_eq!(star(10, 0), ["info: 10 of 11 services call shop/hub"]);
    assert_eq!(star(9, 0), NOTHING);
    assert_eq!(star(10, 14).len(), 1, "10 of 39");
    assert_eq!(star(10, 15), NOTHING, "10 of 41");
}

#[test]
fn topics_and_databases_have_one_owner() {
    let topic = Topic { cluster: "main".into(), name: "orders".into() };
    let other = Topic { cluster: "second".into(), ..topic.clone() };
    let with = |name: &str, topic: &Topic| Service {
        owns: [topic.clone()].into(),
        databases: ["key url of Secret shop/db".into()].into(),
        ..Service::new(key(name))
    };
    let system = System::new([with("a", &topic), with("b", &topic), with("c", &other)]);
    assert_eq!(
        told(&system, Kind::SharedTopicOwner),
        ["error: shop/a and shop/b own the topic orders on main"]
    );
    assert_eq!(
        told(&system, Kind::SharedDatabase),
        ["error: shop/a, shop/b and shop/c use the database of key url of Secret shop/db"]
    );
    let many = System::new((0..1000).map(|number| with(&format!("s{number:03}"), &other)));
    assert_eq!(
        told(&many, Kind::SharedTopicOwner),
        [
            "error: shop/s000, shop/s001, shop/s002, shop/s003, shop/s004 and 995 more own the topic orders on second"
        ]
    );
}

#[test]
fn the_policy_changes_how_bad_it_is_and_from_where_on() {
    let system = system("a b\nb c\nb a");
    let mut policy = Policy::default();
    policy.severities.insert(Kind::Cycle, Some(Severity::Warning));
    policy.severities.insert(Kind::NoTimeout, None);
    policy.limits.chain = 0;
    let found = findings(&system, &policy.into());
    let told: Vec<_> = found.iter().map(|one| (one.kind, one.severity)).collect();
    assert_eq!(
        told,
        [
            (Kind::Cycle, Severity::Warning),
            (Kind::LongChain, Severity::Warning),
            (Kind::AvailabilityCeiling, Severity::Warning),
            (Kind::AvailabilityCeiling, Severity::Warning)
        ]
    );
}

fn strict(limits: Limits) -> Policy {
    Policy { limits, ..Policy::default() }
}

fn under(policies: &[(&str, Policy)]) -> Policies {
    let mut all = Policies::default();
    policies.iter().for_each(|(name, policy)| all.set(key(name), policy.clone()));
    all
}

/// Messages of one kind under these policies.
fn judged(edges: &str, kind: Kind, policies: &[(&str, Policy)]) -> Vec<String> {
    let found = findings(&system(edges), &under(policies));
    found.into_iter().filter(|one| one.kind == kind).map(|one| one.message).collect()
}

#[test]
fn each_is_judged_under_the_class_of_the_first_of_its_path() {
    let off = |kind| Policy { severities: [(kind, None)].into(), ..Policy::default() };
    let count = |edges, kind, policies: &[_]| judged(edges, kind, policies).len();
    // The caller of an edge.
    assert_eq!(count("a b", Kind::NoTimeout, &[("a", off(Kind::NoTimeout))]), 0);
    assert_eq!(count("a b", Kind::NoTimeout, &[("b", off(Kind::NoTimeout))]), 1);
    // The start of a chain.
    let short = || strict(Limits { chain: 1, ..Limits::default() });
    assert_eq!(
        judged("a b\nb c\nx b", Kind::LongChain, &[("x", short())]),
        ["2 calls wait for one another: shop/x → shop/b → shop/c"]
    );
    // The hub itself.
    let few = || strict(Limits { hub: 2, hub_share: 0, ..Limits::default() });
    assert_eq!(
        judged("a h\nb h\na i\nb i", Kind::FanInHub, &[("h", few()), ("a", few())]),
        ["2 of 4 services call shop/h"]
    );
    // The first by name of a circle, also if the shortest way round does not pass it.
    let circle = "a b\nb c\nc d\nd a\nc b ?";
    assert_eq!(count(circle, Kind::Cycle, &[("a", off(Kind::Cycle))]), 0);
    assert_eq!(count(circle, Kind::Cycle, &[("b", off(Kind::Cycle))]), 1);
}

#[test]
fn the_worst_way_of_one_class_does_not_hide_that_of_another() {
    let low = || strict(Limits { amplification: 4, amplification_error: 5, ..Limits::default() });
    let edges = "a c x=3\nz c x=2\nc d x=3";
    let far = "one request may become 9 attempts at shop/d: shop/a → shop/c → shop/d";
    let near = "one request may become 6 attempts at shop/d: shop/z → shop/c → shop/d";
    let told = |policies: &[_]| judged(edges, Kind::RetryAmplification, policies);
    assert_eq!(told(&[]), NOTHING);
    assert_eq!(told(&[("a", low())]), [far]);
    assert_eq!(told(&[("z", low())]), [near]);
    assert_eq!(told(&[("a", low()), ("z", low())]), [far], "one class is told its worst");
    let found = findings(&system(edges), &under(&[("z", low())]));
    let retries = found.iter().find(|one| one.kind == Kind::RetryAmplification).unwrap();
    assert_eq!(
        (retries.severity, retries.numbers.as_slice()),
        (Severity::Error, &[("attempts", 6), ("load", 15)][..])
    );
}

#[test]
fn a_class_says_it_as_the_schema_has_it() {
    let class: crate::api::MicroserviceClass = serde_json::from_value(serde_json::json!({
        "apiVersion": "microservice.dev/v1alpha1",
        "kind": "MicroserviceClass",
        "metadata": {"name": "strict"},
        "spec": {"graph": {"limits": {"chain": 2}, "severities": {"NoTimeout": "Warning", "FanInHub": "Off"}}},
    }))
    .unwrap();
    let mut policies = Policies::default();
    policies.put(key("a"), Some(&class));
    let policy = policies.of(&key("a"));
    assert_eq!(policy.limits, Limits { chain: 2, ..Limits::default() });
    assert_eq!(policy.severity(Kind::NoTimeout, Severity::Info), Some(Severity::Warning));
    assert_eq!(policy.severity(Kind::FanInHub, Severity::Info), None);
    assert_eq!(policies.of(&key("b")), &Policy::default());
    let rule = crate::api::rules::rules().find(|rule| rule.id == "graph-kind").unwrap();
    let names = Kind::ALL.map(|kind| format!("'{kind}'")).join(", ");
    assert_eq!(rule.rule, format!("self.all(k, k in [{names}])"));
    assert!(Kind::ALL.iter().all(|kind| rule.message.contains(kind.as_str())));
}

#[test]
fn a_part_of_the_system_has_its_neighbours_and_nothing_behind_them() {
    let meant = key("b");
    let system = system("a b\na d\nb c\nc d\nd c");
    let part = system.around(|key| *key == meant);
    let names: Vec<&str> = part.services().iter().map(|service| service.key.name.as_str()).collect();
    assert_eq!(names, ["a", "b", "c"]);
    let calls: Vec<(&str, &str)> =
        part.declared().map(|(from, to, ..)| (from.key.name.as_str(), to.name.as_str())).collect();
    assert_eq!(calls, [("a", "b"), ("b", "c")]);
}

proptest! {
    #[test]
    fn every_path_says_the_same(services in oracle::services(), strict in any::<u8>()) {
        oracle::compare(&System::new(services), strict);
    }
}

/// A ring on top of random calls: one component, the worst for everything that walks.
fn large(count: usize) -> System {
    let name = |number: usize| key(&format!("s{:05}", number % count));
    System::new((0..count).map(|number| {
        let call = |to: usize| Call { timeout: Some(1000), ..Call::to(name(to)) };
        let calls = [1, 7, 77, 777, 7777].map(|step| call(number * 3 + step)).into();
        Service { calls, ..Service::new(name(number)) }
    }))
}

#[test]
fn ten_thousand_services_are_no_trouble() {
    let system = large(10_000);
    let found = findings(&system, &Policies::default());
    assert!(found.iter().any(|one| one.kind == Kind::AvailabilityCeiling));
}
