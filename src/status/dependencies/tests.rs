use super::*;
use crate::status::samples::{World, condition, short};

fn key(name: &str) -> Key {
    Key::new("shop", name)
}

fn edge(name: &str, state: State) -> Edge {
    Edge { target: Target::Service(key(name)), optional: false, state }
}

fn of(edges: Vec<Edge>) -> World {
    World { neighbours: View { edges, ..View::default() }, ..World::new() }
}

fn not_serving(path: &[&str], reason: &str) -> State {
    State::NotServing { path: path.iter().map(|name| key(name)).collect(), reason: reason.into() }
}

#[test]
fn a_service_without_neighbours_has_no_such_condition() {
    let status = of(Vec::new()).compute();
    assert_eq!(short(&status, CONDITION), "-");
    assert_eq!((status.dependencies, status.asking), (Vec::new(), None));
}

#[test]
fn what_is_missing_is_told_and_the_service_stays_ready() {
    let pending = State::PendingConsent { line: "- {name: orders}".to_owned() };
    let port = State::UnknownPort { port: None, ports: Vec::new() };
    let cases = [
        (
            vec![edge("a", State::Granted)],
            "True DependenciesReady",
            "The service that it calls allows it and serves.",
        ),
        (
            vec![edge("a", State::MissingPeer), edge("b", pending.clone())],
            "False PendingConsent",
            "shop/b does not allow it: have `- {name: orders}` added to its spec.callers; shop/a is called and does not exist.",
        ),
        (
            vec![edge("a", port)],
            "False UnknownPort",
            "shop/a is called on its main port, and has no port at all.",
        ),
        (
            vec![edge("a", not_serving(&["a"], "ImagePullFailed"))],
            "False PeerNotServing",
            "shop/a does not serve: ImagePullFailed.",
        ),
        (
            vec![edge("a", not_serving(&["a", "b", "c"], "MissingPeer"))],
            "False PeerNotServing",
            "shop/a does not serve, because shop/c, which it needs over shop/b, does not: it does not exist.",
        ),
    ];
    for (edges, expected, message) in cases {
        let status = of(edges).compute();
        assert_eq!(short(&status, CONDITION), expected);
        assert_eq!(condition(&status, CONDITION).message, message);
        assert_eq!(short(&status, "Ready"), "True Ready", "{message}");
    }
}

#[test]
fn an_optional_peer_that_is_down_is_told_and_counts_for_nothing() {
    let soft = |state| Edge { optional: true, ..edge("a", state) };
    let status = of(vec![soft(not_serving(&["a"], "CrashLooping"))]).compute();
    assert_eq!(short(&status, CONDITION), "True DependenciesReady");
    assert_eq!(
        condition(&status, CONDITION).message,
        "Nothing is missing that it calls. It can do without what is optional: shop/a does not serve: CrashLooping."
    );
    assert_eq!(status.dependencies[0].state, DependencyState::NotServing);
    assert_eq!(short(&of(vec![soft(State::MissingPeer)]).compute(), CONDITION), "False MissingPeer");
}

#[test]
fn who_asks_is_counted_and_ten_are_named() {
    let mut world = of(Vec::new());
    world.neighbours.asking = (0..5000).map(|n| Key::new("stranger", format!("s{n:04}"))).collect();
    let status = world.compute();
    assert_eq!(short(&status, CONDITION), "True PendingConsent");
    let asking = status.asking.clone().unwrap();
    assert_eq!((asking.count, asking.names.len(), asking.names[9].as_str()), (5000, 10, "stranger/s0009"));
    let message = &condition(&status, CONDITION).message;
    assert!(
        message.starts_with("Nothing is missing that it calls. If they may call: stranger/s0000 waits for `callers: [{name: \"*\"}, {name: s0000, namespace: stranger}]` in spec;"),
        "{message}"
    );
    assert!(message.ends_with("(and 4997 more)."), "{message}");
    assert!(serde_json::to_string(&status).unwrap().len() < 4096);
}

#[test]
fn an_invalid_spec_changes_nothing_of_it() {
    let mut world = of(vec![edge("a", State::MissingPeer)]);
    let before = world.step();
    world.neighbours = View::default();
    world.intent = Err(Vec::new());
    let after = world.step();
    assert_eq!(after.dependencies, before.dependencies);
    assert_eq!(short(&after, CONDITION), "False MissingPeer");
}

#[test]
fn what_policies_cut_is_told_and_a_plan_cuts_nothing() {
    let mut world = of(vec![edge("a", State::Granted), edge("b", State::MissingPeer)]);
    let network =
        |mode| NetworkIntent { mode, cuts: vec!["the call to x".to_owned()], ..NetworkIntent::default() };
    world.neighbours.edges.pop();
    world.neighbours.suspected = vec![key("s")];
    world.intent().network = Some(Box::new(network(PolicyMode::Plan)));
    let status = world.compute();
    assert_eq!(short(&status, CONDITION), "True DependenciesReady");
    let told = status.network.unwrap();
    assert_eq!((told.cuts, told.suspected), (vec!["the call to x".to_owned()], vec!["shop/s".to_owned()]));
    world.intent().network = Some(Box::new(network(PolicyMode::Enforce)));
    world.neighbours.edges.push(edge("far", State::Unknown));
    let status = world.compute();
    assert_eq!(short(&status, CONDITION), "False CallCut");
    assert_eq!(
        condition(&status, CONDITION).message,
        "not open is the call to x; not open is the call to shop/far: this operator does not watch the namespace shop."
    );
    assert_eq!(short(&status, "Ready"), "True Ready");
}

#[test]
fn who_calls_is_counted_and_ten_are_named() {
    let mut world = of(Vec::new());
    assert_eq!(world.step().called_by, None);
    world.neighbours.callers = (0..12).map(|n| Key::new("shop", format!("s{n:02}"))).collect();
    let called = world.step().called_by.unwrap();
    assert_eq!((called.count, called.names.len(), called.names[9].as_str()), (12, 10, "shop/s09"));
    assert!(!called.protected);
    world.intent().protect_called = true;
    assert!(world.step().called_by.unwrap().protected);
    let told = deleted_while_called(&world.object).unwrap();
    assert_eq!((told.kind, told.reason.as_str()), (EventKind::Warning, "DeletedWhileCalled"));
    assert!(
        told.note.contains("called by shop/s00, shop/s01") && told.note.contains("shop/s09 and 2 more: "),
        "{}",
        told.note
    );
    // With a spec that is not valid, its callers are still seen, and the class is not.
    world.intent = Err(Vec::new());
    world.neighbours.callers.truncate(1);
    let called = world.step().called_by.unwrap();
    assert_eq!((called.count, called.protected), (1, true));
    world.neighbours.callers.clear();
    assert_eq!(world.step().called_by, None);
    assert_eq!(deleted_while_called(&world.object), None);
}
