//! Which class applies is not known at every moment: until it is, no child is written.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::sleep;

use crate::chain::{self, OPERATOR, root};
use crate::faults::Faults;
use crate::kubernetes;
use crate::server::Server;
use crate::specs::{NAME, NAMESPACE};
use crate::store::Key;
use crate::trouble;

const CLASSES: &str = "microservice.dev/microserviceclasses";
/// Longer than all that follows from a change.
const REST: Duration = Duration::from_mins(1);

/// Runs it on a clock that does not wait; there must be no panic and no ERROR.
fn run(test: impl Future<Output = ()>) {
    trouble::forget();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.unwrap().block_on(test);
    assert_eq!(trouble::none(), Ok(()));
}

/// A cluster with the namespace of the operator and one class, and the operator.
fn cluster(faults: Faults, class: &Value) -> Arc<Server> {
    let server = Server::new(faults);
    make(&server, &Key::new("/namespaces", "", OPERATOR), &json!({"apiVersion": "v1", "kind": "Namespace"}));
    make(&server, &Key::new(CLASSES, "", "bank"), class);
    tokio::spawn(kubernetes::run(Arc::clone(&server)));
    tokio::spawn(chain::operate(Arc::clone(&server)));
    server
}

fn make(server: &Server, key: &Key, object: &Value) {
    server.change(|store| kubernetes::make(store, key, object));
}

/// A class with another number of pods than the built-in one.
fn class(metadata: &Value) -> Value {
    json!({
        "apiVersion": "microservice.dev/v1alpha1", "kind": "MicroserviceClass", "metadata": metadata,
        "spec": {"defaults": {"replicas": 2}},
    })
}

/// A namespace with these labels, and at the same moment a service in it.
fn make_service(server: &Server, labels: &Value) {
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"labels": labels}});
    make(server, &Key::new("/namespaces", "", NAMESPACE), &namespace);
    let service = json!({
        "apiVersion": "microservice.dev/v1alpha1", "kind": "Microservice", "metadata": {},
        "spec": {"image": "web:v1"},
    });
    make(server, &root(), &service);
}

/// The numbers of pods that were ever asked for, the first one first.
fn replicas(server: &Server) -> Vec<i64> {
    let deployment = Key::new("apps/deployments", NAMESPACE, NAME);
    let state = server.state();
    let changes = state.store.log.iter().filter(|change| change.key == deployment);
    let mut counts: Vec<i64> =
        changes.filter_map(|change| change.now.value["spec"]["replicas"].as_i64()).collect();
    counts.dedup();
    counts
}

/// What was written since so many writes, but for the status of the class.
fn written(server: &Server, since: usize) -> Vec<String> {
    let state = server.state();
    let writes = state.written[since..].iter().filter(|write| write.key.resource != CLASSES);
    writes.map(ToString::to_string).collect()
}

/// Status and reason of a condition of the service.
fn condition(server: &Server, name: &str) -> (String, String) {
    let state = server.state();
    let status = state.store.get(&root()).unwrap().value["status"].clone();
    let conditions = status["conditions"].as_array().unwrap();
    let condition = conditions.iter().find(|condition| condition["type"] == name).unwrap();
    let text = |name: &str| condition[name].as_str().unwrap().to_owned();
    (text("status"), text("reason"))
}

#[test]
fn an_operator_that_may_not_list_the_classes_touches_no_child() {
    let default = class(&json!({"annotations": {"microservice.dev/is-default-class": "true"}}));
    run(async {
        let server = cluster(Faults::default(), &default);
        make_service(&server, &json!({}));
        sleep(REST).await;
        assert_eq!((replicas(&server), condition(&server, "Ready").0), (vec![2], "True".to_owned()));

        // The server does not know its roles yet: that passes, and nobody hears of it.
        let before = server.state().written.len();
        server.refuse(CLASSES, 4);
        server.crashed.notify_one();
        sleep(REST).await;
        assert_eq!(written(&server, before), [""; 0]);

        // The right is missing, and is given after a while.
        server.refuse(CLASSES, u16::MAX);
        server.crashed.notify_one();
        sleep(REST).await;
        assert_eq!(condition(&server, "Applied"), ("False".to_owned(), "Forbidden".to_owned()));
        server.calm();
        sleep(REST).await;
        assert_eq!(condition(&server, "Ready"), ("True".to_owned(), "Ready".to_owned()));
        let writes = written(&server, before);
        assert!(writes.iter().all(|write| write.contains("microservice.dev/microservices")), "{writes:#?}");
        assert_eq!((replicas(&server), writes.len()), (vec![2], 2));
    });
}

#[test]
fn a_service_that_is_known_before_its_namespace_begins_with_its_class() {
    let faults = Faults { lags: vec![("/namespaces", 3000)], ..Faults::default() };
    run(async {
        let server = cluster(faults, &class(&json!({})));
        sleep(REST).await;
        make_service(&server, &json!({"microservice.dev/class": "bank"}));
        sleep(REST).await;
        assert_eq!((replicas(&server), condition(&server, "Ready").0), (vec![2], "True".to_owned()));
    });
}
