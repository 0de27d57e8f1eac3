//! The conditions of both kinds, with what they tell.

/// Conditions of a Microservice with what `True` means, in the order of the status.
pub const MICROSERVICE: [(&str, &str); 11] = [
    ("Ready", "All is as described and the service serves. The one to wait for."),
    ("Reconciling", "Work for this generation is under way; absent when nothing is."),
    ("Stalled", "It does not go on without a person; absent otherwise."),
    ("Accepted", "The spec is valid, within the guard rails, and its class is found."),
    ("Applied", "Every child is stored as planned."),
    ("Available", "The pods of the current template serve."),
    ("SecretsReady", "Every Secret and ConfigMap that is referenced is there; absent without references."),
    ("TopicsReady", "Every own topic is on the cluster as described; absent without topics."),
    ("KafkaAccessReady", "The service has its login and all its rights on the cluster; absent without any."),
    (
        "DependenciesReady",
        "Every service that is called is there, allows it, and serves; absent without calls.",
    ),
    ("ScalingReady", "The number of pods follows the lag of topics; absent where it should not."),
];

/// Conditions of a MicroserviceClass with what `True` means.
pub const CLASS: [(&str, &str); 3] = [
    ("Accepted", "The class is valid: services can use it."),
    ("Default", "Services that name no class, in namespaces that name none, get this one."),
    ("Stalled", "It is not valid, which a person has to put right; absent otherwise."),
];
