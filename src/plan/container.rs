//! The containers of a pod: the service's own, sidecars and init containers, all hardened alike.

use k8s_openapi::api::core::v1::{
    Capabilities, Container, ContainerPort, EnvVar, EnvVarSource, Lifecycle, LifecycleHandler, Probe,
    SecretKeySelector, SecurityContext, SleepAction, VolumeMount,
};

use super::{meta, ports, volumes};
use crate::api::microservice::{ExtraContainer, PullPolicy, SecretEnv, SecretUse, SecurityProfile};
use crate::api::names::Image;
use crate::intent::Intent;

/// The service's own container; it has the service's name.
pub(super) fn main(intent: &Intent) -> Container {
    let probe = |probe: &Option<Probe>| probe.as_ref().map(|probe| complete(intent, probe));
    Container {
        name: intent.name.clone(),
        image: Some(intent.image.clone()),
        image_pull_policy: Some(pulled(&intent.image, intent.image_pull_policy)),
        command: meta::list(intent.command.clone()),
        args: meta::list(intent.args.clone()),
        working_dir: intent.working_dir.clone(),
        ports: meta::list(ports::container_ports(intent)),
        env: meta::list(env(intent)),
        env_from: meta::list(intent.env_from.clone()),
        resources: Some(intent.resources.clone()),
        startup_probe: probe(&intent.probes.startup),
        readiness_probe: probe(&intent.probes.readiness),
        liveness_probe: probe(&intent.probes.liveness),
        lifecycle: drain(intent.drain_seconds),
        security_context: Some(security(intent)),
        volume_mounts: Some(volumes::with_tmp(volumes::mounts(intent))),
        ..Container::default()
    }
}

/// When the kubelet pulls the image. The API server would choose by the first image it saw and stay with it.
fn pulled(image: &str, given: Option<PullPolicy>) -> String {
    let Image { tag, digest, .. } = Image::parse(image);
    let moves = tag.map_or(digest.is_none(), |tag| tag == "latest");
    let default = if moves { PullPolicy::Always } else { PullPolicy::IfNotPresent };
    given.unwrap_or(default).as_str().to_owned()
}

/// A container that runs beside the service: a native sidecar.
pub(super) fn sidecar(intent: &Intent, extra: &ExtraContainer) -> Container {
    Container { restart_policy: Some("Always".to_owned()), ..init(intent, extra) }
}

/// A container that runs to completion before the service starts.
pub(super) fn init(intent: &Intent, extra: &ExtraContainer) -> Container {
    let env = extra.env.clone().unwrap_or_default();
    let mounts: Vec<VolumeMount> = extra.volume_mounts.clone().unwrap_or_default();
    Container {
        name: extra.name.clone(),
        image: Some(extra.image.clone()),
        image_pull_policy: Some(pulled(&extra.image, None)),
        command: extra.command.clone().and_then(meta::list),
        args: extra.args.clone().and_then(meta::list),
        ports: meta::list(extra_ports(extra)),
        env: meta::list(meta::unique_by(&env, |variable| variable.name.clone())),
        resources: extra.resources.clone(),
        security_context: Some(security(intent)),
        volume_mounts: Some(volumes::with_tmp(mounts)),
        ..Container::default()
    }
}

/// Only number, name and protocol: a host port would leave the pod's own network.
fn extra_ports(extra: &ExtraContainer) -> Vec<ContainerPort> {
    let ports = extra.ports.iter().flatten().map(|port| ContainerPort {
        name: port.name.clone(),
        container_port: port.container_port,
        protocol: Some(port.protocol.clone().unwrap_or_else(|| "TCP".to_owned())),
        ..ContainerPort::default()
    });
    let ports: Vec<ContainerPort> = ports.collect();
    meta::unique_by(&ports, |port| (port.container_port, port.protocol.clone()))
}

/// Keys of Secrets first, so that a later `value: $(NAME)` can use them; a name that the user sets is
/// the user's.
fn env(intent: &Intent) -> Vec<EnvVar> {
    let is_set = |name: &str| intent.env.iter().any(|variable| variable.name == name);
    let secrets = intent.secrets.iter().flat_map(|secret| {
        let keys = secret.env.iter().flatten();
        keys.filter(|key| !is_set(&key.name)).map(|key| secret_env(secret, key))
    });
    let all: Vec<EnvVar> = secrets.chain(intent.env.iter().cloned()).collect();
    meta::unique_by(&all, |variable| variable.name.clone())
}

fn secret_env(secret: &SecretUse, env: &SecretEnv) -> EnvVar {
    EnvVar {
        name: env.name.clone(),
        value_from: Some(EnvVarSource {
            secret_key_ref: Some(SecretKeySelector {
                name: secret.name.clone(),
                key: env.key.clone(),
                optional: secret.optional.filter(|optional| *optional),
            }),
            ..EnvVarSource::default()
        }),
        ..EnvVar::default()
    }
}

/// Time for the endpoints to forget the pod before its process is told to end. Sleeping is the
/// kubelet's own action: it needs no shell in the image.
fn drain(seconds: i32) -> Option<Lifecycle> {
    (seconds > 0).then(|| Lifecycle {
        pre_stop: Some(LifecycleHandler {
            sleep: Some(SleepAction { seconds: i64::from(seconds) }),
            ..LifecycleHandler::default()
        }),
        ..Lifecycle::default()
    })
}

/// Baseline relaxes what an image that runs as root needs, and nothing else.
fn security(intent: &Intent) -> SecurityContext {
    let restricted = intent.pod.security_profile == SecurityProfile::Restricted;
    SecurityContext {
        allow_privilege_escalation: Some(false),
        read_only_root_filesystem: Some(intent.pod.read_only_root_filesystem),
        capabilities: restricted
            .then(|| Capabilities { drop: Some(vec!["ALL".to_owned()]), ..Capabilities::default() }),
        ..SecurityContext::default()
    }
}

/// The probe with every value that the server would default: what we do not send we do not own, and
/// a foreign `failureThreshold: 1000` or `scheme: HTTPS` would stay for ever. A host is dropped: a
/// probe asks its own pod and reaches nothing else from the node.
fn complete(intent: &Intent, probe: &Probe) -> Probe {
    let mut probe = probe.clone();
    probe.timeout_seconds.get_or_insert(1);
    probe.period_seconds.get_or_insert(10);
    probe.success_threshold.get_or_insert(1);
    probe.failure_threshold.get_or_insert(3);
    if let Some(http) = &mut probe.http_get {
        http.path.get_or_insert_with(|| "/".to_owned());
        http.scheme.get_or_insert_with(|| "HTTP".to_owned());
        http.port = ports::resolve(intent, &http.port);
        http.host = None;
    }
    if let Some(tcp) = &mut probe.tcp_socket {
        tcp.port = ports::resolve(intent, &tcp.port);
        tcp.host = None;
    }
    if let Some(grpc) = &mut probe.grpc {
        grpc.service.get_or_insert_default();
    }
    probe
}
