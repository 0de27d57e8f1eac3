//! The condition ScalingReady of a service that scales by lag: whether its ScaledObject is there. It never
//! lowers Ready: without KEDA the pods serve as well, and an autoscaler by other metrics stays.

use super::conditions::carried;
use super::facts::{Facts, Pass, Truth, Verdict, find};
use super::text;
use super::views::ChildOutcome;
use crate::api::Reason;
use crate::api::status::TopicStatus;
use crate::intent::lag::LagScaling;
use crate::intent::{AutoScaling, Intent, Scaling};
use crate::plan::keda;

/// Name of the condition.
pub(super) const CONDITION: &str = "ScalingReady";

/// `None` when lag does not scale.
pub(super) fn condition(facts: &Facts<'_>, topics: &[TopicStatus]) -> Option<Verdict> {
    let intent = match facts.pass {
        // Nothing is carried out, and what was told stands.
        Pass::Invalid(_) | Pass::Suspended(_) | Pass::Blocked(..) => {
            return find(facts.conditions(), CONDITION).is_some().then(|| carried(facts, CONDITION));
        }
        Pass::Pending(intent) | Pass::Done(intent, _) => intent,
    };
    let Scaling::Auto(auto) = &intent.scaling else { return None };
    let lag = auto.lag.as_deref()?;
    if !lag.served {
        return Some(Verdict::new(Truth::False, Reason::ApiNotServed, not_served(facts.name)));
    }
    let Pass::Done(_, children) = facts.pass else { return Some(carried(facts, CONDITION)) };
    Some(trouble(facts, children).unwrap_or_else(|| {
        let mut message = format!("ScaledObject \"{}\" scales by the lag of {}", facts.name, names(lag));
        message.push_str(&idle_pods(intent, auto, lag, topics).unwrap_or_default());
        message.push('.');
        Verdict::new(Truth::True, Reason::ScalingReady, message)
    }))
}

fn not_served(name: &str) -> String {
    format!(
        "This cluster does not serve {}, or the operator may not read it, so lag scales nothing: install KEDA, and \
         apply the rights that `microservice-operator rbac` prints; until then HorizontalPodAutoscaler \"{name}\" \
         scales by the other metrics.",
        keda::API_VERSION
    )
}

/// Why the ScaledObject is not stored as planned.
fn trouble(facts: &Facts<'_>, children: &[ChildOutcome]) -> Option<Verdict> {
    let of_scaling =
        |kind: &str| matches!(kind, "ScaledObject" | "TriggerAuthentication" | "HorizontalPodAutoscaler");
    if let Some((_, problem)) = facts.problems.iter().find(|(child, _)| of_scaling(&child.kind)) {
        return Some(Verdict::new(Truth::False, problem.reason, problem.message.clone()));
    }
    children.iter().any(|child| child.held && of_scaling(&child.kind)).then(|| {
        let message = "The ScaledObject is held back like the Deployment.";
        Verdict::new(Truth::False, Reason::WaitingForSecret, message)
    })
}

fn names(lag: &LagScaling) -> String {
    let all: Vec<String> =
        lag.topics.iter().map(|topic| format!("topic \"{}\"", topic.physical_name)).collect();
    text::list(&all, 3, " and ")
}

/// More pods than partitions: some get no message. Told where all partitions are known.
fn idle_pods(
    intent: &Intent,
    auto: &AutoScaling,
    lag: &LagScaling,
    topics: &[TopicStatus],
) -> Option<String> {
    let partitions = |physical: &str| {
        let own = intent.kafka.iter().flat_map(|kafka| &kafka.topics);
        let declared = own.filter(|topic| topic.physical_name == physical).find_map(|topic| topic.partitions);
        let seen = topics.iter().filter(|topic| topic.physical_name == physical);
        seen.filter_map(|topic| topic.partitions).next().or(declared)
    };
    let all = lag.topics.iter().map(|topic| partitions(&topic.physical_name));
    let sum = all.sum::<Option<i32>>()?;
    (auto.max > sum).then(|| {
        format!(
            "; maxReplicas {} is more than the {sum} partitions, and a pod without a partition gets no message",
            auto.max
        )
    })
}

#[cfg(test)]
mod tests;
