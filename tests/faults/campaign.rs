//! Runs many plans at once, tells how far it is, and sums up.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures::future::join_all;
use futures::{StreamExt, stream};

use super::plan::{Plan, Trouble};
use super::run::{self, Calm, Place};
use super::scenario::{self, Scenario};
use super::{Arguments, chains, selection};
use crate::support::{Cluster, Strike, install_crds};

/// A scenario with what it does when nothing goes wrong.
struct Learned {
    scenario: Scenario,
    place: Place,
    calm: Calm,
}

/// A plan, and where it runs.
struct Run<'a> {
    learned: &'a Learned,
    place: Place,
    plan: Plan,
}

/// Plans by class: how many held, and how many came to what they were meant for.
#[derive(Default)]
struct Tally {
    runs: usize,
    struck: usize,
    failed: Vec<String>,
}

/// What became of one plan: what has gone wrong, or what was not as it must be.
type Outcome = (Plan, Result<Vec<Strike>, String>);

/// Runs what the arguments ask for. Whether all held.
pub async fn run(arguments: &Arguments) -> bool {
    match (arguments.chaos, arguments.chains) {
        (Some(minutes), _) => chaos(arguments, minutes).await,
        (_, Some(count)) => chains(arguments, count).await,
        _ => points(arguments).await,
    }
}

/// One plan after the other.
async fn points(arguments: &Arguments) -> bool {
    let learned = learn(arguments, wanted(arguments)).await;
    let plans = plans(arguments, &learned);
    if plans.is_empty() {
        println!("no plan is like this; `--all --list` prints those that there are");
        return false;
    }
    if arguments.list {
        plans.iter().for_each(|(_, plan)| println!("{plan}"));
        return true;
    }
    let campaign = Campaign::of(End::After(plans.len()));
    println!("{} plans, {} at a time", plans.len(), arguments.jobs);
    let (whole, shared): (Vec<_>, Vec<_>) = plans.into_iter().partition(|(learned, _)| learned.place.whole);
    let mut alone: BTreeMap<(String, usize), Vec<Run<'_>>> = BTreeMap::new();
    for (number, (learned, plan)) in whole.into_iter().enumerate() {
        let number = number % arguments.clusters();
        let lane = alone.entry((plan.scenario.clone(), number)).or_default();
        let place = match lane.first() {
            Some(run) => run.place,
            None if number == 0 => learned.place,
            None => place(arguments, &learned.scenario),
        };
        lane.push(Run { learned, place, plan });
    }
    let lanes = alone.into_values().map(|runs| campaign.lane(runs, 1));
    let shared = shared.into_iter().map(|(learned, plan)| learned.run(plan)).collect();
    let lanes = lanes.chain([campaign.lane(shared, arguments.jobs)]);
    sum_up(&join_all(lanes).await.concat())
}

/// Scenario after scenario with much that goes wrong, each time other things.
async fn chaos(arguments: &Arguments, minutes: u64) -> bool {
    let mut scenarios: Vec<Scenario> = scenario::all().into_values().collect();
    let only = arguments.only.as_deref().unwrap_or_default();
    scenarios.retain(|scenario| !scenario.has_class() && scenario.name.contains(only));
    let learned = learn(arguments, scenarios).await;
    let seed = arguments.seed();
    println!("chaos for {minutes} min from seed {seed} on, {} runs at a time", arguments.jobs);
    println!("without the scenarios with a class, which need a cluster each");
    let end = Instant::now() + Duration::from_mins(minutes);
    let campaign = Campaign::of(End::At(end));
    let plans = (seed..).zip(learned.iter().cycle()).take_while(|_| Instant::now() < end);
    let runs = plans.map(|(seed, learned)| {
        learned.run(Plan { scenario: learned.scenario.name.clone(), trouble: Trouble::Chaos(seed) })
    });
    sum_up(&campaign.lane(runs, arguments.jobs).await)
}

/// Generated chains of specs; every second one in chaos.
async fn chains(arguments: &Arguments, count: u64) -> bool {
    let (shared, first) = (Cluster::shared(), arguments.seed());
    install_crds(&shared.client().await, shared).await;
    println!("{count} chains from number {first} on, {} at a time", arguments.jobs);
    let campaign = &Campaign::of(End::After(usize::try_from(count).unwrap_or(usize::MAX)));
    let one = |number: u64| async move {
        let scenario = chains::chain(number);
        let plan = Plan { scenario: scenario.name.clone(), trouble: chains::trouble(number) };
        match Learned::of(arguments, scenario).await {
            Ok(learned) => campaign.one(learned.run(plan)).await,
            Err(error) => campaign.tell(plan, Err(format!("its last spec alone: {error}"))),
        }
    };
    let runs = stream::iter((first..).take(usize::try_from(count).unwrap_or(usize::MAX)));
    sum_up(&runs.map(one).buffer_unordered(arguments.jobs).collect::<Vec<_>>().await)
}

/// The scenarios that the plans are of.
fn wanted(arguments: &Arguments) -> Vec<Scenario> {
    if !arguments.plan.is_empty() {
        let names: BTreeSet<&str> = arguments.plan.iter().map(|plan| plan.scenario.as_str()).collect();
        return names.into_iter().filter_map(scenario::named).collect();
    }
    let mut scenarios = scenario::all();
    if let Some(only) = arguments.only.as_deref().and_then(|only| only.split_once(':')) {
        scenarios.retain(|name, _| name == only.0);
    } else if !arguments.all && arguments.only.is_none() {
        scenarios.retain(|name, _| selection::QUICK.contains(&name.as_str()));
    }
    scenarios.into_values().collect()
}

impl Learned {
    async fn of(arguments: &Arguments, scenario: Scenario) -> Result<Self, String> {
        let place = place(arguments, &scenario);
        let calm = run::calm(place, &scenario).await?;
        Ok(Self { scenario, place, calm })
    }

    /// A run where it was learned.
    fn run(&self, plan: Plan) -> Run<'_> {
        Run { learned: self, place: self.place, plan }
    }
}

async fn learn(arguments: &Arguments, scenarios: Vec<Scenario>) -> Vec<Learned> {
    println!("learning {} scenarios, two calm runs each", scenarios.len());
    // Once for all that run there.
    let shared = Cluster::shared();
    install_crds(&shared.client().await, shared).await;
    stream::iter(scenarios)
        .map(|scenario| async move {
            let name = scenario.name.clone();
            let learned = Learned::of(arguments, scenario).await;
            let learned = learned.unwrap_or_else(|error| panic!("{name} without any trouble: {error}"));
            let (seen, masked) = (&learned.calm.seen, learned.calm.mask.len());
            let (writes, values) = (seen.writes.len(), seen.state.len());
            println!("{name}: {writes} writes, {values} values, {masked} of them another each time");
            learned
        })
        .buffered(arguments.jobs)
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

/// When a campaign is over.
enum End {
    /// After so many plans.
    After(usize),
    /// When this moment has come.
    At(Instant),
}

/// How far all plans are.
struct Campaign {
    start: Instant,
    done: AtomicUsize,
    end: End,
}

impl Campaign {
    fn of(end: End) -> Self {
        Self { start: Instant::now(), done: AtomicUsize::new(0), end }
    }

    /// Runs plans, so many at a time.
    async fn lane<'a>(&self, runs: impl IntoIterator<Item = Run<'a>>, jobs: usize) -> Vec<Outcome> {
        stream::iter(runs).map(|run| self.one(run)).buffer_unordered(jobs).collect().await
    }

    async fn one(&self, Run { learned, place, plan }: Run<'_>) -> Outcome {
        let result = run::troubled(place, &learned.scenario, &plan.trouble, &learned.calm).await;
        self.tell(plan, result)
    }

    /// Says what failed at once, and how far all is now and then.
    fn tell(&self, plan: Plan, result: Result<Vec<Strike>, String>) -> Outcome {
        if let Err(error) = &result {
            println!("FAILED {plan}\n    {error}");
        }
        let done = self.done.fetch_add(1, Ordering::Relaxed) + 1;
        let (all, left) = match self.end {
            End::After(all) => (
                format!(" of {all}"),
                self.start.elapsed().mul_f64(all.saturating_sub(done) as f64 / done as f64),
            ),
            End::At(end) => (String::new(), end.saturating_duration_since(Instant::now())),
        };
        if done.is_multiple_of(10) || left.is_zero() {
            println!("{done}{all} plans, about {} min left", left.as_secs().div_ceil(60));
        }
        (plan, result)
    }
}

/// A line for each class, what went wrong in chaos, and the failures again.
fn sum_up(outcomes: &[Outcome]) -> bool {
    let mut classes: BTreeMap<&str, Tally> = BTreeMap::new();
    let mut kinds: BTreeMap<String, usize> = BTreeMap::new();
    for (plan, result) in outcomes {
        let tally = classes.entry(plan.class()).or_default();
        tally.runs += 1;
        match result {
            Ok(strikes) => {
                tally.struck += usize::from(!strikes.is_empty());
                for strike in strikes.iter().filter(|_| matches!(plan.trouble, Trouble::Chaos(_))) {
                    *kinds.entry(strike.kind()).or_default() += 1;
                }
            }
            Err(_) => tally.failed.push(plan.to_string()),
        }
    }
    for (class, tally) in &classes {
        let (runs, struck, failed) = (tally.runs, tally.struck, tally.failed.len());
        println!("{class}: {runs} plans, {struck} came to their point, {failed} failed");
    }
    if !kinds.is_empty() {
        let each: Vec<String> = kinds.iter().map(|(kind, count)| format!("{kind} {count}")).collect();
        println!("faults of chaos: {} ({})", kinds.values().sum::<usize>(), each.join(", "));
    }
    let failed: Vec<&String> = classes.values().flat_map(|tally| &tally.failed).collect();
    for plan in &failed {
        println!("again: make faults PLAN='{plan}'");
    }
    println!("test result: {} passed; {} failed", outcomes.len() - failed.len(), failed.len());
    !outcomes.is_empty() && failed.is_empty()
}
