//! The ledger, read once and kept: who owns which topic, in ConfigMaps of the operator's namespace. A
//! write names the version that it changes, so that a record of somebody else is never overwritten.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::join_all;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{ListParams, ObjectMeta, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::{Value, json};
use tokio::sync::{Mutex, MutexGuard};

use crate::api::{FIELD_MANAGER, MANAGED_BY};
use crate::engine::live::Key;
use crate::engine::request::{Failure, bounded};
use crate::kafka::ledger::{
    ANNOTATION_CLUSTER, LABEL, TOPICS, key as topic_key, object_name, records, shard, value,
};
use crate::kafka::topic::Recorded;

/// ConfigMaps per list page; each may have some hundred kilobytes.
const PAGE: u32 = 16;

/// All ledgers.
pub struct Ledger {
    api: Api<ConfigMap>,
    shards: Mutex<Option<Shards>>,
}

type Shards = BTreeMap<(String, u8), Shard>;

#[derive(Debug, Default)]
struct Shard {
    /// `None` = there is no ConfigMap yet.
    version: Option<String>,
    records: BTreeMap<String, Recorded>,
    /// Topics whose record cannot be read.
    unreadable: BTreeSet<String>,
}

/// A record with the cluster and topic that it is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The cluster's own id.
    pub cluster_id: String,
    /// Name on the broker.
    pub topic: String,
    /// The record.
    pub record: Recorded,
}

/// A change of one record: it is made only if the record is still the one that was decided from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edit {
    /// What it was; `None` = there was none.
    pub from: Option<Recorded>,
    /// What it becomes; `None` = it is removed.
    pub to: Option<Recorded>,
}

impl Ledger {
    /// The ledgers in this namespace.
    pub fn new(client: Client, namespace: &str) -> Self {
        Self { api: Api::namespaced(client, namespace), shards: Mutex::default() }
    }

    /// Reads everything again when it is next needed: another replica may have written.
    pub async fn renew(&self) {
        *self.shards.lock().await = None;
    }

    /// The records of these topics of a cluster. One that cannot be read is a failure: whoever owns the
    /// topic, it is not to be touched.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn records(
        &self,
        cluster_id: &str,
        topics: impl Iterator<Item = &String>,
    ) -> Result<BTreeMap<String, Result<Option<Recorded>, Failure>>, Failure> {
        let mut guard = self.shards.lock().await;
        let shards = self.loaded(&mut guard).await?;
        let find = |topic: &String| {
            let number = shard(topic);
            let found = shards.get(&(cluster_id.to_owned(), number));
            let record = match found {
                Some(shard) if shard.unreadable.contains(topic) => Err(Failure::Invalid(format!(
                    "the record of topic {topic:?} in ConfigMap {} cannot be read; correct or remove its key",
                    object_name(cluster_id, number)
                ))),
                found => Ok(found.and_then(|shard| shard.records.get(topic)).cloned()),
            };
            (topic.clone(), record)
        };
        Ok(topics.map(find).collect())
    }

    /// The records of this topic on other clusters.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn on_others(&self, cluster_id: &str, topic: &str) -> Result<Vec<Entry>, Failure> {
        let number = shard(topic);
        let mut guard = self.shards.lock().await;
        let shards = self.loaded(&mut guard).await?;
        let others = shards.iter().filter(|((id, shard), _)| id != cluster_id && *shard == number);
        let entry = |((id, _), shard): (&(String, u8), &Shard)| {
            let record = shard.records.get(topic)?.clone();
            Some(Entry { cluster_id: id.clone(), topic: topic.to_owned(), record })
        };
        Ok(others.filter_map(entry).collect())
    }

    /// Every record that fits.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn select(&self, fits: impl Fn(&Recorded) -> bool) -> Result<Vec<Entry>, Failure> {
        let mut guard = self.shards.lock().await;
        let shards = self.loaded(&mut guard).await?;
        let all = shards.iter().flat_map(|((cluster_id, _), shard)| {
            shard.records.iter().map(move |(topic, record)| (cluster_id, topic, record))
        });
        let entry = |(cluster_id, topic, record): (&String, &String, &Recorded)| Entry {
            cluster_id: cluster_id.clone(),
            topic: topic.clone(),
            record: record.clone(),
        };
        Ok(all.filter(|(_, _, record)| fits(record)).map(entry).collect())
    }

    /// Every record of this owner.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn owned(&self, owner: &Key) -> Result<Vec<Entry>, Failure> {
        self.select(|record| record.owner.namespace == owner.namespace && record.owner.name == owner.name)
            .await
    }

    /// Sets and removes records of a cluster. Returns those that could not be written, each with why;
    /// after a conflict the ledger is read again, and the caller has to decide again.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn write(
        &self,
        cluster_id: &str,
        edits: BTreeMap<String, Edit>,
    ) -> Result<BTreeMap<String, Failure>, Failure> {
        let mut failed = BTreeMap::new();
        if edits.is_empty() {
            return Ok(failed);
        }
        let mut by_shard: BTreeMap<u8, BTreeMap<String, Edit>> = BTreeMap::new();
        for (topic, edit) in edits {
            by_shard.entry(shard(&topic)).or_default().insert(topic, edit);
        }
        let mut guard = self.shards.lock().await;
        let mut writes = Vec::new();
        let shards = self.loaded(&mut guard).await?;
        for (number, edits) in by_shard {
            let shard = shards.entry((cluster_id.to_owned(), number)).or_default();
            let changes = shard.current(edits, &mut failed);
            if !changes.is_empty() {
                writes.push(self.store(cluster_id, number, shard.version.clone(), changes));
            }
        }
        let mut stale = false;
        for (number, changes, stored) in join_all(writes).await {
            let shard = shards.entry((cluster_id.to_owned(), number)).or_default();
            match stored {
                Ok(version) => shard.take(version, changes),
                Err(failure) => {
                    // Whether an unanswered write happened shows in the version of the next one.
                    stale |=
                        matches!(failure, Failure::Conflict(_) | Failure::Missing(_) | Failure::Transient(_));
                    failed.extend(changes.into_keys().map(|topic| (topic, failure.clone())));
                }
            }
        }
        if stale {
            *guard = None;
        }
        Ok(failed)
    }

    async fn loaded<'g>(
        &self,
        guard: &'g mut MutexGuard<'_, Option<Shards>>,
    ) -> Result<&'g mut Shards, Failure> {
        let shards = match guard.take() {
            Some(shards) => shards,
            None => self.load().await?,
        };
        Ok(guard.insert(shards))
    }

    async fn load(&self) -> Result<Shards, Failure> {
        let mut shards = Shards::new();
        let mut params = ListParams::default().labels(&format!("{LABEL}={TOPICS}")).limit(PAGE);
        loop {
            let page = bounded(self.api.list(&params)).await?;
            for map in page.items {
                let Some((place, shard)) = read(map) else { continue };
                shards.insert(place, shard);
            }
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => params = params.continue_token(&token),
                None => return Ok(shards),
            }
        }
    }

    async fn store(
        &self,
        cluster_id: &str,
        number: u8,
        version: Option<String>,
        changes: BTreeMap<String, Option<Recorded>>,
    ) -> (u8, BTreeMap<String, Option<Recorded>>, Result<Option<String>, Failure>) {
        let stored = self.store_changes(cluster_id, number, version.as_deref(), &changes).await;
        (number, changes, stored)
    }

    async fn store_changes(
        &self,
        cluster_id: &str,
        number: u8,
        version: Option<&str>,
        changes: &BTreeMap<String, Option<Recorded>>,
    ) -> Result<Option<String>, Failure> {
        let name = object_name(cluster_id, number);
        let Some(version) = version else {
            let params =
                PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
            let created = bounded(self.api.create(&params, &new(cluster_id, name, changes))).await?;
            return Ok(created.metadata.resource_version);
        };
        let text = |record: &Option<Recorded>| record.as_ref().map_or(Value::Null, |r| json!(value(r)));
        let data: BTreeMap<String, Value> =
            changes.iter().map(|(topic, record)| (topic_key(topic), text(record))).collect();
        let patch = json!({"metadata": {"resourceVersion": version}, "data": data});
        let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        let stored = bounded(self.api.patch_metadata(&name, &params, &Patch::Merge(&patch))).await?;
        Ok(stored.metadata.resource_version)
    }
}

impl Shard {
    /// The changes whose record is still what it was.
    fn current(
        &self,
        edits: BTreeMap<String, Edit>,
        failed: &mut BTreeMap<String, Failure>,
    ) -> BTreeMap<String, Option<Recorded>> {
        let (current, old): (Vec<_>, Vec<_>) = edits.into_iter().partition(|(topic, edit)| {
            self.records.get(topic) == edit.from.as_ref() && !self.unreadable.contains(topic)
        });
        let changed = |topic| (topic, Failure::Conflict("its record has changed".to_owned()));
        failed.extend(old.into_iter().map(|(topic, _)| changed(topic)));
        current.into_iter().map(|(topic, edit)| (topic, edit.to)).collect()
    }

    fn take(&mut self, version: Option<String>, changes: BTreeMap<String, Option<Recorded>>) {
        self.version = version;
        for (topic, record) in changes {
            match record {
                Some(record) => drop(self.records.insert(topic, record)),
                None => drop(self.records.remove(&topic)),
            }
        }
    }
}

fn read(map: ConfigMap) -> Option<((String, u8), Shard)> {
    let cluster_id = map.metadata.annotations?.remove(ANNOTATION_CLUSTER)?;
    let number = map.metadata.name?.rsplit_once('-')?.1.parse().ok()?;
    let (records, unreadable) = records(&map.data.unwrap_or_default());
    for topic in &unreadable {
        tracing::error!(
            cluster_id,
            topic,
            "a record of the ledger cannot be read; correct or remove its key"
        );
    }
    let unreadable = unreadable.into_iter().collect();
    Some(((cluster_id, number), Shard { version: map.metadata.resource_version, records, unreadable }))
}

fn new(cluster_id: &str, name: String, changes: &BTreeMap<String, Option<Recorded>>) -> ConfigMap {
    let data = changes.iter().filter_map(|(topic, record)| Some((topic_key(topic), value(record.as_ref()?))));
    ConfigMap {
        metadata: ObjectMeta {
            name: Some(name),
            labels: Some(
                [
                    ("app.kubernetes.io/managed-by".to_owned(), MANAGED_BY.to_owned()),
                    (LABEL.to_owned(), TOPICS.to_owned()),
                ]
                .into(),
            ),
            annotations: Some([(ANNOTATION_CLUSTER.to_owned(), cluster_id.to_owned())].into()),
            ..ObjectMeta::default()
        },
        data: Some(data.collect()),
        ..ConfigMap::default()
    }
}
