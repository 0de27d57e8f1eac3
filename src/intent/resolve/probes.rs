//! The three probes: readiness and startup from `health`, liveness only when asked for; each can be
//! replaced by a native one.

use k8s_openapi::api::core::v1::{GRPCAction, HTTPGetAction, Probe, TCPSocketAction};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::Inputs;
use super::ports::metrics_number;
use crate::api::microservice::{Health, HealthType, Liveness, MicroserviceSpec, Port};
use crate::intent::Probes;

/// `health` of spec and class, and what they are merged with.
struct Check<'a> {
    inputs: &'a Inputs<'a>,
    ports: &'a [Port],
}

pub(super) fn probes(inputs: &Inputs<'_>, ports: &[Port]) -> Probes {
    let spec = inputs.spec;
    let check = Check { inputs, ports };
    let readiness = spec.readiness_probe.as_deref().cloned().or_else(|| check.readiness()).map(complete);
    // Startup asks what readiness asks: a service with its own readiness probe may have no `/health`.
    let startup =
        spec.startup_probe.as_deref().cloned().or_else(|| check.startup(readiness.as_ref())).map(complete);
    let liveness = spec.liveness_probe.as_deref().cloned().or_else(|| check.liveness()).map(complete);
    Probes { startup, readiness, liveness }
}

/// Kind of check after the merge.
pub(in crate::intent) fn kind(inputs: &Inputs<'_>) -> HealthType {
    health_leaf(inputs, |health| health.kind).unwrap_or_default()
}

/// One field of `health`, from the spec, else the class.
fn health_leaf<T>(inputs: &Inputs<'_>, leaf: impl Fn(&Health) -> Option<T>) -> Option<T> {
    [inputs.spec.health.as_deref(), inputs.class.health.as_ref()].into_iter().flatten().find_map(leaf)
}

/// Number of the container port that `health` names; `None` for a name that no port has.
pub(in crate::intent) fn port_number(
    port: &IntOrString,
    spec: &MicroserviceSpec,
    ports: &[Port],
) -> Option<i32> {
    match port {
        IntOrString::Int(number) => Some(*number),
        IntOrString::String(name) => {
            let own = ports.iter().find(|port| port.name == *name).and_then(|port| port.container_port);
            own.or_else(|| metrics_number(spec, ports).filter(|_| name == "metrics"))
        }
    }
}

impl Check<'_> {
    fn leaf<T>(&self, leaf: impl Fn(&Health) -> Option<T>) -> Option<T> {
        health_leaf(self.inputs, leaf)
    }

    fn liveness_leaf<T>(&self, leaf: impl Fn(&Liveness) -> Option<T>) -> Option<T> {
        self.leaf(|health| health.liveness.as_ref().and_then(&leaf))
    }

    fn path(&self) -> String {
        self.leaf(|health| health.path.clone()).unwrap_or_else(|| self.inputs.defaults.health_path.to_owned())
    }

    /// The port that a check names, else the main port; `None` when there is none.
    fn port(&self, named: Option<IntOrString>) -> Option<i32> {
        match named {
            Some(port) => port_number(&port, self.inputs.spec, self.ports),
            None => self.ports.first().and_then(|port| port.container_port),
        }
    }

    fn readiness(&self) -> Option<Probe> {
        let defaults = self.inputs.defaults;
        let port = self.port(self.leaf(|health| health.port.clone()))?;
        Some(Probe {
            period_seconds: self.leaf(|health| health.period_seconds).or(Some(defaults.health_period)),
            timeout_seconds: self.leaf(|health| health.timeout_seconds).or(Some(defaults.health_timeout)),
            failure_threshold: self
                .leaf(|health| health.failure_threshold)
                .or(Some(defaults.health_failures)),
            ..handler(kind(self.inputs), self.path(), port)?
        })
    }

    fn startup(&self, readiness: Option<&Probe>) -> Option<Probe> {
        let readiness = readiness.filter(|_| kind(self.inputs) != HealthType::None)?;
        Some(Probe {
            period_seconds: Some(self.inputs.defaults.startup_period),
            failure_threshold: Some(self.inputs.defaults.startup_failures),
            initial_delay_seconds: None,
            success_threshold: None,
            termination_grace_period_seconds: None,
            ..readiness.clone()
        })
    }

    fn liveness(&self) -> Option<Probe> {
        self.leaf(|health| health.liveness.as_ref().map(|_| ()))?;
        let defaults = self.inputs.defaults;
        let named =
            self.liveness_leaf(|l| l.port.clone()).or_else(|| self.leaf(|health| health.port.clone()));
        let path = self.liveness_leaf(|l| l.path.clone()).unwrap_or_else(|| self.path());
        Some(Probe {
            period_seconds: self.liveness_leaf(|l| l.period_seconds).or(Some(defaults.liveness_period)),
            timeout_seconds: self.liveness_leaf(|l| l.timeout_seconds).or(Some(defaults.liveness_timeout)),
            failure_threshold: self
                .liveness_leaf(|l| l.failure_threshold)
                .or(Some(defaults.liveness_failures)),
            ..handler(kind(self.inputs), path, self.port(named)?)?
        })
    }
}

fn handler(kind: HealthType, path: String, number: i32) -> Option<Probe> {
    let port = IntOrString::Int(number);
    match kind {
        HealthType::HTTP => Some(Probe {
            http_get: Some(HTTPGetAction { path: Some(path), port, ..HTTPGetAction::default() }),
            ..Probe::default()
        }),
        HealthType::TCP => {
            Some(Probe { tcp_socket: Some(TCPSocketAction { port, host: None }), ..Probe::default() })
        }
        HealthType::GRPC => {
            Some(Probe { grpc: Some(GRPCAction { port: number, service: None }), ..Probe::default() })
        }
        HealthType::None => None,
    }
}

/// Fills what the API server would default: a sibling that it adds inside the handler would stay behind
/// when the kind of check changes, and the change would be refused.
fn complete(mut probe: Probe) -> Probe {
    if let Some(http) = &mut probe.http_get {
        http.path.get_or_insert_with(|| "/".to_owned());
        http.scheme.get_or_insert_with(|| "HTTP".to_owned());
    }
    if let Some(grpc) = &mut probe.grpc {
        grpc.service.get_or_insert_default();
    }
    probe.period_seconds.get_or_insert(10);
    probe.timeout_seconds.get_or_insert(1);
    probe.success_threshold.get_or_insert(1);
    probe.failure_threshold.get_or_insert(3);
    probe
}
