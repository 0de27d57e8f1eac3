//! Whatever somebody changes in a child is put back, with few writes, and then there is rest; what is
//! not ours and does no harm stays.

mod edits;

use std::time::{Duration, Instant};

use futures::{StreamExt, stream};
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};

use crate::children::{
    CONFIG_MAP, ChildKind, DEPLOYMENT, HPA, KINDS, PDB, SECRET, SERVICE, SERVICE_ACCOUNT, content, fixed,
    lean, merge, scaled, wait_content, wait_quiet,
};
use crate::support::{Cluster, Namespace, Operator, OperatorOptions, always};
use edits::{Case, Edit};

/// Most writes of one child that are stored for one edit: apply, take over, apply.
const MOST_STORED: usize = 3;
/// Most writes in all: some find that Kubernetes itself has just written the status.
const MOST_SENT: usize = 6;
/// Services that are made or edited at the same time.
const AT_ONCE: usize = 4;
const PERSON: &str = "kubectl-edit";

/// Makes every edit on a service of its own and sees each undone.
async fn every_edit_is_undone(kind: ChildKind, own: Vec<Case>) {
    let cluster = Cluster::shared();
    let namespace = Namespace::new(cluster, "drift").await;
    let operator = Operator::start(cluster, OperatorOptions::namespace(namespace.name())).await;
    let cases: Vec<(String, Case)> = own
        .into_iter()
        .chain(edits::of_any(&kind))
        .enumerate()
        .map(|(number, case)| (format!("{}-{number}", kind.kind.to_lowercase()), case))
        .collect();
    stream::iter(&cases)
        .for_each_concurrent(AT_ONCE, |(service, _)| async {
            namespace.microservice(service, lean(service, &kind)).await;
            namespace.wait_ready(service).await;
        })
        .await;
    let audit = cluster.audit().await;
    wait_quiet(&audit, &operator.user()).await;

    let mark = audit.mark().await;
    let repairs = stream::iter(&cases).map(|(service, case)| {
        let namespace = &namespace;
        async move {
            let planned = kind.get(namespace, service).await;
            make(namespace, &kind, service, case, &planned).await;
            let start = Instant::now();
            wait_content(namespace, &kind, service, &planned, case.is_anew()).await;
            start.elapsed()
        }
    });
    let took: Vec<Duration> = repairs.buffer_unordered(AT_ONCE).collect().await;
    let slowest = took.iter().max().expect("there are cases");
    println!("{}: {} edits, {AT_ONCE} at once, the slowest undone after {slowest:?}", kind.kind, cases.len());
    for (service, case) in &cases {
        namespace.wait_condition(service, "Applied", "True", None).await;
        wait_content(&namespace, &kind, service, &kind.get(&namespace, service).await, case.is_anew()).await;
    }
    wait_quiet(&audit, &operator.user()).await;
    let seen = audit.since(mark).await.of(&operator.user()).writes().resource(kind.plural);
    for (service, case) in &cases {
        let writes = seen.only(|request| request.name == kind.name(service));
        let stored = writes.only(|request| request.code < 300);
        assert!((1..=MOST_STORED).contains(&stored.count()), "{}: {writes}", case.what);
        assert!(writes.count() <= MOST_SENT, "{}: {writes}", case.what);
    }
}

/// Makes an edit. That it changes something is seen in the reply: a look at the child that follows may
/// come after its repair.
async fn make(namespace: &Namespace, kind: &ChildKind, service: &str, case: &Case, planned: &Value) {
    let (api, name) = (kind.api(namespace), kind.name(service));
    let stored = match &case.edit {
        Edit::Patch(patch) => kind.patch(namespace, service, PERSON, patch.clone()).await,
        Edit::Scale(replicas) => {
            let params = PatchParams { field_manager: Some("kubectl".to_owned()), ..PatchParams::default() };
            let patch = json!({"spec": {"replicas": replicas}});
            let scale =
                api.patch_scale(&name, &params, &Patch::Merge(patch)).await.expect("it can be scaled");
            let replicas = scale.spec.and_then(|spec| spec.replicas);
            let mut stored = planned.clone();
            stored["spec"]["replicas"] = json!(replicas.unwrap_or_default());
            stored
        }
        Edit::Delete => {
            api.delete(&name, &DeleteParams::default()).await.expect("it can be deleted");
            return;
        }
        Edit::OurName(change) => {
            let mut body = content(planned, false);
            body["metadata"] = json!({"name": name, "labels": planned["metadata"]["labels"]});
            merge(&mut body, change.clone());
            let params = PatchParams::apply("microservice-operator").force();
            let stored = api.patch(&name, &params, &Patch::Apply(&body)).await;
            let stored = stored.unwrap_or_else(|error| panic!("{}: {error}\n{body:#}", case.what));
            serde_json::to_value(stored).expect("an object is JSON")
        }
    };
    assert_ne!(content(&stored, false), content(planned, false), "{} changes nothing", case.what);
}

#[tokio::test]
async fn every_edit_of_a_service_account_is_undone() {
    every_edit_is_undone(SERVICE_ACCOUNT, edits::of_service_account()).await;
}

#[tokio::test]
async fn every_edit_of_a_config_map_is_undone() {
    every_edit_is_undone(CONFIG_MAP, edits::of_config_map()).await;
}

#[tokio::test]
async fn every_edit_of_a_secret_but_its_values_is_undone() {
    every_edit_is_undone(SECRET, Vec::new()).await;
}

#[tokio::test]
async fn every_edit_of_a_service_is_undone() {
    every_edit_is_undone(SERVICE, edits::of_service()).await;
}

#[tokio::test]
async fn every_edit_of_a_deployment_is_undone() {
    every_edit_is_undone(DEPLOYMENT, edits::of_deployment()).await;
}

#[tokio::test]
async fn every_unsafe_addition_to_a_deployment_is_removed() {
    every_edit_is_undone(DEPLOYMENT, edits::unsafe_additions()).await;
}

#[tokio::test]
async fn every_edit_of_an_autoscaler_is_undone() {
    every_edit_is_undone(HPA, edits::of_hpa()).await;
}

#[tokio::test]
async fn every_edit_of_a_disruption_budget_is_undone() {
    every_edit_is_undone(PDB, edits::of_pdb()).await;
}

/// A foreign label, a foreign annotation and a restart stay and cause no write, not even when
/// something of ours beside them is repaired.
#[tokio::test]
async fn harmless_foreign_fields_stay_and_cause_no_write() {
    let cluster = Cluster::shared();
    let namespace = Namespace::new(cluster, "drift").await;
    let operator = Operator::start(cluster, OperatorOptions::namespace(namespace.name())).await;
    namespace.microservice("web", scaled("web")).await;
    namespace.wait_ready("web").await;
    let audit = cluster.audit().await;
    wait_quiet(&audit, &operator.user()).await;

    let mark = audit.mark().await;
    let marks =
        json!({"metadata": {"labels": {"team": "blue"}, "annotations": {"example.com/note": "mine"}}});
    for kind in KINDS {
        kind.patch(&namespace, "web", PERSON, marks.clone()).await;
    }
    let restart = json!({"spec": {"template": {"metadata": {"annotations":
        {"kubectl.kubernetes.io/restartedAt": "2026-01-01T00:00:00Z"}}}}});
    DEPLOYMENT.patch(&namespace, "web", "kubectl-rollout", restart).await;
    SERVICE.patch(&namespace, "web", PERSON, json!({"spec": {"internalTrafficPolicy": "Local"}})).await;
    always(Duration::from_secs(3), "no child is written", || async {
        let writes = audit.since(mark).await.of(&operator.user()).writes();
        let of_children = writes.only(|request| KINDS.iter().any(|kind| kind.plural == request.resource));
        if of_children.count() == 0 { Ok(()) } else { Err(of_children.to_string()) }
    })
    .await;
    wait_quiet(&audit, &operator.user()).await;

    for kind in KINDS {
        let planned = kind.get(&namespace, "web").await;
        assert_eq!(planned["metadata"]["labels"]["team"], "blue", "{}", kind.kind);
        assert_eq!(planned["metadata"]["annotations"]["example.com/note"], "mine", "{}", kind.kind);
        let edit = json!({"metadata": {"labels": {"app.kubernetes.io/managed-by": "me"}}});
        kind.patch(&namespace, "web", PERSON, edit).await;
        let start = Instant::now();
        wait_content(&namespace, &kind, "web", &planned, false).await;
        println!("{} repaired after {:?}", kind.kind, start.elapsed());
        assert!(start.elapsed() < Duration::from_secs(20), "{} took {:?}", kind.kind, start.elapsed());
    }
    let deployment = DEPLOYMENT.get(&namespace, "web").await;
    let annotations = &deployment["spec"]["template"]["metadata"]["annotations"];
    assert_eq!(annotations["kubectl.kubernetes.io/restartedAt"], "2026-01-01T00:00:00Z");
}

/// A value that a person puts into a generated Secret is the new value: it stays, and the pods roll.
#[tokio::test]
async fn an_edited_secret_value_is_accepted_and_rolls_the_pods() {
    let cluster = Cluster::shared();
    let namespace = Namespace::new(cluster, "drift").await;
    let operator = Operator::start(cluster, OperatorOptions::namespace(namespace.name())).await;
    namespace.microservice("web", fixed("web", 1)).await;
    namespace.wait_ready("web").await;
    let hash = |deployment: &Value| {
        deployment["spec"]["template"]["metadata"]["annotations"]["microservice.dev/config-hash"].clone()
    };
    let before = hash(&DEPLOYMENT.get(&namespace, "web").await);
    assert!(before.is_string(), "the pods carry a hash of what they read: {before}");

    SECRET.patch(&namespace, "web", PERSON, json!({"data": {"password": "bXkgb3du"}})).await;
    crate::support::eventually(Duration::from_secs(30), "the pods roll", || async {
        let after = hash(&DEPLOYMENT.get(&namespace, "web").await);
        if after == before { Err("the hash is still the old one") } else { Ok(()) }
    })
    .await;
    wait_quiet(&cluster.audit().await, &operator.user()).await;
    assert_eq!(SECRET.get(&namespace, "web").await["data"]["password"], "bXkgb3du");
    namespace.wait_ready("web").await;
}
