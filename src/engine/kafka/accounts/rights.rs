//! The ACLs of a batch of logins: what is there, what is added and taken away in one call for all, and who
//! keeps removing them.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use futures::future::join_all;
use tokio::time::Instant;

use super::{Accounts, Duties, Work, Works};
use crate::engine::kafka::BrokerError;
use crate::engine::kafka::round::may_write;
use crate::engine::kafka::trouble::{is_of_all, trouble};
use crate::engine::live::Key;
use crate::kafka::account::{Recorded, principal};
use crate::kafka::consent::Claims;
use crate::kafka::model::Acl;
use crate::kafka::rights::rights;
use crate::kafka::view::{Happened, News, Trouble};

/// Up to this number principals are asked for one by one, beyond it all ACLs are read at once.
const FEW: usize = 8;
/// A broker hears of new ACLs a moment after they are made: what it does not show before is not lost.
const SHOWS: Duration = Duration::from_secs(2);
/// How often in a row ACLs have to be gone until somebody else is taken to remove them.
const CONTESTED: u32 = 2;

impl Accounts<'_> {
    /// What the principals in question have now.
    pub(super) async fn find_acls(&self, duties: &Duties, works: &mut Works) -> Result<(), Trouble> {
        let concerned = |key: &Key, work: &Work| {
            work.trouble.is_none() && duties.get(key).is_some_and(|duty| duty.account.acls)
        };
        let users: BTreeSet<String> = works
            .iter()
            .filter(|(key, work)| concerned(key, work))
            .flat_map(|(_, work)| work.decision.grant.union(&work.decision.retire).cloned())
            .collect();
        let found = self.acls_of(&users).await;
        let of_works = works.iter_mut().filter(|(key, work)| concerned(key, work));
        match found {
            Ok(found) => {
                for (_, work) in of_works {
                    let mine = work.decision.grant.union(&work.decision.retire);
                    let have = |user: &String| (user.clone(), found.get(user).cloned().unwrap_or_default());
                    work.have = mine.map(have).collect();
                }
            }
            Err(BrokerError::Unsupported(text)) => {
                of_works.for_each(|(_, work)| work.unsupported = Some(text.clone()));
            }
            Err(error) => {
                let trouble = trouble(&error);
                if is_of_all(trouble.reason) {
                    return Err(trouble);
                }
                of_works.for_each(|(_, work)| work.stop(trouble.clone()));
            }
        }
        Ok(())
    }

    /// ACLs by user.
    pub(super) async fn acls_of(
        &self,
        users: &BTreeSet<String>,
    ) -> Result<BTreeMap<String, BTreeSet<Acl>>, BrokerError> {
        if users.len() <= FEW {
            let ask = |user: &String| {
                let (user, principal) = (user.clone(), principal(user));
                async move { Ok((user, self.broker.acls(&principal).await?)) }
            };
            return join_all(users.iter().map(ask)).await.into_iter().collect();
        }
        let mut found: BTreeMap<String, BTreeSet<Acl>> = BTreeMap::new();
        for acl in self.broker.all_acls().await? {
            if let Some(user) = acl.principal.strip_prefix("User:").filter(|user| users.contains(*user)) {
                found.entry(user.to_owned()).or_default().insert(acl);
            }
        }
        Ok(found)
    }

    pub(super) async fn give_rights(&self, duties: &mut Duties, works: &mut Works) -> Result<(), Trouble> {
        let (mut allow, mut revoke) = (Batch::default(), Batch::default());
        for (key, work) in works.iter_mut().filter(|(_, work)| work.is_open()) {
            let Some(duty) = duties.get_mut(key) else { continue };
            let wanted = work.wanted();
            let gone = duty.carry.confirmed == Some(wanted) && work.lost();
            if duty.carry.confirmed != Some(wanted) {
                (duty.carry.vanished, duty.carry.given) = (0, None);
            } else if !gone {
                duty.carry.vanished = 0;
            } else if self.broker.keeps_descriptions()
                || duty.carry.given.is_none_or(|given| given.elapsed() >= SHOWS)
            {
                duty.carry.vanished += 1;
            }
            work.contested = duty.carry.vanished >= CONTESTED;
            if work.contested {
                continue;
            }
            for (user, have) in &work.have {
                let none = Claims::default();
                let claims = if work.decision.retire.contains(user) { &none } else { &work.claims };
                let change = claims.difference(&principal(user), have);
                allow.extend(key, change.allow);
                revoke.extend(key, change.revoke);
            }
            if gone && duty.carry.vanished > 0 {
                let user = work.stored.as_ref().and_then(Recorded::active).cloned().unwrap_or_default();
                duty.news.push(News { topic: user, what: Happened::AclsRepaired });
            }
        }
        self.send(&revoke, works, false).await?;
        self.send(&allow, works, true).await?;
        let given: BTreeSet<&Key> = allow.keys.iter().collect();
        for (key, work) in works.iter().filter(|(_, work)| work.is_open() && !work.contested) {
            let Some(duty) = duties.get_mut(key) else { continue };
            duty.carry.confirmed = Some(work.wanted());
            if given.contains(key) {
                duty.carry.given = Some(Instant::now());
            }
        }
        Ok(())
    }

    async fn send(&self, batch: &Batch, works: &mut Works, allow: bool) -> Result<(), Trouble> {
        if batch.acls.is_empty() {
            return Ok(());
        }
        may_write(self.fence)?;
        let sent =
            if allow { self.broker.allow(&batch.acls).await } else { self.broker.revoke(&batch.acls).await };
        for (key, answer) in batch.keys.iter().zip(sent.map_err(|error| trouble(&error))?) {
            let Some(work) = works.get_mut(key) else { continue };
            match answer {
                Ok(()) => {}
                Err(BrokerError::Unsupported(text)) => work.unsupported = Some(text),
                Err(error) => work.stop(trouble(&error)),
            }
        }
        Ok(())
    }
}

impl Work {
    /// Whether rights can be given.
    fn is_open(&self) -> bool {
        self.trouble.is_none() && self.unsupported.is_none() && !self.have.is_empty()
    }

    /// Digest of the rights that are wanted for users that are there already.
    fn wanted(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        for user in &self.decision.grant {
            rights(&principal(user), &self.claims.uses).hash(&mut hasher);
        }
        hasher.finish()
    }

    /// Whether some of the wanted rights are not there.
    fn lost(&self) -> bool {
        let lacks = |user: &String| {
            let have = self.have.get(user);
            have.is_some_and(|have| !rights(&principal(user), &self.claims.uses).is_subset(have))
        };
        self.decision.grant.iter().any(lacks)
    }
}

/// ACLs of one call, each with the login that it is of.
#[derive(Default)]
struct Batch {
    acls: Vec<Acl>,
    keys: Vec<Key>,
}

impl Batch {
    fn extend(&mut self, key: &Key, acls: Vec<Acl>) {
        self.keys.extend(acls.iter().map(|_| key.clone()));
        self.acls.extend(acls);
    }
}
