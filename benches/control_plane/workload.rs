//! The reference service: eight children, and the bodies that an operator has to send for it.

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Namespace as CoreNamespace;
use kube::Api;
use kube::api::{Patch, PatchParams};
use microservice_operator::api::calls::Call;
use microservice_operator::api::network::PolicyMode;
use microservice_operator::api::{FIELD_MANAGER, LABEL_NETWORK_POLICY, Microservice, REPLICAS_MANAGER};
use microservice_operator::intent::{GeneratedValues, Intent, Observed};
use microservice_operator::plan::{Kind, plan};
use serde_json::{Value, json};

use crate::support::{Cluster, Namespace};

/// Children of one object: Deployment, Service, HorizontalPodAutoscaler, PodDisruptionBudget,
/// ServiceAccount, ConfigMap, generated Secret, NetworkPolicy.
pub const CHILDREN: usize = 8;

/// Fewest pods; the operator hands this count over to the autoscaler with a write of its own.
const MIN_REPLICAS: i32 = 2;

/// One request of a floor.
#[derive(Clone)]
pub struct Body {
    pub kind: Kind,
    pub name: String,
    pub manager: &'static str,
    pub body: Value,
}

/// Name of one object.
pub fn name(number: usize) -> String {
    format!("service-{number:05}")
}

/// One object, as a team would write it. Its namespace asks for network policies: see [`policed`].
pub fn microservice(namespace: &str, number: usize) -> Microservice {
    named(namespace, &name(number))
}

/// The same, calling others of its namespace.
pub fn calling(namespace: &str, number: usize, callees: impl Iterator<Item = usize>) -> Microservice {
    let mut object = microservice(namespace, number);
    let call = |callee| Call { name: Some(name(callee)), ..Call::default() };
    object.spec.calls = Some(callees.map(call).collect::<Vec<_>>()).filter(|calls| !calls.is_empty());
    object
}

/// The same under another name.
pub fn named(namespace: &str, name: &str) -> Microservice {
    let object = json!({
        "apiVersion": "microservice.dev/v1alpha1",
        "kind": "Microservice",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "image": format!("registry.example.com/shop/{name}:v1.2.0"),
            "ports": [{"name": "http", "port": 80, "containerPort": 3000}, {"name": "grpc", "port": 9000}],
            "autoscaling": {"minReplicas": MIN_REPLICAS, "maxReplicas": 6, "targetCPUUtilizationPercentage": 70},
            "env": [{"name": "LOG_LEVEL", "value": "info"}, {"name": "REGION", "value": "eu-west-1"}],
            "config": {"DATABASE_HOST": "postgres", "DATABASE_PORT": "5432", "FEATURE_SEARCH": "true"},
            "secrets": [{
                "name": format!("{name}-keys"),
                "generate": [{"key": "token"}],
                "env": [{"name": "TOKEN", "key": "token"}],
            }],
        },
    });
    serde_json::from_value(object).expect("the reference object is one")
}

/// A namespace whose services get network policies.
pub async fn policed(cluster: &'static Cluster, prefix: &str) -> Namespace {
    let namespace = Namespace::new(cluster, prefix).await;
    let label = json!({"metadata": {"labels": {LABEL_NETWORK_POLICY: "Enforce"}}});
    let namespaces = Api::<CoreNamespace>::all(namespace.client());
    let labelled = namespaces.patch(namespace.name(), &PatchParams::default(), &Patch::Merge(&label)).await;
    labelled.unwrap_or_else(|error| panic!("namespace {}: {error}", namespace.name()));
    namespace
}

/// Everything that has to be sent for the children of one object. The last one, the hand-over of the
/// replica count, needs the Deployment: see [`is_hand_over`].
pub fn children(namespace: &str, number: usize) -> Vec<Body> {
    let mut object = microservice(namespace, number);
    object.metadata.uid = Some(format!("00000000-0000-4000-8000-{number:012}"));
    let values = GeneratedValues {
        data: Some([("token".to_owned(), ByteString(vec![b'x'; 32]))].into()),
        hash: "0123456789abcdef".to_owned(),
    };
    let generated = [(format!("{}-keys", name(number)), values)].into();
    let observed = Observed { generated, network_mode: Some(PolicyMode::Enforce), ..Observed::default() };
    let intent = Intent::resolve(&object, None, &observed).expect("the reference object is valid");
    let children = plan(&intent).children;
    assert_eq!(children.len(), CHILDREN, "the reference object has {CHILDREN} children");
    let deployment =
        children.iter().find(|child| child.kind.kind == "Deployment").expect("it has a Deployment");
    let hand_over = Body {
        kind: deployment.kind,
        name: deployment.name.clone(),
        manager: REPLICAS_MANAGER,
        body: json!({
            "apiVersion": deployment.kind.api_version(),
            "kind": "Deployment",
            "metadata": {"name": deployment.name, "namespace": namespace},
            "spec": {"replicas": MIN_REPLICAS},
        }),
    };
    let main = children.into_iter().map(|child| Body {
        kind: child.kind,
        name: child.name,
        manager: FIELD_MANAGER,
        body: child.body.value(),
    });
    main.chain([hand_over]).collect()
}

/// Whether this can only be sent after the Deployment.
pub fn is_hand_over(body: &Body) -> bool {
    body.manager == REPLICAS_MANAGER
}
