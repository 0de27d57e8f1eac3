//! The API server's audit log as an exact counter of requests.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::time::Duration;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Api, Client};
use serde::Deserialize;

use super::{eventually, suffix};

/// Reads the audit log of a cluster.
pub struct Audit {
    path: PathBuf,
    client: Client,
}

/// A point in the log.
#[derive(Clone, Copy, Debug)]
pub struct Mark(u64);

/// One request that the API server has answered, or a watch that it has begun to answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// User name, for example `system:serviceaccount:NAMESPACE:NAME`.
    pub user: String,
    /// get, list, watch, create, update, patch, delete, deletecollection.
    pub verb: String,
    /// Plural of the kind; with its subresource as `deployments/scale`. Empty for other paths.
    pub resource: String,
    /// Namespace, empty when there is none.
    pub namespace: String,
    /// Name of the object, empty when there is none.
    pub name: String,
    /// HTTP status.
    pub code: u16,
    /// Which token it came with; empty for other credentials than tokens of ServiceAccounts.
    pub credential: String,
    /// Path and query.
    pub uri: String,
    /// When it arrived, RFC 3339 with microseconds.
    pub at: String,
    /// When it was answered, likewise; of a watch, when it began to be.
    pub answered: String,
}

/// Requests in the order in which they ended.
#[derive(Clone, Debug, Default)]
pub struct Requests(pub Vec<Request>);

impl Audit {
    pub(super) fn new(path: PathBuf, client: Client) -> Self {
        Self { path, client }
    }

    /// The present: every request whose answer was received before is behind the mark.
    pub async fn mark(&self) -> Mark {
        let now = std::fs::metadata(&self.path).expect("the audit log is there").len();
        self.barrier(Mark(now)).await.1
    }

    /// All requests that were answered between the mark and now.
    pub async fn since(&self, mark: Mark) -> Requests {
        let (text, _) = self.barrier(mark).await;
        Requests(
            text.lines().filter_map(parse).filter(|request| !request.name.starts_with(BARRIER)).collect(),
        )
    }

    /// Those of one user. The lines of others are not even decoded: on a shared control plane there are many.
    pub async fn since_of(&self, mark: Mark, user: &str) -> Requests {
        let (text, _) = self.barrier(mark).await;
        Requests(text.lines().filter(|line| line.contains(user)).filter_map(parse).collect()).of(user)
    }

    /// The server writes a line before it ends the answer, except for answers so long that they are
    /// sent in parts. So a request of our own, once it is in the log, has all earlier ones before it;
    /// the moment of waiting is for those long answers.
    async fn barrier(&self, from: Mark) -> (String, Mark) {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let name = format!("{BARRIER}{}", suffix());
        let configs = Api::<ConfigMap>::namespaced(self.client.clone(), "default");
        configs.get_opt(&name).await.expect("the API server answers");
        eventually(Duration::from_secs(10), "the audit log has caught up", || async {
            let text = self.read(from);
            let found = text.find(&name).ok_or("the barrier is not in the log yet")?;
            let rest =
                text.get(found..).and_then(|rest| rest.find('\n')).ok_or("its line is not complete")?;
            let end = found + rest + 1;
            let passed = text.get(..end).unwrap_or_default().to_owned();
            Ok::<_, &str>((passed, Mark(from.0 + end as u64)))
        })
        .await
    }

    fn read(&self, from: Mark) -> String {
        let mut file = std::fs::File::open(&self.path).expect("the audit log is there");
        file.seek(SeekFrom::Start(from.0)).expect("the audit log is a file");
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).expect("the audit log can be read");
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

/// Where the API server says which token a request came with.
pub(super) const CREDENTIAL: &str = "authentication.kubernetes.io/credential-id";

const BARRIER: &str = "audit-barrier-";

impl Requests {
    /// Those of one user.
    pub fn of(&self, user: &str) -> Self {
        self.only(|request| request.user == user)
    }

    /// Those that change something, refused or not.
    pub fn writes(&self) -> Self {
        self.only(|request| !matches!(request.verb.as_str(), "get" | "list" | "watch"))
    }

    /// Those that read objects: get and list.
    pub fn reads(&self) -> Self {
        self.only(|request| matches!(request.verb.as_str(), "get" | "list") && !request.resource.is_empty())
    }

    /// Those that came with one token.
    pub fn with(&self, credential: &str) -> Self {
        self.only(|request| request.credential == credential)
    }

    /// Those for one resource, for example `deployments` or `microservices/status`.
    pub fn resource(&self, resource: &str) -> Self {
        self.only(|request| request.resource == resource)
    }

    /// Those for other resources.
    pub fn without(&self, resource: &str) -> Self {
        self.only(|request| request.resource != resource)
    }

    /// Those in one namespace.
    pub fn namespace(&self, namespace: &str) -> Self {
        self.only(|request| request.namespace == namespace)
    }

    /// Those that a condition holds for.
    pub fn only(&self, condition: impl Fn(&Request) -> bool) -> Self {
        Self(self.0.iter().filter(|request| condition(request)).cloned().collect())
    }

    /// How many.
    pub fn count(&self) -> usize {
        self.0.len()
    }
}

/// One line per request, for the message of a failed count.
impl fmt::Display for Requests {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} requests", self.count())?;
        for Request { user, verb, code, uri, at, .. } in &self.0 {
            writeln!(f, "  {at} {verb} {code} {uri} by {user}")?;
        }
        Ok(())
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    stage: String,
    verb: String,
    #[serde(rename = "requestURI")]
    request_uri: String,
    request_received_timestamp: String,
    stage_timestamp: String,
    user: User,
    object_ref: Option<ObjectRef>,
    response_status: Option<ResponseStatus>,
}

#[derive(Deserialize)]
struct User {
    username: Option<String>,
    #[serde(default)]
    extra: BTreeMap<String, Vec<String>>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct ObjectRef {
    resource: String,
    subresource: Option<String>,
    namespace: String,
    name: String,
}

#[derive(Deserialize)]
struct ResponseStatus {
    code: Option<u16>,
}

/// A watch counts when it starts (it may never end) or is refused, every other request when it ends.
fn parse(line: &str) -> Option<Request> {
    let line: Line = serde_json::from_str(line).expect("the audit log is JSON lines");
    let code = line.response_status.and_then(|status| status.code).unwrap_or_default();
    let ended = line.stage == "ResponseComplete" || line.stage == "Panic";
    let counted = match line.verb.as_str() {
        "watch" => line.stage == "ResponseStarted" || (ended && code >= 300),
        _ => ended,
    };
    if !counted {
        return None;
    }
    let object = line.object_ref.unwrap_or_default();
    let resource = match object.subresource {
        Some(subresource) => format!("{}/{subresource}", object.resource),
        None => object.resource,
    };
    Some(Request {
        credential: line.user.extra.get(CREDENTIAL).and_then(|ids| ids.first()).cloned().unwrap_or_default(),
        user: line.user.username.unwrap_or_default(),
        verb: line.verb,
        resource,
        namespace: object.namespace,
        name: object.name,
        code,
        uri: line.request_uri,
        at: line.request_received_timestamp,
        answered: line.stage_timestamp,
    })
}
