//! The system that all services are, as their last passes read their specs, and what is found in the whole.
//! A pass only notes its own service; the whole is judged a while after the last change, once for many.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use super::live::Key;
use crate::api::MicroserviceClass;
use crate::graph::{self, Finding, Policies, Policy, Service, System, findings};
use crate::intent::Intent;
use crate::status::Report;

/// Changes within this time are judged together.
const PAUSE: Duration = Duration::from_secs(3);

/// What is found, by the name of the class under which it is judged.
pub type Reports = BTreeMap<String, Report>;

/// All services that were looked at, and what was found last.
#[derive(Debug, Default)]
pub struct Survey {
    services: Mutex<BTreeMap<graph::Key, Noted>>,
    reports: Mutex<Arc<Reports>>,
    changed: Notify,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Noted {
    service: Service,
    class: Option<String>,
    policy: Policy,
}

impl Survey {
    /// Notes what a service is now, under its class.
    pub fn note(&self, intent: &Intent, class: Option<&MicroserviceClass>) {
        let noted = Noted {
            service: Service::from(intent),
            class: intent.class.clone(),
            policy: class.and_then(|class| class.spec.graph.as_ref()).map(Policy::from).unwrap_or_default(),
        };
        let mut services = lock(&self.services);
        if services.get(&noted.service.key) != Some(&noted) {
            services.insert(noted.service.key.clone(), noted);
            self.changed.notify_one();
        }
    }

    /// The service is gone.
    pub fn forget(&self, key: &Key) {
        if lock(&self.services).remove(&key.into()).is_some() {
            self.changed.notify_one();
        }
    }

    /// What was found last.
    pub fn reports(&self) -> Arc<Reports> {
        Arc::clone(&lock(&self.reports))
    }

    /// Waits for a change and for those that come with it, and judges the whole. Returns everything that
    /// is found; the reports tell of it from then on.
    pub async fn next(self: &Arc<Self>) -> Vec<Finding> {
        self.changed.notified().await;
        tokio::time::sleep(PAUSE).await;
        let survey = Arc::clone(self);
        // Of ten thousand services this takes a second: no place for that among the tasks.
        tokio::task::spawn_blocking(move || survey.judge()).await.unwrap_or_default()
    }

    fn judge(&self) -> Vec<Finding> {
        let noted: Vec<Noted> = lock(&self.services).values().cloned().collect();
        let mut classes: BTreeMap<graph::Key, String> = BTreeMap::new();
        let mut policies = Policies::default();
        let services = noted.into_iter().map(|Noted { service, class, policy }| {
            classes.extend(class.map(|class| (service.key.clone(), class)));
            policies.set(service.key.clone(), policy);
            service
        });
        let system = System::new(services);
        let found = findings(&system, &policies);
        let mut by_class: BTreeMap<&String, Vec<&Finding>> = BTreeMap::new();
        for finding in &found {
            if let Some(class) = finding.judged().and_then(|key| classes.get(key)) {
                by_class.entry(class).or_default().push(finding);
            }
        }
        let reports = by_class.into_iter().map(|(class, found)| (class.clone(), Report::of(&found)));
        *lock(&self.reports) = Arc::new(reports.collect());
        found
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
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

    fn kinds(found: &[Finding]) -> Vec<&'static str> {
        found.iter().map(|finding| finding.kind.as_str()).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn a_change_is_judged_with_the_whole_and_told_to_the_class() {
        let survey = Arc::new(Survey::default());
        survey.note(&intent("a", "{name: b, timeout: 1s}"), None);
        assert_eq!(kinds(&survey.next().await), ["MissingPeer"]);
        survey.note(&intent("b", "{name: a, timeout: 1s}"), None);
        assert_eq!(kinds(&survey.next().await), ["Cycle"]);
        let reports = survey.reports();
        assert_eq!(reports.keys().collect::<Vec<_>>(), ["web"]);
        assert!(reports["web"].worst.iter().any(|worst| worst.services == ["shop/a", "shop/b"]));
        survey.note(&intent("a", "{name: b, timeout: 1s}"), Some(&lenient()));
        assert!(survey.next().await.is_empty(), "the class of the first one says so");
        survey.forget(&Key::new("shop", "b"));
        assert_eq!(kinds(&survey.next().await), ["MissingPeer"]);
        survey.note(&intent("a", ""), None);
        assert!(survey.next().await.is_empty() && survey.reports().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_as_it_was_is_not_judged_again() {
        let survey = Arc::new(Survey::default());
        survey.note(&intent("a", ""), None);
        survey.next().await;
        survey.note(&intent("a", ""), None);
        survey.forget(&Key::new("shop", "unknown"));
        let again = tokio::time::timeout(Duration::from_mins(1), survey.next()).await;
        assert!(again.is_err(), "{again:?}");
    }
}
