//! What becomes of the users and ACLs of Microservices that are gone: they go too, ACLs first.

use std::collections::{BTreeMap, BTreeSet};

use super::{Accounts, of};
use crate::engine::kafka::BrokerError;
use crate::engine::kafka::ledger::Edit;
use crate::engine::kafka::round::may_write;
use crate::engine::kafka::trouble::{is_of_all, trouble};
use crate::kafka::account::{Recorded, Standing, principal};
use crate::kafka::consent::Claims;
use crate::kafka::view::Trouble;

impl Accounts<'_> {
    /// Removes the users and ACLs of Microservices that are gone, by their names in the ledger; `true` =
    /// their pods are still there. Returns those that still wait.
    ///
    /// # Errors
    /// What concerns all of them.
    pub async fn let_go(&self, leaving: &BTreeMap<String, bool>) -> Result<BTreeSet<String>, Trouble> {
        let records = self.ledger.records(self.cluster_id, leaving.keys()).await.map_err(of)?;
        let doomed = |name: &String| {
            let record = records.get(name)?.as_ref().ok()?.as_ref()?;
            record.doomed.is_some().then(|| record.clone())
        };
        let all: BTreeMap<&String, (Recorded, bool)> =
            leaving.iter().filter_map(|(name, in_use)| Some((name, (doomed(name)?, *in_use)))).collect();
        let mut waits: BTreeSet<String> =
            all.iter().filter(|(_, (_, in_use))| *in_use).map(|(name, _)| (*name).clone()).collect();
        let free: BTreeMap<&String, Recorded> = all
            .into_iter()
            .filter(|(_, (_, in_use))| !in_use)
            .map(|(name, (record, _))| (name, record))
            .collect();
        let failed = self.strip(free.values()).await?;
        let gone = |record: &Recorded| record.users.keys().all(|user| !failed.contains_key(user));
        let (gone, stuck): (BTreeMap<_, _>, BTreeMap<_, _>) =
            free.into_iter().partition(|(_, record)| gone(record));
        for (user, trouble) in &failed {
            tracing::warn!(
                user,
                error = trouble.text,
                "a Kafka user of a deleted Microservice cannot be removed yet"
            );
        }
        waits.extend(stuck.into_keys().cloned());
        let edits =
            gone.into_iter().map(|(name, record)| (name.clone(), Edit { from: Some(record), to: None }));
        let failed = self.ledger.write(self.cluster_id, edits.collect()).await.map_err(of)?;
        waits.extend(failed.into_keys());
        Ok(waits)
    }

    /// Takes all ACLs of these users away and then the credentials of those that are ours. Returns those
    /// that could not be removed.
    async fn strip(
        &self,
        records: impl Iterator<Item = &Recorded>,
    ) -> Result<BTreeMap<String, Trouble>, Trouble> {
        let users: BTreeMap<String, Standing> = records.flat_map(|record| record.users.clone()).collect();
        let mut failed = BTreeMap::new();
        let have = match self.acls_of(&users.keys().cloned().collect()).await {
            Ok(have) => have,
            Err(BrokerError::Unsupported(_)) => BTreeMap::new(),
            Err(error) => {
                let trouble = trouble(&error);
                if is_of_all(trouble.reason) {
                    return Err(trouble);
                }
                // No user goes before its ACLs.
                return Ok(users.into_keys().map(|user| (user, trouble.clone())).collect());
            }
        };
        let (mut acls, mut of_users) = (Vec::new(), Vec::new());
        for (user, have) in have {
            for acl in Claims::default().difference(&principal(&user), &have).revoke {
                acls.push(acl);
                of_users.push(user.clone());
            }
        }
        if !acls.is_empty() {
            may_write(self.fence)?;
            let answers = self.broker.revoke(&acls).await.map_err(|error| trouble(&error))?;
            for (user, answer) in of_users.into_iter().zip(answers) {
                if let Err(error) = answer {
                    failed.insert(user, trouble(&error));
                }
            }
        }
        let ours: Vec<String> = users
            .into_iter()
            .filter(|(user, standing)| standing.is_ours() && !failed.contains_key(user))
            .map(|(user, _)| user)
            .collect();
        failed.extend(self.remove(&ours).await?);
        Ok(failed)
    }
}
