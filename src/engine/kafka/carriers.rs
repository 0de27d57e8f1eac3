//! Which users the pods of a service carry: asked only while one of them is to go.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use kube::{Api, Client};

use crate::api::{ANNOTATION_KAFKA_USER, LABEL_NAME};
use crate::engine::live::Key;
use crate::engine::request::{Failure, bounded};

/// Pods that have ended need no login any more; one that is being terminated does.
const ALIVE: &str = "status.phase!=Succeeded,status.phase!=Failed";

/// The users in all pods of a service, and in the templates that may make more. The empty name is of a pod
/// that carries none: it may log in as a user that is made elsewhere.
///
/// # Errors
/// When they cannot be listed: any user may be in use.
pub async fn carriers(client: &Client, service: &Key) -> Result<BTreeSet<String>, Failure> {
    let mine = ListParams::default().labels(&format!("{LABEL_NAME}={}", service.name));
    let sets: Api<ReplicaSet> = Api::namespaced(client.clone(), &service.namespace);
    // The sets first: a pod that one of them makes in between is in the second answer.
    let sets = bounded(sets.list(&mine)).await?.items;
    let pods: Api<Pod> = Api::namespaced(client.clone(), &service.namespace);
    let pods = bounded(pods.list_metadata(&mine.fields(ALIVE))).await?.items;
    let mut users: BTreeSet<String> = sets.into_iter().filter_map(of_set).collect();
    users.extend(pods.into_iter().map(|pod| user(pod.metadata.annotations)));
    Ok(users)
}

fn of_set(set: ReplicaSet) -> Option<String> {
    let wanted = set.spec.as_ref().is_some_and(|spec| spec.replicas != Some(0));
    let left = set.status.is_some_and(|status| status.replicas > 0);
    let template = set.spec.and_then(|spec| spec.template?.metadata);
    (wanted || left).then(|| user(template.and_then(|template| template.annotations)))
}

fn user(annotations: Option<BTreeMap<String, String>>) -> String {
    annotations.and_then(|mut all| all.remove(ANNOTATION_KAFKA_USER)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_set_counts_while_it_has_or_wants_pods() {
        let set = |replicas: i32, left: i32| {
            let template = json!({"metadata": {"annotations": {ANNOTATION_KAFKA_USER: "u"}}});
            let set = json!({"spec": {"replicas": replicas, "selector": {}, "template": template}, "status": {"replicas": left}});
            of_set(serde_json::from_value(set).unwrap())
        };
        assert_eq!((set(1, 0).as_deref(), set(0, 1).as_deref(), set(0, 0)), (Some("u"), Some("u"), None));
    }

    #[test]
    fn a_pod_that_carries_no_user_is_a_pod_all_the_same() {
        let set = |replicas: i32| {
            let template = json!({"metadata": {"annotations": {"other": "u"}}});
            let set = json!({"spec": {"replicas": replicas, "selector": {}, "template": template}});
            of_set(serde_json::from_value(set).unwrap())
        };
        assert_eq!((set(1).as_deref(), set(0)), (Some(""), None));
        assert_eq!(user(None), "");
    }
}
