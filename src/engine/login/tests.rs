use super::*;
use crate::intent::kafka::ModeIntent;
use crate::status::views::ChildOutcome;

fn cluster(protocol: &'static str) -> ClusterIntent {
    ClusterIntent {
        name: "main".into(),
        bootstrap_servers: vec!["a:9092".into(), "b:9092".into()],
        security_protocol: protocol,
        mode: ModeIntent::Direct,
        users: UsersIntent::Managed {
            users: ["u.a".into(), "u.b".into()],
            secret: "order-kafka".into(),
            rotate_after: None,
        },
        acls: true,
    }
}

fn offer(user: Option<&str>, ca: Option<Option<&str>>) -> Offer {
    use crate::engine::kafka::Credential;
    let credential = user.map(|user| Credential { user: user.into(), password: "p".into() });
    Offer { credential, user: Some("u.a".into()), ca: ca.map(|ca| ca.map(str::to_owned)) }
}

fn text(data: &BTreeMap<String, ByteString>, key: &str) -> String {
    data.get(key).map(|value| String::from_utf8(value.0.clone()).unwrap()).unwrap_or_default()
}

#[test]
fn a_secret_is_filled_with_what_clients_know() {
    let wanting = Wanting::of(&cluster("SASL_SSL"), &offer(Some("u.a"), Some(Some("pem"))), None);
    let mut data = BTreeMap::new();
    assert!(wanting.fill(&mut data));
    assert_eq!(text(&data, "bootstrap.servers"), "a:9092,b:9092");
    assert_eq!((text(&data, "security.protocol"), text(&data, "ca.crt")), ("SASL_SSL".into(), "pem".into()));
    assert!(text(&data, "sasl.jaas.config").ends_with("required username=\"u.a\" password=\"p\";"));
    assert_eq!(user_of(&data).as_deref(), Some("u.a"));
    assert!(!wanting.fill(&mut data), "once is enough");
}

#[test]
fn another_address_changes_neither_user_nor_password() {
    let mut data = BTreeMap::new();
    Wanting::of(&cluster("SASL_SSL"), &offer(Some("u.a"), Some(Some("pem"))), None).fill(&mut data);
    data.insert("mine".into(), ByteString(b"kept".to_vec()));
    let moved = ClusterIntent { bootstrap_servers: vec!["c:9092".into()], ..cluster("SASL_PLAINTEXT") };
    assert!(Wanting::of(&moved, &offer(None, None), None).fill(&mut data));
    assert_eq!((text(&data, "bootstrap.servers"), text(&data, "password")), ("c:9092".into(), "p".into()));
    assert!(!data.contains_key("ca.crt") && data.contains_key("mine"));
}

#[test]
fn an_unknown_certificate_authority_is_no_change() {
    let known = Wanting::of(&cluster("SASL_SSL"), &offer(None, Some(Some("pem"))), None);
    let status = SecretStatus {
        user: Some("u.a".into()),
        revision: Some(known.revision.clone()),
        ..SecretStatus::default()
    };
    assert!(!known.differs(&status));
    let unknown = Wanting::of(&cluster("SASL_SSL"), &offer(None, None), Some(&status));
    assert!(!unknown.differs(&status));
    let other = Wanting::of(&cluster("SASL_SSL"), &offer(None, Some(Some("new"))), Some(&status));
    assert!(other.differs(&status));
    let login = Wanting::of(&cluster("SASL_SSL"), &offer(Some("u.b"), None), Some(&status));
    assert!(login.differs(&status));
    let same = Wanting::of(&cluster("SASL_SSL"), &offer(Some("u.a"), None), Some(&status));
    assert!(!same.differs(&status), "it is stored already");
}

#[test]
fn addresses_of_a_cluster_that_does_not_know_the_login_wait_for_one_that_it_knows() {
    let here = Wanting::of(&cluster("SASL_PLAINTEXT"), &offer(None, None), None);
    let status = SecretStatus {
        user: Some("u.a".into()),
        revision: Some(here.revision.clone()),
        ..SecretStatus::default()
    };
    let there = ClusterIntent { bootstrap_servers: vec!["there:9092".into()], ..cluster("SASL_PLAINTEXT") };
    let unknown = Offer { user: None, ..offer(None, None) };
    assert!(!Wanting::of(&there, &unknown, Some(&status)).differs(&status));
    let made = Offer { user: None, ..offer(Some("u.b"), None) };
    assert!(Wanting::of(&there, &made, Some(&status)).differs(&status));
    assert!(
        Wanting::of(&there, &offer(None, None), Some(&status)).differs(&status),
        "the same under other addresses"
    );
}

#[test]
fn half_a_login_is_none() {
    let data = |pairs: &[(&str, &str)]| {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), ByteString(v.as_bytes().to_vec()))).collect()
    };
    for incomplete in [data(&[]), data(&[("username", "u")]), data(&[("username", "u"), ("password", "")])] {
        assert_eq!(user_of(&incomplete), None);
    }
}

#[test]
fn where_a_login_comes_from_follows_from_the_class() {
    let direct = cluster("SASL_SSL");
    let mode = ModeIntent::Strimzi { guarded: true, namespace: "kafka".into(), cluster: "main".into() };
    let strimzi = ClusterIntent { mode, ..direct.clone() };
    let none = ClusterIntent { users: UsersIntent::None, ..direct.clone() };
    let ours = |cluster: &ClusterIntent| made_by_us(Some(cluster)).map(str::to_owned);
    let theirs = |cluster: &ClusterIntent| made_elsewhere(Some(cluster)).map(|(key, _)| key.name);
    let secret = || Some("order-kafka".to_owned());
    assert_eq!((ours(&direct), theirs(&direct)), (secret(), None));
    assert_eq!((ours(&strimzi), theirs(&strimzi)), (secret(), None));
    assert_eq!((ours(&none), theirs(&none)), (None, None));
}

#[test]
fn what_was_written_back_to_a_spoilt_secret_is_not_taken_for_what_was_recorded() {
    let key = ReferenceKey { kind: ReferenceKind::Secret, name: "order-kafka".to_owned() };
    let record = ReferenceStatus {
        kind: "Secret".into(),
        name: key.name.clone(),
        resource_version: "5".into(),
        hash: "of a good login".into(),
        ..ReferenceStatus::default()
    };
    let status = SecretStatus { name: key.name.clone(), user: Some("u.a".into()), ..SecretStatus::default() };
    let written = ChildOutcome {
        kind: "Secret".into(),
        name: "order-kafka".into(),
        uid: Some("uid".into()),
        stored_version: Some("7".into()),
        ..ChildOutcome::default()
    };
    let version_after = |spoilt: bool| {
        let mut observation = Observation::default();
        if spoilt {
            let old = Old { record: Some(&record), status: Some(&status) };
            observation.wait_for_login(&key, &old, Some("6".to_owned()));
        } else {
            observation.keep_login(record.clone(), status.clone(), true);
        }
        observation.settle(&Microservice::default(), std::slice::from_ref(&written));
        observation.references.first().map(|record| record.resource_version.clone())
    };
    assert_eq!(version_after(true).as_deref(), Some("5"));
    assert_eq!(version_after(false).as_deref(), Some("7"));
}
