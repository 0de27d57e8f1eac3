//! Between clients and one broker: passes on what they say, counts the requests by Kafka's API keys, and
//! fails in the ways in which networks fail.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// API keys of the requests that tests count.
pub mod api {
    /// CreateTopics
    pub const CREATE_TOPICS: i16 = 19;
    /// DeleteTopics
    pub const DELETE_TOPICS: i16 = 20;
    /// CreateAcls
    pub const CREATE_ACLS: i16 = 30;
    /// DeleteAcls
    pub const DELETE_ACLS: i16 = 31;
    /// AlterConfigs
    pub const ALTER_CONFIGS: i16 = 33;
    /// CreatePartitions
    pub const CREATE_PARTITIONS: i16 = 37;
    /// IncrementalAlterConfigs
    pub const INCREMENTAL_ALTER_CONFIGS: i16 = 44;
    /// SaslAuthenticate
    pub const AUTHENTICATE: i16 = 36;
    /// AlterUserScramCredentials
    pub const ALTER_USERS: i16 = 51;
    /// All that change something.
    pub const WRITES: [i16; 8] = [
        CREATE_TOPICS,
        DELETE_TOPICS,
        CREATE_ACLS,
        DELETE_ACLS,
        ALTER_CONFIGS,
        CREATE_PARTITIONS,
        INCREMENTAL_ALTER_CONFIGS,
        ALTER_USERS,
    ];
}

/// What happens to connections, old and new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weather {
    /// All goes through.
    Fair,
    /// Each piece of an answer takes this long.
    Slow(Duration),
    /// Connections are accepted and stay open, and nothing goes through: a half-open socket.
    BlackHole,
    /// Every connection is reset.
    Reset,
    /// Each connection is reset after so many requests, before the answer to the last one.
    Brittle(usize),
    /// The first request with this API key goes through, its connection is reset before the answer; then
    /// it is [`Weather::Fair`].
    LoseAnswer(i16),
}

/// A proxy in front of one listener of one broker.
#[derive(Clone)]
pub struct Proxy {
    shared: Arc<Shared>,
}

struct Shared {
    broker: SocketAddr,
    weather: watch::Sender<Weather>,
    /// How often all connections were reset.
    cuts: watch::Sender<u64>,
    requests: Mutex<BTreeMap<i16, usize>>,
    /// The requests that create topics, as they were sent.
    creations: Mutex<Vec<Vec<u8>>>,
    /// API keys of requests at which all connections are reset, each once, in this order.
    severs: Mutex<VecDeque<i16>>,
}

impl Proxy {
    /// Listens on this port until the process ends; it has a thread of its own, so that no test's runtime
    /// ends it.
    pub fn start(port: u16, broker: u16) -> Self {
        let shared = Arc::new(Shared {
            broker: SocketAddr::from(([127, 0, 0, 1], broker)),
            weather: watch::Sender::new(Weather::Fair),
            cuts: watch::Sender::new(0),
            requests: Mutex::default(),
            creations: Mutex::default(),
            severs: Mutex::default(),
        });
        let listener = std::net::TcpListener::bind(("127.0.0.1", port)).expect("the port is free");
        listener.set_nonblocking(true).expect("a socket need not block");
        let served = Arc::clone(&shared);
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime starts").block_on(serve(listener, served));
        });
        Self { shared }
    }

    /// From now on.
    pub fn set(&self, weather: Weather) {
        self.shared.weather.send_replace(weather);
        if weather == Weather::Reset {
            self.cut();
        }
    }

    /// What it is now.
    pub fn weather(&self) -> Weather {
        *self.shared.weather.borrow()
    }

    /// Resets every connection once.
    pub fn cut(&self) {
        self.shared.cuts.send_modify(|cuts| *cuts += 1);
    }

    /// Resets every connection once at each of these requests, in this order: the request goes through, and
    /// nobody gets an answer.
    pub fn sever(&self, apis: &[i16]) {
        *self.shared.severs() = apis.iter().copied().collect();
    }

    /// How many of those requests are still to come.
    pub fn unsevered(&self) -> usize {
        self.shared.severs().len()
    }

    /// How often every connection was reset.
    pub fn cuts(&self) -> u64 {
        *self.shared.cuts.borrow()
    }

    /// Requests until now, by API key.
    pub fn requests(&self) -> BTreeMap<i16, usize> {
        self.shared.requests().clone()
    }

    /// How often a broker was asked to create this topic; asking whether it would do so does not count.
    pub fn creations(&self, topic: &str) -> usize {
        // Since version 5 of the request the length of a name is before it, one more than it is.
        let length = u8::try_from(topic.len() + 1).ok().filter(|length| *length < 128);
        let name = [&[length.expect("a short name")], topic.as_bytes()].concat();
        let frames = self.shared.creations.lock().unwrap_or_else(PoisonError::into_inner);
        frames.iter().map(|frame| frame.windows(name.len()).filter(|part| *part == name).count()).sum()
    }

    /// How many of them change something.
    pub fn writes(&self) -> usize {
        self.requests().iter().filter(|(api, _)| api::WRITES.contains(api)).map(|(_, count)| count).sum()
    }
}

impl Shared {
    fn requests(&self) -> MutexGuard<'_, BTreeMap<i16, usize>> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, api: i16, frame: &[u8]) {
        *self.requests().entry(api).or_default() += 1;
        if api == api::CREATE_TOPICS {
            let version = i16::from_be_bytes([frame[6], frame[7]]);
            assert!(version >= 5, "names are not understood in version {version}");
            // At the end are the wish for a mere check, and the number of tagged fields.
            if frame[frame.len() - 2] == 0 {
                self.creations.lock().unwrap_or_else(PoisonError::into_inner).push(frame.to_vec());
            }
        }
    }

    fn severs(&self) -> MutexGuard<'_, VecDeque<i16>> {
        self.severs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether all connections are to be reset now.
    fn is_severed_by(&self, api: i16) -> bool {
        let mut severs = self.severs();
        let severed = severs.front() == Some(&api);
        if severed {
            severs.pop_front();
        }
        severed
    }

    /// Waits while nothing goes through.
    async fn passes(&self) {
        let mut weather = self.weather.subscribe();
        let _ = weather.wait_for(|weather| *weather != Weather::BlackHole).await;
    }
}

/// How a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Closed,
    Reset,
}

async fn serve(listener: std::net::TcpListener, shared: Arc<Shared>) {
    let listener = TcpListener::from_std(listener).expect("the runtime takes the socket");
    loop {
        if let Ok((client, _)) = listener.accept().await {
            let shared = Arc::clone(&shared);
            tokio::spawn(async move {
                let mut client = client;
                if connection(&mut client, &shared).await == End::Reset {
                    let _ = client.set_zero_linger();
                }
            });
        }
    }
}

async fn connection(client: &mut TcpStream, shared: &Shared) -> End {
    let mut cuts = shared.cuts.subscribe();
    if *shared.weather.borrow() == Weather::Reset {
        return End::Reset;
    }
    let Ok(mut broker) = TcpStream::connect(shared.broker).await else { return End::Reset };
    for socket in [&*client, &broker] {
        let _ = socket.set_nodelay(true);
    }
    let lost = AtomicBool::new(false);
    let (from_client, to_client) = client.split();
    let (from_broker, to_broker) = broker.split();
    tokio::select! {
        biased;
        // Nothing that was held back goes through any more.
        _ = cuts.changed() => End::Reset,
        end = requests(from_client, to_broker, shared, &lost) => end,
        end = answers(from_broker, to_client, shared, &lost) => end,
    }
}

/// Passes on what a client says, frame by frame: four bytes of length, then the request, which begins
/// with its API key.
async fn requests(mut from: ReadHalf<'_>, mut to: WriteHalf<'_>, shared: &Shared, lost: &AtomicBool) -> End {
    let mut frame = Vec::new();
    for number in 1.. {
        let mut length = [0; 4];
        if from.read_exact(&mut length).await.is_err() {
            return End::Closed;
        }
        frame.clear();
        frame.extend(length);
        frame.resize(4 + u32::from_be_bytes(length) as usize, 0);
        if from.read_exact(&mut frame[4..]).await.is_err() {
            return End::Closed;
        }
        shared.passes().await;
        let api = i16::from_be_bytes([frame[4], frame[5]]);
        shared.count(api, &frame);
        let loses = shared.weather.send_if_modified(|weather| {
            let loses = *weather == Weather::LoseAnswer(api);
            if loses {
                *weather = Weather::Fair;
            }
            loses
        });
        let breaks = matches!(*shared.weather.borrow(), Weather::Brittle(most) if number >= most);
        lost.fetch_or(loses || breaks, Ordering::Relaxed);
        let severed = shared.is_severed_by(api);
        lost.fetch_or(severed, Ordering::Relaxed);
        if to.write_all(&frame).await.is_err() {
            break;
        }
        if severed {
            shared.cuts.send_modify(|cuts| *cuts += 1);
        }
    }
    End::Reset
}

/// Passes on what the broker answers.
async fn answers(mut from: ReadHalf<'_>, mut to: WriteHalf<'_>, shared: &Shared, lost: &AtomicBool) -> End {
    let mut piece = vec![0; 64 * 1024];
    loop {
        let size = match from.read(&mut piece).await {
            Ok(0) | Err(_) => return End::Closed,
            Ok(size) => size,
        };
        if lost.load(Ordering::Relaxed) {
            return End::Reset;
        }
        let slow = *shared.weather.borrow();
        if let Weather::Slow(time) = slow {
            tokio::time::sleep(time).await;
        }
        shared.passes().await;
        if to.write_all(&piece[..size]).await.is_err() {
            return End::Reset;
        }
    }
}
