//! Container ports and their names. Two Service ports may lead to one container port; the container
//! then declares it once, under the first name, and everything that names it must use that name.

use k8s_openapi::api::core::v1::ContainerPort;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::meta;
use crate::api::microservice::{Port, Protocol};
use crate::intent::Intent;

/// Name of the container port that serves metrics when no port of the service does.
const METRICS: &str = "metrics";

/// Key of a container's port list.
fn key(port: &Port) -> (i32, Protocol) {
    (port.container_port.unwrap_or(port.port), port.protocol.unwrap_or_default())
}

/// Ports of the service's container, each (number, protocol) and each name once.
pub(super) fn container_ports(intent: &Intent) -> Vec<ContainerPort> {
    let metrics = intent.metrics_port.map(|port| Port { name: METRICS.to_owned(), port, ..Port::default() });
    let ports: Vec<Port> = intent.ports.iter().cloned().chain(metrics).collect();
    let ports = meta::unique_by(&meta::unique_by(&ports, key), |port| port.name.clone());
    ports
        .iter()
        .map(|port| ContainerPort {
            name: Some(port.name.clone()),
            container_port: port.container_port.unwrap_or(port.port),
            protocol: Some(port.protocol.unwrap_or_default().as_str().to_owned()),
            ..ContainerPort::default()
        })
        .collect()
}

/// Name under which the container declares the target of this port.
pub(super) fn container_port_name(intent: &Intent, port: &Port) -> String {
    let first = intent.ports.iter().find(|other| key(other) == key(port));
    first.unwrap_or(port).name.clone()
}

/// A probe's port, with the name of a Service port replaced by that of its container port.
pub(super) fn resolve(intent: &Intent, port: &IntOrString) -> IntOrString {
    let IntOrString::String(name) = port else { return port.clone() };
    match intent.ports.iter().find(|port| port.name == *name) {
        Some(port) => IntOrString::String(container_port_name(intent, port)),
        None => port.clone(),
    }
}

/// The given application protocol, else the one that the name of the port tells.
pub(super) fn app_protocol(port: &Port) -> Option<String> {
    let told = ["http", "grpc"].into_iter().find(|protocol| {
        port.name.strip_prefix(protocol).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
    });
    port.app_protocol.clone().or_else(|| told.map(str::to_owned))
}
