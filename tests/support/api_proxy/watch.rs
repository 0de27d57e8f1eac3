//! The events of a watch, one line of JSON each, passed on one by one.

use std::sync::Arc;
use std::time::Duration;

use futures::stream;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Bytes, Frame, Incoming};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::server::{Body, Broken};
use super::{Disturbance, Shared, Strike};

/// What happens to a watch as a whole.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Rule {
    /// How much later its first event comes, and all after it.
    pub(super) lag: Option<Duration>,
}

/// The events of `from`, as this rule and the policy have them.
pub(super) fn pass(from: Incoming, shared: Arc<Shared>, resource: String, rule: Rule) -> Body {
    let (sender, mut events) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        let mut watch = Watch { lines: Lines { from, rest: Vec::new() }, shared, resource, to: sender };
        watch.run(rule).await;
    });
    StreamBody::new(stream::poll_fn(move |context| events.poll_recv(context))).boxed_unsync()
}

struct Watch {
    lines: Lines,
    shared: Arc<Shared>,
    resource: String,
    to: mpsc::UnboundedSender<Result<Frame<Bytes>, Broken>>,
}

/// Whether the watch goes on.
type GoesOn = Option<()>;

impl Watch {
    /// Until either side closes it.
    async fn run(&mut self, rule: Rule) -> GoesOn {
        let mut lag = rule.lag;
        loop {
            let line = self.next().await?;
            if let Some(lag) = lag.take_if(|_| is_news(&line)) {
                self.shared.hold(tokio::time::sleep(lag)).await;
            }
            match self.count(&line) {
                None => self.tell(line)?,
                Some(disturbance) => self.disturb(line, disturbance).await?,
            }
        }
    }

    /// The next line; `None` at the end, which the operator is shown as it is.
    async fn next(&mut self) -> Option<Vec<u8>> {
        tokio::select! {
            line = self.lines.next() => line.unwrap_or_else(|broken| {
                let _ = self.to.send(Err(broken));
                None
            }),
            () = self.to.closed() => None,
        }
    }

    /// Counts an event, and asks what happens to it.
    fn count(&self, line: &[u8]) -> Option<Disturbance> {
        if !is_news(line) {
            return None;
        }
        let mut state = self.shared.state();
        let seen = state.events.entry(self.resource.clone()).or_default();
        *seen += 1;
        let number = *seen;
        let disturbance = state.policy.as_ref().and_then(|policy| policy.at_event(&self.resource, number));
        if let Some(disturbance) = disturbance {
            state.note(Strike::Event(self.resource.clone(), number, disturbance));
        }
        disturbance
    }

    async fn disturb(&mut self, line: Vec<u8>, disturbance: Disturbance) -> GoesOn {
        match disturbance {
            Disturbance::Delay(time) => {
                self.shared.hold(tokio::time::sleep(time)).await;
                self.tell(line)
            }
            Disturbance::Double => {
                self.tell(line.clone())?;
                self.tell(line)
            }
            Disturbance::Coalesce(time) => {
                let shared = Arc::clone(&self.shared);
                shared.hold(self.coalesce(line, time)).await
            }
            Disturbance::Silence => {
                self.to.closed().await;
                None
            }
            Disturbance::Break => {
                let half = line.get(..line.len() / 2).unwrap_or_default().to_vec();
                self.tell(half)?;
                let _ = self.to.send(Err(Broken));
                None
            }
            Disturbance::Expire => {
                let gone = json!({"type": "ERROR", "object": {
                    "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 410,
                    "reason": "Expired", "message": "too old resource version, on purpose",
                }});
                self.tell(format!("{gone}\n").into_bytes())?;
                None
            }
        }
    }

    /// Holds an event, and what comes after it, until the time is over; of what came about its object the
    /// last is passed on.
    async fn coalesce(&mut self, line: Vec<u8>, time: Duration) -> GoesOn {
        let object = identity(&line);
        let mut held = vec![line];
        let end = tokio::time::Instant::now() + time;
        while let Ok(line) = tokio::time::timeout_at(end, self.next()).await {
            held.push(line?);
        }
        let last = held.iter().rposition(|line| identity(line) == object);
        for (place, line) in held.into_iter().enumerate() {
            if identity(&line) != object || Some(place) == last {
                self.tell(line)?;
            }
        }
        Some(())
    }

    fn tell(&self, line: Vec<u8>) -> GoesOn {
        self.to.send(Ok(Frame::data(Bytes::from(line)))).ok()
    }
}

/// Bookmarks are no news of any object.
fn is_news(line: &[u8]) -> bool {
    event(line)["type"] != "BOOKMARK"
}

fn event(line: &[u8]) -> Value {
    serde_json::from_slice(line).unwrap_or_default()
}

fn identity(line: &[u8]) -> Value {
    event(line)["object"]["metadata"]["uid"].clone()
}

/// Cuts a stream of bytes at the ends of its lines.
struct Lines {
    from: Incoming,
    rest: Vec<u8>,
}

impl Lines {
    /// The next line with its end; `None` when there is no more.
    async fn next(&mut self) -> Result<Option<Vec<u8>>, Broken> {
        loop {
            if let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
                let after = self.rest.split_off(end + 1);
                return Ok(Some(std::mem::replace(&mut self.rest, after)));
            }
            match self.from.frame().await {
                None => return Ok(None),
                Some(Err(_)) => return Err(Broken),
                Some(Ok(frame)) => self.rest.extend_from_slice(frame.data_ref().unwrap_or(&Bytes::new())),
            }
        }
    }
}
