//! The model of the API server, as far as the operator asks for one: what a request does, and what a fault
//! makes of it.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::Body as Answer;
use http::{Method, Request, Response, StatusCode};
use http_body_util::BodyExt;
use kube::Client;
use kube::client::{Body, ClientBuilder, DynBody};
use microservice_operator::engine::client::{self, guarded};
use serde_json::{Map, Value, json};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep};
use tower::{BoxError, service_fn};

use crate::faults::{Faults, ReadFault, WatchFault, WriteFault};
use crate::fields::Apply;
use crate::request::Call;
use crate::store::{Key, Store};
use crate::stream;

/// As long a real connection waits for an answer that does not come.
const SILENCE: Duration = Duration::from_secs(295);

/// What the operator did, for the oracles.
#[derive(Clone, Debug)]
pub struct Write {
    /// When, since the start.
    pub at: Duration,
    /// Step of the chain.
    pub step: usize,
    /// HTTP method, and the field manager of an apply.
    pub verb: String,
    /// What was written.
    pub key: Key,
    /// Code of the answer.
    pub code: u16,
    /// Why it must not have been sent; empty when it may.
    pub wrong: &'static str,
}

impl std::fmt::Display for Write {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { at, step, verb, key, code, .. } = self;
        write!(f, "{:>9.3} s, step {step}: {verb} {key}: {code}", at.as_secs_f64())
    }
}

/// What can change.
#[derive(Debug, Default)]
pub struct State {
    /// The objects.
    pub store: Store,
    /// What the operator wrote, in the order in which it was carried out; Events are not among it.
    pub written: Vec<Write>,
    /// The same for people, with the faults that struck.
    pub journal: Vec<String>,
    /// Step of the chain.
    pub step: usize,
    writes: u16,
    reads: u16,
    told: Vec<(String, u16)>,
    faults: Faults,
}

/// One process of the operator; it ends at a crash, and nothing of it is heard any more.
#[derive(Debug)]
pub struct Life(AtomicBool);

impl Default for Life {
    fn default() -> Self {
        Self(AtomicBool::new(true))
    }
}

impl Life {
    fn end(&self) {
        self.0.store(false, Ordering::Relaxed);
    }

    async fn goes_on(&self) {
        if !self.0.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
    }
}

/// Something of which the operator hears later, until it is dropped.
pub struct UnderWay(Arc<Server>);

impl UnderWay {
    pub fn begin(server: &Arc<Server>) -> Self {
        server.pending.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(server))
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.pending.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The server.
#[derive(Debug)]
pub struct Server {
    state: Mutex<State>,
    /// What is under way: see [`UnderWay`].
    pending: AtomicUsize,
    /// Version of the store, for those who wait for a change.
    pub changed: watch::Sender<u64>,
    /// Told at a crash of the operator.
    pub crashed: Notify,
    start: Instant,
}

type Sent = Response<Box<DynBody>>;

impl Server {
    /// An empty one with these faults.
    pub fn new(faults: Faults) -> Arc<Self> {
        let state = State { faults, ..State::default() };
        Arc::new(Self {
            state: Mutex::new(state),
            pending: AtomicUsize::new(0),
            changed: watch::Sender::new(0),
            crashed: Notify::new(),
            start: Instant::now(),
        })
    }

    /// What can change. Nobody waits while holding it.
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the operator will hear of something later, whatever happens.
    pub fn has_more_to_tell(&self) -> bool {
        self.pending.load(Ordering::Relaxed) > 0
    }

    /// Time since the start.
    pub fn now(&self) -> Duration {
        self.start.elapsed()
    }

    /// How many writes the operator has sent, Events too.
    pub fn sent(&self) -> u16 {
        self.state().writes
    }

    /// From now on nothing goes wrong that has not begun.
    pub fn calm(&self) {
        self.state().faults = Faults::default();
    }

    /// So many lists of a resource are refused from now on for lack of rights.
    pub fn refuse(&self, resource: &'static str, count: u16) {
        self.state().faults.refusals = vec![(resource, count)];
    }

    /// How late the watches of a resource are now.
    pub fn lag(&self, resource: &str) -> Duration {
        self.state().faults.lag(resource)
    }

    /// What becomes of the next event of a resource.
    pub fn watch_fault(&self, resource: &str) -> Option<WatchFault> {
        let mut state = self.state();
        let place = state.told.iter().position(|(told, _)| told == resource);
        let place = place.unwrap_or_else(|| {
            state.told.push((resource.to_owned(), 0));
            state.told.len() - 1
        });
        let number = state.told[place].1;
        state.told[place].1 += 1;
        let hit = state.faults.watches.iter().find(|(name, at, _)| *name == resource && *at == number);
        let fault = hit.map(|(_, _, fault)| *fault);
        drop(state);
        fault.inspect(|fault| self.strikes("event", number, resource, fault))
    }

    /// Changes the store, and tells.
    pub fn change<T>(&self, change: impl FnOnce(&mut Store) -> T) -> T {
        let mut state = self.state();
        let result = change(&mut state.store);
        let version = state.store.version();
        drop(state);
        self.changed.send_if_modified(|told| std::mem::replace(told, version) != version);
        result
    }

    /// The connection of one life of the operator, with the layers of the real one.
    pub fn connect(self: &Arc<Self>, life: &Arc<Life>) -> Client {
        let (server, life) = (Arc::clone(self), Arc::clone(life));
        let transport = service_fn(move |request: Request<Body>| {
            let (server, life) = (Arc::clone(&server), Arc::clone(&life));
            async move { server.serve(request, &life).await }
        });
        guarded(ClientBuilder::new(transport, "default"), client::Options::default())
    }

    fn strikes(&self, what: &str, number: u16, call: &str, fault: &dyn std::fmt::Debug) {
        self.note(&format!("{what} {number}, {call}: {fault:?}"));
    }

    /// Writes what happened into the journal.
    pub fn note(&self, text: &str) {
        let now = self.now().as_secs_f64();
        self.state().journal.push(format!("{now:>9.3} s, {text}"));
    }

    async fn serve(self: Arc<Self>, request: Request<Body>, life: &Life) -> Result<Sent, BoxError> {
        let call = Call::of(request).await;
        if call.reads() {
            let (number, fault) = self.read_fault(&call);
            sleep(latency(number)).await;
            life.goes_on().await;
            return self.read(call, fault).await;
        }
        let (number, fault) = self.write_fault(&call);
        sleep(latency(number)).await;
        life.goes_on().await;
        let answer = self.write(call, fault, life).await?;
        sleep(latency(number + 1)).await;
        life.goes_on().await;
        Ok(answer)
    }

    /// The number of a read, and what becomes of it.
    fn read_fault(&self, call: &Call) -> (u16, Option<ReadFault>) {
        let mut state = self.state();
        let number = state.reads;
        state.reads += 1;
        let fault = state.faults.reads.iter().find(|(at, _)| *at == number).map(|(_, fault)| *fault);
        drop(state);
        (number, fault.inspect(|fault| self.strikes("read", number, &call.key.to_string(), fault)))
    }

    /// The number of a write, and what becomes of it.
    fn write_fault(&self, call: &Call) -> (u16, Option<WriteFault>) {
        let mut state = self.state();
        let number = state.writes;
        state.writes += 1;
        let fault = state.faults.writes.iter().find(|(at, _)| *at == number).map(|(_, fault)| *fault);
        drop(state);
        (number, fault.inspect(|fault| self.strikes("write", number, &call.key.to_string(), fault)))
    }

    async fn read(self: Arc<Self>, call: Call, fault: Option<ReadFault>) -> Result<Sent, BoxError> {
        let ago = match fault {
            Some(ReadFault::Reset) => return Err(broken()),
            Some(ReadFault::Hangs) => {
                // What it would have told is news when it is asked for again.
                let _under_way = UnderWay::begin(&self);
                sleep(SILENCE).await;
                return Err(broken());
            }
            Some(ReadFault::Refused(code)) => return Ok(refused(code)),
            Some(ReadFault::Stale(changes)) => changes.into(),
            None => 0,
        };
        if call.watches() {
            return Ok(stream::open(self, &call));
        }
        if call.key.resource.ends_with('/') {
            return Ok(failure(404, "404 page not found"));
        }
        if call.key.name.is_empty() {
            if self.state().faults.refuses(&call.key.resource) {
                self.note(&format!("a list of {} is refused for lack of rights", call.key));
                return Ok(refused(403));
            }
            return Ok(self.list(&call, ago));
        }
        Ok(match self.state().store.get(&call.key) {
            Some(object) => answer(200, object.text(call.metadata_only).to_owned()),
            None => failure(404, &format!("{} not found", call.key)),
        })
    }

    /// All of a list in one page, as it was some changes ago; the operator's pages are larger than any list
    /// here.
    fn list(&self, call: &Call, ago: usize) -> Sent {
        let state = self.state();
        let (objects, version) = if ago == 0 {
            (None, state.store.version())
        } else {
            let (objects, version) = state.store.ago(ago);
            (Some(objects), version)
        };
        let selects = stream::Selects::of(call);
        let objects = objects.as_ref().unwrap_or(&state.store.objects).iter();
        let found = objects.filter(|(key, object)| selects.takes(key, object));
        let items: Vec<&str> = found.map(|(_, object)| object.text(call.metadata_only)).collect();
        let text = format!(
            "{{\"apiVersion\":\"v1\",\"kind\":\"List\",\"metadata\":{{\"resourceVersion\":\"{version}\"}},\"items\":[{}]}}",
            items.join(",")
        );
        answer(200, text)
    }

    async fn write(
        self: &Arc<Self>,
        call: Call,
        fault: Option<WriteFault>,
        life: &Life,
    ) -> Result<Sent, BoxError> {
        match fault {
            None => return Ok(self.carry_out(&call)),
            Some(WriteFault::Refused(code)) => return Ok(refused(code)),
            Some(WriteFault::CrashBefore) => self.crash(life).await,
            Some(WriteFault::CrashAfter) => {
                self.carry_out(&call);
                self.crash(life).await;
            }
            Some(WriteFault::Lost) => drop(self.carry_out(&call)),
            Some(WriteFault::LostInGateway) => {
                self.carry_out(&call);
                return Ok(refused(504));
            }
            Some(WriteFault::Hangs) => {
                self.carry_out(&call);
                // Until the operator gives it up, and looks again.
                let _under_way = UnderWay::begin(self);
                std::future::pending::<()>().await;
            }
            Some(WriteFault::Late(seconds)) => self.carry_out_later(call, seconds),
            Some(WriteFault::Twice(seconds)) => {
                let answer = self.carry_out(&call);
                self.carry_out_later(call, seconds);
                return Ok(answer);
            }
        }
        Err(broken())
    }

    async fn crash(&self, life: &Life) {
        life.end();
        self.crashed.notify_one();
        life.goes_on().await;
    }

    fn carry_out_later(self: &Arc<Self>, call: Call, seconds: u8) {
        let under_way = UnderWay::begin(self);
        tokio::spawn(async move {
            sleep(Duration::from_secs(seconds.into())).await;
            under_way.0.carry_out(&call);
        });
    }

    /// Does what a write asks for, and notes it.
    fn carry_out(&self, call: &Call) -> Sent {
        if call.key.resource.starts_with("events") {
            return answer(201, String::from_utf8_lossy(&call.body).into_owned());
        }
        let body: Map<String, Value> = serde_json::from_slice(&call.body).unwrap_or_default();
        let (result, wrong) = match (&call.method, call.content.as_str()) {
            (&Method::PATCH, "application/apply-patch+yaml") => (self.apply(call, body), ""),
            (&Method::DELETE, _) => self.delete(call, &body),
            (&Method::POST, _) => (self.create(call, body), ""),
            _ => (Err((501, "the model does not know this request".to_owned())), "it is not in the model"),
        };
        let sent = match result {
            Ok(text) => answer(200, text),
            Err((code, message)) => failure(code, &message),
        };
        let mut state = self.state();
        let entry = Write {
            at: self.now(),
            step: state.step,
            verb: format!("{} {}", call.method, call.parameter("fieldManager")),
            key: call.key.clone(),
            code: sent.status().as_u16(),
            wrong,
        };
        state.journal.push(entry.to_string());
        state.written.push(entry);
        sent
    }

    fn apply(&self, call: &Call, body: Map<String, Value>) -> Result<String, (u16, String)> {
        let subresource = Some(call.subresource.as_str()).filter(|name| !name.is_empty());
        let nothing = Map::new();
        self.change(|store| {
            let live = store.get(&call.key).cloned();
            let metadata = body.get("metadata");
            let said = |name| metadata.and_then(|metadata| metadata.get(name)).and_then(Value::as_str);
            for name in ["uid", "resourceVersion"] {
                match (said(name), &live) {
                    (Some(wanted), Some(live)) if live.text_of(name) != wanted => {
                        return Err((409, format!("{}: another {name}", call.key)));
                    }
                    (Some(_), None) if name == "uid" => {
                        return Err((409, format!("{}: no object has this uid", call.key)));
                    }
                    _ => {}
                }
            }
            if subresource.is_some() && live.is_none() {
                return Err((404, format!("{} not found", call.key)));
            }
            let heads = ["apiVersion", "kind"].map(|name| (name.to_owned(), body.get(name).cloned()));
            let apply = Apply {
                manager: call.parameter("fieldManager"),
                subresource,
                force: call.parameter("force") == "true",
                body,
            };
            let managers = live.as_ref().map_or(&[][..], |live| &live.managers);
            let value = live.as_ref().map_or(&nothing, |live| &live.value);
            let (mut value, managers) = apply.to(value, managers).map_err(|text| (409, text))?;
            value.extend(heads.into_iter().filter_map(|(name, head)| Some((name, head?))));
            Ok(store.put(&call.key, value, managers).text(call.metadata_only).to_owned())
        })
    }

    fn create(&self, call: &Call, body: Map<String, Value>) -> Result<String, (u16, String)> {
        let name = body.get("metadata").and_then(|metadata| metadata["name"].as_str()).unwrap_or_default();
        let key = Key { name: name.to_owned(), ..call.key.clone() };
        self.change(|store| match store.get(&key) {
            Some(_) => Err((409, format!("{key} already exists"))),
            None => Ok(store.put(&key, body, Vec::new()).text(call.metadata_only).to_owned()),
        })
    }

    fn delete(
        &self,
        call: &Call,
        options: &Map<String, Value>,
    ) -> (Result<String, (u16, String)>, &'static str) {
        let nothing = Value::Null;
        let conditions = options.get("preconditions").unwrap_or(&nothing);
        let wrong = if conditions["uid"].is_string() { "" } else { "a delete names the UID that it means" };
        let result = self.change(|store| {
            let live = store.get(&call.key).cloned().ok_or((404, format!("{} not found", call.key)))?;
            for name in ["uid", "resourceVersion"] {
                if conditions[name].as_str().is_some_and(|wanted| wanted != live.text_of(name)) {
                    return Err((409, format!("{}: another {name}", call.key)));
                }
            }
            store.remove(&call.key);
            Ok(json!({"apiVersion": "v1", "kind": "Status", "status": "Success"}).to_string())
        });
        (result, wrong)
    }
}

/// Some milliseconds, others for each number, so that what is sent at once is not answered in order.
fn latency(number: u16) -> Duration {
    Duration::from_millis(1 + u64::from(number.wrapping_mul(7) % 5))
}

fn broken() -> BoxError {
    std::io::Error::from(std::io::ErrorKind::ConnectionReset).into()
}

/// An answer with this body.
pub fn answer(code: u16, body: impl Into<Answer>) -> Sent {
    let body = body.into().map_err(BoxError::from);
    let mut response = Response::new(Box::new(body) as Box<DynBody>);
    *response.status_mut() = StatusCode::from_u16(code).unwrap_or_default();
    response
}

/// A Status as text.
pub fn status(code: u16, message: &str) -> String {
    let reason = match code {
        403 => "Forbidden",
        404 => "NotFound",
        409 => "Conflict",
        410 => "Expired",
        429 => "TooManyRequests",
        _ => "InternalError",
    };
    json!({
        "apiVersion": "v1", "kind": "Status", "metadata": {}, "status": "Failure",
        "message": message, "reason": reason, "code": code,
    })
    .to_string()
}

fn failure(code: u16, message: &str) -> Sent {
    answer(code, status(code, message))
}

fn refused(code: u16) -> Sent {
    let mut response = failure(code, "the model refuses this request");
    if code == 429 {
        response.headers_mut().insert(http::header::RETRY_AFTER, http::HeaderValue::from_static("1"));
    }
    response
}
