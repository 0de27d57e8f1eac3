//! The Helm charts: what they render is accepted and sufficient, an upgrade brings what is new, and
//! neither removal takes a service with it.

use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::ResourceExt;
use kube::api::{Api, ListParams};
use microservice_operator::api::Microservice;
use serde_json::{Value, json};

use crate::support::{
    Cluster, Helm, Installation, Kubectl, Namespace, Operator, OperatorOptions, apply_as_given,
    create_namespace, documents, eventually, helm, manifests, suffix,
};

const CHART: &str = "charts/microservice-operator";
const CRDS: &str = "charts/microservice-operator-crds";
/// Kinds of the Prometheus operator, which the cluster of the tests does not serve.
const MONITORING: &str = "monitoring.coreos.com/v1";

/// Objects of one rendering.
async fn rendered(helm: &Helm, arguments: &str) -> Vec<Value> {
    documents(&helm.ok(&format!("template fleet {CHART} {arguments}")).await)
}

fn of_kind<'a>(objects: &'a [Value], kind: &str) -> Vec<&'a Value> {
    objects.iter().filter(|object| object["kind"] == kind).collect()
}

#[tokio::test]
async fn helm_finds_nothing_wrong_with_any_values() {
    let helm = Helm::new(Cluster::shared());
    helm.ok(&format!("lint --strict --quiet {CRDS}")).await;
    helm.ok(&format!("lint --strict --quiet {CHART}")).await;
    for values in helm::values(CHART) {
        helm.ok(&format!("lint --strict --quiet --values {values} {CHART}")).await;
    }
}

#[tokio::test]
async fn a_value_that_does_not_exist_or_fit_is_refused_by_name() {
    let helm = Helm::new(Cluster::shared());
    for (value, named) in [
        ("replica=3", "replica"),
        ("image.digest=latest", "digest"),
        ("watchNamespaces={Shop}", "watchNamespaces"),
        ("operator.concurrency=0", "concurrency"),
        ("operator.classRate=1001", "classRate"),
        ("operator.kafkaSweep=0s", "kafkaSweep"),
        ("operator.apiPace=500ms", "apiPace"),
        ("leaderElection.leaseDuration=soon", "leaseDuration"),
        ("leaderElection.leaseDuration=1d", "leaseDuration"),
        ("leaderElection.renewDeadline=30s1m", "renewDeadline"),
        ("leaderElection.retryPeriod=0s", "retryPeriod"),
        ("metrics.serviceMonitor.interval=", "interval"),
    ] {
        let printed = helm.run(&format!("template fleet {CHART} --set {value}")).await;
        assert_ne!(printed.code, 0, "{value} was taken");
        assert!(printed.err.contains(named), "{value}: {}", printed.err);
    }
}

#[tokio::test]
async fn every_rendering_is_accepted_by_a_real_api_server() {
    let cluster = Cluster::shared();
    let (helm, client) = (Helm::new(cluster), cluster.client().await);
    let namespace = Namespace::new(cluster, "charts").await;
    for name in ["shop", "bank", "kafka"] {
        let manifest = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        apply_as_given(&client, &manifest).await;
    }
    // The objects name their namespaces themselves.
    let kubectl = Kubectl::new(cluster, "");
    let mut arguments = vec![String::new()];
    arguments.extend(helm::values(CHART).into_iter().map(|file| format!("--values {file}")));
    for arguments in arguments {
        let objects = rendered(&helm, &format!("--namespace {} {arguments}", namespace.name())).await;
        let known: Vec<&Value> = objects.iter().filter(|object| object["apiVersion"] != MONITORING).collect();
        let list = json!({"apiVersion": "v1", "kind": "List", "items": known}).to_string();
        let printed = kubectl.with("apply --dry-run=server --server-side -f -", list).await;
        assert_eq!(printed.code, 0, "{arguments}: {}", printed.err);
        assert!(!printed.err.contains("violate"), "Pod Security: {}", printed.err);
        assert_eq!(printed.out.lines().count(), known.len(), "{}", printed.out);
    }
}

#[tokio::test]
async fn names_that_look_like_numbers_or_booleans_are_text() {
    let helm = Helm::new(Cluster::shared());
    let objects = documents(&helm.ok(&format!("template true {CHART} --namespace 1234")).await);
    for object in &objects {
        let metadata = &object["metadata"];
        assert!(metadata["namespace"].is_string() || metadata["namespace"].is_null(), "{object}");
        assert_eq!(metadata["labels"]["app.kubernetes.io/instance"], "true", "{object}");
    }
    assert_eq!(of_kind(&objects, "ClusterRoleBinding")[0]["subjects"][0]["namespace"], "1234");
}

#[tokio::test]
async fn the_rights_are_those_that_rbac_prints() {
    let helm = Helm::new(Cluster::shared());
    for (arguments, values) in [
        (vec![], ""),
        (
            vec!["--namespaced", "shop", "--namespaced", "bank", "--strimzi-namespace", "kafka"],
            "--set watchNamespaces={shop,bank} --set strimziNamespaces={kafka}",
        ),
    ] {
        let objects =
            rendered(&helm, &format!("--namespace system --set rbac.aggregate=false {values}")).await;
        let arguments = [vec!["rbac", "--namespace", "system"], arguments].concat();
        for kind in ["ClusterRole", "Role"] {
            let rules = |objects: &[Value]| -> Vec<(Value, Value)> {
                let mut all: Vec<(Value, Value)> = of_kind(objects, kind)
                    .into_iter()
                    .map(|role| (role["metadata"]["namespace"].clone(), normal(&role["rules"])))
                    .collect();
                all.sort_by_key(|(namespace, rules)| format!("{namespace}{rules}"));
                all
            };
            assert_eq!(rules(&objects), rules(&manifests(&arguments)), "{kind} for {arguments:?}");
        }
    }
}

/// Rules in one order.
fn normal(rules: &Value) -> Value {
    let mut rules: Vec<Value> = rules.as_array().cloned().unwrap_or_default();
    rules.sort_by_key(ToString::to_string);
    Value::Array(rules)
}

#[tokio::test]
async fn a_release_is_installed_upgraded_and_removed_and_its_services_stay() {
    let cluster = Cluster::own();
    let (helm, client) = (Helm::new(&cluster), cluster.client().await);
    let system = format!("system-{}", suffix());
    create_namespace(&client, &system).await;
    create_namespace(&client, "shop").await;

    helm.ok(&format!("install crds {CRDS} --namespace {system} --wait")).await;
    helm.ok(&format!("install fleet {CHART} --namespace {system} --wait --timeout 60s")).await;
    let account = "fleet-microservice-operator";
    let deployments = Api::<Deployment>::namespaced(client.clone(), &system);
    let installed = deployments.get(account).await.expect("the operator is installed");
    assert_eq!(installed.status.and_then(|status| status.ready_replicas), Some(2), "pods of the release");

    // The pods of the release are simulated: here runs what they would, with their rights alone.
    let installation = Installation::of_account(&cluster, &system, account).await;
    let options = OperatorOptions {
        namespaces: vec![],
        leader_elect: true,
        log: "info".into(),
        ..OperatorOptions::namespace("")
    };
    let mut operator = Operator::start_in(&installation, options).await;
    apply_as_given(&client, &order()).await;
    wait_ready(&client).await;

    helm.ok(&format!("upgrade crds {CRDS} --namespace {system} --wait")).await;
    helm.ok(&format!("upgrade fleet {CHART} --namespace {system} --set replicas=3 --wait --timeout 60s"))
        .await;
    let upgraded = deployments.get(account).await.expect("the operator is installed");
    assert_eq!(upgraded.status.and_then(|status| status.ready_replicas), Some(3));
    let refused = operator.log().lines().filter(|line| line.contains("Forbidden")).count();
    assert_eq!(refused, 0, "the rights of the chart do not suffice");

    operator.stop().await;
    let before = versions(&client).await;
    assert!(before.len() >= 5, "{before:?}");
    helm.ok(&format!("uninstall fleet --namespace {system} --wait")).await;
    helm.ok(&format!("uninstall crds --namespace {system} --wait")).await;
    let crds = Api::<CustomResourceDefinition>::all(client.clone());
    crds.get("microservices.microservice.dev").await.expect("the definitions stay");
    assert_eq!(versions(&client).await, before, "nothing of the service is touched");
}

#[tokio::test]
async fn an_upgrade_brings_new_fields_of_the_kinds() {
    let cluster = Cluster::own();
    let (helm, client) = (Helm::new(&cluster), cluster.client().await);
    // As an older release had them: without one of the printed columns.
    let old = copy_of_crds(|text| text.replace("      name: Ready\n", "      name: Old\n"));
    helm.ok(&format!("install crds {} --wait", old.display())).await;
    let crds = Api::<CustomResourceDefinition>::all(client);
    let columns = || async {
        let crd = crds.get("microservices.microservice.dev").await.expect("it is installed");
        let columns =
            crd.spec.versions.into_iter().flat_map(|v| v.additional_printer_columns.unwrap_or_default());
        columns.map(|column| column.name).collect::<Vec<_>>()
    };
    assert!(columns().await.contains(&"Old".to_owned()));
    helm.ok(&format!("upgrade crds {CRDS} --wait")).await;
    assert!(columns().await.contains(&"Ready".to_owned()));
    std::fs::remove_dir_all(old).expect("the copy can be removed");
}

/// A chart like ours whose definitions are edited.
fn copy_of_crds(edit: impl Fn(String) -> String) -> std::path::PathBuf {
    let to = crate::support::scratch().join(format!("crds-{}", suffix()));
    let from = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(CRDS);
    for part in ["", "templates", "files"] {
        std::fs::create_dir_all(to.join(part)).expect("the scratch directory is writable");
        for entry in std::fs::read_dir(from.join(part)).expect("the chart is readable").flatten() {
            let Ok(text) = std::fs::read_to_string(entry.path()) else { continue };
            let edited = if part == "files" { edit(text.clone()) } else { text.clone() };
            assert!(part != "files" || !entry.path().ends_with("microservices.yaml") || edited != text);
            std::fs::write(to.join(part).join(entry.file_name()), edited).expect("it can be written");
        }
    }
    to
}

fn order() -> Value {
    json!({
        "apiVersion": "microservice.dev/v1alpha1", "kind": "Microservice",
        "metadata": {"name": "order", "namespace": "shop"},
        "spec": {"image": "shop/order:v1", "config": {"LOG": "info"}},
    })
}

async fn wait_ready(client: &kube::Client) {
    let services = Api::<Microservice>::namespaced(client.clone(), "shop");
    eventually(Duration::from_secs(60), "order is Ready", || async {
        let order = services.get("order").await.map_err(|error| error.to_string())?;
        let conditions = order.status.map(|status| status.conditions).unwrap_or_default();
        let ready = conditions.iter().any(|c| c.type_ == "Ready" && c.status == "True");
        if ready { Ok(()) } else { Err(format!("{conditions:?}")) }
    })
    .await;
}

/// The UID, generation and name of everything in the namespace of the service.
async fn versions(client: &kube::Client) -> Vec<(String, String, Option<i64>)> {
    let mut all = Vec::new();
    for (group, kind) in [
        ("v1", "Pod"),
        ("v1", "Service"),
        ("v1", "ConfigMap"),
        ("v1", "ServiceAccount"),
        ("apps/v1", "Deployment"),
        ("policy/v1", "PodDisruptionBudget"),
        ("microservice.dev/v1alpha1", "Microservice"),
    ] {
        let types = kube::core::TypeMeta { api_version: group.to_owned(), kind: kind.to_owned() };
        let kind = kube::core::GroupVersionKind::try_from(&types).expect("it is a kind");
        let resource = kube::core::ApiResource::from_gvk(&kind);
        let api: Api<kube::core::DynamicObject> = Api::namespaced_with(client.clone(), "shop", &resource);
        for object in api.list(&ListParams::default()).await.expect("it can be listed") {
            all.push((object.name_any(), object.uid().unwrap_or_default(), object.metadata.generation));
        }
    }
    all
}
