//! A real Apache Kafka (KRaft) for tests: one broker or several, on loopback, with SCRAM, PLAIN, TLS and
//! ACLs, from the jars that `make kafka-tools` fetches.

mod authority;
mod node;
mod proxy;
pub mod strimzi;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use krafka::Kafka as Client;
use krafka::admin::DescribeClusterOptions;
use krafka::auth::AuthConfig;
use microservice_operator::engine::kafka::{ClientCertificate, Login, Mechanism, Settings, Tls};
use tokio::sync::OnceCell;

use super::cluster::{is_alive, remains, scratch};
use super::{eventually, free_port, suffix};
use node::Node;

pub use authority::Authority;
pub use node::Odd;
pub use proxy::{Proxy, Weather, api};

/// A cluster of brokers. Tests of one process share one; a test that disturbs it starts its own.
pub struct Kafka {
    nodes: Vec<Node>,
    /// Who signed the certificates of the brokers.
    authority: Authority,
    password: String,
    id: String,
    proxies: Vec<Proxy>,
}

/// The super user that is made when the storage is formatted.
pub const ADMIN: &str = "admin";
const PREFIX: &str = "kafka-";

impl Kafka {
    /// The broker of this process, started by the first call.
    pub async fn shared() -> &'static Self {
        static SHARED: OnceCell<Kafka> = OnceCell::const_new();
        SHARED.get_or_init(Self::start).await
    }

    /// A broker for one test alone.
    pub async fn start() -> Self {
        Self::cluster(1).await
    }

    /// A broker for one test alone, and the proxy in front of its listener that takes logins without TLS.
    pub async fn proxied() -> (Self, Proxy) {
        let kafka = Self::with_ports(vec![node::Ports::proxied()], Odd::default()).await;
        let proxy = kafka.proxies[0].clone();
        (kafka, proxy)
    }

    /// So many brokers, each a controller too.
    pub async fn cluster(brokers: usize) -> Self {
        Self::with_ports((0..brokers).map(|_| node::Ports::free()).collect(), Odd::default()).await
    }

    /// So many brokers on an address of this host that the pods of a real node reach.
    pub async fn reachable(host: &str, brokers: usize) -> Self {
        Self::with_ports((0..brokers).map(|_| node::Ports::free_at(host)).collect(), Odd::default()).await
    }

    /// So many brokers of which the last has never joined: `revive` starts it.
    pub async fn incomplete(brokers: usize) -> Self {
        let ports = (0..brokers).map(|_| node::Ports::free()).collect();
        Self::with_ports(ports, Odd { late: true, ..Odd::default() }).await
    }

    /// A broker for one test alone with something that others have not.
    pub async fn odd(odd: Odd) -> Self {
        Self::with_ports(vec![node::Ports::free()], odd).await
    }

    async fn with_ports(ports: Vec<node::Ports>, odd: Odd) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        if number == 0 {
            remove_old_instances();
        }
        let dir = scratch().join(format!("{PREFIX}{}-{number}", std::process::id()));
        std::fs::create_dir_all(&dir).expect("the scratch directory is writable");

        let authority = Authority::new("brokers");
        let password = format!("admin-{}-{}", suffix(), suffix());
        // As Kafka writes ids: 16 bytes in base64, so that the last digit ends in four zero bits.
        let id = format!("test{}AAAAAAAAAA", suffix());
        let mut nodes: Vec<Node> = (0..ports.len())
            .map(|index| Node::new(&dir, index, &ports, &authority, &password, &odd))
            .collect();
        let proxy = |ports: &node::Ports| Some(Proxy::start(ports.sasl, ports.behind?));
        let proxies = ports.iter().filter_map(proxy).collect();
        // The tool that formats runs two seconds each, so all at once.
        std::thread::scope(|scope| {
            for node in &nodes {
                scope.spawn(|| node.format(&id, ADMIN, &password));
            }
        });
        let started = nodes.len() - usize::from(odd.late);
        nodes.iter_mut().take(started).for_each(Node::start);
        let kafka = Self { nodes, authority, password, id, proxies };
        kafka.wait_ready().await;
        kafka
    }

    /// Until every broker is a member of the cluster and takes requests, by asking.
    pub async fn wait_ready(&self) {
        let wanted = self.nodes.iter().filter(|node| node.is_running()).count();
        eventually(Duration::from_secs(90), "the brokers are ready", || async {
            for node in &self.nodes {
                node.assert_alive();
            }
            let admin = self.client().await?.admin().default_api_timeout(Duration::from_secs(5));
            let seen = admin.describe_cluster(DescribeClusterOptions::default()).await?;
            let ready = seen.brokers.iter().filter(|broker| !broker.is_fenced).count();
            if ready == wanted {
                Ok(())
            } else {
                Err(krafka::KrafkaError::illegal_state(format!("{ready} of {wanted} brokers")))
            }
        })
        .await;
    }

    /// A client with all rights, without TLS or login: for what a test itself prepares and checks.
    pub async fn client(&self) -> krafka::Result<Client> {
        self.connect(self.plaintext(), None).await
    }

    /// A client that logs in with SCRAM-SHA-512 without TLS, as the pods of a service do.
    pub async fn client_of(&self, user: &str, password: &str) -> krafka::Result<Client> {
        self.connect(self.sasl(), Some(AuthConfig::sasl_scram_sha512(user, password))).await
    }

    /// The same at this broker and no other.
    pub async fn client_at(&self, node: usize, user: &str, password: &str) -> krafka::Result<Client> {
        let auth = AuthConfig::sasl_scram_sha512(user, password);
        self.connect(vec![self.sasl()[node].clone()], Some(auth)).await
    }

    async fn connect(&self, bootstrap: Vec<String>, auth: Option<AuthConfig>) -> krafka::Result<Client> {
        let builder = Client::builder(bootstrap.join(","))
            .connect_timeout(Duration::from_secs(5))
            .request_timeout(Duration::from_secs(10));
        match auth {
            Some(auth) => builder.security(auth).connect().await,
            None => builder.connect().await,
        }
    }

    /// What the operator is given: TLS with the CA, and the super user with SCRAM-SHA-512.
    pub fn settings(&self) -> Settings {
        Settings {
            bootstrap: self.tls(),
            tls: Some(Tls { ca: Some(self.authority.certificate()), client: None }),
            login: Some(Login {
                mechanism: Mechanism::ScramSha512,
                user: ADMIN.into(),
                password: self.password.clone(),
            }),
        }
    }

    /// TLS with a client certificate, which the brokers know as a super user, and no login.
    pub fn settings_with_certificate(&self) -> Settings {
        let (chain, key) = self.authority.sign(node::CERTIFICATE_USER);
        let client = Some(ClientCertificate { chain, key });
        let bootstrap = self.addresses(|ports| ports.mutual);
        Settings { bootstrap, tls: Some(Tls { ca: Some(self.authority.certificate()), client }), login: None }
    }

    /// A CA that has signed nothing here.
    pub fn foreign_ca() -> String {
        Authority::new("somebody else").certificate()
    }

    /// `host:port` of the listeners without TLS and login.
    pub fn plaintext(&self) -> Vec<String> {
        self.addresses(|ports| ports.plaintext)
    }

    /// Those with a login, SCRAM-SHA-512, SCRAM-SHA-256 or PLAIN, without TLS.
    pub fn sasl(&self) -> Vec<String> {
        self.addresses(|ports| ports.sasl)
    }

    /// Those with TLS and a login.
    pub fn tls(&self) -> Vec<String> {
        self.addresses(|ports| ports.tls)
    }

    fn addresses(&self, port: impl Fn(&node::Ports) -> u16) -> Vec<String> {
        self.nodes.iter().map(|node| format!("{}:{}", node.ports.host, port(&node.ports))).collect()
    }

    /// Kills a broker; its data stays.
    pub fn kill(&mut self, node: usize) {
        self.nodes[node].kill();
    }

    /// Starts a broker that was killed, and waits until the cluster has it.
    pub async fn revive(&mut self, node: usize) {
        self.nodes[node].start();
        self.wait_ready().await;
    }

    /// Stops a broker in its tracks: connections stay open and nothing is answered.
    pub fn freeze(&self, node: usize) {
        self.nodes[node].signal("STOP");
    }

    /// Lets it go on.
    pub fn thaw(&self, node: usize) {
        self.nodes[node].signal("CONT");
    }

    /// The id of the cluster.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// How many logins the brokers have refused.
    pub fn refused_logins(&self) -> usize {
        let refused = |line: &&str| line.contains("Failed authentication");
        self.nodes.iter().map(|node| node.log().lines().filter(refused).count()).sum()
    }
}

/// The directory with Kafka's jars.
fn jars() -> PathBuf {
    tool("kafka")
}

/// What `make kafka-tools` has put here.
fn tool(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("tools").join(name);
    assert!(path.exists(), "{} is missing: run `make kafka-tools`", path.display());
    path
}

/// Removes the logs of test processes that are gone. The last run's stay until here, for reading.
fn remove_old_instances() {
    for dir in remains(PREFIX) {
        let _ = std::fs::remove_dir_all(dir);
    }
}
