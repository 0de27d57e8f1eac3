//! Network policies: what a class, a namespace and the granted calls open.

use std::sync::Arc;

use crate::api::microservice::Protocol;
use crate::api::network::PolicyMode;
use crate::intent::calls::Key;
use crate::intent::neighbours::Outline;
use crate::intent::network::{Granted, NetworkIntent, Opening, PolicyPeer, PolicyPort};

use super::*;

fn network(fields: Value, network: Value, observed: &Observed) -> Option<NetworkIntent> {
    let class = class(&json!({
        "network": network,
        "kafka": {
            "topicNameTemplate": "{name}",
            "clusters": [{"name": "main", "bootstrapServers": ["kafka.streams.svc:9092", "10.1.2.3:9092", "b1.example.com:9092"]}],
        },
    }));
    let intent = Intent::resolve(&service(&fields), Some(&class), observed).unwrap();
    intent.network.map(|network| *network)
}

/// `namespace/name`, `labels in namespace`, or a range, each with its ports.
fn told(openings: &[Opening]) -> Vec<String> {
    let peer = |peer: &PolicyPeer| match peer {
        PolicyPeer::Service(key) => key.to_string(),
        PolicyPeer::Pods { namespace, labels } => format!("{labels:?} in {namespace}"),
        PolicyPeer::Others { namespaces, labels } => format!("others {labels:?} in {namespaces:?}"),
        PolicyPeer::Range(cidr) => cidr.clone(),
    };
    let port = |port: &PolicyPort| match port {
        PolicyPort::Name(name, _) => name.clone(),
        PolicyPort::Number(number, protocol) => format!("{number}/{}", protocol.as_str()),
    };
    let all = |opening: &Opening| {
        let peers: Vec<String> = opening.peers.iter().map(peer).collect();
        let ports: Vec<String> = opening.ports.iter().map(port).collect();
        format!("{} on {}", peers.join(" "), ports.join(" "))
    };
    openings.iter().map(all).collect()
}

#[test]
fn nothing_is_opened_nor_closed_unless_somebody_asks_for_it() {
    let nothing = Observed::default();
    assert_eq!(network(json!({}), json!({}), &nothing), None);
    let label = |mode| Observed { network_mode: Some(mode), ..Observed::default() };
    let mode =
        |class: Value, observed: &Observed| network(json!({}), class, observed).map(|network| network.mode);
    assert_eq!(mode(json!({"mode": "Plan"}), &nothing), Some(PolicyMode::Plan));
    assert_eq!(mode(json!({"mode": "Enforce"}), &label(PolicyMode::Off)), None, "the namespace goes first");
    assert_eq!(mode(json!({}), &label(PolicyMode::Enforce)), Some(PolicyMode::Enforce));
}

#[test]
fn a_service_alone_resolves_names_and_nothing_else() {
    let alone = network(json!({}), json!({"mode": "Enforce"}), &Observed::default()).unwrap();
    assert_eq!(told(&alone.ingress), [""; 0]);
    assert_eq!(told(&alone.egress), ["{\"k8s-app\": \"kube-dns\"} in kube-system on 53/TCP 53/UDP"]);
    assert_eq!(alone.cuts, [""; 0]);
}

#[test]
fn grants_and_infrastructure_are_opened_in_both_directions() {
    let port = |name: &str| PolicyPort::Name(name.to_owned(), Protocol::TCP);
    let granted = Granted {
        callers: [(port("http"), vec![Key::new("shop", "a"), Key::new("bank", "b")])].into(),
        callees: [(Key::new("shop", "stock"), port("grpc"))].into(),
    };
    let class = json!({
        "mode": "Enforce",
        "gateways": [{"namespace": "edge", "podSelector": {"matchLabels": {"app": "gateway"}}}, {"cidr": "192.0.2.7/32"}],
        "monitoring": [{"namespace": "monitoring"}],
        "dns": [{"cidr": "169.254.20.10/32"}],
        "infrastructure": [{"to": {"namespace": "tracing"}, "ports": [4317]}],
        "workloadNamespaces": ["data"],
    });
    let fields = json!({
        "metrics": {"port": 9100},
        "callers": [{"name": "a"}, {"namespaceSelector": {"matchLabels": {"team": "batch"}}}],
        "calls": [
            {"workload": {"namespace": "data", "podSelector": {"matchLabels": {"app": "redis"}}, "ports": [6379]}},
            {"workload": {"podSelector": {"matchLabels": {"app": "legacy"}}, "ports": [80]}},
            {"external": {"cidr": "198.51.100.0/24", "ports": [5432]}},
        ],
    });
    let found = network(fields, class, &Observed { granted, ..Observed::default() }).unwrap();
    assert_eq!(
        told(&found.ingress),
        [
            "shop/a bank/b on http",
            "others {} in Some({\"team\": \"batch\"}) on http",
            "{\"app\": \"gateway\"} in edge 192.0.2.7/32 on http",
            "{} in monitoring on 9100/TCP",
        ]
    );
    assert_eq!(
        told(&found.egress),
        [
            "169.254.20.10/32 on 53/TCP 53/UDP",
            "shop/stock on grpc",
            "{\"app\": \"redis\"} in data on 6379/TCP",
            "{\"app\": \"legacy\"} in shop on 80/TCP",
            "198.51.100.0/24 on 5432/TCP",
            "{} in tracing on 4317/TCP",
        ]
    );
    assert_eq!(found.cuts, [""; 0]);
}

#[test]
fn what_cannot_be_opened_or_may_not_is_named() {
    let fields = json!({"calls": [
        {"external": {"host": "api.payments.example", "ports": [443]}},
        {"external": {"cidr": "0.0.0.0/0", "ports": [443]}},
        {"external": {"cidr": "2001:db8::/32", "ports": [443]}},
        {"workload": {"namespace": "bank", "podSelector": {"matchLabels": {"app": "x"}}, "ports": [80]}},
    ]});
    let found = network(fields.clone(), json!({"mode": "Enforce"}), &Observed::default()).unwrap();
    assert_eq!(found.egress.len(), 1, "name servers");
    let about = ["api.payments.example", "0.0.0.0/0", "2001:db8::/32", "pods in bank"];
    assert_eq!(found.cuts.len(), about.len(), "{:?}", found.cuts);
    for (cut, about) in found.cuts.iter().zip(about) {
        assert!(cut.contains(about), "{about}: {cut}");
    }
    let wide = json!({"mode": "Enforce", "shortestPrefixIpv4": 0, "shortestPrefixIpv6": 32});
    assert_eq!(network(fields, wide, &Observed::default()).unwrap().cuts.len(), 2);
}

#[test]
fn name_servers_are_reached_where_they_listen() {
    let class = json!({"mode": "Enforce", "dns": [
        {"namespace": "openshift-dns", "ports": [5353]},
        {"cidr": "169.254.20.10/32"},
        {"namespace": "other", "ports": [5353]},
    ]});
    let found = network(json!({}), class, &Observed::default()).unwrap();
    let expected =
        ["169.254.20.10/32 on 53/TCP 53/UDP", "{} in openshift-dns {} in other on 5353/TCP 5353/UDP"];
    assert_eq!(told(&found.egress), expected);
}

#[test]
fn what_a_policy_opens_wider_than_the_spec_says_is_named() {
    let fields = json!({"calls": [
        {"name": "stock", "methods": ["GET", "HEAD"], "paths": ["/stock/"]},
        {"name": "tips"},
        {"external": {"cidr": "192.0.2.0/24", "ports": [80]}, "paths": ["/a/"]},
    ]});
    let found = network(fields, json!({"mode": "Plan"}), &Observed::default()).unwrap();
    let calls = ["shop/stock", "192.0.2.0/24:80"];
    let narrowed = ["not only GET,HEAD /stock/", "not only /a/"];
    assert_eq!(found.wider.len(), 2, "{:?}", found.wider);
    for (wider, (call, narrowed)) in found.wider.iter().zip(calls.iter().zip(narrowed)) {
        assert!(wider.starts_with(&format!("the call to {call}: ")) && wider.ends_with(narrowed), "{wider}");
    }
}

#[test]
fn brokers_are_reached_by_what_their_addresses_say() {
    let found = network(
        json!({"kafka": {"topics": [{"name": "t"}]}}),
        json!({"mode": "Enforce"}),
        &Observed::default(),
    );
    let found = found.unwrap();
    let egress = told(&found.egress);
    assert!(egress.contains(&"{} in streams on 9092/TCP".to_owned()), "{egress:?}");
    assert!(egress.contains(&"10.1.2.3/32 on 9092/TCP".to_owned()), "{egress:?}");
    assert!(found.cuts.len() == 1 && found.cuts[0].contains("b1.example.com"), "{:?}", found.cuts);
}

#[test]
fn the_digest_of_a_class_follows_what_is_enforced_only() {
    let revision = |network: Value| resolved_with(json!({}), json!({"network": network})).class_revision;
    let without = resolved_with(json!({}), json!({})).class_revision;
    assert_eq!(revision(json!({"mode": "Plan"})), without);
    let enforced = revision(json!({"mode": "Enforce"}));
    assert_ne!(enforced, without);
    assert_eq!(revision(json!({"mode": "Enforce", "enforcedBy": "somebody"})), enforced);
    assert_ne!(revision(json!({"mode": "Enforce", "dns": []})), enforced);
}

#[test]
fn names_that_stand_like_hosts_are_found() {
    let found =
        |text: &str| crate::intent::resolve::network::mentions(text).map(str::to_owned).collect::<Vec<_>>();
    let cases = [
        ("stock", vec!["stock"]),
        ("http://stock:3000/items", vec!["stock"]),
        ("http://stock.bank.svc/items", vec!["stock.bank.svc"]),
        ("postgres://user:secret@db:5432/orders", vec!["user", "db"]),
        ("--upstream=stock:3000", vec!["stock"]),
        ("a:9092,b:9092", vec!["a", "b"]),
        ("in stock", vec![]),
        ("", vec![]),
        ("level=info", vec![]),
        ("näher://stock", vec!["stock"]),
    ];
    for (text, expected) in cases {
        assert_eq!(found(text), expected, "{text}");
    }
}

#[test]
fn what_the_outline_has_is_not_made_again() {
    let calls = json!([{"name": "stock", "methods": ["GET"], "timeout": "1s"}, {"name": "ledger", "namespace": "bank"}]);
    let object =
        service(&json!({"calls": calls, "callers": [{"name": "order"}, {"name": "*", "namespace": "bank"}]}));
    let outline = Arc::new(Outline::of(&object, None));
    let known = Observed { outline: Some(Arc::clone(&outline)), ..Observed::default() };
    let intent = Intent::resolve(&object, None, &known).unwrap();
    assert!(Arc::ptr_eq(&intent.calls, &outline.calls));
    assert_eq!(intent, Intent::resolve(&object, None, &Observed::default()).unwrap());
}
