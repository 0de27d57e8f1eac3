use super::super::samples::*;
use super::*;
use crate::intent::kafka::ClusterIntent;
use crate::intent::kafka::ModeIntent;
use crate::kafka::topic::Owner;
use crate::status::events::{EventKind, transitions};

fn intent_of(users: UsersIntent) -> KafkaIntent {
    KafkaIntent {
        cluster: ClusterIntent {
            name: "main".to_owned(),
            bootstrap_servers: vec!["kafka:9092".to_owned()],
            security_protocol: "SASL_PLAINTEXT",
            mode: ModeIntent::Direct,
            users,
            acls: true,
        },
        topics: Vec::new(),
        produces: Vec::new(),
        consumes: Vec::new(),
        application_id: None,
    }
}

fn managed() -> UsersIntent {
    let users = ["msvc.shop.orders.a", "msvc.shop.orders.b"].map(str::to_owned);
    UsersIntent::Managed { users, secret: "orders-kafka".to_owned(), rotate_after: None }
}

/// A service that runs, and what is known of its login.
fn world(view: Option<AccessView>) -> World {
    let mut world = World::new();
    world.intent().kafka = Some(Box::new(intent_of(managed())));
    world.access = view;
    world
}

fn good() -> AccessView {
    AccessView { compared: true, user: Some("msvc.shop.orders.a".to_owned()), ..AccessView::default() }
}

fn trouble(reason: Reason, lasting: bool) -> Option<Trouble> {
    Some(Trouble { reason, text: "the broker's words".to_owned(), lasting })
}

fn consent() -> Lack {
    Lack::Consent {
        namespace: "bank".into(),
        owner: "pay".into(),
        topic: "payments".into(),
        list: "consumers",
    }
}

#[test]
fn each_state_has_its_reason_and_says_what_to_do() {
    let lack = |lack| AccessView { lacks: [lack].into(), ..good() };
    let obstacle = |obstacle| AccessView { obstacle: Some(obstacle), user: None, ..good() };
    let absent = Lack::Topic { namespace: "bank".into(), topic: "payments".into() };
    let fixed = |reason| AccessView { trouble: trouble(reason, true), ..good() };
    let first = |reason| AccessView { user: None, ..fixed(reason) };
    let owner = Owner { namespace: "bank".into(), name: "pay".into(), ..Owner::default() };
    let table = [
        (None, "False WaitingForLogin", "being made"),
        (Some(good()), "True KafkaAccessReady", "msvc.shop.orders.a"),
        (Some(AccessView { user: None, ..good() }), "False WaitingForLogin", "being made"),
        (
            Some(lack(consent())),
            "False PendingConsent",
            "{name: orders, namespace: shop} added to its consumers in Microservice bank/pay",
        ),
        (Some(lack(absent)), "False WaitingForTopic", "namespace bank owns topic \"payments\""),
        (Some(lack(Lack::OwnTopic { topic: "x".into() })), "False WaitingForOwnTopic", "see TopicsReady"),
        (
            Some(AccessView { open: [consent()].into(), ..good() }),
            "False WaitingForTopic",
            "rights that were given stand",
        ),
        (Some(obstacle(Obstacle::Taken("u".into()))), "False UserConflict", "principalPrefix"),
        (Some(obstacle(Obstacle::Unrecorded("u".into()))), "False UserConflict", "restore the ConfigMaps"),
        (Some(obstacle(Obstacle::SecretTaken)), "False UserConflict", "Secret \"orders-kafka\" exists"),
        (
            Some(obstacle(Obstacle::BothInUse)),
            "False WaitingForLogin",
            "when the pods of the older one have ended",
        ),
        (
            Some(obstacle(Obstacle::Shared { user: "u".into(), by: owner })),
            "False UserConflict",
            "login of Microservice bank/pay too",
        ),
        (Some(AccessView { contested: true, ..good() }), "False AclContested", "acls: None"),
        (Some(AccessView { unsupported: Some("x".into()), ..good() }), "False AclsUnsupported", "authorizer"),
        (Some(fixed(Reason::BrokerUnreachable)), "Unknown BrokerUnreachable", "bootstrapServers"),
        (Some(first(Reason::BrokerUnreachable)), "False BrokerUnreachable", "bootstrapServers"),
        (Some(fixed(Reason::NotAuthorized)), "False NotAuthorized", "Describe and Alter on the cluster"),
        (Some(first(Reason::CredentialRefused)), "False CredentialRefused", "SCRAM-SHA-512"),
    ];
    for (view, expected, part) in table {
        let status = world(view.clone()).compute();
        assert_eq!(short(&status, CONDITION), expected, "{view:?}");
        let text = &condition(&status, CONDITION).message;
        assert!(text.contains(part), "{part:?} is not in: {text}");
        assert_eq!(short(&status, "Ready"), "True Ready", "it never lowers Ready: {view:?}");
    }
}

fn condition<'s>(
    status: &'s crate::api::MicroserviceStatus,
    type_: &str,
) -> &'s k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition {
    find(&status.conditions, type_).unwrap()
}

#[test]
fn an_owner_is_told_who_asks_and_stays_true() {
    let ask = Ask { topic: "a".into(), list: "consumers", namespace: "bank".into(), name: "pay".into() };
    let mut world = world(Some(AccessView { asks: [ask].into(), ..good() }));
    let status = world.step();
    assert_eq!(short(&status, CONDITION), "True PendingConsent");
    let text = &condition(&status, CONDITION).message;
    assert!(text.contains("consumers of topic \"a\" ({name: pay, namespace: bank})"), "{text}");
    let told = transitions(&[], &status.conditions);
    assert!(told.iter().any(|draft| draft.reason == "PendingConsent" && draft.kind == EventKind::Normal));
}

#[test]
fn what_was_known_stands_while_the_cluster_says_nothing() {
    let mut world = world(Some(good()));
    world.step();
    for view in [
        None,
        Some(AccessView::default()),
        Some(AccessView { trouble: trouble(Reason::BrokerUnreachable, false), ..good() }),
    ] {
        world.access = view;
        assert_eq!(short(&world.compute(), CONDITION), "True KafkaAccessReady", "{:?}", world.access);
    }
    world.access = Some(AccessView { compared: false, ..good() });
    world.object.metadata.generation = Some(3);
    assert_eq!(
        short(&world.compute(), CONDITION),
        "False WaitingForLogin",
        "a new description is not judged yet"
    );
}

#[test]
fn who_needs_no_login_has_no_condition() {
    let mut world = World::new();
    assert_eq!(short(&world.compute(), CONDITION), "-");
    world.intent().kafka = Some(Box::new(intent_of(UsersIntent::None)));
    assert_eq!(short(&world.compute(), CONDITION), "-");
}
