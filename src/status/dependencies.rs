//! The condition DependenciesReady: whether those that the service calls are there, let it call, and serve,
//! and if not, who has to do what. It never lowers Ready: one broken service must not stop all before it.

use super::events::{EventDraft, EventKind};
use super::facts::{Facts, Pass, Truth, Verdict, find};
use super::text;
use crate::api::network::PolicyMode;
use crate::api::status::{AskingStatus, CalledByStatus, DependencyState, DependencyStatus, NetworkStatus};
use crate::api::{Microservice, MicroserviceStatus, Reason};
use crate::intent::NetworkIntent;
use crate::intent::calls::{Key, Target};
use crate::intent::neighbours::{Edge, List, State, View, consent_line};

/// Name of the condition.
pub(super) const CONDITION: &str = "DependenciesReady";

/// Most entries, as many as a spec can have calls.
const LIST: usize = 64;
/// Most names of those who call or ask: a stranger must not fill the status of others.
const NAMES: usize = 10;
/// Most sentences of a message.
const SENTENCES: usize = 3;

/// What stands in the status beside the condition. Of a spec that is not valid the last valid one is told.
pub(super) fn fields(facts: &Facts<'_>, status: &mut MicroserviceStatus) {
    status.called_by = called_by(facts, status.called_by.take());
    if let Pass::Invalid(_) = facts.pass {
        return;
    }
    let View { edges, asking, .. } = facts.inputs.neighbours;
    let before = std::mem::take(&mut status.dependencies);
    let addressed = |edge: &Edge| with_address(facts, &before, edge, entry(edge));
    status.dependencies = edges.iter().take(LIST).map(addressed).collect();
    status.asking = (!asking.is_empty()).then(|| AskingStatus {
        count: i32::try_from(asking.len()).unwrap_or(i32::MAX),
        names: asking.iter().take(NAMES).map(Key::to_string).collect(),
    });
    status.network = facts.intent().and_then(|intent| intent.network.as_deref()).map(|network| {
        let suspected = &facts.inputs.neighbours.suspected;
        NetworkStatus {
            mode: network.mode,
            enforced_by: network.enforced_by.clone(),
            cuts: cuts(network, edges).take(LIST).collect(),
            wider: network.wider.iter().take(LIST).map(|one| text::cut(one, text::MESSAGE_BYTES)).collect(),
            suspected: suspected.iter().take(LIST).map(Key::to_string).collect(),
        }
    });
}

/// Whether the own spec is valid makes no difference to those who call.
fn called_by(facts: &Facts<'_>, before: Option<CalledByStatus>) -> Option<CalledByStatus> {
    let callers = &facts.inputs.neighbours.callers;
    let before = before.is_some_and(|before| before.protected);
    (!callers.is_empty()).then(|| CalledByStatus {
        count: i32::try_from(callers.len()).unwrap_or(i32::MAX),
        names: callers.iter().take(NAMES).map(Key::to_string).collect(),
        protected: facts.intent().map_or(before, |intent| intent.protect_called),
    })
}

/// What is told of a service that is gone while others call it.
pub fn deleted_while_called(object: &Microservice) -> Option<EventDraft> {
    let called = object.status.as_ref()?.called_by.as_ref()?;
    let count = usize::try_from(called.count).unwrap_or_default();
    let more = match count.saturating_sub(called.names.len()) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let note = format!(
        "It was deleted while it was called by {}{more}: their calls fail until it is back or they remove it from \
         spec.calls.",
        called.names.join(", ")
    );
    Some(EventDraft {
        kind: EventKind::Warning,
        reason: Reason::DeletedWhileCalled.as_str().to_owned(),
        action: "Delete",
        note: text::cut(&note, text::MESSAGE_BYTES),
    })
}

/// The address as the pods were told: a pass that applied nothing has told nothing.
fn with_address(
    facts: &Facts<'_>,
    before: &[DependencyStatus],
    edge: &Edge,
    entry: DependencyStatus,
) -> DependencyStatus {
    match (&edge.target, facts.pass) {
        (Target::Service(key), Pass::Done(intent, _)) => {
            let address = intent.addresses.get(key);
            let scheme = address.and_then(|address| address.scheme.as_ref()).map(ToString::to_string);
            DependencyStatus { port: address.map(|address| address.port), scheme, ..entry }
        }
        _ => match before.iter().find(|old| old.target == entry.target) {
            Some(old) => DependencyStatus { port: old.port, scheme: old.scheme.clone(), ..entry },
            None => entry,
        },
    }
}

fn entry(edge: &Edge) -> DependencyStatus {
    DependencyStatus {
        target: target(edge),
        optional: edge.optional,
        state: match &edge.state {
            State::Unknown => DependencyState::Unknown,
            State::Granted => DependencyState::Ready,
            State::NotServing { .. } => DependencyState::NotServing,
            State::PendingConsent { .. } => DependencyState::PendingConsent,
            State::UnknownPort { .. } => DependencyState::UnknownPort,
            State::MissingPeer => DependencyState::Missing,
        },
        message: told(edge).map(|(_, message)| text::cut(&message, text::MESSAGE_BYTES)),
        ..DependencyStatus::default()
    }
}

/// What is not open of what the spec calls.
fn cuts<'a>(network: &'a NetworkIntent, edges: &'a [Edge]) -> impl Iterator<Item = String> + 'a {
    let closed = |edge: &&Edge| {
        matches!(edge.state, State::PendingConsent { .. } | State::UnknownPort { .. } | State::MissingPeer)
    };
    let closed = edges.iter().filter(closed).filter_map(told);
    let closed = closed.map(|(_, message)| text::cut(&message, text::MESSAGE_BYTES));
    closed.chain(unopened(network, edges))
}

/// Calls that no consent would open.
fn unopened<'a>(network: &'a NetworkIntent, edges: &'a [Edge]) -> impl Iterator<Item = String> + 'a {
    let unwatched = edges.iter().filter_map(|edge| match (&edge.target, &edge.state) {
        (Target::Service(key), State::Unknown) => {
            Some(format!("the call to {key}: this operator does not watch the namespace {}", key.namespace))
        }
        _ => None,
    });
    network.cuts.iter().cloned().chain(unwatched)
}

fn target(edge: &Edge) -> String {
    match &edge.target {
        Target::Service(key) => key.to_string(),
        Target::Workload(text) | Target::External(text) => text::quote(text),
    }
}

/// The condition; absent for a service that calls nobody and that nobody asks.
pub(super) fn condition(facts: &Facts<'_>) -> Option<Verdict> {
    if let Pass::Invalid(_) = facts.pass {
        let known = find(facts.conditions(), CONDITION).is_some();
        return known.then(|| super::conditions::carried(facts, CONDITION));
    }
    let view = facts.inputs.neighbours;
    if view.edges.is_empty() && view.asking.is_empty() {
        return None;
    }
    let mut lacks: Vec<(Reason, String)> =
        view.edges.iter().filter(|edge| counts(edge)).filter_map(told).collect();
    let network = facts.intent().and_then(|intent| intent.network.as_deref());
    if let Some(network) = network.filter(|network| network.mode == PolicyMode::Enforce) {
        let unopened = unopened(network, &view.edges);
        lacks.extend(unopened.map(|cut| (Reason::CallCut, format!("not open is {cut}"))));
    }
    lacks.sort_by_key(|(reason, _)| rank(*reason));
    if let Some((worst, _)) = lacks.first() {
        let all: Vec<String> = lacks.iter().map(|(_, message)| message.clone()).collect();
        let message = format!("{}.", text::list(&all, SENTENCES, "; "));
        return Some(Verdict::new(Truth::False, *worst, message));
    }
    Some(ready(facts, view))
}

/// Without an optional one it can serve; what only a person can put right is told of it all the same.
fn counts(edge: &Edge) -> bool {
    !(edge.optional && matches!(edge.state, State::NotServing { .. }))
}

/// What a person has to do comes before what may pass by itself.
fn rank(reason: Reason) -> u8 {
    match reason {
        Reason::PendingConsent => 0,
        Reason::MissingPeer => 1,
        Reason::UnknownPort => 2,
        Reason::CallCut => 3,
        _ => 4,
    }
}

fn ready(facts: &Facts<'_>, view: &View) -> Verdict {
    let mut message = match view.edges.iter().filter(|edge| edge.state == State::Granted).count() {
        0 => "Nothing is missing that it calls.".to_owned(),
        1 => "The service that it calls allows it and serves.".to_owned(),
        count => format!("All {count} services that it calls allow it and serve."),
    };
    let down: Vec<String> =
        view.edges.iter().filter(|edge| !counts(edge)).filter_map(told).map(|(_, text)| text).collect();
    if !down.is_empty() {
        message.push_str(&format!(
            " It can do without what is optional: {}.",
            text::list(&down, SENTENCES, "; ")
        ));
    }
    if view.asking.is_empty() {
        return Verdict::new(Truth::True, Reason::DependenciesReady, message);
    }
    let own = own(facts);
    let asks: Vec<String> = view
        .asking
        .iter()
        .map(|caller| format!("{caller} waits for `{}` in spec", entry_for(&own, view.list, caller)))
        .collect();
    message.push_str(&format!(" If they may call: {}.", text::list(&asks, SENTENCES, "; ")));
    Verdict::new(Truth::True, Reason::PendingConsent, message)
}

fn entry_for(own: &Key, list: List, caller: &Key) -> String {
    let line = consent_line(own, list, caller);
    if list == List::Given { format!("callers: {line}") } else { line }
}

fn own(facts: &Facts<'_>) -> Key {
    Key::new(facts.inputs.object.metadata.namespace.as_deref().unwrap_or_default(), facts.name)
}

/// What is wrong with a call, one sentence without its full stop.
fn told(edge: &Edge) -> Option<(Reason, String)> {
    let whom = target(edge);
    Some(match &edge.state {
        State::Unknown | State::Granted => return None,
        State::MissingPeer => (Reason::MissingPeer, format!("{whom} is called and does not exist")),
        State::PendingConsent { line } => (
            Reason::PendingConsent,
            format!("{whom} does not allow it: have `{line}` added to its spec{}", place(line)),
        ),
        State::UnknownPort { port, ports } => {
            let has: Vec<String> = ports.iter().map(|(name, number)| format!("{name} ({number})")).collect();
            let has = if has.is_empty() { "no port at all".to_owned() } else { text::list(&has, 5, ", ") };
            let port =
                port.as_ref().map_or_else(|| "its main port".to_owned(), |port| format!("port {port}"));
            (Reason::UnknownPort, format!("{whom} is called on {port}, and has {has}"))
        }
        State::NotServing { path, reason } => (Reason::PeerNotServing, down(path, reason)),
    })
}

/// Where a single entry of the list belongs.
fn place(line: &str) -> &'static str {
    if line.starts_with('-') { ".callers" } else { "" }
}

/// `shop/cart does not serve, because shop/db, which that needs, does not: CrashLooping`.
fn down(path: &[Key], reason: &str) -> String {
    let reason = match reason {
        "" => "it has no status yet".to_owned(),
        reason if reason == Reason::MissingPeer.as_str() => "it does not exist".to_owned(),
        reason => reason.to_owned(),
    };
    match path {
        [] => String::new(),
        [peer] => format!("{peer} does not serve: {reason}"),
        [peer, between @ .., last] => {
            let over: Vec<String> = between.iter().map(Key::to_string).collect();
            let over =
                if over.is_empty() { String::new() } else { format!(" over {}", text::list(&over, 5, ", ")) };
            format!("{peer} does not serve, because {last}, which it needs{over}, does not: {reason}")
        }
    }
}

#[cfg(test)]
mod tests;
