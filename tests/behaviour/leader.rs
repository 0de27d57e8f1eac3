//! Two replicas of one installation: exactly one writes, and the other takes over. The audit log tells
//! the two apart by their tokens.

use std::time::Duration;

use jiff::Timestamp;
use microservice_operator::api::Microservice;
use serde_json::{Value, json};

use super::quiet::settle;
use crate::support::{
    Audit, Cluster, Installation, Mark, Namespace, Operator, OperatorOptions, Requests, WallClock,
    eventually, see_a_repair,
};

/// The write timeout is the usual one: a slow machine cancels its own writes for ever with a shorter one.
const SHORT: [&str; 3] = ["--lease-duration=8s", "--renew-deadline=3s", "--retry-period=500ms"];
/// How long such a lease lasts.
const SHORT_LEASE: Duration = Duration::from_secs(8);

/// A replica, and what the audit log calls it.
struct Replica {
    operator: Operator,
    credential: String,
    identity: String,
}

struct Pair {
    leader: Replica,
    other: Replica,
    audit: Audit,
    start: Mark,
}

impl Pair {
    async fn start(cluster: &Cluster, namespace: &Namespace, arguments: &[&str]) -> Self {
        Self::start_by(cluster, namespace, arguments, [&[], &[]]).await
    }

    /// The same with an environment of each.
    async fn start_by(
        cluster: &Cluster,
        namespace: &Namespace,
        arguments: &[&str],
        environments: [&[(String, String)]; 2],
    ) -> Self {
        let audit = cluster.audit().await;
        let start = audit.mark().await;
        let options = |identity: &str, environment: &[(String, String)]| {
            let mut options = OperatorOptions::namespace(namespace.name());
            options.leader_elect = true;
            options.environment = environment.to_vec();
            options.arguments.push(format!("--identity={identity}"));
            options.arguments.extend(arguments.iter().map(|&argument| argument.to_owned()));
            options
        };
        let [of_first, of_second] = environments;
        let first = Operator::start(cluster, options("first", of_first)).await;
        let installation = first.installation().clone();
        installation.wait_holder("first", Duration::from_secs(30)).await;
        let twin = installation.twin().await;
        let second = Operator::start_in(&twin, options("second", of_second)).await;
        let credential = installation.credential().await;
        let leader = Replica { operator: first, credential, identity: "first".to_owned() };
        let credential = twin.credential().await;
        assert_ne!(leader.credential, credential);
        let other = Replica { operator: second, credential, identity: "second".to_owned() };
        Self { leader, other, audit, start }
    }

    /// Waits until the other replica holds the lease, and says how long that took.
    async fn change_hands(&self) -> Duration {
        let installation = self.other.operator.installation();
        installation.wait_holder(&self.other.identity, Duration::from_secs(30)).await
    }

    /// Everything that the two wrote but the lease, and who wrote what.
    async fn writes(&self) -> (Requests, Requests, Requests) {
        let all = self.audit.since(self.start).await.of(&self.leader.operator.user());
        let all = all.writes().without("leases");
        (all.with(&self.leader.credential), all.with(&self.other.credential), all)
    }

    /// Waits for the first write of the leader.
    async fn leader_writes(&self) {
        eventually(Duration::from_secs(20), "the leader writes", || async {
            let (first, ..) = self.writes().await;
            if first.count() > 0 { Ok(()) } else { Err("it has written nothing") }
        })
        .await;
    }

    /// All writes of the first came before all of the second.
    async fn assert_never_two_writers(&self) {
        let (first, second, all) = self.writes().await;
        assert_eq!(first.count() + second.count(), all.count(), "a third writer");
        assert!(first.count() > 0 && second.count() > 0, "both have led: {all}");
        let accepted = |requests: Requests| requests.only(|request| request.code < 300);
        let (first, second) = (accepted(first), accepted(second));
        let last = first.0.iter().map(|request| request.at.as_str()).max();
        let next = second.0.iter().map(|request| request.at.as_str()).min();
        assert!(last < next, "two writers at the same time\n{all}");
    }
}

/// Two children and no pods each.
fn spec(image: &str) -> Value {
    json!({"image": image, "replicas": 0, "ports": [], "health": {"type": "None"}})
}

async fn burst(namespace: &Namespace, names: &[String]) {
    for name in names {
        namespace.microservice(name, spec("shop/fleet:v1")).await;
    }
}

fn names(prefix: &str, count: usize) -> Vec<String> {
    (0..count).map(|number| format!("{prefix}-{number}")).collect()
}

#[tokio::test]
async fn a_killed_leader_is_followed_when_its_lease_runs_out() {
    let cluster = Cluster::shared();
    let namespace = Namespace::new(cluster, "leader").await;
    let mut pair = Pair::start(cluster, &namespace, &SHORT).await;
    let names = names("service", 12);
    burst(&namespace, &names).await;
    namespace.wait_ready("service-0").await;

    pair.leader.operator.kill().await;
    let took = pair.change_hands().await;
    println!("the lease changed hands {took:?} after a SIGKILL");
    assert!(took < Duration::from_secs(20), "lease 8 s + retry 0.5 s + margin, but {took:?}");
    for name in &names {
        namespace.wait_ready(name).await;
    }
    see_a_repair(&namespace, "service-0").await;
    pair.assert_never_two_writers().await;
}

#[tokio::test]
async fn sigterm_drains_releases_the_lease_and_exits_with_zero() {
    let cluster = Cluster::shared();
    let namespace = Namespace::new(cluster, "leader").await;
    // The usual lease of 15 s: only its release explains a quick successor.
    let mut pair = Pair::start(cluster, &namespace, &["--retry-period=500ms"]).await;
    let names = names("service", 12);
    burst(&namespace, &names).await;
    pair.leader_writes().await;

    let (code, took) = pair.leader.operator.stop().await;
    assert_eq!(code, Some(0), "exit code after SIGTERM");
    assert!(took < Duration::from_secs(5), "SIGTERM took {took:?}");
    let next = pair.change_hands().await;
    println!("SIGTERM took {took:?}, the next leader {next:?} more");
    assert!(next < Duration::from_secs(10), "the lease was not released: {next:?}");
    for name in &names {
        namespace.wait_ready(name).await;
    }
    see_a_repair(&namespace, "service-0").await;
    pair.assert_never_two_writers().await;
}

#[tokio::test]
async fn a_leader_stopped_beyond_its_lease_and_continued_sends_no_write() {
    let cluster = Cluster::shared();
    let namespace = Namespace::new(cluster, "leader").await;
    let pair = Pair::start(cluster, &namespace, &SHORT).await;
    let (before, after) = (names("before", 15), names("after", 5));
    burst(&namespace, &before).await;
    // It stops in the middle of its work, with more of it in its queue.
    pair.leader_writes().await;
    pair.leader.operator.signal("STOP");
    pair.change_hands().await;
    burst(&namespace, &after).await;
    for name in before.iter().chain(&after) {
        namespace.wait_ready(name).await;
    }
    settle(&pair.audit, &pair.other.operator.user()).await;
    namespace.delete::<Microservice>("after-4").await;

    let mark = pair.audit.mark().await;
    pair.leader.operator.signal("CONT");
    namespace.microservice("before-0", spec("shop/fleet:v2")).await;
    namespace.wait_ready("before-0").await;
    see_a_repair(&namespace, "before-1").await;
    // It has noticed and asks for the lease as a follower.
    let credential = pair.leader.credential.clone();
    eventually(Duration::from_secs(20), "the old leader runs again", || async {
        let seen = pair.audit.since(mark).await.with(&credential).resource("leases");
        if seen.count() >= 3 { Ok(()) } else { Err(seen.to_string()) }
    })
    .await;
    let seen = pair.audit.since(mark).await.with(&pair.leader.credential);
    // The clock is read immediately before the system call that sends, and a process can be stopped
    // between the two. It has one thread, so that is one request at most; it names the version that it
    // was decided from, and the server refuses it.
    let late = seen.writes().without("leases");
    assert!(late.count() <= 1, "{seen}");
    assert_eq!(late.only(|request| request.code < 300).count(), 0, "{seen}");
    let taken = seen.resource("leases").writes().only(|request| request.code < 300);
    assert_eq!(taken.count(), 0, "it must not take the lease back\n{taken}");
    let (code, body) = pair.leader.operator.http("/metrics").await.expect("it answers");
    assert!(code == 200 && body.lines().any(|line| line.ends_with("leader 0")), "{body}");
    pair.assert_never_two_writers().await;
}

/// The nodes of the two set their clocks: neither of them may conclude anything. None goes a whole hour back:
/// the certificate of the server is not that old.
#[tokio::test]
async fn a_clock_that_jumps_neither_ends_a_lead_nor_lets_two_lead() {
    const HOUR: i64 = 3600;
    let cluster = Cluster::shared();
    let namespace = Namespace::new(cluster, "leader").await;
    let (own, others) = (WallClock::new(), WallClock::new());
    others.set(HOUR);
    let environments = [own.environment(), others.environment()];
    let mut pair =
        Pair::start_by(cluster, &namespace, &SHORT, environments.each_ref().map(Vec::as_slice)).await;
    let installation = pair.leader.operator.installation().clone();
    namespace.microservice("web", spec("shop/fleet:v0")).await;
    namespace.wait_ready("web").await;
    let before = installation.lease().await.expect("the lease can be read");
    let first_line: Value =
        serde_json::from_str(pair.other.operator.log().lines().next().unwrap_or_default())
            .expect("a line of JSON");
    let began: Timestamp = first_line["timestamp"].as_str().unwrap_or_default().parse().expect("a time");
    assert!(began > Timestamp::now(), "the other goes by a clock of its own: {first_line}");

    let steps = [(&own, HOUR, HOUR), (&others, 0, HOUR), (&own, 0, 0), (&others, -HOUR / 2, 0)];
    for (number, (clock, seconds, leaders)) in steps.into_iter().enumerate() {
        clock.set(seconds);
        renewed_for(&installation, leaders, SHORT_LEASE).await;
        namespace.microservice("web", spec(&format!("shop/fleet:v{}", number + 1))).await;
        namespace.wait_ready("web").await;
    }
    let after = installation.lease().await.expect("the lease can be read");
    assert_eq!(after.holder_identity, before.holder_identity);
    assert_eq!(after.lease_transitions, before.lease_transitions);
    let (_, second, all) = pair.writes().await;
    assert_eq!(second.count(), 0, "{second}");
    let deployments = all.resource("deployments").only(|request| request.code < 300);
    assert_eq!(deployments.count(), 5, "one for each image\n{deployments}");
    for replica in [&mut pair.leader, &mut pair.other] {
        let log = replica.operator.log();
        assert!(replica.operator.is_running() && !log.contains("drift repaired"), "{log}");
    }
}

/// Waits until the leader has renewed the lease by a clock that is so many seconds ahead, and has done so for
/// longer than a lease lasts.
async fn renewed_for(installation: &Installation, ahead: i64, length: Duration) {
    let ahead_now = || async {
        let renewed = installation.lease().await?.renew_time.ok_or("it was never renewed")?.0;
        let error = renewed.duration_since(Timestamp::now()).as_secs() - ahead;
        if error.abs() < 60 { Ok(()) } else { Err(format!("it was renewed at {renewed}, {error} s off")) }
    };
    eventually(Duration::from_secs(30), "the lease is renewed by the clock of the leader", ahead_now).await;
    let begin =
        installation.lease().await.expect("the lease can be read").renew_time.expect("it was renewed").0;
    eventually(length * 3, "the lease is renewed for longer than it lasts", || async {
        let renewed = installation.lease().await?.renew_time.ok_or("it was never renewed")?.0;
        let lasted = renewed.duration_since(begin);
        if lasted.unsigned_abs() > length { Ok(()) } else { Err(format!("for {lasted:?}")) }
    })
    .await;
}
