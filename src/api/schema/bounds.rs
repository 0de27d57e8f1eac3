//! What the derived schema does not say: bounds, enums, list keys, and native options that a
//! Microservice cannot express. Places are ends of schema paths, as in [`crate::api::rules`].

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{JSON, JSONSchemaProps};
use serde_json::Value;

/// Native fields taken out of the schema: they weaken the pod's isolation, reach into other
/// namespaces, or stand behind feature gates (a server without the gate drops them silently, which
/// would look like endless drift).
pub(super) const REMOVED: &[&str] = &[
    "ports[].hostPort",
    "ports[].hostIP",
    "httpGet.host",
    "tcpSocket.host",
    "volumeMounts[].mountPropagation",
    "volumeMounts[].recursiveReadOnly",
    "resources.claims",
    "sources[].clusterTrustBundle",
    "sources[].podCertificate",
    "readinessProbe.terminationGracePeriodSeconds",
    "scaleUp.tolerance",
    "scaleDown.tolerance",
    // Topics are a service's own.
    "defaults.autoscaling.kafka",
    "requiredDuringSchedulingIgnoredDuringExecution[].namespaces",
    "requiredDuringSchedulingIgnoredDuringExecution[].namespaceSelector",
    "podAffinityTerm.namespaces",
    "podAffinityTerm.namespaceSelector",
];

/// Int-or-string fields that hold a port number or name.
pub(super) const PORTS: &[&str] =
    &["health.port", "liveness.port", "httpGet.port", "tcpSocket.port", "calls[].port"];

/// Int-or-string fields that hold a number or a percentage; all others hold a quantity.
pub(super) const AMOUNTS: &[&str] = &["rollingUpdate.maxSurge", "maxUnavailable"];

/// The name of a port; see the rule `port-name`.
pub(super) const PORT_PATTERN: &str = "^[a-z0-9]+(-[a-z0-9]+)*$";

/// A percentage in one spelling, so that rules can compare it with `0%`.
pub(super) const PERCENT_PATTERN: &str = "^(0|[1-9][0-9]?|100)%$";

/// No sign, at most 15 digits before the point, 3 after it, and a factor of at most 10^15: neither `-1`
/// nor `1e1000`, and small enough for exact arithmetic in 128 bits.
pub(super) const QUANTITY_PATTERN: &str =
    "^[0-9]{1,15}([.][0-9]{1,3})?([mkMGTP]|[KMGTP]i|[eE][+]?([0-9]|1[0-5]))?$";

/// Replaces two pages about canonical forms at every quantity.
pub(super) const QUANTITY_DESCRIPTION: &str =
    "Quantity: a number with an optional suffix, such as 250m, 1.5, 512Mi or 2Gi. Not negative.";

/// A place and the part of a schema that is merged into it.
pub(super) type Constraint = (&'static str, JSONSchemaProps);

/// Constraints by place; later entries win.
pub(super) fn constraints() -> Vec<Constraint> {
    let mut all = numbers();
    all.extend(sizes());
    all.extend(kafka_sizes());
    all.extend(call_sizes());
    all.extend(enums());
    all.extend(lists());
    all
}

/// A number between two bounds, both included.
pub(super) fn range(minimum: u32, maximum: u32) -> JSONSchemaProps {
    JSONSchemaProps { minimum: Some(minimum.into()), maximum: Some(maximum.into()), ..Default::default() }
}

/// A plain number must be less than 1P, as a text must.
pub(super) const MOST_OF_A_QUANTITY: f64 = 999_999_999_999_999.0;

fn numbers() -> Vec<Constraint> {
    let port = || range(1, 65_535);
    let replicas = || range(1, 1000);
    let seconds = || range(1, 3600);
    let threshold = || range(1, 1000);
    let id = || range(1, 2_147_483_647);
    let mode = || range(0, 0o777);
    let partitions = || range(1, 10_000);
    let copies = || range(1, 100);
    vec![
        ("spec.port", port()),
        ("ports[].port", port()),
        ("ports[].containerPort", port()),
        ("spec.metrics.port", port()),
        ("grpc.port", port()),
        ("spec.replicas", range(0, 1000)),
        ("defaults.replicas", range(0, 1000)),
        ("minReplicas", replicas()),
        ("maxReplicas", replicas()),
        ("targetCPUUtilizationPercentage", range(1, 1000)),
        ("targetMemoryUtilizationPercentage", range(1, 1000)),
        ("target.averageUtilization", range(1, 1000)),
        ("policies[].periodSeconds", range(1, 1800)),
        ("policies[].value", range(1, 1000)),
        ("stabilizationWindowSeconds", range(0, 3600)),
        ("health.periodSeconds", seconds()),
        ("health.timeoutSeconds", seconds()),
        ("health.failureThreshold", threshold()),
        ("liveness.periodSeconds", seconds()),
        ("liveness.timeoutSeconds", seconds()),
        ("liveness.failureThreshold", threshold()),
        ("Probe.periodSeconds", seconds()),
        ("Probe.timeoutSeconds", seconds()),
        ("Probe.failureThreshold", threshold()),
        ("Probe.initialDelaySeconds", range(0, 3600)),
        ("readinessProbe.successThreshold", threshold()),
        ("livenessProbe.successThreshold", range(1, 1)),
        ("startupProbe.successThreshold", range(1, 1)),
        ("Probe.terminationGracePeriodSeconds", seconds()),
        ("drainSeconds", range(0, 3575)),
        ("gracePeriodSeconds", seconds()),
        ("minReadySeconds", range(0, 3600)),
        ("generate[].length", range(16, 256)),
        ("runAsUser", id()),
        ("runAsGroup", id()),
        ("fsGroup", id()),
        ("defaultMode", mode()),
        ("items[].mode", mode()),
        ("serviceAccountToken.expirationSeconds", range(600, u32::MAX)),
        ("tolerationSeconds", range(0, 31_536_000)),
        ("maxSkew", range(1, 1000)),
        ("minDomains", range(1, 1000)),
        ("preferredDuringSchedulingIgnoredDuringExecution[].weight", range(1, 100)),
        ("defaultsRevision", range(1, 1000)),
        ("guardrails.maxReplicas", replicas()),
        ("kafka[].lagThreshold", range(1, 1_000_000_000)),
        ("kafka[].activationLagThreshold", range(0, 1_000_000_000)),
        ("topics[].partitions", partitions()),
        ("topics[].replicationFactor", copies()),
        ("topics[].minInsyncReplicas", copies()),
        ("topics[].maxMessageBytes", id()),
        ("graph.limits.chain", range(1, 1000)),
        ("graph.limits.amplification", range(2, 1_000_000)),
        ("graph.limits.amplificationError", range(2, 1_000_000)),
        ("graph.limits.hub", range(1, 100_000)),
        ("graph.limits.hubShare", range(0, 100)),
        ("kafka.maxPartitions", partitions()),
        ("kafka.defaults.partitions", partitions()),
        ("kafka.defaults.replicationFactor", copies()),
    ]
}

fn length(minimum: i64, maximum: i64) -> JSONSchemaProps {
    JSONSchemaProps { min_length: Some(minimum), max_length: Some(maximum), ..Default::default() }
}

/// Text that is not empty.
fn text(maximum: i64) -> JSONSchemaProps {
    length(1, maximum)
}

fn items(minimum: i64, maximum: i64) -> JSONSchemaProps {
    JSONSchemaProps { min_items: Some(minimum), max_items: Some(maximum), ..Default::default() }
}

fn entries(minimum: i64, maximum: i64) -> JSONSchemaProps {
    JSONSchemaProps { min_properties: Some(minimum), max_properties: Some(maximum), ..Default::default() }
}

fn sizes() -> Vec<Constraint> {
    vec![
        ("spec.className", text(63)),
        ("image", text(1024)),
        ("spec.workingDir", text(1024)),
        ("command", items(0, 128)),
        ("args", items(0, 128)),
        ("command[]", length(0, 8192)),
        ("args[]", length(0, 8192)),
        ("spec.ports", items(0, 32)),
        ("ports[].name", text(15)),
        ("ports[].appProtocol", text(253)),
        ("health.path", text(1024)),
        ("liveness.path", text(1024)),
        ("spec.metrics.path", text(1024)),
        ("httpGet.path", text(1024)),
        ("httpHeaders[].value", length(0, 4096)),
        ("spec.env", items(0, 256)),
        ("initContainers[].env", items(0, 64)),
        ("sidecars[].env", items(0, 64)),
        ("env[].name", text(253)),
        ("env[].value", length(0, 32_768)),
        ("spec.config", entries(0, 256)),
        ("spec.config{}", length(0, 262_144)),
        ("spec.files", items(0, 32)),
        ("files[].mountPath", text(512)),
        ("files[].config", entries(1, 64)),
        ("files[].config{}", length(0, 262_144)),
        ("spec.secrets", items(0, 24)),
        ("projected.sources", items(1, 8)),
        ("items", items(0, 16)),
        ("secrets[].env", items(1, 16)),
        ("secrets[].env[].name", text(128)),
        ("secrets[].mountPath", text(512)),
        ("secrets[].generate", items(1, 32)),
        ("generate[].rotateAfter", text(32)),
        ("spec.initContainers", items(0, 8)),
        ("spec.sidecars", items(0, 8)),
        ("initContainers[].name", text(63)),
        ("sidecars[].name", text(63)),
        ("initContainers[].ports", items(0, 16)),
        ("sidecars[].ports", items(0, 16)),
        ("volumeMounts[].mountPath", text(512)),
        ("volumeMounts[].name", text(63)),
        ("resources.requests", entries(0, 7)),
        ("resources.limits", entries(0, 7)),
        ("maxResources", entries(0, 8)),
        ("pod.labels{}", length(0, 63)),
        ("pod.nodeSelector{}", length(0, 63)),
        ("pod.annotations{}", length(0, 4096)),
        ("service.annotations{}", length(0, 4096)),
        ("serviceAccount.annotations{}", length(0, 4096)),
        ("autoscaling.metrics", items(0, 16)),
        ("priorityClassName", text(253)),
        ("runtimeClassName", text(253)),
        ("serviceAccount.name", text(253)),
        ("spec.secrets[].name", text(253)),
        ("allowedImagePrefixes", items(0, 64)),
        ("allowedImagePrefixes[]", text(512)),
        ("allowedServiceAccounts[]", text(253)),
        ("allowedPodAnnotations[]", text(317)),
        ("allowedNamespaces", items(0, 256)),
        ("allowedNamespaces[]", text(63)),
        ("conditions", items(0, 16)),
        ("conditions[].message", length(0, 32_768)),
        ("conditions[].reason", text(1024)),
        ("conditions[].type", text(316)),
        ("status.selector", length(0, 1024)),
        ("status.image", length(0, 1024)),
        ("status.url", length(0, 1024)),
        ("status.children", items(0, 64)),
        ("status.children[].message", length(0, 1024)),
        ("status.retained[].message", length(0, 1024)),
        ("status.secrets[].rotateToken", length(0, 4096)),
        ("status.references", items(0, 1024)),
        ("status.topics", items(0, 256)),
        ("topics[].physicalName", text(249)),
        ("status.topics[].message", length(0, 1024)),
        ("status.dependencies", items(0, 64)),
        ("status.dependencies[].target", length(0, 256)),
        ("status.dependencies[].message", length(0, 1024)),
        ("status.dependencies[].scheme", length(0, 16)),
        ("asking.names", items(0, 10)),
        ("calledBy.names", items(0, 10)),
    ]
}

/// A topic's name has at most 249 characters. Consent is a list without keys: an emptied keyed list
/// would become an absent one, which allows more.
fn kafka_sizes() -> Vec<Constraint> {
    let topic = || text(249);
    vec![
        ("kafka.cluster", text(63)),
        ("kafka.topics", items(0, 256)),
        ("topics[].name", topic()),
        ("topics[].retention", text(32)),
        ("topics[].retentionBytes", text(16)),
        ("topics[].config", entries(0, 32)),
        ("topics[].config{}", length(0, 512)),
        ("topics[].producers", items(0, 64)),
        ("topics[].consumers", items(0, 64)),
        ("producers[].name", text(63)),
        ("producers[].namespace", text(63)),
        ("consumers[].name", text(63)),
        ("consumers[].namespace", text(63)),
        ("kafka.produces", items(0, 128)),
        ("produces[].topic", topic()),
        ("produces[].namespace", text(63)),
        ("kafka.consumes", items(0, 128)),
        ("consumes[].topic", topic()),
        ("consumes[].namespace", text(63)),
        ("consumes[].group", text(128)),
        ("streams.applicationId", text(128)),
        ("autoscaling.kafka", items(0, 16)),
        ("kafka[].topic", topic()),
        ("kafka[].namespace", text(63)),
        ("kafka[].group", text(128)),
        ("kafka.clusters", items(1, 16)),
        ("clusters[].name", text(63)),
        ("clusters[].bootstrapServers", items(1, 32)),
        ("clusters[].bootstrapServers[]", text(261)),
        ("users.secretNameTemplate", text(128)),
        ("users.principalTemplate", text(253)),
        ("users.rotateAfter", text(32)),
        ("strimzi.namespace", text(63)),
        ("kafka.topicNameTemplate", text(128)),
        ("kafka.principalPrefix", text(20)),
        ("kafka.externalTopics", items(0, 256)),
        ("externalTopics[].name", topic()),
        ("externalTopics[].namespaces", items(1, 64)),
        ("externalTopics[].namespaces[]", text(63)),
        ("kafka.allowedConfig", items(0, 128)),
        ("kafka.allowedConfig[]", text(128)),
    ]
}

/// Callers are a list without keys, as consent to topics is.
fn call_sizes() -> Vec<Constraint> {
    vec![
        ("spec.calls", items(0, 64)),
        ("calls[].name", text(63)),
        ("calls[].namespace", text(63)),
        ("calls[].envPrefix", text(63)),
        ("calls[].methods", items(1, 9)),
        ("calls[].paths", items(1, 16)),
        ("calls[].paths[]", text(253)),
        ("calls[].timeout", text(32)),
        ("retries.attempts", range(1, 10)),
        ("retries.perTryTimeout", text(32)),
        ("workload.namespace", text(63)),
        ("workload.ports", items(1, 16)),
        ("workload.ports[]", range(1, 65_535)),
        ("external.ports", items(1, 16)),
        ("external.ports[]", range(1, 65_535)),
        ("external.host", text(253)),
        ("external.cidr", text(43)),
        ("podSelector.matchLabels", entries(1, 8)),
        ("podSelector.matchLabels{}", length(0, 63)),
        ("namespaceSelector.matchLabels", entries(1, 8)),
        ("namespaceSelector.matchLabels{}", length(0, 63)),
        ("graph.severities", entries(0, 32)),
        ("network.enforcedBy", text(128)),
        ("network.gateways", items(0, 16)),
        ("network.monitoring", items(0, 16)),
        ("network.dns", items(0, 16)),
        ("dns[].ports", items(1, 16)),
        ("dns[].ports[]", range(1, 65_535)),
        ("network.infrastructure", items(0, 32)),
        ("infrastructure[].ports", items(1, 16)),
        ("infrastructure[].ports[]", range(1, 65_535)),
        ("network.workloadNamespaces", items(0, 64)),
        ("network.workloadNamespaces[]", text(63)),
        ("gateways[].namespace", text(63)),
        ("monitoring[].namespace", text(63)),
        ("dns[].namespace", text(63)),
        ("infrastructure[].to.namespace", text(63)),
        ("gateways[].cidr", text(43)),
        ("monitoring[].cidr", text(43)),
        ("dns[].cidr", text(43)),
        ("infrastructure[].to.cidr", text(43)),
        ("network.shortestPrefixIpv4", range(0, 32)),
        ("network.shortestPrefixIpv6", range(0, 128)),
        ("status.network.cuts", items(0, 64)),
        ("status.network.cuts[]", length(0, 1024)),
        ("status.network.wider", items(0, 64)),
        ("status.network.wider[]", length(0, 1024)),
        ("status.network.suspected", items(0, 64)),
        ("status.network.suspected[]", length(0, 256)),
        ("status.network.enforcedBy", length(0, 128)),
        ("spec.callers", items(0, 64)),
        ("callers[].name", text(63)),
        ("callers[].namespace", text(63)),
    ]
}

fn one_of(values: &[&str]) -> JSONSchemaProps {
    let values = values.iter().map(|value| JSON(Value::from(*value))).collect();
    JSONSchemaProps { enum_: Some(values), ..Default::default() }
}

fn enums() -> Vec<Constraint> {
    let selector = || one_of(&["In", "NotIn", "Exists", "DoesNotExist"]);
    let node = || one_of(&["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"]);
    vec![
        ("conditions[].status", one_of(&["True", "False", "Unknown"])),
        ("strategy.type", one_of(&["RollingUpdate", "Recreate"])),
        ("trafficDistribution", one_of(&["PreferClose", "PreferSameZone", "PreferSameNode"])),
        ("ports[].protocol", one_of(&["TCP", "UDP", "SCTP"])),
        ("httpGet.scheme", one_of(&["HTTP", "HTTPS"])),
        ("emptyDir.medium", one_of(&["", "Memory"])),
        ("tolerations[].operator", one_of(&["Equal", "Exists"])),
        ("tolerations[].effect", one_of(&["NoSchedule", "PreferNoSchedule", "NoExecute"])),
        ("whenUnsatisfiable", one_of(&["ScheduleAnyway", "DoNotSchedule"])),
        ("nodeAffinityPolicy", one_of(&["Honor", "Ignore"])),
        ("nodeTaintsPolicy", one_of(&["Honor", "Ignore"])),
        ("matchExpressions[].operator", selector()),
        ("nodeSelectorTerms[].matchExpressions[].operator", node()),
        ("preference.matchExpressions[].operator", node()),
        ("matchFields[].operator", one_of(&["In", "NotIn"])),
        ("metrics[].type", one_of(&["Resource", "ContainerResource", "Pods", "Object", "External"])),
        ("target.type", one_of(&["Utilization", "Value", "AverageValue"])),
        ("selectPolicy", one_of(&["Max", "Min", "Disabled"])),
        ("policies[].type", one_of(&["Pods", "Percent"])),
    ]
}

fn keyed(keys: &[&str]) -> JSONSchemaProps {
    JSONSchemaProps {
        x_kubernetes_list_type: Some("map".into()),
        x_kubernetes_list_map_keys: Some(keys.iter().map(ToString::to_string).collect()),
        ..Default::default()
    }
}

/// Lists with a key: entries are unique by it, and server-side apply merges them by it. Not `spec.ports`:
/// an empty list means something there, and server-side apply turns an emptied keyed list into an absent
/// one.
fn lists() -> Vec<Constraint> {
    let set = || JSONSchemaProps { x_kubernetes_list_type: Some("set".into()), ..Default::default() };
    vec![
        ("spec.imagePullSecrets", keyed(&["name"])),
        ("spec.env", keyed(&["name"])),
        ("spec.files", keyed(&["mountPath"])),
        ("spec.secrets", keyed(&["name"])),
        ("secrets[].env", keyed(&["name"])),
        ("secrets[].generate", keyed(&["key"])),
        ("spec.initContainers", keyed(&["name"])),
        ("spec.sidecars", keyed(&["name"])),
        ("initContainers[].env", keyed(&["name"])),
        ("sidecars[].env", keyed(&["name"])),
        ("volumeMounts", keyed(&["mountPath"])),
        ("topologySpreadConstraints", keyed(&["topologyKey", "whenUnsatisfiable"])),
        ("conditions", keyed(&["type"])),
        ("status.children", keyed(&["apiVersion", "kind", "name"])),
        ("status.retained", keyed(&["apiVersion", "kind", "name"])),
        ("status.secrets", keyed(&["name"])),
        ("status.references", keyed(&["kind", "name"])),
        ("allowedImagePrefixes", set()),
        ("allowedServiceAccounts", set()),
        ("allowedPodAnnotations", set()),
        ("allowedNamespaces", set()),
        ("status.topics", keyed(&["name"])),
        ("spec.kafka.topics", keyed(&["name"])),
        ("kafka.clusters", keyed(&["name"])),
        ("clusters[].bootstrapServers", set()),
        ("calls[].methods", set()),
        ("calls[].paths", set()),
        ("kafka.externalTopics", keyed(&["name"])),
        ("externalTopics[].namespaces", set()),
        ("kafka.allowedConfig", set()),
    ]
}
