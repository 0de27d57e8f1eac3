//! A table of causes.

use super::*;
use crate::api::microservice::{ExtraContainer, Health};
use crate::status::samples::*;
use crate::status::views::ContainerView;

const NOW: i64 = 1_000;

fn explain(live: &DeploymentView, pods: &[PodView]) -> Option<Problem> {
    let (object, intent) = (object(), intent());
    root_cause(live, pods, &Template { object: &object, intent: Some(&intent) }, NOW)
}

fn ended(code: i32, reason: &str, waits: &str) -> ContainerView {
    ContainerView {
        terminated: Some((code, reason.to_owned())),
        restarts: 3,
        ..waiting(waits, "back-off 40s")
    }
}

fn probed(text: &str, container: ContainerView) -> PodView {
    PodView { probe_message: Some(text.to_owned()), ..pod(1, container) }
}

fn running(started: bool, restarts: i32) -> ContainerView {
    ContainerView { running: true, since: NOW - UP_WITHIN + 1, started, restarts, ..container("orders") }
}

#[test]
fn each_cause_has_its_sentence() {
    const NOT_FOUND: &str = "Back-off pulling image \"orders:v9\": ErrImagePull: rpc error: code = NotFound desc = \
                             failed to resolve reference \"docker.io/library/orders:v9\": not found";
    const ROOT: &str =
        "container has runAsNonRoot and image will run as root (pod: \"x\", container: orders)";
    const NO_KEY: &str = "couldn't find key url in Secret shop/orders-db";
    const NODES: &str =
        "0/3 nodes are available: 3 Insufficient cpu. preemption: 0/3 nodes are available: no victims.";
    let unschedulable = PodView { unschedulable: Some(NODES.to_owned()), ..pod(1, container("orders")) };
    let cases = [
        (
            pod(1, waiting("ImagePullBackOff", NOT_FOUND)),
            "ImagePullFailed",
            "1 of 3 pods cannot pull image \"orders:v9\": not found; fix spec.image or add spec.imagePullSecrets.",
        ),
        (
            pod(
                1,
                waiting(
                    "ErrImagePull",
                    "pull access denied, repository does not exist or may require authorization",
                ),
            ),
            "ImagePullFailed",
            "1 of 3 pods cannot pull image \"orders:v9\": the registry refuses access; fix spec.image or add \
             spec.imagePullSecrets.",
        ),
        (
            pod(1, waiting("ImagePullBackOff", "Back-off pulling image \"orders:v9\"")),
            "ImagePullFailed",
            "1 of 3 pods cannot pull image \"orders:v9\"; fix spec.image or add spec.imagePullSecrets.",
        ),
        (
            pod(1, ended(1, "Error", "CrashLoopBackOff")),
            "CrashLooping",
            "1 of 3 pods crashes with exit code 1; see `kubectl logs orders-7d9b-1 -c orders --previous`.",
        ),
        (
            pod(1, ended(127, "StartError", "CrashLoopBackOff")),
            "CrashLooping",
            "1 of 3 pods crashes with exit code 127 (StartError); the command cannot be run: fix spec.command or \
             the image.",
        ),
        (
            pod(1, ended(137, "OOMKilled", "CrashLoopBackOff")),
            "OutOfMemory",
            "1 of 3 pods runs out of memory (limit 512Mi); raise spec.resources.limits.memory.",
        ),
        (
            pod(1, waiting("CreateContainerConfigError", NO_KEY)),
            "ContainerConfigError",
            "1 of 3 pods cannot start: key \"url\" is missing in Secret \"orders-db\"; add the key to Secret \
             \"orders-db\".",
        ),
        (
            pod(1, waiting("CreateContainerConfigError", "configmap \"flags\" not found")),
            "ContainerConfigError",
            "1 of 3 pods cannot start: ConfigMap \"flags\" does not exist; create ConfigMap \"flags\".",
        ),
        (
            pod(1, waiting("CreateContainerConfigError", ROOT)),
            "NonRootRefused",
            "1 of 3 pods may not run as root, but image \"orders:v9\" does; set spec.pod.runAsUser: 1000.",
        ),
        (
            unschedulable,
            "Unschedulable",
            "1 of 3 pods cannot be scheduled: 0/3 nodes are available: 3 Insufficient cpu; lower spec.resources, \
             loosen spec.pod, or add nodes.",
        ),
        (
            probed("Startup probe failed: HTTP probe failed with statuscode: 404", running(false, 0)),
            "ProbeFailing",
            "1 of 3 pods fails the health check: GET /health answers 404; set spec.health.path or \
             spec.health.type: TCP.",
        ),
        (
            probed("Readiness probe failed: HTTP probe failed with statuscode: 503", running(true, 0)),
            "ProbeFailing",
            "1 of 3 pods fails the health check: GET /health answers 503; see `kubectl logs orders-7d9b-1 -c orders`, \
             or fix spec.health.",
        ),
        (
            probed(
                "Startup probe failed: dial tcp: connection refused",
                ended(137, "Error", "CrashLoopBackOff"),
            ),
            "ProbeFailing",
            "1 of 3 pods fails the health check: Startup probe failed: dial tcp: connection refused; see `kubectl \
             logs orders-7d9b-1 -c orders`, or fix spec.health.",
        ),
    ];
    for (pod, reason, message) in cases {
        let problem = explain(&deployment(3, 3, 3, 2), &[pod]).unwrap();
        assert_eq!((problem.reason.as_str(), problem.message.as_str()), (reason, message));
    }
}

#[test]
fn a_slow_start_is_no_cause() {
    let starting = [
        pod(1, waiting("ContainerCreating", "")),
        pod(1, waiting("PodInitializing", "")),
        pod(1, running(false, 0)),
        probed("Startup probe failed: dial tcp: connection refused", running(false, 0)),
        probed("Startup probe failed: HTTP probe failed with statuscode: 503", running(false, 0)),
        pod(1, ContainerView { ready: true, terminated: Some((1, "Error".to_owned())), ..running(true, 4) }),
    ];
    for pod in starting {
        assert_eq!(explain(&deployment(3, 3, 3, 2), std::slice::from_ref(&pod)), None, "{pod:?}");
    }
}

#[test]
fn who_is_up_and_answers_with_an_error_is_named_after_a_minute() {
    let since = |seconds: i64| ContainerView { since: NOW - seconds, ..running(false, 0) };
    let answers = |seconds| {
        let text = "Startup probe failed: HTTP probe failed with statuscode: 503";
        explain(&deployment(3, 4, 1, 3), &[probed(text, since(seconds))])
    };
    assert_eq!(answers(UP_WITHIN - 1), None);
    let problem = answers(UP_WITHIN).unwrap();
    assert_eq!(
        (problem.reason.as_str(), problem.message.as_str()),
        (
            "ProbeFailing",
            "1 new pod fails the health check: GET /health answers 503; see `kubectl logs orders-7d9b-1 -c orders`, \
             or fix spec.health; 3 old pods keep serving."
        )
    );
    // Who takes longer to be up is not accused of it.
    let silent = probed("Startup probe failed: dial tcp: connection refused", since(4 * UP_WITHIN));
    assert_eq!(explain(&deployment(3, 4, 1, 3), std::slice::from_ref(&silent)), None);
    assert!(is_silent(&silent, NOW));
}

#[test]
fn a_crash_stays_the_cause_while_the_container_is_up_for_a_moment() {
    let again = || ContainerView { terminated: Some((3, "Error".to_owned())), ..running(false, 1) };
    let silent = probed("Startup probe failed: dial tcp: connection refused", again());
    let problem = explain(&deployment(3, 3, 3, 2), &[silent]).unwrap();
    assert_eq!(problem.reason.as_str(), "CrashLooping", "{}", problem.message);
    // Who answers, whatever it is, is up.
    let answers = probed("Startup probe failed: HTTP probe failed with statuscode: 503", again());
    let problem = explain(&deployment(3, 3, 3, 2), &[answers]).unwrap();
    assert_eq!(problem.reason.as_str(), "ProbeFailing", "{}", problem.message);
}

#[test]
fn a_path_that_was_chosen_is_not_answered_with_tcp() {
    let mut object = object();
    object.spec.health = Some(Box::new(Health { path: Some("/healthz".to_owned()), ..Health::default() }));
    let pods = [probed("Readiness probe failed: HTTP probe failed with statuscode: 404", running(true, 0))];
    let problem =
        root_cause(&deployment(3, 3, 3, 2), &pods, &Template { object: &object, intent: None }, NOW).unwrap();
    assert!(
        problem.message.contains("GET /healthz answers 404; set spec.health.path."),
        "{}",
        problem.message
    );
}

#[test]
fn the_newest_template_decides_and_old_pods_are_mentioned() {
    let mut old = pod(1, ended(1, "Error", "CrashLoopBackOff"));
    old.template = "old".to_owned();
    let new = pod(2, waiting("ImagePullBackOff", "not found"));
    let mut going = pod(3, ended(1, "Error", "CrashLoopBackOff"));
    going.deleting = true;
    going.template = "gone".to_owned();
    let problem = explain(&deployment(3, 4, 1, 3), &[going, new, old]).unwrap();
    assert_eq!(
        problem.message,
        "1 new pod cannot pull image \"orders:v9\": not found; fix spec.image or add spec.imagePullSecrets; 3 old \
         pods keep serving."
    );
}

#[test]
fn the_earliest_stage_wins_and_like_pods_are_counted() {
    let crash = |n| pod(n, ended(1, "Error", "CrashLoopBackOff"));
    let pull = |n| pod(n, waiting("ErrImagePull", "manifest unknown"));
    let problem = explain(&deployment(4, 4, 4, 0), &[crash(1), pull(2), crash(3), pull(4)]).unwrap();
    assert!(problem.message.starts_with("2 of 4 pods cannot pull image"), "{}", problem.message);
}

#[test]
fn other_containers_are_named_with_their_field() {
    let extra = |name: &str| ExtraContainer { name: name.to_owned(), ..ExtraContainer::default() };
    let mut object = object();
    object.spec.init_containers = Some(vec![extra("migrate")]);
    object.spec.sidecars = Some(vec![extra("log"), extra("proxy")]);
    let cases = [
        ("migrate", " in init container \"migrate\"", "spec.initContainers[0].image"),
        ("proxy", " in sidecar \"proxy\"", "spec.sidecars[1].image"),
        ("mesh", " in injected container \"mesh\"", "fix its image"),
    ];
    for (name, of, field) in cases {
        let failing = ContainerView { name: name.to_owned(), ..waiting("ErrImagePull", "not found") };
        let mut pod = pod(1, failing);
        pod.containers.push(waiting("PodInitializing", ""));
        let template = Template { object: &object, intent: None };
        let message = root_cause(&deployment(3, 3, 3, 0), &[pod], &template, NOW).unwrap().message;
        assert!(message.contains(of) && message.contains(field), "{message}");
    }
}

#[test]
fn refused_pods_are_told_apart() {
    let cases = [
        (
            "pods \"orders-7d9b-x7k2p\" is forbidden: exceeded quota: compute, requested: requests.cpu=250m",
            "QuotaExceeded",
            "are refused: exceeded quota: compute",
        ),
        (
            "pods \"orders-7d9b-x7k2p\" is forbidden: violates PodSecurity \"restricted:latest\": seccompProfile",
            "PodsRefused",
            "set spec.pod.securityProfile: Restricted",
        ),
        (
            "admission webhook \"policy.example.com\" denied the request: no",
            "PodsRefused",
            "policy.example.com",
        ),
    ];
    for (text, reason, part) in cases {
        let mut live = deployment(3, 0, 0, 0);
        live.conditions.push(deployment_condition("ReplicaFailure", true, "FailedCreate", text));
        let problem = explain(&live, &[]).unwrap();
        assert_eq!(problem.reason.as_str(), reason);
        assert!(problem.message.contains(part), "{}", problem.message);
        assert!(!problem.message.contains("x7k2p"), "a random name would change the message each time");
        live.generation += 1;
        assert_eq!(explain(&live, &[]), None, "a condition of the former spec says nothing");
    }
}

#[test]
fn a_deadline_without_a_cause_says_where_to_look() {
    let mut live = deployment(3, 4, 1, 3);
    live.conditions.push(crate::status::samples::deadline_exceeded());
    let problem = explain(&live, &[]).unwrap();
    assert_eq!(problem.reason.as_str(), "RolloutFailed");
    assert!(problem.message.contains("within 600 s: 1 of 3 pods are updated"), "{}", problem.message);
}

#[test]
fn only_pods_whose_events_could_tell_more_are_asked_for() {
    let pods = [
        pod(1, running(true, 0)),
        pod(2, ended(137, "Error", "CrashLoopBackOff")),
        pod(3, ended(137, "OOMKilled", "CrashLoopBackOff")),
        pod(4, waiting("ErrImagePull", "")),
        pod(5, ContainerView { ready: true, ..running(true, 0) }),
    ];
    assert_eq!(unexplained(&pods), ["orders-7d9b-1", "orders-7d9b-2"]);
}
