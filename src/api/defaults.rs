//! The built-in defaults, versioned by `defaultsRevision`. They live here and not in the CRD schema, so
//! that a class can change them for existing objects and Git never drifts.
//!
//! A published revision never changes. To improve a default, add a revision: nobody's pods roll until
//! a class asks for it.

/// The newest revision that this release knows.
pub const NEWEST_REVISION: i32 = 1;

/// The revision that applies when no class names one.
pub const DEFAULT_REVISION: i32 = 1;

/// Resource name and quantity, for example `("cpu", "250m")`.
pub type Amounts = &'static [(&'static str, &'static str)];

/// One revision of the built-in defaults. "Guide" marks a number of the microservices guide, "safe
/// choice" one that the guide is silent about.
#[derive(Debug, PartialEq, Eq)]
pub struct Defaults {
    /// Number of this revision.
    pub revision: i32,
    /// `spec.replicas`. Guide: three replicas.
    pub replicas: i32,
    /// Name of the port that `spec.port` describes. Safe choice: what HTTP tools look for.
    pub port_name: &'static str,
    /// `spec.port`. Guide: 3000.
    pub port: i32,
    /// `spec.resources.requests`. Guide: cpu 250m, memory 256Mi.
    pub requests: Amounts,
    /// `spec.resources.limits`. Guide: cpu 500m, memory 512Mi.
    pub limits: Amounts,
    /// `resources.requests` of init containers and sidecars. Safe choice: small helpers.
    pub helper_requests: Amounts,
    /// `resources.limits` of init containers and sidecars. Safe choice: small helpers.
    pub helper_limits: Amounts,
    /// `spec.health.path`. Guide: `GET /health`.
    pub health_path: &'static str,
    /// `spec.health.periodSeconds`. Guide: every 10 s.
    pub health_period: i32,
    /// `spec.health.timeoutSeconds`. Safe choice: a pod that needs longer is too slow to serve.
    pub health_timeout: i32,
    /// `spec.health.failureThreshold`. Safe choice: half a minute of failures, not one.
    pub health_failures: i32,
    /// Seconds between startup checks. Safe choice: a fast service serves soon.
    pub startup_period: i32,
    /// Failed startup checks until the container is restarted. Safe choice: 5 minutes with the
    /// period above, enough for a JVM.
    pub startup_failures: i32,
    /// `spec.health.liveness.periodSeconds`. Guide: every 10 s.
    pub liveness_period: i32,
    /// `spec.health.liveness.timeoutSeconds`. Safe choice: as for readiness.
    pub liveness_timeout: i32,
    /// `spec.health.liveness.failureThreshold`. Safe choice: twice as patient as readiness, so that
    /// an instance leaves discovery long before it is restarted.
    pub liveness_failures: i32,
    /// `spec.autoscaling.minReplicas`. Guide: three replicas.
    pub autoscaling_min: i32,
    /// `spec.autoscaling.targetCPUUtilizationPercentage`. Safe choice: leaves room for a surge while
    /// new pods start.
    pub target_cpu: i32,
    /// Seconds that the autoscaler waits before it scales up. Safe choice: Kubernetes' own.
    pub scale_up_window: i32,
    /// Seconds that the autoscaler waits before it scales down. Safe choice: Kubernetes' own.
    pub scale_down_window: i32,
    /// Percent of the pods that may come or go in one scaling period. Safe choice: Kubernetes' own.
    pub scale_percent: i32,
    /// Pods that may come in one scaling period, if that is more. Safe choice: Kubernetes' own.
    pub scale_up_pods: i32,
    /// Seconds of one scaling period. Safe choice: Kubernetes' own.
    pub scale_period: i32,
    /// `spec.shutdown.drainSeconds`. Safe choice: endpoints need a moment to spread.
    pub drain: i32,
    /// Lower bound of the default of `spec.shutdown.gracePeriodSeconds`. Safe choice: Kubernetes'
    /// own default.
    pub grace: i32,
    /// Seconds that the default grace period leaves after the drain. Safe choice.
    pub grace_after_drain: i32,
    /// `spec.strategy.rollingUpdate.maxUnavailable`. Safe choice: no capacity is lost.
    pub max_unavailable: i32,
    /// `spec.strategy.rollingUpdate.maxSurge`. Safe choice: Kubernetes' own.
    pub max_surge: &'static str,
    /// `spec.minReadySeconds`. Safe choice: Kubernetes' own.
    pub min_ready: i32,
    /// Lower bound of progressDeadlineSeconds. Safe choice: Kubernetes' own default.
    pub progress_deadline: i32,
    /// Seconds for scheduling and image pull on top of startup, minReadySeconds and drain. Safe choice.
    pub progress_margin: i32,
    /// `spec.disruptionBudget.maxUnavailable`. Safe choice: one pod at a time.
    pub budget_max_unavailable: i32,
    /// `spec.secrets[].generate[].length`. Safe choice: 190 random bits as Alphanumeric.
    pub generated_length: i32,
    /// Permission bits of mounted files. Safe choice: Kubernetes' own, 0644.
    pub file_mode: i32,
}

const REVISION_1: Defaults = Defaults {
    revision: 1,
    replicas: 3,
    port_name: "http",
    port: 3000,
    requests: &[("cpu", "250m"), ("memory", "256Mi")],
    limits: &[("cpu", "500m"), ("memory", "512Mi")],
    helper_requests: &[("cpu", "50m"), ("memory", "64Mi")],
    helper_limits: &[("cpu", "250m"), ("memory", "128Mi")],
    health_path: "/health",
    health_period: 10,
    health_timeout: 2,
    health_failures: 3,
    startup_period: 2,
    startup_failures: 150,
    liveness_period: 10,
    liveness_timeout: 2,
    liveness_failures: 6,
    autoscaling_min: 3,
    target_cpu: 70,
    scale_up_window: 0,
    scale_down_window: 300,
    scale_percent: 100,
    scale_up_pods: 4,
    scale_period: 15,
    drain: 5,
    grace: 30,
    grace_after_drain: 25,
    max_unavailable: 0,
    max_surge: "25%",
    min_ready: 0,
    progress_deadline: 600,
    progress_margin: 120,
    budget_max_unavailable: 1,
    generated_length: 32,
    file_mode: 0o644,
};

/// The defaults of one revision; `None` for a number that this release does not know.
pub fn revision(n: i32) -> Option<&'static Defaults> {
    match n {
        1 => Some(&REVISION_1),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_revision_up_to_the_newest_exists_and_none_beyond() {
        for n in 1..=NEWEST_REVISION {
            assert_eq!(revision(n).map(|defaults| defaults.revision), Some(n));
        }
        assert_eq!(revision(0), None);
        assert_eq!(revision(NEWEST_REVISION + 1), None);
        assert!(revision(DEFAULT_REVISION).is_some());
    }

    #[test]
    fn revision_1_holds_the_numbers_of_the_guide() {
        let d = revision(1).unwrap();
        assert_eq!((d.replicas, d.port, d.health_path, d.health_period), (3, 3000, "/health", 10));
        assert_eq!(d.requests, [("cpu", "250m"), ("memory", "256Mi")]);
        assert_eq!(d.limits, [("cpu", "500m"), ("memory", "512Mi")]);
        assert_eq!(d.startup_period * d.startup_failures, 300);
    }
}
