//! Ports of container and Service, and the Service's options.

use crate::api::defaults::Defaults;
use crate::api::microservice::{
    MicroserviceSpec, Port, Protocol, ServiceOptions, ServiceType, SessionAffinity,
};

/// All ports, complete; the first one is the main port.
pub(super) fn ports(spec: &MicroserviceSpec, defaults: &Defaults) -> Vec<Port> {
    match &spec.ports {
        Some(ports) => ports.iter().map(complete).collect(),
        None => vec![complete(&Port {
            name: defaults.port_name.to_owned(),
            port: spec.port.unwrap_or(defaults.port),
            ..Port::default()
        })],
    }
}

fn complete(port: &Port) -> Port {
    Port {
        name: port.name.clone(),
        port: port.port,
        container_port: Some(port.container_port.unwrap_or(port.port)),
        protocol: Some(port.protocol.unwrap_or_default()),
        app_protocol: port.app_protocol.clone().or_else(|| app_protocol(&port.name)),
    }
}

/// The protocol that a port's name stands for.
fn app_protocol(name: &str) -> Option<String> {
    let word = name.split('-').next().unwrap_or_default();
    matches!(word, "http" | "grpc").then(|| word.to_owned())
}

/// Number of the container port that serves metrics; the main port where none is named.
pub(in crate::intent) fn metrics_number(spec: &MicroserviceSpec, ports: &[Port]) -> Option<i32> {
    let main = || ports.first().and_then(|port| port.container_port);
    spec.metrics.as_ref()?.port.or_else(main)
}

/// The metrics port, unless a port of the service has its number.
pub(super) fn metrics_port(spec: &MicroserviceSpec, ports: &[Port]) -> Option<i32> {
    let wanted = metrics_number(spec, ports)?;
    let serves = |port: &Port| port.container_port == Some(wanted) && port.protocol == Some(Protocol::TCP);
    (!ports.iter().any(serves)).then_some(wanted)
}

/// The Service's options, complete.
pub(super) fn service(spec: &MicroserviceSpec) -> ServiceOptions {
    let given = spec.service.clone().unwrap_or_default();
    ServiceOptions {
        kind: Some(given.kind.unwrap_or(ServiceType::ClusterIP)),
        annotations: given.annotations.filter(|annotations| !annotations.is_empty()),
        session_affinity: Some(given.session_affinity.unwrap_or(SessionAffinity::None)),
        traffic_distribution: given.traffic_distribution,
    }
}
