//! The operator as users run it: the real binary, with the rights of its own ServiceAccount only.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use k8s_openapi::api::authentication::v1::{
    TokenRequest, TokenRequestSpec, TokenReview, TokenReviewSpec, TokenReviewStatus,
};
use k8s_openapi::api::authorization::v1::SubjectAccessReview;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::api::core::v1::ServiceAccount;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, PostParams};
use kube::{Client, ResourceExt};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::OnceCell;

use super::cluster::scratch;
use super::namespace::{apply_as_given, create_namespace};
use super::{Cluster, eventually, free_port, suffix};

/// The operator of these sources.
pub const BINARY: &str = env!("CARGO_BIN_EXE_microservice-operator");

/// How an operator is started.
#[derive(Clone, Debug)]
pub struct OperatorOptions {
    /// Namespaces it is limited to; empty for all, which needs a cluster of its own.
    pub namespaces: Vec<String>,
    /// Whether it takes part in a leader election.
    pub leader_elect: bool,
    /// Filter of its log.
    pub log: String,
    /// Further arguments of `run`.
    pub arguments: Vec<String>,
    /// Namespaces with objects of Strimzi's that it may read and write.
    pub strimzi: Vec<String>,
    /// Further environment.
    pub environment: Vec<(String, String)>,
    /// The program, if it is not that of these sources.
    pub program: Option<PathBuf>,
}

impl OperatorOptions {
    /// Limited to one namespace, alone, logging at debug level.
    pub fn namespace(name: &str) -> Self {
        Self {
            namespaces: vec![name.to_owned()],
            leader_elect: false,
            log: "info,microservice_operator=debug".to_owned(),
            arguments: Vec::new(),
            strimzi: Vec::new(),
            environment: Vec::new(),
            program: None,
        }
    }
}

/// An installed operator: its namespace, ServiceAccount, rights and token.
/// Several processes of one installation elect a leader among them.
#[derive(Clone)]
pub struct Installation {
    namespace: String,
    account: String,
    client: Client,
    kubeconfig: PathBuf,
    token: PathBuf,
}

/// A running operator. Dropping it kills it and, in a failed test, prints the end of its log.
pub struct Operator {
    installation: Installation,
    options: OperatorOptions,
    pid: u32,
    port: u16,
    log: PathBuf,
    guard: Child,
    ended: Option<ExitStatus>,
}

impl Operator {
    /// Installs an operator with everything of its own, starts it and waits until it is ready.
    pub async fn start(cluster: &Cluster, options: OperatorOptions) -> Self {
        let installation = Installation::new(cluster, &options).await;
        Self::start_in(&installation, options).await
    }

    /// Starts one more process of an installation and waits until it is ready.
    pub async fn start_in(installation: &Installation, options: OperatorOptions) -> Self {
        let port = free_port();
        let log = scratch().join(format!("operator-{}-{port}.log", installation.namespace));
        let (guard, pid) = spawn(installation, &options, port, &log);
        let mut operator =
            Self { installation: installation.clone(), options, pid, port, log, guard, ended: None };
        operator.wait_up().await;
        operator
    }

    /// What it was installed with.
    pub fn installation(&self) -> &Installation {
        &self.installation
    }

    /// Its name in the audit log.
    pub fn user(&self) -> String {
        self.installation.user()
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// The file that it logs to.
    pub fn log_file(&self) -> &Path {
        &self.log
    }

    /// Everything it has logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// GET of one of its own paths: HTTP status and body.
    pub async fn http(&self, path: &str) -> std::io::Result<(u16, String)> {
        self.request("GET", path).await
    }

    /// Any request without a body to one of its own paths: HTTP status and body.
    pub async fn request(&self, method: &str, path: &str) -> std::io::Result<(u16, String)> {
        request(self.port, method, path).await
    }

    /// The sum of one of its metrics over all labels.
    pub async fn metric(&self, name: &str) -> std::io::Result<usize> {
        metric(self.port, name).await
    }

    /// Sends SIGTERM and waits for the end. Returns the exit code, `None` after a signal, and how long
    /// it took.
    pub async fn stop(&mut self) -> (Option<i32>, Duration) {
        let start = Instant::now();
        self.signal("TERM");
        let status = self.wait_end(Duration::from_secs(30)).await;
        // The guard is a shell: a process that died by signal N is 128 + N there.
        (status.code().filter(|code| *code < 128), start.elapsed())
    }

    /// Kills it at once, as a crash would.
    pub async fn kill(&mut self) {
        self.signal("KILL");
        self.wait_end(Duration::from_secs(10)).await;
    }

    /// Sends a signal, for example STOP, CONT or HUP.
    pub fn signal(&self, signal: &str) {
        assert!(self.ended.is_none(), "the operator has ended already");
        let status = Command::new("kill").args([format!("-{signal}"), self.pid.to_string()]).status();
        assert!(status.is_ok_and(|status| status.success()), "SIG{signal} could not be sent to {}", self.pid);
    }

    /// Starts it again after it has ended, with the same installation and options, and waits until it is ready.
    pub async fn restart(&mut self) {
        self.launch();
        self.wait_up().await;
    }

    /// The same without waiting.
    pub fn launch(&mut self) {
        assert!(self.ended.is_some(), "the operator is still running");
        (self.guard, self.pid) = spawn(&self.installation, &self.options, self.port, &self.log);
        self.ended = None;
    }

    /// Whether it is still running.
    pub fn is_running(&mut self) -> bool {
        if self.ended.is_none() {
            self.ended = self.guard.try_wait().expect("the guard is our child");
        }
        self.ended.is_none()
    }

    /// Waits until it is ready.
    pub async fn wait_up(&mut self) {
        let start = Instant::now();
        loop {
            let said = match self.http("/readyz").await {
                Ok((200, _)) => return,
                Ok((code, body)) => format!("{code} {body}"),
                Err(error) => error.to_string(),
            };
            assert!(self.is_running(), "the operator ended while starting: {:?}", self.ended);
            assert!(start.elapsed() < Duration::from_secs(30), "the operator is not ready: {said}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn wait_end(&mut self, timeout: Duration) -> ExitStatus {
        let start = Instant::now();
        while self.is_running() {
            assert!(start.elapsed() < timeout, "the operator has not ended within {timeout:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        drop(self.guard.stdin.take());
        self.ended.expect("it has ended")
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        drop(self.guard.stdin.take()); // the guard then kills the operator
        let _ = self.guard.wait();
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<_> = log.lines().collect();
            let tail = lines.get(lines.len().saturating_sub(40)..).unwrap_or_default().join("\n  ");
            eprintln!("The end of the operator's log, {}:\n  {tail}", self.log.display());
        }
    }
}

fn spawn(installation: &Installation, options: &OperatorOptions, port: u16, log: &Path) -> (Child, u32) {
    let program = options.program.as_deref().unwrap_or(Path::new(BINARY));
    run_guarded(program, log, |command| {
        command.args(installation.arguments(options, port));
        command.env("KUBECONFIG", &installation.kubeconfig).env("LOG_LEVEL", &options.log);
        command.envs(options.environment.iter().map(|(name, value)| (name, value)));
    })
}

/// Starts the operator under a shell that kills it when our end of the pipe closes: it must not
/// outlive a test run that was itself killed. `complete` adds arguments and environment. Returns the shell
/// and the operator's process id.
pub fn run_guarded(program: &Path, log: &Path, complete: impl FnOnce(&mut Command)) -> (Child, u32) {
    const GUARD: &str = r#"
        exec 3<&0
        "$@" >>"$LOG" 2>&1 </dev/null 3<&- &
        operator=$!
        echo $operator
        { cat <&3 >/dev/null; kill -KILL $operator; } 2>/dev/null >&2 &
        guard=$!
        wait $operator
        code=$?
        kill $guard
        exit $code
    "#;
    let mut command = Command::new("sh");
    command.args(["-c", GUARD, "guard"]).arg(program).env("LOG", log);
    command.env("MIMALLOC_PURGE_DELAY", "0"); // as in the image
    complete(&mut command);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut guard = command.spawn().expect("sh starts");
    let mut line = String::new();
    let output = guard.stdout.take().expect("stdout is a pipe");
    BufReader::new(output).read_line(&mut line).expect("a process id is text");
    let pid = line.trim().parse().expect("the guard says the operator's process id");
    (guard, pid)
}

impl Installation {
    /// Installs the CRDs (once), and a namespace, an account, its rights and a token for one operator.
    pub async fn new(cluster: &Cluster, options: &OperatorOptions) -> Self {
        let client = cluster.client().await;
        install_crds(&client, cluster).await;

        let namespace = format!("operator-{}", suffix());
        create_namespace(&client, &namespace).await;
        let account = install_rights(&client, &namespace, options).await;
        Self::of_account(cluster, &namespace, &account).await
    }

    /// An operator that somebody else has installed: its namespace and account.
    pub async fn of_account(cluster: &Cluster, namespace: &str, account: &str) -> Self {
        let (client, namespace, account) = (cluster.client().await, namespace.to_owned(), account.to_owned());
        let dir = scratch().join(&namespace);
        std::fs::create_dir_all(&dir).expect("the scratch directory is writable");
        let (kubeconfig, token) = (dir.join("kubeconfig"), dir.join("token"));
        let mut config = cluster.kubeconfig();
        config.auth_infos.clear();
        let mut config = serde_json::to_value(config).expect("a kubeconfig is JSON");
        let user = config["contexts"][0]["context"]["user"].clone();
        config["users"] = json!([{"name": user, "user": {"tokenFile": token}}]);
        std::fs::write(&kubeconfig, config.to_string()).expect("the kubeconfig can be written");

        let installation = Self { namespace, account, client, kubeconfig, token };
        installation.rotate_token(Duration::from_secs(3600)).await;
        installation
    }

    /// The same installation for one more process, with a token of its own, so that the audit log tells
    /// the processes apart.
    pub async fn twin(&self) -> Self {
        let name = format!("twin-{}", suffix());
        let (kubeconfig, token) = (self.kubeconfig.with_file_name(&name), self.token.with_file_name(&name));
        let (kubeconfig, token) = (kubeconfig.with_extension("kubeconfig"), token.with_extension("token"));
        let mut config = read_json(&self.kubeconfig);
        config["users"][0]["user"]["tokenFile"] = json!(token);
        std::fs::write(&kubeconfig, config.to_string()).expect("the kubeconfig can be written");
        let twin = Self { kubeconfig, token, ..self.clone() };
        twin.rotate_token(Duration::from_secs(3600)).await;
        twin
    }

    /// The same installation for a process that reaches the API server at another address, without
    /// encryption.
    pub fn through(&self, server: &str) -> Self {
        let kubeconfig = self.kubeconfig.with_file_name(format!("through-{}.kubeconfig", suffix()));
        let mut config = read_json(&self.kubeconfig);
        config["clusters"][0]["cluster"] = json!({"server": server});
        std::fs::write(&kubeconfig, config.to_string()).expect("the kubeconfig can be written");
        Self { kubeconfig, ..self.clone() }
    }

    /// Waits until a replica of this name holds the lease, and says how long that took.
    pub async fn wait_holder(&self, name: &str, timeout: Duration) -> Duration {
        let start = Instant::now();
        eventually(timeout, &format!("{name} holds the lease"), || async {
            let holder = self.lease().await?.holder_identity.unwrap_or_default();
            if holder.starts_with(&format!("{name}_")) { Ok(()) } else { Err(format!("{holder:?} holds it")) }
        })
        .await;
        start.elapsed()
    }

    /// The lease as it is stored.
    ///
    /// # Errors
    /// It could not be read.
    pub async fn lease(&self) -> Result<LeaseSpec, String> {
        let leases = Api::<Lease>::namespaced(self.client.clone(), &self.namespace);
        let lease = leases.get("microservice-operator").await.map_err(|error| error.to_string())?;
        Ok(lease.spec.unwrap_or_default())
    }

    /// What the audit log calls the present token.
    pub async fn credential(&self) -> String {
        let user = self.review().await.user.expect("the token is valid");
        let extra = user.extra.unwrap_or_default();
        extra.get(super::audit::CREDENTIAL).and_then(|ids| ids.first()).expect("it has an id").clone()
    }

    /// Makes every token so far invalid: the account is made anew, with the same rights.
    pub async fn revoke_tokens(&self) {
        let accounts = Api::<ServiceAccount>::namespaced(self.client.clone(), &self.namespace);
        let mut account = accounts.get(&self.account).await.expect("the account is there");
        accounts.delete(&self.account, &Default::default()).await.expect("it can be deleted");
        account.metadata = kube::api::ObjectMeta {
            name: account.metadata.name,
            labels: account.metadata.labels,
            ..Default::default()
        };
        accounts.create(&PostParams::default(), &account).await.expect("it can be made again");
        // The API server remembers for some seconds which tokens it has accepted.
        eventually(Duration::from_secs(30), "the old token is refused", || async {
            match self.review().await.authenticated {
                Some(true) => Err("it is still accepted"),
                _ => Ok(()),
            }
        })
        .await;
    }

    async fn review(&self) -> TokenReviewStatus {
        let token = std::fs::read_to_string(&self.token).expect("the token can be read");
        let spec = TokenReviewSpec { token: Some(token), ..Default::default() };
        let review = TokenReview { spec, ..Default::default() };
        let reviews = Api::<TokenReview>::all(self.client.clone());
        let answer = reviews.create(&PostParams::default(), &review).await.expect("a token can be reviewed");
        answer.status.expect("a review has a result")
    }

    /// The operator's own namespace.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Its name in the audit log.
    pub fn user(&self) -> String {
        format!("system:serviceaccount:{}:{}", self.namespace, self.account)
    }

    /// Writes a new token, as a kubelet does before the old one expires. 10 minutes is the shortest
    /// lifetime that the API server gives.
    pub async fn rotate_token(&self, lifetime: Duration) {
        let seconds = i64::try_from(lifetime.as_secs()).expect("a lifetime fits");
        let spec = TokenRequestSpec { expiration_seconds: Some(seconds), ..Default::default() };
        let request = TokenRequest { spec, ..Default::default() };
        let accounts = Api::<ServiceAccount>::namespaced(self.client.clone(), &self.namespace);
        let answer = accounts.create_token_request(&self.account, &PostParams::default(), &request).await;
        let token = answer.expect("the account gets a token").status.expect("the answer holds it").token;
        let temporary = self.token.with_extension("new");
        std::fs::write(&temporary, token).expect("the token can be written");
        std::fs::rename(&temporary, &self.token).expect("the token can be replaced");
    }

    fn arguments(&self, options: &OperatorOptions, port: u16) -> Vec<String> {
        let mut arguments = vec![
            "run".to_owned(),
            format!("--listen=127.0.0.1:{port}"),
            format!("--operator-namespace={}", self.namespace),
            format!("--leader-elect={}", options.leader_elect),
        ];
        arguments.extend(options.namespaces.iter().map(|name| format!("--namespace={name}")));
        arguments.extend(options.arguments.iter().cloned());
        arguments
    }
}

/// Applies what `microservice-operator crd` prints and waits until the kinds are served.
pub async fn install_crds(client: &Client, cluster: &Cluster) {
    static SHARED: OnceCell<()> = OnceCell::const_new();
    let install = || async {
        for manifest in manifests(&["crd"]) {
            let name = apply_as_given(client, &manifest).await.name_any();
            let crds = Api::<CustomResourceDefinition>::all(client.clone());
            eventually(Duration::from_mins(1), &format!("{name} is Established"), || async {
                let crd = crds.get(&name).await.map_err(|error| error.to_string())?;
                let conditions = crd.status.and_then(|status| status.conditions).unwrap_or_default();
                let established = conditions.iter().any(|c| c.type_ == "Established" && c.status == "True");
                if established { Ok(()) } else { Err(format!("{conditions:?}")) }
            })
            .await;
        }
    };
    if std::ptr::eq(cluster, Cluster::shared()) {
        SHARED.get_or_init(install).await;
    } else {
        install().await;
    }
}

/// Applies what `microservice-operator rbac` prints and returns the name of the ServiceAccount.
async fn install_rights(client: &Client, own: &str, options: &OperatorOptions) -> String {
    let mut arguments = vec!["rbac", "--namespace", own];
    for namespace in &options.namespaces {
        arguments.extend(["--namespaced", namespace]);
    }
    for namespace in &options.strimzi {
        arguments.extend(["--strimzi-namespace", namespace]);
    }
    let mut account = None;
    for manifest in manifests(&arguments) {
        let applied = apply_as_given(client, &manifest).await;
        if manifest["kind"] == "ServiceAccount" {
            account = Some(applied.name_any());
        }
    }
    let account = account.expect("rbac prints a ServiceAccount");
    let namespace = options.namespaces.last().cloned().unwrap_or_default();
    let user = format!("system:serviceaccount:{own}:{account}");
    let list = json!({"namespace": namespace, "group": "microservice.dev", "resource": "microservices", "verb": "list"});
    wait_allowed(client, &user, list, true).await;
    account
}

/// Waits until the API server knows that a user may do something, or that it may not: its view of its roles
/// follows within moments.
pub async fn wait_allowed(client: &Client, user: &str, attributes: Value, allowed: bool) {
    let review = json!({"metadata": {}, "spec": {"user": user, "resourceAttributes": attributes}});
    let review: SubjectAccessReview = serde_json::from_value(review).expect("it is a review");
    let reviews = Api::<SubjectAccessReview>::all(client.clone());
    eventually(Duration::from_secs(20), &format!("rights of {user} are known"), || async {
        let answer =
            reviews.create(&PostParams::default(), &review).await.map_err(|error| error.to_string())?;
        let status = answer.status.unwrap_or_default();
        if status.allowed == allowed { Ok(()) } else { Err(format!("{status:?}")) }
    })
    .await;
}

fn read_json(path: &Path) -> Value {
    let text = std::fs::read_to_string(path).expect("the file can be read");
    serde_json::from_str(&text).expect("the file is JSON")
}

/// The YAML documents that a command of the operator prints.
pub fn manifests(arguments: &[&str]) -> Vec<Value> {
    let output = Command::new(BINARY).args(arguments).output().expect("the operator's binary runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "microservice-operator {arguments:?}: {errors}");
    let documents = documents(&String::from_utf8(output.stdout).expect("YAML is UTF-8"));
    assert!(!documents.is_empty(), "microservice-operator {arguments:?} printed nothing");
    documents
}

/// The objects of a YAML stream.
pub fn documents(text: &str) -> Vec<Value> {
    let documents = serde_yaml::Deserializer::from_str(text).map(Value::deserialize);
    let documents: Vec<Value> = documents.collect::<Result<_, _>>().expect("the output is YAML");
    documents.into_iter().filter(|document| !document.is_null()).collect()
}

/// Any request without a body to an operator that listens on this port: HTTP status and body.
async fn request(port: u16, method: &str, path: &str) -> std::io::Result<(u16, String)> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    let request = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    let status = answer.split(' ').nth(1).and_then(|code| code.parse().ok());
    let body = answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned());
    status.zip(body).ok_or_else(|| std::io::Error::other(format!("not HTTP: {answer:?}")))
}

/// The sum of a metric over all labels, of the operator that listens on this port.
pub async fn metric(port: u16, name: &str) -> std::io::Result<usize> {
    let (_, metrics) = request(port, "GET", "/metrics").await?;
    let lines = metrics.lines().filter(|line| line.starts_with(name));
    Ok(lines.filter_map(|line| line.rsplit(' ').next()?.parse::<usize>().ok()).sum())
}
