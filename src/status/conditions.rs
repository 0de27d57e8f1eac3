//! The conditions, and the whole status around them.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use super::available::{self, Judgement, Rollout};
use super::facts::{Facts, Inputs, Pass, Truth, Verdict, find, needs_a_person, severity};
use super::views::Problem;
use super::{access, dependencies, fields, scaling, text, topics};
use crate::api::{MicroserviceStatus, Reason};
use crate::intent::references::references;
use crate::intent::{Intent, MissingReference, Violation};

/// The status that describes the inputs. Total, and idempotent: with its own result as the previous
/// status it gives the same status again.
pub fn compute(inputs: &Inputs<'_>) -> MicroserviceStatus {
    let facts = Facts::new(inputs);
    let judgement = available::judge(&facts);
    let accepted = accepted(&facts);
    let secrets = secrets_ready(&facts);
    let applied = applied(&facts);
    let mut status = fields::fields(&facts, judgement.complete);
    status.settled_generation = facts.generation.filter(|_| seen_through(&facts, &applied, &judgement));
    status.topics = topics::entries(&facts);
    dependencies::fields(&facts, &mut status);
    let topics_ready = topics::condition(&facts, &status.topics);
    let scaling = scaling::condition(&facts, &status.topics);
    let topics = topics::existing(&facts, &status.topics);
    let (reconciling, stalled) = progress(&facts, &accepted, &applied, topics.as_ref(), &judgement);
    let parts =
        [Some(&accepted), secrets.as_ref(), Some(&applied), topics.as_ref(), Some(&judgement.verdict)];
    let ready = ready(&facts, &parts);

    status.reason = Some(ready.reason.as_str().to_owned());
    status.conditions = [
        ("Ready", Some(ready)),
        ("Reconciling", reconciling),
        ("Stalled", stalled),
        ("Accepted", Some(accepted)),
        ("Applied", Some(applied)),
        ("Available", Some(judgement.verdict)),
        ("SecretsReady", secrets),
        (topics::CONDITION, topics_ready),
        (access::CONDITION, access::condition(&facts)),
        (dependencies::CONDITION, dependencies::condition(&facts)),
        (scaling::CONDITION, scaling),
    ]
    .into_iter()
    .filter_map(|(type_, verdict)| {
        Some(verdict?.into_condition(type_, facts.generation, facts.conditions(), &inputs.now))
    })
    .collect();
    status
}

/// Once a generation is seen through it stays so while nothing new rolls out, whatever is refused.
fn seen_through(facts: &Facts<'_>, applied: &Verdict, judgement: &Judgement) -> bool {
    match facts.pass {
        Pass::Done(..) => {
            judgement.rollout == Rollout::Settled && (applied.truth == Truth::True || facts.settled())
        }
        _ => facts.settled(),
    }
}

/// Whether two statuses say the same; when a condition changed does not count, nor does their order.
pub fn equal_ignoring_times(a: &MicroserviceStatus, b: &MicroserviceStatus) -> bool {
    if a == b {
        return true;
    }
    if a.conditions.len() != b.conditions.len() || a.children != b.children {
        return false;
    }
    let mut b = b.clone();
    b.conditions = a
        .conditions
        .iter()
        .filter_map(|condition| {
            let last_transition_time = condition.last_transition_time.clone();
            Some(Condition { last_transition_time, ..find(&b.conditions, &condition.type_)?.clone() })
        })
        .collect();
    *a == b
}

fn accepted(facts: &Facts<'_>) -> Verdict {
    match facts.pass {
        Pass::Invalid(violations) => violation(violations),
        Pass::Suspended(intent)
        | Pass::Blocked(intent, _)
        | Pass::Pending(intent)
        | Pass::Done(intent, _) => {
            let message = match &intent.class {
                Some(class) => format!("The spec is valid; class \"{class}\" applies."),
                None => "The spec is valid; the built-in defaults apply.".to_owned(),
            };
            Verdict::new(Truth::True, Reason::Accepted, message)
        }
    }
}

/// Most violations that a message tells, as far as there is room for them.
const VIOLATIONS: usize = 3;

/// The first violations, and how many more there are.
pub(super) fn violation(violations: &[Violation]) -> Verdict {
    let Some(first) = violations.first() else {
        return Verdict::new(Truth::False, Reason::InvalidSpec, "The spec is not valid.");
    };
    // Room for the count is kept even when the first message is longer than a condition may be.
    let room = text::MESSAGE_BYTES - 32;
    let told = |one: &Violation| text::cut(&format!("{}: {}", one.field, one.message), room);
    let told: Vec<String> = violations.iter().map(told).collect();
    let length = |shown: usize| told.iter().take(shown).map(|one| one.len() + 2).sum::<usize>();
    let shown = (1..=VIOLATIONS).rev().find(|shown| length(*shown) <= room).unwrap_or(1);
    Verdict::new(Truth::False, first.reason, text::list(&told, shown, "; "))
}

fn applied(facts: &Facts<'_>) -> Verdict {
    match facts.pass {
        Pass::Invalid(violations) => {
            let reason = violations.first().map_or(Reason::InvalidSpec, |first| first.reason);
            let message = "Nothing was applied, because the spec is not valid; what ran before goes on.";
            Verdict::new(Truth::False, reason, message)
        }
        Pass::Suspended(_) => suspended(facts),
        Pass::Blocked(_, problem) => blocked(facts, problem),
        Pass::Pending(_) => {
            let message = format!("Generation {} is being applied.", facts.generation.unwrap_or_default());
            Verdict::new(Truth::Unknown, Reason::Progressing, message)
        }
        Pass::Done(_, children) => match facts.problems.first() {
            Some((_, worst)) => Verdict::new(Truth::False, worst.reason, problems(facts)),
            None if facts.held() => {
                let name = facts.name;
                let message = format!("Deployment \"{name}\" is held back: {}.", waits_for(facts));
                Verdict::new(Truth::False, Reason::WaitingForSecret, message)
            }
            None => {
                let message = match children.len() {
                    1 => "The one object is stored as planned.".to_owned(),
                    count => format!("All {count} objects are stored as planned."),
                };
                Verdict::new(Truth::True, Reason::Applied, message)
            }
        },
    }
}

/// What was last known of the children still holds: nothing is applied or deleted.
fn suspended(facts: &Facts<'_>) -> Verdict {
    let message = "Nothing is applied or deleted while spec.suspend is true.";
    let previous = find(facts.conditions(), "Applied");
    let problem = previous.and_then(|old| Reason::parse(&old.reason)).filter(|reason| is_problem(*reason));
    match (previous, problem) {
        (Some(old), Some(reason)) if old.status == "False" => {
            Verdict::new(Truth::False, reason, old.message.clone())
        }
        (Some(old), _) if old.status == "True" => Verdict::new(Truth::True, Reason::Suspended, message),
        _ => Verdict::new(Truth::Unknown, Reason::Suspended, message),
    }
}

/// Whether the reason is one of the worst, which does not pass by itself.
fn is_problem(reason: Reason) -> bool {
    severity(reason) <= severity(Reason::DriftContested)
}

/// What this generation applied before stays applied; a change of the fleet or an outage of the API
/// server does not make a service that serves unready.
fn blocked(facts: &Facts<'_>, problem: &Problem) -> Verdict {
    let previous = find(facts.conditions(), "Applied");
    let done =
        previous.is_some_and(|old| old.status == "True" && old.observed_generation == facts.generation);
    let truth = if done && !needs_a_person(problem.reason) { Truth::True } else { Truth::False };
    Verdict::new(truth, problem.reason, problem.message.clone())
}

/// Every failing child by name, the worst first.
fn problems(facts: &Facts<'_>) -> String {
    let all: Vec<String> = facts
        .problems
        .iter()
        .map(|(child, problem)| {
            let message = text::cut(&problem.message, text::QUOTE_BYTES);
            let named = message.contains(child.kind.as_str()) && message.contains(child.name.as_str());
            if named { message } else { format!("{} \"{}\": {message}", child.kind, child.name) }
        })
        .collect();
    text::list(&all, 3, "; ")
}

fn secrets_ready(facts: &Facts<'_>) -> Option<Verdict> {
    let spec = &facts.inputs.object.spec;
    let listed = spec.secrets.as_ref().is_some_and(|secrets| !secrets.is_empty());
    let resolved = |intent: &Intent| !intent.generated.is_empty() || !intent.missing.is_empty();
    if !listed && !facts.intent().is_some_and(resolved) && references(spec).is_empty() {
        return None;
    }
    let known = |intent: &Intent| {
        if intent.missing.is_empty() {
            let message = "Everything that the pods read is there.";
            Verdict::new(Truth::True, Reason::SecretsReady, message)
        } else {
            let message = format!("{}; it goes on by itself when that exists.", missing(&intent.missing));
            Verdict::new(Truth::False, Reason::WaitingForSecret, message)
        }
    };
    let secret = facts.problems.iter().find(|(child, _)| child.kind == "Secret");
    Some(match facts.pass {
        // Whoever could not apply may not have read either.
        Pass::Invalid(_) | Pass::Blocked(..) => carried(facts, "SecretsReady"),
        Pass::Pending(intent) if intent.missing.is_empty() && !intent.generated.is_empty() => {
            Verdict::new(Truth::Unknown, Reason::Progressing, "Secrets are being generated.")
        }
        Pass::Done(intent, _) if intent.missing.is_empty() => match secret {
            Some((child, problem)) => {
                let message = format!("Secret \"{}\": {}", child.name, problem.message);
                Verdict::new(Truth::False, problem.reason, message)
            }
            None => known(intent),
        },
        Pass::Suspended(intent) | Pass::Pending(intent) | Pass::Done(intent, _) => known(intent),
    })
}

/// The previous state of a condition, when nothing new is known.
pub(super) fn carried(facts: &Facts<'_>, type_: &str) -> Verdict {
    let unknown = || Verdict::new(Truth::Unknown, Reason::Progressing, "Not looked at yet.");
    let Some(old) = find(facts.conditions(), type_) else { return unknown() };
    let Some(reason) = Reason::parse(&old.reason) else { return unknown() };
    let truth = match old.status.as_str() {
        "True" => Truth::True,
        "False" => Truth::False,
        _ => Truth::Unknown,
    };
    Verdict::new(truth, reason, old.message.clone())
}

/// `Waiting for key "url" of Secret "orders-db"`.
fn missing(missing: &[MissingReference]) -> String {
    let mut names: Vec<(String, Vec<String>)> = Vec::new();
    for MissingReference { reference, key } in missing {
        let object = format!("{} \"{}\"", reference.kind.as_str(), reference.name);
        let key = key.iter().map(|key| format!("\"{key}\""));
        match names.iter_mut().find(|(name, _)| *name == object) {
            Some((_, keys)) => keys.extend(key),
            None => names.push((object, key.collect())),
        }
    }
    let names: Vec<String> = names
        .into_iter()
        .map(|(object, keys)| match keys.len() {
            0 => object,
            1 => format!("key {} of {object}", keys.concat()),
            _ => format!("keys {} of {object}", text::list(&keys, 5, ", ")),
        })
        .collect();
    format!("Waiting for {}", text::list(&names, 3, " and "))
}

fn waits_for(facts: &Facts<'_>) -> String {
    match facts.intent() {
        Some(intent) if !intent.missing.is_empty() => {
            let text = missing(&intent.missing);
            text.strip_prefix('W').map_or(text.clone(), |rest| format!("w{rest}"))
        }
        _ => "a reference is missing".to_owned(),
    }
}

/// Reconciling and Stalled: at most one of them, and each only when true.
fn progress(
    facts: &Facts<'_>,
    accepted: &Verdict,
    applied: &Verdict,
    topics: Option<&Verdict>,
    judgement: &Judgement,
) -> (Option<Verdict>, Option<Verdict>) {
    let verdict = |reason, from: &Verdict| Some(Verdict::new(Truth::True, reason, from.message.clone()));
    let either = |reason, from: &Verdict| {
        if needs_a_person(reason) { (None, verdict(reason, from)) } else { (verdict(reason, from), None) }
    };
    match facts.pass {
        Pass::Invalid(_) => (None, verdict(accepted.reason, accepted)),
        Pass::Suspended(_) => (None, None),
        Pass::Blocked(_, problem) => either(problem.reason, applied),
        Pass::Pending(_) => (verdict(Reason::Progressing, applied), None),
        Pass::Done(..) if applied.truth != Truth::True => either(applied.reason, applied),
        Pass::Done(..) => match judgement.rollout {
            Rollout::Settled => match topics {
                Some(missing) if topics::needs_a_person(missing.reason) => {
                    (None, verdict(missing.reason, missing))
                }
                Some(missing) => (verdict(missing.reason, missing), None),
                None => (None, None),
            },
            Rollout::InProgress => (verdict(Reason::Progressing, &judgement.verdict), None),
            Rollout::Failed => (None, verdict(Reason::RolloutFailed, &judgement.verdict)),
        },
    }
}

/// True when all parts are; otherwise the first part that is not says why.
fn ready(facts: &Facts<'_>, parts: &[Option<&Verdict>]) -> Verdict {
    let parts = || parts.iter().copied().flatten();
    let failing = parts().find(|part| part.truth != Truth::True);
    // What is False is certain; what is Unknown may come out either way.
    let truth = match failing {
        None => Truth::True,
        Some(_) if parts().any(|part| part.truth == Truth::False) => Truth::False,
        Some(_) => Truth::Unknown,
    };
    let available = parts().last();
    let (reason, message) = match (failing, available) {
        (Some(part), _) => (part.reason, part.message.clone()),
        (None, Some(part)) if part.reason == Reason::ScaledToZero => (part.reason, part.message.clone()),
        (None, part) => (Reason::Ready, part.map(|part| part.message.clone()).unwrap_or_default()),
    };
    if let Pass::Suspended(_) = facts.pass {
        let message = match reason {
            Reason::Suspended => "Suspended: nothing is applied or deleted.".to_owned(),
            _ => format!("Suspended: nothing is applied or deleted. {message}"),
        };
        return Verdict::new(truth, Reason::Suspended, message);
    }
    Verdict::new(truth, reason, message)
}
