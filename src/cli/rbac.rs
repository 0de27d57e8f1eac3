//! `rbac`: the rights of the operator, generated from the table of children. Nothing by wildcard, and
//! nothing that is not used.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;

use k8s_openapi::api::core::v1::ServiceAccount;
use k8s_openapi::api::rbac::v1::{
    ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding, RoleRef, Subject,
};
use kube::api::ObjectMeta;

use super::{Error, write_document};
use crate::api::{GROUP, MANAGED_BY};
use crate::plan;

const NAME: &str = "microservice-operator";
const RBAC: &str = "rbac.authorization.k8s.io";

/// What the rights are for.
#[derive(Clone, Debug)]
pub struct Options {
    /// Namespace of the operator.
    pub operator_namespace: String,
    /// Watched namespaces; empty = all.
    pub namespaces: Vec<String>,
    /// Name of the Lease of the leader election.
    pub lease: String,
    /// Namespaces with objects of Strimzi's that classes name.
    pub strimzi: Vec<String>,
}

/// All objects, in the order in which they are applied.
#[derive(Clone, Debug)]
pub struct Rights {
    /// The operator's account.
    pub account: ServiceAccount,
    /// What has no namespace: classes and namespaces; without a list of namespaces, everything.
    pub cluster_role: ClusterRole,
    /// Its binding.
    pub cluster_binding: ClusterRoleBinding,
    /// Roles: for the operator's own namespace, and for each watched one.
    pub roles: Vec<(Role, RoleBinding)>,
}

/// The rights for one kind of installation.
pub fn rights(options: &Options) -> Rights {
    let own = &options.operator_namespace;
    let mut roles = vec![role(own, &format!("{NAME}-own"), own, own_rules(options))];
    let everywhere = options.namespaces.is_empty();
    let mut cluster_rules = cluster_rules(everywhere);
    if everywhere {
        cluster_rules.extend(service_rules());
    } else {
        let namespaces: BTreeSet<_> = options.namespaces.iter().collect();
        roles.extend(namespaces.into_iter().map(|namespace| role(own, NAME, namespace, service_rules())));
    }
    let strimzi: BTreeSet<_> = options.strimzi.iter().collect();
    roles.extend(
        strimzi
            .into_iter()
            .map(|namespace| role(own, &format!("{NAME}-strimzi"), namespace, strimzi_rules())),
    );
    // Several installations with namespaces of their own live side by side.
    let name = if everywhere { NAME.to_owned() } else { format!("{NAME}:{own}") };
    Rights {
        account: ServiceAccount { metadata: meta(NAME, Some(own)), ..ServiceAccount::default() },
        cluster_role: ClusterRole {
            metadata: meta(&name, None),
            rules: Some(cluster_rules),
            aggregation_rule: None,
        },
        cluster_binding: ClusterRoleBinding {
            metadata: meta(&name, None),
            role_ref: reference("ClusterRole", &name),
            subjects: Some(vec![subject(own)]),
        },
        roles,
    }
}

/// Prints the rights as a YAML stream.
///
/// # Errors
/// The output cannot be written.
pub fn print(out: &mut dyn Write, options: &Options) -> Result<(), Error> {
    let rights = rights(options);
    write_document(out, &rights.account)?;
    write_document(out, &rights.cluster_role)?;
    write_document(out, &rights.cluster_binding)?;
    for (role, binding) in &rights.roles {
        write_document(out, role)?;
        write_document(out, binding)?;
    }
    Ok(())
}

/// Rights in each namespace with services.
fn service_rules() -> Vec<PolicyRule> {
    let mut table = Table::default();
    table.grant(GROUP, "microservices", &["list", "watch"]);
    table.grant(GROUP, "microservices/status", &["patch"]);
    // The admission plugin OwnerReferencesPermissionEnforcement asks for it before it lets us set
    // blockOwnerDeletion on a child.
    table.grant(GROUP, "microservices/finalizers", &["update"]);
    for kind in plan::kinds() {
        table.grant(kind.group, kind.plural, &["get", "list", "watch", "create", "patch", "delete"]);
    }
    // Referenced ones; the same kinds are children too, but the right to read does not hang on that.
    table.grant("", "secrets", &["get", "list", "watch"]);
    table.grant("", "configmaps", &["get", "list", "watch"]);
    table.grant("", "pods", &["list", "watch"]);
    // Which Kafka user they still need.
    table.grant("apps", "replicasets", &["list"]);
    // The kubelet says only there why a probe fails.
    table.grant("", "events", &["list"]);
    table.grant("events.k8s.io", "events", &["create", "patch"]);
    table.rules()
}

/// Rights on what has no namespace. Only an operator of the whole cluster speaks for the classes: of
/// several that share them, none could write a status that is true for all.
fn cluster_rules(everywhere: bool) -> Vec<PolicyRule> {
    let mut table = Table::default();
    table.grant(GROUP, "microserviceclasses", &["list", "watch"]);
    if everywhere {
        table.grant(GROUP, "microserviceclasses/status", &["patch"]);
    }
    table.grant("", "namespaces", &["list", "watch"]);
    table.rules()
}

/// Rights in the operator's own namespace. `create` cannot be limited to a name.
fn own_rules(options: &Options) -> Vec<PolicyRule> {
    let rule = |group: &str, resource: &str, verbs: &[&str], name: Option<&String>| PolicyRule {
        resource_names: name.map(|name| vec![name.clone()]),
        ..rule(group, vec![resource.to_owned()], verbs.iter().map(|&verb| verb.to_owned()).collect())
    };
    vec![
        rule("coordination.k8s.io", "leases", &["create"], None),
        rule("coordination.k8s.io", "leases", &["get", "update"], Some(&options.lease)),
        // The key of hashes, and what classes name to reach Kafka clusters with.
        rule("", "secrets", &["create", "get"], None),
        // The ledgers of Kafka topics and users.
        rule("", "configmaps", &["list", "create", "patch"], None),
    ]
}

/// Rights in a namespace with objects of Strimzi's: those, and the passwords that it makes.
fn strimzi_rules() -> Vec<PolicyRule> {
    let mut table = Table::default();
    for resource in ["kafkatopics", "kafkausers"] {
        table.grant("kafka.strimzi.io", resource, &["get", "list", "watch", "create", "patch", "delete"]);
    }
    table.grant("", "secrets", &["get"]);
    table.rules()
}

/// Verbs by group and resource; what is granted twice is granted once.
#[derive(Default)]
struct Table(BTreeMap<(String, String), Vec<String>>);

impl Table {
    fn grant(&mut self, group: &str, resource: &str, verbs: &[&str]) {
        let granted = self.0.entry((group.to_owned(), resource.to_owned())).or_default();
        for verb in verbs {
            if !granted.iter().any(|known| known == verb) {
                granted.push((*verb).to_owned());
            }
        }
    }

    /// One rule per group and set of verbs.
    fn rules(self) -> Vec<PolicyRule> {
        let mut rules: BTreeMap<(String, Vec<String>), Vec<String>> = BTreeMap::new();
        for ((group, resource), verbs) in self.0 {
            rules.entry((group, verbs)).or_default().push(resource);
        }
        rules.into_iter().map(|((group, verbs), resources)| rule(&group, resources, verbs)).collect()
    }
}

fn rule(group: &str, resources: Vec<String>, verbs: Vec<String>) -> PolicyRule {
    PolicyRule {
        api_groups: Some(vec![group.to_owned()]),
        resources: Some(resources),
        verbs,
        ..PolicyRule::default()
    }
}

fn role(own: &str, name: &str, namespace: &str, rules: Vec<PolicyRule>) -> (Role, RoleBinding) {
    // Two operators in different namespaces may serve one namespace each for a while.
    let name = if namespace == own { name.to_owned() } else { format!("{name}:{own}") };
    let role = Role { metadata: meta(&name, Some(namespace)), rules: Some(rules) };
    let binding = RoleBinding {
        metadata: meta(&name, Some(namespace)),
        role_ref: reference("Role", &name),
        subjects: Some(vec![subject(own)]),
    };
    (role, binding)
}

fn reference(kind: &str, name: &str) -> RoleRef {
    RoleRef { api_group: RBAC.to_owned(), kind: kind.to_owned(), name: name.to_owned() }
}

fn subject(own: &str) -> Subject {
    Subject {
        kind: "ServiceAccount".to_owned(),
        name: NAME.to_owned(),
        namespace: Some(own.to_owned()),
        api_group: None,
    }
}

fn meta(name: &str, namespace: Option<&str>) -> ObjectMeta {
    let label = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    ObjectMeta {
        name: Some(name.to_owned()),
        namespace: namespace.map(str::to_owned),
        labels: Some(BTreeMap::from([
            label("app.kubernetes.io/name", NAME),
            label("app.kubernetes.io/managed-by", MANAGED_BY),
        ])),
        ..ObjectMeta::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(namespaces: &[&str]) -> Options {
        Options {
            operator_namespace: "system".to_owned(),
            namespaces: namespaces.iter().map(|&name| name.to_owned()).collect(),
            lease: "the-lease".to_owned(),
            strimzi: Vec::new(),
        }
    }

    fn all_rules(rights: &Rights) -> Vec<PolicyRule> {
        let roles = rights.roles.iter().flat_map(|(role, _)| role.rules.clone().unwrap_or_default());
        rights.cluster_role.rules.clone().unwrap_or_default().into_iter().chain(roles).collect()
    }

    fn verbs(rules: &[PolicyRule], group: &str, resource: &str) -> Vec<String> {
        let has = |list: &Option<Vec<String>>, text: &str| {
            list.as_ref().is_some_and(|l| l.iter().any(|t| t == text))
        };
        let matching =
            rules.iter().filter(|rule| has(&rule.api_groups, group) && has(&rule.resources, resource));
        matching.flat_map(|rule| rule.verbs.clone()).collect()
    }

    #[test]
    fn nothing_by_wildcard_and_no_right_to_give_rights() {
        for rights in [rights(&options(&[])), rights(&options(&["shop", "bank"]))] {
            for rule in all_rules(&rights) {
                let groups = rule.api_groups.clone().unwrap();
                let words = groups.iter().chain(rule.resources.iter().flatten()).chain(&rule.verbs);
                assert!(words.clone().all(|word| !word.contains('*')), "{rule:?}");
                assert!(!groups.contains(&RBAC.to_owned()), "{rule:?}");
                for verb in ["escalate", "bind", "impersonate", "deletecollection"] {
                    assert!(!rule.verbs.iter().any(|granted| granted == verb), "{rule:?}");
                }
            }
        }
    }

    #[test]
    fn every_kind_of_the_plan_is_covered_and_never_by_update() {
        let everywhere = rights(&options(&[])).cluster_role.rules.unwrap();
        let one = rights(&options(&["shop"]));
        let in_namespace = one.roles[1].0.rules.clone().unwrap();
        for kind in plan::kinds() {
            for rules in [&everywhere, &in_namespace] {
                let mut granted = verbs(rules, kind.group, kind.plural);
                granted.sort();
                assert_eq!(granted, ["create", "delete", "get", "list", "patch", "watch"], "{}", kind.plural);
            }
        }
    }

    #[test]
    fn with_namespaces_the_cluster_role_only_reads_classes_and_namespaces() {
        let rights = rights(&options(&["shop", "bank", "shop"]));
        let rules = rights.cluster_role.rules.clone().unwrap();
        for rule in &rules {
            assert_eq!(rule.verbs, ["list", "watch"], "{rule:?}");
        }
        let mut resources: Vec<_> = rules.iter().flat_map(|rule| rule.resources.clone().unwrap()).collect();
        resources.sort();
        assert_eq!(resources, ["microserviceclasses", "namespaces"]);
        let namespaces: Vec<_> =
            rights.roles.iter().map(|(role, _)| role.metadata.namespace.clone().unwrap()).collect();
        assert_eq!(namespaces, ["system", "bank", "shop"]);
    }

    #[test]
    fn the_own_namespace_gives_one_lease_secrets_and_the_ledger() {
        let rights = rights(&options(&["shop"]));
        let rules = rights.roles[0].0.rules.clone().unwrap();
        assert_eq!(verbs(&rules, "", "secrets"), ["create", "get"]);
        assert_eq!(verbs(&rules, "", "configmaps"), ["list", "create", "patch"]);
        let named: Vec<_> = rules.iter().filter_map(|rule| rule.resource_names.clone()).flatten().collect();
        assert_eq!(named, ["the-lease"]);
    }

    #[test]
    fn strimzis_objects_and_secrets_are_read_in_the_named_namespaces_only() {
        let rights = rights(&Options { strimzi: vec!["kafka".to_owned()], ..options(&["shop"]) });
        let (last, others) = rights.roles.split_last().unwrap();
        assert_eq!(last.0.metadata.namespace.as_deref(), Some("kafka"));
        let rules = last.0.rules.clone().unwrap();
        assert_eq!(verbs(&rules, "", "secrets"), ["get"]);
        assert_eq!(verbs(&rules, "kafka.strimzi.io", "kafkausers").len(), 6);
        let others: Vec<_> = others.iter().flat_map(|(role, _)| role.rules.clone().unwrap()).collect();
        assert!(verbs(&others, "kafka.strimzi.io", "kafkatopics").is_empty());
    }

    #[test]
    fn each_binding_binds_its_role_to_the_account() {
        for rights in [rights(&options(&[])), rights(&options(&["system", "shop"]))] {
            let account = rights.account.metadata.name.as_ref().unwrap();
            let bindings = rights
                .roles
                .iter()
                .map(|(role, binding)| (&role.metadata, &binding.role_ref, &binding.subjects));
            let cluster = &rights.cluster_binding;
            let cluster = (&rights.cluster_role.metadata, &cluster.role_ref, &cluster.subjects);
            let mut seen = BTreeSet::new();
            for (metadata, reference, subjects) in bindings.chain([cluster]) {
                assert_eq!(metadata.name.as_ref(), Some(&reference.name));
                assert!(
                    seen.insert((metadata.namespace.clone(), metadata.name.clone())),
                    "{metadata:?} twice"
                );
                let subject = &subjects.as_ref().unwrap()[0];
                assert_eq!((&subject.name, subject.namespace.as_deref()), (account, Some("system")));
            }
        }
    }

    #[test]
    fn the_output_is_a_yaml_stream() {
        let mut out = Vec::new();
        print(&mut out, &options(&["shop"])).unwrap();
        let kinds: Vec<String> = serde_yaml::Deserializer::from_slice(&out)
            .map(|document| {
                let value: serde_json::Value = serde::Deserialize::deserialize(document).unwrap();
                value["kind"].as_str().unwrap().to_owned()
            })
            .collect();
        let expected = [
            "ServiceAccount",
            "ClusterRole",
            "ClusterRoleBinding",
            "Role",
            "RoleBinding",
            "Role",
            "RoleBinding",
        ];
        assert_eq!(kinds, expected);
    }
}
