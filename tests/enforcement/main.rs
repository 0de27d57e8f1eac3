//! Real clients behind real network policies: what is granted is open, everything else is closed, in each
//! direction. `make e2e` builds what enforces them; it needs the real node.
#![allow(missing_docs, clippy::expect_used, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod engine;
#[path = "../e2e/fixtures.rs"]
#[allow(dead_code)] // the end-to-end tests use more of it
mod fixtures;
#[path = "../support/mod.rs"]
mod support;
#[path = "../e2e/traffic.rs"]
#[allow(dead_code)]
mod traffic;

use k8s_openapi::api::core::v1::Namespace as CoreNamespace;
use kube::api::{Api, Patch, PatchParams};
use microservice_operator::api::microservice::Microservice;
use serde_json::{Value, json};

use engine::Engine;
use fixtures::{PATIENCE, address, namespace, wait_ready};
use support::{Cluster, Namespace, apply_as_given, eventually};
use traffic::request;

/// Two namespaces: in the first one policies are enforced, in the other one there are none.
struct Ground {
    inside: Namespace,
    outside: Namespace,
    engine: Engine,
}

impl Ground {
    async fn open() -> Self {
        let cluster = Cluster::real();
        let images = ["order", "stock", "spy", "other"].map(|name| format!("docker.io/library/{name}:v1"));
        cluster.load("shop", "/app/migrate", &images.each_ref().map(String::as_str));
        let engine = Engine::start(cluster).await;
        let (inside, _) = namespace("inside").await;
        let (outside, _) = namespace("outside").await;
        let ground = Self { inside, outside, engine };
        ground.class("Enforce").await;
        let free = json!({"metadata": {"labels": {"microservice.dev/network-policy": "Off"}}});
        let namespaces: Api<CoreNamespace> = Api::all(ground.outside.client());
        namespaces
            .patch(ground.outside.name(), &PatchParams::default(), &Patch::Merge(free))
            .await
            .expect("a namespace takes a label");
        ground
    }

    async fn class(&self, mode: &str) {
        // The name server is a program of the node, and the clients of this test are outside of it.
        let network = json!({
            "mode": mode, "enforcedBy": "kube-router",
            "dns": [{"cidr": format!("{}/32", self.engine.node_address)}],
            "gateways": [{"cidr": format!("{}/32", Cluster::real().host_address())}],
        });
        let class = json!({
            "apiVersion": "microservice.dev/v1alpha1", "kind": "MicroserviceClass",
            "metadata": {"name": self.class_name()}, "spec": {"network": network},
        });
        apply_as_given(&self.inside.client(), &class).await;
    }

    fn class_name(&self) -> String {
        self.inside.name().to_owned()
    }

    /// A service with more in its spec than an image.
    async fn service(&self, namespace: &Namespace, name: &str, more: Value) {
        let mut spec = json!({"image": format!("{name}:v1"), "replicas": 1, "className": self.class_name()});
        spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        namespace.microservice(name, spec).await;
    }

    /// Waits until a service reaches all that it calls, or nothing of it.
    async fn reaches(&self, namespace: &Namespace, caller: &str, wanted: bool, why: &str) {
        let address = address(namespace, caller).await;
        eventually(PATIENCE, why, || async {
            let (status, body) = request("GET", &address, "/call").await?;
            let cut = || body.contains("connection refused") || body.contains("deadline exceeded");
            let met = if wanted { status == 200 } else { status == 502 && cut() };
            let log = || std::fs::read_to_string(&self.engine.process.log).unwrap_or_default();
            if met { Ok(()) } else { Err(format!("{status}: {body}; {}", log())) }
        })
        .await;
    }
}

/// The variable by which a service of the shop is told of another one without declaring a call.
fn told_of(name: &str, namespace: &Namespace) -> Value {
    let url = format!("http://{name}.{}.svc:3000", namespace.name());
    json!({"env": [{"name": "TARGET_URL", "value": url}]})
}

#[tokio::test]
async fn only_granted_calls_come_through_in_each_direction() {
    let ground = Ground::open().await;
    let (inside, outside) = (&ground.inside, &ground.outside);
    let callers = json!({"callers": [{"name": "order"}]});
    ground.service(inside, "stock", callers.clone()).await;
    ground.service(inside, "order", json!({"calls": [{"name": "stock"}]})).await;
    ground.service(outside, "other", json!({})).await;
    // Nothing limits what leaves the spy: only the policy of the callee keeps it out.
    ground.service(outside, "spy", told_of("stock", inside)).await;
    // And nothing limits who comes to the other one: only its own policy keeps the leak in.
    ground.service(inside, "leak", json!({"image": "order:v1"})).await;
    inside.patch::<Microservice>("leak", json!({"spec": told_of("other", outside)})).await;
    for (namespace, name) in
        [(inside, "stock"), (inside, "order"), (inside, "leak"), (outside, "other"), (outside, "spy")]
    {
        wait_ready(namespace, name).await;
    }
    ground.reaches(inside, "order", true, "a granted call comes through").await;
    ground.reaches(outside, "spy", false, "who is not among the callers is kept out").await;
    ground.reaches(inside, "leak", false, "a call that is not declared does not leave").await;

    // Either side ends it by removing its line, and begins it again.
    inside.patch::<Microservice>("stock", json!({"spec": {"callers": []}})).await;
    ground.reaches(inside, "order", false, "without consent the call is cut").await;
    inside.patch::<Microservice>("stock", json!({"spec": callers})).await;
    ground.reaches(inside, "order", true, "with it the call comes through again").await;

    // It was the policies: without them everybody reaches everybody.
    ground.class("Off").await;
    ground.reaches(outside, "spy", true, "without policies nobody is kept out").await;
    ground.reaches(inside, "leak", true, "without policies everything leaves").await;
}
