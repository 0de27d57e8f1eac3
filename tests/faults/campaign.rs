//! Runs many plans at once, tells how far it is, and sums up.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use futures::future::join_all;
use futures::{StreamExt, stream};

use super::plan::Plan;
use super::run::{self, Calm, Place};
use super::scenario::{self, Scenario};
use super::{Arguments, selection};
use crate::support::{Cluster, install_crds};

/// A scenario with what it does when nothing goes wrong.
struct Learned {
    scenario: Scenario,
    place: Place,
    calm: Calm,
}

/// Plans by class: how many held, and how many came to what they were meant for.
#[derive(Default)]
struct Tally {
    runs: usize,
    struck: usize,
    failed: Vec<String>,
}

/// Runs what the arguments ask for. Whether all held.
pub async fn run(arguments: &Arguments) -> bool {
    let wanted = wanted(arguments);
    println!("learning {} scenarios, two calm runs each", wanted.len());
    let learned = learn(arguments, wanted).await;
    let plans = plans(arguments, &learned);
    if plans.is_empty() {
        println!("no plan is like this; `--all --list` prints those that there are");
        return false;
    }
    if arguments.list {
        plans.iter().for_each(|(_, plan)| println!("{plan}"));
        return true;
    }
    let start = Instant::now();
    let campaign = Campaign { start, done: AtomicUsize::new(0), all: plans.len() };
    println!("{} plans, {} at a time", plans.len(), arguments.jobs);
    let alone = learned.iter().filter(|learned| learned.place.whole).map(|one| {
        let of_it = plans.iter().filter(|(learned, _)| learned.scenario.name == one.scenario.name).collect();
        campaign.lane(of_it, 1)
    });
    let shared = plans.iter().filter(|(learned, _)| !learned.place.whole).collect();
    let lanes = alone.chain([campaign.lane(shared, arguments.jobs)]);
    let results = join_all(lanes).await.into_iter().flatten().collect();
    sum_up(results)
}

/// The scenarios that the plans are of.
fn wanted(arguments: &Arguments) -> Vec<Scenario> {
    let mut scenarios = scenario::all();
    if !arguments.plan.is_empty() {
        let names: Vec<&str> = arguments.plan.iter().map(|plan| plan.scenario.as_str()).collect();
        scenarios.retain(|name, _| names.contains(&name.as_str()));
    } else if let Some(only) = arguments.only.as_deref().and_then(|only| only.split_once(':')) {
        scenarios.retain(|name, _| name == only.0);
    } else if !arguments.all && arguments.only.is_none() {
        scenarios.retain(|name, _| selection::QUICK.contains(&name.as_str()));
    }
    scenarios.into_values().collect()
}

async fn learn(arguments: &Arguments, scenarios: Vec<Scenario>) -> Vec<Learned> {
    // Once for all that run there.
    let shared = Cluster::shared();
    install_crds(&shared.client().await, shared).await;
    stream::iter(scenarios)
        .map(|scenario| async move {
            let place = place(arguments, &scenario);
            let calm = run::calm(place, &scenario).await;
            let calm = calm.unwrap_or_else(|error| panic!("{} without any trouble: {error}", scenario.name));
            let (name, writes, values) = (&scenario.name, calm.seen.writes.len(), calm.seen.state.len());
            println!(
                "{name}: {writes} writes, {values} values, {} of them another each time",
                calm.mask.len()
            );
            Learned { scenario, place, calm }
        })
        .buffer_unordered(arguments.jobs)
        .collect()
        .await
}

/// Classes belong to no namespace, and only an operator of all namespaces reads them: two of those in one
/// cluster would fight.
fn place(arguments: &Arguments, scenario: &Scenario) -> Place {
    let whole = scenario.has_class();
    let cluster = if whole { Box::leak(Box::new(Cluster::own())) } else { Cluster::shared() };
    Place { cluster, whole, rest: arguments.rest() }
}

fn plans<'a>(arguments: &Arguments, learned: &'a [Learned]) -> Vec<(&'a Learned, Plan)> {
    let of = |plan: &Plan| learned.iter().find(|learned| learned.scenario.name == plan.scenario);
    if !arguments.plan.is_empty() {
        let named = arguments.plan.iter().map(|plan| {
            let learned = of(plan).unwrap_or_else(|| panic!("there is no scenario {}", plan.scenario));
            (learned, plan.clone())
        });
        return named.collect();
    }
    let every = learned.iter().flat_map(|learned| {
        selection::all(&learned.scenario, &learned.calm.seen).into_iter().map(move |plan| (learned, plan))
    });
    let chosen = |plan: &Plan| match &arguments.only {
        Some(text) => plan.to_string().contains(text.as_str()),
        None => arguments.all || selection::is_quick(plan),
    };
    every.filter(|(_, plan)| chosen(plan)).collect()
}

/// How far all plans are.
struct Campaign {
    start: Instant,
    done: AtomicUsize,
    all: usize,
}

impl Campaign {
    /// Runs plans, so many at a time.
    async fn lane<'a>(
        &self,
        plans: Vec<&'a (&Learned, Plan)>,
        jobs: usize,
    ) -> Vec<(&'a Plan, Result<bool, String>)> {
        let one = async |(learned, plan): &'a (&Learned, Plan)| {
            let result = run::troubled(learned.place, &learned.scenario, plan, &learned.calm).await;
            if let Err(error) = &result {
                println!("FAILED {plan}\n    {error}");
            }
            self.progress();
            (plan, result)
        };
        stream::iter(plans).map(one).buffer_unordered(jobs).collect().await
    }

    fn progress(&self) {
        let done = self.done.fetch_add(1, Ordering::Relaxed) + 1;
        if done.is_multiple_of(10) || done == self.all {
            let left = self.start.elapsed().mul_f64((self.all - done) as f64 / done as f64);
            println!("{done} of {} plans, about {} min left", self.all, left.as_secs().div_ceil(60));
        }
    }
}

/// A line for each class, and the failures again.
fn sum_up(results: Vec<(&Plan, Result<bool, String>)>) -> bool {
    let mut classes: BTreeMap<&str, Tally> = BTreeMap::new();
    for (plan, result) in results {
        let tally = classes.entry(plan.class()).or_default();
        tally.runs += 1;
        match result {
            Ok(struck) => tally.struck += usize::from(struck),
            Err(_) => tally.failed.push(plan.to_string()),
        }
    }
    for (class, tally) in &classes {
        let (runs, struck, failed) = (tally.runs, tally.struck, tally.failed.len());
        println!("{class}: {runs} plans, {struck} came to their point, {failed} failed");
    }
    let failed: Vec<&String> = classes.values().flat_map(|tally| &tally.failed).collect();
    for plan in &failed {
        println!("again: make faults PLAN='{plan}'");
    }
    let runs: usize = classes.values().map(|tally| tally.runs).sum();
    println!("test result: {} passed; {} failed", runs - failed.len(), failed.len());
    runs > 0 && failed.is_empty()
}
