//! The commands that ask a cluster: `explain`, `diff` without `--against`, and `graph --cluster`. They read;
//! `diff` also sends dry runs.

use std::fmt::Debug;
use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::ListParams;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config, ResourceExt};
use microservice_operator::api::{Microservice, MicroserviceClass};
use microservice_operator::cli::check::{self, Finding};
use microservice_operator::cli::diff::Objects;
use microservice_operator::cli::{Inputs, diff, explain, paint::Paint};
use microservice_operator::engine::client::{self, connect};
use microservice_operator::engine::request::{Failure, all, bounded};
use microservice_operator::engine::{compare, explain as surroundings};
use microservice_operator::plan::plan;
use microservice_operator::status::explain::explain as judge;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Which cluster is asked.
#[derive(Args)]
pub struct Target {
    /// Kubeconfig file. Default: $KUBECONFIG, else ~/.kube/config, else the pod's own account
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
}

/// A cluster, and the namespace that is meant when none is named.
pub struct Cluster {
    client: Client,
    pub namespace: String,
    /// Where its API server is, for people.
    server: String,
}

impl Cluster {
    fn readable(&self, failure: Failure) -> anyhow::Error {
        match failure {
            Failure::Transient(text) => anyhow::anyhow!(
                "no answer from {} ({text}): see whether it runs, and whether this is the cluster that is meant",
                self.server
            ),
            other => readable(other),
        }
    }
}

impl Target {
    /// Sets up the connection; nothing is sent yet.
    pub async fn connect(self) -> anyhow::Result<Cluster> {
        let options = KubeConfigOptions { context: self.context, ..KubeConfigOptions::default() };
        let config = match self.kubeconfig {
            Some(file) => {
                let read = Kubeconfig::read_from(&file);
                let read = read.with_context(|| format!("{} is no kubeconfig", file.display()))?;
                Config::from_custom_kubeconfig(read, &options).await.map_err(anyhow::Error::from)
            }
            None if options.context.is_some() => {
                Config::from_kubeconfig(&options).await.map_err(anyhow::Error::from)
            }
            None => Config::infer().await.map_err(anyhow::Error::from),
        };
        let config =
            config.context("no way to a cluster: set KUBECONFIG, or give --kubeconfig or --context")?;
        let client = connect(&config, client::Options::default())?;
        Ok(Cluster { client, namespace: config.default_namespace, server: config.cluster_url.to_string() })
    }
}

/// Runs what asks a cluster to its end.
pub fn block_on<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let result = runtime.block_on(work);
    runtime.shutdown_background();
    result
}

/// Prints why an object is not Ready, and returns whether it is.
pub async fn explain(cluster: &Cluster, namespace: &str, name: &str) -> anyhow::Result<bool> {
    // As kubectl prints and takes it: msvc/orders, microservice.microservice.dev/orders.
    let named = name.split_once('/').filter(|(kind, _)| is_microservice(kind));
    let name = named.map_or(name, |(_, name)| name);
    let seen = surroundings::gather(&cluster.client, namespace, name).await;
    let seen =
        seen.map_err(readable).with_context(|| format!("Microservice {namespace}/{name} cannot be read"))?;
    let Some(seen) = seen else {
        anyhow::bail!("there is no Microservice {namespace}/{name}; `kubectl get msvc -A` lists all of them");
    };
    let told = judge(&seen, Timestamp::now());
    explain::print(&mut std::io::stdout().lock(), &told, Paint::of_stdout())?;
    Ok(told.ready)
}

/// Whether kubectl would take the word for our kind.
fn is_microservice(word: &str) -> bool {
    let word = word.strip_suffix(".microservice.dev").unwrap_or(word);
    matches!(word, "msvc" | "microservice" | "microservices")
}

/// A missing definition is the most likely reason for a missing API.
fn readable(failure: Failure) -> anyhow::Error {
    match failure {
        Failure::NotServed(_) => {
            anyhow::anyhow!(
                "the cluster has no definition of Microservice: `microservice-operator crd` prints it"
            )
        }
        other => other.into(),
    }
}

/// Both sides of a comparison with the cluster, or what is wrong with the objects.
pub async fn compare(
    cluster: &Cluster,
    inputs: &mut Inputs,
) -> anyhow::Result<Result<(Objects, Objects), Vec<Finding>>> {
    let client = &cluster.client;
    let stored = meet(client, inputs).await?;
    let examined = check::examine(inputs);
    if !examined.findings.is_empty() {
        return Ok(Err(examined.findings));
    }
    let (mut live, mut planned) = (Vec::new(), Vec::new());
    for intent in &examined.intents {
        let is_it = |object: &&Microservice| {
            object.name_any() == intent.name && object.namespace().as_deref() == Some(&intent.namespace)
        };
        let object = stored.iter().find(is_it);
        let sides = compare::compare(client, &intent.namespace, &plan(intent), object).await?;
        live.extend(sides.live);
        planned.extend(sides.planned);
    }
    Ok(Ok((diff::objects(live), diff::objects(planned))))
}

/// Completes the inputs with what the cluster has of them, and returns its Microservices.
async fn meet(client: &Client, inputs: &mut Inputs) -> anyhow::Result<Vec<Microservice>> {
    let objects: Vec<Microservice> =
        inputs.of_kind("Microservice").filter_map(|document| document.decode().ok()).collect();
    let classes: Api<MicroserviceClass> = Api::all(client.clone());
    let classes = bounded(classes.list(&Default::default())).await;
    let classes = classes.map_err(readable).context("the MicroserviceClasses cannot be listed")?;
    for class in classes {
        inputs.complete(typed(&class)?);
    }
    // Who may not read those of all namespaces is told of the given ones only.
    if let Ok(all) = bounded(Api::<Microservice>::all(client.clone()).list(&Default::default())).await {
        inputs.surround(all.items);
    }
    let keda_missing =
        compare::keda_missing(client).await.context("the cluster does not say what it serves")?;
    let mut stored = Vec::new();
    for object in &objects {
        let (namespace, name) = (object.namespace().unwrap_or_default(), object.name_any());
        // Who may not read Namespaces gets the class by --class or className.
        if let Ok(Some(found)) = bounded(Api::<Namespace>::all(client.clone()).get_opt(&namespace)).await {
            inputs.complete(typed(&found)?);
        }
        let api: Api<Microservice> = Api::namespaced(client.clone(), &namespace);
        let found = bounded(api.get_opt(&name)).await.map_err(readable);
        let found = found.with_context(|| format!("Microservice {namespace}/{name} cannot be read"))?;
        let known = found.clone().unwrap_or_else(|| object.clone());
        inputs.meet(&known, keda_missing);
        stored.extend(found);
    }
    Ok(stored)
}

/// How many objects are asked for at once.
const PAGE: u32 = 500;

fn pages() -> ListParams {
    ListParams::default().limit(PAGE)
}

/// The services of a cluster.
pub struct Seen {
    pub inputs: Inputs,
    /// What may not be read, for people.
    pub left_out: Vec<String>,
}

/// All Microservices with what decides about them. Who may not read those of all namespaces gets those of
/// the one that is asked for.
pub async fn system(cluster: &Cluster, namespace: Option<&str>) -> anyhow::Result<Seen> {
    let client = &cluster.client;
    let mut seen = Seen { inputs: Inputs::default(), left_out: Vec::new() };
    let services = match (all(&Api::<Microservice>::all(client.clone()), pages()).await, namespace) {
        (Err(Failure::Forbidden(_)), Some(namespace)) => {
            seen.left_out.push(format!(
                "the Microservices of other namespaces may not be read: for those of {namespace} they count as missing"
            ));
            all(&Api::namespaced(client.clone(), namespace), pages()).await
        }
        (listed, _) => listed,
    };
    let services = services
        .map_err(|failure| cluster.readable(failure))
        .context("the Microservices cannot be listed")?;
    seen.add_optional::<MicroserviceClass>(cluster, "the class of a service").await?;
    seen.add_optional::<Namespace>(cluster, "what the label of a namespace says of classes").await?;
    for mut service in services {
        service.status = None;
        service.metadata.managed_fields = None;
        seen.inputs.add_live(typed(&service)?);
    }
    Ok(seen)
}

impl Seen {
    /// Adds what belongs to no namespace, or says that it may not be read.
    async fn add_optional<K>(&mut self, cluster: &Cluster, lacking: &str) -> anyhow::Result<()>
    where
        K: kube::Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Serialize,
    {
        match all(&Api::<K>::all(cluster.client.clone()), pages()).await {
            Ok(objects) => objects.iter().try_for_each(|one| {
                self.inputs.add_live(typed(one)?);
                Ok(())
            }),
            Err(Failure::Forbidden(_)) => {
                self.left_out
                    .push(format!("{} may not be read: {lacking} counts for nothing", K::plural(&())));
                Ok(())
            }
            Err(failure) => {
                Err(cluster.readable(failure).context(format!("the {} cannot be listed", K::plural(&()))))
            }
        }
    }
}

/// The object with its kind, which lists leave out.
fn typed<K: kube::Resource<DynamicType = ()> + Serialize>(object: &K) -> anyhow::Result<Value> {
    let mut value = serde_json::to_value(object)?;
    if let Some(fields) = value.as_object_mut() {
        fields.insert("apiVersion".to_owned(), K::api_version(&()).into());
        fields.insert("kind".to_owned(), K::kind(&()).into());
    }
    Ok(value)
}
