//! B14: the API server's priority and fairness gives the operator next to nothing.

use std::time::{Duration, Instant};

use futures::{StreamExt, stream};
use kube::api::{ApiResource, DeleteParams, DynamicObject, PostParams};
use kube::core::GroupVersionKind;
use kube::{Api, Client};
use microservice_operator::api::Microservice;
use serde_json::{Value, json};

use crate::ground::{Ground, shipped, wait_applied};
use crate::report::Report;
use crate::support::{Cluster, History, Operator, Requests, apply_as_given};
use crate::workload::{microservice, name, policed};

/// Services of each burst at most: they take their time.
const SERVICES: usize = 100;
const GROUP: &str = "flowcontrol.apiserver.k8s.io";
/// Name of both objects.
const STARVED: &str = "bench-starved";

/// What a burst took.
struct Burst {
    sent: Requests,
    /// Services that ever told of an error.
    complaints: usize,
    seconds: f64,
}

/// B14: the same burst with and without.
pub async fn run(ground: &mut Ground, report: &mut Report) {
    let services = ground.settings.objects.min(SERVICES);
    let calm = burst(ground.cluster, services, false).await;
    let starved = burst(ground.cluster, services, true).await;
    let refused = starved.sent.only(|request| request.code == 429).count();
    assert!(refused > 0, "nothing was refused: the FlowSchema {STARVED} does not apply\n{}", starved.sent);
    report.measure("M17", "requests refused with 429", None, refused as f64);
    let ratio = starved.sent.count() as f64 / calm.sent.count() as f64;
    report.measure("M17", "requests / those of a calm run", Some(1.2), ratio);
    report.measure("M17", "time / that of a calm run", None, starved.seconds / calm.seconds);
    report.count("M17", "services that ever told of an error", 0.0, starved.complaints as f64);
}

async fn burst(cluster: &'static Cluster, services: usize, starved: bool) -> Burst {
    let namespace = policed(cluster, "throttle").await;
    let operator = Operator::start(cluster, shipped(&namespace)).await;
    if starved {
        starve(&namespace.client(), &operator.user()).await;
    }
    let audit = cluster.audit().await;
    let mark = audit.mark().await;
    let history = History::of(&namespace, &ApiResource::erase::<Microservice>(&())).await;
    let start = Instant::now();
    let api = namespace.api::<Microservice>();
    stream::iter(0..services)
        .for_each_concurrent(16, |number| {
            let (api, object) = (api.clone(), microservice(namespace.name(), number));
            async move {
                api.create(&PostParams::default(), &object).await.expect("the object is created");
            }
        })
        .await;
    wait_applied(&namespace, services).await;
    let seconds = start.elapsed().as_secs_f64();
    let sent = audit.since(mark).await.of(&operator.user()).without("leases");
    if starved {
        relent(&namespace.client()).await;
    }
    let complained = |number: &usize| {
        let versions = history.versions(&name(*number));
        versions.iter().any(|version| complains(&version.object))
    };
    Burst { sent, complaints: (0..services).filter(complained).count(), seconds }
}

/// Whether a status says that something failed.
fn complains(object: &Value) -> bool {
    let conditions = object["status"]["conditions"].as_array().into_iter().flatten();
    let bad = |condition: &Value| {
        (condition["type"] == "Stalled" && condition["status"] == "True")
            || (condition["type"] == "Applied" && condition["status"] == "False")
    };
    conditions.into_iter().any(bad)
}

/// All requests of a user share the fewest seats that there are, and do not queue for them.
async fn starve(client: &Client, user: &str) {
    let level = json!({
        "apiVersion": format!("{GROUP}/v1"), "kind": "PriorityLevelConfiguration", "metadata": {"name": STARVED},
        "spec": {"type": "Limited", "limited": {
            "nominalConcurrencyShares": 1, "lendablePercent": 0, "borrowingLimitPercent": 0,
            "limitResponse": {"type": "Reject"},
        }},
    });
    apply_as_given(client, &level).await;
    let schema = json!({
        "apiVersion": format!("{GROUP}/v1"), "kind": "FlowSchema", "metadata": {"name": STARVED},
        "spec": {
            "priorityLevelConfiguration": {"name": STARVED}, "matchingPrecedence": 100,
            "rules": [{
                "subjects": [{"kind": "User", "user": {"name": user}}],
                "resourceRules": [{
                    "verbs": ["*"], "apiGroups": ["*"], "resources": ["*"], "namespaces": ["*"], "clusterScope": true,
                }],
            }],
        },
    });
    apply_as_given(client, &schema).await;
    // Nobody says when the server has read them.
    tokio::time::sleep(Duration::from_secs(2)).await;
}

async fn relent(client: &Client) {
    for kind in ["FlowSchema", "PriorityLevelConfiguration"] {
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(GROUP, "v1", kind));
        let api = Api::<DynamicObject>::all_with(client.clone(), &resource);
        let deleted = api.delete(STARVED, &DeleteParams::default()).await;
        deleted.unwrap_or_else(|error| panic!("{kind} {STARVED}: {error}"));
    }
}
