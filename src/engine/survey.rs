//! The system that all services are, as their last passes read their specs, and what is found in the whole.
//! A pass only notes its own service; the whole is judged a while after the last change, once for many.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use smol_str::SmolStr;
use tokio::sync::Notify;

use super::live::Key;
use crate::api::MicroserviceClass;
use crate::graph::{self, Kind, Policies, Policy, Service, Severity, System, each_finding};
use crate::intent::Intent;
use crate::status::{Report, Tally};

/// Changes within this time are judged together.
const PAUSE: Duration = Duration::from_secs(3);

/// What is found, by the name of the class under which it is judged.
pub type Reports = BTreeMap<String, Report>;

/// All services that were looked at, and what was found last.
#[derive(Debug, Default)]
pub struct Survey {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    services: BTreeMap<graph::Key, Arc<Noted>>,
    /// Services that were there at the start and were not looked at yet; `None` = they are not known yet.
    unseen: Option<BTreeSet<graph::Key>>,
    /// `None` = nothing was judged yet.
    reports: Option<Arc<Reports>>,
}

#[derive(Debug, PartialEq, Eq)]
struct Noted {
    service: Arc<Service>,
    class: Option<SmolStr>,
    policy: Policy,
}

impl Survey {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// These services are there at the start: nothing is judged before each of them was looked at.
    pub fn expect(&self, services: impl Iterator<Item = graph::Key>) {
        self.state().unseen.get_or_insert_with(|| services.collect());
        self.changed.notify_one();
    }

    /// A service is looked at until the value is dropped.
    #[must_use = "the service counts as looked at when this is dropped"]
    pub fn look(&self, key: &Key) -> Looking<'_> {
        Looking { survey: self, key: key.into() }
    }

    /// Whether every service that was there at the start was looked at.
    pub fn is_complete(&self) -> bool {
        self.state().unseen.as_ref().is_some_and(BTreeSet::is_empty)
    }

    fn looked(&self, key: &graph::Key) {
        let mut state = self.state();
        let Some(unseen) = &mut state.unseen else { return };
        if unseen.remove(key) && unseen.is_empty() {
            self.changed.notify_one();
        }
    }

    /// Notes what a service is now, under its class.
    pub fn note(&self, intent: &Intent, class: Option<&MicroserviceClass>) {
        let noted = Arc::new(Noted {
            service: Arc::new(Service::from(intent)),
            class: intent.class.as_ref().map(SmolStr::from),
            policy: Policy::of(class),
        });
        // Also what is no news is kept: it shares what it can with the newest outline.
        let before = self.state().services.insert(noted.service.key.clone(), Arc::clone(&noted));
        if before.as_ref() != Some(&noted) {
            self.changed.notify_one();
        }
    }

    /// The service is gone.
    pub fn forget(&self, key: &Key) {
        let key = key.into();
        if self.state().services.remove(&key).is_some() {
            self.changed.notify_one();
        }
        self.looked(&key);
    }

    /// What was found last; `None` = nothing was judged yet.
    pub fn reports(&self) -> Option<Arc<Reports>> {
        self.state().reports.clone()
    }

    /// Waits for a change and for those that come with it, and judges the whole. Returns kind and
    /// severity of everything that is found, in any order; the reports tell of it from then on.
    pub async fn next(self: &Arc<Self>) -> Vec<(Kind, Severity)> {
        loop {
            self.changed.notified().await;
            tokio::time::sleep(PAUSE).await;
            if self.is_complete() {
                break;
            }
        }
        let survey = Arc::clone(self);
        // Of ten thousand services this takes a second: no place for that among the tasks.
        tokio::task::spawn_blocking(move || survey.judge()).await.unwrap_or_default()
    }

    fn judge(&self) -> Vec<(Kind, Severity)> {
        let noted: Vec<Arc<Noted>> = self.state().services.values().cloned().collect();
        let mut classes: BTreeMap<&graph::Key, &SmolStr> = BTreeMap::new();
        let mut policies = Policies::default();
        for Noted { service, class, policy } in noted.iter().map(Arc::as_ref) {
            classes.extend(class.as_ref().map(|class| (&service.key, class)));
            policies.set(service.key.clone(), policy.clone());
        }
        let system = System::new(noted.iter().map(|noted| Arc::clone(&noted.service)));
        let mut found = Vec::new();
        let mut by_class: BTreeMap<&SmolStr, Tally> = BTreeMap::new();
        each_finding(&system, &policies, |finding| {
            found.push((finding.kind, finding.severity));
            if let Some(class) = finding.judged().and_then(|key| classes.get(key)) {
                by_class.entry(class).or_default().add(finding);
            }
        });
        let reports = by_class.into_iter().map(|(class, tally)| (class.to_string(), tally.into()));
        self.state().reports = Some(Arc::new(reports.collect()));
        found
    }
}

/// A look at a service that is under way.
#[derive(Debug)]
pub struct Looking<'s> {
    survey: &'s Survey,
    key: graph::Key,
}

impl Drop for Looking<'_> {
    fn drop(&mut self) {
        self.survey.looked(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Microservice;
    use crate::intent::Observed;

    fn intent(name: &str, calls: &str) -> Intent {
        let text = format!(
            "{{apiVersion: microservice.dev/v1alpha1, kind: Microservice, metadata: {{name: {name}, namespace: shop}}, \
             spec: {{image: 'shop/{name}:v1', calls: [{calls}]}}}}"
        );
        let object: Microservice = serde_yaml::from_str(&text).unwrap();
        let intent = Intent::resolve(&object, None, &Observed::default()).unwrap();
        Intent { class: Some("web".to_owned()), ..intent }
    }

    /// A class under which circles are not told.
    fn lenient() -> MicroserviceClass {
        let text = "{metadata: {name: web}, spec: {graph: {severities: {Cycle: 'Off'}}}}";
        serde_yaml::from_str(text).unwrap()
    }

    fn kinds(found: &[(Kind, Severity)]) -> Vec<&'static str> {
        found.iter().map(|(kind, _)| kind.as_str()).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn a_change_is_judged_with_the_whole_and_told_to_the_class() {
        let survey = Arc::new(Survey::default());
        survey.expect(std::iter::empty());
        survey.note(&intent("a", "{name: b, timeout: 1s}"), None);
        assert_eq!(kinds(&survey.next().await), ["MissingPeer"]);
        survey.note(&intent("b", "{name: a, timeout: 1s}"), None);
        assert_eq!(kinds(&survey.next().await), ["Cycle"]);
        let reports = survey.reports().unwrap();
        assert_eq!(reports.keys().collect::<Vec<_>>(), ["web"]);
        assert!(reports["web"].worst.iter().any(|worst| worst.services == ["shop/a", "shop/b"]));
        survey.note(&intent("a", "{name: b, timeout: 1s}"), Some(&lenient()));
        assert!(survey.next().await.is_empty(), "the class of the first one says so");
        survey.forget(&Key::new("shop", "b"));
        assert_eq!(kinds(&survey.next().await), ["MissingPeer"]);
        survey.note(&intent("a", ""), None);
        assert!(survey.next().await.is_empty() && survey.reports().unwrap().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_as_it_was_is_not_judged_again() {
        let survey = Arc::new(Survey::default());
        survey.expect(std::iter::empty());
        survey.note(&intent("a", ""), None);
        survey.next().await;
        survey.note(&intent("a", ""), None);
        survey.forget(&Key::new("shop", "unknown"));
        let again = tokio::time::timeout(Duration::from_mins(1), survey.next()).await;
        assert!(again.is_err(), "{again:?}");
    }

    #[test]
    fn calls_are_kept_once_with_the_newest_outline() {
        let (survey, key) = (Survey::default(), graph::Key::new("shop", "a"));
        let newer = intent("a", "{name: b, timeout: 1s}");
        survey.note(&intent("a", "{name: b, timeout: 1s}"), None);
        survey.note(&newer, None);
        let calls = survey.state().services[&key].service.calls.clone();
        assert!(Arc::ptr_eq(&calls, &newer.calls) && Arc::strong_count(&calls) == 3);
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_judged_before_all_were_looked_at() {
        let survey = Arc::new(Survey::default());
        let soon = || tokio::time::timeout(Duration::from_mins(1), survey.next());
        let [a, refused, gone] = ["a", "refused", "gone"].map(|name| Key::new("shop", name));
        survey.note(&intent("a", "{name: refused, timeout: 1s}"), None);
        assert!(soon().await.is_err(), "it is not known who is there");
        survey.expect([&a, &refused, &gone].into_iter().map(graph::Key::from));
        drop(survey.look(&a));
        survey.forget(&gone);
        assert!(soon().await.is_err() && survey.reports().is_none());
        drop(survey.look(&refused));
        assert_eq!(kinds(&soon().await.unwrap()), ["MissingPeer"]);
        assert!(survey.reports().is_some());
    }
}
