//! What the network policies of generated systems let through, judged by an evaluation that is not ours, for
//! every pair of pods and port: exactly the calls that both sides grant.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may panic, also in its helpers"
)]

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use microservice_operator::cli::{Inputs, Settings, render};
use serde_json::{Value, json};

const SYSTEMS: u64 = 36;
const SERVICES: usize = 32;
const NAMESPACES: [&str; 3] = ["shop", "bank", "batch"];
/// Port of the metrics of every service.
const METRICS: u16 = 9100;

/// A generator of numbers that gives the same ones each time (SplitMix64).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).unwrap()
    }

    fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }
}

/// A service as it is declared; the test knows nothing else of it.
struct Service {
    namespace: &'static str,
    name: String,
    /// Name, port of the Service, port of the pods.
    ports: Vec<(String, u16, u16)>,
    /// Position of the callee, and the port that is named, by position.
    calls: Vec<(usize, Option<usize>)>,
    /// `None` = not said; the entries are namespace and name.
    callers: Option<Vec<(&'static str, String)>>,
}

impl Service {
    fn object(&self, all: &[Self]) -> Value {
        let ports = self
            .ports
            .iter()
            .map(|(name, port, container)| json!({"name": name, "port": port, "containerPort": container}));
        let calls = self.calls.iter().enumerate().map(|(index, (callee, port))| {
            let peer = &all[*callee];
            // By name and by number in turns.
            let port = port.map(|port| match index % 2 {
                0 => json!(peer.ports[port].0),
                _ => json!(peer.ports[port].1),
            });
            json!({"name": peer.name, "namespace": peer.namespace, "port": port, "envPrefix": format!("P{callee}")})
        });
        let callers = self.callers.as_ref().map(|callers| {
            let entry = |(namespace, name): &(&str, String)| json!({"name": name, "namespace": namespace});
            callers.iter().map(entry).collect::<Vec<_>>()
        });
        let mut spec = json!({
            "image": "shop/service:v1",
            "ports": ports.collect::<Vec<_>>(),
            "calls": calls.collect::<Vec<_>>(),
            "callers": callers,
            "metrics": {"port": METRICS},
        });
        strip(&mut spec);
        json!({
            "apiVersion": "microservice.dev/v1alpha1", "kind": "Microservice",
            "metadata": {"name": self.name, "namespace": self.namespace}, "spec": spec,
        })
    }

    /// The rule by hand: the caller names it, the callee allows it, and the port is the one that is named.
    fn lets(&self, own: usize, caller: &Self, port: u16) -> bool {
        let allowed = match &self.callers {
            None => caller.namespace == self.namespace,
            Some(callers) => callers.iter().any(|(namespace, name)| {
                *namespace == caller.namespace && (name == "*" || *name == caller.name)
            }),
        };
        let called = caller.calls.iter().find(|(callee, _)| *callee == own);
        allowed && called.is_some_and(|(_, named)| self.ports[named.unwrap_or(0)].2 == port)
    }
}

fn strip(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, value| !value.is_null());
            fields.values_mut().for_each(strip);
        }
        Value::Array(items) => items.iter_mut().for_each(strip),
        _ => {}
    }
}

fn services(numbers: &mut Numbers) -> Vec<Service> {
    let mut all: Vec<Service> = (0..SERVICES)
        .map(|number| {
            let count = 1 + u16::try_from(numbers.below(3)).unwrap();
            let mut port =
                |n: u16| (format!("p{n}"), 80 + n, if numbers.once_in(2) { 8080 + n } else { 80 + n });
            let ports = (0..count).map(&mut port).collect();
            Service {
                namespace: NAMESPACES[numbers.below(3)],
                name: format!("s{number}"),
                ports,
                calls: Vec::new(),
                callers: None,
            }
        })
        .collect();
    for caller in 0..SERVICES {
        for callee in (0..SERVICES).filter(|callee| *callee != caller) {
            if numbers.once_in(5) {
                let port = numbers.once_in(2).then(|| numbers.below(all[callee].ports.len()));
                all[caller].calls.push((callee, port));
            }
        }
    }
    let names: Vec<(&'static str, String)> =
        all.iter().map(|one| (one.namespace, one.name.clone())).collect();
    for one in &mut all {
        one.callers = match numbers.below(4) {
            0 => None,
            1 => Some(Vec::new()),
            2 => Some(names.iter().filter(|_| numbers.once_in(2)).cloned().collect()),
            _ => Some(vec![
                (NAMESPACES[numbers.below(3)], "*".to_owned()),
                names[numbers.below(SERVICES)].clone(),
            ]),
        };
    }
    all
}

const CLASS: &str = "
apiVersion: microservice.dev/v1alpha1
kind: MicroserviceClass
metadata:
  name: strict
  annotations: {microservice.dev/is-default-class: \"true\"}
spec:
  network:
    mode: Enforce
    gateways: [{namespace: edge, podSelector: {matchLabels: {app: gateway}}}]
    monitoring: [{namespace: monitoring}]
    infrastructure: [{to: {namespace: tracing}, ports: [4317]}]
";

/// Pods of no Microservice: a name server, a gateway, a scraper, a collector, and a stranger.
const OTHERS: [(&str, &str, &str); 5] = [
    ("kube-system", "k8s-app", "kube-dns"),
    ("edge", "app", "gateway"),
    ("monitoring", "app", "prometheus"),
    ("tracing", "app", "collector"),
    ("shop", "app", "stranger"),
];

struct System {
    services: Vec<Service>,
    input: Value,
    expected: Vec<bool>,
}

fn pod(number: usize, namespace: &str, labels: &Value, ports: &Value) -> Value {
    json!({
        "metadata": {"namespace": namespace, "name": format!("pod-{number}"), "labels": labels},
        "spec": {"nodeName": "node", "containers": [{"name": "main", "ports": ports}]},
        "status": {"podIP": format!("10.0.{}.{}", number / 250, number % 250 + 1)},
    })
}

fn system(seed: u64) -> System {
    let services = services(&mut Numbers(seed));
    let mut inputs = Inputs::new(Settings::default());
    inputs.add("class", CLASS);
    for service in &services {
        inputs.add("service", &service.object(&services).to_string());
    }
    let children = render::children(&inputs).unwrap_or_else(|found| panic!("{found:?}"));
    let of_kind =
        |kind: &str| children.iter().filter(|child| child["kind"] == kind).cloned().collect::<Vec<_>>();
    let deployments = of_kind("Deployment");
    let mut pods: Vec<Value> = services
        .iter()
        .enumerate()
        .map(|(number, service)| {
            let named = |child: &&Value| {
                child["metadata"]["name"] == *service.name
                    && child["metadata"]["namespace"] == service.namespace
            };
            let template = &deployments.iter().find(named).unwrap()["spec"]["template"];
            let ports = &template["spec"]["containers"][0]["ports"];
            pod(number, service.namespace, &template["metadata"]["labels"], ports)
        })
        .collect();
    for (namespace, label, value) in OTHERS {
        pods.push(pod(pods.len(), namespace, &json!({label: value}), &json!([])));
    }
    let (questions, expected) = questions(&services);
    let namespaces = NAMESPACES.iter().chain(&["kube-system", "edge", "monitoring", "tracing"]);
    let namespace =
        |name: &&str| json!({"metadata": {"name": name, "labels": {"kubernetes.io/metadata.name": name}}});
    let input = json!({
        "namespaces": namespaces.map(namespace).collect::<Vec<_>>(),
        "pods": pods, "policies": of_kind("NetworkPolicy"), "questions": questions,
    });
    System { services, input, expected }
}

/// Every pair of pods with every port of the second one, and one port that nobody has.
fn questions(services: &[Service]) -> (Vec<Value>, Vec<bool>) {
    let count = services.len();
    let [dns, gateway, scraper, collector, stranger] = [0, 1, 2, 3, 4].map(|place| count + place);
    let (mut asked, mut expected) = (Vec::new(), Vec::new());
    let mut ask = |from: usize, to: usize, port: u16, protocol: &str, answer: bool| {
        asked.push(json!({"from": from, "to": to, "port": port, "protocol": protocol}));
        expected.push(answer);
    };
    for (to, callee) in services.iter().enumerate() {
        let mut ports: Vec<u16> = callee.ports.iter().map(|(_, _, port)| *port).collect();
        ports.dedup();
        for (from, caller) in services.iter().enumerate().filter(|(from, _)| *from != to) {
            for port in ports.iter().copied().chain([METRICS, 7777]) {
                ask(from, to, port, "TCP", callee.lets(to, caller, port));
            }
            ask(from, to, ports[0], "UDP", false);
        }
        for port in &ports {
            ask(gateway, to, *port, "TCP", true);
            ask(scraper, to, *port, "TCP", false);
            ask(stranger, to, *port, "TCP", false);
        }
        ask(scraper, to, METRICS, "TCP", true);
        ask(gateway, to, METRICS, "TCP", false);
        ask(to, dns, 53, "UDP", true);
        ask(to, dns, 53, "TCP", true);
        ask(to, dns, 443, "TCP", false);
        ask(to, collector, 4317, "TCP", true);
        ask(to, collector, 80, "TCP", false);
        ask(to, stranger, 80, "TCP", false);
    }
    (asked, expected)
}

fn program() -> PathBuf {
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("tools").join("policies");
    assert!(program.exists(), "{} is missing: run `make test-policies`", program.display());
    program
}

#[test]
fn exactly_the_granted_calls_are_open() {
    let systems: Vec<System> = (0..SYSTEMS).map(system).collect();
    let mut child = Command::new(program())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut input = child.stdin.take().unwrap();
    let text: String = systems.iter().map(|system| format!("{}\n", system.input)).collect();
    let writer = std::thread::spawn(move || input.write_all(text.as_bytes()));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let answers = String::from_utf8(output.stdout).unwrap();
    let answers: Vec<&str> = answers.lines().collect();
    assert_eq!(answers.len(), systems.len());
    let (mut asked, mut open) = (0, 0);
    for (seed, (system, answers)) in systems.iter().zip(answers).enumerate() {
        assert_eq!(answers.len(), system.expected.len());
        for (place, (answer, expected)) in answers.bytes().zip(&system.expected).enumerate() {
            let question = &system.input["questions"][place];
            let named = |end: &str| {
                let place = usize::try_from(question[end].as_u64().unwrap()).unwrap();
                system
                    .services
                    .get(place)
                    .map_or("another pod".to_owned(), |one| format!("{}/{}", one.namespace, one.name))
            };
            let wrong = format!("system {seed}: {question}, from {} to {}", named("from"), named("to"));
            assert_eq!(answer == b'1', *expected, "{wrong}");
            open += usize::from(*expected);
        }
        asked += system.expected.len();
    }
    println!("{asked} answers agree, {open} of them open");
    assert!(asked >= 100_000 && open >= 1_000, "{asked} questions, {open} open");
}
