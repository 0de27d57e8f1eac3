//! Short texts: each either follows a grammar or does not.

use std::time::Duration;

use kube::core::Status;
use microservice_operator::api::id::Id;
use microservice_operator::api::names::{self, Image};
use microservice_operator::api::network::PolicyMode;
use microservice_operator::api::{Microservice, Reason};
use microservice_operator::engine::request::Failure;
use microservice_operator::graph::Kind;
use microservice_operator::intent::duration as durations;
use microservice_operator::intent::quantity::Amount;
use microservice_operator::kafka::names::{MAX_PRINCIPAL, Slot, Template, fill, is_group, principal, secret};
use microservice_operator::kafka::{config, strimzi};
use microservice_operator::status::causes;
use microservice_operator::status::views::{ContainerView, DeploymentCondition, DeploymentView, PodView};
use microservice_operator::telemetry::traces::Endpoint;

/// Longest message that is put into a status, characters.
const LONGEST_MESSAGE: usize = 1024;

fn text(input: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(input)
}

/// The canonical form is read as itself.
pub fn quantity(input: &[u8]) -> bool {
    let Some(amount) = Amount::parse(&text(input)) else { return false };
    let canonical = amount.canonical();
    let again = Amount::parse(&canonical).expect("what was written can be read");
    assert_eq!(again.canonical(), canonical);
    assert_eq!((again.is_negative(), again.is_zero()), (amount.is_negative(), amount.is_zero()));
    true
}

/// No longer than four numbers of five digits can say.
pub fn duration(input: &[u8]) -> bool {
    let Some(duration) = durations::parse(&text(input)) else { return false };
    assert!(duration <= Duration::from_hours(4 * 99_999 * 24));
    true
}

/// The parts are the whole.
pub fn image(input: &[u8]) -> bool {
    let text = text(input);
    let image = Image::parse(&text);
    let part = |mark: &str, part: Option<&str>| part.map_or(String::new(), |part| format!("{mark}{part}"));
    assert_eq!(format!("{}{}{}", image.repository, part(":", image.tag), part("@", image.digest)), text);
    assert!(!image.is_pinned() || image.digest.is_some_and(|digest| digest.len() >= 64));
    if let Some(label) = names::version_label(&text) {
        assert_eq!(names::label_value(&label), Some(label));
    }
    true
}

/// What is made of a name is one, and not too long.
pub fn name(input: &[u8]) -> bool {
    let text = text(input);
    for max in [names::MAX_LABEL, names::MAX_NAME] {
        assert!(names::derived(&text, "-config", max).len() <= max);
    }
    if names::is_label(&text) {
        assert!(names::is_label(&names::derived(&text, "-keys", names::MAX_LABEL)));
    }
    if names::is_subdomain(&text) {
        assert!(names::is_subdomain(&secret(&text)) && names::is_subdomain(&names::files_map_name(&text)));
    }
    assert!(names::is_subdomain(&strimzi::topic_object(&text)), "{}", strimzi::topic_object(&text));
    assert!(principal(&text, "shop", &text, Slot::A).len() <= MAX_PRINCIPAL);
    let _ = (names::is_data_key(&text), names::is_port_name(&text), names::is_service_name(&text));
    true
}

/// A template makes names that a broker takes.
pub fn template(input: &[u8]) -> bool {
    let text = text(input);
    if let Some(template) = Template::parse(&text) {
        assert!(is_group(&template.topic("shop", "orders")));
        assert!(!template.begins_with_namespace() || template.topic("shop", "orders").starts_with("shop"));
    }
    fill(&text, &text, "orders");
    true
}

/// Each value is the same as itself, and as another one whichever comes first.
pub fn topic_config(input: &[u8]) -> bool {
    let text = text(input);
    let mut lines = text.splitn(3, '\n');
    let mut next = || lines.next().unwrap_or_default();
    let (key, left, right) = (next(), next(), next());
    assert!(config::same(key, left, left));
    assert_eq!(config::same(key, left, right), config::same(key, right, left));
    true
}

/// Words that stand for something are written as they are read.
pub fn word(input: &[u8]) -> bool {
    let text = text(input);
    assert_eq!(Id::from(&*text).to_string(), text);
    assert!(Reason::parse(&text).is_none_or(|reason| reason.as_str() == text));
    assert!(Kind::parse(&text).is_none_or(|kind| kind.as_str() == text));
    if let Ok(endpoint) = text.parse::<Endpoint>() {
        assert!(endpoint.to_string().ends_with("/v1/traces"));
    }
    let _ = PolicyMode::parse(&text);
    true
}

/// Whatever a kubelet says, the cause that is told of it is short.
pub fn kubelet(input: &[u8]) -> bool {
    let text = text(input);
    let condition = |kind: &str| DeploymentCondition {
        kind: kind.to_owned(),
        status: kind == "ReplicaFailure",
        reason: "FailedCreate".to_owned(),
        message: text.clone().into_owned(),
    };
    let mut object = Microservice::new("orders", Default::default());
    object.spec.image = "shop/orders:v9".to_owned();
    let deployment =
        DeploymentView { conditions: vec![condition("Progressing")], ..DeploymentView::default() };
    let refused =
        DeploymentView { conditions: vec![condition("ReplicaFailure")], ..DeploymentView::default() };
    let mut told = vec![cause(&refused, &[], &object)];
    let reasons =
        ["ImagePullBackOff", "CreateContainerConfigError", "RunContainerError", "CrashLoopBackOff", &text];
    let waiting = reasons.map(|reason| ContainerView {
        waiting: Some((reason.to_owned(), text.clone().into_owned())),
        ..container()
    });
    let running = ContainerView { running: true, ..container() };
    let pods = waiting.into_iter().chain([running]).map(|container| PodView {
        containers: vec![container],
        probe_message: Some(text.clone().into_owned()),
        ..PodView::default()
    });
    let unschedulable = PodView { unschedulable: Some(text.clone().into_owned()), ..PodView::default() };
    told.extend(pods.chain([unschedulable]).map(|pod| cause(&deployment, &[pod], &object)));
    for message in told.iter().flatten() {
        assert!(message.chars().count() <= LONGEST_MESSAGE, "{message}");
        assert!(!message.contains(|c: char| c.is_control()), "{message:?}");
    }
    told.iter().flatten().count() > 0
}

fn container() -> ContainerView {
    ContainerView {
        name: "orders".to_owned(),
        image: "shop/orders:v9".to_owned(),
        ..ContainerView::default()
    }
}

fn cause(deployment: &DeploymentView, pods: &[PodView], object: &Microservice) -> Option<String> {
    let template = causes::Template { object, intent: None };
    let problem = causes::root_cause(deployment, pods, &template, 1_800_000_000);
    problem.map(|problem| problem.message)
}

/// Whatever the API server refuses with, what is told of it is short.
pub fn refusal(input: &[u8]) -> bool {
    let text = text(input);
    for code in [0, 400, 401, 403, 404, 409, 410, 413, 422, 429, 500, 503] {
        let status = Status::failure(&text, "x").with_code(code).boxed();
        let failure = Failure::from(kube::Error::Api(status)).of_child("ScaledObject", "web");
        let problem = failure.problem("Deployment", "orders");
        assert!(problem.message.chars().count() <= LONGEST_MESSAGE);
        assert_eq!(failure.reason(), problem.reason);
    }
    true
}
