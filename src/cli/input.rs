//! Objects from files, directories and standard input.

mod files;
mod live;

use std::collections::BTreeMap;
use std::sync::Arc;

use rayon::prelude::*;
use serde::Deserialize;
use serde_json::Value;

use super::Error;
use super::yaml::{self, Marks, Position, Trouble};
use crate::api::network::PolicyMode;
use crate::api::{API_VERSION, GROUP, LABEL_CLASS, LABEL_NETWORK_POLICY, Microservice, MicroserviceClass};
use crate::intent::Observed;

/// What the files leave open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Namespace of the objects that name none.
    pub namespace: String,
    /// Class of the Microservices that name none; it must be among the files.
    pub class: Option<String>,
    /// Whether directories are read with those below them.
    pub recursive: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self { namespace: "default".to_owned(), class: None, recursive: false }
    }
}

/// What a text holds.
type Read = Result<Vec<(Value, Marks)>, Trouble>;

/// One object and where it stands.
#[derive(Clone, Debug)]
pub struct Document {
    /// File, or `-`.
    pub path: Arc<str>,
    /// The object. A Microservice always has a namespace.
    pub object: Value,
    marks: Arc<Marks>,
}

/// A text that is not YAML, or a document that is no object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// File, or `-`.
    pub path: Arc<str>,
    /// Where in it.
    pub at: Position,
    /// Why.
    pub message: String,
}

/// Everything that was read, in the order of the arguments.
#[derive(Clone, Debug, Default)]
pub struct Inputs {
    /// The objects of all kinds.
    pub documents: Vec<Document>,
    /// What could not be read. Of a text that is not YAML nothing is among the documents.
    pub unreadable: Vec<Unreadable>,
    /// The paths, in their order.
    paths: Vec<Arc<str>>,
    /// The class that the label of each Namespace among them names.
    labels: BTreeMap<String, String>,
    /// The mode of network policies that the label of each Namespace among them asks for.
    pub(super) modes: BTreeMap<String, PolicyMode>,
    /// What the cluster knows of the Microservices, by namespace and name.
    recorded: BTreeMap<(String, String), Observed>,
    /// Microservices of the cluster, which are called and call; those among the documents go before them.
    pub(super) around: Vec<Microservice>,
    settings: Settings,
}

impl Inputs {
    /// Nothing, to be filled with [`Inputs::add`].
    pub fn new(settings: Settings) -> Self {
        Self { settings, ..Self::default() }
    }

    /// Reads files, directories (their `*.yaml`, `*.yml` and `*.json` by name) and `-`.
    ///
    /// # Errors
    /// The first path that cannot be read, or a class that is not among the files.
    pub fn read(paths: &[String], settings: Settings) -> Result<Self, Error> {
        let mut inputs = Self::new(settings);
        let mut texts = Vec::new();
        for path in paths {
            texts.extend(files::read(path, inputs.settings.recursive)?);
        }
        let read: Vec<Read> = texts.par_iter().map(|(_, text)| yaml::read(text)).collect();
        for ((path, _), read) in texts.iter().zip(read) {
            inputs.put(path, read);
        }
        let known =
            |class: &String| inputs.classes().iter().any(|one| one.metadata.name.as_ref() == Some(class));
        match &inputs.settings.class {
            Some(class) if inputs.lacks_class(known(class)) => Err(Error::Class(class.clone())),
            _ => Ok(inputs),
        }
    }

    /// A class that is not among the documents is missed only if a service needs it, and if it cannot be
    /// in what was not readable.
    fn lacks_class(&self, known: bool) -> bool {
        !known && self.unreadable.is_empty() && self.of_kind("Microservice").next().is_some()
    }

    /// Adds the documents of a text.
    pub fn add(&mut self, path: &str, text: &str) {
        self.put(path, yaml::read(text));
    }

    fn put(&mut self, path: &str, read: Read) {
        let path: Arc<str> = path.into();
        self.paths.push(path.clone());
        match read {
            Ok(documents) => documents.into_iter().for_each(|(value, marks)| self.take(&path, value, marks)),
            Err(trouble) => {
                self.unreadable.push(Unreadable { path, at: trouble.at, message: trouble.message });
            }
        }
    }

    fn take(&mut self, path: &Arc<str>, value: Value, marks: Marks) {
        if !value.is_object() {
            let (at, message) = (marks.find(""), "it is a scalar or a list".to_owned());
            return self.unreadable.push(Unreadable { path: path.clone(), at, message });
        }
        for (object, marks) in items(value, marks) {
            let document = Document { path: path.clone(), object, marks: Arc::new(marks) };
            self.note_labels(&document);
            self.documents.push(document.placed(&self.settings.namespace));
        }
    }

    /// Keeps what our labels say, if the document is a Namespace.
    fn note_labels(&mut self, document: &Document) {
        self.labels.extend(document.of_namespace(LABEL_CLASS, |class| Some(class.to_owned())));
        self.modes.extend(document.of_namespace(LABEL_NETWORK_POLICY, PolicyMode::parse));
    }

    /// Place of each path among them.
    pub fn order(&self) -> BTreeMap<&str, usize> {
        // From the back, so that the first place of a path that is named twice stands.
        self.paths.iter().enumerate().rev().map(|(place, path)| (&**path, place)).collect()
    }

    /// The documents of one of our kinds.
    pub fn of_kind<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Document> {
        self.documents.iter().filter(move |document| document.is(API_VERSION, kind))
    }

    /// All classes, by name.
    pub fn classes(&self) -> Vec<MicroserviceClass> {
        let mut classes: Vec<MicroserviceClass> =
            self.of_kind("MicroserviceClass").filter_map(|document| document.decode().ok()).collect();
        classes.sort_by(|a, b| a.metadata.name.cmp(&b.metadata.name));
        classes
    }

    /// The class that applies to the object, as in the cluster: the one it names, else `--class`, else
    /// the one its namespace names, else the default (with two of them, the first by name: files have
    /// no age).
    pub fn class_for<'c>(
        &self,
        object: &Microservice,
        classes: &'c [MicroserviceClass],
    ) -> Option<&'c MicroserviceClass> {
        let named = object.spec.class_name.clone().or_else(|| self.class_wanted(object));
        classes.iter().find(|class| match &named {
            Some(name) => class.metadata.name.as_ref() == Some(name),
            None => class.is_marked_default(),
        })
    }

    /// What `resolve` is told of the live world: the class that is asked for from outside, and what
    /// [`Inputs::meet`] was told.
    pub fn observed(&self, object: &Microservice) -> Observed {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let key = (text(&object.metadata.namespace), text(&object.metadata.name));
        let recorded = self.recorded.get(&key).cloned().unwrap_or_default();
        Observed { class_wanted: self.class_wanted(object), ..recorded }
    }

    fn class_wanted(&self, object: &Microservice) -> Option<String> {
        if let Some(class) = &self.settings.class {
            return Some(class.clone());
        }
        self.labels.get(object.metadata.namespace.as_deref()?).cloned()
    }

    /// Namespace of a document's object.
    pub fn namespace_of<'a>(&'a self, document: &'a Document) -> &'a str {
        document.text("/metadata/namespace").unwrap_or(&self.settings.namespace)
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

    /// Where the field of this path stands, or the nearest one around it.
    pub fn position(&self, field: &str) -> Position {
        self.marks.find(field)
    }

    pub(super) fn text(&self, pointer: &str) -> Option<&str> {
        self.object.pointer(pointer).and_then(Value::as_str)
    }

    /// Name of a Namespace and what one of its labels says.
    fn of_namespace<T>(&self, label: &str, read: impl Fn(&str) -> Option<T>) -> Option<(String, T)> {
        let value = self.text(&format!("/metadata/labels/{}", label.replace('/', "~1")));
        let value = value.filter(|_| self.is("v1", "Namespace")).and_then(read)?;
        Some((self.text("/metadata/name")?.to_owned(), value))
    }

    /// As `kubectl apply -n` would: an object of ours without a namespace gets the given one.
    fn placed(mut self, namespace: &str) -> Self {
        let group = self.text("/apiVersion").and_then(|version| version.split('/').next());
        let ours = group == Some(GROUP) && self.text("/kind") == Some("Microservice");
        if let Some(metadata) =
            self.object.get_mut("metadata").and_then(Value::as_object_mut).filter(|_| ours)
        {
            metadata.entry("namespace").or_insert_with(|| namespace.into());
        }
        self
    }
}

/// The items of a List, or the object itself.
fn items(mut value: Value, marks: Marks) -> Vec<(Value, Marks)> {
    if value.get("kind").and_then(Value::as_str) != Some("List") {
        return vec![(value, marks)];
    }
    let items = value.get_mut("items").map(Value::take);
    let items = items.and_then(|items| if let Value::Array(items) = items { Some(items) } else { None });
    items.unwrap_or_default().into_iter().zip(marks.into_items()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inputs(text: &str) -> Inputs {
        let mut inputs = Inputs::default();
        inputs.add("test.yaml", text);
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
        let inputs = inputs(CLASSES);
        inputs.class_for(&object, &inputs.classes()).and_then(|class| class.metadata.name.clone())
    }

    #[test]
    fn the_class_is_the_named_one_then_the_namespaces_then_the_default() {
        assert_eq!(class_of("shop", Some("named")).as_deref(), Some("named"));
        assert_eq!(class_of("shop", Some("absent")), None);
        assert_eq!(class_of("shop", None).as_deref(), Some("zeta"));
        assert_eq!(class_of("other", None).as_deref(), Some("alpha"));
    }

    #[test]
    fn the_class_of_the_command_line_stands_for_one_that_is_not_named() {
        let settings = Settings { class: Some("named".to_owned()), ..Settings::default() };
        let mut inputs = Inputs { settings, ..inputs(CLASSES) };
        let class = |inputs: &Inputs, name: Option<&str>| {
            let mut object = Microservice::new("orders", Default::default());
            object.metadata.namespace = Some("shop".to_owned());
            object.spec.class_name = name.map(str::to_owned);
            inputs.class_for(&object, &inputs.classes()).and_then(|class| class.metadata.name.clone())
        };
        assert_eq!(class(&inputs, None).as_deref(), Some("named"));
        assert_eq!(class(&inputs, Some("alpha")).as_deref(), Some("alpha"));
        inputs.settings.class = None;
        assert_eq!(class(&inputs, None).as_deref(), Some("zeta"));
    }

    #[test]
    fn items_of_a_list_have_their_own_positions() {
        let inputs = inputs(CLASSES);
        let lines: Vec<usize> =
            inputs.documents.iter().map(|document| document.position("metadata.name").line).collect();
        assert_eq!(lines, [4, 12, 16, 21]);
    }

    #[test]
    fn what_cannot_be_read_keeps_nothing_else_from_being_read() {
        let mut inputs = inputs("- a\n---\na: 1\n");
        inputs.add("x.yaml", "ok: 1\n---\na: 1\na: 2\n");
        inputs.add("y.yaml", "b: 1\n");
        let places: Vec<String> =
            inputs.unreadable.iter().map(|one| format!("{}:{} {}", one.path, one.at, one.message)).collect();
        assert_eq!(places, ["test.yaml:1:1 it is a scalar or a list", "x.yaml:4:1 key \"a\" is given twice"]);
        assert_eq!(inputs.documents.len(), 2);
    }

    #[test]
    fn an_object_without_a_namespace_gets_the_one_of_the_command_line() {
        let settings = Settings { namespace: "shop".to_owned(), ..Settings::default() };
        let mut inputs = Inputs::new(settings);
        let kind =
            |kind: &str, api: &str| format!("---\napiVersion: {api}\nkind: {kind}\nmetadata: {{name: a}}\n");
        inputs.add("-", &kind("Microservice", API_VERSION));
        inputs.add("-", &kind("Secret", "v1"));
        let given: Vec<_> = inputs.documents.iter().map(|d| d.text("/metadata/namespace")).collect();
        assert_eq!(given, [Some("shop"), None]);
        assert!(inputs.documents.iter().all(|document| inputs.namespace_of(document) == "shop"));
    }
}
