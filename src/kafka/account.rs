//! The login of one Microservice: two users take turns, so that a password is changed without a moment
//! in which a running pod has none. First creation is the rotation from nobody. Nothing here touches a
//! user that the ledger does not hold.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::consent::Use;
use super::topic::{Owner, Place};

/// What one Microservice needs of a cluster to log in and to be let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Whose it is.
    pub owner: Owner,
    /// Through which class and cluster.
    pub place: Place,
    /// As whom it logs in.
    pub identity: Identity,
    /// What it reads and writes.
    pub uses: Vec<Use>,
    /// The application.id of its Kafka Streams application, on the cluster.
    pub streams: Option<String>,
    /// Whether the operator keeps its ACLs.
    pub acls: bool,
    /// Value of the annotation that asks for another password.
    pub rotate: Option<String>,
    /// Age at which it gets another password without being asked, seconds.
    pub rotate_after: Option<i64>,
    /// Name of the Secret with the login that the operator makes.
    pub secret: Option<String>,
    /// What its Secret holds now.
    pub stored: Stored,
    /// Users that its pods and their templates carry; `None` = nobody has looked, so any may be in use.
    pub carried: Option<BTreeSet<String>>,
}

/// As whom a Microservice logs in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Identity {
    /// As one of two users that the operator makes.
    Managed([String; 2]),
    /// As a user that is made elsewhere.
    Existing(String),
}

/// What the Secret with the login holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Stored {
    /// No login: there is no Secret, or somebody has spoilt what was in it.
    #[default]
    Nothing,
    /// The login of this user.
    User(String),
    /// It is not the operator's: nothing can be put there.
    Foreign,
}

/// What the ledger knows of the login of a Microservice.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Recorded {
    /// Whose it is.
    pub owner: Owner,
    /// The class and its cluster through which it was declared, to reach it when its owner is gone.
    pub place: Place,
    /// Every user with a credential or ACLs of ours.
    pub users: BTreeMap<String, Standing>,
    /// Value of the annotation that was last carried out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotated: Option<String>,
    /// Since when the Secret holds the active user, seconds since 1970; `None` = longer than is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub switched: Option<i64>,
    /// Its owner is gone since then, seconds since 1970: users and ACLs are to be removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub doomed: Option<i64>,
}

/// Where a user stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Standing {
    /// It is being made. As long as neither the Secret nor a pod has it, it may get another password.
    Reserved,
    /// The Secret holds it.
    Active,
    /// The Secret held it until then, seconds since 1970; pods may still use it.
    Retiring(i64),
    /// It is made elsewhere; only its ACLs are ours.
    Granted,
    /// It was granted until then, seconds since 1970; its ACLs go, it stays.
    Leaving(i64),
}

impl Standing {
    /// Every word of [`Standing::word`].
    pub const WORDS: [&str; 5] = ["Reserved", "Active", "Retiring", "Granted", "Leaving"];

    /// Its name, without since when.
    pub fn word(self) -> &'static str {
        match self {
            Self::Reserved => "Reserved",
            Self::Active => "Active",
            Self::Retiring(_) => "Retiring",
            Self::Granted => "Granted",
            Self::Leaving(_) => "Leaving",
        }
    }

    /// Whether its credential is ours too.
    pub fn is_ours(self) -> bool {
        !matches!(self, Self::Granted | Self::Leaving(_))
    }
}

/// What is known beside declaration and record.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    /// Which of the users in question have a credential on the broker.
    pub exist: &'a BTreeSet<String>,
    /// The user whose new password waits to be put into the Secret.
    pub offered: Option<&'a str>,
    /// Now, seconds since 1970.
    pub now: i64,
    /// How long a user is kept at least after the Secret has changed, seconds.
    pub grace: i64,
}

/// Why there is no login.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// A user of this name exists and was not made by the operator.
    Taken(String),
    /// The Secret holds this user, which exists and of which the ledger knows nothing.
    Unrecorded(String),
    /// A Secret of the name exists and is not the operator's.
    SecretTaken,
    /// Both users are in use by pods, and the Secret is gone.
    BothInUse,
    /// This user, which is made elsewhere, is another Microservice's login too.
    Shared {
        /// Its name.
        user: String,
        /// Who has it.
        by: Owner,
    },
}

/// The decision about one login.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decision {
    /// What the ledger has to hold before anything is sent; `None` = nothing is ours.
    pub record: Option<Recorded>,
    /// The user that gets a new password.
    pub make: Option<String>,
    /// Users whose ACLs and then credential go.
    pub retire: BTreeSet<String>,
    /// Users that have all rights of the Microservice.
    pub grant: BTreeSet<String>,
    /// Why there is no login.
    pub obstacle: Option<Obstacle>,
    /// Whether the pods have to be looked at before anything else is done.
    pub look: bool,
}

/// The age, seconds, at which the password of this owner is changed: somewhere in the last tenth of
/// `after`, always at the same place, so that those who got their passwords together do not roll together.
pub fn age_to_rotate(owner: &Owner, after: i64) -> i64 {
    // FNV-1a: the same in every release and on every machine.
    let name = owner.namespace.bytes().chain([b'/']).chain(owner.name.bytes());
    let hash = name.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let window = u64::try_from(after / 10).unwrap_or_default();
    let early = i64::try_from(hash % (window + 1)).unwrap_or_default();
    after.saturating_sub(early)
}

/// How an ACL names a user.
pub fn principal(user: &str) -> String {
    format!("User:{user}")
}

/// Users to look at before [`decide`]: all that are recorded, stored or may be made.
pub fn candidates(account: &Account, recorded: Option<&Recorded>) -> BTreeSet<String> {
    let mut all: BTreeSet<String> =
        recorded.into_iter().flat_map(|record| record.users.keys()).cloned().collect();
    if let Identity::Managed(pair) = &account.identity {
        all.extend(pair.iter().cloned());
        if let Stored::User(user) = &account.stored {
            all.insert(user.clone());
        }
    }
    all
}

/// Decides about one login.
pub fn decide(account: &Account, recorded: Option<&Recorded>, seen: &Seen<'_>) -> Decision {
    let mut turn = Turn {
        account,
        seen,
        users: recorded.map(|record| record.users.clone()).unwrap_or_default(),
        rotated: recorded.and_then(|record| record.rotated.clone()),
        switched: recorded.and_then(|record| record.switched),
        hurry: false,
        decision: Decision::default(),
    };
    match &account.identity {
        Identity::Managed(pair) => turn.managed(pair),
        Identity::Existing(user) => turn.existing(user),
    }
    turn.finish()
}

/// The decision about the login of a Microservice that is gone, or has none any more.
pub fn let_go(recorded: &Recorded, in_use: bool) -> Decision {
    let retire = if in_use { BTreeSet::new() } else { recorded.users.keys().cloned().collect() };
    Decision { record: Some(recorded.clone()), retire, ..Decision::default() }
}

impl Recorded {
    /// After these users have gone; `None` = nothing of ours is left.
    pub fn without(&self, gone: &BTreeSet<String>) -> Option<Self> {
        let mut left = self.clone();
        left.users.retain(|user, _| !gone.contains(user));
        (!left.users.is_empty()).then_some(left)
    }

    /// The user whose login the pods get.
    pub fn active(&self) -> Option<&String> {
        self.users.iter().find(|(_, standing)| **standing == Standing::Active).map(|(user, _)| user)
    }

    /// Users that pods may still use beside the active one.
    pub fn retiring(&self) -> impl Iterator<Item = &String> {
        self.users.iter().filter(|(_, standing)| is_retiring(standing)).map(|(user, _)| user)
    }
}

fn is_retiring(standing: &Standing) -> bool {
    matches!(standing, Standing::Retiring(_))
}

struct Turn<'a> {
    account: &'a Account,
    seen: &'a Seen<'a>,
    users: BTreeMap<String, Standing>,
    rotated: Option<String>,
    switched: Option<i64>,
    /// Without a login new pods cannot start: a user that nobody carries goes at once.
    hurry: bool,
    decision: Decision,
}

impl Turn<'_> {
    fn existing(&mut self, user: &str) {
        self.retire_all_but(&[user.to_owned()]);
        // One that we have made under this name stays ours.
        if self.account.acls {
            self.users.entry(user.to_owned()).and_modify(stay).or_insert(Standing::Granted);
        }
    }

    fn managed(&mut self, pair: &[String; 2]) {
        self.retire_all_but(pair);
        let stored = match &self.account.stored {
            Stored::Foreign => {
                self.decision.obstacle = Some(Obstacle::SecretTaken);
                return;
            }
            Stored::User(user) if self.users.contains_key(user) => Some(user),
            // Its pods may well use it, and whose it is nobody knows: in doubt nothing is changed.
            Stored::User(user) if self.seen.exist.contains(user) => {
                self.decision.obstacle = Some(Obstacle::Unrecorded(user.clone()));
                return;
            }
            Stored::User(_) | Stored::Nothing => None,
        };
        if let Some(user) = stored {
            self.promote(user);
        }
        // One of another prefix is exchanged, and works until then.
        let works = stored.is_some_and(|user| self.seen.exist.contains(user) && pair.contains(user));
        let begun = self.reserved(pair).filter(|user| self.is_free(user));
        match begun {
            Some(user) => self.go_on(user),
            None if !works || self.is_asked() || self.is_due() => self.reserve(pair),
            None => {}
        }
    }

    /// Whether a user that was reserved before may get another password: a Secret that held it may have
    /// come and gone since. If a pod has it, it is in use.
    fn is_free(&mut self, user: &str) -> bool {
        let carried = self.account.carried.as_ref().is_some_and(|carried| carried.contains(user));
        if carried && !self.is_offered(user) {
            self.users.insert(user.to_owned(), Standing::Retiring(self.seen.now));
            return false;
        }
        true
    }

    fn go_on(&mut self, user: String) {
        if self.is_offered(&user) {
            return;
        }
        if self.account.carried.is_none() {
            self.decision.look = true;
            return;
        }
        self.decision.make = Some(user);
    }

    fn is_offered(&self, user: &str) -> bool {
        self.seen.offered == Some(user) && self.seen.exist.contains(user)
    }

    /// Users that are no longer the Microservice's: pods may still use them.
    fn retire_all_but(&mut self, pair: &[String]) {
        let now = self.seen.now;
        for (_, standing) in self.users.iter_mut().filter(|(user, _)| !pair.contains(user)) {
            match standing {
                Standing::Active | Standing::Reserved => *standing = Standing::Retiring(now),
                Standing::Granted => *standing = Standing::Leaving(now),
                Standing::Retiring(_) | Standing::Leaving(_) => {}
            }
        }
    }

    /// The Secret holds this user, so it is the one in use, also after somebody has brought an old
    /// Secret back.
    fn promote(&mut self, user: &str) {
        let is_new = self.users.get(user) != Some(&Standing::Active);
        // Of one whose age nobody noted, it counts from now on, once that matters.
        if is_new || (self.switched.is_none() && self.account.rotate_after.is_some()) {
            self.switched = Some(self.seen.now);
        }
        for (other, standing) in &mut self.users {
            if other == user {
                *standing = Standing::Active;
            } else if *standing == Standing::Active {
                *standing = Standing::Retiring(self.seen.now);
            }
        }
    }

    fn reserved(&self, pair: &[String; 2]) -> Option<String> {
        pair.iter().find(|user| self.users.get(*user) == Some(&Standing::Reserved)).cloned()
    }

    /// Whether another password is asked for, and the last change of it is over.
    fn is_asked(&self) -> bool {
        let asked = self.account.rotate.is_some() && self.account.rotate != self.rotated;
        asked && !self.users.values().any(is_retiring)
    }

    /// Whether the password is as old as it may get, and the last change of it is over.
    fn is_due(&self) -> bool {
        let times = self.account.rotate_after.zip(self.switched);
        let old = times.is_some_and(|(after, since)| {
            self.seen.now.saturating_sub(since) >= age_to_rotate(&self.account.owner, after)
        });
        old && !self.users.values().any(is_retiring)
    }

    fn reserve(&mut self, pair: &[String; 2]) {
        let free = pair.iter().find(|user| !self.users.contains_key(*user) && !self.is_elsewhere(user));
        let Some(user) = free.or_else(|| pair.iter().find(|user| self.is_left(user))) else {
            self.hurry = true;
            self.decision.look = true;
            self.decision.obstacle = Some(Obstacle::BothInUse);
            return;
        };
        if self.seen.exist.contains(user) && !self.users.contains_key(user) {
            self.decision.obstacle = Some(Obstacle::Taken(user.clone()));
            return;
        }
        self.users.insert(user.clone(), Standing::Reserved);
        self.rotated.clone_from(&self.account.rotate);
        self.decision.make = Some(user.clone());
    }

    /// Whether the Secret holds a user of this name that is of another cluster, from which the Microservice
    /// has moved: with the same name here, nobody could tell which of them the Secret and the pods have.
    fn is_elsewhere(&self, user: &str) -> bool {
        matches!(&self.account.stored, Stored::User(stored) if stored == user)
    }

    /// Whether a user of ours was in use and is in no Secret and no pod any more.
    fn is_left(&self, user: &str) -> bool {
        let stored = matches!(&self.account.stored, Stored::User(stored) if stored == user);
        self.users.get(user) == Some(&Standing::Active) && !stored && self.is_unused(user)
    }

    fn is_unused(&self, user: &str) -> bool {
        self.account.carried.as_ref().is_some_and(|carried| !carried.contains(user))
    }

    fn finish(mut self) -> Decision {
        let may_go =
            |(user, standing): (&String, &Standing)| self.may_go(user, *standing).then(|| user.clone());
        let retire: BTreeSet<String> = self.users.iter().filter_map(may_go).collect();
        if self.account.acls {
            let stays = |user: &&String| !retire.contains(*user);
            self.decision.grant = self.users.keys().filter(stays).cloned().collect();
        }
        self.decision.retire = retire;
        self.decision.look |= self.users.values().any(is_retiring);
        self.decision.record = (!self.users.is_empty()).then(|| Recorded {
            owner: self.account.owner.clone(),
            place: self.account.place.clone(),
            users: self.users,
            rotated: self.rotated,
            switched: self.switched,
            doomed: None,
        });
        self.decision
    }

    fn may_go(&self, user: &str, standing: Standing) -> bool {
        let rested = |since: i64| self.seen.now.saturating_sub(since) >= self.seen.grace;
        match standing {
            Standing::Retiring(since) => {
                let stored = matches!(&self.account.stored, Stored::User(stored) if stored == user);
                self.is_unused(user) && !stored && (rested(since) || self.hurry)
            }
            Standing::Leaving(since) => rested(since),
            Standing::Reserved | Standing::Active | Standing::Granted => false,
        }
    }
}

/// Back to what it was before it was to leave.
fn stay(standing: &mut Standing) {
    if let Standing::Leaving(_) = standing {
        *standing = Standing::Granted;
    }
}

#[cfg(test)]
mod tests;
