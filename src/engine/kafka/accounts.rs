//! One batch of logins: look, decide, record, give rights, make users, try them, let old ones go. The
//! ledger is written before the broker, and all calls are for all logins at once.

mod leave;
mod rights;
mod shared;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::StreamExt;
use futures::stream;
use tokio::time::Instant;

use super::ledger::{Edit, Ledger};
use super::round::{may_write, of_ledger};
use super::trouble::{is_of_all, trouble};
use super::{Broker, BrokerError, Credential, Held};
use crate::api::Reason;
use crate::engine::lease::Fence;
use crate::engine::live::Key;
use crate::engine::request::Failure;
use crate::kafka::account::{self, Account, Decision, Identity, Recorded, Seen, Standing, Stored};
use crate::kafka::consent::{Claims, Consents, Known, claims};
use crate::kafka::model::Acl;
use crate::kafka::topic::{self, Owner};
use crate::kafka::view::{AccessView, Happened, News, Trouble};

/// Logins that are tried at the same time.
const TRIALS: usize = 8;
/// How long the owner of a topic may be silent until that is told: after a start all are heard of in turn.
const SILENT: Duration = Duration::from_secs(15);
/// How long brokers may take to hear of a new user: until then it keeps its password.
const TRIAL: Duration = Duration::from_secs(60);

/// What is known of one login between two batches.
#[derive(Clone, Debug, Default)]
pub struct Carry {
    /// A login that waits to be put into the Secret.
    pub offered: Option<Credential>,
    /// During which term of this replica it was made.
    pub term: u64,
    /// A login that was made and with which no broker has let anybody in so far.
    trial: Option<Trial>,
    /// Digest of the rights that it was last seen with or given.
    confirmed: Option<u64>,
    /// When rights were last given.
    given: Option<Instant>,
    /// How often in a row they had gone.
    vanished: u32,
    /// Since when an owner of its topics is not heard of.
    silent: Option<Instant>,
}

/// A login that is new to the brokers.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Trial {
    credential: Credential,
    since: Instant,
    /// The password before was refused for as long as one is tried.
    again: bool,
}

/// One login of a batch.
#[derive(Clone, Debug)]
pub struct Duty {
    /// What is declared.
    pub account: Account,
    /// What was carried over from the last batch.
    pub carry: Carry,
    /// What happened, for Events.
    pub news: Vec<News>,
}

/// What became of one login.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// What its object is told.
    pub view: AccessView,
    /// Why to look again before the next sweep.
    pub failure: Option<Reason>,
    /// When to look again although nothing failed.
    pub again: Option<Duration>,
}

/// The logins of a batch.
pub type Duties = BTreeMap<Key, Duty>;
/// What those who declare a topic allow, by its name on the broker.
pub type Allowed = BTreeMap<String, Vec<(Owner, Consents)>>;

/// A cluster and its ledgers.
pub struct Accounts<'a> {
    /// The cluster.
    pub broker: &'a dyn Broker,
    /// Who has which users.
    pub ledger: &'a Ledger<Recorded>,
    /// Who owns which topics.
    pub topics: &'a Ledger<topic::Recorded>,
    /// The cluster's own id.
    pub cluster_id: &'a str,
    /// Whether this replica may write, asked before each request that changes something.
    pub fence: &'a Fence,
    /// How long a user is kept at least after the Secret has changed.
    pub grace: Duration,
    /// Now, seconds since 1970.
    pub now: i64,
}

/// A login while its batch is under way.
#[derive(Debug, Default)]
struct Work {
    /// As the ledger had it when the batch began.
    before: Option<Recorded>,
    /// As the ledger has it now.
    stored: Option<Recorded>,
    decision: Decision,
    claims: Claims,
    have: BTreeMap<String, BTreeSet<Acl>>,
    contested: bool,
    unsupported: Option<String>,
    trouble: Option<Trouble>,
}

type Works = BTreeMap<Key, Work>;

/// Name of a login in the ledger.
pub fn ledger_name(key: &Key) -> String {
    format!("{}.{}", key.namespace, key.name)
}

impl Accounts<'_> {
    /// Brings the logins in line with what is declared.
    ///
    /// # Errors
    /// What concerns the whole batch: no broker, no login, no ledger.
    pub async fn run(
        &self,
        duties: &mut Duties,
        allowed: &Allowed,
    ) -> Result<BTreeMap<Key, Outcome>, Trouble> {
        if duties.is_empty() {
            return Ok(BTreeMap::new());
        }
        for duty in duties.values_mut().filter(|duty| duty.carry.term != self.fence.term()) {
            // Another leader may have given the user another password.
            (duty.carry.offered, duty.carry.trial) = (None, None);
        }
        let mut works = self.look(duties, allowed).await?;
        self.record(&mut works).await?;
        tell_of_turns(duties, &works);
        self.find_acls(duties, &mut works).await?;
        self.give_rights(duties, &mut works).await?;
        self.make(duties, &mut works).await?;
        self.retire(duties, &mut works).await?;
        self.hear(&mut works).await?;
        for (key, work) in &works {
            if let Some(duty) = duties.get_mut(key) {
                let silent = !work.claims.open.is_empty();
                duty.carry.silent = duty.carry.silent.or_else(|| Some(Instant::now())).filter(|_| silent);
            }
        }
        Ok(works.into_iter().map(|(key, work)| (key.clone(), self.outcome(work, duties.get(&key)))).collect())
    }

    async fn look(&self, duties: &Duties, allowed: &Allowed) -> Result<Works, Trouble> {
        let names: Vec<String> = duties.keys().map(ledger_name).collect();
        let records = self.ledger.records(self.cluster_id, names.iter()).await.map_err(of)?;
        let used = duties.values().flat_map(|duty| &duty.account.uses).map(|used| &used.topic);
        let used: BTreeSet<&String> = used.collect();
        let topics = self.topics.records(self.cluster_id, used.into_iter()).await.map_err(of)?;
        let record = |name: &String| records.get(name).and_then(|found| found.as_ref().ok()?.as_ref());
        let asked: BTreeSet<String> = duties
            .values()
            .zip(&names)
            .flat_map(|(duty, name)| account::candidates(&duty.account, record(name)))
            .collect();
        let (mut exist, refused) = self.existing(&asked.into_iter().collect::<Vec<_>>()).await?;
        for user in self.outdated(duties, &exist).await? {
            tracing::warn!(
                user,
                "somebody has given a Kafka user another password: its other user takes over"
            );
            exist.remove(&user);
        }
        let mut shared = self.shared(duties).await?;
        let mut works = Works::new();
        for ((key, duty), name) in duties.iter().zip(&names) {
            let mut work = Work::default();
            if let Some(Err(failure)) = records.get(name) {
                work.trouble = Some(of(failure.clone()));
            } else {
                work.before = record(name).cloned();
                work.stored.clone_from(&work.before);
                work.claims = judged(&duty.account, &topics, allowed);
            }
            // Without users of ours nothing is concluded from those that exist.
            work.trouble = work.trouble.or_else(|| refused.clone().filter(|_| makes_users(&duty.account)));
            if let Some(obstacle) = shared.remove(key) {
                let record = work.stored.clone();
                work.decision = Decision { record, obstacle: Some(obstacle), ..Decision::default() };
            } else if work.trouble.is_none() {
                work.decision =
                    account::decide(&duty.account, work.before.as_ref(), &self.seen(duty, &exist));
            }
            works.insert(key.clone(), work);
        }
        Ok(works)
    }

    fn seen<'s>(&self, duty: &'s Duty, exist: &'s BTreeSet<String>) -> Seen<'s> {
        Seen {
            exist,
            offered: duty.carry.offered.as_ref().map(|offered| offered.user.as_str()),
            now: self.now,
            grace: i64::try_from(self.grace.as_secs()).unwrap_or(i64::MAX),
        }
    }

    /// Which users exist, or why nobody may ask.
    async fn existing(&self, names: &[String]) -> Result<(BTreeSet<String>, Option<Trouble>), Trouble> {
        if names.is_empty() {
            return Ok((BTreeSet::new(), None));
        }
        match self.broker.users(names).await.map_err(|error| trouble(&error)) {
            Ok(exist) => Ok((exist, None)),
            Err(trouble) if is_of_all(trouble.reason) => Err(trouble),
            Err(trouble) => Ok((BTreeSet::new(), Some(trouble))),
        }
    }

    /// Users that exist and with whose password in the Secret of their service nobody can log in any more.
    async fn outdated(&self, duties: &Duties, exist: &BTreeSet<String>) -> Result<BTreeSet<String>, Trouble> {
        let held = |account: &Account| match (&account.stored, &account.secret) {
            (Stored::User(user), Some(secret)) if exist.contains(user) => Some(Held {
                user: user.clone(),
                namespace: account.owner.namespace.clone(),
                secret: secret.clone(),
            }),
            _ => None,
        };
        let held: Vec<Held> = duties.values().filter_map(|duty| held(&duty.account)).collect();
        self.broker.outdated(&held).await.map_err(|error| trouble(&error))
    }

    /// Writes what the decisions want to have recorded. Nothing is sent for a login that is not.
    async fn record(&self, works: &mut Works) -> Result<(), Trouble> {
        let changed = |work: &Work| work.trouble.is_none() && work.decision.record != work.stored;
        let edit = |work: &Work| Edit { from: work.stored.clone(), to: work.decision.record.clone() };
        let edits: BTreeMap<String, Edit<Recorded>> = works
            .iter()
            .filter(|(_, work)| changed(work))
            .map(|(key, work)| (ledger_name(key), edit(work)))
            .collect();
        if edits.is_empty() {
            return Ok(());
        }
        let failed = self.ledger.write(self.cluster_id, edits).await.map_err(of)?;
        for (key, work) in works.iter_mut().filter(|(_, work)| work.trouble.is_none()) {
            match failed.get(&ledger_name(key)) {
                Some(failure) => work.stop(of(failure.clone())),
                None => work.stored.clone_from(&work.decision.record),
            }
        }
        Ok(())
    }

    /// Gives new passwords to users that no Secret holds, and tries them. One that is refused may not have
    /// come round yet: it is tried again for a while before there is another.
    async fn make(&self, duties: &mut Duties, works: &mut Works) -> Result<(), Trouble> {
        let wanted = works.iter().filter_map(|(key, work)| Some((key.clone(), work.decision.make.clone()?)));
        let (known, new): (Vec<_>, Vec<_>) = wanted.partition(|(key, user)| {
            let trial = duties.get(key).and_then(|duty| duty.carry.trial.as_ref());
            trial.is_some_and(|trial| trial.credential.user == *user && trial.since.elapsed() < TRIAL)
        });
        let made = self.make_new(new, duties, works).await?;
        self.try_out(duties, works, known.into_iter().map(|(key, _)| key).chain(made)).await;
        Ok(())
    }

    /// Gives new passwords. Returns whose are to be tried.
    async fn make_new(
        &self,
        new: Vec<(Key, String)>,
        duties: &mut Duties,
        works: &mut Works,
    ) -> Result<Vec<Key>, Trouble> {
        if new.is_empty() {
            return Ok(Vec::new());
        }
        may_write(self.fence)?;
        let term = self.fence.term();
        let names: Vec<String> = new.iter().map(|(_, user)| user.clone()).collect();
        let answers = self.broker.make_users(&names).await.map_err(|error| trouble(&error))?;
        let mut made = Vec::new();
        for ((key, _), answer) in new.into_iter().zip(answers) {
            match (answer, duties.get_mut(&key)) {
                (Ok(credential), Some(duty)) => {
                    let carry = &mut duty.carry;
                    let trial = Trial { credential, since: Instant::now(), again: carry.trial.is_some() };
                    (carry.offered, carry.trial, carry.term) = (None, Some(trial), term);
                    made.push(key);
                }
                (Ok(_), None) => {}
                (Err(error), _) => works.entry(key).or_default().stop(trouble(&error)),
            }
        }
        Ok(made)
    }

    /// Logs in as services will, and offers what works.
    async fn try_out(&self, duties: &mut Duties, works: &mut Works, keys: impl Iterator<Item = Key>) {
        let trials = keys.filter_map(|key| {
            let trial = duties.get(&key)?.carry.trial.clone()?;
            Some((key, trial))
        });
        let tries = stream::iter(Vec::from_iter(trials)).map(|(key, trial)| async move {
            let tried = self.broker.log_in(&trial.credential).await;
            (key, trial, tried)
        });
        let tried: Vec<_> = tries.buffer_unordered(TRIALS).collect().await;
        for (key, trial, tried) in tried {
            let (Some(duty), Some(work)) = (duties.get_mut(&key), works.get_mut(&key)) else { continue };
            match tried {
                Ok(()) => (duty.carry.offered, duty.carry.trial) = (Some(trial.credential), None),
                Err(BrokerError::LoginRefused(text)) => {
                    let lasting = trial.again || trial.since.elapsed() >= TRIAL;
                    work.stop(Trouble { reason: Reason::CredentialRefused, text, lasting });
                }
                Err(error) => work.stop(trouble(&error)),
            }
        }
    }

    /// What has come of what the cluster was told of the users that stay.
    async fn hear(&self, works: &mut Works) -> Result<(), Trouble> {
        if !self.broker.keeps_descriptions() {
            return Ok(());
        }
        for work in works.values_mut().filter(|work| work.trouble.is_none()) {
            let users = work.stored.iter().flat_map(|record| record.users.keys());
            let names: Vec<String> =
                users.filter(|user| !work.decision.retire.contains(*user)).cloned().collect();
            let answers = self.broker.verdicts_of_users(&names).await.map_err(|error| trouble(&error))?;
            work.trouble = answers.into_iter().find_map(Result::err).map(|error| trouble(&error));
        }
        Ok(())
    }

    /// Takes the credentials of users away whose ACLs are gone, and forgets them.
    async fn retire(&self, duties: &mut Duties, works: &mut Works) -> Result<(), Trouble> {
        let going = works.iter().filter(|(_, work)| work.trouble.is_none() && !work.contested);
        let going: BTreeMap<Key, BTreeSet<String>> = going
            .map(|(key, work)| (key.clone(), work.decision.retire.clone()))
            .filter(|(_, retire)| !retire.is_empty())
            .collect();
        if going.is_empty() {
            return Ok(());
        }
        let ours = |key: &Key, user: &String| {
            let stored = works.get(key).and_then(|work| work.stored.as_ref());
            stored.and_then(|record| record.users.get(user)).is_some_and(|standing| standing.is_ours())
        };
        let names: Vec<(Key, String)> = going
            .iter()
            .flat_map(|(key, users)| users.iter().map(|user| (key.clone(), user.clone())))
            .filter(|(key, user)| ours(key, user))
            .collect();
        let failed = self.remove(&names.iter().map(|(_, user)| user.clone()).collect::<Vec<_>>()).await?;
        for (key, retired) in &going {
            let Some(work) = works.get_mut(key) else { continue };
            if let Some(trouble) = retired.iter().find_map(|user| failed.get(user)) {
                work.stop(trouble.clone());
                continue;
            }
            work.decision.record = work.stored.as_ref().and_then(|record| record.without(retired));
        }
        self.record(works).await?;
        for (key, user) in names {
            let gone = works.get(&key).is_some_and(|work| work.trouble.is_none());
            if let Some(duty) = duties.get_mut(&key).filter(|_| gone) {
                duty.news.push(News { topic: user, what: Happened::LoginRetired });
            }
        }
        Ok(())
    }

    /// Removes users; those that could not be, each with why.
    async fn remove(&self, names: &[String]) -> Result<BTreeMap<String, Trouble>, Trouble> {
        if names.is_empty() {
            return Ok(BTreeMap::new());
        }
        may_write(self.fence)?;
        let answers = self.broker.remove_users(names).await.map_err(|error| trouble(&error))?;
        let failed = names.iter().zip(answers).filter_map(|(name, answer)| match answer {
            Ok(()) | Err(BrokerError::Missing) => None,
            Err(error) => Some((name.clone(), trouble(&error))),
        });
        Ok(failed.collect())
    }

    fn outcome(&self, work: Work, duty: Option<&Duty>) -> Outcome {
        let stored = work.stored.as_ref();
        let granted = |record: &Recorded| {
            record.users.iter().find(|(_, s)| **s == Standing::Granted).map(|(user, _)| user.clone())
        };
        let retiring: BTreeSet<String> =
            stored.map(|record| record.retiring().cloned().collect()).unwrap_or_default();
        let silent = duty.and_then(|duty| duty.carry.silent);
        let patience = silent.and_then(|since| SILENT.checked_sub(since.elapsed()));
        let rests = stored.zip(duty).and_then(|(record, duty)| self.again(record, duty));
        Outcome {
            // For what only a person can change, the sweep is soon enough.
            failure: work.trouble.as_ref().map(|trouble| trouble.reason),
            again: rests.into_iter().chain(patience).min(),
            view: AccessView {
                compared: work.trouble.is_none() && patience.is_none(),
                user: stored.and_then(|record| record.active().cloned().or_else(|| granted(record))),
                retiring,
                looks_at_pods: work.decision.look,
                obstacle: work.decision.obstacle,
                lacks: work.claims.lacks,
                open: work.claims.open,
                asks: BTreeSet::new(),
                contested: work.contested,
                unsupported: work.unsupported,
                trouble: work.trouble,
            },
        }
    }

    /// When the next user that no pod carries has rested long enough.
    fn again(&self, record: &Recorded, duty: &Duty) -> Option<Duration> {
        let grace = i64::try_from(self.grace.as_secs()).unwrap_or(i64::MAX);
        let carried = duty.account.carried.as_ref();
        let since = record.users.iter().filter_map(|(user, standing)| match standing {
            Standing::Retiring(since) => carried.is_some_and(|all| !all.contains(user)).then_some(*since),
            Standing::Leaving(since) => Some(*since),
            _ => None,
        });
        let wait = since.map(|since| since.saturating_add(grace).saturating_sub(self.now)).min()?;
        Some(Duration::from_secs(u64::try_from(wait.max(1)).unwrap_or(1)))
    }
}

impl Work {
    fn stop(&mut self, trouble: Trouble) {
        self.trouble = Some(trouble);
        self.decision.make = None;
        self.decision.retire.clear();
    }
}

/// What was offered has arrived; another user in use is news.
fn tell_of_turns(duties: &mut Duties, works: &Works) {
    for (key, work) in works.iter().filter(|(_, work)| work.trouble.is_none()) {
        let Some(duty) = duties.get_mut(key) else { continue };
        let (before, now) = (
            work.before.as_ref().and_then(Recorded::active),
            work.stored.as_ref().and_then(Recorded::active),
        );
        let Some(user) = now else { continue };
        duty.carry.offered.take_if(|offered| offered.user == *user);
        if before != now {
            let what = if before.is_some() { Happened::LoginRotated } else { Happened::LoginMade };
            duty.news.push(News { topic: user.clone(), what });
        }
    }
}

fn makes_users(account: &Account) -> bool {
    matches!(account.identity, Identity::Managed(_)) && account.stored != Stored::Foreign
}

type Records = BTreeMap<String, Result<Option<topic::Recorded>, Failure>>;

fn judged(account: &Account, topics: &Records, allowed: &Allowed) -> Claims {
    let known = |topic: &str| match topics.get(topic) {
        Some(Err(_)) => Known::Unreadable,
        Some(Ok(Some(record))) => {
            let declared = allowed.get(topic).into_iter().flatten();
            let of_owner = declared.into_iter().find(|(owner, _)| record.owner.continues(owner));
            Known::Ledger(Some(record), of_owner.map(|(_, consents)| consents))
        }
        Some(Ok(None)) | None => Known::Ledger(None, None),
    };
    claims(&account.owner, &account.uses, account.streams.as_deref(), known)
}

#[allow(clippy::needless_pass_by_value)] // as errors come
fn of(failure: Failure) -> Trouble {
    of_ledger(&failure)
}

#[cfg(test)]
mod tests;
