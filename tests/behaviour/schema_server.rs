//! The kinds as the API server knows them: what it accepts, what it refuses and in which words, and
//! what kubectl shows.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures::{StreamExt, stream};
use http::Request;
use kube::Client;
use microservice_operator::api::schema::crds;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::support::{Cluster, Kubectl, Namespace, Operator, OperatorOptions, eventually, install_crds};

async fn namespace() -> Namespace {
    let namespace = Namespace::new(Cluster::shared(), "schema").await;
    install_crds(&namespace.client(), Cluster::shared()).await;
    namespace
}

/// It stores the object in an annotation, which may hold 256 KiB.
#[tokio::test]
async fn plain_kubectl_apply_installs_the_crds() {
    let namespace = namespace().await;
    let kubectl = Kubectl::new(Cluster::shared(), namespace.name());
    let directory = root().join("crds");
    let printed = kubectl.ok(&format!("apply -f {}", directory.display())).await;
    assert_eq!(printed.lines().count(), 2, "{printed}");
    // What kubectl made of the words that YAML 1.1 takes for truth values.
    let class = json!({
        "apiVersion": "microservice.dev/v1alpha1", "kind": "MicroserviceClass", "metadata": {"name": "off"},
        "spec": {"network": {"mode": "Off"}, "graph": {"severities": {"EventLoop": "Off"}}},
    });
    let printed = kubectl.with("apply --dry-run=server -f -", class.to_string()).await;
    assert_eq!(printed.code, 0, "{}", printed.err);
    // As new objects too, and without a word of warning about the schema.
    for file in yaml_files("crds") {
        let copy = fs::read_to_string(&file).unwrap().replace("microservice.dev", "copy.example.com");
        let applied = kubectl.with("apply --dry-run=server -f -", copy).await;
        assert_eq!((applied.code, applied.err.as_str()), (0, ""), "{}: {applied:?}", file.display());
        assert!(applied.out.contains(".copy.example.com created"), "{applied:?}");
    }
}

/// An empty list is not an absent one: it means "no Service".
#[tokio::test]
async fn ports_emptied_by_server_side_apply_are_empty_and_not_absent() {
    let namespace = namespace().await;
    let spec =
        json!({"image": "web:v1", "ports": [{"name": "http", "port": 80}], "health": {"type": "None"}});
    namespace.microservice("web", spec).await;
    let spec = json!({"image": "web:v1", "ports": [], "health": {"type": "None"}});
    let stored = namespace.microservice("web", spec).await;
    assert_eq!(stored.data["spec"]["ports"], json!([]));
}

#[tokio::test]
async fn every_example_is_accepted() {
    let namespace = namespace().await;
    let client = namespace.client();
    let files = [yaml_files("examples"), yaml_files("examples/shop")].concat();
    let answers =
        stream::iter(files.iter().flat_map(|file| objects(file).into_iter().map(move |o| (file, o))))
            .map(|(file, object)| {
                let (client, namespace) = (client.clone(), namespace.name());
                async move { (file, create(client, namespace, &object).await) }
            })
            .buffered(4);
    let refused: Vec<String> = answers
        .filter_map(|(file, answer)| async move {
            answer.err().map(|refusal| format!("{}: {}", file.display(), refusal.text))
        })
        .collect()
        .await;
    assert!(refused.is_empty(), "{}", refused.join("\n"));
}

#[tokio::test]
async fn every_counter_example_is_refused_in_the_words_of_its_first_line() {
    let namespace = namespace().await;
    let client = namespace.client();
    let files = yaml_files("examples/invalid");
    assert!(files.len() > 70);
    let answers = stream::iter(&files)
        .map(|file| {
            let (client, namespace) = (client.clone(), namespace.name());
            let [object] = objects(file).try_into().unwrap();
            async move { (file, create(client, namespace, &object).await) }
        })
        .buffered(4);
    let wrong: Vec<String> =
        answers.filter_map(|(file, answer)| async move { complaint(file, answer) }).collect().await;
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), files.len(), wrong.join("\n"));
}

/// What is not as the file's first line says.
fn complaint(file: &Path, answer: Result<(), Refusal>) -> Option<String> {
    let name = file.file_name().unwrap().to_string_lossy().into_owned();
    let text = fs::read_to_string(file).unwrap();
    let first = text.lines().next().unwrap_or_default();
    let Err(refusal) = answer else { return Some(format!("{name}: accepted")) };
    let met = if let Some(message) = first.strip_prefix("# expect: ") {
        // The server writes `Invalid value: …: ` before it.
        let ours = |said: &String| said == message || said.ends_with(&format!(": {message}"));
        refusal.messages.iter().any(ours)
    } else {
        let path = first.strip_prefix("# expect-path: ").unwrap();
        refusal.paths.contains(path)
    };
    let said = || format!("{name}: {first}\n  said: {}\n  paths: {:?}", refusal.text, refusal.paths);
    (!met).then(said)
}

/// One rule may cost a million units at run time, all rules of an object ten million.
#[tokio::test]
async fn the_largest_kafka_section_is_within_the_budget_of_the_rules() {
    let namespace = namespace().await;
    let name = |i: usize| format!("{}{i:03}", "a.".repeat(123));
    let config: serde_json::Map<String, Value> =
        (0..16).map(|i| (format!("key.{}", "b".repeat(i + 1)), json!("c".repeat(100)))).collect();
    let topic = |i: usize| {
        let peers = [json!({"name": "d".repeat(63), "namespace": "e".repeat(63)})];
        json!({
            "name": name(i), "partitions": 1, "replicationFactor": 3, "minInsyncReplicas": 2,
            "retention": "99999d99999d99999d99999d", "retentionBytes": "999999Ti",
            "config": config, "producers": peers, "consumers": peers
        })
    };
    let owner = |i: usize| format!("{}{i:03}", "f".repeat(60));
    let consumed = |i: usize| json!({"topic": name(0), "namespace": owner(i), "group": "g".repeat(128)});
    let produced = |i: usize| json!({"topic": name(i), "namespace": owner(0)});
    let kafka = json!({
        "topics": (0..256).map(topic).collect::<Vec<_>>(),
        "produces": (0..128).map(produced).collect::<Vec<_>>(),
        "consumes": (0..128).map(consumed).collect::<Vec<_>>(),
        "streams": {"applicationId": "h".repeat(128)}
    });
    let object = json!({
        "apiVersion": "microservice.dev/v1alpha1", "kind": "Microservice",
        "metadata": {"name": "largest"}, "spec": {"image": "a:v1", "kafka": kafka}
    });
    let answer = create(namespace.client(), namespace.name(), &object).await;
    assert!(answer.is_ok(), "{:?}", answer.err().map(|refusal| refusal.text));
    // The longest names whose variables the server compares, and two of them alike.
    let mut alike = object;
    for i in 0..256 {
        alike["spec"]["kafka"]["topics"][i]["name"] = json!(format!("{}{i:03}", "a.".repeat(14)));
    }
    let answer = create(namespace.client(), namespace.name(), &alike).await;
    assert!(answer.is_ok(), "{:?}", answer.err().map(|refusal| refusal.text));
    alike["spec"]["kafka"]["topics"][255]["name"] = json!(format!("{}000", "A_".repeat(14)));
    let answer = create(namespace.client(), namespace.name(), &alike).await;
    let said = answer.err().map(|refusal| refusal.text).unwrap_or_default();
    assert!(said.contains("KAFKA_TOPIC_<NAME>"), "{said}");
}

#[tokio::test]
async fn kubectl_explain_prints_our_words() {
    let namespace = namespace().await;
    let kubectl = Kubectl::new(Cluster::shared(), namespace.name());
    let crd = serde_json::to_value(&crds()[0]).unwrap();
    let schema = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"];
    // The server publishes what it knows of a kind a moment after it serves it.
    eventually(Duration::from_secs(60), "the kind can be explained", || async {
        let printed = kubectl.run("explain msvc").await;
        if printed.code == 0 { Ok(()) } else { Err(printed.err) }
    })
    .await;
    let printed = flat(&kubectl.ok("explain msvc.spec.health").await);
    let health = &schema["health"];
    let fields = health["properties"].as_object().unwrap();
    assert!(fields.len() > 4);
    for text in fields.values().chain([health]).map(|field| field["description"].as_str().unwrap()) {
        assert!(printed.contains(&flat(text)), "not explained: {text}\nin {printed}");
    }
    for field in ["image", "replicas", "secrets", "files", "kafka", "suspend"] {
        let printed = flat(&kubectl.ok(&format!("explain msvc.spec.{field}")).await);
        let text = schema[field]["description"].as_str().unwrap();
        assert!(printed.contains(&flat(text)), "not explained: {text}\nin {printed}");
    }
}

#[tokio::test]
async fn kubectl_get_shows_what_is_broken_and_why() {
    let cluster = Cluster::shared();
    let namespace = namespace().await;
    let _operator = Operator::start(cluster, OperatorOptions::namespace(namespace.name())).await;
    let kubectl = Kubectl::new(cluster, namespace.name());
    namespace.microservice("web", json!({"image": "web:v1", "replicas": 1})).await;
    namespace.wait_ready("web").await;

    let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let table = kubectl.ok("get msvc").await;
    let [header, row] = table.lines().collect::<Vec<_>>().try_into().unwrap();
    assert_eq!(words(header), ["NAME", "READY", "REPLICAS", "REASON", "AGE"]);
    assert_eq!(words(row)[..4], ["web", "True", "1/1", "Ready"]);

    let table = kubectl.ok("get microservices -o wide").await;
    let [header, row] = table.lines().collect::<Vec<_>>().try_into().unwrap();
    assert_eq!(words(header)[5..], ["IMAGE", "URL", "CLASS", "TOPICS", "MESSAGE"]);
    let url = format!("http://web.{}.svc:3000", namespace.name());
    assert!(words(row).contains(&"web:v1".to_owned()) && words(row).contains(&url), "{row}");

    let all = kubectl.ok("get all").await;
    assert!(all.contains("microservice.microservice.dev/web"), "{all}");
    let classes = kubectl.run("get msvcclass").await;
    assert_eq!(classes.code, 0, "{classes:?}");
}

/// Words only: `explain` breaks lines where it likes.
fn flat(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Why the API server did not accept an object.
struct Refusal {
    text: String,
    messages: Vec<String>,
    paths: BTreeSet<String>,
}

#[derive(Deserialize)]
struct Status {
    message: String,
    details: Option<Details>,
}

#[derive(Deserialize)]
struct Details {
    #[serde(default)]
    causes: Vec<Cause>,
}

#[derive(Deserialize)]
struct Cause {
    #[serde(default)]
    message: String,
    #[serde(default)]
    field: String,
}

/// Creates an object as `kubectl create --dry-run=server --validate=strict` does.
async fn create(client: Client, namespace: &str, object: &Value) -> Result<(), Refusal> {
    let mut object = object.clone();
    let kind = object["kind"].as_str().unwrap().to_owned();
    let path = match kind.as_str() {
        "MicroserviceClass" => "/apis/microservice.dev/v1alpha1/microserviceclasses".to_owned(),
        kind => {
            object["metadata"]["namespace"] = json!(namespace);
            match kind {
                "Secret" => format!("/api/v1/namespaces/{namespace}/secrets"),
                _ => format!("/apis/microservice.dev/v1alpha1/namespaces/{namespace}/microservices"),
            }
        }
    };
    let request = Request::post(format!("{path}?dryRun=All&fieldValidation=Strict"))
        .header("Content-Type", "application/json")
        .body(object.to_string().into_bytes())
        .unwrap();
    match client.request::<Value>(request).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) => Err(refusal(serde_json::to_value(status).unwrap())),
        Err(error) => panic!("{path}: {error}"),
    }
}

fn refusal(status: Value) -> Refusal {
    let Status { message: text, details } = serde_json::from_value(status).unwrap();
    let causes = details.map(|details| details.causes).unwrap_or_default();
    let mut paths: BTreeSet<String> = causes.iter().map(|cause| cause.field.clone()).collect();
    // A field that the schema does not have is told in the message alone.
    let unknown = text.split("unknown field \"").skip(1).filter_map(|rest| rest.split('"').next());
    paths.extend(unknown.map(str::to_owned));
    Refusal { text, messages: causes.into_iter().map(|cause| cause.message).collect(), paths }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn yaml_files(directory: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(root().join(directory)).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> =
        entries.filter(|path| path.extension().is_some_and(|extension| extension == "yaml")).collect();
    files.sort();
    files
}

fn objects(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap();
    serde_yaml::Deserializer::from_str(&text).map(|document| Value::deserialize(document).unwrap()).collect()
}
