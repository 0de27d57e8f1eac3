//! Between one operator and the API server: passes on what they say, keeps a record of it, and fails, at
//! the requests and watch events that a policy chooses, in the ways in which servers, networks and processes
//! fail. The operator runs unmodified; only the server in its kubeconfig is another.

mod call;
mod fault;
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
pub use fault::{Disturbance, Fault, Policy, Stale, Strike, millis};

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
    /// Without one nothing goes wrong.
    policy: Option<Arc<dyn Policy>>,
    stale: Option<Stale>,
    strikes: Vec<(Instant, Strike)>,
    writes: Vec<Sent>,
    under_way: usize,
    /// How much is late on purpose now.
    held: usize,
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

    /// From now on goes wrong what this policy says.
    pub fn follow(&self, policy: impl Policy + 'static) {
        self.state().policy = Some(Arc::new(policy));
    }

    /// Answers the next list of a resource from the past.
    pub fn show_the_past(&self, stale: Stale) {
        self.state().stale = Some(stale);
    }

    /// From now on nothing goes wrong any more, and everything that is late comes. A dead watch stays dead.
    pub async fn calm(&self) {
        {
            let mut state = self.state();
            (state.policy, state.stale) = (None, None);
        }
        while self.is_late() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Whether something comes late on purpose, and has not come yet.
    pub fn is_late(&self) -> bool {
        self.state().held > 0
    }

    /// What has gone wrong so far, and when.
    pub fn strikes(&self) -> Vec<(Instant, Strike)> {
        self.state().strikes.clone()
    }

    /// Records what somebody else did.
    pub fn note(&self, strike: Strike) {
        self.state().note(strike);
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

impl State {
    fn note(&mut self, strike: Strike) {
        self.strikes.push((Instant::now(), strike));
    }
}

impl Shared {
    /// Lets a time go by in which something is late.
    async fn hold<T>(&self, late: impl Future<Output = T>) -> T {
        let _held = Held::of(self);
        late.await
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts as something that is late until it is dropped.
struct Held<'s>(&'s Shared);

impl<'s> Held<'s> {
    fn of(shared: &'s Shared) -> Self {
        shared.state().held += 1;
        Self(shared)
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.state().held -= 1;
    }
}

impl Drop for ApiProxy {
    fn drop(&mut self) {
        self.listening.abort();
    }
}
