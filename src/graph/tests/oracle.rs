//! The same findings by looking at every simple path of a small system: slow, and another way to think.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

/// Up to 8 services with random calls.
pub fn services() -> impl Strategy<Value = Vec<Service>> {
    (2_usize..=8).prop_flat_map(|count| {
        let time = || prop::option::of(1_u64..9);
        let call = (0..count, time(), time(), 1_u64..5, any::<bool>());
        prop::collection::vec(prop::collection::vec(call, 0..4), count).prop_map(|all| {
            let name = |number: usize| key(&number.to_string());
            let service = |(number, calls): (usize, Vec<_>)| {
                let mut seen = BTreeSet::from([number]);
                let call = |(to, timeout, per_try, attempts, optional)| {
                    let call = Call { timeout, per_try, attempts, optional, ..Call::to(name(to)) };
                    seen.insert(to).then_some(call)
                };
                Service { calls: calls.into_iter().filter_map(call).collect(), ..Service::new(name(number)) }
            };
            all.into_iter().enumerate().map(service).collect()
        })
    })
}

type Calls<'s> = BTreeMap<&'s Key, BTreeMap<&'s Key, &'s Call>>;

fn calls(system: &System, required: bool) -> Calls<'_> {
    let mut calls = Calls::new();
    for (from, to, call, _) in system.declared().filter(|(.., call, _)| !(required && call.optional)) {
        calls.entry(&from.key).or_default().insert(to, call);
    }
    calls
}

/// Every path without repetition that begins at a service; the service alone too.
fn paths<'s>(calls: &Calls<'s>, from: &'s Key) -> Vec<Vec<&'s Key>> {
    let (mut all, mut open) = (Vec::new(), vec![vec![from]]);
    while let Some(path) = open.pop() {
        let last = path[path.len() - 1];
        for next in calls.get(last).into_iter().flat_map(BTreeMap::keys).filter(|next| !path.contains(next)) {
            open.push([path.as_slice(), &[next]].concat());
        }
        all.push(path);
    }
    all
}

fn reaches<'s>(calls: &Calls<'s>, from: &'s Key) -> BTreeSet<&'s Key> {
    paths(calls, from).into_iter().map(|path| path[path.len() - 1]).collect()
}

fn together<'s>(calls: &Calls<'s>, a: &'s Key, b: &'s Key) -> bool {
    reaches(calls, a).contains(b) && reaches(calls, b).contains(a)
}

/// The limits of the two classes, and which of them a service has: the second where the bit at its name is
/// set.
const CLASSES: [Limits; 2] = [
    Limits { chain: 2, amplification: 10, amplification_error: 27, hub: 10, hub_share: 25 },
    Limits { chain: 1, amplification: 4, amplification_error: 12, hub: 2, hub_share: 0 },
];

fn class(key: &Key, strict: u8) -> usize {
    usize::from((strict >> key.name.parse::<u8>().unwrap()) & 1)
}

/// Holds every definition against the findings.
pub fn compare(system: &System, strict: u8) {
    let [usual, other] = CLASSES.map(super::strict);
    let mut policies = Policies::from(usual);
    for service in system.services().iter().filter(|service| class(&service.key, strict) == 1) {
        policies.set(service.key.clone(), other.clone());
    }
    let found = findings(system, &policies);
    let of = |kind| found.iter().filter(move |one: &&Finding| one.kind == kind);
    let keys: Vec<&Key> = system.services().iter().map(|service| &service.key).collect();
    let (all, required) = (calls(system, false), calls(system, true));
    cycles(&keys, &all, &of(Kind::Cycle).collect::<Vec<_>>());
    timeouts(&all, &required, &found);
    retries(&keys, &all, &of(Kind::RetryAmplification).collect::<Vec<_>>(), strict);
    chains(&keys, &required, &of(Kind::LongChain).collect::<Vec<_>>(), strict);
    hubs(&keys, &all, &of(Kind::FanInHub).collect::<Vec<_>>(), strict);
    for key in &keys {
        let needed = i32::try_from(reaches(&required, key).len()).unwrap() - 1;
        let below = 0.999_f64.powi(needed) < 0.999 - 1e-12;
        assert_eq!(of(Kind::AvailabilityCeiling).any(|one| one.path[0] == **key), below, "{key}");
    }
}

fn cycles(keys: &[&Key], all: &Calls<'_>, found: &[&Finding]) {
    let mut groups: BTreeSet<Vec<Key>> = BTreeSet::new();
    for key in keys {
        let group: Vec<Key> =
            keys.iter().filter(|other| together(all, key, other)).map(|key| (**key).clone()).collect();
        if group.len() > 1 {
            groups.insert(group);
        }
    }
    assert_eq!(found.iter().map(|one| one.services.clone()).collect::<BTreeSet<_>>(), groups);
    for finding in found {
        let shortest = finding.services.iter().flat_map(|key| {
            let back = paths(all, key)
                .into_iter()
                .filter(|path| all.get(path[path.len() - 1]).is_some_and(|next| next.contains_key(key)));
            back.map(|path| path.len()).min()
        });
        assert_eq!(Some(finding.path.len() - 1), shortest.min(), "{finding:?}");
        assert_eq!(finding.path.first(), finding.path.last());
        assert!(finding.path.windows(2).all(|pair| all[&pair[0]].contains_key(&pair[1])), "{finding:?}");
    }
}

fn timeouts(all: &Calls<'_>, required: &Calls<'_>, found: &[Finding]) {
    let has = |kind: Kind, from: &Key, to: &Key| {
        found.iter().any(|one| one.kind == kind && one.path[0] == *from && one.path[1] == *to)
    };
    for (from, calls) in all {
        for (to, call) in calls {
            let attempt = call.per_try.or(call.timeout);
            let whole = |call: &&Call| call.timeout.or(call.per_try.map(|each| each * call.attempts));
            let times: Vec<u64> =
                required.get(to).into_iter().flat_map(BTreeMap::values).filter_map(whole).collect();
            let (max, sum) = (times.iter().copied().max().unwrap_or(0), times.iter().sum::<u64>());
            let inverted = !call.optional && attempt.is_some_and(|attempt| attempt < max);
            let possible = !call.optional && !inverted && attempt.is_some_and(|attempt| attempt < sum);
            assert_eq!(has(Kind::TimeoutInversion, from, to), inverted, "{from} {to}");
            assert_eq!(has(Kind::TimeoutInversionPossible, from, to), possible, "{from} {to}");
            let unusable = call.timeout.zip(call.per_try).is_some_and(|(t, p)| t < p * call.attempts);
            assert_eq!(has(Kind::RetryBudgetUnusable, from, to), unusable, "{from} {to}");
            assert_eq!(
                has(Kind::NoTimeout, from, to),
                !call.optional && whole(call).is_none(),
                "{from} {to}"
            );
        }
    }
}

fn retries(keys: &[&Key], all: &Calls<'_>, found: &[&Finding], strict: u8) {
    let tries = |from: &Key, to: &Key| all[from][to].attempts;
    let circling = |key: &&Key| {
        keys.iter().any(|from| {
            together(all, key, from)
                && all
                    .get(*from)
                    .into_iter()
                    .flatten()
                    .any(|(to, call)| call.attempts > 1 && together(all, from, to))
        })
    };
    let endless: BTreeSet<&Key> = keys.iter().copied().filter(|key| circling(key)).collect();
    let told: BTreeSet<&Key> =
        found.iter().filter(|one| one.numbers.is_empty()).flat_map(|one| &one.services).collect();
    assert_eq!(told, endless);
    let entry = |key: &&Key| {
        let group: Vec<&&Key> = keys.iter().filter(|other| together(all, key, other)).collect();
        !keys.iter().any(|from| {
            !group.contains(&from)
                && all.get(*from).is_some_and(|to| group.iter().any(|one| to.contains_key(**one)))
        })
    };
    // Over each way from an entry to a service: calls between circles count, those within do not retry. Of
    // each class the worst that begins at one of its services.
    for (key, number) in keys.iter().flat_map(|key| [(key, 0), (key, 1)]) {
        let entries = keys.iter().copied().filter(|from| entry(from));
        let ways: Vec<Vec<&Key>> =
            entries.flat_map(|from| paths(all, from)).filter(|way| way[way.len() - 1] == *key).collect();
        if ways.iter().any(|way| way.iter().any(|one| endless.contains(one))) {
            continue;
        }
        let first = |way: &[&Key]| {
            // Who of a circle at the begin is the caller of the first call out of it.
            way.windows(2).find(|pair| !together(all, pair[0], pair[1])).map(|pair| pair[0].clone())
        };
        let of_class = |way: &&Vec<&Key>| first(way).is_some_and(|key| class(&key, strict) == number);
        let product = |way: &[&Key]| way.windows(2).map(|pair| tries(pair[0], pair[1])).product::<u64>();
        let retried = |way: &[&Key]| way.windows(2).filter(|pair| tries(pair[0], pair[1]) > 1).count();
        let worst = ways.iter().filter(of_class).max_by_key(|way| (product(way), retried(way)));
        let high = worst.filter(|way| product(way) >= CLASSES[number].amplification && retried(way) >= 2);
        let of_class = |one: &&&Finding| class(&one.path[0], strict) == number && !one.numbers.is_empty();
        let mut told = found.iter().filter(of_class);
        match high {
            // Told here, or where it grew before.
            Some(way) => assert!(
                told.any(|one| one.numbers.first() == Some(&("attempts", product(way)))),
                "{key}: {way:?}"
            ),
            None => assert!(told.all(|one| one.path.last() != Some(*key)), "{key}"),
        }
    }
    for one in found.iter().filter(|one| !one.numbers.is_empty()) {
        let hard = one.numbers[0].1 >= CLASSES[class(&one.path[0], strict)].amplification_error;
        assert_eq!(one.severity, if hard { Severity::Error } else { Severity::Warning });
    }
}

fn hubs(keys: &[&Key], all: &Calls<'_>, found: &[&Finding], strict: u8) {
    for key in keys {
        let callers = all.values().filter(|calls| calls.contains_key(key)).count() as u64;
        let hub = callers >= CLASSES[class(key, strict)].hub;
        assert_eq!(found.iter().any(|one| one.path == [(*key).clone()]), hub, "{key}");
    }
}

/// The longest way in calls between circles, from each circle or service that nobody else needs.
fn chains(keys: &[&Key], required: &Calls<'_>, found: &[&Finding], strict: u8) {
    let between = |way: &[&Key]| way.windows(2).filter(|pair| !together(required, pair[0], pair[1])).count();
    let mut expected: BTreeSet<(Vec<&Key>, u64)> = BTreeSet::new();
    for key in keys {
        let group: Vec<&Key> = keys.iter().copied().filter(|other| together(required, key, other)).collect();
        let needed = keys.iter().any(|from| {
            !group.contains(from)
                && required.get(*from).is_some_and(|to| group.iter().any(|one| to.contains_key(*one)))
        });
        // Who of a circle begins the longest way is not said by the definition; only then classes may differ.
        let ways: Vec<_> = group.iter().flat_map(|from| paths(required, from)).collect();
        let longest = ways.iter().map(|way| between(way)).max().unwrap_or_default();
        let limit = |class: usize| CLASSES[class].chain;
        let limits: BTreeSet<u64> = group.iter().map(|key| limit(class(key, strict))).collect();
        let over = |limit: &u64| longest as u64 > *limit;
        let is_told = found.iter().any(|one| group.contains(&&one.path[0]));
        if !needed && (limits.iter().all(over) || is_told && limits.iter().any(over)) {
            expected.insert((group, longest as u64));
        }
    }
    assert_eq!(found.len(), expected.len(), "{found:?} {expected:?}");
    for (group, longest) in expected {
        let of = found.iter().filter(|one| group.contains(&&one.path[0]));
        assert_eq!(of.map(|one| one.numbers[0].1).collect::<Vec<_>>(), [longest]);
    }
}
