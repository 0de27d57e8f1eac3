//! `diff`: what would change, object by object, as a unified diff. What only a server writes, and the
//! hash of the plan, which changes with everything, are left out; values of Secrets are never shown.

use std::collections::BTreeMap;
use std::io::Write;

use serde_json::Value;
use similar::TextDiff;

use super::check::Finding;
use super::paint::{Paint, Style};
use super::{Error, Inputs, render, yaml};
use crate::api::ANNOTATION_PLAN_HASH;

/// Metadata that only a server writes.
const OF_SERVERS: [&str; 6] =
    ["managedFields", "resourceVersion", "uid", "generation", "creationTimestamp", "selfLink"];
/// Written by the controller of Deployments.
const REVISION: &str = "deployment.kubernetes.io/revision";
/// What stands for a value of a Secret.
const HIDDEN: &str = "(not shown)";

/// Objects by what names them, as they are compared.
pub type Objects = BTreeMap<String, Value>;

/// The children of files, or, when they hold no object of ours, the files as they are: what `render`
/// has printed.
///
/// # Errors
/// Everything wrong with the objects.
pub fn side(inputs: &Inputs) -> Result<Objects, Vec<Finding>> {
    if inputs.of_kind("Microservice").next().is_some() {
        return Ok(objects(render::children(inputs)?));
    }
    Ok(objects(inputs.documents.iter().map(|document| document.object.clone())))
}

/// Objects by what names them.
pub fn objects(objects: impl IntoIterator<Item = Value>) -> Objects {
    objects.into_iter().map(|object| (name(&object), object)).collect()
}

/// `namespace/Kind.group/name`.
fn name(object: &Value) -> String {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let group = text("/apiVersion").split_once('/').map_or(String::new(), |(group, _)| format!(".{group}"));
    let namespace = match text("/metadata/namespace") {
        "" => String::new(),
        namespace => format!("{namespace}/"),
    };
    format!("{namespace}{}{group}/{}", text("/kind"), text("/metadata/name"))
}

/// Prints what differs and returns how many objects do.
///
/// # Errors
/// The output cannot be written.
pub fn print(out: &mut dyn Write, old: &Objects, new: &Objects, paint: Paint) -> Result<usize, Error> {
    let mut names: Vec<&String> = old.keys().chain(new.keys()).collect();
    names.sort();
    names.dedup();
    let mut changed = 0;
    for name in names {
        let (before, after) = secrets_hidden(old.get(name), new.get(name));
        let (before, after) = (text(before)?, text(after)?);
        if before != after {
            changed += 1;
            one(out, name, before.as_deref(), after.as_deref(), paint)?;
        }
    }
    Ok(changed)
}

fn one(
    out: &mut dyn Write,
    name: &str,
    before: Option<&str>,
    after: Option<&str>,
    paint: Paint,
) -> Result<(), Error> {
    let header = |side: char, text: Option<&str>| match text {
        Some(_) => format!("{side}/{name}"),
        None => "/dev/null".to_owned(),
    };
    let diff = TextDiff::from_lines(before.unwrap_or_default(), after.unwrap_or_default());
    let text =
        diff.unified_diff().context_radius(3).header(&header('a', before), &header('b', after)).to_string();
    for line in text.lines() {
        let style = match line.get(..1) {
            _ if line.starts_with("--- ") || line.starts_with("+++ ") => Style::Head,
            Some("-") => Style::Bad,
            Some("+") => Style::Good,
            Some("@") => Style::Place,
            _ => Style::Plain,
        };
        writeln!(out, "{}", paint.text(style, line))?;
    }
    Ok(())
}

/// The object without what only servers write.
fn text(object: Option<Value>) -> Result<Option<String>, Error> {
    let Some(mut object) = object else { return Ok(None) };
    if let Some(fields) = object.as_object_mut() {
        fields.remove("status");
        if let Some(metadata) = fields.get_mut("metadata").and_then(Value::as_object_mut) {
            OF_SERVERS.iter().for_each(|name| drop(metadata.remove(*name)));
            if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
                [ANNOTATION_PLAN_HASH, REVISION].iter().for_each(|name| drop(annotations.remove(*name)));
                if annotations.is_empty() {
                    metadata.remove("annotations");
                }
            }
        }
    }
    Ok(Some(yaml::write(&object)?))
}

/// Both objects with the values of Secrets replaced; a value that differs is said to.
fn secrets_hidden(old: Option<&Value>, new: Option<&Value>) -> (Option<Value>, Option<Value>) {
    let (mut before, mut after) = (old.cloned(), new.cloned());
    let is_secret = |object: &Option<Value>| {
        object.as_ref().and_then(|object| object.get("kind")).and_then(Value::as_str) == Some("Secret")
    };
    if !is_secret(&before) && !is_secret(&after) {
        return (before, after);
    }
    for map in ["data", "stringData"] {
        let values = |object: Option<&Value>| {
            object.and_then(|object| object.get(map)).and_then(Value::as_object).cloned().unwrap_or_default()
        };
        let (from, to) = (values(old), values(new));
        let changed =
            |key: &String| from.contains_key(key) && to.contains_key(key) && from.get(key) != to.get(key);
        for (object, mark) in [(&mut before, "old"), (&mut after, "new")] {
            let fields =
                object.as_mut().and_then(|object| object.get_mut(map)).and_then(Value::as_object_mut);
            for (key, value) in fields.into_iter().flatten() {
                *value = if changed(key) { format!("{HIDDEN}, {mark}").into() } else { HIDDEN.into() };
            }
        }
    }
    (before, after)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn printed(old: Vec<Value>, new: Vec<Value>, colour: bool) -> (usize, String) {
        let mut out = Vec::new();
        let count = print(&mut out, &objects(old), &objects(new), Paint::new(colour)).unwrap();
        (count, String::from_utf8(out).unwrap())
    }

    fn service(port: i32) -> Value {
        json!({
            "apiVersion": "v1", "kind": "Service", "spec": {"port": port},
            "metadata": {
                "name": "orders", "namespace": "shop", "resourceVersion": port.to_string(),
                "annotations": {"microservice.dev/plan-hash": port.to_string()},
            },
            "status": {"x": port},
        })
    }

    #[test]
    fn only_what_was_asked_for_is_compared() {
        let mut other = service(1);
        for (pointer, value) in [("/metadata/resourceVersion", "9"), ("/status/x", "9")] {
            *other.pointer_mut(pointer).unwrap() = value.into();
        }
        other["metadata"]["annotations"]["microservice.dev/plan-hash"] = "9".into();
        assert_eq!(printed(vec![service(1)], vec![other], false), (0, String::new()));
    }

    #[test]
    fn a_change_is_a_unified_diff() {
        let (count, text) = printed(vec![service(1)], vec![service(2)], false);
        let expected = "--- a/shop/Service/orders\n+++ b/shop/Service/orders\n@@ -4,4 +4,4 @@\n   name: orders\n   \
                        namespace: shop\n spec:\n-  port: 1\n+  port: 2\n";
        assert_eq!((count, text.as_str()), (1, expected));
        let (_, text) = printed(vec![service(1)], vec![service(2)], true);
        assert!(text.contains("\u{1b}[31m-  port: 1\u{1b}[0m") && text.contains("\u{1b}[36m@@"), "{text}");
    }

    #[test]
    fn what_comes_and_what_goes_is_compared_with_nothing() {
        let deployment = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a"}});
        let (count, text) = printed(vec![service(1)], vec![deployment], false);
        assert_eq!(count, 2);
        assert!(text.contains("--- /dev/null\n+++ b/Deployment.apps/a\n"), "{text}");
        assert!(text.contains("--- a/shop/Service/orders\n+++ /dev/null\n"), "{text}");
    }

    #[test]
    fn values_of_secrets_are_never_shown() {
        let secret = |value: &str| {
            json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"},
                "data": {"same": "c2FtZQ==", "other": value}})
        };
        let (count, text) = printed(vec![secret("b25l")], vec![secret("dHdv")], false);
        assert_eq!(count, 1);
        assert!(text.contains("-  other: (not shown), old\n+  other: (not shown), new\n"), "{text}");
        let (_, added) = printed(vec![], vec![secret("b25l")], false);
        assert!(
            !text.contains("b25l") && !text.contains("c2FtZQ") && !added.contains("b25l"),
            "{text}{added}"
        );
    }

    #[test]
    fn a_rendering_is_compared_as_it_is() {
        let text = "apiVersion: microservice.dev/v1alpha1\nkind: Microservice\nmetadata: {name: orders}\nspec: {image: 'a:1'}\n";
        let mut inputs = Inputs::default();
        inputs.add("-", text);
        let mut out = Vec::new();
        render::print(&mut out, &inputs, render::Format::Yaml).unwrap();
        let mut rendering = Inputs::default();
        rendering.add("-", &String::from_utf8(out).unwrap());
        assert_eq!(side(&inputs).unwrap(), side(&rendering).unwrap());
    }
}
