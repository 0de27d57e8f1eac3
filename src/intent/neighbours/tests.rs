use super::*;
use crate::api::microservice::Port;

fn key(name: &str) -> Key {
    match name.split_once('/') {
        Some((namespace, name)) => Key::new(namespace, name),
        None => Key::new("shop", name),
    }
}

fn port(name: &str, port: i32) -> Port {
    Port { name: name.to_owned(), port, ..Port::default() }
}

/// A service with one port `http` on 3000 that calls these.
fn service(name: &str, calls: &[&str]) -> Outline {
    Outline {
        key: key(name),
        ports: vec![port("http", 3000)],
        calls: calls.iter().map(|name| Call::to(key(name))).collect(),
        callers: Consent::OwnNamespace,
        mentions: Box::default(),
        origin: None,
    }
}

fn serving() -> Standing {
    Standing { serves: true, reason: SmolStr::default() }
}

fn down(reason: &str) -> Standing {
    Standing { serves: false, reason: reason.into() }
}

fn allowing(outline: Outline, names: &[(&str, &str)]) -> Outline {
    let services = names.iter().map(|(namespace, name)| ((*namespace).into(), (*name).into())).collect();
    Outline { callers: Consent::Services(services), ..outline }
}

fn names(keys: impl IntoIterator<Item = Key>) -> Vec<String> {
    keys.into_iter().map(|key| key.to_string()).collect()
}

/// Near and far.
fn all_of(Concerned { near, far }: Concerned) -> BTreeSet<Key> {
    assert!(near.is_disjoint(&far), "{near:?} {far:?}");
    near.into_iter().chain(far).collect()
}

/// All of these, each serving.
fn all(services: impl IntoIterator<Item = Outline>) -> Neighbours {
    let mut neighbours = Neighbours::default();
    for service in services {
        neighbours.put(service, serving(), 1);
    }
    neighbours
}

fn states(neighbours: &Neighbours, name: &str) -> Vec<State> {
    neighbours.view(&key(name)).edges.into_iter().map(|edge| edge.state).collect()
}

#[test]
fn a_stranger_does_not_learn_the_ports() {
    let mut caller = service("a", &["bank/d"]);
    Arc::make_mut(&mut caller.calls)[0].port = Some(PortName::Number(5432));
    let neighbours = all([caller, service("bank/d", &[])]);
    assert!(matches!(states(&neighbours, "a")[..], [State::PendingConsent { .. }]));
    assert_eq!(names(neighbours.view(&key("bank/d")).asking), ["shop/a"]);
}

#[test]
fn a_call_needs_a_peer_a_port_and_its_consent() {
    let mut caller = service("a", &["b", "c", "bank/d", "nobody", "e"]);
    Arc::make_mut(&mut caller.calls)[1].port = Some(PortName::Name("grpc".into()));
    let neighbours = all([
        caller,
        service("b", &[]),
        service("c", &[]),
        service("bank/d", &[]),
        allowing(service("e", &[]), &[("shop", "x")]),
    ]);
    assert_eq!(
        states(&neighbours, "a"),
        [
            State::Granted,
            State::UnknownPort {
                port: Some(PortName::Name("grpc".into())),
                ports: vec![("http".to_owned(), 3000)]
            },
            State::PendingConsent { line: "callers: [{name: \"*\"}, {name: a, namespace: shop}]".to_owned() },
            State::MissingPeer,
            State::PendingConsent { line: "- {name: a}".to_owned() },
        ]
    );
    let asked = neighbours.view(&key("bank/d"));
    assert_eq!((asked.asking, asked.list), (vec![key("a")], List::Implicit));
}

#[test]
fn who_calls_with_consent_is_known_to_the_callee() {
    let callee = allowing(service("b", &[]), &[("shop", "a")]);
    let mut neighbours = all([service("a", &["b"]), service("c", &["b"]), callee]);
    let callers = |neighbours: &Neighbours| names(neighbours.view(&key("b")).callers);
    assert_eq!(callers(&neighbours), ["shop/a"]);
    assert_eq!(names(all_of(neighbours.put(service("a", &[]), serving(), 2))), ["shop/b"]);
    assert_eq!(callers(&neighbours), [""; 0]);
}

#[test]
fn where_the_class_wants_a_list_nobody_may_call_without_one() {
    let silent = Outline { callers: Consent::Nobody, ..service("b", &[]) };
    let neighbours = all([service("a", &["b"]), silent]);
    let line = "callers: [{name: a}]".to_owned();
    assert_eq!(states(&neighbours, "a"), [State::PendingConsent { line }]);
}

#[test]
fn the_line_that_is_shown_grants_the_call_and_takes_nothing_from_others() {
    let consent = |own: &str, entries: &[(Option<&str>, &str)]| {
        let entries: Vec<(Option<String>, String)> =
            entries.iter().map(|(at, name)| (at.map(str::to_owned), (*name).to_owned())).collect();
        Consent::of(Some(entries.iter().map(|(at, name)| (at.as_ref(), name))), own, &Consent::OwnNamespace)
    };
    assert_eq!(
        consent_line(&key("bank/d"), List::Implicit, &key("a")),
        "callers: [{name: \"*\"}, {name: a, namespace: shop}]"
    );
    let granted = consent("bank", &[(None, "*"), (Some("shop"), "a")]);
    assert!(granted.allows("bank", "shop", "a") && granted.allows("bank", "bank", "anyone"));
    assert_eq!(consent_line(&key("d"), List::Given, &key("a")), "- {name: a}");
    assert!(consent("shop", &[(None, "a")]).allows("shop", "shop", "a"));
}

#[test]
fn a_change_concerns_the_neighbours_and_nobody_else() {
    let chain = [service("a", &["b"]), service("b", &["c"]), service("c", &["d"]), service("d", &[])];
    let mut neighbours = all(chain);
    let mut version = 1;
    let mut put = |neighbours: &mut Neighbours, outline: Outline, standing: Standing| {
        version += 1;
        names(all_of(neighbours.put(outline, standing, version)))
    };
    assert_eq!(put(&mut neighbours, service("c", &["d"]), serving()), [""; 0], "nothing has changed");
    let moved = Outline { ports: vec![port("http", 8080)], ..service("c", &["d"]) };
    assert_eq!(put(&mut neighbours, moved, serving()), ["shop/b"], "those who call it");
    assert_eq!(put(&mut neighbours, service("c", &["d"]), serving()), ["shop/b"]);
    assert_eq!(put(&mut neighbours, service("c", &[]), serving()), ["shop/d"], "whom it called");
    assert_eq!(put(&mut neighbours, service("c", &["d", "x"]), serving()), ["shop/d", "shop/x"]);
    assert_eq!(put(&mut neighbours, service("x", &[]), serving()), ["shop/c"], "it has appeared");
    assert_eq!(names(all_of(neighbours.remove(&key("x")))), ["shop/c"], "it is gone");
    assert_eq!(names(all_of(neighbours.remove(&key("x")))), [""; 0]);
}

#[test]
fn what_is_broken_is_told_up_the_chain_as_far_as_nothing_serves() {
    let mut neighbours =
        all([service("a", &["b"]), service("b", &["c"]), service("c", &["d"]), service("d", &[])]);
    let mut put = |name: &str, calls: &[&str], standing: Standing, version| {
        let Concerned { near, far } = neighbours.put(service(name, calls), standing, version);
        (names(near).join(" "), names(far).join(" "))
    };
    let concerned = |near: &str, far: &str| (near.to_owned(), far.to_owned());
    let serves = "c serves: nobody before it is concerned";
    assert_eq!(put("d", &[], down("CrashLooping"), 2), concerned("shop/c", ""), "{serves}");
    assert_eq!(put("c", &["d"], down("ProbeFailing"), 2), concerned("shop/b", ""));
    let through = "b tells of it through c";
    assert_eq!(put("d", &[], down("ImagePullFailed"), 3), concerned("shop/c", "shop/b"), "{through}");
    let (path, reason) = (vec![key("c"), key("d")], "ImagePullFailed".into());
    assert_eq!(states(&neighbours, "b"), [State::NotServing { path, reason }]);
    assert_eq!(states(&neighbours, "a"), [State::Granted], "b serves");
}

#[test]
fn a_circle_that_is_down_ends_and_what_is_optional_is_no_cause() {
    let mut neighbours = Neighbours::default();
    let mut soft = service("b", &["a", "c"]);
    Arc::make_mut(&mut soft.calls)[1].optional = true;
    for outline in [service("a", &["b"]), soft, service("c", &[])] {
        neighbours.put(outline, down("CrashLooping"), 1);
    }
    let (path, reason) = (vec![key("b"), key("a")], "CrashLooping".into());
    assert_eq!(states(&neighbours, "a"), [State::NotServing { path, reason }]);
}

#[test]
fn the_first_cause_may_be_a_service_that_does_not_exist() {
    let mut neighbours = all([service("a", &["b"])]);
    neighbours.put(service("b", &["c"]), down("ProbeFailing"), 1);
    let (path, reason) = (vec![key("b"), key("c")], "MissingPeer".into());
    assert_eq!(states(&neighbours, "a"), [State::NotServing { path, reason }]);
}

#[test]
fn an_older_version_changes_nothing() {
    let mut neighbours = Neighbours::default();
    neighbours.put(service("a", &["b"]), serving(), 7);
    assert_eq!(neighbours.put(service("a", &[]), serving(), 6), Concerned::default());
    assert_eq!(states(&neighbours, "a"), [State::MissingPeer]);
}

#[test]
fn of_namespaces_of_others_nothing_is_known() {
    let mut neighbours = Neighbours::within(&["shop".to_owned()]);
    neighbours.put(service("a", &["b", "bank/c"]), serving(), 1);
    assert_eq!(states(&neighbours, "a"), [State::MissingPeer, State::Unknown]);
}

#[test]
fn the_index_forgets_what_is_gone() {
    let mut neighbours = all([service("a", &["b", "c"]), service("b", &["c"])]);
    neighbours.remove(&key("a"));
    neighbours.remove(&key("b"));
    assert!(neighbours.services.is_empty() && neighbours.callers.is_empty());
}

#[test]
fn a_service_serves_as_long_as_a_pod_is_ready() {
    let status = |ready: Option<i32>, reason: &str| {
        let conditions = serde_json::json!([{
            "type": "Available", "status": "False", "reason": reason, "message": "",
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        }]);
        let conditions = serde_json::from_value(conditions).unwrap();
        MicroserviceStatus { ready_replicas: ready, conditions, ..MicroserviceStatus::default() }
    };
    assert_eq!(Standing::of(None), Standing::default());
    assert_eq!(Standing::of(Some(&status(Some(1), "ImagePullFailed"))), serving(), "an old one");
    assert_eq!(Standing::of(Some(&status(Some(0), "ScaledToZero"))), down("ScaledToZero"));
    assert_eq!(Standing::of(Some(&status(None, "RolloutInProgress"))), down("RolloutInProgress"));
}

#[test]
fn an_address_is_that_of_the_port_that_is_called() {
    let http = |number| port("http", number);
    let grpc = Port { app_protocol: Some("grpc".to_owned()), ..port("api", 9090) };
    let raw = port("raw", 6000);
    let udp = Port {
        protocol: Some(crate::api::microservice::Protocol::UDP),
        app_protocol: Some("http".to_owned()),
        ..port("udp", 53)
    };
    let ports = [Port { app_protocol: Some("http".to_owned()), ..http(8080) }, grpc, raw, udp];
    let at = |name: Option<PortName>| {
        let call = Call { port: name, ..Call::to(key("b")) };
        let address = Address::to(&call, Some(&ports), None);
        (address.port, address.scheme.map(String::from))
    };
    assert_eq!(at(None), (8080, Some("http".to_owned())));
    assert_eq!(at(Some(PortName::Name("api".into()))), (9090, Some("grpc".to_owned())));
    assert_eq!(at(Some(PortName::Number(6000))), (6000, None));
    assert_eq!(at(Some(PortName::Number(53))), (53, None), "no address has this scheme");
    assert_eq!(
        at(Some(PortName::Name("nope".into()))),
        (3000, Some("http".to_owned())),
        "it is told elsewhere"
    );
}

#[test]
fn what_was_known_of_a_service_outlives_it() {
    let mut neighbours = all([service("a", &["b"])]);
    let at = |neighbours: &Neighbours, last: &BTreeMap<Key, Address>| {
        neighbours.addresses(&key("a"), last)[&key("b")].port
    };
    assert_eq!(at(&neighbours, &BTreeMap::new()), 3000, "nothing is known of it yet");
    neighbours.put(Outline { ports: vec![port("http", 8080)], ..service("b", &[]) }, serving(), 1);
    assert_eq!(at(&neighbours, &BTreeMap::new()), 8080);
    let told = neighbours.addresses(&key("a"), &BTreeMap::new());
    neighbours.remove(&key("b"));
    assert_eq!(at(&neighbours, &told), 8080);
    let mut named = service("a", &["b"]);
    Arc::make_mut(&mut named.calls)[0].port = Some(PortName::Number(9000));
    neighbours.put(named, serving(), 2);
    assert_eq!(at(&neighbours, &told), 9000, "the call itself names it");
}

#[test]
fn who_is_mentioned_and_not_called_is_suspected_once_it_exists() {
    let mention = |name: &str, mentions: &[&str]| Outline {
        mentions: mentions.iter().map(|name| key(name)).collect(),
        ..service(name, &["b"])
    };
    let mut neighbours = all([mention("a", &["a", "b", "c", "postgres"])]);
    assert_eq!(neighbours.view(&key("a")).suspected, []);
    assert_eq!(
        names(all_of(neighbours.put(service("c", &[]), serving(), 1))),
        ["shop/a"],
        "who mentions it is told"
    );
    assert_eq!(neighbours.view(&key("a")).suspected, [key("c")]);
    assert_eq!(names(all_of(neighbours.put(service("c", &[]), down("CrashLooping"), 2))), [""; 0]);
    neighbours.remove(&key("a"));
    assert!(neighbours.mentioned.is_empty());
}

#[test]
fn granted_calls_open_the_ports_of_the_pods() {
    let mut caller = service("a", &["b", "c"]);
    Arc::make_mut(&mut caller.calls)[0].port = Some(PortName::Number(81));
    let two = Outline {
        ports: vec![
            Port { container_port: Some(8080), ..port("http", 80) },
            Port { container_port: Some(8080), ..port("alias", 81) },
        ],
        ..service("b", &[])
    };
    let neighbours = all([caller, two, allowing(service("c", &[]), &[])]);
    let http = PolicyPort::Name("http".to_owned(), crate::api::microservice::Protocol::TCP);
    let granted = neighbours.granted(&key("a"));
    assert_eq!(
        granted.callees,
        [(key("b"), http.clone())].into(),
        "c does not allow it; one port has one name"
    );
    assert_eq!(neighbours.granted(&key("b")).callers, [(http, vec![key("a")])].into());
    assert_eq!(neighbours.granted(&key("c")), Granted::default());
}

#[test]
fn what_an_outline_is_made_from_decides_what_it_is() {
    let class = |spec: serde_json::Value| -> MicroserviceClass {
        serde_json::from_value(serde_json::json!({"metadata": {"name": "c"}, "spec": spec})).unwrap()
    };
    let classes = [
        None,
        Some(class(serde_json::json!({}))),
        Some(class(serde_json::json!({"sameNamespaceConsent": "Explicit"}))),
        Some(class(serde_json::json!({"defaultsRevision": 1}))),
        Some(class(serde_json::json!({"network": {"mode": "Enforce"}, "defaults": {"replicas": 5}}))),
    ];
    let object: Microservice = serde_json::from_value(serde_json::json!({
        "metadata": {"name": "a", "namespace": "shop", "uid": "u", "generation": 3},
        "spec": {"image": "a:1", "env": [{"name": "B", "value": "http://b/"}], "calls": [{"name": "c"}]},
    }))
    .unwrap();
    let outlines: Vec<Outline> = classes.iter().map(|class| Outline::of(&object, class.as_ref())).collect();
    for (outline, class) in outlines.iter().zip(&classes) {
        assert!(outline.is_of(&object, class.as_ref()));
        for other in outlines.iter().filter(|other| other.origin == outline.origin) {
            assert_eq!(outline, other);
        }
    }
    assert_ne!(outlines[1].origin, outlines[2].origin);
    let mut anew = object.clone();
    anew.metadata.uid = Some("v".to_owned());
    assert!(!outlines[0].is_of(&anew, None), "another object of the same name");
    anew.metadata.generation = None;
    assert!(!Outline::of(&anew, None).is_of(&anew, None), "a file says nothing of changes");
}
