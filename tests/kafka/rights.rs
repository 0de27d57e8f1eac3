//! ACLs and users.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use krafka::KrafkaError;
use krafka::admin::{AlterClientQuotasOptions, ClientQuotaAlteration, ClientQuotaEntity};
use krafka::error::ErrorCode;
use krafka::producer::Record;
use microservice_operator::engine::kafka::{Broker, BrokerError, Direct, scram};
use microservice_operator::kafka::model::{Acl, NewTopic, Operation, Pattern, ResourceType};

use crate::fixtures::{BOUND, all_ok, create, direct, kinds, plain, unique};
use crate::support::{Kafka, eventually};

fn acl(principal: &str, name: &str, operation: Operation) -> Acl {
    Acl {
        principal: format!("User:{principal}"),
        resource: ResourceType::Topic,
        name: name.into(),
        pattern: Pattern::Literal,
        operation,
        allow: true,
        host: "*".into(),
    }
}

async fn wait_for_acls(broker: &Direct, principal: &str, wanted: &[Acl]) {
    let wanted: BTreeSet<Acl> = wanted.iter().cloned().collect();
    let principal = format!("User:{principal}");
    eventually(Duration::from_secs(10), "the ACLs are as wanted", || async {
        let found = broker.acls(&principal).await.map_err(|error| error.to_string())?;
        if found == wanted { Ok(()) } else { Err(format!("{found:?}")) }
    })
    .await;
}

#[tokio::test]
async fn acls_are_added_listed_by_principal_and_revoked_one_by_one() {
    let broker = direct(Kafka::shared().await);
    let (ours, others) = (unique("msvc.shop.order"), unique("msvc.shop.other"));
    let write = acl(&ours, "order-events", Operation::Write);
    let describe = acl(&ours, "order-events", Operation::Describe);
    let prefixed = Acl { pattern: Pattern::Prefixed, ..acl(&ours, "order-", Operation::All) };
    let group = Acl { resource: ResourceType::Group, ..acl(&ours, "shop.order", Operation::Read) };
    let deny = Acl { allow: false, host: "10.0.0.9".into(), ..write.clone() };
    let left_over = acl(&ours, "order-events", Operation::AlterConfigs);
    let foreign = acl(&others, "order-events", Operation::Write);
    let all = [&write, &describe, &prefixed, &group, &deny, &left_over, &foreign].map(Clone::clone);
    all_ok(broker.allow(&all).await.expect("the broker answers"));
    all_ok(broker.allow(&all[..2]).await.expect("what is there may be added again"));
    wait_for_acls(&broker, &ours, &all[..6]).await;
    wait_for_acls(&broker, &others, &all[6..]).await;

    let never = acl(&ours, "another", Operation::Read);
    let odd = acl(&ours, "order-events", Operation::Other);
    let results = broker.revoke(&[write, never, odd, left_over]).await.expect("the broker answers");
    assert_eq!(kinds(&results), ["Ok", "Ok", "Unsupported", "Ok"]);
    wait_for_acls(&broker, &ours, &[describe, prefixed, group, deny]).await;
    wait_for_acls(&broker, &others, &[foreign]).await;
}

#[tokio::test]
async fn a_user_logs_in_with_its_password_until_it_is_removed() {
    let kafka = Kafka::shared().await;
    let broker = direct(kafka);
    let (user, missing) = (unique("msvc.shop.order.a"), unique("nobody"));
    let names = [user.clone(), missing.clone(), "admin".to_owned()];
    let known = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<BTreeSet<String>>();
    assert_eq!(broker.users(&names).await, Ok(known(&["admin"])));

    for (password, salt) in [("first", [1; 20]), ("second", [2; 20])] {
        let credential = scram(&user, password, &salt);
        all_ok(broker.set_users(&[credential]).await.expect("the broker answers"));
        eventually(Duration::from_secs(10), "the user logs in", || kafka.client_of(&user, password)).await;
    }
    let refused = kafka.client_of(&user, "first").await;
    assert!(matches!(refused, Err(KrafkaError::Auth { .. })), "{refused:?}");
    assert_eq!(broker.users(&names).await, Ok(known(&["admin", &user])));

    let results = broker.remove_users(&[user.clone(), missing]).await.expect("the broker answers");
    assert_eq!(kinds(&results), ["Ok", "Missing"]);
    eventually(Duration::from_secs(10), "new logins are refused", || async {
        match kafka.client_of(&user, "second").await {
            Err(KrafkaError::Auth { .. }) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    assert_eq!(broker.users(&names).await, Ok(known(&["admin"])));
}

#[tokio::test]
async fn a_bad_credential_is_refused_and_its_neighbour_is_set() {
    let broker = direct(Kafka::shared().await);
    let (good, bad) = (unique("good"), unique("bad"));
    let mut weak = scram(&bad, "password", &[3; 16]);
    weak.iterations = 1;
    let results = broker.set_users(&[weak, scram(&good, "password", &[4; 16])]).await.expect("an answer");
    assert_eq!(kinds(&results), ["Other", "Ok"]);
}

/// What the ACLs are for: a service writes where it may and nowhere else.
#[tokio::test]
async fn a_user_writes_only_where_an_acl_lets_it() {
    let kafka = Kafka::shared().await;
    let broker = direct(kafka);
    let (user, exact, area) = (unique("writer"), unique("granted"), unique("area"));
    // Longer than the literal name, which must not count, and longer than the prefix, which must.
    let (beyond, inside) = (format!("{exact}-beyond"), format!("{area}-inside"));
    create(&broker, &[&exact, &beyond, &inside].map(|name| plain(name))).await;
    all_ok(broker.set_users(&[scram(&user, "password", &[5; 16])]).await.expect("the broker answers"));
    let literal = acl(&user, &exact, Operation::Write);
    let prefixed = Acl { pattern: Pattern::Prefixed, ..acl(&user, &area, Operation::Write) };
    all_ok(broker.allow(&[literal, prefixed.clone()]).await.expect("the broker answers"));

    let client =
        eventually(Duration::from_secs(10), "the user logs in", || kafka.client_of(&user, "password")).await;
    // Before its rights have reached the broker, a user may not even begin to write.
    let producer = eventually(Duration::from_secs(10), "a producer", || client.producer().build()).await;
    for topic in [&exact, &inside] {
        eventually(Duration::from_secs(10), "it writes", || async {
            producer.send(Record::new(topic.as_str(), "hello")).await.map(drop)
        })
        .await;
    }
    let denied = |topic: &str| {
        let sent = producer.send(Record::new(topic, "hello"));
        async {
            match sent.await {
                Err(KrafkaError::Broker { code: ErrorCode::TopicAuthorizationFailed, .. }) => Ok(()),
                other => Err(format!("{other:?}")),
            }
        }
    };
    denied(&beyond).await.expect("a literal right is for one name");
    all_ok(broker.revoke(&[prefixed]).await.expect("the broker answers"));
    eventually(Duration::from_secs(10), "the right is gone", || denied(&inside)).await;
    let sent = producer.send(Record::new(exact.as_str(), "hello")).await;
    assert!(sent.is_ok(), "the other right stays: {sent:?}");
}

#[tokio::test]
async fn an_administrator_without_rights_is_told_so() {
    let kafka = Kafka::shared().await;
    let topic = unique("forbidden");
    let weak = administrator(kafka, &unique("powerless")).await;
    assert_eq!(kinds(&weak.create(&[plain(&topic)], false).await.expect("an answer")), ["NotAuthorized"]);
    let acls = weak.acls("User:anybody").await;
    assert!(matches!(acls, Err(BrokerError::NotAuthorized(_))), "{acls:?}");
    let users = weak.users(&["admin".to_owned()]).await;
    assert!(matches!(users, Err(BrokerError::NotAuthorized(_))), "{users:?}");
    let results = weak.set_users(&[scram("admin", "taken", &[7; 16])]).await.expect("an answer");
    assert_eq!(kinds(&results), ["NotAuthorized"]);
}

/// The quota is the user's: it does not slow down the tests beside this one.
#[tokio::test]
async fn a_quota_that_is_used_up_throttles() {
    let kafka = Kafka::shared().await;
    let user = unique("hasty");
    let hasty = administrator(kafka, &user).await;
    let create = Acl { resource: ResourceType::Cluster, ..acl(&user, "kafka-cluster", Operation::Create) };
    all_ok(direct(kafka).allow(&[create]).await.expect("the broker answers"));
    let admin = kafka.client().await.expect("the broker answers").admin();
    let entity = ClientQuotaEntity::from_iter([("user", Some(user))]);
    let one_a_second =
        ClientQuotaAlteration::new(entity, vec![("controller_mutation_rate".into(), Some(1.0))]);
    let set = admin.alter_client_quotas(vec![one_a_second], AlterClientQuotasOptions::default()).await;
    assert!(set.is_ok_and(|set| set.values().all(Result::is_ok)), "the quota is set");

    // Each is more than can be paid back in the time that a call has. The first that is refused is
    // repeated by the client, too late, and nobody knows whether it was: so it is not said.
    let attempt = || async {
        let topic = NewTopic { partitions: Some(60), ..plain(&unique("quick")) };
        let start = Instant::now();
        let results = hasty.create(&[topic], false).await.expect("one result per item");
        assert!(start.elapsed() < BOUND, "{:?}", start.elapsed());
        let seen = kinds(&results).remove(0);
        assert!(["Ok", "Unknown", "Throttled", "NotAuthorized"].contains(&seen.as_str()), "{results:?}");
        if seen == "Throttled" { Ok(()) } else { Err(seen) }
    };
    eventually(Duration::from_secs(60), "it is throttled", attempt).await;
    let (start, before) = (Instant::now(), hasty.requests());
    assert_eq!(attempt().await, Ok(()));
    assert!(start.elapsed() < Duration::from_secs(2), "at once: {:?}", start.elapsed());
    assert_eq!(hasty.requests(), before, "nothing is sent");
    let seen = hasty.cluster_id().await;
    assert!(matches!(seen, Err(BrokerError::Throttled(_))), "the pause is for questions too: {seen:?}");
}

/// The client as a user of this name that has no rights yet.
async fn administrator(kafka: &Kafka, user: &str) -> Direct {
    let credential = scram(user, "password", &[6; 16]);
    all_ok(direct(kafka).set_users(&[credential]).await.expect("the broker answers"));
    let client =
        eventually(Duration::from_secs(10), "the user logs in", || kafka.client_of(user, "password"));
    drop(client.await);
    let mut settings = kafka.settings();
    let login = settings.login.as_mut().expect("there is a login");
    (login.user, login.password) = (user.to_owned(), "password".into());
    Direct::new(settings)
}
