//! What is known of the logins of a cluster between two batches: who declares what, what came out, and
//! when to look again. No IO; only the clock of the task.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::time::Duration;

use tokio::time::Instant;

use super::state::{AGAIN, BATCH};
use crate::engine::kafka::Credential;
use crate::engine::kafka::accounts::{Carry, Duties, Duty, Outcome};
use crate::engine::kafka::trouble::{jittered, pace};
use crate::engine::live::Key;
use crate::kafka::account::{Account, Identity, Stored};
use crate::kafka::consent::{Ask, Lack};
use crate::kafka::view::{AccessView, News};

/// Most services that an owner is told of.
const ASKS: usize = 32;

/// All logins of a cluster.
#[derive(Default)]
pub(super) struct Logins {
    all: BTreeMap<Key, Login>,
    /// Who uses a topic, by its name on the broker.
    users: HashMap<String, BTreeSet<Key>>,
    /// Who asks an owner for consent.
    asks: BTreeMap<Key, BTreeMap<Key, BTreeSet<Ask>>>,
    /// Owners that somebody who has gone does not ask any more.
    unasked: BTreeSet<Key>,
    /// Microservices that are gone, by their names in the ledger, and whether their pods are still there.
    leaving: BTreeMap<String, bool>,
    /// When those who leave are due.
    leave: Option<Instant>,
}

struct Login {
    account: Account,
    due: Option<Instant>,
    failures: u32,
    carry: Carry,
    view: AccessView,
}

impl Logins {
    /// Whether that is news.
    pub(super) fn declare(&mut self, key: &Key, account: Option<Account>) -> bool {
        let Some(account) = account else { return self.withdraw(key) };
        let now = Some(Instant::now());
        match self.all.get_mut(key) {
            Some(login) if login.account == account => return false,
            Some(login) => {
                let before = std::mem::replace(&mut login.account, account);
                // That pods have gone is no other declaration.
                let same = Account { carried: None, ..before.clone() }
                    == Account { carried: None, ..login.account.clone() };
                login.view.compared &= same;
                (login.due, login.failures) = (now, 0);
                let uses = login.account.uses.clone();
                self.unlist(key, &before);
                self.list(key, uses.iter().map(|used| &used.topic));
            }
            None => {
                self.list(key, account.uses.iter().map(|used| &used.topic));
                let (carry, view) = (Carry::default(), AccessView::default());
                self.all.insert(key.clone(), Login { account, due: now, failures: 0, carry, view });
            }
        }
        true
    }

    fn withdraw(&mut self, key: &Key) -> bool {
        let Some(login) = self.all.remove(key) else { return false };
        self.unlist(key, &login.account);
        for (owner, askers) in &mut self.asks {
            if askers.remove(key).is_some() {
                self.unasked.insert(owner.clone());
            }
        }
        self.asks.retain(|_, askers| !askers.is_empty());
        true
    }

    fn list<'a>(&mut self, key: &Key, topics: impl Iterator<Item = &'a String>) {
        for topic in topics {
            self.users.entry(topic.clone()).or_default().insert(key.clone());
        }
    }

    fn unlist(&mut self, key: &Key, account: &Account) {
        for used in &account.uses {
            if let Some(users) = self.users.get_mut(&used.topic) {
                users.remove(key);
                if users.is_empty() {
                    self.users.remove(&used.topic);
                }
            }
        }
    }

    /// What the Secret holds now.
    pub(super) fn stored(&mut self, key: &Key, user: &str) -> bool {
        let Some(login) = self.all.get_mut(key) else { return false };
        login.account.stored = Stored::User(user.to_owned());
        login.due = Some(Instant::now());
        true
    }

    /// The login that waits to be put into the Secret, if it was made in this term.
    pub(super) fn offer(&self, key: &Key, term: u64) -> Option<Credential> {
        let carry = &self.all.get(key)?.carry;
        carry.offered.clone().filter(|_| carry.term == term)
    }

    /// What is known of a login.
    pub(super) fn view(&self, key: &Key) -> Option<AccessView> {
        Some(self.all.get(key)?.view.clone())
    }

    /// Who asks an owner for consent here.
    pub(super) fn asks(&self, owner: &Key) -> BTreeSet<Ask> {
        let asks = self.asks.get(owner).into_iter().flat_map(BTreeMap::values).flatten();
        asks.take(ASKS).cloned().collect()
    }

    /// Owners that are asked for less since the last call, because somebody has gone.
    pub(super) fn take_unasked(&mut self) -> BTreeSet<Key> {
        std::mem::take(&mut self.unasked)
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &Key> {
        self.all.keys()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty() && self.leaving.is_empty()
    }

    /// A topic, or what its owner allows, has changed: those who use it are looked at.
    pub(super) fn touch(&mut self, topic: &str) {
        let now = Instant::now();
        for key in self.users.get(topic).into_iter().flatten() {
            if let Some(login) = self.all.get_mut(key) {
                login.due = Some(now);
            }
        }
    }

    /// A user has changed: whose it is is looked at.
    pub(super) fn heard(&mut self, user: &str) {
        let is_of = |login: &&mut Login| match &login.account.identity {
            Identity::Managed(pair) => pair.iter().any(|of| of == user),
            Identity::Existing(of) => of == user,
        };
        self.all.values_mut().filter(is_of).for_each(|login| login.due = Some(Instant::now()));
    }

    /// A Microservice is gone: its users and ACLs are to be removed.
    pub(super) fn leave(&mut self, name: &str, in_use: bool) -> bool {
        if self.leaving.insert(name.to_owned(), in_use) == Some(in_use) {
            return false;
        }
        self.leave = Some(Instant::now());
        true
    }

    pub(super) fn is_leaving(&self, name: &str) -> bool {
        self.leaving.contains_key(name)
    }

    pub(super) fn stays(&mut self, name: &str) {
        self.leaving.remove(name);
    }

    pub(super) fn sweep(&mut self) {
        let now = Some(Instant::now());
        self.all.values_mut().for_each(|login| login.due = login.due.or(now));
        self.leave = self.leave.or(now);
    }

    /// When there is something to do next.
    pub(super) fn next(&self) -> Option<Instant> {
        self.all.values().filter_map(|login| login.due).chain(self.leave).min()
    }

    /// What is due, at most one batch.
    pub(super) fn take(&mut self) -> Duties {
        let now = Instant::now();
        let due = self.all.iter_mut().filter(|(_, login)| login.due.is_some_and(|due| due <= now));
        let duty = |(key, login): (&Key, &mut Login)| {
            login.due = None;
            let (account, carry) = (login.account.clone(), login.carry.clone());
            (key.clone(), Duty { account, carry, news: Vec::new() })
        };
        due.take(BATCH).map(duty).collect()
    }

    /// Those who leave, if it is their turn.
    pub(super) fn take_leaving(&mut self) -> Option<BTreeMap<String, bool>> {
        self.leave.take_if(|due| *due <= Instant::now())?;
        Some(self.leaving.clone())
    }

    /// Keeps what came out. Returns the objects that are to be told, and what happened to them.
    pub(super) fn finish(
        &mut self,
        duties: Duties,
        mut outcomes: BTreeMap<Key, Outcome>,
    ) -> (HashSet<Key>, Vec<(Key, News)>) {
        let (mut told, mut news) = (HashSet::new(), Vec::new());
        for (key, duty) in duties {
            news.extend(duty.news.into_iter().map(|news| (key.clone(), news)));
            let Some(login) = self.all.get_mut(&key) else { continue };
            let offered = duty.carry.offered != login.carry.offered;
            login.carry = duty.carry;
            let Some(mut outcome) = outcomes.remove(&key) else {
                // The whole batch has failed.
                login.due = login.due.or(Some(Instant::now()));
                continue;
            };
            login.schedule(&outcome);
            // Declared anew in the meantime: that is for the next batch.
            outcome.view.compared &= login.account == duty.account;
            if offered || login.view != outcome.view {
                told.insert(key.clone());
            }
            if login.view.lacks != outcome.view.lacks {
                told.extend(ask(&mut self.asks, &key, &outcome.view.lacks));
            }
            login.view = outcome.view;
        }
        (told, news)
    }

    /// Those who still leave are asked for again.
    pub(super) fn left(&mut self, asked: &BTreeMap<String, bool>, waits: &BTreeSet<String>) {
        let gone = |name: &String, in_use: &bool| asked.get(name) == Some(in_use) && !waits.contains(name);
        self.leaving.retain(|name, in_use| !gone(name, in_use));
        if self.leaving.values().any(|in_use| !in_use) {
            self.leave = self.leave.or(Some(Instant::now() + jittered(AGAIN)));
        }
    }

    pub(super) fn leave_again(&mut self, when: Instant) {
        self.leave = self.leave.or(Some(when));
    }
}

impl Login {
    fn schedule(&mut self, outcome: &Outcome) {
        let wait = if let Some(reason) = outcome.failure {
            self.failures += 1;
            Some(pace(reason, self.failures - 1))
        } else {
            self.failures = 0;
            outcome.again
        };
        let again = wait.map(|wait: Duration| Instant::now() + wait);
        self.due = self.due.into_iter().chain(again).min();
    }
}

/// Notes what a service asks of the owners of topics. Returns the owners for whom that is news.
fn ask(
    asks: &mut BTreeMap<Key, BTreeMap<Key, BTreeSet<Ask>>>,
    service: &Key,
    lacks: &BTreeSet<Lack>,
) -> Vec<Key> {
    let mut wanted: BTreeMap<Key, BTreeSet<Ask>> = BTreeMap::new();
    for lack in lacks {
        if let Lack::Consent { namespace, owner, topic, list } = lack {
            let (asking, name) = (service.namespace.to_string(), service.name.to_string());
            let ask = Ask { topic: topic.clone(), list, namespace: asking, name };
            wanted.entry(Key::new(namespace, owner)).or_default().insert(ask);
        }
    }
    let mut told = Vec::new();
    for (owner, askers) in asks.iter_mut() {
        if !wanted.contains_key(owner) && askers.remove(service).is_some() {
            told.push(owner.clone());
        }
    }
    asks.retain(|_, askers| !askers.is_empty());
    for (owner, all) in wanted {
        if asks.entry(owner.clone()).or_default().insert(service.clone(), all.clone()) != Some(all) {
            told.push(owner);
        }
    }
    told
}
