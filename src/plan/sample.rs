//! Sample intents for tests: from a service of four lines to one that uses every section.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::apps::v1::{DeploymentStrategy, RollingUpdateDeployment};
use k8s_openapi::api::autoscaling::v2::{
    ContainerResourceMetricSource, HPAScalingPolicy, HPAScalingRules, HorizontalPodAutoscalerBehavior,
    MetricSpec, MetricTarget,
};
use k8s_openapi::api::core::v1::{
    ConfigMapEnvSource, ConfigMapVolumeSource, ContainerPort, EmptyDirVolumeSource, EnvFromSource, EnvVar,
    GRPCAction, HTTPGetAction, LocalObjectReference, Probe, ResourceRequirements, SecretVolumeSource,
    TCPSocketAction, Toleration, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::api::microservice::{
    ExtraContainer, FileMount, GenerateKey, Port, Protocol, PullPolicy, SecretEnv, SecretUse,
    SecurityProfile, ServiceOptions, SessionAffinity,
};
use crate::api::network::PolicyMode;
use crate::intent::calls::Key;
use crate::intent::lag::{LagLogin, LagScaling, LagTopic};
use crate::intent::network::{NetworkIntent, Opening, PolicyPeer, PolicyPort};
use crate::intent::{
    AccountIntent, AutoScaling, GeneratedSecret, Intent, MissingReference, PodIntent, Probes, ReferenceKey,
    ReferenceKind, Scaling,
};

pub fn text_map(entries: &[(&str, &str)]) -> BTreeMap<String, String> {
    entries.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

pub fn port(name: &str, port: i32, container_port: i32) -> Port {
    Port { name: name.to_owned(), port, container_port: Some(container_port), ..Port::default() }
}

pub fn variable(name: &str, value: &str) -> EnvVar {
    EnvVar { name: name.to_owned(), value: Some(value.to_owned()), ..EnvVar::default() }
}

pub fn http_probe(port: &str) -> Probe {
    Probe {
        http_get: Some(HTTPGetAction {
            path: Some("/health".to_owned()),
            port: IntOrString::String(port.to_owned()),
            ..HTTPGetAction::default()
        }),
        period_seconds: Some(10),
        ..Probe::default()
    }
}

fn resources(cpu: &str, memory: &str) -> ResourceRequirements {
    let amounts = BTreeMap::from([
        ("cpu".to_owned(), Quantity(cpu.to_owned())),
        ("memory".to_owned(), Quantity(memory.to_owned())),
    ]);
    ResourceRequirements {
        requests: Some(amounts.clone()),
        limits: Some(amounts),
        ..ResourceRequirements::default()
    }
}

pub fn auto(min: i32, max: i32) -> Scaling {
    let rules = |window, percent| HPAScalingRules {
        stabilization_window_seconds: Some(window),
        select_policy: Some("Max".to_owned()),
        policies: Some(vec![HPAScalingPolicy {
            type_: "Percent".to_owned(),
            value: percent,
            period_seconds: 15,
        }]),
        ..HPAScalingRules::default()
    };
    let cpu = ContainerResourceMetricSource {
        container: "user-service".to_owned(),
        name: "cpu".to_owned(),
        target: MetricTarget {
            type_: "Utilization".to_owned(),
            average_utilization: Some(70),
            ..MetricTarget::default()
        },
    };
    Scaling::Auto(Box::new(AutoScaling {
        min,
        max,
        metrics: vec![MetricSpec {
            type_: "ContainerResource".to_owned(),
            container_resource: Some(cpu),
            ..MetricSpec::default()
        }],
        behavior: HorizontalPodAutoscalerBehavior {
            scale_down: Some(rules(300, 100)),
            scale_up: Some(rules(0, 100)),
        },
        lag: None,
    }))
}

/// The same, where lag scales too and clients log in as users of the operator's.
pub fn lagging(min: i32, max: i32) -> Scaling {
    let mut scaling = auto(min, max);
    let Scaling::Auto(auto) = &mut scaling else { return scaling };
    let topic = |name: &str, threshold| LagTopic {
        name: name.to_owned(),
        physical_name: format!("shop.{name}"),
        group: "shop.user-service".to_owned(),
        threshold,
        activation: 5,
    };
    auto.lag = Some(Box::new(LagScaling {
        topics: vec![topic("orders", 100), topic("payments", 20)],
        metrics: auto.metrics.clone(),
        bootstrap_servers: vec!["kafka-0:9093".to_owned(), "kafka-1:9093".to_owned()],
        tls: true,
        login: Some(LagLogin {
            secret: "user-service-kafka".to_owned(),
            mechanism: "SCRAM-SHA-512",
            ca: true,
        }),
        served: true,
    }));
    scaling
}

/// What `metadata.name` and `spec.image` alone resolve to.
pub fn intent() -> Intent {
    Intent {
        name: "user-service".to_owned(),
        namespace: "shop".to_owned(),
        owner: Some(OwnerReference {
            api_version: "microservice.dev/v1alpha1".to_owned(),
            kind: "Microservice".to_owned(),
            name: "user-service".to_owned(),
            uid: "11111111-2222-3333-4444-555555555555".to_owned(),
            controller: Some(true),
            block_owner_deletion: Some(true),
        }),
        part_of: None,
        version: Some("v1.2.0".to_owned()),
        class: None,
        class_revision: "1".to_owned(),
        image: "user-service:v1.2.0".to_owned(),
        image_pull_policy: None,
        image_pull_secrets: Vec::new(),
        command: Vec::new(),
        args: Vec::new(),
        working_dir: None,
        ports: vec![port("http", 3000, 3000)],
        metrics_port: None,
        scaling: Scaling::Static(3),
        resources: resources("500m", "512Mi"),
        probes: Probes {
            startup: Some(http_probe("http")),
            readiness: Some(http_probe("http")),
            liveness: None,
        },
        drain_seconds: 5,
        grace_period_seconds: 30,
        progress_deadline_seconds: 600,
        env: Vec::new(),
        env_from: Vec::new(),
        config: None,
        files: Vec::new(),
        secrets: Vec::new(),
        strategy: DeploymentStrategy {
            type_: Some("RollingUpdate".to_owned()),
            rolling_update: Some(RollingUpdateDeployment {
                max_surge: Some(IntOrString::String("25%".to_owned())),
                max_unavailable: Some(IntOrString::Int(0)),
            }),
        },
        min_ready_seconds: 0,
        service: ServiceOptions::default(),
        init_containers: Vec::new(),
        sidecars: Vec::new(),
        pod: PodIntent { read_only_root_filesystem: true, ..PodIntent::default() },
        service_account: AccountIntent {
            name: "user-service".to_owned(),
            own: true,
            annotations: BTreeMap::new(),
            automount_token: false,
        },
        max_unavailable: IntOrString::Int(1),
        config_hash: None,
        restart: None,
        generated: Vec::new(),
        kafka: None,
        calls: Default::default(),
        callers: Default::default(),
        protect_called: false,
        addresses: Default::default(),
        peers: None,
        network: None,
        kafka_login: None,
        missing: Vec::new(),
        deployment_exists: false,
    }
}

pub fn files() -> Vec<FileMount> {
    let at = |path: &str| FileMount { mount_path: path.to_owned(), ..FileMount::default() };
    vec![
        FileMount {
            config: Some(text_map(&[("app.yaml", "a: 1"), ("sub/dir/b.txt", "b")])),
            ..at("/etc/app")
        },
        FileMount { config: Some(text_map(&[("app.yaml", "other")])), ..at("/etc/other") },
        FileMount {
            config_map: Some(ConfigMapVolumeSource {
                name: "shared".to_owned(),
                ..ConfigMapVolumeSource::default()
            }),
            ..at("/etc/shared")
        },
        FileMount {
            secret: Some(SecretVolumeSource {
                secret_name: Some("tls".to_owned()),
                default_mode: Some(0o400),
                ..SecretVolumeSource::default()
            }),
            ..at("/etc/tls")
        },
        FileMount { empty_dir: Some(EmptyDirVolumeSource::default()), ..at("/var/cache") },
        FileMount { config: Some(BTreeMap::new()), ..at("/etc/empty") },
    ]
}

pub fn secrets() -> Vec<SecretUse> {
    let env = |name: &str, key: &str| SecretEnv { name: name.to_owned(), key: key.to_owned() };
    vec![
        SecretUse {
            name: "database".to_owned(),
            env: Some(vec![env("DATABASE_URL", "url"), env("LOG_LEVEL", "level")]),
            ..SecretUse::default()
        },
        SecretUse {
            name: "certificates".to_owned(),
            mount_path: Some("/etc/certificates".to_owned()),
            optional: Some(true),
            ..SecretUse::default()
        },
        SecretUse {
            name: "user-service-keys".to_owned(),
            env: Some(vec![env("TOKEN", "token")]),
            mount_path: Some("/etc/keys".to_owned()),
            generate: Some(vec![GenerateKey { key: "token".to_owned(), ..GenerateKey::default() }]),
            ..SecretUse::default()
        },
    ]
}

fn extra(name: &str) -> ExtraContainer {
    ExtraContainer {
        name: name.to_owned(),
        image: format!("{name}:1"),
        resources: Some(resources("50m", "64Mi")),
        env: Some(vec![variable("A", "1")]),
        ports: Some(vec![ContainerPort {
            container_port: 9000,
            host_port: Some(9000),
            host_ip: Some("0.0.0.0".to_owned()),
            ..ContainerPort::default()
        }]),
        volume_mounts: Some(vec![VolumeMount {
            name: "files-0".to_owned(),
            mount_path: "/config".to_owned(),
            ..VolumeMount::default()
        }]),
        ..ExtraContainer::default()
    }
}

/// A service that uses every section.
pub fn full() -> Intent {
    let base = intent();
    Intent {
        part_of: Some("shop".to_owned()),
        image_pull_policy: Some(PullPolicy::IfNotPresent),
        image_pull_secrets: vec![LocalObjectReference { name: "registry".to_owned() }],
        command: vec!["/app".to_owned()],
        args: vec!["--serve".to_owned()],
        working_dir: Some("/srv".to_owned()),
        ports: vec![port("http", 80, 3000), port("http-alt", 8080, 3000), port("grpc", 9090, 9090)],
        metrics_port: Some(9100),
        scaling: auto(2, 10),
        probes: Probes {
            startup: Some(Probe {
                tcp_socket: Some(TCPSocketAction {
                    port: IntOrString::String("http-alt".to_owned()),
                    ..TCPSocketAction::default()
                }),
                ..Probe::default()
            }),
            readiness: Some(http_probe("http-alt")),
            liveness: Some(Probe {
                grpc: Some(GRPCAction { port: 9090, service: None }),
                ..Probe::default()
            }),
        },
        env: vec![variable("LOG_LEVEL", "debug"), variable("URL", "$(DATABASE_URL)/users")],
        env_from: vec![EnvFromSource {
            config_map_ref: Some(ConfigMapEnvSource {
                name: "user-service-config".to_owned(),
                ..ConfigMapEnvSource::default()
            }),
            ..EnvFromSource::default()
        }],
        config: Some(text_map(&[("REGION", "eu")])),
        files: files(),
        secrets: secrets(),
        service: ServiceOptions {
            annotations: Some(text_map(&[("example.com/team", "users")])),
            session_affinity: Some(SessionAffinity::ClientIP),
            traffic_distribution: Some("PreferClose".to_owned()),
            ..ServiceOptions::default()
        },
        init_containers: vec![extra("migrate")],
        sidecars: vec![extra("proxy")],
        pod: PodIntent {
            labels: text_map(&[("team", "users"), ("app", "forged")]),
            annotations: text_map(&[("prometheus.io/scrape", "true")]),
            node_selector: text_map(&[("kubernetes.io/os", "linux")]),
            tolerations: vec![Toleration {
                key: Some("spot".to_owned()),
                operator: Some("Exists".to_owned()),
                ..Toleration::default()
            }],
            run_as_user: Some(10_001),
            run_as_group: Some(10_001),
            fs_group: Some(10_001),
            ..base.pod.clone()
        },
        service_account: AccountIntent {
            annotations: text_map(&[("iam.example.com/role", "users")]),
            ..base.service_account.clone()
        },
        config_hash: Some("c0ffee".to_owned()),
        restart: Some("2".to_owned()),
        generated: vec![GeneratedSecret {
            name: "user-service-keys".to_owned(),
            keys: vec![GenerateKey { key: "token".to_owned(), ..GenerateKey::default() }],
            data: Some(BTreeMap::from([("token".to_owned(), ByteString(b"s3cret".to_vec()))])),
        }],
        peers: Some(text_map(&[("STOCK_PORT", "3000")])),
        network: Some(Box::new(network())),
        ..base
    }
}

/// A caller, and pods of no Microservice; out it goes to one range only.
pub fn network() -> NetworkIntent {
    let http = PolicyPort::Name("http".to_owned(), Protocol::TCP);
    let others = PolicyPeer::Others { namespaces: None, labels: text_map(&[("job", "report")]) };
    let opening = |peers, port| Opening { peers, ports: vec![port] };
    NetworkIntent {
        mode: PolicyMode::Enforce,
        ingress: vec![opening(vec![PolicyPeer::Service(Key::new("shop", "orders")), others], http)],
        egress: vec![opening(
            vec![PolicyPeer::Range("192.0.2.0/24".to_owned())],
            PolicyPort::Number(5432, Protocol::TCP),
        )],
        ..NetworkIntent::default()
    }
}

/// Everything at once that would repeat a key of a list.
pub fn repeating() -> Intent {
    let base = full();
    let twice = |name: &str| vec![extra(name), extra(name)];
    Intent {
        ports: vec![port("http", 80, 3000), port("http", 81, 3001), port("web", 80, 3000)],
        metrics_port: Some(3000),
        image_pull_secrets: [base.image_pull_secrets.clone(), base.image_pull_secrets.clone()].concat(),
        env: vec![variable("A", "1"), variable("A", "2"), variable("TOKEN", "mine")],
        secrets: [secrets(), secrets()].concat(),
        files: [files(), files()].concat(),
        sidecars: [twice("proxy"), twice("user-service")].concat(),
        init_containers: twice("proxy"),
        ..base
    }
}

/// A referenced Secret that does not exist yet.
pub fn waiting(deployment_exists: bool) -> Intent {
    let reference = ReferenceKey { kind: ReferenceKind::Secret, name: "database".to_owned() };
    Intent { missing: vec![MissingReference { reference, key: None }], deployment_exists, ..full() }
}

/// One intent of every shape, for rules that hold for all of them.
pub fn every() -> Vec<Intent> {
    let baseline = PodIntent { security_profile: SecurityProfile::Baseline, ..intent().pod };
    let foreign = AccountIntent { name: "foreign".to_owned(), own: false, ..intent().service_account };
    vec![
        intent(),
        full(),
        repeating(),
        waiting(false),
        waiting(true),
        Intent { ports: Vec::new(), probes: Probes::default(), ..intent() },
        Intent { scaling: Scaling::Stopped, drain_seconds: 0, owner: None, ..full() },
        Intent { scaling: Scaling::Static(1), ..intent() },
        Intent { scaling: lagging(2, 10), ..full() },
        Intent { pod: baseline, ..full() },
        Intent { service_account: foreign, ..full() },
    ]
}
