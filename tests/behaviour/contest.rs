//! Two managers that want different things: the operator notices, names the other, waits, and comes
//! back when the other has stopped.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use futures::future::join_all;
use kube::api::{DeleteParams, Patch, PatchParams};
use microservice_operator::api::Microservice;
use serde_json::{Value, json};

use crate::children::{
    CONFIG_MAP, ChildKind, DEPLOYMENT, HPA, PDB, SERVICE, content, difference, fixed, lean, wait_content,
    wait_quiet,
};
use crate::support::{Audit, Cluster, Namespace, Operator, OperatorOptions, always, eventually};

/// Most writes of the contested child that are stored until the operator gives way: two repairs, each
/// take over and apply.
const MOST_STORED: usize = 4;
/// Most writes in all: a union is refused before it is taken over, and some writes find that Kubernetes
/// itself has just written the status.
const MOST_SENT: usize = 12;

/// Who deletes an object or only takes fields away is not written anywhere.
const UNKNOWN: &str = "another client";

/// What the other one does, again and again.
enum Habit {
    /// Sends a merge or JSON patch whenever the child is as the operator wants it.
    Patch(Value),
    /// Scales.
    Scale(i32),
    /// Deletes.
    Delete,
    /// Replaces the whole object by an own version that knows nothing of our annotations.
    Replace(Value),
}

struct Fight {
    what: &'static str,
    kind: ChildKind,
    manager: &'static str,
    habit: Habit,
    /// A part of the message.
    advice: &'static str,
}

fn fights() -> Vec<Fight> {
    let fight = |what, kind, manager, habit, advice| Fight { what, kind, manager, habit, advice };
    let image =
        json!([{"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": "web:v9"}]);
    let sidecar = json!([{"op": "add", "path": "/spec/template/spec/containers/-",
        "value": {"name": "injected", "image": "proxy:v1"}}]);
    let max = json!({"spec": {"maxUnavailable": null, "minAvailable": 1}});
    vec![
        fight("image", DEPLOYMENT, "rival", Habit::Patch(image), "make it stop"),
        fight("sidecar", DEPLOYMENT, "injector", Habit::Patch(sidecar), "make it stop"),
        fight("scale", DEPLOYMENT, "keda-autoscaler", Habit::Scale(4), "set spec.autoscaling"),
        fight("bounds", HPA, "rival", Habit::Patch(json!({"spec": {"maxReplicas": 9}})), "make it stop"),
        fight("union", PDB, "rival", Habit::Patch(max), "make it stop"),
        fight("data", CONFIG_MAP, "rival", Habit::Patch(json!({"data": {"LEVEL": "debug"}})), "make it stop"),
        fight("label", SERVICE, UNKNOWN, Habit::Patch(json!({"metadata": {"labels": null}})), "make it stop"),
        fight("deletion", CONFIG_MAP, UNKNOWN, Habit::Delete, "make it stop"),
        fight("replacement", CONFIG_MAP, "rival", Habit::Replace(json!({"LEVEL": "debug"})), "make it stop"),
    ]
}

#[tokio::test]
async fn a_fight_is_noticed_named_bounded_and_ends_when_the_other_stops() {
    let cluster = Cluster::shared();
    let namespace = Namespace::new(cluster, "contest").await;
    let operator = Operator::start(cluster, OperatorOptions::namespace(namespace.name())).await;
    let fights = fights();
    join_all(fights.iter().map(|fight| async {
        namespace.microservice(fight.what, lean(fight.what, &fight.kind)).await;
        namespace.wait_ready(fight.what).await;
    }))
    .await;
    let audit = cluster.audit().await;
    wait_quiet(&audit, &operator.user()).await;
    join_all(fights.iter().map(|fight| fight_out(&namespace, &operator, &audit, fight))).await;
    wait_quiet(&audit, &operator.user()).await;
    for fight in &fights {
        namespace.wait_condition(fight.what, "Applied", "True", None).await;
    }
}

async fn fight_out(namespace: &Namespace, operator: &Operator, audit: &Audit, fight: &Fight) {
    let Fight { what, kind, .. } = *fight;
    let planned = kind.get(namespace, what).await;
    let mark = audit.mark().await;
    let (going_on, rounds) = (AtomicBool::new(true), AtomicUsize::new(0));
    let rival = async {
        while going_on.load(Ordering::Relaxed) {
            if let Some(live) = kind.find(namespace, what).await
                && is_as_planned(&planned, &live)
            {
                rounds.fetch_add(1, Ordering::Relaxed);
                strike(namespace, fight, live).await;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let referee = async {
        let object = namespace.wait_condition(what, "Applied", "False", Some("DriftContested")).await;
        // The third strike was the last: the repair of it comes ten seconds after the second one.
        going_on.store(false, Ordering::Relaxed);
        let message = message(&object, "Applied");
        let named = kind.name(what);
        for part in [kind.kind, &named, fight.manager, fight.advice] {
            assert!(message.contains(part), "{what}: {message:?} does not say {part:?}");
        }
        let writes = || async {
            let seen = audit.since_of(mark, &operator.user()).await.writes().resource(kind.plural);
            seen.only(|request| request.name == named)
        };
        let before = writes().await;
        let stored = before.only(|request| request.code < 300);
        assert!(stored.count() <= MOST_STORED && before.count() <= MOST_SENT, "{what}: {before}");
        always(Duration::from_secs(1), "the operator waits", || async {
            let now = writes().await;
            if now.count() == before.count() { Ok(()) } else { Err(format!("{what}: {now}")) }
        })
        .await;
    };
    tokio::join!(rival, referee);
    assert_eq!(rounds.load(Ordering::Relaxed), 3, "{what}: the third repair is the one that waits");
    wait_content(namespace, &kind, what, &planned, matches!(fight.habit, Habit::Delete)).await;
}

fn is_as_planned(planned: &Value, live: &Value) -> bool {
    let mut differences = Vec::new();
    difference("", &content(planned, true), &content(live, true), &mut differences);
    differences.is_empty() && !live["metadata"]["deletionTimestamp"].is_string()
}

async fn strike(namespace: &Namespace, fight: &Fight, live: Value) {
    let (api, name) = (fight.kind.api(namespace), fight.kind.name(fight.what));
    let params = PatchParams { field_manager: Some(fight.manager.to_owned()), ..PatchParams::default() };
    match &fight.habit {
        Habit::Patch(patch) => {
            fight.kind.patch(namespace, fight.what, fight.manager, patch.clone()).await;
        }
        Habit::Scale(replicas) => {
            let patch = Patch::Merge(json!({"spec": {"replicas": replicas}}));
            api.patch_scale(&name, &params, &patch).await.expect("it can be scaled");
        }
        Habit::Delete => {
            api.delete(&name, &DeleteParams::default()).await.expect("it can be deleted");
        }
        Habit::Replace(data) => {
            let mut object = live;
            object["metadata"]["annotations"] = Value::Null;
            object["data"] = data.clone();
            let object = serde_json::from_value(object).expect("an object");
            let params =
                kube::api::PostParams { field_manager: Some(fight.manager.to_owned()), ..Default::default() };
            api.replace(&name, &params, &object).await.expect("it can be replaced");
        }
    }
}

fn message(object: &Microservice, condition: &str) -> String {
    let conditions = object.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    let found = conditions.iter().find(|found| found.type_ == condition);
    found.map(|found| found.message.clone()).unwrap_or_default()
}

/// Two managers that each change something else, or the same thing rarely, are not a fight.
#[tokio::test]
async fn edits_of_different_fields_are_not_a_fight() {
    let cluster = Cluster::shared();
    let namespace = Namespace::new(cluster, "contest").await;
    let _operator = Operator::start(cluster, OperatorOptions::namespace(namespace.name())).await;
    namespace.microservice("web", fixed("web", 0)).await;
    namespace.wait_ready("web").await;
    let planned = CONFIG_MAP.get(&namespace, "web").await;
    for edit in [
        json!({"data": {"LEVEL": "debug"}}),
        json!({"data": {"REGION": "south"}}),
        json!({"metadata": {"labels": {"app": "x"}}}),
        json!({"metadata": {"ownerReferences": null}}),
        json!({"data": null}),
        json!({"data": {"LEVEL": "debug"}}),
    ] {
        CONFIG_MAP.patch(&namespace, "web", "kubectl-edit", edit).await;
        wait_content(&namespace, &CONFIG_MAP, "web", &planned, false).await;
    }
    eventually(Duration::from_secs(5), "it is still Applied", || async {
        let object = namespace.get::<Microservice>("web").await;
        let text = message(&object, "Applied");
        let status = object.status.map(|status| status.conditions).unwrap_or_default();
        let applied = status.iter().any(|found| found.type_ == "Applied" && found.status == "True");
        if applied { Ok(()) } else { Err(text) }
    })
    .await;
}
