//! Objects from files, directories and standard input.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

use super::Error;
use crate::api::{API_VERSION, LABEL_CLASS, Microservice, MicroserviceClass};
use crate::intent::Observed;

/// One object and where it stands.
#[derive(Clone, Debug)]
pub struct Document {
    /// File, or `-`.
    pub path: String,
    /// Number of the document in the file, from 1; the items of a List share theirs.
    pub number: usize,
    /// The object.
    pub object: Value,
}

/// Everything that was read, in the order of the arguments.
#[derive(Clone, Debug, Default)]
pub struct Inputs {
    /// The objects of all kinds.
    pub documents: Vec<Document>,
}

impl Inputs {
    /// Reads files, directories (their `*.yaml`, `*.yml` and `*.json` by name, not those below) and `-`.
    ///
    /// # Errors
    /// The first path that cannot be read or is not YAML.
    pub fn read(paths: &[String]) -> Result<Self, Error> {
        let mut inputs = Self::default();
        for path in paths {
            if path == "-" {
                let mut text = String::new();
                std::io::stdin().read_to_string(&mut text).map_err(at(path))?;
                inputs.add(path, &text)?;
                continue;
            }
            for file in files(path)? {
                let name = file.display().to_string();
                inputs.add(&name, &fs::read_to_string(&file).map_err(at(&name))?)?;
            }
        }
        Ok(inputs)
    }

    /// Adds the documents of a text.
    ///
    /// # Errors
    /// The first document that is not YAML.
    pub fn add(&mut self, path: &str, text: &str) -> Result<(), Error> {
        for (index, document) in serde_yaml::Deserializer::from_str(text).enumerate() {
            let number = index + 1;
            let object = object(document).map_err(|error| Error::Document {
                path: path.to_owned(),
                document: number,
                message: error.to_string(),
            })?;
            let objects = match object {
                Value::Null => Vec::new(),
                Value::Object(ref map) if map.get("kind") == Some(&"List".into()) => {
                    map.get("items").and_then(Value::as_array).cloned().unwrap_or_default()
                }
                one => vec![one],
            };
            self.documents.extend(objects.into_iter().map(|object| Document {
                path: path.to_owned(),
                number,
                object,
            }));
        }
        Ok(())
    }

    /// The documents of one of our kinds.
    pub fn of_kind<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Document> {
        self.documents.iter().filter(move |document| document.is(API_VERSION, kind))
    }

    /// The class that applies to the object, as in the cluster: the one it names, else the one its
    /// namespace names, else the default (with two of them, the first by name: files have no age).
    pub fn class_for(&self, object: &Microservice) -> Option<MicroserviceClass> {
        let named = object.spec.class_name.clone().or_else(|| self.class_of_namespace(object));
        let mut classes: Vec<MicroserviceClass> =
            self.of_kind("MicroserviceClass").filter_map(|document| document.decode().ok()).collect();
        classes.sort_by(|a, b| a.metadata.name.cmp(&b.metadata.name));
        classes.into_iter().find(|class| match &named {
            Some(name) => class.metadata.name.as_ref() == Some(name),
            None => class.is_marked_default(),
        })
    }

    /// What `resolve` is told of the live world: nothing but the label of the namespace.
    pub fn observed(&self, object: &Microservice) -> Observed {
        Observed { class_wanted: self.class_of_namespace(object), ..Observed::default() }
    }

    fn class_of_namespace(&self, object: &Microservice) -> Option<String> {
        let namespace = object.metadata.namespace.as_deref()?;
        let mut namespaces = self.documents.iter().filter(|document| document.is("v1", "Namespace"));
        let label = format!("/metadata/labels/{}", LABEL_CLASS.replace('/', "~1"));
        namespaces
            .find(|document| document.text("/metadata/name") == Some(namespace))
            .and_then(|document| document.text(&label))
            .map(str::to_owned)
    }
}

impl Document {
    /// Whether it is of this kind.
    pub fn is(&self, api_version: &str, kind: &str) -> bool {
        self.text("/apiVersion") == Some(api_version) && self.text("/kind") == Some(kind)
    }

    /// The object as a type of ours.
    ///
    /// # Errors
    /// A field has the wrong type.
    pub fn decode<T: for<'a> Deserialize<'a>>(&self) -> Result<T, serde_json::Error> {
        T::deserialize(&self.object)
    }

    fn text(&self, pointer: &str) -> Option<&str> {
        self.object.pointer(pointer).and_then(Value::as_str)
    }
}

/// Through YAML's own value, which refuses repeated keys, and with merge keys (`<<`) resolved.
fn object(document: serde_yaml::Deserializer<'_>) -> Result<Value, Box<dyn std::error::Error>> {
    let mut value = serde_yaml::Value::deserialize(document)?;
    value.apply_merge()?;
    match serde_json::to_value(value)? {
        object @ (Value::Object(_) | Value::Null) => Ok(object),
        _ => Err("it is a scalar or a list".into()),
    }
}

fn files(path: &str) -> Result<Vec<PathBuf>, Error> {
    let path_name = path;
    let path = Path::new(path);
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(path).map_err(at(path_name))? {
        let file = entry.map_err(at(path_name))?.path();
        let known = file.extension().is_some_and(|end| end == "yaml" || end == "yml" || end == "json");
        if known && file.is_file() {
            files.push(file);
        }
    }
    files.sort();
    Ok(files)
}

fn at(path: &str) -> impl Fn(std::io::Error) -> Error + '_ {
    move |source| Error::File { path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inputs(text: &str) -> Inputs {
        let mut inputs = Inputs::default();
        inputs.add("test.yaml", text).unwrap();
        inputs
    }

    const CLASSES: &str = "
apiVersion: microservice.dev/v1alpha1
kind: MicroserviceClass
metadata: {name: zeta, annotations: {microservice.dev/is-default-class: 'true'}}
spec: {}
---
apiVersion: v1
kind: List
items:
- apiVersion: microservice.dev/v1alpha1
  kind: MicroserviceClass
  metadata: {name: alpha, annotations: {microservice.dev/is-default-class: 'true'}}
  spec: {}
- apiVersion: microservice.dev/v1alpha1
  kind: MicroserviceClass
  metadata: {name: named}
  spec: {}
---
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {microservice.dev/class: zeta}}
";

    fn class_of(namespace: &str, class: Option<&str>) -> Option<String> {
        let mut object = Microservice::new("orders", Default::default());
        object.metadata.namespace = Some(namespace.to_owned());
        object.spec.class_name = class.map(str::to_owned);
        inputs(CLASSES).class_for(&object).and_then(|class| class.metadata.name)
    }

    #[test]
    fn the_class_is_the_named_one_then_the_namespaces_then_the_default() {
        assert_eq!(class_of("shop", Some("named")).as_deref(), Some("named"));
        assert_eq!(class_of("shop", Some("absent")), None);
        assert_eq!(class_of("shop", None).as_deref(), Some("zeta"));
        assert_eq!(class_of("other", None).as_deref(), Some("alpha"));
    }

    #[test]
    fn documents_are_numbered_and_empty_ones_skipped() {
        let all = inputs("# a comment\n---\na: 1\n---\n---\nb: 2\n");
        let numbers: Vec<_> = all.documents.iter().map(|document| document.number).collect();
        assert_eq!(all.documents.len(), 2);
        assert!(numbers.is_sorted() && numbers[0] < numbers[1], "{numbers:?}");
    }

    #[test]
    fn merge_keys_are_resolved_and_repeated_keys_refused() {
        let merged = inputs("base: &base {a: 1}\nmore: {<<: *base, b: 2}\n");
        assert_eq!(merged.documents[0].object["more"], serde_json::json!({"a": 1, "b": 2}));
        let error = Inputs::default().add("x.yaml", "ok: 1\n---\na: 1\na: 2\n").unwrap_err();
        assert!(error.to_string().starts_with("x.yaml:2: "), "{error}");
        Inputs::default().add("x.yaml", "- a\n").unwrap_err();
    }
}
