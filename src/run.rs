//! `run`: the operator as a process. Sets up, runs the controller, and ends within 5 s of SIGTERM.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use futures::FutureExt;
use jiff::SignedDuration;
use microservice_operator::controller;
use microservice_operator::engine::client::{self, connect};
use microservice_operator::engine::lease::{self, Leadership};
use microservice_operator::telemetry::logs::{self, LogFormat, LogLevel};
use microservice_operator::telemetry::traces::{Endpoint, Traces};
use microservice_operator::telemetry::{Telemetry, server};
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};

pub const DEFAULT_NAMESPACE: &str = "microservice-system";
/// kube repeats there, as an error, every failed request that we report ourselves.
const DEFAULT_LOG_LEVEL: &str = "info,kube_client::client::builder=off";
pub const DEFAULT_LEASE: &str = "microservice-operator";

/// Looks under way may end in this time; with the release of the lease (1.5 s) it stays below 5 s.
const DRAIN: Duration = Duration::from_secs(3);
/// Open connections to the health port are not waited for longer.
const HANG_UP: Duration = Duration::from_millis(200);

#[derive(Args)]
pub struct Arguments {
    /// Watch only this namespace; comma-separated or repeated. Default: all
    #[arg(long, env = "WATCH_NAMESPACES", value_delimiter = ',')]
    namespace: Vec<String>,
    /// Namespace of the operator. Default: that of the pod or of the kubeconfig context, unless that is
    /// `default`; else microservice-system
    #[arg(long, env = "POD_NAMESPACE")]
    operator_namespace: Option<String>,
    /// Address of /metrics, /livez, /readyz and /log-level
    #[arg(long, env = "LISTEN", default_value = "0.0.0.0:8080")]
    listen: SocketAddr,
    /// Objects looked at at the same time
    #[arg(long, env = "CONCURRENCY", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=256))]
    concurrency: u16,
    /// Objects per second that a change of a class or of the release reaches
    #[arg(long, env = "CLASS_RATE", default_value_t = 5.0, value_parser = rate)]
    class_rate: f64,
    /// Most services that roll at once because of such a change
    #[arg(long, env = "MAX_ROLLING", default_value_t = 10)]
    max_rolling: usize,
    /// Between two looks at Kafka topics of which nothing was heard: what others changed is repaired then
    #[arg(long, env = "KAFKA_SWEEP", default_value = "5m", value_parser = pace)]
    kafka_sweep: Duration,
    /// How long the old Kafka user of a service is kept at least after its pods were given the new one
    #[arg(long, env = "KAFKA_GRACE", default_value = "10m", value_parser = duration, hide = true)]
    kafka_grace: Duration,
    /// How long Strimzi may leave an object alone until a status says that it does not run
    #[arg(long, env = "STRIMZI_PATIENCE", default_value = "3m", value_parser = duration, hide = true)]
    strimzi_patience: Duration,
    /// Between two looks at which optional APIs the cluster serves, KEDA's for example
    #[arg(long, env = "API_PACE", default_value = "1m", value_parser = pace)]
    api_pace: Duration,
    /// Level, or directives such as info,microservice_operator=debug
    #[arg(long, env = "LOG_LEVEL", default_value = DEFAULT_LOG_LEVEL)]
    log_level: String,
    /// Format of the log lines
    #[arg(long, env = "LOG_FORMAT", value_enum, default_value_t)]
    log_format: LogFormat,
    /// Send traces by OTLP over plain HTTP to this address, with /v1/traces behind it; for example
    /// http://otel-collector.monitoring:4318. Default: none are made
    #[arg(long, env = "OTEL_EXPORTER_OTLP_ENDPOINT", value_name = "URL")]
    otlp_endpoint: Option<Endpoint>,
    #[command(flatten)]
    election: Election,
}

#[derive(Args)]
struct Election {
    /// Elect a leader among several replicas; false = this one always writes
    #[arg(long, env = "LEADER_ELECT", default_value_t = true, action = clap::ArgAction::Set, num_args = 0..=1, default_missing_value = "true")]
    leader_elect: bool,
    /// Name of the Lease, in the operator's namespace
    #[arg(long, env = "LEASE_NAME", default_value = DEFAULT_LEASE)]
    lease_name: String,
    /// How long others wait after the last renewal before they take over
    #[arg(long, env = "LEASE_DURATION", default_value = "15s", value_parser = duration)]
    lease_duration: Duration,
    /// How long the leader goes on without a renewal before it steps down
    #[arg(long, env = "RENEW_DEADLINE", default_value = "10s", value_parser = duration)]
    renew_deadline: Duration,
    /// Time between attempts to take or renew the lease
    #[arg(long, env = "RETRY_PERIOD", default_value = "2s", value_parser = duration)]
    retry_period: Duration,
    /// Longest wait for the answer to a write; with the renew deadline less than the lease duration
    #[arg(long, env = "WRITE_TIMEOUT", default_value = "4s", value_parser = duration)]
    write_timeout: Duration,
    /// Name of this replica in Lease and Events; a random suffix makes it unique. Default: the host name
    #[arg(long, env = "POD_NAME")]
    identity: Option<String>,
}

/// Runs the operator until SIGTERM or SIGINT.
pub fn run(arguments: Arguments) -> anyhow::Result<()> {
    // One thread is enough for 100 objects a second, more than an API server takes; a second one costs
    // CPU for handing tasks over and memory for an allocation arena of its own.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let identity = arguments.election.identity();
    let traces = arguments.otlp_endpoint.as_ref();
    let traces = traces.map(|to| Traces::start(to, &identity, runtime.handle().clone())).transpose()?;
    let level = logs::init(arguments.log_format, &arguments.log_level, traces.as_ref())?;
    let result = runtime.block_on(async {
        let result = operate(arguments, identity, level).await;
        if let Some(traces) = traces {
            traces.end().await;
        }
        result
    });
    // A name lookup that hangs in a thread of its own must not delay the end.
    runtime.shutdown_background();
    result
}

async fn operate(arguments: Arguments, identity: String, level: LogLevel) -> anyhow::Result<()> {
    let shutdown = shutdown_signal()?;
    let config = kube::Config::infer().await.context("no way to the API server")?;
    let operator_namespace = arguments.operator_namespace.clone().unwrap_or_else(|| own_namespace(&config));
    let telemetry = Arc::new(Telemetry::new());

    let listener = TcpListener::bind(arguments.listen)
        .await
        .with_context(|| format!("cannot listen on {}; choose another with --listen", arguments.listen))?;
    tracing::info!(version = env!("CARGO_PKG_VERSION"), %identity, operator_namespace, listen = %listener.local_addr()?, "starts");
    let (hang_up, hung_up) = tokio::sync::oneshot::channel::<()>();
    let served = tokio::spawn(server::serve(listener, telemetry.clone(), level, hung_up.map(drop)));

    let leadership = arguments.election.join(&config, &operator_namespace, &identity, &telemetry)?;
    let client = connect(&config, client_options(&arguments.election, &telemetry, leadership.fence()))?;
    tokio::spawn(show_leader(leadership.changes(), telemetry.clone()));
    let options = controller::Options {
        client,
        namespaces: arguments.namespace,
        operator_namespace,
        identity,
        concurrency: arguments.concurrency,
        class_rate: arguments.class_rate,
        max_rolling: arguments.max_rolling,
        kafka_sweep: arguments.kafka_sweep,
        kafka_grace: arguments.kafka_grace,
        strimzi_patience: arguments.strimzi_patience,
        api_pace: arguments.api_pace,
        telemetry,
        fence: leadership.fence(),
        leadership: leadership.changes(),
    };
    let result = drained(controller::run(options, shutdown.clone()), shutdown.clone()).await;
    leadership.release().await;
    // Fails only when the server has ended.
    let _ = hang_up.send(());
    let _ = tokio::time::timeout(HANG_UP, served).await;
    match result {
        Some(Ok(())) if shutdown.peek().is_none() => {
            anyhow::bail!("the controller ended without being told to")
        }
        Some(result) => result.context("the controller failed")?,
        None => tracing::warn!("looks under way were cut off after {DRAIN:?}; the next leader repeats them"),
    }
    tracing::info!("ends");
    Ok(())
}

/// The controller's result, or nothing when it goes on for too long after the signal.
async fn drained<T>(work: impl Future<Output = T>, shutdown: impl Future<Output = ()>) -> Option<T> {
    tokio::select! {
        biased;
        result = work => Some(result),
        () = shutdown.then(|()| tokio::time::sleep(DRAIN)) => None,
    }
}

type Shutdown = futures::future::Shared<futures::future::BoxFuture<'static, ()>>;

/// Resolves for everybody at the first SIGTERM or SIGINT.
fn shutdown_signal() -> std::io::Result<Shutdown> {
    let (mut terminate, mut interrupt): (Signal, Signal) =
        (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let wait = async move {
        tokio::select! {
            _ = terminate.recv() => tracing::info!("SIGTERM: drains"),
            _ = interrupt.recv() => tracing::info!("SIGINT: drains"),
        }
    };
    Ok(wait.boxed().shared())
}

async fn show_leader(mut changes: tokio::sync::watch::Receiver<bool>, telemetry: Arc<Telemetry>) {
    loop {
        telemetry.set_leader(*changes.borrow_and_update());
        if changes.changed().await.is_err() {
            return telemetry.set_leader(false);
        }
    }
}

fn client_options(election: &Election, telemetry: &Arc<Telemetry>, fence: lease::Fence) -> client::Options {
    let telemetry = telemetry.clone();
    client::Options {
        fence,
        write_timeout: election.write_timeout,
        observe: Arc::new(move |verb, code| telemetry.api_request(verb, code)),
        ..client::Options::default()
    }
}

impl Election {
    /// Unique among all processes, also those before a restart of the same pod.
    fn identity(&self) -> String {
        let name = self.identity.clone().or_else(host_name).unwrap_or_else(|| DEFAULT_LEASE.to_owned());
        // An Event takes 128 characters.
        let name: String = name.chars().take(100).collect();
        format!("{name}_{:08x}", rand::random::<u32>())
    }

    fn join(
        &self,
        config: &kube::Config,
        namespace: &str,
        identity: &str,
        telemetry: &Arc<Telemetry>,
    ) -> anyhow::Result<Leadership> {
        if !self.leader_elect {
            return Ok(Leadership::always());
        }
        let client = connect(config, client_options(self, telemetry, lease::Fence::always()))?;
        let options = lease::Options {
            name: self.lease_name.clone(),
            namespace: namespace.to_owned(),
            identity: identity.to_owned(),
            lease_duration: self.lease_duration,
            renew_deadline: self.renew_deadline,
            retry_period: self.retry_period,
            request_timeout: self.write_timeout,
        };
        Ok(Leadership::start(client, options)?)
    }
}

/// A context that names no namespace means `default`, which is no place for an operator.
fn own_namespace(config: &kube::Config) -> String {
    match config.default_namespace.as_str() {
        "" | "default" => DEFAULT_NAMESPACE.to_owned(),
        namespace => namespace.to_owned(),
    }
}

fn host_name() -> Option<String> {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
    Some(name.trim().to_owned()).filter(|name| !name.is_empty())
}

fn duration(text: &str) -> Result<Duration, String> {
    let hint = "write for example 15s, 500ms or 1m30s";
    let parsed: SignedDuration = text.parse().map_err(|error| format!("{error}; {hint}"))?;
    Duration::try_from(parsed).map_err(|_| format!("it is negative; {hint}"))
}

/// A loop without a pause would do nothing else.
fn pace(text: &str) -> Result<Duration, String> {
    let pace = duration(text)?;
    if pace >= Duration::from_secs(1) { Ok(pace) } else { Err("must be at least 1s".to_owned()) }
}

fn rate(text: &str) -> Result<f64, String> {
    let rate: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if rate > 0.0 && rate <= 1000.0 {
        Ok(rate)
    } else {
        Err("must be more than 0 and at most 1000".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_rates_are_parsed_or_explained() {
        assert_eq!(duration("15s"), Ok(Duration::from_secs(15)));
        assert_eq!(duration("1m30s"), Ok(Duration::from_secs(90)));
        assert!(duration("-1s").unwrap_err().contains("negative"));
        assert!(duration("15").unwrap_err().contains("for example"));
        assert_eq!(pace("1s"), Ok(Duration::from_secs(1)));
        assert!(pace("0s").unwrap_err().contains("at least 1s"));
        assert!(pace("999ms").is_err() && pace("1d").is_err());
        assert_eq!(rate("0.5"), Ok(0.5));
        assert!(rate("0").is_err() && rate("NaN").is_err() && rate("inf").is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn work_that_does_not_end_is_cut_off() {
        let start = tokio::time::Instant::now();
        assert_eq!(drained(std::future::pending::<()>(), std::future::ready(())).await, None);
        assert_eq!(start.elapsed(), DRAIN);
        assert_eq!(drained(std::future::ready(7), std::future::ready(())).await, Some(7));
    }
}
