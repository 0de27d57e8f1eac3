//! Topics, groups and users with their names on the cluster, and the variables that the pods read.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{EnvVar, EnvVarSource, SecretKeySelector};

use super::Inputs;
use crate::api::kafka::class::{Acls, ClassKafka, Cluster, Mechanism, Mode, UsersMode};
use crate::api::kafka::{Consumes, Kafka, Peer, Topic};
use crate::api::{Microservice, MicroserviceClass};
use crate::intent::duration;
use crate::intent::kafka::{
    ClusterIntent, Consent, ConsumeIntent, KafkaIntent, ModeIntent, TopicIntent, TopicReference, UsersIntent,
};
use crate::kafka::names::{self, Slot, Template};

/// The word for "no bound", and Kafka's number for it.
const INFINITE: (&str, i64) = ("Infinite", -1);

/// `None` without `spec.kafka`, or when the class has no such cluster or no usable template, which
/// [`crate::intent::rules`] reports.
pub(super) fn kafka(inputs: &Inputs<'_>) -> Option<Box<KafkaIntent>> {
    let (spec, class) = (inputs.spec.kafka.as_deref()?, inputs.kafka?);
    let template = Template::parse(&class.topic_name_template)?;
    let cluster = cluster(spec, class)?;
    let namespace = inputs.namespace();
    let reference = |topic: &str, owner: Option<&str>, external: bool| TopicReference {
        name: topic.to_owned(),
        owner: (!external).then(|| owner.unwrap_or(namespace).to_owned()),
        physical_name: if external {
            topic.to_owned()
        } else {
            template.topic(owner.unwrap_or(namespace), topic)
        },
    };
    let produces = spec.produces.iter().flatten();
    let consumes = spec.consumes.iter().flatten().map(|consumed| ConsumeIntent {
        topic: reference(&consumed.topic, consumed.namespace.as_deref(), consumed.external),
        group: names::group(namespace, group(inputs, consumed)),
    });
    Some(Box::new(KafkaIntent {
        cluster: cluster_intent(namespace, inputs.name(), class, cluster),
        topics: spec.topics.iter().flatten().map(|given| topic(inputs, given, &template, class)).collect(),
        produces: produces
            .map(|produced| reference(&produced.topic, produced.namespace.as_deref(), produced.external))
            .collect(),
        consumes: consumes.collect(),
        application_id: spec.streams.as_ref().map(|streams| names::group(namespace, &streams.application_id)),
    }))
}

/// The cluster that the service names, else the class's only one.
pub(in crate::intent) fn cluster<'a>(spec: &Kafka, class: &'a ClassKafka) -> Option<&'a Cluster> {
    match (&spec.cluster, class.clusters.as_slice()) {
        (Some(name), clusters) => clusters.iter().find(|cluster| cluster.name == *name),
        (None, [only]) => Some(only),
        (None, _) => None,
    }
}

fn group<'a>(inputs: &'a Inputs<'_>, consumed: &'a Consumes) -> &'a str {
    consumed.group.as_deref().unwrap_or_else(|| inputs.name())
}

/// The cluster that an object uses, whatever else is wrong with it.
pub(in crate::intent) fn cluster_of(
    object: &Microservice,
    class: &MicroserviceClass,
) -> Option<ClusterIntent> {
    let (spec, class) = (object.spec.kafka.as_deref()?, class.spec.kafka.as_ref()?);
    let namespace = object.metadata.namespace.as_deref().unwrap_or("default");
    let name = object.metadata.name.as_deref().unwrap_or_default();
    Some(cluster_intent(namespace, name, class, cluster(spec, class)?))
}

fn cluster_intent(namespace: &str, name: &str, class: &ClassKafka, cluster: &Cluster) -> ClusterIntent {
    let users = users(namespace, name, class, cluster);
    let security_protocol = match (cluster.tls.is_some(), users == UsersIntent::None) {
        (true, true) => "SSL",
        (true, false) => "SASL_SSL",
        (false, true) => "PLAINTEXT",
        (false, false) => "SASL_PLAINTEXT",
    };
    let mode = match (cluster.mode.unwrap_or_default(), &cluster.strimzi) {
        (Mode::Strimzi, Some(strimzi)) => ModeIntent::Strimzi {
            guarded: cluster.is_login_given(),
            namespace: strimzi.namespace.clone(),
            cluster: strimzi.cluster.clone(),
        },
        _ => ModeIntent::Direct,
    };
    ClusterIntent {
        name: cluster.name.clone(),
        bootstrap_servers: cluster.bootstrap_servers.clone(),
        security_protocol,
        mode,
        acls: users != UsersIntent::None && cluster.acls.unwrap_or_default() == Acls::Managed,
        users,
    }
}

fn users(namespace: &str, name: &str, class: &ClassKafka, cluster: &Cluster) -> UsersIntent {
    let given = cluster.users.clone().unwrap_or_default();
    let fill = |template: Option<String>| names::fill(&template.unwrap_or_default(), namespace, name);
    match given.mode.unwrap_or_default() {
        UsersMode::Managed => {
            let prefix = class.principal_prefix.as_deref().unwrap_or(names::DEFAULT_PREFIX);
            UsersIntent::Managed {
                users: [Slot::A, Slot::B].map(|slot| names::principal(prefix, namespace, name, slot)),
                secret: names::secret(name),
                rotate_after: given.rotate_after.as_deref().and_then(seconds),
            }
        }
        UsersMode::Existing => UsersIntent::Existing {
            principal: fill(given.principal_template),
            secret: fill(given.secret_name_template),
            mechanism: cluster.sasl.as_ref().map_or(Mechanism::ScramSha512, |sasl| sasl.mechanism).as_str(),
        },
        UsersMode::None => UsersIntent::None,
    }
}

fn seconds(text: &str) -> Option<i64> {
    i64::try_from(duration::parse(text)?.as_secs()).ok()
}

fn topic(inputs: &Inputs<'_>, given: &Topic, template: &Template<'_>, class: &ClassKafka) -> TopicIntent {
    let (namespace, defaults) = (inputs.namespace(), class.defaults.as_ref());
    let consent = |peers: Option<&Vec<Peer>>| {
        Consent::of(
            peers.map(|peers| peers.iter().map(|peer| (peer.namespace.as_ref(), &peer.name))),
            namespace,
            &inputs.unsaid,
        )
    };
    TopicIntent {
        name: given.name.clone(),
        physical_name: template.topic(namespace, &given.name),
        partitions: given.partitions,
        initial_partitions: given.partitions.or_else(|| defaults?.partitions),
        replication_factor: given.replication_factor,
        initial_replication_factor: given.replication_factor.or_else(|| defaults?.replication_factor),
        config: config(given),
        deletion_policy: given.deletion_policy.unwrap_or_default(),
        management_policy: given.management_policy.unwrap_or_default(),
        producers: consent(given.producers.as_ref()),
        consumers: consent(given.consumers.as_ref()),
    }
}

/// Raw keys and typed fields; a typed field wins, though rules let no key be given twice.
fn config(topic: &Topic) -> BTreeMap<String, String> {
    let typed = [
        ("retention.ms", topic.retention.as_deref().and_then(milliseconds).map(|n| n.to_string())),
        ("retention.bytes", topic.retention_bytes.as_deref().and_then(bytes).map(|n| n.to_string())),
        ("cleanup.policy", topic.cleanup_policy.map(|policy| policy.as_kafka().to_owned())),
        ("min.insync.replicas", topic.min_insync_replicas.map(|n| n.to_string())),
        ("max.message.bytes", topic.max_message_bytes.map(|n| n.to_string())),
    ];
    let mut config = topic.config.clone().unwrap_or_default();
    config.extend(typed.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))));
    config
}

/// Value of `retention.ms`; `None` when the text is neither a duration of more than 0 nor Infinite.
pub(in crate::intent) fn milliseconds(text: &str) -> Option<i64> {
    if text == INFINITE.0 {
        return Some(INFINITE.1);
    }
    let milliseconds = duration::parse(text)?.as_millis();
    i64::try_from(milliseconds).ok().filter(|n| *n > 0)
}

/// Value of `retention.bytes`; `None` when the text is neither a size of more than 0 nor Infinite.
pub(in crate::intent) fn bytes(text: &str) -> Option<i64> {
    if text == INFINITE.0 {
        return Some(INFINITE.1);
    }
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits)?;
    let shift = match unit {
        "" => 0,
        "Ki" => 10,
        "Mi" => 20,
        "Gi" => 30,
        "Ti" => 40,
        _ => return None,
    };
    let number: i64 = number.parse().ok()?;
    number.checked_mul(1_i64.checked_shl(shift)?).filter(|n| *n > 0)
}

/// Names of the variables that the service sets itself; ours step back.
pub(in crate::intent) fn own_variables<'a>(inputs: &Inputs<'a>) -> BTreeSet<&'a str> {
    let spec = inputs.spec;
    let env = spec.env.iter().flatten().map(|entry| entry.name.as_str());
    let secrets = spec.secrets.iter().flatten().flat_map(|secret| secret.env.iter().flatten());
    let config = spec.config.iter().flat_map(BTreeMap::keys).map(String::as_str);
    env.chain(secrets.map(|entry| entry.name.as_str())).chain(config).collect()
}

/// Variables of the pods, in an order that does not depend on that of the spec: moving a line rolls no
/// pod.
pub(super) fn env(inputs: &Inputs<'_>, kafka: &KafkaIntent) -> Vec<EnvVar> {
    let own = own_variables(inputs);
    let servers = kafka.cluster.bootstrap_servers.join(",");
    let mut plain: BTreeMap<String, String> =
        topic_variables(kafka).map(|(_, name, value)| (name, value.to_owned())).collect();
    plain.extend(group_variables(kafka).into_iter().map(|(name, value)| (name, value.to_owned())));
    let application = kafka.application_id.as_ref();
    plain.extend(application.map(|id| ("KAFKA_STREAMS_APPLICATION_ID".to_owned(), id.clone())));
    plain.insert("KAFKA_BOOTSTRAP_SERVERS".to_owned(), servers.clone());
    plain.insert("KAFKA_BROKERS".to_owned(), servers);
    let plain = plain.into_iter().map(|(name, value)| variable(&name, &value));
    let all = plain.chain(login(&kafka.cluster));
    all.filter(|entry| !own.contains(entry.name.as_str())).collect()
}

/// Each topic with the list it is in, its variable and its name on the cluster.
pub(in crate::intent) fn topic_variables(
    kafka: &KafkaIntent,
) -> impl Iterator<Item = ((&'static str, usize), String, &str)> {
    let own = kafka.topics.iter().enumerate();
    let own = own.map(|(i, topic)| (("topics", i), topic.name.as_str(), topic.physical_name.as_str()));
    let produced = kafka.produces.iter().enumerate().map(|(i, topic)| (("produces", i), topic));
    let consumed = kafka.consumes.iter().enumerate().map(|(i, read)| (("consumes", i), &read.topic));
    let used = produced.chain(consumed);
    own.chain(used.map(|(at, topic)| (at, topic.name.as_str(), topic.physical_name.as_str())))
        .map(|(at, name, physical)| (at, names::topic_variable(name), physical))
}

/// One variable for one group, else one for each topic.
pub(in crate::intent) fn group_variables(kafka: &KafkaIntent) -> Vec<(String, &str)> {
    match kafka.groups().into_iter().collect::<Vec<_>>().as_slice() {
        [] => Vec::new(),
        [only] => vec![("KAFKA_GROUP_ID".to_owned(), *only)],
        _ => {
            let consumed = kafka.consumes.iter();
            consumed.map(|read| (names::group_variable(&read.topic.name), read.group.as_str())).collect()
        }
    }
}

/// How to log in; a password is only ever named.
fn login(cluster: &ClusterIntent) -> Vec<EnvVar> {
    let protocol = || variable("KAFKA_SECURITY_PROTOCOL", cluster.security_protocol);
    match &cluster.users {
        UsersIntent::Managed { secret, .. } => [
            ("KAFKA_SECURITY_PROTOCOL", "security.protocol"),
            ("KAFKA_SASL_MECHANISM", "sasl.mechanism"),
            ("KAFKA_SASL_USERNAME", "username"),
            ("KAFKA_SASL_PASSWORD", "password"),
            ("KAFKA_SASL_JAAS_CONFIG", "sasl.jaas.config"),
        ]
        .map(|(name, key)| secret_variable(name, secret, key))
        .into(),
        UsersIntent::Existing { secret, mechanism, .. } => vec![
            protocol(),
            variable("KAFKA_SASL_MECHANISM", mechanism),
            secret_variable("KAFKA_SASL_USERNAME", secret, "username"),
            secret_variable("KAFKA_SASL_PASSWORD", secret, "password"),
        ],
        UsersIntent::None => vec![protocol()],
    }
}

fn variable(name: &str, value: &str) -> EnvVar {
    EnvVar { name: name.to_owned(), value: Some(value.to_owned()), value_from: None }
}

fn secret_variable(name: &str, secret: &str, key: &str) -> EnvVar {
    let from = SecretKeySelector { name: secret.to_owned(), key: key.to_owned(), optional: None };
    let value_from = EnvVarSource { secret_key_ref: Some(from), ..EnvVarSource::default() };
    EnvVar { name: name.to_owned(), value: None, value_from: Some(value_from) }
}
