//! B13: random changes for an hour, and what becomes of the memory.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::json;

use crate::ground::{Fleet, Ground};
use crate::process;
use crate::report::Report;
use crate::workload::name;

/// Between two changes.
const PAUSE: Duration = Duration::from_millis(500);
/// The first part of the time, in which memory may grow.
const WARM_UP: f64 = 1.0 / 3.0;
/// The same changes in every run.
const SEED: u64 = 8;

/// Services of the soak's own that there are at a time.
const GUESTS: usize = 10;

/// Numbers of the soak's own services.
#[derive(Default)]
struct Guests {
    here: VecDeque<usize>,
    /// The last that went; its children are still there.
    gone: Option<usize>,
}

/// Memory at a time.
struct Sample {
    hours: f64,
    resident: f64,
}

/// B13.
pub async fn run(ground: &mut Ground, report: &mut Report) {
    let soak = ground.settings.soak;
    let fleet = ground.filled(report).await;
    let pid = fleet.operator.pid();
    let (cpu, mark) = (process::cpu(pid), fleet.audit.mark().await);
    let (start, mut samples, mut changes) = (Instant::now(), Vec::new(), 0_u64);
    let (mut random, mut guests) = (StdRng::seed_from_u64(SEED), Guests::default());
    let mut ticks = tokio::time::interval(PAUSE);
    while start.elapsed() < soak {
        ticks.tick().await;
        change(fleet, &mut random, &mut guests, changes).await;
        changes += 1;
        samples
            .push(Sample { hours: start.elapsed().as_secs_f64() / 3600.0, resident: process::resident(pid) });
    }
    fleet.applied().await;
    fleet.quiet().await;
    let refused = fleet.sent(mark).await.writes().only(|request| request.code >= 300).count();
    report.measure("M9", "changes of the soak", None, changes as f64);
    report.count("M1", "refused writes", 0.0, refused as f64);
    report.count("", "operators that have ended", 0.0, f64::from(u8::from(!fleet.operator.is_running())));
    report.measure(
        "M8",
        "CPU per 1,000 changes [s]",
        None,
        (process::cpu(pid) - cpu).as_secs_f64() * 1000.0 / changes as f64,
    );
    let warm = samples.iter().position(|sample| sample.hours * 3600.0 >= soak.as_secs_f64() * WARM_UP);
    let settled = samples.split_off(warm.unwrap_or_default());
    report.measure("M9", "RSS, slope after warm-up [% per hour]", Some(1.0), slope(&settled));
    report.measure("M9", "RSS, peak [MiB]", None, process::peak(pid));
}

/// One change: mostly an image, sometimes the environment, the bounds, or another service in the place of one.
async fn change(fleet: &mut Fleet, random: &mut StdRng, guests: &mut Guests, number: u64) {
    let service = name(random.random_range(0..fleet.settings.objects));
    match random.random_range(0..10) {
        0 => {
            let env = json!([{"name": "REGION", "value": format!("region-{number}")}]);
            fleet.change(&service, json!({"env": env})).await;
        }
        1 => fleet.change(&service, json!({"autoscaling": {"maxReplicas": 7 + number % 500}})).await,
        2 => {
            if let Some(gone) = guests.gone.take() {
                fleet.collect(&[name(gone)]).await;
            }
            let new = fleet.fresh(1).start;
            fleet.create_one(new).await;
            fleet.objects += 1;
            guests.here.push_back(new);
            if guests.here.len() > GUESTS
                && let Some(old) = guests.here.pop_front()
            {
                fleet.delete_one(&name(old)).await;
                fleet.objects -= 1;
                guests.gone = Some(old);
            }
        }
        _ => {
            let image = format!("registry.example.com/shop/{service}:v2.{number}");
            fleet.change(&service, json!({"image": image})).await;
        }
    }
}

/// Growth of the line that fits best, in per cent of the mean.
fn slope(samples: &[Sample]) -> f64 {
    let mean = |value: fn(&Sample) -> f64| samples.iter().map(value).sum::<f64>() / samples.len() as f64;
    let (hours, resident) = (mean(|sample| sample.hours), mean(|sample| sample.resident));
    let shared: f64 = samples.iter().map(|s| (s.hours - hours) * (s.resident - resident)).sum();
    let spread: f64 = samples.iter().map(|s| (s.hours - hours).powi(2)).sum();
    shared / spread / resident * 100.0
}
