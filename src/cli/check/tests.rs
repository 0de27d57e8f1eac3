//! What is found, where it is said to stand, and what is not found.

use super::*;
use crate::cli::Settings;

fn examined(text: &str) -> Examined {
    let mut inputs = Inputs::new(Settings { namespace: "shop".to_owned(), ..Settings::default() });
    inputs.add("shop.yaml", text);
    examine(&inputs)
}

fn check(text: &str) -> Vec<Finding> {
    examined(text).findings
}

fn lines(text: &str) -> Vec<String> {
    check(text).iter().map(Finding::to_string).collect()
}

fn service(spec: &str) -> String {
    named("orders", spec)
}

fn named(name: &str, spec: &str) -> String {
    format!(
        "---\napiVersion: microservice.dev/v1alpha1\nkind: Microservice\nmetadata: {{name: {name}, namespace: shop}}\n\
         spec:\n  image: 'registry.example.com/orders:1'\n{spec}\n"
    )
}

const CLASS: &str = "---
apiVersion: microservice.dev/v1alpha1
kind: MicroserviceClass
metadata: {name: team, annotations: {microservice.dev/is-default-class: 'true'}}
spec:
  kafka:
    topicNameTemplate: '{namespace}.{name}'
    clusters:
    - name: main
      bootstrapServers: ['kafka.example.com:9092']
      users: {mode: None}
";

#[test]
fn a_minimal_object_and_foreign_kinds_pass() {
    assert_eq!(check(&service("")), []);
    assert_eq!(check("apiVersion: v1\nkind: Pod\nmetadata: {name: a}\n"), []);
    assert_eq!(examined(&format!("{}---\nkind: Pod\napiVersion: v1\n", service(""))).objects, 1);
}

#[test]
fn findings_name_the_place_the_field_and_the_reason() {
    let text = format!("{}{}", named("other", ""), service("  replicas: -1\n  port: 0"));
    assert_eq!(
        lines(&text),
        [
            "shop.yaml:14:3: spec.replicas: Invalid value: should be greater than or equal to 0 [InvalidSpec]",
            "shop.yaml:15:3: spec.port: Invalid value: should be greater than or equal to 1 [InvalidSpec]",
        ]
    );
}

#[test]
fn what_is_missing_is_said_at_what_is_around_it() {
    let found = check(
        "apiVersion: microservice.dev/v1alpha1\nkind: Microservice\nmetadata: {name: a}\nspec: {port: 1}\n",
    );
    assert_eq!((found.len(), found[0].field.as_str(), found[0].at.line), (1, "spec.image", 4), "{found:?}");
}

#[test]
fn words_that_kubectl_reads_as_something_else_are_found() {
    let found = check(&service("  env:\n  - name: DEBUG\n    value: yes"));
    assert_eq!(
        (found.len(), found[0].field.as_str(), found[0].at.line),
        (1, "spec.env[0].value", 9),
        "{found:?}"
    );
}

#[test]
fn a_class_that_is_named_must_be_among_the_files() {
    let class = "---\napiVersion: microservice.dev/v1alpha1\nkind: MicroserviceClass\nmetadata: {name: team}\nspec: {}\n";
    let object = service("  className: team");
    assert_eq!(check(&format!("{object}{class}")), []);
    let found = check(&object);
    assert_eq!((found.len(), found[0].field.as_str()), (1, "spec.className"), "{found:?}");
    assert_eq!((found[0].rule, found[0].at.line), (Rule::Reason(Reason::ClassNotFound), 7));
}

#[test]
fn a_typing_error_in_the_kind_is_found() {
    let head = "apiVersion: microservice.dev/v1alpha1\n";
    assert_eq!(check(&format!("{head}kind: Microservices\nmetadata: {{name: a}}\n")).len(), 1);
    assert_eq!(check("kind: Microservice\nmetadata: {name: a}\n").len(), 1);
    assert_eq!(check(&format!("{head}metadata: {{name: a}}\n")).len(), 1);
    // Values of a chart, for example.
    assert_eq!(check("replicas: 3\n"), []);
}

#[test]
fn the_same_object_twice_is_found() {
    let found = check(&format!("{0}{0}", service("")));
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!((found[0].at.line, found[0].field.as_str()), (11, "metadata.name"));
    // The one of the command line is the same namespace.
    let silent = service("").replace(", namespace: shop", "");
    assert_eq!(check(&format!("{}{silent}", service(""))).len(), 1);
}

#[test]
fn an_owner_among_the_files_must_consent() {
    let owner =
        |lists: &str| named("billing", &format!("  kafka:\n    topics:\n    - name: invoices\n{lists}"));
    let user = service("  kafka:\n    consumes:\n    - topic: invoices");
    // Nobody is named: the own namespace may.
    assert_eq!(lines(&format!("{CLASS}{}{user}", owner(""))), [""; 0]);
    let other = owner("      consumers: [{name: reports}]");
    let found = check(&format!("{CLASS}{other}{user}"));
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(
        (found[0].rule, found[0].field.as_str()),
        (Rule::Reason(Reason::PendingConsent), "spec.kafka.consumes[0].topic")
    );
    assert!(
        found[0]
            .message
            .contains("{name: orders, namespace: shop} to its consumers in Microservice shop/billing")
    );
    let both = owner("      consumers: [{name: reports}, {name: orders}]");
    assert_eq!(lines(&format!("{CLASS}{both}{user}")), [""; 0]);
    // Its owner may be in the cluster.
    assert_eq!(lines(&format!("{CLASS}{user}")), [""; 0]);
}

#[test]
fn producers_need_the_consent_of_producers() {
    let owner = named(
        "billing",
        "  kafka:\n    topics:\n    - {name: invoices, consumers: [{name: orders}], producers: []}",
    );
    let user = service("  kafka: {produces: [{topic: invoices}]}");
    let found = check(&format!("{CLASS}{owner}{user}"));
    assert_eq!((found.len(), found[0].field.as_str()), (1, "spec.kafka.produces[0].topic"), "{found:?}");
}

#[test]
fn a_topic_has_one_owner() {
    let topics = "  kafka:\n    topics:\n    - name: invoices";
    let found = check(&format!("{CLASS}{}{}", named("billing", topics), named("orders", topics)));
    assert_eq!((found.len(), found[0].rule), (1, Rule::Reason(Reason::TopicConflict)), "{found:?}");
    assert_eq!((found[0].field.as_str(), found[0].at.line), ("spec.kafka.topics[0].name", 29));
    let observed = format!("{topics}\n      managementPolicy: Observe");
    assert_eq!(lines(&format!("{CLASS}{}{}", named("billing", topics), named("orders", &observed))), [""; 0]);
}

#[test]
fn keys_of_given_secrets_must_exist() {
    let object = service(
        "  env:\n  - name: URL\n    valueFrom: {secretKeyRef: {name: db, key: url}}\n  secrets:\n  - name: db\n    \
         env:\n    - {name: PASSWORD, key: password}",
    );
    let secret = |data: &str| {
        format!("---\napiVersion: v1\nkind: Secret\nmetadata: {{name: db}}\nstringData: {data}\n")
    };
    assert_eq!(check(&object), []);
    assert_eq!(check(&format!("{object}{}", secret("{url: x, password: y}"))), []);
    let found = check(&format!("{object}{}", secret("{}")));
    let places: Vec<_> = found.iter().map(|f| (f.rule, f.field.as_str(), f.at.line)).collect();
    let expected = [
        (Rule::Reason(Reason::WaitingForSecret), "spec.env[0].valueFrom.secretKeyRef.key", 9),
        (Rule::Reason(Reason::WaitingForSecret), "spec.secrets[0].env[0].key", 13),
    ];
    assert_eq!(places, expected, "{found:?}");
    let elsewhere = secret("{}").replace("name: db", "name: db, namespace: other");
    assert_eq!(check(&format!("{object}{elsewhere}")), []);
}

#[test]
fn findings_are_printed_for_scripts() {
    let text = service("  replicas: -1");
    let printed = |format| {
        let mut out = Vec::new();
        print(&mut out, &examined(&text), format).unwrap();
        serde_json::from_slice::<Value>(&out).unwrap()
    };
    let json = printed(Format::Json);
    assert_eq!((json["objects"].as_u64(), json["findings"][0]["line"].as_u64()), (Some(1), Some(7)));
    assert_eq!(json["findings"][0]["reason"], "InvalidSpec");
    let sarif = printed(Format::Sarif);
    let run = &sarif["runs"][0];
    assert_eq!((sarif["version"].as_str(), run["results"].as_array().unwrap().len()), (Some("2.1.0"), 1));
    let result = &run["results"][0];
    assert_eq!(result["ruleIndex"], 0);
    let rule = &run["tool"]["driver"]["rules"][0];
    assert_eq!(
        (&rule["id"], &rule["shortDescription"]["text"]),
        (&result["ruleId"], &"The spec breaks a rule.".into())
    );
    let region = &result["locations"][0]["physicalLocation"]["region"];
    assert_eq!((region["startLine"].as_u64(), region["startColumn"].as_u64()), (Some(7), Some(3)));
}

#[test]
fn a_text_that_is_not_yaml_is_a_finding_and_the_other_files_are_checked_all_the_same() {
    let mut inputs = Inputs::new(Settings { namespace: "shop".to_owned(), ..Settings::default() });
    inputs.add("a.yaml", &service("  replicaCount: 1"));
    inputs.add("b.yaml", "a: 1\nb: [\n");
    inputs.add("c.yaml", &named("billing", "  replicas: -1"));
    let examined = examine(&inputs);
    let told: Vec<String> = examined.findings.iter().map(Finding::to_string).collect();
    assert_eq!(told.len(), 3, "{told:#?}");
    assert!(told[0].starts_with("a.yaml:") && told[2].starts_with("c.yaml:"), "{told:#?}");
    let place = "b.yaml:2:4: object: not a Kubernetes object in YAML: ";
    assert!(told[1].starts_with(place) && told[1].ends_with(" [InvalidSpec]"), "{told:#?}");
}

fn reviewed(text: &str) -> Examined {
    let mut inputs = Inputs::new(Settings { namespace: "shop".to_owned(), ..Settings::default() });
    inputs.add("shop.yaml", text);
    review(&inputs)
}

#[test]
fn what_the_services_are_together_is_told_at_the_line_of_the_edge() {
    let order = service("  calls:\n  - {name: gone, timeout: 1s}\n  - {name: stock, timeout: 1s}");
    let stock = named("stock", "  callers: [{name: cart}]\n  calls:\n  - name: bank\n    timeout: 2s");
    let text = format!("{order}{stock}{}", named("bank", ""));
    assert_eq!(lines(&text), [""; 0], "a look at each alone finds nothing");
    let found = reviewed(&text).findings;
    let told: Vec<_> = found.iter().map(|one| (one.rule.as_str(), one.field.as_str(), one.at.line)).collect();
    // Nothing is said of the service that is not given.
    assert_eq!(
        told,
        [
            ("AvailabilityCeiling", "spec.calls", 7),
            ("PendingConsent", "spec.calls[1]", 9),
            ("TimeoutInversion", "spec.calls[1]", 9),
        ]
    );
    assert!(found[2].to_string().starts_with(
        "shop.yaml:9:5: spec.calls[1]: shop/orders waits 1s for shop/stock, which itself may wait 2s for shop/bank. The"
    ));
    assert!(found[0].to_string().starts_with("shop.yaml:7:3: spec.calls: warning: shop/orders is held to"));
}

#[test]
fn the_class_says_how_bad_it_is() {
    let class = "---\napiVersion: microservice.dev/v1alpha1\nkind: MicroserviceClass\nmetadata: {name: strict}\n\
                 spec: {graph: {severities: {NoTimeout: Error, AvailabilityCeiling: \"Off\"}}}\n";
    let of = |class_name: &str| service(&format!("{class_name}  calls: [{{name: a}}, {{name: b}}]"));
    let all = |own: String| reviewed(&format!("{class}{own}{}{}", named("a", ""), named("b", "")));
    let told = |examined: &Examined| -> Vec<String> {
        let told = |one: &Finding| format!("{} {}", one.severity, one.rule.as_str());
        examined.findings.iter().map(told).collect()
    };
    let usual = all(of(""));
    assert_eq!(told(&usual), ["warning AvailabilityCeiling", "info NoTimeout", "info NoTimeout"]);
    assert_eq!(usual.worst(), Some(Severity::Warning));
    let strict = all(of("  className: strict\n"));
    assert_eq!(told(&strict), ["error NoTimeout", "error NoTimeout"]);
    let mut out = Vec::new();
    print(&mut out, &usual, Format::Sarif).unwrap();
    let run = &serde_json::from_slice::<Value>(&out).unwrap()["runs"][0];
    let levels: Vec<&Value> = run["results"].as_array().unwrap().iter().map(|one| &one["level"]).collect();
    assert_eq!(levels, ["warning", "note", "note"]);
    assert_eq!(run["tool"]["driver"]["rules"][0]["defaultConfiguration"]["level"], "warning");
}

#[test]
fn the_class_of_the_callee_and_of_the_owner_may_want_consent_in_writing() {
    let class = CLASS.replace("spec:\n", "spec:\n  sameNamespaceConsent: Explicit\n");
    let billing = |lists: &str, callers: &str| {
        named("billing", &format!("{callers}  kafka:\n    topics:\n    - name: invoices\n{lists}"))
    };
    let user = service(
        "  calls: [{name: billing, timeout: 1s}]\n  kafka:\n    produces: [{topic: invoices}]\n    consumes:\n    - topic: invoices",
    );
    let fields = |class: &str, lists: &str, callers: &str| -> Vec<String> {
        let found = reviewed(&format!("{class}{}{user}", billing(lists, callers))).findings;
        let pending = |one: &&Finding| one.rule == Rule::Reason(Reason::PendingConsent);
        found.iter().filter(pending).map(|one| one.field.clone()).collect()
    };
    assert_eq!(fields(CLASS, "", ""), [""; 0]);
    let all = ["spec.calls[0]", "spec.kafka.produces[0].topic", "spec.kafka.consumes[0].topic"];
    assert_eq!(fields(&class, "", ""), all);
    let lists = "      producers: [{name: orders}]\n      consumers: [{name: '*'}]\n";
    assert_eq!(fields(&class, lists, "  callers: [{name: orders}]\n"), [""; 0]);
}
