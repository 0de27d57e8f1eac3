//! Topics whose owner lets them go and that are to be deleted. Everything is asked again immediately
//! before: in doubt a topic stays.

use std::collections::{BTreeMap, BTreeSet};

use super::ledger::{Edit, Ledger};
use super::round::{may_write, of_ledger};
use super::trouble::{is_of_all, trouble};
use super::{Broker, BrokerError};
use crate::engine::lease::Fence;
use crate::engine::live::Key;
use crate::kafka::model::{Group, Topic};
use crate::kafka::release::{Kept, Letting, Release, release};
use crate::kafka::topic::{Owner, Recorded};
use crate::kafka::view::{Happened, Trouble};

/// A topic to let go, with the confirmation that it may be deleted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Leaving {
    /// Its owner.
    pub owner: Owner,
    /// Whether pods of the owner may still use it.
    pub in_use: bool,
    /// The owner's own consumer groups, which end with it.
    pub own_groups: BTreeSet<String>,
    /// Another Microservice that declares it with `managementPolicy: Adopt`.
    pub successor: Option<Owner>,
}

impl Leaving {
    /// The owner's key.
    pub fn key(&self) -> Key {
        Key::new(&self.owner.namespace, &self.owner.name)
    }
}

/// What became of a topic that was let go; `None` = it waits.
pub type Let = Option<Happened>;

/// Lets topics of one cluster go.
///
/// # Errors
/// When the ledger cannot be read. After what concerns all of them the rest waits.
pub async fn let_go(
    broker: &dyn Broker,
    ledger: &Ledger<Recorded>,
    cluster_id: &str,
    leaving: &BTreeMap<String, Leaving>,
    fence: &Fence,
) -> Result<BTreeMap<String, Let>, Trouble> {
    let names: Vec<String> = leaving.keys().cloned().collect();
    let records = ledger.records(cluster_id, names.iter()).await.map_err(|failure| of_ledger(&failure))?;
    let (mut outcomes, mut stopped) = (BTreeMap::new(), false);
    for (name, leaving) in leaving {
        let record = match records.get(name) {
            Some(Ok(Some(record))) if record.owner == leaving.owner && !record.released => record.clone(),
            // Somebody else has it, a new object of the name, or nobody: there is nothing to let go.
            Some(Ok(_)) | None => continue,
            Some(Err(failure)) => {
                tracing::warn!(topic = name, %failure, "a topic cannot be let go and stays");
                continue;
            }
        };
        if stopped {
            outcomes.insert(name.clone(), None);
            continue;
        }
        let mut one = One { broker, ledger, cluster_id, name, leaving, record, fence };
        let outcome = match one.let_go().await {
            Ok(outcome) => outcome,
            Err(trouble) => {
                stopped = is_of_all(trouble.reason);
                tracing::warn!(topic = name, error = trouble.text, "a topic cannot be let go yet");
                None
            }
        };
        outcomes.insert(name.clone(), outcome);
    }
    Ok(outcomes)
}

/// Whether the cluster will say the same again: then the safe answer is to keep the topic.
fn is_final(error: &BrokerError) -> bool {
    matches!(
        error,
        BrokerError::Unsupported(_)
            | BrokerError::PolicyViolation(_)
            | BrokerError::NotAuthorized(_)
            | BrokerError::Other(_)
    )
}

struct One<'a> {
    broker: &'a dyn Broker,
    ledger: &'a Ledger<Recorded>,
    cluster_id: &'a str,
    name: &'a String,
    leaving: &'a Leaving,
    record: Recorded,
    fence: &'a Fence,
}

impl One<'_> {
    async fn let_go(&mut self) -> Result<Let, Trouble> {
        let have = self.describe().await?;
        let groups = match have {
            Some(_) => match self.broker.groups(self.name).await {
                Ok(groups) => groups,
                // Nobody knows who reads it.
                Err(error) if is_final(&error) => {
                    return self.retain(Kept::Refused { why: error.to_string() }).await;
                }
                Err(error) => return Err(trouble(&error)),
            },
            None => Vec::new(),
        };
        let others: Vec<Group> =
            groups.into_iter().filter(|group| !self.leaving.own_groups.contains(&group.id)).collect();
        let letting = Letting {
            have: have.as_ref(),
            confirmation: Some(self.name),
            in_use: self.leaving.in_use,
            groups: &others,
            successor: self.leaving.successor.as_ref(),
        };
        match release(&self.record, &letting) {
            Release::Wait => Ok(None),
            Release::Forget => self.forget(Happened::Deleted).await,
            Release::Retain(kept) => self.retain(kept).await,
            Release::HandOver(next) => {
                let what = Happened::HandedOver(next.namespace.clone(), next.name.clone());
                let record = Recorded { owner: next, doomed: false, released: false, ..self.record.clone() };
                self.write(Some(record), what).await
            }
            Release::Delete { id } => self.delete(&id).await,
        }
    }

    async fn describe(&self) -> Result<Option<Topic>, Trouble> {
        let names = [self.name.clone()];
        let described = self.broker.describe(&names).await.map_err(|error| trouble(&error))?;
        match described.into_iter().next() {
            Some(Ok(topic)) => Ok(Some(topic)),
            Some(Err(BrokerError::Missing)) => Ok(None),
            Some(Err(error)) => Err(trouble(&error)),
            None => Err(trouble(&BrokerError::Other("the answer names no topic".to_owned()))),
        }
    }

    /// Deletion is by name only, so the id is compared once more.
    async fn delete(&mut self, id: &str) -> Result<Let, Trouble> {
        if !self.record.doomed {
            // Also proves that the ledger is as it was decided from.
            let doomed = Recorded { doomed: true, ..self.record.clone() };
            self.store(Some(doomed.clone())).await?;
            self.record = doomed;
        }
        match self.describe().await? {
            None => return self.forget(Happened::Deleted).await,
            Some(topic) if topic.id != id => return self.retain(Kept::Replaced).await,
            Some(_) => {}
        }
        let names = [self.name.clone()];
        may_write(self.fence)?;
        let answers = self.broker.delete(&names).await.map_err(|error| trouble(&error))?;
        match answers.into_iter().next() {
            Some(Ok(()) | Err(BrokerError::Missing)) => self.forget(Happened::Deleted).await,
            // Such as `delete.topic.enable=false`.
            Some(Err(error)) if is_final(&error) => {
                self.retain(Kept::Refused { why: error.to_string() }).await
            }
            Some(Err(error)) => Err(trouble(&error)),
            None => Err(trouble(&BrokerError::Other("the answer names no topic".to_owned()))),
        }
    }

    async fn forget(&self, what: Happened) -> Result<Let, Trouble> {
        self.write(None, what).await
    }

    async fn retain(&self, kept: Kept) -> Result<Let, Trouble> {
        let record = Recorded { released: true, doomed: false, ..self.record.clone() };
        self.write(Some(record), Happened::Retained(kept)).await
    }

    async fn write(&self, record: Option<Recorded>, what: Happened) -> Result<Let, Trouble> {
        self.store(record).await?;
        Ok(Some(what))
    }

    async fn store(&self, to: Option<Recorded>) -> Result<(), Trouble> {
        let edits = BTreeMap::from([(self.name.clone(), Edit { from: Some(self.record.clone()), to })]);
        let failed = self.ledger.write(self.cluster_id, edits).await;
        let failure = failed.map(|failed| failed.into_values().next());
        match failure {
            Ok(None) => Ok(()),
            Ok(Some(failure)) | Err(failure) => Err(of_ledger(&failure)),
        }
    }
}

#[cfg(test)]
mod tests;
