//! Service: one address for all ports; none for a worker without ports. `clusterIP`, `nodePort` and
//! `ipFamilies` belong to the server and are never sent.

use k8s_openapi::api::core::v1::{ClientIPConfig, Service, ServicePort, ServiceSpec, SessionAffinityConfig};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::{Child, Stage, meta, ports};
use crate::api::microservice::SessionAffinity;
use crate::intent::Intent;

/// Seconds a client stays with its pod: the server's default.
const STICKY_SECONDS: i32 = 10_800;

pub(super) struct Table;

impl Child for Table {
    type Object = Service;
    const STAGE: Stage = Stage::Service;

    fn build(intent: &Intent) -> Vec<Service> {
        if intent.ports.is_empty() {
            return Vec::new();
        }
        let options = &intent.service;
        let (affinity, affinity_config) = match options.session_affinity.unwrap_or_default() {
            SessionAffinity::None => ("None", None),
            SessionAffinity::ClientIP => ("ClientIP", Some(sticky())),
        };
        let annotations = options.annotations.clone().unwrap_or_default();
        vec![Service {
            metadata: meta::annotated(intent, &intent.name, &annotations),
            spec: Some(ServiceSpec {
                type_: Some("ClusterIP".to_owned()),
                selector: Some(meta::selector(intent)),
                ports: Some(service_ports(intent)),
                session_affinity: Some(affinity.to_owned()),
                session_affinity_config: affinity_config,
                traffic_distribution: options.traffic_distribution.clone(),
                ..ServiceSpec::default()
            }),
            ..Service::default()
        }]
    }
}

/// The server would fill this in; sent so that we own it and a foreign change is repaired.
fn sticky() -> SessionAffinityConfig {
    SessionAffinityConfig { client_ip: Some(ClientIPConfig { timeout_seconds: Some(STICKY_SECONDS) }) }
}

/// One entry per (number, protocol) and per name: a repeated key would be refused.
fn service_ports(intent: &Intent) -> Vec<ServicePort> {
    let ports = meta::unique_by(&intent.ports, |port| (port.port, port.protocol.unwrap_or_default()));
    let ports = meta::unique_by(&ports, |port| port.name.clone());
    ports
        .iter()
        .map(|port| ServicePort {
            name: Some(port.name.clone()),
            port: port.port,
            // By name: old and new pods of a rollout may listen on different numbers.
            target_port: Some(IntOrString::String(ports::container_port_name(intent, port))),
            protocol: Some(port.protocol.unwrap_or_default().as_str().to_owned()),
            app_protocol: ports::app_protocol(port),
            ..ServicePort::default()
        })
        .collect()
}
