use std::sync::Mutex;

use http::{Method, Request, Response, StatusCode};
use http_body_util::BodyExt;
use kube::client::Body;
use serde_json::json;
use tokio::time::{sleep, timeout};
use tower::BoxError;

use super::*;

/// An API server that holds one Lease and checks resourceVersions.
#[derive(Default)]
struct Server {
    lease: Option<Lease>,
    version: u64,
    writes: usize,
    fault: Fault,
}

#[derive(Clone, Copy, Default, PartialEq)]
enum Fault {
    #[default]
    None,
    /// Every request fails.
    Away,
    /// Writes are stored, their answers are lost.
    LostReply,
    /// No answer to anything.
    Silent,
    /// Every answer takes [`SLOW`].
    Slow,
}

/// Less than the longest time that a request may take.
const SLOW: Duration = Duration::from_secs(3);

type Shared = Arc<Mutex<Server>>;

impl Server {
    fn store(&mut self, mut lease: Lease) -> Result<Lease, StatusCode> {
        let current = self.lease.as_ref().and_then(|lease| lease.metadata.resource_version.clone());
        if lease.metadata.resource_version != current {
            return Err(StatusCode::CONFLICT);
        }
        self.version += 1;
        self.writes += 1;
        lease.metadata.resource_version = Some(self.version.to_string());
        self.lease = Some(lease.clone());
        Ok(lease)
    }

    fn holder(&self) -> String {
        self.lease.as_ref().and_then(holder).cloned().unwrap_or_default()
    }
}

async fn serve(server: Shared, request: Request<Body>) -> Result<Response<Body>, BoxError> {
    let method = request.method().clone();
    let bytes = request.into_body().collect().await?.to_bytes();
    let fault = server.lock().unwrap().fault;
    if fault == Fault::Silent {
        std::future::pending::<()>().await;
    }
    if fault == Fault::Slow {
        sleep(SLOW).await;
    }
    let result = match method {
        _ if fault == Fault::Away => Err(StatusCode::INTERNAL_SERVER_ERROR),
        Method::GET => server.lock().unwrap().lease.clone().ok_or(StatusCode::NOT_FOUND),
        _ => server.lock().unwrap().store(serde_json::from_slice(&bytes)?),
    };
    if fault == Fault::LostReply && method != Method::GET {
        return Err("connection reset".into());
    }
    let (status, body) = match result {
        Ok(lease) => (StatusCode::OK, serde_json::to_vec(&lease)?),
        Err(status) => {
            let reason = status.canonical_reason().unwrap_or_default().replace(' ', "");
            let body = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
                "reason": reason, "code": status.as_u16()});
            (status, serde_json::to_vec(&body)?)
        }
    };
    Ok(Response::builder().status(status).body(Body::from(body))?)
}

fn join(server: &Shared, identity: &str) -> Leadership {
    let server = server.clone();
    let client = Client::new(tower::service_fn(move |request| serve(server.clone(), request)), "system");
    Leadership::start(client, options(identity)).unwrap()
}

fn options(identity: &str) -> Options {
    Options {
        name: "operator".to_owned(),
        namespace: "system".to_owned(),
        identity: identity.to_owned(),
        lease_duration: Duration::from_secs(15),
        renew_deadline: Duration::from_secs(10),
        retry_period: Duration::from_secs(2),
        request_timeout: Duration::from_secs(4),
    }
}

#[tokio::test(start_paused = true)]
async fn one_leads_and_renews_and_the_other_waits() {
    let server = Shared::default();
    let first = join(&server, "first");
    first.acquired().await;
    let second = join(&server, "second");
    sleep(Duration::from_secs(120)).await;
    assert!(first.fence().permit() && !second.fence().permit());
    assert!(*first.changes().borrow() && !*second.changes().borrow());
    let writes = server.lock().unwrap().writes;
    assert!((58..=62).contains(&writes), "one write per period, no other: {writes}");
    let spec = server.lock().unwrap().lease.clone().unwrap().spec.unwrap();
    assert_eq!((spec.lease_duration_seconds, spec.lease_transitions), (Some(15), Some(1)));
}

#[tokio::test(start_paused = true)]
async fn a_released_lease_is_taken_within_three_seconds() {
    let server = Shared::default();
    let first = join(&server, "first");
    first.acquired().await;
    let (second, fence) = (join(&server, "second"), first.fence());
    sleep(Duration::from_secs(7)).await;
    first.release().await;
    assert!(!fence.permit());
    assert_eq!(server.lock().unwrap().holder(), "");
    timeout(Duration::from_secs(3), second.acquired()).await.unwrap();
    assert!(second.fence().permit());
}

#[tokio::test(start_paused = true)]
async fn a_dead_leader_is_replaced_when_its_lease_has_run_out() {
    let server = Shared::default();
    let mut first = join(&server, "first");
    first.acquired().await;
    let second = join(&server, "second");
    sleep(Duration::from_secs(7)).await;
    let killed = Instant::now();
    first.election.take().unwrap().1.abort();
    second.acquired().await;
    // Not before the last renewal (at most one period ago) has run out, and not much later.
    assert!(killed.elapsed() >= Duration::from_secs(13), "{:?}", killed.elapsed());
    assert!(killed.elapsed() <= Duration::from_secs(17), "{:?}", killed.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_stopped_process_is_fenced_at_its_first_question() {
    let server = Shared::default();
    let leader = join(&server, "first");
    leader.acquired().await;
    sleep(Duration::from_secs(3)).await;
    assert!(leader.fence().permit());
    // As after SIGSTOP and SIGCONT: the clock is on, no task of the process has run.
    tokio::time::advance(Duration::from_secs(12)).await;
    assert!(!leader.fence().permit());
}

#[tokio::test(start_paused = true)]
async fn writing_ends_a_request_timeout_before_the_lease() {
    let server = Shared::default();
    let leader = join(&server, "first");
    leader.acquired().await;
    let renewed = Instant::now();
    server.lock().unwrap().fault = Fault::Silent;
    let fence = leader.fence();
    while fence.permit() {
        sleep(Duration::from_millis(10)).await;
    }
    // By the fence at 15 - 4 s, or earlier because the leader stepped down.
    assert!(renewed.elapsed() <= Duration::from_secs(11), "{:?}", renewed.elapsed());
    assert!(renewed.elapsed() >= Duration::from_secs(10), "{:?}", renewed.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_short_outage_changes_nothing_and_a_long_one_ends_the_lead() {
    let server = Shared::default();
    let leader = join(&server, "first");
    leader.acquired().await;
    server.lock().unwrap().fault = Fault::Away;
    sleep(Duration::from_secs(7)).await;
    assert!(leader.fence().permit() && *leader.changes().borrow());
    server.lock().unwrap().fault = Fault::None;
    sleep(Duration::from_secs(30)).await;
    assert!(leader.fence().permit());
    for part_of_a_period in [0, 500, 1000, 1500] {
        server.lock().unwrap().fault = Fault::Away;
        sleep(Duration::from_millis(13_000 + part_of_a_period)).await;
        assert!(!leader.fence().permit() && !*leader.changes().borrow());
        server.lock().unwrap().fault = Fault::None;
        timeout(Duration::from_secs(1), leader.acquired())
            .await
            .expect("it leads soon after the server is back");
        assert!(leader.fence().permit());
    }
}

/// Whoever was turned away while the fence was closed waits for the next announcement.
#[tokio::test(start_paused = true)]
async fn a_renewal_that_came_too_late_for_the_fence_is_announced_as_a_new_lead() {
    let server = Shared::default();
    let only = join(&server, "only");
    only.acquired().await;
    let (mut changes, fence) = (only.changes(), only.fence());
    let term = fence.term();
    server.lock().unwrap().fault = Fault::Silent;
    sleep(Duration::from_secs(5)).await;
    server.lock().unwrap().fault = Fault::Slow;
    sleep(Duration::from_secs(7)).await;
    assert!(!fence.permit() && *changes.borrow_and_update(), "closed, and nobody was told");
    timeout(Duration::from_secs(20), changes.changed()).await.expect("a new lead is announced").unwrap();
    assert!(*changes.borrow() && fence.permit());
    assert_ne!(fence.term(), term);
}

#[tokio::test(start_paused = true)]
async fn a_renewal_whose_reply_was_lost_is_recognised() {
    let server = Shared::default();
    let leader = join(&server, "first");
    leader.acquired().await;
    server.lock().unwrap().fault = Fault::LostReply;
    sleep(Duration::from_secs(5)).await;
    server.lock().unwrap().fault = Fault::None;
    sleep(Duration::from_secs(60)).await;
    assert!(leader.fence().permit());
    assert_eq!(server.lock().unwrap().lease.clone().unwrap().spec.unwrap().lease_transitions, Some(1));
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_was_replaced_steps_down_at_its_next_attempt() {
    let server = Shared::default();
    let leader = join(&server, "first");
    leader.acquired().await;
    {
        let mut server = server.lock().unwrap();
        let mut lease = server.lease.clone().unwrap();
        lease.spec.as_mut().unwrap().holder_identity = Some("thief".to_owned());
        server.store(lease).unwrap();
    }
    sleep(Duration::from_secs(5)).await;
    assert!(!leader.fence().permit() && !*leader.changes().borrow());
    assert_eq!(server.lock().unwrap().holder(), "thief");
}

#[tokio::test(start_paused = true)]
async fn clocks_and_durations_of_others_neither_steal_nor_block() {
    for (renew, seconds, expected) in
        [("2001-01-01T00:00:00Z", 30, 30), ("2999-01-01T00:00:00Z", 30, 30), ("2999-01-01T00:00:00Z", -5, 1)]
    {
        let server = Shared::default();
        let renew_time = Some(MicroTime(renew.parse().unwrap()));
        let spec = LeaseSpec {
            holder_identity: Some("skewed".to_owned()),
            lease_duration_seconds: Some(seconds),
            renew_time,
            ..LeaseSpec::default()
        };
        let lease = Lease { spec: Some(spec), ..Lease::default() };
        server.lock().unwrap().store(lease).unwrap();
        let start = Instant::now();
        let candidate = join(&server, "first");
        candidate.acquired().await;
        let waited = start.elapsed().as_secs();
        assert!((expected..=expected + 2).contains(&waited), "{renew} {seconds}: waited {waited} s");
    }
}

#[tokio::test(start_paused = true)]
async fn an_operator_without_api_server_ends_in_time() {
    let server = Shared::default();
    let leader = join(&server, "first");
    leader.acquired().await;
    server.lock().unwrap().fault = Fault::Silent;
    let start = Instant::now();
    leader.release().await;
    assert!(start.elapsed() <= Duration::from_secs(2));
}

#[tokio::test]
async fn without_election_it_always_leads() {
    let leadership = Leadership::always();
    leadership.acquired().await;
    assert!(leadership.fence().permit());
    leadership.release().await;
}

#[test]
fn contradictory_options_are_refused() {
    let short = Options { lease_duration: Duration::from_secs(14), ..options("a") };
    assert!(matches!(short.validate(), Err(Error::LeaseTooShort { .. })));
    let slow = Options { retry_period: Duration::from_secs(10), ..options("a") };
    assert!(matches!(slow.validate(), Err(Error::RetryTooLong { .. })));
    assert!(options("a").validate().is_ok());
}

#[test]
fn a_lead_after_a_break_is_another_term() {
    let fence = Fence::closed();
    let soon = || Instant::now() + Duration::from_secs(60);
    fence.open_until(soon());
    let first = fence.term();
    fence.open_until(soon());
    assert_eq!(fence.term(), first, "a renewal is the same lead");
    fence.close();
    fence.open_until(soon());
    assert_ne!(fence.term(), first);
}
