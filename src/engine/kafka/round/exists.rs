//! A creation that is answered with "it exists", though the topic was absent a moment before: either
//! somebody else was faster, or the request was carried out and sent again. Brokers pass it on to the
//! controller and repeat it when that changes, and a controller that steps down may say "not done" of what
//! its successor then carries out.

use std::collections::BTreeSet;
use std::time::Duration;

use super::{Round, SETTLE};
use crate::engine::kafka::trouble::trouble;
use crate::engine::kafka::{BrokerError, Results};
use crate::kafka::model::NewTopic;
use crate::kafka::view::Trouble;

impl Round<'_> {
    /// Of the topics that are answered with "it exists", those that are exactly as they were asked for.
    /// They count as ours, though not as certainly created by us: they are never deleted.
    pub(super) async fn made_by_us(
        &self,
        asked: &[NewTopic],
        answers: &Results<()>,
    ) -> Result<BTreeSet<String>, Trouble> {
        let exists = asked.iter().zip(answers).filter(|(_, answer)| **answer == Err(BrokerError::Exists));
        let mut open: Vec<&NewTopic> = exists.map(|(new, _)| new).collect();
        let mut ours = BTreeSet::new();
        for pause in SETTLE {
            if open.is_empty() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(pause)).await;
            let names: Vec<String> = open.iter().map(|new| new.name.clone()).collect();
            let seen = self.broker.describe(&names).await.map_err(|error| trouble(&error))?;
            let mut unseen = Vec::new();
            for (new, seen) in open.into_iter().zip(seen) {
                match seen {
                    Ok(topic) if new.is(&topic) => drop(ours.insert(new.name.clone())),
                    Err(BrokerError::Missing) => unseen.push(new),
                    Ok(_) | Err(_) => {}
                }
            }
            open = unseen;
        }
        Ok(ours)
    }
}
