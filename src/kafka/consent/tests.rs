use super::*;

fn owner(namespace: &str, name: &str) -> Owner {
    Owner { namespace: namespace.into(), name: name.into(), uid: "u".into() }
}

fn record(namespace: &str, name: &str) -> Recorded {
    Recorded { owner: owner(namespace, name), id: "id".into(), ..Recorded::default() }
}

fn reads(origin: Origin) -> Use {
    Use { topic: "t".into(), name: "t".into(), origin, access: Access::Read("shop.me".into()) }
}

fn writes(origin: Origin) -> Use {
    Use { access: Access::Write, ..reads(origin) }
}

fn of(namespace: &str) -> Origin {
    Origin::Of(namespace.into())
}

fn services(all: &[(&str, &str)]) -> Consent {
    Consent::Services(all.iter().map(|(at, of)| ((*at).into(), (*of).into())).collect())
}

#[test]
fn a_use_is_judged_by_the_ledger_and_by_its_owner() {
    let me = owner("shop", "me");
    let (mine, other, team) = (record("shop", "me"), record("shop", "other"), record("bank", "pay"));
    let released = Recorded { released: true, ..record("bank", "pay") };
    let open = Consents::default();
    let both = services(&[("shop", "me")]);
    let named = Consents { producers: both.clone(), consumers: both };
    let reader = Consents { producers: services(&[]), consumers: services(&[("shop", "me")]) };
    let namesake = services(&[("bank", "me"), ("shop", "you")]);
    let namesake = Consents { producers: namesake.clone(), consumers: namesake };
    let own = || Origin::Own { observed: false };
    let observed = || Origin::Own { observed: true };
    let table: [(&str, Use, Known<'_>, &str); 22] = [
        ("own topic", writes(own()), Known::Ledger(Some(&mine), Some(&open)), "yes"),
        ("own topic, not declared yet", writes(own()), Known::Ledger(Some(&mine), None), "yes"),
        ("own topic, read", reads(of("shop")), Known::Ledger(Some(&mine), Some(&reader)), "yes"),
        ("own topic that is not there", writes(own()), Known::Ledger(None, None), "no"),
        ("own line for another's topic", writes(own()), Known::Ledger(Some(&team), Some(&open)), "no"),
        ("own line for what another let go", writes(own()), Known::Ledger(Some(&released), None), "no"),
        ("own line, unreadable", writes(own()), Known::Unreadable, "open"),
        ("observed, nobody's", writes(observed()), Known::Ledger(None, None), "yes"),
        ("observed, another's", writes(observed()), Known::Ledger(Some(&team), Some(&open)), "no"),
        ("neighbour's, open", reads(of("shop")), Known::Ledger(Some(&other), Some(&open)), "yes"),
        ("neighbour's, named", writes(of("shop")), Known::Ledger(Some(&other), Some(&named)), "yes"),
        ("neighbour's, others named", writes(of("shop")), Known::Ledger(Some(&other), Some(&namesake)), "no"),
        ("foreign, open to its own", reads(of("bank")), Known::Ledger(Some(&team), Some(&open)), "no"),
        ("foreign, named", reads(of("bank")), Known::Ledger(Some(&team), Some(&named)), "yes"),
        ("foreign, named to read only", writes(of("bank")), Known::Ledger(Some(&team), Some(&reader)), "no"),
        (
            "foreign, a namesake is named",
            reads(of("bank")),
            Known::Ledger(Some(&team), Some(&namesake)),
            "no",
        ),
        ("foreign, owner not heard yet", reads(of("bank")), Known::Ledger(Some(&team), None), "open"),
        ("foreign, let go", reads(of("bank")), Known::Ledger(Some(&released), None), "open"),
        ("foreign, unreadable", reads(of("bank")), Known::Unreadable, "open"),
        ("foreign, nobody's", reads(of("bank")), Known::Ledger(None, None), "no"),
        ("another namespace's", reads(of("tax")), Known::Ledger(Some(&team), Some(&named)), "no"),
        ("external", reads(Origin::External), Known::Ledger(None, None), "yes"),
    ];
    for (what, used, known, expected) in table {
        let verdict = judge(&me, &used, known);
        let short = match verdict {
            Verdict::Yes => "yes",
            Verdict::No(_) => "no",
            Verdict::Open(_) => "open",
        };
        assert_eq!(short, expected, "{what}: {verdict:?}");
    }
}

#[test]
fn who_is_not_named_is_told_the_list_and_the_owner() {
    let team = record("bank", "pay");
    let verdict = judge(
        &owner("shop", "me"),
        &writes(of("bank")),
        Known::Ledger(Some(&team), Some(&Consents::default())),
    );
    let lack =
        Lack::Consent { namespace: "bank".into(), owner: "pay".into(), topic: "t".into(), list: "producers" };
    assert_eq!(verdict, Verdict::No(lack));
}

#[test]
fn what_is_open_is_neither_given_nor_taken() {
    let (me, team) = (owner("shop", "me"), record("bank", "pay"));
    let uses = [reads(of("bank"))];
    let open = claims(&me, &uses, None, |_| Known::Ledger(Some(&team), None));
    let named = Consents { consumers: services(&[("shop", "me")]), ..Consents::default() };
    let given = claims(&me, &uses, None, |_| Known::Ledger(Some(&team), Some(&named)));
    let nobody = Consents::default();
    let denied = claims(&me, &uses, None, |_| Known::Ledger(Some(&team), Some(&nobody)));

    let none = BTreeSet::new();
    let all: BTreeSet<Acl> = given.difference("User:a", &none).allow.into_iter().collect();
    assert_eq!(all.len(), 3);
    assert_eq!(open.difference("User:a", &none), rights::AclChange::default());
    assert_eq!(open.difference("User:a", &all), rights::AclChange::default());
    assert_eq!(denied.difference("User:a", &all).revoke.len(), 3);
    assert_eq!((given.lacks.len(), open.lacks.len(), denied.lacks.len()), (0, 0, 1));
    assert_eq!((given.open.len(), open.open.len(), denied.open.len()), (0, 1, 0));
}
