//! Users that are made elsewhere and that two Microservices take for their own: each would remove the ACLs of
//! the other. One of them has it, the other one is told.

use std::collections::{BTreeMap, BTreeSet};

use super::{Accounts, Duties, of};
use crate::engine::live::Key;
use crate::kafka::account::{Account, Identity, Obstacle};
use crate::kafka::topic::Owner;
use crate::kafka::view::Trouble;

impl Accounts<'_> {
    /// Those of the batch whose user is somebody else's. Who is recorded has it, of several the first by name.
    pub(super) async fn shared(&self, duties: &Duties) -> Result<BTreeMap<Key, Obstacle>, Trouble> {
        let wanted: BTreeSet<&String> = duties.values().filter_map(|duty| existing(&duty.account)).collect();
        if wanted.is_empty() {
            return Ok(BTreeMap::new());
        }
        let mut holders = self.holders(&wanted).await?;
        let mut found = BTreeMap::new();
        for (key, duty) in duties {
            let Some(user) = existing(&duty.account) else { continue };
            let holder = holders.entry(user.clone()).or_insert_with(|| duty.account.owner.clone());
            if (holder.namespace.as_str(), holder.name.as_str())
                != (key.namespace.as_str(), key.name.as_str())
            {
                found.insert(key.clone(), Obstacle::Shared { user: user.clone(), by: holder.clone() });
            }
        }
        Ok(found)
    }

    /// Whose these users are, as the ledger has it.
    async fn holders(&self, wanted: &BTreeSet<&String>) -> Result<BTreeMap<String, Owner>, Trouble> {
        let has = |user: &String| wanted.contains(user);
        let known = self.ledger.select(|record| record.users.keys().any(has)).await.map_err(of)?;
        let mut holders: BTreeMap<String, Owner> = BTreeMap::new();
        for entry in known.into_iter().filter(|entry| entry.cluster_id == self.cluster_id) {
            let owner = entry.record.owner;
            for user in entry.record.users.into_keys() {
                let holder = holders.entry(user).or_insert_with(|| owner.clone());
                if (&owner.namespace, &owner.name) < (&holder.namespace, &holder.name) {
                    holder.clone_from(&owner);
                }
            }
        }
        Ok(holders)
    }
}

/// The user of an account that is made elsewhere.
fn existing(account: &Account) -> Option<&String> {
    match &account.identity {
        Identity::Existing(user) => Some(user),
        Identity::Managed(_) => None,
    }
}
