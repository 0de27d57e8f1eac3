//! The example repositories in `gitops/` are what Kustomize, Argo CD, Flux and Helm accept.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{
    Cluster, Helm, Kubectl, apply_as_given, documents, eventually, install_crds, module, scratch, suffix,
};

fn example(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("gitops").join(path)
}

/// All objects in the files of a directory.
fn objects(path: &str) -> Vec<Value> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(example(path))
        .expect("it can be read")
        .flatten()
        .map(|entry| entry.path())
        .collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "yaml"));
    files.sort();
    let read = |file: &PathBuf| documents(&std::fs::read_to_string(file).expect("it can be read"));
    let objects: Vec<Value> = files.iter().flat_map(read).collect();
    objects.into_iter().filter(|object| object["metadata"].is_object()).collect()
}

async fn kustomized(kubectl: &Kubectl, path: &Path) -> Vec<Value> {
    documents(&kubectl.ok(&format!("kustomize {}", path.display())).await)
}

fn named<'a>(objects: &'a [Value], kind: &str, prefix: &str) -> &'a Value {
    let found = objects.iter().find(|object| {
        object["kind"] == kind && object["metadata"]["name"].as_str().is_some_and(|n| n.starts_with(prefix))
    });
    found.unwrap_or_else(|| panic!("no {kind} {prefix} among {objects:#?}"))
}

#[tokio::test]
async fn kustomize_reaches_images_counts_and_generated_names() {
    let cluster = Cluster::shared();
    let (kubectl, client) = (Kubectl::new(cluster, "shop"), cluster.client().await);
    let objects = kustomized(&kubectl, &example("services/production")).await;
    let (order, settings) =
        (named(&objects, "Microservice", "order"), named(&objects, "ConfigMap", "order-settings-"));
    assert_eq!(order["spec"]["image"], "registry.example.com/shop/order:v1.4.2");
    assert_eq!(order["spec"]["replicas"], 5);
    assert_eq!(order["spec"]["envFrom"][0]["configMapRef"]["name"], settings["metadata"]["name"]);
    let notification = named(&objects, "Microservice", "notification");
    assert_eq!(notification["spec"]["sidecars"][0]["image"], "registry.example.com/mirror/relay:v1");
    assert_eq!(notification["spec"]["replicas"], Value::Null, "a count that nobody asked for");

    install_crds(&client, cluster).await;
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}});
    apply_as_given(&client, &namespace).await;
    for directory in ["services/production", "classes"] {
        let line =
            format!("apply --dry-run=server --server-side --kustomize {}", example(directory).display());
        let applied = kubectl.run(&line).await;
        assert_eq!(applied.code, 0, "{directory}: {}", applied.err);
    }
}

/// An overlay with every kind of reference, each of which is given a prefix.
#[tokio::test]
async fn kustomize_renames_every_reference() {
    let kubectl = Kubectl::new(Cluster::shared(), "");
    let directory = scratch().join(format!("overlay-{}", suffix()));
    std::fs::create_dir_all(&directory).expect("the scratch directory is writable");
    let write =
        |name: &str, text: &str| std::fs::write(directory.join(name), text).expect("it can be written");
    let configuration = std::fs::read_to_string(example("kustomize/microservice.yaml")).expect("it is there");
    write("microservice.yaml", &configuration);
    let own = |kind: &str, group: &str, name: &str| json!({"apiVersion": group, "kind": kind, "metadata": {"name": name}});
    let list = [
        json!({
            "apiVersion": "microservice.dev/v1alpha1", "kind": "Microservice", "metadata": {"name": "order"},
            "spec": {
                "image": "order:v1",
                "className": "web",
                "serviceAccount": {"name": "account"},
                "pod": {"priorityClassName": "high"},
                "secrets": [{"name": "database"}],
                "imagePullSecrets": [{"name": "registry"}],
                "env": [{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "a"}}}],
                "files": [
                    {"mountPath": "/a", "projected": {"sources": [{"secret": {"name": "database"}}]}},
                    {"mountPath": "/b", "persistentVolumeClaim": {"claimName": "data"}},
                ],
                "kafka": {"topics": [{"name": "t", "consumers": [{"name": "payment"}]}]},
            },
        }),
        own("Microservice", "microservice.dev/v1alpha1", "payment"),
        own("MicroserviceClass", "microservice.dev/v1alpha1", "web"),
        own("ServiceAccount", "v1", "account"),
        own("PersistentVolumeClaim", "v1", "data"),
        own("PriorityClass", "scheduling.k8s.io/v1", "high"),
        own("Secret", "v1", "database"),
        own("Secret", "v1", "registry"),
        own("ConfigMap", "v1", "settings"),
    ];
    let text: Vec<String> = list.iter().map(|object| format!("---\n{object}\n")).collect();
    write("objects.yaml", &text.concat());
    write(
        "kustomization.yaml",
        "{namePrefix: eu-, resources: [objects.yaml], configurations: [microservice.yaml]}",
    );
    let objects = kustomized(&kubectl, &directory).await;
    let spec = &named(&objects, "Microservice", "eu-order")["spec"];
    for (pointer, name) in [
        ("/className", "eu-web"),
        ("/serviceAccount/name", "eu-account"),
        ("/pod/priorityClassName", "eu-high"),
        ("/secrets/0/name", "eu-database"),
        ("/imagePullSecrets/0/name", "eu-registry"),
        ("/env/0/valueFrom/configMapKeyRef/name", "eu-settings"),
        ("/files/0/projected/sources/0/secret/name", "eu-database"),
        ("/files/1/persistentVolumeClaim/claimName", "eu-data"),
        ("/kafka/topics/0/consumers/0/name", "eu-payment"),
    ] {
        assert_eq!(spec.pointer(pointer), Some(&json!(name)), "{pointer} of {spec:#}");
    }
    std::fs::remove_dir_all(directory).expect("it can be removed");
}

#[tokio::test]
async fn the_example_repositories_are_what_argo_cd_and_flux_accept() {
    let cluster = Cluster::shared();
    let (kubectl, client) = (Kubectl::new(cluster, ""), cluster.client().await);
    for (name, file) in [
        ("github.com/argoproj/argo-cd/v3", "manifests/crds/application-crd.yaml"),
        (
            "github.com/fluxcd/kustomize-controller",
            "config/crd/bases/kustomize.toolkit.fluxcd.io_kustomizations.yaml",
        ),
        (
            "github.com/fluxcd/source-controller",
            "config/crd/bases/source.toolkit.fluxcd.io_gitrepositories.yaml",
        ),
    ] {
        let file = module("gitops", name).join(file);
        kubectl.ok(&format!("apply --server-side --filename {}", file.display())).await;
    }
    for name in ["argocd", "flux-system"] {
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        apply_as_given(&client, &namespace).await;
    }
    // A kind that has just been defined is served a moment later.
    for path in ["argocd", "argocd/applications", "flux/cluster"] {
        let line = format!(
            "apply --dry-run=server --server-side --validate=strict --filename {}",
            example(path).display()
        );
        let applied = eventually(Duration::from_secs(30), &line, || async {
            let applied = kubectl.run(&line).await;
            if applied.code == 0 { Ok(applied) } else { Err(applied.err) }
        })
        .await;
        assert_eq!(applied.out.lines().count(), objects(path).len(), "{}", applied.out);
    }
    // Argo CD's own settings are added to, not replaced: only our keys are in the object.
    let settings = kustomized(&kubectl, &example("argocd/health")).await;
    let keys: Vec<String> =
        settings[0]["data"].as_object().into_iter().flatten().map(|(k, _)| k.clone()).collect();
    assert!(keys.iter().all(|key| key.starts_with("resource.customizations.health.")), "{keys:?}");
    assert_eq!((keys.len(), &settings[0]["metadata"]["name"]), (3, &json!("argocd-cm")));
}

#[tokio::test]
async fn the_charts_take_the_values_of_the_examples() {
    let helm = Helm::new(Cluster::shared());
    let applications = objects("argocd/applications");
    let releases = objects("flux/operator");
    let mut tried = 0;
    for object in applications.iter().chain(&releases) {
        let (chart, values) = match object["kind"].as_str() {
            Some("Application") => {
                let source = &object["spec"]["source"];
                (source["path"].clone(), source["helm"]["valuesObject"].clone())
            }
            Some("HelmRelease") => {
                let chart = object["spec"]["chart"]["spec"]["chart"].clone();
                (
                    json!(chart.as_str().unwrap_or_default().trim_start_matches("./")),
                    object["spec"]["values"].clone(),
                )
            }
            _ => continue,
        };
        let chart = chart.as_str().unwrap_or_default();
        if !chart.starts_with("charts/") {
            continue;
        }
        let file = scratch().join(format!("values-{}.json", suffix()));
        let values = if values.is_null() { json!({}) } else { values };
        std::fs::write(&file, values.to_string()).expect("it can be written");
        helm.ok(&format!("template example {chart} --values {}", file.display())).await;
        std::fs::remove_file(file).expect("it can be removed");
        tried += 1;
    }
    assert_eq!(tried, 4, "two charts for each of both tools");
}
