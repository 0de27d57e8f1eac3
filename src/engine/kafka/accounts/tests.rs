use super::super::fake::{FakeBroker, FakeMaps};
use super::*;
use crate::kafka::account::Obstacle;
use crate::kafka::consent::{Access, Origin, Use};
use crate::kafka::model::Pattern;
use crate::kafka::topic::Place;

/// A broker, both ledgers, and what is carried from batch to batch.
#[derive(Default)]
struct Scene {
    broker: FakeBroker,
    maps: FakeMaps,
    duties: Duties,
    now: i64,
}

fn owner(name: &str) -> Owner {
    Owner { namespace: "shop".into(), name: name.into(), uid: format!("uid-{name}") }
}

fn key(name: &str) -> Key {
    Key::new("shop", name)
}

fn user(name: &str, slot: char) -> String {
    format!("msvc.shop.{name}.{slot}")
}

/// A service that writes to an external topic of its name.
fn account(name: &str) -> Account {
    let used = Use { topic: name.into(), name: name.into(), origin: Origin::External, access: Access::Write };
    Account {
        owner: owner(name),
        place: Place::default(),
        identity: Identity::Managed(['a', 'b'].map(|slot| user(name, slot))),
        uses: vec![used],
        streams: None,
        acls: true,
        rotate: None,
        rotate_after: None,
        secret: Some("login".into()),
        stored: Stored::Nothing,
        carried: None,
    }
}

impl Scene {
    fn new(names: &[&str]) -> Self {
        let mut scene = Self::default();
        for name in names {
            let duty = Duty { account: account(name), carry: Carry::default(), news: Vec::new() };
            scene.duties.insert(key(name), duty);
        }
        scene
    }

    /// One batch of a process that has just read the ledgers.
    async fn run(&mut self) -> BTreeMap<Key, Outcome> {
        let (ledger, topics) = self.ledgers();
        let fence = Fence::always();
        let accounts = self.accounts(&ledger, &topics, &fence);
        let mut duties = self.duties.clone();
        let outcomes = accounts.run(&mut duties, &Allowed::new()).await.unwrap();
        self.duties = duties;
        outcomes
    }

    fn ledgers(&self) -> (Ledger<Recorded>, Ledger<topic::Recorded>) {
        let client = self.maps.client();
        (Ledger::new(client.clone(), "operator"), Ledger::new(client, "operator"))
    }

    fn accounts<'a>(
        &'a self,
        ledger: &'a Ledger<Recorded>,
        topics: &'a Ledger<topic::Recorded>,
        fence: &'a Fence,
    ) -> Accounts<'a> {
        let grace = Duration::from_secs(600);
        Accounts { broker: &self.broker, ledger, topics, cluster_id: "cluster", fence, grace, now: self.now }
    }

    fn duty(&mut self, name: &str) -> &mut Duty {
        self.duties.get_mut(&key(name)).unwrap()
    }

    /// What is offered is in the Secret from now on.
    fn store(&mut self, name: &str) -> Credential {
        let duty = self.duty(name);
        let offered = duty.carry.offered.clone().unwrap();
        duty.account.stored = Stored::User(offered.user.clone());
        offered
    }

    async fn record(&self, name: &str) -> Option<Recorded> {
        let name = ledger_name(&key(name));
        let (ledger, _) = self.ledgers();
        ledger.records("cluster", [name.clone()].iter()).await.unwrap().remove(&name).unwrap().unwrap()
    }

    fn news(&mut self) -> Vec<Happened> {
        let all = self.duties.values_mut().flat_map(|duty| std::mem::take(&mut duty.news));
        all.map(|news| news.what).collect()
    }

    fn acls(&self) -> usize {
        self.broker.cluster().acls.len()
    }
}

#[tokio::test(start_paused = true)]
async fn logins_are_made_together_rights_first_and_at_rest_nothing_is_sent() {
    let mut scene = Scene::new(&["one", "two"]);
    scene.run().await;
    let (one, two) = (user("one", 'a'), user("two", 'a'));
    let calls = scene.broker.calls();
    let principals = format!("User:{one} User:{one} User:{two} User:{two}");
    assert_eq!(calls[..2], [format!("allow {principals}"), format!("set {one} {two}")]);
    assert_eq!(calls[2..].len(), 2, "each is tried: {calls:?}");
    assert_eq!(scene.acls(), 4);
    assert_eq!(scene.news(), []);

    scene.store("one");
    scene.store("two");
    let outcomes = scene.run().await;
    assert_eq!(scene.broker.calls(), Vec::<String>::new());
    assert_eq!(scene.news(), [Happened::LoginMade, Happened::LoginMade]);
    let view = &outcomes[&key("one")].view;
    assert_eq!((view.user.as_ref(), view.compared, view.looks_at_pods), (Some(&one), true, false));
    assert!(scene.duty("one").carry.offered.is_none(), "the password is not kept");

    let writes = scene.maps.maps().writes;
    assert_eq!(scene.run().await, outcomes);
    assert_eq!((scene.broker.calls().len(), scene.news().len()), (0, 0));
    assert_eq!(scene.maps.maps().writes, writes);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_sent_that_the_ledger_does_not_hold() {
    for code in [409, 500, 403] {
        let mut scene = Scene::new(&["one"]);
        scene.maps.maps().refuse.push_back(code);
        let outcomes = scene.run().await;
        assert_eq!(scene.broker.calls(), Vec::<String>::new(), "{code}");
        assert!(outcomes[&key("one")].failure.is_some(), "{code}");
        scene.run().await;
        assert!(scene.duty("one").carry.offered.is_some(), "{code}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_user_of_somebody_else_keeps_its_password_and_gets_no_rights() {
    let mut scene = Scene::new(&["one", "two"]);
    scene.broker.cluster().users.insert(user("one", 'a'), vec![7]);
    let outcomes = scene.run().await;
    let view = &outcomes[&key("one")].view;
    assert_eq!(view.obstacle, Some(account::Obstacle::Taken(user("one", 'a'))));
    assert_eq!(scene.broker.cluster().users[&user("one", 'a')], [7]);
    assert!(scene.broker.cluster().acls.iter().all(|acl| acl.principal.contains("two")));
    assert_eq!(scene.record("one").await, None);
    assert!(scene.duty("two").carry.offered.is_some(), "its neighbour is made");
}

#[tokio::test(start_paused = true)]
async fn left_over_acls_of_a_name_are_removed_before_its_user_is_made() {
    let mut scene = Scene::new(&["one"]);
    let left = Acl {
        principal: account::principal(&user("one", 'a')),
        resource: crate::kafka::model::ResourceType::Topic,
        name: "secret".into(),
        pattern: Pattern::Literal,
        operation: crate::kafka::model::Operation::Read,
        allow: true,
        host: "*".into(),
    };
    let denies = Acl { allow: false, ..left.clone() };
    scene.broker.cluster().acls.extend([left.clone(), denies.clone()]);
    scene.run().await;
    let calls = scene.broker.calls();
    let at = |call: &str| calls.iter().position(|made| made.starts_with(call)).unwrap();
    assert!(at("revoke") < at("allow") && at("allow") < at("set"), "{calls:?}");
    let acls = scene.broker.cluster().acls.clone();
    assert!(!acls.contains(&left) && acls.contains(&denies), "who denies has a reason");
}

/// Brokers hear of a user one after the other, and one that has much to do hears of it late.
#[tokio::test(start_paused = true)]
async fn a_login_that_is_refused_at_first_is_tried_again_with_the_same_password() {
    let mut scene = Scene::new(&["one"]);
    scene.broker.cluster().refuse_logins = true;
    let outcomes = scene.run().await;
    let view = &outcomes[&key("one")].view;
    assert_eq!(outcomes[&key("one")].failure, Some(Reason::CredentialRefused));
    assert!(view.trouble.as_ref().is_some_and(|trouble| !trouble.lasting), "{view:?}");
    assert!(scene.duty("one").carry.offered.is_none());
    let before = scene.broker.cluster().users.clone();
    scene.duty("one").account.carried = Some(BTreeSet::new());
    for refuses in [true, false] {
        tokio::time::advance(TRIAL / 4).await;
        scene.broker.calls();
        scene.broker.cluster().refuse_logins = refuses;
        scene.run().await;
        assert_eq!(scene.broker.calls(), [format!("log_in {}", user("one", 'a'))]);
        assert_eq!(scene.duty("one").carry.offered.is_none(), refuses);
    }
    assert_eq!(scene.broker.cluster().users, before);
}

#[tokio::test(start_paused = true)]
async fn a_login_that_is_refused_is_not_handed_out_and_the_next_password_is_another() {
    let mut scene = Scene::new(&["one"]);
    scene.broker.cluster().refuse_logins = true;
    scene.run().await;
    let before = scene.broker.cluster().users.clone();
    tokio::time::advance(TRIAL).await;
    // No pod has it: that has to be known first.
    let outcomes = scene.run().await;
    assert!(outcomes[&key("one")].view.looks_at_pods);
    assert_eq!(scene.broker.cluster().users, before);
    scene.duty("one").account.carried = Some(BTreeSet::new());
    let outcomes = scene.run().await;
    assert_ne!(scene.broker.cluster().users, before);
    assert_eq!(outcomes[&key("one")].failure, Some(Reason::CredentialRefused));
    let view = &outcomes[&key("one")].view;
    assert!(view.trouble.as_ref().is_some_and(|trouble| trouble.lasting), "{view:?}");
    assert!(scene.duty("one").carry.offered.is_none());
    scene.broker.cluster().refuse_logins = false;
    scene.run().await;
    assert!(scene.duty("one").carry.offered.is_some());
}

#[tokio::test(start_paused = true)]
async fn the_old_user_goes_when_it_has_rested_and_no_pod_has_it_rights_first() {
    let mut scene = Scene::new(&["one"]);
    scene.run().await;
    scene.store("one");
    scene.duty("one").account.rotate = Some("now".into());
    scene.run().await;
    scene.store("one");
    scene.run().await;
    let (a, b) = (user("one", 'a'), user("one", 'b'));
    scene.duty("one").account.carried = Some([b.clone()].into());
    let outcomes = scene.run().await;
    assert_eq!(outcomes[&key("one")].again, Some(Duration::from_secs(600)));
    assert_eq!((scene.acls(), scene.broker.cluster().users.len()), (4, 2), "both have all rights");
    scene.broker.calls();
    scene.now = 600;
    scene.run().await;
    let principals = format!("User:{a} User:{a}");
    assert_eq!(scene.broker.calls(), [format!("revoke {principals}"), format!("remove {a}")]);
    assert_eq!(scene.record("one").await.unwrap().users, [(b, Standing::Active)].into());
    assert_eq!(scene.news(), [Happened::LoginMade, Happened::LoginRotated, Happened::LoginRetired]);
}

#[tokio::test(start_paused = true)]
async fn acls_that_vanish_twice_are_left_to_whoever_fights() {
    let mut scene = Scene::new(&["one"]);
    scene.run().await;
    scene.store("one");
    scene.run().await;
    let mut told = Vec::new();
    for _ in 0..3 {
        tokio::time::advance(Duration::from_secs(300)).await;
        scene.broker.cluster().acls.clear();
        let outcomes = scene.run().await;
        told.push((outcomes[&key("one")].view.contested, scene.acls()));
    }
    assert_eq!(told, [(false, 2), (true, 0), (true, 0)]);
    assert_eq!(scene.news(), [Happened::LoginMade, Happened::AclsRepaired]);
    // Whoever fights has given up, or the description has changed.
    let more = Use { topic: "more".into(), ..account("one").uses[0].clone() };
    scene.duty("one").account.uses.push(more);
    assert!(!scene.run().await[&key("one")].view.contested);
    assert_eq!(scene.acls(), 4);
}

#[tokio::test(start_paused = true)]
async fn what_does_not_show_yet_is_not_lost() {
    let mut scene = Scene::new(&["one"]);
    scene.run().await;
    scene.store("one");
    for _ in 0..5 {
        scene.broker.cluster().acls.clear();
        assert!(!scene.run().await[&key("one")].view.contested);
    }
    assert_eq!(scene.news(), [Happened::LoginMade]);
}

#[tokio::test(start_paused = true)]
async fn a_cluster_without_acls_gives_logins_all_the_same() {
    let mut scene = Scene::new(&["one"]);
    scene.broker.cluster().no_acls = Some(BrokerError::Unsupported("no authorizer".into()));
    let outcomes = scene.run().await;
    let outcome = &outcomes[&key("one")];
    assert_eq!((outcome.failure, outcome.view.unsupported.as_deref()), (None, Some("no authorizer")));
    assert!(scene.duty("one").carry.offered.is_some());
    scene.broker.cluster().no_acls = Some(BrokerError::NotAuthorized("no".into()));
    let mut other = Scene { broker: scene.broker, ..Scene::new(&["two"]) };
    let outcomes = other.run().await;
    assert_eq!(outcomes[&key("two")].failure, Some(Reason::NotAuthorized));
    assert!(other.duty("two").carry.offered.is_none(), "without rights there is no use in it");
}

#[tokio::test(start_paused = true)]
async fn who_is_gone_leaves_nothing_behind_once_its_pods_are_gone() {
    let mut scene = Scene::new(&["one", "two"]);
    scene.run().await;
    scene.store("one");
    scene.run().await;
    let (ledger, topics) = scene.ledgers();
    let (fence, name) = (Fence::always(), ledger_name(&key("one")));
    let record = scene.record("one").await.unwrap();
    // Somebody who declares it again is not gone.
    let accounts = scene.accounts(&ledger, &topics, &fence);
    let leaving = |in_use| BTreeMap::from([(name.clone(), in_use)]);
    assert_eq!(accounts.let_go(&leaving(false)).await, Ok(BTreeSet::new()));
    assert_eq!(scene.acls(), 4);

    let doomed = Recorded { doomed: Some(0), ..record.clone() };
    let edits = [(name.clone(), Edit { from: Some(record), to: Some(doomed) })].into();
    assert!(ledger.write("cluster", edits).await.unwrap().is_empty());
    assert_eq!(accounts.let_go(&leaving(true)).await, Ok([name.clone()].into()));
    assert_eq!(scene.acls(), 4, "its pods are still there");
    scene.broker.calls();
    assert_eq!(accounts.let_go(&leaving(false)).await, Ok(BTreeSet::new()));
    let calls = scene.broker.calls();
    assert!(calls[0].starts_with("revoke") && calls[1].starts_with("remove"), "{calls:?}");
    assert_eq!((scene.acls(), scene.record("one").await), (2, None), "its neighbour keeps what it has");
}

#[tokio::test(start_paused = true)]
async fn who_is_gone_waits_while_its_acls_cannot_be_read_and_fails_nobody_else() {
    let mut scene = Scene::new(&["one"]);
    scene.run().await;
    scene.store("one");
    scene.run().await;
    let (ledger, topics) = scene.ledgers();
    let (fence, name) = (Fence::always(), ledger_name(&key("one")));
    let record = scene.record("one").await.unwrap();
    let doomed = Recorded { doomed: Some(0), ..record.clone() };
    let edits = [(name.clone(), Edit { from: Some(record), to: Some(doomed.clone()) })].into();
    assert!(ledger.write("cluster", edits).await.unwrap().is_empty());
    let leaving = BTreeMap::from([(name.clone(), false)]);

    scene.broker.cluster().no_acls = Some(BrokerError::NotAuthorized("no".into()));
    scene.broker.calls();
    let accounts = scene.accounts(&ledger, &topics, &fence);
    assert_eq!(accounts.let_go(&leaving).await, Ok([name].into()));
    assert_eq!(scene.broker.calls(), Vec::<String>::new(), "nothing goes before its ACLs");
    assert_eq!(scene.record("one").await, Some(doomed));

    scene.broker.cluster().no_acls = Some(BrokerError::Unreachable("no".into()));
    assert!(accounts.let_go(&leaving).await.is_err(), "nobody else gets an answer either");
}

#[tokio::test(start_paused = true)]
async fn a_user_that_is_made_elsewhere_is_the_login_of_one_service_only() {
    let mut scene = Scene::new(&["one", "two"]);
    for name in ["one", "two"] {
        scene.duty(name).account.identity = Identity::Existing("both".into());
    }
    let shared = || Some(Obstacle::Shared { user: "both".into(), by: owner("one") });
    for _ in 0..2 {
        let outcomes = scene.run().await;
        assert_eq!(outcomes[&key("one")].view.obstacle, None);
        assert_eq!(outcomes[&key("two")].view.obstacle, shared());
        assert_eq!(
            (scene.acls(), scene.record("two").await),
            (2, None),
            "each would revoke what the other has"
        );
    }
    // The first by name would have it, but who is recorded has it.
    let mut late = Scene { broker: scene.broker, maps: scene.maps, ..Scene::new(&["late", "another"]) };
    for name in ["late", "another"] {
        late.duty(name).account.identity = Identity::Existing("both".into());
    }
    let outcomes = late.run().await;
    assert!(outcomes.values().all(|outcome| outcome.view.obstacle == shared()), "{outcomes:?}");
    assert_eq!(late.acls(), 2);
}

#[tokio::test(start_paused = true)]
async fn who_does_not_lead_sends_nothing() {
    let mut scene = Scene::new(&["one"]);
    let (ledger, topics) = scene.ledgers();
    let fence = Fence::closed();
    let mut duties = std::mem::take(&mut scene.duties);
    assert!(scene.accounts(&ledger, &topics, &fence).run(&mut duties, &Allowed::new()).await.is_err());
    assert_eq!(scene.broker.calls(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn many_logins_are_looked_at_with_one_question() {
    let names: Vec<String> = (0..20).map(|n| format!("s{n}")).collect();
    let mut scene = Scene::new(&names.iter().map(String::as_str).collect::<Vec<_>>());
    scene.run().await;
    assert_eq!(scene.acls(), 40);
    let sets = scene.broker.calls().into_iter().filter(|call| call.starts_with("set")).count();
    assert_eq!(sets, 1);
}

#[tokio::test(start_paused = true)]
async fn a_password_of_an_earlier_term_is_never_handed_out() {
    let mut scene = Scene::new(&["one"]);
    scene.run().await;
    let before = scene.duty("one").carry.offered.clone().unwrap();
    scene.duty("one").carry.term += 1;
    scene.duty("one").account.carried = Some(BTreeSet::new());
    scene.run().await;
    let after = scene.duty("one").carry.offered.clone().unwrap();
    assert!(after.user == before.user && after.password != before.password);
}

#[tokio::test(start_paused = true)]
async fn an_owner_that_is_silent_for_long_is_told_and_takes_no_right_away() {
    let mut scene = Scene::new(&["one"]);
    let (_, topics) = scene.ledgers();
    let record = topic::Recorded { owner: owner("two"), id: "id".into(), ..topic::Recorded::default() };
    let edits = [("one".to_owned(), Edit { from: None, to: Some(record) })].into();
    topics.write("cluster", edits).await.unwrap();
    scene.duty("one").account.uses[0].origin = Origin::Of("shop".into());
    let (ledger, topics) = scene.ledgers();
    let fence = Fence::always();
    let allowed = Allowed::from([("one".to_owned(), vec![(owner("two"), Consents::default())])]);
    let mut duties = scene.duties.clone();
    let run = async |duties: &mut Duties, allowed: &Allowed| {
        let accounts = scene.accounts(&ledger, &topics, &fence);
        accounts.run(duties, allowed).await.unwrap().remove(&key("one")).unwrap()
    };
    assert!(run(&mut duties, &allowed).await.view.compared);
    assert_eq!(scene.acls(), 2);
    let silent = run(&mut duties, &Allowed::new()).await;
    assert!(!silent.view.compared && silent.again.is_some());
    tokio::time::advance(SILENT * 2).await;
    let told = run(&mut duties, &Allowed::new()).await;
    assert!(told.view.compared && told.view.open.len() == 1);
    assert_eq!(scene.acls(), 2, "what was given stands");
    let back = run(&mut duties, &allowed).await;
    assert!(back.view.compared && back.view.open.is_empty());
}
