//! A stub of an API server: pages of lists and watches of the copies, made while they are sent, and just
//! enough of writes that a new object is served. It validates nothing and forgets nothing.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Query, State};
use axum::http::{Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use futures::stream;
use microservice_operator::api::ANNOTATION_PLAN_HASH;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::fleet::{Fleet, last_version};
use crate::objects::Objects;
use crate::support::Target;

/// Plural of the Microservices.
pub const ROOTS: &str = "microservices";
/// Between two signs of life on a watch, as a real server sends them.
const BOOKMARK: Duration = Duration::from_secs(30);

/// The server.
pub struct Server {
    pub fleet: Fleet,
    state: Mutex<Told>,
    /// Version of the newest change; tells watches that there is one.
    newest: watch::Sender<u64>,
}

/// What was asked for and changed.
#[derive(Default)]
struct Told {
    /// Objects that were written, or created from outside.
    objects: Objects,
    /// Changes by plural, in the order of their versions.
    changes: BTreeMap<String, Vec<(u64, Change)>>,
    requests: Vec<Request>,
}

/// A change that watches tell of.
#[derive(Clone)]
pub enum Change {
    /// An annotation of the copy of this number that means nothing to anybody.
    Annotated(usize),
    /// An object that is kept as a whole.
    Object(Arc<Value>),
    /// The copy of this number is deleted.
    Gone(usize),
}

/// One request but those of watches.
#[derive(Clone, Debug)]
pub struct Request {
    pub at: Instant,
    pub method: Method,
    pub plural: String,
    /// Name of the object; of an Event, that of the object that it is about.
    pub name: String,
    pub namespace: String,
}

impl Server {
    /// Serves the fleet until the runtime ends. Returns the address.
    pub async fn start(fleet: Fleet) -> (Arc<Self>, SocketAddr) {
        let newest = watch::Sender::new(last_version(&fleet));
        let server = Arc::new(Self { fleet, state: Mutex::default(), newest });
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a loopback port is free");
        let address = listener.local_addr().expect("it has an address");
        let router = Router::new().fallback(answer).with_state(server.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        (server, address)
    }

    fn state(&self) -> MutexGuard<'_, Told> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was asked for so far, but watches.
    pub fn requests(&self) -> Vec<Request> {
        self.state().requests.clone()
    }

    /// Forgets what was asked for so far.
    pub fn forget(&self) {
        self.state().requests.clear();
    }

    /// Creates a Microservice, as a user does.
    pub fn create(&self, object: Value) {
        let mut state = self.state();
        let created = state.objects.create(ROOTS, object, self.next(1));
        self.tell(&mut state, ROOTS, [Change::Object(created)]);
    }

    /// Changes so many copies at once.
    pub fn annotate(&self, count: usize) {
        self.tell(&mut self.state(), ROOTS, (0..count).map(Change::Annotated));
    }

    /// Deletes all copies of a kind.
    pub fn delete_all(&self, plural: &str) {
        self.tell(&mut self.state(), plural, (0..self.fleet.len()).map(Change::Gone));
    }

    /// Changes what the operator has written into a child, as somebody else does. Returns its name.
    pub fn spoil(&self, plural: &str, number: usize) -> String {
        let mut state = self.state();
        let mut object: Value = serde_json::from_str(&self.copy(plural, number)).expect("a copy is JSON");
        object["metadata"]["annotations"][ANNOTATION_PLAN_HASH] = json!("spoilt");
        object["metadata"]["resourceVersion"] = json!(self.next(1).to_string());
        let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        self.tell(&mut state, plural, [Change::Object(Arc::new(object))]);
        name
    }

    /// The version after so many changes. Only who holds the state may ask.
    fn next(&self, changes: u64) -> u64 {
        *self.newest.borrow() + changes
    }

    fn tell(&self, state: &mut Told, plural: &str, changes: impl IntoIterator<Item = Change>) {
        let mut version = self.next(0);
        let told = state.changes.entry(plural.to_owned()).or_default();
        told.extend(changes.into_iter().map(|change| {
            version += 1;
            (version, change)
        }));
        self.newest.send_replace(version);
    }

    /// One line of a watch.
    fn line(&self, plural: &str, version: u64, change: &Change) -> String {
        let copy = |number: usize| {
            let mut object: Value = serde_json::from_str(&self.copy(plural, number)).expect("a copy is JSON");
            object["metadata"]["resourceVersion"] = json!(version.to_string());
            object
        };
        // To a client it makes no difference whether an object is new. It must be told the type first.
        match change {
            Change::Annotated(number) => {
                let mut object = copy(*number);
                object["metadata"]["annotations"]["example.com/touched"] = json!(version.to_string());
                line("MODIFIED", &object)
            }
            Change::Object(object) => line("MODIFIED", object),
            Change::Gone(number) => line("DELETED", &copy(*number)),
        }
    }

    /// A page of a list: copies only. Nobody lists again after a write.
    fn page(&self, target: &Target, asked: &BTreeMap<String, String>) -> String {
        let number = |name: &str| asked.get(name).and_then(|text| text.parse().ok());
        let elsewhere = target.namespace.as_ref().is_some_and(|namespace| *namespace != self.fleet.namespace);
        let copies = if self.has_copies(&target.plural) && !elsewhere { self.fleet.len() } else { 0 };
        let from: usize = number("continue").unwrap_or(0);
        let to = copies.min(from + number("limit").unwrap_or(copies));
        let version = last_version(&self.fleet);
        let left = if to < copies { format!(",\"continue\":\"{to}\"") } else { String::new() };
        let mut page = format!(
            "{{\"kind\":\"List\",\"apiVersion\":\"v1\",\"metadata\":{{\"resourceVersion\":\"{version}\"{left}}},\"items\":["
        );
        if target.plural == "namespaces" {
            page += &json!({"metadata": {"name": self.fleet.namespace, "uid": "ns", "resourceVersion": "1"}})
                .to_string();
        }
        for copy in from..to {
            page.push_str(if copy > from { "," } else { "" });
            page += &self.copy(&target.plural, copy);
        }
        page + "]}"
    }

    fn has_copies(&self, plural: &str) -> bool {
        plural == ROOTS || (self.fleet.len() > 0 && self.fleet.child(plural, 0).is_some())
    }

    fn copy(&self, plural: &str, number: usize) -> String {
        if plural == ROOTS {
            self.fleet.root(number)
        } else {
            self.fleet.child(plural, number).unwrap_or_default()
        }
    }

    /// Lines from this version on, until the client has enough.
    fn watch(self: Arc<Self>, plural: String, from: u64) -> Body {
        struct Cursor {
            server: Arc<Server>,
            plural: String,
            version: u64,
            news: watch::Receiver<u64>,
        }
        let cursor = Cursor { news: self.newest.subscribe(), server: self, plural, version: from };
        Body::from_stream(stream::unfold(cursor, |mut cursor| async move {
            loop {
                cursor.news.borrow_and_update();
                let next = cursor.server.after(&cursor.plural, cursor.version);
                if let Some((version, change)) = next {
                    cursor.version = version;
                    let line = cursor.server.line(&cursor.plural, version, &change);
                    return Some((Ok::<_, Infallible>(line), cursor));
                }
                if tokio::time::timeout(BOOKMARK, cursor.news.changed()).await.is_err() {
                    let metadata = json!({"resourceVersion": cursor.version.to_string()});
                    let object = json!({"kind": "", "apiVersion": "", "metadata": metadata});
                    return Some((Ok(line("BOOKMARK", &object)), cursor));
                }
            }
        }))
    }

    /// The first change of this kind after a version.
    fn after(&self, plural: &str, version: u64) -> Option<(u64, Change)> {
        let state = self.state();
        let changes = state.changes.get(plural)?;
        changes.get(changes.partition_point(|(one, _)| *one <= version)).cloned()
    }

    /// Answers to everything but lists and watches.
    fn single(
        &self,
        method: &Method,
        target: &Target,
        asked: &BTreeMap<String, String>,
        body: &[u8],
    ) -> Response {
        let mut state = self.state();
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        state.requests.push(Request::new(method, target, &body));
        let version = self.next(1);
        let stored = match *method {
            Method::GET => return found(state.objects.get(target)),
            Method::POST => state.objects.create(&target.plural, body, version),
            Method::PATCH => state.objects.apply(
                target,
                &body,
                asked.get("fieldManager").map_or("", String::as_str),
                version,
            ),
            _ => return refused(StatusCode::METHOD_NOT_ALLOWED),
        };
        self.tell(&mut state, &target.plural, [Change::Object(stored.clone())]);
        found(Some(stored))
    }
}

impl Request {
    fn new(method: &Method, target: &Target, body: &Value) -> Self {
        let about = body["regarding"]["name"].as_str().or(body["metadata"]["name"].as_str());
        Self {
            at: Instant::now(),
            method: method.clone(),
            plural: target.plural.clone(),
            name: target.name.as_deref().or(about).unwrap_or_default().to_owned(),
            namespace: target.namespace.clone().unwrap_or_default(),
        }
    }

    /// Whether it is for a page of a list.
    pub fn is_list(&self) -> bool {
        self.method == Method::GET && self.name.is_empty()
    }

    /// Whether it changes something.
    pub fn is_write(&self) -> bool {
        self.method != Method::GET
    }
}

async fn answer(
    State(server): State<Arc<Server>>,
    method: Method,
    uri: Uri,
    Query(asked): Query<BTreeMap<String, String>>,
    body: Bytes,
) -> Response {
    let target = Target::of(uri.path());
    if target.plural.is_empty() {
        return refused(StatusCode::NOT_FOUND);
    }
    if method != Method::GET || target.name.is_some() {
        return server.single(&method, &target, &asked, &body);
    }
    let body = if asked.contains_key("watch") {
        let from = asked.get("resourceVersion").and_then(|text| text.parse().ok()).unwrap_or(0);
        server.watch(target.plural, from)
    } else {
        server.state().requests.push(Request::new(&method, &target, &Value::Null));
        Body::from(server.page(&target, &asked))
    };
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}

/// A line of a watch, as a server writes it.
fn line(kind: &str, object: &Value) -> String {
    format!("{{\"type\":\"{kind}\",\"object\":{object}}}\n")
}

fn found(object: Option<Arc<Value>>) -> Response {
    let Some(object) = object else { return refused(StatusCode::NOT_FOUND) };
    ([(header::CONTENT_TYPE, "application/json")], object.to_string()).into_response()
}

fn refused(code: StatusCode) -> Response {
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": code.as_u16(),
        "message": "the server could not find the requested resource",
    });
    (code, [(header::CONTENT_TYPE, "application/json")], status.to_string()).into_response()
}
