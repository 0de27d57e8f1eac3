use proptest::prelude::*;

use super::*;

const GRACE: i64 = 600;

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn account(stored: Stored) -> Account {
    Account {
        owner: Owner { namespace: "shop".into(), name: "order".into(), uid: "u".into() },
        place: Place { class: "events".into(), cluster: "main".into() },
        identity: Identity::Managed(["a".into(), "b".into()]),
        uses: Vec::new(),
        streams: None,
        acls: true,
        rotate: None,
        rotate_after: None,
        secret: Some("login".into()),
        stored,
        carried: None,
    }
}

fn holds(user: &str) -> Account {
    account(Stored::User(user.into()))
}

fn record(users: &[(&str, Standing)]) -> Recorded {
    let account = account(Stored::Nothing);
    let users = users.iter().map(|(user, standing)| ((*user).to_owned(), *standing)).collect();
    Recorded { owner: account.owner, place: account.place, users, ..Recorded::default() }
}

fn at(now: i64, exist: &BTreeSet<String>) -> Seen<'_> {
    Seen { exist, offered: None, now, grace: GRACE }
}

/// What is, what is declared and recorded, which users exist, and what is decided.
type Case = (&'static str, Account, Option<Recorded>, &'static [&'static str], &'static str);

/// Standings in short, what is made, what goes, and the obstacle.
fn short(decision: &Decision) -> String {
    let standing = |(user, standing): (&String, &Standing)| format!("{user}:{standing:?}");
    let users: Vec<String> =
        decision.record.iter().flat_map(|record| record.users.iter().map(standing)).collect();
    let mut text = users.join(" ");
    if let Some(user) = &decision.make {
        text += &format!(" make {user}");
    }
    for user in &decision.retire {
        text += &format!(" retire {user}");
    }
    // A user that is to go always needs a look.
    let goes = decision.record.as_ref().is_some_and(|record| record.retiring().next().is_some());
    assert!(decision.look || !goes);
    if decision.look && !goes {
        text += " look";
    }
    if let Some(obstacle) = &decision.obstacle {
        text += &format!(" {obstacle:?}");
    }
    text.trim().to_owned()
}

#[test]
fn each_state_has_one_next_step() {
    use Standing::{Active, Reserved, Retiring};
    let lost = || account(Stored::Nothing);
    let asked = |account| Account { rotate: Some("now".into()), ..account };
    let carrying = |account, users| Account { carried: Some(set(users)), ..account };
    let rotated = |record| Recorded { rotated: Some("now".into()), ..record };
    let table: Vec<Case> = vec![
        ("first", lost(), None, &[], "a:Reserved make a"),
        ("a foreign user of the name", lost(), None, &["a"], "Taken(\"a\")"),
        ("crash before the Secret", lost(), Some(record(&[("a", Reserved)])), &["a"], "a:Reserved look"),
        (
            "which no pod has",
            carrying(lost(), &[]),
            Some(record(&[("a", Reserved)])),
            &["a"],
            "a:Reserved make a",
        ),
        (
            "which came and went",
            carrying(lost(), &["a"]),
            Some(record(&[("a", Reserved)])),
            &["a"],
            "a:Retiring(1000) b:Reserved make b",
        ),
        ("in the Secret", holds("a"), Some(record(&[("a", Reserved)])), &["a"], "a:Active"),
        ("at rest", holds("a"), Some(record(&[("a", Active)])), &["a"], "a:Active"),
        ("rotation", asked(holds("a")), Some(record(&[("a", Active)])), &["a"], "a:Active b:Reserved make b"),
        ("asked and done", asked(holds("a")), Some(rotated(record(&[("a", Active)]))), &["a"], "a:Active"),
        (
            "to a foreign user",
            asked(holds("a")),
            Some(record(&[("a", Active)])),
            &["a", "b"],
            "a:Active Taken(\"b\")",
        ),
        (
            "switched",
            holds("b"),
            Some(record(&[("a", Active), ("b", Reserved)])),
            &["a", "b"],
            "a:Retiring(1000) b:Active",
        ),
        (
            "not rested",
            carrying(holds("b"), &["b"]),
            Some(record(&[("a", Retiring(500)), ("b", Active)])),
            &["a", "b"],
            "a:Retiring(500) b:Active",
        ),
        (
            "not looked",
            holds("b"),
            Some(record(&[("a", Retiring(0)), ("b", Active)])),
            &["a", "b"],
            "a:Retiring(0) b:Active",
        ),
        (
            "still carried",
            carrying(holds("b"), &["a", "b"]),
            Some(record(&[("a", Retiring(0)), ("b", Active)])),
            &["a", "b"],
            "a:Retiring(0) b:Active",
        ),
        (
            "retired",
            carrying(holds("b"), &["b"]),
            Some(record(&[("a", Retiring(0)), ("b", Active)])),
            &["a", "b"],
            "a:Retiring(0) b:Active retire a",
        ),
        (
            "asked again too early",
            asked(holds("b")),
            Some(record(&[("a", Retiring(0)), ("b", Active)])),
            &["a", "b"],
            "a:Retiring(0) b:Active",
        ),
        (
            "an old Secret is back",
            holds("a"),
            Some(record(&[("a", Retiring(0)), ("b", Active)])),
            &["a", "b"],
            "a:Active b:Retiring(1000)",
        ),
        ("Secret lost", lost(), Some(record(&[("a", Active)])), &["a"], "a:Active b:Reserved make b"),
        ("user lost", holds("a"), Some(record(&[("a", Active)])), &[], "a:Active b:Reserved make b"),
        (
            "Secret lost in mid rotation",
            lost(),
            Some(record(&[("a", Retiring(900)), ("b", Active)])),
            &["a", "b"],
            "a:Retiring(900) b:Active BothInUse",
        ),
        (
            "and the old pods go",
            carrying(lost(), &["b"]),
            Some(record(&[("a", Retiring(900)), ("b", Active)])),
            &["a", "b"],
            "a:Retiring(900) b:Active retire a BothInUse",
        ),
        (
            "and no pod has the new one",
            carrying(lost(), &["a"]),
            Some(record(&[("a", Retiring(900)), ("b", Active)])),
            &["a", "b"],
            "a:Retiring(900) b:Reserved make b",
        ),
        (
            "a Secret that is not ours",
            account(Stored::Foreign),
            Some(record(&[("a", Active)])),
            &["a"],
            "a:Active SecretTaken",
        ),
        ("a ledger that was lost", holds("a"), None, &["a"], "Unrecorded(\"a\")"),
        ("a move from another cluster", holds("a"), None, &[], "b:Reserved make b"),
        (
            "and back, before the pods were asked",
            holds("b"),
            Some(record(&[("a", Active)])),
            &["a"],
            "a:Active look BothInUse",
        ),
        (
            "and back, once none carries it",
            carrying(holds("b"), &["b"]),
            Some(record(&[("a", Active)])),
            &["a"],
            "a:Reserved make a",
        ),
        ("another prefix", holds("x"), Some(record(&[("x", Active)])), &["x"], "a:Reserved x:Active make a"),
    ];
    for (what, account, record, exist, expected) in table {
        let exist = set(exist);
        let decision = decide(&account, record.as_ref(), &at(1000, &exist));
        assert_eq!(short(&decision), expected, "{what}");
        let stays =
            decision.record.iter().flat_map(|r| r.users.keys()).filter(|u| !decision.retire.contains(*u));
        assert_eq!(decision.grant, stays.cloned().collect(), "{what}: all but those that go have the rights");
    }
}

#[test]
fn a_password_that_is_old_enough_is_changed_once_and_never_while_one_is_retiring() {
    use Standing::{Active, Reserved, Retiring};
    let after = 100_000;
    let due = age_to_rotate(&account(Stored::Nothing).owner, after);
    let scheduled = |stored| Account { rotate_after: Some(after), ..holds(stored) };
    let since = |switched, users: &[(&str, Standing)]| Recorded { switched: Some(switched), ..record(users) };
    let exist = set(&["a"]);
    let both = set(&["a", "b"]);
    let step = |account: &Account, record: &Recorded, now| decide(account, Some(record), &at(now, &exist));
    let active = since(5, &[("a", Active)]);
    let table = [
        ("a second too early", scheduled("a"), active.clone(), 4 + due, "a:Active"),
        ("old enough", scheduled("a"), active.clone(), 5 + due, "a:Active b:Reserved make b"),
        ("without a schedule", holds("a"), active.clone(), 5 + 10 * due, "a:Active"),
        ("a clock that was set back", scheduled("a"), active, -due, "a:Active"),
        (
            "while one is retiring",
            scheduled("b"),
            since(5, &[("a", Retiring(5)), ("b", Active)]),
            5 + due,
            "a:Retiring(5) b:Active",
        ),
        (
            "begun",
            scheduled("a"),
            since(5, &[("a", Active), ("b", Reserved)]),
            5 + due,
            "a:Active b:Reserved look",
        ),
    ];
    for (what, account, record, now, expected) in table {
        let exist = if record.users.len() == 2 { &both } else { &exist };
        let decision = decide(&account, Some(&record), &at(now, exist));
        assert_eq!(short(&decision), expected, "{what}");
    }
    let unknown = step(&scheduled("a"), &record(&[("a", Active)]), 1000);
    assert_eq!((short(&unknown).as_str(), unknown.record.unwrap().switched), ("a:Active", Some(1000)));
    let never = step(&holds("a"), &record(&[("a", Active)]), 1000);
    assert_eq!(never.record.unwrap().switched, None, "nothing is written for it");
    let switched = since(5, &[("a", Active), ("b", Reserved)]);
    let switched = decide(&scheduled("b"), Some(&switched), &at(900, &both)).record.unwrap();
    assert_eq!(switched.switched, Some(900), "its age begins when the Secret holds it");
    let again = decide(&scheduled("b"), Some(&switched), &at(950, &both)).record.unwrap();
    assert_eq!(again.switched, Some(900));
}

#[test]
fn a_fleet_that_began_together_does_not_rotate_together() {
    let after = 90 * 86_400;
    let age = |n: i32| age_to_rotate(&Owner { name: format!("s{n}"), ..Owner::default() }, after);
    let mut days = [0; 10];
    for n in 0..1000 {
        let early = usize::try_from(after - age(n)).unwrap();
        days[(early / 86_400).min(9)] += 1;
    }
    assert!(days[..9].iter().all(|services| (60..=170).contains(services)), "{days:?}");
}

#[test]
fn an_offered_login_is_not_made_again_unless_its_user_is_gone() {
    let record = record(&[("a", Standing::Reserved)]);
    let account = Account { carried: Some(set(&[])), ..account(Stored::Nothing) };
    for (exist, make) in [(set(&["a"]), None), (set(&[]), Some("a".to_owned()))] {
        let seen = Seen { offered: Some("a"), ..at(0, &exist) };
        assert_eq!(decide(&account, Some(&record), &seen).make, make);
    }
}

#[test]
fn a_user_that_is_made_elsewhere_gets_rights_and_is_never_made_or_removed() {
    let exist = set(&[]);
    let existing = |user: &str, acls| Account {
        identity: Identity::Existing(user.into()),
        acls,
        ..account(Stored::Nothing)
    };
    let first = decide(&existing("x", true), None, &at(0, &exist));
    assert_eq!((short(&first).as_str(), &first.grant), ("x:Granted", &set(&["x"])));
    let other = decide(&existing("y", true), first.record.as_ref(), &at(0, &exist));
    assert_eq!(short(&other), "x:Leaving(0) y:Granted");
    let late = decide(&existing("y", true), other.record.as_ref(), &at(GRACE, &exist));
    assert_eq!(short(&late), "x:Leaving(0) y:Granted retire x");
    assert!(
        !Standing::Leaving(0).is_ours() && !Standing::Granted.is_ours() && Standing::Retiring(0).is_ours()
    );
    let back = decide(&existing("x", true), other.record.as_ref(), &at(0, &exist));
    assert_eq!(short(&back), "x:Granted y:Leaving(0)");
    assert_eq!(decide(&existing("x", false), None, &at(0, &exist)), Decision::default());
    // From users that the operator has made to those that it has not.
    let moved = decide(&existing("x", true), Some(&record(&[("a", Standing::Active)])), &at(7, &exist));
    assert_eq!(short(&moved), "a:Retiring(7) x:Granted");
}

#[test]
fn where_acls_are_kept_elsewhere_none_are_given() {
    let account = Account { acls: false, ..account(Stored::Nothing) };
    let decision = decide(&account, None, &at(0, &set(&[])));
    assert_eq!((short(&decision).as_str(), decision.grant.len()), ("a:Reserved make a", 0));
}

#[test]
fn what_is_gone_keeps_its_users_as_long_as_its_pods() {
    let record = record(&[("a", Standing::Active), ("b", Standing::Reserved)]);
    assert_eq!(let_go(&record, true).retire, set(&[]));
    assert_eq!(let_go(&record, false).retire, set(&["a", "b"]));
    assert_eq!(record.without(&set(&["a", "b"])), None);
    assert_eq!(record.without(&set(&["a"])).map(|left| left.users.len()), Some(1));
}

/// A broker, a Secret, pods, and an operator that may crash anywhere.
#[derive(Clone, Debug, Default)]
struct World {
    record: Option<Recorded>,
    /// Number of the password of each user, those of others too.
    broker: BTreeMap<String, u32>,
    secret: Option<(String, u32)>,
    /// A Secret of the past, as a backup has it.
    backup: Option<(String, u32)>,
    offered: Option<(String, u32)>,
    /// What each pod logs in with.
    pods: Vec<(String, u32)>,
    template: Option<String>,
    rotate: Option<String>,
    rotate_after: Option<i64>,
    passwords: u32,
    now: i64,
}

/// What can happen.
#[derive(Clone, Copy, Debug)]
enum Act {
    /// The operator looks, also at the pods or not, and crashes after so many of its writes.
    Step(usize, bool),
    /// It writes the login that is offered.
    Store,
    Rotate,
    Start,
    End(usize),
    Lose,
    Restore,
    Wait,
}

impl World {
    fn step(&mut self, writes: usize, pods: bool) {
        let carried: BTreeSet<String> =
            self.pods.iter().map(|(user, _)| user.clone()).chain(self.template.clone()).collect();
        let stored = self.secret.as_ref().map_or(Stored::Nothing, |(user, _)| Stored::User(user.clone()));
        let account = Account {
            rotate: self.rotate.clone(),
            rotate_after: self.rotate_after,
            carried: pods.then_some(carried),
            ..account(stored)
        };
        let exist: BTreeSet<String> = self.broker.keys().cloned().collect();
        let offered = self.offered.clone();
        let offered = offered.as_ref().map(|(user, _)| user.as_str());
        let seen = Seen { exist: &exist, offered, now: self.now, grace: GRACE };
        let decision = decide(&account, self.record.as_ref(), &seen);
        let mut left = writes;
        let mut may = || {
            left = left.saturating_sub(1);
            left > 0
        };
        if !may() {
            return self.offered = None;
        }
        self.record.clone_from(&decision.record);
        let stored = self.secret.as_ref().map(|(user, _)| user.as_str());
        self.offered.take_if(|(user, _)| Some(user.as_str()) == stored);
        if let Some(user) = &decision.make {
            if !may() {
                return self.offered = None;
            }
            assert!(stored != Some(user.as_str()), "the Secret holds {user}");
            self.passwords += 1;
            self.broker.insert(user.clone(), self.passwords);
            self.offered = None;
            if !may() {
                return;
            }
            self.offered = Some((user.clone(), self.passwords));
        }
        for user in &decision.retire {
            if !may() {
                return self.offered = None;
            }
            self.broker.remove(user);
        }
        if !decision.retire.is_empty() && may() {
            self.record = self.record.as_ref().and_then(|record| record.without(&decision.retire));
        }
    }

    fn act(&mut self, act: Act) {
        match act {
            Act::Step(writes, pods) => self.step(writes, pods),
            Act::Store => {
                if let Some(login) = self.offered.clone() {
                    self.template = Some(login.0.clone());
                    self.backup = self.secret.replace(login);
                }
            }
            Act::Rotate => self.rotate = Some(format!("{}", self.passwords)),
            Act::Start => {
                if let Some((user, password)) = &self.secret {
                    // Whose template it is of does not matter: it gets what the Secret holds.
                    self.pods.push((user.clone(), *password));
                    self.template = Some(user.clone());
                }
            }
            Act::End(pod) => {
                if pod < self.pods.len() {
                    self.pods.remove(pod);
                }
            }
            Act::Lose => self.secret = None,
            // What is in use can be brought back: a backup of a login that is gone is of no use to anybody.
            Act::Restore => {
                let known =
                    self.backup.clone().filter(|(user, password)| self.broker.get(user) == Some(password));
                if self.secret.is_none() && known.is_some() {
                    self.template = known.as_ref().map(|(user, _)| user.clone());
                    self.secret = known;
                }
            }
            Act::Wait => self.now += 400,
        }
    }

    fn check(&self, act: Act) {
        for (user, password) in &self.pods {
            assert_eq!(self.broker.get(user), Some(password), "after {act:?} a pod cannot log in: {self:?}");
        }
        if let Some((user, password)) = &self.secret {
            assert_eq!(self.broker.get(user), Some(password), "after {act:?} the Secret is stale: {self:?}");
        }
        for user in self.broker.keys() {
            let known = self.record.as_ref().is_some_and(|record| record.users.contains_key(user));
            assert!(known || user == "admin", "after {act:?} nobody knows of {user}: {self:?}");
        }
        assert_eq!(self.broker.get("admin"), Some(&0));
    }
}

fn any_act() -> impl Strategy<Value = Act> {
    prop_oneof![
        8 => (1_usize..8, any::<bool>()).prop_map(|(writes, pods)| Act::Step(writes, pods)),
        4 => Just(Act::Store),
        2 => Just(Act::Rotate),
        3 => Just(Act::Start),
        3 => (0_usize..4).prop_map(Act::End),
        1 => Just(Act::Lose),
        1 => Just(Act::Restore),
        2 => Just(Act::Wait),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2048))]

    /// Whatever happens, and wherever the operator crashes.
    #[test]
    fn a_password_is_changed_in_the_last_tenth_of_its_time(
        namespace in "[a-z]{1,20}", name in "[a-z]{1,20}", after in 1_i64..400_000_000,
    ) {
        let owner = Owner { namespace, name, uid: "u".into() };
        let age = age_to_rotate(&owner, after);
        prop_assert!(age <= after && age >= after - after / 10, "{}", age);
        prop_assert_eq!(age, age_to_rotate(&Owner { uid: "another".into(), ..owner }, after));
    }

    #[test]
    fn every_pod_can_log_in_at_every_moment_and_no_other_user_is_touched(
        acts in prop::collection::vec(any_act(), 1..60),
    ) {
        let broker = [("admin".to_owned(), 0)].into();
        let mut world = World { broker, rotate_after: Some(3000), ..World::default() };
        for act in acts {
            world.act(act);
            world.check(act);
        }
        world.rotate_after = None;
        // Left in peace, and with its pods renewed, it comes to rest with one user.
        for _ in 0..4 {
            for act in [Act::Step(99, true), Act::Store, Act::Step(99, true), Act::Start, Act::Wait, Act::Wait] {
                world.act(act);
                world.check(act);
            }
            let current = world.secret.clone();
            world.pods.retain(|pod| Some(pod) == current.as_ref());
        }
        world.act(Act::Step(99, true));
        prop_assert!(world.secret.is_some());
        prop_assert_eq!(world.broker.len(), 2, "{:?}", world);
        prop_assert_eq!(world.record.as_ref().map(|record| record.users.len()), Some(1));
    }
}
