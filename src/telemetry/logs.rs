//! Structured logs on stderr, with a level that can be changed at run time.

use tracing::{Dispatch, Subscriber};
use tracing_subscriber::filter::{EnvFilter, FilterExt, ParseError, filter_fn};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};
use tracing_subscriber::{Registry, fmt, reload};

use super::traces::Traces;

/// kube logs whole response bodies here, and a body may be a Secret: never written, at no level.
const BODIES: &str = "kube_client::client";
/// Longest accepted list of directives.
const LONGEST: usize = 500;

/// How a log line looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    #[default]
    Json,
}

/// Logging cannot be set up or changed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not a level or a list of directives.
    #[error(
        "log level {directives:?}: {source}; write a level (error, warn, info, debug, trace) or directives such as info,microservice_operator=debug"
    )]
    Directives {
        /// What was given.
        directives: String,
        /// What is wrong with it.
        source: ParseError,
    },
    /// Too many characters.
    #[error("log level: more than {LONGEST} characters")]
    TooLong,
    /// A subscriber is installed already.
    #[error("logging is set up already: {0}")]
    Twice(#[from] TryInitError),
    /// The subscriber is gone.
    #[error("the log level cannot be changed: {0}")]
    Reload(#[from] reload::Error),
}

/// Reads and changes the level.
#[derive(Clone, Debug)]
pub struct LogLevel(reload::Handle<EnvFilter, Registry>);

impl LogLevel {
    /// The directives in force.
    ///
    /// # Errors
    /// The subscriber is gone.
    pub fn get(&self) -> Result<String, Error> {
        Ok(self.0.with_current(ToString::to_string)?)
    }

    /// Replaces the directives.
    ///
    /// # Errors
    /// They are not valid, or the subscriber is gone.
    pub fn set(&self, directives: &str) -> Result<(), Error> {
        self.0.reload(parse(directives)?)?;
        Ok(())
    }
}

/// Installs the subscriber of the process: it logs, and sends traces if there is somewhere to send them.
///
/// # Errors
/// The directives are not valid, or a subscriber is installed already.
pub fn init(format: LogFormat, directives: &str, traces: Option<&Traces>) -> Result<LogLevel, Error> {
    let (subscriber, level) = subscriber(format, directives, traces, std::io::stderr)?;
    subscriber.try_init()?;
    Ok(level)
}

/// Without traces the level holds for everything, so that what is below it costs next to nothing. With
/// them it holds for the lines only: a quiet log does not end the traces.
fn subscriber<W>(
    format: LogFormat,
    directives: &str,
    traces: Option<&Traces>,
    writer: W,
) -> Result<(Dispatch, LogLevel), Error>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let (level, handle) = reload::Layer::new(parse(directives)?);
    let bodies = filter_fn(|metadata| metadata.target() != BODIES);
    let dispatch = match traces {
        None => {
            let lines = lines(format, writer).with_filter(bodies);
            Dispatch::new(tracing_subscriber::registry().with(level).with(lines))
        }
        Some(traces) => {
            let lines = lines(format, writer).with_filter(bodies.and(level));
            Dispatch::new(tracing_subscriber::registry().with(lines).with(traces.layer()))
        }
    };
    Ok((dispatch, LogLevel(handle)))
}

fn lines<S, W>(format: LogFormat, writer: W) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let lines = fmt::layer().with_writer(writer);
    match format {
        LogFormat::Text => lines.with_ansi(false).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).with_span_list(false).boxed(),
    }
}

fn parse(directives: &str) -> Result<EnvFilter, Error> {
    if directives.len() > LONGEST {
        return Err(Error::TooLong);
    }
    let invalid = |source| Error::Directives { directives: directives.to_owned(), source };
    EnvFilter::builder().parse(directives).map_err(invalid)
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Memory(Arc<Mutex<Vec<u8>>>);

    impl Write for Memory {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn logged(format: LogFormat, directives: &str, work: impl FnOnce(LogLevel)) -> String {
        let memory = Memory::default();
        let writer = memory.clone();
        let (subscriber, level) = subscriber(format, directives, None, move || writer.clone()).unwrap();
        tracing::dispatcher::with_default(&subscriber, || work(level));
        String::from_utf8(memory.0.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn the_level_changes_at_run_time() {
        let text = logged(LogFormat::Text, "info", |level| {
            tracing::debug!("first");
            level.set("debug").unwrap();
            tracing::debug!("second");
            assert_eq!(level.get().unwrap(), "debug");
            level.set("warn").unwrap();
            tracing::info!("third");
        });
        assert!(text.contains("second") && !text.contains("first") && !text.contains("third"), "{text}");
    }

    #[test]
    fn json_lines_are_objects_with_their_fields() {
        let text = logged(LogFormat::Json, "info", |_| tracing::info!(object = "shop/orders", "applied"));
        let line: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            (line["message"].as_str(), line["object"].as_str()),
            (Some("applied"), Some("shop/orders"))
        );
    }

    #[test]
    fn response_bodies_are_never_logged() {
        let text = logged(LogFormat::Text, "trace,kube_client::client=trace", |_| {
            tracing::warn!(target: "kube_client::client", "canary");
            tracing::warn!(target: "kube_client::client::builder", "no body here");
        });
        assert!(!text.contains("canary") && text.contains("no body here"), "{text}");
    }

    #[test]
    fn nonsense_is_refused_and_changes_nothing() {
        logged(LogFormat::Text, "info", |level| {
            assert!(matches!(level.set("loud=very"), Err(Error::Directives { .. })));
            assert!(matches!(level.set(&"x".repeat(501)), Err(Error::TooLong)));
            assert_eq!(level.get().unwrap(), "info");
        });
    }
}
