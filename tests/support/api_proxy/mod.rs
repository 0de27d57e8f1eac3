//! Between one operator and the API server: passes on what they say, keeps a record of it, and fails at
//! one chosen request or watch event in the ways in which servers, networks and processes fail. The
//! operator runs unmodified; only the server in its kubeconfig is another.

mod call;
mod server;
mod watch;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use kube::Config;
use kube::config::KubeConfigOptions;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use self::server::Upstream;
use super::Cluster;

pub use call::{Call, NONE};

/// What happens to one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The operator is killed, and the request never arrives.
    CrashBefore,
    /// The request is carried out, and the operator is killed before it hears of it.
    CrashAfter,
    /// The request is carried out, and its connection is closed instead of an answer.
    LoseReply,
    /// The request is carried out, and 504 is answered.
    Timeout,
    /// The connection is closed before the request arrives.
    Lose,
    /// The request arrives this much later.
    Late(Duration),
    /// The request is refused with this code; 429 with a `Retry-After` of one second.
    Refuse(u16),
}

/// What happens to one event of a watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disturbance {
    /// It and all after it come this much later.
    Delay(Duration),
    /// It is held back, and what follows it within this time about the same object comes in its place.
    Coalesce(Duration),
    /// It comes twice.
    Double,
    /// The connection ends in the middle of it.
    Break,
    /// It is lost: in its place the watch ends with 410 Gone.
    Expire,
    /// From here on nothing comes, not even the end: the connection is dead and stays open.
    Silence,
}

/// A list that shows the cluster as it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stale {
    /// The resource, for example `deployments`.
    pub resource: String,
    /// Revision of the cluster's data that is shown.
    pub revision: String,
    /// How much later the events after it come.
    pub lag: Duration,
}

/// One request that changes something, as it was answered.
#[derive(Clone, Debug)]
pub struct Sent {
    /// Which.
    pub call: Call,
    /// HTTP status, 0 when the request was not passed on.
    pub code: u16,
    /// When the answer was there.
    pub at: Instant,
}

/// Asks for the end of the operator, and is told when it has come.
pub type Crash = oneshot::Sender<()>;

/// The proxy. It ends when it is dropped.
pub struct ApiProxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    listening: JoinHandle<()>,
}

struct Shared {
    upstream: Upstream,
    crashes: mpsc::UnboundedSender<Crash>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// How often each call has been seen.
    calls: BTreeMap<(String, String, String), usize>,
    /// How many events of each resource have been passed on.
    events: BTreeMap<String, usize>,
    fault: Option<(Call, Fault)>,
    disturbance: Option<(String, usize, Disturbance)>,
    stale: Option<Stale>,
    writes: Vec<Sent>,
    under_way: usize,
}

impl ApiProxy {
    /// Listens on a port of its own, before the API server of this cluster. Whoever holds the other end of
    /// the channel ends the operator when it is told to.
    pub async fn start(cluster: &Cluster) -> (Self, mpsc::UnboundedReceiver<Crash>) {
        let mut kubeconfig = cluster.kubeconfig();
        // Who asks says itself who it is.
        kubeconfig.auth_infos.iter_mut().for_each(|user| user.auth_info = Some(Default::default()));
        let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await;
        let upstream = Upstream::new(&config.expect("the kubeconfig is complete"));
        let (crashes, wanted) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared { upstream, crashes, state: Mutex::default() });
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port is free");
        let address = listener.local_addr().expect("it listens");
        let listening = tokio::spawn(server::serve(listener, Arc::clone(&shared)));
        (Self { address, shared, listening }, wanted)
    }

    /// What the operator takes for the API server.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Fails once, at this call.
    pub fn fail(&self, call: Call, fault: Fault) {
        self.state().fault = Some((call, fault));
    }

    /// Disturbs once, at the event of this number of a resource.
    pub fn disturb(&self, resource: &str, number: usize, disturbance: Disturbance) {
        self.state().disturbance = Some((resource.to_owned(), number, disturbance));
    }

    /// Answers the next list of a resource from the past.
    pub fn show_the_past(&self, stale: Stale) {
        self.state().stale = Some(stale);
    }

    /// Whether what was asked for has happened.
    pub fn has_struck(&self) -> bool {
        let state = self.state();
        state.fault.is_none() && state.disturbance.is_none() && state.stale.is_none()
    }

    /// All requests so far that change something, in the order of their answers.
    pub fn writes(&self) -> Vec<Sent> {
        self.state().writes.clone()
    }

    /// For each resource how many events of its watches were passed on.
    pub fn events(&self) -> BTreeMap<String, usize> {
        self.state().events.clone()
    }

    /// How long no request that changes something has begun or ended; nothing while one is under way.
    pub fn quiet_since(&self, start: Instant) -> Duration {
        let state = self.state();
        if state.under_way > 0 {
            return Duration::ZERO;
        }
        state.writes.last().map_or(start, |sent| sent.at.max(start)).elapsed()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state()
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for ApiProxy {
    fn drop(&mut self) {
        self.listening.abort();
    }
}
