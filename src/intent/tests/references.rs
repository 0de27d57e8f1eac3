//! What the pods read, what they wait for, and the digest of it.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::ByteString;

use super::*;
use crate::intent::references::{Wanted, references};
use crate::intent::{GeneratedValues, MissingReference, ReferenceKey, ReferenceKind, ReferenceState};

fn key(kind: ReferenceKind, name: &str) -> ReferenceKey {
    ReferenceKey { kind, name: name.to_owned() }
}

fn texts(texts: &[&str]) -> BTreeSet<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

/// Every way to read a Secret or ConfigMap, and some that read none.
fn all() -> Value {
    json!({
        "imagePullSecrets": [{"name": "registry"}],
        "env": [
            {"name": "A", "valueFrom": {"secretKeyRef": {"name": "env-secret", "key": "a"}}},
            {"name": "B", "valueFrom": {"secretKeyRef": {"name": "env-secret", "key": "b", "optional": true}}},
            {"name": "C", "valueFrom": {"configMapKeyRef": {"name": "env-map", "key": "c", "optional": true}}},
            {"name": "D", "value": "plain"},
        ],
        "envFrom": [{"secretRef": {"name": "from-secret"}}, {"configMapRef": {"name": "from-map", "optional": true}}],
        "config": {"OWN": "1"},
        "files": [
            {"mountPath": "/a", "configMap": {"name": "file-map", "items": [{"key": "x", "path": "x"}]}},
            {"mountPath": "/b", "secret": {"secretName": "file-secret", "optional": true}},
            {"mountPath": "/c", "projected": {"sources": [
                {"secret": {"name": "projected-secret", "items": [{"key": "y", "path": "y"}]}},
                {"configMap": {"name": "projected-map"}}]}},
            {"mountPath": "/d", "config": {"inline": "1"}},
        ],
        "secrets": [
            {"name": "db", "env": [{"name": "DATABASE_URL", "key": "url"}]},
            {"name": "tls", "mountPath": "/tls", "optional": true},
            {"name": "made", "generate": [{"key": "token"}], "env": [{"name": "TOKEN", "key": "token"}]},
            {"name": "only-named"},
        ],
        "initContainers": [{"name": "i", "image": "i:1", "env": [
            {"name": "X", "valueFrom": {"secretKeyRef": {"name": "init-secret", "key": "k"}}}]}],
        "sidecars": [{"name": "s", "image": "s:1", "env": [
            {"name": "X", "valueFrom": {"configMapKeyRef": {"name": "side-map", "key": "k"}}},
            {"name": "Y", "valueFrom": {"secretKeyRef": {"name": "made", "key": "token"}}}]}],
    })
}

#[test]
fn every_reference_is_found_with_its_keys() {
    use ReferenceKind::{ConfigMap, Secret};
    let keys = |required: &[&str], optional: &[&str]| Wanted {
        required: texts(required),
        optional: texts(optional),
        whole: false,
        must_exist: !required.is_empty(),
    };
    let whole = |must_exist| Wanted { whole: true, must_exist, ..Wanted::default() };
    let expected = BTreeMap::from([
        (key(Secret, "env-secret"), keys(&["a"], &["b"])),
        (key(ConfigMap, "env-map"), keys(&[], &["c"])),
        (key(Secret, "from-secret"), whole(true)),
        (key(ConfigMap, "from-map"), whole(false)),
        (key(ConfigMap, "file-map"), keys(&["x"], &[])),
        (key(Secret, "file-secret"), whole(false)),
        (key(Secret, "projected-secret"), keys(&["y"], &[])),
        (key(ConfigMap, "projected-map"), whole(true)),
        (key(Secret, "db"), keys(&["url"], &[])),
        (key(Secret, "tls"), whole(false)),
        (key(Secret, "only-named"), whole(true)),
        (key(Secret, "init-secret"), keys(&["k"], &[])),
        (key(ConfigMap, "side-map"), keys(&["k"], &[])),
    ]);
    assert_eq!(references(&service(&all()).spec), expected);
}

#[test]
fn a_name_that_no_object_has_is_never_handed_out() {
    for name in ["../../kube-system/secrets/x", "ns/name", "a%2fb", "", "a\n", "A"] {
        let fields = json!({"secrets": [{"name": name}], "envFrom": [{"configMapRef": {"name": name}}]});
        assert!(references(&service(&fields).spec).is_empty(), "{name:?}");
        let found = refused(&fields, None);
        assert_eq!(
            reasons(&found),
            [
                (Reason::InvalidSpec, "spec.envFrom[0].configMapRef.name"),
                (Reason::InvalidSpec, "spec.secrets[0].name")
            ]
        );
    }
}

fn resolve_with(observed: &Observed) -> Intent {
    Intent::resolve(&service(&all()), None, observed).unwrap()
}

fn observed(references: &[(ReferenceKind, &str, ReferenceState)]) -> Observed {
    let references = references.iter().map(|(kind, name, state)| (key(*kind, name), state.clone())).collect();
    Observed { references, ..Observed::default() }
}

fn known(hash: &str) -> ReferenceState {
    ReferenceState::Known { hash: hash.to_owned() }
}

#[test]
fn what_the_pods_wait_for() {
    use ReferenceKind::{ConfigMap, Secret};
    let intent = resolve_with(&observed(&[
        (ConfigMap, "env-map", ReferenceState::Missing),
        (ConfigMap, "file-map", ReferenceState::MissingKeys(texts(&["x"]))),
        (Secret, "env-secret", ReferenceState::MissingKeys(texts(&["b"]))),
        (Secret, "db", ReferenceState::Missing),
        (Secret, "tls", ReferenceState::Missing),
        (Secret, "from-secret", known("h")),
    ]));
    let missing = |kind, name, data: Option<&str>| MissingReference {
        reference: key(kind, name),
        key: data.map(str::to_owned),
    };
    assert_eq!(intent.missing, [missing(ConfigMap, "file-map", Some("x")), missing(Secret, "db", None)]);
}

#[test]
fn the_config_hash_follows_everything_the_pods_read() {
    use ReferenceKind::Secret;
    let hash = |observed: &Observed| resolve_with(observed).config_hash.unwrap();
    let base = hash(&Observed::default());
    let one = hash(&observed(&[(Secret, "db", known("1"))]));
    assert_ne!(base, one);
    assert_ne!(one, hash(&observed(&[(Secret, "db", known("2"))])));
    assert_ne!(one, hash(&observed(&[(Secret, "tls", known("1"))])));
    assert_eq!(base, hash(&observed(&[(Secret, "registry", known("1"))])), "not read by the pods");
    assert_eq!(base, hash(&observed(&[(Secret, "db", ReferenceState::Missing)])));

    let mut generated = Observed::default();
    let values = |hash: &str| GeneratedValues { data: None, hash: hash.to_owned() };
    generated.generated.insert("made".to_owned(), values("1"));
    let first = hash(&generated);
    generated.generated.insert("made".to_owned(), values("2"));
    assert!(first != base && hash(&generated) != first);

    let own = |fields: Value| resolved(fields).config_hash;
    assert_ne!(own(json!({"config": {"A": "1"}})), own(json!({"config": {"A": "2"}})));
    let inline = |text: &str| own(json!({"files": [{"mountPath": "/a", "config": {"k": text}}]}));
    assert!(inline("1").is_some() && inline("1") != inline("2"));
    assert_eq!(own(json!({"files": [{"mountPath": "/a", "emptyDir": {}}]})), None);
}

#[test]
fn generated_secrets_carry_complete_keys_and_live_values() {
    let data = BTreeMap::from([("token".to_owned(), ByteString(b"value".to_vec()))]);
    let mut observed = Observed::default();
    observed
        .generated
        .insert("made".to_owned(), GeneratedValues { data: Some(data.clone()), hash: "h".to_owned() });
    let intent = resolve_with(&observed);
    assert_eq!(intent.generated.len(), 1);
    assert_eq!((intent.generated[0].name.as_str(), &intent.generated[0].data), ("made", &Some(data)));
    assert_eq!(
        value(&intent.generated[0].keys),
        json!([{"key": "token", "length": 32, "encoding": "Alphanumeric"}])
    );
    assert_eq!(resolve_with(&Observed::default()).generated[0].data, None);
}
