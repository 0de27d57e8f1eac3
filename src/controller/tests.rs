use http::{Request, Response};
use kube::client::Body;
use tower::BoxError;

use super::*;
use crate::engine::lease::Leadership;

/// Everything around a look, with a server that never answers, and the writer of the store.
fn context() -> (Arc<Context>, Writer<Packed>) {
    let silence = |_: Request<Body>| std::future::pending::<Result<Response<Body>, BoxError>>();
    let leadership = Leadership::always();
    let options = Options {
        client: Client::new(tower::service_fn(silence), "system"),
        namespaces: Vec::new(),
        operator_namespace: "system".to_owned(),
        identity: "test".to_owned(),
        concurrency: 1,
        class_rate: 5.0,
        max_rolling: 10,
        kafka_sweep: Duration::from_mins(5),
        kafka_grace: Duration::from_mins(10),
        strimzi_patience: Duration::from_mins(3),
        api_pace: Duration::from_mins(5),
        telemetry: Arc::default(),
        fence: leadership.fence(),
        leadership: leadership.changes(),
    };
    let (store, writer) = reflector::store();
    let watches = watches(&options, unbounded().0, unbounded().0);
    (Arc::new(Context::new(&options, watches, store)), writer)
}

fn orders() -> Microservice {
    serde_yaml::from_str(
        "{metadata: {name: orders, namespace: shop, uid: u-1, resourceVersion: '7'}, \
         spec: {image: 'orders:v1', kafka: {}}}",
    )
    .unwrap()
}

#[tokio::test]
async fn a_look_that_ends_after_its_object_leaves_nothing_behind() {
    let (context, mut writer) = context();
    let object = Arc::new(Packed::from(&orders()));
    writer.apply_watcher_event(&Event::Apply((*object).clone()));
    reconcile(Arc::clone(&object), Arc::clone(&context)).await.unwrap();
    assert!(!context.memory.is_empty(), "it is there");
    let gone = Event::Delete((*object).clone());
    writer.apply_watcher_event(&gone);
    context.forget(orders(), None);
    assert!(context.memory.is_empty());
    reconcile(Arc::clone(&object), Arc::clone(&context)).await.unwrap();
    assert!(context.memory.is_empty(), "a look that was under way");
    let _action = retry(object, &Error::Status(Failure::Fenced), Arc::clone(&context));
    assert!(context.memory.is_empty(), "a look that failed");
}

#[test]
fn one_whose_end_no_watch_has_seen_is_known_as_it_was_stored() {
    let stored = Packed::from(&orders());
    let mut name_only = Microservice::default();
    name_only.metadata.name = Some("orders".to_owned());
    name_only.metadata.namespace = Some("shop".to_owned());
    assert!(departures::had_topics(&last_known(name_only.clone(), Some(&stored))));
    assert_eq!(last_known(name_only.clone(), None), name_only);
    let undecodable = Microservice { metadata: orders().metadata, ..Microservice::default() };
    assert_eq!(last_known(undecodable.clone(), Some(&stored)), undecodable, "it is still there");
}
