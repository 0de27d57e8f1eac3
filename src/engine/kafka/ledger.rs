//! A ledger, read once and kept: who owns which topic or user, in ConfigMaps of the operator's namespace. A
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
use crate::engine::request::{Failure, all, bounded};
use crate::kafka::ledger::{ANNOTATION_CLUSTER, LABEL, Record, key, object_name, records, shard, value};
use crate::kafka::topic::Recorded;

/// ConfigMaps per list page; each may have some hundred kilobytes.
const PAGE: u32 = 16;

/// The records of one kind of all clusters.
pub struct Ledger<R> {
    api: Api<ConfigMap>,
    shards: Mutex<Option<Shards<R>>>,
}

type Shards<R> = BTreeMap<(String, u8), Shard<R>>;

/// New values by name; `None` = removed.
type Changes<R> = BTreeMap<String, Option<R>>;

#[derive(Debug)]
struct Shard<R> {
    /// `None` = there is no ConfigMap yet.
    version: Option<String>,
    records: BTreeMap<String, R>,
    /// Names whose record cannot be read.
    unreadable: BTreeSet<String>,
}

/// A record with the cluster and name that it is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry<R> {
    /// The cluster's own id.
    pub cluster_id: String,
    /// The topic's name on the broker, or `<namespace>.<name>` of the Microservice whose login it is.
    pub name: String,
    /// The record.
    pub record: R,
}

/// A change of one record: it is made only if the record is still the one that was decided from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edit<R> {
    /// What it was; `None` = there was none.
    pub from: Option<R>,
    /// What it becomes; `None` = it is removed.
    pub to: Option<R>,
}

impl<R: Record> Ledger<R> {
    /// The ledgers in this namespace.
    pub fn new(client: Client, namespace: &str) -> Self {
        Self { api: Api::namespaced(client, namespace), shards: Mutex::default() }
    }

    /// The records of these names of a cluster. One that cannot be read is a failure: whoever owns what
    /// it is of, that is not to be touched.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn records(
        &self,
        cluster_id: &str,
        names: impl Iterator<Item = &String>,
    ) -> Result<BTreeMap<String, Result<Option<R>, Failure>>, Failure> {
        let mut guard = self.shards.lock().await;
        let shards = self.loaded(&mut guard).await?;
        let find = |name: &String| {
            let number = shard(name);
            let found = shards.get(&(cluster_id.to_owned(), number));
            let record = match found {
                Some(shard) if shard.unreadable.contains(name) => Err(Failure::Invalid(format!(
                    "the record of {} {name:?} in ConfigMap {} cannot be read; correct or remove its key",
                    R::NOUN,
                    object_name::<R>(cluster_id, number)
                ))),
                found => Ok(found.and_then(|shard| shard.records.get(name)).cloned()),
            };
            (name.clone(), record)
        };
        Ok(names.map(find).collect())
    }

    /// The records of this name on other clusters.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn on_others(&self, cluster_id: &str, name: &str) -> Result<Vec<Entry<R>>, Failure> {
        let number = shard(name);
        let mut guard = self.shards.lock().await;
        let shards = self.loaded(&mut guard).await?;
        let others = shards.iter().filter(|((id, shard), _)| id != cluster_id && *shard == number);
        let entry = |((id, _), shard): (&(String, u8), &Shard<R>)| {
            let record = shard.records.get(name)?.clone();
            Some(Entry { cluster_id: id.clone(), name: name.to_owned(), record })
        };
        Ok(others.filter_map(entry).collect())
    }

    /// Every record that fits.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn select(&self, fits: impl Fn(&R) -> bool) -> Result<Vec<Entry<R>>, Failure> {
        let mut guard = self.shards.lock().await;
        let shards = self.loaded(&mut guard).await?;
        let all = shards.iter().flat_map(|((cluster_id, _), shard)| {
            shard.records.iter().map(move |(name, record)| (cluster_id, name, record))
        });
        let entry = |(cluster_id, name, record): (&String, &String, &R)| Entry {
            cluster_id: cluster_id.clone(),
            name: name.clone(),
            record: record.clone(),
        };
        Ok(all.filter(|(_, _, record)| fits(record)).map(entry).collect())
    }

    /// Looks at the records that are in memory, without a request and without waiting; whether it could.
    pub fn glance(&self, look: impl FnMut(&R)) -> bool {
        let Ok(guard) = self.shards.try_lock() else { return false };
        let Some(shards) = guard.as_ref() else { return false };
        shards.values().flat_map(|shard| shard.records.values()).for_each(look);
        true
    }

    /// Every record of this owner.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn owned(&self, owner: &Key) -> Result<Vec<Entry<R>>, Failure> {
        self.select(|record| {
            let of = record.owner();
            of.namespace == owner.namespace && of.name == owner.name
        })
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
        edits: BTreeMap<String, Edit<R>>,
    ) -> Result<BTreeMap<String, Failure>, Failure> {
        let mut failed = BTreeMap::new();
        if edits.is_empty() {
            return Ok(failed);
        }
        let mut by_shard: BTreeMap<u8, BTreeMap<String, Edit<R>>> = BTreeMap::new();
        for (name, edit) in edits {
            by_shard.entry(shard(&name)).or_default().insert(name, edit);
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
                    failed.extend(changes.into_keys().map(|name| (name, failure.clone())));
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
        guard: &'g mut MutexGuard<'_, Option<Shards<R>>>,
    ) -> Result<&'g mut Shards<R>, Failure> {
        let shards = match guard.take() {
            Some(shards) => shards,
            None => self.load().await?,
        };
        Ok(guard.insert(shards))
    }

    async fn load(&self) -> Result<Shards<R>, Failure> {
        let maps = list(&self.api, &format!("{LABEL}={}", R::KIND)).await?;
        Ok(maps.into_iter().filter_map(read).collect())
    }

    async fn store(
        &self,
        cluster_id: &str,
        number: u8,
        version: Option<String>,
        changes: Changes<R>,
    ) -> (u8, Changes<R>, Result<Option<String>, Failure>) {
        let stored = self.store_changes(cluster_id, number, version.as_deref(), &changes).await;
        (number, changes, stored)
    }

    async fn store_changes(
        &self,
        cluster_id: &str,
        number: u8,
        version: Option<&str>,
        changes: &Changes<R>,
    ) -> Result<Option<String>, Failure> {
        let name = object_name::<R>(cluster_id, number);
        let Some(version) = version else {
            let params =
                PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
            let created = bounded(self.api.create(&params, &new(cluster_id, name, changes))).await?;
            return Ok(created.metadata.resource_version);
        };
        let text = |record: &Option<R>| record.as_ref().map_or(Value::Null, |r| json!(value(r)));
        let data: BTreeMap<String, Value> =
            changes.iter().map(|(name, record)| (key::<R>(name), text(record))).collect();
        let patch = json!({"metadata": {"resourceVersion": version}, "data": data});
        let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        let stored = bounded(self.api.patch_metadata(&name, &params, &Patch::Merge(&patch))).await?;
        Ok(stored.metadata.resource_version)
    }
}

impl Ledger<Recorded> {
    /// Whether a topic of this name is somebody's on a cluster that may be the one in question, by its id and
    /// the record: `Some(false)` = it was let go. A record that cannot be read is somebody's.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn is_known(
        &self,
        topic: &str,
        fits: impl Fn(&str, Option<&Recorded>) -> bool,
    ) -> Result<Option<bool>, Failure> {
        let number = shard(topic);
        let mut guard = self.shards.lock().await;
        let shards = self.loaded(&mut guard).await?;
        let of_number = shards.iter().filter(|((_, shard), _)| *shard == number);
        let known = |((id, _), shard): (&(String, u8), &Shard<Recorded>)| {
            let record = shard.records.get(topic);
            let there = record.is_some() || shard.unreadable.contains(topic);
            (there && fits(id, record)).then(|| record.is_none_or(|record| !record.released))
        };
        Ok(of_number.filter_map(known).max())
    }
}

/// Reads both ledgers anew, with one list: another replica may have written.
///
/// # Errors
/// When they cannot be read; they are read again when they are next needed.
pub async fn renew<A: Record, B: Record>(a: &Ledger<A>, b: &Ledger<B>) -> Result<(), Failure> {
    let (mut first, mut second) = (a.shards.lock().await, b.shards.lock().await);
    (*first, *second) = (None, None);
    let maps = list(&a.api, LABEL).await?;
    let (maps, others): (Vec<_>, Vec<_>) = maps.into_iter().partition(|map| kind(map) == Some(A::KIND));
    let others = others.into_iter().filter(|map| kind(map) == Some(B::KIND));
    *first = Some(maps.into_iter().filter_map(read).collect());
    *second = Some(others.filter_map(read).collect());
    Ok(())
}

fn kind(map: &ConfigMap) -> Option<&str> {
    map.metadata.labels.as_ref()?.get(LABEL).map(String::as_str)
}

async fn list(api: &Api<ConfigMap>, selector: &str) -> Result<Vec<ConfigMap>, Failure> {
    all(api, ListParams::default().labels(selector).limit(PAGE)).await
}

impl<R> Default for Shard<R> {
    fn default() -> Self {
        Self { version: None, records: BTreeMap::new(), unreadable: BTreeSet::new() }
    }
}

impl<R: Record> Shard<R> {
    /// The changes whose record is still what it was.
    fn current(
        &self,
        edits: BTreeMap<String, Edit<R>>,
        failed: &mut BTreeMap<String, Failure>,
    ) -> Changes<R> {
        let (current, old): (Vec<_>, Vec<_>) = edits.into_iter().partition(|(name, edit)| {
            self.records.get(name) == edit.from.as_ref() && !self.unreadable.contains(name)
        });
        let changed = |name| (name, Failure::Conflict("its record has changed".to_owned()));
        failed.extend(old.into_iter().map(|(name, _)| changed(name)));
        current.into_iter().map(|(name, edit)| (name, edit.to)).collect()
    }

    fn take(&mut self, version: Option<String>, changes: Changes<R>) {
        self.version = version;
        for (name, record) in changes {
            match record {
                Some(record) => drop(self.records.insert(name, record)),
                None => drop(self.records.remove(&name)),
            }
        }
    }
}

fn read<R: Record>(map: ConfigMap) -> Option<((String, u8), Shard<R>)> {
    let cluster_id = map.metadata.annotations?.remove(ANNOTATION_CLUSTER)?;
    let number = map.metadata.name?.rsplit_once('-')?.1.parse().ok()?;
    let (records, unreadable) = records(&map.data.unwrap_or_default());
    for name in &unreadable {
        tracing::error!(
            cluster_id,
            kind = R::NOUN,
            name,
            "a record of the ledger cannot be read; correct or remove its key"
        );
    }
    let unreadable = unreadable.into_iter().collect();
    Some(((cluster_id, number), Shard { version: map.metadata.resource_version, records, unreadable }))
}

fn new<R: Record>(cluster_id: &str, name: String, changes: &Changes<R>) -> ConfigMap {
    let data = changes.iter().filter_map(|(name, record)| Some((key::<R>(name), value(record.as_ref()?))));
    ConfigMap {
        metadata: ObjectMeta {
            name: Some(name),
            labels: Some(
                [
                    ("app.kubernetes.io/managed-by".to_owned(), MANAGED_BY.to_owned()),
                    (LABEL.to_owned(), R::KIND.to_owned()),
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
