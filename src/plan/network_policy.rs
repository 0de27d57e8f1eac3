//! NetworkPolicy: whom the pods may talk to, in both directions; in mode Enforce only.

use std::collections::BTreeMap;

use k8s_openapi::api::networking::v1::{
    IPBlock, NetworkPolicy, NetworkPolicyEgressRule, NetworkPolicyIngressRule, NetworkPolicyPeer,
    NetworkPolicyPort, NetworkPolicySpec,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::{Child, Stage, meta};
use crate::api::LABEL_NAME;
use crate::api::network::PolicyMode;
use crate::intent::Intent;
use crate::intent::network::{Opening, PolicyPeer, PolicyPort};

/// Label that the API server sets on each namespace.
const NAMESPACE: &str = "kubernetes.io/metadata.name";

pub(super) struct Table;

impl Child for Table {
    type Object = NetworkPolicy;
    const STAGE: Stage = Stage::Policy;

    fn build(intent: &Intent) -> Vec<NetworkPolicy> {
        let network = intent.network.as_deref().filter(|network| network.mode == PolicyMode::Enforce);
        let policy = |network: &crate::intent::network::NetworkIntent| NetworkPolicy {
            metadata: meta::object_meta(intent, &intent.name),
            spec: Some(NetworkPolicySpec {
                pod_selector: Some(labelled(meta::selector(intent))),
                policy_types: Some(vec!["Ingress".to_owned(), "Egress".to_owned()]),
                ingress: meta::list(network.ingress.iter().map(ingress).collect()),
                egress: meta::list(network.egress.iter().map(egress).collect()),
            }),
        };
        network.map(policy).into_iter().collect()
    }
}

fn ingress(opening: &Opening) -> NetworkPolicyIngressRule {
    NetworkPolicyIngressRule {
        from: Some(opening.peers.iter().map(peer).collect()),
        ports: Some(opening.ports.iter().map(port).collect()),
    }
}

fn egress(opening: &Opening) -> NetworkPolicyEgressRule {
    NetworkPolicyEgressRule {
        to: Some(opening.peers.iter().map(peer).collect()),
        ports: Some(opening.ports.iter().map(port).collect()),
    }
}

fn port(port: &PolicyPort) -> NetworkPolicyPort {
    NetworkPolicyPort {
        port: Some(match port {
            PolicyPort::Name(name, _) => IntOrString::String(name.clone()),
            PolicyPort::Number(number, _) => IntOrString::Int(*number),
        }),
        protocol: Some(port.protocol().as_str().to_owned()),
        end_port: None,
    }
}

fn peer(peer: &PolicyPeer) -> NetworkPolicyPeer {
    let one = |key: &str, value: &str| labelled(BTreeMap::from([(key.to_owned(), value.to_owned())]));
    let pods = |namespaces: Option<LabelSelector>, pods: Option<LabelSelector>| NetworkPolicyPeer {
        namespace_selector: namespaces,
        pod_selector: pods,
        ip_block: None,
    };
    match peer {
        PolicyPeer::Service(key) => {
            pods(Some(one(NAMESPACE, &key.namespace)), Some(one(LABEL_NAME, &key.name)))
        }
        PolicyPeer::Pods { namespace, labels } => {
            let labels = meta::map(labels.clone()).map(labelled);
            pods(Some(one(NAMESPACE, namespace)), labels)
        }
        PolicyPeer::Others { namespaces, labels } => {
            let namespaces = namespaces.clone().map(labelled);
            pods(namespaces, Some(foreign(labels)))
        }
        PolicyPeer::Range(cidr) => NetworkPolicyPeer {
            ip_block: Some(IPBlock { cidr: cidr.clone(), except: None }),
            ..NetworkPolicyPeer::default()
        },
    }
}

fn labelled(labels: BTreeMap<String, String>) -> LabelSelector {
    LabelSelector { match_labels: Some(labels), match_expressions: None }
}

/// Pods of no Microservice: those are let in by their own declaration alone.
fn foreign(labels: &BTreeMap<String, String>) -> LabelSelector {
    LabelSelector {
        match_labels: meta::map(labels.clone()),
        match_expressions: Some(vec![LabelSelectorRequirement {
            key: LABEL_NAME.to_owned(),
            operator: "DoesNotExist".to_owned(),
            values: None,
        }]),
    }
}
