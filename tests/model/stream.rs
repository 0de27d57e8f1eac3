//! Watches of the model: each tells the changes after its version, of what its selectors take.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body as Answer;
use futures::stream::unfold;
use http::Response;
use kube::client::DynBody;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

use crate::faults::WatchFault;
use crate::request::Call;
use crate::server::{Server, UnderWay, answer, status};
use crate::store::{Change, Key, Object};

/// What a list or watch takes.
#[derive(Clone, Debug)]
pub struct Selects {
    resource: String,
    namespace: String,
    label: Option<String>,
    name: Option<String>,
    without_type: Option<String>,
}

impl Selects {
    /// As a request says. The operator selects by one label that is there, by name, or by a type that is not.
    pub fn of(call: &Call) -> Self {
        let given = |name| Some(call.parameter(name)).filter(|text| !text.is_empty());
        let fields = given("fieldSelector");
        let field = |prefix| fields.and_then(|fields| fields.strip_prefix(prefix)).map(str::to_owned);
        Self {
            resource: call.key.resource.clone(),
            namespace: call.key.namespace.clone(),
            label: given("labelSelector").map(str::to_owned),
            name: field("metadata.name="),
            without_type: field("type!="),
        }
    }

    /// Whether it takes this object.
    pub fn takes(&self, key: &Key, object: &Object) -> bool {
        let is_type = |name: &String| object.value.get("type").is_some_and(|kind| kind == name);
        key.resource == self.resource
            && (self.namespace.is_empty() || key.namespace == self.namespace)
            && self.label.as_ref().is_none_or(|label| match label.split_once('=') {
                Some((label, value)) => object.label(label) == Some(value),
                None => object.label(label).is_some(),
            })
            && self.name.as_ref().is_none_or(|name| key.name == *name)
            && !self.without_type.as_ref().is_some_and(is_type)
    }

    /// The word for a change; `None` = it is not told.
    fn word(&self, change: &Change) -> Option<&'static str> {
        let before = change.before.as_ref().is_some_and(|before| self.takes(&change.key, before));
        let now = !change.gone && self.takes(&change.key, &change.now);
        match (before, now) {
            (false, false) => None,
            (false, true) => Some("ADDED"),
            (true, true) => Some("MODIFIED"),
            (true, false) => Some("DELETED"),
        }
    }
}

struct Watch {
    server: Arc<Server>,
    selects: Selects,
    metadata_only: bool,
    /// Place in the log.
    next: usize,
    version: u64,
    changed: watch::Receiver<u64>,
    ends: Instant,
    /// Changes with the time when they were noticed.
    due: VecDeque<(Instant, &'static str, Change)>,
    over: bool,
}

/// Opens a watch.
pub fn open(server: Arc<Server>, call: &Call) -> Response<Box<DynBody>> {
    let version = call.parameter("resourceVersion").parse().unwrap_or_default();
    let seconds = call.parameter("timeoutSeconds").parse().unwrap_or(290);
    let next = server.state().store.log.partition_point(|change| change.version <= version);
    let watch = Watch {
        changed: server.changed.subscribe(),
        server,
        selects: Selects::of(call),
        metadata_only: call.metadata_only,
        next,
        version,
        ends: Instant::now() + Duration::from_secs(seconds),
        due: VecDeque::new(),
        over: false,
    };
    let lines = unfold(watch, |mut watch| async move { watch.line().await.map(|line| (line, watch)) });
    answer(200, Answer::from_stream(lines))
}

type Line = Result<String, std::io::Error>;

impl Watch {
    async fn line(&mut self) -> Option<Line> {
        if self.over {
            return None;
        }
        loop {
            self.notice();
            let Some((noticed, ..)) = self.due.front() else {
                tokio::select! {
                    _ = self.changed.changed() => continue,
                    () = sleep_until(self.ends) => return Some(self.bookmark()),
                }
            };
            let waits = self.server.lag(&self.selects.resource).saturating_sub(noticed.elapsed());
            if !waits.is_zero() {
                sleep(waits).await;
            }
            return self.tell().await;
        }
    }

    /// Takes up what has changed.
    fn notice(&mut self) {
        self.changed.mark_unchanged();
        let state = self.server.state();
        let news = state.store.log.get(self.next..).unwrap_or_default();
        let told = news
            .iter()
            .filter_map(|change| Some((Instant::now(), self.selects.word(change)?, change.clone())));
        self.due.extend(told);
        self.next = state.store.log.len();
        self.version = state.store.version();
    }

    async fn tell(&mut self) -> Option<Line> {
        let (_, word, change) = self.due.pop_front()?;
        match self.server.watch_fault(&self.selects.resource) {
            None => Some(Ok(Self::event(word, change.now.text(self.metadata_only)))),
            Some(WatchFault::Ends) => None,
            Some(WatchFault::Breaks) => {
                self.over = true;
                Some(Err(std::io::ErrorKind::ConnectionReset.into()))
            }
            Some(WatchFault::Expired) => {
                self.over = true;
                Some(Ok(Self::event("ERROR", &status(410, "too old resource version"))))
            }
            Some(WatchFault::Silent) => {
                // Until whoever watches gives it up.
                let _under_way = UnderWay::begin(&self.server);
                std::future::pending().await
            }
        }
    }

    fn event(word: &str, object: &str) -> String {
        format!("{{\"type\":\"{word}\",\"object\":{object}}}\n")
    }

    /// The last word of a watch that has lasted long enough.
    fn bookmark(&mut self) -> Line {
        self.over = true;
        let version = self.version;
        let object = format!(
            "{{\"apiVersion\":\"v1\",\"kind\":\"Bookmark\",\"metadata\":{{\"resourceVersion\":\"{version}\"}}}}"
        );
        Ok(Self::event("BOOKMARK", &object))
    }
}
