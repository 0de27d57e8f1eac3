use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use http_body_util::{BodyExt, Full};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::json;
use tokio::time::Instant;

use super::*;

type Answer = Response<Box<DynBody>>;

fn answer(status: u16, retry_after: Option<&str>) -> Answer {
    let body = if status < 400 {
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}})
    } else {
        json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": status})
    };
    let mut response = Response::builder().status(status);
    if let Some(seconds) = retry_after {
        response = response.header(header::RETRY_AFTER, seconds);
    }
    let body = Full::from(body.to_string()).map_err(BoxError::from);
    response.body(Box::new(body) as Box<DynBody>).unwrap()
}

/// A client whose server answers with these in turn, then with 200, and the number of requests it got.
fn client(answers: Vec<Answer>, options: Options) -> (Api<ConfigMap>, Arc<AtomicUsize>) {
    let requests = Arc::new(AtomicUsize::new(0));
    let (counter, answers) = (requests.clone(), Mutex::new(answers.into_iter()));
    let server = tower::service_fn(move |_: Request<Body>| {
        counter.fetch_add(1, Ordering::SeqCst);
        let next = answers.lock().unwrap().next().unwrap_or_else(|| answer(200, None));
        async move { Ok::<_, BoxError>(next) }
    });
    let client = guarded(ClientBuilder::new(server, "default"), options);
    (Api::namespaced(client, "default"), requests)
}

async fn patch(api: &Api<ConfigMap>) -> kube::Result<ConfigMap> {
    api.patch("a", &PatchParams::default(), &Patch::Merge(json!({}))).await
}

#[tokio::test(start_paused = true)]
async fn a_closed_fence_stops_every_kind_of_write_and_no_read() {
    let options = Options { fence: Fence::closed(), ..Options::default() };
    let (api, requests) = client(vec![], options);
    let writes = [
        patch(&api).await.unwrap_err(),
        api.create(&PostParams::default(), &ConfigMap::default()).await.unwrap_err(),
        api.replace("a", &PostParams::default(), &ConfigMap::default()).await.unwrap_err(),
        api.delete("a", &Default::default()).await.unwrap_err(),
    ];
    assert!(writes.iter().all(is_fenced), "{writes:?}");
    assert_eq!(requests.load(Ordering::SeqCst), 0);
    api.get("a").await.unwrap();
    assert_eq!(requests.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn the_fence_is_asked_again_before_a_repetition() {
    let fence = Fence::closed();
    fence.open_until(Instant::now() + Duration::from_secs(1));
    let options = Options { fence, ..Options::default() };
    let (api, requests) = client(vec![answer(429, Some("2"))], options);
    assert!(is_fenced(&patch(&api).await.unwrap_err()));
    assert_eq!(requests.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn a_refused_write_waits_as_long_as_told() {
    let (api, requests) = client(vec![answer(429, Some("3"))], Options::default());
    let start = Instant::now();
    patch(&api).await.unwrap();
    assert!(start.elapsed() >= Duration::from_secs(3) && start.elapsed() < Duration::from_secs(4));
    assert_eq!(requests.load(Ordering::SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn more_patience_than_five_seconds_is_left_to_the_caller() {
    let (api, requests) = client(vec![answer(429, Some("6"))], Options::default());
    patch(&api).await.unwrap_err();
    assert_eq!(requests.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn a_write_with_unknown_outcome_is_not_repeated() {
    for status in [500, 503, 504] {
        let (api, requests) = client(vec![answer(status, None)], Options::default());
        patch(&api).await.unwrap_err();
        assert_eq!(requests.load(Ordering::SeqCst), 1, "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_read_is_repeated_three_times_at_most() {
    let (api, requests) = client((0..9).map(|_| answer(503, None)).collect(), Options::default());
    let start = Instant::now();
    api.get("a").await.unwrap_err();
    assert_eq!(requests.load(Ordering::SeqCst), 4);
    assert!(start.elapsed() < Duration::from_secs(2));
}

#[tokio::test(start_paused = true)]
async fn a_write_without_answer_ends_before_the_lease_does() {
    let fence = Fence::closed();
    let server = tower::service_fn(|_: Request<Body>| std::future::pending::<Result<Answer, BoxError>>());
    let options = Options { fence: fence.clone(), ..Options::default() };
    let api: Api<ConfigMap> =
        Api::default_namespaced(guarded(ClientBuilder::new(server, "default"), options));
    // Writes may start for so long; each of them then has the write timeout of 4 s at least.
    for (left, expected) in [(1, 5), (7, 11), (600, 15)] {
        let start = Instant::now();
        fence.open_until(start + Duration::from_secs(left));
        assert!(is_timeout(&patch(&api).await.unwrap_err()));
        assert_eq!(start.elapsed(), Duration::from_secs(expected), "{left} s left");
    }
    let start = Instant::now();
    let read = bounded(Duration::from_secs(9), api.get("a")).await.unwrap_err();
    assert!(is_timeout(&read) && !is_fenced(&read));
    assert_eq!(start.elapsed(), Duration::from_secs(9));
}

#[tokio::test(start_paused = true)]
async fn requests_in_flight_are_bounded() {
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let peak = most.clone();
    let server = tower::service_fn(move |_: Request<Body>| {
        let (now, most) = (now.clone(), most.clone());
        async move {
            most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_secs(1)).await;
            now.fetch_sub(1, Ordering::SeqCst);
            Ok::<_, BoxError>(answer(200, None))
        }
    });
    let options = Options { in_flight: 4, ..Options::default() };
    let api: Api<ConfigMap> =
        Api::default_namespaced(guarded(ClientBuilder::new(server, "default"), options));
    let all = futures::future::join_all((0..20).map(|_| api.get("a"))).await;
    assert!(all.iter().all(Result::is_ok));
    assert_eq!(peak.load(Ordering::SeqCst), 4);
}

#[tokio::test(start_paused = true)]
async fn each_request_is_counted_by_verb_and_status() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = seen.clone();
    let observe: Observer = Arc::new(move |verb, code| log.lock().unwrap().push((verb, code)));
    let (api, _) = client(vec![answer(429, Some("1"))], Options { observe, ..Options::default() });
    patch(&api).await.unwrap();
    api.get("a").await.unwrap();
    assert_eq!(*seen.lock().unwrap(), [("patch", 429), ("patch", 200), ("get", 200)]);
}
