//! One object with its children, as a real control plane holds them once the operator has done its work.
//! A process of its own does this, so that the control plane is gone before anything is measured.

use std::process::{Command, Stdio};
use std::time::Duration;

use http::{Request, header};
use kube::api::PostParams;
use microservice_operator::api::{API_VERSION, LABEL_NAME};
use microservice_operator::plan::{Kind, kinds};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::support::{Cluster, Namespace, Operator, OperatorOptions, eventually};
use crate::workload::{microservice, name};

/// What makes a process of this bench a recorder.
pub const ARGUMENT: &str = "record";

/// As the watches of children ask, and as those of Deployments and Microservices do.
const METADATA: &str = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";
const WHOLE: &str = "application/json";
/// Longest wait for the control plane and the object.
const PATIENCE: Duration = Duration::from_mins(2);
/// What has not changed for so long is at rest.
const REST: Duration = Duration::from_secs(3);

/// The objects as JSON.
#[derive(PartialEq, Serialize, Deserialize)]
pub struct Recording {
    /// Name of the namespace of all of them.
    pub namespace: String,
    /// The Microservice.
    pub root: Value,
    /// Its children, as the operator watches them.
    pub children: Vec<Stored>,
}

/// A child.
#[derive(PartialEq, Serialize, Deserialize)]
pub struct Stored {
    /// Its kind; items of a list do not say it.
    pub kind: String,
    /// The object.
    pub object: Value,
}

impl Recording {
    /// Of a control plane that is started for it.
    pub fn make() -> Self {
        let program = std::env::current_exe().expect("this program has a path");
        let output = Command::new(program)
            .arg(ARGUMENT)
            .stderr(Stdio::inherit())
            .output()
            .expect("this program can be started again");
        assert!(output.status.success(), "the recording failed: {}; see above", output.status);
        serde_json::from_slice(&output.stdout).expect("the recorder prints its recording")
    }
}

/// Prints a recording.
pub async fn print() {
    let cluster = Cluster::shared();
    let namespace = Namespace::new(cluster, "bench").await;
    let _operator = Operator::start(cluster, OperatorOptions::namespace(namespace.name())).await;
    let object = microservice(namespace.name(), 0);
    let created = namespace.api().create(&PostParams::default(), &object).await;
    created.expect("the object is created");
    let recording = eventually(PATIENCE, "the object is Ready and at rest", || async {
        let before = read(&namespace).await?;
        tokio::time::sleep(REST).await;
        let after = read(&namespace).await?;
        if before == after { Ok(after) } else { Err("it still changes".to_owned()) }
    })
    .await;
    println!("{}", serde_json::to_string(&recording).expect("a recording is JSON"));
}

async fn read(namespace: &Namespace) -> Result<Recording, String> {
    let roots = list(namespace, &format!("/apis/{API_VERSION}"), "microservices", WHOLE).await?;
    let root = roots.into_iter().next().ok_or("it is not there")?;
    let conditions = root["status"]["conditions"].as_array().into_iter().flatten();
    if !conditions.into_iter().any(|one| one["type"] == "Ready" && one["status"] == "True") {
        return Err(format!("it is not Ready: {}", root["status"]["reason"]));
    }
    let mut children = Vec::new();
    for kind in kinds().iter().filter(|kind| !kind.optional) {
        let accept = if kind.kind == "Deployment" { WHOLE } else { METADATA };
        let objects = list(namespace, &prefix(kind), kind.plural, accept).await?;
        children.extend(objects.into_iter().map(|object| Stored { kind: kind.kind.to_owned(), object }));
    }
    Ok(Recording { namespace: namespace.name().to_owned(), root, children })
}

/// Path of the group and version of a kind.
fn prefix(kind: &Kind) -> String {
    format!("/{}/{}", if kind.group.is_empty() { "api" } else { "apis" }, kind.api_version())
}

/// The objects of the service.
async fn list(namespace: &Namespace, prefix: &str, plural: &str, accept: &str) -> Result<Vec<Value>, String> {
    let of_service = if plural == "microservices" {
        String::new()
    } else {
        format!("?labelSelector={LABEL_NAME}={}", name(0))
    };
    let path = format!("{prefix}/namespaces/{}/{plural}{of_service}", namespace.name());
    let request = Request::get(&path).header(header::ACCEPT, accept).body(Vec::new());
    let list = namespace.client().request::<Value>(request.expect("the path is one")).await;
    let list = list.map_err(|error| format!("{path}: {error}"))?;
    // An empty list of metadata is null.
    Ok(list["items"].as_array().cloned().unwrap_or_default())
}
