//! The network policy of a service: the calls that are granted, and the infrastructure of its class.

use core::net::IpAddr;
use std::collections::BTreeMap;

use super::{Inputs, calls, ports};
use crate::api::calls::{Call as Line, Labelled};
use crate::api::microservice::{Port, Protocol};
use crate::api::names;
use crate::api::network::{ClassNetwork, NetworkPeer, PolicyMode};
use crate::intent::KafkaIntent;
use crate::intent::calls::Target;
use crate::intent::kafka::ModeIntent;
use crate::intent::network::{NetworkIntent, Opening, PolicyPeer, PolicyPort};

/// Port of name servers.
const DNS: i32 = 53;
/// Fewest leading bits of a range of addresses, unless the class says otherwise: a range that holds half
/// of the Internet is no grant.
const SHORTEST_PREFIX: (i32, i32) = (16, 48);

/// The mode that applies: of the namespace, else of the class, else none.
pub(in crate::intent) fn mode(inputs: &Inputs<'_>) -> PolicyMode {
    let of_class = inputs.network.and_then(|network| network.mode);
    inputs.observed.network_mode.or(of_class).unwrap_or_default()
}

/// What the policy opens; `None` in mode Off.
pub(super) fn network(
    inputs: &Inputs<'_>,
    ports: &[Port],
    kafka: Option<&KafkaIntent>,
) -> Option<NetworkIntent> {
    let mode = mode(inputs);
    if mode == PolicyMode::Off {
        return None;
    }
    let nothing = ClassNetwork::default();
    let class = inputs.network.unwrap_or(&nothing);
    let mut network =
        NetworkIntent { mode, enforced_by: class.enforced_by.clone(), ..NetworkIntent::default() };
    network.ingress = ingress(inputs, class, ports);
    egress(inputs, class, &mut network);
    if let Some(kafka) = kafka {
        brokers(kafka, &mut network);
    }
    Some(network)
}

fn ingress(inputs: &Inputs<'_>, class: &ClassNetwork, ports: &[Port]) -> Vec<Opening> {
    let granted = inputs.observed.granted.callers.iter().map(|(port, callers)| Opening {
        peers: callers.iter().cloned().map(PolicyPeer::Service).collect(),
        ports: vec![port.clone()],
    });
    let mut all: Vec<PolicyPort> = ports.iter().map(|port| PolicyPort::behind(port, ports)).collect();
    all.sort();
    all.dedup();
    let metrics = ports::metrics_number(inputs.spec, ports);
    let metrics: Vec<PolicyPort> =
        metrics.into_iter().map(|number| PolicyPort::Number(number, Protocol::TCP)).collect();
    let others = opening(others(inputs), &all);
    let gateways = opening(peers(class.gateways.as_ref()), &all);
    let monitoring = opening(peers(class.monitoring.as_ref()), &metrics);
    granted.chain(others).chain(gateways).chain(monitoring).collect()
}

/// An opening without peers or ports would open everything.
fn opening(peers: Vec<PolicyPeer>, ports: &[PolicyPort]) -> Option<Opening> {
    (!peers.is_empty() && !ports.is_empty()).then(|| Opening { peers, ports: ports.to_vec() })
}

/// Callers that are no Microservices.
fn others(inputs: &Inputs<'_>) -> Vec<PolicyPeer> {
    let callers = inputs.spec.callers.iter().flatten().filter(|caller| caller.name.is_none());
    let labels = |given: Option<&Labelled>| given.map(|given| given.match_labels.clone());
    let peer = |namespaces: Option<&Labelled>, pods: Option<&Labelled>| PolicyPeer::Others {
        namespaces: labels(namespaces),
        labels: labels(pods).unwrap_or_default(),
    };
    callers
        .filter(|caller| caller.namespace_selector.is_some() || caller.pod_selector.is_some())
        .map(|caller| peer(caller.namespace_selector.as_ref(), caller.pod_selector.as_ref()))
        .collect()
}

fn peers(given: Option<&Vec<NetworkPeer>>) -> Vec<PolicyPeer> {
    given.into_iter().flatten().filter_map(peer).collect()
}

fn peer(given: &NetworkPeer) -> Option<PolicyPeer> {
    let range = || given.cidr.clone().map(PolicyPeer::Range);
    let labels = given.pod_selector.as_ref().map(|pods| pods.match_labels.clone()).unwrap_or_default();
    given.namespace.clone().map(|namespace| PolicyPeer::Pods { namespace, labels }).or_else(range)
}

fn egress(inputs: &Inputs<'_>, class: &ClassNetwork, network: &mut NetworkIntent) {
    network.egress.extend(name_servers(class));
    network.egress.extend(inputs.observed.granted.callees.iter().map(|(callee, port)| Opening {
        peers: vec![PolicyPeer::Service(callee.clone())],
        ports: vec![port.clone()],
    }));
    for line in inputs.spec.calls.iter().flatten() {
        network.wider.extend(wider(inputs, line));
        match elsewhere(inputs, class, line) {
            None => {}
            Some(Ok((peer, ports))) => network.egress.extend(opening(vec![peer], &tcp(&ports))),
            Some(Err(cut)) => network.cuts.push(cut),
        }
    }
    for one in class.infrastructure.iter().flatten() {
        network.egress.extend(opening(peer(&one.to).into_iter().collect(), &tcp(&one.ports)));
    }
}

/// Those that listen on the same ports together.
fn name_servers(class: &ClassNetwork) -> Vec<Opening> {
    let mut by_ports: BTreeMap<Vec<i32>, Vec<PolicyPeer>> = BTreeMap::new();
    match &class.dns {
        None => drop(by_ports.insert(vec![DNS], vec![kube_dns()])),
        Some(given) => given.iter().for_each(|server| {
            let ports = server.ports.clone().unwrap_or_else(|| vec![DNS]);
            by_ports.entry(ports).or_default().extend(peer(&server.peer));
        }),
    }
    let both =
        |port: &i32| [Protocol::TCP, Protocol::UDP].map(|protocol| PolicyPort::Number(*port, protocol));
    let open =
        |(ports, peers): (Vec<i32>, _)| opening(peers, &ports.iter().flat_map(both).collect::<Vec<_>>());
    by_ports.into_iter().filter_map(open).collect()
}

/// What of a call a policy cannot hold it to.
fn wider(inputs: &Inputs<'_>, line: &Line) -> Option<String> {
    let target = calls::target(line, inputs.namespace())?;
    let text = match &target {
        Target::Service(key) => key.to_string(),
        Target::Workload(text) | Target::External(text) => text.to_string(),
    };
    let narrowed = calls::call(line, target).only?;
    Some(format!(
        "the call to {text}: a NetworkPolicy knows no methods and paths, it opens all of the port and not only {narrowed}"
    ))
}

fn kube_dns() -> PolicyPeer {
    let labels = [("k8s-app".to_owned(), "kube-dns".to_owned())].into();
    PolicyPeer::Pods { namespace: "kube-system".to_owned(), labels }
}

fn tcp(ports: &[i32]) -> Vec<PolicyPort> {
    ports.iter().map(|port| PolicyPort::Number(*port, Protocol::TCP)).collect()
}

type Elsewhere = Result<(PolicyPeer, Vec<i32>), String>;

/// Where a call goes that is not to a Microservice, or why it is not opened.
fn elsewhere(inputs: &Inputs<'_>, class: &ClassNetwork, line: &Line) -> Option<Elsewhere> {
    if let Some(workload) = &line.workload {
        let namespace = workload.namespace.as_deref().unwrap_or(inputs.namespace());
        let allowed = class.workload_namespaces.iter().flatten().any(|allowed| allowed == namespace);
        if !allowed && namespace != inputs.namespace() {
            return Some(Err(format!(
                "the call to pods in {namespace}: the platform team adds that namespace to network.workloadNamespaces \
                 of the class"
            )));
        }
        let labels = workload.pod_selector.match_labels.clone();
        let peer = PolicyPeer::Pods { namespace: namespace.to_owned(), labels };
        return Some(Ok((peer, workload.ports.clone())));
    }
    let external = line.external.as_ref()?;
    let Some(cidr) = &external.cidr else {
        let host = external.host.as_deref().unwrap_or_default();
        return Some(Err(format!(
            "the call to {host}: a NetworkPolicy knows no host names; give the range of its addresses in external.cidr"
        )));
    };
    Some(if is_narrow(cidr, class) {
        Ok((PolicyPeer::Range(cidr.clone()), external.ports.clone()))
    } else {
        Err(format!("the call to {cidr}: the class allows no range that wide; give a narrower one"))
    })
}

fn is_narrow(cidr: &str, class: &ClassNetwork) -> bool {
    match names::range(cidr) {
        Some((IpAddr::V4(_), length)) => {
            i32::from(length) >= class.shortest_prefix_ipv4.unwrap_or(SHORTEST_PREFIX.0)
        }
        Some((IpAddr::V6(_), length)) => {
            i32::from(length) >= class.shortest_prefix_ipv6.unwrap_or(SHORTEST_PREFIX.1)
        }
        None => false,
    }
}

/// The brokers of the cluster: Strimzi's pods by their label, those of a Service by its namespace, and
/// addresses as they are.
fn brokers(kafka: &KafkaIntent, network: &mut NetworkIntent) {
    let mut openings: BTreeMap<PolicyPeer, Vec<i32>> = BTreeMap::new();
    for server in &kafka.cluster.bootstrap_servers {
        let Some((host, port)) = server.rsplit_once(':') else { continue };
        let Ok(port) = port.parse() else { continue };
        match broker(kafka, host) {
            Some(peer) => openings.entry(peer).or_default().push(port),
            None => network.cuts.push(format!(
                "the brokers at {host}: a NetworkPolicy knows no host names; the platform team adds their addresses to \
                 network.infrastructure of the class"
            )),
        }
    }
    let openings = openings.into_iter().filter_map(|(peer, ports)| opening(vec![peer], &tcp(&ports)));
    network.egress.extend(openings);
}

fn broker(kafka: &KafkaIntent, host: &str) -> Option<PolicyPeer> {
    if let ModeIntent::Strimzi { namespace, cluster, .. } = &kafka.cluster.mode {
        let labels = [("strimzi.io/cluster".to_owned(), cluster.clone())].into();
        return Some(PolicyPeer::Pods { namespace: namespace.clone(), labels });
    }
    match host.trim_start_matches('[').trim_end_matches(']').parse() {
        Ok(IpAddr::V4(address)) => return Some(PolicyPeer::Range(format!("{address}/32"))),
        Ok(IpAddr::V6(address)) => return Some(PolicyPeer::Range(format!("{address}/128"))),
        Err(_) => {}
    }
    let names: Vec<&str> = host.split('.').collect();
    let service = names.iter().position(|name| *name == "svc").filter(|place| *place >= 2)?;
    let namespace = names.get(service - 1)?;
    Some(PolicyPeer::Pods { namespace: (*namespace).to_owned(), labels: BTreeMap::new() })
}

/// Names of other services that stand where host names do in what the pods are given.
pub(in crate::intent) fn mentions(line: &str) -> impl Iterator<Item = &str> {
    let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.');
    let bytes = line.as_bytes();
    let starts = line.char_indices().filter(move |(at, c)| {
        word(*c) && (*at == 0 || !line.get(..*at).is_some_and(|before| before.ends_with(word)))
    });
    starts.filter_map(move |(start, _)| {
        let rest = line.get(start..)?;
        let end = start + rest.find(|c: char| !word(c)).unwrap_or(rest.len());
        let before = line.get(..start)?;
        let port = bytes.get(end) == Some(&b':') && bytes.get(end + 1).is_some_and(u8::is_ascii_digit);
        let host =
            before.ends_with("//") || before.ends_with('@') || (before.is_empty() && end == line.len());
        (host || port).then(|| line.get(start..end)).flatten()
    })
}
