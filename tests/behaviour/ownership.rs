//! What is ours is ours by record, or by owner and field manager together; everything else is never
//! adopted, changed or deleted, whatever it claims.

use std::time::Duration;

use futures::future::join_all;
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, ListParams, PostParams};
use microservice_operator::api::{Microservice, MicroserviceClass};
use serde_json::{Value, json};

use crate::children::{
    CONFIG_MAP, ChildKind, DEPLOYMENT, HPA, KINDS, SERVICE, content, fixed, merge, scaled, wait_quiet,
};
use crate::support::{Audit, Cluster, Mark, Namespace, Operator, OperatorOptions, Requests, eventually};

const TIMEOUT: Duration = Duration::from_secs(30);

async fn start(name: &str) -> (Namespace, Operator, Audit) {
    let cluster = Cluster::shared();
    let namespace = Namespace::new(cluster, name).await;
    let operator = Operator::start(cluster, OperatorOptions::namespace(namespace.name())).await;
    (namespace, operator, cluster.audit().await)
}

async fn wait_gone(namespace: &Namespace, kind: &ChildKind, service: &str) {
    eventually(TIMEOUT, &format!("{} of {service} is gone", kind.kind), || async {
        match kind.find(namespace, service).await {
            None => Ok(()),
            Some(object) => Err(object["metadata"].to_string()),
        }
    })
    .await;
}

async fn wait_there(namespace: &Namespace, kind: &ChildKind, service: &str) -> Value {
    eventually(TIMEOUT, &format!("{} of {service} is there", kind.kind), || async {
        kind.find(namespace, service).await.ok_or("it is not there")
    })
    .await
}

/// Writes of the operator to children since the mark, refused ones included.
async fn child_writes(audit: &Audit, operator: &Operator, mark: Mark) -> Requests {
    let writes = audit.since(mark).await.of(&operator.user()).writes();
    writes.only(|request| KINDS.iter().any(|kind| kind.plural == request.resource))
}

fn message(object: &Microservice, condition: &str) -> String {
    let conditions = object.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    let found = conditions.iter().find(|found| found.type_ == condition);
    found.map(|found| found.message.clone()).unwrap_or_default()
}

/// An owner that is not a Microservice, and a controller reference to it.
async fn another_owner(namespace: &Namespace) -> Value {
    let owner = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "another-owner"}});
    let uid = namespace.apply(owner).await.uid().expect("a stored object has a UID");
    json!({"apiVersion": "v1", "kind": "ConfigMap", "name": "another-owner", "uid": uid, "controller": true})
}

#[tokio::test]
async fn a_foreign_object_of_a_childs_name_is_a_conflict_and_stays_as_it_is() {
    let (namespace, operator, audit) = start("foreign").await;
    let mark = audit.mark().await;
    let owner = another_owner(&namespace).await;
    join_all(KINDS.iter().enumerate().map(|(number, kind)| {
        let (namespace, operator, audit, owner) = (&namespace, &operator, &audit, &owner);
        async move {
            let service = format!("web-{number}");
            let mut foreign = kind.foreign(&service);
            // Some belong to somebody, some have our labels, some have nothing.
            match number % 3 {
                0 => merge(&mut foreign, json!({"metadata": {"ownerReferences": [owner]}})),
                1 => merge(&mut foreign, json!({"metadata": {"labels": {"microservice.dev/name": service}}})),
                _ => {}
            }
            namespace.apply(foreign).await;
            let before = content(&kind.get(namespace, &service).await, false);
            namespace.microservice(&service, scaled(&service)).await;

            let object = namespace.wait_condition(&service, "Applied", "False", Some("Conflict")).await;
            let text = message(&object, "Applied");
            let whose = if number % 3 == 0 { "ConfigMap another-owner" } else { "no owner" };
            for part in [kind.kind, &kind.name(&service), whose] {
                assert!(text.contains(part), "{text:?} does not say {part:?}");
            }
            for other in KINDS.iter().filter(|other| other.kind != kind.kind) {
                // Pods must not read a Secret that somebody else made, so they wait for it.
                let waits = kind.kind == "Secret"
                    && ["Deployment", HPA.kind, "PodDisruptionBudget"].contains(&other.kind);
                // An autoscaler must not scale a Deployment that is not ours.
                let waits = waits || (kind.kind == "Deployment" && other.kind == HPA.kind);
                if !waits {
                    wait_there(namespace, other, &service).await;
                }
            }
            let stored = kind.get(namespace, &service).await;
            assert_eq!(content(&stored, false), before, "{} was changed", kind.kind);
            assert!(!stored["metadata"]["managedFields"].to_string().contains("microservice-operator"));
            let writes = child_writes(audit, operator, mark).await;
            let writes = writes.only(|r| r.resource == kind.plural && r.name == kind.name(&service));
            assert!(writes.0.iter().all(|request| request.code == 409), "{writes}");
            assert!(writes.count() <= 2, "{writes}");
        }
    }))
    .await;
    wait_quiet(&audit, &operator.user()).await;

    join_all(KINDS.iter().enumerate().map(|(number, kind)| {
        let namespace = &namespace;
        async move {
            let service = format!("web-{number}");
            let (api, name) = (kind.api(namespace), kind.name(&service));
            api.delete(&name, &DeleteParams::default()).await.expect("it can be deleted");
            namespace.wait_condition(&service, "Applied", "True", None).await;
            namespace.wait_ready(&service).await;
        }
    }))
    .await;
}

#[tokio::test]
async fn a_forged_owner_and_labels_make_nothing_ours() {
    let (namespace, operator, audit) = start("forged").await;
    let mut spec = fixed("web", 1);
    merge(&mut spec, json!({"ports": [], "health": {"type": "None"}, "config": null, "secrets": null}));
    let object = namespace.microservice("web", spec.clone()).await;
    namespace.wait_ready("web").await;
    wait_quiet(&audit, &operator.user()).await;

    let owner = json!({"apiVersion": "microservice.dev/v1alpha1", "kind": "Microservice", "name": "web",
        "uid": object.uid(), "controller": true, "blockOwnerDeletion": true});
    let labels =
        json!({"microservice.dev/name": "web", "app.kubernetes.io/managed-by": "microservice-operator"});
    let mark = audit.mark().await;
    let mut before = Vec::new();
    let unplanned = KINDS.iter().filter(|kind| !["ServiceAccount", "Deployment"].contains(&kind.kind));
    for kind in unplanned.clone() {
        let mut forged = kind.foreign("web");
        merge(&mut forged, json!({"metadata": {"ownerReferences": [owner], "labels": labels}}));
        namespace.apply(forged).await;
        before.push(content(&kind.get(&namespace, "web").await, false));
    }
    wait_quiet(&audit, &operator.user()).await;
    spec["image"] = json!("web:v2");
    namespace.microservice("web", spec.clone()).await;
    namespace.wait_ready("web").await;
    spec["ports"] = json!([{"name": "http", "port": 80}]);
    namespace.microservice("web", spec).await;
    let object = namespace.wait_condition("web", "Applied", "False", Some("Conflict")).await;
    assert!(message(&object, "Applied").contains("Service web"), "{}", message(&object, "Applied"));
    wait_quiet(&audit, &operator.user()).await;

    for (kind, before) in unplanned.zip(before) {
        assert_eq!(content(&kind.get(&namespace, "web").await, false), before, "{} was changed", kind.kind);
        let writes = child_writes(&audit, &operator, mark).await;
        let writes = writes.only(|request| request.resource == kind.plural && request.code < 400);
        assert_eq!(writes.count(), 0, "{writes}");
    }
}

#[tokio::test]
async fn a_new_object_waits_until_the_children_of_the_old_one_are_gone() {
    let (namespace, operator, audit) = start("again").await;
    namespace.microservice("web", scaled("web")).await;
    namespace.wait_ready("web").await;
    let hold = json!({"metadata": {"finalizers": ["example.com/hold"]}});
    let mut old = Vec::new();
    for kind in KINDS {
        old.push(kind.patch(&namespace, "web", "test", hold.clone()).await);
    }
    wait_quiet(&audit, &operator.user()).await;

    let mark = audit.mark().await;
    namespace.delete::<Microservice>("web").await;
    let new = namespace.microservice("web", scaled("web")).await.uid();
    let object = namespace.wait_condition("web", "Applied", "False", Some("WaitingForDeletion")).await;
    assert!(message(&object, "Applied").contains("web"), "{}", message(&object, "Applied"));
    for kind in KINDS {
        eventually(TIMEOUT, &format!("{} is being deleted", kind.kind), || async {
            let live = kind.get(&namespace, "web").await;
            if live["metadata"]["deletionTimestamp"].is_string() { Ok(()) } else { Err("not yet") }
        })
        .await;
    }
    wait_quiet(&audit, &operator.user()).await;
    let writes = child_writes(&audit, &operator, mark).await;
    assert!(writes.0.iter().all(|request| request.code == 409), "old children are left alone: {writes}");
    for (kind, old) in KINDS.iter().zip(&old) {
        let live = kind.get(&namespace, "web").await;
        assert_eq!(live["metadata"]["uid"], old["metadata"]["uid"], "{}", kind.kind);
        assert_eq!(live["metadata"]["ownerReferences"], old["metadata"]["ownerReferences"], "{}", kind.kind);
    }
    for kind in KINDS {
        kind.patch(&namespace, "web", "test", json!({"metadata": {"finalizers": null}})).await;
    }
    namespace.wait_ready("web").await;
    for (kind, old) in KINDS.iter().zip(&old) {
        let live = kind.get(&namespace, "web").await;
        assert_ne!(live["metadata"]["uid"], old["metadata"]["uid"], "{}", kind.kind);
        assert_eq!(live["metadata"]["ownerReferences"][0]["uid"], json!(new), "{}", kind.kind);
    }
    let deletes = child_writes(&audit, &operator, mark).await.only(|request| request.verb == "delete");
    assert_eq!(deletes.count(), 0, "the garbage collector deletes, not we: {deletes}");
}

#[tokio::test]
async fn a_removed_section_takes_exactly_its_child_with_it() {
    let (namespace, operator, audit) = start("sections").await;
    let class = json!({
        "apiVersion": "microservice.dev/v1alpha1",
        "kind": "MicroserviceClass",
        "metadata": {"name": namespace.name()},
        "spec": {"guardrails": {"allowedServiceAccounts": ["default"]}},
    });
    let class: MicroserviceClass = serde_json::from_value(class).expect("a class");
    let classes = Api::<MicroserviceClass>::all(namespace.client());
    classes.create(&PostParams::default(), &class).await.expect("the class can be created");
    let mut spec = scaled("web");
    spec["className"] = json!(namespace.name());
    namespace.microservice("web", spec).await;
    namespace.wait_ready("web").await;
    for (section, change) in [
        ("configmaps", json!({"config": null})),
        ("horizontalpodautoscalers", json!({"autoscaling": null, "replicas": 3})),
        ("secrets", json!({"secrets": null})),
        ("services", json!({"ports": [], "health": {"type": "None"}})),
        ("poddisruptionbudgets", json!({"replicas": 1})),
        ("serviceaccounts", json!({"serviceAccount": {"name": "default"}})),
    ] {
        wait_quiet(&audit, &operator.user()).await;
        let kind = KINDS.iter().find(|kind| kind.plural == section).expect("a known kind");
        wait_there(&namespace, kind, "web").await;
        let mark = audit.mark().await;
        namespace.patch::<Microservice>("web", json!({"spec": change})).await;
        wait_gone(&namespace, kind, "web").await;
        namespace.wait_ready("web").await;
        let writes = child_writes(&audit, &operator, mark).await;
        let deletes = writes.only(|request| request.verb == "delete" && request.code < 400);
        assert_eq!(deletes.count(), 1, "{section}: {writes}");
        assert_eq!(deletes.resource(section).count(), 1, "{section}: {writes}");
    }
    let children = namespace.get::<Microservice>("web").await.status.map(|status| status.children);
    let kinds: Vec<String> =
        children.unwrap_or_default().into_iter().map(|child| child.kind.to_string()).collect();
    assert_eq!(kinds, ["Deployment"], "the record holds what is left");
}

#[tokio::test]
async fn a_suspended_or_invalid_object_loses_nothing_and_what_lost_its_marks_is_still_pruned() {
    let (namespace, operator, audit) = start("paused").await;
    let mut spec = scaled("web");
    namespace.microservice("web", spec.clone()).await;
    namespace.wait_ready("web").await;
    wait_quiet(&audit, &operator.user()).await;

    let mark = audit.mark().await;
    merge(&mut spec, json!({"config": null, "autoscaling": null, "replicas": 2, "suspend": true}));
    namespace.microservice("web", spec.clone()).await;
    eventually(TIMEOUT, "it says that it is suspended", || async {
        let object = namespace.get::<Microservice>("web").await;
        let status = object.status.clone().unwrap_or_default();
        let said = status.conditions.iter().any(|condition| condition.reason == "Suspended");
        let current = status.observed_generation == object.metadata.generation;
        if said && current { Ok(()) } else { Err(format!("{:?}", status.conditions)) }
    })
    .await;
    merge(&mut spec, json!({"suspend": false, "className": "unknown"}));
    namespace.microservice("web", spec.clone()).await;
    namespace.wait_condition("web", "Accepted", "False", Some("ClassNotFound")).await;

    // Nobody repairs now, so the marks stay away. The service's label is what the watches select by.
    let strip = json!({"metadata": {"ownerReferences": null, "labels": {"microservice.dev/name": null}}});
    CONFIG_MAP.patch(&namespace, "web", "kubectl-edit", strip).await;
    HPA.patch(&namespace, "web", "kubectl-edit", json!({"metadata": {"labels": null}})).await;
    wait_quiet(&audit, &operator.user()).await;
    let writes = child_writes(&audit, &operator, mark).await;
    assert_eq!(writes.count(), 0, "{writes}");

    merge(&mut spec, json!({"className": null, "image": "web:v2"}));
    namespace.microservice("web", spec).await;
    namespace.wait_ready("web").await;
    wait_gone(&namespace, &HPA, "web").await;
    wait_gone(&namespace, &CONFIG_MAP, "web").await;
}

#[tokio::test]
async fn a_child_that_another_controller_claims_is_left_to_it() {
    let (namespace, operator, audit) = start("claimed").await;
    namespace.microservice("web", fixed("web", 1)).await;
    namespace.wait_ready("web").await;
    wait_quiet(&audit, &operator.user()).await;
    let owner = another_owner(&namespace).await;
    let mark = audit.mark().await;
    let claim = json!({"metadata": {"ownerReferences": [owner]}, "spec": {"sessionAffinity": "ClientIP"}});
    SERVICE.patch(&namespace, "web", "other", claim).await;
    let object = namespace.wait_condition("web", "Applied", "False", Some("Conflict")).await;
    let text = message(&object, "Applied");
    assert!(text.contains("Service web") && text.contains("ConfigMap another-owner"), "{text}");
    wait_quiet(&audit, &operator.user()).await;
    let writes = child_writes(&audit, &operator, mark).await;
    assert_eq!(writes.count(), 0, "{writes}");

    SERVICE.patch(&namespace, "web", "other", json!({"metadata": {"ownerReferences": null}})).await;
    namespace.wait_condition("web", "Applied", "True", None).await;
    eventually(TIMEOUT, "the Service is repaired", || async {
        let live = SERVICE.get(&namespace, "web").await;
        let ours = live["metadata"]["ownerReferences"][0]["kind"] == "Microservice";
        if ours && live["spec"]["sessionAffinity"] == "None" { Ok(()) } else { Err(live.to_string()) }
    })
    .await;
}

#[tokio::test]
async fn deleting_the_object_leaves_nothing_behind() {
    let (namespace, operator, audit) = start("gone").await;
    namespace.microservice("web", scaled("web")).await;
    namespace.wait_ready("web").await;
    DEPLOYMENT
        .patch(&namespace, "web", "kubectl-edit", json!({"metadata": {"labels": {"team": "blue"}}}))
        .await;
    let mark = audit.mark().await;
    namespace.delete::<Microservice>("web").await;
    for kind in KINDS {
        wait_gone(&namespace, &kind, "web").await;
    }
    eventually(TIMEOUT, "no ReplicaSet, pod or ConfigMap is left", || async {
        let every = ListParams::default();
        let count = |result: kube::Result<usize>| result.map_err(|error| error.to_string());
        let sets = count(namespace.api::<ReplicaSet>().list(&every).await.map(|list| list.items.len()))?;
        let pods = count(namespace.api::<Pod>().list(&every).await.map(|list| list.items.len()))?;
        let maps = namespace.api::<ConfigMap>().list(&every.clone().labels("microservice.dev/name")).await;
        let maps = count(maps.map(|list| list.items.len()))?;
        if sets + pods + maps == 0 { Ok(()) } else { Err(format!("{sets} {pods} {maps}")) }
    })
    .await;
    wait_quiet(&audit, &operator.user()).await;
    let writes = child_writes(&audit, &operator, mark).await;
    assert_eq!(writes.count(), 0, "the garbage collector does it alone: {writes}");
}
