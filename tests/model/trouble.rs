//! Panics and ERROR lines of this thread: the operator has neither, whatever the server does.

use std::cell::RefCell;
use std::fmt::{Debug, Write as _};
use std::sync::Once;

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::{EnvFilter, LevelFilter};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::{fmt, registry};

thread_local! {
    static SEEN: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// Starts to look, once, and forgets what this thread has seen.
pub fn forget() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let told = std::env::var("MODEL_LOG").ok();
        let told = told.map(|directives| fmt::layer().with_filter(EnvFilter::new(directives)));
        let subscriber = registry().with(Errors.with_filter(LevelFilter::ERROR)).with(told);
        // Fails only where a subscriber is set already, and then nothing is to be seen.
        let _ = tracing::subscriber::set_global_default(subscriber);
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            note(format!("panic: {panic}"));
            before(panic);
        }));
    });
    SEEN.with_borrow_mut(Vec::clear);
}

/// Whether there was nothing.
///
/// # Errors
/// The first that there was.
pub fn none() -> Result<(), String> {
    SEEN.with_borrow(|seen| seen.first().map_or(Ok(()), |first| Err(first.clone())))
}

fn note(text: String) {
    SEEN.with_borrow_mut(|seen| seen.push(text));
}

struct Errors;

impl<S: Subscriber> Layer<S> for Errors {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if *event.metadata().level() == Level::ERROR {
            let mut text = format!("ERROR of {}:", event.metadata().target());
            event.record(&mut Text(&mut text));
            note(text);
        }
    }
}

struct Text<'t>(&'t mut String);

impl Visit for Text<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        // A String takes everything.
        let _ = write!(self.0, " {field}={value:?}");
    }
}
