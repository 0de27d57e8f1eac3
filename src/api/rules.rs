//! CEL rules of both kinds: one table for the CRDs, the offline check, the examples and the docs.
//!
//! Each rule has its counter-example in `examples/invalid/<id>.yaml`.

/// One `x-kubernetes-validations` entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Name of the rule and of its counter-example.
    pub id: &'static str,
    /// Where it applies: ends of schema paths. `[]` stands for an item, `{}` for a map's value; the
    /// root is the kind. `pod.labels` means the field of both kinds.
    pub at: &'static [&'static str],
    /// CEL expression that must be true; `self` is the value at the path.
    pub rule: &'static str,
    /// What is wrong and what to write instead.
    pub message: &'static str,
}

const fn rule(
    id: &'static str,
    at: &'static [&'static str],
    rule: &'static str,
    message: &'static str,
) -> Rule {
    Rule { id, at, rule, message }
}

/// Every rule, in the order of the documentation.
///
/// Limits to keep in mind: the API server estimates the cost of each rule from the bounds of what it
/// reads and refuses the CRD above 10 million for one rule or 100 million in all. The text of an
/// int-or-string counts as 3 MB whatever its `maxLength`, so such rules are rare and outside lists. At
/// run time one rule may cost 1 million; an object at its bounds has to stay below that too. A field
/// whose name is a reserved word of CEL is written `__namespace__`: the server compiles `namespace` too,
/// but does not see its bounds then.
pub fn rules() -> impl Iterator<Item = &'static Rule> {
    [NAMES, WORKLOAD, CHECKS, CONFIGURATION, POD, KAFKA, CALLS, CLASS, CLASS_GRAPH, CLASS_KAFKA]
        .into_iter()
        .flatten()
}

const NAMES: &[Rule] = &[
    rule(
        "name",
        &["Microservice"],
        "self.metadata.name.size() <= 63 && self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",
        "metadata.name becomes the name of the Service: at most 63 lower-case letters, digits and '-', starting with a letter, such as user-service",
    ),
    rule(
        "class-name",
        &["MicroserviceClass"],
        "self.metadata.name.size() <= 63",
        "metadata.name may have at most 63 characters, because namespaces name their class in a label",
    ),
    rule(
        "reference-name",
        &[
            "spec.className",
            "imagePullSecrets[].name",
            "configMapKeyRef.name",
            "secretKeyRef.name",
            "configMapRef.name",
            "secretRef.name",
            "files[].configMap.name",
            "files[].secret.secretName",
            "sources[].configMap.name",
            "sources[].secret.name",
            "csi.driver",
            "csi.nodePublishSecretRef.name",
            "persistentVolumeClaim.claimName",
            "spec.secrets[].name",
            "serviceAccount.name",
            "priorityClassName",
            "runtimeClassName",
            "allowedServiceAccounts[]",
            "spec.kafka.cluster",
            "calls[].name",
            "topics[].producers[].name",
            "topics[].consumers[].name",
            "clusters[].name",
            "tls.caSecretName",
            "tls.clientSecretName",
            "sasl.secretName",
            "strimzi.cluster",
        ],
        "self.matches('^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$')",
        "must be the plain name of an object: lower-case letters, digits, '-' and '.', without a namespace and without '/'",
    ),
    rule(
        "data-key",
        &[
            "configMapKeyRef.key",
            "secretKeyRef.key",
            "secrets[].env[].key",
            "generate[].key",
            "configMap.items[].key",
            "secret.items[].key",
        ],
        "self.matches('^[-._a-zA-Z0-9]+$') && self != '.' && self != '..'",
        "must be a key of a ConfigMap or Secret: letters, digits, '-', '_' and '.', such as url or tls.crt",
    ),
    rule(
        "image-form",
        &["spec.image", "initContainers[].image", "sidecars[].image"],
        "self.matches('^[a-zA-Z0-9]([a-zA-Z0-9._/:@-]*[a-zA-Z0-9])?$')",
        "image must look like registry.example.com/team/name:tag: no spaces, only letters, digits and . _ - / : @",
    ),
    rule(
        "image-scheme",
        &["spec.image", "initContainers[].image", "sidecars[].image"],
        "!self.contains('://')",
        "image must not start with a scheme: write registry.example.com/team/name:tag without https://",
    ),
    rule(
        "image-userinfo",
        &["spec.image", "initContainers[].image", "sidecars[].image"],
        "!self.matches('^([a-z]+://)?[^/]*@[^/]*/')",
        "image must not contain a user name or password: put them into a registry Secret and name it in imagePullSecrets",
    ),
    rule(
        "container-name",
        &["initContainers[].name", "sidecars[].name"],
        "self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",
        "a container's name has at most 63 lower-case letters, digits and '-', such as log-shipper",
    ),
    rule(
        "container-name-own",
        &["Microservice"],
        "(!has(self.spec.sidecars) || self.spec.sidecars.all(c, c.name != self.metadata.name)) && (!has(self.spec.initContainers) || self.spec.initContainers.all(c, c.name != self.metadata.name))",
        "a container of sidecars or initContainers has the name of the service, which is that of its own container: choose another",
    ),
    rule(
        "container-name-twice",
        &["Microservice.spec"],
        "!has(self.sidecars) || !has(self.initContainers) || self.sidecars.all(s, self.initContainers.all(i, i.name != s.name))",
        "a container of sidecars and one of initContainers have the same name: names are unique in a pod",
    ),
    rule(
        "working-dir",
        &["spec.workingDir"],
        "self.matches('^/[^[:cntrl:]]*$')",
        "workingDir must be an absolute path, such as /app",
    ),
];

const WORKLOAD: &[Rule] = &[
    rule(
        "port-or-ports",
        &["Microservice.spec"],
        "!has(self.port) || !has(self.ports)",
        "port and ports exclude each other: move the number into ports, or remove ports",
    ),
    rule(
        "ports-name",
        &["spec.ports"],
        "self.all(p, self.exists_one(q, q.name == p.name))",
        "two ports have the same name: give each its own",
    ),
    rule(
        "ports-number",
        &["spec.ports"],
        "self.all(p, self.exists_one(q, q.port == p.port && (has(q.protocol) ? q.protocol : 'TCP') == (has(p.protocol) ? p.protocol : 'TCP')))",
        "two ports have the same number and protocol: give each its own port; several may share a containerPort",
    ),
    rule(
        "port-name",
        &["ports[].name"],
        "self.matches('^[a-z0-9]+(-[a-z0-9]+)*$') && self.matches('[a-z]')",
        "a port's name has at most 15 lower-case letters, digits and single '-', with at least one letter, such as http or grpc-admin",
    ),
    rule(
        "app-protocol",
        &["ports[].appProtocol"],
        "self.matches('^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[a-zA-Z0-9]([-a-zA-Z0-9_.]*[a-zA-Z0-9])?$')",
        "appProtocol must be a protocol name such as http, grpc or kubernetes.io/h2c",
    ),
    rule(
        "metrics-port",
        &["Microservice.spec"],
        "!has(self.metrics) || !has(self.metrics.port) || !has(self.ports) || self.ports.all(p, p.name != 'metrics' || (has(p.containerPort) ? p.containerPort : p.port) == self.metrics.port)",
        "the port named metrics and metrics.port differ: give that port containerPort metrics.port, or another name",
    ),
    rule(
        "no-ports-no-health",
        &["Microservice.spec"],
        "!has(self.ports) || self.ports.size() > 0 || has(self.readinessProbe) || (has(self.health) && (has(self.health.port) || (has(self.health.type) && self.health.type == 'None')))",
        "a service without ports must say how it is checked: set health.port, or health.type: None",
    ),
    rule(
        "replicas-or-autoscaling",
        &["Microservice.spec"],
        "!has(self.autoscaling) || !has(self.replicas) || self.replicas == 0",
        "with autoscaling, replicas may only be 0 (stopped): remove replicas and set autoscaling.minReplicas and maxReplicas",
    ),
    rule(
        "autoscaling-bounds",
        &["autoscaling"],
        "!has(self.minReplicas) || self.minReplicas <= self.maxReplicas",
        "minReplicas must not exceed maxReplicas",
    ),
    rule(
        "metric-source",
        &["autoscaling.metrics[]"],
        "[has(self.resource), has(self.containerResource), has(self.pods), has(self.object), has(self.external)].filter(x, x).size() == 1 && (self.type == 'Resource' ? has(self.resource) : self.type == 'ContainerResource' ? has(self.containerResource) : self.type == 'Pods' ? has(self.pods) : self.type == 'Object' ? has(self.object) : has(self.external))",
        "a metric needs exactly the field that its type names, such as type: Pods with pods",
    ),
    rule(
        "metric-target",
        &[
            "metrics[].resource.target",
            "metrics[].containerResource.target",
            "metrics[].pods.target",
            "metrics[].object.target",
            "metrics[].external.target",
        ],
        "self.type == 'Utilization' ? has(self.averageUtilization) : self.type == 'Value' ? has(self.value) : has(self.averageValue)",
        "a metric's target needs the field of its type: averageUtilization, value or averageValue",
    ),
    rule(
        "metric-target-containers",
        &["metrics[].resource.target", "metrics[].containerResource.target"],
        "self.type != 'Value' && !(has(self.averageUtilization) && has(self.averageValue))",
        "the target of a resource is one of averageUtilization and averageValue: set type to Utilization or AverageValue, and that field alone",
    ),
    rule(
        "metric-target-pods",
        &["metrics[].pods.target"],
        "self.type == 'AverageValue'",
        "the target of a metric of pods is an average: set type: AverageValue and averageValue",
    ),
    rule(
        "metric-target-others",
        &["metrics[].object.target", "metrics[].external.target"],
        "self.type != 'Utilization'",
        "the target of an object or of an external metric is no utilization: set type to Value or AverageValue",
    ),
    rule(
        "lag-metrics",
        &["spec.autoscaling"],
        "!has(self.kafka) || self.kafka.size() == 0 || !has(self.metrics) || self.metrics.all(m, has(m.resource) ? m.resource.name in ['cpu', 'memory'] : has(m.containerResource) && m.containerResource.name in ['cpu', 'memory'])",
        "beside autoscaling.kafka, which KEDA serves, metrics may only be of type Resource or ContainerResource for cpu or memory: remove the other ones, or kafka",
    ),
    rule(
        "lag-topic-twice",
        &["autoscaling.kafka"],
        "self.all(t, self.exists_one(u, u.topic == t.topic && has(u.__namespace__) == has(t.__namespace__) && (!has(u.__namespace__) || u.__namespace__ == t.__namespace__) && has(u.group) == has(t.group) && (!has(u.group) || u.group == t.group)))",
        "autoscaling.kafka names each topic and group once: remove the second entry",
    ),
    rule(
        "lag-consumed",
        &["Microservice.spec"],
        "!has(self.autoscaling) || !has(self.autoscaling.kafka) || self.autoscaling.kafka.all(t, has(self.kafka) && has(self.kafka.consumes) && self.kafka.consumes.exists(c, c.topic == t.topic))",
        "autoscaling.kafka names a topic that the service does not consume: add it to kafka.consumes or correct the name",
    ),
    rule(
        "resource-quantity",
        &[
            "spec.resources.requests{}",
            "spec.resources.limits{}",
            "defaults.resources.requests{}",
            "defaults.resources.limits{}",
            "maxResources{}",
        ],
        "type(self) == string ? isQuantity(self) && !quantity(self).isLessThan(quantity('0')) && quantity(self).isLessThan(quantity('1P')) : self >= 0",
        "must be a quantity such as 250m, 1.5 or 512Mi: not negative and less than 1P",
    ),
    rule(
        "request-over-limit",
        &["spec.resources", "defaults.resources"],
        "!has(self.requests) || !has(self.limits) || self.requests.all(k, !(k in self.limits) || (type(self.limits[k]) == string && !isQuantity(self.limits[k])) || (type(self.requests[k]) == string && !isQuantity(self.requests[k])) || (type(self.limits[k]) == string ? quantity(self.limits[k]) : quantity('0').add(self.limits[k])).compareTo(type(self.requests[k]) == string ? quantity(self.requests[k]) : quantity('0').add(self.requests[k])) >= 0)",
        "a request exceeds its limit: lower the request or raise the limit",
    ),
    rule(
        "drain-before-grace",
        &["shutdown"],
        "!has(self.drainSeconds) || !has(self.gracePeriodSeconds) || self.drainSeconds < self.gracePeriodSeconds",
        "drainSeconds must be less than gracePeriodSeconds, which includes it: leave gracePeriodSeconds out for drainSeconds + 25",
    ),
    rule(
        "strategy-recreate",
        &["strategy"],
        "!has(self.rollingUpdate) || !has(self.type) || self.type == 'RollingUpdate'",
        "rollingUpdate belongs to type: RollingUpdate: remove rollingUpdate or change the type",
    ),
    rule(
        "strategy-stuck",
        &["strategy.rollingUpdate"],
        "!has(self.maxSurge) || !has(self.maxUnavailable) || !((self.maxSurge == 0 || self.maxSurge == '0%') && (self.maxUnavailable == 0 || self.maxUnavailable == '0%'))",
        "maxSurge and maxUnavailable are both 0, so no pod could ever be replaced: set maxSurge to 1 or 25%",
    ),
    rule(
        "budget-zero",
        &["disruptionBudget.maxUnavailable"],
        "self != 0 && self != '0%'",
        "maxUnavailable: 0 would block every node drain: use 1 or a percentage such as 25%",
    ),
];

const CHECKS: &[Rule] = &[
    rule(
        "http-path",
        &["health.path", "liveness.path", "spec.metrics.path", "httpGet.path"],
        "self.matches('^/[^[:space:][:cntrl:]]*$')",
        "must start with '/' and contain no spaces or control characters, such as /health",
    ),
    rule(
        "health-path-type",
        &["health"],
        "!has(self.type) || self.type == 'HTTP' || (!has(self.path) && (!has(self.liveness) || !has(self.liveness.path)))",
        "a health path is for type: HTTP only: remove the path or change the type",
    ),
    rule(
        "health-none-liveness",
        &["health"],
        "!has(self.type) || self.type != 'None' || !has(self.liveness)",
        "liveness needs a check: use type: HTTP, TCP or GRPC instead of None, or remove liveness",
    ),
    rule(
        "health-port-name",
        &["Microservice.spec"],
        "!has(self.health) || ((!has(self.health.port) || type(self.health.port) == int || (has(self.ports) ? self.ports.exists(p, self.health.port == p.name) : self.health.port == 'http') || (has(self.metrics) && self.health.port == 'metrics')) && (!has(self.health.liveness) || !has(self.health.liveness.port) || type(self.health.liveness.port) == int || (has(self.ports) ? self.ports.exists(p, self.health.liveness.port == p.name) : self.health.liveness.port == 'http') || (has(self.metrics) && self.health.liveness.port == 'metrics')))",
        "a health port names no port of the service: use a name from ports (http if there are none), or a number",
    ),
    rule(
        "probe-handler",
        &["livenessProbe", "readinessProbe", "startupProbe"],
        "[has(self.httpGet), has(self.tcpSocket), has(self.grpc), has(self.exec)].filter(x, x).size() == 1",
        "a probe needs exactly one of httpGet, tcpSocket, grpc and exec",
    ),
];

const CONFIGURATION: &[Rule] = &[
    rule(
        "env-name",
        &["env[].name"],
        "self.matches('^[-._a-zA-Z][-._a-zA-Z0-9]*$')",
        "the name of an environment variable has letters, digits, '_', '-' and '.', and does not start with a digit, such as LOG_LEVEL",
    ),
    rule(
        "env-value",
        &["spec.env[]", "initContainers[].env[]", "sidecars[].env[]"],
        "!has(self.value) || !has(self.valueFrom)",
        "value and valueFrom exclude each other: remove one",
    ),
    rule(
        "env-source",
        &["env[].valueFrom"],
        "[has(self.configMapKeyRef), has(self.secretKeyRef), has(self.fieldRef), has(self.resourceFieldRef)].filter(x, x).size() == 1",
        "valueFrom needs exactly one of configMapKeyRef, secretKeyRef, fieldRef and resourceFieldRef",
    ),
    rule(
        "env-from-source",
        &["envFrom[]"],
        "has(self.configMapRef) != has(self.secretRef)",
        "envFrom needs exactly one of configMapRef and secretRef",
    ),
    rule(
        "config-key",
        &["spec.config"],
        "self.all(k, k.matches('^[-._a-zA-Z][-._a-zA-Z0-9]*$') && k != '.' && k != '..' && k.size() <= 253)",
        "the keys of config become environment variables: letters, digits, '_', '-' and '.', not starting with a digit, such as LOG_LEVEL",
    ),
    rule(
        "config-size",
        &["spec.config"],
        "self.map(k, k.size() + self[k].size()).sum() <= 262144",
        "config may have at most 256 KiB in all: keep larger data in a ConfigMap of your own and mount it with files[].configMap",
    ),
    rule(
        "file-source",
        &["files[]"],
        "[has(self.config), has(self.configMap), has(self.secret), has(self.projected), has(self.csi), has(self.emptyDir), has(self.persistentVolumeClaim)].filter(x, x).size() == 1",
        "an entry of files needs exactly one of config, configMap, secret, projected, csi, emptyDir and persistentVolumeClaim",
    ),
    rule(
        "file-key",
        &["files[].config"],
        "self.all(k, k.matches('^[-._a-zA-Z0-9]+$') && k != '.' && k != '..' && k.size() <= 253)",
        "the keys of files[].config are file names: letters, digits, '-', '_' and '.', such as app.yaml",
    ),
    rule(
        "file-size",
        &["spec.files"],
        "self.map(f, has(f.config) ? f.config.map(k, k.size() + f.config[k].size()).sum() : 0).sum() <= 524288",
        "the contents of files[].config may have at most 512 KiB in all: keep larger data in a ConfigMap of your own",
    ),
    rule(
        "mount-path",
        &["files[].mountPath", "secrets[].mountPath", "volumeMounts[].mountPath"],
        "self.matches('^(/|(/[^/:[:cntrl:]]+)+)$') && !self.matches('/[.][.]?(/|$)')",
        "mountPath must be an absolute path without '..', ':' and a trailing '/', such as /etc/app",
    ),
    rule(
        "mount-path-reserved",
        &["files[].mountPath", "secrets[].mountPath", "volumeMounts[].mountPath"],
        "!self.matches('^/?(etc|var|run|var/run)?/?$') && !self.matches('^/(proc|sys|dev|run/secrets|var/run/secrets)(/|$)')",
        "mountPath must not hide /, /etc, /proc, /sys, /dev, /var, /run or /var/run/secrets: choose a directory of your own, such as /etc/app",
    ),
    rule(
        "mount-path-twice",
        &["Microservice.spec"],
        "!has(self.secrets) || (self.secrets.all(s, !has(s.mountPath) || self.secrets.exists_one(t, has(t.mountPath) && t.mountPath == s.mountPath)) && (!has(self.files) || self.files.all(f, self.secrets.all(s, !has(s.mountPath) || s.mountPath != f.mountPath))))",
        "two entries of files and secrets have the same mountPath: give each its own directory",
    ),
    rule(
        "item-path",
        &["items[].path", "serviceAccountToken.path"],
        "!self.startsWith('/') && !self.matches('(^|/)[.][.](/|$)')",
        "path must be relative to the mountPath and without '..', such as tls/ca.crt",
    ),
    rule(
        "projected-source",
        &["projected.sources[]"],
        "[has(self.configMap), has(self.secret), has(self.downwardAPI), has(self.serviceAccountToken)].filter(x, x).size() == 1",
        "a projected source needs exactly one of configMap, secret, downwardAPI and serviceAccountToken",
    ),
    rule(
        "sub-path",
        &["volumeMounts[].subPath", "volumeMounts[].subPathExpr"],
        "!self.startsWith('/') && !self.matches('(^|/)[.][.](/|$)')",
        "must be a path inside the volume: relative and without '..'",
    ),
    rule(
        "volume-mount-name",
        &["volumeMounts[].name"],
        "self.matches('^(tmp|files-[0-9]+|secret-[0-9]+)$')",
        "volumeMounts name a volume of the pod: tmp, files-<index> or secret-<index>, counted from 0",
    ),
    rule(
        "secret-env-twice",
        &["spec.secrets"],
        "self.all(s, !has(s.env) || self.exists_one(t, has(t.env) && sets.intersects(s.env.map(e, e.name), t.env.map(e, e.name))))",
        "two secrets set the same environment variable: give each its own name",
    ),
    rule(
        "secret-env-key",
        &["spec.secrets[]"],
        "!has(self.env) || !has(self.generate) || self.env.all(e, self.generate.exists(g, g.key == e.key))",
        "env reads a key that generate does not make: add the key to generate or correct it",
    ),
    rule(
        "secret-generate-optional",
        &["spec.secrets[]"],
        "!has(self.generate) || !has(self.optional) || !self.optional",
        "a generated Secret always exists: remove optional",
    ),
    rule(
        "rotate-after",
        &["generate[].rotateAfter", "users.rotateAfter"],
        r"self.matches('^([0-9]{1,5}(d|h|m|s|ms)){1,4}$') && (self.matches('[1-9][0-9]{0,4}d') || (!self.contains('d') && duration(self) >= duration('1h')))",
        "rotateAfter must be a duration of at least 1h, such as 30d, 720h or 1h30m",
    ),
];

const POD: &[Rule] = &[
    rule(
        "label-form",
        &["pod.labels", "pod.nodeSelector", "podSelector.matchLabels", "namespaceSelector.matchLabels"],
        "self.all(k, k.size() <= 317 && k.matches('^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[a-zA-Z0-9]([-a-zA-Z0-9_.]*[a-zA-Z0-9])?$') && self[k].matches('^([a-zA-Z0-9]([-a-zA-Z0-9_.]*[a-zA-Z0-9])?)?$'))",
        "a label's key is a name with an optional DNS prefix, its value at most 63 letters, digits, '-', '_' and '.', such as example.com/tier: gold",
    ),
    rule(
        "label-reserved",
        &["pod.labels"],
        "self.all(k, !(k in ['app', 'pod-template-hash', 'controller-revision-hash']) && (k == 'sidecar.istio.io/inject' || !k.matches('^([^/]*[.])?(kubernetes[.]io|k8s[.]io|microservice[.]dev|istio[.]io|linkerd[.]io|hashicorp[.]com)/')))",
        "app and the prefixes kubernetes.io, k8s.io, microservice.dev and those of service meshes are reserved: use a prefix of your own, such as example.com/tier",
    ),
    rule(
        "annotation-reserved",
        &["pod.annotations"],
        "self.all(k, !k.matches('^([^/]*[.])?microservice[.]dev/|^kubernetes[.]io/|^kubectl[.]|security[.](alpha|beta)[.]kubernetes[.]io/'))",
        "annotations of microservice.dev, kubernetes.io, kubectl and of AppArmor and seccomp are reserved: choose pod.securityProfile instead, or another key",
    ),
    rule(
        "service-annotation-reserved",
        &["service.annotations"],
        "self.all(k, k.startsWith('service.kubernetes.io/') || !k.matches('^([^/]*[.])?(kubernetes[.]io|k8s[.]io|microservice[.]dev)/'))",
        "annotations of kubernetes.io, k8s.io and microservice.dev are reserved, those of service.kubernetes.io excepted",
    ),
    rule(
        "account-annotation-reserved",
        &["serviceAccount.annotations"],
        "self.all(k, !k.matches('^([^/]*[.])?(kubernetes[.]io|k8s[.]io|microservice[.]dev)/'))",
        "annotations of kubernetes.io, k8s.io and microservice.dev are reserved on a ServiceAccount: use those of your cloud or a prefix of your own",
    ),
    rule(
        "annotation-form",
        &["pod.annotations", "service.annotations", "serviceAccount.annotations"],
        "self.all(k, k.size() <= 317 && k.matches('^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[a-zA-Z0-9]([-a-zA-Z0-9_.]*[a-zA-Z0-9])?$'))",
        "an annotation's key is a name with an optional DNS prefix, such as example.com/team",
    ),
    rule(
        "account-annotations",
        &["serviceAccount"],
        "!has(self.name) || !has(self.annotations)",
        "annotations belong to the service's own account: remove name, or annotate that account yourself",
    ),
    rule(
        "toleration-key",
        &["tolerations[]"],
        "has(self.key) && self.key != ''",
        "a toleration without a key tolerates every taint, those of the control plane too: name the key of the taint",
    ),
    rule(
        "toleration-control-plane",
        &["tolerations[]"],
        "!has(self.key) || !self.key.startsWith('node-role.kubernetes.io/')",
        "services do not run on control plane nodes: remove the toleration of node-role.kubernetes.io",
    ),
    rule(
        "toleration-value",
        &["tolerations[]"],
        "!has(self.operator) || self.operator != 'Exists' || !has(self.value) || self.value == ''",
        "operator: Exists takes no value: remove value or use operator: Equal",
    ),
    rule(
        "toleration-seconds",
        &["tolerations[]"],
        "!has(self.tolerationSeconds) || (has(self.effect) && self.effect == 'NoExecute')",
        "tolerationSeconds needs effect: NoExecute",
    ),
    rule(
        "spread-min-domains",
        &["topologySpreadConstraints[]"],
        "!has(self.minDomains) || self.whenUnsatisfiable == 'DoNotSchedule'",
        "minDomains needs whenUnsatisfiable: DoNotSchedule",
    ),
    rule(
        "priority-system",
        &["priorityClassName"],
        "!self.startsWith('system-')",
        "the system- priority classes are for the cluster's own pods: choose another class",
    ),
];

/// Uniqueness of the variables is asked with indexOf and lastIndexOf, which cost one pass over all names
/// for each of them. When the names are so many and long that this is above what one rule may cost at run
/// time, it is left to [`crate::intent`].
const KAFKA: &[Rule] = &[
    rule(
        "topic-name",
        &["spec.kafka.topics[].name", "produces[].topic", "consumes[].topic", "externalTopics[].name"],
        "self.matches('^[a-zA-Z0-9._-]+$') && self != '.' && self != '..'",
        "the name of a topic has at most 249 letters, digits, '.', '_' and '-', and is not '.' or '..', such as order-events",
    ),
    rule(
        "topic-internal",
        &["spec.kafka.topics[].name", "produces[].topic", "consumes[].topic", "externalTopics[].name"],
        "!self.startsWith('__')",
        "topics whose names begin with __ are Kafka's own: choose another name, such as order-events",
    ),
    rule(
        "topic-variable-twice",
        &["spec.kafka.topics"],
        "self.map(t, t.name.size()).sum() > 8192 || [self.map(t, t.name.replace('.', '_').replace('-', '_').upperAscii())].all(names, names.all(n, names.indexOf(n) == names.lastIndexOf(n)))",
        "two topics have names that are the same or differ only in '.', '_', '-' and case, so their variables KAFKA_TOPIC_<NAME> would be one: rename one of them",
    ),
    rule(
        "topic-retention",
        &["spec.kafka.topics[].retention"],
        "self == 'Infinite' || (self.matches('^([0-9]{1,5}(d|h|m|s|ms)){1,4}$') && self.matches('[1-9]'))",
        "retention must be a duration such as 7d, 12h or 1h30m, more than 0, or Infinite",
    ),
    rule(
        "topic-retention-bytes",
        &["spec.kafka.topics[].retentionBytes"],
        "self.matches('^([1-9][0-9]{0,14}|[1-9][0-9]{0,5}(Ki|Mi|Gi|Ti)|Infinite)$')",
        "retentionBytes must be a number of bytes, plain or with Ki, Mi, Gi or Ti, such as 10Gi, or Infinite",
    ),
    rule(
        "topic-min-insync",
        &["spec.kafka.topics[]"],
        "!has(self.minInsyncReplicas) || !has(self.replicationFactor) || self.minInsyncReplicas <= self.replicationFactor",
        "minInsyncReplicas exceeds replicationFactor, so no message could ever be written: lower it, usually to replicationFactor - 1",
    ),
    rule(
        "topic-config-key",
        &["spec.kafka.topics[].config"],
        "self.all(k, k.size() <= 128 && k.matches('^[a-z][a-z0-9.]*$') && !self[k].matches('[[:cntrl:]]'))",
        "the keys of a topic's config are Kafka's own, such as compression.type, and the values have no control characters",
    ),
    rule(
        "topic-config-typed",
        &["spec.kafka.topics[].config"],
        "!('retention.ms' in self) && !('retention.bytes' in self) && !('cleanup.policy' in self) && !('min.insync.replicas' in self) && !('max.message.bytes' in self)",
        "a key of the topic's config has a field of its own: use retention, retentionBytes, cleanupPolicy, minInsyncReplicas or maxMessageBytes",
    ),
    rule(
        "topic-observe",
        &["spec.kafka.topics[]"],
        "!has(self.managementPolicy) || self.managementPolicy != 'Observe' || [has(self.partitions), has(self.replicationFactor), has(self.retention), has(self.retentionBytes), has(self.cleanupPolicy), has(self.minInsyncReplicas), has(self.maxMessageBytes), has(self.config), has(self.deletionPolicy)].all(given, !given)",
        "an observed topic is made elsewhere: remove all but name, managementPolicy, producers and consumers, or use managementPolicy: Adopt",
    ),
    rule(
        "topic-reference-twice",
        &["spec.kafka.produces", "spec.kafka.consumes"],
        "self.all(t, self.exists_one(u, u.topic == t.topic && has(u.__namespace__) == has(t.__namespace__) && (!has(u.__namespace__) || u.__namespace__ == t.__namespace__)))",
        "produces and consumes name each topic once: remove the second entry",
    ),
    rule(
        "topic-external-namespace",
        &["produces[]", "consumes[]"],
        "!has(self.external) || !self.external || !has(self.__namespace__)",
        "an external topic has no owner and so no namespace: remove namespace or external",
    ),
    rule(
        "consumer-group",
        &["consumes[].group", "streams.applicationId"],
        "self.matches('^[a-zA-Z0-9._-]+$')",
        "a consumer group and an application id have letters, digits, '.', '_' and '-', such as order-service",
    ),
];

const CALLS: &[Rule] = &[
    rule(
        "call-target",
        &["spec.calls[]"],
        "[has(self.name), has(self.workload), has(self.external)].exists_one(given, given)",
        "a call needs exactly one of name, workload and external: name for a Microservice, workload for other pods, external for what is outside of the cluster",
    ),
    rule(
        "call-of-service",
        &["spec.calls[]"],
        "has(self.name) || (!has(self.__namespace__) && !has(self.port) && !has(self.envPrefix))",
        "namespace, port and envPrefix belong to a Microservice that is called by name: remove them, or use workload.namespace and the ports of workload or external",
    ),
    rule(
        "call-twice",
        &["spec.calls"],
        "self.all(c, !has(c.name) || self.exists_one(d, has(d.name) && d.name == c.name && has(d.__namespace__) == has(c.__namespace__) && (!has(d.__namespace__) || d.__namespace__ == c.__namespace__)))",
        "calls names each Microservice once: remove the second entry",
    ),
    rule(
        "call-prefix",
        &["calls[].envPrefix"],
        "self.matches('^[A-Z][A-Z0-9_]*$')",
        "envPrefix begins with a capital letter and has capital letters, digits and '_', such as STOCK",
    ),
    rule(
        "call-prefix-twice",
        &["spec.calls"],
        "self.all(c, !has(c.name) || self.exists_one(d, has(d.name) && (has(d.envPrefix) ? d.envPrefix : d.name.upperAscii().replace('-', '_')) == (has(c.envPrefix) ? c.envPrefix : c.name.upperAscii().replace('-', '_'))))",
        "two calls give the same names to the environment: set envPrefix in one of them",
    ),
    rule(
        "call-itself",
        &["Microservice"],
        "!has(self.spec.calls) || self.spec.calls.all(c, !has(c.name) || has(c.__namespace__) || c.name != self.metadata.name)",
        "a service that calls itself waits for nobody else: remove the entry of calls that has its own name",
    ),
    rule(
        "call-timeout",
        &["calls[].timeout", "retries.perTryTimeout"],
        "self.matches('^([0-9]{1,5}(h|m|s|ms)){1,4}$') && self.matches('[1-9]')",
        "a timeout must be a duration such as 5s or 1500ms, more than 0",
    ),
    rule(
        "call-path",
        &["calls[].paths[]"],
        "self.matches('^/[^?#* [:cntrl:]]*$')",
        "a path is what the paths of the call begin with: it starts with '/' and has no query and no '*', such as /stock/",
    ),
    rule(
        "call-external",
        &["calls[].external"],
        "has(self.host) != has(self.cidr)",
        "external needs exactly one of host and cidr",
    ),
    rule(
        "call-host",
        &["external.host"],
        "self.matches('^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$')",
        "host must be a host name without a scheme, a port or a path, such as api.payments.example",
    ),
    rule(
        "network-peer",
        &["network.gateways[]", "network.monitoring[]", "network.dns[]", "network.infrastructure[].to"],
        "has(self.__namespace__) != has(self.cidr) && (has(self.__namespace__) || !has(self.podSelector))",
        "a peer of the network is pods by namespace and podSelector, or a cidr: use one of the two",
    ),
    rule(
        "call-cidr",
        &["external.cidr", "gateways[].cidr", "monitoring[].cidr", "dns[].cidr", "infrastructure[].to.cidr"],
        "isCIDR(self) && cidr(self) == cidr(self).masked()",
        "cidr must be a range of addresses and begin with its first one, such as 192.0.2.0/24",
    ),
    rule(
        "caller-form",
        &["spec.callers[]"],
        "has(self.name) != (has(self.namespaceSelector) || has(self.podSelector)) && (has(self.name) || !has(self.__namespace__))",
        "a caller is a Microservice by name and namespace, or pods by namespaceSelector and podSelector: use one of the two",
    ),
    rule(
        "caller-name",
        &["spec.callers[].name"],
        "self == '*' || self.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",
        "the name of a caller is that of a Microservice, or '*' for all of the namespace",
    ),
];

const CLASS: &[Rule] = &[
    rule(
        "class-image-prefix",
        &["allowedImagePrefixes[]"],
        "self.matches('^[a-zA-Z0-9][a-zA-Z0-9._/:@-]*$') && !self.contains('://')",
        "an image prefix is the start of an image without a scheme, such as registry.example.com/team/",
    ),
    rule(
        "class-annotation-pattern",
        &["allowedPodAnnotations[]"],
        "self.matches('^[a-zA-Z0-9][a-zA-Z0-9._/-]*[*]?$') && self != '*'",
        "an allowed annotation is a key or a prefix that ends with '*', such as prometheus.io/*",
    ),
    rule(
        "class-namespace",
        &[
            "allowedNamespaces[]",
            "topics[].producers[].namespace",
            "topics[].consumers[].namespace",
            "produces[].namespace",
            "consumes[].namespace",
            "externalTopics[].namespaces[]",
            "strimzi.namespace",
            "calls[].namespace",
            "callers[].namespace",
            "workload.namespace",
            "gateways[].namespace",
            "monitoring[].namespace",
            "dns[].namespace",
            "infrastructure[].to.namespace",
            "network.workloadNamespaces[]",
        ],
        "self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",
        "must be the name of a namespace: at most 63 lower-case letters, digits and '-'",
    ),
];

const CLASS_GRAPH: &[Rule] = &[
    rule(
        "graph-amplification",
        &["graph.limits"],
        "(has(self.amplification) ? self.amplification : 10) <= (has(self.amplificationError) ? self.amplificationError : 27)",
        "amplification (default 10) exceeds amplificationError (default 27): lower it or raise amplificationError",
    ),
    rule(
        "graph-kind",
        &["graph.severities"],
        "self.all(k, k in ['MissingPeer', 'UnknownPort', 'PendingConsent', 'Cycle', 'EventLoop', 'TimeoutInversion', 'TimeoutInversionPossible', 'RetryBudgetUnusable', 'RetryAmplification', 'LongChain', 'AvailabilityCeiling', 'FanInHub', 'SharedTopicOwner', 'SharedDatabase', 'NoTimeout'])",
        "severities has a kind that is not known: use MissingPeer, UnknownPort, PendingConsent, Cycle, EventLoop, TimeoutInversion, TimeoutInversionPossible, RetryBudgetUnusable, RetryAmplification, LongChain, AvailabilityCeiling, FanInHub, SharedTopicOwner, SharedDatabase or NoTimeout",
    ),
];

const CLASS_KAFKA: &[Rule] = &[
    rule(
        "kafka-topic-template",
        &["kafka.topicNameTemplate"],
        "self.matches('^([a-zA-Z0-9._-]*[{]namespace[}][._])?[a-zA-Z0-9._-]*[{]name[}][a-zA-Z0-9._-]*$') && !self.startsWith('__')",
        "topicNameTemplate must contain {name} once, and may have {namespace} before it, followed by '.' or '_', such as {namespace}.{name}",
    ),
    rule(
        "kafka-principal-prefix",
        &["kafka.principalPrefix"],
        "self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",
        "principalPrefix has at most 20 lower-case letters, digits and '-', such as msvc",
    ),
    rule(
        "kafka-allowed-config",
        &["kafka.allowedConfig[]"],
        "self.matches('^[a-z][a-z0-9.]*$') && !(self in ['retention.ms', 'retention.bytes', 'cleanup.policy', 'min.insync.replicas', 'max.message.bytes'])",
        "an allowed key is one of Kafka's topic configuration that has no field of its own, such as compression.type",
    ),
    rule(
        "kafka-default-partitions",
        &["MicroserviceClass.spec.kafka"],
        "!has(self.maxPartitions) || !has(self.defaults) || !has(self.defaults.partitions) || self.defaults.partitions <= self.maxPartitions",
        "defaults.partitions exceeds maxPartitions: lower it or raise maxPartitions",
    ),
    rule(
        "kafka-bootstrap-server",
        &["clusters[].bootstrapServers[]"],
        r"self.matches('^([a-zA-Z0-9]([-a-zA-Z0-9.]*[a-zA-Z0-9])?|\\[[0-9a-fA-F:.]+\\]):[1-9][0-9]{0,4}$')",
        "a bootstrap server is an address without a scheme and with a port, such as kafka-0.example.com:9093",
    ),
    rule(
        "kafka-strimzi",
        &["clusters[]"],
        "has(self.strimzi) == (has(self.mode) && self.mode == 'Strimzi')",
        "mode: Strimzi and strimzi belong together: set both or neither",
    ),
    rule(
        "kafka-users-existing",
        &["clusters[].users"],
        "[has(self.secretNameTemplate), has(self.principalTemplate)].all(given, given == (has(self.mode) && self.mode == 'Existing'))",
        "mode: Existing needs secretNameTemplate and principalTemplate, and no other mode takes them",
    ),
    rule(
        "kafka-users-rotate",
        &["clusters[].users"],
        "!has(self.rotateAfter) || !has(self.mode) || self.mode == 'Managed'",
        "rotateAfter is for users that the operator makes: set mode to Managed, or remove rotateAfter",
    ),
    rule(
        "kafka-users-template",
        &["users.secretNameTemplate"],
        "self.matches('^([-a-z0-9.]|[{]name[}]|[{]namespace[}])+$') && self.contains('{name}')",
        "secretNameTemplate must contain {name}, such as {name}-msk: each service has a Secret of its own",
    ),
    rule(
        "kafka-principal-template",
        &["users.principalTemplate"],
        "self.matches('^User:[^{}*[:cntrl:]]*([{](name|namespace)[}][^{}*[:cntrl:]]*)+$') && self.contains('{name}') && self.contains('{namespace}')",
        "principalTemplate must begin with User: and contain {namespace} and {name}, such as User:{namespace}.{name}: each service is a principal of its own",
    ),
    rule(
        "kafka-principal-separator",
        &["users.principalTemplate"],
        "!self.contains('{name}') || !self.contains('{namespace}') || self.matches('^[^{}]*([{]namespace[}][^{}]*[^-a-z0-9{}][^{}]*[{]name[}]|[{]name[}][^{}]*[^-a-z0-9{}][^{}]*[{]namespace[}])[^{}]*$')",
        "principalTemplate must contain {namespace} and {name} once each, and between them a character that no name has, such as '.' or '_': with User:{namespace}-{name}, a-b/c and a/b-c would be one principal",
    ),
    rule(
        "kafka-users-acls",
        &["clusters[]"],
        "!has(self.users) || !has(self.users.mode) || self.users.mode != 'None' || !has(self.acls) || self.acls == 'None'",
        "ACLs need users: set users.mode to Managed or Existing, or remove acls",
    ),
];
