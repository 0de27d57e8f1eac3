//! Whether Strimzi's API is served, in which version, and its objects while it is.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use kube::ResourceExt;
use kube::runtime::watcher::{self, Event, watcher};

use super::objects::{Object, Objects};
use crate::engine::optional::serves;
use crate::engine::pace::paced;
use crate::engine::request::Failure;
use crate::engine::watch::{is_forbidden, is_unknown};
use crate::kafka::strimzi::{GROUP, LABEL_CLUSTER, TOPICS, TopicObject, USERS, UserObject, VERSIONS};

/// Until an API that seems to be gone, or that nobody could ask for, is asked for once more.
const AGAIN: Duration = Duration::from_secs(5);

/// What has changed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Heard {
    /// What is served, or may be listed: everything is looked at.
    Api,
    /// The object of the topic of this name.
    Topic(String),
    /// The user of this name.
    User(String),
}

/// Follows the objects for ever.
pub(super) async fn follow(objects: Arc<Objects>, pace: Duration) {
    let mut doubted = false;
    let mut served = None;
    loop {
        match discover(&objects).await {
            Ok(found) => {
                // A server that has just started may not know all of its APIs yet.
                doubted = found.is_none() && served.is_some() && !doubted;
                if !doubted {
                    served = found;
                    objects.set_served(served);
                }
            }
            Err(failure) => {
                tracing::warn!(%failure, "whether the cluster serves Strimzi's API is not known now");
                doubted = true;
            }
        }
        match served {
            Some(version) if !doubted => watch_until(&objects, version, pace).await,
            _ => tokio::time::sleep(if doubted { AGAIN } else { pace }).await,
        }
    }
}

/// Watches both kinds until the server does not know one of them any more, or serves another version.
async fn watch_until(objects: &Objects, version: &'static str, pace: Duration) {
    let other = async {
        loop {
            tokio::time::sleep(pace).await;
            if !matches!(discover(objects).await, Ok(Some(found)) if found == version) {
                return;
            }
        }
    };
    tokio::select! {
        () = watch::<TopicObject>(objects, version, pace) => {}
        () = watch::<UserObject>(objects, version, pace) => {}
        () = other => {}
    }
}

/// The version to use, if one is served.
async fn discover(objects: &Objects) -> Result<Option<&'static str>, Failure> {
    for version in VERSIONS {
        if serves(objects.client(), &format!("{GROUP}/{version}"), &[TOPICS.1, USERS.1]).await? {
            return Ok(Some(version));
        }
    }
    Ok(None)
}

/// Watches one kind until the server does not know it any more. Rights may be given at any time.
async fn watch<O: Object>(objects: &Objects, version: &str, pace: Duration) {
    while is_barred::<O>(objects, version).await {
        tokio::time::sleep(pace).await;
    }
}

/// Watches one kind until it may not be listed, or is not served any more. Returns whether it is the first.
async fn is_barred<O: Object>(objects: &Objects, version: &str) -> bool {
    let only = format!("{LABEL_CLUSTER}={}", objects.site().cluster);
    let config = watcher::Config::default().labels(&only);
    let mut events = std::pin::pin!(paced(watcher(objects.api::<O>(version), config)));
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::Init) => objects.begin::<O>(),
            Ok(Event::InitApply(object)) => objects.saw::<O>(&object, true),
            Ok(Event::Apply(object)) => objects.saw::<O>(&object, false),
            Ok(Event::Delete(object)) => objects.lost::<O>(&object.name_any()),
            Ok(Event::InitDone) => objects.finish::<O>(),
            Err(error) if is_unknown(&error) => return false,
            Err(error) => {
                tracing::warn!(kind = O::KIND.0, %error, "objects of Strimzi cannot be watched now");
                if is_forbidden(&error) {
                    objects.set_failure::<O>(Some(Failure::Forbidden("the operator may not".to_owned())));
                    return true;
                }
            }
        }
    }
    false
}
