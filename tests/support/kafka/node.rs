//! One broker: its configuration, its process, its log.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::{Authority, free_port, jars};

/// What a broker has that others have not.
#[derive(Clone, Copy, Debug, Default)]
pub struct Odd {
    /// Properties in place of the usual ones; without a value the key is left out.
    pub properties: &'static [(&'static str, &'static str)],
    /// Its certificate is valid no more.
    pub expired: bool,
    /// The last one is not started.
    pub late: bool,
    /// Class of a policy for new topics, in `tests/kafka/policy`.
    pub policy: Option<&'static str>,
}

/// Common name of the client certificate that is a super user.
pub const CERTIFICATE_USER: &str = "operator";

/// Where a broker listens.
#[derive(Clone, Debug)]
pub struct Ports {
    /// The address for clients: loopback, or one that pods reach too.
    pub host: String,
    pub plaintext: u16,
    pub sasl: u16,
    pub tls: u16,
    pub mutual: u16,
    controller: u16,
    /// Where the broker itself listens for logins without TLS, when a proxy is in front of it.
    pub behind: Option<u16>,
}

impl Ports {
    /// Five that are free now.
    pub fn free() -> Self {
        Self::free_at("127.0.0.1")
    }

    /// The same on this address of ours.
    pub fn free_at(host: &str) -> Self {
        Self {
            host: host.to_owned(),
            plaintext: free_port(),
            sasl: free_port(),
            tls: free_port(),
            mutual: free_port(),
            controller: free_port(),
            behind: None,
        }
    }

    /// The same with room for a proxy in front of the listener that takes logins without TLS.
    pub fn proxied() -> Self {
        Self { behind: Some(free_port()), ..Self::free() }
    }
}

/// One broker.
pub struct Node {
    pub ports: Ports,
    dir: PathBuf,
    process: Option<Process>,
}

/// The process of `node.sh`, and the broker below it.
struct Process {
    wrapper: Child,
    broker: String,
}

impl Node {
    /// Writes its configuration and certificates. What is odd comes last and wins.
    pub fn new(
        dir: &Path,
        index: usize,
        all: &[Ports],
        authority: &Authority,
        password: &str,
        odd: &Odd,
    ) -> Self {
        let dir = dir.join(format!("node{index}"));
        std::fs::create_dir_all(&dir).expect("the scratch directory is writable");
        let (chain, key) =
            if odd.expired { authority.sign_expired("broker") } else { authority.sign("broker") };
        write(&dir, "broker.pem", &format!("{chain}{key}"));
        write(&dir, "ca.pem", &authority.certificate());
        let mut text = properties(&dir, index, all, password);
        for (key, value) in odd.properties {
            let usual = format!("{key}=");
            text = text
                .lines()
                .filter(|line| !line.starts_with(&usual))
                .fold(String::new(), |text, line| text + line + "\n");
            if !value.is_empty() {
                text += &format!("{key}={value}\n");
            }
        }
        if let Some(policy) = odd.policy {
            compile(&dir, policy);
            text += &format!("create.topic.policy.class.name={policy}\n");
        }
        write(&dir, "server.properties", &text);
        Self { ports: all[index].clone(), dir, process: None }
    }

    /// Formats the storage; the user is part of it.
    pub fn format(&self, cluster_id: &str, user: &str, password: &str) {
        let scram = format!("SCRAM-SHA-512=[name={user},password={password}]");
        let output = java(&self.dir)
            .args(["kafka.tools.StorageTool", "format", "-t", cluster_id, "--add-scram", &scram, "-c"])
            .arg(self.dir.join("server.properties"))
            .output()
            .expect("java runs");
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "the storage cannot be formatted: {text}");
    }

    /// Starts the process; it is ready later.
    pub fn start(&mut self) {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kafka/node.sh");
        let java = java(&self.dir);
        let mut wrapper = Command::new(script)
            .arg(&self.dir)
            .arg(java.get_program())
            .args(java.get_args())
            .arg("kafka.Kafka")
            .arg(self.dir.join("server.properties"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the broker starts");
        let mut broker = String::new();
        let output = wrapper.stdout.take().expect("stdout is a pipe");
        BufReader::new(output).read_line(&mut broker).expect("its output is text");
        self.process = Some(Process { wrapper, broker: broker.trim().to_owned() });
    }

    /// Whether it was started and not killed since.
    pub fn is_running(&self) -> bool {
        self.process.is_some()
    }

    /// Panics with the end of the log when the process has ended by itself.
    pub fn assert_alive(&self) {
        let Some(process) = &self.process else { return };
        let alive = super::is_alive(&process.broker);
        let log = self.log();
        let end = log.lines().rev().take(30).collect::<Vec<_>>();
        let end = end.into_iter().rev().collect::<Vec<_>>().join("\n");
        assert!(alive, "a broker has ended; the end of {}.log:\n{end}", self.dir.display());
    }

    /// Kills it and keeps its data.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            let stdin = process.wrapper.stdin.as_mut().expect("stdin is a pipe");
            stdin.write_all(b"keep\n").expect("node.sh reads");
            process.end();
        }
    }

    /// Sends a signal to the broker.
    pub fn signal(&self, signal: &str) {
        let process = self.process.as_ref().expect("the broker runs");
        let status = Command::new("kill").args(["-s", signal, &process.broker]).status();
        assert!(status.is_ok_and(|status| status.success()), "SIG{signal} could not be sent");
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        let bytes = std::fs::read(self.dir.with_extension("log")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl Process {
    fn end(&mut self) {
        drop(self.wrapper.stdin.take());
        let _ = self.wrapper.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
    }
}

/// Java with Kafka's jars, small and quick to start.
fn java(dir: &Path) -> Command {
    let mut java = Command::new("java");
    java.args(["-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto"])
        .args(["-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"])
        // Says which logins were refused.
        .args(["-Dorg.slf4j.simpleLogger.log.org.apache.kafka.common.network.Selector=info"])
        .arg(format!("-Djava.io.tmpdir={}", dir.display()))
        .arg("-cp")
        .arg(format!("{}:{}", jars().join("*").display(), dir.display()));
    java
}

/// Puts a class of `tests/kafka/policy` where the broker finds it.
fn compile(dir: &Path, class: &str) {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kafka/policy");
    let output = Command::new("javac")
        .arg("-cp")
        .arg(jars().join("*"))
        .arg("-d")
        .args([dir.to_owned(), sources.join(class).with_extension("java")])
        .output()
        .expect("javac runs: install a JDK, not only a Java runtime");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{class} cannot be compiled: {text}");
}

fn write(dir: &Path, name: &str, text: &str) {
    std::fs::write(dir.join(name), text).expect("the scratch directory is writable");
}

fn properties(dir: &Path, index: usize, all: &[Ports], password: &str) -> String {
    let ports = &all[index];
    let id = index + 1;
    let voters: Vec<String> = all
        .iter()
        .enumerate()
        .map(|(index, ports)| format!("{}@127.0.0.1:{}", index + 1, ports.controller))
        .collect();
    let clients = |sasl: u16| {
        let all =
            [("PLAINTEXT", ports.plaintext), ("SASL", sasl), ("TLS", ports.tls), ("MUTUAL", ports.mutual)];
        all.map(|(name, port)| format!("{name}://{}:{port}", ports.host)).join(",")
    };
    let (own, advertised) = (clients(ports.behind.unwrap_or(ports.sasl)), clients(ports.sasl));
    let replicas = all.len().min(3);
    let modules = "org.apache.kafka.common.security";
    let mut text = format!(
        "process.roles=broker,controller\nnode.id={id}\ncontroller.quorum.voters={voters}\n\
         listeners={own},CONTROLLER://127.0.0.1:{controller}\nadvertised.listeners={advertised}\n\
         listener.security.protocol.map=PLAINTEXT:PLAINTEXT,SASL:SASL_PLAINTEXT,TLS:SASL_SSL,MUTUAL:SSL,\
         CONTROLLER:PLAINTEXT\n\
         inter.broker.listener.name=PLAINTEXT\ncontroller.listener.names=CONTROLLER\n\
         log.dirs={dir}/data\n\
         authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer\n\
         super.users=User:ANONYMOUS;User:{admin};User:CN={CERTIFICATE_USER}\n\
         allow.everyone.if.no.acl.found=false\nauto.create.topics.enable=false\n\
         sasl.enabled.mechanisms=SCRAM-SHA-512,SCRAM-SHA-256,PLAIN\n\
         ssl.keystore.type=PEM\nssl.keystore.location={dir}/broker.pem\n\
         ssl.truststore.type=PEM\nssl.truststore.location={dir}/ca.pem\n\
         listener.name.mutual.ssl.client.auth=required\n\
         offsets.topic.replication.factor={replicas}\noffsets.topic.num.partitions=1\n\
         transaction.state.log.replication.factor={replicas}\ntransaction.state.log.min.isr=1\n\
         transaction.state.log.num.partitions=1\n\
         share.coordinator.state.topic.replication.factor={replicas}\nshare.coordinator.state.topic.min.isr=1\n\
         default.replication.factor={replicas}\nnum.partitions=2\n\
         group.initial.rebalance.delay.ms=0\n",
        voters = voters.join(","),
        controller = ports.controller,
        dir = dir.display(),
        admin = super::ADMIN,
    );
    for listener in ["sasl", "tls"] {
        for scram in ["scram-sha-512", "scram-sha-256"] {
            text += &format!(
                "listener.name.{listener}.{scram}.sasl.jaas.config={modules}.scram.ScramLoginModule required;\n"
            );
        }
        text += &format!(
            "listener.name.{listener}.plain.sasl.jaas.config={modules}.plain.PlainLoginModule required \
             user_{admin}=\"{password}\";\n",
            admin = super::ADMIN,
        );
    }
    text
}
